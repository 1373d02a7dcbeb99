"""Connections to a server: as lines, and dialled again when lost. Knows no screen and no dialect.

Text from the network is cleaned in one place, `LineConnection`: no control character reaches a screen or a pipe.
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
"""Maximum bytes of a line from the server, its newline included. Lists are long."""

CONNECT_SECONDS = 10.0
"""Time-out for each address of the server."""

FIRST_PAUSE = 0.5
MAX_PAUSE = 15.0
PAUSE_GROWTH = 2.0
"""Exponential back-off before a lost connection is dialled again, in seconds."""

KEEPALIVE_SECONDS = 60
"""TCP keepalive: the connection is lost when the server's machine has been silent for about this long."""

# ---- dialling ----


class Address(NamedTuple):
    """Host and port of the server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def dial(address: Address) -> socket.socket:
    """Connect to the first of the host's addresses, IPv6 or IPv4, that accepts. Turns TCP keepalive on. Blocks.

    Raises:
        OSError: no address accepts.
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
        loop: runs the connection.
        sock: connected; the loop owns it from here on.
        heard: called with the lines that arrived in one turn, cleaned.
        lost: called once, with the reason, when the connection is over.
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

    def _half_close(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError):  # the connection is gone; `lost` tells
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
        """The server has closed. Its last line may lack a newline."""
        if len(self._lines):
            self.received(b"\n")
        self._connection.close(CloseReason.PEER)

    def drained(self) -> None:
        self._drained()

    def lost(self, reason: CloseReason) -> None:
        self._lost(reason)


# ---- reconnecting ----


class ConnectionObserver(Protocol):
    """Receives the events of a `ReconnectingConnection`. Each call comes through its `post`."""

    def heard(self, lines: list[str]) -> None:
        """Lines have arrived. No more are read until `ReconnectingConnection.go_on`."""

    def lost(self) -> None:
        """The connection is lost; it is being dialled again."""

    def returned(self) -> None:
        """There is a connection again."""

    def refused(self) -> None:
        """A line is dropped because there is no connection."""


class ReconnectingConnection:
    """A connection to the server that is dialled again, with exponential back-off, when it is lost.

    Args:
        loop: runs the connection.
        address: of the server.
        sock: the first connection.
        observer: receives the events.
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
        """Send a line, given without its newline. Without a connection the observer's `refused` is called."""
        self._loop.call_threadsafe(lambda: self._send(f"{line}\n".encode(errors="replace")))

    def go_on(self, admitted: bool, pause: float | None = None) -> None:
        """The lines have been shown: read on.

        Args:
            admitted: the server serves us, which resets the back-off. To be connected is not enough: a full server
                accepts, and closes at once.
            pause: seconds of the next pause; None: as the back-off gives it.
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

    # ---- in a thread of its own, a daemon: a name look-up may block for long, and must not delay the exit ----

    def _dial(self) -> None:
        try:
            sock = dial(self._address)
        except OSError:
            self._loop.call_threadsafe(self._dial_later)
        else:
            self._loop.call_threadsafe(lambda: self._returned(sock))
