"""Messages that only clients of IRC get, and that are not kept: TAGMSG, and messages to a channel's ranks (I28)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from commands import Request
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.events import Stamp, message_lines, tags_of
from dialects.irc.names import CHANNEL
from dialects.irc.people import client_of
from dialects.irc.profiles import clients_of
from dialects.irc.rosters import OPERATOR, VOICE, signs
from dialects.irc.wire import NO_TAGS, clean_value, is_client_tag, message
from domain.errors import NoSuchUser, NotAMember
from domain.state import Channel, RemoteChannel

MAX_TARGETS = 4
"""Targets that one message can have."""

RANKS: Mapping[str, tuple[str, ...]] = {OPERATOR: (OPERATOR,), VOICE: (OPERATOR, VOICE)}
"""The ranks that a sign before a channel names: its own, and the higher ones."""


class Audience(NamedTuple):
    """The clients for which a message is meant.

    Attributes:
        shown: the target, as they see it.
        clients: those that are logged in.
    """

    shown: str
    clients: Iterable[Client]


def client_tags(request: Request) -> Mapping[str, str]:
    """Return the tags of a request that are passed on: those of clients, which begin with a plus (I28)."""
    tags: Mapping[str, str] = getattr(request, "tags", NO_TAGS)
    return {key: clean_value(value) for key, value in tags.items() if is_client_tag(key)} if tags else NO_TAGS


def is_status(target: str) -> bool:
    """Tell whether a target names the users of a channel that have a rank."""
    return target[:1] in RANKS and target[1:2] == CHANNEL


def audience_of(irc: Irc, client: Client, target: str) -> Audience:
    """Return the clients that a target means.

    Raises:
        NotAMember, StillMuted, KeptOut, NotVoiced: the client may not speak in this channel; the first that applies.
        NoSuchUser: nobody of this nick is logged in.
    """
    if is_status(target) or target.startswith(CHANNEL):
        ranks = RANKS[target[0]] if is_status(target) else ()
        name = irc.people.channel_name(target[1:] if ranks else target)
        channel = irc.channels_of(client).get(name or "")
        if channel is None or (ranks and isinstance(channel, RemoteChannel)):  # ranks are known at its own server alone
            raise NotAMember
        irc.chat.channels.admission.check_speaker(channel, client.nick)
        shown = (target[0] if ranks else "") + irc.people.channel(channel.name)
        return Audience(shown, _others(client, channel, ranks))
    found = irc.people.find(target)
    holder = irc.chat.users.online.get(found) if found is not None else None
    if holder is None:
        raise NoSuchUser
    return Audience(irc.people.nick(holder.name), clients_of(holder))


def _others(client: Client, channel: Channel, ranks: tuple[str, ...]) -> Iterable[Client]:
    for session in list(channel.subscribers):
        member = client_of(session)
        if (
            member is not None
            and member is not client
            and (not ranks or signs(channel, member.nick, every=False) in ranks)
        ):
            yield member


def tell_tags(irc: Irc, client: Client, audience: Audience, tags: Mapping[str, str]) -> None:
    """Tell client tags alone to those with `message-tags`."""
    stamp = Stamp(client.nick, irc.server.now(), irc.chat.messages.next_id(), tags)
    line = message(irc.people.prefix(stamp.sender), "TAGMSG", audience.shown)
    for other in audience.clients:
        if other.has("message-tags"):
            other.session.send_bytes((tags_of(irc.for_client(other), stamp) + line).encode())
    if client.has("message-tags") and client.has("echo-message"):
        client.send(tags_of(irc.for_client(client), stamp) + line)


def tell_rank(irc: Irc, client: Client, audience: Audience, kind: str, text: str, tags: Mapping[str, str]) -> None:
    """Tell a message to the users of a rank."""
    stamp = Stamp(client.nick, irc.server.now(), irc.chat.messages.next_id(), tags)
    prefix = irc.people.prefix(client.nick)
    for other in audience.clients:
        line = message_lines(irc.for_client(other), stamp, prefix, audience.shown, text, kind)
        other.session.send_bytes(line.encode())
    if client.has("echo-message"):
        client.send(message_lines(irc.for_client(client), stamp, prefix, audience.shown, text, kind))
