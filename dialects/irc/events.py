"""The words for events: what happens elsewhere, as lines of IRC. Each is rendered once for all clients that have the
same capabilities (I29)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.markers import CAPABILITY, marker
from dialects.irc.mode_words import mode_line
from dialects.irc.profiles import NOT_HERE, profile_of
from dialects.irc.rosters import join_line, joined_lines
from dialects.irc.wire import END, MAX_BODY, NO_TAGS, SURELY_SHORT, action, message, pieces, render_tags, size_of
from domain.changes import ACT, NOTICE, SAY, GuestSaid, Said, VisitorSaid
from domain.events import (
    AccountGone,
    Announced,
    CameIn,
    ChannelHasNewName,
    ChannelMessages,
    DirectEcho,
    DirectMessage,
    GuestGone,
    GuestRenamed,
    InvitedIn,
    LoggedInElsewhere,
    MarkerMoved,
    ModesChanged,
    NotRestored,
    PresenceChanged,
    Removed,
    Silenced,
    TopicChanged,
    Unmuted,
    WentOut,
)
from text import utc_time


class Stamp(NamedTuple):
    """What the tags of a message say.

    Attributes:
        sender: the name of its sender.
        at: its time.
        number: its msgid; "" without one.
        client_tags: of its sender, passed on.
        from_guest: the sender was a guest of some kind; an account may have its name now.
    """

    sender: str
    at: float
    number: str = ""
    client_tags: Mapping[str, str] = NO_TAGS
    from_guest: bool = False


def tags_of(irc: Irc, stamp: Stamp) -> str:
    """Return the tags before a message, as these clients have asked for them (I29)."""
    wanted = irc.capabilities
    tags = []
    if "server-time" in wanted:
        tags.append(("time", utc_time(stamp.at)))
    if "message-tags" in wanted:
        tags.extend(stamp.client_tags.items())
        if stamp.number:
            tags.append(("msgid", stamp.number))
        if stamp.sender in irc.census.bots:
            tags.append(("bot", ""))
    if "account-tag" in wanted and not stamp.from_guest and stamp.sender in irc.chat.users.accounts:
        tags.append(("account", stamp.sender))
    return render_tags(tags)


def message_lines(irc: Irc, stamp: Stamp | None, prefix: str, target: str, text: str, kind: str = SAY) -> str:
    """Render a message in as many lines as it takes; the first one has its msgid (I27).

    Args:
        stamp: what its tags say; None if these clients have asked for none.
    """
    tags = tags_of(irc, stamp) if stamp is not None else ""
    verb = "NOTICE" if kind == NOTICE else "PRIVMSG"
    if kind == ACT:
        return tags + message(prefix, verb, target, text=action(text))
    line = f":{prefix} {verb} {target} :{text}{END}"  # as `message` does it, for nearly every message
    if len(line) <= SURELY_SHORT or size_of(line) <= MAX_BODY:
        return tags + line
    room = MAX_BODY - size_of(message(prefix, verb, target, text=""))
    first, *rest = [message(prefix, verb, target, text=piece) for piece in pieces(text, room)]
    others = tags_of(irc, stamp._replace(number="", client_tags=NO_TAGS)) if stamp is not None else ""
    return tags + first + "".join([others + line for line in rest])


def channel_messages(irc: Irc, event: ChannelMessages) -> str:
    """Render messages to a channel."""
    return "".join(channel_lines(irc, event.messages))


def channel_lines(irc: Irc, messages: Iterable[Said]) -> list[str]:
    """Render each of some messages to a channel. Those of one sender have the same prefix."""
    prefixes: dict[tuple[type, str], str] = {}
    target, rendered, has_tags = "", [], bool(irc.capabilities)
    for said in messages:
        kind = type(said), said.sender
        prefix = prefixes.get(kind)
        if prefix is None:
            room = said.channel if isinstance(said, GuestSaid) else ""
            prefix = prefixes[kind] = irc.people.prefix(said.sender, room=room, is_guest=kind[0] is VisitorSaid)
            target = target or irc.people.channel(said.channel)
        stamp = _stamp(irc, said) if has_tags else None
        rendered.append(message_lines(irc, stamp, prefix, target, said.text, said.kind))
    return rendered


def _stamp(irc: Irc, said: Said) -> Stamp:
    sent = irc.in_flight.get(said.number)
    number = f"m{said.number}" if said.number else ""
    is_from_guest = isinstance(said, VisitorSaid | GuestSaid)
    return Stamp(said.sender, said.at, number, sent.tags if sent is not None else NO_TAGS, is_from_guest)


def to_client(irc: Irc, client: Client, event: Any) -> str | None:
    """Render an event that is not the same for all clients; None for any other."""
    words = TO_CLIENT.get(type(event))
    return None if words is None else words(irc, client, event)


def _direct(irc: Irc, client: Client, event: DirectMessage) -> str:
    stamp = Stamp(event.sender, event.at, event.id, irc.passed.tags)
    prefix = irc.people.prefix(event.sender, room=event.room)
    return message_lines(irc, stamp, prefix, client.shown, event.text, event.kind)


def _echo(irc: Irc, client: Client, event: DirectEcho) -> str:
    recipient = irc.people.nick(event.recipient, event.room)
    stamp = Stamp(event.sender, event.at, event.id, irc.passed.tags)
    echo = message_lines(irc, stamp, irc.people.prefix(event.sender), recipient, event.text, event.kind)
    waits = client.line(numerics.AWAY, recipient, text=WAITS) if event.waits else ""
    return (echo if client.has("echo-message") else "") + waits


def _removed(irc: Irc, client: Client, event: Removed) -> str:
    by = irc.people.prefix(event.by) if event.by else irc.server.name
    text = event.reason or irc.people.nick(event.by) or BY_OPERATOR
    return message(by, "KICK", irc.people.channel(event.channel), client.shown, text=text)


def _not_restored(irc: Irc, client: Client, event: NotRestored) -> str:
    return message(irc.server.name, "KICK", irc.people.channel(event.channel), client.shown, text=NOT_RESTORED)


def _invited(irc: Irc, client: Client, event: InvitedIn) -> str:
    tags = tags_of(irc, Stamp(event.by, irc.server.now()))
    return tags + message(irc.people.prefix(event.by), "INVITE", client.shown, irc.people.channel(event.channel))


def _marker_moved(irc: Irc, client: Client, event: MarkerMoved) -> str:
    return marker(irc, event.target, event.at) if client.has(CAPABILITY) else ""


def _announced(irc: Irc, client: Client, event: Announced) -> str:
    notice = message_lines(irc, None, irc.server.name, client.shown, event.text, NOTICE)
    return notice + _closing(irc, client, event) if event.is_last else notice


def _unmuted(irc: Irc, client: Client, event: Unmuted) -> str:
    text = f"You may speak in {irc.people.channel(event.channel)} again."
    return message(irc.server.name, "NOTICE", client.shown, text=text)


def _silenced(irc: Irc, client: Client, event: Silenced) -> str:
    text = f"You may say nothing in {irc.people.channel(event.channel)} for {event.seconds} seconds."
    return message(irc.server.name, "NOTICE", client.shown, text=text)


def _closing(irc: Irc, client: Client, _event: Any) -> str:
    return f"ERROR :Closing Link: {client.shown} (logged out){END}"


def _moved(irc: Irc, client: Client, event: ChannelHasNewName) -> bool:
    """Tell a client of a channel's new name. IRC has no words for that, so it gets a PART and a JOIN."""
    channel = irc.chat.channels.find(event.new)
    old, new = irc.people.channel(event.old), irc.people.channel(event.new)
    client.send(message(irc.people.prefix(client.nick), "PART", old, text=f"renamed to {new}"))
    if channel is not None:
        client.stream(joined_lines(irc, client, channel))
    return True


