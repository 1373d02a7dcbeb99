"""The descriptors of the operator's console: standard input, and standard output.

Nothing here makes the loop wait. A daemon thread reads the input until its end. Output that nobody reads waits in a
bounded buffer; what exceeds that is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import Any

from app.logs import MAX_PIPE_WRITE, nonblocking_copy
from net.descriptors import read_some
from text import LineBuffer, Overlong

log = logging.getLogger("crosstalk.console")

MAX_WAITING = 1024 * 1024
"""Bytes in the output buffer beyond which further lines are dropped."""

PIECE_SIZE = 4096
PIECE_SECONDS = 0.1
"""Bytes that are read at once, and the pause after a full piece. Nobody types so much, but /dev/zero never ends."""

RETRY_SECONDS = 0.1
"""Pause before the next try to write what standard output has not taken."""

FOREGROUND_SECONDS = 1.0
"""Pause before the next try to read from a terminal while the server is in its background."""


class Printer:
    """Writes lines to a descriptor whose reader may be slow, or gone.

    Args:
        descriptor: of the output.
        call_later: makes a call after so many seconds.
    """

    def __init__(self, descriptor: int, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._descriptor = descriptor = nonblocking_copy(descriptor)
        self._call_later = call_later
        self._waiting = bytearray()
        self._dropped = 0
        self._retrying = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, data: bytes) -> None:
        """Queue whole lines for `flush`."""
        if len(self._waiting) > MAX_WAITING:
            self._dropped += 1
            if self._dropped == 1:
                log.warning("standard output is not read; lines of the chat's log are dropped")
        else:
            self._waiting += data

    @property
    def has_output(self) -> bool:
        """Whether lines wait for `flush`."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Write what the descriptor takes now; the rest is retried after RETRY_SECONDS."""
        while self._waiting and self._is_writable():
            try:
                written = os.write(self._descriptor, self._waiting[:MAX_PIPE_WRITE])
            except BlockingIOError:
                break
            except OSError:  # its reader has gone
                self._waiting.clear()
                return
            del self._waiting[:written]
        if self._waiting:
            self._retry()
        elif self._dropped:
            log.warning("%d lines of the chat's log were dropped", self._dropped)
            self._dropped = 0

    def drain(self, seconds: float) -> None:
        """Wait until all is written, at most for this many seconds."""
        until = time.monotonic() + seconds
        self.flush()
        while self._waiting and time.monotonic() < until:
            self._poll.poll(1000 * RETRY_SECONDS)
            self.flush()

    def _retry(self) -> None:
        if not self._retrying:
            self._retrying = True
            self._call_later(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retrying = False
        self.flush()

    def _is_writable(self) -> bool:
        return any(events for _descriptor, events in self._poll.poll(0))


class ConsoleTransport:
    """The console as the transport of a session. It never congests: the printer drops what nobody reads.

    Args:
        printer: takes what is sent.
        call_soon, call_later: make a call in the loop.
    """

    congested = must_yield = is_behind = False
    framing = None
    remote_address = local_address = ("", 0)

    def __init__(
        self,
        printer: Printer,
        call_soon: Callable[[Callable[[], None]], None],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self.send = printer.write
        self.call_soon = call_soon
        self.call_later = call_later
        self.output = self

    def send_with_receipt(self, data: bytes, done: Callable[[bool], None]) -> None:
        self.send(data)
        self.call_soon(lambda: done(True))

    def stream(self, chunks: Iterator[bytes]) -> None:
        for chunk in chunks:
            self.send(chunk)

    def ignore(self, *_args: object) -> None:
        """Do nothing: there is no connection to close, probe, pause or count."""

    def log_mark(self) -> dict[str, int]:
        """Return what marks a record of the log as one of a connection: nothing."""
        return {}

    note_first_line = count_input = set_output_limit = finish = refuse = probe = report_limit = ignore
    pause_reading = resume_reading = hold_login_timeout = resume_login_timeout = ignore


def read_lines(descriptor: int, take: Callable[[str], None]) -> None:
    """Read lines until the end of the input; blocks, so it needs a thread of its own. Over-long lines are skipped.

    Args:
        descriptor: of the input. An endless one is read at PIECE_SIZE bytes in PIECE_SECONDS.
        take: called with each line, without its newline; may block.
    """
    lines = LineBuffer()
    while data := _read(descriptor):
        lines.feed(data)
        while (line := lines.next()) is not None:
            if not isinstance(line, Overlong):
                take(line.decode(errors="replace"))
        if len(data) == PIECE_SIZE:
            time.sleep(PIECE_SECONDS)
    if len(lines):
        lines.feed(b"\n")
        line = lines.next()
        if isinstance(line, bytes):
            take(line.decode(errors="replace"))


def _read(descriptor: int) -> bytes:
    """Wait for input and return it; b"" at its end, or if it cannot be read."""
    while True:
        try:
            return read_some(descriptor, PIECE_SIZE)
        except OSError:
            if not os.isatty(descriptor):
                return b""
            time.sleep(FOREGROUND_SECONDS)  # another program is in the foreground of the terminal
