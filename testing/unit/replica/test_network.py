"""Connections to engines through real sockets, in a reactor and polled alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from net.reactor import Reactor
from replica.network import Address, LoopNetwork, Pipe, new_run, time_since_boot
from support.loop import get, put

SECONDS = 10.0


class Stage:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.network = LoopNetwork(self.reactor)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.reported = 0

    def dial(self) -> tuple[Pipe, socket.socket]:
        pipe = self.network.dial(Address(*self.listener.getsockname()), self._ready)
        engine, _address = self.listener.accept()
        engine.settimeout(SECONDS)
        return pipe, engine

    def _ready(self) -> None:
        self.reported += 1

    def turn(self) -> None:
        self.reactor.call_later(SECONDS, lambda: None)
        self.reactor.turn()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.listener.close()
    stage.reactor.close()


def test_bytes_go_both_ways(stage: Stage) -> None:
    pipe, engine = stage.dial()
    assert pipe.receive() is None
    assert pipe.send(b"PING") == 4
    assert get(engine, 4) == b"PING"
    put(engine, b"PONG")
    stage.turn()
    assert stage.reported == 1
    assert pipe.receive() == b"PONG"
    engine.close()
    pipe.wait(SECONDS)
    assert pipe.receive() == b""
    pipe.close()


def test_waiting_ends_with_the_first_bytes_or_in_time(stage: Stage) -> None:
    pipe, engine = stage.dial()
    pipe.wait(0.0)
    put(engine, b"x")
    pipe.wait(SECONDS)
    assert pipe.receive() == b"x"
    pipe.want_to_send(True)
    pipe.wait(SECONDS)  # there is room
    pipe.close()
    engine.close()


def test_what_does_not_fit_waits_for_room(stage: Stage) -> None:
    pipe, engine = stage.dial()
    sent = 0
    while taken := pipe.send(bytes(65536)):
        sent += taken
    pipe.want_to_send(True)
    pipe.want_to_send(True)
    get(engine, sent)
    stage.turn()
    assert stage.reported == 1
    assert pipe.send(b"more") == 4
    pipe.want_to_send(False)
    pipe.close()
    engine.close()


def test_a_refused_connection_is_an_error_when_it_is_read(stage: Stage) -> None:
    address = Address(*stage.listener.getsockname())
    stage.listener.close()
    with pytest.raises(ConnectionRefusedError):
        pipe = stage.network.dial(address, lambda: None)
        try:
            pipe.wait(SECONDS)
            pipe.receive()
        finally:
            pipe.close()


def test_addresses_and_names() -> None:
    assert str(Address("127.0.0.1", 4222)) == "127.0.0.1:4222"
    assert str(Address("::1", 4222)) == "[::1]:4222"
    assert len({new_run() for _ in range(100)}) == 100
    assert len(new_run()) == 12
    assert 0 < time_since_boot() <= time_since_boot()
