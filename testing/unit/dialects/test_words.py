"""Every dialect has words for each event that it may get."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from dialects.irc.core import Irc
from dialects.irc.events import to_client
from domain import events
from domain.changes import Said
from domain.events import (
    AccountGone,
    Announced,
    CameIn,
    ChannelHasNewName,
    ChannelMessages,
    Departed,
    DirectEcho,
    DirectMessage,
    Emptied,
    Entered,
    FileCancelled,
    FileEnded,
    FileNotTaken,
    FileOffered,
    FilePiece,
    FileSent,
    FileWanted,
    GuestGone,
    GuestRenamed,
    InvitedIn,
    Kicked,
    LoggedInElsewhere,
    MailWaiting,
    MarkerMoved,
    ModesChanged,
    NotRestored,
    Occupancy,
    PresenceChanged,
    Queued,
    Removed,
    SendFile,
    Silenced,
    TopicChanged,
    Unmuted,
    Welcomed,
    WentAway,
    WentOut,
    Whispered,
)
from domain.modes import Switch
from support.world import World

AUDIENCES: Mapping[str, set[type]] = {
    "result": {
        *(ChannelMessages, DirectMessage, DirectEcho, Removed, NotRestored, Silenced, Unmuted, Announced),
        ChannelHasNewName,
        *(PresenceChanged, TopicChanged),
    },
    "hello": {DirectMessage, Announced},
    "mailbox": {DirectMessage, DirectEcho, AccountGone, LoggedInElsewhere, Announced},
    "rooms": {
        *(ChannelMessages, Welcomed, Queued, Entered, Departed, WentAway, Whispered, Silenced, Unmuted),
        Announced,
        *(FileSent, FileNotTaken, FileOffered, SendFile, FileWanted, FilePiece, FileEnded, FileCancelled),
    },
    "irc": {
        *(ChannelMessages, CameIn, WentOut, GuestGone, GuestRenamed, PresenceChanged, TopicChanged),
        *(ModesChanged, InvitedIn, MarkerMoved, Announced, DirectMessage, DirectEcho, Removed),
        *(NotRestored, Silenced, Unmuted, AccountGone, LoggedInElsewhere),
    },
    "operator": {ChannelMessages, Entered, Departed, WentAway, Whispered, FileSent, Kicked, Emptied},
}
"""Who may get which event."""

NO_WORDS = {MailWaiting, Occupancy, InvitedIn, ModesChanged}
"""What is no line: that there are lines to fetch, and a value in an answer."""

EXAMPLES_OF_TYPES: Mapping[Any, Any] = {
    str: "x",
    int: 1,
    float: 1.0,
    bool: True,
    str | None: None,
    tuple[Switch, ...]: (Switch("m", True),),
    tuple[Said, ...]: (Said("room", "alice", "hi", 1.0),),
}


def example(event: type) -> Any:
    hints = typing.get_type_hints(event)
    return event(*(EXAMPLES_OF_TYPES[hints[field]] for field in getattr(event, "_fields", ())))


def renderers(world: World) -> Mapping[str, Callable[[Any], str | bytes]]:
    world.user("alice", "room")
    guest: Any = world.room_guest("lobby", "ann").session.dialect
    return {
        "result": world.dialect.render,
        "hello": world.hello.render,
        "mailbox": world.mailbox.render,
        "rooms": guest.render,
        "irc": lambda event: irc_words(world, event._replace(user="alice") if hasattr(event, "user") else event),
        "operator": world.node.operator.dialect.render,
    }


def irc_words(world: World, event: Any) -> str | bytes:
    irc = cast(Irc, world.node.dialects["irc"]).for_capabilities(frozenset({"away-notify"}))
    client = irc.client(world.client(irc).session)
    client.capabilities = frozenset({"echo-message", "draft/read-marker"})
    return to_client(irc, client, event) or irc.render(event)


def test_every_event_is_for_somebody() -> None:
    declared = {
        value for value in vars(events).values() if inspect.isclass(value) and value.__module__ == events.__name__
    }
    assert declared == set.union(*AUDIENCES.values(), NO_WORDS)


@pytest.mark.parametrize("dialect", AUDIENCES)
def test_every_event_has_words(dialect: str) -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 5}) as world:
        render = renderers(world)[dialect]
        for event in AUDIENCES[dialect]:
            words = render(example(event))
            assert (words.encode() if isinstance(words, str) else words).endswith(b"\n"), event
