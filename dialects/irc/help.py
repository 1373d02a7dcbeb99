"""HELP: the commands, from their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from commands import Command, Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.wire import in_lines, word

INDEX = "index"
"""The subject of a HELP without one."""

LINE = 400
"""Bytes of a line with the names of commands."""


def make_help(commands: Callable[[], Mapping[str, Command]]) -> Callable[[Irc, Client, Request], None]:
    """Return the handler of HELP.

    Args:
        commands: returns the table of all commands.
    """

    def help_about(_irc: Irc, client: Client, request: Request) -> None:
        """HELP [<verb>]."""
        subject = request.args[0] if request.args else ""
        row = commands().get(subject.upper())
        if row is not None:
            _answer(client, subject.upper(), row.usage, [row.help])
        elif subject and subject.lower() != INDEX:
            client.reply(numerics.HELPNOTFOUND, word(subject))
        else:
            _answer(client, INDEX, "The commands; HELP <command> explains one", list(in_lines(list(commands()), LINE)))

    return help_about


def _answer(client: Client, subject: str, first: str, rest: list[str]) -> None:
    client.reply(numerics.HELPSTART, subject, text=first)
    for line in rest:
        client.reply(numerics.HELPTXT, subject, text=line)
    client.reply(numerics.ENDOFHELP, subject)
