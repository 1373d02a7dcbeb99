"""The members of a channel, as NAMES and the answer to JOIN list them. Long lists are made as they are read (I33)."""

from __future__ import annotations

from collections.abc import Iterator

from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.markers import marker_lines
from dialects.irc.profiles import profile_of
from dialects.irc.wire import MAX_BODY, in_lines, message
from domain import modes as ranks
from domain.state import NOBODY, Channel

OPERATOR, VOICE = "@", "+"
SIGNS = {ranks.OPERATOR: OPERATOR, ranks.VOICE: VOICE}

PUBLIC, SECRET = "=", "@"
"""The sign before a channel in NAMES."""

PIECE = 100
"""Names that are rendered at once."""


def joined_lines(irc: Irc, client: Client, channel: Channel) -> Iterator[str]:
    """Return a client's own JOIN and what follows it: the topic, if there is one, and who is there (I21)."""
    yield join_line(irc, client.nick, channel.name, is_extended=client.has("extended-join"))
    yield from topic_lines(irc, client, channel)
    yield from marker_lines(irc, client, channel)
    yield from name_lines(irc, client, channel)
    yield client.line(numerics.ENDOFNAMES, irc.people.channel(channel.name))


def topic_lines(irc: Irc, client: Client, channel: Channel) -> Iterator[str]:
    """Return a channel's topic, and who has set it; nothing without one."""
    if channel.topic:
        shown = irc.people.channel(channel.name)
        yield client.line(numerics.TOPIC, shown, text=channel.topic)
        if channel.topic_set != NOBODY:
            name, at = channel.topic_set
            yield client.line(numerics.TOPICWHOTIME, shown, irc.people.nick(name), str(int(at)))


def name_lines(irc: Irc, client: Client, channel: Channel) -> Iterator[str]:
    """Return who is in a channel, as NAMES does, without its last line."""
    shown, sign = irc.people.channel(channel.name), SECRET if channel.is_secret else PUBLIC
    head = client.line(numerics.NAMREPLY, sign, shown, text="")
    names = channel.names()
    for start in range(0, len(names), PIECE):
        words = [_entry(irc, client, channel, name) for name in names[start : start + PIECE]]
        for line in in_lines(words, MAX_BODY - len(head.encode())):
            yield client.line(numerics.NAMREPLY, sign, shown, text=line)


def _entry(irc: Irc, client: Client, channel: Channel, name: str) -> str:
    room = channel.name if name in channel.guests else ""
    shown = irc.people.prefix(name, room=room) if client.has("userhost-in-names") else irc.people.nick(name, room)
    return signs(channel, name, every=client.has("multi-prefix")) + shown


def signs(channel: Channel, name: str, *, every: bool) -> str:
    """Return the signs of a user's ranks in a channel: all of them, or the highest."""
    shown = "".join([SIGNS[rank] for rank in channel.rank(name)])
    return shown if every else shown[:1]


def join_line(irc: Irc, name: str, channel: str, *, is_extended: bool) -> str:
    """Return the JOIN of a user."""
    found = irc.chat.channels.local.get(channel)
    profile = profile_of(irc, name, found)
    prefix = f"{profile.nick}!{profile.user}@{profile.host}"
    shown = irc.people.channel(channel)
    if not is_extended:
        return message(prefix, "JOIN", shown)
    account = irc.people.nick(profile.account) if profile.account else "*"
    return message(prefix, "JOIN", shown, account, text=profile.realname)