WAITS = "not here; your message waits"
BY_OPERATOR = "by the operator"
NOT_RESTORED = "refused by its server"


def of_oneself(irc: Irc, client: Client, event: Any) -> bool:
    """Tell a client what it, or another client of its account, has done; return False for any other event.

    What this client has asked for is in the answer.
    """
    if isinstance(event, CameIn) and event.user == client.nick:
        channel = irc.chat.channels.find(event.channel)
        if ("JOIN", event.channel) not in client.pending and channel is not None:
            client.stream(joined_lines(irc, client, channel))
        return True
    if isinstance(event, ChannelHasNewName):
        return _moved(irc, client, event)
    if isinstance(event, WentOut) and event.user == client.nick:
        return event.by is not None or ("PART", event.channel) in client.pending
    if isinstance(event, WentOut) and event.by == client.nick:
        return ("KICK", event.channel, event.user) in client.pending
    if isinstance(event, TopicChanged):
        return event.user == client.nick and ("TOPIC", event.channel) in client.pending
    if isinstance(event, ModesChanged):
        return event.by == client.nick and ("MODE", event.channel) in client.pending
    if isinstance(event, PresenceChanged):
        return event.user == client.nick
    return isinstance(event, GuestRenamed) and client.nick in event


TO_CLIENT: Mapping[type, Callable[[Irc, Client, Any], str]] = {
    DirectMessage: _direct,
    DirectEcho: _echo,
    Removed: _removed,
    NotRestored: _not_restored,
    Silenced: _silenced,
    Unmuted: _unmuted,
    InvitedIn: _invited,
    MarkerMoved: _marker_moved,
    Announced: _announced,
    AccountGone: _closing,
    LoggedInElsewhere: _closing,
}
"""The words for events that are told to one client alone."""


