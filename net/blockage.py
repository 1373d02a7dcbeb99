"""Output that the kernel does not take: how long that lasts, and the time-out of a peer that takes nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from net.table import ConnectionTable
from net.tcp import bytes_in_kernel

FRESH_SECONDS = 0.25
"""A peer that has read nothing for this long is stalled, not merely behind."""


class Blockage:
    """Output that waits because the kernel does not take it. A connection has one only as long as that is so.

    Args:
        table: of the connection; says for how many seconds a peer may take nothing.
        sock: of the connection.
        stalled: called once, when the peer has taken nothing for so long.
    """

    __slots__ = ("_deadline", "_in_kernel", "_progress", "_sock", "_stalled", "_table")

    def __init__(self, table: ConnectionTable[Any], sock: socket.socket, stalled: Callable[[], None]) -> None:
        self._table = table
        self._sock = sock
        self._stalled = stalled
        self._deadline = table.reactor.call_later(table.stall_seconds, self._check)
        self.note_progress()

    def note_progress(self) -> None:
        """Note that output has left just now."""
        self._progress = time.monotonic()
        self._in_kernel = bytes_in_kernel(self._sock)

    @property
    def is_fresh(self) -> bool:
        """Whether output has left a moment ago: the peer reads, though slowly."""
        return self._idle_seconds < FRESH_SECONDS

    def end(self) -> None:
        """The output has left, or never will: end the time-out."""
        self._table.reactor.cancel(self._deadline)

    @property
    def _idle_seconds(self) -> float:
        """Seconds since output has left."""
        return time.monotonic() - self._progress

    def _check(self) -> None:
        if bytes_in_kernel(self._sock) < self._in_kernel:  # a socket is writable again only when much has left
            self.note_progress()
        rest = self._table.stall_seconds - self._idle_seconds
        if rest > 0:
            self._deadline = self._table.reactor.call_later(rest, self._check)
        else:
            self._stalled()
