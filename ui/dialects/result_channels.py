"""What the client of `result` knows about the user's channels: what is unread, what was shown, who is online. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from ui.dialects.base import Names
from ui.rendering import MAX_NAME_SHOWN, Line

LINES_SHOWN = 20
"""Messages that are shown when a channel is opened, unless more of them are new."""

MOST_SHOWN = 200
"""Maximum messages that are shown when a channel is opened."""

CONTEXT = 5
"""Messages that are shown before the new ones."""

MAX_CHANNELS = 1000
"""Maximum number of channels in which a user is followed, whatever a server says."""


class Message(NamedTuple):
    """A `RECV` line.

    Attributes:
        sender: who has said it.
        target: the channel, or `@user`.
        text: what was said.
        at: when, in seconds since the epoch; None: not told.
        number: its number in the server's journal; 0: not told.
    """

    sender: str
    target: str
    text: str
    at: float | None = None
    number: int = 0


class Tags(NamedTuple):
    """The tags before a `RECV` line, see `Message`."""

    at: float | None = None
    number: int = 0


def split_tags(line: str) -> tuple[Tags, str]:
    """Return the tags of a line, and the rest of it. Tags have the syntax of IRCv3 message tags."""
    if not line.startswith("@"):
        return Tags(), line
    words, _, rest = line[1:].partition(" ")
    values = dict(word.partition("=")[::2] for word in words.split(";"))
    number = values.get("id", "")
    return Tags(_moment(values.get("time", "")), int(number) if number.isdecimal() and len(number) < 20 else 0), rest


def _moment(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, OverflowError):
        return None


class Channel:
    """A channel that the user is in.

    Attributes:
        name: of the channel.
        unread: messages that came while another channel was current, or before the login.
        missed: those of them that were not shown.
        first, last: numbers of the first message that was shown since the login, and of the last one ever; 0 for none.
        gap: number of the last message that was shown before the login; 0 for none.
        marked: number of the message to which the server was told that the user has read.
        opened: what was said before is shown, or is not wanted.
        held: lines that came while what was said before is awaited; None while it is not.
        online: the members who are online; None: not known.
        speakers: those who have spoken; the last one spoke last.
        muted: the user may not speak here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.unread = self.missed = self.first = self.last = self.gap = self.marked = 0
        self.opened = False
        self.held: list[tuple[int, list[Line]]] | None = None
        self.online: Sequence[str] | None = None
        self.speakers = Names()
        self.muted = False

    def log_in(self) -> None:
        """A login has begun: what was said since the last one is not known yet."""
        self.gap, self.first, self.opened, self.held, self.online = self.last, 0, False, None, None

    def shown(self, number: int) -> None:
        """A message that has just been said is shown."""
        self.first = self.first or number
        self.last = max(self.last, number)

    def has_shown(self, number: int) -> bool:
        """Tell whether a message has been shown: before the login, or since it as it was said."""
        return bool(number) and (number <= self.gap or 0 < self.first <= number <= self.last)

    def history_request(self) -> str:
        """Return the request for what was said and not shown; of very much the last ones."""
        if self.gap and self.missed <= MOST_SHOWN:
            return f"HISTORY {self.name} {MOST_SHOWN} after {self.gap}"
        count = min(max(LINES_SHOWN, self.missed + CONTEXT), MOST_SHOWN)
        return f"HISTORY {self.name} {count}" + (f" before {self.first}" if self.first else "")

    def read(self) -> None:
        """All of it counts as read."""
        self.unread = self.missed = 0


class Channels:
    """The channels that the user is in, in the order of their numbers.

    Attributes:
        known: the server has listed them.
    """

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self.known = False

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def __contains__(self, name: str) -> bool:
        return name in self._channels

    def get(self, name: str) -> Channel | None:
        return self._channels.get(name)

    def enter(self, name: str) -> Channel | None:
        """Return the channel of this name, which the user is in; None where that would be one too many."""
        if name not in self._channels:
            if len(name) > MAX_NAME_SHOWN or len(self._channels) >= MAX_CHANNELS:
                return None
            self._channels[name] = Channel(name)
        return self._channels[name]

    def leave(self, name: str) -> None:
        self._channels.pop(name, None)

    def clear(self) -> None:
        self._channels.clear()
        self.known = False

    def log_in(self) -> None:
        """A login has begun, see `Channel.log_in`."""
        self.known = False
        for channel in self:
            channel.log_in()

    def listed(self, names: Sequence[str]) -> None:
        """The server has told which they are."""
        self.known = True
        for name in [channel.name for channel in self if channel.name not in names]:
            self.leave(name)
        for name in names:
            self.enter(name)

    def numbered(self, number: int) -> Channel | None:
        """Return the channel with this number, counted from 1."""
        return next((channel for place, channel in enumerate(self, 1) if place == number), None)


class HistoryRun:
    """The messages of an answer to HISTORY, as they come.

    Args:
        channel: in which they were said.
        count: how many come.
        new: how many of them, the last ones, are new.
        automatic: the client has asked for them.
    """

    def __init__(self, channel: str, count: int, new: int = 0, *, automatic: bool = False) -> None:
        self.channel = channel
        self.automatic = automatic
        self._left = count
        self._new = min(new, count)
        self._new_told = False

    @property
    def is_over(self) -> bool:
        return self._left == 0

    def take(self, *, shown: bool = False) -> bool:
        """Take one message; tell whether it is the first new one, of those that are not shown already."""
        self._left -= 1
        first = self._left < self._new and not (shown or self._new_told)
        self._new_told = self._new_told or first
        return first
