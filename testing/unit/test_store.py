"""store.py: what is told has been written, and what has been written comes back."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import store as store_module
from database_files import LOG_SIZE
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
    MembershipsDated,
    Outcome,
    PasswordChanged,
    PeerNamed,
    Said,
)
from domain.errors import ChatError, NameTaken, StoreUnavailable
from domain.journal import Journal
from harness.peer import PATIENCE
from harness.processes import ROOT
from store import (
    APPLICATION_ID,
    MEMORY,
    MIGRATIONS,
    PAGE_ROWS,
    RECORD,
    RECORD_ENDS_EVERY,
    Store,
    StoreError,
)
from support.examples import EXAMPLES

NOW = 1000.5


class Keeper:
    """A store behind a journal, and a domain that allows everything but what `refused` names, and notes all."""

    def __init__(self, path: Path | str) -> None:
        self.store = Store(str(path))
        self.told: list[Outcome] = []
        self.taken_back: list[Change] = []
        self.refused: dict[Change, ChatError] = {}
        self.on_publish: Callable[[], None] = lambda: None
        self.journal = Journal(self.store.write, self._decide, self._publish)

    def _decide(self, change: Change) -> Callable[[], object]:
        if change in self.refused:
            raise self.refused[change]
        return lambda: self.taken_back.append(change)

    def _publish(self, outcomes: Iterable[Outcome]) -> None:
        self.on_publish()
        self.told += outcomes
        for _change, error, done in outcomes:
            done(error)

    def write(self, *changes: Change) -> list[Exception | None]:
        """Commit changes and give their errors."""
        outcomes: list[Exception | None] = []
        for change in changes:
            self.journal.submit(change, outcomes.append)
        assert outcomes == []
        self.journal.commit()
        assert len(outcomes) == len(changes)
        return outcomes

    def history(self, channel: str, count: int = 100) -> list[str]:
        found, pages = self.store.history(channel, count)
        messages = [message for page in pages for message in page]
        assert found == len(messages)
        assert all(message.channel == channel for message in messages)
        return [message.text for message in messages]

    def fail(self, spare: int = 0) -> None:
        """From now on the disk is full, but for so many pages."""
        pages = self.store._db.execute("PRAGMA page_count").fetchone()[0]
        self.store._db.execute(f"PRAGMA max_page_count = {pages + spare}")

    def recover(self) -> None:
        self.store._db.execute("PRAGMA max_page_count = 1000000")


def said(text: str, channel: str = "room", sender: str = "alice") -> Said:
    return Said(sender, channel, text, NOW)


BIG = "x" * 8000
FURNITURE = (
    AccountRegistered("alice", b"\x00\xffhash", NOW),
    AccountRegistered("bob", b"hash", NOW),
    ChannelCreated("room", "alice", NOW),
    ChannelCreated("attic", "alice", NOW),
    Joined("alice", "room", NOW),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def keeper(path: Path) -> Iterator[Keeper]:
    keeper = Keeper(path)
    assert keeper.write(*FURNITURE) == [None] * len(FURNITURE)
    yield keeper
    keeper.store.close()


@pytest.fixture
def other(path: Path, keeper: Keeper) -> Iterator[sqlite3.Connection]:
    """Another program that looks into the file."""
    connection = sqlite3.connect(path, timeout=PATIENCE)
    yield connection
    connection.close()


# ---- writing ----


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
            ChannelCreated("room", "alice", NOW),
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
    _found, pages = keeper.store.history("attic", 1)
    assert next(pages) == [Said("bob", "attic", "attic 5", NOW)]


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


# ---- a disk that refuses ----


def test_a_full_disk_fails_each_change_and_takes_all_back(
    keeper: Keeper, other: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    keeper.write(said("before"))
    keeper.fail()
    refused = Joined("bob", "attic", NOW)
    keeper.refused[refused] = NameTaken()
    changes: list[Change] = [Joined("bob", "room", NOW), *[said(BIG) for _ in range(5)], refused]
    errors = keeper.write(*changes)
    assert [type(error) for error in errors] == [StoreUnavailable] * 6 + [NameTaken]
    assert keeper.taken_back == changes[5::-1]
    assert other.execute("SELECT text FROM messages").fetchall() == [("before",)]
    assert other.execute("SELECT * FROM memberships").fetchall() == [("alice", "room", NOW, "")]
    assert keeper.history("room") == ["before"]
    for _ in range(3):
        keeper.write(*[said(BIG)] * 2)
    assert keeper.store.failures == 4
    assert caplog.text.count("cannot write") == 1
    assert str(keeper.store.path) in caplog.text
    keeper.recover()
    assert keeper.write(said("after"), said(BIG)) == [None, None]
    assert keeper.history("room") == ["before", "after", BIG]
    assert caplog.text.count("is written again") == 1
    keeper.fail()
    keeper.write(*[said(BIG)] * 5)
    assert caplog.text.count("cannot write") == 2


def test_the_chain_of_messages_is_whole_after_a_failure(keeper: Keeper, path: Path) -> None:
    keeper.write(said("1"), said("a", "attic"))
    keeper.fail(spare=10)
    (error, *_errors) = keeper.write(*[said(BIG), said(BIG, "attic")] * 8)
    assert isinstance(error, StoreUnavailable)
    keeper.recover()
    keeper.write(said("2"), said("b", "attic"), said("3"))
    expected = (["1", "2", "3"], ["a", "b"])
    assert (keeper.history("room"), keeper.history("attic")) == expected
    keeper.store.close()
    again = Keeper(path)
    try:
        assert (again.history("room"), again.history("attic")) == expected
    finally:
        again.store.close()


def test_another_programs_lock_is_a_failure_and_passes(keeper: Keeper, other: sqlite3.Connection) -> None:
    other.execute("BEGIN IMMEDIATE")
    (error,) = keeper.write(said("one"))
    assert isinstance(error, StoreUnavailable)
    other.rollback()
    assert keeper.write(said("two")) == [None]
    assert keeper.history("room") == ["two"]


def test_a_failure_in_the_commit_itself(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything went well up to the last word."""

    class Broken:
        """What writes to the database, but for COMMIT."""

        def __init__(self, db: sqlite3.Cursor) -> None:
            self.db = db

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return self.db.execute(sql, *parameters)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.db, name)

    with monkeypatch.context() as patch:
        patch.setattr(keeper.store, "_writer", Broken(keeper.store._writer))
        (error,) = keeper.write(said("one"))
        assert isinstance(error, StoreUnavailable)
        assert keeper.history("room") == []
    assert keeper.write(said("two")) == [None]
    assert keeper.history("room") == ["two"]


