"""Joining and leaving channels, and their members: JOIN, PART, NAMES (I15, I18 to I21)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.history import context_lines
from dialects.irc.numerics import Numeric
from dialects.irc.rosters import joined_lines, name_lines
from dialects.irc.wire import cut, message, plain, word
from domain.errors import (
    AlreadyMember,
    ChannelFull,
    InviteOnly,
    KeptOut,
    LimitReached,
    NoSuchChannel,
    NotAName,
    StoreUnavailable,
    WrongKey,
)
from domain.names import HOST_OF_CHANNEL

MAX_REASON = 300
"""Bytes of a reason; the rest is cut."""

MAX_NAMES = 4
"""Channels that one NAMES can ask about."""

LEAVE_ALL = "0"

JOIN_REFUSALS: dict[type[Exception], Numeric] = {
    ChannelFull: numerics.CHANNELISFULL,
    InviteOnly: numerics.INVITEONLYCHAN,
    KeptOut: numerics.BANNEDFROMCHAN,
    WrongKey: numerics.BADCHANNELKEY,
    LimitReached: numerics.TOOMANYCHANNELS,
    NoSuchChannel: numerics.NOSUCHCHANNEL,
    NotAName: numerics.NOSUCHCHANNEL,
    StoreUnavailable: numerics.UNAVAILRESOURCE,
}
"""The answer to a JOIN by its error."""


def join(irc: Irc, client: Client, request: Request) -> None:
    """JOIN <channel>[,<channel>...] [<key>[,<key>...]], or JOIN 0."""
    if request.args[0] == LEAVE_ALL:
        for name in sorted(irc.channels_of(client)):
            _part(irc, client, request, name, "")
        return
    if _has_no_target(client, request, "JOIN"):
        return
    irc.divide(request)
    keys = request.args[1].split(",") if len(request.args) > 1 else []
    for number, shown in enumerate(request.args[0].split(",")):
        if shown:
            _join(irc, client, request, shown, keys[number] if number < len(keys) else "")


def _has_no_target(client: Client, request: Request, verb: str) -> bool:
    """Answer a request that names no channel, with nothing but commas perhaps; tell whether it is one."""
    if request.args[0].strip(","):
        return False
    client.reply(numerics.NEEDMOREPARAMS, verb)
    return True


def _join(irc: Irc, client: Client, request: Request, shown: str, key: str) -> None:
    name = irc.people.channel_name(shown)
    if not name or (HOST_OF_CHANNEL in name and client.account is None):
        refusal = numerics.NEEDREGGEDNICK if name else numerics.NOSUCHCHANNEL
        irc.refuse_part(client, request, partial(client.reply, refusal, word(shown)))
        return

    def joined(error: Exception | None) -> None:
        client.pending.discard(("JOIN", name))
        if error is None:
            _tell_joined(irc, client, name)
        elif not isinstance(error, AlreadyMember):  # a member gets no answer (I20)
            client.reply(JOIN_REFUSALS.get(type(error), numerics.UNAVAILRESOURCE), word(shown))

    client.pending.add(("JOIN", name))
    irc.enter_channel(client, name, key, irc.outcome(client, request, joined))


def _tell_joined(irc: Irc, client: Client, name: str) -> None:
    channel = irc.chat.channels.find(name)
    if channel is not None:
        client.stream(itertools.chain(joined_lines(irc, client, channel), context_lines(irc, client, channel)))


def part(irc: Irc, client: Client, request: Request) -> None:
    """PART <channel>[,<channel>...] [<reason>]."""
    if _has_no_target(client, request, "PART"):
        return
    irc.divide(request)
    reason = reason_of(request.args[1]) if len(request.args) > 1 else ""
    for shown in request.args[0].split(","):
        if not shown:
            continue
        name = irc.people.channel_name(shown)
        if name is not None and name in irc.channels_of(client):
            _part(irc, client, request, name, reason)
            continue
        refusal = numerics.NOTONCHANNEL if name is not None and irc.exists(name) else numerics.NOSUCHCHANNEL
        irc.refuse_part(client, request, partial(client.reply, refusal, word(shown)))


def _part(irc: Irc, client: Client, request: Request, name: str, reason: str) -> None:
    def parted(error: Exception | None) -> None:
        client.pending.discard(("PART", name))
        shown = irc.people.channel(name)
        if error is None:
            client.send(message(irc.people.prefix(client.nick), "PART", shown, text=reason or None))
        else:
            client.reply(numerics.NOTONCHANNEL, shown)

    client.pending.add(("PART", name))
    irc.leave_channel(client, name, reason, irc.outcome(client, request, parted))


def reason_of(text: str) -> str:
    """Return the reason that a client gives, as others may see it."""
    return cut(plain(text), MAX_REASON)


def names(irc: Irc, client: Client, request: Request) -> None:
    """NAMES <channel>[,<channel>...]; without one, nobody is listed."""
    asked = request.args[0] if request.args else "*"
    client.stream(_names(irc, client, asked))


def _names(irc: Irc, client: Client, asked: str) -> Iterator[str]:
    for shown in asked.split(",")[:MAX_NAMES]:
        channel = irc.visible_channel(client, irc.people.channel_name(shown))
        if channel is not None:
            yield from name_lines(irc, client, channel)
    yield client.line(numerics.ENDOFNAMES, word(asked))
