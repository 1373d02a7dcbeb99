"""Listening sockets at a path."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from net import local
from net.admin_listener import MAX_OPEN, AdminListener
from net.connection import Connection
from net.local import LocalSocket, PathTaken
from net.loop import Loop
from support.loop import Owner


@contextlib.contextmanager
def opened(path: Path) -> Iterator[LocalSocket]:
    made = LocalSocket(str(path))
    try:
        yield made
    finally:
        made.sock.close()


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(str(path)) == 0


def test_a_socket_is_its_owners_alone_from_its_creation_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P12."""
    path, modes = tmp_path / "x.control", []
    bind = socket.socket.bind

    class Watched(socket.socket):
        def bind(self, address: str) -> None:  # type: ignore[override]
            bind(self, address)
            modes.append(stat.S_IMODE(os.stat(address).st_mode))

    monkeypatch.setattr("net.local.socket.socket", Watched)
    before = os.umask(0)
    try:
        with opened(path):
            assert modes == [0o600]
            assert os.umask(0) == 0, "the mask is as it was"
            assert can_connect(path)
    finally:
        os.umask(before)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """P12."""
    path = tmp_path / "x.control"
    with opened(path):
        pass
    assert not can_connect(path)
    with opened(path):
        assert can_connect(path)


def test_a_socket_of_another_server_is_left_alone(tmp_path: Path) -> None:
    """P12."""
    path = tmp_path / "x.control"
    with opened(path):
        with pytest.raises(PathTaken, match="another program listens there"):
            LocalSocket(str(path))
        assert can_connect(path)


def test_a_listener_whose_queue_is_full_is_no_stale_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.control"
    monkeypatch.setattr(local, "BACKLOG", 0)
    with opened(path), contextlib.ExitStack() as waiting:
        for _ in range(2):
            sock = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.setblocking(False)
            sock.connect_ex(str(path))
        with pytest.raises(PathTaken):
            LocalSocket(str(path))


@pytest.mark.parametrize("kind", ["file", "directory", "link", "pipe"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    """P12."""
    path = tmp_path / "x.control"
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text("precious"),
        "directory": path.mkdir,
        "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    mode = path.lstat().st_mode
    with pytest.raises(PathTaken, match="no socket"):
        LocalSocket(str(path))
    assert path.lstat().st_mode == mode


@pytest.mark.parametrize("name", ["x" * 200, "missing/x.control"])
def test_a_path_that_cannot_be_had(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):
        LocalSocket(str(tmp_path / name))


def test_of_servers_that_start_together_one_gets_the_path(tmp_path: Path) -> None:
    path = tmp_path / "x.control"
    with opened(path):
        pass
    made: list[LocalSocket] = []

    def make() -> None:
        with contextlib.suppress(PathTaken):
            made.append(LocalSocket(str(path)))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert can_connect(path)
    for each in made:
        each.sock.close()


def test_a_socket_is_removed_unless_it_is_another_servers_by_now(tmp_path: Path) -> None:
    """P12."""
    path = tmp_path / "x.control"
    with opened(path) as first:
        path.unlink()
        with opened(path) as second:
            first.remove()
            assert can_connect(path)
            second.remove()
            second.remove()
            assert not path.exists()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop(max_clients=1)
    yield loop
    loop.close()


def turn_until(loop: Loop, happened: Callable[[], bool]) -> None:
    guard = loop.call_later(30, lambda: pytest.fail("it does not happen"))
    while not happened():
        loop.turn()
    loop.cancel(guard)


def test_the_listener_has_places_of_its_own(tmp_path: Path, loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """Connections there are not clients, and have no address; of them only so many are open at once."""
    caplog.set_level("DEBUG")
    path = tmp_path / "x.control"
    owners: list[Owner] = []

    def accept(connection: Connection) -> Owner:
        owners.append(Owner(connection))
        owners[-1].ended = connection.finish  # type: ignore[method-assign]
        return owners[-1]

    made = LocalSocket(str(path))
    listener = AdminListener(loop.table, made.sock, accept, b"full\n")
    with contextlib.ExitStack() as peers:

        def connect() -> socket.socket:
            sock = peers.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.settimeout(30)
            sock.connect(str(path))
            return sock

        first, *_ = (connect() for _ in range(MAX_OPEN))
        turn_until(loop, lambda: len(owners) == MAX_OPEN)
        assert loop.table.clients == 0
        assert caplog.messages.count("connection opened address=- port=0") == MAX_OPEN
        refused = connect()
        turn_until(loop, lambda: "refused a connection for operators or monitoring" in caplog.text)
        assert refused.makefile("rb").read() == b"full\n"
        first.close()
        turn_until(loop, lambda: len(loop.connections) < MAX_OPEN)
        connect()
        turn_until(loop, lambda: len(owners) == MAX_OPEN + 1)
    listener.close()
    listener(0)
    made.remove()
