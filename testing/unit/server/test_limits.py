"""The limits of clients at a real server, for loopback addresses that are not exempt."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.peer import Peer
from harness.processes import SERVER
from harness.servers import ServerProcess


def test_a_pipe_of_a_thousand_lines_gets_every_answer(tmp_path: Path) -> None:
    """C59, C12: also after its end, and in the dialect that its first word chooses."""
    config = ("exempt none", "line-burst 600", "line-rate 400")
    with ServerProcess(tmp_path, *config) as server, server.user("bob") as bob, Peer(server.port) as pipe:
        pipe.send_bytes(b"PING\n" * 1000 + b"LOGIN bob wrong\n")
        pipe.socket.shutdown(socket.SHUT_WR)
        server.wait_for(r"connection=2 limit reason=line-rate address=127\.0\.0\.1 \(slowed, 400 a second after 600\)")
        assert bob.ask("PING") == ["RESULT PING 1"]
        assert pipe.rest() == b"RESULT PING 1\n" * 1000 + b"RESULT LOGIN 0\n"
        with Peer(server.port) as guest:
            guest.send_bytes(b"HELLO-FROM zoe\n" + b"LIST\n" * 800)
            assert [guest.line() for _ in range(801)] == ["HELLO zoe", *["LIST-OK bob,zoe"] * 800]


def test_loopback_is_exempt_by_default(tmp_path: Path) -> None:
    """C62."""
    with ServerProcess(tmp_path, "line-burst 1", "line-rate 1", "connection-rate 1") as server:
        for _ in range(3):
            with Peer(server.port) as peer:
                peer.send_bytes(b"PING\n" * 1000)
                assert [peer.line() for _ in range(1000)] == ["RESULT PING 1"] * 1000
        assert not [line for line in server.log if " limit " in line]


def test_the_log_as_json_has_one_object_a_line(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("log-format json\nlog-level debug\nexempt none\nbcrypt-cost 4\ndatabase :memory:\n")
    command = [sys.executable, str(SERVER), "0", str(config)]
    records: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            records.append(json.loads(line))
            if records[-1]["event"] == "ready":
                with Peer(records[-1]["port"]) as peer:
                    assert peer.ask('LOGIN a"b\u2028 x') == ["RESULT LOGIN 0"]
            elif records[-1]["event"] == "connection closed":
                process.terminate()
    assert process.returncode == 0
    of_peer = [record for record in records if record.get("connection") == 1]
    assert [record["event"] for record in of_peer] == ["connection opened", "limit", "connection closed"]
    limit = of_peer[1]
    assert (limit["reason"], limit["address"], limit["level"]) == ("failed-login", "127.0.0.1", "warning")
    assert limit["name"] == ascii('a"b\u2028')
    assert {record["event"] for record in records} >= {"listening", "ready", "stopping", "statistics"}
