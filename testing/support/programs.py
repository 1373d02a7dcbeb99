"""The server as its command line starts it, in this process or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from app.options import parse_command_line, read_or_exit
from harness.peer import PATIENCE
from harness.processes import ROOT
from server import main
from settings import Listen, Settings

SERVER = str(ROOT / "server.py")
TEXT = "x" * 8000
"""A long message."""


def on(port: int, **settings: Any) -> Settings:
    """Settings with a listener on 127.0.0.1."""
    return Settings(listen=(Listen("127.0.0.1", port, "auto"),), **settings)


def start(words: list[str]) -> int:
    """Start the server as its command line does; return the exit status."""
    try:
        return main(read_or_exit(parse_command_line(words)))
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def run(*words: str, directory: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, SERVER, *words],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
"""A Python without bcrypt, as the one that made the environment may be: the server goes on in the environment."""
