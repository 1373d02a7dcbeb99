"""domain/channels.py: members, messages and history."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.changes import InOrder, Said
from domain.errors import (
    AlreadyMember,
    NoSuchChannel,
    NotAMember,
)
from domain.events import ChannelMessages
from domain.state import NO_CHANNELS, RemoteUser
from support.memory_chat import NOW, FakeSession, MemoryChat


def test_lists(memory: MemoryChat) -> None:
    bob = memory.account("bob", "b", "a", "C")
    alice = memory.account("alice", "b", "d")
    assert memory.chat.channels.listing.shown_to(None) == ["C", "a", "b", "d"]
    assert memory.chat.channels.listing.shown_to(alice) == ["C", "a", "b", "d"]
    assert memory.chat.members(alice, "b") == ["alice", "bob"]
    assert memory.chat.members(bob, "a") == ["bob"]
    for channel in ("a", "nowhere"):
        with pytest.raises(NotAMember):
            memory.chat.members(alice, channel)
        with pytest.raises(NotAMember):
            memory.chat.reading.history(alice, channel, 5)


class Relay:
    """The way to the users of another server; `fails`: it is broken."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.heard: list[tuple[list[str], Sequence[str]]] = []

    def deliver(self, event: ChannelMessages, users: Sequence[str] = ()) -> None:
        if self.fails:
            raise RuntimeError("a mistake")
        self.heard.append(([message.text for message in event.messages], users))

    def leaving(self, user: str, channel: str) -> InOrder:
        raise NotImplementedError


def test_a_fault_with_one_server_costs_the_others_nothing(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice", "room"), memory.user("bob", "room")
    relays = [Relay(), Relay(fails=True), Relay()]
    for number, relay in enumerate(relays):
        member = RemoteUser(f"eve{number}", f"server{number}", relay, relay)
        memory.chat.channels.local["room"].members[member.name] = member
        memory.chat.subscriptions.add_remote(member, "room")
    memory.chat.say(alice.principal, "room", "hello", alice.done())
    memory.journal.commit()
    assert [relay.heard for relay in relays] == [[(["hello"], ("eve0",))], [], [(["hello"], ("eve2",))]]
    assert len(alice.take()) == 2
    assert len(bob.take()) == 1


def test_messages_in_a_row_travel_together(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice", "room", "attic"), memory.user("bob", "room")
    say = memory.chat.say
    for channel, text in [("room", "1"), ("room", "2"), ("attic", "3"), ("room", "4"), ("nowhere", "5"), ("room", "6")]:
        say(alice.principal, channel, text, alice.done(text))
    memory.journal.commit()
    texts = [
        [message.text for message in event.messages] if isinstance(event, ChannelMessages) else event
        for event in alice.take()
    ]
    assert [item for item in texts if isinstance(item, list)] == [["1", "2"], ["3"], ["4"], ["6"]]
    assert texts.index(("5", NoSuchChannel)) == texts.index(["4"]) + 1
    assert [[message.text for message in event.messages] for event in bob.take()] == [["1", "2"], ["4"], ["6"]]


def test_everyone_gets_the_same_event(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice", "room"), memory.user("bob", "room")
    memory.chat.say(alice.principal, "room", "hello", alice.done())
    memory.journal.commit()
    (event,) = bob.take()
    assert event == ChannelMessages((Said("alice", "room", "hello", NOW, 1),))
    assert any(told is event for told in alice.take())


def test_whoever_is_away_or_elsewhere_hears_nothing(memory: MemoryChat) -> None:
    alice, bob, carol = memory.user("alice", "room"), memory.user("bob", "room"), memory.user("carol", "attic")
    memory.chat.users.logout(bob)
    memory.chat.say(alice.principal, "room", "hello", alice.done())
    memory.journal.commit()
    assert bob.take() == carol.take() == []


def test_history_ends_where_the_reader_began_to_hear(memory: MemoryChat) -> None:
    """So that whoever reads it after a JOIN gets each message once."""
    alice, bob = memory.user("alice", "room"), memory.user("bob")
    histories: list[list[str]] = []

    def read(_error: Exception | None) -> None:
        found, pages = memory.chat.reading.history(bob.principal, "room", 2)
        texts = [message.text for page in pages for message in page]
        assert found == len(texts)
        histories.append(texts)

    memory.chat.say(alice.principal, "room", "one", alice.done())
    memory.chat.say(alice.principal, "room", "two", alice.done())
    memory.chat.say(alice.principal, "room", "three", alice.done())
    memory.chat.join(bob.principal, "room", read)
    memory.chat.say(alice.principal, "room", "four", alice.done())
    memory.chat.say(alice.principal, "nowhere", "five", alice.done())
    memory.journal.commit()
    assert histories == [["two", "three"]]
    assert [[message.text for message in event.messages] for event in bob.take()] == [["four"]]
    read(None)
    assert histories[1] == ["three", "four"]


def test_a_message_is_for_those_who_are_members_when_it_is_said(memory: MemoryChat) -> None:
    """Changes are decided in one order, also when one commit covers them. So a message before a JOIN is not for the new
    member, and one before a LEAVE is still for the member that leaves."""
    alice, bob, carol = memory.user("alice", "room"), memory.user("bob", "room"), memory.user("carol")
    chat = memory.chat
    chat.say(alice.principal, "room", "one", alice.done())
    chat.join(carol.principal, "room", carol.done("joined"))
    chat.say(alice.principal, "room", "two", alice.done())
    chat.leave(bob.principal, "room", bob.done("left"))
    chat.say(alice.principal, "room", "three", alice.done())
    memory.journal.commit()

    def heard(screen: FakeSession) -> list[str]:
        return [
            item[0] if item[0] in ("joined", "left") else " ".join(message.text for message in item.messages)
            for item in screen.take()
        ]

    assert heard(carol) == ["joined", "two", "three"]
    assert heard(bob) == ["one", "two", "left"]


def test_after_a_join_messages_come_and_after_a_leave_they_do_not(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice", "room"), memory.user("bob")
    assert memory.outcome(lambda done: memory.chat.join(bob.principal, "room", done)) is None
    memory.chat.say(alice.principal, "room", "one", alice.done())
    memory.journal.commit()
    assert len(bob.take()) == 1
    assert memory.outcome(lambda done: memory.chat.leave(bob.principal, "room", done)) is None
    memory.chat.say(alice.principal, "room", "two", alice.done())
    memory.journal.commit()
    assert bob.take() == []
    assert memory.outcome(lambda done: memory.chat.say(bob.principal, "room", "three", done)) is NotAMember


def test_a_membership_lasts_over_a_logout(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice", "room"), memory.user("bob", "room")
    memory.chat.users.logout(bob)
    again = memory.user("bob")
    memory.chat.say(alice.principal, "room", "hello", alice.done())
    memory.journal.commit()
    assert len(again.take()) == 1
    assert bob.take() == []
    assert memory.outcome(lambda done: memory.chat.join(again.principal, "room", done)) is AlreadyMember


def test_users_who_are_in_no_channel_share_their_table(memory: MemoryChat) -> None:
    alice, bob, carol = memory.account("alice"), memory.account("bob"), memory.account("carol", "a", "b")
    assert alice.channels is bob.channels is NO_CHANNELS
    assert list(carol.channels) == ["a", "b"]
    assert NO_CHANNELS == {}
