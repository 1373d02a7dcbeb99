"""The guests of channels with a port: in the channel, in its queue, or silent for too long.

A guest's place is decided and published in the journal's order. When a guest leaves, the first in the queue comes in
(O10). The guests behind are told their new places, once for all moves of a turn (O8).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from domain.changes import Done, InOrder, ignore
from domain.chat import Chat
from domain.events import (
    CameIn,
    Emptied,
    Entered,
    Kicked,
    Queued,
    Welcomed,
    WentAway,
    WentOut,
)
from domain.interfaces import Timers
from domain.sessions import ClientSession, deliver_to_each
from domain.state import Channel, RoomGuest
from domain.walks import STEPS_PER_TURN

log = logging.getLogger("crosstalk.rooms")

SHORT_QUEUE = 100
"""Guests in a queue up to which a move is told to all of them at once, not at the end of the turn."""

Tell = Callable[[], object]
"""Publishes something."""


def _call_all(calls: Iterable[Tell]) -> None:
    for call in calls:
        call()


def _farewell_of(name: str, channel: str, shown: Any) -> WentOut:
    """Return what followers are told of a guest who has left, from what the operator is shown."""
    if isinstance(shown, WentAway):
        return WentOut(name, channel, "went AFK")
    if isinstance(shown, Kicked):
        return WentOut(name, channel, shown.reason, shown.by)
    return WentOut(name, channel)


class RoomGuests:
    """All guests of channels with a port, in channels and queues.

    Args:
        chat: whose channels they are.
        timers: the monotonic clock.
        now: the wall clock, in seconds since the epoch.
        show: tells the operator an event.
        afk_seconds: the connection of a guest who is silent for so long is closed.
    """

    def __init__(
        self, chat: Chat, timers: Timers, now: Callable[[], float], show: Callable[[Any], None], afk_seconds: float
    ) -> None:
        self._by_name: dict[str, dict[str, RoomGuest]] = {}
        """The guests of each channel, by name: in it, in its queue, or not admitted yet."""
        self._queues: dict[str, dict[str, RoomGuest]] = {}
        self._held: set[str] = set()
        """Channels that are being emptied: nobody comes in meanwhile."""
        self._moved: dict[str, RoomGuest] = {}
        """Queues that a guest has left in this turn, and the last guest who was in each of them then."""
        self._chat = chat
        self._timers = timers
        self._now = now
        self._show = show
        self.afk_seconds = afk_seconds
        self._closed = False

    def host(self, channel: str) -> None:
        """A channel has a port of its own."""
        self._queues[channel] = {}
        self._by_name[channel] = {}

    def stop(self) -> None:
        """The server stops: no event is delivered any more, and no guest moves up."""
        self._closed = True

    def end_turn(self) -> None:
        """Tell guests in queues that have moved their new places, once for all moves of this turn (O8)."""
        for name in list(self._moved):
            self._tell_places(self._new_places(self._chat.channels.local[name]))

    def find(self, channel: str, name: str) -> RoomGuest | None:
        """Return a guest of a channel by name, also from its queue, or not admitted yet."""
        return self._by_name.get(channel, {}).get(name)

    def named(self, name: str) -> list[RoomGuest]:
        """Return the guests of this name, also from queues: one for each channel at most."""
        return [guests[name] for guests in self._by_name.values() if name in guests]

    def of(self, channel: str) -> list[RoomGuest]:
        """Return the guests of a channel, also from its queue; none for a channel without a port."""
        return list(self._by_name.get(channel, {}).values())

    def everybody(self) -> Iterator[RoomGuest]:
        """Yield the guests of all channels, also from queues; they may come and go meanwhile."""
        for guests in self._by_name.values():
            yield from list(guests.values())

    def waiting(self, channel: str) -> int:
        """Return the length of a channel's queue."""
        return len(self._queues[channel])

    # ---- in and out ----

    def enter(self, session: ClientSession, name: str, channel: Channel, done: Done, *, takes_files: bool) -> None:
        """Put a session into a channel's queue, and into the channel if there is room, under a name that is free."""
        guest = session.principal = RoomGuest(name, session, channel, takes_files=takes_files)
        self._chat.users.room_guest_names[name] += 1
        self._chat.users.watchers.note_name(name, taken=True)
        self._arrive(guest, done)

    def move(self, guest: RoomGuest, channel: Channel, farewell: Any, done: Done) -> None:
        """Move a guest to another channel, where the name is free. No-op for a guest who is about to leave."""
        if guest.gone:
            self._in_order(list, done)
            return
        self._depart(guest, farewell, farewell)
        del self._by_name[guest.channel.name][guest.name]
        guest.channel = channel
        self._arrive(guest, done)

    def close(self, guest: RoomGuest, farewell: Any = None, shown: Any = None, done: Done = ignore) -> None:
        """Remove a guest for good, and end the session. No-op for a guest who is about to leave."""
        if not guest.gone:
            self._forget(guest)
            self._depart(guest, farewell, shown, done)
        else:
            self._in_order(list, done)

    def hold_queue(self, channel: Channel) -> None:
        """Let nobody come in until `empty` is done."""
        self._in_order(partial(self._hold, channel))

    def _hold(self, channel: Channel) -> list[Tell]:
        self._held.add(channel.name)
        return []

    def empty(self, channel: Channel, outcome: Callable[[], Exception | None], done: Done) -> None:
        """Remove all guests from a channel in pieces, who are told nothing; then let the queue move up.

        Args:
            channel: the channel.
            outcome: returns then why somebody else is still in it; with None, it is shown that it is empty.
            done: takes that outcome.
        """
        self._in_order(partial(self._empty, channel, outcome, done))

    def _empty(self, channel: Channel, outcome: Callable[[], Exception | None], done: Done) -> list[Tell]:
        guests = list(itertools.islice(channel.guests.values(), STEPS_PER_TURN))
        for guest in guests:
            self._remove(guest, channel)
            if not guest.gone:  # it is not about to leave anyway
                self._forget(guest)
        told: list[Tell] = [
            partial(self._tell_departed, guest, channel, None, None, WentOut(guest.name, channel.name, by=""))
            for guest in guests
        ]
        if channel.guests:
            return [*told, partial(self._timers.call_later, 0, partial(self.empty, channel, outcome, done))]
        self._held.discard(channel.name)
        emptied = Emptied(channel.name, self._now())

        def show() -> None:
            if outcome() is None:
                self._show(emptied)

        return [*told, show, *self._fill(channel), lambda: done(outcome())]

    def _in_order(self, act: Callable[[], list[Tell]], done: Done = ignore) -> None:
        """Call `act` in the journal's order; it returns the calls that publish its effects."""
        told: list[Tell] = []
        self._chat.journal.submit(InOrder(lambda: told.extend(act()), lambda: _call_all(told)), done)

    def _arrive(self, guest: RoomGuest, done: Done) -> None:
        """Admit a guest to its channel or the queue; `done` is called behind the guest's events."""
        self._by_name[guest.channel.name][guest.name] = guest
        self._in_order(partial(self._admit, guest, guest.channel), done)

    def _admit(self, guest: RoomGuest, channel: Channel) -> list[Tell]:
        if guest.gone:
            return []
        at = self._now()
        welcome = partial(self._deliver, (guest,), Welcomed(guest.name, channel.name, at))
        if self._has_room(channel):
            return [welcome, self._add(guest, channel)]
        queue = self._queue(channel)
        queue[guest.name] = guest
        return [welcome, partial(self._deliver, (guest,), Queued(len(queue) - 1, at))]

    def _has_room(self, channel: Channel) -> bool:
        return channel.has_room and not channel.is_at_limit and channel.name not in self._held

    def _add(self, guest: RoomGuest, channel: Channel) -> Tell:
        now = self._timers.monotonic()
        channel.add_guest(guest)
        guest.idle_since = now + channel.muted_for(guest.name, now)
        self._watch_silence(guest)
        return partial(self._tell_added, guest, channel)

    def _tell_added(self, guest: RoomGuest, channel: Channel) -> None:
        channel.subscribe(guest.session)
        self._chat.users.watchers.note_room_guest(guest.name, channel.name, is_there=True)
        self._chat.users.presence.changed(guest.name, online=True, channels=(channel,))
        self._chat.users.presence.tell_followers(CameIn(guest.name, channel.name), (channel,))
        self.tell_entered(channel, guest.name)

    def _remove(self, guest: RoomGuest, channel: Channel) -> None:
        channel.remove_guest(guest)
        self._timers.cancel(guest.timer)

    def vacated(self, channel: Channel) -> None:
        """There may be room for one more guest."""
        for tell in self._fill(channel):
            self._chat.tell_in_order(tell)

    def _fill(self, channel: Channel) -> list[Tell]:
        """Admit the first in the queue, while there is room."""
        told: list[Tell] = []
        queue = self._queue(channel)
        while queue and self._has_room(channel) and not self._closed:
            told.append(self._add(queue.pop(next(iter(queue))), channel))
            self._has_moved(channel)
            if len(queue) <= SHORT_QUEUE:
                told.append(partial(self._tell_places, self._new_places(channel)))
        return told

    def _depart(self, guest: RoomGuest, farewell: Any = None, shown: Any = None, done: Done = ignore) -> None:
        """Remove a guest from the channel or the queue.

        Args:
            farewell: the event for the others in the channel, if the guest was not in the queue.
            shown: the event for the operator.
        """
        self._in_order(partial(self._leave, guest, guest.channel, farewell, shown), done)

    def _leave(self, guest: RoomGuest, channel: Channel, farewell: Any, shown: Any) -> list[Tell]:
        queue, went = self._queue(channel), _farewell_of(guest.name, channel.name, shown)
        if queue.get(guest.name) is guest:
            del queue[guest.name]
            self._has_moved(channel)
            return [partial(self._tell_departed, guest, channel, None, shown, went)]
        if channel.guests.get(guest.name) is not guest:
            return []  # the operator has emptied the channel before
        self._remove(guest, channel)
        return [partial(self._tell_departed, guest, channel, farewell, shown, went), *self._fill(channel)]

    def _tell_departed(self, guest: RoomGuest, channel: Channel, farewell: Any, shown: Any, went: WentOut) -> None:
        channel.drop_rank(guest.name)
        if guest.session in channel.subscribers:
            channel.unsubscribe(guest.session)
            self._chat.users.presence.changed(guest.name, online=False, channels=(channel,))
            self._chat.users.presence.tell_followers(went, (channel,))
            self._chat.users.watchers.note_room_guest(guest.name, channel.name, is_there=False)
        if shown is not None:
            self._show(shown)
        if farewell is not None:
            self.tell(channel, farewell)
        if guest.gone:
            guest.session.principal = None
            if not guest.session.over:
                guest.session.end()

    def _forget(self, guest: RoomGuest) -> None:
        """Free a guest's name; its later requests do nothing."""
        guest.gone = True
        del self._by_name[guest.channel.name][guest.name]
        room_guest_names = self._chat.users.room_guest_names
        room_guest_names[guest.name] -= 1
        if not room_guest_names[guest.name]:
            del room_guest_names[guest.name]
            self._chat.users.watchers.note_name(guest.name, taken=False)

    # ---- silence ----

    def note_activity(self, guest: RoomGuest) -> None:
        """Note that a guest is not silent. What muted guests do does not count."""
        now = self._timers.monotonic()
        if not guest.channel.muted_for(guest.name, now):
            guest.idle_since = now

    def _watch_silence(self, guest: RoomGuest) -> None:
        rest = guest.idle_since + self.afk_seconds - self._timers.monotonic()
        guest.timer = self._timers.call_later(rest, lambda: self._check_silence(guest))

    def _check_silence(self, guest: RoomGuest) -> None:
        if guest.idle_since + self.afk_seconds > self._timers.monotonic():
            self._watch_silence(guest)
        elif not guest.gone:
            went = WentAway(guest.name, self._now())
            self.close(guest, went, went)

    # ---- the queue ----

    def _queue(self, channel: Channel) -> dict[str, RoomGuest]:
        return self._queues.get(channel.name, {})

    def _has_moved(self, channel: Channel) -> None:
        """A guest has left the queue: the guests in it now are to be told their places."""
        last = next(reversed(self._queue(channel).values()), None)
        if last is not None:
            self._moved[channel.name] = last
        else:
            self._moved.pop(channel.name, None)

    def _new_places(self, channel: Channel) -> list[RoomGuest]:
        """Return the guests who are to be told their places, in order: later ones were told when they came."""
        last, places = self._moved.pop(channel.name, None), []
        for guest in self._queue(channel).values() if last is not None else ():
            places.append(guest)
            if guest is last:
                break
        return places

    def _tell_places(self, places: Sequence[RoomGuest]) -> None:
        at = self._now()
        for ahead, guest in enumerate(places):
            self._deliver((guest,), Queued(ahead, at))

    # ---- telling ----

    def tell(self, channel: Channel, event: Any) -> None:
        """Tell an event to the guests who are in a channel."""
        guests = [session.principal for session in channel.subscribers if isinstance(session.principal, RoomGuest)]
        self._deliver(guests, event)

    def tell_entered(self, channel: Channel, name: str) -> None:
        """Tell guests and the operator that a user has come into a channel (O9)."""
        event = Entered(name, channel.name, self._now())
        self.tell(channel, event)
        self._show(event)

    def _deliver(self, guests: Iterable[RoomGuest], event: Any) -> None:
        if self._closed:
            return
        deliver_to_each(event, (guest.session for guest in guests))
