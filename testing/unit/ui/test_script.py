"""What a script asks the client for, at a real server and at one that does what the test says."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from harness.processes import ROOT
from harness.servers import ServerProcess
from support.clients import SECONDS, FakeServer
from ui.options import parse_command_line

PASSWORD = "hush-of-ann"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the accounts ann and bob, of whom ann is in the garden."""
    with contextlib.closing(ServerProcess(tmp_path_factory.mktemp("server"), "listen 0 hello")) as server:
        with contextlib.closing(server.peer()) as peer:
            peer.send(f"REGISTER ann {PASSWORD}", f"LOGIN ann {PASSWORD}", "CREATE garden", "JOIN garden")
            peer.send("CREATE attic", "LOGOUT", "REGISTER bob hush")
            peer.expect("RESULT LOGOUT 1\nRESULT REGISTER 1\n")
        yield server


def script(
    port: int | str, *words: str, stdin: str = "", password: str = PASSWORD, home: Path | None = None, notes: int = 0
) -> tuple[int, str, str]:
    """Run the client for a script; return its exit status, output and errors, and so many notes among them."""
    environment = {**os.environ, "HOME": str(home or "/nonexistent"), "CROSSTALK_PASSWORD": password}
    ended = subprocess.run(
        [sys.executable, ROOT / "client.py", str(port), *words],
        input=stdin, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False,
    )  # fmt: skip
    assert password == "" or password not in ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == notes + (1 if ended.returncode else 0), ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def test_what_is_said_is_confirmed_and_repeated(server: ServerProcess) -> None:
    as_ann = ("--user", "ann")
    assert script(server.port, *as_ann, "--say", "garden", "backup done") == (0, "", "")
    assert script(server.port, *as_ann, "--say", "garden", "three", "more", "words") == (0, "", "")
    assert script(server.port, *as_ann, "--say", "garden", "two\nLOGOUT\n") == (0, "", "")
    assert script(server.port, *as_ann, "--to", "bob", "psst") == (0, "", "")
    assert script(server.port, *as_ann, "--to", "@bob", "--stdin", stdin="a\n\nb\r\n") == (0, "", "")
    status, output, _errors = script(server.port, *as_ann, "--say", "garden", "--stdin", "--json", stdin="x  y\n\x1bz")
    assert status == 0
    said = [json.loads(line) for line in output.splitlines()]
    assert [(row["from"], row["to"], row["text"]) for row in said] == [("ann", "garden", "x y"), ("ann", "garden", "z")]
    status, output, _errors = script(server.port, *as_ann, "--history", "garden", "50")
    assert status == 0
    texts = ["backup done", "three more words", "two", "LOGOUT", "x y", "z"]
    assert [line.split(" ", 2)[2] for line in output.splitlines()] == [f"ann: {text}" for text in texts]
    status, output, _errors = script(server.port, *as_ann, "--history", "garden", "2", "--json")
    rows = [json.loads(line) for line in output.splitlines()]
    assert [row["text"] for row in rows] == texts[-2:]
    assert rows[0]["id"] < rows[1]["id"]
    assert abs(datetime.fromisoformat(rows[1]["time"]).timestamp() - datetime.now().timestamp()) < SECONDS


def test_a_long_history_comes_whole(server: ServerProcess) -> None:
    """It is more than the server gives at once."""
    texts = [str(number) for number in range(2050)]
    with contextlib.closing(server.peer()) as peer:
        peer.send(
            "REGISTER dan hush", "LOGIN dan hush", "CREATE log", "JOIN log", *(f"SAY log {text}" for text in texts)
        )
        peer.send("LOGOUT")
        peer.expect(f"RECV dan log {texts[-1]}\nRESULT LOGOUT 1\n")
    for count, first in (("2049", 1), ("5000", 0), ("9" * 5000, 0)):
        status, output, _errors = script(server.port, "--user", "dan", "--history", "log", count, password="hush")
        assert status == 0
        assert [line.split("dan: ")[1] for line in output.splitlines()] == texts[first:]


@pytest.mark.parametrize("words", [("--to", "cid", "hi"), ("--to", "cid", "--stdin"), ("--say", "nowhere", "hi")])
def test_direct_messages_that_wait_are_not_lost(server: ServerProcess, words: tuple[str, ...]) -> None:
    """The login of a script takes them; its output is for what was asked for."""
    with contextlib.closing(server.peer()) as peer:
        peer.send("REGISTER cid hush", f"LOGIN ann {PASSWORD}", "SAY @cid one", "SAY @cid two", "LOGOUT")
        peer.expect("RECV ann @cid two\nRESULT LOGOUT 1\n")
    status, output, errors = script(server.port, "--user", "cid", *words, password="hush", notes=2)
    assert (status, output) == (int("nowhere" in words), "")
    direct = [line for line in errors.splitlines() if line.startswith("client.py: direct message: ")]
    assert [line.split("ann: ")[1] for line in direct] == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "password", "reason"),
    [
        (("--say", "nowhere", "hi"), PASSWORD, "not said to nowhere: ann is not in it"),
        (("--say", "attic", "hi"), PASSWORD, "not said to attic: ann is not in it"),
        (("--to", "nobody", "hi"), PASSWORD, "not said to @nobody: there is nobody of that name"),
        (("--say", "garden", "x" * 9000), PASSWORD, "a line has at most 8192 bytes"),
        (("--say", "garden", "hi"), "wr0ng", "not logged in as ann: the name or the password is wrong"),
        (("--say", "garden", "hi"), "", "no password: CROSSTALK_PASSWORD has none"),
        (("--say", "garden", "hi"), "two words", "a password is one word"),
        (("--history", "attic"), PASSWORD, "no history of attic: not a member of it"),
    ],
)
def test_what_is_not_confirmed_is_one_line(
    server: ServerProcess, words: tuple[str, ...], password: str, reason: str
) -> None:
    status, output, errors = script(server.port, "--user", "ann", *words, password=password)
    assert (status, output) == (1, "")
    assert reason in errors


