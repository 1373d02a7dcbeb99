"""MONITOR: tells a client when users log in and out, also those who share no channel with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.numerics import Numeric
from dialects.irc.wire import MAX_BODY, in_lines, word
from domain.masks import fold

MAX_MONITORED = 100
"""Nicks that a client can monitor (I33)."""


def monitor(irc: Irc, client: Client, request: Request) -> None:
    """MONITOR +|- <nick>[,<nick>...], or MONITOR C|L|S."""
    act = ACTIONS.get(request.args[0].upper())
    if act is not None:
        act(irc, client, request.args[1].split(",") if len(request.args) > 1 else [])


def _add(irc: Irc, client: Client, nicks: Iterable[str]) -> None:
    added = []
    asked = [nick for nick in nicks if nick]
    for number, nick in enumerate(asked):
        if fold(nick) in client.monitored:
            added.append(nick)
        elif len(client.monitored) < MAX_MONITORED:
            client.monitored[fold(nick)] = word(nick)
            irc.monitors.add(client, nick)
            added.append(nick)
        else:
            rest = ",".join(map(word, asked[number:]))
            client.reply(numerics.MONLISTFULL, str(MAX_MONITORED), rest)
            break
    _tell_state(irc, client, added)


def _remove(irc: Irc, client: Client, nicks: Iterable[str]) -> None:
    for nick in nicks:
        client.monitored.pop(fold(nick), None)
        irc.monitors.remove(client, nick)


def _clear(irc: Irc, client: Client, _nicks: Iterable[str] = ()) -> None:
    for nick in list(client.monitored):
        irc.monitors.remove(client, nick)
    client.monitored.clear()


def _list(_irc: Irc, client: Client, _nicks: Iterable[str]) -> None:
    _reply_in_lines(client, numerics.MONLIST, client.monitored.values())
    client.reply(numerics.ENDOFMONLIST)


def _state(irc: Irc, client: Client, _nicks: Iterable[str]) -> None:
    _tell_state(irc, client, client.monitored.values())


def _tell_state(irc: Irc, client: Client, nicks: Iterable[str]) -> None:
    here, away = [], []
    for nick in nicks:
        name = irc.people.find(nick)
        if name is not None and irc.people.is_online(name):
            here.append(irc.people.prefix(name))
        else:
            away.append(word(nick))
    _reply_in_lines(client, numerics.MONONLINE, here)
    _reply_in_lines(client, numerics.MONOFFLINE, away)


def _reply_in_lines(client: Client, numeric: Numeric, words: Collection[str]) -> None:
    room = MAX_BODY - len(client.line(numeric, text="").encode())
    for line in in_lines(words, room, ",") if words else ():
        client.reply(numeric, text=line)


ACTIONS: Mapping[str, Callable[[Irc, Client, Iterable[str]], None]] = {
    "+": _add,
    "-": _remove,
    "C": _clear,
    "L": _list,
    "S": _state,
}
