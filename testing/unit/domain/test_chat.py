"""chat.py: the rules."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import throttle
from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    Change,
    ChannelCreated,
    Done,
    GuestSaid,
    InOrder,
    Joined,
    Left,
    MailboxOpened,
    MailDelivered,
    Mailed,
    MembershipsDated,
    PasswordChanged,
    PeerNamed,
    Said,
)
from domain.chat import Chat
from domain.errors import (
    AlreadyLoggedIn,
    AlreadyMember,
    BeingCollected,
    ChatError,
    HasMail,
    IsOnline,
    LimitReached,
    NameTaken,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotAName,
    Overloaded,
    StoreUnavailable,
    WrongPassword,
)
from domain.events import ChannelMessages, DirectEcho, DirectMessage, MailWaiting
from domain.interfaces import Pace, RemoteServers
from domain.names import is_name
from domain.state import Account, Channel, Limits, RemoteUser, RoomGuest, SortedNames
from support.examples import EXAMPLES
from support.world import FakePasswords, World

NOW = 1000.0


# ---- what the tests use ----


class MemoryBackend:
    """Keeps what is written to it in memory. `fails`: the disk does not take it."""

    def __init__(self) -> None:
        self.fails = False
        self.written: list[Change] = []
        self.mailbox: list[tuple[int, Mailed]] = []
        self._mails = 0

    def write(self, changes: Sequence[Change]) -> bool:
        if not self.fails:
            for change in changes:
                self._write(change)
        return not self.fails

    def _write(self, change: Change) -> None:
        self.written.append(change)
        if isinstance(change, Mailed):
            self._mails += 1
            self.mailbox.append((self._mails, change))
        elif isinstance(change, MailDelivered):
            gone = [(n, mail) for n, mail in self.mailbox if mail.recipient == change.recipient and n <= change.last]
            for entry in gone[: change.messages]:
                self.mailbox.remove(entry)

    def history(self, channel: str, count: int, but_last: int) -> tuple[int, Iterator[list[Said]]]:
        said = [change for change in self.written if isinstance(change, Said) and change.channel == channel]
        said = said[: len(said) - but_last][-count:]
        return len(said), iter([said])

    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]:
        """Pages of two."""
        last = 0
        while page := [(n, mail) for n, mail in self.mailbox if mail.recipient == recipient and n > last][:2]:
            last = page[-1][0]
            yield last, [mail for _n, mail in page]


class Screen:
    """A session: it notes what it is told."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.principal: Any = None
        self.over = False
        self.half_closed = False
        self.address = address
        self.told: list[Any] = []

    def deliver(self, event: Any) -> None:
        self.told.append(event)

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        self.told.append(event)
        done(not self.over)

    def end(self) -> None:
        self.over = True

    def done(self, mark: str = "") -> Done:
        """What takes an outcome: noted among the events, since their order matters."""
        return lambda error: self.told.append((mark, None if error is None else type(error)))

    def take(self) -> list[Any]:
        told, self.told = self.told, []
        return told


def local(channel: Channel) -> list[Account]:
    """The members who are users of this server."""
    return [member for member in channel.members.values() if isinstance(member, Account)]


class House:
    """A chat whose backend is in memory."""

    def __init__(self, limits: Limits | None = None, pace: Pace | None = None) -> None:
        self.backend = MemoryBackend()
        self.passwords = FakePasswords()
        self.chat = Chat(self.backend, self.passwords, lambda: NOW, limits or Limits(), pace=pace)
        self.journal = self.chat.journal

    def account(self, name: str, *channels: str) -> Account:
        """An account in these channels, which are made where they are not."""
        self.chat.restore([AccountRegistered(name, name.encode(), NOW)])
        for channel in channels:
            if channel not in self.chat.channels.local:
                self.chat.restore([ChannelCreated(channel, name, NOW)])
            self.chat.restore([Joined(name, channel, NOW)])
        return self.chat.users.accounts[name]

    def user(self, name: str, *channels: str) -> Screen:
        """An account that is logged in."""
        if name not in self.chat.users.accounts:
            self.account(name, *channels)
        screen = Screen()
        self.chat.accounts.login(screen, name, name, screen.done())
        assert screen.take()[0] == ("", None)
        return screen

    def outcome(self, call: Callable[[Done], object]) -> type[Exception] | None:
        """Make a call that takes a `done`, commit, and give its outcome."""
        outcomes: list[Exception | None] = []
        call(outcomes.append)
        self.journal.commit()
        (error,) = outcomes
        return None if error is None else type(error)

    def audiences_are_right(self) -> bool:
        """Whether everyone who is in a channel, and there, hears what is said in it, and nobody else."""
        return all(
            set(channel.subscribers) == {member.session for member in local(channel) if member.session}
            and channel.remote == len(channel.members) - len(local(channel))
            and all(name in account.channels for account in channel.members.values())
            for name, channel in self.chat.channels.local.items()
        )

    def snapshot(self) -> Any:
        """All state, in a form that can be compared."""
        return (
            {
                name: (
                    account.name,
                    account.password_hash,
                    set(account.channels),
                    account.session,
                    list(account.waiting._senders),
                    dict(account.waiting.by_sender),
                    dict(account.waiting.by_host),
                )
                for name, account in self.chat.users.accounts.items()
            },
            {
                name: (channel.name, set(channel.members), set(channel.subscribers), channel.remote, channel.names())
                for name, channel in (self.chat.channels.local | self.chat.channels.remote).items()
            },
            {
                name: set(member.channels)
                for channel in self.chat.channels.local.values()
                for name, member in channel.members.items()
            },
            {name: dict(channel.servers) for name, channel in self.chat.channels.remote.items()},
            {name: dict(counts) for name, counts in self.chat.channels._identities.items()},
            dict(self.chat.channels.hosts),
            self.chat.channel_names(),
        )


@pytest.fixture
def house() -> House:
    return House()


# ---- names ----


