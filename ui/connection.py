"""A connection to a server, as lines. Knows no screen and no dialect.

Text from the network is cleaned in one place, `LineConnection`: no control character reaches a screen or a pipe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple

from net.addresses import join_host_port
from net.connection import Connection
from net.loop import Loop
from net.table import CloseReason
from net.tcp import enable_keepalive, is_self_connection, resolve
from net.watched import AnySocket
from text import LineBuffer, Overlong, clean

MAX_RECEIVED_LINE = 1024 * 1024
"""Maximum bytes of a line from the server, its newline included. Lists are long."""

CONNECT_SECONDS = 10.0
"""Time-out for each address of the server."""

KEEPALIVE_SECONDS = 60
"""TCP keepalive: the connection is lost when the server's machine has been silent for about this long."""

# ---- dialling ----


class Address(NamedTuple):
    """Host and port of the server."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


Securing = Callable[[socket.socket, str], AnySocket]
"""Makes a connection to a host secure, where that is wanted, or closes it. Raises OSError."""


def plain(sock: socket.socket, _host: str) -> AnySocket:
    """Leave a connection as it is."""
    return sock


def dial(address: Address, seconds: float = CONNECT_SECONDS, secure: Securing = plain) -> AnySocket:
    """Connect to the first of the host's addresses, IPv6 or IPv4, that accepts and can be made secure. Blocks.

    Args:
        address: of the server.
        seconds: time-out for each address of the host.
        secure: is given each connection.

    Raises:
        OSError: no address accepts. A failed handshake takes precedence over refusals, since it says more.
    """
    try:
        addresses = resolve(*address)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a host name") from error
    refusals: list[OSError] = []
    for _family, (host, port, *_rest) in addresses:
        try:
            sock = _connect(host, port, seconds)
        except OSError as error:
            refusals.append(error)
            continue
        try:
            return secure(sock, address.host)
        except OSError as error:
            refusals.insert(0, error)
    raise refusals[0]


def _connect(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to an IP address, with TCP keepalive. Raises OSError."""
    sock = socket.create_connection((host, port), seconds)
    if is_self_connection(sock):
        sock.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    enable_keepalive(sock, KEEPALIVE_SECONDS)
    return sock


# ---- lines ----


class LineConnection:
    """A connection to the server, as lines. Every call comes from the loop's thread.

    Args:
        loop: runs the connection.
        sock: connected; the loop owns it from here on.
        heard: called with the lines that arrived in one turn, cleaned.
        lost: called once, with the reason, when the connection is over.
        drained: called when `congested` is over.

    Attributes:
        kind: "", since it is no session of a server.
    """

    kind = ""

    TOO_LONG = f"(a line of more than {MAX_RECEIVED_LINE} bytes is left out)"

    def __init__(
        self,
        loop: Loop,
        sock: AnySocket,
        heard: Callable[[list[str]], None],
        lost: Callable[[CloseReason], None],
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self.half_closed = False
        """The output has left and is half-closed."""
        self._sock = sock
        self._lines = LineBuffer(MAX_RECEIVED_LINE)
        self._heard = heard
        self._lost = lost
        self._drained = drained
        self._connection: Connection = loop.connect(sock, self)
        self.send = self._connection.send
        self.pause = self._connection.pause_reading
        self.resume = self._connection.resume_reading

    @property
    def congested(self) -> bool:
        """Back-pressure: while true, send no more until `drained` is called."""
        return self._connection.congested

    def end_sending(self) -> None:
        """Half-close when all output has left; lines are received as before."""
        self._connection.stream(self._half_close())

    def abandon(self) -> None:
        """Close at once: the server does not answer."""
        self._connection.close(CloseReason.LOST)

    def _half_close(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError):  # the connection is gone; `lost` tells
            while not self._connection.half_close():
                yield b""
            self.half_closed = True
        yield from ()

    # ---- for the connection ----

    def received(self, data: bytes) -> None:
        self._lines.feed(data)
        lines = []
        while (line := self._lines.next()) is not None:
            text = self.TOO_LONG if isinstance(line, Overlong) else line.decode(errors="replace")
            lines.append(clean(text))
        if lines:
            self._heard(lines)

    def ended(self) -> None:
        """The server has closed. Its last line may lack a newline."""
        if len(self._lines):
            self.received(b"\n")
        self._connection.close(CloseReason.PEER)

    def drained(self) -> None:
        self._drained()

    def lost(self, reason: CloseReason) -> None:
        self._lost(reason)
