"""The table of a loop's connections: their limits, their shared buffers, and why they ended."""

from __future__ import annotations

import enum
import itertools
import math
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from net.fanout import Fanout
from net.limits import LimitLog
from net.rate_limits import AddressRateLimit
from net.reactor import Reactor
from net.tcp import descriptor_ceiling

HIGH_WATER = 256 * 1024
"""Pending bytes above which a connection is `congested`: its owner should produce no more output for now. Less where
the output limit is small."""

STALL_SECONDS = 30.0
"""Seconds that output may wait while the peer takes none of it."""

MINUTE = 60.0

SHARE_IS_USED = "(refused: %d clients are connected from %s)"
"""Says in the log that an address has its share of connections."""

CHECK_SECONDS = 1.0
"""Interval of the checks for connections whose end no event reports."""


class CloseReason(enum.Enum):
    """Why a connection ended; the table counts each in `ConnectionTable.closed`."""

    PEER = "closed by the peer"
    LOST = "connection lost"
    GOODBYE = "closed after a goodbye"
    SERVED = "its request was answered"
    REFUSED = "refused"
    HANDSHAKE = "the TLS handshake has failed"
    SILENT = "said nothing after it had connected"
    SLOW_READER = "reads too slowly"
    FULLEST = "its buffers were the fullest when all together were too full"
    FAULT = "error in the server"
    SHUTDOWN = "server stops"


class OutputLimit(NamedTuple):
    """Maximum bytes that wait for a connection, and the name of the setting, for the log."""

    size: int
    setting: str


class TableConnection(Protocol):
    """What the table asks of a connection."""

    @property
    def has_output(self) -> bool: ...
    def close(self, reason: CloseReason) -> None: ...
    def abort_linger(self) -> None: ...
    def check_for_reset(self) -> None: ...
    def check_for_silence(self, seconds: float) -> None: ...
    def report_limit(self, reason: str, detail: str = "", *values: object) -> None: ...


M = TypeVar("M", bound=TableConnection)


class Buffers(Generic[M]):
    """Counts what waits in all connections: output that a peer has not taken, and input that has not been handled.

    Bytes that arrive and leave within a turn are not counted, so a message costs nothing here.

    Attributes:
        bound: maximum bytes in total; beyond it the connection with the most is closed (C20).
    """

    def __init__(self) -> None:
        self.bound = math.inf
        self._inputs: dict[M, int] = {}
        self._sizes: dict[M, int] = {}
        """What waits in all, by connection. Input is counted in it, and once more by itself."""
        self.total = 0

    def count_input(self, connection: M, size: int) -> None:
        """Note how much input of a connection waits now, and close the fullest while the total is above the bound."""
        output = self._sizes.get(connection, 0) - self._inputs.pop(connection, 0)
        if size:
            self._inputs[connection] = size
        self.count_output(connection, output)

    def count_output(self, connection: M, output: int) -> None:
        """Note how much output waits for a connection now, as `count_input`."""
        size = output + self._inputs.get(connection, 0)
        self.total += size - self._sizes.pop(connection, 0)
        if size:
            self._sizes[connection] = size
        while self.total > self.bound:
            fullest = max(self._sizes, key=self._sizes.__getitem__)
            size = self._sizes.pop(fullest)
            self._inputs.pop(fullest, None)
            self.total -= size
            fullest.report_limit("max-buffers", "(%d bytes wait, the most of all, and all is full)", size)
            fullest.close(CloseReason.FULLEST)

    def forget(self, connection: M) -> None:
        """Nothing waits for a connection any more."""
        self._inputs.pop(connection, None)
        self.total -= self._sizes.pop(connection, 0)


def _never_banned(_address: str) -> bool:
    return False