@pytest.mark.parametrize(
    "name",
    [
        "a", "alice", "Alice_1-2.3", "x" * 64, "-", "#room", "a/b", "a//", "!", "42", "~", "<b>", "{0}", "%s", "\\",
        "\u4f60\u597d", "\u3042", "\ud55c", "\u00e9", "\u00fc" * 64, "\u0645\u0631\u062d\u0628\u0627",
        "\u0915\u094d\u200d\u0937", "\u0646\u0645\u06cc\u200c\u062e", "\U0001f600", "\U0001f468\u200d\U0001f469",
        "\u4e2d" * 64, "\uff0f", "\uff20a", "\uff1aa",
    ],
)  # fmt: skip
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "x" * 65, "\u4e2d" * 65, "/", "/a", "a,b", "a:b", ":", "a@b", "@", "a|b", ",",
        " ", "a b", "a\tb", "a\nb", "a\rb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1fb",
        "\x00", "a\x00", "a\x1b[31m", "a\x07", "a\x7f", "a\x80", "a\x85b", "a\x9b",
        "a\u00a0b", "a\u1680b", "a\u2003b", "a\u200ab", "a\u2028b", "a\u2029b", "a\u202fb", "a\u205fb", "\u3000",
        "a\u200bb", "a\u2060b", "\ufeffa", "a\u00adb", "a\u180eb", "a\U000e0041", "\U0001d173",
        "a\u202eb", "a\u061cb", "a\u200eb", "a\u200fb", "a\u2066b", "a\u2069b",
        "e\u0301", "\u1112\u1161\u11ab", "\u212b", "a\ud800",
    ],
)  # fmt: skip
def test_no_names(name: str) -> None:
    assert not is_name(name)


def test_a_shorter_name_may_be_asked_for() -> None:
    assert is_name("abc", 3)
    assert not is_name("abcd", 3)
    assert not is_name("\u4f60\u597d\u5417\u5440", 3)


@EXAMPLES
@given(st.text(min_size=1, max_size=5))
def test_no_name_has_white_space_or_control_characters(word: str) -> None:
    if is_name(word):
        assert not any(character.isspace() or character in ",:@|" for character in word)
        assert word.split() == [word]
        assert len(word.splitlines()) == 1


# ---- lists ----


@EXAMPLES
@given(st.lists(st.one_of(st.integers(0, 12), st.just("read")), max_size=60))
def test_sorted_names_are_those_that_are_there_and_no_list_ever_changes(steps: list[int | str]) -> None:
    """A number stands for as many names, which come if they are not there, and else go."""
    names, there = SortedNames(), set[str]()
    read: list[tuple[Sequence[str], list[str]]] = []
    for step in steps:
        if isinstance(step, str):
            read.append((names.read(), sorted(there)))
            continue
        for name in (f"{step}.{number}" for number in range(step**2)):
            (names.remove if name in there else names.add)(name)
            there ^= {name}
        assert all(list(given_out) == expected for given_out, expected in read)
    assert names.read() == sorted(there)


def test_a_list_is_shared_until_it_changes_and_never_sorted_as_a_whole() -> None:
    compared = 0

    class Name(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            nonlocal compared
            compared += 1
            return str.__lt__(self, other)

    names = SortedNames()
    for number in range(5000):
        names.add(Name((number * 7919) % 5000))
    names.read()
    compared = 0
    first = names.read()
    assert names.read() is first
    assert compared == 0
    for number in range(20):
        names.add(Name(f"{number}.5"))
        names.remove(Name(number))
        names.read()
    assert compared < 20 * 2 * 5020  # a merge looks at each name at most once, a sort a dozen times
    assert len(names.read()) == 5000


# ---- changes ----


class Ear:
    """Hears all and says nothing: a user of another server, or all of them."""

    def deliver(self, event: Any, users: Sequence[str] = ()) -> None: ...

    def leaving(self, user: str, channel: str) -> InOrder:
        raise NotImplementedError


def remote(user: str) -> RemoteUser:
    return RemoteUser(user, "elsewhere", Ear(), Ear())


def furnished() -> House:
    """alice and bob in `room`, alice alone in `attic`, carol nowhere; alice is there, the others are away.

    alice is also in `room:elsewhere`. eve@elsewhere is in `room`.

    mason and wayne have no password; mail waits for wayne, and for bob.
    """
    house = House()
    house.account("bob", "room")
    house.account("carol")
    house.user("alice", "room", "attic")
    house.chat.restore([Mailed("alice", "bob", "hi", NOW)] * 3)
    house.chat.restore([MailboxOpened("wayne", "wayne123", NOW), MailboxOpened("mason", "mason123", NOW)])
    house.chat.restore([Mailed("alice", "wayne", "hi", NOW)])
    house.chat.restore([Joined("alice", "room:elsewhere", NOW)])
    house.chat.restore([Joined("bob", "room:elsewhere", NOW, "127.0.0.1"), PeerNamed("elsewhere", "127.0.0.1")])
    house.chat.channels.add(remote("eve"), "room")
    room = house.chat.channels.local["room"]
    room.add_guest(RoomGuest("zoe", Screen(), room, takes_files=False))
    return house


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
    (Mailed("alice", "nobody", "hello", NOW), NoSuchUser),
    (PasswordChanged("alice", b"other"), None),
    (ChannelCreated("cellar", "alice", NOW), None),
    (ChannelCreated("room", "alice", NOW), NameTaken),
    (ChannelCreated("alice", "bob", NOW), None),
    (Joined("carol", "room", NOW), None),
    (Joined("bob", "attic", NOW), None),
    (Joined("alice", "room", NOW), AlreadyMember),
    (Joined("bob", "room", NOW), AlreadyMember),
    (Joined("alice", "nowhere", NOW), NoSuchChannel),
    (Left("alice", "room"), None),
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
    (InOrder(lambda: None, lambda: None), None),
    (Mailed("alice", "bob", "hello", NOW), None),
    (Mailed("bob", "carol", "hello", NOW), None),
    (Mailed("bob", "alice", "hello", NOW), IsOnline),
    (MailDelivered("bob", 2, 2), None),
]


