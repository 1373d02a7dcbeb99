"""The write-ahead log of an open database: stamps and checkpoints.

A checkpoint moves the log's pages to the database. Nothing else starts one, not even SQLite itself, since each needs
its stamps; database_files.py says why.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import cast

from database_files import LOG_SIZE, DatabaseFiles, FilesLost, LogLost, Stamp, WrittenElsewhere

HELD_LOG_SIZE = 4 * LOG_SIZE
"""Bytes of the write-ahead log above which a warning says that it cannot be emptied."""

log = logging.getLogger("crosstalk.store")


class WriteAheadLog:
    """The write-ahead log of an open database.

    Args:
        db: the open database.
        files: its files.
        busy_seconds: how long a commit waits for another program that is writing to the database.

    Attributes:
        checkpoints: how many have moved everything to the database, and synced it.

    Raises:
        sqlite3.Error, OSError: the database cannot be written.
    """

    def __init__(self, db: sqlite3.Connection, files: DatabaseFiles, busy_seconds: float) -> None:
        self._db = db
        self._busy_timeout = f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}"
        self._files = files
        self._on_file = files.token(self._stamp_page())
        self._is_checkpointing = False
        self.checkpoints = 0
        self._warned_size = 0
        self._stamp(Stamp.before_checkpoint(self._on_file))
        files.remember()
        self._is_checkpointing = True
        self._min_size = 0
        self._checkpoint()
        files.lengthen_log()
        self._note_size()
        if files.is_exposed:
            log.warning("other users can read the database %s; keep it from them: chmod 600 %s*", *[files.name] * 2)

    def look(self) -> int:
        """Return the bytes of the log's file.

        Raises:
            FilesLost: one of the files is no longer the one that was opened, or the log has been cut off.
            sqlite3.Error: a stamp that another program's checkpoint requires cannot be written.
        """
        try:
            size = self._files.look()
        except WrittenElsewhere:
            self._note_checkpoint()
            size = self._files.log_size
        if size < self._min_size and not self._is_checkpointing:
            raise FilesLost(f"{self._files.log_path} was cut off")
        return size

    def _note_size(self) -> None:
        """Note the size below which the log counts as cut off: it only grows, and an emptied one keeps LOG_SIZE."""
        self._min_size = min(LOG_SIZE, self._files.log_size)

    def _note_checkpoint(self) -> None:
        """Another program has written to the database file: accept it if that was a checkpoint."""
        token = self._token_on_file()
        if token == self._last.token and not self._is_checkpointing:
            self._stamp(Stamp.after_checkpoint(token))
            self._on_file = token
            self._note_size()
            log.warning(
                "another program has written to the database %s itself; a backup that it has put there does not count",
                self._files.name,
            )
        self._files.accept_change()

    def _token_on_file(self) -> bytes:
        token = self._files.token(self._stamp_page())
        if token not in (self._last.token, self._on_file):
            raise FilesLost(f"{self._files.path} was written over")
        return token

    def watch(self) -> None:
        """Look, and empty the log if it is too long, or could not be emptied before. Raises as `look`."""
        try:
            size = self.look()
        except LogLost:
            self._rescue()
            raise
        if self._is_checkpointing or size > LOG_SIZE:
            self.empty()

    def _rescue(self) -> None:
        """Checkpoint a lost log while it can still be read."""
        self._token_on_file()
        with contextlib.suppress(sqlite3.Error):
            self._checkpoint()

    def empty(self) -> None:
        """Checkpoint the log, unless another program prevents it. A failure is logged when the log is large."""
        reason = "another program reads the database"
        try:
            self._checkpoint()
        except sqlite3.Error as error:
            reason = str(error)
        self._warn(reason)

    def _warn(self, reason: str) -> None:
        size = self._files.log_size
        if self._is_checkpointing and size > HELD_LOG_SIZE and not self._warned_size:
            log.warning("the write-ahead log has %d bytes and cannot be emptied: %s", size, reason)
        if self._is_checkpointing and size > HELD_LOG_SIZE:
            self._warned_size = size
        elif not self._is_checkpointing and self._warned_size:
            log.warning("the write-ahead log, of %d bytes at last, has been emptied", self._warned_size)
            self._warned_size = 0

    def _checkpoint(self) -> None:
        if not self._is_checkpointing:
            self._stamp(Stamp.before_checkpoint(self._on_file))
            self._is_checkpointing = True
        self._db.execute("PRAGMA busy_timeout = 0")  # do not wait for a reader: it is tried again later
        try:
            (busy, _pages, _moved) = self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            self._db.execute(self._busy_timeout)
            self._files.accept_change()
        if not busy:
            self._on_file = self._last.token
            self._stamp(Stamp.after_checkpoint(self._on_file))
            self._is_checkpointing = False
            self.checkpoints += 1
            self._note_size()

    def finish(self) -> None:
        """Prepare for the end of the last connection, at which SQLite itself checkpoints the log."""
        with contextlib.suppress(sqlite3.Error):
            self._stamp(Stamp.before_checkpoint(self._on_file))

    def _stamp(self, stamp: Stamp) -> None:
        self._db.execute("REPLACE INTO stamp VALUES (1, ?)", (stamp.pack(),))
        self._last = stamp

    def _stamp_page(self) -> int:
        """Return the number of the stamp's page, which another program's VACUUM may change."""
        (number,) = self._db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'stamp'").fetchone()
        return cast(int, number)
