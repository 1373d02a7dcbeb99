"""Listeners for administration: connections of operators and of monitoring, which are not clients."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable

from net.connection import Connection, Receiver
from net.listener import AcceptingSocket
from net.table import CloseReason, ConnectionTable

MAX_OPEN = 8
"""Connections that such a listener has at once. RESERVED_DESCRIPTORS leaves room for them."""

log = logging.getLogger("crosstalk.loop")


class AdminListener(AcceptingSocket):
    """Accepts connections that are not clients, MAX_OPEN at once, also while clients are refused.

    Args:
        table: the connections enter it.
        sock: bound and listening; the listener owns it from here on.
        accepted: called with each new connection, returns its owner.
        refusal: sent to a connection that is refused because MAX_OPEN others are open.
    """

    def __init__(
        self,
        table: ConnectionTable[Connection],
        sock: socket.socket,
        accepted: Callable[[Connection], Receiver],
        refusal: bytes = b"",
    ) -> None:
        super().__init__(table, sock, accepted)
        self._refusal = refusal
        self._open: set[Connection] = set()

    def __call__(self, _mask: int) -> None:
        if not self.is_watched:
            return
        try:
            sock, _address = self._sock.accept()
        except OSError:  # the peer has gone, or no descriptor is free
            return
        self._open &= self._table.connections.keys()
        if len(self._open) >= MAX_OPEN:
            self._table.closed[CloseReason.REFUSED] += 1
            log.warning("refused a connection for operators or monitoring: %d others are open there", len(self._open))
            with contextlib.suppress(OSError):  # the peer has gone
                sock.setblocking(False)
                sock.send(self._refusal)
            sock.close()
            return
        connection = Connection(self._table, sock)  # of the plain class: its output needs no lease
        self._table.non_clients.add(connection)
        self._open.add(connection)
        connection.attach_owner(self._accepted)
