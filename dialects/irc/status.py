"""AWAY, SETNAME and MODE about the client itself."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.profiles import BOT, INVISIBLE, OPERATOR, WALLOPS
from dialects.irc.registration import clean_realname
from dialects.irc.wire import cut, message, plain, word

MAX_AWAY = 200
"""Bytes of the reason for being away; the rest is cut."""

OWN_MODES = frozenset((INVISIBLE, WALLOPS, BOT, OPERATOR))


def away(irc: Irc, client: Client, request: Request) -> None:
    """AWAY [<reason>]."""
    client.away = cut(plain(request.args[0]).strip(), MAX_AWAY) if request.args else ""
    client.reply(numerics.NOWAWAY if client.away else numerics.UNAWAY)
    irc.tell_of(client, "away-notify", message(irc.people.prefix(client.nick), "AWAY", text=client.away or None))


def setname(irc: Irc, client: Client, request: Request) -> None:
    """SETNAME <realname>."""
    realname = clean_realname(request.args[0])
    if not realname:
        client.fail("SETNAME", "INVALID_REALNAME", text="That is no name")
        return
    client.realname = realname
    line = message(irc.people.prefix(client.nick), "SETNAME", text=realname)
    if client.has("setname"):
        client.send(line)
    irc.tell_of(client, "setname", line)


def user_mode(irc: Irc, client: Client, request: Request) -> None:
    """MODE <nick> [<modes>]: a client sees and sets its own alone."""
    shown, *changes = request.args
    if irc.people.find(shown) != client.nick:
        known = irc.people.find(shown)
        if known is None or not irc.people.is_known(known):
            client.reply(numerics.NOSUCHNICK, word(shown))
        else:
            client.reply(numerics.USERSDONTMATCH)
    elif not changes:
        client.reply(numerics.UMODEIS, "+" + "".join(sorted(client.modes)))
    else:
        _change(irc, client, changes[0])


def _change(irc: Irc, client: Client, wanted: str) -> None:
    modes, adding = set(client.modes), True
    for letter in wanted:
        if letter in "+-":
            adding = letter == "+"
        elif letter not in OWN_MODES:
            client.reply(numerics.UMODEUNKNOWNFLAG)
        elif not adding:
            modes.discard(letter)
        elif letter != OPERATOR:  # OPER alone gives it
            modes.add(letter)
    set_modes(irc, client, frozenset(modes))


def set_modes(irc: Irc, client: Client, modes: frozenset[str]) -> None:
    """Give a client these user modes, and tell it what has changed."""
    added, removed = sorted(modes - client.modes), sorted(client.modes - modes)
    irc.census.modes_changed(client, client.nick, client.modes, modes)
    client.modes = modes
    change = ("+" + "".join(added) if added else "") + ("-" + "".join(removed) if removed else "")
    if change:
        client.send(message(irc.people.prefix(client.nick), "MODE", client.shown, text=change))
