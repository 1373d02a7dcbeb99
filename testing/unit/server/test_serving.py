"""Clients that are slow, half closed or too many; disks that are full; database files that are moved."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.processes import ROOT
from harness.servers import ServerProcess
from net.tcp import RESERVED_DESCRIPTORS, TABLE_SIZE
from support.programs import TEXT, run


def test_what_was_told_survives_a_kill(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "database my.db") as server, server.user("alice") as alice:
        alice.ask("CREATE room", "JOIN room")
        assert alice.ask("SAY room hello") == ["RECV alice room hello"]
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
    with ServerProcess(tmp_path, "database my.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "SAY room again", "HISTORY room") == [
            "RESULT LOGIN 1", "RECV alice room again", "RESULT HISTORY room 2",
        ]  # fmt: skip
        assert [alice.line(), alice.line()] == ["RECV alice room hello", "RECV alice room again"]


def test_a_client_that_ends_its_side_gets_its_answers(server: ServerProcess) -> None:
    with server.peer() as peer:
        peer.send("REGISTER alice pw", "LOGIN alice pw", "CREATE room", "JOIN room", "SAY room hello")
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.rest().decode().splitlines() == [
            "RESULT REGISTER 1", "RESULT LOGIN 1", "RESULT CREATE room 1", "RESULT JOIN room 1",
            "RECV alice room hello",
        ]  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_thousands_of_connections_need_no_larger_table_of_descriptors(server: ServerProcess) -> None:
    """In a process with threads, the kernel would block it for each doubling."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (size,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("FDSize:"))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert size >= min(TABLE_SIZE, hard)


