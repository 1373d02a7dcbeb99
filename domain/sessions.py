"""Sessions, as the domain sees them: the receivers of its events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from domain.changes import InOrder

log = logging.getLogger("crosstalk.chat")


class Subscriber(Protocol):
    """A receiver of events: a session, or a user of another server."""

    def deliver(self, event: Any) -> None: ...


class Relay(Protocol):
    """Delivers to the users of one other server."""

    def deliver(self, event: Any, users: Sequence[str]) -> None:
        """Tell an event to these users, given by their bare names; the sequence may be kept."""

    def leaving(self, user: str, channel: str) -> InOrder:
        """Return the change that ends the membership of a user, given by the bare name. Fails as `Channels.remove`."""


class VisitorMemberships(Protocol):
    """Ends the memberships of visitors; domain.visitors.Visitors implements it."""

    def leaving(self, visitor: Any, channel: str) -> InOrder:
        """Return the change that ends a membership. Fails as `Channels.remove`."""

    def departed(self, visitor: Any) -> None:
        """End all memberships of a visitor that has logged out."""


class Clients(Subscriber, Protocol):
    """A session, or the sessions of all clients of an account as one."""

    def pause(self) -> None:
        """Take no more input until `resume`: it produces more than a linked server can read (L7). Idempotent."""

    def resume(self) -> None:
        """Take input again."""

    def probe(self) -> None:
        """Have it closed soon if the client's machine does not answer (R50)."""

    def end(self) -> None:
        """Close it when all delivered events have left."""

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        """Deliver, and call `done` once: with True if the whole event has left for the client, or one of several."""


class ClientSession(Clients, Protocol):
    """A session, as the domain sees it."""

    principal: Any
    """The account or guest that is logged in; None before a login."""

    @property
    def over(self) -> bool:
        """Whether nothing is sent to it any more."""

    @property
    def address(self) -> str:
        """The client's IP address; "" when it is gone already."""

    @property
    def has_spoken(self) -> bool:
        """Whether the client has sent its first line."""

    @property
    def half_closed(self) -> bool:
        """Whether the client sends no more."""

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        """Count and log that the client has reached a limit; the reasons are in docs/limits.md.

        Args:
            reason: the name of a setting, or another reason.
            detail: a format string for further fields of the line.
            values: what that takes.
        """


class SeveralClients:
    """The sessions of an account that is logged in at several clients at once. It never changes.

    Args:
        sessions: the sessions, in the order of their logins.
    """

    __slots__ = ("sessions",)

    def __init__(self, sessions: tuple[ClientSession, ...]) -> None:
        self.sessions = sessions

    def deliver(self, event: Any) -> None:
        deliver_to_each(event, self.sessions)

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        waiting = len(self.sessions)

        def left(has_left: bool) -> None:
            nonlocal waiting
            waiting -= 1
            if waiting >= 0 and (has_left or not waiting):
                waiting = -1
                done(has_left)

        for session in self.sessions:
            session.deliver_with_receipt(event, left)

    def pause(self) -> None:
        for session in self.sessions:
            session.pause()

    def resume(self) -> None:
        for session in self.sessions:
            session.resume()

    def probe(self) -> None:
        for session in self.sessions:
            session.probe()

    def end(self) -> None:
        for session in self.sessions:
            session.end()


def sessions_of(clients: Clients | None) -> tuple[ClientSession, ...]:
    """Return the sessions of an account's clients, in the order of their logins."""
    if clients is None:
        return ()
    return clients.sessions if isinstance(clients, SeveralClients) else (clients,)  # type: ignore[return-value]


def as_clients(sessions: tuple[ClientSession, ...]) -> Clients | None:
    """Return what reaches all of these sessions. One session stands for itself, so most accounts need no more."""
    if len(sessions) > 1:
        return SeveralClients(sessions)
    return sessions[0] if sessions else None


def deliver_to_each(event: Any, sessions: Iterable[Subscriber]) -> None:
    """Tell an event to each of these. A fault with one must not cost the others the event."""
    for session in sessions:
        try:
            session.deliver(event)
        except Exception:
            log.exception("error while telling %s", type(event).__name__)
