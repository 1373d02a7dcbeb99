"""CHATHISTORY: the messages of channels, in pages (draft/chathistory); and what clients without it get of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from commands import Request
from dialects.irc.client import Client, with_tag
from dialects.irc.core import Irc
from dialects.irc.events import channel_lines
from dialects.irc.markers import TIMESTAMP, parse_timestamp
from dialects.irc.wire import END, message, word
from domain.changes import Said
from domain.errors import ChatError, StoreUnavailable
from domain.state import Account, Channel, Visitor
from text import parse_number, utc_time

CAPABILITY = "draft/chathistory"

MAX_LIMIT = 1000
"""Messages of one answer; a greater limit counts as this (I30)."""

MAX_NUMBER = 2**63 - 1

MAX_BACK = 10_000
"""Messages, of all channels, that may have been said since a time that is asked for (I30)."""

MAX_UNREAD = 100
"""Unread messages of a channel that a client without the capability gets with its welcome."""

HALF = 0.0005
"""Half a millisecond, in seconds: times are shown in whole ones."""

MSGID = "msgid=m"
LATEST = "*"
BATCH = "history"
"""The reference of the batch: there is one at a time."""


class Refused(Exception):
    """A request that cannot be answered: the code of its standard reply, and the text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Reference(NamedTuple):
    """A place in the history: the numbers of the messages around it.

    Attributes:
        before: all messages before the place have smaller numbers.
        after: all messages behind it have greater ones.
    """

    before: int
    after: int


Pages = list[Iterator[list[Said]]]
"""Messages in pages, which are read one after the other."""


class Slice(NamedTuple):
    """What can be read: a member's channel.

    Attributes:
        irc: the dialect.
        member: who reads.
        channel: the name of the channel.
        since: messages with numbers up to this one are not for the reader.
    """

    irc: Irc
    member: Account | Visitor
    channel: str
    since: int

    def read(
        self, count: int, before: int | None = None, after: int | None = None, since: int = 0
    ) -> Iterator[list[Said]]:
        """Return messages as `Reading.history` does."""
        reading = self.irc.chat.reading
        since = max(since, self.since)
        after = None if after is None else max(after, self.since)
        return reading.history(self.member, self.channel, count, before, after, since)[1]


def slice_of(irc: Irc, client: Client, channel: str) -> Slice:
    """Return what a client can read of a channel.

    Raises:
        Refused: it is in no such channel here.
    """
    member = client.session.principal
    if channel not in irc.channels_of(client) or channel not in irc.chat.channels.local:
        raise Refused("INVALID_TARGET", "Messages could not be retrieved")
    sees_no_older = isinstance(member, Visitor) and irc.settings.guest_history == "off"
    return Slice(irc, member, channel, member.since[channel] if sees_no_older else 0)


# ---- requests ----


def chathistory(irc: Irc, client: Client, request: Request) -> None:
    """CHATHISTORY LATEST|BEFORE|AFTER|AROUND|BETWEEN <target> <reference>... <limit>, or TARGETS."""
    subcommand, *words = request.args
    find = FINDERS.get(subcommand.upper())
    if subcommand.upper() == "TARGETS":
        _targets(irc, client, words)
    elif find is None:
        client.fail("CHATHISTORY", "UNKNOWN_COMMAND", word(subcommand), text="Unknown subcommand")
    elif len(words) < find.references + 2:
        client.fail("CHATHISTORY", "NEED_MORE_PARAMS", word(subcommand), text="Not enough parameters")
    else:
        _answer(irc, client, subcommand, find, words)


def _answer(irc: Irc, client: Client, subcommand: str, find: Finder, words: Sequence[str]) -> None:
    shown, *references, limit = words[: find.references + 2]
    try:
        part = slice_of(irc, client, irc.people.channel_name(shown) or "")
        places = [_reference(irc, text) for text in references]
        pages = find.read(part, places, _limit(limit))
    except Refused as refused:
        context = (word(shown),) if refused.code != "INVALID_PARAMS" else ()
        client.fail("CHATHISTORY", refused.code, word(subcommand), *context, text=refused.text)
    except ChatError:
        client.fail("CHATHISTORY", "MESSAGE_ERROR", word(subcommand), word(shown), text="Messages cannot be read now")
    else:
        client.stream(_in_batch(client, f"chathistory {irc.people.channel(part.channel)}", _lines(irc, client, pages)))


def _limit(text: str) -> int:
    limit = parse_number(text, MAX_LIMIT)
    if not limit:
        raise Refused("INVALID_PARAMS", "The limit is a positive number")
    return limit


def _reference(irc: Irc, text: str) -> Reference | None:
    """Parse a reference; None for `*`.

    Raises:
        Refused: the text is no reference, or too far back.
        StoreUnavailable: the messages cannot be read.
    """
    if text == LATEST:
        return None
    if text.startswith(MSGID):
        number = parse_number(text.removeprefix(MSGID), MAX_NUMBER)
        if number is not None:
            return Reference(number, number)
    at = parse_timestamp(text)
    if at is None:
        known = text.startswith(("msgid=", TIMESTAMP))
        raise Refused("INVALID_PARAMS" if known else "INVALID_MSGREFTYPE", "That is no message and no time")
    reading = irc.chat.reading
    place = Reference(reading.number_at(at - HALF) + 1, reading.number_at(at + HALF))
    if reading.last_published - place.after > MAX_BACK:
        raise Refused("MESSAGE_ERROR", f"Too far back: more than {MAX_BACK} messages")
    return place