@pytest.mark.parametrize(("change", "refused"), CHANGES)
def test_each_change_is_decided_and_can_be_taken_back(change: Change, refused: type[ChatError] | None) -> None:
    house = furnished()
    before = house.snapshot()
    if refused is not None:
        with pytest.raises(refused):
            house.chat.apply(change)
        assert house.snapshot() == before
        return
    undo = house.chat.apply(change)
    if isinstance(change, Said | InOrder):
        assert undo is None
        assert house.snapshot() == before
    else:
        assert undo is not None
        assert house.snapshot() != before
        undo()
        assert house.snapshot() == before
        assert house.chat.apply(change) is not None  # as if it had never been


def test_memberships_of_remote_users_can_be_taken_back() -> None:
    house = furnished()
    channels, before = house.chat.channels, house.snapshot()
    eve, eric = channels.local["room"].members["eve@elsewhere"], remote("eric")
    for decide, member, channel, refused in (
        (channels.add, eve, "room", AlreadyMember),
        (channels.add, eve, "nowhere", NoSuchChannel),
        (channels.remove, eric, "room", NotAMember),
    ):
        with pytest.raises(refused):
            decide(member, channel)
        assert house.snapshot() == before
    for decide, member in ((channels.add, eric), (channels.remove, eve)):
        undo = decide(member, "room")
        assert house.snapshot() != before
        undo()
        assert house.snapshot() == before


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
    house = House()
    house.user("a", "x")
    house.account("b")
    house.chat.restore([ChannelCreated("y", "a", NOW)])
    outcomes: list[Exception | None] = []
    for change in changes[:failing]:
        house.journal.submit(change, outcomes.append)
    house.journal.commit()
    assert house.audiences_are_right()
    before = house.snapshot()
    for change in changes[failing:]:
        house.journal.submit(change, outcomes.append)
    house.backend.fails = True
    house.journal.commit()
    assert house.snapshot() == before
    assert len(outcomes) == len(changes)
    assert None not in outcomes[failing:]


def test_limits() -> None:
    house = House(Limits(name=5, accounts=2, channels=2, channels_per_user=1, mail=1))
    alice, bob = house.account("alice", "one"), house.account("bob", "one")
    chat = house.chat
    assert house.outcome(lambda done: chat.accounts.register(Screen(), "carol", "pw", done)) is LimitReached
    assert house.outcome(lambda done: chat.accounts.register(Screen(), "toolong", "pw", done)) is NotAName
    assert house.outcome(lambda done: chat.create(alice, "toolong", done)) is NotAName
    assert house.outcome(lambda done: chat.create(alice, "two", done)) is None
    assert house.outcome(lambda done: chat.create(alice, "three", done)) is LimitReached
    assert house.outcome(lambda done: chat.join(alice, "two", done)) is LimitReached
    assert house.outcome(lambda done: chat.leave(alice, "one", done)) is None
    assert house.outcome(lambda done: chat.join(alice, "two", done)) is None
    assert house.outcome(lambda done: chat.messages.send_direct(alice, "bob", "hi", done)) is None
    assert house.outcome(lambda done: chat.messages.send_direct(alice, "bob", "hi", done)) is LimitReached
    assert bob.mail == 1
    assert set(chat.users.accounts) == {"alice", "bob"}
    assert set(chat.channels.local) == {"one", "two"}


def test_a_channel_counts_for_its_creator_unless_it_could_not_be_written() -> None:
    house = House(Limits(channels_per_creator=2))
    alice = house.account("alice", "one")
    house.backend.fails = True
    for _ in range(2):
        assert house.outcome(lambda done: house.chat.create(alice, "two", done)) is StoreUnavailable
    house.backend.fails = False
    assert house.outcome(lambda done: house.chat.create(alice, "two", done)) is None
    assert house.outcome(lambda done: house.chat.create(alice, "three", done)) is LimitReached
    for name in ("lobby", "garden", "attic"):
        house.chat.apply(ChannelCreated(name, "", NOW))
    assert len(house.chat.channels.local) == 5


def test_limits_do_not_undo_what_was_decided_before() -> None:
    house = House(Limits(name=1, accounts=1, channels=1, channels_per_user=1, mail=0))
    house.chat.restore(
        [
            AccountRegistered("alice", b"", NOW), AccountRegistered("bob", b"", NOW),
            ChannelCreated("room", "alice", NOW), ChannelCreated("attic", "alice", NOW),
            Joined("alice", "room", NOW), Joined("alice", "attic", NOW),
            Mailed("alice", "bob", "hi", NOW),
        ]
    )  # fmt: skip
    assert set(house.chat.users.accounts["alice"].channels) == {"room", "attic"}
    assert house.chat.users.accounts["bob"].mail == 1
    with pytest.raises(LimitReached):
        house.chat.apply(AccountRegistered("carol", b"", NOW))


# ---- accounts ----


def test_register(house: House) -> None:
    assert house.outcome(lambda done: house.chat.accounts.register(Screen(), "alice", "secret", done)) is None
    assert house.backend.written == [AccountRegistered("alice", b"secret", NOW)]
    assert house.outcome(lambda done: house.chat.accounts.register(Screen(), "alice", "other", done)) is NameTaken
    assert house.outcome(lambda done: house.chat.accounts.register(Screen(), "a,b", "other", done)) is NotAName
    assert house.chat.users.accounts["alice"].password_hash == b"secret"


def test_two_who_register_one_name_at_once(house: House) -> None:
    outcomes: list[Any] = []
    house.passwords.later = True
    house.chat.accounts.register(Screen(), "alice", "one", outcomes.append)
    house.chat.accounts.register(Screen(), "alice", "two", outcomes.append)
    house.passwords.answer()
    house.journal.commit()
    assert [type(outcome) for outcome in outcomes] == [type(None), NameTaken]
    assert house.chat.users.accounts["alice"].password_hash == b"one"


