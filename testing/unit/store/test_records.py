"""store.py: what is told has been written, and what has been written comes back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from domain.changes import (
    AccountRegistered,
    Change,
    ChannelCreated,
    GuestSaid,
    InOrder,
    Joined,
    Left,
    MailDelivered,
    Mailed,
    PasswordChanged,
    Said,
    TopicSet,
)
from domain.errors import NameTaken, StoreUnavailable
from store import (
    APPLICATION_ID,
    MIGRATIONS,
    PAGE_ROWS,
    RECORD,
    RECORD_ENDS_EVERY,
    Store,
    StoreError,
)
from support.keeper import FURNITURE, NOW, Keeper, said


def test_what_is_told_has_been_written(keeper: Keeper, other: sqlite3.Connection) -> None:
    seen: list[Any] = []
    query = "SELECT sender, channel, text, sent FROM messages"
    keeper.on_publish = lambda: seen.append(other.execute(query).fetchall())
    keeper.journal.submit(said("hello"), lambda _error: None)
    assert other.execute(query).fetchall() == []
    keeper.journal.commit()
    assert seen == [[("alice", "room", "hello", NOW)]]


def test_durability_is_not_left_to_chance(keeper: Keeper) -> None:
    def pragma(name: str) -> object:
        return keeper.store._db.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("wal_autocheckpoint") == 0
    assert pragma("application_id") == APPLICATION_ID
    assert pragma("user_version") == len(MIGRATIONS)


def test_one_transaction_covers_all_that_waits(keeper: Keeper) -> None:
    statements: list[str] = []
    keeper.store._db.set_trace_callback(statements.append)
    keeper.write(said("1"), Joined("bob", "room", NOW), said("2"), said("3", "attic"), Left("bob", "room"))
    assert [line for line in statements if line.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]


def test_nothing_is_written_when_nothing_waits_or_all_is_refused(keeper: Keeper) -> None:
    statements: list[str] = []
    keeper.store._db.set_trace_callback(statements.append)
    keeper.journal.commit()
    refused = said("no")
    keeper.refused[refused] = NameTaken()
    assert keeper.write(refused) == [keeper.refused[refused]]
    assert statements == []


def test_a_refused_change_does_not_disturb_the_others(keeper: Keeper) -> None:
    refused = said("two")
    keeper.refused[refused] = NameTaken()
    assert keeper.write(said("one"), refused, said("three")) == [None, keeper.refused[refused], None]
    assert keeper.history("room") == ["one", "three"]
    assert keeper.taken_back == []


def test_every_change_has_its_record() -> None:
    assert set(RECORD) | {Said, GuestSaid, InOrder} == set(Change.__args__)


# ---- reading ----


def test_the_state_comes_back_as_changes(keeper: Keeper, path: Path) -> None:
    keeper.write(
        PasswordChanged("bob", b"new"),
        Joined("bob", "room", NOW),
        Joined("bob", "attic", NOW),
        Left("bob", "room"),
        TopicSet("bob", "room", "roses"),
        TopicSet("bob", "attic", "roses"),
        TopicSet("alice", "attic", ""),
        *[Mailed("alice", "bob", str(number), NOW) for number in range(5)],
        said("not among them"),
    )
    last, page = next(iter(keeper.store.mail("bob")))
    assert len(page) == 5
    keeper.write(MailDelivered("bob", last, 2))
    keeper.store.close()
    again = Store(str(path))
    try:
        assert list(again.load()) == [
            AccountRegistered("alice", b"\x00\xffhash", NOW),
            AccountRegistered("bob", b"new", NOW),
            ChannelCreated("attic", "alice", NOW),
            ChannelCreated("room", "alice", NOW, "roses"),
            Joined("alice", "room", NOW),
            Joined("bob", "attic", NOW),
            *[Mailed("alice", "bob", str(number), NOW) for number in (2, 3, 4)],
        ]
    finally:
        again.close()


def test_history_is_the_last_of_its_channel_oldest_first(keeper: Keeper) -> None:
    assert keeper.history("room") == []
    assert keeper.history("nowhere") == []
    for number in range(6):
        keeper.write(said(f"room {number}"), said(f"attic {number}", "attic", "bob"), said(f"room {number}b"))
    expected = [f"room {number}{mark}" for number in range(6) for mark in ("", "b")]
    assert keeper.history("room") == expected
    assert keeper.history("room", 12) == expected
    assert keeper.history("room", 5) == expected[-5:]
    assert keeper.history("room", 1) == expected[-1:]
    assert keeper.history("attic", 2) == ["attic 4", "attic 5"]
    last = said("last", "attic", "bob")
    keeper.write(last)
    _found, pages = keeper.store.history("attic", 1)
    assert next(pages) == [last]


@pytest.mark.parametrize("count", [PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 3 * PAGE_ROWS, 1000])
def test_history_comes_in_pages(keeper: Keeper, count: int) -> None:
    keeper.write(*[said(str(number)) for number in range(count + 1)])
    found, pages = keeper.store.history("room", count)
    sizes = [len(page) for page in pages]
    assert found == sum(sizes) == count
    assert max(sizes) <= PAGE_ROWS
    assert keeper.history("room", count) == [str(number) for number in range(1, count + 1)]


@pytest.mark.parametrize(("count", "but_last"), [(3, 0), (3, 2), (10, 4), (1, 9), (5, 10), (5, 11)])
def test_history_may_leave_out_the_last(keeper: Keeper, count: int, but_last: int) -> None:
    keeper.write(*[said(str(number)) for number in range(10)])
    found, pages = keeper.store.history("room", count, but_last)
    texts = [message.text for page in pages for message in page]
    assert texts == [str(number) for number in range(10)][: 10 - but_last if but_last <= 10 else 0][-count:]
    assert found == len(texts)


def test_the_ends_of_the_chains_are_found_again_wherever_they_were_last_written(path: Path) -> None:
    """They are written only now and then."""
    expected: dict[str, list[str]] = {"room": [], "attic": [], "quiet": []}
    for round_ in range(6):
        keeper = Keeper(path)
        try:
            if not round_:
                keeper.write(*FURNITURE, ChannelCreated("quiet", "bob", NOW), said("only this", "quiet"))
                expected["quiet"].append("only this")
            for size in (1, RECORD_ENDS_EVERY // 2 + round_, 3):
                for channel in ("room", "attic"):
                    texts = [f"{round_} {size} {number}" for number in range(size)]
                    keeper.write(*[said(text, channel) for text in texts])
                    expected[channel] += texts
            assert {channel: keeper.history(channel, 1_000_000) for channel in expected} == expected
        finally:
            keeper.store.close()


def test_history_is_read_while_more_is_said(keeper: Keeper) -> None:
    keeper.write(*[said(str(number)) for number in range(2 * PAGE_ROWS)])
    _found, pages = keeper.store.history("room", 1000)
    first = next(pages)
    assert keeper.write(said("later")) == [None]
    assert [message.text for page in (first, *pages) for message in page] == [str(n) for n in range(2 * PAGE_ROWS)]


def test_history_goes_on_over_a_restart(keeper: Keeper, path: Path) -> None:
    keeper.write(said("one"), said("else", "attic"))
    keeper.store.close()
    again = Keeper(path)
    try:
        again.write(said("two"))
        assert again.history("room") == ["one", "two"]
        assert again.history("attic") == ["else"]
    finally:
        again.store.close()


def test_mail_comes_in_pages_and_is_removed_up_to_a_number(keeper: Keeper) -> None:
    count = 2 * PAGE_ROWS + 3
    keeper.write(*[Mailed("alice", "bob", str(number), NOW) for number in range(count)], Mailed("a", "b", "x", NOW))
    pages = list(keeper.store.mail("bob"))
    assert [len(page) for _last, page in pages] == [PAGE_ROWS, PAGE_ROWS, 3]
    assert [mail.text for _last, page in pages for mail in page] == [str(number) for number in range(count)]
    assert pages[0][1][0] == Mailed("alice", "bob", "0", NOW)
    keeper.write(MailDelivered("bob", pages[0][0], PAGE_ROWS))
    keeper.write(Mailed("alice", "bob", "late", NOW))
    left = [mail.text for _last, page in keeper.store.mail("bob") for mail in page]
    assert left == [*[str(number) for number in range(PAGE_ROWS, count)], "late"]
    assert [mail.text for _last, page in keeper.store.mail("b") for mail in page] == ["x"]
    assert list(keeper.store.mail("nobody")) == []


def test_text_comes_back_as_it_was(keeper: Keeper) -> None:
    texts = ["\u4f60\u597d", "\U0001f600", "'); DROP TABLE messages; --", "%s ?1 {0}", "x" * 100_000, "\u00a0"]
    keeper.write(*[said(text) for text in texts])
    assert keeper.history("room") == texts


def test_reading_a_broken_database_says_so(keeper: Keeper, caplog: pytest.LogCaptureFixture) -> None:
    keeper.write(*[said(str(number)) for number in range(2 * PAGE_ROWS)])
    _found, pages = keeper.store.history("room", 1000)
    next(pages)
    keeper.store._db.execute("ALTER TABLE messages RENAME TO gone")
    keeper.store._db.execute("ALTER TABLE mail RENAME TO gone_too")
    with pytest.raises(StoreUnavailable):
        next(pages)
    with pytest.raises(StoreUnavailable):
        keeper.store.history("room", 5)
    with pytest.raises(StoreUnavailable):
        next(keeper.store.mail("bob"))
    with pytest.raises(StoreError):
        list(keeper.store.load())
    assert "cannot read" in caplog.text
