"""Channels with a port of their own (C26): guests, who wait in a queue when a channel is full, go AFK, and may be
muted or thrown out by the operator. It is the domain's other half: it speaks no wire, and what lasts is chat.Chat's.

A guest holds a name in one channel only. Whoever leaves, in whatever way, makes room: the first in the queue comes in
at once. Those who still wait are told their places; when others leave the queue, once for all of them at the end of the
turn. What happens is told as events, to the guests concerned and to the operator, in the order in which it happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from domain.changes import Done, Left, Said
from domain.chat import Chat
from domain.errors import CannotEnter, ChatError, NoSuchChannel, NotHere, StillMuted, Waiting
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
        self._queues: dict[str, dict[str, RoomGuest]] = {}
        self._moved: dict[str, RoomGuest] = {}
        """Queues that somebody has left in this turn, and the last guest in each who was there then."""
        self._removing: dict[int, Kicked | None] = {}
        """What is shown for the changes that take members out, by their identity."""
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

    def close(self) -> None:
        """The server stops: nobody is told anything any more, and nobody moves in."""
        self._closed = True

    def end_turn(self) -> None:
        """Tell those who wait in queues that have moved where they are now, once for all moves of this turn (O8)."""
        for name in list(self._moved):
            self._tell_places(self.hosted[name])

    # ---- what guests do ----

    def enter(self, session: Recipient, channel: str, name: str, *, takes_files: bool) -> None:
        """Put a session into a channel's queue, and into the channel if there is room.

        Raises:
            CannotEnter: it is no name, or somebody has it: a user, or a guest of this channel.
        """
        self._settle()
        hosted = self.hosted[channel]
        if not self._chat.users.may_name(name) or self._chat.users.is_users(name) or self._has(hosted, name):
            raise CannotEnter
        guest = session.principal = RoomGuest(name, session, hosted, takes_files=takes_files)
        self._chat.users.visitors[name] += 1
        self._enqueue(guest)

    def stir(self, guest: RoomGuest) -> None:
        """The guest has done something, and is not silent; what the muted do does not count."""
        now = self._timers.monotonic()
        if not self._muted_for(guest.channel, guest.name, now):
            guest.idle_since = now

    def say(self, guest: RoomGuest, text: str, done: Done) -> None:
        """Say something in the channel. Fails with Waiting, StillMuted, StoreUnavailable."""
        if guest.waits:
            done(Waiting())
            return
        speaking = guest.channel.speaking

        def said(error: Exception | None) -> None:
            speaking[guest.name] -= 1
            if not speaking[guest.name]:
                del speaking[guest.name]
            done(error)

        speaking[guest.name] = speaking.get(guest.name, 0) + 1  # it is said even if the guest goes before it is written
        self._chat.say(guest, guest.channel.name, text, said)

    def whisper_to(self, guest: RoomGuest, name: str, text: str) -> None:
        """Say something to one who is in the channel too.

        Raises:
            Waiting, StillMuted, NotHere: it reaches nobody.
        """
        self._settle()
        if guest.waits:
            raise Waiting
        self.check_mute(guest.channel, guest.name)
        self._whisper(guest.name, guest.channel, name, text)

    def maybe_guest(self, guest: RoomGuest, name: str) -> RoomGuest | None:
        """Give a guest of the channel by name; None for a member who is there.

        Raises:
            Waiting, NotHere: nobody of this name is there.
        """
        if guest.waits:
            raise Waiting
        return self.who_is_there(guest.channel.name, name).guests.get(name)

    def switch(self, guest: RoomGuest, channel: str) -> None:
        """Leave, and come to another channel with a port as a newcomer does.

        Raises:
            NoSuchChannel, CannotEnter: the guest stays.
        """
        self._settle()
        target = self.hosted.get(channel)
        if target is None:
            raise NoSuchChannel
        if self._has(target, guest.name):
            raise CannotEnter
        departed = Departed(guest.name, self._now())
        self._depart(guest, departed, departed)
        guest.channel = target
        self._enqueue(guest)

    def quit(self, guest: RoomGuest) -> None:
        """Leave with a goodbye."""
        self._settle()
        departed = Departed(guest.name, self._now())
        self._close(guest, departed, departed)

    def lost(self, session: Recipient) -> None:
        """The session is over; nothing happens if its guest has left before."""
        guest: RoomGuest | None = session.principal
        if guest is not None:
            self._settle()
            self._forget(guest)
            self._depart(guest)

    def occupancy(self) -> list[Occupancy]:
        """Give how full each channel with a port is, in their order."""
        self._settle()
        return [
            Occupancy(name, channel.population, channel.capacity or 0, len(self._queues[name]))
            for name, channel in self.hosted.items()
        ]

    # ---- what the operator does ----

    def kick(self, channel: str, name: str, done: Done) -> None:
        """Take somebody out of a channel or its queue; the operator is shown it. Fails with NoSuchChannel, NotHere,
        StoreUnavailable."""
        self._settle()
        try:
            found = self._find(channel)
            guest = found.guests.get(name) or self._queue(found).get(name)
            if guest is None and name not in found.members:
                raise NotHere
        except ChatError as error:
            done(error)
            return
        kicked = Kicked(name, self._now())
        if guest is None:
            self._remove_member(found, name, kicked, done)
        else:
            self._close(guest, Departed(name, kicked.at), kicked)
            done(None)

    def mute(self, channel: str, name: str, seconds: int) -> None:
        """Let somebody who is in a channel say nothing there for so many seconds; a newer mute counts.

        Raises:
            NotHere: nobody of this name is there.
        """
        self._settle()
        found = self.who_is_there(channel, name)
        now = self._timers.monotonic()
        before = self._muted_for(found, name, now)
        until = found.mutes[name] = now + seconds
        guest = found.guests.get(name)
        if guest is not None:
            guest.idle_since += until - now - before  # the clock stands still
        event = Silenced(channel, name, seconds, self._now())
        self._tell_guests(found, event)
        if guest is None:
            session = found.members[name].session
            assert session is not None, "who_is_there has found it"
            session.deliver(event)

    def who_is_there(self, channel: str, name: str) -> Channel:
        """Give the channel, if a guest or member of this name is in it now.

        Raises:
            NotHere: there is none.
        """
        found = self._chat.channels.local.get(channel)
        if found is None or not (name in found.guests or self._member_session(found, name)):
            raise NotHere
        return found

    def empty(self, channel: str) -> None:
        """Take everybody out of a channel, without a word to the guests; the operator is shown it, the queue moves in.

        Raises:
            NoSuchChannel: there is none.
        """
        self._settle()
        found = self._find(channel)
        for name in found.members:
            self._remove_member(found, name, None, lambda _error: None)
        guests = list(found.guests.values())
        for guest in guests:
            self._unseat(guest)
            self._forget(guest)
        for guest in guests:
            guest.session.end()
        self._show(Emptied(channel, self._now()))
        self._fill(found)

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
        shown = self._removing.pop(id(change), departed)
        if shown is not None:
            self._show(shown)
            self._tell_guests(channel, departed)

    def vacated(self, channel: Channel) -> None:
        self._fill(channel)

    def member_whispers(self, member: Member, name: str, text: str) -> bool:
        channel = next((channel for channel in member.channels.values() if name in channel.guests), None)
        if channel is None:
            return False
        self.check_mute(channel, member.name)
        self._whisper(member.name, channel, name, text)
        return True

    def _remove_member(self, channel: Channel, name: str, shown: Kicked | None, done: Done) -> None:
        """Have a member taken out. One who is away is missed by nobody, so `left` is not told."""

        def removed(error: Exception | None) -> None:
            waiting = self._removing.pop(id(change), None)
            if error is None and waiting is not None:
                self._show(waiting)
            done(error)

        change = channel.members[name].leaving(channel.name)
        self._removing[id(change)] = shown
        self._chat.remove(change, Removed(channel.name), removed)

    # ---- in and out ----

    def _enqueue(self, guest: RoomGuest) -> None:
        channel = guest.channel
        guest.session.deliver(Welcomed(guest.name, channel.name, self._now()))
        if channel.has_room:
            self._seat(guest)
        else:
            queue = self._queue(channel)
            queue[guest.name] = guest
            guest.session.deliver(Queued(len(queue) - 1, self._now()))

    def _seat(self, guest: RoomGuest) -> None:
        channel, now = guest.channel, self._timers.monotonic()
        channel.add_guest(guest)
        channel.present[guest.session] = None
        guest.idle_since = now + self._muted_for(channel, guest.name, now)
        self._watch_silence(guest)
        self.joined(channel, guest.name)

    def _unseat(self, guest: RoomGuest) -> None:
        guest.channel.remove_guest(guest)
        del guest.channel.present[guest.session]
        self._timers.cancel(guest.timer)

    def _fill(self, channel: Channel) -> None:
        queue = self._queue(channel)
        while queue and channel.has_room and not self._closed:
            guest = queue.pop(next(iter(queue)))
            self._seat(guest)
            self._has_moved(channel)
            if len(queue) <= SHORT_QUEUE:
                self._tell_places(channel)

    def _depart(self, guest: RoomGuest, farewell: Any = None, shown: Any = None) -> None:
        """Take a guest out of the channel or the queue.

        Args:
            farewell: told to the others in the channel, but not when the guest has only waited.
            shown: told to the operator.
        """
        channel = guest.channel
        waited = guest.waits
        if waited:
            del self._queue(channel)[guest.name]
        else:
            self._unseat(guest)
        if shown is not None:
            self._show(shown)
        if waited:
            self._has_moved(channel)
            return
        if farewell is not None:
            self._tell_guests(channel, farewell)
        self._fill(channel)

    def _close(self, guest: RoomGuest, farewell: Any, shown: Any = None) -> None:
        self._forget(guest)
        self._depart(guest, farewell, shown)
        guest.session.end()

    def _forget(self, guest: RoomGuest) -> None:
        """The session is nobody's, and the name is free."""
        guest.session.principal = None
        self._chat.users.visitors[guest.name] -= 1
        if not self._chat.users.visitors[guest.name]:
            del self._chat.users.visitors[guest.name]

    # ---- silence ----

    def _watch_silence(self, guest: RoomGuest) -> None:
        rest = guest.idle_since + self._afk_seconds - self._timers.monotonic()
        guest.timer = self._timers.call_later(rest, lambda: self._check_silence(guest))

    def _check_silence(self, guest: RoomGuest) -> None:
        if guest.idle_since + self._afk_seconds > self._timers.monotonic():
            self._watch_silence(guest)
        else:
            self._settle()
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

    def _settle(self) -> None:
        """Have decided and told what was asked for before, so that what is done at once does not overtake it."""
        self._chat.settle()

    def _whisper(self, sender: str, channel: Channel, name: str, text: str) -> None:
        event = Whispered(sender, name, text, self._now())
        if channel.capacity is not None:
            self._show(event)
        guest = channel.guests.get(name)
        if guest is not None:
            guest.session.deliver(event)
            return
        session = self._member_session(channel, name)
        if session is None:
            raise NotHere
        session.deliver(DirectMessage(sender, text, event.at))

    def _member_session(self, channel: Channel, name: str) -> Hearer | None:
        member = channel.members.get(name)
        return None if member is None else member.session

    def _has(self, channel: Channel, name: str) -> bool:
        return name in channel.guests or name in self._queue(channel)

    def _find(self, channel: str) -> Channel:
        try:
            return self._chat.channels.local[channel]
        except KeyError:
            raise NoSuchChannel from None

    def _queue(self, channel: Channel) -> dict[str, RoomGuest]:
        return self._queues.get(channel.name, {})

    def _has_moved(self, channel: Channel) -> None:
        """Somebody has left the queue: those who are in it are to be told their places."""
        last = next(reversed(self._queue(channel).values()), None)
        if last is not None:
            self._moved[channel.name] = last
        else:
            self._moved.pop(channel.name, None)

    def _tell_places(self, channel: Channel) -> None:
        at, last = self._now(), self._moved.pop(channel.name, None)
        for ahead, guest in enumerate(self._queue(channel).values() if last is not None else ()):
            self._tell((guest,), Queued(ahead, at))
            if guest is last:
                return  # who has come later has been told

    def _tell_guests(self, channel: Channel, event: Any) -> None:
        self._tell(channel.guests.values(), event)

    def _tell(self, guests: Iterable[RoomGuest], event: Any) -> None:
        if self._closed:
            return
        for guest in guests:
            try:
                guest.session.deliver(event)
            except Exception:  # a mistake with one must not cost the others the news
                log.exception("error while telling %s", type(event).__name__)
