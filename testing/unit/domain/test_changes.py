"""domain/changes.py: what is decided, what is refused, and how it is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    AccountRemoved,
    BanLifted,
    Banned,
    Change,
    ChannelCreated,
    ChannelDeleted,
    ChannelFounded,
    ChannelPruned,
    ChannelRemoved,
    ChannelRenamed,
    GuestSaid,
    HostKeyMade,
    InOrder,
    InvitationMade,
    InvitedRegistered,
    InvitedToChannel,
    Joined,
    Left,
    LoggedInFrom,
    MailboxOpened,
    MailDelivered,
    Mailed,
    Marked,
    MaskRemoved,
    MaskSet,
    MembershipsDated,
    ModeSet,
    PasswordChanged,
    PeerNamed,
    RankGiven,
    Said,
    Seen,
    TokenDropped,
    TokenMade,
    TopicSet,
    VisitorSaid,
)
from domain.errors import (
    AlreadyMember,
    ChatError,
    HasMail,
    InUse,
    IsOnline,
    LimitReached,
    NameTaken,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotAName,
    NotInvited,
    StoreUnavailable,
    Unchanged,
)
from domain.state import Limits, RemoteUser, RoomGuest
from support.examples import EXAMPLES
from support.memory_chat import NOW, FakeSession, MemoryChat
from support.world import World


class Ear:
    """Hears all and says nothing: a user of another server, or all of them."""

    def deliver(self, event: Any, users: Sequence[str] = ()) -> None: ...

    def leaving(self, user: str, channel: str) -> InOrder:
        raise NotImplementedError


def remote(user: str) -> RemoteUser:
    return RemoteUser(user, "elsewhere", Ear(), Ear())


def furnished() -> MemoryChat:
    """alice and bob in `room`, alice alone in `attic`, carol nowhere; alice is there, the others are away.

    alice operates `attic`, which is secret, has a key and bans, and to which bob is invited. A JOIN has made `new`.

    alice is also in `room:elsewhere`. eve@elsewhere is in `room`.

    mason and wayne have no password; mail waits for wayne, and for bob.
    """
    memory = MemoryChat()
    memory.account("bob", "room")
    memory.account("carol")
    memory.chat.restore([ChannelCreated("empty", "carol", NOW)])
    memory.user("alice", "room", "attic")
    memory.chat.restore([Mailed("alice", "bob", "hi", NOW)] * 3)
    memory.chat.restore([MailboxOpened("wayne", "wayne123", NOW), MailboxOpened("mason", "mason123", NOW)])
    memory.chat.restore([Mailed("alice", "wayne", "hi", NOW), InvitationMade("valid", NOW + 9, NOW)])
    memory.chat.restore([TokenMade("bob", "old", True, NOW + 9, NOW), Joined("alice", "room:elsewhere", NOW)])
    memory.chat.restore([Joined("bob", "room:elsewhere", NOW, "127.0.0.1"), PeerNamed("elsewhere", "127.0.0.1")])
    memory.chat.restore(
        [
            ChannelFounded("new", "carol", NOW, modes="o"),
            *[ModeSet("attic", mode, True, value, "alice", NOW) for mode, value in (("s", ""), ("k", "secret"))],
            RankGiven("attic", "alice", "o", True, "alice", NOW),
            *[MaskSet("attic", "b", mask, "alice", NOW) for mask in ("zoe!*@*", "yan!*@*")],
            InvitedToChannel("bob", "attic", "alice", NOW),
            Banned("account", "bob", "room", "loud", NOW, 0.0),
        ]
    )
    memory.chat.channels.add(remote("eve"), "room")
    room = memory.chat.channels.local["room"]
    room.add_guest(RoomGuest("zoe", FakeSession(), room, takes_files=False))
    return memory


CHANGES: list[tuple[Change, type[ChatError] | None]] = [
    (AccountRegistered("dave", b"hash", NOW), None),
    (AccountRegistered("alice", b"hash", NOW), NameTaken),
    (MailboxOpened("dave", "dave123", NOW), None),
    (MailboxOpened("alice", "alice123", NOW), NameTaken),
    (MailboxOpened("mason", "mason456", NOW), NameTaken),
    (MailboxOpened("dave", "mason123", NOW), NameTaken),
    (AccountDeleted("mason", "mason123"), None),
    (AccountDeleted("wayne", "wayne123"), HasMail),
    (AccountDeleted("mason", "mason456"), NoSuchUser),
    (ChannelRenamed("room", "hall"), InUse),
    (ChannelRenamed("attic", "hall"), None),
    (ChannelRenamed("attic", "room"), NameTaken),
    (ChannelRenamed("nowhere", "hall"), NoSuchChannel),
    (ChannelDeleted("empty"), None),
    (ChannelDeleted("attic"), InUse),
    (ChannelDeleted("nowhere"), NoSuchChannel),
    (ChannelPruned("attic", 5), None),
    (ChannelPruned("nowhere", 5), NoSuchChannel),
    (AccountRemoved("alice"), None),
    (AccountRemoved("bob"), None),
    (AccountRemoved("wayne"), None),
    (AccountRemoved("nobody"), NoSuchUser),
    (PasswordChanged("nobody", b"other"), NoSuchUser),
    (InvitationMade("code", NOW + 5, NOW), None),
    (InvitationMade("code", NOW + 5, NOW + 100), None),
    (InvitedRegistered("dave", b"hash", NOW, "valid"), None),
    (InvitedRegistered("dave", b"hash", NOW + 100, "valid"), NotInvited),
    (InvitedRegistered("dave", b"hash", NOW, "other"), NotInvited),
    (InvitedRegistered("alice", b"hash", NOW, "valid"), NameTaken),
    (TokenMade("alice", "digest", True, NOW + 5, NOW), None),
    (TokenMade("bob", "other", False, NOW + 5, NOW, "old"), None),
    (TokenMade("nobody", "digest", True, NOW + 5, NOW), NoSuchUser),
    (TokenDropped("bob", "old"), None),
    (TokenDropped("bob", ""), None),
    (TokenDropped("nobody", ""), NoSuchUser),
    (MailDelivered("nobody", 1, 1), NoSuchUser),
    (Mailed("alice", "nobody", "hello", NOW), NoSuchUser),
    (PasswordChanged("alice", b"other"), None),
    (ChannelCreated("cellar", "alice", NOW), None),
    (ChannelCreated("room", "alice", NOW), NameTaken),
    (ChannelCreated("alice", "bob", NOW), None),
    (ChannelFounded("cellar", "alice", NOW, modes="o"), None),
    (ChannelFounded("room", "alice", NOW), NameTaken),
    (ChannelRemoved("new"), None),
    (ChannelRemoved("room"), InUse),
    (ChannelRemoved("nowhere"), NoSuchChannel),
    (ModeSet("room", "m", True, "", "alice", NOW), None),
    (ModeSet("room", "s", True, "", "alice", NOW), None),
    (ModeSet("room", "n", False, "", "alice", NOW), None),
    (ModeSet("attic", "s", False, "", "alice", NOW), None),
    (ModeSet("attic", "k", True, "other", "alice", NOW), None),
    (ModeSet("attic", "k", False, "", "alice", NOW), None),
    (ModeSet("attic", "k", True, "secret", "alice", NOW), Unchanged),
    (ModeSet("room", "n", True, "", "alice", NOW), Unchanged),
    (ModeSet("nowhere", "n", True, "", "alice", NOW), NoSuchChannel),
    (RankGiven("room", "bob", "o", True, "alice", NOW), None),
    (RankGiven("attic", "alice", "v", True, "alice", NOW), None),
    (RankGiven("attic", "alice", "o", False, "alice", NOW), None),
    (RankGiven("attic", "alice", "o", True, "alice", NOW), Unchanged),
    (RankGiven("room", "nobody", "o", True, "alice", NOW), NoSuchUser),
    (RankGiven("nowhere", "bob", "o", True, "alice", NOW), NoSuchChannel),
    (MaskSet("room", "b", "*!*@x", "alice", NOW), None),
    (MaskSet("attic", "b", "zoe!*@*", "alice", NOW), Unchanged),
    (MaskSet("nowhere", "b", "*!*@x", "alice", NOW), NoSuchChannel),
    (MaskRemoved("attic", "b", "zoe!*@*"), None),
    (MaskRemoved("attic", "b", "yan!*@*"), None),
    (MaskRemoved("attic", "e", "zoe!*@*"), Unchanged),
    (MaskRemoved("nowhere", "b", "zoe!*@*"), NoSuchChannel),
    (InvitedToChannel("carol", "room", "alice", NOW), None),
    (InvitedToChannel("nobody", "room", "alice", NOW), NoSuchUser),
    (InvitedToChannel("carol", "nowhere", "alice", NOW), NoSuchChannel),
    (Banned("address", "192.0.2.0/24", "", "loud", NOW, 0.0), None),
    (Banned("account", "bob", "room", "other", NOW, 2 * NOW), None),
    (Banned("account", "bob", "", "loud", NOW, 0.0), None),
    (Banned("account", "nobody", "", "", NOW, 0.0), None),
    (BanLifted("account", "bob", "room"), None),
    (HostKeyMade(b"key"), None),
    (LoggedInFrom("alice", "192.0.2.7", NOW), None),
    (LoggedInFrom("nobody", "192.0.2.7", NOW), NoSuchUser),
    (BanLifted("account", "bob", ""), Unchanged),
    (TopicSet("alice", "room", "roses"), None),
    (TopicSet("bob", "room", "x"), None),
    (TopicSet("carol", "room", "roses"), NotAMember),
    (TopicSet("alice", "room:elsewhere", "roses"), NoSuchChannel),
    (Joined("carol", "room", NOW), None),
    (Joined("bob", "attic", NOW), None),
    (Joined("alice", "room", NOW), AlreadyMember),
    (Joined("bob", "room", NOW), AlreadyMember),
    (Joined("alice", "nowhere", NOW), NoSuchChannel),
    (Left("alice", "room"), None),
    (Seen("alice", "room", 5), None),
    (Seen("bob", "room", 1), None),
    (Seen("carol", "room", 1), NotAMember),
    (Seen("alice", "nowhere", 1), NoSuchChannel),
    (Seen("alice", "room:elsewhere", 1), NoSuchChannel),
    (Marked("alice", "zoe", NOW), None),
    (Marked("zoe", "alice", NOW), NoSuchUser),
    (Left("bob", "room"), None),
    (Left("carol", "room"), NotAMember),
    (Left("alice", "nowhere"), NoSuchChannel),
    (Joined("carol", "room:elsewhere", NOW), None),
    (Joined("carol", "attic:elsewhere", NOW, "proven"), None),
    (Joined("carol", "attic:nowhere", NOW, "127.0.0.2"), None),
    (Joined("alice", "room:elsewhere", NOW), AlreadyMember),
    (Left("alice", "room:elsewhere"), None),
    (Left("carol", "room:elsewhere"), NotAMember),
    (Left("carol", "attic:elsewhere"), NoSuchChannel),
    (Joined("eve@elsewhere", "room", NOW), NoSuchUser),
    (Left("eve@elsewhere", "room"), NoSuchUser),
    (PeerNamed("nowhere", "127.0.0.1"), None),
    (PeerNamed("elsewhere", "127.0.0.2"), None),
    (MembershipsDated("elsewhere", "127.0.0.2"), None),
    (Said("eve@elsewhere", "room", "hello", NOW), None),
    (Said("eric@elsewhere", "room", "hello", NOW), NotAMember),
    (Said("alice", "room:elsewhere", "hello", NOW), NoSuchChannel),
    (Said("alice", "room", "hello", NOW), None),
    (Said("carol", "room", "hello", NOW), NotAMember),
    (Said("alice", "nowhere", "hello", NOW), NoSuchChannel),
    (GuestSaid("zoe", "room", "hello", NOW), None),
    (GuestSaid("alice", "room", "hello", NOW), NotAMember),
    (VisitorSaid("alice", "room", "hello", NOW), None),
    (VisitorSaid("zoe", "room", "hello", NOW), NotAMember),
    (InOrder(lambda: None, lambda: None), None),
    (Mailed("alice", "bob", "hello", NOW), None),
    (Mailed("bob", "carol", "hello", NOW), None),
    (Mailed("bob", "alice", "hello", NOW), IsOnline),
    (MailDelivered("bob", 2, 2), None),
]


@pytest.mark.parametrize(("change", "refused"), CHANGES)
def test_each_change_is_decided_and_can_be_taken_back(change: Change, refused: type[ChatError] | None) -> None:
    memory = furnished()
    before = memory.snapshot()
    if refused is not None:
        with pytest.raises(refused):
            memory.chat.apply(change)
        assert memory.snapshot() == before
        return
    undo = memory.chat.apply(change)
    if isinstance(change, Said | Seen | Marked | ChannelPruned | InOrder):
        assert undo is None
        assert memory.snapshot() == before
    else:
        assert undo is not None
        assert memory.snapshot() != before
        undo()
        assert memory.snapshot() == before
        assert memory.chat.apply(change) is not None  # as if it had never been


def test_memberships_of_remote_users_can_be_taken_back() -> None:
    memory = furnished()
    channels, before = memory.chat.channels, memory.snapshot()
    eve, eric = channels.local["room"].members["eve@elsewhere"], remote("eric")
    for decide, member, channel, refused in (
        (channels.add, eve, "room", AlreadyMember),
        (channels.add, eve, "nowhere", NoSuchChannel),
        (channels.remove, eric, "room", NotAMember),
    ):
        with pytest.raises(refused):
            decide(member, channel)
        assert memory.snapshot() == before
    for decide, member in ((channels.add, eric), (channels.remove, eve)):
        undo = decide(member, "room")
        assert memory.snapshot() != before
        undo()
        assert memory.snapshot() == before


def test_every_kind_of_change_is_tried() -> None:
    assert {type(change) for change, refused in CHANGES if refused is None} == set(Change.__args__)


@EXAMPLES
@given(
    st.lists(
        st.one_of(
            st.builds(AccountRegistered, st.sampled_from("ab"), st.just(b"hash"), st.just(NOW)),
            st.builds(ChannelCreated, st.sampled_from("xy"), st.sampled_from("ab"), st.just(NOW)),
            st.builds(Joined, st.sampled_from("ab"), st.sampled_from("xyz"), st.just(NOW)),
            st.builds(Left, st.sampled_from("ab"), st.sampled_from("xyz")),
            st.builds(Mailed, st.sampled_from("ab"), st.sampled_from("ab"), st.just("hi"), st.just(NOW)),
        ),
        max_size=25,
    ),
    st.integers(0, 25),
)
def test_a_failed_commit_leaves_no_trace(changes: list[Change], failing: int) -> None:
    memory = MemoryChat()
    memory.user("a", "x")
    memory.account("b")
    memory.chat.restore([ChannelCreated("y", "a", NOW)])
    outcomes: list[Exception | None] = []
    for change in changes[:failing]:
        memory.journal.submit(change, outcomes.append)
    memory.journal.commit()
    assert memory.audiences_are_right()
    before = memory.snapshot()
    for change in changes[failing:]:
        memory.journal.submit(change, outcomes.append)
    memory.backend.fails = True
    memory.journal.commit()
    assert memory.snapshot() == before
    assert len(outcomes) == len(changes)
    assert None not in outcomes[failing:]


def test_limits() -> None:
    memory = MemoryChat(Limits(name=5, accounts=2, channels=2, channels_per_user=1, mail=1))
    alice, bob = memory.account("alice", "one"), memory.account("bob", "one")
    chat = memory.chat
    assert memory.outcome(lambda done: chat.accounts.register(FakeSession(), "carol", "pw", done)) is LimitReached
    assert memory.outcome(lambda done: chat.accounts.register(FakeSession(), "toolong", "pw", done)) is NotAName
    assert memory.outcome(lambda done: chat.create(alice, "toolong", done)) is NotAName
    assert memory.outcome(lambda done: chat.create(alice, "two", done)) is None
    assert memory.outcome(lambda done: chat.create(alice, "three", done)) is LimitReached
    assert memory.outcome(lambda done: chat.join(alice, "two", done)) is LimitReached
    assert memory.outcome(lambda done: chat.leave(alice, "one", done)) is None
    assert memory.outcome(lambda done: chat.join(alice, "two", done)) is None
    assert memory.outcome(lambda done: chat.messages.send_direct(alice, "bob", "hi", done)) is None
    assert memory.outcome(lambda done: chat.messages.send_direct(alice, "bob", "hi", done)) is LimitReached
    assert bob.mail == 1
    assert set(chat.users.accounts) == {"alice", "bob"}
    assert set(chat.channels.local) == {"one", "two"}


def test_a_channel_counts_for_its_creator_unless_it_could_not_be_written() -> None:
    memory = MemoryChat(Limits(channels_per_creator=2))
    alice = memory.account("alice", "one")
    memory.backend.fails = True
    for _ in range(2):
        assert memory.outcome(lambda done: memory.chat.create(alice, "two", done)) is StoreUnavailable
    memory.backend.fails = False
    assert memory.outcome(lambda done: memory.chat.create(alice, "two", done)) is None
    assert memory.outcome(lambda done: memory.chat.create(alice, "three", done)) is LimitReached
    for name in ("lobby", "garden", "attic"):
        memory.chat.apply(ChannelCreated(name, "", NOW))
    assert len(memory.chat.channels.local) == 5


def test_limits_do_not_undo_what_was_decided_before() -> None:
    memory = MemoryChat(Limits(name=1, accounts=1, channels=1, channels_per_user=1, mail=0))
    memory.chat.restore(
        [
            AccountRegistered("alice", b"", NOW), AccountRegistered("bob", b"", NOW),
            ChannelCreated("room", "alice", NOW), ChannelCreated("attic", "alice", NOW),
            Joined("alice", "room", NOW), Joined("alice", "attic", NOW),
            Mailed("alice", "bob", "hi", NOW),
        ]
    )  # fmt: skip
    assert set(memory.chat.users.accounts["alice"].channels) == {"room", "attic"}
    assert memory.chat.users.accounts["bob"].mail == 1
    with pytest.raises(LimitReached):
        memory.chat.apply(AccountRegistered("carol", b"", NOW))


def test_rows_that_lead_nowhere_are_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody has deleted an account, or a channel, from the database by hand."""
    nowhere: list[Change] = [
        Joined("gone", "room", 1.0),
        Joined("ann", "gone", 1.0),
        Mailed("ann", "gone", "secret", 1.0),
    ]
    with World() as world:
        right: list[Change] = [AccountRegistered("ann", b"", 1.0), ChannelCreated("room", "gone", 1.0)]
        assert world.chat.restore(right)
        assert not world.chat.restore([*nowhere, Joined("ann", "room", 1.0)])
        assert list(world.chat.users.accounts["ann"].channels) == ["room"]
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if "gone" in line and "leads nowhere" in line and "\n" not in line] == told
    assert len(told) == len(nowhere)
    assert "secret" not in caplog.text
