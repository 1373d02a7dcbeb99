"""A connection to one of several servers, of which one answers: a primary and its backups. Knows no screen.

When the connection is lost, the next address is dialled. When a request has had no answer for ANSWER_SECONDS, the other
addresses are probed beside the connection. It is left only if one of them accepts and answers. To accept is not enough,
since a frozen process accepts too; and a server that waits for its engine answers later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from net.loop import Loop
from net.table import CloseReason
from net.timers import Backoff
from net.watched import AnySocket
from ui.connection import Address, LineConnection
from ui.places import RETRY_SECONDS, ROUND_PAUSE, Places
from ui.requests import PROBES, Requests

WATCH_SECONDS = 0.5
"""How often overdue answers are looked for."""

PAUSES = (0.5, 2.0, 15.0)
"""Exponential back-off before a lost connection is dialled again: first pause, growth, and maximum, in seconds."""

QUICK_PAUSES = (ROUND_PAUSE, 1.5, 2.0)
"""The same where another server may take over soon."""

LASTING_SECONDS = 1.0
"""A connection that has lasted this long is dialled again at once: the server is not one that closes at once."""


class FailoverObserver(Protocol):
    """Receives the events of a `FailoverConnection`, in the loop's thread."""

    def heard(self, lines: list[str]) -> None:
        """Lines have arrived."""

    def lost(self, reason: CloseReason, unconfirmed: list[str]) -> None:
        """The connection is lost, and another is looked for, unless `close` is called."""

    def returned(self) -> None:
        """There is a connection again."""

    def drained(self) -> None:
        """Congestion is over."""

    def given_up(self) -> None:
        """No server has been found in time."""


class FailoverConnection:
    """A connection to the server, wherever it is. Every call comes from the loop's thread.

    Args:
        loop: runs the connection.
        where: the places; the current one is that of `sock`.
        sock: the first connection.
        kind: the dialect's name.
        observer: receives the events.
        seconds: how long a server is looked for after a loss.
        dialer: connects to one of the places, in a thread of its own; raises OSError.
        prober: tells whether a server answers at an address, in a thread of its own; None: that of the places.
    """

    def __init__(
        self,
        loop: Loop,
        where: Places,
        sock: AnySocket,
        kind: str,
        observer: FailoverObserver,
        seconds: float = RETRY_SECONDS,
        dialer: Callable[[Places], AnySocket] = Places.dial,
        prober: Callable[[Address, bytes], bool] | None = None,
    ) -> None:
        self.requests = Requests(kind, loop.monotonic)
        self._loop = loop
        self._where = where
        self._observer = observer
        self._seconds = seconds
        self._dialer, self._prober = dialer, prober or where.answers
        self._backoff = Backoff(*(QUICK_PAUSES if where.persistent else PAUSES))
        self._lost_at: float | None = None
        self._found: Address | None = None
        self._ends_sending = False
        self._closed = self._probing = False
        self._connection: LineConnection | None = None
        self._adopt(sock)
        if where.persistent:
            self._watch()

    # ---- as a `LineConnection` ----

    @property
    def congested(self) -> bool:
        """Nothing can be sent now: there is no connection, or the server exerts back-pressure."""
        return self._connection is None or self._connection.congested

    @property
    def half_closed(self) -> bool:
        """The output has left and is half-closed."""
        return self._connection is not None and self._connection.half_closed

    def send(self, data: bytes, by_itself: bool = False) -> bool:
        """Send a line.

        Args:
            data: the line, with its end.
            by_itself: the client repeats it by itself, so it is never among the `unconfirmed`.

        Returns:
            Whether there is a connection; otherwise the line is dropped.
        """
        if self._connection is None:
            return False
        self.requests.sent(data.decode(errors="replace").rstrip("\r\n"), by_itself)
        self._connection.send(data)
        return True

    def speak(self, kind: str) -> None:
        """The server speaks another dialect than was expected; what it was asked before is forgotten."""
        self.requests.take()
        self.requests.kind = kind

    def pause(self) -> None:
        """Receive nothing until `resume`."""
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Receive again."""
        if self._connection is not None:
            self._connection.resume()

    def end_sending(self) -> None:
        """Half-close when all output has left; lines are received as before. More calls do nothing."""
        if self._connection is not None and not self._ends_sending:
            self._ends_sending = True
            self._connection.end_sending()

    # ---- the search for a server ----

    def settled(self) -> None:
        """The server serves us, so the search is over. To be connected is not enough: a full server accepts and closes,
        and a frozen one accepts and says nothing."""
        self._lost_at = None
        self._backoff.reset()

    def pause_before_next(self, seconds: float) -> None:
        """The server is about to close: set the pause before the next attempt."""
        self._backoff.pause = seconds

    def close(self) -> None:
        """Look for no server any more."""
        self._closed = True

    def _adopt(self, sock: AnySocket) -> None:
        self._connected_at = self._loop.monotonic()
        self._ends_sending = False
        self._connection = LineConnection(self._loop, sock, self._observer.heard, self._lost, self._observer.drained)

    def _lost(self, reason: CloseReason) -> None:
        now = self._loop.monotonic()
        self._connection = None
        self._lost_at = now if self._lost_at is None else self._lost_at
        if self._found is None:
            self._where.leave()
        else:
            self._where.choose(self._found)
        self._found = None
        self._observer.lost(reason, self.requests.take())
        at_once = self._where.persistent and now - self._connected_at >= LASTING_SECONDS
        self._dial_after(0 if at_once else self._backoff.next())

    def _dial_after(self, seconds: float) -> None:
        self._loop.call_later(seconds, self._start_dialling)

    def _start_dialling(self) -> None:
        if not self._closed:
            threading.Thread(target=self._dial, daemon=True).start()

    def _dial(self) -> None:
        """Runs in a thread of its own, a daemon: a name look-up may block for long, and must not delay the exit."""
        try:
            sock = self._dialer(self._where)
        except OSError:
            self._loop.call_threadsafe(lambda: self._dial_after(self._backoff.next()))
        else:
            self._loop.call_threadsafe(lambda: self._returned(sock))

    def _returned(self, sock: AnySocket) -> None:
        if self._closed:
            sock.close()
            return
        self._adopt(sock)
        self._observer.returned()

    # ---- a server that does not answer ----

    def _watch(self) -> None:
        if self._closed:
            return
        if self._lost_at is not None and self._loop.monotonic() - self._lost_at >= self._seconds:
            self.close()
            self._observer.given_up()
            return
        if self._connection is not None and not self._probing and self._where.several and self.requests.overdue():
            self._probing = True
            threading.Thread(target=self._probe, args=(self._where.others,), daemon=True).start()
        self._loop.call_later(WATCH_SECONDS, self._watch)

    def _probe(self, others: Sequence[Address]) -> None:
        """Runs in a thread of its own."""
        probe = PROBES[self.requests.kind]
        found = next((address for address in others if self._prober(address, probe)), None)
        self._loop.call_threadsafe(lambda: self._probed(found))

    def _probed(self, found: Address | None) -> None:
        self._probing = False
        if found is not None and self._connection is not None and self.requests.overdue():
            self._found = found
            self._connection.abandon()
