"""Signals, what is owed before the end, and the counters in the log."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from domain.changes import AccountRegistered, Change, ChannelCreated, Joined, Said
from harness.peer import PATIENCE, Peer
from harness.processes import ROOT
from harness.servers import ServerProcess
from server import Server
from store import Store
from support.programs import SERVER, on


def test_a_signal_stops_a_server_cleanly(server: ServerProcess) -> None:
    with server.user("alice") as alice:
        server.signal(signal.SIGTERM)
        assert alice.rest() == b""
        assert server.wait() == 0
    assert "Traceback" not in "\n".join(server.log)
    assert any("stopping" in line for line in server.log)
    assert not Path(f"{server.database}-wal").exists()


def test_ctrl_c_stops_a_server_too(server: ServerProcess) -> None:
    server.signal(signal.SIGINT)
    assert server.wait() == 0


HISTORY = "RESULT HISTORY room 400\n" + f"RECV alice room {'y' * 60_000}\n" * 400
"""More than a kernel takes for one connection."""


@contextlib.contextmanager
def owing(directory: Path, config: str) -> Iterator[tuple[ServerProcess, Peer]]:
    """A server that owes HISTORY to a client who has not begun to read it."""
    store = Store(str(directory / "big.db"))
    hashed = bcrypt.hashpw(b"alice", bcrypt.gensalt(4))
    furniture: list[Change] = [
        AccountRegistered("alice", hashed, 1.0),
        ChannelCreated("room", "alice", 1.0),
        Joined("alice", "room", 1.0),
    ]
    assert store.write([*furniture, *[Said("alice", "room", "y" * 60_000, 1.0, number) for number in range(1, 401)]])
    store.close()
    with ServerProcess(directory, config, "database big.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice") == ["RESULT LOGIN 1"]
        alice.send("HISTORY room 400", "PING")
        with server.peer() as other:  # when this one is answered, the server has read what came before
            assert other.ask("PING") == ["RESULT PING 1"]
        yield server, alice


def test_what_is_owed_leaves_before_the_end(tmp_path: Path) -> None:
    with owing(tmp_path, "shutdown-seconds 600") as (server, alice):
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")
        assert alice.rest() == HISTORY.encode()  # and no answer to a line that was not run
        assert server.wait() == 0


def test_an_outstanding_answer_is_given_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    go, real = threading.Event(), bcrypt.hashpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        assert go.wait(PATIENCE)
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    server = Server(on(0, database="my.db", bcrypt_cost=4, shutdown_seconds=600))
    with Peer(server.port) as peer:
        peer.send("REGISTER alice pw", "REGISTER bob pw")
        guard = server.loop.call_later(PATIENCE, lambda: pytest.fail("this does not end"))
        while not server.loop.working:
            server.loop.turn()
        server.loop.call_soon(server.stop)
        server.loop.call_soon(go.set)
        server.run()
        server.loop.cancel(guard)
        assert peer.rest() == b"RESULT REGISTER 1\n"
    with pytest.raises(OSError):
        Peer(server.port)
    again = Server(on(0, database="my.db"))
    assert set(again.node.chat.users.accounts) == {"alice"}
    again.loop.close()
    again.store.close()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with owing(tmp_path, "shutdown-seconds 3600") as (server, _alice):
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")
        assert server.is_running
        deadline = time.monotonic() + PATIENCE
        while server.is_running:  # one that comes too soon is one with the first
            assert time.monotonic() < deadline
            server.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(0.1)
        assert server.wait() == 1


def test_a_client_that_does_not_read_cannot_keep_a_server_up(tmp_path: Path) -> None:
    with owing(tmp_path, "shutdown-seconds 0") as (server, _alice):
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_the_counters_are_written_to_the_log(server: ServerProcess) -> None:
    with server.user("alice") as alice:
        alice.ask("CREATE room")
        server.signal(signal.SIGUSR1)
        line = server.wait_for("statistics .*").group()
        assert "clients=1 users=1 accounts=1 channels=1 failed-logins=0 refused-hashes=0" in line
        alice.send("QUIT")
        assert alice.rest() == b""
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "closed-goodbye=1" in server.log[-1]


def test_a_log_that_nobody_reads_does_not_stop_the_chat(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, SERVER, "0", "--database", ":memory:"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stderr=writer,
        )
        try:
            os.close(writer)
            writer = -1
            log = b""
            while not (ready := re.search(rb" ready .*port=(\d+)", log)):
                log += os.read(reader, 4096)
            os.close(reader)
            reader = -1
            with Peer(int(ready[1])) as peer:
                for _ in range(3):
                    process.send_signal(signal.SIGUSR1)
                    assert peer.ask("PING") == ["RESULT PING 1"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
    finally:
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)


def test_a_server_without_standard_descriptors_serves(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "server.py"), "0"]
    with subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=tmp_path) as process:
        deadline = time.monotonic() + PATIENCE
        answer = None
        while answer is None and time.monotonic() < deadline:
            # Nobody says when it is ready; the name of its database tells the port.
            for path in tmp_path.glob("crosstalk-*.db"):
                with contextlib.suppress(OSError), Peer(int(path.stem.removeprefix("crosstalk-"))) as peer:
                    answer = peer.ask("PING")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert answer == ["RESULT PING 1"]


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for path in (server.database, Path(f"{server.database}-wal")):
            assert path.stat().st_mode & 0o777 == 0o600


def test_who_goes_on_speaking_after_the_signal_is_not_served(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "shutdown-seconds 600") as server, server.user("alice") as alice:
        alice.ask("CREATE tea", "JOIN tea")
        speaking = threading.Thread(target=speak_until_closed, args=(alice,))
        speaking.start()
        alice.line()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        speaking.join(PATIENCE)
        assert not speaking.is_alive()


def speak_until_closed(peer: Peer) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer.send("SAY tea x")
