"""store.py: what is told has been written, and what has been written comes back."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from change_records import RECORD, STEPS
from database_schema import APPLICATION_ID, MIGRATIONS
from domain.changes import (
    ACT,
    NOTICE,
    AccountRegistered,
    AccountRemoved,
    BanLifted,
    Banned,
    Change,
    ChannelCreated,
    ChannelFounded,
    ChannelRemoved,
    GuestSaid,
    HostKeyMade,
    InOrder,
    InvitedToChannel,
    Joined,
    Left,
    LoggedInFrom,
    MailDelivered,
    Mailed,
    MaskRemoved,
    MaskSet,
    ModeSet,
    PasswordChanged,
    RankGiven,
    Said,
    Seen,
    TokenDropped,
    TokenMade,
    TopicSet,
    VisitorSaid,
)
from domain.errors import NameTaken, StoreUnavailable
from message_history import PAGE_ROWS, RECORD_ENDS_EVERY, STRIDE
from store import (
    MEMORY,
    Store,
    StoreError,
)
from support.examples import EXAMPLES
from support.journaled_store import INITIAL, NOW, JournaledStore, said
from support.memory_chat import MemoryChat


def test_what_is_told_has_been_written(journaled: JournaledStore, other: sqlite3.Connection) -> None:
    seen: list[Any] = []
    query = "SELECT sender, channel, text, sent FROM messages"
    journaled.on_publish = lambda: seen.append(other.execute(query).fetchall())
    journaled.journal.submit(said("hello"), lambda _error: None)
    assert other.execute(query).fetchall() == []
    journaled.journal.commit()
    assert seen == [[("alice", "room", "hello", NOW)]]


def test_durability_is_not_left_to_chance(journaled: JournaledStore) -> None:
    def pragma(name: str) -> object:
        return journaled.store._db.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("wal_autocheckpoint") == 0
    assert pragma("application_id") == APPLICATION_ID
    assert pragma("user_version") == len(MIGRATIONS)


def test_one_transaction_covers_all_that_waits(journaled: JournaledStore) -> None:
    statements: list[str] = []
    journaled.store._db.set_trace_callback(statements.append)
    journaled.write(said("1"), Joined("bob", "room", NOW), said("2"), said("3", "attic"), Left("bob", "room"))
    assert [line for line in statements if line.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]


def test_nothing_is_written_when_nothing_waits_or_all_is_refused(journaled: JournaledStore) -> None:
    statements: list[str] = []
    journaled.store._db.set_trace_callback(statements.append)
    journaled.journal.commit()
    refused = said("no")
    journaled.refused[refused] = NameTaken()
    assert journaled.write(refused) == [journaled.refused[refused]]
    assert statements == []


def test_a_refused_change_does_not_disturb_the_others(journaled: JournaledStore) -> None:
    refused = said("two")
    journaled.refused[refused] = NameTaken()
    assert journaled.write(said("one"), refused, said("three")) == [None, journaled.refused[refused], None]
    assert journaled.history("room") == ["one", "three"]
    assert journaled.taken_back == []


def test_every_change_has_its_record() -> None:
    assert {*RECORD, *STEPS} | {Said, GuestSaid, VisitorSaid, InOrder} == set(Change.__args__)


# ---- reading ----


def test_the_state_comes_back_as_changes(journaled: JournaledStore, path: Path) -> None:
    journaled.write(
        PasswordChanged("bob", b"new"),
        Joined("bob", "room", NOW),
        Joined("bob", "attic", NOW),
        Left("bob", "room"),
        TopicSet("bob", "room", "roses", NOW),
        TopicSet("bob", "attic", "roses"),
        TopicSet("alice", "attic", "", 0.0),
        *[Mailed("alice", "bob", str(number), NOW) for number in range(5)],
        said("not among them"),
    )
    last, page = next(iter(journaled.store.mail("bob")))
    assert len(page) == 5
    journaled.write(MailDelivered("bob", last, 2))
    journaled.store.close()
    again = Store(str(path))
    try:
        assert list(again.load()) == [
            AccountRegistered("alice", b"\x00\xffhash", NOW),
            AccountRegistered("bob", b"new", NOW),
            ChannelCreated("attic", "alice", NOW, "", "", "alice"),
            ChannelCreated("room", "alice", NOW, "roses", "", "bob", NOW),
            Joined("alice", "room", NOW),
            Joined("bob", "attic", NOW),
            *[Mailed("alice", "bob", str(number), NOW) for number in (2, 3, 4)],
        ]
    finally:
        again.close()


def test_what_is_not_the_default_in_channels_comes_back(journaled: JournaledStore, path: Path) -> None:
    """C63, C66 to C68, C70"""
    founded = ChannelFounded("new", "bob", NOW, modes="o")
    kept: list[Change] = [
        ModeSet("attic", "k", True, "new", "alice", NOW),
        ModeSet("attic", "n", False, "", "alice", NOW),
        RankGiven("attic", "bob", "o", True, "alice", NOW),
        MaskSet("attic", "b", "*!*@x", "alice", NOW),
        MaskSet("attic", "e", "bob!*@*", "bob", NOW + 1),
        InvitedToChannel("bob", "attic", "alice", NOW),
        HostKeyMade(b"\0key"),
        Banned("account", "bob", "attic", "loud", NOW, NOW + 9.0),
        Banned("address", "192.0.2.0/24", "", "", NOW + 1.0, 0.0),
    ]
    journaled.write(
        founded,
        ChannelFounded("used", "bob", NOW, modes="o"),
        said("so it stays", "used", "bob"),
        ChannelCreated("cellar", "alice", NOW, modes="iso"),
        ChannelFounded("gone", "bob", NOW, modes="o"),
        ModeSet("gone", "m", True, "", "bob", NOW),
        MaskSet("gone", "b", "*!*@x", "bob", NOW),
        InvitedToChannel("bob", "gone", "bob", NOW),
        Banned("account", "bob", "gone", "", NOW, 0.0),
        Banned("account", "bob", "", "lapsed by the next one", NOW - 9.0, NOW - 1.0),
        ChannelRemoved("gone"),
        ModeSet("attic", "k", True, "old", "alice", NOW),
        Banned("server", "two", "", "", NOW, 0.0),
        BanLifted("server", "two", ""),
        *kept,
        ModeSet("attic", "m", True, "", "alice", NOW),
        ModeSet("attic", "m", False, "", "alice", NOW),
        RankGiven("attic", "bob", "v", True, "alice", NOW),
        RankGiven("attic", "bob", "v", False, "alice", NOW),
        MaskSet("attic", "b", "*!*@y", "alice", NOW),
        MaskRemoved("attic", "b", "*!*@y"),
        InvitedToChannel("bob", "room", "alice", NOW),
        Joined("bob", "room", NOW),
    )
    journaled.store.close()
    store = Store(str(path))
    try:
        loaded = [change for change in store.load() if not isinstance(change, AccountRegistered | Joined)]
        assert [*map(type, loaded)].count(ChannelFounded) == 1
        assert set(loaded) == {
            *(ChannelCreated("attic", "alice", NOW), ChannelCreated("room", "alice", NOW)),
            *(ChannelCreated("used", "bob", NOW), ChannelCreated("cellar", "alice", NOW)),
            *(founded._replace(modes=""), *kept),
            *[ModeSet("cellar", mode, True, "", "alice", NOW) for mode in "is"],
            *[RankGiven(name, maker, "o", True, maker, NOW) for name, maker in CREATED],
        }
        world = MemoryChat()
        assert world.chat.restore(store.load())
        assert world.chat.channels.listing.shown_to(None) == ["attic", "new", "room", "used"]
    finally:
        store.close()


CREATED = (("cellar", "alice"), ("new", "bob"), ("used", "bob"))
"""Channels and their makers."""


def test_tokens_come_back_without_those_that_ended(journaled: JournaledStore, path: Path) -> None:
    """(W12)"""
    journaled.write(
        TokenMade("bob", "lapsed", True, NOW + 1, NOW),
        *[TokenMade("bob", str(number), False, NOW + 50, NOW + 2) for number in range(9)],
        TokenMade("bob", "lasting", True, NOW + 50, NOW + 2),
        TokenMade("bob", "next", False, NOW + 50, NOW + 3, "1"),
        TokenDropped("bob", "2"),
        TokenMade("alice", "mine", False, NOW + 50, NOW),
        PasswordChanged("alice", b"new"),
        TokenMade("alice", "before the ban", False, NOW + 50, NOW),
        Banned("account", "alice", "", "", NOW, NOW + 1),
        Banned("account", "bob", "room", "", NOW, 0.0),
        TokenMade("alice", "after it", False, NOW + 50, NOW + 2),
    )
    journaled.store.close()
    again = Store(str(path))
    try:
        tokens = [change.digest for change in again.load() if isinstance(change, TokenMade)]
        world = MemoryChat()
        world.chat.restore(again.load())
    finally:
        again.close()
    assert tokens == ["3", "4", "5", "6", "7", "8", "lasting", "next", "after it"]
    assert list(world.chat.users.account("alice").tokens) == ["after it"]


def test_networks_come_back_but_for_the_oldest_and_those_of_accounts_that_are_gone(
    journaled: JournaledStore, path: Path
) -> None:
    """C61"""
    changes: list[Change] = [
        *[LoggedInFrom("bob", f"192.0.2.{number}", NOW + number) for number in range(8)],
        LoggedInFrom("bob", "192.0.2.0", NOW + 8),
        LoggedInFrom("bob", "2001:db8::/64", NOW + 9),
        LoggedInFrom("alice", "192.0.2.1", NOW),
        AccountRemoved("alice"),
    ]
    journaled.write(*changes)
    journaled.store.close()
    again = Store(str(path))
    try:
        world, decided = MemoryChat(), MemoryChat()
        world.chat.restore(again.load())
    finally:
        again.close()
    decided.chat.restore([AccountRegistered("bob", b"", NOW), AccountRegistered("alice", b"", NOW), *changes])
    last = [*(f"192.0.2.{number}" for number in (2, 3, 4, 5, 6, 7, 0)), "2001:db8::/64"]
    assert (
        [*world.chat.known_networks.all()]
        == [*decided.chat.known_networks.all()]
        == [("bob", network) for network in last]
    )


def test_history_is_the_last_of_its_channel_oldest_first(journaled: JournaledStore) -> None:
    assert journaled.history("room") == []
    assert journaled.history("nowhere") == []
    for number in range(6):
        journaled.write(said(f"room {number}"), said(f"attic {number}", "attic", "bob"), said(f"room {number}b"))
    expected = [f"room {number}{mark}" for number in range(6) for mark in ("", "b")]
    assert journaled.history("room") == expected
    assert journaled.history("room", 12) == expected
    assert journaled.history("room", 5) == expected[-5:]
    assert journaled.history("room", 1) == expected[-1:]
    assert journaled.history("attic", 2) == ["attic 4", "attic 5"]
    last = said("last", "attic", "bob")
    journaled.write(last)
    _found, pages = journaled.store.history("attic", 1)
    assert next(pages) == [last]


@pytest.mark.parametrize("count", [PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 3 * PAGE_ROWS, 1000])
def test_history_comes_in_pages(journaled: JournaledStore, count: int) -> None:
    journaled.write(*[said(str(number)) for number in range(count + 1)])
    found, pages = journaled.store.history("room", count)
    sizes = [len(page) for page in pages]
    assert found == sum(sizes) == count
    assert max(sizes) <= PAGE_ROWS
    assert journaled.history("room", count) == [str(number) for number in range(1, count + 1)]


PAGES = st.tuples(st.integers(1, 50), st.integers(0, 400), st.none() | st.integers(0, 400))
"""Count, before and after, as `Store.history` takes them."""


@EXAMPLES
@given(
    pattern=st.lists(st.tuples(st.sampled_from(["room", "attic"]), st.integers(1, 3)), min_size=1, max_size=20),
    length=st.integers(0, 5 * STRIDE),
    pages=st.lists(PAGES, min_size=1, max_size=10),
    commits=st.integers(1, 40),
)
def test_pages_of_history_are_those_of_a_list(
    pattern: list[tuple[str, int]], length: int, pages: list[tuple[int, int, int | None]], commits: int
) -> None:
    """Numbers have gaps, and are those of other channels as well. A pattern is repeated, as long lists are rare."""
    journaled = JournaledStore(MEMORY)
    journaled.write(*INITIAL)
    messages: list[Said] = []
    for channel, gap in itertools.islice(itertools.cycle(pattern), length):
        messages.append(Said("alice", channel, "hi", NOW, gap + (messages[-1].number if messages else 0)))
    for start in range(0, len(messages), commits):
        journaled.write(*messages[start : start + commits])
    for count, before, after in pages:
        for channel in ("room", "attic"):
            own = [message for message in messages if message.channel == channel]
            assert journaled.store._history.count(channel, before) == sum(message.number <= before for message in own)
            expected = [message for message in own if (after or 0) < message.number < before]
            expected = expected[-count:] if after is None else expected[:count]
            found, read = journaled.store.history(channel, count, before, after)
            assert [message for page in read for message in page] == expected
            assert found == len(expected)
    journaled.store.close()


def test_a_page_far_back_is_found_in_few_steps(journaled: JournaledStore) -> None:
    """However long the channel is: SQLite's own count of steps shows it."""
    journaled.write(*[said(str(number)) for number in range(200 * STRIDE)])
    first = journaled.store.history("room", 1, 2**62, 0)[1]
    (message,) = next(first)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    journaled.store._db.set_progress_handler(count, 1)
    found, pages = journaled.store.history("room", 10, message.number + 50 * STRIDE)
    assert found == len(next(pages)) == 10
    assert journaled.store._history.count("room", message.number + 70 * STRIDE) == 70 * STRIDE + 1
    assert steps < 200 * STRIDE


