"""Channels with a port of their own (C26): guests, who wait in a queue when a channel is full, go AFK, and may be
muted or thrown out by the operator. It is the domain's other half: it speaks no wire, and what lasts is chat.Chat's.

A guest holds a name in one channel only. Whoever leaves, in whatever way, makes room: the first in the queue comes in
at once (O10). Those who still wait are told their places; when others leave the queue, once for all of them at the end
of the turn (O8).

What guests and the operator do is decided in the journal's order (changes.InOrder), and told in it, so that it
overtakes no message of the same turn. Only which name a guest has, and for which channel, is settled when it is asked
for, and cannot fail later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from domain.changes import Done, InOrder, Left, Said, Undo
from domain.chat import Chat
from domain.errors import CannotEnter, ChatError, NoSuchChannel, NoSuchUser, NotAMember, NotHere, StillMuted, Waiting
from domain.events import (
    ChannelMessages,
    Departed,
    DirectMessage,
    Emptied,
    Entered,
    Kicked,
    Occupancy,
    Queued,
    Removed,
    Silenced,
    Welcomed,
    WentAway,
    Whispered,
)
from domain.interfaces import Timers, Watch
from domain.sessions import Hearer, Recipient
from domain.state import Channel, Member, RoomGuest

log = logging.getLogger("crosstalk.rooms")

SHORT_QUEUE = 100
"""Guests who wait are told at once that one of them has come in, if they are no more than this."""

FOR_EVER = 10**12
"""Seconds of a mute that is meant to be longer."""


Tell = Callable[[], object]
"""Tells somebody something."""


def _nothing() -> None:
    """What there is to tell of what is told otherwise."""


def _ignore(_error: Exception | None) -> None:
    """Take an outcome of which nobody need know."""


def _raise(error: ChatError) -> Callable[[], None]:
    """Give a decision against something."""

    def decide() -> None:
        raise error

    return decide


def _call_all(calls: Iterable[Tell]) -> None:
    for call in calls:
        call()


class Rooms(Watch):
    """All channels with a port, and what the operator can do in any channel.

    Args:
        chat: whose channels they are; this becomes its watch.
        timers: the monotonic clock.
        now: the wall clock, in seconds since the epoch.
        show: tells the operator an event.
        afk_seconds: a guest who is silent for so long is closed.
    """

    def __init__(
        self, chat: Chat, timers: Timers, now: Callable[[], float], show: Callable[[Any], None], afk_seconds: float
    ) -> None:
        self.hosted: dict[str, Channel] = {}
        self._guests: dict[str, dict[str, RoomGuest]] = {}
        """The guests of each channel, by name: those in it, those in its queue, and those who are still to come."""
        self._queues: dict[str, dict[str, RoomGuest]] = {}
        self._moved: dict[str, RoomGuest] = {}
        """Queues that somebody has left in this turn, and the last guest in each who was there then."""
        self._removing: dict[tuple[str, str], Kicked | None] = {}
        """What is shown when members are out whom the operator takes out, by channel and name."""
        self._chat = chat
        self._timers = timers
        self._now = now
        self._show = show
        self._afk_seconds = afk_seconds
        self._closed = False

    def host(self, name: str, capacity: int) -> None:
        """Give a channel, which exists, a port of its own: so many may be in it at once."""
        channel = self._chat.channels.local[name]
        channel.capacity = capacity
        self.hosted[name] = channel
        self._queues[name] = {}
        self._guests[name] = {}

    def close(self) -> None:
        """The server stops: nobody is told anything any more, and nobody moves in."""
        self._closed = True

    def end_turn(self) -> None:
        """Tell those who wait in queues that have moved where they are now, once for all moves of this turn (O8)."""
        for name in list(self._moved):
            self._tell_places(self._new_places(self.hosted[name]))

    # ---- what guests do ----

    def enter(self, session: Recipient, channel: str, name: str, done: Done, *, takes_files: bool) -> None:
        """Put a session into a channel's queue, and into the channel if there is room.

        Fails with CannotEnter: it is no name, or a user or a guest of this channel has it. Then nothing has changed.
        """
        hosted, users = self.hosted[channel], self._chat.users
        if not users.may_name(name) or users.is_users(name) or self._has(hosted, name):
            done(CannotEnter())
            return
        guest = session.principal = RoomGuest(name, session, hosted, takes_files=takes_files)
        users.visitors[name] += 1
        self._arrive(guest, done)

    def stir(self, guest: RoomGuest) -> None:
        """The guest has done something, and is not silent; what the muted do does not count."""
        now = self._timers.monotonic()
        if not self._muted_for(guest.channel, guest.name, now):
            guest.idle_since = now

    def say(self, guest: RoomGuest, text: str, done: Done) -> None:
        """Say something in the channel. Fails as `Chat.say_as_guest`."""
        self._chat.say_as_guest(guest, text, done)

    def whisper_to(self, guest: RoomGuest, name: str, text: str, done: Done) -> None:
        """Say something to one who is in the channel too. Fails with NotAMember while the guest waits, StillMuted,
        NotHere."""
        self._whisper(guest, guest.channel, name, text, done)

    def maybe_guest(self, guest: RoomGuest, name: str) -> RoomGuest | None:
        """Give a guest of the channel by name; None for a member who is there.

        Raises:
            Waiting, NotHere: nobody of this name is there.
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
            self._chat.journal.submit(InOrder(_raise(NoSuchChannel()), _nothing), done)
        elif self._has(target, guest.name):
            self._chat.journal.submit(InOrder(_raise(CannotEnter()), _nothing), done)
        else:
            departed = Departed(guest.name, self._now())
            self._depart(guest, departed, departed)
            del self._guests[guest.channel.name][guest.name]
            guest.channel = target
            self._arrive(guest, done)

    def quit(self, guest: RoomGuest, done: Done) -> None:
        """Leave with a goodbye."""
        departed = Departed(guest.name, self._now())
        self._close(guest, departed, departed, done)

    def lost(self, session: Recipient) -> None:
        """The session is over; nothing happens if its guest has left before."""
        guest: RoomGuest | None = session.principal
        if guest is not None:
            self._close(guest)

    def list_in_order(self, tell: Callable[[Sequence[Occupancy]], None], done: Done) -> None:
        """Tell `occupancy` when all that was asked for before has been told."""
        self._chat.tell_in_order(lambda: tell(self.occupancy()), done)

    def occupancy(self) -> list[Occupancy]:
        """Give how full each channel with a port is, in their order, as far as it has been told."""
        return [
            Occupancy(name, channel.population, channel.capacity or 0, len(self._queues[name]))
            for name, channel in self.hosted.items()
        ]

    # ---- what the operator does ----

    def kick(self, channel: str, name: str, done: Done) -> None:
        """Take somebody out of a channel or its queue; the operator is shown it. Fails with NoSuchChannel, NotHere,
        StoreUnavailable."""
        found = self._chat.channels.local.get(channel)
        guest = self._guests.get(channel, {}).get(name)
        kicked = Kicked(name, self._now())
        if found is None:
            done(NoSuchChannel())
        elif guest is not None:
            self._close(guest, Departed(name, kicked.at), kicked, done)
        elif name in found.members:
            self._remove_member(found, name, kicked, done)
        else:
            done(NotHere())

    def mute(self, channel: str, name: str, seconds: int, done: Done) -> None:
        """Let somebody who is in a channel say nothing there for so many seconds; a newer mute counts. None is without
        effect. Fails with NotHere: nobody of this name is there.
        """
        mute = Silenced(channel, name, seconds, self._now())
        self._chat.journal.submit(InOrder(lambda: self._apply_mute(mute), lambda: self._tell_mute(mute)), done)

    def _apply_mute(self, mute: Silenced) -> Undo | None:
        found = self.who_is_there(mute.channel, mute.user)
        if not mute.seconds:
            return None
        now, before = self._timers.monotonic(), found.mutes.get(mute.user)
        delay = mute.seconds - self._muted_for(found, mute.user, now)
        found.mutes[mute.user] = now + mute.seconds
        guest = found.guests.get(mute.user)
        if guest is not None:
            guest.idle_since += delay  # the clock stands still

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
            self._tell_guests(channel, mute)
            session = self._member_session(channel, mute.user)
            if session is not None:
                session.deliver(mute)

    def who_is_there(self, channel: str, name: str) -> Channel:
        """Give the channel, if a guest or member of this name is in it now.

        Raises:
            NotHere: there is none.
        """
        found = self._chat.channels.local.get(channel)
        if found is None or not (name in found.guests or self._member_session(found, name)):
            raise NotHere
        return found

    def empty(self, channel: str, done: Done) -> None:
        """Take everybody out of a channel, without a word to the guests; the operator is shown it, the queue moves in.

        Fails with NoSuchChannel.
        """
        found = self._chat.channels.local.get(channel)
        if found is None:
            done(NoSuchChannel())
            return
        for name in found.members:
            self._remove_member(found, name, None, _ignore)
        self._in_order(partial(self._empty, found, Emptied(channel, self._now())), done)

    def _empty(self, channel: Channel, emptied: Emptied) -> list[Tell]:
        guests = list(channel.guests.values())
        for guest in guests:
            self._unseat(guest, channel)
            self._forget(guest)
        told = [partial(self._tell_departed, guest, channel, None, None) for guest in guests]
        return [*told, partial(self._show, emptied), *self._fill(channel)]

    # ---- what the chat tells ----

    def check_mute(self, channel: Channel, name: str) -> None:
        now = self._timers.monotonic()
        rest = self._muted_for(channel, name, now)
        if rest:
            raise StillMuted(max(1, int(rest)))

    def said(self, messages: Sequence[Said]) -> None:
        self._show(ChannelMessages(tuple(messages)))

    def joined(self, channel: Channel, name: str) -> None:
        event = Entered(name, channel.name, self._now())
        self._tell_guests(channel, event)
        self._show(event)

    def left(self, channel: Channel, change: Left) -> None:
        departed = Departed(change.account, self._now())
        shown = self._removing.pop((channel.name, change.account), departed)
        if shown is not None:
            self._show(shown)
            self._tell_guests(channel, departed)

    def vacated(self, channel: Channel) -> None:
        for tell in self._fill(channel):
            self._chat.tell_in_order(tell)

    def member_whispers(self, member: Member, name: str, text: str, done: Done) -> None:
        channel = next((channel for channel in member.channels.values() if name in channel.guests), None)
        if channel is None:
            done(NoSuchUser())
        else:
            self._whisper(member, channel, name, text, done)

    def _remove_member(self, channel: Channel, name: str, shown: Kicked | None, done: Done) -> None:
        """Have a member taken out. One who is away is missed by nobody, so `left` is not told."""
        key = (channel.name, name)

        def removed(error: Exception | None) -> None:
            waiting = self._removing.pop(key, None)
            if error is None and waiting is not None:
                self._show(waiting)
            done(error)

        self._removing.setdefault(key, shown)
        self._chat.remove(channel.members[name].leaving(channel.name), Removed(channel.name), removed)

    # ---- in and out ----

    def _in_order(self, act: Callable[[], list[Tell]], done: Done = _ignore) -> None:
        """Have something done when its turn comes; it gives what is then to be told."""
        told: list[Tell] = []
        self._chat.journal.submit(InOrder(lambda: told.extend(act()), lambda: _call_all(told)), done)

    def _arrive(self, guest: RoomGuest, done: Done) -> None:
        """Have a guest come to the channel that it is to be in: `done` is told when the guest has been."""
        self._guests[guest.channel.name][guest.name] = guest
        self._in_order(partial(self._admit, guest, guest.channel), done)

    def _admit(self, guest: RoomGuest, channel: Channel) -> list[Tell]:
        if guest.gone:
            return []
        at = self._now()
        welcome = partial(self._tell, (guest,), Welcomed(guest.name, channel.name, at))
        if channel.has_room:
            return [welcome, self._seat(guest, channel)]
        queue = self._queue(channel)
        queue[guest.name] = guest
        return [welcome, partial(self._tell, (guest,), Queued(len(queue) - 1, at))]

    def _seat(self, guest: RoomGuest, channel: Channel) -> Tell:
        now = self._timers.monotonic()
        channel.add_guest(guest)
        guest.idle_since = now + self._muted_for(channel, guest.name, now)
        self._watch_silence(guest)
        return partial(self._tell_seated, guest, channel)

    def _tell_seated(self, guest: RoomGuest, channel: Channel) -> None:
        channel.present[guest.session] = None
        self.joined(channel, guest.name)

    def _unseat(self, guest: RoomGuest, channel: Channel) -> None:
        channel.remove_guest(guest)
        self._timers.cancel(guest.timer)

    def _fill(self, channel: Channel) -> list[Tell]:
        """Let those in who are first in the queue, while there is room."""
        told: list[Tell] = []
        queue = self._queue(channel)
        while queue and channel.has_room and not self._closed:
            told.append(self._seat(queue.pop(next(iter(queue))), channel))
            self._has_moved(channel)
            if len(queue) <= SHORT_QUEUE:
                told.append(partial(self._tell_places, self._new_places(channel)))
        return told

    def _depart(self, guest: RoomGuest, farewell: Any = None, shown: Any = None, done: Done = _ignore) -> None:
        """Take a guest out of the channel or the queue.

        Args:
            farewell: told to the others in the channel, but not when the guest has only waited.
            shown: told to the operator.
        """
        self._in_order(partial(self._leave, guest, guest.channel, farewell, shown), done)

    def _leave(self, guest: RoomGuest, channel: Channel, farewell: Any, shown: Any) -> list[Tell]:
        queue = self._queue(channel)
        if queue.get(guest.name) is guest:
            del queue[guest.name]
            self._has_moved(channel)
            return [partial(self._tell_departed, guest, channel, None, shown)]
        if channel.guests.get(guest.name) is not guest:
            return []  # the operator has taken out everybody before
        self._unseat(guest, channel)
        return [partial(self._tell_departed, guest, channel, farewell, shown), *self._fill(channel)]

    def _tell_departed(self, guest: RoomGuest, channel: Channel, farewell: Any, shown: Any) -> None:
        channel.present.pop(guest.session, None)
        if shown is not None:
            self._show(shown)
        if farewell is not None:
            self._tell_guests(channel, farewell)
        if guest.gone:
            guest.session.principal = None
            if not guest.session.over:
                guest.session.end()

    def _close(self, guest: RoomGuest, farewell: Any = None, shown: Any = None, done: Done = _ignore) -> None:
        """Take a guest out for good, with the session; nothing happens to one who is on the way out."""
        if not guest.gone:
            self._forget(guest)
            self._depart(guest, farewell, shown, done)
        else:
            self._in_order(list, done)

    def _forget(self, guest: RoomGuest) -> None:
        """The guest does nothing any more, and its name is free."""
        guest.gone = True
        del self._guests[guest.channel.name][guest.name]
        visitors = self._chat.users.visitors
        visitors[guest.name] -= 1
        if not visitors[guest.name]:
            del visitors[guest.name]

    # ---- silence ----

    def _watch_silence(self, guest: RoomGuest) -> None:
        rest = guest.idle_since + self._afk_seconds - self._timers.monotonic()
        guest.timer = self._timers.call_later(rest, lambda: self._check_silence(guest))

    def _check_silence(self, guest: RoomGuest) -> None:
        if guest.idle_since + self._afk_seconds > self._timers.monotonic():
            self._watch_silence(guest)
        elif not guest.gone:
            went = WentAway(guest.name, self._now())
            self._close(guest, went, went)

    def _muted_for(self, channel: Channel, name: str, now: float) -> float:
        """Seconds for which the name may not speak; 0 when it may."""
        until = channel.mutes.get(name)
        if until is None:
            return 0
        if until <= now:
            del channel.mutes[name]
            return 0
        return until - now

    # ---- pieces ----

    def _whisper(self, sender: RoomGuest | Member, channel: Channel, name: str, text: str, done: Done) -> None:
        def decided(error: Exception | None) -> None:
            done(error or self._tell_whisper(channel, Whispered(sender.name, name, text, self._now())))

        self._chat.journal.submit(InOrder(lambda: self._check_speaker(channel, sender), _nothing), decided)

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
            session.deliver(DirectMessage(event.sender, event.text, event.at))
        else:
            return NotHere()
        return None

    def _member_session(self, channel: Channel, name: str) -> Hearer | None:
        member = channel.members.get(name)
        return None if member is None else member.session

    def _has(self, channel: Channel, name: str) -> bool:
        return name in self._guests[channel.name]

    def _queue(self, channel: Channel) -> dict[str, RoomGuest]:
        return self._queues.get(channel.name, {})

    def _has_moved(self, channel: Channel) -> None:
        """Somebody has left the queue: those who are in it are to be told their places."""
        last = next(reversed(self._queue(channel).values()), None)
        if last is not None:
            self._moved[channel.name] = last
        else:
            self._moved.pop(channel.name, None)

    def _new_places(self, channel: Channel) -> list[RoomGuest]:
        """Give those who are to be told their places, in order: who has come since the queue moved has been told."""
        last, places = self._moved.pop(channel.name, None), []
        for guest in self._queue(channel).values() if last is not None else ():
            places.append(guest)
            if guest is last:
                break
        return places

    def _tell_places(self, places: Sequence[RoomGuest]) -> None:
        at = self._now()
        for ahead, guest in enumerate(places):
            self._tell((guest,), Queued(ahead, at))

    def _tell_guests(self, channel: Channel, event: Any) -> None:
        guests = [session.principal for session in channel.present if isinstance(session.principal, RoomGuest)]
        self._tell(guests, event)

    def _tell(self, guests: Iterable[RoomGuest], event: Any) -> None:
        if self._closed:
            return
        for guest in guests:
            try:
                guest.session.deliver(event)
            except Exception:  # a mistake with one must not cost the others the news
                log.exception("error while telling %s", type(event).__name__)
