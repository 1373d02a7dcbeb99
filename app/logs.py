"""The operator's log: one line for each event on standard error. Writing it never makes the loop wait."""

from __future__ import annotations

import logging
import os
import select
import time

MAX_PIPE_WRITE = select.PIPE_BUF
"""Bytes that a writable pipe takes at once without blocking (POSIX)."""

LINES_PER_SECOND = 50
"""Maximum lines of one kind that are written in a second. Lines of one kind have the same format string."""

MAX_KINDS = 256
"""Kinds that are counted separately; the program has fewer. Further kinds are counted together."""

KIND_CHARACTERS = 120
"""Characters of a format string that identify its kind."""

OTHERS = "other lines"

STDERR = 2


def nonblocking_copy(descriptor: int) -> int:
    """Open the terminal of a descriptor once more, non-blocking; return any other descriptor as it is.

    A writable pipe takes MAX_PIPE_WRITE bytes without blocking, a terminal perhaps only one. The descriptor itself
    cannot be made non-blocking: the shell shares it.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # no terminal, or no permission to open it
        return descriptor


class NonBlockingHandler(logging.Handler):
    """Writes a record if that does not block; drops and counts it otherwise.

    A full pipe on standard error must not stop the chat. Nor may a client that provokes warnings fill the disk, or hide
    other lines: at most LINES_PER_SECOND of each kind are written. A dropped record is not even formatted.

    Args:
        descriptor: of the log.
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
        """Write one record, after a line that counts the dropped ones before it."""
        kind = str(record.msg)[:KIND_CHARACTERS]
        if self._within_rate(kind, int(record.created)) and self._write(self._dropped_line() + self.format(record)):
            self._dropped.clear()
        else:
            _count(self._dropped, kind)

    def _within_rate(self, kind: str, second: int) -> bool:
        if second != self._second:
            self._second = second
            self._lines.clear()
        return _count(self._lines, kind) <= LINES_PER_SECOND

    def _dropped_line(self) -> str:
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
            except OSError:  # its reader has gone
                return False
        return True


def _count(counts: dict[str, int], kind: str) -> int:
    """Count one more of a kind; return how many there are."""
    if kind not in counts and len(counts) >= MAX_KINDS:
        kind = OTHERS
    counts[kind] = number = counts.get(kind, 0) + 1
    return number


class LineFormatter(logging.Formatter):
    """Formats a record as the local time with its offset from UTC (ISO 8601), the level and the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Format the time in whole seconds, such as 2026-11-30T17:20:18+01:00."""
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
    # No line shows its caller, thread or process, so these need not be looked up.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
