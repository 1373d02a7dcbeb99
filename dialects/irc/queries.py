"""Short queries: ISON, USERHOST, PING; and QUIT."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.channels import reason_of
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.profiles import OPERATOR, profile_of
from text import clean

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
        if name is not None and irc.people.is_known(name):
            profile = profile_of(irc, name)
            operator = "*" if OPERATOR in profile.modes else ""
            sign = "-" if profile.away else "+"
            replies.append(f"{profile.nick}{operator}={sign}{profile.user}@{profile.host}")
    client.reply(numerics.USERHOST, text=" ".join(replies))


def ping(_irc: Irc, client: Client, request: Request) -> None:
    """PING <token>."""
    client.answer("PONG", client.server, text=clean(request.args[0]))


def pong(_irc: Irc, _client: Client, _request: Request) -> None:
    """PONG: not answered."""


def leave(_irc: Irc, client: Client, request: Request) -> None:
    """QUIT [<reason>]."""
    reason = reason_of(request.args[0]) if request.args else ""
    client.close(f"Quit: {reason}" if reason else "Quit")
