"""The wall clock for what is kept: it never goes back, so that messages in order have times in order."""

from __future__ import annotations

from collections.abc import Callable


class RisingClock:
    """The time of messages, in whole milliseconds, which is how finely protocols show it.

    Args:
        now: the machine's wall clock, in seconds since the epoch, which may be set back.
        last: the time of the newest message that has been kept.

    Attributes:
        last: the latest time that was given.
        turn: the time of this turn; 0 until it has been read.
    """

    def __init__(self, now: Callable[[], float], last: float) -> None:
        self._now = now
        self.last = last
        self.turn = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch; the same as before while the machine's clock is behind that."""
        now = int(self._now() * 1000) / 1000
        if now > self.last:
            self.last = now
            if self.turn:
                self.turn = now
        return self.last

    def of_turn(self) -> float:
        """Return the time of the turn, which is read once for many messages."""
        if not self.turn:
            self.turn = self.now()
        return self.turn

    def end_turn(self) -> None:
        """Read the clock again for the next message."""
        self.turn = 0.0
