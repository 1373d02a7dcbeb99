"""The first screen of the README, played as it is typed, on a new database."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from harness.peer import Peer
from harness.processes import ROOT
from harness.servers import ServerProcess
from support.clients import OnTerminal

TYPED_AT_A_SHELL = {"netcat localhost 5050", "python3 client.py 5050"}


def first_screen() -> list[tuple[str, str, str]]:
    """Who types or sees what: name, sign and words of each line."""
    block = re.search(r"(?:^ {4}.*\n)+", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert block
    return [(name, sign, words) for name, sign, words in (line.split(None, 2) for line in block.group().splitlines())]


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
