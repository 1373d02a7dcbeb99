"""WHOWAS: users of IRC who have left."""

from __future__ import annotations

from collections.abc import Iterator

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.wire import word
from domain.masks import fold
from text import parse_number, utc_time

MAX_COUNT = 10**6


def whowas(irc: Irc, client: Client, request: Request) -> None:
    """WHOWAS <nick> [<count>]: the latest first; a count that is not positive asks for all."""
    asked, *counts = request.args
    count = parse_number(counts[0], MAX_COUNT) if counts else None
    client.stream(_lines(irc, client, asked, count or MAX_COUNT))


def _lines(irc: Irc, client: Client, asked: str, count: int) -> Iterator[str]:
    found = [gone for gone in reversed(irc.people.gone) if fold(gone.nick) == fold(asked)][:count]
    for gone in found:
        user, _at, host = gone.user_at_host.partition("@")
        yield client.line(numerics.WHOWASUSER, gone.nick, user, host, "*", text=gone.realname)
        yield client.line(numerics.WHOISSERVER, gone.nick, irc.server.name, text=utc_time(gone.at))
    if not found:
        yield client.line(numerics.WASNOSUCHNICK, word(asked))
    yield client.line(numerics.ENDOFWHOWAS, word(asked))
