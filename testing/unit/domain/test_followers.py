"""domain/presence.py: sessions that follow their channels are told of each change there, once, and in order."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from domain.changes import Said
from domain.events import (
    CameIn,
    ChannelMessages,
    GuestGone,
    GuestRenamed,
    PresenceChanged,
    Removed,
    TopicChanged,
    WentOut,
)
from protocol import Dialect
from support.memory_chat import NOW, FakeSession, MemoryChat
from support.world import Client, World


@pytest.fixture
def ann(memory: MemoryChat) -> FakeSession:
    """A follower in two channels."""
    ann = memory.user("ann", "garden", "shed")
    memory.chat.users.presence.follow(ann)
    return ann


def visitor(memory: MemoryChat, name: str, *channels: str) -> FakeSession:
    session = FakeSession()
    memory.chat.visitors.enter(session, name)
    for channel in channels:
        memory.outcome(partial(memory.chat.join, session.principal, channel))
    return session


def test_members_come_and_go(memory: MemoryChat, ann: FakeSession) -> None:
    bob = memory.user("bob")
    for channel in ("garden", "shed"):
        memory.outcome(partial(memory.chat.join, bob.principal, channel))
    memory.outcome(partial(memory.chat.leave, bob.principal, "shed"))
    memory.outcome(partial(memory.chat.leave, bob.principal, "garden", reason="tea"))
    memory.outcome(partial(memory.chat.leave, bob.principal, "garden", reason="again"))
    memory.outcome(partial(memory.chat.join, bob.principal, "garden"))
    memory.outcome(partial(memory.chat.leave, bob.principal, "garden"))
    assert ann.take() == [
        CameIn("bob", "garden"), CameIn("bob", "shed"), WentOut("bob", "shed"), WentOut("bob", "garden", "tea"),
        CameIn("bob", "garden"), WentOut("bob", "garden"),
    ]  # fmt: skip
    assert bob.take() == [], "who has not asked is told nothing"


def test_who_leaves_and_who_is_removed_is_told_too(memory: MemoryChat, ann: FakeSession) -> None:
    other = FakeSession()
    memory.chat.logins.login(other, "ann", "ann", other.done(), alongside=True)
    memory.chat.users.presence.follow(other)
    other.take()
    memory.outcome(partial(memory.chat.leave, ann.principal, "shed"))
    memory.outcome(partial(memory.chat.remove, ann.principal, "garden", Removed("garden")))
    memory.outcome(partial(memory.chat.join, ann.principal, "garden"))
    assert ann.take() == other.take()
    memory.outcome(partial(memory.chat.remove, ann.principal, "garden", Removed("garden")))
    assert other.take() == [WentOut("ann", "garden", by=""), Removed("garden")]


def test_logins_are_told_once_and_not_in_large_channels(
    memory: MemoryChat, ann: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.account("bob", "garden", "shed")
    bob = memory.user("bob")
    memory.journal.commit()
    memory.chat.users.logout(bob)
    memory.journal.commit()
    assert ann.take() == [PresenceChanged("bob", online=True), PresenceChanged("bob", online=False)]
    monkeypatch.setattr("domain.presence.MAX_MEMBERS", 1)
    memory.user("bob")
    memory.journal.commit()
    assert ann.take() == []


def test_a_guest_that_goes_or_is_renamed_is_told_once(memory: MemoryChat, ann: FakeSession) -> None:
    zoe = visitor(memory, "zoe", "garden", "shed")
    ann.take()
    memory.outcome(partial(memory.chat.visitors.rename, zoe.principal, "bee"))
    zoe.principal.farewell = "tea"
    memory.chat.say(zoe.principal, "garden", "bye", zoe.done())
    memory.chat.users.logout(zoe)
    memory.journal.commit()
    renamed, said, gone = ann.take()
    assert renamed == GuestRenamed("zoe", "bee")
    assert isinstance(said, ChannelMessages)
    assert gone == GuestGone("bee", "tea")


def test_what_happens_keeps_its_place_among_messages(memory: MemoryChat, ann: FakeSession) -> None:
    bob = memory.user("bob")
    outcomes: list[Any] = []
    memory.chat.join(bob.principal, "garden", outcomes.append)
    memory.chat.say(bob.principal, "garden", "hi", outcomes.append)
    memory.chat.topics.set(bob.principal, "garden", "roses", outcomes.append)
    memory.chat.leave(bob.principal, "garden", outcomes.append)
    memory.chat.say(bob.principal, "garden", "lost", outcomes.append)
    memory.journal.commit()
    events = ann.take()
    assert events[0] == CameIn("bob", "garden")
    assert events[1] == ChannelMessages((Said("bob", "garden", "hi", NOW, 1),))
    assert isinstance(events[2], TopicChanged)
    assert events[3:] == [WentOut("bob", "garden")]


def test_who_has_logged_out_follows_no_more(memory: MemoryChat, ann: FakeSession) -> None:
    memory.chat.users.logout(ann)
    bob = memory.user("bob")
    memory.outcome(partial(memory.chat.join, bob.principal, "garden"))
    assert ann.take() == []


class Plain(Dialect):
    """Sends each event as text."""

    def render(self, event: Any) -> bytes:
        return f"{event!r}\n".encode()


def follower(world: World, *channels: str) -> Client:
    client = world.user("ann", *channels)
    client.session.dialect = Plain()
    world.chat.users.words_changed(client.session)
    world.chat.users.presence.follow(client.session)
    client.heard()
    return client


def heard(client: Client) -> list[str]:
    return [line for line in client.heard() if not line.startswith("ChannelMessages")]


def test_room_guests_come_and_go() -> None:
    world = World(channels={"lobby": 9})
    ann = follower(world, "lobby")
    one, two, *_others = world.room("lobby", "one", "two", "three", "four")
    assert heard(ann) == [repr(CameIn(name, "lobby")) for name in ("one", "two", "three", "four")]
    one.send("/quit")
    two.session.lost("gone")
    world.type("/kick lobby:three")
    world.let_pass(200)
    assert heard(ann) == [
        repr(event)
        for event in (
            WentOut("one", "lobby"),
            WentOut("two", "lobby"),
            WentOut("three", "lobby", by=""),
            WentOut("four", "lobby", "went AFK"),
        )
    ]
    world.room("lobby", "five")
    heard(ann)
    world.type("/empty lobby")
    assert heard(ann)[0] == repr(WentOut("ann", "lobby", by="")), "members go first"


def test_users_of_other_servers_come_and_go() -> None:
    world = World()
    ann, peer = follower(world, "garden"), world.peer("two.example")
    peer.ask("FEDJOIN bob@two.example garden", "FEDJOIN eve@two.example garden", "FEDLEAVE bob@two.example garden")
    assert heard(ann) == [
        repr(CameIn("bob@two.example", "garden")),
        repr(CameIn("eve@two.example", "garden")),
        repr(WentOut("bob@two.example", "garden")),
    ]
    peer.session.lost("gone")
    world.let_pass(60)
    assert heard(ann) == [repr(WentOut("eve@two.example", "garden", "two.example is away"))]