def test_login_and_logout(house: House) -> None:
    alice = house.account("alice", "room")
    screen = Screen()
    house.chat.accounts.login(screen, "alice", "wrong", screen.done())
    house.chat.accounts.login(screen, "nobody", "alice", screen.done())
    assert screen.take() == [("", WrongPassword), ("", WrongPassword)]
    assert screen.principal is None
    assert house.passwords.checked == [("wrong", b"alice"), ("alice", None)]
    house.chat.accounts.login(screen, "alice", "alice", screen.done())
    assert screen.take() == [("", None)]
    assert screen.principal is alice
    assert list(house.chat.channels.local["room"].subscribers) == [screen]
    house.chat.users.logout(screen)
    house.chat.users.logout(screen)
    assert screen.principal is None
    assert alice.session is None
    assert not house.chat.channels.local["room"].subscribers
    assert set(house.chat.channels.local["room"].members) == {"alice"}


def test_failed_logins_are_counted_and_logged_without_the_password(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.account("alice")
    house.account("\u4f60\u597d")
    house.chat.restore([MailboxOpened("mason", "mason123", NOW)])
    for name in ("alice", "\u4f60\u597d", "nobody", "mason", "a\x1b[31m\u202e", "x" * 8000):
        house.chat.accounts.login(Screen("2001:db8::1"), name, "guess", lambda _error: None)
    with pytest.raises(NoSuchUser):
        house.chat.accounts.login_by_id(Screen(), "guess")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "failed login address=2001:db8::1 name=alice",
        "failed login address=2001:db8::1 name=\u4f60\u597d",
        "failed login address=2001:db8::1 name=nobody",
        "failed login address=2001:db8::1 name=mason",
        "failed login address=2001:db8::1 name='a\\x1b[31m\\u202e'",
        f"failed login address=2001:db8::1 name='{'x' * 64}'",
        "failed login address=192.0.2.1 by ID",
    ]
    assert house.chat.accounts.failed_logins == len(lines)


def test_what_is_no_failed_login(house: House, caplog: pytest.LogCaptureFixture) -> None:
    alice, other = house.user("alice"), Screen()
    house.chat.accounts.login(other, "alice", "alice", other.done())  # she is logged in elsewhere
    house.chat.accounts.login(alice, "alice", "wrong", alice.done())  # this client is logged in
    house.passwords.overloaded = True
    house.chat.accounts.login(other, "alice", "wrong", other.done())
    assert other.take() == [("", AlreadyLoggedIn), ("", Overloaded)]
    assert house.chat.accounts.failed_logins == 0
    assert caplog.records == []


def test_a_password_that_is_not_changed_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.chat.accounts.change_password(house.user("alice"), "guess", "new", lambda _error: None)
    assert [record.getMessage() for record in caplog.records] == [
        "failed change of password address=192.0.2.1 name=alice"
    ]
    assert house.chat.accounts.failed_logins == 0


def test_an_address_makes_accounts_at_a_pace() -> None:
    """Only those count that are made, of both kinds."""
    house = House(pace=throttle.Pace(lambda: NOW, 3))
    chat = house.chat

    def register(name: str, address: str = "192.0.2.1") -> type[Exception] | None:
        return house.outcome(lambda done: chat.accounts.register(Screen(address), name, "pw", done))

    def open_mailbox(name: str, address: str = "192.0.2.1") -> type[Exception] | None:
        return house.outcome(partial(chat.accounts.open_mailbox, Screen(address), name))

    house.account("bob")
    assert register("bob") is open_mailbox("bob") is NameTaken
    assert register("a,b") is open_mailbox("a,b") is NotAName
    house.backend.fails = True
    assert [register("one"), open_mailbox("one")] * 3 == [StoreUnavailable] * 6
    house.backend.fails = False
    assert [register("one"), open_mailbox("two"), register("three")] == [None] * 3
    assert register("four") is open_mailbox("four") is LimitReached
    assert register("bob") is open_mailbox("bob") is NameTaken
    assert [register("four", "192.0.2.2"), open_mailbox("five", "127.0.0.1"), register("six", "::1")] == [None] * 3


def test_accounts_that_are_made_at_once_keep_the_pace() -> None:
    house = House(pace=throttle.Pace(lambda: NOW, 3))
    outcomes: list[Exception | None] = []
    house.passwords.later = True
    for number in range(5):
        house.chat.accounts.register(Screen(), f"user{number}", "pw", outcomes.append)
        house.chat.accounts.open_mailbox(Screen(), f"mason{number}", outcomes.append)
    house.passwords.answer()
    house.journal.commit()
    assert len(house.chat.users.accounts) == 3
    assert [type(outcome) for outcome in outcomes].count(LimitReached) == 7


def test_a_session_that_is_over_is_logged_out_and_what_waits_for_it_forgotten(house: House) -> None:
    alice, other = house.user("alice"), Screen()
    for screen in (alice, other):
        house.chat.accounts.session_over(screen)
    assert alice.principal is None
    assert house.passwords.forgotten == [alice, other]


def test_one_session_for_one_account(house: House) -> None:
    first, second = house.user("alice"), Screen()
    house.account("bob")
    house.chat.accounts.login(second, "alice", "alice", second.done())
    assert second.take() == [("", AlreadyLoggedIn)]
    house.chat.accounts.login(first, "bob", "bob", first.done())
    assert first.take() == [("", AlreadyLoggedIn)]
    house.chat.users.logout(second)
    assert house.chat.users.accounts["alice"].session is first
    house.chat.users.logout(first)
    house.chat.accounts.login(second, "alice", "alice", second.done())
    assert second.take() == [("", None)]


