"""The subscribers of channels: the sessions of members here, and the members at other servers.

A decision changes the members of a channel; the subscribers follow when the decision is published.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.changes import Joined, Left
from domain.channels import Channels
from domain.events import CameIn, GuestGone, GuestRenamed, WentOut
from domain.interfaces import Outside
from domain.state import Account, Channel, RemoteSubscribers, RemoteUser, Visitor
from domain.users import Users


class Subscriptions:
    """The subscribers of all channels, and what others are told when they come and go.

    Args:
        users: all users, and the sessions that are told of presence.
        channels: all channels.
        outside: observers of channels.
    """

    def __init__(self, users: Users, channels: Channels, outside: Outside) -> None:
        self._users = users
        self._channels = channels
        self._outside = outside
        self._farewells: dict[tuple[str, str], WentOut] = {}
        """What others are told when a membership ends, by channel and name, where there is more to say than that."""

    def expect_end(self, farewell: WentOut) -> None:
        """Note what others are to be told when a membership ends; forgotten with `expect_no_end`."""
        self._farewells[farewell.channel, farewell.user] = farewell

    def expect_no_end(self, channel: str, user: str) -> None:
        """The membership has ended, or will not end."""
        self._farewells.pop((channel, user), None)

    def tell_joined(self, change: Joined) -> None:
        """Subscribe the clients of an account that has joined a channel."""
        channel = self._channels.find(change.channel)
        if channel is not None:  # a remote channel is forgotten when its last member leaves
            self.add(self._users.account(change.account), channel)

    def tell_left(self, change: Left) -> None:
        """Unsubscribe the clients of an account that has left a channel."""
        channel = self._channels.find(change.channel)
        if channel is not None:
            self.remove(self._users.account(change.account), channel)

    def add(self, member: Account | Visitor, channel: Channel) -> None:
        """Subscribe the clients of a new member. No-op if all of them are subscribed."""
        own = member.sessions
        if all(session in channel.subscribers for session in own):
            return
        for session in own:
            channel.subscribe(session)
        self._users.presence.changed(member.name, online=True, channels=(channel,), own=own)
        self._users.presence.tell_followers(CameIn(member.name, channel.name), (channel,))
        if channel.capacity is not None:
            self._outside.observer.joined(channel, member.name)

    def remove(self, member: Account | Visitor, channel: Channel) -> None:
        """Unsubscribe the clients of a member that has left."""
        self._unsubscribe(member, channel)
        farewell = self._farewells.pop((channel.name, member.name), WentOut(member.name, channel.name))
        self._users.presence.tell_followers(farewell, (channel,), member.sessions)
        self._outside.observer.vacated(channel)

    def remove_gone(self, member: Visitor, channels: Iterable[Channel]) -> None:
        """Unsubscribe a visitor that has logged out, from all its channels."""
        for channel in channels:
            self._unsubscribe(member, channel)
            self._outside.observer.vacated(channel)
        self._users.presence.tell_followers(GuestGone(member.name, member.farewell), channels)

    def _unsubscribe(self, member: Account | Visitor, channel: Channel) -> None:
        channel.drop_rank(member.name)
        own = member.sessions
        leaving = [session for session in own if session in channel.subscribers]
        if leaving:
            if channel.capacity is not None:
                self._outside.observer.left(channel, member.name)
            for session in leaving:
                channel.unsubscribe(session)
            self._users.presence.changed(member.name, online=False, channels=(channel,), own=own)

    def tell_renamed(self, member: Visitor, old: str) -> None:
        """Tell that a member has another name: the old one has left its channels, and the new one has come."""
        channels = member.channels.values()
        self._users.presence.changed(old, online=False, channels=channels, own=member.sessions)
        self._users.presence.changed(member.name, online=True, channels=channels, own=member.sessions)
        self._users.presence.tell_followers(GuestRenamed(old, member.name), channels)
        for channel in channels:
            if channel.capacity is not None:
                self._outside.observer.left(channel, old)
                self._outside.observer.joined(channel, member.name)

    def add_remote(self, member: RemoteUser, name: str) -> None:
        """Subscribe a remote user who has joined a channel here."""
        channel = self._channels.local[name]
        channel.elsewhere.setdefault(member.relay, RemoteSubscribers()).add(member.user)
        self._users.presence.changed(member.name, online=True, channels=(channel,))
        self._users.presence.tell_followers(CameIn(member.name, name), (channel,))
        if channel.capacity is not None:
            self._outside.observer.joined(channel, member.name)

    def remove_remote(self, member: RemoteUser, name: str) -> None:
        """Unsubscribe a remote user who has left a channel here."""
        channel = self._channels.local[name]
        if channel.capacity is not None:
            self._outside.observer.left(channel, member.name)
        there = channel.elsewhere[member.relay]
        there.remove(member.user)
        if not there:
            del channel.elsewhere[member.relay]
        self._users.presence.changed(member.name, online=False, channels=(channel,))
        channel.drop_rank(member.name)
        farewell = self._farewells.pop((name, member.name), WentOut(member.name, name))
        self._users.presence.tell_followers(farewell, (channel,))
        self._outside.observer.vacated(channel)
