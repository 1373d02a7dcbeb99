"""An empty directory, and the client's side of files that pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.client_files import Side


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def side() -> Side:
    return Side()
