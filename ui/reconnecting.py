"""The connection of a terminal: owned by the loop's thread, used from another one. Knows no screen."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from net.loop import Loop
from net.table import CloseReason
from net.watched import AnySocket
from ui.failover import FailoverConnection
from ui.places import Places

FAREWELL_SECONDS = 1.0
"""Time-out at the end for the loop's thread to send the last lines."""


class ConnectionObserver(Protocol):
    """Receives the events of a `ReconnectingConnection`. Each call comes through its `post`."""

    def heard(self, lines: list[str]) -> None:
        """Lines have arrived. No more are read until `ReconnectingConnection.go_on`."""

    def lost(self, unconfirmed: list[str]) -> None:
        """The connection is lost, with the answers to these lines; it is being dialled again."""

    def returned(self) -> None:
        """There is a connection again."""

    def refused(self) -> None:
        """A line is dropped because there is no connection."""


class ReconnectingConnection:
    """A connection to the server that is dialled again, with exponential back-off, when it is lost.

    Args:
        loop: runs the connection.
        where: the places where the server may be.
        sock: the first connection.
        kind: the dialect's name.
        observer: receives the events.
        post: runs a call in the observer's thread.
    """

    def __init__(
        self,
        loop: Loop,
        where: Places,
        sock: AnySocket,
        kind: str,
        observer: ConnectionObserver,
        post: Callable[[Callable[[], None]], object],
    ) -> None:
        self._loop = loop
        self._observer = observer
        self._post = post
        self._connection = FailoverConnection(loop, where, sock, kind, self, seconds=math.inf)

    # ---- from any thread ----

    def send(self, line: str, by_itself: bool = False) -> None:
        """Send a line, given without its newline. Without a connection the observer's `refused` is called.

        Args:
            line: the line.
            by_itself: the client repeats it by itself when its answer is lost.
        """
        self._loop.call_threadsafe(lambda: self._send(f"{line}\n".encode(errors="replace"), by_itself))

    def speak(self, kind: str) -> None:
        """The server speaks another dialect; what was asked in the first one is no request of this one."""
        self._loop.call_threadsafe(lambda: self._connection.speak(kind))

    def go_on(self, admitted: bool, pause: float | None = None) -> None:
        """The lines have been shown: read on.

        Args:
            admitted: the server serves us, which resets the back-off. To be connected is not enough: a full server
                accepts, and closes at once.
            pause: seconds of the next pause; None: as the back-off gives it.
        """
        self._loop.call_threadsafe(lambda: self._go_on(admitted, pause))

    # ---- in the loop's thread ----

    def _send(self, data: bytes, by_itself: bool) -> None:
        if not self._connection.send(data, by_itself):
            self._post(self._observer.refused)

    def _go_on(self, admitted: bool, pause: float | None) -> None:
        if admitted:
            self._connection.settled()
        if pause is not None:
            self._connection.pause_before_next(pause)
        self._connection.resume()

    def heard(self, lines: list[str]) -> None:
        for line in lines:
            self._connection.requests.received(line)
        self._connection.pause()
        self._post(lambda: self._observer.heard(lines))

    def lost(self, _reason: CloseReason, unconfirmed: list[str]) -> None:
        self._post(lambda: self._observer.lost(unconfirmed))

    def returned(self) -> None:
        self._post(self._observer.returned)

    def drained(self) -> None:
        """Lines are typed slowly, so congestion is not watched."""

    def given_up(self) -> None:
        """The search goes on until the user leaves."""


@contextlib.contextmanager
def running(loop: Loop) -> Iterator[None]:
    """Run a loop in a thread of its own while the context lasts."""
    network = threading.Thread(target=loop.run, daemon=True)
    network.start()
    try:
        yield
    finally:
        loop.call_threadsafe(loop.stop)
        network.join(FAREWELL_SECONDS)
