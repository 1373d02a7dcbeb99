"""The checks for joining a channel and for speaking there, for every protocol and for other servers (C64, C65).

Bans of the operator come first, then what the channel's own modes say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from domain.bans import Bans
from domain.changes import Said, Undo, nothing
from domain.errors import InviteOnly, KeptOut, NotAMember, NotVoiced, WrongKey
from domain.interfaces import Outside
from domain.modes import INVITE_ONLY, MEMBERS_ONLY, MODERATED, OPERATOR, Modes
from domain.state import Account, Channel, Member, RemoteUser, Visitor


class Admission:
    """The checks for joining and for speaking, and the invitations.

    Args:
        outside: knows how IRC names a user.
        bans: those of the operator, which come first.

    Attributes:
        is_above: tells whether a user, given by name, has the rights of the server's operator.
        invitations: the channels that accounts may join once, by account.
    """

    def __init__(self, outside: Outside, bans: Bans) -> None:
        self.bans = bans
        self.is_above: Callable[[str], bool] = _never_above
        self.invitations: dict[str, set[str]] = {}
        self._outside = outside

    # ---- joining ----

    def check_entry(self, member: Member, channel: Channel, key: str = "") -> None:
        """Check whether an account, a visitor or a remote user may join. Whether there is room is decided later.

        Raises:
            KeptOut, InviteOnly, WrongKey: the first that applies.
        """
        self.bans.check_entry(member, channel)
        modes = channel.modes
        if modes is None or self.is_above(member.name):
            return
        self._check_masks(modes, member.name)
        if self._is_welcome(member, channel):
            return
        is_remote = isinstance(member, RemoteUser)
        if INVITE_ONLY in modes.flags and (is_remote or not self._has_invite_mask(modes, member.name)):
            raise InviteOnly
        if modes.key and modes.key != key:
            raise WrongKey

    def check_guest(self, name: str, address: str, channel: Channel) -> None:
        """Check whether a guest may come in at the channel's own port.

        Raises:
            KeptOut: the operator keeps this address out, or a mask this name.
        """
        self.bans.check_guest(address, channel)
        if channel.modes is not None:
            self._check_masks(channel.modes, name, in_room=True)

    def may_exceed_limit(self, member: Member, channel: Channel) -> bool:
        """Tell whether a user may join although the limit of mode `l` is reached."""
        return self._is_welcome(member, channel)

    def _is_welcome(self, member: Member, channel: Channel) -> bool:
        """Tell whether a user is exempt from the modes `i`, `k` and `l`: an operator, or an invited user."""
        return self.operates(member.name, channel) or self.is_invited(member, channel.name)

    def operates(self, name: str, channel: Channel) -> bool:
        """Tell whether a user may do what the operators of a channel may."""
        return OPERATOR in channel.rank(name) or self.is_above(name)

    # ---- invitations ----

    def is_invited(self, member: Member, channel: str) -> bool:
        """Tell whether a user has been invited to a channel, and has not joined it since."""
        return channel in self.invited_to(member)

    def invite(self, member: Account | Visitor, channel: str) -> Undo:
        """Note an invitation; return its undo."""
        if isinstance(member, Visitor):
            member.invited.add(channel)
        else:
            self.invitations.setdefault(member.name, set()).add(channel)
        return lambda: self._drop(member, channel)

    def use_invitation(self, member: Member, channel: str) -> Undo:
        """Note that somebody has joined: an invitation is used up. Return the undo."""
        if not self.is_invited(member, channel) or isinstance(member, RemoteUser):
            return nothing
        self._drop(member, channel)
        return lambda: self.invite(member, channel)

    def forget_channel(self, channel: str, users: Iterable[Account | Visitor]) -> Undo:
        """Drop the invitations of these users to a channel that is removed; return the undo."""
        invited = [user for user in users if self.is_invited(user, channel)]
        for user in invited:
            self._drop(user, channel)
        return lambda: [self.invite(user, channel) for user in invited]

    def count_invitations(self, member: Account | Visitor) -> int:
        """Return to how many channels a user is invited."""
        return len(self.invited_to(member))

    def invited_to(self, member: Member) -> set[str] | frozenset[str]:
        """Return the channels that a user is invited to."""
        if isinstance(member, Visitor):
            return member.invited
        return self.invitations.get(member.name, frozenset())

    def _drop(self, member: Account | Visitor, channel: str) -> None:
        if isinstance(member, Visitor):
            member.invited.discard(channel)
            return
        channels = self.invitations.get(member.name, set())
        channels.discard(channel)
        if not channels:
            self.invitations.pop(member.name, None)

    # ---- speaking ----

    def said(self, channel: Channel, change: Said, *, in_room: bool = False) -> Undo | None:
        """Decide a message in a channel that has modes; return its undo, if anything has changed.

        Args:
            channel: where it is said.
            change: the message.
            in_room: whether a room guest says it.

        Raises:
            KeptOut, NotVoiced: the first that applies.
        """
        modes = channel.modes
        assert modes is not None
        self._check_speech(modes, change.sender, in_room=in_room)
        if not modes.is_founded:
            return None
        modes.is_founded = False
        return lambda: setattr(modes, "is_founded", True)

    def check_speaker(self, channel: Channel, name: str) -> None:
        """Check whether a member may speak now, for messages that are delivered at once and not stored.

        Raises:
            StillMuted, KeptOut, NotVoiced: the first that applies.
        """
        self._outside.observer.check_mute(channel, name)
        if channel.modes is not None:
            self._check_speech(channel.modes, name, in_room=False)

    def _check_speech(self, modes: Modes, name: str, *, in_room: bool) -> None:
        if modes.rank(name) or self.is_above(name):
            return
        self._check_masks(modes, name, in_room=in_room)
        if MODERATED in modes.flags:
            raise NotVoiced

    def expect_outsider(self, channel: Channel, number: int) -> None:
        """Let a message come from a user who is not in the channel, where its modes allow that.

        Args:
            channel: where it will be said.
            number: the message's.
        """
        if channel.modes is not None and MEMBERS_ONLY not in channel.modes.flags:
            channel.modes.outsiders |= {number}

    def check_outsider(self, channel: Channel, number: int) -> None:
        """Check whether a message may come from a user who is not in the channel.

        Raises:
            NotAMember: it may not.
        """
        modes = channel.modes
        if modes is None or number not in modes.outsiders:
            raise NotAMember
        modes.outsiders -= {number}
        if MEMBERS_ONLY in modes.flags:
            raise NotAMember

    # ---- masks ----

    def _check_masks(self, modes: Modes, name: str, *, in_room: bool = False) -> None:
        if modes.masks and modes.is_banned(self._outside.prefix_of(name, in_room=in_room)):
            raise KeptOut

    def _has_invite_mask(self, modes: Modes, name: str) -> bool:
        return bool(modes.masks) and modes.is_invited(self._outside.prefix_of(name, in_room=False))


def _never_above(_name: str) -> bool:
    return False
