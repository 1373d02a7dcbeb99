"""The commands of the course's operator, with its own forms and answers (P5 to P10)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from commands import Command, Request
from dialects.operator import channels, service
from dialects.operator.base import Operator
from domain.rooms import MAX_MUTE_SECONDS
from protocol import Session
from text import parse_number


def mute(dialect: Operator, session: Session, request: Request) -> None:
    """Mute a user. An invalid time is only reported for a user who is there."""
    channel, user, word = request.args
    seconds = parse_number(word, MAX_MUTE_SECONDS) or 0

    def muted() -> None:
        if seconds:
            dialect.done(session, f"Muted {user} for {seconds} seconds.")
        else:
            dialect.refused(session, "Invalid mute time.")

    dialect.hosted.rooms.mute(channel, user, seconds, session.expect_outcome(request, muted))


def _as(command: Command, usage: str) -> Command:
    """Return the same command under another name."""
    renamed = copy(command)
    renamed.usage = usage
    return renamed


COMMANDS: Mapping[str, Command] = {
    "/kick": Command(  # P5
        channels.kick, "/kick <channel>:<user>", "remove a user from a channel or its queue",
        min_args=2, max_args=2,
    ),
    "/mute": Command(  # P6
        mute, "/mute <channel>:<user> <seconds>", "mute a user in a channel for a while",
        min_args=3, max_args=3, failure="{1} is not here.",
    ),
    "/empty": Command(  # P7
        channels.empty, "/empty <channel>", "remove everybody from a channel",
        min_args=1, max_args=1,
    ),
    "/unlink": _as(service.COMMANDS["unlink"], "/unlink <server>"),  # P8
    "/relink": _as(service.COMMANDS["relink"], "/relink <server>"),  # P9
    "/shutdown": _as(service.COMMANDS["shutdown"], "/shutdown"),  # P10
}  # fmt: skip
