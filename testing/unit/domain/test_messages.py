"""domain/messages.py: direct messages, and the mail that waits."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.changes import (
    MailDelivered,
    Mailed,
)
from domain.errors import (
    LimitReached,
    NoSuchUser,
    StoreUnavailable,
)
from domain.events import DirectEcho, DirectMessage, MailWaiting
from domain.interfaces import RemoteServers
from domain.state import Limits
from support.examples import EXAMPLES
from support.memory_chat import NOW, FakeSession, MemoryChat, mailed


def test_a_message_to_one_who_is_there(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    assert (
        memory.outcome(partial(memory.chat.messages.send_direct, alice.principal, "bob", "hi", session=alice)) is None
    )
    assert alice.take() == [DirectEcho("alice", "bob", "hi", NOW, "d-1")]
    assert bob.take() == [DirectMessage("alice", "hi", NOW, "d-1")]
    assert memory.backend.written == []


def test_a_message_to_oneself_is_delivered_and_echoed_as_any_other(memory: MemoryChat) -> None:
    alice = memory.user("alice")
    assert (
        memory.outcome(lambda done: memory.chat.messages.send_direct(alice.principal, "alice", "hi", done, alice))
        is None
    )
    assert alice.take() == [DirectMessage("alice", "hi", NOW, "d-1"), DirectEcho("alice", "alice", "hi", NOW, "d-1")]


def test_a_message_to_nobody(memory: MemoryChat) -> None:
    alice = memory.user("alice", "room")
    for name in ("nobody", "room", ""):
        assert memory.outcome(partial(memory.chat.messages.send_direct, alice.principal, name, "hi")) is NoSuchUser
    assert alice.take() == []


def test_a_message_to_one_who_is_away_waits(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice"), memory.account("bob")
    assert (
        memory.outcome(partial(memory.chat.messages.send_direct, alice.principal, "bob", "hi", session=alice)) is None
    )
    assert alice.take() == [DirectEcho("alice", "bob", "hi", NOW, "d-1", waits=True)]
    assert bob.mail == 1
    screen = FakeSession()
    memory.chat.logins.login(screen, "bob", "bob", screen.done())
    assert screen.take() == [("", None), MailWaiting()]


def test_a_login_between_a_message_and_its_commit(memory: MemoryChat) -> None:
    alice, bob = memory.user("alice"), memory.account("bob")
    memory.chat.messages.send_direct(alice.principal, "bob", "hi", alice.done("told"), alice)
    screen = memory.user("bob")
    memory.journal.commit()
    assert screen.take() == [DirectMessage("alice", "hi", NOW, "d-1")]
    assert alice.take() == [DirectEcho("alice", "bob", "hi", NOW, "d-1"), ("told", None)]
    assert bob.mail == 0
    assert memory.backend.written == []


def test_a_logout_between_a_message_and_its_commit(memory: MemoryChat) -> None:
    alice = memory.user("alice")
    memory.account("bob")
    memory.chat.messages.send_direct(alice.principal, "bob", "hi", alice.done("told"), alice)
    memory.chat.users.logout(alice)
    memory.journal.commit()
    assert alice.take() == [("told", None)]
    assert memory.chat.users.accounts["bob"].mail == 1


def test_mail_is_removed_page_by_page_when_it_has_left(memory: MemoryChat) -> None:
    bob = mailed(memory, 5)
    pages = memory.chat.messages.mail(FakeSession(), bob)
    assert [mail.text for mail in next(pages)] == ["0", "1"]
    memory.journal.commit()
    assert bob.mail == 5
    assert [mail.text for mail in next(pages)] == ["2", "3"]
    memory.journal.commit()
    assert bob.mail == 3
    assert [mail.text for mail in next(pages)] == ["4"]
    with pytest.raises(StopIteration):
        next(pages)
    memory.journal.commit()
    assert bob.mail == 0
    assert memory.backend.mailbox == []
    assert list(memory.chat.messages.mail(FakeSession(), bob)) == []


def test_mail_that_did_not_leave_is_given_again(memory: MemoryChat) -> None:
    bob = mailed(memory, 5)
    pages = memory.chat.messages.mail(FakeSession(), bob)
    next(pages)
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    memory.journal.commit()
    assert bob.mail == 3
    assert [mail.text for page in memory.chat.messages.mail(FakeSession(), bob) for mail in page] == ["2", "3", "4"]


def test_mail_that_cannot_be_removed_stays(memory: MemoryChat) -> None:
    bob = mailed(memory, 3)
    memory.backend.fails = True
    assert len(list(memory.chat.messages.mail(FakeSession(), bob))) == 2
    memory.journal.commit()
    assert bob.mail == 3
    memory.backend.fails = False
    assert [mail.text for page in memory.chat.messages.mail(FakeSession(), bob) for mail in page] == ["0", "1", "2"]
    memory.journal.commit()
    assert bob.mail == 0


def test_who_takes_over_while_mail_is_read_is_told_what_is_left(memory: MemoryChat) -> None:
    bob = mailed(memory, 5)
    older = FakeSession()
    pages = memory.chat.messages.mail(older, bob)
    next(pages)
    newer = memory.user("bob")
    older.over = True
    assert list(pages) == []
    assert newer.take() == [MailWaiting()]


def test_mail_that_comes_while_mail_is_read(memory: MemoryChat) -> None:
    bob = mailed(memory, 2)
    pages = memory.chat.messages.mail(FakeSession(), bob)
    next(pages)
    memory.chat.messages.send_direct(memory.chat.users.accounts["alice"], "bob", "late", lambda _error: None)
    memory.journal.commit()
    assert [mail.text for page in pages for mail in page] == ["late"]
    memory.journal.commit()
    assert bob.mail == 0


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
    memory = MemoryChat(Limits(mail=50, unlisted_mail=5))
    memory.chat.outside.servers = Strangers()
    bob = memory.account("bob")
    kept: list[str] = []
    for steps, fails in batches:
        memory.backend.fails = fails
        outcomes: list[Exception | None] = []
        expected: list[type] = []
        waiting, taken = list(kept), 0
        for step in steps:
            if step == "take":
                taken += 2
                if taken <= len(kept):
                    last = memory.backend.mailbox[-1][0]
                    memory.journal.submit(MailDelivered("bob", last, 2), lambda _error: None)
                    del waiting[:2]
                continue
            sender, count = step
            host = sender.partition("@")[2]
            for _ in range(count):
                memory.journal.submit(Mailed(sender, "bob", "hi", NOW), outcomes.append)
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
        memory.journal.commit()
        assert list(map(type, outcomes)) == expected
        kept = kept if fails else waiting
        assert [mail.sender for _number, mail in memory.backend.mailbox] == kept
        assert bob.mail == len(kept)
        assert bob.waiting.by_sender == Counter(kept)
        assert bob.waiting.by_host == Counter(sender.partition("@")[2] for sender in kept if "@" in sender)


@pytest.mark.parametrize(("most", "of_sender", "of_host"), [(1000, 200, 100), (150, 30, 20), (20, 20, 20), (3, 3, 3)])
def test_how_large_the_shares_of_the_mail_are(most: int, of_sender: int, of_host: int) -> None:
    for senders, share in ((itertools.repeat("ann"), of_sender), (map("u{}@two".format, itertools.count()), of_host)):
        memory = MemoryChat(Limits(mail=most))
        bob = memory.account("bob")
        for sender in itertools.islice(senders, most):
            memory.journal.submit(Mailed(sender, "bob", "hi", NOW), lambda _error: None)
        memory.journal.commit()
        assert bob.mail == share
        again = MemoryChat(Limits(mail=most))
        again.account("bob")
        again.chat.restore(mail for _number, mail in memory.backend.mailbox)
        assert again.chat.users.accounts["bob"].waiting.by_sender == bob.waiting.by_sender
