"""Listeners for connections that are no clients: those of operators, and of what watches the server."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from selectors import EVENT_READ

from net.connection import Connection, Receiver
from net.table import CloseReason, ConnectionTable

PLACES = 8
"""Connections that such a listener has at once. RESERVED_DESCRIPTORS leaves room for them."""

log = logging.getLogger("crosstalk.loop")


class SideListener:
    """Accepts connections that are no clients, PLACES at once, also while clients are refused.

    Args:
        table: the connections enter it.
        sock: bound and listening; the listener owns it from here on.
        accepted: called with each new connection, returns its owner.
        refusal: what a connection gets that finds no place.
    """

    def __init__(
        self,
        table: ConnectionTable[Connection],
        sock: socket.socket,
        accepted: Callable[[Connection], Receiver],
        refusal: bytes = b"",
    ) -> None:
        self._table = table
        self._sock = sock
        self._accepted = accepted
        self._refusal = refusal
        self._open: set[Connection] = set()
        sock.setblocking(False)
        table.reactor.watch(sock, EVENT_READ, self)

    def __call__(self, _mask: int) -> None:
        if self._sock.fileno() < 0:  # a stale event
            return
        try:
            sock, _address = self._sock.accept()
        except OSError:  # it has gone again, or no descriptor is free
            return
        self._open &= self._table.connections
        if len(self._open) >= PLACES:
            self._table.closed[CloseReason.REFUSED] += 1
            log.warning("refused a connection for operators or monitoring: %d others are open there", len(self._open))
            with contextlib.suppress(OSError):  # it has gone again
                sock.setblocking(False)
                sock.send(self._refusal)
            sock.close()
            return
        connection = Connection(self._table, sock)  # whose output needs no lease of a cluster
        self._table.apart.add(connection)
        self._open.add(connection)
        connection.attach_owner(self._accepted)

    def close(self) -> None:
        """Stop accepting for good."""
        self._table.reactor.unwatch(self._sock)
        self._sock.close()
