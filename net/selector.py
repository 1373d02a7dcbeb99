"""What the loop waits for: ready descriptors, by epoll where the system has it, else by a selector of the library.

Compared with the library's class for epoll, a descriptor takes less than half of the memory, and a report takes two
thirds of the time. This counts when thousands of connections end at once, and in each turn that carries one message.
"""

from __future__ import annotations

import math
import select
import selectors
from collections.abc import Callable, Collection
from selectors import EVENT_READ, EVENT_WRITE
from typing import Protocol

Ready = Callable[[int], None]
"""Is called with the events of a descriptor: a mask of EVENT_READ, EVENT_WRITE and EVENT_END."""

EVENT_END = 4
"""The other side has ended, or the connection is broken. It comes with EVENT_READ; not every selector tells it."""

Event = tuple[int, Ready, int]
"""A descriptor that is ready, what is to be called, and its events.

An error, or the end of a connection, may make it ready for both, whatever it is watched for.
"""

IN, OUT, ERR, HUP, RDHUP = 1, 4, 8, 16, 0x2000
"""Flags of epoll, which systems without it do not name."""

_INTERESTS = {EVENT_READ: IN | RDHUP, EVENT_WRITE: OUT, EVENT_READ | EVENT_WRITE: IN | OUT | RDHUP}


def _events_of(flags: int) -> int:
    """Return the events of what epoll reports. An error or the end of the connection makes it ready for both."""
    broken = EVENT_READ | EVENT_WRITE | EVENT_END if flags & (ERR | HUP) else 0
    ended = EVENT_READ | EVENT_END if flags & RDHUP else 0
    return broken | ended | (EVENT_READ if flags & IN else 0) | (EVENT_WRITE if flags & OUT else 0)


_READY = {flags | ended: _events_of(flags | ended) for flags in range(32) for ended in (0, RDHUP)}
"""Events by the flags that epoll reports."""


class Selector(Protocol):
    """Watches descriptors. They are unwatched before they are closed."""

    @property
    def suspended(self) -> Collection[int]:
        """The descriptors that are watched, and not reported."""

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        """Watch a descriptor for these events, at least one.

        Raises:
            KeyError: it is watched already.
            OSError: the system has no room for it, or it is closed.
        """

    def change(self, descriptor: int, events: int, ready: Ready) -> None:
        """Watch a descriptor for other events.

        Raises:
            KeyError: it is not watched.
        """

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor.

        Raises:
            KeyError: it is not watched.
        """

    def suspend(self, descriptor: int) -> None:
        """Report a watched descriptor no more, until `resume`."""

    def resume(self, descriptor: int) -> None:
        """Report a suspended descriptor again. No-op for any other."""

    def select(self, timeout: float | None = None) -> list[Event]:
        """Wait until descriptors are ready, or for so many seconds; None: as long as it takes."""

    def close(self) -> None:
        """Release what the system holds."""


def make_selector() -> Selector:
    """Return a new selector, the best that this system has."""
    return EpollSelector() if hasattr(select, "epoll") else LibrarySelector()


class EpollSelector:
    """Epoll. What it keeps of a descriptor is as little as possible: there may be thousands that do nothing."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._writing: dict[int, int] = {}
        """The events of descriptors that are watched for more than input."""
        self.suspended: set[int] = set()

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        if descriptor in self._ready:
            raise KeyError(descriptor)
        self._epoll.register(descriptor, _INTERESTS[events])
        self._ready[descriptor] = ready
        self._note(descriptor, events)

    def change(self, descriptor: int, events: int, ready: Ready) -> None:
        if descriptor not in self._ready:
            raise KeyError(descriptor)
        self._ready[descriptor] = ready
        if descriptor not in self.suspended and events != self._events(descriptor):
            self._epoll.modify(descriptor, _INTERESTS[events])
        self._note(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        del self._ready[descriptor]
        self._writing.pop(descriptor, None)
        if descriptor in self.suspended:
            self.suspended.remove(descriptor)
        else:
            self._epoll.unregister(descriptor)

    def suspend(self, descriptor: int) -> None:
        if descriptor not in self.suspended:
            self._epoll.unregister(descriptor)
            self.suspended.add(descriptor)

    def resume(self, descriptor: int) -> None:
        if descriptor in self.suspended:
            self.suspended.remove(descriptor)
            self._epoll.register(descriptor, _INTERESTS[self._events(descriptor)])

    def select(self, timeout: float | None = None) -> list[Event]:
        if timeout is not None:
            timeout = math.ceil(timeout * 1000) / 1000  # not too early, which would be a turn for nothing
        reported = self._epoll.poll(timeout, max(1, len(self._ready)))
        get = self._ready.get
        return [
            (descriptor, ready, _READY[flags])
            for descriptor, flags in reported
            if (ready := get(descriptor)) is not None
        ]

    def close(self) -> None:
        self._epoll.close()
        self._ready.clear()

    def _events(self, descriptor: int) -> int:
        return self._writing.get(descriptor, EVENT_READ)

    def _note(self, descriptor: int, events: int) -> None:
        if events == EVENT_READ:
            self._writing.pop(descriptor, None)
        else:
            self._writing[descriptor] = events


class LibrarySelector:
    """The best selector of the library."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.suspended: dict[int, selectors.SelectorKey] = {}

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        if descriptor in self.suspended:
            raise KeyError(descriptor)
        self._selector.register(descriptor, events, ready)

    def change(self, descriptor: int, events: int, ready: Ready) -> None:
        if descriptor in self.suspended:
            self.suspended[descriptor] = self.suspended[descriptor]._replace(events=events, data=ready)
        else:
            self._selector.modify(descriptor, events, ready)

    def unwatch(self, descriptor: int) -> None:
        if self.suspended.pop(descriptor, None) is None:
            self._selector.unregister(descriptor)

    def suspend(self, descriptor: int) -> None:
        if descriptor not in self.suspended:
            self.suspended[descriptor] = self._selector.unregister(descriptor)

    def resume(self, descriptor: int) -> None:
        key = self.suspended.pop(descriptor, None)
        if key is not None:
            self._selector.register(descriptor, key.events, key.data)

    def select(self, timeout: float | None = None) -> list[Event]:
        return [(key.fd, key.data, mask) for key, mask in self._selector.select(timeout)]

    def close(self) -> None:
        self._selector.close()
