"""Databases in memory whose schema is a copy: the migrations take ten milliseconds, and a test may make hundreds."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from unittest import mock

import store
from database_schema import migrate
from store import MEMORY, Store


def memory_store() -> Store:
    """Return a store that keeps nothing, as `Store(MEMORY)`."""
    with mock.patch.object(store, "migrate", lambda db: db.deserialize(_migrated())):
        return Store(MEMORY)


@functools.cache
def _migrated() -> bytes:
    with contextlib.closing(sqlite3.connect(MEMORY, isolation_level=None)) as db:
        migrate(db)
        return db.serialize()
