"""Channels here and on other servers: their members, and the rules of their changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from domain.admission import Admission
from domain.changes import (
    ChannelCreated,
    ChannelDeleted,
    ChannelFounded,
    ChannelRemoved,
    GuestSaid,
    Joined,
    Left,
    Said,
    Seen,
    Undo,
)
from domain.errors import AlreadyMember, ChannelFull, InUse, LimitReached, NameTaken, NoSuchChannel, NotAMember
from domain.identities import Identities
from domain.interfaces import Outside
from domain.listing import ChannelListing
from domain.modes import OPERATOR, Modes
from domain.names import HOST_OF_CHANNEL
from domain.state import Account, Channel, Member, RemoteChannel, RemoteUser, Visitor
from domain.users import Users


def is_abandoned(channel: Channel) -> bool:
    """Tell whether a channel that a JOIN has made need not stay: it is empty, nothing was said, and it has no topic."""
    is_new = channel.modes is not None and channel.modes.is_founded
    return is_new and not (channel.members or channel.guests or channel.topic)


def _begin_modes(modes: Modes, change: ChannelCreated, *, is_founded: bool) -> None:
    modes.is_founded = is_founded
    for mode in change.modes:
        if mode == OPERATOR:
            modes.give(change.creator, mode, is_given=True, lasts=True)
        else:
            modes.set(mode, "", is_on=True)


class Channels:
    """All channels, here and on other servers, and their members.

    Args:
        users: all users.
        outside: observers of channels, and other servers.
        admission: says who may come in, and who may speak.
        members_only: a channel is shown to its members alone, as one with mode `s` (C69).

    Attributes:
        identities: the servers of the remote channels.
        listing: which channels a user may know of.
    """

    def __init__(self, users: Users, outside: Outside, admission: Admission, *, members_only: bool = False) -> None:
        self.admission = admission
        self.local: dict[str, Channel] = {}
        self.listing = ChannelListing(self.local, members_only=members_only)
        self.name_watchers: list[Callable[[str, bool], object]] = []
        """Called with the name of each channel that is made (True) or removed (False)."""
        self.remote: dict[str, RemoteChannel] = {}
        """Channels of other servers that accounts are members of."""
        self._made: Counter[str] = Counter()
        self._users = users
        self._outside = outside
        self.identities = Identities(self.remote)

    def _note_name(self, name: str, *, taken: bool) -> None:
        for watch in self.name_watchers:
            watch(name, taken)

    def find(self, name: str) -> Channel | None:
        """Return a channel here, or a remote one that an account is a member of."""
        return self.local.get(name) or self.remote.get(name)

    def local_channel(self, name: str) -> Channel:
        """Return a channel here.

        Raises:
            NoSuchChannel: there is none of this name.
        """
        channel = self.local.get(name)
        if channel is None:
            raise NoSuchChannel
        return channel

    # ---- changes ----

    def apply_created(self, change: ChannelCreated) -> Undo:
        if change.name in self.local:
            raise NameTaken
        made = self._made[change.creator] if change.creator else 0  # channels of the config have no creator
        if len(self.local) >= self._users.limits.channels:
            raise LimitReached("max-channels")
        if made >= self._users.limits.channels_per_creator:
            raise LimitReached("max-channels-per-creator")
        channel = Channel(change.name, change.creator)
        channel.topic, channel.topic_set = change.topic, (change.topic_by, change.topic_at)
        channel.created = change.at
        is_founded = isinstance(change, ChannelFounded)
        if change.modes or is_founded:
            _begin_modes(channel.own_modes(), change, is_founded=is_founded)
        self._put(channel)
        return lambda: self._drop(channel)

    def apply_removed(self, change: ChannelRemoved) -> Undo:
        channel = self.local_channel(change.name)
        if not is_abandoned(channel):
            raise InUse
        return self.remove_empty(channel)

    def tell_created(self, change: ChannelCreated) -> None:
        """Tell other servers of a new channel that they may know of."""
        channel = self.local.get(change.name)
        if channel is not None and not self.listing.is_hidden(channel):
            self._outside.servers.created(change.name)

    def tell_gone(self, _change: ChannelRemoved | ChannelDeleted) -> None:
        """Tell other servers which channels there are."""
        self._outside.servers.hidden()

    def remove_empty(self, channel: Channel) -> Undo:
        """Remove a channel that has no members and no guests; return the undo."""
        self._drop(channel)
        restore_bans = self.admission.bans.forget_channel(channel.name)
        visitors = [guest for guest in self._users.guests.values() if isinstance(guest, Visitor)]
        restore_invitations = self.admission.forget_channel(channel.name, [*self._users.accounts.values(), *visitors])

        def undo() -> None:
            restore_bans()
            restore_invitations()
            self._put(channel)

        return undo

    def rename(self, channel: Channel, name: str) -> Undo:
        """Give a channel another name, which is free; return the undo."""
        old = channel.name
        self._move(channel, name)
        restore_bans = self.admission.bans.rename_channel(old, name)

        def undo() -> None:
            restore_bans()
            self._move(channel, old)

        return undo

    def _move(self, channel: Channel, name: str) -> None:
        old = channel.name
        self._drop(channel)
        channel.name = name
        self._put(channel)
        for member in channel.members.values():
            member.channels = {name if key == old else key: each for key, each in member.channels.items()}
            if isinstance(member, Visitor):
                member.since[name] = member.since.pop(old)
        visitors = (guest for guest in self._users.guests.values() if isinstance(guest, Visitor))
        for invited in (*self.admission.invitations.values(), *(visitor.invited for visitor in visitors)):
            if old in invited:
                invited.remove(old)
                invited.add(name)

    def _put(self, channel: Channel) -> None:
        self.local[channel.name] = channel
        self._note_name(channel.name, taken=True)
        self._made[channel.creator] += 1
        self.listing.add(channel)

    def _drop(self, channel: Channel) -> None:
        self._made[channel.creator] -= 1
        del self.local[channel.name]
        self._note_name(channel.name, taken=False)
        self.listing.remove(channel)

    def apply_joined(self, change: Joined) -> Undo:
        return self.add(self._users.account(change.account), change.channel, change.server)

    def apply_left(self, change: Left) -> Undo:
        return self.remove(self._users.account(change.account), change.channel)

    def apply_seen(self, change: Seen) -> None:
        """Accept a read marker; the backend alone has these."""
        if change.account not in self.local_channel(change.channel).members:
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
        if channel.is_at_limit and not self.admission.may_exceed_limit(member, channel):
            raise ChannelFull
        self._add_member(member, channel, server)
        restore_invitation = self.admission.use_invitation(member, name)
        return lambda: self._undo_joined(member, channel, restore_invitation)

    def _make_lasting(self, visitor: Visitor, account: Account, channel: Channel) -> Undo:
        channel.replace_member(visitor, account)
        self._note_channel(account, channel)
        del visitor.channels[channel.name]

        def undo() -> None:
            channel.replace_member(account, visitor)
            del account.channels[channel.name]
            self._note_channel(visitor, channel)

        return undo

    def _undo_joined(self, member: Member, channel: Channel, restore_invitation: Undo) -> None:
        restore_invitation()
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

    def apply_said(self, change: Said) -> Undo | None:
        channel = self.local.get(change.channel)  # no further call: this is done for every message
        if channel is None:
            raise NoSuchChannel
        if change.sender not in channel.members:
            self.admission.check_outsider(channel, change.number)
        if channel.mutes:
            self._outside.observer.check_mute(channel, change.sender)
        modes = channel.modes
        return self.admission.said(channel, change) if modes is not None and modes.looks_at_speech else None

    def apply_guest_said(self, change: GuestSaid) -> Undo | None:
        channel = self.local[change.channel]
        if change.sender not in channel.guests:
            raise NotAMember
        if channel.mutes:
            self._outside.observer.check_mute(channel, change.sender)
        modes = channel.modes
        if modes is None or not modes.looks_at_speech:
            return None
        return self.admission.said(channel, change, in_room=True)

    def forget_account(self, name: str) -> Undo:
        """Drop the ranks and invitations of an account that is removed; return the undo."""
        ranked = [channel.modes for channel in self.local.values() if channel.modes and name in channel.modes.ranks]
        ranks = [modes.ranks.pop(name) for modes in ranked]
        invited = self.admission.invitations.pop(name, None)

        def undo() -> None:
            for modes, rank in zip(ranked, ranks, strict=True):
                modes.ranks[name] = rank
            if invited is not None:
                self.admission.invitations[name] = invited

        return undo

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
            self._note_name(channel.name, taken=True)
            self.identities.keep(channel, member.name, server)

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
            self._note_name(channel.name, taken=False)
        return self.identities.forget(channel, member.name)
