"""The operator's commands about bans (C71, C72)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from commands import Command, Request
from dialects.operator.base import Misused, Operator, Refused, parse_time
from domain.bans import ACCOUNT, EVERYWHERE, KINDS, target_of
from domain.changes import Banned, Done
from domain.errors import ChatError, LimitReached, NoSuchUser, NotAName, Unchanged
from domain.names import HOST_OF_USER
from protocol import Session
from text import normalize, split_words, utc_time

MAX_SECONDS = 10**10
"""Maximum seconds of a ban, three centuries; a longer time counts as this."""

IN, FOR = "in", "for"
"""The words before a channel and before a time."""

log = logging.getLogger("crosstalk.operator")


def ban(dialect: Operator, session: Session, request: Request) -> None:
    """Keep an account, an address or a server out: of a channel, or of the whole server."""
    kind, target = _target(request)
    options, reason = _options(request.args[2:], (IN, FOR))
    channel = _channel(dialect, options)
    seconds = _seconds(options)
    if kind == ACCOUNT and HOST_OF_USER not in target and target not in dialect.hosted.chat.users.accounts:
        raise NoSuchUser
    now = dialect.hosted.now()
    change = Banned(kind, target, channel, reason, now, now + seconds if seconds else 0.0)
    done = dialect.expect(session, request, f"Banned {_shown(change)}.")
    dialect.hosted.chat.bans.ban(change, _logging(done, "ban %s", _shown(change)))


def unban(dialect: Operator, session: Session, request: Request) -> None:
    kind, target = _target(request)
    options, rest = _options(request.args[2:], (IN,))
    if rest:
        raise Misused
    channel = options.get(IN, EVERYWHERE)
    whom = f"{kind} {target}{_place(channel)}"
    done = dialect.expect(session, request, f"{whom} is banned no more.")
    dialect.hosted.chat.bans.lift(kind, target, channel, _logging(done, "unban %s", whom))


def _logging(done: Done, line: str, whom: str) -> Done:
    """Return a callback that also logs a success."""

    def decided(error: Exception | None) -> None:
        if error is None:
            log.warning(line, whom)
        done(error)

    return decided


def list_bans(dialect: Operator, session: Session, _request: Request) -> None:
    dialect.list_items(session, map(_shown, dialect.hosted.chat.bans.all()))


def farewell(ban: Banned) -> str:
    """Return the text for the clients that a ban closes."""
    return f"You are banned: {ban.reason}." if ban.reason else "You are banned."


def _target(request: Request) -> tuple[str, str]:
    kind, word = request.args[:2]
    if kind not in KINDS:
        raise Refused(f"{kind} is none of {', '.join(KINDS)}.")
    try:
        return kind, target_of(kind, word)
    except NotAName:
        raise Refused(f"{word} is no {NAMES[kind]}.") from None


NAMES: Mapping[str, str] = {
    "account": "name of an account",
    "address": "address or network, such as 192.0.2.0/24",
    "server": "name or address of a server",
}
"""What the target of each kind must be, for an error message."""


def _options(words: tuple[str, ...], names: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Return the options at the beginning, in any order, and what follows them.

    Raises:
        Misused: the last word is the name of an option. As a reason, `in` alone would ban from everywhere.
    """
    rest = split_words(words[0]) if words else []
    options: dict[str, str] = {}
    while rest and rest[0] in names and rest[0] not in options:
        if len(rest) == 1:
            raise Misused
        options[rest[0]] = normalize(rest[1])
        rest = rest[2:]
    return options, " ".join(rest)


def _channel(dialect: Operator, options: Mapping[str, str]) -> str:
    channel = options.get(IN, EVERYWHERE)
    if channel != EVERYWHERE and channel not in dialect.hosted.chat.channels.local:
        raise Refused(f"{channel} does not exist.")
    return channel


def _seconds(options: Mapping[str, str]) -> int:
    """Return the time of a ban; 0 if it has no end."""
    if FOR not in options:
        return 0
    return parse_time(options[FOR], MAX_SECONDS)


def _place(channel: str) -> str:
    return "" if channel == EVERYWHERE else f" in {channel}"


def _shown(ban: Banned) -> str:
    end = f" until {utc_time(ban.ends)}" if ban.ends else ""
    return f"{ban.kind} {ban.target}{_place(ban.channel)}{end}" + (f": {ban.reason}" if ban.reason else "")


COMMANDS: Mapping[str, Command] = {
    "ban": Command(
        ban, "ban account|address|server <target> [in <channel>] [for <time>] [reason]",
        "keep somebody out, of a channel or altogether", min_args=2, max_args=3, text=True,
    ),
    "unban": Command(
        unban, "unban account|address|server <target> [in <channel>]", "lift a ban", min_args=2, max_args=3, text=True
    ),
    "bans": Command(list_bans, "bans", "list the bans"),
}  # fmt: skip

FAILURES: Mapping[tuple[Any, type[ChatError]], str] = {
    (ban, NoSuchUser): "There is no account {1}.",
    (ban, LimitReached): "There are too many bans; lift some.",
    (unban, Unchanged): "There is no such ban.",
}
