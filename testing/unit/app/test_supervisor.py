"""app/supervisor.py: what the service manager is told, by the object and by a server that it has started."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.supervisor import Supervisor
from harness.peer import PATIENCE
from harness.servers import ServerProcess
from support.world import FakeTimers


class Manager:
    """A service manager's socket."""

    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(PATIENCE)
        self._sock.bind(address)

    def hears(self) -> str:
        """Return the next message."""
        return self._sock.recv(4096).decode()

    def wait_for(self, message: str) -> None:
        """Pass over the signs of life before a message, and nothing else."""
        while (heard := self.hears()) != message:
            assert heard == "WATCHDOG=1"

    def is_quiet(self) -> bool:
        self._sock.setblocking(False)
        try:
            self._sock.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self._sock.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "path":
        manager = Manager(str(tmp_path / "notify"), str(tmp_path / "notify"))
    else:
        name = f"crosstalk-{uuid.uuid4()}"
        manager = Manager(f"\0{name}", f"@{name}")
    yield manager
    manager.close()


def test_each_state_is_one_message(manager: Manager) -> None:
    timers = FakeTimers()
    supervisor = Supervisor({"NOTIFY_SOCKET": manager.name}, timers)
    supervisor.ready()
    assert manager.hears() == "READY=1"
    supervisor.status("serves at port 5050")
    assert manager.hears() == "STATUS=serves at port 5050"
    before = time.monotonic()
    with supervisor.reloading():
        word, _, at = manager.hears().partition("\nMONOTONIC_USEC=")
        assert word == "RELOADING=1"
        assert before - 1 <= int(at) / 1e6 <= time.monotonic() + 1
        assert manager.is_quiet()
    assert manager.hears() == "READY=1"
    supervisor.stopping()
    assert manager.hears() == "STOPPING=1"
    timers.let_pass(1000)
    supervisor.alive()
    assert manager.is_quiet(), "no watchdog waits"


def test_the_watchdog_is_fed_at_half_its_time(manager: Manager) -> None:
    timers = FakeTimers()
    environment = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    supervisor = Supervisor(environment, timers)
    timers.let_pass(10)
    assert manager.is_quiet(), "a start may take long"
    supervisor.ready()
    assert [manager.hears() for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
    for _ in range(3):
        timers.let_pass(1.4)
        assert manager.is_quiet()
        timers.let_pass(0.1)
        assert manager.hears() == "WATCHDOG=1"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "relative"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
    ],
)
def test_without_a_manager_nothing_is_said(environment: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(environment, FakeTimers())
    supervisor.ready()
    supervisor.stopping()
    assert caplog.messages == []


@pytest.mark.parametrize(
    "watchdog", [{"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
def test_a_watchdog_of_another_process_is_not_fed(watchdog: dict[str, str], manager: Manager) -> None:
    Supervisor({"NOTIFY_SOCKET": manager.name, **watchdog}, FakeTimers()).ready()
    assert manager.hears() == "READY=1"
    assert manager.is_quiet()


def test_a_manager_that_is_gone_costs_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "nowhere")}, FakeTimers()).ready()
    assert caplog.messages == ["cannot tell the service manager: No such file or directory"]


def test_a_server_tells_its_manager_how_it_is(manager: Manager, tmp_path: Path) -> None:
    """The loop itself feeds the watchdog: a process that stands still does not."""
    variables = f"NOTIFY_SOCKET='{manager.name}' WATCHDOG_USEC=100000 WATCHDOG_PID=$$"
    with ServerProcess(tmp_path, shell=f"export {variables}") as server:
        assert manager.hears() == f"STATUS=serves at port {server.port}"
        assert [manager.hears() for _ in range(3)] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
        server.signal(signal.SIGSTOP)
        while not manager.is_quiet():
            pass
        server.signal(signal.SIGCONT)
        assert manager.hears() == "WATCHDOG=1"
        server.signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        assert server.wait() == 0
