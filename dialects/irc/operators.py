"""The commands of the server's operators: OPER, KILL, MUTE, UNMUTE, WALLOPS."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.channels import reason_of
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.login import why_refused
from dialects.irc.moderation import channel_refusal
from dialects.irc.people import client_of
from dialects.irc.profiles import OPERATOR
from dialects.irc.status import set_modes
from dialects.irc.wire import message, plain, word
from domain.errors import NoSuchChannel
from domain.rooms import MAX_MUTE_SECONDS
from domain.state import Account
from text import normalize, parse_duration


def oper(irc: Irc, client: Client, request: Request) -> None:
    """OPER <account> <password>: for a client that is logged in to an account that the setting `operator` names."""
    name, password = normalize(request.args[0]), request.args[1]

    def checked(error: Exception | None) -> None:
        if error is None:
            set_modes(irc, client, client.modes | {OPERATOR})
            client.reply(numerics.YOUREOPER)
        else:
            client.reply(numerics.PASSWDMISMATCH, text=why_refused(error))

    if client.account is None or client.account.name != name or name not in irc.chat.users.operators:
        client.reply(numerics.NOOPERHOST)
    else:
        irc.chat.logins.verify(client.session, name, password, irc.outcome(client, request, checked))


def kill(irc: Irc, client: Client, request: Request) -> None:
    """KILL <nick> [<reason>]: close all connections of a user."""
    nick, *reasons = request.args
    name = irc.people.find(nick)
    user = irc.chat.users.online.get(name or "")
    if not irc.is_operator(client.nick):
        client.reply(numerics.NOPRIVILEGES)
    elif user is None:
        client.reply(numerics.NOSUCHNICK, word(nick))
    else:
        reason = reason_of(reasons[0]) if reasons else ""
        sessions = user.sessions if isinstance(user, Account) else (user.session,)
        for session in sessions:
            victim = client_of(session)
            if victim is not None:
                victim.close(f"Killed ({client.shown} ({reason or client.shown}))")
            elif session is not None:
                session.end()


def mute(irc: Irc, client: Client, request: Request) -> None:
    """MUTE <channel> <nick> <time>: as the operator's, in any channel."""
    *_target, time = request.args
    seconds = parse_duration(time, MAX_MUTE_SECONDS)
    target = _find_in_channel(irc, client, request)
    if target is None:
        return
    if not seconds:
        client.fail("MUTE", "INVALID_TIME", word(time), text="That is no time; try 90, 10m, 2h or 7d")
        return
    channel, name = target

    def muted(error: Exception | None) -> None:
        if error is None:
            client.notice(
                f"{irc.people.nick(name)} may say nothing in {irc.people.channel(channel)} for {seconds} seconds."
            )
        else:
            client.reply(numerics.USERNOTINCHANNEL, irc.people.nick(name), irc.people.channel(channel))

    irc.rooms.mute(channel, name, seconds, irc.outcome(client, request, muted))


def unmute(irc: Irc, client: Client, request: Request) -> None:
    """UNMUTE <channel> <nick>: end a mute, also of somebody who has left the channel."""
    target = _find_in_channel(irc, client, request)
    if target is None:
        return
    channel, name = target

    def unmuted(error: Exception | None) -> None:
        if error is None:
            client.notice(f"{irc.people.nick(name)} may speak again in {irc.people.channel(channel)}.")
        else:
            client.fail("UNMUTE", "NOT_MUTED", word(request.args[1]), text="This user is not muted there")

    irc.rooms.unmute(channel, name, irc.outcome(client, request, unmuted))


def _find_in_channel(irc: Irc, client: Client, request: Request) -> tuple[str, str] | None:
    """Return the channel and the user whom an operator means; else answer, and return None."""
    shown, nick = request.args[:2]
    channel = irc.people.channel_name(shown)
    name = irc.people.find_in(nick, channel or "")
    if not irc.is_operator(client.nick):
        client.reply(numerics.NOPRIVILEGES)
    elif channel not in irc.chat.channels.local:
        client.reply(channel_refusal(irc, channel, NoSuchChannel()), word(shown))
    elif name is None:
        client.reply(numerics.NOSUCHNICK, word(nick))
    else:
        assert channel is not None
        return channel, name
    return None


def wallops(irc: Irc, client: Client, request: Request) -> None:
    """WALLOPS <text>: send it to all clients with the user mode `w`."""
    text = plain(request.args[0]).strip()
    if not irc.is_operator(client.nick):
        client.reply(numerics.NOPRIVILEGES)
    elif not text:
        client.reply(numerics.NEEDMOREPARAMS, "WALLOPS")
    else:
        line = message(irc.people.prefix(client.nick), "WALLOPS", text=text).encode()
        for listener in list(irc.census.listeners):
            listener.session.send_bytes(line)
