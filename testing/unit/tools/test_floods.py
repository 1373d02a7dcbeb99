"""tools/floods.py: during each kind of flood a bystander is served, and the server keeps within its bounds.

How long the bystander waits is measured by `make floods`, since no test may depend on the clock.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.peer import Peer
from harness.servers import ServerProcess
from tools.floods import CONFIG, FLOODS, SILENT, flood

SECONDS = 60.0
"""How long a flood lasts if nobody ends it."""

PINGS = 30

GROWTH = 64 * 1024 * 1024
"""Bytes by which the server may grow: buffers of the flooding clients, and what malloc keeps."""

REASONS = {"line-rate", "stall-seconds", "failed-login", "connection-rate", "max-hash-queue", "max-registrations"}


HITS = {"lines": "line-rate", "passwords": "failed-login", "coming-and-going": "connection-rate"}
"""The limit that a kind of flood hits."""


def resident(server: ServerProcess) -> int:
    """Bytes of memory that the server has."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def test_a_bystander_is_served_during_every_flood(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *CONFIG, "connection-rate 1500") as server, Peer(server.port) as peer:
        assert peer.ask("REGISTER user0 right") == ["RESULT REGISTER 1"]
        before = resident(server)
        for kind in [kind for kind in FLOODS if kind != "silent"]:
            with flood(kind, server.port, SECONDS):
                for _ in range(PINGS):
                    assert peer.ask("PING") == ["RESULT PING 1"], kind
                if kind in HITS:  # the flood goes on until then
                    server.wait_for(f"reason={HITS[kind]} address=127.0.0.2")
        assert resident(server) - before < GROWTH
        assert set(re.findall(r"reason=([a-z-]+) address=127\.0\.0\.2", "\n".join(server.log))) <= REASONS
        assert not [line for line in server.log if " ERROR " in line]
        assert peer.ask("LOGIN user0 right") == ["RESULT LOGIN 1"]


@pytest.mark.slow
def test_ten_thousand_silent_connections_cost_a_bystander_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *CONFIG) as server, Peer(server.port) as peer:
        before = resident(server)
        with flood("silent", server.port, SECONDS):
            for _ in range(PINGS):
                assert peer.ask("PING") == ["RESULT PING 1"]
            assert resident(server) - before < 10_000 * SILENT
        assert peer.ask("PING") == ["RESULT PING 1"]
