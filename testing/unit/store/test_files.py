"""database_files.py and write_ahead_log.py: files that are moved, restored, replaced or cut off."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import store as store_module
from database_files import LOG_SIZE
from domain.errors import StoreUnavailable
from store import (
    Store,
    StoreError,
)
from support.examples import EXAMPLES
from support.journaled_store import BIG, INITIAL, JournaledStore, refusal, said


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def copy_files(path: Path, directory: Path) -> Path:
    """Return the files as a crash at this moment leaves them, moved to another place."""
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
        self.journaled = JournaledStore(self.path)
        self.journaled.write(*INITIAL)
        self.said: list[str] = []
        self.backups: list[Path] = []
        self.crashes = 0

    def say(self, count: int = 1, size: int = 1) -> None:
        texts = [f"{len(self.said) + number}".ljust(size) for number in range(count)]
        assert self.journaled.write(*[said(text) for text in texts]) == [None] * count
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
        self.journaled.store.close()
        assert not log_of(self.path).exists()
        self.backups.append(self.directory / f"{len(self.backups)}.backup")
        shutil.copy(self.path, self.backups[-1])
        self.journaled = JournaledStore(self.path)

    def crash(self) -> Path:
        self.crashes += 1
        return copy_files(self.path, self.directory / f"crash {self.crashes}")

    def go_on_elsewhere(self) -> None:
        """Crash, and start again with the files moved."""
        moved = self.crash()
        self.journaled.store.close()
        self.path, self.journaled = moved, JournaledStore(moved)

    def meddle(self) -> None:
        """Another program writes, moves the log, and shortens the file."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("DELETE FROM mail")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            other.execute("VACUUM")
            other.execute("PRAGMA wal_checkpoint").fetchall()
        self.journaled.store.watch()
        self.say()

    def check_crash(self) -> None:
        """A crash loses nothing that was told."""
        journaled = JournaledStore(self.crash())
        try:
            assert journaled.history("room", 1_000_000) == self.said
        finally:
            journaled.store.close()

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
            journaled = JournaledStore(path)
            try:
                assert journaled.history("room", 1_000_000) == self.said[: len(journaled.history("room", 1_000_000))]
            finally:
                journaled.store.close()


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
        history.journaled.store.close()


