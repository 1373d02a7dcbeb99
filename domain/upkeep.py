"""The operator's deletion and renaming of channels, and the removal of old messages (retention).

A channel with a port belongs to the config, so it stays. Long work is done in pieces, so that clients are served
meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from domain.changes import ChannelDeleted, ChannelPruned, ChannelRenamed, Done, Undo, ignore
from domain.channels import Channels
from domain.errors import ChatError, HasPort, InUse, NameTaken, NoSuchChannel, NotAName, StoreUnavailable
from domain.events import ChannelHasNewName, Removed
from domain.interfaces import Backend, Outside, Timers
from domain.journal import Journal
from domain.names import is_name
from domain.sessions import deliver_to_each
from domain.state import Channel, Member, RemoteUser
from domain.users import Users

PIECE = 500
"""Messages that are removed in a turn."""

TRIES = 3
"""How often a channel is emptied for its end, if users come in meanwhile."""

FIRST_CHECK_SECONDS = 1.0
"""When messages are looked for that are too old, after the start and after `retention` has changed."""

CHECK_SECONDS = 60.0
"""How often they are looked for then."""

MAX_DELAYS = 10
"""How often the removal is put off in a row because histories are being read."""

DAY = 86400.0

Empty = Callable[[str, Done], None]
"""Removes everybody from a channel, in pieces."""


class Upkeep:
    """Deletes, renames and prunes channels.

    Args:
        users: all users.
        channels: all channels.
        journal: takes changes.
        backend: has the messages.
        outside: other servers.
        remove: ends a membership, as `Chat.remove`.
        now: the wall clock, in seconds since the epoch.

    Attributes:
        retention: days after which messages are removed; 0: never. `start` after it has changed.
    """

    def __init__(
        self,
        users: Users,
        channels: Channels,
        journal: Journal,
        backend: Backend,
        outside: Outside,
        remove: Callable[[Member, str, Any, Done], None],
        now: Callable[[], float],
    ) -> None:
        self.retention = 0
        self._next_look: Any = None
        self._is_pruning = False
        self._delays = 0
        self._users = users
        self._channels = channels
        self._journal = journal
        self._backend = backend
        self._outside = outside
        self._remove = remove
        self._now = now

    # ---- the end of a channel ----

    def delete(self, name: str, empty: Empty, timers: Timers, done: Done) -> None:
        """Remove everybody from a channel, who are told, then its messages, then the channel.

        Fails with NoSuchChannel, HasPort, InUse, StoreUnavailable; InUse is for a channel into which users keep coming.
        """
        self._end(name, empty, timers, done, TRIES)

    def _end(self, name: str, empty: Empty, timers: Timers, done: Done, tries: int) -> None:
        def emptied(error: Exception | None) -> None:
            if error is not None:
                done(error)
            else:
                self._prune(name, self._now(), timers, lambda: self._journal.submit_alone(ChannelDeleted(name), ended))

        def ended(error: Exception | None) -> None:
            if isinstance(error, InUse) and tries > 1:
                self._end(name, empty, timers, done, tries - 1)
            else:  # a channel of IRC may be gone with its last user
                done(None if isinstance(error, NoSuchChannel) else error)

        try:
            self._without_port(name)
        except ChatError as error:
            done(error)
        else:
            empty(name, emptied)

    def _prune(self, name: str, before: float, timers: Timers, then: Callable[[], object]) -> None:
        """Remove the messages of a channel that were said before a time, in pieces; then call `then`."""
        number = 0
        with contextlib.suppress(StoreUnavailable):  # which the store has logged
            number = self._backend.oldest(name, before, PIECE) if name in self._channels.local else 0
        if not number:
            then()
            return

        def pruned(error: Exception | None) -> None:
            if error is None:
                timers.call_later(0, partial(self._prune, name, before, timers, then))
            else:
                then()

        self._journal.submit(ChannelPruned(name, number), pruned)

    # ---- another name ----

    def rename(self, name: str, new: str, done: Done) -> None:
        """Give a channel another name. Users of other servers leave it, as they know it by its old name.

        Fails with NoSuchChannel, HasPort, NotAName, NameTaken, StoreUnavailable.
        """
        if not is_name(new, self._users.limits.name):
            done(NotAName())
            return
        try:
            channel = self._without_port(name)
            if new in self._channels.local:
                raise NameTaken
        except ChatError as error:
            done(error)
            return
        for member in list(channel.members.values()):
            if isinstance(member, RemoteUser):
                self._remove(member, name, Removed(name), ignore)
        self._journal.submit_alone(ChannelRenamed(name, new), done)

    def _without_port(self, name: str) -> Channel:
        channel = self._channels.local_channel(name)
        if channel.capacity is not None:
            raise HasPort
        return channel

    # ---- old messages ----

    def start(self, timers: Timers) -> None:
        """Look for messages that are too old, soon and then periodically, if `retention` is set. Idempotent."""
        if self.retention and not self._is_pruning:
            self._look_after(FIRST_CHECK_SECONDS, timers)

    def _look_after(self, seconds: float, timers: Timers) -> None:
        if self._next_look is not None:
            timers.cancel(self._next_look)
        self._next_look = timers.call_later(seconds, partial(self._look, timers)) if self.retention else None

    def _look(self, timers: Timers) -> None:
        self._next_look = None
        if self.retention and (not self._backend.is_read or self._delays >= MAX_DELAYS):
            self._delays = 0
            self._is_pruning = True
            self._prune_next(list(self._channels.local), self._now() - self.retention * DAY, timers)
        else:
            self._delays += 1
            self._look_after(CHECK_SECONDS, timers)

    def _prune_next(self, names: list[str], before: float, timers: Timers) -> None:
        if names and self.retention:
            again = partial(self._prune_next, names, before, timers)
            self._prune(names.pop(), before, timers, lambda: timers.call_later(0, again))
        else:
            self._is_pruning = False
            self._look_after(CHECK_SECONDS, timers)

    # ---- changes ----

    def apply_deleted(self, change: ChannelDeleted) -> Undo:
        channel = self._without_port(change.name)
        if channel.members or channel.guests:
            raise InUse
        return self._channels.remove_empty(channel)

    def apply_renamed(self, change: ChannelRenamed) -> Undo:
        channel = self._without_port(change.name)
        if change.new in self._channels.local:
            raise NameTaken
        if any(isinstance(member, RemoteUser) for member in channel.members.values()):
            raise InUse
        return self._channels.rename(channel, change.new)

    def tell_renamed(self, change: ChannelRenamed) -> None:
        """Tell the members, and other servers."""
        channel = self._channels.local[change.new]
        deliver_to_each(ChannelHasNewName(change.name, change.new), list(channel.subscribers))
        if not self._channels.listing.is_hidden(channel):
            self._outside.servers.created(change.new)
        self._outside.servers.hidden()

    def apply_pruned(self, change: ChannelPruned) -> None:
        if change.channel not in self._channels.local:
            raise NoSuchChannel
