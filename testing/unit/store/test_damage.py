"""database_damage.py: databases that are damaged when the server starts, and what can be saved of them."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import database_damage
from database_damage import REMEDY
from database_schema import APPLICATION_ID
from harness.processes import ROOT
from harness.servers import ServerProcess
from store import Store, StoreError
from support.programs import run

PAGE = 4096
WHOLE = gzip.decompress((ROOT / "testing" / "support" / "databases" / "schema-8.gz").read_bytes())
PAGES = len(WHOLE) // PAGE


def without(page: int) -> bytes:
    """The database with zeros in the place of a page."""
    start = (page - 1) * PAGE
    return WHOLE[:start] + bytes(PAGE) + WHOLE[start + PAGE :]


DAMAGE: dict[str, bytes] = {
    "half of it is gone": WHOLE[: len(WHOLE) // 2],
    "it ends within a page": WHOLE[:10_000],
    "its head is gone": without(1),
    "its page size is wrong": WHOLE[:16] + b"\x07\x07" + WHOLE[18:],
    "another file is in its place": b"\x7fELF" * PAGE,
    **{f"page {number} is gone": without(number) for number in range(2, PAGES)},
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_database_is_refused_with_what_to_do_and_left_as_it_is(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        Store(str(path))
    message = str(refused.value)
    assert str(path) in message
    assert message.endswith(f"; {REMEDY}") or message.endswith(f"if it was one, {REMEDY}")
    assert "\n" not in message
    assert path.read_bytes() == content


def test_the_whole_one_is_opened_and_the_check_has_an_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(WHOLE)
    Store(str(path)).close()
    monkeypatch.setattr(database_damage, "STEPS", 1)
    monkeypatch.setattr(database_damage, "CHECK_SECONDS", -1.0)
    Store(str(path)).close()
    path.write_bytes(without(PAGES - 2))
    Store(str(path)).close()


def test_the_server_says_it_in_one_line(tmp_path: Path) -> None:
    """C50."""
    (tmp_path / "my.db").write_bytes(without(PAGES - 2))
    done = run("0", "--database", "my.db", directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("server.py: the database my.db is damaged (")
    assert done.stderr.endswith(f"; {REMEDY}\n")


def page_of(table: str, path: Path) -> int:
    """The first page of a table."""
    found = subprocess.check_output(["sqlite3", path, f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'"])
    return int(found)


def test_what_can_be_read_is_saved_as_the_document_says(tmp_path: Path) -> None:
    """The mail is lost here, and all else is kept."""
    if shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 here")
    path = tmp_path / "crosstalk-5050.db"
    path.write_bytes(WHOLE)
    path.write_bytes(without(page_of("mail", path)))
    document = (ROOT / "docs" / "operation.md").read_text()
    commands = re.findall(r"^        (.*\.dump .*|sqlite3 saved\.db .*)$", document, re.MULTILINE)
    assert len(commands) == 2
    assert str(APPLICATION_ID) in commands[1]
    for command in commands:
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    with ServerProcess(tmp_path, "database saved.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice apple", "HISTORY tea 1") == ["RESULT LOGIN 1", "RESULT HISTORY tea 1"]
        assert alice.line() == "RECV bob tea third"
