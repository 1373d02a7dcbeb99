"""The first screen of the README, played as it is typed, on a new database."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from harness.peer import Peer
from harness.processes import ROOT
from harness.servers import ServerProcess
from support.clients import SECONDS, OnTerminal
from tools.picture import PICTURE, draw, play

TYPED_AT_A_SHELL = {"netcat localhost 5050", "python3 client.py 5050"}


def first_screen() -> list[tuple[str, str, str]]:
    """Who types or sees what: name, sign and words of each line."""
    block = re.search(r"(?:^ {4}.*\n)+", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert block
    return [(name, sign, words) for name, sign, words in (line.split(None, 2) for line in block.group().splitlines())]


def shell_lines() -> list[str]:
    """The lines for a shell script that stand below the picture."""
    block = re.search(
        r"From a shell script.*\n\n((?:^ {4}.*\n)+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert block
    return [line.strip() for line in block[1].splitlines()]


def test_the_lines_for_a_script_end_by_themselves(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    server = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database new.db")))
    ann = stack.enter_context(contextlib.closing(server.peer()))
    ann.send("REGISTER ann secret", "LOGIN ann secret", "CREATE garden", "JOIN garden", "LOGOUT")
    ann.expect("RESULT LOGOUT 1\n")
    for line in shell_lines():
        words = line.replace("python3 client.py 5050", f"{sys.executable} {ROOT / 'client.py'} {server.port}")
        subprocess.run(["/bin/sh", "-c", words], check=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    ann.send("LOGIN ann secret", "HISTORY garden")
    ann.expect("RESULT HISTORY garden 2\nRECV ann garden backup done\nRECV ann garden backup done\n")


def test_the_picture_is_what_the_client_looks_like() -> None:
    assert draw(play()) == PICTURE.read_text(encoding="utf-8"), "make picture draws it anew"


def test_the_first_screen_works_as_typed(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    server = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database new.db")))
    seats: dict[str, Peer | OnTerminal] = {}
    for name, sign, words in first_screen():
        match sign:
            case "$":
                assert words in TYPED_AT_A_SHELL
                seat = OnTerminal(server.port) if "client" in words else server.peer()
                seats[name] = stack.enter_context(contextlib.closing(seat))
            case ">":
                seat = seats[name]
                seat.type(f"{words}\r") if isinstance(seat, OnTerminal) else seat.send(f"{words}")
            case "<":
                seats[name].expect(words if isinstance(seats[name], OnTerminal) else f"{words}\n")
            case _:
                raise AssertionError(sign)
    assert len(seats) == 3
