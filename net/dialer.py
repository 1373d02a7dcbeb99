"""Outgoing connections without waiting: names are looked up in threads, addresses are tried one after the other."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from selectors import EVENT_WRITE
from typing import Any

from net.connection import Connection, Receiver
from net.pool import Pool, PoolFull
from net.table import ConnectionTable
from net.tcp import enable_keepalive, is_self_connection, resolve

CONNECTING = (0, errno.EINPROGRESS, errno.EINTR)
"""Results of connect_ex after which the selector reports the end of the attempt."""

LOOK_UP_THREADS = 2
"""Few: all look-ups wait for the same name server when it does not answer."""

LOOK_UP_QUEUE = 64
"""Look-ups that may run or wait at once. An abandoned one counts until its thread returns."""


class Dialer:
    """What the dials of a loop share: the threads that look names up, and the set of those under way.

    The threads are not those for other slow work, since a dead name server holds a thread for minutes.

    Args:
        table: the connections enter it.
    """

    def __init__(self, table: ConnectionTable[Connection]) -> None:
        self.table = table
        self.reactor = table.reactor
        self.look_ups = Pool("crosstalk-names", LOOK_UP_THREADS, LOOK_UP_QUEUE, table.reactor.call_threadsafe)
        self.dials: set[Dial] = set()

    def cancel_all(self) -> None:
        """Cancel the dials under way. Calls neither of their callbacks."""
        while self.dials:
            self.dials.pop().cancel()


class Dial:
    """An attempt to connect to a host: its addresses are tried one after the other. See `net.loop.Loop.dial`.

    The connection is not a client: it is never refused and does not count for `max_clients`. Listeners do count its
    descriptor. Where clients have reached the descriptor ceiling it takes one of RESERVED_DESCRIPTORS, of which a
    server that dials a few others has enough.
    """

    def __init__(
        self,
        dialer: Dialer,
        host: str,
        port: int,
        *,
        source: str | None,
        seconds: float,
        connected: Callable[[Connection], Receiver],
        failed: Callable[[str], None],
    ) -> None:
        self._dialer = dialer
        self._loop = loop = dialer.reactor
        self._host = host
        self._port = port
        self._source = source
        self._source_address: Any = None
        self._connected = connected
        self._failed = failed
        self._is_over = False
        self._addresses: deque[tuple[int, Any]] = deque()
        self._sock: socket.socket | None = None
        self._reason = "no address of the family of the source"
        self._ends = loop.monotonic() + seconds
        self._deadline = loop.call_later(seconds, self._timed_out)

    def begin(self) -> None:
        """Resolve the host, without a thread if it is an IP address."""
        if self._is_over:
            return
        try:
            addresses = resolve(self._host, self._port, numeric=True)
        except (OSError, ValueError):
            self._look_up()
        else:
            self._found(addresses)

    @property
    def share(self) -> float:
        """Seconds that this address has: an equal share of what remains, so that a silent one leaves some to others."""
        return max(0.0, self._ends - self._loop.monotonic()) / (len(self._addresses) + 1)

    def go_on(self, reason: str) -> None:
        """Try the next address: the connection that was made has turned out to be of no use.

        Args:
            reason: why, in a few words; `failed` gets it if no address is left.
        """
        if not self._dialer.table.draining:
            self._is_over = False
            self._dialer.dials.add(self)
            self._try_next(reason)

    def cancel(self) -> None:
        """Cancel. Calls neither callback."""
        self._is_over = True
        self._dialer.dials.discard(self)
        self._loop.cancel(self._deadline)
        self._close_socket()

    def _look_up(self) -> None:
        def work() -> list[tuple[int, Any]]:
            return [] if self._is_over else resolve(self._host, self._port)

        try:
            self._dialer.look_ups.submit(work, self._looked_up)
        except PoolFull:
            self._fail("too many names are being looked up")
        except RuntimeError as error:  # the system starts no more threads
            self._fail(str(error))

    def _looked_up(self, addresses: list[tuple[int, Any]] | None, error: BaseException | None) -> None:
        if self._is_over:
            return
        if error is None:
            self._found(addresses or [])
        elif isinstance(error, UnicodeError):
            self._fail("not a host name")
        else:
            self._fail(_reason(error))

    def _found(self, addresses: list[tuple[int, Any]]) -> None:
        if self._source is not None:
            try:
                family, self._source_address = resolve(self._source, 0, numeric=True)[0]
            except (OSError, ValueError):
                self._fail("the source is not an IP address")
                return
            addresses = [address for address in addresses if address[0] == family]
        self._addresses.extend(addresses)
        self._connect_next()

    def _connect_next(self) -> None:
        """Begin to connect to the next address that the system accepts; fail when none is left."""
        while self._addresses:
            family, address = self._addresses.popleft()
            try:
                self._try(family, address)
                return
            except OSError as error:
                self._reason = _reason(error)
                self._close_socket()
        self._fail(self._reason)

    def _try(self, family: int, address: Any) -> None:
        """Begin to connect.

        Raises:
            OSError: the system refuses.
        """
        self._sock = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if self._dialer.table.keepalive_seconds:
            enable_keepalive(sock, self._dialer.table.keepalive_seconds)
        if self._source_address is not None:
            sock.bind(self._source_address)
        error = sock.connect_ex(address)
        if error not in CONNECTING:
            raise _system_error(error)
        self._loop.watch(sock, EVENT_WRITE, partial(self._attempt_ended, sock))
        self._loop.cancel(self._deadline)
        self._deadline = self._loop.call_later(self.share, self._timed_out)

    def _attempt_ended(self, sock: socket.socket, _mask: int) -> None:
        """The attempt with one address has ended."""
        if sock is not self._sock:  # a stale event
            return
        try:
            connection = self._establish(sock)
        except OSError as error:
            self._try_next(_reason(error))
            return
        self._sock = None
        self.cancel()
        self._dialer.table.non_clients.add(connection)
        connection.attach_owner(self._connected)

    def _establish(self, sock: socket.socket) -> Connection:
        """Make the connection.

        Raises:
            OSError: the attempt has failed.
        """
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise _system_error(error)
        if is_self_connection(sock):
            raise _system_error(errno.ECONNREFUSED)
        self._loop.unwatch(sock)
        return self._dialer.table.make(self._dialer.table, sock)

    def _timed_out(self) -> None:
        self._try_next("timed out")

    def _try_next(self, reason: str) -> None:
        """Go on with the next address after this one, or the look-up, has failed."""
        self._reason = reason
        self._close_socket()
        self._connect_next()

    def _fail(self, reason: str) -> None:
        self.cancel()
        self._failed(reason)

    def _close_socket(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(KeyError):  # not watched yet
                self._loop.unwatch(sock)
            sock.close()


def _system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _reason(error: BaseException) -> str:
    """Return the text of an error, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
