"""What the domain reads of the messages in the database: history, read markers and mail.

Nothing here writes. An error of SQLite becomes StoreUnavailable, which the gate answers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from domain.changes import Mailed, Said
from message_history import MAX_NUMBER, PAGE_ROWS, MessageHistory, readable

MARKERS = "SELECT channel, seen_place FROM memberships WHERE account = ? AND NOT instr(channel, ':')"
"""The read markers of an account: its memberships stand side by side."""

MARKER_TIMES = (
    "SELECT channel, seen_at FROM memberships WHERE account = ?1 AND NOT instr(channel, ':')"
    " UNION ALL SELECT user, at FROM marks WHERE account = ?1"
)


class StoredMessages:
    """The messages of an open database, and how far each account has read them."""

    _db: sqlite3.Connection
    _history: MessageHistory

    @property
    def last_number(self) -> int:
        """The number of the newest message, or that of a read marker if it is greater; 0 without messages."""
        return self._history.newest

    @property
    def last_time(self) -> float:
        """When the newest message was said, in seconds since the epoch; 0 without messages."""
        return self._history.last_time

    def history(
        self, channel: str, count: int, before: int = MAX_NUMBER, after: int | None = None, since: int = 0
    ) -> tuple[int, Iterator[list[Said]]]:
        """Return how many messages are found, and pages of them, the oldest first.

        Args:
            channel: the channel.
            count: how many at most.
            before: only messages with smaller numbers: the last ones, unless `after` is given.
            after: only messages with greater numbers: the first ones.
            since: messages with numbers up to this one are left out.

        Raises:
            StoreUnavailable: they cannot be read; the pages raise it, too.
        """
        last = self._history.count(channel, before - 1)
        lowest = self._history.first(channel)
        if since:
            lowest = max(lowest, self._history.count(channel, since) + 1)
        if after is None:
            first = max(lowest, last - count + 1)
        else:
            first = max(lowest, self._history.count(channel, after) + 1)
            last = min(last, first + count - 1)
        return max(0, last - first + 1), self._history.pages(channel, first, last)

    def number_at(self, at: float) -> int:
        """Return the number of the last message that was said at or before a time; 0 if there is none.

        Raises:
            StoreUnavailable: the messages cannot be read.
        """
        return self._history.number_at(at)

    def oldest(self, channel: str, before: float, most: int) -> int:
        """Return up to which number the oldest messages of a channel were said before a time; 0 if none was.

        Args:
            channel: the channel.
            before: in seconds since the epoch.
            most: of how many messages at most.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        history = self._history
        first, last = history.first(channel), history.count(channel, history.number_at(before))
        return history.number_of(channel, min(last, first + most - 1)) if first <= last else 0

    @property
    def is_read(self) -> bool:
        """Whether some history is being read, page by page."""
        return self._history.readers > 0

    def time_of(self, number: int) -> float:
        """Return when the last message with a number up to this one was said; 0 if there is none.

        Raises:
            StoreUnavailable: the messages cannot be read.
        """
        return self._history.time_of(number)

    def markers(self, account: str) -> dict[str, float]:
        """Return up to which time an account has read each channel here, and its direct messages with each user.

        Raises:
            StoreUnavailable: the markers cannot be read.
        """
        with readable():
            return dict(self._db.execute(MARKER_TIMES, (account,)).fetchall())

    def unread(self, account: str) -> list[tuple[str, int]]:
        """Return the channels here in which an account has unread messages, each with their number.

        Raises:
            StoreUnavailable: the markers cannot be read.
        """
        with readable():
            markers = self._db.execute(MARKERS, (account,)).fetchall()
        history = self._history
        counts = (
            (channel, history.length(channel) - max(place, history.first(channel) - 1)) for channel, place in markers
        )
        return [(channel, count) for channel, count in counts if count > 0]

    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]:
        """Return the mail of an account, the oldest first: pages, each with the number of its last message.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        last = 0
        while True:
            with readable():
                rows = self._db.execute(
                    "SELECT id, sender, recipient, text, sent, message_id, kind FROM mail"
                    " WHERE recipient = ? AND id > ? ORDER BY id LIMIT ?",
                    (recipient, last, PAGE_ROWS),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield last, [Mailed(*row[1:]) for row in rows]
