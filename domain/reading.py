"""What accounts read in channels here: the history, the numbers of messages, read markers, and what is unread.

Messages have numbers that grow in all channels together. A read marker is such a number, of whatever channel: all
messages of its own channel up to it are read. Numbers are given when a change is submitted, in the journal's order, so
"the last message" needs no look at what else is being decided.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from domain.changes import Done, Marked, Said, Seen
from domain.channels import Channels
from domain.errors import MessagesRemoved, StoreUnavailable
from domain.events import MarkerMoved
from domain.interfaces import Backend
from domain.journal import Journal
from domain.sessions import ClientSession, deliver_to_each
from domain.state import Account, Visitor

EVERYTHING = 1 << 62
"""More messages than a channel can have."""

MAX_UNREAD = 1000
"""Messages of a channel that are counted as unread (R48)."""


class Reading:
    """Requests of accounts that read.

    Args:
        channels: all channels.
        journal: takes changes.
        backend: keeps the messages.
        now: the time of messages, in seconds since the epoch.

    Attributes:
        last_number: the number of the newest message that has been submitted.
        last_published: the number of the newest message that has been published.
    """

    def __init__(self, channels: Channels, journal: Journal, backend: Backend, now: Callable[[], float]) -> None:
        self._channels = channels
        self._journal = journal
        self._backend = backend
        self._now = now
        self.last_number = self.last_published = backend.last_number

    def next_number(self) -> int:
        """Return the number of a message that is about to be submitted; a refused one leaves a gap."""
        self.last_number += 1
        return self.last_number

    def history(
        self,
        account: Account | Visitor,
        channel: str,
        count: int,
        before: int | None = None,
        after: int | None = None,
        since: int = 0,
    ) -> tuple[int, Iterator[list[Said]]]:
        """Return how many messages of a channel are found, and pages of them, the oldest first.

        Messages that are written but not yet published are left out.

        Args:
            account: a member.
            channel: the channel.
            count: how many at most; the last ones, unless `after` is given.
            before: only messages with smaller numbers.
            after: only messages with greater numbers: the first ones.
            since: messages with numbers up to this one are left out.

        Raises:
            NotAMember: the account is not in such a channel.
            StoreUnavailable: they cannot be read; the pages may raise it as well.
        """
        name, end = self._channels.joined(account, channel).name, self.last_published + 1
        return self._backend.history(name, count, end if before is None else min(before, end), after, since)

    def export(self, channel: str) -> Iterator[Said]:
        """Yield all messages of a channel here that have been published by now, the oldest first.

        Raises:
            StoreUnavailable: they cannot be read.
            MessagesRemoved: some are gone by now, with their channel or for their age, or the channel has another name.
        """
        count, pages = self._backend.history(channel, EVERYTHING, self.last_published + 1)
        for page in pages:
            count -= len(page)
            yield from page
        if count:
            raise MessagesRemoved

    def number_at(self, at: float) -> int:
        """Return the number of the last message, of whatever channel, that was said at or before a time.

        Messages that are written but not yet published are left out.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        return min(self._backend.number_at(at), self.last_published)

    # ---- read markers ----

    def markers(self, account: Account) -> dict[str, float]:
        """Return up to which time an account has read: its channels here, and its direct messages with each user.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        return self._backend.markers(account.name)

    def mark(self, session: ClientSession, channel: str, number: int, done: Done) -> None:
        """Move the read marker of a session's account to the message with this number, or to the last one if that is
        smaller (R49).

        A marker never moves back. Fails with NoSuchChannel, NotAMember, StoreUnavailable.
        """
        try:
            at = self._now() if number > self.last_published else self._backend.time_of(number)
        except StoreUnavailable as error:
            done(error)
        else:
            self._mark(session, channel, Seen(session.principal.name, channel, min(number, self.last_number), at), done)

    def mark_at(self, session: ClientSession, target: str, at: float, done: Done) -> None:
        """Move the read marker of a session's account to a time, or to now if that is earlier.

        A channel's marker then also moves to the last message up to that time. The account's other clients are told. A
        marker never moves back. Fails with NoSuchChannel, NotAMember, StoreUnavailable.

        Args:
            session: of an account.
            target: the channel; or the user, for direct messages.
            at: in seconds since the epoch.
            done: takes the outcome.
        """
        name, at = session.principal.name, min(at, self._now())
        try:
            is_channel = self._channels.find(target) is not None
            change = Seen(name, target, self.number_at(at), at) if is_channel else Marked(name, target, at)
        except StoreUnavailable as error:
            done(error)
        else:
            self._mark(session, target, change, done)

    def _mark(self, session: ClientSession, target: str, change: Seen | Marked, done: Done) -> None:
        account: Account = session.principal

        def marked(error: Exception | None) -> None:
            others = [each for each in account.sessions if each is not session]
            if error is None and others:
                with contextlib.suppress(StoreUnavailable):  # it is durable all the same
                    deliver_to_each(MarkerMoved(target, self.markers(account)[target]), others)
            done(error)

        self._journal.submit(change, marked)

    def unread(self, account: Account) -> list[tuple[str, int]]:
        """Return how many messages each channel of an account has behind its read marker, MAX_UNREAD at most.

        The most come first. Channels of other servers are left out, and those with nothing new.

        Raises:
            StoreUnavailable: the markers cannot be read.
        """
        counts = [(channel, min(count, MAX_UNREAD)) for channel, count in self._backend.unread(account.name)]
        return sorted(counts, key=lambda count: (-count[1], count[0]))
