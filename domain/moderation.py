"""Modes, ranks, masks and invitations of channels: requests, and the rules of their changes (C63 to C70).

Their effect is in domain/admission.py. Whether a user may change them is decided when the request comes. The journal
decides the change later, and refuses it only if it changes nothing, or a list is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from domain.changes import (
    ChannelRemoved,
    Done,
    InOrder,
    InvitedToChannel,
    MaskRemoved,
    MaskSet,
    ModeSet,
    RankGiven,
    Undo,
    ignore,
    refusal,
)
from domain.channels import Channels, is_abandoned
from domain.errors import (
    AlreadyMember,
    ChatError,
    HasPort,
    LimitReached,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotAMode,
    NotOperator,
    Unchanged,
)
from domain.events import InvitedIn, ModesChanged
from domain.interfaces import Outside
from domain.journal import Journal
from domain.masks import MAX_MASK, Mask, completed
from domain.modes import (
    FLAGS,
    INVITE_ONLY,
    KEY,
    LIMIT,
    MASK_LISTS,
    OPERATOR,
    SECRET,
    VOICE,
    WITH_VALUE,
    Switch,
)
from domain.state import Account, Channel, Visitor
from domain.users import Users
from text import parse_number

MAX_MASKS = 100
"""Masks of one list of a channel."""

MAX_INVITATIONS = 60
"""Channels to which one user may be invited and has not come yet."""

MAX_KEY = 32
"""Bytes of a key."""

MAX_LIMIT = 10**9
"""The greatest value of the mode `l`."""

Outcomes = Callable[[Sequence[Exception | None]], None]
"""Takes what has become of each of several switches, in their order."""


class Moderation:
    """What operators of channels do, and invitations.

    Args:
        users: all users.
        channels: all channels.
        journal: takes changes.
        outside: observers of channels, and other servers.
        now: the wall clock, in seconds since the epoch.
    """

    def __init__(
        self, users: Users, channels: Channels, journal: Journal, outside: Outside, now: Callable[[], float]
    ) -> None:
        self._users = users
        self._channels = channels
        self._admission = channels.admission
        self._journal = journal
        self._outside = outside
        self._now = now

    # ---- modes ----

    def check_operates(self, name: str, channel: str) -> Channel:
        """Return a channel here that a user operates.

        Raises:
            NoSuchChannel, NotAMember, NotOperator: the first that applies.
        """
        found = self._channels.local_channel(channel)
        if not self._admission.operates(name, found):
            raise NotOperator if name in found.members or name in found.guests else NotAMember
        return found

    def switch(self, by: str, channel: str, switches: Sequence[Switch], done: Outcomes) -> None:
        """Switch modes of a channel, for one of its operators; its followers are told what has changed.

        Each switch fails alone: with NotAMode, HasPort, LimitReached, Unchanged, StoreUnavailable, or with NotAMember
        for the rank of a user who is not there. All fail with NoSuchChannel, NotAMember or NotOperator.

        Args:
            by: the name of the user who asks.
            channel: the channel's name.
            switches: what is to be switched, at least one.
            done: takes all outcomes when the last one has come.
        """
        try:
            found = self.check_operates(by, channel)
        except ChatError as error:
            done([error] * len(switches))
            return
        outcomes: list[Exception | None] = []

        def decided(error: Exception | None) -> None:
            outcomes.append(error)
            if len(outcomes) == len(switches):
                pairs = zip(switches, outcomes, strict=True)
                self._tell(ModesChanged(channel, by, tuple(switch for switch, error in pairs if error is None)), found)
                done(outcomes)

        for switch in switches:
            self._switch(by, found, switch, decided)

    def _switch(self, by: str, channel: Channel, switch: Switch, done: Done) -> None:
        try:
            change = self._change_of(by, channel, switch)
        except ChatError as error:
            self._journal.submit(refusal(error), done)  # in its place among the others
        else:
            self._journal.submit(change, done)

    def _change_of(
        self, by: str, channel: Channel, switch: Switch
    ) -> ModeSet | RankGiven | MaskSet | MaskRemoved | InOrder:
        mode, is_on, value = switch
        if mode in (OPERATOR, VOICE):
            return self._rank_change(by, channel, switch)
        if mode in MASK_LISTS:
            if not _is_mask(value):
                raise NotAMode
            if is_on:
                return MaskSet(channel.name, mode, completed(value), by, self._now())
            return MaskRemoved(channel.name, mode, completed(value))
        if not (mode in FLAGS or (not is_on and mode in WITH_VALUE) or _is_value(mode, value)):
            raise NotAMode
        if is_on and channel.capacity is not None and mode in (INVITE_ONLY, KEY):
            raise HasPort
        kept = value if is_on and mode in WITH_VALUE else ""
        return ModeSet(channel.name, mode, is_on, str(int(kept)) if kept and mode == LIMIT else kept, by, self._now())

    def _rank_change(self, by: str, channel: Channel, switch: Switch) -> RankGiven | InOrder:
        rank, is_given, name = switch
        if isinstance(channel.members.get(name), Account):
            return RankGiven(channel.name, name, rank, is_given, by, self._now())
        if name not in channel.members and name not in channel.guests:
            raise NotAMember
        return InOrder(partial(self._give, channel, Switch(rank, is_given, name), lasts=False))

    def give_rank(self, account: str, channel: str, rank: str, done: Done, *, is_given: bool = True) -> None:
        """Give an account a rank, or take it, for the server's operator. It need not be in the channel.

        Fails with NoSuchChannel, NoSuchUser, Unchanged, StoreUnavailable.
        """

        def decided(error: Exception | None) -> None:
            if error is None:
                event = ModesChanged(channel, "", (Switch(rank, is_given, account),))
                self._tell(event, self._channels.local[channel])
            done(error)

        self._journal.submit(RankGiven(channel, account, rank, is_given, "", self._now()), decided)

    def _tell(self, event: ModesChanged, channel: Channel) -> None:
        if event.switches:
            self._users.presence.tell_followers(event, (channel,))

    # ---- invitations ----

    def invite(self, inviter: Account | Visitor, channel: str, name: str, done: Done) -> None:
        """Let a user join a channel once, whoever else may. An account's invitation lasts until then.

        Any member may invite; in a channel with mode `i` only its operators may. Fails with NoSuchChannel, NotAMember,
        NotOperator, NoSuchUser, AlreadyMember, LimitReached, StoreUnavailable.
        """
        try:
            found = self._channels.local_channel(channel)
            member = self._invited_user(inviter, found, name)
        except ChatError as error:
            done(error)
            return

        def decided(error: Exception | None) -> None:
            if error is None and member.session is not None:
                member.session.deliver(InvitedIn(inviter.name, name, channel))
            done(error)

        if isinstance(member, Visitor):
            self._journal.submit(InOrder(partial(self._invite, member, channel)), decided)
        else:
            self._journal.submit(InvitedToChannel(name, channel, inviter.name, self._now()), decided)

    def _invited_user(self, inviter: Account | Visitor, channel: Channel, name: str) -> Account | Visitor:
        is_above = self._admission.is_above(inviter.name)
        if inviter.name not in channel.members and not is_above:
            raise NotAMember if self._channels.listing.is_shown(channel, inviter.name) else NoSuchChannel
        is_invite_only = channel.modes is not None and INVITE_ONLY in channel.modes.flags
        if is_invite_only and not self._admission.operates(inviter.name, channel):
            raise NotOperator
        user = self._users.accounts.get(name) or self._users.guests.get(name)
        if not (isinstance(user, Visitor) or (isinstance(user, Account) and user.password_hash is not None)):
            raise NoSuchUser  # no other user can be in channels
        if name in channel.members:
            raise AlreadyMember
        return user

    # ---- channels that a JOIN has made ----

    def vacated(self, channel: Channel) -> None:
        """Remove a channel that a JOIN has made, if the last user has left it and nothing was said there."""
        if is_abandoned(channel) and self._channels.local.get(channel.name) is channel:
            self._journal.submit(ChannelRemoved(channel.name), ignore)

    def remove_abandoned(self) -> None:
        """Remove all such channels: guests who were in them are gone with the process before this one."""
        for channel in list(self._channels.local.values()):
            self.vacated(channel)

    # ---- changes ----

    def apply_mode(self, change: ModeSet) -> Undo:
        channel = self._channels.local_channel(change.channel)
        before, after = channel.own_modes().current(change.mode), Switch(change.mode, change.is_on, change.value)
        if before == after:
            raise Unchanged
        self._set_mode(channel, after)
        return lambda: self._set_mode(channel, before)

    def _set_mode(self, channel: Channel, switch: Switch) -> None:
        was_hidden = self._channels.listing.is_hidden(channel)
        channel.own_modes().set(switch.mode, switch.value, is_on=switch.is_on)
        self._channels.listing.update(channel, was_hidden=was_hidden)

    def tell_mode(self, change: ModeSet) -> None:
        """Tell other servers that a channel is hidden, or no more, and guests in its queue that there is room."""
        channel = self._channels.local_channel(change.channel)
        if change.mode == SECRET and not self._channels.listing.members_only:
            if change.is_on:
                self._outside.servers.hidden()
            else:
                self._outside.servers.created(channel.name)
        elif change.mode == LIMIT:
            self._outside.observer.vacated(channel)

    def apply_rank(self, change: RankGiven) -> Undo:
        self._users.account(change.account)
        return self._give(
            self._channels.local_channel(change.channel),
            Switch(change.rank, change.is_given, change.account),
            lasts=True,
        )

    def _give(self, channel: Channel, switch: Switch, *, lasts: bool) -> Undo:
        rank, is_given, name = switch
        modes = channel.own_modes()
        if modes.has(name, rank, lasts=lasts) == is_given:
            raise Unchanged
        return modes.give(name, rank, is_given=is_given, lasts=lasts)

    def apply_mask_set(self, change: MaskSet) -> Undo:
        modes = self._channels.local_channel(change.channel).own_modes()
        masks = modes.list_of(change.kind)
        if change.mask in masks:
            raise Unchanged
        if len(masks) >= MAX_MASKS:
            raise LimitReached
        modes.add_mask(change.kind, Mask(change.mask, change.by, change.at))
        return lambda: modes.remove_mask(change.kind, change.mask)

    def apply_mask_removed(self, change: MaskRemoved) -> Undo:
        modes = self._channels.local_channel(change.channel).own_modes()
        if change.mask not in modes.list_of(change.kind):
            raise Unchanged
        before = modes.list_of(change.kind)
        modes.remove_mask(change.kind, change.mask)
        return lambda: modes.put_masks(change.kind, before)

    def apply_invited(self, change: InvitedToChannel) -> Undo | None:
        self._channels.local_channel(change.channel)
        return self._invite(self._users.account(change.account), change.channel)

    def _invite(self, member: Account | Visitor, channel: str) -> Undo | None:
        if self._admission.is_invited(member, channel):
            return None
        if self._admission.count_invitations(member) >= MAX_INVITATIONS:
            raise LimitReached
        return self._admission.invite(member, channel)


def _is_mask(value: str) -> bool:
    """Tell whether a text can be a mask."""
    return bool(value) and value.isprintable() and " " not in value and len(completed(value)) <= MAX_MASK


def _is_value(mode: str, value: str) -> bool:
    """Tell whether a text can be the value of a mode."""
    if mode == KEY:
        is_word = value.isprintable() and not any(sign in value for sign in " ,:")
        return is_word and 0 < len(value.encode()) <= MAX_KEY
    return mode == LIMIT and 0 < (parse_number(value, MAX_LIMIT + 1) or 0) <= MAX_LIMIT
