"""Deadlines on the monotonic clock, and exponential back-off."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator


class Deadline:
    """A call that is due at a time on the monotonic clock; sorts by time, then by age."""

    __slots__ = ("call", "order", "when")

    def __init__(self, when: float, order: int, call: Callable[[], None]) -> None:
        self.when = when
        self.order = order
        self.call: Callable[[], None] | None = call

    def __lt__(self, other: Deadline) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class Deadlines:
    """A heap of deadlines. Cancelled ones are removed when they are more than half of it."""

    def __init__(self) -> None:
        self._heap: list[Deadline] = []
        self._order = itertools.count()
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, call: Callable[[], None]) -> Deadline:
        deadline = Deadline(when, next(self._order), call)
        heapq.heappush(self._heap, deadline)
        return deadline

    def cancel(self, deadline: Deadline) -> None:
        """Cancel a deadline; one that has passed or was cancelled before is ignored."""
        if deadline.call is None:
            return
        deadline.call = None
        self._cancelled += 1
        if self._cancelled > len(self._heap) // 2:
            self._heap = [kept for kept in self._heap if kept.call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def nearest(self) -> float | None:
        """The time of the earliest deadline, or None."""
        while self._heap and self._heap[0].call is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0].when if self._heap else None

    def due(self, now: float) -> Iterator[Callable[[], None]]:
        """Remove and yield the calls that are due, the earliest first."""
        while (when := self.nearest()) is not None and when <= now:
            deadline = heapq.heappop(self._heap)
            call, deadline.call = deadline.call, None
            if call is not None:
                yield call


class Backoff:
    """Exponential back-off: the pauses between attempts that fail.

    Args:
        first: seconds of the first pause.
        growth: the factor from one pause to the next.
        max_pause: maximum seconds of a pause, without jitter.
    """

    __slots__ = ("_first", "_growth", "_max_pause", "pause")

    def __init__(self, first: float, growth: float, max_pause: float) -> None:
        self.pause = first
        """Seconds of the next pause, without jitter."""
        self._first = first
        self._growth = growth
        self._max_pause = max_pause

    def next(self, jitter: float = 0.5) -> float:
        """Return the pause before the next attempt, and let the one after it be longer.

        Args:
            jitter: from 0 to 1, for a quarter less up to a quarter more.
        """
        pause = self.pause * (0.75 + jitter / 2)
        self.pause = min(self.pause * self._growth, self._max_pause)
        return pause

    def reset(self) -> None:
        """An attempt has succeeded: begin anew with the first pause."""
        self.pause = self._first
