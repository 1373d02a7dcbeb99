"""MARKREAD: up to which time an account has read a channel, or the direct messages with a user (draft/read-marker)."""

from __future__ import annotations

import contextlib

from commands import Request
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.names import CHANNEL, channel_name
from dialects.irc.wire import message, word
from domain.errors import ChatError, LimitReached, NotAMember
from domain.names import HOST_OF_CHANNEL
from domain.state import Channel
from text import parse_time, utc_time

CAPABILITY = "draft/read-marker"
MAX_GUEST_MARKERS = 1000
"""Markers that a guest can have."""

TIMESTAMP = "timestamp="
NOTHING = "*"
"""Stands for a marker that has never been set."""


def parse_timestamp(text: str) -> float | None:
    """Return the time that a `timestamp=` states, in seconds since the epoch; None if it is none."""
    return parse_time(text.removeprefix(TIMESTAMP)) if text.startswith(TIMESTAMP) else None


def markread(irc: Irc, client: Client, request: Request) -> None:
    """MARKREAD <target> [timestamp=<time>]."""
    if not request.args:
        client.fail("MARKREAD", "NEED_MORE_PARAMS", text="Which target?")
        return
    shown, *stamps = request.args
    at = parse_timestamp(stamps[0]) if stamps else None
    target = _target(irc, client, shown)
    if stamps and at is None:
        client.fail("MARKREAD", "INVALID_PARAMS", word(shown), word(stamps[0]), text="That is no timestamp")
    elif target is None and (at is not None or _is_remote(shown)):
        client.fail("MARKREAD", "INVALID_PARAMS", word(shown), text="Your channels here and users have markers")
    elif target is None:
        client.send(message(irc.server.name, "MARKREAD", word(shown), NOTHING))
    elif at is None:
        client.send(marker_line(irc, client, target))
    elif client.account is not None:
        _mark(irc, client, request, target, at)
    else:
        _mark_as_guest(irc, client, target, at)


def _is_remote(shown: str) -> bool:
    """Tell whether a word means a channel of another server: only those here have markers."""
    return HOST_OF_CHANNEL in (channel_name(shown) or "")


def _target(irc: Irc, client: Client, shown: str) -> str | None:
    """Return the name of a channel of the client, or of a user; None if there is no marker for it."""
    if not shown.startswith(CHANNEL):
        name = irc.people.find(shown)
        return name if name is not None and irc.people.is_known(name) else None
    name = irc.people.channel_name(shown)
    return name if name in irc.channels_of(client) and name in irc.chat.channels.local else None


def _mark(irc: Irc, client: Client, request: Request, target: str, at: float) -> None:
    def marked(error: Exception | None) -> None:
        if error is None:
            client.send(marker_line(irc, client, target))
        else:
            code = "INVALID_PARAMS" if isinstance(error, NotAMember | LimitReached) else "INTERNAL_ERROR"
            client.fail("MARKREAD", code, _shown(irc, target), text="The marker could not be set")

    irc.chat.reading.mark_at(client.session, target, at, irc.outcome(client, request, marked))


def _mark_as_guest(irc: Irc, client: Client, target: str, at: float) -> None:
    """Move a guest's marker, which ends with its connection."""
    if len(client.markers) < MAX_GUEST_MARKERS or target in client.markers:
        client.markers[target] = max(at, client.markers.get(target, 0.0))
    client.send(marker_line(irc, client, target))


def marker_line(irc: Irc, client: Client, target: str) -> str:
    """Return a read marker as a line."""
    if client.account is None:
        return marker(irc, target, client.markers.get(target))
    with contextlib.suppress(ChatError):  # it cannot be read now
        return marker(irc, target, irc.chat.reading.markers(client.account).get(target))
    return marker(irc, target, None)


def marker(irc: Irc, target: str, at: float | None) -> str:
    """Return a read marker as a line; None: it has never been set."""
    stamp = NOTHING if not at else f"{TIMESTAMP}{utc_time(at)}"
    return message(irc.server.name, "MARKREAD", _shown(irc, target), stamp)


def _shown(irc: Irc, target: str) -> str:
    is_channel = irc.exists(target)
    return irc.people.channel(target) if is_channel else irc.people.nick(target)


def marker_lines(irc: Irc, client: Client, channel: Channel) -> list[str]:
    """Return the marker that follows a JOIN, for a client that has asked for it (I21)."""
    if not client.has(CAPABILITY) or channel.name not in irc.chat.channels.local:
        return []
    return [marker_line(irc, client, channel.name)]
