"""WHOIS: everything that a client may know of a user."""

from __future__ import annotations

from collections.abc import Iterator

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.profiles import BOT, OPERATOR, Profile, channels_of, profile_of
from dialects.irc.rosters import signs
from dialects.irc.wire import MAX_BODY, in_lines, word

ABOUT_SERVER = "a Crosstalk server"


def whois(irc: Irc, client: Client, request: Request) -> None:
    """WHOIS [<server>] <nick>."""
    asked = request.args[-1].split(",")[0]
    name = irc.people.find(asked)
    if name is None or not irc.people.is_known(name):
        client.reply(numerics.NOSUCHNICK, word(asked))
    else:
        profile = profile_of(irc, name, irc.room_of(client, asked, name))
        for line in _lines(irc, client, profile):
            client.send(line)
    client.reply(numerics.ENDOFWHOIS, word(asked))


def _lines(irc: Irc, client: Client, profile: Profile) -> Iterator[str]:
    nick = profile.nick
    yield client.line(numerics.WHOISUSER, nick, profile.user, profile.host, "*", text=profile.realname)
    yield from _channel_lines(irc, client, profile)
    yield client.line(numerics.WHOISSERVER, nick, profile.server, text=ABOUT_SERVER)
    if profile.away:
        yield client.line(numerics.AWAY, nick, text=profile.away)
    if OPERATOR in profile.modes:
        yield client.line(numerics.WHOISOPERATOR, nick)
    if profile.account:
        yield client.line(numerics.WHOISACCOUNT, nick, irc.people.nick(profile.account))
    if BOT in profile.modes:
        yield client.line(numerics.WHOISBOT, nick)
    if profile.clients:
        since = int(profile.clients[-1].since)
        yield client.line(numerics.WHOISIDLE, nick, str(irc.idle_seconds(profile.clients)), str(since))


def _channel_lines(irc: Irc, client: Client, profile: Profile) -> Iterator[str]:
    head = client.line(numerics.WHOISCHANNELS, profile.nick, text="")
    shown = [
        signs(channel, profile.name, every=client.has("multi-prefix")) + irc.people.channel(name)
        for name, channel in sorted(channels_of(irc, profile.name).items())
        if irc.may_list(client, channel)
    ]
    for line in in_lines(shown, MAX_BODY - len(head.encode())) if shown else ():
        yield client.line(numerics.WHOISCHANNELS, profile.nick, text=line)