def test_two_logins_at_once(house: House) -> None:
    house.account("alice")
    first, second = Screen(), Screen()
    house.passwords.later = True
    for screen in (first, second):
        house.chat.accounts.login(screen, "alice", "alice", screen.done())
    house.passwords.answer()
    assert first.take() == [("", None)]
    assert second.take() == [("", AlreadyLoggedIn)]
    assert second.principal is None
    house.chat.users.logout(second)
    assert house.chat.users.accounts["alice"].session is first


def test_whoever_is_gone_is_not_logged_in(house: House) -> None:
    alice, screen = house.account("alice", "room"), Screen()
    house.passwords.later = True
    house.chat.accounts.login(screen, "alice", "alice", screen.done())
    screen.over = True
    house.chat.users.logout(screen)
    house.passwords.answer()
    assert alice.session is None
    assert not house.chat.channels.local["room"].subscribers


def test_an_account_that_is_registered_while_its_name_is_checked(house: House) -> None:
    """The password was compared with nobody's hash, so it is wrong."""
    screen = Screen()
    house.passwords.later = True
    house.chat.accounts.login(screen, "alice", "alice", screen.done())
    house.account("alice")
    house.passwords.answer()
    assert screen.take() == [("", WrongPassword)]


def test_change_password(house: House) -> None:
    alice = house.user("alice")
    assert house.outcome(lambda done: house.chat.accounts.change_password(alice, "wrong", "new", done)) is WrongPassword
    assert house.outcome(lambda done: house.chat.accounts.change_password(alice, "alice", "new", done)) is None
    assert house.backend.written == [PasswordChanged("alice", b"new")]
    assert alice.principal.password_hash == b"new"


def test_no_password_is_hashed_for_a_session_that_ended_while_the_old_one_was_checked(house: House) -> None:
    alice = house.user("alice")
    house.passwords.later = True
    house.chat.accounts.change_password(alice, "alice", "new", lambda _error: None)
    alice.over = True
    house.chat.accounts.session_over(alice)
    assert house.passwords.answer() == 1
    assert house.passwords.answer() == 0
    assert house.backend.written == []


def test_too_much_hashing(house: House) -> None:
    alice, screen = house.user("alice"), Screen()
    house.account("carol")
    house.passwords.overloaded = True
    assert house.outcome(lambda done: house.chat.accounts.register(Screen(), "bob", "pw", done)) is Overloaded
    assert house.outcome(lambda done: house.chat.accounts.login(screen, "carol", "carol", done)) is Overloaded
    assert house.outcome(lambda done: house.chat.accounts.change_password(alice, "alice", "new", done)) is Overloaded
    assert house.backend.written == []
    assert screen.principal is None


def test_nothing_is_told_before_it_is_written(house: House) -> None:
    alice = house.user("alice", "room")
    outcomes: list[object] = []
    house.chat.accounts.register(Screen(), "bob", "pw", outcomes.append)
    house.chat.create(alice.principal, "attic", outcomes.append)
    house.chat.say(alice.principal, "room", "hello", outcomes.append)
    house.chat.leave(alice.principal, "room", outcomes.append)
    assert outcomes == []
    assert alice.take() == []
    assert "bob" not in house.chat.users.accounts
    assert set(house.chat.channels.local) == {"room"}


def test_a_disk_that_refuses_fails_each_change(house: House) -> None:
    alice = house.user("alice", "room")
    house.account("bob")
    house.backend.fails = True
    chat = house.chat
    before = house.snapshot()
    for call in (
        lambda done: chat.accounts.register(Screen(), "carol", "pw", done),
        lambda done: chat.accounts.change_password(alice, "alice", "new", done),
        lambda done: chat.create(alice.principal, "attic", done),
        lambda done: chat.leave(alice.principal, "room", done),
        lambda done: chat.say(alice.principal, "room", "hello", done),
        lambda done: chat.messages.send_direct(alice.principal, "bob", "hello", done),
    ):
        assert house.outcome(call) is StoreUnavailable
    assert house.outcome(lambda done: chat.join(alice.principal, "room", done)) is AlreadyMember
    assert house.snapshot() == before
    assert alice.take() == []


# ---- channels ----


def test_lists(house: House) -> None:
    bob = house.account("bob", "b", "a", "C")
    alice = house.account("alice", "b", "d")
    assert house.chat.channel_names() == ["C", "a", "b", "d"]
    assert house.chat.channel_names(alice) == ["b", "d"]
    assert house.chat.members(alice, "b") == ["alice", "bob"]
    assert house.chat.members(bob, "a") == ["bob"]
    for channel in ("a", "nowhere"):
        with pytest.raises(NotAMember):
            house.chat.members(alice, channel)
        with pytest.raises(NotAMember):
            house.chat.history(alice, channel, 5)


def test_messages_in_a_row_travel_together(house: House) -> None:
    alice, bob = house.user("alice", "room", "attic"), house.user("bob", "room")
    say = house.chat.say
    for channel, text in [("room", "1"), ("room", "2"), ("attic", "3"), ("room", "4"), ("nowhere", "5"), ("room", "6")]:
        say(alice.principal, channel, text, alice.done(text))
    house.journal.commit()
    texts = [
        [message.text for message in event.messages] if isinstance(event, ChannelMessages) else event
        for event in alice.take()
    ]
    assert [item for item in texts if isinstance(item, list)] == [["1", "2"], ["3"], ["4"], ["6"]]
    assert texts.index(("5", NoSuchChannel)) == texts.index(["4"]) + 1
    assert [[message.text for message in event.messages] for event in bob.take()] == [["1", "2"], ["4"], ["6"]]


def test_everyone_gets_the_same_event(house: House) -> None:
    alice, bob = house.user("alice", "room"), house.user("bob", "room")
    house.chat.say(alice.principal, "room", "hello", alice.done())
    house.journal.commit()
    (event,) = bob.take()
    assert event == ChannelMessages((Said("alice", "room", "hello", NOW),))
    assert any(told is event for told in alice.take())


