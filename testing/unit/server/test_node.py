"""server.py as a node of a cluster: its ports, its console and its statistics before it leads, and when it does."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import server as server_module
from app import bootstrap
from app.node import StartError
from app.options import Options
from app.ports import bound_socket
from harness.peer import PATIENCE, Peer
from harness.text import LOOPBACK
from replica.names import SteppedDown
from server import Server
from settings import EngineAddress, Listen, Settings
from support.monitored import fetch


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a node; no engine listens at port 1."""
    return Settings(
        node="c1",
        engine=(EngineAddress(LOOPBACK, 1),),
        database=str(tmp_path / "c1.db"),
        listen=(Listen(LOOPBACK, 0, "auto"),),
    )


@pytest.fixture
def node(settings: Settings) -> Iterator[Server]:
    with closing(Server(settings)) as node:
        yield node


@contextlib.contextmanager
def closing(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.loop.close()
        server.store.close()
        for sock, _listen in server._sockets:  # the loop has those that listen
            sock.close()


def lead(node: Server) -> list[str]:
    """Have a node open its ports as when it leads; return the list into which each call of `hold_lease` is put."""
    held: list[str] = []
    assert node.replica is not None
    node.replica.hold_lease = lambda: held.append("held")  # type: ignore[method-assign]
    node._open(node.store)
    return held


def test_a_backup_has_its_ports_but_does_not_listen(node: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert not node.is_open
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, node.port), PATIENCE)
    node.log_statistics()
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("cluster node=c1 role=backup ")
    node.stop()
    node.stop()
    assert [record.getMessage() for record in caplog.records][1:] == ["stopping"]


def test_a_node_that_leads_serves_under_its_lease(node: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    opened: list[int] = []
    node.opened = lambda: opened.append(node.port)
    held = lead(node)
    assert (node.is_open, opened) == (True, [node.port])
    with Peer(node.port) as ann:
        ann.send("PING")
        guard = node.loop.call_later(PATIENCE, lambda: pytest.fail("there is no answer"))
        while not held:
            node.loop.turn()
        node.loop.cancel(guard)
        assert ann.line() == "RESULT PING 1"
    assert held, "nothing leaves without the lease"
    node.log_statistics()
    assert [line.split()[0] for line in caplog.messages][-2:] == ["cluster", "statistics"]


def test_a_backup_is_watched_and_says_that_it_does_not_serve(settings: Settings) -> None:
    """Its answers wait for no lease."""
    with closing(Server(settings._replace(metrics=Listen(LOOPBACK, 0, "metrics")))) as node:
        assert fetch(node, "/healthz") == (503, "this node is a backup; the primary serves the clients\n")
        status, body = fetch(node, "/metrics")
        assert (status, "crosstalk_users" in body) == (200, False)
        assert 'node="c1",role="backup",run="' in body
        assert "crosstalk_cluster_primary 0.0\n" in body


def test_a_port_that_another_program_has_taken_meanwhile(node: Server) -> None:
    with bound_socket(LOOPBACK, node.port, listening=True):
        with pytest.raises(StartError, match=rf"cannot listen on {LOOPBACK}:{node.port}: .*; choose another port"):
            lead(node)
        assert not node.is_open


def test_the_console_of_a_backup_says_why_nothing_happens(node: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[bytes] = []
    monkeypatch.setattr(node.printer, "write", printed.append)
    monkeypatch.setattr(signal, "signal", lambda _signum, _handler: None)
    monkeypatch.setattr(server_module, "read_lines", lambda _descriptor, take: take("/mute tea:ann 5"))
    guard = node.loop.call_later(PATIENCE, lambda: pytest.fail("nothing came"))
    server_module.open_console(node)
    while not printed:
        node.loop.turn()
    node.loop.cancel(guard)
    assert printed == [b"This node is a backup: the primary has the channels.\n"]


def test_the_control_socket_of_a_backup(node: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P31. Its answers need no lease, which a backup does not have."""
    stopped: list[bool] = []
    monkeypatch.setattr(node.loop, "drain", lambda _seconds: stopped.append(True))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(tmp_path / "c1.control"))
    guard = node.loop.call_later(PATIENCE, lambda: pytest.fail("there is no answer"))
    with Peer(sock) as operator:
        operator.send("users", "status", "shutdown")
        while b"\nOK\nOK\n" not in operator.received.encode():
            node.loop.turn()
        refused, *values = operator.received.splitlines()
    node.loop.cancel(guard)
    assert refused == "ERROR This node is a backup: the primary has the channels."
    assert " role backup" in values
    assert stopped == [True]


@pytest.mark.usefixtures("quiet_logging")
def test_the_program_follows_the_cluster_and_ends_with_its_status(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is that of the node's part in the cluster, which may begin again instead."""
    followed: list[str] = []

    class Part:
        working = False

        def start(self) -> None:
            followed.append("start")

        def run(self, serve: Callable[[], None], is_stopping: Callable[[], bool], alive: object) -> int:
            with pytest.raises(SteppedDown):
                serve()
            followed.append(f"run, stopping: {is_stopping()}")
            return 3

    def refused() -> None:
        raise SteppedDown("replaced")

    server = Server(settings)
    monkeypatch.setattr(server, "replica", Part())
    monkeypatch.setattr(server, "run", refused)
    monkeypatch.setattr(server, "log_statistics", lambda: followed.append("statistics"))
    monkeypatch.setattr(server_module, "Server", lambda _settings, _config: server)
    monkeypatch.setattr(server_module, "open_console", lambda _server: None)
    monkeypatch.setattr(bootstrap, "occupy_standard_descriptors", lambda: None)
    for name in ("tame_garbage_collector", "raise_descriptor_limit", "reserve_descriptor_table"):
        monkeypatch.setattr(server_module, name, lambda: None)
    monkeypatch.setattr(server_module, "Signals", lambda *_calls: Quiet())
    with closing(server):
        assert server_module.main(Options(settings, hello_server=False)) == 3
    assert followed == ["start", "run, stopping: False", "statistics"]


class Quiet:
    """Signals that are not handled."""

    stopping = False

    def install(self) -> None:
        """Nothing is installed."""

    def ignore(self) -> None:
        """There is nothing to ignore."""
