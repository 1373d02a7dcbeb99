"""Channels with a port of their own (C26), and what the operator does in channels: mute, kick, empty.

A guest has a name in one channel only; guests.py has the places of guests. Events go to the guests concerned and to the
operator. All is decided and published in the journal's order (changes.InOrder), so it overtakes no message of the same
turn. Only a guest's name and channel are settled at once, when the guest asks; they cannot fail later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from domain.changes import Done, InOrder, Said, Undo, refusal
from domain.chat import Chat
from domain.errors import (
    CannotEnter,
    ChatError,
    KeptOut,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotHere,
    NotMuted,
    StillMuted,
    StoreUnavailable,
    Waiting,
)
from domain.events import (
    ChannelMessages,
    Departed,
    DirectMessage,
    Kicked,
    Occupancy,
    Removed,
    Silenced,
    Unmuted,
    Whispered,
)
from domain.guests import RoomGuests
from domain.interfaces import ChannelObserver, Timers
from domain.sessions import ClientSession, Subscriber
from domain.state import Channel, Member, RoomGuest
from domain.walks import walk

MAX_MUTE_SECONDS = 10**12
"""Seconds of a mute; longer ones are cut to this, more than 30,000 years."""


class Rooms(ChannelObserver):
    """All channels with a port, and what the operator can do in any channel.

    Args:
        chat: whose channels they are.
        guests: the guests of these channels.
        timers: the monotonic clock.
        now: the wall clock, in seconds since the epoch.
        show: tells the operator an event.
    """

    def __init__(
        self, chat: Chat, guests: RoomGuests, timers: Timers, now: Callable[[], float], show: Callable[[Any], None]
    ) -> None:
        self.hosted: dict[str, Channel] = {}
        self.guests = guests
        self._removing: dict[tuple[str, str], Kicked | None] = {}
        """Members whom the operator is removing, by channel and name, with what the operator is shown then."""
        self._chat = chat
        self._timers = timers
        self._now = now
        self._show = show

    def host(self, name: str, capacity: int) -> None:
        """Give an existing channel a port of its own.

        Args:
            name: the channel's name.
            capacity: how many may be in it at once.
        """
        channel = self._chat.channels.local[name]
        channel.capacity = capacity
        self.hosted[name] = channel
        self.guests.host(name)

    # ---- what guests do ----

    def enter(self, session: ClientSession, channel: str, name: str, done: Done, *, takes_files: bool) -> None:
        """Put a session into a channel's queue, and into the channel if there is room.

        Fails with CannotEnter: it is no name, or a user or a guest of this channel has it, or it is kept out. Then
        nothing has changed.
        """
        users = self._chat.users
        is_free = users.may_name(name) and not users.is_users(name) and not self.guests.find(channel, name)
        if not is_free or self._is_kept_out(name, session.address, channel):
            done(CannotEnter())
        else:
            self.guests.enter(session, name, self.hosted[channel], done, takes_files=takes_files)

    def say(self, guest: RoomGuest, text: str, done: Done) -> None:
        """Say something in the channel. Fails as `Chat.say_as_guest`."""
        self._chat.say_as_guest(guest, text, done)

    def whisper_to(self, guest: RoomGuest, name: str, text: str, done: Done) -> None:
        """Send a direct message to a user who is in the channel too. Fails with NotAMember while the guest waits,
        StillMuted, NotHere."""
        self._whisper(guest, guest.channel, name, text, self._chat.outside.counting(done))

    def maybe_guest(self, guest: RoomGuest, name: str) -> RoomGuest | None:
        """Return a guest of the channel by name; None for a member who is logged in.

        Raises:
            Waiting: this guest is in the queue.
            NotHere: nobody of this name is in the channel.
        """
        if guest.waits:
            raise Waiting
        return self.who_is_there(guest.channel.name, name).guests.get(name)

    def switch(self, guest: RoomGuest, channel: str, done: Done) -> None:
        """Leave, and come to another channel with a port as a newcomer does.

        Fails with NoSuchChannel, and with CannotEnter where the name is another guest's; the guest stays.
        """
        target = self.hosted.get(channel)
        if target is None:
            self._chat.journal.submit(refusal(NoSuchChannel()), done)
        elif self.guests.find(channel, guest.name) or self._is_kept_out(guest.name, guest.session.address, channel):
            self._chat.journal.submit(refusal(CannotEnter()), done)
        else:
            self.guests.move(guest, target, Departed(guest.name, self._now()), done)

    def _is_kept_out(self, name: str, address: str, channel: str) -> bool:
        try:
            self._chat.channels.admission.check_guest(name, address, self.hosted[channel])
        except KeptOut:
            return True
        return False

    def quit(self, guest: RoomGuest, done: Done) -> None:
        """Leave with a goodbye."""
        departed = Departed(guest.name, self._now())
        self.guests.close(guest, departed, departed, done)

    def lost(self, session: ClientSession) -> None:
        """The session is over. No-op if its guest has left before."""
        guest: RoomGuest | None = session.principal
        if guest is not None:
            self.guests.close(guest)

    def list_in_order(self, tell: Callable[[Sequence[Occupancy]], None], done: Done) -> None:
        """Call `tell` with `occupancy` when all changes before have been published."""
        self._chat.tell_in_order(lambda: tell(self.occupancy()), done)

    def occupancy(self) -> list[Occupancy]:
        """Return the published occupancy of each channel with a port, in the order of their creation."""
        return [
            Occupancy(name, channel.population, channel.capacity or 0, self.guests.waiting(name))
            for name, channel in self.hosted.items()
        ]

    # ---- what the operator does ----

    def kick(self, channel: str, name: str, done: Done, by: str = "", reason: str = "") -> None:
        """Remove a user from a channel or its queue; the operator is shown it. Fails with NoSuchChannel, NotHere,
        StoreUnavailable.

        Args:
            channel: the channel's name.
            name: the user's.
            done: takes the outcome.
            by: the operator of the channel who asks; "" for the server's operator.
            reason: why.
        """
        found = self._chat.channels.local.get(channel)
        guest = self.guests.find(channel, name)
        kicked = Kicked(name, self._now(), by, reason)
        if found is None:
            done(NoSuchChannel())
        elif guest is not None:
            self.guests.close(guest, Departed(name, kicked.at), kicked, done)
        elif name in found.members:
            self._remove_member(found, name, kicked, done)
        else:
            done(NotHere())

    def mute(self, channel: str, name: str, seconds: int, done: Done) -> None:
        """Mute a user who is in a channel; this replaces an earlier mute. 0 seconds do nothing. Fails with NotHere."""
        mute = Silenced(channel, name, seconds, self._now())
        self._chat.journal.submit(InOrder(lambda: self._apply_mute(mute), lambda: self._tell_mute(mute)), done)

    def unmute(self, channel: str, name: str, done: Done) -> None:
        """End a mute, also of a name that is not in the channel. Fails with NoSuchChannel, NotMuted."""
        unmuted = Unmuted(channel, name, self._now())
        change = InOrder(lambda: self._apply_unmute(unmuted), lambda: self._tell_unmute(unmuted))
        self._chat.journal.submit(change, done)

    def _apply_unmute(self, unmuted: Unmuted) -> Undo:
        found = self._chat.channels.local.get(unmuted.channel)
        if found is None:
            raise NoSuchChannel
        if not found.muted_for(unmuted.user, self._timers.monotonic()):
            raise NotMuted
        until = found.mutes.pop(unmuted.user)
        return lambda: found.mutes.update({unmuted.user: until})

    def _tell_unmute(self, unmuted: Unmuted) -> None:
        channel = self._chat.channels.local[unmuted.channel]
        guest = channel.guests.get(unmuted.user)
        session = self._member_session(channel, unmuted.user) if guest is None else guest.session
        if session is not None:
            session.deliver(unmuted)

    def _apply_mute(self, mute: Silenced) -> Undo | None:
        found = self.who_is_there(mute.channel, mute.user)
        if not mute.seconds:
            return None
        now, before = self._timers.monotonic(), found.mutes.get(mute.user)
        delay = mute.seconds - found.muted_for(mute.user, now)
        found.mutes[mute.user] = now + mute.seconds
        guest = found.guests.get(mute.user)
        if guest is not None:
            guest.idle_since += delay  # a mute does not count as silence

        def undo() -> None:
            if before is None:
                del found.mutes[mute.user]
            else:
                found.mutes[mute.user] = before
            if guest is not None:
                guest.idle_since -= delay

        return undo

    def _tell_mute(self, mute: Silenced) -> None:
        if mute.seconds:
            channel = self._chat.channels.local[mute.channel]
            self.guests.tell(channel, mute)
            session = self._member_session(channel, mute.user)
            if session is not None:
                session.deliver(mute)

    def who_is_there(self, channel: str, name: str) -> Channel:
        """Return a channel, if a guest or online member of this name is in it.

        Raises:
            NotHere: there is none.
        """
        found = self._chat.channels.local.get(channel)
        if found is None or not (name in found.guests or self._member_session(found, name)):
            raise NotHere
        return found

    def empty(self, channel: str, done: Done) -> None:
        """Remove everybody from a channel; guests are told nothing, the operator is shown it, and the queue moves up.

        A large channel is emptied in pieces. Fails with NoSuchChannel; StoreUnavailable: members are still in it.
        """
        found = self._chat.channels.local.get(channel)
        if found is None:
            done(NoSuchChannel())
        else:
            walk(self._empty(found, done), self._timers)

    def _empty(self, channel: Channel, done: Done) -> Iterator[None]:
        failure: list[Exception] = []

        def removed(error: Exception | None) -> None:
            if isinstance(error, StoreUnavailable):
                failure[:] = [error]

        self.guests.hold_queue(channel)
        for name in list(channel.members):
            if name in channel.members:  # else it has left meanwhile
                self._remove_member(channel, name, None, removed)
            yield
        self.guests.empty(channel, lambda: failure[0] if failure else None, done)

    def _remove_member(self, channel: Channel, name: str, shown: Kicked | None, done: Done) -> None:
        """Remove a member. `left` is not called for a member who is not logged in."""
        key = (channel.name, name)

        def removed(error: Exception | None) -> None:
            waiting = self._removing.pop(key, None)
            if error is None and waiting is not None:
                self._show(waiting)
            done(error)

        removal = Removed(channel.name) if shown is None else Removed(channel.name, shown.by, shown.reason)
        self._removing.setdefault(key, shown)
        self._chat.remove(channel.members[name], channel.name, removal, removed)

    # ---- what the chat tells ----

    def check_mute(self, channel: Channel, name: str) -> None:
        now = self._timers.monotonic()
        rest = channel.muted_for(name, now)
        if rest:
            raise StillMuted(max(1, int(rest)))

    def said(self, messages: Sequence[Said]) -> None:
        self._show(ChannelMessages(tuple(messages)))

    def joined(self, channel: Channel, name: str) -> None:
        self.guests.tell_entered(channel, name)

    def left(self, channel: Channel, name: str) -> None:
        departed = Departed(name, self._now())
        shown = self._removing.pop((channel.name, name), departed)
        if shown is not None:
            self._show(shown)
            self.guests.tell(channel, departed)

    def vacated(self, channel: Channel) -> None:
        self.guests.vacated(channel)
        self._chat.moderation.vacated(channel)

    def whisper_from_member(self, member: Member, name: str, text: str, done: Done, room: str = "") -> None:
        channels = (channel for channel in member.channels.values() if name in channel.guests)
        channel = next((channel for channel in channels if room in ("", channel.name)), None)
        if channel is None:
            done(NoSuchUser())
        else:
            self._whisper(member, channel, name, text, done)

    # ---- pieces ----

    def _whisper(self, sender: RoomGuest | Member, channel: Channel, name: str, text: str, done: Done) -> None:
        def decided(error: Exception | None) -> None:
            done(error or self._tell_whisper(channel, Whispered(sender.name, name, text, self._now())))

        self._chat.journal.submit(InOrder(lambda: self._check_speaker(channel, sender)), decided)

    def _check_speaker(self, channel: Channel, speaker: RoomGuest | Member) -> None:
        if isinstance(speaker, RoomGuest) and channel.guests.get(speaker.name) is not speaker:
            raise NotAMember
        self.check_mute(channel, speaker.name)

    def _tell_whisper(self, channel: Channel, event: Whispered) -> ChatError | None:
        if channel.capacity is not None:
            self._show(event)
        guest = channel.guests.get(event.recipient)
        session = self._member_session(channel, event.recipient)
        if guest is not None:
            guest.session.deliver(event)
        elif session is not None:
            room = channel.name if event.sender in channel.guests else ""
            number = self._chat.messages.next_id()
            session.deliver(DirectMessage(event.sender, event.text, event.at, number, room=room))
        else:
            return NotHere()
        return None

    def _member_session(self, channel: Channel, name: str) -> Subscriber | None:
        member = channel.members.get(name)
        return None if member is None else member.session
