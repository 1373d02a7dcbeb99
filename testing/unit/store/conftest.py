"""A database for each test, and another program that looks into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.peer import PATIENCE
from support.keeper import FURNITURE, Keeper


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def keeper(path: Path) -> Iterator[Keeper]:
    keeper = Keeper(path)
    assert keeper.write(*FURNITURE) == [None] * len(FURNITURE)
    yield keeper
    keeper.store.close()


@pytest.fixture
def other(path: Path, keeper: Keeper) -> Iterator[sqlite3.Connection]:
    """Another program that looks into the file."""
    connection = sqlite3.connect(path, timeout=PATIENCE)
    yield connection
    connection.close()
