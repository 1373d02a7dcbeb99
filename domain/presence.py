"""Presence: sessions that ask for it are told of joins, leaves and new topics in their channels.

Watchers are told in few words (R43). Followers, which are clients of IRC, are told of each change in each of their
channels, however large it is, with its reason.
"""

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
        self._followers: dict[ClientSession, None] = {}

    def watch(self, session: ClientSession) -> None:
        """Tell a session of changes from now on. It is logged in."""
        self._watchers[session] = None

    def unwatch(self, session: ClientSession) -> None:
        """Tell a session nothing more. Idempotent."""
        self._watchers.pop(session, None)
        self._followers.pop(session, None)

    def follow(self, session: ClientSession) -> None:
        """Tell a session of each change in its channels from now on, until `unwatch`."""
        self._followers[session] = None

    def tell_followers(self, event: Any, channels: Iterable[Channel], also: Iterable[ClientSession] = ()) -> None:
        """Tell an event to the followers in these channels, once to each, when all earlier changes have been published.

        Args:
            event: what has happened.
            channels: where.
            also: sessions that are told as well, if they follow their channels.
        """
        if self._followers:
            where, others = list(channels), list(also)
            self._in_order(lambda: self._tell_followers(event, where, others))

    def _tell_followers(self, event: Any, channels: Iterable[Channel], also: Iterable[ClientSession]) -> None:
        concerned = self._followers.keys() & set(also)
        for channel in channels:
            concerned |= self._followers.keys() & channel.subscribers.keys()
        deliver_to_each(event, concerned)

    def stop(self) -> None:
        """Tell nobody anything more: the server stops (C21)."""
        self._watchers.clear()
        self._followers.clear()

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

    def logged_in(self, user: str, *, online: bool, channels: Iterable[Channel], own: Iterable[object] = ()) -> None:
        """Tell that a user's first client has logged in, or that the last one has gone, as `changed` does.

        Followers are told, too, that the user is online or away, except in channels that are too large.
        """
        if not (self._watchers or self._followers):
            return
        where = list(channels)
        self.changed(user, online=online, channels=where, own=own)
        self.tell_followers(PresenceChanged(user, online), [each for each in where if len(each.members) <= MAX_MEMBERS])

    def topic_changed(self, event: TopicChanged, channel: Channel, own: Iterable[object]) -> None:
        """Tell that a channel has a new topic, except to `own`: the sessions of the user who has set it."""
        if self._watchers:
            self._tell(event, (channel,), own)
        self.tell_followers(event, (channel,))

    def _tell(self, event: Any, channels: Iterable[Channel], own: Iterable[object]) -> None:
        concerned: set[Any] = set()
        for channel in channels:
            if len(channel.members) <= MAX_MEMBERS:
                concerned |= self._watchers.keys() & channel.subscribers.keys()
        concerned.difference_update(own)
        deliver_to_each(event, concerned)