WRITER = textwrap.dedent(
    """
    import os, resource, sys
    sys.path.insert(0, sys.argv[1])
    from domain.changes import *
    from domain.journal import Journal
    from store import Store
    store = Store(sys.argv[2])
    def publish(outcomes):
        for change, error, _done in outcomes:
            os.write(1, f"{change.text[:20].strip()} {type(error).__name__}\\n".encode())
    journal = Journal(store.write, lambda change: None, publish)
    """
)


def test_a_file_that_must_not_grow(path: Path) -> None:
    """The operating system refuses in the middle of a write, as a full disk does."""
    script = WRITER + textwrap.dedent(
        """
        def write(text):
            failures = store.failures
            journal.submit(Said("alice", "room", text.ljust(8000), 1.0), None)
            journal.commit()
            return store.failures == failures
        write("before")
        _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        for number in range(100):
            if not write(f"{number}"):
                break
        write("again")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        write("after")
        os._exit(0)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), str(path)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0
    told = [line.split() for line in done.stdout.splitlines()]
    assert [text for text, error in told if error == "NoneType"][-1] == "after"
    assert [error for _text, error in told].count("StoreUnavailable") == 2
    database = sqlite3.connect(path)
    kept = [text.strip() for (text,) in database.execute("SELECT text FROM messages ORDER BY id")]
    database.close()
    assert kept == [text for text, error in told if error == "NoneType"]


def test_a_killed_writer_loses_nothing_that_it_has_told(path: Path) -> None:
    script = WRITER + textwrap.dedent(
        """
        store.write([ChannelCreated("room", "alice", 1.0)])
        number = 0
        while True:
            for _ in range(3):
                journal.submit(Said("alice", "room", f"{number}", 1.0), None)
                number += 1
            journal.commit()
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(ROOT), str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        told = [process.stdout.readline() for _ in range(300)]
    finally:
        process.kill()
    told += process.stdout.readlines()
    assert process.wait(PATIENCE) == -signal.SIGKILL
    process.stdout.close()
    assert told[0] == b"0 NoneType\n"
    keeper = Keeper(path)
    try:
        kept = keeper.history("room", 1_000_000)
        numbers = [int(line.split()[0]) for line in told if line.endswith(b"\n")]
        assert kept == [str(number) for number in range(len(kept))]
        assert len(kept) > max(numbers)
        keeper.write(said("next"))
        assert keeper.history("room", 2) == [kept[-1], "next"]
    finally:
        keeper.store.close()


# ---- opening ----


def test_memory_keeps_nothing_and_is_not_shared() -> None:
    one, two = Keeper(MEMORY), Keeper(MEMORY)
    one.write(*FURNITURE, said("hello"))
    assert one.history("room") == ["hello"]
    assert two.history("room") == []
    assert list(two.store.load()) == []
    one.store.close()
    two.store.close()
    assert not os.path.exists(MEMORY)


def refusal(path: Path | str) -> str:
    """Why a database cannot be opened, in one line."""
    with pytest.raises(StoreError) as caught:
        Store(str(path))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_database_has_one_server(keeper: Keeper, path: Path, tmp_path: Path) -> None:
    message = refusal(path)
    assert "in use" in message
    assert "--database" in message
    (tmp_path / "link.db").symlink_to(path)
    assert "in use" in refusal(tmp_path / "link.db")
    assert keeper.write(said("still here")) == [None]
    keeper.store.close()
    Store(str(path)).close()


def test_a_database_has_one_server_of_all_processes(path: Path) -> None:
    script = WRITER + "os.write(1, b'open\\n'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(ROOT), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"open\n"
            assert "in use" in refusal(path)
        finally:
            process.kill()
    Store(str(path)).close()


def test_other_programs_may_read(keeper: Keeper, other: sqlite3.Connection) -> None:
    rows = other.execute("SELECT name FROM accounts ORDER BY name").fetchall()
    assert rows == [("alice",), ("bob",)]
    assert keeper.write(said("hello")) == [None]


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes (name)")
    database.close()
    before = path.read_bytes()
    message = refusal(path)
    assert "another program" in message
    assert "--database" in message
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"just a text\n" * 100, b"\0" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "--database" in refusal(path)
    assert path.read_bytes() == content


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nowhere" / "test.db")
    assert "directory" in refusal(tmp_path)


def test_a_newer_schema_is_refused_and_left_alone(keeper: Keeper, path: Path) -> None:
    keeper.store._db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    keeper.store.close()
    message = refusal(path)
    assert "newer" in message
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        assert database.execute("SELECT count(*) FROM accounts").fetchone() == (2,)
    database.close()


def test_a_refused_database_is_free_for_others(path: Path) -> None:
    """Also while somebody still looks at the error."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes (name)")
    database.close()
    with pytest.raises(StoreError) as first:
        Store(str(path))
    with pytest.raises(StoreError, match="another program"):
        Store(str(path))
    assert "another program" in str(first.value)


FIRST_SCHEMA = """
    CREATE TABLE accounts (name TEXT PRIMARY KEY, password_hash BLOB NOT NULL, registered REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE channels (
        name TEXT PRIMARY KEY, creator TEXT NOT NULL, created REAL NOT NULL, last_message INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE memberships (
        account TEXT NOT NULL, channel TEXT NOT NULL, joined REAL NOT NULL, PRIMARY KEY (account, channel)
    ) WITHOUT ROWID;
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY, previous INTEGER,
        sender TEXT NOT NULL, channel TEXT NOT NULL, text TEXT NOT NULL, sent REAL NOT NULL
    );
    CREATE TABLE mail (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sender TEXT NOT NULL, recipient TEXT NOT NULL, text TEXT NOT NULL, sent REAL NOT NULL
    );
    CREATE INDEX mail_by_recipient ON mail (recipient, id);

    INSERT INTO accounts VALUES ('alice', x'00ff', 1.5), ('bob', x'31', 2.5);
    INSERT INTO channels VALUES ('room', 'alice', 3.5, 4), ('attic', 'bob', 4.5, 3), ('empty', 'bob', 4.5, NULL);
    INSERT INTO memberships VALUES ('alice', 'room', 5.5), ('bob', 'room', 6.5), ('bob', 'attic', 6.5);
    INSERT INTO messages VALUES
        (1, NULL, 'alice', 'room', 'one', 7.5), (2, 1, 'bob', 'room', 'two', 8.5),
        (3, NULL, 'bob', 'attic', 'else', 8.5), (4, 2, 'alice', 'room', 'three', 9.5);
    INSERT INTO mail VALUES (7, 'alice', 'bob', 'hi', 10.5), (9, 'alice', 'bob', 'there', 11.5);
    PRAGMA application_id = 1129467731;
    PRAGMA user_version = 1;
"""
"""A database as the first version of the schema has it. Frozen: it is never edited, whatever the schema becomes."""


def columns(database: sqlite3.Connection) -> Any:
    tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    return {
        name: (
            database.execute(
                f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{name}')"
            ).fetchall(),
            database.execute(f"SELECT name, \"unique\" FROM pragma_index_list('{name}') ORDER BY name").fetchall(),
        )
        for (name,) in tables
    }


def test_the_first_schema_is_lifted_to_todays(path: Path, tmp_path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(FIRST_SCHEMA)
    database.close()
    keeper = Keeper(path)
    try:
        assert list(keeper.store.load()) == [
            AccountRegistered("alice", b"\x00\xff", 1.5),
            AccountRegistered("bob", b"1", 2.5),
            ChannelCreated("attic", "bob", 4.5),
            ChannelCreated("empty", "bob", 4.5),
            ChannelCreated("room", "alice", 3.5),
            Joined("alice", "room", 5.5),
            Joined("bob", "attic", 6.5),
            Joined("bob", "room", 6.5),
            Mailed("alice", "bob", "hi", 10.5),
            Mailed("alice", "bob", "there", 11.5),
        ]
        assert keeper.history("room") == ["one", "two", "three"]
        assert keeper.history("empty") == []
        assert keeper.write(said("four"), said("more", "attic"), said("first", "empty")) == [None] * 3
        assert keeper.history("room", 2) == ["three", "four"]
        assert keeper.history("attic") == ["else", "more"]
        assert keeper.history("empty") == ["first"]
        ((last, mail),) = keeper.store.mail("bob")
        assert (last, [message.text for message in mail]) == (9, ["hi", "there"])
        new = Store(str(tmp_path / "new.db"))
        assert columns(keeper.store._db) == columns(new._db)
        assert keeper.store._db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        new.close()
    finally:
        keeper.store.close()


def test_memberships_elsewhere_began_where_their_servers_were_noted_or_nobody_knows_where(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(
        FIRST_SCHEMA
        + "".join(MIGRATIONS[1:3])
        + """
        INSERT INTO hosts VALUES ('two', '127.0.0.2'), ('three', '127.0.0.3'), ('room', '127.0.0.4');
        INSERT INTO memberships VALUES
            ('alice', 'tea:two', 7.5), ('bob', 'tea:two', 7.5), ('bob', 'tea:four', 8.5), ('bob', 'two:four', 8.5);
        PRAGMA user_version = 3;
        """
    )
    database.close()
    keeper = Keeper(path)
    try:
        assert keeper.write(MembershipsDated("four", "127.0.0.5"), MembershipsDated("attic", "127.0.0.6")) == [None] * 2
        assert [change for change in keeper.store.load() if isinstance(change, Joined | PeerNamed)] == [
            Joined("alice", "room", 5.5),
            Joined("alice", "tea:two", 7.5, "127.0.0.2"),
            Joined("bob", "attic", 6.5),
            Joined("bob", "room", 6.5),
            Joined("bob", "tea:four", 8.5, "127.0.0.5"),
            Joined("bob", "tea:two", 7.5, "127.0.0.2"),
            Joined("bob", "two:four", 8.5, "127.0.0.5"),
            PeerNamed("room", "127.0.0.4"),
            PeerNamed("three", "127.0.0.3"),
            PeerNamed("two", "127.0.0.2"),
        ]
        assert keeper.write(MembershipsDated("two", "127.0.0.9")) == [None]
        assert Joined("bob", "tea:two", 7.5, "127.0.0.2") in keeper.store.load()
    finally:
        keeper.store.close()


def test_rows_of_an_account_deleted_by_hand_reach_nobody(path: Path, keeper: Keeper) -> None:
    kept = (
        Joined("bob", "room", NOW),
        Joined("bob", "tea:elsewhere", NOW, "address"),
        Mailed("gone", "bob", "kept", NOW),
    )
    keeper.write(
        *kept,
        AccountRegistered("gone", b"hash", NOW),
        ChannelCreated("removed", "gone", NOW),
        Joined("gone", "room", NOW),
        Joined("gone", "tea:elsewhere", NOW, "address"),
        Joined("bob", "removed", NOW),
        Mailed("bob", "gone", "secret", NOW),
    )
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM accounts WHERE name = 'gone'")
        database.execute("DELETE FROM channels WHERE name = 'removed'")
    keeper.store.remove_orphans()
    assert set(keeper.store.load()) == {*FURNITURE, *kept}
    namesakes = (
        AccountRegistered("gone", b"new", NOW),
        Joined("gone", "room", NOW),
        ChannelCreated("removed", "bob", NOW),
        Joined("bob", "removed", NOW),
        Mailed("bob", "gone", "new", NOW),
    )
    assert keeper.write(*namesakes) == [None] * len(namesakes)
    ((_last, mail),) = keeper.store.mail("gone")
    assert [message.text for message in mail] == ["new"]


def test_orphans_that_cannot_be_removed_end_the_start(keeper: Keeper) -> None:
    keeper.store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot write"):
        keeper.store.remove_orphans()


def test_opening_says_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Store(str(path)).close()
        Store(str(path)).close()
    assert caplog.records == []


# ---- the files ----


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def copy_files(path: Path, directory: Path) -> Path:
    """Give the files as a crash at this moment leaves them, moved to another place."""
    directory.mkdir()
    for file in (path, log_of(path)):
        if file.exists():
            shutil.copy(file, directory)
    return directory / path.name


def put_back(backup: Path, path: Path, way: str) -> None:
    if way == "mv":
        spare = backup.with_suffix(".spare")
        shutil.copy2(backup, spare)
        spare.replace(path)
    else:
        (shutil.copy2 if way == "cp -p" else shutil.copyfile)(backup, path)


class History:
    """A database to which things happen, its backups, and all that was said there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "test.db"
        self.keeper = Keeper(self.path)
        self.keeper.write(*FURNITURE)
        self.said: list[str] = []
        self.backups: list[Path] = []
        self.crashes = 0

    def say(self, count: int = 1, size: int = 1) -> None:
        texts = [f"{len(self.said) + number}".ljust(size) for number in range(count)]
        assert self.keeper.write(*[said(text) for text in texts]) == [None] * count
        self.said += texts

    def say_much(self) -> None:
        """More than the log has room for."""
        self.say(560, len(BIG))

    def back_up(self) -> None:
        self.backups.append(self.directory / f"{len(self.backups)}.backup")
        source, copy = sqlite3.connect(self.path), sqlite3.connect(self.backups[-1])
        source.backup(copy)
        copy.close()
        source.close()

    def restart(self) -> None:
        """Stop, have the file copied, as it may be while nobody uses it, and start."""
        self.keeper.store.close()
        assert not log_of(self.path).exists()
        self.backups.append(self.directory / f"{len(self.backups)}.backup")
        shutil.copy(self.path, self.backups[-1])
        self.keeper = Keeper(self.path)

    def crash(self) -> Path:
        self.crashes += 1
        return copy_files(self.path, self.directory / f"crash {self.crashes}")

    def go_on_elsewhere(self) -> None:
        """Crash, and start again with the files moved."""
        moved = self.crash()
        self.keeper.store.close()
        self.path, self.keeper = moved, Keeper(moved)

    def meddle(self) -> None:
        """Another program writes, moves the log, and shortens the file."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("DELETE FROM mail")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            other.execute("VACUUM")
            other.execute("PRAGMA wal_checkpoint").fetchall()
        self.keeper.store.watch()
        self.say()

    def check_crash(self) -> None:
        """A crash loses nothing that was told."""
        keeper = Keeper(self.crash())
        try:
            assert keeper.history("room", 1_000_000) == self.said
        finally:
            keeper.store.close()

    def check_backups(self, way: str) -> None:
        """No backup is taken for the log's own database, nothing is destroyed, and the remedy works."""
        for backup in self.backups:
            path = self.crash()
            put_back(backup, path, way)
            log, database = log_of(path).read_bytes(), path.read_bytes()
            message = refusal(path)
            assert f"mv {log_of(path)} {log_of(path)}.old" in message
            assert (log_of(path).read_bytes(), path.read_bytes()) == (log, database)
            log_of(path).rename(f"{log_of(path)}.old")
            keeper = Keeper(path)
            try:
                assert keeper.history("room", 1_000_000) == self.said[: len(keeper.history("room", 1_000_000))]
            finally:
                keeper.store.close()


DEEDS = (History.say, History.say, History.say_much, History.back_up, History.restart, History.go_on_elsewhere)


@settings(EXAMPLES, max_examples=8, suppress_health_check=list(HealthCheck))
@given(deeds=st.lists(st.sampled_from(DEEDS), max_size=6), way=st.sampled_from(["cp", "cp -p", "mv"]))
@example(deeds=[History.back_up, History.say], way="cp")
@example(deeds=[History.say, History.restart, History.say], way="cp -p")
@example(deeds=[History.say_much, History.back_up], way="mv")
@example(deeds=[History.back_up, History.say_much, History.say, History.go_on_elsewhere, History.back_up], way="cp")
def test_a_crash_is_survived_and_a_backup_is_not_undone_by_its_log(
    deeds: list[Callable[[History], None]], way: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    history = History(tmp_path_factory.mktemp("history"))
    try:
        for deed in deeds:
            deed(history)
        history.check_crash()
        history.check_backups(way)
    finally:
        history.keeper.store.close()


@pytest.mark.parametrize("deeds", [["meddle"], ["say_much", "meddle", "say_much"], ["meddle", "restart", "meddle"]])
def test_another_program_may_move_the_log(deeds: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """C49."""
    history = History(tmp_path)
    try:
        for deed in deeds:
            getattr(history, deed)()
            history.check_crash()
    finally:
        history.keeper.store.close()
    assert "another program has written" in caplog.text
    assert "cannot write" not in caplog.text


def test_a_backup_that_is_put_back_twice(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.back_up()
    history.say()
    path = history.crash()
    for _ in range(2):
        log_of(path).unlink()
        shutil.copyfile(history.backups[0], path)
        keeper = Keeper(path)
        keeper.write(said("after the restore"))
        path = copy_files(path, path.parent / "again")
        keeper.store.close()
        shutil.copyfile(history.backups[0], path)
        assert "mv" in refusal(path)
    history.keeper.store.close()


@pytest.mark.parametrize("database", [None, b""])
def test_a_log_without_its_database_is_left_alone(database: bytes | None, keeper: Keeper, tmp_path: Path) -> None:
    """C49."""
    path = copy_files(Path(keeper.store.path), tmp_path / "crash")
    path.unlink()
    if database is not None:
        path.write_bytes(database)
    log = log_of(path).read_bytes()
    assert f"mv {log_of(path)} " in refusal(path)
    assert log_of(path).read_bytes() == log
    assert path.exists() == (database is not None)


@pytest.mark.parametrize("content", [b"no log at all", b"\1" * 5000])
def test_a_file_in_the_place_of_the_log_is_left_alone(content: bytes, path: Path) -> None:
    """C49."""
    Keeper(path).store.close()
    log_of(path).write_bytes(content)
    assert "mv" in refusal(path)
    assert log_of(path).read_bytes() == content


@pytest.mark.parametrize("content", [b"", bytes(100_000)])
def test_a_log_with_nothing_in_it_is_no_hindrance(content: bytes, path: Path) -> None:
    Keeper(path).store.close()
    log_of(path).write_bytes(content)
    Keeper(path).store.close()


def test_another_databases_log_is_refused(path: Path, keeper: Keeper, tmp_path: Path) -> None:
    """C49."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "test.db"
    Keeper(other).store.close()
    shutil.copy(log_of(path), log_of(other))
    assert "is not the write-ahead log" in refusal(other)
    with contextlib.closing(sqlite3.connect(tmp_path / "foreign.db", isolation_level=None)) as foreign:
        foreign.execute("PRAGMA journal_mode = WAL")
        foreign.execute("CREATE TABLE stamp (name)")
        shutil.copy(log_of(tmp_path / "foreign.db"), log_of(other))
    assert "was written by another program" in refusal(other)


def rename(*names: str) -> tuple[Callable[[Path], object], Callable[[Path], object]]:
    def away(path: Path) -> None:
        for name in names:
            path.with_name(name).rename(path.with_name(f"{name}.away"))

    def back(path: Path) -> None:
        for name in names:
            path.with_name(f"{name}.away").replace(path.with_name(name))

    return away, back


def replace(name: str) -> tuple[Callable[[Path], object], Callable[[Path], object]]:
    away, back = rename(name)

    def exchange(path: Path) -> None:
        away(path)
        shutil.copy2(path.with_name(f"{name}.away"), path.with_name(name))

    return exchange, back


def link_away(name: str) -> tuple[Callable[[Path], object], Callable[[Path], object]]:
    away, back = rename(name)

    def exchange(path: Path) -> None:
        away(path)
        path.with_name(name).symlink_to(f"{name}.away")

    return exchange, back


LOSSES = {
    "database moved": rename("test.db"),
    "log moved": rename("test.db-wal"),
    "both moved": rename("test.db", "test.db-wal"),
    "database replaced": replace("test.db"),
    "log replaced": replace("test.db-wal"),
    "database moved behind a link": link_away("test.db"),
    "directory moved": (
        lambda path: path.parent.rename(f"{path.parent}.away"),
        lambda path: path.parent.with_name(f"{path.parent.name}.away").rename(path.parent),
    ),
}
"""What can happen to the files under a server that runs, and how it is undone."""


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_confirmed_while_the_files_are_away(
    loss: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """C48."""
    (tmp_path / "place").mkdir()
    path = tmp_path / "place" / "test.db"
    lose, undo = LOSSES[loss]
    keeper = Keeper(path)
    keeper.write(*FURNITURE, said("before"))
    for by_itself in (False, True):
        caplog.clear()
        lose(path)
        if by_itself:
            keeper.store.watch()
        for _ in range(2):
            (error,) = keeper.write(said("lost"))
            assert isinstance(error, StoreUnavailable)
            keeper.store.watch()
        assert caplog.text.count("cannot write") == 1
        undo(path)
        if by_itself:
            keeper.store.watch()
        assert keeper.write(said("after")) == [None]
        assert caplog.text.count("written again") == 1
    assert keeper.history("room") == ["before", "after", "after"]
    lose(path)
    keeper.store.close()
    undo(path)
    again = Keeper(path)
    assert again.history("room") == ["before", "after", "after"]
    again.store.close()


def test_the_log_of_a_removed_database_is_kept(path: Path) -> None:
    """C48."""
    keeper = Keeper(path)
    keeper.write(*FURNITURE)
    keeper.write(said("only in the log"))
    log = log_of(path).read_bytes()
    path.unlink()
    assert isinstance(keeper.write(said("lost"))[0], StoreUnavailable)
    keeper.store.close()
    assert log_of(path).read_bytes() == log
    assert f"mv {log_of(path)} " in refusal(path)


@pytest.mark.parametrize("length", [0, 32, 5000])
def test_a_log_that_is_cut_off_harms_the_database_no_further(length: int, path: Path) -> None:
    keeper = Keeper(path)
    keeper.write(*FURNITURE, said("one"))
    keeper.store.close()
    keeper = Keeper(path)
    keeper.write(said("cut off"))
    os.truncate(log_of(path), length)
    database = path.read_bytes()
    for _ in range(2):
        assert isinstance(keeper.write(said("lost"))[0], StoreUnavailable)
        keeper.store.watch()
    keeper.store.close()
    assert path.read_bytes() == database
    again = Keeper(copy_files(path, path.parent / "crash"))
    assert again.history("room") == ["one"]
    again.store.close()


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_a_log_that_another_program_has_moved_is_not_cut_off(mode: str, keeper: Keeper, path: Path) -> None:
    for text in ("one", "two", "three"):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(f"PRAGMA wal_checkpoint({mode})")
        assert keeper.write(said(text)) == [None]
        keeper.store.watch()
    assert keeper.history("room") == ["one", "two", "three"]


def test_what_a_removed_log_had_is_in_the_database(path: Path) -> None:
    keeper = Keeper(path)
    keeper.write(*FURNITURE)
    keeper.write(said("only in the log"))
    log_of(path).unlink()
    keeper.store.watch()
    keeper.store.close()
    again = Keeper(copy_files(path, path.parent / "crash"))
    assert again.history("room") == ["only in the log"]
    again.store.close()


def test_a_database_that_is_written_over_is_not_written_to(path: Path, tmp_path: Path) -> None:
    """C48."""
    keeper = Keeper(path)
    keeper.write(*FURNITURE)
    other = Keeper(tmp_path / "other.db")
    other.write(*FURNITURE, said("other"))
    other.store.close()
    keeper.write(said("one"))
    shutil.copyfile(tmp_path / "other.db", path)
    log, database = log_of(path).read_bytes(), path.read_bytes()
    assert isinstance(keeper.write(said("two"))[0], StoreUnavailable)
    keeper.store.close()
    assert (log_of(path).read_bytes(), path.read_bytes()) == (log, database)
    assert "mv" in refusal(path)


def test_a_reader_that_holds_the_log_is_told_once(
    path: Path, keeper: Keeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("write_ahead_log.HELD_LOG_SIZE", LOG_SIZE)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM accounts").fetchall()
        for _ in range(5):
            keeper.write(*[said(BIG)] * 200)
            keeper.store.watch()
        size = log_of(path).stat().st_size
        assert size > LOG_SIZE
        assert re.findall(r"the write-ahead log has \d+ bytes and cannot be emptied", caplog.text) != []
        assert len(caplog.records) == 1
        moved = copy_files(path, path.parent / "crash")
    again = Keeper(moved)
    assert again.history("room", 10_000) == [BIG] * 1000
    again.store.close()
    keeper.store.watch()
    assert f"the write-ahead log, of {size} bytes at last, has been emptied" in caplog.text
    assert log_of(path).stat().st_size == LOG_SIZE
    keeper.store.watch()
    assert len(caplog.records) == 2


def test_the_log_does_not_keep_its_peak_size(path: Path, keeper: Keeper) -> None:
    keeper.write(*[said(BIG)] * 2000)
    assert log_of(path).stat().st_size > LOG_SIZE
    keeper.store.watch()
    assert log_of(path).stat().st_size == LOG_SIZE


@pytest.mark.parametrize(
    "name", ["file:x.db", "file:x.db?mode=memory", "file::memory:", "./:memory:", "x y.db", "\u00fc.db"]
)
def test_a_path_is_taken_literally(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keeper = Keeper(name)
    keeper.write(*FURNITURE)
    here = os.path.basename(name)
    assert {path.name for path in tmp_path.iterdir()} == {here, f"{here}-wal", f"{here}-shm"}
    keeper.store.close()
    assert [path.name for path in tmp_path.iterdir()] == [here]


def test_a_link_leads_to_the_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "x.db")
    keeper = Keeper(tmp_path / "link.db")
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link.db"}
    assert {path.name for path in (tmp_path / "real").iterdir()} == {"x.db", "x.db-wal", "x.db-shm"}
    keeper.store.close()


def test_a_link_in_the_place_of_a_database_does_not_hide_its_log(path: Path, tmp_path: Path) -> None:
    keeper = Keeper(path)
    keeper.write(*FURNITURE, said("only in the log"))
    crashed = copy_files(path, tmp_path / "crash")
    keeper.store.close()
    crashed.rename(tmp_path / "crash" / "away.db")
    crashed.symlink_to("away.db")
    assert f"mv {log_of(crashed)} " in refusal(crashed)
    crashed.unlink()
    (tmp_path / "crash" / "away.db").rename(crashed)
    again = Keeper(crashed)
    assert again.history("room") == ["only in the log"]
    again.store.close()


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    os.mkfifo(tmp_path / "x.db-wal")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "socket"))
    for path in (tmp_path / "fifo", tmp_path / "x.db", tmp_path / "socket", "/dev/null", "/dev/zero"):
        assert "not a regular file" in refusal(path)
    assert not (tmp_path / "x.db").exists()
    for name in ("nul\0.db", "surrogate\ud800.db"):
        with pytest.raises(StoreError, match="cannot open the database"):
            Store(str(tmp_path / name))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o666])
def test_a_database_that_others_can_read_is_told_of(mode: int, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    umask = os.umask(0)
    try:
        Store(str(path)).close()
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(mode)
        store = Store(str(path))
        assert log_of(path).stat().st_mode & 0o777 == mode
        store.close()
    finally:
        os.umask(umask)
    assert [f"chmod 600 {path}" in record.getMessage() for record in caplog.records] == [True] * (mode != 0o600)


def test_the_start_waits_for_another_program(path: Path) -> None:
    Keeper(path).store.close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.1, other.close)
    release.start()
    Store(str(path)).close()
    release.join()


def test_a_full_disk_is_called_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_arguments: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
        raise error

    monkeypatch.setattr(store_module, "WriteAheadLog", fail)
    assert "disk I/O error" in refusal(path)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert "No space left on device" in refusal(path)
