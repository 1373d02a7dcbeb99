"""How fast a session may send lines: a token bucket for each one, filled at the rate of the settings (C59).

A bucket hands out lines in grants. So running a line costs the session a subtraction; only the next grant needs the
clock.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_GRANT = 64
"""Lines that a bucket grants at once: as many as a session runs in one turn."""

GRANTS = 8
"""A bucket that is full has at least so many grants, which bounds by how much a grant in use exceeds the burst."""

PAUSE_SECONDS = 0.1
"""Least time that a session waits for lines of an empty bucket, so that few timers serve many lines."""


class LineRate:
    """The rate of all sessions. It can change at any time.

    Args:
        now: the monotonic clock, in seconds.
        burst: lines that a session may send at once.
        per_second: lines that it may send in a second after that; 0: any number.
        for_links: whether it holds for links with other servers too.
    """

    def __init__(self, now: Callable[[], float], burst: int, per_second: int, *, for_links: bool = False) -> None:
        self.now = now
        self.burst = burst
        self.per_second = per_second
        self.for_links = for_links


class LineBucket:
    """The lines that one session may still run.

    Args:
        rate: of all sessions.

    Attributes:
        ready: lines that have been granted.
        rate: of all sessions.
        has_been_empty: whether the session has ever had to wait.
    """

    __slots__ = ("_at", "_level", "has_been_empty", "rate", "ready")

    def __init__(self, rate: LineRate) -> None:
        self.rate = rate
        self.ready = 0
        self.has_been_empty = False
        self._level = float(rate.burst)
        self._at = rate.now()

    def grant(self) -> int:
        """Grant lines where none is ready; return how many are ready then, 0 if the bucket is empty."""
        rate = self.rate
        if not rate.per_second:
            self.ready = MAX_GRANT
            return MAX_GRANT
        now = rate.now()
        level = min(rate.burst, self._level + (now - self._at) * rate.per_second)
        granted = max(0, min(MAX_GRANT, max(1, rate.burst // GRANTS), int(level)))
        self._at = now
        self._level = level - granted
        self.ready = granted
        return granted

    def spend(self, lines: int) -> None:
        """Take lines at once, which may leave the bucket more than empty."""
        self.ready -= lines
        if self.ready < 0:
            self._level += self.ready
            self.ready = 0

    def seconds_to_wait(self) -> float:
        """Return after how many seconds an empty bucket has lines again; call it after a `grant` of 0."""
        return max(PAUSE_SECONDS, (1.0 - self._level) / max(1, self.rate.per_second))


UNLIMITED = LineRate(lambda: 0.0, 1, 0)
"""Any number of lines."""
