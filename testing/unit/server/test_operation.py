"""What docs/operation.md says how to do, as it stands there; and databases of older versions."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from database_schema import MIGRATIONS
from harness.peer import PATIENCE
from harness.processes import ROOT
from harness.servers import ServerProcess

OLDER = sorted((ROOT / "testing" / "support" / "databases").glob("schema-*.gz"))
"""Databases as the servers of older revisions have left them."""

DOCUMENT = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")


def commands(heading: str, number: int = 0) -> str:
    """The commands of a section of the document."""
    section = re.split(r"^## ", DOCUMENT.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]
    found: list[str] = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return found[number]


# ---- older versions ----


def test_there_are_databases_of_several_versions() -> None:
    versions = [int(path.name.split("-")[1].removesuffix(".gz")) for path in OLDER]
    assert len(versions) >= 4
    assert versions[0] == 1
    assert versions[-1] <= len(MIGRATIONS)


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_a_database_of_an_older_version_has_everything(path: Path, tmp_path: Path) -> None:
    """Accounts, passwords, channels, members, messages and mail; twice, since the first start lifts the schema."""
    database = tmp_path / "chat.db"
    database.write_bytes(gzip.decompress(path.read_bytes()))
    database.chmod(0o600)
    for start in range(2):
        with ServerProcess(tmp_path, "database chat.db") as server:
            server.wait_for("ready .*/chat.db$")
            with server.peer() as alice, server.peer() as carol:
                assert alice.ask("LOGIN alice apple") == ["RESULT LOGIN 1"]
                assert alice.ask("JOINED") == ["RESULT JOINED quiet, tea"]
                alice.send("HISTORY tea 10")
                told = [alice.line() for _ in range(4)]
                assert [line.split(" ", 2)[-1] for line in told if " tea " in line][-3:] == [
                    "tea first", "tea \u4f60\u597d", "tea third",
                ]  # fmt: skip
                carol.send("LOGIN carol cherry")
                assert carol.line() == "RESULT LOGIN 1"
                if start == 0:
                    assert carol.line() == "RECV alice @alice while you were away"
            assert not [line for line in server.log if "WARNING" in line or "ERROR" in line]
            server.signal(signal.SIGTERM)
            assert server.wait() == 0


# ---- what the document says ----


def play(script: str, root: Path, directory: Path) -> str:
    """Run commands as root would, with all absolute paths below a directory; return what systemctl was asked for."""
    for place in ("/opt", "/etc", "/var"):
        script = re.sub(rf"(?<![\w.]){place}/", f"{root}{place}/", script)
    tools = root / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    (root / "etc" / "systemd" / "system").mkdir(parents=True, exist_ok=True)
    (root / "opt").mkdir(exist_ok=True)
    (tools / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{root}/asked\n')
    (tools / "systemctl").chmod(0o700)
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=directory,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return (root / "asked").read_text()


def test_the_service_is_installed_and_upgraded_as_the_document_says(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    root, origin = tmp_path / "root", tmp_path / "origin"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(origin)], check=True)
    install = commands("As a service of systemd")
    cloned, rest = install.split("\n", 1)
    # The environment that is here stands for the one that the set-up would install.
    set_up = f"ln -s {ROOT}/.venv /opt/crosstalk/.venv"
    asked = play(f"{cloned}\n{set_up}\n{rest}", root, origin)
    assert asked.splitlines() == ["daemon-reload", "enable --now crosstalk"]
    program = root / "opt" / "crosstalk"
    assert (root / "etc" / "crosstalk" / "tls").stat().st_mode & 0o777 == 0o700
    unit = (root / "etc" / "systemd" / "system" / "crosstalk.service").read_text()
    for path in re.findall(r"(?:ExecStart|ExecReload)=(/opt\S+)", unit):
        assert os.access(root / path.lstrip("/"), os.X_OK)
    (origin / "NEWS").write_text("newer\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-C", str(origin)]
    subprocess.run([*git, "add", "NEWS"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "Newer"], check=True)
    asked = play(commands("Upgrade"), root, tmp_path)
    assert asked.splitlines()[2:] == ["restart crosstalk"]
    assert (program / "NEWS").exists()


def test_a_backup_while_the_server_runs_restores_elsewhere(tmp_path: Path) -> None:
    """As in a container, which has Python alone."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    copy, _take_out = commands("The database").splitlines()
    python, *words = shlex.split(copy)[3:]
    assert python == "python3"
    with ServerProcess(here, "database crosstalk.db") as server, server.user("alice") as alice:
        alice.ask("CREATE kept", "JOIN kept", "SAY kept one")
        subprocess.run([sys.executable, *words], cwd=here, check=True, timeout=PATIENCE)
        alice.ask("SAY kept two")
    shutil.copy(here / "backup.db", elsewhere / "backup.db")
    with ServerProcess(elsewhere, words=["--database", "backup.db"]) as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "SAY kept three") == ["RESULT LOGIN 1", "RECV alice kept three"]
        alice.send("HISTORY kept")
        told = [alice.line() for _ in range(3)]
        assert [line.rsplit(" ", 1)[1] for line in told] == ["2", "one", "three"]
    with ServerProcess(here, "database crosstalk.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "SAY kept four") == ["RESULT LOGIN 1", "RECV alice kept four"]