def test_whoever_is_away_or_elsewhere_hears_nothing(house: House) -> None:
    alice, bob, carol = house.user("alice", "room"), house.user("bob", "room"), house.user("carol", "attic")
    house.chat.users.logout(bob)
    house.chat.say(alice.principal, "room", "hello", alice.done())
    house.journal.commit()
    assert bob.take() == carol.take() == []


def test_history_ends_where_the_reader_began_to_hear(house: House) -> None:
    """So that whoever reads it after a JOIN gets each message once."""
    alice, bob = house.user("alice", "room"), house.user("bob")
    histories: list[list[str]] = []

    def read(_error: Exception | None) -> None:
        found, pages = house.chat.history(bob.principal, "room", 2)
        texts = [message.text for page in pages for message in page]
        assert found == len(texts)
        histories.append(texts)

    house.chat.say(alice.principal, "room", "one", alice.done())
    house.chat.say(alice.principal, "room", "two", alice.done())
    house.chat.say(alice.principal, "room", "three", alice.done())
    house.chat.join(bob.principal, "room", read)
    house.chat.say(alice.principal, "room", "four", alice.done())
    house.chat.say(alice.principal, "nowhere", "five", alice.done())
    house.journal.commit()
    assert histories == [["two", "three"]]
    assert [[message.text for message in event.messages] for event in bob.take()] == [["four"]]
    read(None)
    assert histories[1] == ["three", "four"]


def test_a_message_is_for_those_who_are_members_when_it_is_said(house: House) -> None:
    """Changes are decided in one order, so a message before a JOIN is not for whoever joins, and one before a LEAVE is
    still for whoever leaves, also when one commit covers both."""
    alice, bob, carol = house.user("alice", "room"), house.user("bob", "room"), house.user("carol")
    chat = house.chat
    chat.say(alice.principal, "room", "one", alice.done())
    chat.join(carol.principal, "room", carol.done("joined"))
    chat.say(alice.principal, "room", "two", alice.done())
    chat.leave(bob.principal, "room", bob.done("left"))
    chat.say(alice.principal, "room", "three", alice.done())
    house.journal.commit()

    def heard(screen: Screen) -> list[str]:
        return [
            item[0] if item[0] in ("joined", "left") else " ".join(message.text for message in item.messages)
            for item in screen.take()
        ]

    assert heard(carol) == ["joined", "two", "three"]
    assert heard(bob) == ["one", "two", "left"]


def test_after_a_join_messages_come_and_after_a_leave_they_do_not(house: House) -> None:
    alice, bob = house.user("alice", "room"), house.user("bob")
    assert house.outcome(lambda done: house.chat.join(bob.principal, "room", done)) is None
    house.chat.say(alice.principal, "room", "one", alice.done())
    house.journal.commit()
    assert len(bob.take()) == 1
    assert house.outcome(lambda done: house.chat.leave(bob.principal, "room", done)) is None
    house.chat.say(alice.principal, "room", "two", alice.done())
    house.journal.commit()
    assert bob.take() == []
    assert house.outcome(lambda done: house.chat.say(bob.principal, "room", "three", done)) is NotAMember


def test_a_membership_lasts_over_a_logout(house: House) -> None:
    alice, bob = house.user("alice", "room"), house.user("bob", "room")
    house.chat.users.logout(bob)
    again = house.user("bob")
    house.chat.say(alice.principal, "room", "hello", alice.done())
    house.journal.commit()
    assert len(again.take()) == 1
    assert bob.take() == []
    assert house.outcome(lambda done: house.chat.join(again.principal, "room", done)) is AlreadyMember


# ---- direct messages ----


def test_a_message_to_one_who_is_there(house: House) -> None:
    alice, bob = house.user("alice"), house.user("bob")
    assert house.outcome(lambda done: house.chat.messages.send_direct(alice.principal, "bob", "hi", done)) is None
    assert alice.take() == [DirectEcho("alice", "bob", "hi", NOW)]
    assert bob.take() == [DirectMessage("alice", "hi", NOW)]
    assert house.backend.written == []


def test_a_message_to_oneself_is_delivered_and_echoed_as_any_other(house: House) -> None:
    alice = house.user("alice")
    assert house.outcome(lambda done: house.chat.messages.send_direct(alice.principal, "alice", "hi", done)) is None
    assert alice.take() == [DirectMessage("alice", "hi", NOW), DirectEcho("alice", "alice", "hi", NOW)]


def test_a_message_to_nobody(house: House) -> None:
    alice = house.user("alice", "room")
    for name in ("nobody", "room", ""):
        assert house.outcome(partial(house.chat.messages.send_direct, alice.principal, name, "hi")) is NoSuchUser
    assert alice.take() == []


def test_a_message_to_one_who_is_away_waits(house: House) -> None:
    alice, bob = house.user("alice"), house.account("bob")
    assert house.outcome(lambda done: house.chat.messages.send_direct(alice.principal, "bob", "hi", done)) is None
    assert alice.take() == [DirectEcho("alice", "bob", "hi", NOW, waits=True)]
    assert bob.mail == 1
    screen = Screen()
    house.chat.accounts.login(screen, "bob", "bob", screen.done())
    assert screen.take() == [("", None), MailWaiting()]


def test_a_login_between_a_message_and_its_commit(house: House) -> None:
    alice, bob = house.user("alice"), house.account("bob")
    house.chat.messages.send_direct(alice.principal, "bob", "hi", alice.done("told"))
    screen = house.user("bob")
    house.journal.commit()
    assert screen.take() == [DirectMessage("alice", "hi", NOW)]
    assert alice.take() == [DirectEcho("alice", "bob", "hi", NOW), ("told", None)]
    assert bob.mail == 0
    assert house.backend.written == []


def test_a_logout_between_a_message_and_its_commit(house: House) -> None:
    alice = house.user("alice")
    house.account("bob")
    house.chat.messages.send_direct(alice.principal, "bob", "hi", alice.done("told"))
    house.chat.users.logout(alice)
    house.journal.commit()
    assert alice.take() == [("told", None)]
    assert house.chat.users.accounts["bob"].mail == 1


