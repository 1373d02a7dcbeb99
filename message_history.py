"""The messages of channels in SQLite: rows that are only appended, and how they are found again.

A channel's messages are a chain: each row holds the number of the one before. A full index would be as quick to read,
but each message of a turn would write to another page of it. A chain only appends.

Messages have places in their channel, from 1 on. The table `places` has the number of every STRIDE-th message of a
channel. So any place or number is found within STRIDE steps along the chain.

The oldest messages of a channel can be removed. Places stay what they are: the first one is higher then.

The ends of the chains are in memory. On disk, in the channels' rows, they are up to RECORD_ENDS_EVERY messages behind.
At the start the newer ones are found from the messages themselves.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from channel_keys import ChannelKeys
from domain.changes import SAY, GuestSaid, Said, VisitorSaid
from domain.errors import StoreUnavailable

PAGE_ROWS = 32
"""Messages that are read at once: at MAX_LINE each, 256 KiB."""

MAX_NUMBER = 2**63 - 1
"""The greatest number that SQLite can store."""

STRIDE = 32
"""Messages of a channel for each row of `places`."""

RECORD_ENDS_EVERY = 1000
"""Messages after which the ends of the channels' chains are written; a start reads so many in a millisecond."""

RECORD_SAID = "INSERT INTO messages (id, previous, sender, channel, text, sent) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
RECORD_KIND = "UPDATE messages SET kind = ?2, author = ?3 WHERE id = ?1"
AUTHORS: tuple[type[Said], ...] = (Said, VisitorSaid, GuestSaid)
"""What a row is, by its column `author`: the message of an account or remote user, of a visitor, of a room guest."""

RECORD_PLACE = "INSERT INTO places VALUES (?1, ?2, ?3)"
RECORD_END = "UPDATE channels SET last_message = ?2, messages = ?3 WHERE name = ?1"
RECORD_KEY = "UPDATE channels SET stored = ?2 WHERE name = ?1"
RECORD_PRUNED = "UPDATE channels SET pruned = ?2 WHERE name = ?1"
RECORD_NEWEST = "REPLACE INTO newest VALUES (1, ?)"

ENDS = "SELECT name, last_message, messages FROM channels WHERE last_message IS NOT NULL"
KEYS = "SELECT name, stored FROM channels WHERE stored IS NOT NULL"
PRUNED = "SELECT name, pruned FROM channels WHERE pruned"
NEWEST = "SELECT coalesce(max(number), 0) FROM newest"
NEWER_ENDS = "SELECT channel, max(id), count(*) FROM messages WHERE id > ? GROUP BY channel"
NEWEST_TIME = "SELECT coalesce((SELECT sent FROM messages ORDER BY id DESC LIMIT 1), 0.0)"
NEWEST_MARKER = "SELECT coalesce(max(seen), 0) FROM memberships"

UP_TO = "SELECT id, sent FROM messages WHERE id <= ? ORDER BY id DESC LIMIT 1"
PLACE_FROM = "SELECT id, place FROM places WHERE channel = ?1 AND place >= ?2 AND id <= ?3 ORDER BY place LIMIT 1"
"""The first noted message from a place on. None is later than ?3, as those of a later channel of the same key are."""

NUMBER_FROM = "SELECT id, place FROM places WHERE channel = ?1 AND id > ?2 ORDER BY id LIMIT 1"

STEPS_DOWN_TO_NUMBER = """
    WITH RECURSIVE past (id) AS (
        SELECT ?1
        UNION ALL
        SELECT messages.previous FROM past JOIN messages ON messages.id = past.id WHERE messages.previous > ?2
    )
    SELECT count(*) FROM past
"""
"""How many messages of a channel have a number above ?2 and up to ?1, which is such a message."""

PAGE = """
    WITH RECURSIVE past (id, place) AS (
        SELECT ?1, ?2
        UNION ALL
        SELECT messages.previous, place - 1 FROM past JOIN messages ON messages.id = past.id WHERE place > ?3
    )
    SELECT author, sender, channel, text, sent, messages.id, kind FROM past JOIN messages ON messages.id = past.id
    WHERE place <= ?4 ORDER BY messages.id
"""
"""The messages at the places ?3 to ?4 of a channel, found from message ?1 at place ?2 back."""

REMOVE = """
    WITH RECURSIVE past (id, place) AS (
        SELECT ?1, ?2
        UNION ALL
        SELECT messages.previous, place - 1 FROM past JOIN messages ON messages.id = past.id WHERE place > ?3
    )
    DELETE FROM messages WHERE id IN (SELECT id FROM past WHERE place <= ?4)
"""
"""Removes the messages at these places."""

REMOVE_PLACES = "DELETE FROM places WHERE channel = ?1 AND place <= ?2"

log = logging.getLogger("crosstalk.store")

End = tuple[int | None, int]
"""The end of a channel's chain: the number of its last message, and that message's place."""

NO_MESSAGES: End = (None, 0)