MARKED = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(["room", "attic"]), st.integers(1, 3)),
        st.tuples(st.just("seen"), st.sampled_from(["room", "attic"]), st.integers(0, 200)),
        st.tuples(st.just("move"), st.sampled_from(["room", "attic"]), st.just(0)),
        st.tuples(st.just("commit"), st.just(""), st.just(0)),
    ),
    max_size=150,
)
"""What is said, read, and left or joined, and where a transaction ends."""


@EXAMPLES
@given(MARKED, st.booleans())
def test_unread_is_counted_whatever_is_in_one_transaction(deeds: list[tuple[str, str, int]], fails: bool) -> None:
    journaled = JournaledStore(MEMORY)
    journaled.write(*INITIAL)
    numbers: dict[str, list[int]] = {"room": [], "attic": []}
    markers: dict[str, int] = {}
    newest = 0
    batch: list[Change] = []
    for what, channel, value in [*deeds, ("commit", "", 0)]:
        if what == "say":
            newest += value
            numbers[channel].append(newest)
            batch.append(Said("alice", channel, "hi", NOW, newest))
        elif what == "seen" and channel in markers:
            number = min(value, newest)
            markers[channel] = max(markers[channel], number)
            batch.append(Seen("bob", channel, number))
        elif what == "move" and channel in markers:
            del markers[channel]
            batch.append(Left("bob", channel))
        elif what == "move":
            markers[channel] = newest
            batch.append(Joined("bob", channel, NOW, "", newest))
        elif what == "commit":
            if fails:  # a transaction that fails leaves nothing behind
                batch.append(Joined("alice", "room", NOW))
                assert not journaled.store.write(batch)
                batch.pop()
            assert journaled.store.write(batch)
            batch = []
            counts = {name: sum(number > seen for number in numbers[name]) for name, seen in markers.items()}
            assert dict(journaled.store.unread("bob")) == {name: count for name, count in counts.items() if count}
    journaled.store.close()


