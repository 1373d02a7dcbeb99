"""domain/visitors.py: guests who may be members of channels (M14)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from domain.changes import AccountRegistered, InOrder, Joined, RankGiven, VisitorSaid
from domain.errors import (
    AlreadyLoggedIn,
    AlreadyMember,
    CannotLeaveMail,
    ChannelFull,
    LimitReached,
    NameTaken,
    NoSuchChannel,
    NotAMember,
    NotAName,
    StoreUnavailable,
    Unchanged,
)
from domain.events import ChannelMessages, DirectEcho, DirectMessage, PresenceChanged, Removed
from domain.modes import Switch
from domain.state import Limits, Visitor
from support.memory_chat import NOW, FakeSession, MemoryChat
from support.world import World


def visitor(memory: MemoryChat, name: str, *channels: str) -> FakeSession:
    """A visitor who is in these channels."""
    session = FakeSession()
    memory.chat.visitors.enter(session, name)
    for channel in channels:
        assert memory.outcome(partial(memory.chat.join, session.principal, channel)) is None
    return session


def names(memory: MemoryChat, channel: str = "garden") -> list[str]:
    return list(memory.chat.channels.local[channel].names())


def test_a_visitor_holds_its_name(memory: MemoryChat) -> None:
    memory.user("ann", "garden")
    zoe = visitor(memory, "zoe")
    for name, error in (("zoe", NameTaken), ("ann", NameTaken), ("a b", NotAName)):
        with pytest.raises(error):
            memory.chat.visitors.enter(FakeSession(), name)
    with pytest.raises(AlreadyLoggedIn):
        memory.chat.visitors.enter(zoe, "other")
    assert memory.outcome(partial(memory.chat.accounts.register, FakeSession(), "zoe", "secret")) is NameTaken
    assert memory.chat.users.online_names() == ["ann", "zoe"]
    memory.chat.users.logout(zoe)
    assert memory.chat.users.online_names() == ["ann"]
    visitor(memory, "zoe")


def test_visitors_do_not_count_as_users_of_hello() -> None:
    memory = MemoryChat(Limits(guests=1))
    for number in range(3):
        visitor(memory, f"zoe{number}")
    memory.chat.users.enter_as_guest(FakeSession(), "kim")
    with pytest.raises(LimitReached):
        memory.chat.users.enter_as_guest(FakeSession(), "tom")
    gone = visitor(memory, "gone")
    memory.chat.users.logout(gone)
    with pytest.raises(LimitReached):
        memory.chat.users.enter_as_guest(FakeSession(), "tom")


def test_a_visitor_is_in_no_channel_of_another_server() -> None:
    with World() as world:
        peer = world.peer("peer.com")
        peer.ask("FEDCHANNELS lake")
        session = FakeSession()
        world.chat.visitors.enter(session, "zoe")
        told: list[Any] = []
        world.chat.visitors.join(session.principal, "lake:peer.com", told.append)
        world.settle()
        assert [type(error) for error in told] == [NoSuchChannel]
        assert not session.principal.channels


def test_a_visitor_is_a_member_until_it_leaves_or_logs_out(memory: MemoryChat) -> None:
    ann = memory.user("ann", "garden", "shed")
    memory.chat.users.presence.watch(ann)
    zoe = visitor(memory, "zoe", "garden", "shed")
    assert ann.take() == [PresenceChanged("zoe", online=True)] * 2
    assert names(memory) == ["ann", "zoe"]
    assert memory.chat.members(ann.principal, "garden") == memory.chat.present(zoe.principal, "garden")
    assert memory.outcome(partial(memory.chat.join, zoe.principal, "garden")) is AlreadyMember
    assert memory.outcome(partial(memory.chat.join, zoe.principal, "nowhere")) is NoSuchChannel
    assert memory.outcome(partial(memory.chat.say, zoe.principal, "garden", "hi")) is None
    said = ChannelMessages((VisitorSaid("zoe", "garden", "hi", NOW, 1),))
    assert ann.take() == zoe.take() == [said]
    assert isinstance(said.messages[0], VisitorSaid)
    assert memory.outcome(partial(memory.chat.leave, zoe.principal, "shed")) is None
    assert memory.outcome(partial(memory.chat.leave, zoe.principal, "shed")) is NotAMember
    assert memory.outcome(partial(memory.chat.say, zoe.principal, "shed", "hi")) is NotAMember
    assert ann.take() == [PresenceChanged("zoe", online=False)]
    memory.chat.say(zoe.principal, "garden", "bye", zoe.done())
    memory.chat.users.logout(zoe)
    memory.journal.commit()
    assert [type(event) for event in ann.take()] == [ChannelMessages, PresenceChanged]
    assert names(memory) == ["ann"]
    assert memory.audiences_are_right()
    assert memory.chat.channels.local["garden"].here == 1
    assert not any(isinstance(change, Joined) for change in memory.backend.written)


def test_a_name_that_is_free_again_joins_behind_the_one_that_had_it(memory: MemoryChat) -> None:
    memory.user("ann", "garden")
    first, second = visitor(memory, "zoe", "garden"), FakeSession()
    memory.chat.users.logout(first)
    memory.chat.visitors.enter(second, "zoe")
    assert memory.outcome(partial(memory.chat.join, second.principal, "garden")) is None
    assert memory.chat.channels.local["garden"].members["zoe"] is second.principal
    assert memory.audiences_are_right()


def test_the_operator_removes_a_visitor(memory: MemoryChat) -> None:
    memory.account("ann", "garden")
    zoe = visitor(memory, "zoe", "garden")
    assert memory.outcome(lambda done: memory.chat.remove(zoe.principal, "garden", Removed("garden"), done)) is None
    assert zoe.take() == [Removed("garden")]
    assert names(memory) == ["ann"]


def test_limits_of_channels_hold_for_visitors() -> None:
    memory = MemoryChat(Limits(channels_per_user=1))
    memory.account("ann", "garden")
    memory.account("bob", "shed")
    zoe = visitor(memory, "zoe", "garden")
    assert memory.outcome(partial(memory.chat.join, zoe.principal, "shed")) is LimitReached
    memory.chat.channels.local["shed"].capacity = 0
    other = visitor(memory, "other")
    assert memory.outcome(partial(memory.chat.join, other.principal, "shed")) is ChannelFull


def test_what_a_visitor_sends_does_not_wait(memory: MemoryChat) -> None:
    memory.account("ann")
    bob, zoe = memory.user("bob"), visitor(memory, "zoe")
    send = partial(memory.chat.messages.send_direct, zoe.principal, session=zoe)
    assert memory.outcome(lambda done: send("ann", "hi", done)) is CannotLeaveMail
    assert memory.outcome(lambda done: send("bob", "hi", done)) is None
    assert bob.take() == [DirectMessage("zoe", "hi", NOW, "d-2")]
    assert zoe.take() == [DirectEcho("zoe", "bob", "hi", NOW, "d-2")]
    memory.chat.messages.send_direct_online(zoe.principal, "bob", "ho", zoe.done())
    memory.chat.messages.send_direct(bob.principal, "zoe", "yes?", bob.done(), bob)
    assert zoe.take() == [("", None), DirectMessage("bob", "yes?", NOW, "d-4")]


def test_another_name(memory: MemoryChat) -> None:
    ann = memory.user("ann", "garden")
    memory.chat.users.presence.watch(ann)
    kim, zoe = visitor(memory, "kim"), visitor(memory, "zoe", "garden")
    garden = memory.chat.channels.local["garden"]
    garden.mutes["zoe"] = 5.0
    ann.take()
    for name, error in (("kim", NameTaken), ("ann", NameTaken), ("a b", NotAName), ("zoe", NameTaken)):
        assert memory.outcome(partial(memory.chat.visitors.rename, zoe.principal, name)) is error
    assert memory.outcome(partial(memory.chat.visitors.rename, zoe.principal, "bee")) is None
    assert ann.take() == [PresenceChanged("zoe", online=False), PresenceChanged("bee", online=True)]
    assert zoe.take() == []
    assert names(memory) == ["ann", "bee"]
    assert garden.mutes == {"bee": 5.0}
    assert memory.chat.users.online_names() == ["ann", "kim", "bee"]
    assert memory.outcome(partial(memory.chat.visitors.rename, kim.principal, "zoe")) is None
    memory.chat.messages.send_direct(ann.principal, "bee", "hi", ann.done(), ann)
    assert zoe.take() == [DirectMessage("ann", "hi", NOW, "d-1")]
    assert memory.audiences_are_right()


def test_decisions_about_visitors_are_undone_when_the_disk_refuses(memory: MemoryChat) -> None:
    ann = memory.user("ann", "garden", "shed")
    zoe, bee = visitor(memory, "zoe", "garden"), visitor(memory, "bee", "garden")
    memory.backend.fails = True
    outcomes: list[Any] = []
    memory.chat.say(ann.principal, "garden", "lost", outcomes.append)
    memory.chat.visitors.rename(zoe.principal, "cat", outcomes.append)
    memory.chat.join(zoe.principal, "shed", outcomes.append)
    memory.chat.leave(zoe.principal, "garden", outcomes.append)
    memory.chat.users.logout(bee)
    memory.journal.commit()
    assert isinstance(outcomes[0], StoreUnavailable)
    assert outcomes[1:] == [None, None, None]
    assert (names(memory), names(memory, "shed")) == (["ann"], ["ann", "cat"])
    assert memory.chat.users.online_names() == ["ann", "cat"]
    assert memory.audiences_are_right()


def register(memory: MemoryChat, session: FakeSession) -> type[Exception] | None:
    return memory.outcome(partial(memory.chat.accounts.register_visitor, session.principal, "secret"))


def test_a_visitor_becomes_an_account_with_its_memberships(memory: MemoryChat) -> None:
    ann = memory.user("ann", "garden")
    memory.chat.users.presence.watch(ann)
    memory.outcome(partial(memory.chat.say, ann.principal, "garden", "before"))
    zoe = visitor(memory, "zoe", "garden")
    kim = visitor(memory, "kim", "garden")
    ann.take()
    guest = zoe.principal
    assert register(memory, zoe) is None
    account = memory.chat.users.accounts["zoe"]
    assert zoe.principal is account
    assert account.sessions == (zoe,)
    assert memory.backend.written[-2:] == [
        AccountRegistered("zoe", b"secret", NOW),
        Joined("zoe", "garden", NOW, "", 1),
    ]
    assert account.channels == {"garden": memory.chat.channels.local["garden"]}
    assert not guest.channels
    assert "zoe" not in memory.chat.users.guests
    assert ann.take() == [], "it has neither come nor gone"
    assert memory.chat.users.online_names() == ["ann", "zoe", "kim"]
    assert memory.outcome(partial(memory.chat.say, account, "garden", "hi")) is None
    assert len(zoe.take()) == len(kim.take()) == 1
    memory.chat.users.logout(zoe)
    memory.journal.commit()
    assert names(memory) == ["ann", "kim", "zoe"]
    assert memory.audiences_are_right()


def with_ranks(memory: MemoryChat) -> FakeSession:
    """A visitor with both ranks in a channel, one in another, none in a third."""
    memory.user("ann", "garden", "shed", "attic")
    zoe = visitor(memory, "zoe", "garden", "shed", "attic")
    for channel, ranks in (("garden", "ov"), ("shed", "v")):
        memory.outcome(partial(memory.chat.moderation.give_rank, "ann", channel, "o"))
        outcomes: list[Any] = []
        switches = [Switch(rank, True, "zoe") for rank in ranks]
        memory.chat.moderation.switch("ann", channel, switches, outcomes.append)
        memory.journal.commit()
        assert outcomes == [[None] * len(ranks)]
    return zoe


def ranks_of_zoe(memory: MemoryChat) -> list[str]:
    return [memory.chat.channels.local[name].rank("zoe") for name in ("garden", "shed", "attic")]


def test_a_visitor_that_becomes_an_account_keeps_its_ranks_which_last(memory: MemoryChat) -> None:
    """C66"""
    zoe = with_ranks(memory)
    assert register(memory, zoe) is None
    assert [change for change in memory.backend.written if isinstance(change, RankGiven)][2:] == [
        *[RankGiven("garden", "zoe", rank, True, "zoe", NOW) for rank in "ov"],
        RankGiven("shed", "zoe", "v", True, "zoe", NOW),
    ]
    for _ in range(2):
        assert ranks_of_zoe(memory) == ["ov", "v", ""]
        memory.chat.users.logout(zoe)
        memory.journal.commit()
    outcomes: list[Any] = []
    taken = [Switch(rank, False, "zoe") for rank in "oo"]
    memory.chat.moderation.switch("ann", "garden", taken, outcomes.append)
    memory.journal.commit()
    assert [type(outcome) for outcome in outcomes[0]] == [type(None), Unchanged]
    assert ranks_of_zoe(memory) == ["v", "v", ""]


def test_a_registration_that_fails_leaves_the_visitor_its_ranks(memory: MemoryChat) -> None:
    zoe = with_ranks(memory)
    before = memory.snapshot()
    memory.backend.fails = True
    assert register(memory, zoe) is StoreUnavailable
    assert memory.snapshot() == before
    assert ranks_of_zoe(memory) == ["ov", "v", ""]
    memory.chat.users.logout(zoe)
    memory.journal.commit()
    assert ranks_of_zoe(memory) == [""] * 3


def test_a_registration_that_fails_leaves_the_visitor(memory: MemoryChat) -> None:
    memory.account("ann", "garden")
    zoe = visitor(memory, "zoe", "garden")
    memory.backend.fails = True
    assert register(memory, zoe) is StoreUnavailable
    assert isinstance(zoe.principal, Visitor)
    assert memory.chat.users.guests == {"zoe": zoe.principal}
    assert "zoe" not in memory.chat.users.accounts
    assert memory.chat.channels.local["garden"].members["zoe"] is zoe.principal
    memory.backend.fails = False
    memory.chat.users.limits = Limits(accounts=1)
    assert register(memory, zoe) is LimitReached
    assert memory.chat.users.guests == {"zoe": zoe.principal}
    memory.chat.users.logout(zoe)
    memory.journal.commit()
    assert names(memory) == ["ann"]
    assert memory.audiences_are_right()


def test_a_registration_for_a_name_does_not_take_the_visitor_who_has_it_since(memory: MemoryChat) -> None:
    memory.passwords.later = True
    outcomes: list[Any] = []
    memory.chat.accounts.register(FakeSession(), "zoe", "theirs", outcomes.append)
    zoe = visitor(memory, "zoe")
    memory.chat.accounts.register_visitor(zoe.principal, "mine", outcomes.append)
    memory.passwords.answer()
    memory.journal.commit()
    assert [type(outcome) for outcome in outcomes] == [NameTaken, type(None)]
    assert memory.chat.users.accounts["zoe"].password_hash == b"mine"


def test_a_visitor_that_goes_while_it_is_registered_leaves_the_account(memory: MemoryChat) -> None:
    memory.account("ann", "garden")
    zoe = visitor(memory, "zoe", "garden")
    outcomes: list[Any] = []
    memory.chat.accounts.register_visitor(zoe.principal, "secret", outcomes.append)
    memory.chat.users.logout(zoe)
    memory.journal.commit()
    assert outcomes == [None]
    account = memory.chat.users.accounts["zoe"]
    assert account.session is None
    assert list(account.channels) == ["garden"]
    assert memory.chat.channels.local["garden"].here == 0
    assert memory.audiences_are_right()


def test_history_from_the_own_join_on(memory: MemoryChat) -> None:
    ann = memory.user("ann", "garden")
    for text in ("one", "two"):
        memory.outcome(partial(memory.chat.say, ann.principal, "garden", text))
    zoe = visitor(memory, "zoe", "garden")
    memory.outcome(partial(memory.chat.say, ann.principal, "garden", "three"))
    since = zoe.principal.since["garden"]
    found, pages = memory.chat.reading.history(zoe.principal, "garden", 100, since=since)
    assert (found, [message.text for page in pages for message in page]) == (1, ["three"])


def test_visitors_and_room_guests_meet() -> None:
    world = World(channels={"lobby": 2})
    (kim,) = world.room("lobby", "kim")
    zoe = world.client()
    world.chat.visitors.enter(zoe.session, "zoe")
    zoe.session.dialect = world.dialect
    world.chat.join(zoe.session.principal, "lobby", lambda _error: None)
    assert kim.heard() == ["[Server message (12:34:56)] zoe has joined the channel."]
    assert [guest.name for guest in world.chat.channels.local["lobby"].guests.values()] == ["kim"]
    kim.send("/whisper zoe psst")
    assert zoe.heard() == ["RECV kim @kim psst"]
    assert not world.chat.channels.local["lobby"].has_room
    world.chat.visitors.rename(zoe.session.principal, "bee", lambda _error: None)
    assert [line.split("] ", 1)[1] for line in kim.heard()[-2:]] == [
        "zoe has left the channel.", "bee has joined the channel.",
    ]  # fmt: skip
    world.chat.users.logout(zoe.session)
    assert kim.heard() == ["[Server message (12:34:56)] bee has left the channel."]
    world.room("lobby", "bee")


def test_a_channel_that_is_gone_when_it_is_published(memory: MemoryChat) -> None:
    """A rename or removal may be decided in the same turn, behind the join or the end of a membership."""
    memory.account("ann", "garden")
    zoe, kim = visitor(memory, "zoe", "garden"), visitor(memory, "kim")
    channels, outcomes = memory.chat.channels, list[Any]()
    garden = channels.local["garden"]
    memory.chat.leave(zoe.principal, "garden", outcomes.append)
    memory.chat.join(kim.principal, "garden", outcomes.append)

    def rename() -> None:
        del channels.local["garden"]

    memory.journal.submit(InOrder(rename, list), outcomes.append)
    memory.journal.commit()
    assert outcomes == [None] * 3
    assert list(garden.subscribers) == [kim]
