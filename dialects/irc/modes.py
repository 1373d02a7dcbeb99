"""MODE: the modes of channels, and of the client itself."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.names import CHANNEL
from dialects.irc.status import user_mode
from dialects.irc.wire import word


def mode(irc: Irc, client: Client, request: Request) -> None:
    """MODE <target> [<modes> [<word>...]]."""
    if request.args[0].startswith(CHANNEL):
        channel_mode(irc, client, request)
    else:
        user_mode(irc, client, request)


def channel_mode(irc: Irc, client: Client, request: Request) -> None:
    """MODE <channel> [<modes> [<word>...]]."""
    client.reply(numerics.NOSUCHCHANNEL, word(request.args[0]))