@pytest.mark.parametrize("deeds", [["meddle"], ["say_much", "meddle", "say_much"], ["meddle", "restart", "meddle"]])
def test_another_program_may_move_the_log(deeds: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """C49."""
    history = History(tmp_path)
    try:
        for deed in deeds:
            getattr(history, deed)()
            history.check_crash()
    finally:
        history.journaled.store.close()
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
        journaled = JournaledStore(path)
        journaled.write(said("after the restore"))
        path = copy_files(path, path.parent / "again")
        journaled.store.close()
        shutil.copyfile(history.backups[0], path)
        assert "mv" in refusal(path)
    history.journaled.store.close()


@pytest.mark.parametrize("database", [None, b""])
def test_a_log_without_its_database_is_left_alone(
    database: bytes | None, journaled: JournaledStore, tmp_path: Path
) -> None:
    """C49."""
    path = copy_files(Path(journaled.store.path), tmp_path / "crash")
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
    JournaledStore(path).store.close()
    log_of(path).write_bytes(content)
    assert "mv" in refusal(path)
    assert log_of(path).read_bytes() == content


@pytest.mark.parametrize("content", [b"", bytes(100_000)])
def test_a_log_with_nothing_in_it_is_no_hindrance(content: bytes, path: Path) -> None:
    JournaledStore(path).store.close()
    log_of(path).write_bytes(content)
    JournaledStore(path).store.close()


def test_another_databases_log_is_refused(path: Path, journaled: JournaledStore, tmp_path: Path) -> None:
    """C49."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "test.db"
    JournaledStore(other).store.close()
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
    journaled = JournaledStore(path)
    journaled.write(*INITIAL, said("before"))
    for by_itself in (False, True):
        caplog.clear()
        lose(path)
        if by_itself:
            journaled.store.watch()
        for _ in range(2):
            (error,) = journaled.write(said("lost"))
            assert isinstance(error, StoreUnavailable)
            journaled.store.watch()
        assert caplog.text.count("cannot write") == 1
        undo(path)
        if by_itself:
            journaled.store.watch()
        assert journaled.write(said("after")) == [None]
        assert caplog.text.count("written again") == 1
    assert journaled.history("room") == ["before", "after", "after"]
    lose(path)
    journaled.store.close()
    undo(path)
    again = JournaledStore(path)
    assert again.history("room") == ["before", "after", "after"]
    again.store.close()


def test_the_log_of_a_removed_database_is_kept(path: Path) -> None:
    """C48."""
    journaled = JournaledStore(path)
    journaled.write(*INITIAL)
    journaled.write(said("only in the log"))
    log = log_of(path).read_bytes()
    path.unlink()
    assert isinstance(journaled.write(said("lost"))[0], StoreUnavailable)
    journaled.store.close()
    assert log_of(path).read_bytes() == log
    assert f"mv {log_of(path)} " in refusal(path)


@pytest.mark.parametrize("length", [0, 32, 5000])
def test_a_log_that_is_cut_off_harms_the_database_no_further(length: int, path: Path) -> None:
    journaled = JournaledStore(path)
    journaled.write(*INITIAL, said("one"))
    journaled.store.close()
    journaled = JournaledStore(path)
    journaled.write(said("cut off"))
    os.truncate(log_of(path), length)
    database = path.read_bytes()
    for _ in range(2):
        assert isinstance(journaled.write(said("lost"))[0], StoreUnavailable)
        journaled.store.watch()
    journaled.store.close()
    assert path.read_bytes() == database
    again = JournaledStore(copy_files(path, path.parent / "crash"))
    assert again.history("room") == ["one"]
    again.store.close()


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_a_log_that_another_program_has_moved_is_not_cut_off(mode: str, journaled: JournaledStore, path: Path) -> None:
    for text in ("one", "two", "three"):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(f"PRAGMA wal_checkpoint({mode})")
        assert journaled.write(said(text)) == [None]
        journaled.store.watch()
    assert journaled.history("room") == ["one", "two", "three"]


def test_what_a_removed_log_had_is_in_the_database(path: Path) -> None:
    journaled = JournaledStore(path)
    journaled.write(*INITIAL)
    journaled.write(said("only in the log"))
    log_of(path).unlink()
    journaled.store.watch()
    journaled.store.close()
    again = JournaledStore(copy_files(path, path.parent / "crash"))
    assert again.history("room") == ["only in the log"]
    again.store.close()


def test_a_database_that_is_written_over_is_not_written_to(path: Path, tmp_path: Path) -> None:
    """C48."""
    journaled = JournaledStore(path)
    journaled.write(*INITIAL)
    other = JournaledStore(tmp_path / "other.db")
    other.write(*INITIAL, said("other"))
    other.store.close()
    journaled.write(said("one"))
    shutil.copyfile(tmp_path / "other.db", path)
    log, database = log_of(path).read_bytes(), path.read_bytes()
    assert isinstance(journaled.write(said("two"))[0], StoreUnavailable)
    journaled.store.close()
    assert (log_of(path).read_bytes(), path.read_bytes()) == (log, database)
    assert "mv" in refusal(path)


def test_a_reader_that_holds_the_log_is_told_once(
    path: Path, journaled: JournaledStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("write_ahead_log.HELD_LOG_SIZE", LOG_SIZE)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM accounts").fetchall()
        for _ in range(5):
            journaled.write(*[said(BIG) for _ in range(200)])
            journaled.store.watch()
        size = log_of(path).stat().st_size
        assert size > LOG_SIZE
        assert re.findall(r"the write-ahead log has \d+ bytes and cannot be emptied", caplog.text) != []
        assert len(caplog.records) == 1
        moved = copy_files(path, path.parent / "crash")
    again = JournaledStore(moved)
    assert again.history("room", 10_000) == [BIG] * 1000
    again.store.close()
    journaled.store.watch()
    assert f"the write-ahead log, of {size} bytes at last, has been emptied" in caplog.text
    assert log_of(path).stat().st_size == LOG_SIZE
    journaled.store.watch()
    assert len(caplog.records) == 2


def test_the_log_does_not_keep_its_peak_size(path: Path, journaled: JournaledStore) -> None:
    journaled.write(*[said(BIG) for _ in range(2000)])
    assert log_of(path).stat().st_size > LOG_SIZE
    journaled.store.watch()
    assert log_of(path).stat().st_size == LOG_SIZE


@pytest.mark.parametrize(
    "name", ["file:x.db", "file:x.db?mode=memory", "file::memory:", "./:memory:", "x y.db", "\u00fc.db"]
)
def test_a_path_is_taken_literally(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journaled = JournaledStore(name)
    journaled.write(*INITIAL)
    here = os.path.basename(name)
    assert {path.name for path in tmp_path.iterdir()} == {here, f"{here}-wal", f"{here}-shm"}
    journaled.store.close()
    assert [path.name for path in tmp_path.iterdir()] == [here]


def test_a_link_leads_to_the_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "x.db")
    journaled = JournaledStore(tmp_path / "link.db")
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link.db"}
    assert {path.name for path in (tmp_path / "real").iterdir()} == {"x.db", "x.db-wal", "x.db-shm"}
    journaled.store.close()


def test_a_link_in_the_place_of_a_database_does_not_hide_its_log(path: Path, tmp_path: Path) -> None:
    journaled = JournaledStore(path)
    journaled.write(*INITIAL, said("only in the log"))
    crashed = copy_files(path, tmp_path / "crash")
    journaled.store.close()
    crashed.rename(tmp_path / "crash" / "away.db")
    crashed.symlink_to("away.db")
    assert f"mv {log_of(crashed)} " in refusal(crashed)
    crashed.unlink()
    (tmp_path / "crash" / "away.db").rename(crashed)
    again = JournaledStore(crashed)
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
    JournaledStore(path).store.close()
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
