"""A server in a process, free ports for its channels, and no start of the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import server as server_module
from harness.servers import ServerProcess, free_ports


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as server:
        yield server


@pytest.fixture
def quiet_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "start_logging", lambda _level, _format: None)


@pytest.fixture
def ports(tmp_path: Path) -> list[int]:
    """The ports of the channels in `rooms.conf`: lobby, attic, cellar."""
    ports = free_ports(3)
    lines = [f"channel {name} {port} 5" for name, port in zip(("lobby", "attic", "cellar"), ports, strict=True)]
    (tmp_path / "rooms.conf").write_text("\n".join(["address 127.0.0.1", "database :memory:", *lines]))
    return ports
