"""The client's side of the network: lines to and from a server, and a connection that comes back. No screens, no wires.

What the network sends is cleaned in one place, `LineConnection`, before anything else sees it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from net.connection import Connection
from net.loop import Loop
from net.table import CloseReason
from net.tcp import enable_keepalive, is_self_connection
from net.timers import Backoff
from text import LineBuffer, Overlong, clean

MAX_RECEIVED_LINE = 1024 * 1024
"""Bytes of a line from the server, its newline included: lists are long."""

CONNECT_SECONDS = 10.0
FIRST_PAUSE = 0.5
MAX_PAUSE = 15.0
PAUSE_GROWTH = 2.0
"""Seconds before a lost connection is dialled again, and how they grow."""

KEEPALIVE_SECONDS = 60
"""A server whose machine has been silent for about so long is lost, as a client is for the server."""

# ---- dialling ----


class Address(NamedTuple):
    """Where the server is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def dial(address: Address) -> socket.socket:
    """Connect to the first of the host's addresses, IPv6 or IPv4, that takes it, with TCP keepalive on. Blocks.

    Raises:
        OSError: none does.
    """
    try:
        sock = socket.create_connection(address, CONNECT_SECONDS)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a host name") from error
    if is_self_connection(sock):
        sock.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    enable_keepalive(sock, KEEPALIVE_SECONDS)
    return sock


# ---- lines ----


class LineConnection:
    """A connection to the server, as lines. Every call comes from the loop's thread.

    Args:
        loop, sock: what it runs on; it takes the socket over.
        heard: called with the lines that a turn brought, cleaned.
        lost: called once, with the reason, when it is over.
        drained: called when `congested` is over.
    """

    TOO_LONG = f"(a line of more than {MAX_RECEIVED_LINE} bytes is left out)"

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        heard: Callable[[list[str]], None],
        lost: Callable[[CloseReason], None],
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self.half_closed = False
        """All that was sent has left, and the server knows that no more comes."""
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
        """True while much waits to be sent: send no more until `drained` is called."""
        return self._connection.congested

    def end_sending(self) -> None:
        """Half-close when all that was sent has left; lines are received as before."""
        self._connection.stream(self._half_close())

    def _half_close(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError):  # the server has gone meanwhile, which `lost` tells
            self._sock.shutdown(socket.SHUT_WR)
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
        """The server has closed. It may have said something last without ending the line."""
        if len(self._lines):
            self.received(b"\n")
        self._connection.close(CloseReason.PEER)

    def drained(self) -> None:
        self._drained()

    def lost(self, reason: CloseReason) -> None:
        self._lost(reason)


# ---- keeping ----


class ConnectionObserver(Protocol):
    """Is told what happens to a `ReconnectingConnection`. Each call comes through its `post`."""

    def heard(self, lines: list[str]) -> None:
        """Lines came. No more are read from the network until `ReconnectingConnection.go_on`."""

    def lost(self) -> None: ...
    def returned(self) -> None: ...
    def refused(self) -> None:
        """A line could not be sent, for want of a connection."""


class ReconnectingConnection:
    """Keeps a connection to the server, and dials again with growing pauses when it is lost.

    Args:
        loop: what it runs on.
        address: where to dial.
        sock: the first connection.
        observer: is told what happens.
        post: runs a call in the observer's thread.
    """

    def __init__(
        self,
        loop: Loop,
        address: Address,
        sock: socket.socket,
        observer: ConnectionObserver,
        post: Callable[[Callable[[], None]], object],
    ) -> None:
        self._loop = loop
        self._address = address
        self._observer = observer
        self._post = post
        self._backoff = Backoff(FIRST_PAUSE, PAUSE_GROWTH, MAX_PAUSE)
        self._connection: LineConnection | None = self._adopt(sock)

    # ---- from any thread ----

    def send(self, line: str) -> None:
        """Send a line, given without its newline. The observer is told when that cannot be."""
        self._loop.call_threadsafe(lambda: self._send(f"{line}\n".encode(errors="replace")))

    def go_on(self, admitted: bool, pause: float | None = None) -> None:
        """What was heard has been shown: read on.

        Args:
            admitted: the server serves us, so the pauses begin anew. Not earlier: one that is full accepts, and closes.
            pause: how many seconds the next one takes, if that is known.
        """
        self._loop.call_threadsafe(lambda: self._go_on(admitted, pause))

    # ---- in the loop's thread ----

    def _send(self, data: bytes) -> None:
        if self._connection is None:
            self._post(self._observer.refused)
        else:
            self._connection.send(data)

    def _go_on(self, admitted: bool, pause: float | None) -> None:
        if admitted:
            self._backoff.reset()
        if pause is not None:
            self._backoff.pause = pause
        if self._connection is not None:
            self._connection.resume()

    def _adopt(self, sock: socket.socket) -> LineConnection:
        return LineConnection(self._loop, sock, self._heard, self._lost)

    def _heard(self, lines: list[str]) -> None:
        assert self._connection
        self._connection.pause()
        self._post(lambda: self._observer.heard(lines))

    def _lost(self, _reason: CloseReason) -> None:
        self._connection = None
        self._post(self._observer.lost)
        self._dial_later()

    def _dial_later(self) -> None:
        self._loop.call_later(self._backoff.next(), lambda: threading.Thread(target=self._dial, daemon=True).start())

    def _returned(self, sock: socket.socket) -> None:
        self._connection = self._adopt(sock)
        self._post(self._observer.returned)

    # ---- in a thread of its own ----

    def _dial(self) -> None:
        try:
            sock = dial(self._address)
        except OSError:
            self._loop.call_threadsafe(self._dial_later)
        else:
            self._loop.call_threadsafe(lambda: self._returned(sock))
