"""A session with a rate limit for its client's lines (C59). Other sessions pay nothing for this."""

from __future__ import annotations

from first_line import NO_CHOICE, Choice
from line_bucket import UNLIMITED, LineBucket
from protocol import Dialect, Session
from session_state import Block
from text import MAX_LINE
from transport import Transport


class PacedSession(Session):
    """A session with a bucket of lines.

    Args:
        transport, dialect, max_line, by_first_word: as of `Session`.
        bucket: of the lines that it may run.
    """

    __slots__ = ("_bucket", "_is_waiting")

    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        max_line: int = MAX_LINE,
        by_first_word: Choice = NO_CHOICE,
        *,
        bucket: LineBucket,
    ) -> None:
        super().__init__(transport, dialect, max_line, by_first_word)
        self._bucket = bucket
        self._is_waiting = False

    @property
    def blocked_by(self) -> Block | None:
        """Why no line is run for now; None when the next one can be."""
        has_lines = self._parked is not None or (self._lines is not None and self._lines.data)
        return Block.TOO_FAST if self._is_waiting and has_lines else super().blocked_by

    def excuse_line(self) -> None:
        """Do not count the line that is being run in the client's rate, as the server has asked for it (C59)."""
        self._bucket.ready += 1

    def set_link_limits(self, max_line: int, max_output: int, setting: str) -> None:
        """Use the limits of a link, as `Session.set_link_limits`. A link may send any number of lines by default."""
        if not self._bucket.rate.for_links:
            self._bucket = LineBucket(UNLIMITED)
        super().set_link_limits(max_line, max_output, setting)

    def _step(self) -> bool:
        bucket = self._bucket
        if not bucket.ready and not self._has_grant():
            return False
        if not Session._step(self):
            if self._lines is not None and self._lines.skipped:
                bucket.spend(self._lines.take_skipped())
            return False
        bucket.ready -= 1
        return True

    def _has_grant(self) -> bool:
        """Whether further lines may run now; if not, they will be tried again when some may."""
        bucket = self._bucket
        self._is_waiting = not bucket.grant()
        if self._is_waiting:
            if not bucket.has_been_empty:
                bucket.has_been_empty = True
                rate = bucket.rate
                self.report_limit("line-rate", "(slowed, %d a second after %d)", rate.per_second, rate.burst)
            self._scheduled = True
            self.transport.call_later(bucket.seconds_to_wait(), self.run)
        return not self._is_waiting
