"""Requests of users here that a peer has not answered yet: joins, direct messages, messages to its channels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from domain.changes import Done, Said

MAX_PENDING = 100
"""Unconfirmed messages kept for a sender and destination. Older ones are forgotten: their failure is not reported
(L43)."""

MAX_BUFFERED = 200
"""Messages that are kept for a user who is joining a remote channel."""

Key = tuple[str, str]
"""A user here and a channel or user of the peer, or a user of the peer and a channel here."""

T = TypeVar("T")


class PendingRequest:
    """A JOIN or a direct message of a user here that the peer has not answered yet.

    A JOIN that is `answered` waits for the journal; `buffered` has the channel's messages of that time (L41).

    Args:
        deadline: the time-out.
    """

    __slots__ = ("_done", "answered", "buffered", "deadline")

    def __init__(self, deadline: Any) -> None:
        self.deadline = deadline
        self.answered = False
        self.buffered: deque[Said] = deque(maxlen=MAX_BUFFERED)
        self._done: list[Done] = []

    def add(self, done: Done) -> None:
        """Add a callback for the outcome."""
        self._done.append(done)

    def end(self, error: Exception | None) -> None:
        """Call the callbacks with the outcome."""
        for done in self._done:
            done(error)


class PendingMessage(NamedTuple):
    """A message to a remote channel whose echo has not arrived yet (L43).

    Attributes:
        text: the hash of its text.
        sent_at: the time on the monotonic clock.
        settled: called once, with True for the echo, with False if it counts as lost.
    """

    text: int
    sent_at: float
    settled: Callable[[bool], None]


class PendingQueue(Generic[T]):
    """Items that wait for answers, by sender and destination; an answer is for the oldest."""

    def __init__(self) -> None:
        self._items: dict[Key, deque[T]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def of(self, key: Key) -> Sequence[T]:
        """Return the items of one sender and destination, the oldest first."""
        return self._items.get(key, ())

    def all(self) -> list[tuple[Key, T]]:
        """Return all items."""
        return [(key, item) for key, items in self._items.items() for item in items]

    def add(self, key: Key, item: T) -> None:
        """Add an item; beyond MAX_PENDING the oldest is forgotten."""
        self._items.setdefault(key, deque(maxlen=MAX_PENDING)).append(item)

    def take(self, key: Key) -> T | None:
        """Remove and return the oldest item; None without items."""
        items = self._items.get(key)
        return self.drop(key, items[0]) if items else None

    def drop(self, key: Key, item: T) -> T:
        """Remove and return an item."""
        items = self._items[key]
        items.remove(item)
        if not items:
            del self._items[key]
        return item
