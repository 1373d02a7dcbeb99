"""store.py: databases that are opened, lifted to today's schema, or refused."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from database_schema import MIGRATIONS
from domain.changes import (
    AccountRegistered,
    ChannelCreated,
    Joined,
    Mailed,
    MembershipsDated,
    PeerNamed,
)
from harness.processes import ROOT
from store import (
    MEMORY,
    Store,
    StoreError,
)
from support.journaled_store import INITIAL, NOW, WRITER, JournaledStore, refusal, said


def test_memory_keeps_nothing_and_is_not_shared() -> None:
    one, two = JournaledStore(MEMORY), JournaledStore(MEMORY)
    one.write(*INITIAL, said("hello"))
    assert one.history("room") == ["hello"]
    assert two.history("room") == []
    assert list(two.store.load()) == []
    one.store.close()
    two.store.close()
    assert not os.path.exists(MEMORY)


def test_a_database_has_one_server(journaled: JournaledStore, path: Path, tmp_path: Path) -> None:
    message = refusal(path)
    assert "in use" in message
    assert "--database" in message
    (tmp_path / "link.db").symlink_to(path)
    assert "in use" in refusal(tmp_path / "link.db")
    assert journaled.write(said("still here")) == [None]
    journaled.store.close()
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


def test_other_programs_may_read(journaled: JournaledStore, other: sqlite3.Connection) -> None:
    rows = other.execute("SELECT name FROM accounts ORDER BY name").fetchall()
    assert rows == [("alice",), ("bob",)]
    assert journaled.write(said("hello")) == [None]


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


def test_a_newer_schema_is_refused_and_left_alone(journaled: JournaledStore, path: Path) -> None:
    journaled.store._db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    journaled.store.close()
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
    journaled = JournaledStore(path)
    try:
        assert list(journaled.store.load()) == [
            AccountRegistered("alice", b"\x00\xff", 1.5),
            AccountRegistered("bob", b"1", 2.5),
            ChannelCreated("attic", "bob", 4.5),
            ChannelCreated("empty", "bob", 4.5),
            ChannelCreated("room", "alice", 3.5),
            Joined("alice", "room", 5.5, "", 4),
            Joined("bob", "attic", 6.5, "", 4),
            Joined("bob", "room", 6.5, "", 4),
            Mailed("alice", "bob", "hi", 10.5),
            Mailed("alice", "bob", "there", 11.5),
        ]
        assert journaled.history("room") == ["one", "two", "three"]
        assert journaled.history("empty") == []
        counts = [journaled.store._history.count("room", number) for number in range(6)]
        assert counts == [0, 1, 2, 2, 3, 3]
        assert journaled.write(said("four"), said("more", "attic"), said("first", "empty")) == [None] * 3
        assert journaled.history("room", 2) == ["three", "four"]
        assert journaled.history("attic") == ["else", "more"]
        assert journaled.history("empty") == ["first"]
        ((last, mail),) = journaled.store.mail("bob")
        assert (last, [message.text for message in mail]) == (9, ["hi", "there"])
        new = Store(str(tmp_path / "new.db"))
        assert columns(journaled.store._db) == columns(new._db)
        assert journaled.store._db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        new.close()
    finally:
        journaled.store.close()


def test_a_long_history_of_an_older_schema_is_read_in_pages(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(FIRST_SCHEMA + "DELETE FROM messages; UPDATE channels SET last_message = NULL;")
    previous: dict[str, int] = {}
    for number in range(1, 400):
        channel = "attic" if number % 5 else "room"
        row = (number, previous.get(channel), "bob", channel, str(number), 1.5)
        database.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
        previous[channel] = number
    database.commit()
    database.close()
    store = Store(str(path))
    try:
        for channel, numbers in (
            ("attic", [n for n in range(1, 400) if n % 5]),
            ("room", [n for n in range(1, 400) if not n % 5]),
        ):
            for before in (3, 177, 399, 500):
                found, pages = store.history(channel, 50, before)
                expected = [number for number in numbers if number < before][-50:]
                assert [message.number for page in pages for message in page] == expected
                assert found == len(expected)
        assert {change.seen for change in store.load() if isinstance(change, Joined)} == {399}
    finally:
        store.close()


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
    journaled = JournaledStore(path)
    try:
        assert (
            journaled.write(MembershipsDated("four", "127.0.0.5"), MembershipsDated("attic", "127.0.0.6")) == [None] * 2
        )
        assert [change for change in journaled.store.load() if isinstance(change, Joined | PeerNamed)] == [
            Joined("alice", "room", 5.5, "", 4),
            Joined("alice", "tea:two", 7.5, "127.0.0.2"),
            Joined("bob", "attic", 6.5, "", 4),
            Joined("bob", "room", 6.5, "", 4),
            Joined("bob", "tea:four", 8.5, "127.0.0.5"),
            Joined("bob", "tea:two", 7.5, "127.0.0.2"),
            Joined("bob", "two:four", 8.5, "127.0.0.5"),
            PeerNamed("room", "127.0.0.4"),
            PeerNamed("three", "127.0.0.3"),
            PeerNamed("two", "127.0.0.2"),
        ]
        assert journaled.write(MembershipsDated("two", "127.0.0.9")) == [None]
        assert Joined("bob", "tea:two", 7.5, "127.0.0.2") in journaled.store.load()
    finally:
        journaled.store.close()


def test_rows_of_an_account_deleted_by_hand_reach_nobody(path: Path, journaled: JournaledStore) -> None:
    kept = (
        Joined("bob", "room", NOW),
        Joined("bob", "tea:elsewhere", NOW, "address"),
        Mailed("gone", "bob", "kept", NOW),
    )
    journaled.write(
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
    journaled.store.remove_orphans()
    assert set(journaled.store.load()) == {*INITIAL, *kept}
    namesakes = (
        AccountRegistered("gone", b"new", NOW),
        Joined("gone", "room", NOW),
        ChannelCreated("removed", "bob", NOW),
        Joined("bob", "removed", NOW),
        Mailed("bob", "gone", "new", NOW),
    )
    assert journaled.write(*namesakes) == [None] * len(namesakes)
    ((_last, mail),) = journaled.store.mail("gone")
    assert [message.text for message in mail] == ["new"]


def test_orphans_that_cannot_be_removed_end_the_start(journaled: JournaledStore) -> None:
    journaled.store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot write"):
        journaled.store.remove_orphans()


def test_opening_says_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Store(str(path)).close()
        Store(str(path)).close()
    assert caplog.records == []