def mailed(house: House, count: int) -> Account:
    """Give bob so many messages."""
    alice, bob = house.user("alice"), house.account("bob")
    for number in range(count):
        house.chat.messages.send_direct(alice.principal, "bob", str(number), alice.done())
    house.journal.commit()
    assert bob.mail == count
    return bob


def test_mail_is_removed_page_by_page_when_it_has_left(house: House) -> None:
    bob = mailed(house, 5)
    pages = house.chat.messages.mail(Screen(), bob)
    assert [mail.text for mail in next(pages)] == ["0", "1"]
    house.journal.commit()
    assert bob.mail == 5
    assert [mail.text for mail in next(pages)] == ["2", "3"]
    house.journal.commit()
    assert bob.mail == 3
    assert [mail.text for mail in next(pages)] == ["4"]
    with pytest.raises(StopIteration):
        next(pages)
    house.journal.commit()
    assert bob.mail == 0
    assert house.backend.mailbox == []
    assert list(house.chat.messages.mail(Screen(), bob)) == []


def test_mail_that_did_not_leave_is_given_again(house: House) -> None:
    bob = mailed(house, 5)
    pages = house.chat.messages.mail(Screen(), bob)
    next(pages)
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    house.journal.commit()
    assert bob.mail == 3
    assert [mail.text for page in house.chat.messages.mail(Screen(), bob) for mail in page] == ["2", "3", "4"]


def test_mail_that_cannot_be_removed_stays(house: House) -> None:
    bob = mailed(house, 3)
    house.backend.fails = True
    assert len(list(house.chat.messages.mail(Screen(), bob))) == 2
    house.journal.commit()
    assert bob.mail == 3
    house.backend.fails = False
    assert [mail.text for page in house.chat.messages.mail(Screen(), bob) for mail in page] == ["0", "1", "2"]
    house.journal.commit()
    assert bob.mail == 0


def test_mail_that_comes_while_mail_is_read(house: House) -> None:
    bob = mailed(house, 2)
    pages = house.chat.messages.mail(Screen(), bob)
    next(pages)
    house.chat.messages.send_direct(house.chat.users.accounts["alice"], "bob", "late", lambda _error: None)
    house.journal.commit()
    assert [mail.text for page in pages for mail in page] == ["late"]
    house.journal.commit()
    assert bob.mail == 0


# ---- guests ----


def test_a_guest_holds_a_name_while_logged_in(house: House) -> None:
    chat, screen = house.chat, Screen()
    chat.users.enter_as_guest(screen, "zoe")
    assert screen.principal is chat.users.guests["zoe"] is chat.users.online["zoe"]
    for other, error in (("zoe", NameTaken), ("a,b", NotAName)):
        with pytest.raises(error):
            chat.users.enter_as_guest(Screen(), other)
    with pytest.raises(AlreadyLoggedIn):
        chat.users.enter_as_guest(screen, "somebody")
    chat.users.logout(screen)
    chat.users.logout(screen)
    assert screen.principal is None
    assert not chat.users.guests
    assert not chat.users.online
    chat.users.enter_as_guest(Screen(), "zoe")


def test_a_guest_who_comes_first_keeps_the_name_from_a_registration(house: House) -> None:
    register = partial(house.chat.accounts.register, Screen(), "zoe", "secret")
    told: list[Exception | None] = []
    register(told.append)
    house.chat.users.enter_as_guest(Screen(), "zoe")
    house.journal.commit()
    assert [type(error) for error in told] == [NameTaken]
    assert house.outcome(register) is NameTaken


def test_whoever_is_there_is_online_once(house: House) -> None:
    alice, _zoe = house.user("alice"), Screen()
    house.account("away")
    house.chat.users.enter_as_guest(_zoe, "zoe")
    assert house.chat.users.online_names() == ["alice", "zoe"]
    house.chat.users.logout(alice)
    assert house.chat.users.online_names() == ["zoe"]


def test_a_message_for_now_reaches_who_is_there_or_fails(house: House) -> None:
    alice, zoe = house.user("alice"), Screen()
    house.account("away")
    house.chat.users.enter_as_guest(zoe, "zoe")

    def tell(name: str) -> type[Exception] | None:
        return house.outcome(partial(house.chat.messages.send_direct_online, zoe.principal, name, "hi"))

    assert tell("alice") is None
    assert alice.take() == [DirectMessage("zoe", "hi", NOW)]
    assert tell("zoe") is None
    assert zoe.take() == [DirectMessage("zoe", "hi", NOW)]
    assert tell("away") is tell("nobody") is NoSuchUser
    assert tell("a,b") is NotAName
    alice.over = True  # it goes while the message is on its way
    assert tell("alice") is NoSuchUser
    assert house.chat.users.accounts["away"].mail == 0


# ---- accounts by ID ----


def by_id(house: House, name: str) -> Screen:
    """Give a session that has made an account with an ID."""
    screen = Screen()
    assert house.outcome(partial(house.chat.accounts.open_mailbox, screen, name)) is None
    return screen


def test_a_deletion_is_of_the_account_with_that_id_and_of_no_later_one(house: House) -> None:
    ids = iter(["first", "second"])
    house.chat.accounts._make_id = lambda _name: next(ids)
    by_id(house, "mason")
    told: list[Exception | None] = []
    newer = Screen()
    house.chat.accounts.delete(Screen(), "first", told.append)
    house.chat.accounts.open_mailbox(newer, "mason", told.append)
    house.chat.accounts.delete(Screen(), "first", told.append)
    house.journal.commit()
    assert [type(error) for error in told] == [type(None), type(None), NoSuchUser]
    assert newer.principal is house.chat.users.accounts["mason"]
    assert newer.principal.id == "second"


