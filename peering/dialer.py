"""The configured servers that are dialled: the pauses between attempts, and the log of failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from domain.interfaces import Timers
from net.timers import Backoff
from protocol import Session
from settings import PeerConfig

FIRST_PAUSE = 0.5
MAX_PAUSE = 30.0
PAUSE_GROWTH = 1.6
"""Seconds before a server is dialled again, and the factor by which they grow (L2)."""

log = logging.getLogger("crosstalk.federation")


class Dial(Protocol):
    """Connects in the background, then calls one of `connected` and `failed`; see net.dialer."""

    def __call__(
        self,
        host: str,
        port: int,
        *,
        certified: str | None,
        connected: Callable[[Any], Session],
        failed: Callable[[str], None],
    ) -> None:
        """Connect; with TLS if `certified` is the name or IP address that the server's certificate must bear (L53)."""


class PeerDialer:
    """Dials a configured server, and dials it again with growing pauses (L1, L2).

    Its `address` is the configured one, or the IP address to which that has led.

    Args:
        config: the server.
        timers: the monotonic clock.
        dial: opens a connection.
        jitter: returns a random number from 0 to 1.
        connected: takes a connection, and returns its session.
        may_dial: tells whether the server may be dialled now; if not, it is tried again later.
    """

    def __init__(
        self,
        config: PeerConfig,
        timers: Timers,
        dial: Dial,
        jitter: Callable[[], float],
        connected: Callable[[PeerDialer, Any], Session],
        may_dial: Callable[[PeerDialer], bool],
    ) -> None:
        self.config = config
        self.address = config.address
        self.stopped = False
        self._timers = timers
        self._dial = dial
        self._jitter = jitter
        self._connected = connected
        self._may_dial = may_dial
        self._timer: Any = None
        self._backoff = Backoff(FIRST_PAUSE, PAUSE_GROWTH, MAX_PAUSE)
        self._last_failure = ""

    @property
    def known_as(self) -> set[str]:
        """The names and addresses of the server, as far as known without a link."""
        return {self.address, self.config.address, *filter(None, (self.config.name,))}

    def dial_now(self) -> None:
        """Dial, in the background."""
        self._timer = None
        if self.stopped:
            return
        if self._may_dial(self):
            host, port = self.config[:2]
            connected = partial(self._connected, self)
            self._dial(host, port, certified=self.config.certified_name, connected=connected, failed=self._failed)
        else:
            self.dial_later()

    def dial_later(self, lasted: float = 0.0) -> None:
        """Dial after a pause.

        Args:
            lasted: seconds for which the link was up. If longer than the next pause, the back-off is reset.
        """
        if self.stopped:
            return
        if lasted > self._backoff.pause:
            self._backoff.reset()
        self._timer = self._timers.call_later(self._backoff.next(self._jitter()), self.dial_now)

    def dial_soon(self) -> None:
        """End a pause. No-op outside of one."""
        if self._timer is not None:
            self._timers.cancel(self._timer)
            self.dial_now()

    def stop(self) -> None:
        """Dial no more."""
        self.stopped = True
        if self._timer is not None:
            self._timers.cancel(self._timer)

    def log_failure(self, failure: str) -> None:
        """Log a failure, unless it is the same as the last one (L48)."""
        if failure != self._last_failure:
            name = f" ({self.config.name})" if self.config.name else ""
            log.warning("no link with %s port %d%s: %s; dialling again", *self.config[:2], name, failure)
        self._last_failure = failure

    def succeeded(self) -> None:
        """The link is up: log the next failure, whatever it is."""
        self._last_failure = ""

    def _failed(self, reason: str) -> None:
        self.log_failure(reason)
        self.dial_later()


class PeerDialers:
    """The dialers of the servers of the config that are dialled: those with a port.

    Args:
        make: makes the dialer of a server.
        servers: those of the config.
    """

    def __init__(self, make: Callable[[PeerConfig], PeerDialer], servers: Sequence[PeerConfig]) -> None:
        self._make = make
        self._all = [make(server) for server in servers if server.port]

    def __iter__(self) -> Iterator[PeerDialer]:
        return iter(self._all)

    def start(self) -> None:
        """Dial all servers."""
        for dialer in self._all:
            dialer.dial_now()

    def stop(self) -> None:
        """Dial none any more."""
        for dialer in self._all:
            dialer.stop()

    def configure(self, servers: Sequence[PeerConfig]) -> tuple[list[PeerDialer], list[PeerDialer]]:
        """Replace the servers by those of a config that has been loaded again.

        Returns:
            The dialers of servers that it no longer lists, which are stopped; and the new ones, which have not dialled.
        """
        gone = [dialer for dialer in self._all if dialer.config not in servers]
        known = {dialer.config for dialer in self._all}
        new = [self._make(server) for server in servers if server.port and server not in known]
        self._all = [*(dialer for dialer in self._all if dialer not in gone), *new]
        for dialer in gone:
            dialer.stop()
        return gone, new

    def dial_soon(self, word: str) -> None:
        """End the pause of each server with this name or IP address."""
        for dialer in self._all:
            if word in dialer.known_as:
                dialer.dial_soon()

    def remove(self, dialer: PeerDialer) -> None:
        """Dial a server no more, though the config lists it."""
        dialer.stop()
        self._all.remove(dialer)
