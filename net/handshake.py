"""TLS handshakes in the loop. A handshake is the first owner of a connection; it hands it to the real one.

Until then the connection moves the records of the handshake as any other bytes, within the limits of any connection. A
peer that says nothing costs no more than a connection and a deadline. `net.tls` has what follows the handshake.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from functools import partial

from net.connection import Connection, Receiver
from net.loop import Loop
from net.reactor import Reactor
from net.table import CloseReason
from net.tls import CUT_OFF, HANDSHAKE_RECORD, TlsEnd, TlsSocket, explain

log = logging.getLogger("crosstalk.loop")


class Handshake:
    """A handshake, as the owner of a connection.

    Args:
        reactor: has the deadline.
        connection: open, without an owner.
        seconds: time-out for the whole handshake.
        established: called with the connection after the handshake, returns its owner.
        failed: called with the reason in a few words, if the handshake fails.

    Attributes:
        kind: "", since it is no session yet.
    """

    kind = ""

    def __init__(
        self,
        reactor: Reactor,
        connection: Connection,
        seconds: float,
        established: Callable[[Connection], Receiver],
        failed: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._connection = connection
        self._seconds = seconds
        self._established = established
        self._failed = failed
        self._end: TlsEnd | None = None
        self._is_over = False
        self._deadline = reactor.call_later(seconds, self._timed_out)

    def begin(self, end: TlsEnd) -> None:
        """Begin as the client, which speaks first."""
        self._end = end
        self._step(end)

    # ---- for the connection ----

    def received(self, data: bytes) -> None:
        """Go on with the handshake."""
        if self._end is not None:
            self._end.feed(data)
            self._step(self._end)

    def ended(self) -> None:
        """The peer sends no more."""
        self.fail(CUT_OFF)

    def drained(self) -> None:
        """A handshake sends so little that it is never congested."""

    def drain(self) -> None:
        """The server stops."""
        self.fail("the server stops")

    def lost(self, _reason: CloseReason) -> None:
        """The connection is gone."""
        self.fail("the connection was lost during the TLS handshake")

    # ---- the handshake ----

    def _step(self, end: TlsEnd) -> None:
        try:
            is_complete = end.handshake()
        except ssl.SSLError as error:
            self._connection.send(end.output())  # an alert, which tells the peer why
            self.fail(explain(error))
            return
        self._connection.send(end.output())
        if is_complete and not self._is_over:
            self._is_over = True
            self._reactor.cancel(self._deadline)
            connection = self._connection
            connection.secure(TlsSocket(connection.sock, end, connection.queued, connection.receive_soon))
            connection.attach_owner(self._established)
            connection.receive_soon()

    def _timed_out(self) -> None:
        whole = round(self._seconds) or self._seconds  # what a dial has left is no reason for another line of the log
        self.fail(f"no TLS handshake within {whole:g} seconds")

    def fail(self, why: str) -> None:
        """End the connection; what was sent before still leaves."""
        if not self._is_over:
            self._is_over, self._end = True, None
            self._reactor.cancel(self._deadline)
            self._connection.finish(CloseReason.HANDSHAKE)
            self._failed(why)


class ServerHandshake(Handshake):
    """The handshake with a client that has connected.

    Args:
        reactor, connection, seconds, established: see `Handshake`.
        context: the server's certificate and key.
        refusal: the answer to a client that speaks no TLS.
    """

    def __init__(
        self,
        reactor: Reactor,
        connection: Connection,
        seconds: float,
        established: Callable[[Connection], Receiver],
        *,
        context: ssl.SSLContext,
        refusal: bytes,
    ) -> None:
        super().__init__(reactor, connection, seconds, established, partial(_log_failure, connection))
        self._context = context
        self._refusal = refusal

    def received(self, data: bytes) -> None:
        """Go on with the handshake; the first byte tells whether it is one."""
        if self._end is not None or self._is_over:
            super().received(data)
        elif data[0] == HANDSHAKE_RECORD:
            self._end = TlsEnd(self._context)
            super().received(data)
        else:
            self._refuse("it speaks plain text at a port for TLS")

    def _timed_out(self) -> None:
        self._connection.report_limit("handshake-seconds", "(no handshake in %g seconds)", self._seconds)
        if self._end is None:  # perhaps it waits for a greeting in plain text
            self._refuse(f"it has said nothing for {self._seconds:g} seconds at a port for TLS")
        else:
            super()._timed_out()

    def _refuse(self, why: str) -> None:
        self._connection.send(self._refusal)
        self.fail(why)


def _log_failure(connection: Connection, why: str) -> None:
    log.info("closing %s: %s", connection, why, extra=connection.log_mark())


def secured(
    loop: Loop,
    context: Callable[[], ssl.SSLContext],
    seconds: Callable[[], float],
    accepted: Callable[[Connection], Receiver],
    refusal: bytes,
) -> Callable[[Connection], Receiver]:
    """Return what a listener for TLS calls with a new connection.

    Args:
        loop: has the listener.
        context: gives the certificate and key for the next handshake, see `net.tls.server_context`.
        seconds: gives the time-out for the next handshake.
        accepted: called with the connection after the handshake, returns its owner.
        refusal: the answer to a client that speaks plain text.
    """
    return lambda connection: ServerHandshake(loop, connection, seconds(), accepted, context=context(), refusal=refusal)


def dial(
    loop: Loop,
    context: Callable[[], ssl.SSLContext],
    host: str,
    port: int,
    *,
    name: str,
    source: str | None,
    seconds: float,
    connected: Callable[[Connection], Receiver],
    failed: Callable[[str], None],
) -> None:
    """Connect to the first address of a host that accepts and makes the handshake, see `net.loop.Loop.dial`.

    Args:
        loop: dials.
        context: gives what is trusted, see `net.tls.client_context`.
        host, port, source, connected, failed: as for `Loop.dial`.
        name: the name or IP address that the server's certificate must bear.
        seconds: time-out for all of it.
    """

    def begin(connection: Connection) -> Receiver:
        handshake = Handshake(loop, connection, attempt.share, connected, attempt.go_on)
        try:
            handshake.begin(TlsEnd(context(), name))
        except ValueError:
            handshake.fail("not a name that a certificate can bear")
        return handshake

    attempt = loop.dial(host, port, source=source, seconds=seconds, connected=begin, failed=failed)
