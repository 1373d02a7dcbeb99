"""What happens to the machine meanwhile: the process stands still, the clock jumps, the disk is read-only."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.peer import PATIENCE, Peer
from harness.servers import ServerProcess, free_ports
from server import Server
from support.monitored import turn
from support.programs import SERVER, on

# ---- the process stands still ----


def test_a_process_that_stood_still_owes_nobody_anything(tmp_path: Path) -> None:
    """It stands for longer than a guest may be silent. Whoever has said something meanwhile is not silent."""
    port, *others = free_ports(3)
    rooms = [f"channel {name} {each} 9" for name, each in zip(("lobby", "a", "b"), (port, *others), strict=True)]
    config = (*rooms, "afk-seconds 2", "stall-seconds 1", "keepalive-seconds 2")
    with ServerProcess(tmp_path, *config) as server, server.user("alice") as alice, Peer(port) as ann:
        alice.ask("JOIN lobby")
        ann.send("ann")
        ann.expect("ann has joined the channel.\n")
        server.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        ann.send("still here")
        alice.send("SAY lobby me too")
        with Peer(server.port) as late:  # the kernel accepts for it
            late.send("PING")
            while time.monotonic() < stopped + 2.5:
                time.sleep(stopped + 2.5 - time.monotonic())
            server.signal(signal.SIGCONT)
            assert late.line() == "RESULT PING 1"
        ann.expect("still here\n")
        ann.expect("me too\n")
        alice.expect("RECV ann lobby still here\n")
        alice.expect("RECV alice lobby me too\n")
        assert "went AFK" not in ann.received


# ---- the clock jumps ----

DAY = 86_400.0


class Clock:
    """A wall clock that jumps."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@contextlib.contextmanager
def served(database: str = ":memory:") -> Iterator[tuple[Server, Callable[..., list[str]], Peer]]:
    """A server in this process, a client who is in a channel, and what asks for it, whose answers come at once."""
    server = Server(on(0, database=database, bcrypt_cost=4))
    peer = Peer(server.port)

    def ask(line: str, answers: int = 1) -> list[str]:
        peer.send(line)
        deadline = time.monotonic() + PATIENCE
        while peer.unread.count(b"\n") < answers:
            turn(server)
            with contextlib.suppress(TimeoutError):
                peer.receive(0.0)
            assert time.monotonic() < deadline, peer.unread
        return [peer.line() for _ in range(answers)]

    try:
        for line in ("REGISTER alice x", "LOGIN alice x", "CREATE tea", "JOIN tea"):
            (answer,) = ask(line)
            assert answer.endswith(" 1")
        yield server, ask, peer
    finally:
        peer.close()
        server.loop.close()
        server.store.close()


@pytest.mark.parametrize("jumps", [(-DAY, 2 * DAY), (10 * 365 * DAY, -20 * 365 * DAY), (-1.0, -1.0)], ids=str)
def test_a_clock_that_jumps_changes_no_order_and_ends_nothing(jumps: tuple[float, ...], clock: Clock) -> None:
    """Time-outs go by the monotonic clock, and messages by their numbers; a message is no older than the one before."""
    with served() as (server, ask, _peer):
        ask("TAGS time id")
        said = [ask("SAY tea 0")[0]]
        for number, jump in enumerate(jumps, 1):
            clock.now += jump
            said += ask(f"SAY tea {number}")
        _head, *history = ask("HISTORY tea", 2 + len(jumps))
        assert history == said
        ids = [int(re.findall(r"id=(\d+)", line)[0]) for line in said]
        times = [re.findall(r"time=(\S+)", line)[0] for line in said]
        assert ids == sorted({*ids})
        assert times == sorted(times)
        assert ask("PING") == ["RESULT PING 1"]
        assert server.health.fault() == ""


# ---- the disk is read-only ----


def test_a_disk_that_becomes_read_only_and_is_not_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C47, as the operating system tells it to SQLite."""
    monkeypatch.setattr("app.health.TRY_SECONDS", 0.0)
    with served(str(tmp_path / "my.db")) as (server, ask, _peer):
        assert ask("SAY tea before") == ["RECV alice tea before"]
        server.store._db.execute("PRAGMA query_only = ON")
        assert ask("SAY tea lost") == ["RESULT SAY 0"]
        assert ask("CREATE more") == ["RESULT CREATE more 0"]
        assert ask("PING") == ["RESULT PING 1"]
        assert server.health.fault()
        server.store._db.execute("PRAGMA query_only = OFF")
        assert server.health.fault() == ""
        assert ask("SAY tea after") == ["RECV alice tea after"]
        assert ask("HISTORY tea", 3)[1:] == ["RECV alice tea before", "RECV alice tea after"]


def test_a_start_on_a_read_only_disk_is_refused_in_one_line(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    place = tmp_path / "disk"
    place.mkdir()
    mounting = f"mount -t tmpfs -o ro none {place}"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*alone, "sh", "-c", mounting], capture_output=True).returncode
    ):
        pytest.skip("no namespaces here")
    start = f"{mounting}; exec {sys.executable} {SERVER} 0 --database {place}/my.db"
    done = subprocess.run([*alone, "sh", "-c", start], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"server.py: cannot open the database {place}/my.db: Read-only file system; ")
    assert done.stderr.count("\n") == 1
