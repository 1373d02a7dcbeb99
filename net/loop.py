"""The event loop of a program: a reactor whose sockets are connections. Knows nothing of chat.

Nothing here waits for another machine: `dial` connects without blocking, and looks names up in a thread.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterable, KeysView, Sequence

from net.addresses import is_loopback
from net.admin_listener import AdminListener
from net.connection import Connection, Receiver
from net.dialer import Dial, Dialer
from net.fanout import Audience
from net.listener import Listener
from net.output import flush_all
from net.reactor import Reactor
from net.table import STALL_SECONDS, CloseReason, ConnectionTable
from net.tcp import enable_keepalive
from net.watched import AnySocket

MANY = 1 << 30
"""More connections than any machine has: no limit."""

DRAIN_GRACE_SECONDS = 0.5
"""Extra time at shutdown for replies that waited for a slow reader, after the slow readers have been closed."""


class Loop(Reactor):
    """One selector, one thread. Not thread-safe, except for `call_threadsafe`.

    Args:
        max_clients: connections that may be open at once; more are refused. None: as many as descriptors allow.
        max_out_buffer: bytes that may wait for one connection before it is closed as a slow reader.
        stall_seconds: a peer that takes none of its pending output for this long is also closed as a slow reader.
        keepalive_seconds: a connection whose peer's machine is silent for about this long is lost; 0: never.
        login_seconds: time-out for a client's first line (C18); 0: none. Exempt addresses have none.
        address_share: percentage of the clients that may come from one address (C19).
        address_connections: clients that may come from one address (C19).
        connection_rate: clients that may come from one address in a minute (C60).
        is_exempt: whether the limits of addresses do not hold for an address.
        max_buffers: bytes that may wait in all connections together (C20). None: no limit.
        pool_threads: threads for slow work, apart from those that look names up.
        pool_queue: maximum of slow jobs that wait or run.
        connection: the class of all connections.
    """

    def __init__(
        self,
        *,
        max_clients: int | None = None,
        max_out_buffer: int = 1024 * 1024,
        stall_seconds: float = STALL_SECONDS,
        keepalive_seconds: int = 0,
        login_seconds: int = 0,
        address_share: int = 100,
        address_connections: int = MANY,
        connection_rate: int = MANY,
        is_exempt: Callable[[str], bool] = is_loopback,
        max_buffers: int | None = None,
        pool_threads: int = 2,
        pool_queue: int = 512,
        connection: type[Connection] = Connection,
    ) -> None:
        super().__init__(pool_threads=pool_threads, pool_queue=pool_queue)
        self.table = ConnectionTable[Connection](
            self,
            connection,
            max_clients=max_clients,
            address_share=address_share,
            address_connections=address_connections,
            connection_rate=connection_rate,
            is_exempt=is_exempt,
            max_out_buffer=max_out_buffer,
            max_buffers=max_buffers,
            stall_seconds=stall_seconds,
            keepalive_seconds=keepalive_seconds,
            login_seconds=login_seconds,
        )
        self._listeners: list[Listener] = []
        self._admin_listeners: list[AdminListener] = []
        self._dialer = Dialer(self.table)

    @property
    def connections(self) -> KeysView[Connection]:
        """All open connections, accepted or dialled, the oldest first."""
        return self.table.connections.keys()

    @property
    def closed(self) -> Counter[CloseReason]:
        """Number of connections that have ended, by reason."""
        return self.table.closed

    @property
    def client_ceiling(self) -> int:
        """Clients that may be connected at once."""
        return self.table.client_ceiling

    def listen(self, sock: socket.socket, accepted: Callable[[Connection], Receiver]) -> None:
        """Accept connections on a listening socket.

        Args:
            sock: bound and listening; the loop owns it from here on.
            accepted: called with each new connection, returns its owner.
        """
        if self.table.keepalive_seconds:
            enable_keepalive(sock, self.table.keepalive_seconds)  # an accepted socket inherits it
        self._listeners.append(Listener(self.table, sock, accepted))

    def listen_admin(
        self, sock: socket.socket, accepted: Callable[[Connection], Receiver], refusal: bytes = b""
    ) -> None:
        """Accept connections of operators or monitoring, see `net.admin_listener.AdminListener`."""
        self._admin_listeners.append(AdminListener(self.table, sock, accepted, refusal))

    def dial(
        self,
        host: str,
        port: int,
        *,
        source: str | None,
        seconds: float,
        connected: Callable[[Connection], Receiver],
        failed: Callable[[str], None],
    ) -> Dial:
        """Connect to the first address of a host that accepts, in the background.

        Calls exactly one of `connected` and `failed`, later. Calls neither if the loop drains or closes first: both
        cancel pending dials.

        Args:
            host: a name or an IP address.
            port: 1 to 65535.
            source: the local IP address, which also selects the address family; None: as the system chooses.
            seconds: time-out for all of it, the look-up included.
            connected: called with the connection, returns its owner.
            failed: called with the reason in a few words, for a log.

        Returns:
            The attempt. `connected` may have it go on with the next address.
        """
        dial = Dial(self._dialer, host, port, source=source, seconds=seconds, connected=connected, failed=failed)
        if self.table.draining:
            dial.cancel()
        else:
            self._dialer.dials.add(dial)
            self.call_soon(dial.begin)
        return dial

    def connect(self, sock: AnySocket, owner: Receiver) -> Connection:
        """Take over a connected socket, perhaps with TLS, as a connection with this owner."""
        if isinstance(sock, socket.socket):
            connection = self.table.make(self.table, sock)
        else:
            connection = self.table.make(self.table, sock.sock)
            connection.secure(sock)
            sock.held = connection.receive_soon
            connection.receive_soon()
        connection.owner = owner
        return connection

    @property
    def working(self) -> bool:
        """True while work in threads has not come back, look-ups included."""
        return super().working or self._dialer.look_ups.working

    def stop_listening(self) -> None:
        """Close every listener."""
        while listeners := self._listeners or self._admin_listeners:
            listeners.pop().close()

    def drain(self, seconds: float) -> None:
        """Accept no more, and stop when the last connection has ended or after a time-out.

        Args:
            seconds: the time-out. Then slow readers are closed, and the others have DRAIN_GRACE_SECONDS more.
        """
        self.stop_listening()
        self.table.drain()
        self._dialer.cancel_all()
        if self.connections:
            self.call_later(seconds, self.table.close_slow_readers)
            self.call_later(seconds + DRAIN_GRACE_SECONDS, self.stop)
        else:
            self.call_later(0, self.stop)

    def close(self) -> None:
        """Release every descriptor. Drops pending output, and does not wait for work in threads."""
        self.stop_listening()
        for connection in list(self.connections):
            connection.close(CloseReason.SHUTDOWN)
        while self._dying:
            self._free_closed(len(self._dying))
        self._dialer.cancel_all()  # after the owners of lost connections have dialled again
        self._dialer.look_ups.close()
        super().close()

    def audience(self, connections: Iterable[Connection]) -> Audience:
        """Return these connections as one to which the same bytes can be sent."""
        return Audience(self.table.fanout, connections)

    def _flush_all(self, rows: Sequence[Audience], waiting: Sequence[Connection]) -> None:
        in_rows = self.table.fanout.flush(rows) if rows else 0
        in_rows += flush_all(waiting)
        self.table.sent += in_rows  # only now: the others are counted meanwhile

    def _freed(self) -> None:
        for listener in self._listeners:
            listener.resume()
        if self.table.draining and not self.connections:
            self.stop()
