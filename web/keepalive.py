"""Pings to a WebSocket's client, and the time-out for its pongs (W6)."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from websockets.protocol import State
from websockets.server import ServerProtocol

from domain.interfaces import Timers
from net.connection import Connection
from net.table import CloseReason

QUIET_SECONDS = 45.0
"""Seconds without input after which the server pings: proxies close silent connections after a minute (W6)."""

PROBE_SECONDS = 3.0
"""Time-out in seconds for the pong to a probe, which a login elsewhere has caused (R50)."""

log = logging.getLogger("crosstalk.web")


class Keepalive:
    """Pings a silent client, and closes the connection when no pong comes in time.

    Args:
        connection: to the client.
        protocol: makes the pings; none are made once it is closing.
        address: the client's IP address, for the log.
        timers: the clock.
        seconds: time-out for the pong to a ping; 0: none.
    """

    __slots__ = ("_address", "_connection", "_heard", "_pong", "_protocol", "_quiet", "_seconds", "_timers")

    def __init__(
        self, connection: Connection, protocol: ServerProtocol, address: str, timers: Timers, seconds: float
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._address = address
        self._timers = timers
        self._seconds = seconds
        self._heard = timers.monotonic()
        self._quiet: Any = timers.call_later(QUIET_SECONDS, self._check_silence)
        self._pong: Any = None  # the deadline of the pong that is awaited

    def note_input(self) -> None:
        """Bytes have come from the client: it is not silent."""
        self._heard = self._timers.monotonic()

    def note_pong(self) -> None:
        """A pong has come: none is awaited any more."""
        if self._pong is not None:
            self._timers.cancel(self._pong)
            self._pong = None

    def probe(self) -> None:
        """Close soon if the client does not answer a ping: behind a proxy only a ping reaches it (R50)."""
        self.note_pong()
        self._ping(PROBE_SECONDS, "its user logs in elsewhere")

    def stop(self) -> None:
        """Ping no more, and wait for no pong: the connection is gone."""
        self._timers.cancel(self._quiet)
        self.note_pong()

    def _check_silence(self) -> None:
        """Ping if the client was silent for QUIET_SECONDS, and schedule the next check."""
        quiet = self._timers.monotonic() - self._heard
        if quiet >= QUIET_SECONDS:
            self._ping(self._seconds, "keepalive-seconds")
            quiet = 0.0
        self._quiet = self._timers.call_later(QUIET_SECONDS - quiet, self._check_silence)

    def _ping(self, seconds: float, why: str) -> None:
        if self._protocol.state is not State.OPEN:
            return
        self._protocol.send_ping(b"")
        for data in self._protocol.data_to_send():
            self._connection.send(data)
        if seconds and self._pong is None:
            self._pong = self._timers.call_later(seconds, partial(self._pong_is_missing, seconds, why))

    def _pong_is_missing(self, seconds: float, why: str) -> None:
        log.warning(
            "closing %s port %d: no pong came for %g seconds (%s)",
            self._address,
            self._connection.remote_address[1],
            seconds,
            why,
            extra=self._connection.log_mark(),
        )
        self._pong = None
        self._connection.close(CloseReason.LOST)
