"""Requests of users here that a peer has not answered yet: joins, direct messages, messages to its channels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from domain.changes import Done, Said

MAX_PENDING = 100
"""Messages of one user to one remote channel for which a failure can still be told; and to one remote user, whose
answers are waited for."""

MAX_BUFFERED = 200
"""Messages that are kept for one who is on the way into a remote channel."""

Key = tuple[str, str]
"""A user and what it is about: one here and a channel or user of the peer, or one there and a channel here."""

T = TypeVar("T")


class PendingRequest:
    """A JOIN or a direct message of a user here, which a peer has not answered yet.

    A JOIN that is `answered` is being written; `buffered` has what was said in the channel meanwhile.
    """

    __slots__ = ("_done", "answered", "buffered", "deadline")

    def __init__(self, deadline: Any) -> None:
        self.deadline = deadline
        self.answered = False
        self.buffered: deque[Said] = deque(maxlen=MAX_BUFFERED)
        self._done: list[Done] = []

    def add(self, done: Done) -> None:
        """One more waits for the answer."""
        self._done.append(done)

    def end(self, error: Exception | None) -> None:
        """Tell those who wait."""
        for done in self._done:
            done(error)


class PendingMessage(NamedTuple):
    """A message to a remote channel that has not come back yet: the hash of its text, when it was said on the monotonic
    clock, and whom to tell whether it has come back: False says that it never will."""

    text: int
    sent_at: float
    settled: Callable[[bool], None]


class PendingQueue(Generic[T]):
    """What waits for answers, by whose it is and for whom; answers come for the oldest first."""

    def __init__(self) -> None:
        self._items: dict[Key, deque[T]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def of(self, key: Key) -> Sequence[T]:
        """Give what waits, the oldest first."""
        return self._items.get(key, ())

    def all(self) -> list[tuple[Key, T]]:
        """Give everything that waits."""
        return [(key, item) for key, items in self._items.items() for item in items]

    def add(self, key: Key, item: T) -> None:
        """Wait for one more; of more than MAX_PENDING the oldest is forgotten."""
        self._items.setdefault(key, deque(maxlen=MAX_PENDING)).append(item)

    def take(self, key: Key) -> T | None:
        """Give the oldest, which waits no more; None if there is none."""
        items = self._items.get(key)
        return self.drop(key, items[0]) if items else None

    def drop(self, key: Key, item: T) -> T:
        """Give an item, which waits no more."""
        items = self._items[key]
        items.remove(item)
        if not items:
            del self._items[key]
        return item
