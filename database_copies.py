"""Copies of a cluster's database file: up to where a file has the replicated log, and what tells two files apart."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import NamedTuple

from database_files import StoreError

READ_POSITION = "SELECT applied, run, digest, created FROM position"

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
OWN_TABLES = ("position", "stamp")
"""Tables that tell of the file, and are no data."""

RECORD_POSITION = "REPLACE INTO position VALUES (1, ?, ?, ?, ?)"


class Position(NamedTuple):
    """Up to where a file has the replicated log of its cluster.

    Attributes:
        applied: the sequence of the last entry that was written to the file; 0 for none.
        run: the run that leads at that point; "" for none.
        digest: the hash of that entry.
        created: when the log was made, in the engines' words, which tells it from another of the same name.
    """

    applied: int = 0
    run: str = ""
    digest: str = ""
    created: str = ""


def position_of(db: sqlite3.Connection) -> Position:
    """Return the position of an open file. Raises sqlite3.Error."""
    return Position(*(db.execute(READ_POSITION).fetchone() or ()))


def position_in(path: str) -> Position:
    """Return the position of a file that is not open.

    Raises:
        StoreError: it is no such file.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as db:
            return position_of(db)
    except sqlite3.Error as error:
        raise StoreError(f"{path} is no database of a cluster: {error}") from error


def digest_of(db: sqlite3.Connection) -> str:
    """Return a hash of all data, the same for the same data in another file; "" where there is none."""
    import hashlib  # a single process needs none

    digest, is_empty = hashlib.sha256(), True
    tables = [name for (name,) in db.execute(TABLES) if name not in OWN_TABLES]
    for table in tables:
        digest.update(table.encode())
        for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2"):
            digest.update(repr(row).encode())
            is_empty = False
    return "" if is_empty else digest.hexdigest()
