"""The typed lines that last."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ui.typed_history import MAX_BYTES, MAX_LINES, HistoryFile, default_path


def test_lines_last_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    history = HistoryFile(str(path))
    assert history.load() == []
    for line in ("one", "", "a\nb", "z\u00e9"):
        history.append(line)
    assert HistoryFile(str(path)).load() == ["one", "z\u00e9"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_theirs_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("one\n")
    path.chmod(0o644)
    assert HistoryFile(str(path)).load() == ["one"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("line", ["x", "x" * 1000])
def test_it_stays_small(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history"
    path.write_text(f"{line}\n" * 5000)
    assert HistoryFile(str(path)).load() == [line] * MAX_LINES
    assert path.stat().st_size <= MAX_BYTES
    assert HistoryFile(str(path)).load() == [line] * MAX_LINES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_it_cannot_be_written_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "history", tmp_path):
        history = HistoryFile(str(path))
        history.append("one")
        assert history.load() == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("keep\n")
    os.symlink(tmp_path / "other", tmp_path / "history")
    history = HistoryFile(str(tmp_path / "history"))
    history.append("one")
    assert history.load() == []
    assert (tmp_path / "other").read_text() == "keep\n"


def test_its_place_is_that_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_path() == str(tmp_path / ".local" / "state" / "crosstalk" / "history")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_path() == "/state/crosstalk/history"
