"""The operator's log: one line an event on standard error, which never makes the loop wait."""

from __future__ import annotations

import logging
import os
import select
import time

MAX_PIPE_WRITE = select.PIPE_BUF
"""Bytes that a pipe takes whole when it says that it can be written (POSIX)."""

LINES_PER_SECOND = 50
"""Lines of one kind that are written in a second. Lines of a kind differ only in what is filled in."""

MAX_KINDS = 256
"""Kinds that are told apart in a second; more than the program has, so that what is no constant does no harm."""

KIND_CHARACTERS = 120
"""What is kept, and shown, of what a kind's lines have in common."""

OTHERS = "other lines"

STDERR = 2


def nonblocking_copy(descriptor: int) -> int:
    """Give a descriptor for the same terminal that takes what fits and never waits; any other one is given as it is.

    A pipe that can be written takes MAX_PIPE_WRITE bytes, but a terminal perhaps one. Making the descriptor itself
    non-blocking would make it so for the shell, too, and whoever else has the terminal.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # no terminal, or not ours to open
        return descriptor


class NonBlockingHandler(logging.Handler):
    """Writes a record where that does not block, and drops it, counted, where it would.

    Whoever started the server may have stopped reading its standard error: a full pipe must not stop the chat. Nor may
    anyone who provokes warnings fill a disk with them, or hide what else is logged: of each kind LINES_PER_SECOND are
    written. A record that is dropped costs nothing more: its text is not made.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor = nonblocking_copy(descriptor)
        self._dropped: dict[str, int] = {}
        self._second = 0
        self._lines: dict[str, int] = {}
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, behind a line that tells what has been dropped since the last one."""
        kind = str(record.msg)[:KIND_CHARACTERS]
        if self._within_rate(kind, int(record.created)) and self._write(self._told_dropped() + self.format(record)):
            self._dropped.clear()
        else:
            _count(self._dropped, kind)

    def _within_rate(self, kind: str, second: int) -> bool:
        if second != self._second:
            self._second = second
            self._lines.clear()
        return _count(self._lines, kind) <= LINES_PER_SECOND

    def _told_dropped(self) -> str:
        if not self._dropped:
            return ""
        kinds = ", ".join(f"{count} of {kind!r}" for kind, count in self._dropped.items())
        return f"({sum(self._dropped.values())} log lines before this one were dropped: {kinds})\n"

    def _write(self, text: str) -> bool:
        data = f"{text}\n".encode(errors="backslashreplace")
        for start in range(0, len(data), MAX_PIPE_WRITE):
            if not any(events & select.POLLOUT for _descriptor, events in self._poll.poll(0)):
                return False
            try:
                os.write(self._descriptor, data[start : start + MAX_PIPE_WRITE])
            except OSError:  # nobody is there to read
                return False
        return True


def _count(counts: dict[str, int], kind: str) -> int:
    """Count one more of a kind; return how many there are."""
    if kind not in counts and len(counts) >= MAX_KINDS:
        kind = OTHERS
    counts[kind] = number = counts.get(kind, 0) + 1
    return number


class LineFormatter(logging.Formatter):
    """A line each: the local time with its distance from UTC (ISO 8601), the level, the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Give the time in whole seconds, such as 2026-11-30T17:20:18+01:00."""
        text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
        return f"{text[:-2]}:{text[-2:]}"


def start_logging() -> None:
    """Send the log to standard error."""
    handler = NonBlockingHandler(STDERR)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger("crosstalk")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    root.propagate = False
    # What no line shows need not be found out for each: who logs, in which thread and process.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
