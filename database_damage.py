"""Damage to the database: a quick check at the start, and the remedy for the error message."""

from __future__ import annotations

import sqlite3
import time

from database_files import StoreError

CHECK_SECONDS = 0.5
"""How long the start looks for damage: some hundred megabytes of a database that is in memory."""

STEPS = 10_000
"""Steps of SQLite between two looks at the clock."""

REMEDY = "restore a backup, or save what can be read: see docs/operation.md on damage"


def check_pages(db: sqlite3.Connection, path: str) -> None:
    """Check that the pages of a database are whole, for at most CHECK_SECONDS.

    Args:
        db: the database.
        path: of its file, for the message.

    Raises:
        StoreError: a page is damaged.
        sqlite3.DatabaseError: likewise, where SQLite fails itself.
    """
    ends = time.monotonic() + CHECK_SECONDS
    db.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
    try:
        found: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return  # the time is over
    finally:
        db.set_progress_handler(None, 0)
    if found != "ok":
        raise StoreError(f"the database {path} is damaged ({found.splitlines()[-1]}); {REMEDY}")


def remedy_for(error: Exception) -> str:
    """Return what to do when a database cannot be opened or read."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_CORRUPT"):
        return REMEDY
    if name == "SQLITE_NOTADB":
        return f"choose another with --database PATH; if it was one, {REMEDY}"
    return "choose another with --database PATH"
