"""Forks of a process that has loaded the modules: each runs a program as if it had been started for it alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from harness.peer import PATIENCE
from harness.preloaded import Fork, Preloaded, wait_until_stopped

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no descriptors of processes")

Start = Callable[..., Fork]


def streams(fork: Fork) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert fork.stdin and fork.stdout and fork.stderr
    return fork.stdin, fork.stdout, fork.stderr


SHOW = """
import json, os, sys
shown = {"words": sys.argv, "original": sys.orig_argv[1:], "directory": os.getcwd(), "mark": os.environ.get("MARK"),
         "name": __name__, "session": os.getsid(0) == os.getpid(), "loaded": "app.node" in sys.modules,
         "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "input": sys.stdin.read()}
print(json.dumps(shown))
sys.exit("the end")
"""


@pytest.fixture(scope="module")
def preloaded() -> Iterator[Preloaded]:
    with contextlib.closing(Preloaded("server.py")) as preloaded:
        yield preloaded


@pytest.fixture
def start(preloaded: Preloaded, tmp_path: Path, stack: contextlib.ExitStack) -> Start:
    """Starts a program, with the words of its command line."""

    numbers = itertools.count()

    def start(text: str, *words: str) -> Fork:
        program = tmp_path / f"program{next(numbers)}.py"  # a fork may read it only after this returns
        program.write_text(text)
        fork = preloaded.start([str(program), *words], tmp_path)
        for stream in streams(fork):
            stack.enter_context(stream)
        return fork

    return start


def test_a_fork_is_as_if_it_had_been_started_alone(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", "é")
    fork = start(SHOW, "5050", "x y")
    stdin, stdout, stderr = streams(fork)
    stdin.write(b"typed")
    stdin.close()
    shown: dict[str, Any] = json.loads(stdout.read())
    words = [str(tmp_path / "program0.py"), "5050", "x y"]
    assert shown == {
        "words": words,
        "original": words,
        "directory": str(tmp_path),
        "mark": "é",
        "name": "__main__",
        "session": True,
        "loaded": True,
        "descriptors": [0, 1, 2],
        "input": "typed",
    }
    assert stderr.read() == b"the end\n"
    assert fork.wait() == 1
    fork.kill()  # nothing any more


def test_forks_run_side_by_side(start: Start) -> None:
    early, late = start("input()"), start("raise SystemExit(3)")
    assert late.wait() == 3
    assert early.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        early.wait(0)
    streams(early)[0].write(b"\n")
    assert early.wait() == 0


def test_an_error_is_shown_as_ever(start: Start) -> None:
    fork = start("1 / 0")
    assert b"ZeroDivisionError" in streams(fork)[2].read()
    assert fork.wait() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_fork(start: Start, number: signal.Signals) -> None:
    fork = start("input()")
    fork.send_signal(number)
    assert fork.wait() == -number


def test_a_fork_is_stopped_when_the_wait_returns(start: Start) -> None:
    fork = start("print('.', flush=True)\nwhile True: pass")
    assert streams(fork)[1].read(1) == b"."
    fork.send_signal(signal.SIGSTOP)
    wait_until_stopped(fork.pid)
    assert Path(f"/proc/{fork.pid}/stat").read_text().rpartition(") ")[2].startswith("T")
    fork.kill()
    assert fork.wait() == -signal.SIGKILL
    wait_until_stopped(fork.pid)


def test_a_terminal_belongs_to_the_session(preloaded: Preloaded, tmp_path: Path) -> None:
    """So a hang-up is told to it."""
    program = tmp_path / "program.py"
    program.write_text("print('here')\nwhile True: input()")
    terminal, theirs = os.openpty()
    fork = preloaded.start([str(program)], tmp_path, {"TERM": "xterm"}, theirs, theirs, theirs)
    os.close(theirs)
    assert (fork.stdin, fork.stdout, fork.stderr) == (None, None, None)
    shown = b""
    while b"\n" not in shown:
        shown += os.read(terminal, 100)
    assert shown == b"here\r\n"
    os.close(terminal)
    assert fork.wait(PATIENCE) == -signal.SIGHUP


def test_no_fork_outlives_the_process_that_forks(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("input()")
    with contextlib.closing(Preloaded("server.py")) as preloaded:
        fork = preloaded.start([str(program)], tmp_path)
    assert fork.wait() == -signal.SIGKILL
    for stream in streams(fork):
        stream.close()


def test_the_end_of_the_process_that_forks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with contextlib.closing(Preloaded("server.py")) as preloaded, pytest.raises(OSError):
        preloaded.start([str(tmp_path / "program.py")], tmp_path)
