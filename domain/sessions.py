"""Sessions, as the domain sees them: whom it tells events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from domain.changes import InOrder


class Subscriber(Protocol):
    """Who is told events: a session, or the way to a user of another server."""

    def deliver(self, event: Any) -> None: ...


class Relay(Protocol):
    """The way to the users of one other server."""

    def deliver(self, event: Any, users: Sequence[str]) -> None:
        """Tell an event to these users, given by their bare names; the sequence may be kept."""

    def leaving(self, user: str, channel: str) -> InOrder:
        """Give the change that ends the membership of a user, given by the bare name. Fails as `Channels.remove`."""


class ClientSession(Subscriber, Protocol):
    """A session, as the domain sees it."""

    principal: Any
    """Whoever has logged in there: an account or a guest. None before a login."""

    @property
    def over(self) -> bool:
        """Whether nothing is sent to it any more."""

    @property
    def address(self) -> str:
        """The client's IP address; "" when it is gone already."""

    @property
    def half_closed(self) -> bool:
        """Whether the client sends no more."""

    def end(self) -> None:
        """Close it when what has been delivered has left."""

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        """Deliver, and tell once whether the event has wholly left for the client."""
