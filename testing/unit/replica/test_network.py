"""Connections to engines through real sockets, in a reactor and polled alone."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from net.reactor import Reactor
from net.tls import server_context
from replica.network import Address, LoopNetwork, Pipe, new_run, time_since_boot
from support.certificates import Authority, Certificate
from support.loop import get, put

SECONDS = 60.0


class Stage:
    def __init__(self, trusted: Callable[[], ssl.SSLContext] | None = None) -> None:
        self.reactor = Reactor()
        self.network = LoopNetwork(self.reactor, trusted)
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

    def close(self) -> None:
        self.listener.close()
        self.reactor.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with contextlib.closing(Stage()) as stage:
        yield stage


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


def test_bytes_go_both_ways_through_tls(authority: Authority, certificate: Certificate) -> None:
    """What is sent before the end of the handshake waits for it."""
    with contextlib.closing(Stage(authority.context)) as stage, ThreadPoolExecutor(1) as threads:
        pipe, engine = stage.dial()
        pipe.secure()
        assert pipe.send(b"CONNECT") == 7
        shaking = threads.submit(server_context(*certificate).wrap_socket, engine, server_side=True)
        while not shaking.done() or pipe.send(b"") is None:
            pipe.wait(0.01)
            assert pipe.receive() is None
        secure = shaking.result()
        with secure:
            threads.submit(pipe_until, pipe, b"").result(SECONDS)
            assert secure.recv(100) == b"CONNECT"
            secure.sendall(b"x" * 100_000)
            assert pipe_until(pipe, b"x" * 100_000)
            sent = 0
            while taken := pipe.send(bytes(65536)):
                sent += taken
            received = 0
            while received < sent:
                received += len(secure.recv(65536))
        pipe.wait(SECONDS)
        with contextlib.suppress(OSError):
            assert pipe.receive() == b""
        pipe.close()


def pipe_until(pipe: Pipe, wanted: bytes) -> bool:
    """Receive until all of it has come."""
    data = b""
    while len(data) < len(wanted):
        pipe.wait(SECONDS)
        data += pipe.receive() or b""
    return data == wanted


def test_an_engine_without_the_right_certificate_gets_no_word(authority: Authority) -> None:
    with contextlib.closing(Stage(authority.context)) as stage, ThreadPoolExecutor(1) as threads:
        pipe, engine = stage.dial()
        pipe.secure()
        pipe.send(b"CONNECT")
        context = server_context(*authority.issue("DNS:other.example"))
        shaking = threads.submit(context.wrap_socket, engine, server_side=True)
        with pytest.raises(OSError) as caught:
            pipe_until(pipe, b"x")
        pipe.close()
        assert str(caught.value.strerror).startswith("the certificate is not accepted: IP address mismatch")
        assert shaking.exception(SECONDS) is not None or shaking.result().recv(1) == b""
