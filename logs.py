"""The operator's log: one line an event on standard error, which never makes the loop wait."""

from __future__ import annotations

import logging
import os
import select
import time

LONGEST = select.PIPE_BUF
"""Bytes that a pipe takes whole when it says that it can be written (POSIX)."""

LINES_PER_SECOND = 50

STDERR = 2


def unblocked(descriptor: int) -> int:
    """Give a descriptor for the same terminal that takes what fits and never waits; any other one is given as it is.

    A pipe that can be written takes LONGEST bytes, but a terminal perhaps one. Making the descriptor itself
    non-blocking would make it so for the shell, too, and whoever else has the terminal.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # no terminal, or not ours to open
        return descriptor


class UnblockingHandler(logging.Handler):
    """Writes a record where that does not block, and drops it, counted, where it would.

    Whoever started the server may have stopped reading its standard error: a full pipe must not stop the chat. Nor may
    anyone who provokes warnings fill a disk with them: what goes beyond LINES_PER_SECOND is dropped and counted, too.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor = unblocked(descriptor)
        self._dropped = 0
        self._second = 0
        self._lines = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = self.format(record)
        if self._dropped:
            text = f"({self._dropped} log lines before this one were dropped)\n{text}"
        if self._within_rate(int(record.created)) and self._write(text):
            self._dropped = 0
        else:
            self._dropped += 1

    def _within_rate(self, second: int) -> bool:
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= LINES_PER_SECOND

    def _write(self, text: str) -> bool:
        data = f"{text}\n".encode(errors="backslashreplace")
        for start in range(0, len(data), LONGEST):
            if not any(events & select.POLLOUT for _descriptor, events in self._poll.poll(0)):
                return False
            try:
                os.write(self._descriptor, data[start : start + LONGEST])
            except OSError:  # nobody is there to read
                return False
        return True


def start_logging() -> None:
    """Send the log to standard error, a line each: time, level, message."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.localtime
    handler = UnblockingHandler(STDERR)
    handler.setFormatter(formatter)
    root = logging.getLogger("crosstalk")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    root.propagate = False