def test_a_web_browser_gets_nothing(server: ServerProcess) -> None:
    with server.peer() as peer:
        peer.send_bytes(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert peer.rest() == b""


def test_the_settings_reach_what_they_set(tmp_path: Path) -> None:
    config = (
        "max-line 512", "max-name 5", "max-accounts 1", "max-channels 1", "max-channels-per-user 1", "max-mail 0",
        "channels-reply joined", "history-on-join 1", "max-clients 2",
    )  # fmt: skip
    with ServerProcess(tmp_path, *config) as server, server.user("alice") as alice:
        asked = {
            "x" * 511: "RESULT ERROR unknown type",
            "x" * 512: "RESULT ERROR line too long",
            "CREATE toolong": "RESULT CREATE toolong 0",
            "REGISTER bob pw": "RESULT REGISTER 0",
            "CREATE room": "RESULT CREATE room 1",
            "CREATE more": "RESULT CREATE more 0",
            "CHANNELS": "RESULT CHANNELS",
            "JOIN room": "RESULT JOIN room 1",
            "SAY room hello": "RECV alice room hello",
            "LEAVE room": "RESULT LEAVE room 1",
        }
        assert dict(zip(asked, alice.ask(*asked), strict=True)) == asked
        alice.send("JOIN room")
        assert [alice.line(), alice.line()] == ["RESULT JOIN room 1", "RECV alice room hello"]
        with server.peer() as second, server.peer() as third:
            assert third.rest() == b""
            assert second.ask("PING") == ["RESULT PING 1"]
            server.wait_for(r"max-clients")


def test_a_disk_that_is_full_and_has_room_again(server: ServerProcess) -> None:
    """C47."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process cannot be set here")
    with server.user("alice") as alice:
        assert alice.ask("CREATE room", "JOIN room") == ["RESULT CREATE room 1", "RESULT JOIN room 1"]
        pid = server.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        assert alice.ask("SAY room lost", "CREATE more", "SEND room lost", "PING") == [
            "RESULT SAY 0", "RESULT CREATE more 0", "RESULT SEND ERROR", "RESULT PING 1",
        ]  # fmt: skip
        assert len([line for line in server.log if "cannot write to the database" in line]) <= 1
        server.wait_for("ERROR cannot write to the database")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        assert alice.ask("SAY room kept", "CREATE more", "HISTORY room") == [
            "RECV alice room kept", "RESULT CREATE more 1", "RESULT HISTORY room 1",
        ]  # fmt: skip
        server.wait_for("is written again")


def test_more_clients_than_descriptors_wait_and_are_served_later(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, shell="ulimit -S -n 40; ulimit -H -n 48") as server, contextlib.ExitStack() as stack:
        room = int(server.wait_for(r"max clients: (\d+)")[1])
        assert room == 48 - RESERVED_DESCRIPTORS  # what it was given it has raised
        peers = [stack.enter_context(server.peer()) for _ in range(room + 4)]
        for peer in peers:
            peer.send("PING")
        assert [peer.line() for peer in peers[:room]] == ["RESULT PING 1"] * room
        server.wait_for("accept paused")
        for peer in peers[:4]:
            peer.close()
        assert [peer.line() for peer in peers[room:]] == ["RESULT PING 1"] * 4
        assert peers[room].ask("REGISTER alice pw", "LOGIN alice pw") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
        assert peers[4].ask("PING") == ["RESULT PING 1"]


def test_a_slow_reader_is_closed_and_the_others_hear_all(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "max-out-buffer 300000") as server,
        server.user("alice") as alice,
        server.user("bob") as bob,
        server.user("slow") as slow,
    ):
        alice.ask("CREATE room", "JOIN room")
        bob.ask("JOIN room")
        slow.ask("JOIN room")
        lines = [f"RECV alice room {TEXT}"] * 5
        for _ in range(1000):
            assert alice.ask(*[f"SAY room {TEXT}"] * 5) == lines
            assert [bob.line() for _line in lines] == lines
            if any("reads too slowly" in line for line in server.log):
                break
        server.wait_for("reads too slowly")
        assert alice.ask("PING") == ["RESULT PING 1"]


@pytest.mark.parametrize("dialect", ["hello", "result"])
def test_who_sends_to_a_reader_that_stalls_is_told_when_it_is_closed(tmp_path: Path, dialect: str) -> None:
    with ServerProcess(tmp_path, "stall-seconds 1") as server, server.peer() as alice, server.peer() as slow:
        if dialect == "hello":
            assert slow.ask("HELLO-FROM slow") == ["HELLO slow"]
        else:
            assert slow.ask("REGISTER slow x", "LOGIN slow x") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
        assert alice.ask("HELLO-FROM alice") == ["HELLO alice"]
        answer = "SEND-OK"
        while answer == "SEND-OK":
            alice.send(f"SEND slow {TEXT}", "LIST")
            answer, users = alice.line(), alice.line()
        assert (answer, users) == ("BAD-DEST-USER", "LIST-OK alice")
        server.wait_for("has taken nothing for 1 seconds")


def test_a_database_that_is_moved_away_and_put_back(tmp_path: Path) -> None:
    """C48: nothing is confirmed meanwhile, it is told without being asked, and the end destroys nothing."""
    path, away = tmp_path / "my.db", tmp_path / "away.db"
    with ServerProcess(tmp_path, "database my.db") as server, server.user("alice") as alice:
        assert alice.ask("CREATE one") == ["RESULT CREATE one 1"]
        path.rename(away)
        server.wait_for("ERROR cannot write to the database my.db: .*moved or removed")
        assert alice.ask("CREATE lost", "PING") == ["RESULT CREATE lost 0", "RESULT PING 1"]
        away.rename(path)
        server.wait_for("WARNING the database is written again")
        assert alice.ask("CREATE two") == ["RESULT CREATE two 1"]
        path.rename(away)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    log = (tmp_path / "my.db-wal").read_bytes()
    done = run("0", "--database", "my.db", directory=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "put the database back" in done.stderr
    assert (tmp_path / "my.db-wal").read_bytes() == log
    away.rename(path)
    with ServerProcess(tmp_path, "database my.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "JOIN one", "JOIN two", "JOIN lost") == [
            "RESULT LOGIN 1", "RESULT JOIN one 1", "RESULT JOIN two 1", "RESULT JOIN lost 0",
        ]  # fmt: skip


def test_a_restore_as_the_documents_have_it(tmp_path: Path) -> None:
    """Also over what a crash has left behind; left out the moving away, it is refused."""
    document = (ROOT / "docs" / "operation.md").read_text()
    commands = re.findall(r"^        (\(umask 077; .*\.backup .*|mkdir -m 700 .*)$", document, re.MULTILINE)
    back_up, restore = [command.replace("crosstalk-5050", "my") for command in commands]
    with ServerProcess(tmp_path, "database my.db") as server, server.user("alice") as alice:
        alice.ask("CREATE kept")
        subprocess.run(["sh", "-c", back_up], cwd=tmp_path, check=True)
        alice.ask("CREATE unwanted")
        server.signal(signal.SIGKILL)
        server.wait()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.glob("backup*.db")] == [0o600]
    subprocess.run(["sh", "-c", restore], cwd=tmp_path, check=True)
    with ServerProcess(tmp_path, "database my.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "JOIN kept", "JOIN unwanted") == [
            "RESULT LOGIN 1", "RESULT JOIN kept 1", "RESULT JOIN unwanted 0",
        ]  # fmt: skip
        assert not [line for line in server.log if "WARNING" in line]
