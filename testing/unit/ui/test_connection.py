"""ui/connection.py: dialling, and a connection that is dialled again."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from net.loop import Loop
from net.timers import Deadline
from support.clients import SECONDS
from ui import places
from ui.connection import Address, dial
from ui.places import Places
from ui.reconnecting import ReconnectingConnection


def test_a_connection_to_oneself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    monkeypatch.setattr(socket, "create_connection", lambda *_args: sock)
    with pytest.raises(ConnectionRefusedError):
        dial(Address("127.0.0.1", 1))


def test_the_next_address_is_tried_when_one_cannot_be_made_secure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure there is told before a refused connection, whatever comes first."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        open_places = [server.getsockname() for server in (one, other)]
        places = [*open_places, closed_place()]
        monkeypatch.setattr("ui.connection.resolve", lambda *_place: [(socket.AF_INET, place) for place in places])

        def secure(sock: socket.socket, host: str, *, wanted: object = open_places[1]) -> socket.socket:
            assert host == "chat.example"
            if sock.getpeername() != wanted:
                sock.close()
                raise OSError(0, "not secure")
            return sock

        with contextlib.closing(dial(Address("chat.example", 1), 30, secure)) as sock:
            assert isinstance(sock, socket.socket)
            assert sock.getpeername() == open_places[1]
        for _ in range(2):
            places.reverse()
            with pytest.raises(OSError, match="not secure"):
                dial(Address("chat.example", 1), 30, partial(secure, wanted=None))
        places[:] = places[:1] if places[0] not in open_places else places[-1:]
        with pytest.raises(ConnectionRefusedError):
            dial(Address("chat.example", 1), 30, secure)


def closed_place() -> tuple[str, int]:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        place: tuple[str, int] = sock.getsockname()
    return place


def test_the_kernel_looks_after_a_server_that_says_nothing() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        contextlib.closing(dial(Address(*server.getsockname()))) as sock,
    ):
        assert isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


class QuickLoop(Loop):
    """Writes down for how long it should have waited, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.table.check_later = lambda: None  # type: ignore[method-assign]

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        self.pauses.append(seconds)
        return super().call_later(0, call)


class Told:
    """An observer that records its events."""

    def __init__(self) -> None:
        self.news: list[object] = []

    def heard(self, lines: list[str]) -> None:
        self.news.append(lines)

    def lost(self, unconfirmed: list[str]) -> None:
        self.news.append(["lost", *unconfirmed])

    def returned(self) -> None:
        self.news.append("returned")

    def refused(self) -> None:
        self.news.append("refused")


def test_a_lost_connection_is_dialled_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    again, server_side = socket.socketpair()
    answers: list[socket.socket | OSError] = [*[OSError("refused")] * 6, again]

    def answer_dial(*_how: object) -> socket.socket:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(places, "dial", answer_dial)
    told = Told()
    before = set(threading.enumerate())
    with contextlib.closing(QuickLoop()) as loop, theirs, server_side:
        server = ReconnectingConnection(loop, Places([Address("here", 1)]), ours, "hello", told, lambda call: call())
        theirs.send(b"hello\n")
        turn_until(loop, lambda: told.news == [["hello"]])
        server.go_on(admitted=True)
        theirs.close()
        turn_until(loop, lambda: ["lost"] in told.news)
        server.send("nobody hears this")
        turn_until(loop, lambda: "returned" in told.news)
        assert told.news == [["hello"], ["lost"], "refused", "returned"]
        assert loop.pauses == [0.5, 1, 2, 4, 8, 15, 15]
        server.send("h\u00e9llo \udcff")
        turn_until(loop, lambda: bool(select.select([server_side], [], [], 0)[0]))
        assert server_side.recv(100) == "h\u00e9llo ?\n".encode()
        for thread in set(threading.enumerate()) - before:  # they still use the loop
            thread.join(SECONDS)


def turn_until(loop: Loop, done: Callable[[], bool]) -> None:
    """Turn a loop until something is true."""
    until = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < until
        loop.call_soon(lambda: None)  # a turn that does not wait
        loop.turn()
