"""Commands that ask about users: WHO, WHOIS, ISON, USERHOST, AWAY, SETNAME."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.wire import word

MAX_ASKED = 5
"""Nicks that one USERHOST can ask about."""


def ison(irc: Irc, client: Client, request: Request) -> None:
    """ISON <nick>..."""
    asked = [nick for arg in request.args for nick in arg.split(" ") if nick]
    found = [irc.people.nick(name) for nick in asked if (name := irc.people.here(nick)) is not None]
    client.reply(numerics.ISON, text=" ".join(found))


def userhost(irc: Irc, client: Client, request: Request) -> None:
    """USERHOST <nick>..."""
    replies = []
    for nick in request.args[:MAX_ASKED]:
        name = irc.people.find(nick)
        if name is not None:
            sign = "-" if irc.people.away_text(name) is not None else "+"
            replies.append(f"{irc.people.nick(name)}={sign}{irc.people.user_at_host(name)}")
    client.reply(numerics.USERHOST, text=" ".join(replies))


def ping(_irc: Irc, client: Client, request: Request) -> None:
    """PING <token>."""
    client.answer("PONG", client.server, text=request.args[0])


def pong(_irc: Irc, _client: Client, _request: Request) -> None:
    """PONG: not answered."""


def leave(irc: Irc, client: Client, request: Request) -> None:
    """QUIT [<reason>]."""
    client.close(word(request.args[0]) if request.args else "quit")
