"""The durable state in SQLite.

All SQL is here and in the modules of the same layer: `change_records`, `channel_records`, `message_history`,
`stored_messages`, `write_ahead_log` and `database_schema`, `database_copies`, `database_damage`.

`Store.write` takes a batch of changes that the journal has decided (domain/journal.py) and writes them in one
transaction. When it returns True, they survive `kill -9` and a power cut (WAL, synchronous=FULL). When it returns
False, none of them is written, and the next batch tries again.

Checkpoints of the write-ahead log are made by write_ahead_log.py alone, never by SQLite itself.

In a cluster the file is a copy of a replicated log (replica/log.py): `Store.replicate` writes changes and the position
in that log in one transaction. The log is the durable one then, so commits are not synced (synchronous=NORMAL).
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import channel_records
from change_records import MARKING, OF_MESSAGES, RECORD, STEPS, loaded_changes
from database_copies import RECORD_POSITION, Position, digest_of, position_of
from database_damage import check_pages, remedy_for
from database_files import (
    LOG_SIZE,
    DatabaseFiles,
    FilesLost,
    why_the_disk_refuses,
)
from database_files import StoreError as StoreError
from database_schema import MIGRATIONS, STAMP_TABLE, check_owner, migrate
from domain.changes import Change, Joined, Said, Seen
from message_history import MessageHistory
from stored_messages import StoredMessages
from write_ahead_log import WriteAheadLog

MEMORY = ":memory:"
"""The path of a database that keeps nothing."""

START_SECONDS = 5.0
"""How long the start waits for another program that is writing to the database."""

BUSY_SECONDS = 0.01
"""How long a commit waits for it."""

COPY_BUSY_SECONDS = 5.0
"""How long a commit waits in a cluster, where a failed one makes a leader step down."""

REMOVE_ORPHANS = (
    "DELETE FROM mail WHERE recipient NOT IN (SELECT name FROM accounts)",
    "DELETE FROM memberships WHERE account NOT IN (SELECT name FROM accounts)"
    " OR NOT instr(channel, ':') AND channel NOT IN (SELECT name FROM channels)",
)
"""Removes the rows of accounts and channels that do not exist."""

CACHE_KIB = 384
"""Pages of the database that SQLite keeps, in KiB. Messages are appended, so a few pages serve nearly all commits; the
operating system keeps the others."""

TRY = f"PRAGMA user_version = {len(MIGRATIONS)}"
"""Writes what is there already: a transaction that changes no page would not reach the disk."""

log = logging.getLogger("crosstalk.store")


class Store(StoredMessages):
    """A database file: opened, written, loaded and closed. The domain reads messages by the methods of its base.

    Args:
        path: the file, which is made if it is missing; MEMORY for none.
        is_copy: it belongs to a cluster, whose log is the durable one.

    Attributes:
        position: up to where the file has the cluster's log.
        safe: the last entry of that log that has been synced to the disk.

    Raises:
        StoreError: the file cannot be opened, is in use, is another program's, or has a newer schema.
    """

    def __init__(self, path: str, *, is_copy: bool = False) -> None:
        self.path = path
        self.failures = 0
        self._fault: type[Exception] | None = None
        self._next_position: Position | None = None  # of the open transaction
        self._log_size = 0  # at its beginning
        self._log: WriteAheadLog | None = None
        self._files: DatabaseFiles | None = None
        with contextlib.ExitStack() as undo:
            try:
                location = path
                if path != MEMORY:
                    self._files = DatabaseFiles(path, MIGRATIONS.index(STAMP_TABLE) + 1)
                    undo.callback(self._files.close)
                    location = self._files.path
                self._db = sqlite3.connect(location, isolation_level=None, timeout=START_SECONDS)
                undo.callback(self._db.close)
                self._writer = self._db.cursor()  # one for all commits, which is quicker than one for each
                self._open()
                if self._files is not None:
                    self._log = WriteAheadLog(self._db, self._files, COPY_BUSY_SECONDS if is_copy else BUSY_SECONDS)
                self._db.execute(f"PRAGMA synchronous = {'NORMAL' if is_copy else 'FULL'}")
                self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                self.position = position_of(self._db)
                if self.position.applied and not is_copy:
                    raise StoreError(
                        f"the database {path} is a cluster's copy: start it as a node of that cluster, or see"
                        " docs/cluster.md on how to leave one"
                    )
                self.safe = self._checkpoints = 0
                self._note_safe()
            except (OSError, ValueError, sqlite3.Error) as error:
                reason = f"{_reason(error, path)}; {remedy_for(error)}"
                raise StoreError(f"cannot open the database {path}: {reason}") from error
            undo.pop_all()

    def close(self) -> None:
        """Close the file. Changes that wait in the journal are lost, so commit first."""
        if self._next_position is not None:  # prepared, and never committed
            self._roll_back()
        self.watch()
        if self._fault is FilesLost:
            _keep_open(self._db)
        else:
            if self._log is not None:
                self._log.finish()
            self._db.close()
        if self._files is not None:
            self._files.close()

    @property
    def size(self) -> int:
        """Bytes of the file and its log; 0 of MEMORY."""
        return 0 if self._files is None else self._files.size

    @property
    def location(self) -> str:
        """The absolute path, or MEMORY."""
        return self.path if self._files is None else os.path.abspath(self.path)

    @property
    def is_new(self) -> bool:
        """Whether this start has made the file."""
        return self._files is not None and self._files.is_new

    # ---- copies of a cluster's file ----

    def digest(self) -> str:
        """Return a hash of all data, see `database_copies.digest_of`."""
        return digest_of(self._db)

    def copy_into(self, path: str) -> None:
        """Write a copy of the file as it is now. Takes long, and may be called in any thread.

        Args:
            path: of the copy; the file may exist if it is empty.

        Raises:
            sqlite3.Error, OSError: it cannot be read or written.
        """
        assert self._files is not None
        with contextlib.closing(sqlite3.connect(self._files.path)) as db:
            db.execute("VACUUM INTO ?", (path,))

    def replace(self, path: str) -> None:
        """Close this file, and put the one at a path in its place.

        Raises:
            OSError: it cannot be moved there.
        """
        assert self._files is not None
        self.close()
        os.replace(path, self._files.path)

    # ---- writing ----

    def write(self, changes: Sequence[Change]) -> bool:
        """Write changes in one transaction. False means that the disk refuses, and that none is written.

        Without changes it only tries whether the disk takes something.
        """
        return self._attempt(self._transact, changes)

    def replicate(self, changes: Sequence[Change], position: Position) -> bool:
        """Write changes, and that the file has the cluster's log up to this position, as `write`."""
        return self.prepare(changes, position) and self.commit()

    def prepare(self, changes: Sequence[Change], position: Position) -> bool:
        """Do what `replicate` does, but leave the transaction open for `commit`; until then nothing is written.

        Nothing may be read or written in between. False means that the disk refuses, and that no transaction is open.
        """
        return self._attempt(self._begin, changes, position)

    def commit(self) -> bool:
        """Commit what `prepare` has left open. False means that the disk refuses, and that nothing is written."""
        return self._attempt(self._commit)

    def _attempt(self, step: Callable[..., None], *details: object) -> bool:
        try:
            step(*details)
        except (FilesLost, sqlite3.Error) as error:
            self._failed(error)
            return False
        return True

    def _transact(self, changes: Sequence[Change]) -> None:
        self._begin(changes, None)
        self._commit()

    def _begin(self, changes: Sequence[Change], position: Position | None) -> None:
        """Write changes, and the position if there is one, in a new transaction."""
        write, write_log = self._writer, self._log
        self._log_size = write_log.look() if write_log is not None else 0
        write.execute("BEGIN IMMEDIATE")
        for kind, group in itertools.groupby(changes, type):
            if issubclass(kind, Said):
                self._history.append(write, cast(Iterable[Said], group), kind)
            else:
                self._record(write, kind, list(group))
        self._history.complete(write)
        self._next_position = position
        if position is not None:
            write.execute(RECORD_POSITION, position)
        elif not changes:
            write.execute(TRY)

    def _commit(self) -> None:
        self._writer.execute("COMMIT")
        self._history.committed()
        if self._next_position is not None:
            self.position, self._next_position = self._next_position, None
        if self._fault is not None:
            self._recovered()
        if self._log_size > LOG_SIZE and self._log is not None:
            self._log.empty()
            self._note_safe()

    def _record(self, write: sqlite3.Cursor, kind: type, changes: Sequence[Change]) -> None:
        """Write changes of one kind, in order, within a transaction."""
        for change in changes if kind in STEPS else ():
            for statement, fields in STEPS[kind]:
                write.execute(statement, change[:fields])
        if kind in RECORD:
            rows: Iterable[tuple[Any, ...]] = changes
            if kind in MARKING:
                rows = ((*change, self._history.place(*_marker(change))) for change in changes)
            write.executemany(RECORD[kind], rows)
        for statement, rows_of in channel_records.FURTHER.get(kind, ()):
            write.executemany(statement, itertools.chain.from_iterable(map(rows_of, changes)))
        for change in changes if kind in OF_MESSAGES else ():
            OF_MESSAGES[kind](self._history, write, change)

    def _note_safe(self) -> None:
        """A checkpoint syncs all that it moves."""
        if self._log is not None and self._log.checkpoints != self._checkpoints:
            self._checkpoints = self._log.checkpoints
            self.safe = self.position.applied

    def watch(self) -> None:
        """Check the files; called once a second, also while nothing is written (C48)."""
        if self._log is None:
            return
        try:
            self._log.watch()
            self._note_safe()
        except (FilesLost, sqlite3.Error) as error:
            self._log_fault(error)
        else:
            if self._fault is FilesLost:
                self._recovered()

    def _log_fault(self, error: Exception) -> None:
        kind = FilesLost if isinstance(error, FilesLost) else sqlite3.Error
        if kind is not self._fault:
            self._fault = kind
            log.error(
                "cannot write to the database %s: %s; commands fail until it can be written",
                self.path,
                _reason(error, self.path),
            )

    def _recovered(self) -> None:
        self._fault = None
        log.warning("the database is written again")

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._log_fault(error)
        self._roll_back()

    def _roll_back(self) -> None:
        self._next_position = None
        with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
            self._db.execute("ROLLBACK")
        self._history.rolled_back()

    # ---- reading ----

    def load(self) -> Iterator[Change]:
        """Return the state as the changes that lead to it, for `domain.chat.Chat.restore`.

        Channel messages stay on disk.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            yield from loaded_changes(self._db, self._history.length)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database {self.path}: {error}; {remedy_for(error)}") from error

    def remove_orphans(self) -> None:
        """Remove mail and memberships whose account or channel does not exist, so that a later one does not get them.

        Raises:
            StoreError: they cannot be removed.
        """
        try:
            for statement in REMOVE_ORPHANS:
                self._db.execute(statement)
        except sqlite3.Error as error:
            raise StoreError(f"cannot write to the database {self.path}: {_reason(error, self.path)}") from error

    # ---- opening ----

    def _open(self) -> None:
        db = self._db
        check_owner(db, self.path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a start confirms nothing; what it writes is synced when it is moved
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute(f"PRAGMA journal_size_limit = {LOG_SIZE}")
        check_pages(db, self.path)
        migrate(db)
        self._history = MessageHistory(db)


def _marker(change: Change) -> tuple[str, int]:
    """Return the channel and the number of the read marker that a change sets."""
    assert isinstance(change, Joined | Seen)
    return change.channel, change.seen if isinstance(change, Joined) else change.number


def _keep_open(db: sqlite3.Connection) -> None:
    """Have a connection outlive the interpreter: else SQLite would move the log to another file, and remove it."""
    cycle: list[object] = [db]
    cycle.append(cycle)
    gc.freeze()  # a cycle of frozen objects is never freed


def _reason(error: Exception, path: str) -> str:
    """Return the reason of an error: the system's, where SQLite has only a general one, such as disk I/O error."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN")):
        return why_the_disk_refuses(os.path.dirname(path) or ".") or str(error)
    return str(error)