class ConnectionTable(Generic[M]):
    """The connections of a loop, accepted and dialled. `net.loop.Loop` describes the parameters.

    Some connections are not clients: those that were dialled, and those of operators and monitoring. They count for the
    descriptor ceiling alone.

    Attributes:
        make: makes a connection of a connected socket.
        received: bytes that were received on all connections.
        sent: bytes that the kernel has taken from all of them.
        limits: counts and logs what reaches a limit.
        is_banned: tells whether no connection from an address is accepted.
        numbers: gives each connection its number.
        fanout: of the audiences of these connections.
    """

    def __init__(
        self,
        reactor: Reactor,
        make: Callable[[ConnectionTable[M], socket.socket], M],
        *,
        max_clients: int | None,
        address_share: int,
        address_connections: int,
        connection_rate: int,
        is_exempt: Callable[[str], bool],
        max_out_buffer: int,
        max_buffers: int | None,
        stall_seconds: float,
        keepalive_seconds: int,
        login_seconds: int,
    ) -> None:
        self.reactor = reactor
        self.make = make
        self.limits = LimitLog()
        self.numbers = itertools.count(1)
        self.keepalive_seconds = keepalive_seconds
        self.draining = False
        self.received = self.sent = 0
        self.connections: dict[M, None] = {}  # takes half the memory of a set
        self.non_clients: set[M] = set()
        """Connections that are not clients."""
        self.probed: set[M] = set()
        """Connections whose peers are being probed (R50)."""
        self.unwatched: dict[M, None] = {}
        """Connections that are watched for no event, oldest first: only a check finds out that one was reset."""
        self.clients_at: Counter[str] = Counter()
        self.closed: Counter[CloseReason] = Counter()
        self.buffers = Buffers[M]()
        self.fanout = Fanout(reactor)
        self.descriptor_ceiling = descriptor_ceiling()
        self.is_exempt = is_exempt
        self.is_banned: Callable[[str], bool] = _never_banned
        self.arrivals = AddressRateLimit(reactor.monotonic, connection_rate, MINUTE, is_exempt)
        """How many connections an address may make in a minute (C60)."""
        self.set_limits(
            max_clients=max_clients,
            address_share=address_share,
            address_connections=address_connections,
            connection_rate=connection_rate,
            max_out_buffer=max_out_buffer,
            max_buffers=max_buffers,
            stall_seconds=stall_seconds,
            login_seconds=login_seconds,
        )
        self._to_check: Iterator[M] = iter(())
        self._checking = False

    def set_limits(
        self,
        *,
        max_clients: int | None,
        address_share: int,
        address_connections: int,
        connection_rate: int,
        max_out_buffer: int,
        max_buffers: int | None,
        stall_seconds: float,
        login_seconds: int,
    ) -> None:
        """Set the limits. Connections that are open stay so, and keep the limit of their output buffer."""
        self.output_limit = OutputLimit(max_out_buffer, "max-out-buffer")
        self.fanout.high_water = self.high_water = min(HIGH_WATER, max_out_buffer // 4)
        self.stall_seconds = stall_seconds
        self.login_seconds = login_seconds
        self.buffers.bound = max_buffers or math.inf
        self._max_clients = max_clients
        self._address_share = address_share
        self._address_connections = address_connections
        self.arrivals.limit = connection_rate

    @property
    def client_ceiling(self) -> int:
        """Clients that may be connected at once: the setting, or what the descriptor limit leaves."""
        return min(self.descriptor_ceiling, self._max_clients or self.descriptor_ceiling)

    @property
    def address_ceiling(self) -> int:
        """Clients that may be connected from one address at once (C19)."""
        return max(1, self.client_ceiling * self._address_share // 100)

    @property
    def clients(self) -> int:
        """Connections that are clients."""
        return len(self.connections) - len(self.non_clients)

    def limit_for(self, address: str) -> str:
        """Return the setting that keeps one more client from this address out; "" if none does (C19).

        Args:
            address: as `addresses.network_of` gives it; "" has no limit.
        """
        if not address or self.clients_at[address] < min(self.address_ceiling, self._address_connections):
            return ""
        return "max-address-share" if self.clients_at[address] >= self.address_ceiling else "max-address-connections"

    def uncount(self, address: str) -> None:
        """Count one client less from an address; "" is never counted."""
        if address:
            self.clients_at[address] -= 1
            if not self.clients_at[address]:
                del self.clients_at[address]

    def remove(self, connection: M, reason: CloseReason, address: str) -> None:
        """Forget a connection that has ended.

        Args:
            connection: the connection.
            reason: why it has ended.
            address: for which it was counted; "" if for none.
        """
        self.connections.pop(connection, None)
        self.fanout.apart.pop(connection, None)
        self.non_clients.discard(connection)
        self.unwatched.pop(connection, None)
        self.probed.discard(connection)
        self.buffers.forget(connection)
        self.closed[reason] += 1
        self.uncount(address)

    def drain(self) -> None:
        """Stop lingering: from now on no connection waits for its peer to close."""
        self.draining = True
        for connection in list(self.connections):
            connection.abort_linger()

    def close_slow_readers(self) -> None:
        """Close all connections with pending output: replies to others may wait for them."""
        for connection in list(self.connections):
            if connection.has_output:
                connection.close(CloseReason.SHUTDOWN)

    # ---- ends that no event reports ----

    def check_later(self) -> None:
        """Schedule a check for peers that have reset an unwatched connection, or whose machine has vanished."""
        if not self._checking:
            self._checking = True
            self.reactor.call_later(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        self._checking = False
        for connection in list(self.unwatched):
            connection.check_for_reset()
        if self.keepalive_seconds:
            for connection in self._next_to_check(1 + len(self.connections) // self.keepalive_seconds):
                connection.check_for_silence(self.keepalive_seconds)
        if self.unwatched or (self.keepalive_seconds and self.connections):
            self.check_later()

    def _next_to_check(self, count: int) -> list[M]:
        """Return some of the connections; each has its turn about once in the keepalive's time."""
        chosen = list(itertools.islice(self._to_check, count))
        if len(chosen) < count:
            self._to_check = iter(list(self.connections))
        return chosen
