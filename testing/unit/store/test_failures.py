"""store.py: disks that refuse, and writers that are killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from domain.changes import (
    Change,
    Joined,
)
from domain.errors import NameTaken, StoreUnavailable
from harness.peer import PATIENCE
from harness.processes import ROOT
from support.journaled_store import BIG, NOW, WRITER, JournaledStore, said


def test_a_full_disk_fails_each_change_and_takes_all_back(
    journaled: JournaledStore, other: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    journaled.write(said("before"))
    journaled.fail()
    refused = Joined("bob", "attic", NOW)
    journaled.refused[refused] = NameTaken()
    changes: list[Change] = [Joined("bob", "room", NOW), *[said(BIG) for _ in range(5)], refused]
    errors = journaled.write(*changes)
    assert [type(error) for error in errors] == [StoreUnavailable] * 6 + [NameTaken]
    assert journaled.taken_back == changes[5::-1]
    assert other.execute("SELECT text FROM messages").fetchall() == [("before",)]
    assert other.execute("SELECT * FROM memberships").fetchall() == [("alice", "room", NOW, "", 0, 0, 0.0)]
    assert journaled.history("room") == ["before"]
    for _ in range(3):
        journaled.write(*[said(BIG) for _ in range(2)])
    assert journaled.store.failures == 4
    assert caplog.text.count("cannot write") == 1
    assert str(journaled.store.path) in caplog.text
    journaled.recover()
    assert journaled.write(said("after"), said(BIG)) == [None, None]
    assert journaled.history("room") == ["before", "after", BIG]
    assert caplog.text.count("is written again") == 1
    journaled.fail()
    journaled.write(*[said(BIG) for _ in range(5)])
    assert caplog.text.count("cannot write") == 2


def test_the_chain_of_messages_is_whole_after_a_failure(journaled: JournaledStore, path: Path) -> None:
    journaled.write(said("1"), said("a", "attic"))
    newest = journaled.store.last_number
    journaled.fail(spare=10)
    (error, *_errors) = journaled.write(*[said(BIG, channel) for _ in range(8) for channel in ("room", "attic")])
    assert isinstance(error, StoreUnavailable)
    assert journaled.store.last_number == newest
    journaled.recover()
    journaled.write(said("2"), said("b", "attic"), said("3"))
    expected = (["1", "2", "3"], ["a", "b"])
    assert (journaled.history("room"), journaled.history("attic")) == expected
    journaled.store.close()
    again = JournaledStore(path)
    try:
        assert (again.history("room"), again.history("attic")) == expected
    finally:
        again.store.close()


def test_another_programs_lock_is_a_failure_and_passes(journaled: JournaledStore, other: sqlite3.Connection) -> None:
    other.execute("BEGIN IMMEDIATE")
    (error,) = journaled.write(said("one"))
    assert isinstance(error, StoreUnavailable)
    other.rollback()
    assert journaled.write(said("two")) == [None]
    assert journaled.history("room") == ["two"]


def test_a_failure_in_the_commit_itself(journaled: JournaledStore, monkeypatch: pytest.MonkeyPatch) -> None:
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
        patch.setattr(journaled.store, "_writer", Broken(journaled.store._writer))
        (error,) = journaled.write(said("one"))
        assert isinstance(error, StoreUnavailable)
        assert journaled.history("room") == []
    assert journaled.write(said("two")) == [None]
    assert journaled.history("room") == ["two"]


def test_a_file_that_must_not_grow(path: Path) -> None:
    """The operating system refuses in the middle of a write, as a full disk does."""
    script = WRITER + textwrap.dedent(
        """
        numbers = itertools.count(1)
        def write(text):
            failures = store.failures
            journal.submit(Said("alice", "room", text.ljust(8000), 1.0, next(numbers)), None)
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
                journal.submit(Said("alice", "room", f"{number}", 1.0, number + 1), None)
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
    journaled = JournaledStore(path)
    try:
        kept = journaled.history("room", 1_000_000)
        numbers = [int(line.split()[0]) for line in told if line.endswith(b"\n")]
        assert kept == [str(number) for number in range(len(kept))]
        assert len(kept) > max(numbers)
        journaled.write(said("next")._replace(number=journaled.store.last_number + 1))
        assert journaled.history("room", 2) == [kept[-1], "next"]
    finally:
        journaled.store.close()