# ---- what they ask for ----


def _latest(part: Slice, places: Sequence[Reference | None], limit: int) -> Pages:
    (place,) = places
    return [part.read(limit, since=place.after if place is not None else 0)]


def _before(part: Slice, places: Sequence[Reference | None], limit: int) -> Pages:
    (place,) = _all_given(places)
    return [part.read(limit, before=place.before)]


def _after(part: Slice, places: Sequence[Reference | None], limit: int) -> Pages:
    (place,) = _all_given(places)
    return [part.read(limit, after=place.after)]


def _around(part: Slice, places: Sequence[Reference | None], limit: int) -> Pages:
    (place,) = _all_given(places)
    earlier = (limit - 1) // 2
    later = part.read(limit - earlier, after=place.before - 1)
    return [part.read(earlier, before=place.before), later] if earlier else [later]


def _between(part: Slice, places: Sequence[Reference | None], limit: int) -> Pages:
    """Return the messages between two, those next to the first reference if there are more."""
    first, last = _all_given(places)
    if first.after <= last.after:
        return [part.read(limit, after=first.after, before=last.before)]
    return [part.read(limit, before=first.before, since=last.after)]


def _all_given(places: Sequence[Reference | None]) -> list[Reference]:
    given = [place for place in places if place is not None]
    if len(given) < len(places):
        raise Refused("INVALID_PARAMS", "Only LATEST takes *")
    return given


class Finder(NamedTuple):
    """A subcommand: how many references it takes, and how it reads."""

    references: int
    read: Callable[[Slice, Sequence[Reference | None], int], Pages]


FINDERS: Mapping[str, Finder] = {
    "LATEST": Finder(1, _latest),
    "BEFORE": Finder(1, _before),
    "AFTER": Finder(1, _after),
    "AROUND": Finder(1, _around),
    "BETWEEN": Finder(2, _between),
}

# ---- answers ----


def _lines(irc: Irc, client: Client, pages: Pages) -> Iterator[str]:
    """Render messages as they came; a page that cannot be read ends the answer."""
    dialect = irc.for_client(client)
    with contextlib.suppress(StoreUnavailable):
        for part in pages:
            for page in part:
                yield "".join(channel_lines(dialect, page))


def _in_batch(client: Client, kind: str, chunks: Iterator[str]) -> Iterator[str]:
    """Put lines into a batch, for a client that knows batches."""
    if not client.has("batch"):
        yield from chunks
        return
    yield f":{client.server} BATCH +{BATCH} {kind}{END}"
    for chunk in chunks:
        yield "".join([with_tag("batch", BATCH, line + END) for line in chunk.split(END)[:-1]])
    yield f":{client.server} BATCH -{BATCH}{END}"


def _targets(irc: Irc, client: Client, words: Sequence[str]) -> None:
    """TARGETS <timestamp> <timestamp> <limit>: the channels in which something was said last in between."""
    try:
        if len(words) < 3:
            raise Refused("NEED_MORE_PARAMS", "Not enough parameters")
        times = [parse_timestamp(text) for text in words[:2]]
        limit = _limit(words[2])
        if None in times:
            raise Refused("INVALID_PARAMS", "TARGETS takes two timestamps")
    except Refused as refused:
        client.fail("CHATHISTORY", refused.code, "TARGETS", text=refused.text)
        return
    first, last = sorted(time for time in times if time is not None)
    client.stream(_in_batch(client, "draft/chathistory-targets", _target_lines(irc, client, first, last, limit)))


def _target_lines(irc: Irc, client: Client, first: float, last: float, limit: int) -> Iterator[str]:
    spoken = []
    for name in sorted(irc.channels_of(client)):
        with contextlib.suppress(Refused, ChatError):
            latest = [said for page in slice_of(irc, client, name).read(1) for said in page]
            spoken += [(said.at, name) for said in latest if first < said.at < last]
        yield ""
    for at, name in sorted(spoken)[:limit]:
        yield message(client.server, "CHATHISTORY", "TARGETS", irc.people.channel(name), utc_time(at))


# ---- for clients without the capability ----


def context_lines(irc: Irc, client: Client, channel: Channel, *, with_unread: bool = False) -> Iterator[str]:
    """Return the last messages that follow a JOIN, for a client that sees their time and cannot ask for them (I30).

    Args:
        irc: the dialect.
        client: the client.
        channel: its channel.
        with_unread: add those that its account has not read, MAX_UNREAD at most.
    """
    if client.has(CAPABILITY) or not client.has("server-time"):
        return
    with contextlib.suppress(Refused, ChatError):
        part = slice_of(irc, client, channel.name)
        count = irc.settings.history_on_join
        if with_unread and client.account is not None:
            count = max(count, min(_unread(irc, client.account, channel.name), MAX_UNREAD))
        if count:
            yield from _lines(irc, client, [part.read(count)])


def _unread(irc: Irc, account: Account, channel: str) -> int:
    return dict(irc.chat.reading.unread(account)).get(channel, 0)


def unread_notes(irc: Irc, client: Client) -> Iterator[str]:
    """Return how much is unread in each channel, for clients that know markers and standard replies (I30)."""
    if client.account is None or not client.has("draft/read-marker") or not client.has("standard-replies"):
        return
    with contextlib.suppress(ChatError):
        for channel, count in irc.chat.reading.unread(client.account):
            shown = irc.people.channel(channel)
            yield message(client.server, "NOTE", "UNREAD", shown, str(count), text="unread")
