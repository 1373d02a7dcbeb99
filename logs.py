"""The operator's log: one line an event on standard error, which never makes the loop wait."""

from __future__ import annotations

import logging
import os
import select
import sys
import time

LONGEST = select.PIPE_BUF
"""Bytes that a pipe takes whole when it says that it can be written (POSIX)."""


class UnblockingHandler(logging.Handler):
    """Writes a record where that does not block, and drops it, counted, where it would.

    Whoever started the server may have stopped reading its standard error: a full pipe must not stop the chat.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._dropped = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = self.format(record)
        if self._dropped:
            text = f"({self._dropped} log lines were dropped: nobody read them)\n{text}"
        if any(events & select.POLLOUT for _descriptor, events in self._poll.poll(0)):
            data = text.encode(errors="backslashreplace")[: LONGEST - 1] + b"\n"
            try:
                os.write(self._descriptor, data)
            except OSError:
                self._dropped += 1  # nobody is there to read
            else:
                self._dropped = 0
        else:
            self._dropped += 1


def start_logging() -> None:
    """Send the log to standard error, a line each: time, level, message."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.localtime
    handler = UnblockingHandler(sys.stderr.fileno())
    handler.setFormatter(formatter)
    root = logging.getLogger("crosstalk")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    root.propagate = False
