"""A database for each test, and another program that looks into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.peer import PATIENCE
from support.journaled_store import INITIAL, JournaledStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def journaled(path: Path) -> Iterator[JournaledStore]:
    journaled = JournaledStore(path)
    assert journaled.write(*INITIAL) == [None] * len(INITIAL)
    yield journaled
    journaled.store.close()


@pytest.fixture
def other(path: Path, journaled: JournaledStore) -> Iterator[sqlite3.Connection]:
    """Another program that looks into the file."""
    connection = sqlite3.connect(path, timeout=PATIENCE)
    yield connection
    connection.close()
