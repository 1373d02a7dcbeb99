"""Presence: sessions that ask for it are told who comes and goes in their channels, and of new topics there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from domain.events import PresenceChanged, TopicChanged
from domain.sessions import ClientSession, deliver_to_each
from domain.state import Channel

MAX_MEMBERS = 500
"""Members of a channel up to which its changes are told; so one change is told to so many sessions at most (R43)."""


class Presence:
    """The sessions that are told of changes in the channels to which they are subscribed (R43).

    Args:
        in_order: calls when all changes before have been published. A user whose last message has not been published
            is still there for the others.
    """

    def __init__(self, in_order: Callable[[Callable[[], object]], object]) -> None:
        self._in_order = in_order
        self._watchers: dict[ClientSession, None] = {}

    def watch(self, session: ClientSession) -> None:
        """Tell a session of changes from now on. It is logged in."""
        self._watchers[session] = None

    def unwatch(self, session: ClientSession) -> None:
        """Tell a session nothing more. Idempotent."""
        self._watchers.pop(session, None)

    def stop(self) -> None:
        """Tell nobody anything more: the server stops (C21)."""
        self._watchers.clear()

    def changed(self, user: str, *, online: bool, channels: Iterable[Channel], own: Iterable[object] = ()) -> None:
        """Tell that a user has come into channels or left them: each session once, however many channels it shares.

        Args:
            user: the user's name.
            online: whether the user has come.
            channels: where; those that are too large are left out.
            own: the user's own sessions, which are not told.
        """
        if self._watchers:
            event, where = PresenceChanged(user, online), list(channels)
            self._in_order(lambda: self._tell(event, where, own))

    def topic_changed(self, event: TopicChanged, channel: Channel, own: Iterable[object]) -> None:
        """Tell that a channel has a new topic; `own` are the sessions of who has set it, which are not told."""
        if self._watchers:
            self._tell(event, (channel,), own)

    def _tell(self, event: Any, channels: Iterable[Channel], own: Iterable[object]) -> None:
        concerned: set[Any] = set()
        for channel in channels:
            if len(channel.members) <= MAX_MEMBERS:
                concerned |= self._watchers.keys() & channel.subscribers.keys()
        concerned.difference_update(own)
        deliver_to_each(event, concerned)
