"""The configured servers that are dialled: the pauses between attempts, and the log of failures."""

from __future__ import annotations

import logging
from typing import Any

from net.timers import Backoff
from settings import PeerConfig

FIRST_PAUSE = 0.5
MAX_PAUSE = 30.0
PAUSE_GROWTH = 1.6
"""Seconds before a server is dialled again, and how they grow (L2)."""

log = logging.getLogger("crosstalk.federation")


class PeerDialer:
    """A configured server, and the back-off for dialling it again (L2).

    Its `address` is the configured one, or the IP address to which that has led.
    """

    def __init__(self, config: PeerConfig) -> None:
        self.config = config
        self.address = config.address
        self.timer: Any = None
        self._backoff = Backoff(FIRST_PAUSE, PAUSE_GROWTH, MAX_PAUSE)
        self._told = ""

    @property
    def known_as(self) -> set[str]:
        """The names and addresses of the server, as far as known without a link."""
        return {self.address, self.config.address, *filter(None, (self.config.name,))}

    def next_pause(self, lasted: float, jitter: float) -> float:
        """Give the seconds until the next attempt.

        Args:
            lasted: seconds for which the link was up. If longer than the next pause, the back-off is reset.
            jitter: a random number from 0 to 1.
        """
        if lasted > self._backoff.pause:
            self._backoff.reset()
        return self._backoff.next(jitter)

    def tell(self, failure: str) -> None:
        """Log a failure, unless it is the same as the last one (L48)."""
        if failure != self._told:
            name = f" ({self.config.name})" if self.config.name else ""
            log.warning("no link with %s port %d%s: %s; dialling again", *self.config[:2], name, failure)
        self._told = failure

    def succeeded(self) -> None:
        """The link is up: log the next failure, whatever it is."""
        self._told = ""