def _came_in(irc: Irc, event: CameIn) -> str:
    line = join_line(irc, event.user, event.channel, is_extended="extended-join" in irc.capabilities)
    away = profile_of(irc, event.user).away if "away-notify" in irc.capabilities else ""
    return line + (message(irc.people.prefix(event.user), "AWAY", text=away) if away else "")


def _went_out(irc: Irc, event: WentOut) -> str:
    channel = irc.people.channel(event.channel)
    room = event.channel if event.channel in irc.rooms.hosted and not irc.people.is_user(event.user) else ""
    if event.by is not None:
        by = irc.people.prefix(event.by) if event.by else irc.server.name
        nick = irc.people.nick(event.user, room)
        return message(by, "KICK", channel, nick, text=event.reason or (irc.people.nick(event.by) or BY_OPERATOR))
    return message(irc.people.prefix(event.user, room=room), "PART", channel, text=event.reason or None)


def _presence(irc: Irc, event: PresenceChanged) -> str:
    if "away-notify" not in irc.capabilities:
        return ""
    return message(irc.people.prefix(event.user), "AWAY", text=None if event.online else NOT_HERE)


def _renamed(irc: Irc, event: GuestRenamed) -> str:
    return message(
        f"{irc.people.nick(event.old)}!{irc.people.user_at_host(event.new)}", "NICK", text=irc.people.nick(event.new)
    )


TO_ALL: Mapping[type, Callable[[Irc, Any], str]] = {
    ChannelMessages: channel_messages,
    CameIn: _came_in,
    WentOut: _went_out,
    GuestGone: lambda irc, event: message(irc.people.prefix(event.user), "QUIT", text=event.reason),
    GuestRenamed: _renamed,
    PresenceChanged: _presence,
    ModesChanged: mode_line,
    TopicChanged: lambda irc, event: message(
        irc.people.prefix(event.user), "TOPIC", irc.people.channel(event.channel), text=event.topic
    ),
}
"""The words for events that are the same for all clients with the same capabilities."""

OF_USERS = (CameIn, WentOut, TopicChanged, PresenceChanged, GuestRenamed, ModesChanged, ChannelHasNewName)
"""Events that may be about the client itself."""
