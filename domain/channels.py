"""Channels here and on other servers: their members, and the rules of their changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from domain.changes import (
    ChannelCreated,
    GuestSaid,
    Joined,
    Left,
    MembershipsDated,
    PeerNamed,
    Said,
    Seen,
    Undo,
)
from domain.errors import AlreadyMember, ChannelFull, LimitReached, NameTaken, NoSuchChannel, NotAMember
from domain.interfaces import Outside
from domain.names import HOST_OF_CHANNEL
from domain.sorted_names import SortedNames
from domain.state import Account, Channel, Member, RemoteChannel, RemoteUser, Visitor
from domain.users import Users


class Channels:
    """All channels, here and on other servers, and their members.

    Args:
        users: all users.
        outside: observers of channels, and other servers.
    """

    def __init__(self, users: Users, outside: Outside) -> None:
        self.local: dict[str, Channel] = {}
        self.remote: dict[str, RemoteChannel] = {}
        """Channels of other servers that accounts are members of."""
        self.names = SortedNames()
        """The names of channels here and of announced ones of other servers (peering.channels)."""
        self._made: Counter[str] = Counter()
        self._users = users
        self._outside = outside
        self.hosts: dict[str, str] = {}
        """Names that configured servers have used, and their identities (L20, L21)."""
        self._identities: dict[str, Counter[str]] = {}
        """For each server's name: the identities under which memberships in its channels began, and their numbers."""

    def find(self, name: str) -> Channel | None:
        """Return a channel here, or a remote one that an account is a member of."""
        return self.local.get(name) or self.remote.get(name)

    def noted(self, name: str) -> Collection[str]:
        """Return the identities for which a server's name is recorded (L20); none if the name is free."""
        if name in self.hosts:
            return [self.hosts[name]]
        return [server for server in self._identities.get(name, ()) if server]

    def began_under(self, account: Account, channel: str) -> str:
        """Return the identity of a remote channel's server under which a membership began (L21); "" if unknown."""
        return self.remote[channel].servers[account.name]

    def has_undated(self, host: str) -> bool:
        """Tell whether a server's channels have memberships without a recorded identity."""
        return "" in self._identities.get(host, ())

    # ---- changes ----

    def apply_created(self, change: ChannelCreated) -> Undo:
        if change.name in self.local:
            raise NameTaken
        made = self._made[change.creator] if change.creator else 0  # channels of the config have no creator
        if len(self.local) >= self._users.limits.channels:
            raise LimitReached("max-channels")
        if made >= self._users.limits.channels_per_creator:
            raise LimitReached("max-channels-per-creator")
        channel = self.local[change.name] = Channel(change.name)
        channel.topic, channel.created = change.topic, change.at
        self.names.add(change.name)
        self._made[change.creator] += 1
        return lambda: self._undo_created(change)

    def _undo_created(self, change: ChannelCreated) -> None:
        name = change.name
        self._made[change.creator] -= 1
        del self.local[name]
        self.names.remove(name)

    def apply_joined(self, change: Joined) -> Undo:
        return self.add(self._users.account(change.account), change.channel, change.server)

    def apply_left(self, change: Left) -> Undo:
        return self.remove(self._users.account(change.account), change.channel)

    def apply_seen(self, change: Seen) -> None:
        """Accept a read marker; the backend alone has these."""
        channel = self.local.get(change.channel)
        if channel is None:
            raise NoSuchChannel
        if change.account not in channel.members:
            raise NotAMember

    def add(self, member: Member, name: str, server: str = "") -> Undo:
        """Make an account, a visitor or a remote user a member of a channel.

        A visitor's membership becomes that of the account that the visitor has become.

        Args:
            member: the account, visitor or remote user.
            name: the channel's name.
            server: the identity of a remote channel's server (L21).

        Raises:
            NoSuchChannel, AlreadyMember, LimitReached, ChannelFull: the first that applies.
        """
        channel = self._channel_to_join(name)
        present = channel.members.get(member.name)
        if isinstance(present, Visitor) and isinstance(member, Account):
            return self._make_lasting(present, member, channel)
        if present is not None:
            raise AlreadyMember
        if len(member.channels) >= self._users.limits.channels_per_user:
            raise LimitReached("max-channels-per-user")
        is_remote = isinstance(member, RemoteUser)
        if not (channel.has_room_for_remote if is_remote else channel.has_room):
            raise ChannelFull
        self._add_member(member, channel, server)
        return lambda: self._undo_joined(member, channel)

    def _make_lasting(self, visitor: Visitor, account: Account, channel: Channel) -> Undo:
        channel.replace_member(visitor, account)
        self._note_channel(account, channel)
        del visitor.channels[channel.name]

        def take_back() -> None:
            channel.replace_member(account, visitor)
            del account.channels[channel.name]
            self._note_channel(visitor, channel)

        return take_back

    def _undo_joined(self, member: Member, channel: Channel) -> None:
        self._remove_member(member, channel)
        self._outside.observer.vacated(channel)

    def remove(self, member: Member, name: str) -> Undo:
        """End a membership.

        Raises:
            NoSuchChannel, NotAMember: the first that applies.
        """
        channel = self._channel(name)
        if member.name not in channel.members:
            raise NotAMember
        server = self._remove_member(member, channel)
        return lambda: self._add_member(member, channel, server)

    def apply_said(self, change: Said) -> None:
        channel = self.local.get(change.channel)  # no further call: this is done for every message
        if channel is None:
            raise NoSuchChannel
        if change.sender not in channel.members:
            raise NotAMember
        if channel.mutes:
            self._outside.observer.check_mute(channel, change.sender)

    def apply_guest_said(self, change: GuestSaid) -> None:
        channel = self.local[change.channel]
        if change.sender not in channel.guests:
            raise NotAMember
        if channel.mutes:
            self._outside.observer.check_mute(channel, change.sender)

    def apply_named(self, change: PeerNamed) -> Undo:
        before = self.hosts.get(change.name)
        self.hosts[change.name] = change.server
        return lambda: self.hosts.pop(change.name) if before is None else self.hosts.update({change.name: before})

    def apply_dated(self, change: MembershipsDated) -> Undo:
        dated = [
            (channel, account)
            for channel in self.remote.values()
            if channel.host == change.name
            for account, server in channel.servers.items()
            if not server
        ]

        def date(server: str) -> None:
            for channel, account in dated:
                self._forget_server(channel, account)
                self._keep_server(channel, account, server)

        date(change.server)
        return lambda: date("")

    # ---- channels by name, and their members ----

    def joined(self, account: Account | Visitor, name: str) -> Channel:
        """Return the account's or visitor's channel of this name. Members and history of a remote one are unknown here.

        Raises:
            NotAMember: the account is not in such a channel.
        """
        if name not in account.channels or name in self.remote:
            raise NotAMember
        return account.channels[name]

    def _channel(self, name: str) -> Channel:
        channel = self.find(name)
        if channel is None:
            raise NoSuchChannel
        return channel

    def _channel_to_join(self, name: str) -> Channel:
        """Return a channel here, or a remote one, whose server has agreed to the join."""
        if HOST_OF_CHANNEL in name:
            return self.remote.get(name) or RemoteChannel(name)
        return self._channel(name)

    def _add_member(self, member: Member, channel: Channel, server: str) -> None:
        channel.add_member(member)
        self._note_channel(member, channel)
        if isinstance(channel, RemoteChannel):
            self.remote[channel.name] = channel
            self._keep_server(channel, member.name, server)

    def _note_channel(self, member: Member, channel: Channel) -> None:
        if member.channels:
            member.channels[channel.name] = channel
        else:
            member.channels = {channel.name: channel}

    def _remove_member(self, member: Member, channel: Channel) -> str:
        """End a membership; return the identity of a remote channel's server under which it began."""
        channel.remove_member(member)
        del member.channels[channel.name]
        if not isinstance(channel, RemoteChannel):
            return ""
        if not channel.members:
            del self.remote[channel.name]
        return self._forget_server(channel, member.name)

    def _keep_server(self, channel: RemoteChannel, account: str, server: str) -> None:
        channel.servers[account] = server
        self._identities.setdefault(channel.host, Counter())[server] += 1

    def _forget_server(self, channel: RemoteChannel, account: str) -> str:
        server = channel.servers.pop(account)
        counts = self._identities[channel.host]
        counts[server] -= 1
        if not counts[server]:
            del counts[server]
        if not counts:
            del self._identities[channel.host]
        return server
