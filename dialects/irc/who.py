"""WHO and WHOX: users by name, by mask or by channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.names import CHANNEL
from dialects.irc.profiles import BOT, INVISIBLE, OPERATOR, Profile, channels_of, profile_of, shares_channel
from dialects.irc.rosters import signs
from dialects.irc.wire import word
from domain.masks import fold, pattern_of
from domain.state import Channel

EVERYBODY = ("*", "0", "")
"""Masks that every user matches."""

HOPS = "0"
NO_ACCOUNT = "0"
HIDDEN_ADDRESS = "255.255.255.255"
NO_LEVEL = "n/a"

MAX_TOKEN = 3
"""Digits of the token that the answers to a WHOX repeat."""


def who(irc: Irc, client: Client, request: Request) -> None:
    """WHO [<mask> [o|%<fields>[,<token>]]]."""
    mask, *options = request.args or ("*",)
    option = options[0] if options else ""
    found = _find(irc, client, mask)
    if option.partition("%")[0] == "o":
        found = ((profile, channel) for profile, channel in found if OPERATOR in profile.modes)
    fields, _comma, token = option.partition("%")[2].partition(",")
    render = _whox(fields, token) if "%" in option else _reply
    client.stream(_render(irc, client, found, render, mask))


Render = Callable[[Irc, Client, Profile, Channel | None], str]


def _render(
    irc: Irc, client: Client, found: Iterator[tuple[Profile, Channel | None]], render: Render, mask: str
) -> Iterator[str]:
    for profile, channel in found:
        yield render(irc, client, profile, channel)
    yield client.line(numerics.ENDOFWHO, word(mask))


# ---- the users that it finds ----


def _find(irc: Irc, client: Client, mask: str) -> Iterator[tuple[Profile, Channel | None]]:
    if mask.startswith(CHANNEL):
        channel = irc.visible_channel(client, irc.people.channel_name(mask))
        for name in channel.names() if channel is not None else ():
            yield profile_of(irc, name, channel), channel
    elif mask in EVERYBODY or "*" in mask or "?" in mask:
        yield from _find_by_mask(irc, client, "*" if mask in EVERYBODY else mask)
    else:
        found = irc.people.find(mask)
        if found is not None and irc.people.is_known(found):
            room = irc.room_of(client, mask, found)
            yield profile_of(irc, found, room), room or _common_channel(irc, client, found)


def _find_by_mask(irc: Irc, client: Client, mask: str) -> Iterator[tuple[Profile, Channel | None]]:
    fits = pattern_of(fold(mask)).fullmatch
    for name in irc.chat.users.sorted_online_names():  # the same list while it is read, whoever comes or goes
        if not irc.people.is_known(name):
            continue  # it has gone while the list was read
        profile = profile_of(irc, name)
        if not any(fits(fold(text)) for text in (profile.nick, profile.user, profile.host, profile.realname)):
            continue
        if INVISIBLE not in profile.modes or name == client.nick or shares_channel(irc, client, name):
            yield profile, _common_channel(irc, client, name)


def _common_channel(irc: Irc, client: Client, name: str) -> Channel | None:
    """Return a channel in which both are, if there is one."""
    theirs = channels_of(irc, name)
    return next((channel for key, channel in irc.channels_of(client).items() if key in theirs), None)


# ---- how they are shown ----


def _flags(client: Client, profile: Profile, channel: Channel | None) -> str:
    away = "G" if profile.away else "H"
    operator = "*" if OPERATOR in profile.modes else ""
    ranks = signs(channel, profile.name, every=client.has("multi-prefix")) if channel is not None else ""
    bot = "B" if BOT in profile.modes else ""
    return away + operator + bot + ranks


def _shown_channel(irc: Irc, channel: Channel | None) -> str:
    return "*" if channel is None else irc.people.channel(channel.name)


def _reply(irc: Irc, client: Client, profile: Profile, channel: Channel | None) -> str:
    return client.line(
        numerics.WHOREPLY,
        _shown_channel(irc, channel),
        profile.user,
        profile.host,
        profile.server,
        profile.nick,
        _flags(client, profile, channel),
        text=f"{HOPS} {profile.realname}",
    )


FIELDS: Mapping[str, Callable[[Irc, Client, Profile, Channel | None], str]] = {
    "c": lambda irc, _client, _profile, channel: _shown_channel(irc, channel),
    "u": lambda _irc, _client, profile, _channel: profile.user,
    "i": lambda _irc, _client, _profile, _channel: HIDDEN_ADDRESS,
    "h": lambda _irc, _client, profile, _channel: profile.host,
    "s": lambda _irc, _client, profile, _channel: profile.server,
    "n": lambda _irc, _client, profile, _channel: profile.nick,
    "f": lambda _irc, client, profile, channel: _flags(client, profile, channel),
    "d": lambda _irc, _client, _profile, _channel: HOPS,
    "l": lambda irc, _client, profile, _channel: str(irc.idle_seconds(profile.clients)),
    "a": lambda _irc, _client, profile, _channel: profile.account or NO_ACCOUNT,
    "o": lambda _irc, _client, _profile, _channel: NO_LEVEL,
    "r": lambda _irc, _client, profile, _channel: profile.realname,
}
"""The fields of WHOX, in the order of the answer; the token, `t`, comes before all of them."""


def _whox(fields: str, token: str) -> Render:
    has_token = "t" in fields and len(token) <= MAX_TOKEN and token.isdecimal()

    def render(irc: Irc, client: Client, profile: Profile, channel: Channel | None) -> str:
        words = [show(irc, client, profile, channel) for field, show in FIELDS.items() if field in fields]
        if has_token:
            words.insert(0, token)
        return client.line(numerics.WHOSPCRPL, *words[:-1], text=words[-1] if words else "")

    return render
