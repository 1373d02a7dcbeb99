"""Profiles of users: what WHO, WHOIS, USERHOST and the tags of messages show of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.people import client_of
from domain.names import HOST_OF_USER
from domain.state import Account, Channel, Guest, Visitor

INVISIBLE, WALLOPS, BOT, OPERATOR = "i", "w", "B", "o"
"""The user modes."""

NOT_HERE = "not here"
"""Why an account that is not logged in is away (I18)."""


class Profile(NamedTuple):
    """A user, as others may know it.

    Attributes:
        name: in the domain.
        nick, user, host: of its prefix.
        realname: what it has called itself, else its name.
        account: the account's name; "" for a guest.
        away: why it is away; "" for one that is here.
        modes: its user modes.
        server: where it is logged in.
        clients: those of its clients that speak IRC.
    """

    name: str
    nick: str
    user: str
    host: str
    realname: str
    account: str
    away: str
    modes: frozenset[str]
    server: str
    clients: tuple[Client, ...] = ()


def profile_of(irc: Irc, name: str, channel: Channel | None = None) -> Profile:
    """Return the profile of a user who exists.

    Args:
        irc: the dialect.
        name: the user's name.
        channel: where the user is looked at; it may be a room guest there.
    """
    room = channel.name if channel is not None and name in channel.guests else ""
    user, _at, host = irc.people.user_at_host(name, in_room=bool(room)).partition("@")
    bare, _sign, server = name.partition(HOST_OF_USER)
    holder = irc.chat.users.accounts.get(name) or irc.chat.users.guests.get(name)
    clients = clients_of(holder)
    latest = clients[-1] if clients else None
    return Profile(
        name,
        irc.people.nick(name, room),
        user,
        host,
        latest.realname if latest is not None else bare,
        name if isinstance(holder, Account) else "",
        away_text(holder),
        frozenset[str]().union(*(client.modes for client in clients)),
        server or irc.server.name,
        clients,
    )


def clients_of(holder: Account | Guest | None) -> tuple[Client, ...]:
    """Return those clients of a user that speak IRC, the latest last."""
    if isinstance(holder, Account | Visitor):
        return tuple([client for session in holder.sessions if (client := client_of(session)) is not None])
    return ()


def away_text(holder: Account | Guest | None) -> str:
    """Return why a user is away; "" if it is here: with one client at least that is not away."""
    if not isinstance(holder, Account | Visitor):
        return ""
    clients = [client_of(session) for session in holder.sessions]
    if not clients:
        return NOT_HERE if isinstance(holder, Account) else ""
    texts = [client.away if client is not None else "" for client in clients]
    return texts[-1] if all(texts) else ""


def channels_of(irc: Irc, name: str) -> Mapping[str, Channel]:
    """Return the channels that a user is a member of, by name."""
    holder = irc.chat.users.accounts.get(name) or irc.chat.users.guests.get(name)
    return holder.channels if isinstance(holder, Account | Visitor) else {}


def shares_channel(irc: Irc, client: Client, name: str) -> bool:
    """Tell whether a client is in a channel with a user."""
    return not irc.channels_of(client).keys().isdisjoint(channels_of(irc, name))
