"""The maximum of recent values, so that an old one does not hide what happens now."""

from __future__ import annotations

WINDOW_SECONDS = 60.0
"""A value counts for at least so long, and for less than twice as long."""


class Peak:
    """The maximum of the values of the last WINDOW_SECONDS, or of up to twice as many seconds.

    Args:
        now: the time, in seconds, as in all calls.
    """

    __slots__ = ("_before", "_ends", "_greatest")

    def __init__(self, now: float) -> None:
        self._before = self._greatest = 0.0
        self._ends = now + WINDOW_SECONDS

    def note(self, value: float, now: float) -> None:
        """Note a value. Done for each turn, so it is little work."""
        if now >= self._ends:
            self._roll(now)
        if value > self._greatest:
            self._greatest = value

    def read(self, now: float) -> float:
        """Return the greatest value; 0 if there was none."""
        if now >= self._ends:
            self._roll(now)
        return max(self._before, self._greatest)

    def _roll(self, now: float) -> None:
        """Begin a new window."""
        is_next = now < self._ends + WINDOW_SECONDS
        self._before, self._greatest = self._greatest if is_next else 0.0, 0.0
        self._ends = (self._ends if is_next else now) + WINDOW_SECONDS
