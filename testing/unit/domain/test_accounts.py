"""domain/accounts.py and domain/users.py: accounts, passwords, guests, and accounts by ID."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from app import throttle
from domain.changes import (
    AccountRegistered,
    MailboxOpened,
    PasswordChanged,
)
from domain.errors import (
    AlreadyLoggedIn,
    AlreadyMember,
    BeingCollected,
    LimitReached,
    NameTaken,
    NoSuchUser,
    NotAName,
    Overloaded,
    StoreUnavailable,
    WrongPassword,
)
from domain.events import DirectMessage
from support.house import NOW, House, Screen, mailed


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


def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(house: House) -> None:
    alice, other = house.user("alice"), Screen()
    house.passwords.later = True
    house.chat.accounts.change_password(alice, "alice", "new", alice.done())
    house.passwords.answer()
    house.passwords.answer()
    house.chat.accounts.login(other, "alice", "alice", other.done())
    house.journal.commit()
    assert alice.take() == [("", None)]
    house.passwords.answer()
    assert other.take() == [("", WrongPassword)]
    assert other.principal is None


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
    """Return a session that has made an account with an ID."""
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