def test_a_line_of_the_input_that_is_not_taken_ends_it(server: ServerProcess) -> None:
    status, _output, errors = script(server.port, "--user", "ann", "--to", "nobody", "--stdin", stdin="a\nb\n")
    assert status == 1
    assert "not said to @nobody" in errors


def test_a_port_of_another_dialect_gets_no_password(server: ServerProcess) -> None:
    status, _output, errors = script(server.ports[1], "--user", "ann", "--say", "garden", "hi")
    assert status == 1
    assert "This port speaks the dialect hello." in errors


def test_a_server_and_its_password_come_from_the_settings_file(server: ServerProcess, tmp_path: Path) -> None:
    directory = tmp_path / ".config" / "crosstalk"
    directory.mkdir(parents=True)
    (directory / "password").write_text(f"{PASSWORD}\n")
    (directory / "password").chmod(0o600)
    (directory / "client.toml").write_text(
        f'[servers.home]\nport = {server.port}\nuser = "ann"\npassword-file = "~/.config/crosstalk/password"\n'
    )
    assert script("home", "--say", "garden", "from home", password="", home=tmp_path)[0] == 0
    (directory / "password").chmod(0o644)
    status, _output, errors = script("home", "--say", "garden", "from home", password="", home=tmp_path)
    assert status == 1
    assert "others can read it" in errors


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((), "the server has closed the connection"),
        (("RESULT TAGS 1",), "the server has closed the connection"),
        (("RESULT TAGS 1", "RESULT LOGIN 1"), "the server has closed the connection"),
        (("RESULT TAGS 1", "RESULT LOGIN 1", "RECV bob garden hi"), "the server has closed the connection"),
        (("RESULT TAGS 1", "RESULT ERROR line too long"), "not logged in as ann"),
        (("RESULT TAGS 1", "RESULT LOGIN 1", "RESULT ERROR line too long"), "not said to garden: line too long"),
    ],
)
def test_a_server_that_goes_away_has_confirmed_nothing(fake: FakeServer, answers: tuple[str, ...], reason: str) -> None:
    def serve() -> None:
        with contextlib.closing(fake.accept()) as wire:
            for answer in answers:
                wire.line()
                wire.send(answer)
            if not answers:
                wire.line()

    serving = threading.Thread(target=serve)
    serving.start()
    status, _output, errors = script(fake.port, "--host", "127.0.0.1", "--user", "ann", "--say", "garden", "hi")
    serving.join()
    assert status == 1
    assert reason in errors or "connection is lost" in errors


def test_what_was_said_by_others_confirms_nothing(fake: FakeServer) -> None:
    def serve() -> None:
        with contextlib.closing(fake.accept()) as wire:
            wire.expect("TAGS time id\n")
            wire.send("RESULT ERROR unknown type")
            wire.expect("LOGIN ann ")
            wire.send("RESULT LOGIN 1", "RECV bob @bob hi")
            wire.expect("SAY garden hi\n")
            wire.send("RECV bob garden hi", "RECV ann attic hi", "RESULT SAY 0")
            wire.expect("USERS garden\n")
            wire.send("RESULT USERS garden ann, bob")

    serving = threading.Thread(target=serve)
    serving.start()
    status, _output, errors = script(
        fake.port, "--host", "127.0.0.1", "--user", "ann", "--say", "garden", "hi", notes=1
    )
    serving.join()
    assert status == 1
    assert "not said to garden: ann is muted there" in errors


@pytest.mark.parametrize(
    "words",
    [
        ["--say", "garden"],
        ["--say", "garden", ""],
        ["--say", "garden", "  "],
        ["--say", "a b", "hi"],
        ["--say", "garden", "hi", "--stdin"],
        ["--to", "bob"],
        ["--stdin"],
        ["--json"],
        ["--history", "garden", "0"],
        ["--history", "garden", "-1"],
        ["--history", "garden", "x"],
        ["--history", "garden", "5", "6"],
        ["--history", "garden", "--stdin"],
        ["--say", "garden", "hi", "--dialect", "hello"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(["5050", "--user", "ann", *words])
    assert end.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_script_needs_a_name() -> None:
    assert "--user" in script(1, "--say", "garden", "hi")[2]
