"""domain/accounts.py and domain/users.py: accounts, passwords, guests, and accounts by ID."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from app import throttle
from domain.changes import (
    AccountRegistered,
    PasswordChanged,
)
from domain.errors import (
    AlreadyLoggedIn,
    AlreadyMember,
    LimitReached,
    NameTaken,
    NoSuchUser,
    NotAName,
    Overloaded,
    StoreUnavailable,
    WrongPassword,
)
from domain.events import DirectMessage
from support.memory_chat import NOW, FakeSession, MemoryChat


def test_register(memory: MemoryChat) -> None:
    assert memory.outcome(lambda done: memory.chat.accounts.register(FakeSession(), "alice", "secret", done)) is None
    assert memory.backend.written == [AccountRegistered("alice", b"secret", NOW)]
    assert (
        memory.outcome(lambda done: memory.chat.accounts.register(FakeSession(), "alice", "other", done)) is NameTaken
    )
    assert memory.outcome(lambda done: memory.chat.accounts.register(FakeSession(), "a,b", "other", done)) is NotAName
    assert memory.chat.users.accounts["alice"].password_hash == b"secret"


def test_two_who_register_one_name_at_once(memory: MemoryChat) -> None:
    outcomes: list[Any] = []
    memory.passwords.later = True
    memory.chat.accounts.register(FakeSession(), "alice", "one", outcomes.append)
    memory.chat.accounts.register(FakeSession(), "alice", "two", outcomes.append)
    memory.passwords.answer()
    memory.journal.commit()
    assert [type(outcome) for outcome in outcomes] == [type(None), NameTaken]
    assert memory.chat.users.accounts["alice"].password_hash == b"one"


def test_a_password_that_is_not_changed_is_reported(memory: MemoryChat) -> None:
    alice = memory.user("alice")
    memory.chat.accounts.change_password(alice, "guess", "new", lambda _error: None)
    assert alice.limits == [("failed-password", "name=alice")]
    assert memory.chat.logins.failed == 0


def test_an_address_makes_accounts_at_a_pace() -> None:
    """Only those count that are made, of both kinds."""
    memory = MemoryChat(rate_limit=throttle.AccountRateLimit(lambda: NOW, 3))
    chat = memory.chat

    def register(name: str, address: str = "192.0.2.1") -> type[Exception] | None:
        return memory.outcome(lambda done: chat.accounts.register(FakeSession(address), name, "pw", done))

    def open_mailbox(name: str, address: str = "192.0.2.1") -> type[Exception] | None:
        return memory.outcome(partial(chat.accounts.open_mailbox, FakeSession(address), name))

    memory.account("bob")
    assert register("bob") is open_mailbox("bob") is NameTaken
    assert register("a,b") is open_mailbox("a,b") is NotAName
    memory.backend.fails = True
    assert [register("one"), open_mailbox("one")] * 3 == [StoreUnavailable] * 6
    memory.backend.fails = False
    assert [register("one"), open_mailbox("two"), register("three")] == [None] * 3
    assert register("four") is open_mailbox("four") is LimitReached
    assert register("bob") is open_mailbox("bob") is NameTaken
    assert [register("four", "192.0.2.2"), open_mailbox("five", "127.0.0.1"), register("six", "::1")] == [None] * 3


def test_accounts_that_are_made_at_once_keep_the_pace() -> None:
    memory = MemoryChat(rate_limit=throttle.AccountRateLimit(lambda: NOW, 3))
    outcomes: list[Exception | None] = []
    memory.passwords.later = True
    for number in range(5):
        memory.chat.accounts.register(FakeSession(), f"user{number}", "pw", outcomes.append)
        memory.chat.accounts.open_mailbox(FakeSession(), f"mason{number}", outcomes.append)
    memory.passwords.answer()
    memory.journal.commit()
    assert len(memory.chat.users.accounts) == 3
    assert [type(outcome) for outcome in outcomes].count(LimitReached) == 7


def test_change_password(memory: MemoryChat) -> None:
    alice = memory.user("alice")
    assert (
        memory.outcome(lambda done: memory.chat.accounts.change_password(alice, "wrong", "new", done)) is WrongPassword
    )
    assert memory.outcome(lambda done: memory.chat.accounts.change_password(alice, "alice", "new", done)) is None
    assert memory.backend.written == [PasswordChanged("alice", b"new")]
    assert alice.principal.password_hash == b"new"


def test_no_password_is_hashed_for_a_session_that_ended_while_the_old_one_was_checked(memory: MemoryChat) -> None:
    alice = memory.user("alice")
    memory.passwords.later = True
    memory.chat.accounts.change_password(alice, "alice", "new", lambda _error: None)
    alice.over = True
    memory.chat.logins.session_over(alice)
    assert memory.passwords.answer() == 1
    assert memory.passwords.answer() == 0
    assert memory.backend.written == []


def test_too_much_hashing(memory: MemoryChat) -> None:
    alice, screen = memory.user("alice"), FakeSession()
    memory.account("carol")
    memory.passwords.overloaded = True
    assert memory.outcome(lambda done: memory.chat.accounts.register(FakeSession(), "bob", "pw", done)) is Overloaded
    assert memory.outcome(lambda done: memory.chat.logins.login(screen, "carol", "carol", done)) is Overloaded
    assert memory.outcome(lambda done: memory.chat.accounts.change_password(alice, "alice", "new", done)) is Overloaded
    assert memory.backend.written == []
    assert screen.principal is None


def test_nothing_is_told_before_it_is_written(memory: MemoryChat) -> None:
    alice = memory.user("alice", "room")
    outcomes: list[object] = []
    memory.chat.accounts.register(FakeSession(), "bob", "pw", outcomes.append)
    memory.chat.create(alice.principal, "attic", outcomes.append)
    memory.chat.say(alice.principal, "room", "hello", outcomes.append)
    memory.chat.leave(alice.principal, "room", outcomes.append)
    assert outcomes == []
    assert alice.take() == []
    assert "bob" not in memory.chat.users.accounts
    assert set(memory.chat.channels.local) == {"room"}


def test_a_disk_that_refuses_fails_each_change(memory: MemoryChat) -> None:
    alice = memory.user("alice", "room")
    memory.account("bob")
    memory.backend.fails = True
    chat = memory.chat
    before = memory.snapshot()
    for call in (
        lambda done: chat.accounts.register(FakeSession(), "carol", "pw", done),
        lambda done: chat.accounts.change_password(alice, "alice", "new", done),
        lambda done: chat.create(alice.principal, "attic", done),
        lambda done: chat.leave(alice.principal, "room", done),
        lambda done: chat.say(alice.principal, "room", "hello", done),
        lambda done: chat.messages.send_direct(alice.principal, "bob", "hello", done),
    ):
        assert memory.outcome(call) is StoreUnavailable
    assert memory.outcome(lambda done: chat.join(alice.principal, "room", done)) is AlreadyMember
    assert memory.snapshot() == before
    assert alice.take() == []


def test_a_guest_holds_a_name_while_logged_in(memory: MemoryChat) -> None:
    chat, screen = memory.chat, FakeSession()
    chat.users.enter_as_guest(screen, "zoe")
    assert screen.principal is chat.users.guests["zoe"] is chat.users.online["zoe"]
    for other, error in (("zoe", NameTaken), ("a,b", NotAName)):
        with pytest.raises(error):
            chat.users.enter_as_guest(FakeSession(), other)
    with pytest.raises(AlreadyLoggedIn):
        chat.users.enter_as_guest(screen, "somebody")
    chat.users.logout(screen)
    chat.users.logout(screen)
    assert screen.principal is None
    assert not chat.users.guests
    assert not chat.users.online
    chat.users.enter_as_guest(FakeSession(), "zoe")


def test_a_guest_who_comes_first_keeps_the_name_from_a_registration(memory: MemoryChat) -> None:
    register = partial(memory.chat.accounts.register, FakeSession(), "zoe", "secret")
    told: list[Exception | None] = []
    register(told.append)
    memory.chat.users.enter_as_guest(FakeSession(), "zoe")
    memory.journal.commit()
    assert [type(error) for error in told] == [NameTaken]
    assert memory.outcome(register) is NameTaken


def test_whoever_is_there_is_online_once(memory: MemoryChat) -> None:
    alice, _zoe = memory.user("alice"), FakeSession()
    memory.account("away")
    memory.chat.users.enter_as_guest(_zoe, "zoe")
    assert memory.chat.users.online_names() == ["alice", "zoe"]
    memory.chat.users.logout(alice)
    assert memory.chat.users.online_names() == ["zoe"]


def test_a_message_for_now_reaches_who_is_there_or_fails(memory: MemoryChat) -> None:
    alice, zoe = memory.user("alice"), FakeSession()
    memory.account("away")
    memory.chat.users.enter_as_guest(zoe, "zoe")

    def tell(name: str) -> type[Exception] | None:
        return memory.outcome(partial(memory.chat.messages.send_direct_online, zoe.principal, name, "hi"))

    assert tell("alice") is None
    assert alice.take() == [DirectMessage("zoe", "hi", NOW, "d-1")]
    assert tell("zoe") is None
    assert zoe.take() == [DirectMessage("zoe", "hi", NOW, "d-2")]
    assert tell("away") is tell("nobody") is NoSuchUser
    assert tell("a,b") is NotAName
    alice.over = True  # it goes while the message is on its way
    assert tell("alice") is NoSuchUser
    assert memory.chat.users.accounts["away"].mail == 0


# ---- accounts by ID ----


def by_id(memory: MemoryChat, name: str) -> FakeSession:
    """Return a session that has made an account with an ID."""
    screen = FakeSession()
    assert memory.outcome(partial(memory.chat.accounts.open_mailbox, screen, name)) is None
    return screen


def test_a_deletion_is_of_the_account_with_that_id_and_of_no_later_one(memory: MemoryChat) -> None:
    ids = iter(["first", "second"])
    memory.chat.accounts.make_id = lambda _name: next(ids)
    by_id(memory, "mason")
    told: list[Exception | None] = []
    newer = FakeSession()
    memory.chat.accounts.delete(FakeSession(), "first", told.append)
    memory.chat.accounts.open_mailbox(newer, "mason", told.append)
    memory.chat.accounts.delete(FakeSession(), "first", told.append)
    memory.journal.commit()
    assert [type(error) for error in told] == [type(None), type(None), NoSuchUser]
    assert newer.principal is memory.chat.users.accounts["mason"]
    assert newer.principal.id == "second"


def test_an_account_that_is_made_and_deleted_in_one_commit(memory: MemoryChat) -> None:
    by_id(memory, "mason")
    told: list[Exception | None] = []
    newer = FakeSession()
    memory.chat.accounts.delete(FakeSession(), "mason123", told.append)
    memory.chat.accounts.open_mailbox(newer, "mason", told.append)
    memory.chat.accounts.delete(FakeSession(), "mason123", told.append)
    memory.journal.commit()
    assert told == [None, None, None]
    assert newer.principal is None
    assert "mason" not in memory.chat.users.accounts


def test_a_deletion_that_cannot_be_written_leaves_the_order(memory: MemoryChat) -> None:
    for name in ("a", "b", "c"):
        by_id(memory, name)
    memory.backend.fails = True
    assert memory.outcome(partial(memory.chat.accounts.delete, FakeSession(), "a123")) is StoreUnavailable
    assert memory.chat.users.account_names() == ["a", "b", "c"]
    memory.backend.fails = False
    assert memory.outcome(partial(memory.chat.accounts.delete, FakeSession(), "a123")) is None
    assert memory.chat.users.account_names() == ["b", "c"]


def test_who_has_gone_before_the_id_was_told_has_made_no_account(memory: MemoryChat) -> None:
    screen = FakeSession()
    memory.chat.accounts.open_mailbox(screen, "mason", screen.done())
    screen.over = True
    memory.journal.commit()
    assert "mason" not in memory.chat.users.accounts


def test_a_message_of_a_deleted_account_does_not_come_from_the_next_one(memory: MemoryChat) -> None:
    mason, wayne = by_id(memory, "mason"), by_id(memory, "wayne")
    memory.chat.users.logout(wayne)
    account = mason.principal
    told: list[Exception | None] = []
    memory.chat.accounts.delete(FakeSession(), "mason123", told.append)
    newer = FakeSession()
    memory.chat.accounts.open_mailbox(newer, "mason", told.append)
    memory.chat.messages.send_direct(account, "wayne", "secret", told.append)
    memory.chat.logins.login_by_id(wayne, "wayne123")
    memory.journal.commit()
    assert [type(error) for error in told] == [type(None), type(None), NoSuchUser]
    assert newer.take() == wayne.take() == []
