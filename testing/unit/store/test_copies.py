"""A cluster's copies of the database: their position, their digest, and how one takes the place of another."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from database_copies import Position, position_in
from domain.changes import AccountRegistered, Change, ChannelCreated, Joined, MailboxOpened, Mailed, PeerNamed, Said
from store import Store, StoreError

CHANGES: tuple[Change, ...] = (
    AccountRegistered("ann", b"hash", 1.0),
    MailboxOpened("zoe", "zoe123", 2.0),
    ChannelCreated("garden", "ann", 3.0),
    Joined("ann", "garden", 4.0),
    Said("ann", "garden", "hi", 5.0, 1),
    Mailed("ann", "zoe", "psst", 6.0),
    PeerNamed("two.example", "127.0.0.2"),
)


def copy(path: Path) -> Store:
    return Store(str(path), is_copy=True)


def test_a_new_file_has_no_position_and_no_digest(tmp_path: Path) -> None:
    store = copy(tmp_path / "a.db")
    assert (store.position, store.digest()) == (Position(), "")
    store.close()


def test_changes_and_position_come_together(tmp_path: Path) -> None:
    store = copy(tmp_path / "a.db")
    assert store.replicate(CHANGES, Position(7, "run", "digest", "created"))
    store.close()
    again = copy(tmp_path / "a.db")
    assert again.position == Position(7, "run", "digest", "created")
    assert again.safe == 7, "an open file has been synced"
    again.close()
    assert position_in(str(tmp_path / "a.db")) == Position(7, "run", "digest", "created")


def in_file(path: Path) -> tuple[Position, int]:
    """Return the position and the number of messages that another program sees."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        (count,) = other.execute("SELECT count(*) FROM messages").fetchone()
    return position_in(str(path)), count


def test_what_is_prepared_is_written_by_the_commit(tmp_path: Path) -> None:
    path, first, second = tmp_path / "a.db", Position(7), Position(8)
    store = copy(path)
    store.replicate(CHANGES, first)
    assert store.prepare([Said("ann", "garden", "later", 7.0, 2)], second)
    assert (store.position, in_file(path)) == (first, (first, 1))
    assert store.commit()
    assert (store.position, in_file(path)) == (second, (second, 2))
    store.close()


def test_a_close_drops_what_is_prepared(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = copy(path)
    store.replicate(CHANGES, Position(7))
    assert store.prepare([Said("ann", "garden", "undecided", 7.0, 2)], Position(8))
    store.close()
    assert in_file(path) == (Position(7), 1)
    again = copy(path)
    assert again.replicate([Said("ann", "garden", "another", 8.0, 2)], Position(8))
    assert [each.text for page in again.history("garden", 9)[1] for each in page] == ["hi", "another"]
    again.close()


def test_a_disk_that_refuses_what_is_prepared_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = copy(path)
    store.replicate(CHANGES, Position(7))
    store._db.execute("PRAGMA query_only = 1")
    later = Said("ann", "garden", "later", 7.0, 2)
    assert not store.prepare([later], Position(8))
    store._db.execute("PRAGMA query_only = 0")
    assert in_file(path) == (Position(7), 1)
    assert store.replicate([later], Position(8))
    assert in_file(path) == (Position(8), 2)
    store.close()


def test_the_digest_is_that_of_the_data(tmp_path: Path) -> None:
    single, other = Store(str(tmp_path / "a.db")), copy(tmp_path / "b.db")
    digests = set()
    for number, change in enumerate(CHANGES):
        single.write([change])
        other.replicate([change], Position(number))
        assert single.digest() == other.digest()
        digests.add(single.digest())
    assert len(digests) == len(CHANGES), "each kind of change counts"
    single.close()
    other.close()


def test_a_copy_takes_the_place_of_a_file(tmp_path: Path) -> None:
    giver, taker = copy(tmp_path / "giver.db"), copy(tmp_path / "taker.db")
    giver.replicate(CHANGES, Position(7))
    taker.replicate([Said("bob", "attic", "old", 1.0, 1)], Position(1))
    giver.copy_into(str(tmp_path / "copy.db"))
    giver.replicate([Said("ann", "garden", "later", 7.0, 2)], Position(8))
    taker.replace(str(tmp_path / "copy.db"))
    again = copy(tmp_path / "taker.db")
    assert again.position == Position(7)
    assert again.last_number == 1
    assert [each.text for page in again.history("garden", 9)[1] for each in page] == ["hi"]
    again.close()
    giver.close()
    assert sorted(os.listdir(tmp_path)) == ["giver.db", "taker.db"]


def test_a_file_that_is_no_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database at all, but long enough to look like one " * 10)
    with pytest.raises(StoreError, match="is no database of a cluster"):
        position_in(str(tmp_path / "x.db"))


def test_a_copy_cannot_go_its_own_way(tmp_path: Path) -> None:
    store = copy(tmp_path / "a.db")
    store.replicate(CHANGES, Position(7))
    store.close()
    with pytest.raises(StoreError, match="is a cluster's copy: start it as a node of that cluster"):
        Store(str(tmp_path / "a.db"))


def test_a_copy_can_leave_its_cluster(tmp_path: Path) -> None:
    store = copy(tmp_path / "a.db")
    store.replicate(CHANGES, Position(7))
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as other, other:
        other.execute("DELETE FROM position")
    alone = Store(str(tmp_path / "a.db"))
    assert len(list(alone.load())) == 6
    alone.close()
