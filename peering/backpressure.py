"""Back-pressure from links: sessions that send more than a peer's link can take are paused (L7)."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from domain.interfaces import Timers
from domain.sessions import Clients
from peering.peers import Link

MAX_PAUSE_SECONDS = 1.0
"""The longest pause of a session."""


class Batch(NamedTuple):
    """Sessions that wait for the same output, and the deadline at which they are resumed."""

    sessions: list[Clients]
    deadline: Any


class BackPressure:
    """Pauses sessions until the link has handed over what waited when they were paused.

    Otherwise each of them could fill the link's output buffer, and so cut the link for everybody.

    Args:
        timers: the monotonic clock.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._paused: set[Clients] = set()
        self._batches: dict[Link, Batch] = {}

    def pause(self, session: Clients, link: Link) -> None:
        """Pause a session's input until this link has caught up, or is lost, or MAX_PAUSE_SECONDS have passed.

        Idempotent: a session waits for one link at a time.
        """
        if session not in self._paused:
            self._paused.add(session)
            session.pause()
            self._batch(link).sessions.append(session)

    def _batch(self, link: Link) -> Batch:
        """Return the sessions that wait for this link; the first of them asks for a receipt."""
        batch = self._batches.get(link)
        if batch is None:
            sessions: list[Clients] = []
            resume = partial(self._resume, link, sessions)
            batch = self._batches[link] = Batch(sessions, self._timers.call_later(MAX_PAUSE_SECONDS, resume))
            link.session.transport.send_with_receipt(b"", lambda _has_left: resume())
        return batch

    def _resume(self, link: Link, sessions: list[Clients]) -> None:
        """Resume these sessions, unless that was done: the receipt may come later than the deadline."""
        batch = self._batches.get(link)
        if batch is None or batch.sessions is not sessions:
            return
        del self._batches[link]
        self._timers.cancel(batch.deadline)
        for session in sessions:
            self._paused.discard(session)
            session.resume()
