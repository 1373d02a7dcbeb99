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


class ClientSession(Subscriber, Protocol):
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
    def half_closed(self) -> bool:
        """Whether the client sends no more."""

    def pause(self) -> None:
        """Take no more input until `resume`: it produces more than a linked server can read (L7). Idempotent."""

    def resume(self) -> None:
        """Take input again."""

    def probe(self) -> None:
        """Have it closed soon if the client's machine does not answer (R50)."""

    def end(self) -> None:
        """Close it when all delivered events have left."""

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        """Deliver, and call `done` once with whether the whole event has left for the client."""


def deliver_to_each(event: Any, sessions: Iterable[Subscriber]) -> None:
    """Tell an event to each of these. A fault with one must not cost the others the event."""
    for session in sessions:
        try:
            session.deliver(event)
        except Exception:
            log.exception("error while telling %s", type(event).__name__)
