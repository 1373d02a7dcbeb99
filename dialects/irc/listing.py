"""LIST: the channels, with conditions on them (ELIST)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.names import CHANNEL
from domain.masks import fold, pattern_of
from domain.names import HOST_OF_CHANNEL
from domain.state import Channel
from text import parse_number

MAX_CONDITIONS = 10
"""Conditions of one LIST; each is looked at for each channel."""

MAX_NUMBER = 10**9

Condition = Callable[[str, Channel | None], bool]
"""Tells whether a channel is listed, from its name and, for one of this server, the channel."""


def list_channels(irc: Irc, client: Client, request: Request) -> None:
    """LIST [<condition>[,<condition>...]]: names and masks, of which one must fit; all others must hold."""
    words = [word for word in (request.args[0].split(",") if request.args else []) if word][:MAX_CONDITIONS]
    parsed = [(word, condition_of(irc, word)) for word in words]
    conditions = [condition for _word, condition in parsed if condition is not None]
    masks = [_pattern(word) for word, condition in parsed if condition is None]
    client.stream(_lines(irc, client, masks, conditions))


def condition_of(irc: Irc, word: str) -> Condition | None:
    """Return the condition that a word states; None for the name or mask of channels."""
    if word[0] == "!":
        unwanted = _pattern(word[1:])
        return lambda name, _channel: unwanted.fullmatch(fold(name)) is None
    kind = word[0].upper() if word[0].upper() in "CT" and word[1:2] in ("<", ">") else ""
    sign, number = word[len(kind) : len(kind) + 1], parse_number(word[len(kind) + 1 :], MAX_NUMBER)
    if sign not in ("<", ">") or number is None:
        return None
    return _compare(irc, kind, sign, number)


def _pattern(word: str) -> re.Pattern[str]:
    """Return the pattern of a name or mask of channels."""
    return pattern_of(fold(word.removeprefix(CHANNEL)))


def _compare(irc: Irc, kind: str, sign: str, number: int) -> Condition:
    def holds(_name: str, channel: Channel | None) -> bool:
        if channel is None:
            return False
        if kind:
            at = channel.created if kind == "C" else channel.topic_set[1]
            value = (irc.server.now() - at) / 60
            return at > 0 and (value < number if sign == "<" else value > number)
        return len(channel.names()) < number if sign == "<" else len(channel.names()) > number

    return holds


def _lines(irc: Irc, client: Client, masks: list[re.Pattern[str]], conditions: list[Condition]) -> Iterator[str]:
    yield client.line(numerics.LISTSTART, "Channel")
    for name in irc.chat.channels.listing.shown_to(client.session.principal):
        channel = irc.chat.channels.local.get(name)
        if channel is None and HOST_OF_CHANNEL not in name:
            continue  # it has been removed while the list was read
        if (channel is None or irc.may_list(client, channel)) and _fits(name, channel, masks, conditions):
            size, topic = (len(channel.names()), channel.topic) if channel is not None else (0, "")
            yield client.line(numerics.LIST, irc.people.channel(name), str(size), text=topic)
    yield client.line(numerics.LISTEND)


def _fits(name: str, channel: Channel | None, masks: list[re.Pattern[str]], conditions: list[Condition]) -> bool:
    if masks and not any(mask.fullmatch(fold(name)) for mask in masks):
        return False
    return all(holds(name, channel) for holds in conditions)