def test_an_account_that_is_made_and_deleted_in_one_commit(house: House) -> None:
    by_id(house, "mason")
    told: list[Exception | None] = []
    newer = Screen()
    house.chat.accounts.delete(Screen(), "mason123", told.append)
    house.chat.accounts.open_mailbox(newer, "mason", told.append)
    house.chat.accounts.delete(Screen(), "mason123", told.append)
    house.journal.commit()
    assert told == [None, None, None]
    assert newer.principal is None
    assert "mason" not in house.chat.users.accounts


def test_a_deletion_that_cannot_be_written_leaves_the_order(house: House) -> None:
    for name in ("a", "b", "c"):
        by_id(house, name)
    house.backend.fails = True
    assert house.outcome(partial(house.chat.accounts.delete, Screen(), "a123")) is StoreUnavailable
    assert house.chat.users.account_names() == ["a", "b", "c"]
    house.backend.fails = False
    assert house.outcome(partial(house.chat.accounts.delete, Screen(), "a123")) is None
    assert house.chat.users.account_names() == ["b", "c"]


def test_who_has_gone_before_the_id_was_told_has_made_no_account(house: House) -> None:
    screen = Screen()
    house.chat.accounts.open_mailbox(screen, "mason", screen.done())
    screen.over = True
    house.journal.commit()
    assert "mason" not in house.chat.users.accounts


def test_a_newer_login_ends_the_delivery_of_mail_to_the_older_one(house: House) -> None:
    bob = mailed(house, 5)
    older, newer = Screen(), Screen()
    pages = house.chat.messages.mail(older, bob)
    next(pages)
    with pytest.raises(BeingCollected):
        next(house.chat.messages.mail(newer, bob))
    older.over = True
    assert list(pages) == []
    house.journal.commit()
    assert [mail.text for page in house.chat.messages.mail(newer, bob) for mail in page] == ["2", "3", "4"]


def test_a_message_of_a_deleted_account_does_not_come_from_the_next_one(house: House) -> None:
    mason, wayne = by_id(house, "mason"), by_id(house, "wayne")
    house.chat.users.logout(wayne)
    account = mason.principal
    told: list[Exception | None] = []
    house.chat.accounts.delete(Screen(), "mason123", told.append)
    newer = Screen()
    house.chat.accounts.open_mailbox(newer, "mason", told.append)
    house.chat.messages.send_direct(account, "wayne", "secret", told.append)
    house.chat.accounts.login_by_id(wayne, "wayne123")
    house.journal.commit()
    assert [type(error) for error in told] == [type(None), type(None), NoSuchUser]
    assert newer.take() == wayne.take() == []


class Strangers(RemoteServers):
    """Servers of which some are unlisted."""

    def is_unlisted(self, host: str) -> bool:
        return host.startswith("un")


SENDERS = ["ann", "carol", "eve@two", "eric@two", "zoe@un1", "zack@un2"]

MAIL_STEPS = st.lists(
    st.tuples(
        st.lists(st.one_of(st.tuples(st.sampled_from(SENDERS), st.integers(1, 12)), st.just("take")), max_size=6),
        st.booleans(),
    ),
    max_size=12,
)
"""Batches of one commit each, with whether the disk takes it: so many messages of a sender, or a page is taken."""


@EXAMPLES
@given(MAIL_STEPS)
def test_shares_of_the_mail_are_exact_whatever_the_disk_takes(batches: list[tuple[list[Any], bool]]) -> None:
    """R33, L51: a fifth from one sender, a tenth from one host, but 20 in any case; here 5 from unlisted hosts."""
    house = House(Limits(mail=50, unlisted_mail=5))
    house.chat.outside.servers = Strangers()
    bob = house.account("bob")
    kept: list[str] = []
    for steps, fails in batches:
        house.backend.fails = fails
        outcomes: list[Exception | None] = []
        expected: list[type] = []
        waiting, taken = list(kept), 0
        for step in steps:
            if step == "take":
                taken += 2
                if taken <= len(kept):
                    last = house.backend.mailbox[-1][0]
                    house.journal.submit(MailDelivered("bob", last, 2), lambda _error: None)
                    del waiting[:2]
                continue
            sender, count = step
            host = sender.partition("@")[2]
            for _ in range(count):
                house.journal.submit(Mailed(sender, "bob", "hi", NOW), outcomes.append)
                hosts = [other.partition("@")[2] for other in waiting]
                fits = (
                    len(waiting) < 50
                    and waiting.count(sender) < 20
                    and not (host and hosts.count(host) >= 20)
                    and not (host.startswith("un") and sum(other.startswith("un") for other in hosts) >= 5)
                )
                expected.append((StoreUnavailable if fails else type(None)) if fits else LimitReached)
                if fits:
                    waiting.append(sender)
        house.journal.commit()
        assert list(map(type, outcomes)) == expected
        kept = kept if fails else waiting
        assert [mail.sender for _number, mail in house.backend.mailbox] == kept
        assert bob.mail == len(kept)
        assert bob.waiting.by_sender == Counter(kept)
        assert bob.waiting.by_host == Counter(sender.partition("@")[2] for sender in kept if "@" in sender)


@pytest.mark.parametrize(("most", "of_sender", "of_host"), [(1000, 200, 100), (150, 30, 20), (20, 20, 20), (3, 3, 3)])
def test_how_large_the_shares_of_the_mail_are(most: int, of_sender: int, of_host: int) -> None:
    for senders, share in ((itertools.repeat("ann"), of_sender), (map("u{}@two".format, itertools.count()), of_host)):
        house = House(Limits(mail=most))
        bob = house.account("bob")
        for sender in itertools.islice(senders, most):
            house.journal.submit(Mailed(sender, "bob", "hi", NOW), lambda _error: None)
        house.journal.commit()
        assert bob.mail == share
        again = House(Limits(mail=most))
        again.account("bob")
        again.chat.restore(mail for _number, mail in house.backend.mailbox)
        assert again.chat.users.accounts["bob"].waiting.by_sender == bob.waiting.by_sender


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
