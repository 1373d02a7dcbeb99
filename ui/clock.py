"""The time before each line, and the line between days."""

from __future__ import annotations

import time
from collections.abc import Callable

from ui.rendering import Fragments, Line

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
"""The C locale's names, whatever the locale is: everything else that the client says is English too."""


def name_of_day(moment: time.struct_time) -> str:
    """Return the name of a day, as the line before its first message has it."""
    return f"{DAYS[moment.tm_wday]}, {moment.tm_mday} {MONTHS[moment.tm_mon - 1]} {moment.tm_year}"


class Clock:
    """Puts the time before lines, and a line between two days.

    Args:
        now: returns the time in seconds since the epoch.
        local: returns the local time for such a time.
    """

    WIDTH = len("17:20 ")
    """Columns of a time, by which the further rows of a line are indented."""

    def __init__(
        self, now: Callable[[], float] = time.time, local: Callable[[float], time.struct_time] = time.localtime
    ) -> None:
        self._now = now
        self._local = local
        self._day = name_of_day(local(now()))
        """The day of the last line."""

    def time_of_day(self) -> str:
        """Return the time, as it stands before lines."""
        return _time_of_day(self._moment(None))

    def stamp(self, line: Line) -> list[Fragments]:
        """Return a line with its time, behind the line that begins its day if that is not the day of the last one."""
        moment = self._moment(line.at)
        before, self._day = self._day, name_of_day(moment)
        stamp = [("class:time", f"{_time_of_day(moment)} ")] if line.stamped else []
        shown = [[*stamp, *line.text]]
        return shown if before == self._day else [[("class:day", f"---- {self._day} ----")], *shown]

    def _moment(self, at: float | None) -> time.struct_time:
        try:
            return self._local(self._now() if at is None else at)
        except (OverflowError, ValueError, OSError):  # a server may send a time that this system cannot convert
            return self._local(self._now())


def _time_of_day(moment: time.struct_time) -> str:
    return f"{moment.tm_hour:02}:{moment.tm_min:02}"