def test_read_markers_last_and_no_number_is_given_twice(path: Path) -> None:
    """A marker may be behind the last message: those after it were refused."""
    journaled = JournaledStore(path)
    journaled.write(*INITIAL, Joined("bob", "room", NOW, "", 7), Joined("bob", "attic", NOW), Seen("bob", "attic", 9))
    journaled.write(Seen("bob", "room", 5), Seen("bob", "room", 8), Joined("alice", "attic", NOW, "", 3))
    journaled.write(Left("alice", "attic"), Joined("alice", "attic", NOW, "", 2))
    journaled.store.close()
    again = Store(str(path))
    try:
        assert [change for change in again.load() if isinstance(change, Joined)] == [
            Joined("alice", "attic", NOW, "", 2),
            Joined("alice", "room", NOW),
            Joined("bob", "attic", NOW, "", 9),
            Joined("bob", "room", NOW, "", 8),
        ]
        assert again.last_number == 9
    finally:
        again.close()


def test_the_ends_of_the_chains_are_found_again_wherever_they_were_last_written(path: Path) -> None:
    """They are written only now and then."""
    expected: dict[str, list[str]] = {"room": [], "attic": [], "quiet": []}
    for round_ in range(6):
        journaled = JournaledStore(path)
        try:
            if not round_:
                journaled.write(*INITIAL, ChannelCreated("quiet", "bob", NOW), said("only this", "quiet"))
                expected["quiet"].append("only this")
            for size in (1, RECORD_ENDS_EVERY // 2 + round_, 3):
                for channel in ("room", "attic"):
                    texts = [f"{round_} {size} {number}" for number in range(size)]
                    journaled.write(*[said(text, channel) for text in texts])
                    expected[channel] += texts
            assert {channel: journaled.history(channel, 1_000_000) for channel in expected} == expected
        finally:
            journaled.store.close()


def test_history_is_read_while_more_is_said(journaled: JournaledStore) -> None:
    journaled.write(*[said(str(number)) for number in range(2 * PAGE_ROWS)])
    _found, pages = journaled.store.history("room", 1000)
    first = next(pages)
    assert journaled.write(said("later")) == [None]
    assert [message.text for page in (first, *pages) for message in page] == [str(n) for n in range(2 * PAGE_ROWS)]


def test_history_goes_on_over_a_restart(journaled: JournaledStore, path: Path) -> None:
    journaled.write(said("one"), said("else", "attic"))
    journaled.store.close()
    again = JournaledStore(path)
    try:
        again.write(said("two"))
        assert again.history("room") == ["one", "two"]
        assert again.history("attic") == ["else"]
    finally:
        again.store.close()


def test_mail_comes_in_pages_and_is_removed_up_to_a_number(journaled: JournaledStore) -> None:
    count = 2 * PAGE_ROWS + 3
    journaled.write(*[Mailed("alice", "bob", str(number), NOW) for number in range(count)], Mailed("a", "b", "x", NOW))
    pages = list(journaled.store.mail("bob"))
    assert [len(page) for _last, page in pages] == [PAGE_ROWS, PAGE_ROWS, 3]
    assert [mail.text for _last, page in pages for mail in page] == [str(number) for number in range(count)]
    assert pages[0][1][0] == Mailed("alice", "bob", "0", NOW)
    journaled.write(MailDelivered("bob", pages[0][0], PAGE_ROWS))
    journaled.write(Mailed("alice", "bob", "late", NOW))
    left = [mail.text for _last, page in journaled.store.mail("bob") for mail in page]
    assert left == [*[str(number) for number in range(PAGE_ROWS, count)], "late"]
    assert [mail.text for _last, page in journaled.store.mail("b") for mail in page] == ["x"]
    assert list(journaled.store.mail("nobody")) == []


def test_text_comes_back_as_it_was(journaled: JournaledStore) -> None:
    texts = ["\u4f60\u597d", "\U0001f600", "'); DROP TABLE messages; --", "%s ?1 {0}", "x" * 100_000, "\u00a0"]
    journaled.write(*[said(text) for text in texts])
    assert journaled.history("room") == texts


def test_reading_a_broken_database_says_so(journaled: JournaledStore, caplog: pytest.LogCaptureFixture) -> None:
    journaled.write(*[said(str(number)) for number in range(2 * PAGE_ROWS)])
    _found, pages = journaled.store.history("room", 1000)
    next(pages)
    journaled.store._db.execute("ALTER TABLE messages RENAME TO gone")
    journaled.store._db.execute("ALTER TABLE mail RENAME TO gone_too")
    with pytest.raises(StoreUnavailable):
        next(pages)
    with pytest.raises(StoreUnavailable):
        journaled.store.history("room", 5, journaled.store.last_number)
    with pytest.raises(StoreUnavailable):
        next(journaled.store.mail("bob"))
    with pytest.raises(StoreError):
        list(journaled.store.load())
    assert "cannot read" in caplog.text


def test_who_said_what_is_kept(journaled: JournaledStore, path: Path) -> None:
    said = [
        Said("alice", "room", "one", NOW, 1),
        VisitorSaid("zoe", "room", "two", NOW, 2, ACT),
        VisitorSaid("zoe", "room", "three", NOW, 3, NOTICE),
        GuestSaid("kim", "room", "four", NOW, 4),
        Said("alice", "room", "five", NOW + 1, 5, ACT),
    ]
    journaled.write(*said)
    journaled.store.close()
    with contextlib.closing(Store(str(path))) as again:
        _found, pages = again.history("room", 10)
        kept = [message for page in pages for message in page]
        assert kept == said
        assert list(map(type, kept)) == list(map(type, said))
        assert again.last_time == NOW + 1


def test_mail_keeps_its_id_and_kind(journaled: JournaledStore, path: Path) -> None:
    mail = Mailed("alice", "bob", "waves", NOW, "d1f-7", ACT)
    journaled.write(mail)
    journaled.store.close()
    with contextlib.closing(Store(str(path))) as again:
        assert [page for _last, page in again.mail("bob")] == [[mail]]
        assert mail in list(again.load())
