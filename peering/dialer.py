"""The servers of the config that are dialled: the pauses between the attempts, and what is logged of their failures."""

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
    """A server of the config, and when it is dialled again. `address` is where it is, as far as that is known."""

    def __init__(self, config: PeerConfig) -> None:
        self.config = config
        self.address = config.address
        self.timer: Any = None
        self._backoff = Backoff(FIRST_PAUSE, PAUSE_GROWTH, MAX_PAUSE)
        self._told = ""

    @property
    def known_as(self) -> set[str]:
        """By which names and addresses the server is known before there is a link."""
        return {self.address, self.config.address, *filter(None, (self.config.name,))}

    def next_pause(self, lasted: float, jitter: float) -> float:
        """Give the seconds until the next attempt.

        Args:
            lasted: seconds for which the link was up. The pauses begin anew after one that outlasted the last of them.
            jitter: a number from 0 to 1.
        """
        if lasted > self._backoff.pause:
            self._backoff.reset()
        return self._backoff.next(jitter)

    def tell(self, failure: str) -> None:
        """Write a failure to the log; one that repeats itself is told once."""
        if failure != self._told:
            name = f" ({self.config.name})" if self.config.name else ""
            log.warning("no link with %s port %d%s: %s; dialling again", *self.config[:2], name, failure)
        self._told = failure

    def succeeded(self) -> None:
        """The link is up: the next failure is news."""
        self._told = ""
