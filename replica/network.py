"""Sockets to engines: in a loop's turn as any other descriptor, and polled alone while an entry is undecided."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, NamedTuple, Protocol

from net.addresses import join_host_port
from net.reactor import Reactor
from net.watched import Wire

if TYPE_CHECKING:
    import ssl

    from net.tls import TlsEnd

BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

READ_SIZE = 64 * 1024
"""Maximum bytes that are read at once. For much more the allocator asks the system for memory at each read."""


class Address(NamedTuple):
    """An engine's IP address and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


class Pipe(Protocol):
    """One connection to an engine. Nothing here waits, except `wait`."""

    def send(self, data: bytes | bytearray) -> int:
        """Send as much as the connection takes now, and tell how much that was. Raises OSError when it is broken."""

    def receive(self) -> bytes | None:
        """Return what has arrived; None for nothing, b"" for the end. Raises OSError when it is broken."""

    def secure(self) -> None:
        """Encrypt from here on, if the engine proves its address: its certificate bears it.

        Raises:
            OSError: the connection is broken.
        """

    def want_to_send(self, wanted: bool) -> None:
        """Also report when more can be sent."""

    def wait(self, seconds: float) -> None:
        """Wait until there is something to receive, or to send if that is wanted, for at most so many seconds."""

    def close(self) -> None:
        """Release the descriptor."""


class Network(Protocol):
    """What a link needs from outside: a clock and connections."""

    def monotonic(self) -> float:
        """Return the time in seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def dial(self, address: Address, ready: Callable[[], None]) -> Pipe:
        """Begin to connect; `ready` is called in the loop when there is something to receive or to send.

        Raises:
            OSError: the system refuses at once.
        """


class LoopNetwork:
    """Connections in a reactor.

    Args:
        reactor: reports what is ready.
        trusted: returns the context of TLS; None without TLS.
    """

    def __init__(self, reactor: Reactor, trusted: Callable[[], ssl.SSLContext] | None = None) -> None:
        self._reactor = reactor
        self._trusted = trusted
        self.monotonic = reactor.monotonic
        self.sleep = time.sleep

    def dial(self, address: Address, ready: Callable[[], None]) -> Pipe:
        """Begin to connect, see Network."""
        return _Socket(self._reactor, address, ready, self._trusted)


class _Socket:
    """A pipe over a socket. While a TLS handshake is under way, what is sent waits here."""

    def __init__(
        self,
        reactor: Reactor,
        address: Address,
        ready: Callable[[], None],
        trusted: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self._reactor = reactor
        self._host = address.host
        self._trusted = trusted
        self._end: TlsEnd | None = None
        self._waiting = b""
        self._sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(self._sock.close)
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(BlockingIOError):
                self._sock.connect(address)
            reactor.watch(self._sock, EVENT_READ, lambda _mask: ready())
            undo.pop_all()
        self._wire: Wire = self._sock
        self._ready = ready
        self._events = EVENT_READ

    def send(self, data: bytes | bytearray) -> int:
        if self._end is not None:
            self._waiting += data
            return len(data)
        try:
            return self._wire.send(data)
        except BlockingIOError:
            return 0

    def receive(self) -> bytes | None:
        try:
            if self._end is not None:
                self._continue(self._end)
            return None if self._end is not None else self._wire.recv(READ_SIZE)
        except BlockingIOError:
            return None

    def secure(self) -> None:
        from net.tls import TlsEnd  # most nodes need none

        assert self._trusted is not None
        self._end = TlsEnd(self._trusted(), self._host)
        self._shake(self._end)

    def _continue(self, end: TlsEnd) -> None:
        from net.tls import feed_received

        feed_received(end, self._sock)
        self._shake(end)

    def _shake(self, end: TlsEnd) -> None:
        """Go on with the handshake. After it, send what has waited.

        Raises:
            OSError: it has failed; `strerror` says why.
        """
        from net.tls import TlsSocket, continue_handshake

        is_complete = continue_handshake(end)
        flight = end.output()
        if self._sock.send(flight) < len(flight):  # little, and the first that is sent
            raise BrokenPipeError(errno.EPIPE, "takes nothing")
        if is_complete:
            self._wire, self._end = TlsSocket(self._sock, end, held=self._ready_soon), None
            waiting, self._waiting = self._waiting, b""
            if self._wire.send(waiting) < len(waiting):
                raise BrokenPipeError(errno.EPIPE, "takes nothing")

    def _ready_soon(self) -> None:
        self._reactor.call_soon(self._ready)

    def want_to_send(self, wanted: bool) -> None:
        events = EVENT_READ | EVENT_WRITE if wanted else EVENT_READ
        if events != self._events:
            self._events = events
            self._reactor.watch_for(self._sock, events, lambda _mask: self._ready())

    def wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._events & EVENT_WRITE else 0))
        poll.poll(max(0.0, seconds) * 1000)

    def close(self) -> None:
        self._reactor.unwatch(self._sock)
        self._sock.close()


def time_since_boot() -> float:
    """Return a monotonic time in seconds that also passes while the machine is suspended, if the system has one.

    A lease must end while its holder sleeps.
    """
    return time.clock_gettime(BOOT_CLOCK)


def new_run() -> str:
    """Return the name of a new run: 12 hexadecimal digits."""
    return os.urandom(6).hex()
