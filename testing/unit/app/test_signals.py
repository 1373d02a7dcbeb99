"""signals.py: what stops the server, and what does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bootstrap import INTERRUPTED
from app.signals import ONE_SIGNAL_SECONDS, Signals
from harness.peer import PATIENCE
from harness.processes import ROOT
from harness.servers import ServerProcess
from support.examples import EXAMPLES


class Stopping:
    """Signals and what they do, on a clock that stands still."""

    def __init__(self, hangup: str = "end") -> None:
        self.now = 1000.0
        self.did: list[str] = []
        self.signals = Signals(
            lambda call: call(),
            lambda: self.did.append("stop"),
            lambda: self.did.append("report"),
            lambda: self.did.append("reload"),
            hangup,
            now=lambda: self.now,
            exit_now=lambda status: self.did.append(f"exit {status}"),
        )

    def get(self, *steps: signal.Signals | float) -> list[str]:
        """Get signals, or let seconds pass; return what was done."""
        for step in steps:
            if isinstance(step, signal.Signals):
                self.signals.handle(step)
            else:
                self.now += step
        return self.did


LONG, SHORT = ONE_SIGNAL_SECONDS + 0.01, ONE_SIGNAL_SECONDS / 4


@pytest.mark.parametrize(
    ("steps", "did"),
    [
        ([SIGTERM], ["stop"]),
        ([SIGINT], ["stop"]),
        ([SIGHUP], ["stop"]),
        ([SIGUSR1, LONG, SIGUSR1], ["report", "report"]),
        ([SIGTERM, SIGTERM, SHORT, SIGINT, SHORT, SIGTERM], ["stop"]),
        ([SIGTERM, LONG, SIGTERM], ["stop", "exit 1"]),
        ([SIGINT, LONG, SIGINT], ["stop", "exit 1"]),
        ([SIGHUP, LONG, SIGTERM], ["stop", "exit 1"]),
        ([SIGTERM, SHORT, SIGTERM, LONG, SIGINT], ["stop", "exit 1"]),
        ([SIGHUP, SIGHUP, LONG, SIGHUP, LONG, SIGHUP], ["stop"]),
        ([SIGTERM, SIGUSR1, SIGHUP, LONG, SIGHUP, SIGUSR1], ["stop"]),
        ([SIGUSR1, SIGTERM, SIGUSR1], ["report", "stop"]),
    ],
)
def test_signals_stop_the_server_once(steps: list[signal.Signals | float], did: list[str]) -> None:
    assert Stopping().get(*steps) == did


def test_a_hangup_that_reloads_stops_nothing() -> None:
    stopping = Stopping("reload")
    assert stopping.get(SIGHUP, LONG, SIGHUP) == ["reload", "reload"]
    assert stopping.get(SIGTERM, SIGHUP, LONG, SIGHUP) == ["reload", "reload", "stop"]


@EXAMPLES
@given(st.lists(st.sampled_from([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SHORT, LONG])), st.sampled_from(["end", "reload"]))
def test_any_signals_in_any_order(steps: list[signal.Signals | float], hangup: str) -> None:
    ending = {SIGTERM, SIGINT} | ({SIGHUP} if hangup == "end" else set())
    did = Stopping(hangup).get(*steps)
    first = next((place for place, step in enumerate(steps) if step in ending), len(steps))
    assert did.count("report") == steps[:first].count(SIGUSR1)
    assert did.count("stop") == (first < len(steps))
    late, passed = 0, 0.0
    for step in steps[first + 1 :]:
        if isinstance(step, signal.Signals):
            late += step in (SIGTERM, SIGINT) and passed > ONE_SIGNAL_SECONDS
        else:
            passed += step
    assert did.count("exit 1") == late


# ---- processes ----


@pytest.mark.parametrize("first", [SIGTERM, SIGINT, SIGHUP])
def test_signals_without_end_do_not_change_how_a_server_ends(tmp_path: Path, first: signal.Signals) -> None:
    """Until it is gone, so also while its loop is closed and the interpreter ends."""
    with ServerProcess(tmp_path) as server:
        server.signal(first)
        sent = 0
        while server.is_running:
            server.signal((SIGHUP, SIGUSR1)[sent % 2])
            sent += 1
        assert server.wait() == 0
        assert sum("stopping" in line for line in server.log) == 1
        assert "Traceback" not in "".join(server.log)
        assert "Exception" not in "".join(server.log)


def test_two_signals_at_once_are_one(tmp_path: Path) -> None:
    for _ in range(3):
        with ServerProcess(tmp_path) as server:
            server.signal(SIGTERM)
            server.signal(SIGTERM)
            assert server.wait() == 0
            assert "Traceback" not in "".join(server.log)


def test_a_hangup_that_was_ignored_stays_ignored(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, shell="trap '' HUP") as server, server.peer() as peer:
        server.signal(SIGHUP)
        server.signal(SIGUSR1)
        server.wait_for("statistics")
        assert peer.ask("PING") == ["RESULT PING 1"]
        server.signal(SIGTERM)
        assert server.wait() == 0


def test_a_hangup_can_be_set_to_stop_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "hangup reload") as server, server.peer() as peer:
        server.signal(SIGHUP)
        server.wait_for("reload: changed=nothing")
        assert peer.ask("PING") == ["RESULT PING 1"]
        server.signal(SIGTERM)
        assert server.wait() == 0


@pytest.mark.parametrize(("signum", "status"), [(SIGINT, INTERRUPTED), (SIGTERM, -SIGTERM), (SIGKILL, -SIGKILL)])
def test_a_start_can_be_interrupted_quietly(tmp_path: Path, signum: signal.Signals, status: int) -> None:
    """While it waits for its config, which stands for the whole start."""
    os.mkfifo(tmp_path / "config")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "0", "config"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        writer = os.open(tmp_path / "config", os.O_WRONLY)  # waits until the config is read
        try:
            process.send_signal(signum)
            assert process.communicate(timeout=PATIENCE) == (b"", b"")
        finally:
            os.close(writer)
        assert process.returncode == status
    finally:
        process.kill()
        process.wait()


HOLD_BACK = """\
import os, signal
from app.signals import Signals, hold_back
stopped = []
hold_back()
os.kill(os.getpid(), signal.SIGTERM)
Signals(lambda call: call(), lambda: stopped.append(1), lambda: None, lambda: None, "end").install()
print(stopped)
"""


def test_a_signal_that_comes_while_the_program_begins_again_is_handled_later() -> None:
    assert subprocess.check_output([sys.executable, "-c", HOLD_BACK], cwd=ROOT, text=True) == "[1]\n"


SIGNALS_DURING_THE_START = """\
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "app.node":
            os.kill(os.getpid(), {})

