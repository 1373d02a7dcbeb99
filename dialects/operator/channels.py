"""The operator's commands about channels and the users in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from commands import Command, Request
from dialects.operator.base import Operator, parse_time
from domain.changes import SAY
from domain.errors import (
    HasPort,
    InUse,
    NameTaken,
    NoSuchChannel,
    NoSuchUser,
    NotAName,
    NotHere,
    NotMuted,
    StoreUnavailable,
    Unchanged,
)
from domain.modes import OPERATOR
from domain.rooms import MAX_MUTE_SECONDS
from domain.sessions import Clients, sessions_of
from domain.state import Account, Channel, RoomGuest
from protocol import Session
from text import utc_time


def list_channels(dialect: Operator, session: Session, _request: Request) -> None:
    channels = dialect.hosted.chat.channels.local
    names = sorted(channels)
    dialect.list_items(session, (_channel_line(dialect, channels[name]) for name in names if name in channels))


def _channel_line(dialect: Operator, channel: Channel) -> str:
    line = f"{channel.name} members={len(channel.members)} present={len(channel.present())}"
    if channel.capacity is not None:
        waiting = dialect.hosted.rooms.guests.waiting(channel.name)
        line = f"{line} capacity={channel.capacity} queue={waiting}"
    return f"{line} topic={channel.topic}" if channel.topic else line


def list_present(dialect: Operator, session: Session, request: Request) -> None:
    """List the users who are in a channel; or, if no channel has the name, where the user of that name is."""
    (name,) = request.args
    chat = dialect.hosted.chat
    channel = chat.channels.local.get(name)
    if channel is not None:
        present = channel.present()
        dialect.list_items(session, (line for user in present for line in _presence_lines(channel, user)))
    else:
        dialect.list_items(session, iter(_user_lines(dialect, name)))


def _presence_lines(channel: Channel, name: str) -> list[str]:
    holder: Any = channel.guests.get(name) or channel.members.get(name)
    return session_lines(name, None if holder is None else holder.session)


def session_lines(name: str, clients: Clients | None) -> list[str]:
    """Return a line about each client of a user: the name, and the dialect and the address of the session."""
    return [_session_line(name, session) for session in sessions_of(clients)] or [f"{name} away"]


def _session_line(name: str, session: Any) -> str:
    if not isinstance(session, Session):
        return f"{name} dialect=federation"
    return f"{name} dialect={session.dialect.name} address={session.address or 'none'}"


def _user_lines(dialect: Operator, name: str) -> list[str]:
    """Return a line about each session and channel of the users and guests of a name.

    Raises:
        NoSuchUser: there is none.
    """
    users = dialect.hosted.chat.users
    user = users.accounts.get(name) or users.guests.get(name)
    lines = [] if user is None else session_lines(name, user.session)
    if isinstance(user, Account):
        lines += [f"{name} channel={channel}" for channel in sorted(user.channels)]
    lines += [guest_line(guest) for guest in dialect.hosted.rooms.guests.named(name)]
    if not lines:
        raise NoSuchUser
    return lines


def guest_line(guest: RoomGuest) -> str:
    """Return a line about a guest of a channel with a port."""
    place = "queue" if guest.waits else "channel"
    return f"{_session_line(guest.name, guest.session)} {place}={guest.channel.name}"


def kick(dialect: Operator, session: Session, request: Request) -> None:
    channel, user = request.args
    done = dialect.expect(session, request, f"Kicked {user}.", is_shown=True)
    dialect.hosted.rooms.kick(channel, user, done)


def mute(dialect: Operator, session: Session, request: Request) -> None:
    channel, user, word = request.args
    seconds = parse_time(word, MAX_MUTE_SECONDS)
    done = dialect.expect(session, request, f"Muted {user} for {seconds} seconds.")
    dialect.hosted.rooms.mute(channel, user, seconds, done)


def unmute(dialect: Operator, session: Session, request: Request) -> None:
    channel, user = request.args
    dialect.hosted.rooms.unmute(channel, user, dialect.expect(session, request, f"{user} may speak again."))


def empty(dialect: Operator, session: Session, request: Request) -> None:
    (channel,) = request.args
    done = dialect.expect(session, request, f"{channel} has been emptied.", is_shown=True)
    dialect.hosted.rooms.empty(channel, done)


def give_operator(dialect: Operator, session: Session, request: Request) -> None:
    channel, account = request.args
    done = dialect.expect(session, request, f"{account} operates {channel} now.")
    dialect.hosted.chat.moderation.give_rank(account, channel, OPERATOR, done)


def take_operator(dialect: Operator, session: Session, request: Request) -> None:
    channel, account = request.args
    done = dialect.expect(session, request, f"{account} operates {channel} no more.")
    dialect.hosted.chat.moderation.give_rank(account, channel, OPERATOR, done, is_given=False)


def export(dialect: Operator, session: Session, request: Request) -> None:
    """Answer with all messages of a channel, each as an object of JSON."""
    (channel,) = request.args
    if channel not in dialect.hosted.chat.channels.local:
        raise NoSuchChannel
    dialect.list_items(session, _messages(dialect, channel))


def _messages(dialect: Operator, channel: str) -> Iterator[str]:
    import json  # few servers ever need it

    for said in dialect.hosted.chat.reading.export(channel):
        message = {"id": said.number, "time": utc_time(said.at), "user": said.sender, "text": said.text}
        if said.kind != SAY:
            message["kind"] = said.kind
        yield json.dumps(message, ensure_ascii=False)


def delete(dialect: Operator, session: Session, request: Request) -> None:
    """Delete a channel and its messages; in pieces, while others are served."""
    (channel,) = request.args
    hosted = dialect.hosted
    done = dialect.expect(session, request, f"The channel {channel} has been deleted.")
    hosted.chat.upkeep.delete(channel, hosted.rooms.empty, hosted.timers, done)


def rename(dialect: Operator, session: Session, request: Request) -> None:
    channel, new = request.args
    done = dialect.expect(session, request, f"{channel} is {new} now.")
    dialect.hosted.chat.upkeep.rename(channel, new, done)


COMMANDS: Mapping[str, Command] = {
    "channels": Command(list_channels, "channels", "list all channels of this server"),
    "who": Command(
        list_present, "who <channel|user>", "list who is in a channel, or where a user is", min_args=1, max_args=1
    ),
    "kick": Command(kick, "kick <channel> <user>", "remove a user from a channel or its queue", min_args=2, max_args=2),
    "mute": Command(
        mute, "mute <channel> <user> <time>", "mute a user in a channel: for 90 seconds, for 10m, 2h or 7d",
        min_args=3, max_args=3,
    ),
    "unmute": Command(unmute, "unmute <channel> <user>", "let a user speak again", min_args=2, max_args=2),
    "empty": Command(empty, "empty <channel>", "remove everybody from a channel", min_args=1, max_args=1),
    "op": Command(
        give_operator, "op <channel> <account>", "let an account operate a channel", min_args=2, max_args=2
    ),
    "deop": Command(
        take_operator, "deop <channel> <account>", "take that from an account", min_args=2, max_args=2
    ),
    "delete-channel": Command(
        delete, "delete-channel <channel>", "delete a channel and its messages", min_args=1, max_args=1
    ),
    "rename-channel": Command(
        rename, "rename-channel <channel> <new>", "give a channel another name", min_args=2, max_args=2
    ),
    "export": Command(
        export, "export <channel>", "print all messages of a channel as lines of JSON", min_args=1, max_args=1
    ),
}  # fmt: skip

FAILURES: Mapping[tuple[Any, type], str] = {
    (list_present, NoSuchUser): "{0} is no channel here, and nobody's name.",
    (give_operator, NoSuchUser): "There is no account {1}.",
    (take_operator, NoSuchUser): "There is no account {1}.",
    (give_operator, Unchanged): "{1} operates {0} already.",
    (take_operator, Unchanged): "{1} does not operate {0}.",
    (mute, NotHere): "{1} is not here.",
    (unmute, NotMuted): "{1} is not muted in {0}.",
    (delete, HasPort): "{0} has a port, so the config alone ends it.",
    (delete, InUse): "Users keep coming into {0}; try again.",
    (rename, HasPort): "{0} has a port, so the config alone names it.",
    (rename, InUse): "Users of other servers are still in {0}; try again.",
    (rename, NameTaken): "{1} exists already.",
    (rename, NotAName): "{1} is no name.",
    (empty, StoreUnavailable): "{0} cannot be emptied: the database takes nothing.",
    (kick, StoreUnavailable): "{1} cannot be removed: the database takes nothing.",
}
