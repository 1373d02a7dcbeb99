"""Listening sockets: accepting, refusing, and pausing while no descriptor is free."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from selectors import EVENT_READ
from typing import Any

from net.addresses import network_of
from net.connection import Connection, Receiver
from net.table import SHARE_IS_USED, CloseReason, ConnectionTable
from net.tcp import host_of

ACCEPTS_PER_TURN = 128
"""Connections that a listener accepts in one turn, so that the clients are served in between."""

ACCEPT_SECONDS = 0.002
"""Time limit for accepting in one turn."""

REFUSALS_PER_TURN = 16
"""Connections that a listener refuses in one turn. They take less than a millisecond, most of it for the log."""

ACCEPT_RETRY_SECONDS = 0.5
"""Pause after the system had no descriptor or memory for a new connection."""

BACKLOG = 4096
"""Connections that the kernel completes ahead of `accept`; it may allow fewer (net.core.somaxconn)."""

log = logging.getLogger("crosstalk.loop")


def bound_socket(address: str | None, port: int, *, listening: bool = True) -> socket.socket:
    """Bind a socket to an address, and listen.

    Args:
        address: `0.0.0.0` is all of IPv4, `::` all of IPv6 and no other, None all of both.
        port: 0 lets the system choose.
        listening: False only reserves the port; connections are refused until `listen` is called.

    Raises:
        OSError: the address or the port cannot be used.
    """
    is_dual = address is None and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual or ":" in (address or "") else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
        sock.bind((address or "", port))
        if listening:
            listen(sock)
    except OSError:
        sock.close()
        raise
    return sock


def listen(sock: socket.socket) -> None:
    """Have the kernel complete connections to a bound socket.

    Raises:
        OSError: another socket listens there.
    """
    sock.listen(BACKLOG)


class AcceptingSocket:
    """A listening socket in the loop. A subclass accepts its connections.

    Args:
        table: the connections enter it.
        sock: bound and listening; this object owns it from here on.
        accepted: called with each new connection, returns its owner.
    """

    def __init__(
        self,
        table: ConnectionTable[Connection],
        sock: socket.socket,
        accepted: Callable[[Connection], Receiver],
    ) -> None:
        self._table = table
        self._sock = sock
        self._accepted = accepted
        self._paused = False
        sock.setblocking(False)
        table.reactor.watch(sock, EVENT_READ, self)

    def __call__(self, _mask: int) -> None:
        """The socket is ready."""
        raise NotImplementedError

    @property
    def is_watched(self) -> bool:
        """Whether the socket accepts now. If not, an event for it is a stale one."""
        return not self._paused and self._sock.fileno() >= 0

    def close(self) -> None:
        """Stop accepting for good."""
        if not self._paused:
            self._table.reactor.unwatch(self._sock)
        self._sock.close()


class Listener(AcceptingSocket):
    """Accepts clients until it would block, a few in each turn; pauses while no descriptor is free.

    Args:
        table: the connections enter it, within its limits.
        sock: bound and listening; the listener owns it from here on.
        accepted: called with each new connection, returns its owner.
    """

    def __call__(self, _mask: int) -> None:
        if not self.is_watched:
            return
        refused = 0
        ends = self._table.reactor.monotonic() + ACCEPT_SECONDS
        for _ in range(ACCEPTS_PER_TURN):
            if len(self._table.connections) >= self._table.descriptor_ceiling:
                self._pause("every descriptor for clients is in use")
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:  # most likely out of descriptors or memory
                self._pause(error.strerror or str(error))
                self._table.reactor.call_later(ACCEPT_RETRY_SECONDS, self.resume)
                return
            refused += not self._admit(sock, host_of(address))
            if refused >= REFUSALS_PER_TURN or self._table.reactor.monotonic() >= ends:
                return

    def _admit(self, sock: socket.socket, host: str) -> bool:
        """Make a connection, or refuse it; return whether it was made."""
        address = "" if self._table.is_exempt(host) else network_of(host)
        refusal = self._refusal(host, address)
        if refusal is not None:
            self._table.closed[CloseReason.REFUSED] += 1
            reason, detail, *values = refusal
            self._table.limits.note(reason, host, detail, *values, connection=next(self._table.numbers))
            sock.close()
            return False
        connection = self._table.make(self._table, sock)
        self._table.arrivals.spend(host)
        if address:
            connection.count_for(address)
        connection.attach_owner(self._accepted)
        return True

    def _refusal(self, host: str, address: str) -> tuple[Any, ...] | None:
        """Return the reason, its detail and values for the log if no client, or not one more, may come from there."""
        if self._table.is_banned(host):
            return "ban", "(refused)"
        clients = self._table.clients
        if clients >= self._table.client_ceiling:
            return "max-clients", "(refused: %d clients are connected)", clients
        if reason := self._table.limit_for(address):
            neighbours = self._table.clients_at[address]
            return reason, SHARE_IS_USED, neighbours, address
        if not self._table.arrivals.allows(host):
            return "connection-rate", "(refused: %d connections in a minute)", self._table.arrivals.limit
        return None

    def _pause(self, why: str) -> None:
        log.warning("accept paused: %s (%d connections)", why, len(self._table.connections))
        self._paused = True
        self._table.reactor.unwatch(self._sock)

    def resume(self) -> None:
        """End a pause, if there is one: a descriptor has become free, or it is time to try again."""
        if self._paused and self._sock.fileno() >= 0:
            self._paused = False
            self._table.reactor.watch(self._sock, EVENT_READ, self)
