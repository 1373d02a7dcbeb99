"""KICK and INVITE, the commands of a channel's operators besides MODE."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from commands import Request
from dialects.irc import numerics
from dialects.irc.channels import reason_of
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.numerics import Numeric
from dialects.irc.people import client_of
from dialects.irc.wire import message, word
from domain.errors import (
    AlreadyMember,
    ChatError,
    LimitReached,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotOperator,
    StoreUnavailable,
)

MAX_KICKS = 4
"""Users that one KICK can remove."""

CHANNEL_REFUSALS: Mapping[type[Exception], Numeric] = {
    NoSuchChannel: numerics.NOSUCHCHANNEL,
    NotAMember: numerics.NOTONCHANNEL,
    NotOperator: numerics.CHANOPRIVSNEEDED,
}
"""The answer to a request about a channel by its error."""


def channel_refusal(irc: Irc, name: str | None, error: Exception) -> Numeric:
    """Return the answer to what was asked of a channel. One of another server has no operators and no modes here."""
    if name in irc.chat.channels.remote:
        return numerics.NOTONCHANNEL
    return CHANNEL_REFUSALS.get(type(error), numerics.CHANOPRIVSNEEDED)


def kick(irc: Irc, client: Client, request: Request) -> None:
    """KICK <channel>[,<channel>...] <nick>[,<nick>...] [<reason>]: one channel for all nicks, or one for each."""
    channels, nicks = (words.split(",") for words in request.args[:2])
    reason = reason_of(request.args[2]) if len(request.args) > 2 else ""
    if len(channels) == 1:
        channels *= len(nicks)
    irc.divide(request)
    operated = {shown: _operated(irc, client, shown) for shown in dict.fromkeys(channels[:MAX_KICKS])}
    for shown, nick in list(zip(channels, nicks, strict=False))[:MAX_KICKS]:
        name = operated[shown]
        if name is not None and nick:
            _kick(irc, client, request, name, nick, reason)


def _operated(irc: Irc, client: Client, shown: str) -> str | None:
    """Return the name of a channel that a client operates; answer it if it does not."""
    name = irc.people.channel_name(shown)
    try:
        if name is None:
            raise NoSuchChannel
        irc.chat.moderation.check_operates(client.nick, name)
    except ChatError as error:
        client.reply(channel_refusal(irc, name, error), word(shown))
        return None
    return name


def _kick(irc: Irc, client: Client, request: Request, channel: str, nick: str, reason: str) -> None:
    name, shown = irc.people.find_in(nick, channel), irc.people.channel(channel)
    found = irc.chat.channels.local.get(channel)

    def decided(error: Exception | None) -> None:
        client.pending.discard(("KICK", channel, name))
        if error is not None:
            text = "It could not be kept; try again later" if isinstance(error, StoreUnavailable) else None
            client.reply(numerics.USERNOTINCHANNEL, word(nick), shown, text=text)
        elif name != client.nick:  # a client that kicks itself gets the event of its removal
            assert name is not None
            text = reason or client.shown
            kicked = irc.people.nick(name, channel)
            client.send(message(irc.people.prefix(client.nick), "KICK", shown, kicked, text=text))

    if name is None or not irc.people.is_known(name):
        irc.refuse_part(client, request, partial(client.reply, numerics.NOSUCHNICK, word(nick)))
    elif found is None or (name not in found.members and name not in found.guests):
        refused = partial(client.reply, numerics.USERNOTINCHANNEL, irc.people.nick(name), shown)
        irc.refuse_part(client, request, refused)
    else:
        client.pending.add(("KICK", channel, name))
        irc.rooms.kick(channel, name, irc.outcome(client, request, decided), client.nick, reason)


def invite(irc: Irc, client: Client, request: Request) -> None:
    """INVITE <nick> <channel>; without words, to which channels the client is invited."""
    if not request.args:
        _list_invitations(irc, client)
        return
    if len(request.args) == 1:
        client.reply(numerics.NEEDMOREPARAMS, "INVITE")
        return
    nick, shown = request.args
    name, channel = irc.people.find(nick), irc.people.channel_name(shown)

    def decided(error: Exception | None) -> None:
        if error is None:
            assert channel is not None and name is not None
            client.reply(numerics.INVITING, irc.people.nick(name), irc.people.channel(channel))
            _tell_invited(irc, client, name, channel)
        elif isinstance(error, AlreadyMember):
            client.reply(numerics.USERONCHANNEL, word(nick), word(shown))
        elif isinstance(error, NoSuchUser):
            client.reply(numerics.NOSUCHNICK, word(nick))
        else:
            text = OTHER_REASONS.get(type(error))
            client.reply(channel_refusal(irc, channel, error), word(shown), text=text)

    if name is None or not irc.people.is_known(name):
        client.reply(numerics.NOSUCHNICK, word(nick))
    elif channel is None:
        client.reply(numerics.NOSUCHCHANNEL, word(shown))
    else:
        done = irc.outcome(client, request, decided)
        irc.chat.moderation.invite(client.session.principal, channel, name, done)


OTHER_REASONS: Mapping[type[Exception], str] = {
    LimitReached: "This user is invited to too many channels",
    StoreUnavailable: "It could not be kept; try again later",
}


def _tell_invited(irc: Irc, client: Client, name: str, channel: str) -> None:
    """Tell the others in the channel who have asked for it (invite-notify)."""
    line = message(
        irc.people.prefix(client.nick), "INVITE", irc.people.nick(name), irc.people.channel(channel)
    ).encode()
    found = irc.chat.channels.local.get(channel)
    for session in list(found.subscribers) if found is not None else ():
        other = client_of(session)
        if other is not None and other is not client and other.has("invite-notify"):
            other.session.send_bytes(line)


def _list_invitations(irc: Irc, client: Client) -> None:
    for name in sorted(irc.chat.channels.admission.invited_to(client.session.principal)):
        client.reply(numerics.INVITELIST, irc.people.channel(name))
    client.reply(numerics.ENDOFINVITELIST)
