"""The table of IRC's commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from commands import Command, Request
from dialects.irc import (
    accounts,
    capabilities,
    channels,
    history,
    information,
    listing,
    login,
    markers,
    messages,
    moderation,
    modes,
    monitor,
    numerics,
    operators,
    queries,
    registration,
    status,
    tokens,
    topics,
    who,
    whois,
    whowas,
)
from dialects.irc.client import Answers, Client
from dialects.irc.core import Irc
from dialects.irc.help import make_help
from dialects.irc.wire import word
from protocol import Session

Handler = Callable[[Irc, Client, Request], None]

MAX_LABEL = 64
"""Bytes of a label (I34)."""


def _row(
    handle: Handler, usage: str, explanation: str, least: int = 0, most: int = 15, *, before_welcome: bool = False,
    pipelined: bool = False,
) -> Command:  # fmt: skip
    """Return the row of a command: with its answers gathered where the request has a label."""

    def run(irc: Irc, session: Session, request: Any) -> None:
        client = session.own or irc.client(session)
        label = request.tags.get("label") if request.tags else None
        if label and len(label.encode()) <= MAX_LABEL and client.has("labeled-response"):
            irc.gather(client, Answers(label), lambda: handle(irc, client, request))
        else:
            handle(irc, client, request)

    return Command(run, usage, explanation, least, most, needs_login=not before_welcome, pipelined=pipelined)


def _unknown(_irc: Irc, client: Client, request: Request) -> None:
    client.reply(numerics.UNKNOWNCOMMAND, word(request.args[0]))


def _too_few(_irc: Irc, client: Client, request: Request) -> None:
    client.reply(numerics.NEEDMOREPARAMS, word(request.args[0]))


def _not_for_clients(_irc: Irc, client: Client, _request: Request) -> None:
    client.close("no server links or proxies here")


def _not_utf8(_irc: Irc, client: Client, request: Request) -> None:
    client.fail(word(request.args[0]), "INVALID_UTF8", text="Your line is not UTF-8")


NOT_UTF8 = _row(_not_utf8, "", "", 1, 1, before_welcome=True)
"""Stands for a line that is not UTF-8."""

UNKNOWN = _row(_unknown, "", "", 1, 1)
"""Stands for every verb that is not in the table."""

TOO_FEW = _row(_too_few, "", "", 1, 1)
"""Stands for a request without all the words that it needs."""

TOO_FEW_BEFORE_WELCOME = _row(_too_few, "", "", 1, 1, before_welcome=True)

HELP_VERBS = ("HELP", "HELPOP")

NOT_FOR_CLIENTS = ("SERVER", "SERVICE", "PROTOCTL", "CAPAB", "WEBIRC", "PROXY")
"""First words of other servers and of proxies (I1)."""

COMMANDS: Mapping[str, Command] = {
    # The registration.
    "CAP": _row(capabilities.cap, "CAP LS|LIST|REQ|END", "negotiate capabilities", 1, 2, before_welcome=True),
    "PASS": _row(registration.password, "PASS <password>", "log in without SASL", 1, 1, before_welcome=True),
    "NICK": _row(registration.nick, "NICK <nick>", "take a nick", 0, 1, before_welcome=True),
    "USER": _row(registration.user, "USER <user> 0 * :<name>", "say who you are", 4, 4, before_welcome=True),
    "AUTHENTICATE": _row(login.authenticate, "AUTHENTICATE PLAIN", "log in with SASL", 1, 1, before_welcome=True),
    "REGISTER": _row(accounts.register, "REGISTER * * <password>", "make an account", 3, 3, before_welcome=True),
    "PING": _row(queries.ping, "PING <token>", "ask whether the server is there", 1, 1, before_welcome=True),
    "PONG": _row(queries.pong, "PONG", "nothing happens", before_welcome=True),
    "QUIT": _row(queries.leave, "QUIT [:<reason>]", "leave", 0, 1, before_welcome=True),
    # Channels.
    "JOIN": _row(channels.join, "JOIN <channel>[,...] [<key>[,...]]", "come into channels", 1, 2),
    "PART": _row(channels.part, "PART <channel>[,...] [:<reason>]", "leave channels", 1, 2),
    "NAMES": _row(channels.names, "NAMES <channel>[,...]", "list who is in channels", 0, 1),
    "LIST": _row(listing.list_channels, "LIST [<condition>[,...]]", "list channels", 0, 1),
    "TOPIC": _row(topics.topic, "TOPIC <channel> [:<text>]", "read a channel's topic, or set it", 1, 2),
    "KICK": _row(moderation.kick, "KICK <channel> <nick>[,...] [:<reason>]", "remove users from a channel", 2, 3),
    "INVITE": _row(moderation.invite, "INVITE <nick> <channel>", "let a user come into a channel once", 0, 2),
    # Messages.
    "PRIVMSG": _row(messages.privmsg, "PRIVMSG <target>[,...] :<text>", "say something", 2, 2),
    "NOTICE": _row(messages.notice, "NOTICE <target>[,...] :<text>", "say something that gets no answer", 0, 2),
    "TAGMSG": _row(messages.tagmsg, "TAGMSG <target>[,...]", "send client tags alone", 1, 1),
    "CHATHISTORY": _row(
        history.chathistory, "CHATHISTORY LATEST|BEFORE|AFTER|AROUND|BETWEEN|TARGETS ...", "read old messages", 1, 5
    ),
    "MARKREAD": _row(markers.markread, "MARKREAD <target> [timestamp=<time>]", "read or set a read marker", 0, 2),
    # Users.
    "ISON": _row(queries.ison, "ISON <nick>...", "ask who is here", 1),
    "USERHOST": _row(queries.userhost, "USERHOST <nick>...", "ask for users and hosts", 1),
    "WHO": _row(who.who, "WHO <mask> [%<fields>]", "list users by mask or channel", 0, 2),
    "WHOIS": _row(whois.whois, "WHOIS <nick>", "ask about a user", 1, 2),
    "WHOWAS": _row(whowas.whowas, "WHOWAS <nick> [<count>]", "ask who had a nick", 1, 2),
    "MODE": _row(modes.mode, "MODE <target> [<modes> [<word>...]]", "show or set modes", 1),
    "MONITOR": _row(monitor.monitor, "MONITOR +|-|C|L|S [<nick>[,...]]", "be told who comes and goes", 1, 2),
    "AWAY": _row(status.away, "AWAY [:<reason>]", "say that you are away, or back", 0, 1),
    "SETNAME": _row(status.setname, "SETNAME :<name>", "take another real name", 1, 1),
    "OPER": _row(operators.oper, "OPER <account> <password>", "become an operator of the server", 2, 2),
    "KILL": _row(operators.kill, "KILL <nick> [:<reason>]", "close a user's connections", 1, 2),
    "MUTE": _row(
        operators.mute, "MUTE <channel> <nick> <time>", "mute a user: for 90 seconds, for 10m, 2h or 7d", 3, 3
    ),
    "UNMUTE": _row(operators.unmute, "UNMUTE <channel> <nick>", "let a user speak again", 2, 2),
    "WALLOPS": _row(operators.wallops, "WALLOPS :<text>", "tell something to all with the mode w", 1, 1),
    "TOKEN": _row(tokens.token, "TOKEN NEW [LASTING]|DROP [<token>]", "log in again without the password", 1, 2),
    # The server.
    "LUSERS": _row(information.lusers, "LUSERS", "count users and channels"),
    "MOTD": _row(lambda irc, client, _request: information.motd(irc, client), "MOTD", "read the message of the day"),
    "VERSION": _row(information.version, "VERSION", "ask for the server's version"),
    "TIME": _row(information.time, "TIME", "ask for the server's time"),
    "INFO": _row(information.info, "INFO", "ask what this server is"),
    "ADMIN": _row(information.admin, "ADMIN", "ask who runs this server"),
    "LINKS": _row(information.links, "LINKS", "list linked servers: none is shown"),
    "STATS": _row(information.stats, "STATS", "ask for statistics: there are none"),
    **{verb: _row(make_help(lambda: COMMANDS), "HELP [<command>]", "explain a command", 0, 1) for verb in HELP_VERBS},
    # What no client sends.
    **{
        verb: _row(_not_for_clients, verb, "for servers and proxies: refused", before_welcome=True)
        for verb in NOT_FOR_CLIENTS
    },
}

TO_ONE_CHANNEL: Mapping[str, Command] = {
    "PRIVMSG": _row(messages.privmsg, "", "", 2, 2, pipelined=True),
    "NOTICE": _row(messages.notice, "", "", 2, 2, pipelined=True),
}
"""Rows for messages to one channel of this server, which may follow each other into the journal."""