sys.meta_path.insert(0, Finder)
"""


@pytest.mark.parametrize(
    ("signum", "lines", "words", "expected"),
    [
        (SIGHUP, ["hangup reload"], [], "reload: changed=nothing"),
        (SIGHUP, [], ["--hangup", "reload"], "reload: changed=nothing"),
        (SIGUSR1, [], [], "statistics clients=0"),
    ],
)
def test_a_signal_during_the_start_is_handled_after_it(
    tmp_path: Path, signum: int, lines: list[str], words: list[str], expected: str
) -> None:
    """P37: a service is not ended by one that would not stop it."""
    (tmp_path / "sitecustomize.py").write_text(SIGNALS_DURING_THE_START.format(int(signum)))
    with ServerProcess(tmp_path, *lines, words=words, shell=f"export PYTHONPATH={tmp_path}") as server:
        server.wait_for(expected)


def test_a_hangup_before_the_config_is_read_reloads_after_it(tmp_path: Path) -> None:
    """P37: the command line of a service says already what it means."""
    os.mkfifo(tmp_path / "config")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "0", "config", "--hangup", "reload", "--database", ":memory:"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        writer = os.open(tmp_path / "config", os.O_WRONLY)  # waits until the config is read
        process.send_signal(SIGHUP)
        os.close(writer)
        assert any("config is no file, so it cannot be read again" in line for line in process.stderr)
        process.send_signal(SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
