"""The write-ahead log of an open database: when it is stamped, and when it is moved to the database.

database_files.py says why. Nothing else moves the log, SQLite itself among it.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import cast

from database_files import LOG_SIZE, DatabaseFiles, FilesLost, LogLost, Stamp, WrittenElsewhere

HELD_LOG_SIZE = 4 * LOG_SIZE
"""Bytes of the write-ahead log from which on it is told that it cannot be emptied."""

BUSY_MILLISECONDS = 10
"""How long a commit waits for another program that has the database at that moment."""

log = logging.getLogger("crosstalk.store")


class WriteAheadLog:
    """The log of an open database: when it is stamped and moved to the database. database_files.py says why.

    Args:
        db: the open database.
        files: its files.

    Raises:
        sqlite3.Error, OSError: the database cannot be written.
    """

    def __init__(self, db: sqlite3.Connection, files: DatabaseFiles) -> None:
        self._db = db
        self._files = files
        self._on_file = files.token(self._stamp_page())
        self._moving = False
        self._largest = 0
        self._stamp(Stamp.before_checkpoint(self._on_file))
        files.remember()
        self._moving = True
        self._least = 0
        self._checkpoint()
        files.lengthen_log()
        self._note_size()
        if files.is_exposed:
            log.warning("other users can read the database %s; keep it from them: chmod 600 %s*", *[files.name] * 2)

    def look(self) -> int:
        """Give the bytes of the log's file.

        Raises:
            FilesLost: one of the files is no longer the one that was opened, or the log has been cut off.
            sqlite3.Error: another program has moved the log to the database, which cannot be noted.
        """
        try:
            size = self._files.look()
        except WrittenElsewhere:
            self._note_checkpoint()
            size = self._files.log_size
        if size < self._least and not self._moving:
            raise FilesLost(f"{self._files.log_path} was cut off")
        return size

    def _note_size(self) -> None:
        """Between two checkpoints the log only grows; emptied, it keeps LOG_SIZE."""
        self._least = min(LOG_SIZE, self._files.log_size)

    def _note_checkpoint(self) -> None:
        """Another program has written to the database itself: all is well if it has moved the log there."""
        token = self._token_on_file()
        if token == self._last.token and not self._moving:
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
        """Look, and empty the log if it is too long, or could not be emptied before.

        Raises:
            FilesLost, sqlite3.Error: as look does.
        """
        try:
            size = self.look()
        except LogLost:
            self._rescue()
            raise
        if self._moving or size > LOG_SIZE:
            self.empty()

    def _rescue(self) -> None:
        """Move what a lost log has to the database while it can still be read."""
        self._token_on_file()
        with contextlib.suppress(sqlite3.Error):
            self._checkpoint()

    def empty(self) -> None:
        """Move what the log has to the database, if nobody prevents it. A failure is told when the log is large."""
        reason = "another program reads the database"
        try:
            self._checkpoint()
        except sqlite3.Error as error:
            reason = str(error)
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        size = self._files.log_size
        if self._moving and size > HELD_LOG_SIZE and not self._largest:
            log.warning("the write-ahead log has %d bytes and cannot be emptied: %s", size, reason)
        if self._moving and size > HELD_LOG_SIZE:
            self._largest = size
        elif not self._moving and self._largest:
            log.warning("the write-ahead log, of %d bytes at last, has been emptied", self._largest)
            self._largest = 0

    def _checkpoint(self) -> None:
        if not self._moving:
            self._stamp(Stamp.before_checkpoint(self._on_file))
            self._moving = True
        self._db.execute("PRAGMA busy_timeout = 0")  # a reader may take its time, and is asked again
        try:
            (busy, _pages, _moved) = self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            self._files.accept_change()
        if not busy:
            self._on_file = self._last.token
            self._stamp(Stamp.after_checkpoint(self._on_file))
            self._moving = False
            self._note_size()

    def finish(self) -> None:
        """Prepare for the end of the last connection, when SQLite itself moves the log to the database."""
        with contextlib.suppress(sqlite3.Error):
            self._stamp(Stamp.before_checkpoint(self._on_file))

    def _stamp(self, stamp: Stamp) -> None:
        self._db.execute("REPLACE INTO stamp VALUES (1, ?)", (stamp.pack(),))
        self._last = stamp

    def _stamp_page(self) -> int:
        """Give the number of the page on which the stamp is; another program's VACUUM may change it."""
        (number,) = self._db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'stamp'").fetchone()
        return cast(int, number)
