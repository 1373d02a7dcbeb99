"""Output that is made while it leaves: the streams of a connection, and receipts, which are streams of one chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from net.reactor import Reactor


class Receipt:
    """Output that is confirmed when it has left: a stream of one chunk.

    Args:
        loop: calls `done` at the end of the turn of the outcome.
        data: the chunk.
        done: called once, with True when all of it has been handed to the operating system, with False when the
            connection has ended before that.
    """

    __slots__ = ("_data", "_done", "_loop")

    def __init__(self, loop: Reactor, data: bytes, done: Callable[[bool], None]) -> None:
        self._loop = loop
        self._data = data
        self._done: Callable[[bool], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._data:
            data, self._data = self._data, b""
            return data
        self._tell(True)
        raise StopIteration

    def close(self) -> None:
        self._tell(False)

    def _tell(self, has_left: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._loop.confirm_later(partial(done, has_left))


class Streams(deque[tuple[Iterator[bytes], list[bytes]]]):
    """The streams of a connection, and what was sent behind each. A connection without a stream has none of this.

    Attributes:
        chunk: bytes of the chunk that is leaving.
        pulling: whether the loop has been asked to make the next chunk.
    """

    __slots__ = ("chunk", "pulling")

    def __init__(self) -> None:
        super().__init__()
        self.chunk = 0
        self.pulling = False


def close_iterator(chunks: Iterator[bytes]) -> None:
    """Close an iterator that has something to close, as a generator has."""
    close: Any = getattr(chunks, "close", None)
    if close is not None:
        close()