class Chain(NamedTuple):
    """The messages of a channel, as its reader has found them: its name, the key of its messages, and their end."""

    channel: str
    key: str
    end: End


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turn a failure to read the database into StoreUnavailable, and log it."""
    try:
        yield
    except sqlite3.Error as error:
        log.error("cannot read from the database: %s", error)
        raise StoreUnavailable from error


class MessageHistory:
    """The messages of all channels.

    Args:
        db: the open database.

    Attributes:
        newest: no message or read marker has a greater number; 0 without messages.
        readers: how many histories are being read in pages.
        last_time: when the newest message was said, as far as it was known at the start; 0 without messages.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.readers = 0
        self._keys = ChannelKeys(dict(db.execute(KEYS).fetchall()))
        self._pruned: dict[str, int] = dict(db.execute(PRUNED).fetchall())
        self._newly_pruned: dict[str, int] = {}
        self._records_all = False
        self._ends: dict[str, End] = {name: (number, place) for name, number, place in db.execute(ENDS)}
        self._recorded = max((number or 0 for number, _place in self._ends.values()), default=0)
        self._unrecorded: dict[str, End] = {}
        names = self._keys.names()
        for key, number, count in db.execute(NEWER_ENDS, (self._recorded,)):
            channel = names.get(key, key)
            self._unrecorded[channel] = (number, self._ends.get(channel, NO_MESSAGES)[1] + count)
        self._ends.update(self._unrecorded)
        self._moved: dict[str, End] = {}
        self._places: list[tuple[str, int, int]] = []
        self._kinds: list[tuple[int, str, int]] = []
        (marker,), (newest,) = db.execute(NEWEST_MARKER).fetchone(), db.execute(NEWEST).fetchone()
        self.newest: int = max(marker, newest, 0, *(number or 0 for number, _place in self._ends.values()))
        self._newest_row = self.newest
        self.last_time: float = db.execute(NEWEST_TIME).fetchone()[0]

    # ---- writing ----

    def append(self, cursor: sqlite3.Cursor, messages: Iterable[Said], written_as: type[Said] = Said) -> None:
        """Append messages, which are all of one type, within a transaction."""
        rows = self._rows(messages, written_as)
        cursor.executemany(RECORD_SAID, map(self._with_key, rows) if self._keys.by_name else rows)
        if self._kinds:
            cursor.executemany(RECORD_KIND, self._kinds)
            self._kinds.clear()
        if self._places:
            cursor.executemany(RECORD_PLACE, self._places)
            self._places.clear()

    def _rows(self, messages: Iterable[Said], written_as: type[Said]) -> Iterator[tuple[Any, ...]]:
        moved, ends, author = self._moved, self._ends, AUTHORS.index(written_as)
        usual = "" if author else SAY  # most messages have the columns' defaults
        for sender, channel, text, at, number, kind in messages:
            previous, place = moved.get(channel) or ends.get(channel) or NO_MESSAGES
            yield number, previous, sender, channel, text, at
            if kind != usual:
                self._kinds.append((number, kind, author))
            place += 1
            moved[channel] = (number, place)
            if not place % STRIDE:
                self._places.append((self._keys[channel], place, number))
        self._newest_row = number

    def _with_key(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row under the key of its channel, which is another one than the name after a renaming."""
        number, previous, sender, channel, *rest = row
        return number, previous, sender, self._keys[channel], *rest

    def complete(self, cursor: sqlite3.Cursor) -> None:
        """Write the ends of the chains if they are due, at the end of the transaction."""
        if self._is_due:
            ends = self._unrecorded | self._moved
            cursor.executemany(RECORD_END, ((channel, *end) for channel, end in ends.items()))
        if self._records_all:  # messages are gone by which a start would find the newest number
            cursor.execute(RECORD_NEWEST, (self._newest_row,))

    @property
    def _is_due(self) -> bool:
        return self._records_all or self._newest_row - self._recorded > RECORD_ENDS_EVERY

    def created(self, cursor: sqlite3.Cursor, channel: str) -> None:
        """A channel has been made within the transaction: choose the key of its messages."""
        key = self._keys.create(channel)
        if key is not None:
            cursor.execute(RECORD_KEY, (channel, key))

    def renamed(self, cursor: sqlite3.Cursor, old: str, new: str) -> None:
        """A channel has been renamed within the transaction; its messages stay where they are."""
        key = self._keys.rename(old, new)
        cursor.execute(RECORD_KEY, (new, None if key == new else key))
        self._moved[new], self._moved[old] = self._end(old), NO_MESSAGES
        self._newly_pruned[new], self._newly_pruned[old] = self._first(old) - 1, 0
        self._records_all = True

    def removed(self, cursor: sqlite3.Cursor, channel: str) -> None:
        """A channel is removed within the transaction, and all its messages."""
        self.prune(cursor, channel, self._newest_row)
        self._keys.remove(channel)
        self._moved[channel], self._newly_pruned[channel] = NO_MESSAGES, 0

    def prune(self, cursor: sqlite3.Cursor, channel: str, number: int) -> None:
        """Remove the messages of a channel with numbers up to this one, within a transaction."""
        first, last = self._first(channel), self.place(channel, number)
        if last < first:
            return
        key, end = self._keys[channel], self._end(channel)
        above = self._db.execute(PLACE_FROM, (key, last, end[0])).fetchone() or end
        cursor.execute(REMOVE, (*above, first, last))
        cursor.execute(REMOVE_PLACES, (key, last))
        cursor.execute(RECORD_PRUNED, (channel, last))
        self._newly_pruned[channel] = last
        self._records_all = True

    def _end(self, channel: str) -> End:
        return self._moved.get(channel) or self._ends.get(channel, NO_MESSAGES)

    def _first(self, channel: str) -> int:
        """Return the place of the oldest message that a channel still has."""
        return self._newly_pruned.get(channel, self._pruned.get(channel, 0)) + 1

    def committed(self) -> None:
        """Note that the transaction is on disk."""
        self._ends.update(self._moved)
        self._unrecorded.update(self._moved)
        self._moved.clear()
        self.newest = self._newest_row
        if self._is_due:
            self._recorded = self.newest
            self._unrecorded.clear()
            self._records_all = False
        if self._newly_pruned:
            self._pruned.update(self._newly_pruned)
            self._newly_pruned.clear()
        self._keys.committed()

    def rolled_back(self) -> None:
        """Forget what was appended: the transaction has failed."""
        self._moved.clear()
        self._places.clear()
        self._kinds.clear()
        self._newly_pruned.clear()
        self._records_all = False
        self._keys.rolled_back()
        self._newest_row = self.newest

    # ---- reading ----

    def first(self, channel: str) -> int:
        """Return the place of the oldest message that a channel still has; it is 1 unless some were removed."""
        return self._pruned.get(channel, 0) + 1

    def number_of(self, channel: str, place: int) -> int:
        """Return the number of the message at a place of a channel, which has one there.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        return self._page(self._chain(channel), place, place)[0].number

    def length(self, channel: str) -> int:
        """Return how many messages a channel has."""
        return self._ends.get(channel, NO_MESSAGES)[1]

    def count(self, channel: str, number: int) -> int:
        """Return how many of a channel's messages have numbers up to this one: the place of the last of these.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        with readable():
            return self.place(channel, number)

    def place(self, channel: str, number: int) -> int:
        """Return the same within a transaction, whose messages count.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        end, place = self._end(channel)
        if end is None or end <= number:
            return place
        above, place = self._db.execute(NUMBER_FROM, (self._keys[channel], number)).fetchone() or (end, place)
        (steps,) = self._db.execute(STEPS_DOWN_TO_NUMBER, (above, number)).fetchone()
        return int(place - steps)

    def time_of(self, number: int) -> float:
        """Return when the last message with a number up to this one was said; 0 if there is none.

        Raises:
            StoreUnavailable: the messages cannot be read.
        """
        with readable():
            found = self._up_to(number)
        return found[1] if found is not None else 0.0

    def number_at(self, at: float) -> int:
        """Return the number of the last message that was said at or before a time; 0 if there is none.

        Later messages have later times, so the place is found by halving.

        Raises:
            StoreUnavailable: the messages cannot be read.
        """
        last, later = 0, self.newest + 1
        with readable():
            while later - last > 1:
                found = self._up_to((last + later) // 2)
                if found is None or found[0] <= last:
                    last = (last + later) // 2
                elif found[1] <= at:
                    last = max(found[0], (last + later) // 2)
                else:
                    later = found[0]
            found = self._up_to(last)
        return found[0] if found is not None else 0

    def _up_to(self, number: int) -> tuple[int, float] | None:
        """Return number and time of the last message with a number up to this one; None if there is none."""
        found: tuple[int, float] | None = self._db.execute(UP_TO, (number,)).fetchone()
        return found

    def pages(self, channel: str, first: int, last: int) -> Iterator[list[Said]]:
        """Return the messages at the places from `first` to `last` of a channel, in pages.

        Messages that are removed meanwhile are missing. The channel may be renamed meanwhile.

        Raises:
            StoreUnavailable: they cannot be read; the iterator raises it.
        """
        return self._pages(self._chain(channel), first, last)

    def _chain(self, channel: str) -> Chain:
        """Return what leads to the messages that a channel has now, whatever becomes of its name."""
        return Chain(channel, self._keys[channel], self._ends.get(channel, NO_MESSAGES))

    def _pages(self, chain: Chain, first: int, last: int) -> Iterator[list[Said]]:
        self.readers += 1
        try:
            for start in range(first, last + 1, PAGE_ROWS):
                yield self._page(chain, start, min(start + PAGE_ROWS - 1, last))
        finally:
            self.readers -= 1

    def _page(self, chain: Chain, first: int, last: int) -> list[Said]:
        with readable():
            row = self._db.execute(PLACE_FROM, (chain.key, last, chain.end[0])).fetchone()
            rows = self._db.execute(PAGE, (*(row or chain.end), first, last)).fetchall()
        return [AUTHORS[author](sender, chain.channel, *fields) for author, sender, _key, *fields in rows]
