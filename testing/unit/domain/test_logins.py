"""domain/logins.py: logins by password and by ID, and their ends."""

from __future__ import annotations

import pytest

from domain.changes import (
    MailboxOpened,
)
from domain.errors import (
    AlreadyLoggedIn,
    BeingCollected,
    NoSuchUser,
    Overloaded,
    WrongPassword,
)
from support.memory_chat import NOW, FakeSession, MemoryChat, mailed


def test_login_and_logout(memory: MemoryChat) -> None:
    alice = memory.account("alice", "room")
    screen = FakeSession()
    memory.chat.logins.login(screen, "alice", "wrong", screen.done())
    memory.chat.logins.login(screen, "nobody", "alice", screen.done())
    assert screen.take() == [("", WrongPassword), ("", WrongPassword)]
    assert screen.principal is None
    assert memory.passwords.checked == [("wrong", b"alice"), ("alice", None)]
    memory.chat.logins.login(screen, "alice", "alice", screen.done())
    assert screen.take() == [("", None)]
    assert screen.principal is alice
    assert list(memory.chat.channels.local["room"].subscribers) == [screen]
    memory.chat.users.logout(screen)
    memory.chat.users.logout(screen)
    assert screen.principal is None
    assert alice.session is None
    assert not memory.chat.channels.local["room"].subscribers
    assert set(memory.chat.channels.local["room"].members) == {"alice"}


def test_failed_logins_are_counted_and_reported_without_the_password(memory: MemoryChat) -> None:
    memory.account("alice")
    memory.account("\u4f60\u597d")
    memory.chat.restore([MailboxOpened("mason", "mason123", NOW)])
    screen = FakeSession()
    for name in ("alice", "\u4f60\u597d", "nobody", "mason", "a\x1b[31m\u202e", "x" * 8000):
        memory.chat.logins.login(screen, name, "guess", lambda _error: None)
    with pytest.raises(NoSuchUser):
        memory.chat.logins.login_by_id(screen, "guess")
    assert screen.limits == [
        ("failed-login", "name=alice"),
        ("failed-login", "name=\u4f60\u597d"),
        ("failed-login", "name=nobody"),
        ("failed-login", "name=mason"),
        ("failed-login", "name='a\\x1b[31m\\u202e'"),
        ("failed-login", f"name='{'x' * 64}'"),
        ("failed-login", "(by ID)"),
    ]
    assert memory.chat.logins.failed == len(screen.limits)


def test_what_is_no_failed_login(memory: MemoryChat) -> None:
    alice, other = memory.user("alice"), FakeSession()
    memory.chat.logins.login(other, "alice", "alice", other.done())  # she is logged in elsewhere
    memory.chat.logins.login(alice, "alice", "wrong", alice.done())  # this client is logged in
    memory.passwords.overloaded = True
    memory.chat.logins.login(other, "alice", "wrong", other.done())
    assert other.take() == [("", AlreadyLoggedIn), ("", Overloaded)]
    assert memory.chat.logins.failed == 0
    assert alice.limits == other.limits == []


def test_a_session_that_is_over_is_logged_out_and_what_waits_for_it_forgotten(memory: MemoryChat) -> None:
    alice, other = memory.user("alice"), FakeSession()
    for screen in (alice, other):
        memory.chat.logins.session_over(screen)
    assert alice.principal is None
    assert memory.passwords.forgotten == [alice, other]


def test_one_session_for_one_account(memory: MemoryChat) -> None:
    first, second = memory.user("alice"), FakeSession()
    memory.account("bob")
    memory.chat.logins.login(second, "alice", "alice", second.done())
    assert second.take() == [("", AlreadyLoggedIn)]
    memory.chat.logins.login(first, "bob", "bob", first.done())
    assert first.take() == [("", AlreadyLoggedIn)]
    memory.chat.users.logout(second)
    assert memory.chat.users.accounts["alice"].session is first
    memory.chat.users.logout(first)
    memory.chat.logins.login(second, "alice", "alice", second.done())
    assert second.take() == [("", None)]


def test_two_logins_at_once(memory: MemoryChat) -> None:
    memory.account("alice")
    first, second = FakeSession(), FakeSession()
    memory.passwords.later = True
    for screen in (first, second):
        memory.chat.logins.login(screen, "alice", "alice", screen.done())
    memory.passwords.answer()
    assert first.take() == [("", None)]
    assert second.take() == [("", AlreadyLoggedIn)]
    assert second.principal is None
    memory.chat.users.logout(second)
    assert memory.chat.users.accounts["alice"].session is first


def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(memory: MemoryChat) -> None:
    alice, other = memory.user("alice"), FakeSession()
    memory.passwords.later = True
    memory.chat.accounts.change_password(alice, "alice", "new", alice.done())
    memory.passwords.answer()
    memory.passwords.answer()
    memory.chat.logins.login(other, "alice", "alice", other.done())
    memory.journal.commit()
    assert alice.take() == [("", None)]
    memory.passwords.answer()
    assert other.take() == [("", WrongPassword)]
    assert other.principal is None


def test_whoever_is_gone_is_not_logged_in(memory: MemoryChat) -> None:
    alice, screen = memory.account("alice", "room"), FakeSession()
    memory.passwords.later = True
    memory.chat.logins.login(screen, "alice", "alice", screen.done())
    screen.over = True
    memory.chat.users.logout(screen)
    memory.passwords.answer()
    assert alice.session is None
    assert not memory.chat.channels.local["room"].subscribers


def test_an_account_that_is_registered_while_its_name_is_checked(memory: MemoryChat) -> None:
    """The password was compared with nobody's hash, so it is wrong."""
    screen = FakeSession()
    memory.passwords.later = True
    memory.chat.logins.login(screen, "alice", "alice", screen.done())
    memory.account("alice")
    memory.passwords.answer()
    assert screen.take() == [("", WrongPassword)]


def test_a_newer_login_ends_the_delivery_of_mail_to_the_older_one(memory: MemoryChat) -> None:
    bob = mailed(memory, 5)
    older, newer = FakeSession(), FakeSession()
    pages = memory.chat.messages.mail(older, bob)
    next(pages)
    with pytest.raises(BeingCollected):
        next(memory.chat.messages.mail(newer, bob))
    older.over = True
    assert list(pages) == []
    memory.journal.commit()
    assert [mail.text for page in memory.chat.messages.mail(newer, bob) for mail in page] == ["2", "3", "4"]
