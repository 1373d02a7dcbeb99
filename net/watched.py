"""A connected socket in the loop: its addresses, and the events for which it is watched."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from selectors import EVENT_READ
from typing import Any, Protocol

from net.table import ConnectionTable
from net.tcp import address_of
from net.timers import Deadline


class Truncated(ConnectionError):
    """The input has ended without TLS's own end, so the last of it may be missing."""


class Wire(Protocol):
    """What moves a connection's bytes: its socket, or `net.tls.TlsSocket` over that. It fails as a socket does."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes | bytearray | memoryview, /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...


class SecureSocket(Wire, Protocol):
    """The interface of `net.tls.TlsSocket`, for modules that do not load it.

    Attributes:
        sock: the connected socket.
        held: called when input waits here, which no event of the socket reports.
    """

    sock: socket.socket
    held: Callable[[], None]

    def settimeout(self, seconds: float, /) -> None: ...
    def close(self) -> None: ...


AnySocket = socket.socket | SecureSocket

READ_SIZE = 65536
"""Maximum bytes of input that one connection takes in each turn, so that no sender makes the others wait."""


class WatchedSocket:
    """The part of a connection that deals with its descriptor.

    Args:
        table: of all connections; this one enters it.
        sock: connected.

    Attributes:
        sock: the socket.
        number: of the connection, in the log: the first has 1.
    """

    __slots__ = ("_events", "_host", "_loop", "_table", "number", "sock")

    def __init__(self, table: ConnectionTable[Any], sock: socket.socket) -> None:
        sock.setblocking(False)
        # Nagle's algorithm would hold a message until the one before is acknowledged: up to 40 ms.
        with contextlib.suppress(OSError):  # not a TCP socket
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._table = table
        self._loop = table.reactor
        self.sock = sock
        self.number = next(table.numbers)
        self._host = ""
        self._events = 0
        self._want(EVENT_READ)
        table.connections[self] = None

    def __call__(self, mask: int) -> None:
        """The descriptor is ready, or was when the selector was asked."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the peer's address and port, for the log."""
        host, port = self.remote_address
        return f"{host} port {port}" if host else "a client"

    @property
    def remote_address(self) -> tuple[str, int]:
        """The peer's IP address and port. The port is 0 when it is gone, and the address "" if nobody asked before, or
        this is no TCP connection."""
        host, port = address_of(self.sock.getpeername)
        if not self._host:
            self._note_host(host)
        return self._host, port

    def _note_host(self, host: str) -> None:
        """Keep the peer's IP address, in one string for all connections from there."""
        self._host = sys.intern(host)

    @property
    def local_address(self) -> tuple[str, int]:
        """Our IP address and port, as the peer sees them; "" and 0 as for `remote_address`."""
        return address_of(self.sock.getsockname)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run `call` in the loop's next turn."""
        self._loop.call_soon(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Run `call` once, after these seconds on the monotonic clock."""
        return self._loop.call_later(seconds, call)

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        """Count and log that the peer has reached a limit, see `LimitLog.note`."""
        self._table.limits.note(reason, self.remote_address[0], detail, *values, connection=self.number)

    def log_mark(self) -> dict[str, int]:
        """Return what marks a record of the log as one of this connection: the argument `extra`."""
        return {"connection": self.number}

    def _want(self, events: int) -> None:
        """Watch the socket for these events, and no others."""
        if events == self._events:
            return
        if not self._events:
            self._loop.watch(self.sock, events, self)
            self._table.unwatched.pop(self, None)
        elif not events:
            self._loop.unwatch(self.sock)
            self._table.unwatched[self] = None
            self._table.check_later()
        else:
            self._loop.watch_for(self.sock, events, self)
        self._events = events

    def _release(self) -> None:
        """Close the descriptor."""
        if self._events:
            self._loop.unwatch(self.sock)
        self.sock.close()
