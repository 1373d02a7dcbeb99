"""The benchmark's two C programs, against each other, this server, and servers that lose or change something."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import loads, servers
from bench.__main__ import measure, play_load
from bench.loads import DELIVERIES, LOADS, Load, WrongDelivery, run
from bench.picture import COLOURS
from bench.servers import COMPILER, Kind, Running, kinds
from bench.situations import situations
from harness.processes import hang_up
from harness.text import LOOPBACK

TINY = Load("tiny", 2, 3, 2, 20, window=3)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tools")
    if COMPILER is None:
        pytest.skip("no C compiler")
    loads.generator(directory)
    return directory


@pytest.fixture(params=["C", "Python"])
def generator(tools: Path, request: pytest.FixtureRequest) -> list[str]:
    """The command of each generator: the C program, and the one for a machine without a compiler."""
    return [str(tools / "generator")] if request.param == "C" else [sys.executable, "-m", "bench.generator"]


@pytest.mark.parametrize("load", [TINY, TINY._replace(rate=2000), LOADS[2].tiny()])
def test_this_server_and_the_yardstick_deliver_everything(load: Load, generator: list[str], tools: Path) -> None:
    for kind in kinds(tools)[:3] if load.rate else kinds(tools)[:4]:
        if kind.absent:
            continue
        measured = play_load(load, generator, kind)
        assert measured[DELIVERIES] > 0
        assert ("p99 ms" in measured) == bool(load.rate)


def test_without_a_compiler_the_load_is_played_by_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "COMPILER", None)
    assert loads.generator(tmp_path) == [sys.executable, "-m", "bench.generator"]
    assert [kind.absent for kind in kinds(tmp_path)[:3]] == ["", "", "no C compiler"]


def test_the_picture_has_a_colour_for_each_server(tools: Path) -> None:
    assert len(set(COLOURS)) == len(kinds(tools))


@pytest.mark.parametrize("kind", ["ngIRCd", "InspIRCd"])
def test_a_peer_does_the_same_work(kind: str, generator: list[str], tools: Path) -> None:
    peer = next(peer for peer in kinds(tools) if peer.name == kind)
    if peer.absent:
        pytest.skip(peer.absent)
    assert play_load(TINY, generator, peer)[DELIVERIES] > 0


def test_a_row_that_cannot_be_measured_is_left_out(tools: Path) -> None:
    ours = kinds(tools)[0]
    broken = ours._replace(name="broken", command=lambda _directory, _port: ["false"])
    rows = [("start", situations(0.001)[-1].measure, True)]
    assert list(measure(rows, [ours, broken], 2).medians("start", "ms")) == ["Crosstalk"]


def test_small_situations_can_be_played(tools: Path) -> None:
    ours = kinds(tools)[0]
    for situation in situations(0.0001):
        if "cost 12" not in situation.name:
            assert all(value >= 0 for value in situation.measure(ours).values()), situation.name


# ---- a server that does not keep what it promises ----

Deliveries = Callable[[int, bytes], list[bytes]]
"""What a server makes of its nth message: the lines that it delivers."""

MESSAGES = 40

FAULTS: list[tuple[Deliveries, str]] = [
    (lambda n, line: [] if n == 7 else [line], "lost or out of order"),
    (lambda n, line: [line, line] if n == 7 else [line], "repeated"),
    (lambda n, line: [b"RECV more"] if n == MESSAGES else [line], "too much"),
    (lambda n, line: [line.replace(b"abc", b"abd")] if n == 7 else [line], "altered"),
    (lambda n, line: [line.replace(b" c0000 ", b" c0001 ")] if n == 7 else [line], "altered"),
    (lambda n, line: [line.replace(b"RECV u0", b"RECV u9")] if n == 7 else [line], "altered"),
    (lambda n, line: [line[:-1]] if n == 7 else [line], "altered"),
]


class Faulty:
    """A server of one channel with two members, each in a thread, that delivers as it likes."""

    def __init__(self, deliveries: Deliveries) -> None:
        self.deliveries = deliveries
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.clients: list[socket.socket] = []
        self.members: list[socket.socket] = []
        self.said = 0
        self.lock = threading.Lock()
        for _ in range(2):
            threading.Thread(target=self.serve, daemon=True).start()

    def close(self) -> None:
        for sock in (*self.clients, self.listener):
            hang_up(sock)

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # the generator ends at the first fault
            self.obey(self.listener.accept()[0])

    def obey(self, client: socket.socket) -> None:
        self.clients.append(client)
        name = b""
        for line in client.makefile("rb"):
            command, _space, rest = line.rstrip().partition(b" ")
            with self.lock:
                if command == b"SAY":
                    self.deliver(name, rest)
                    continue
                if command == b"LOGIN":
                    name = rest.split()[0]
                elif command == b"JOIN":
                    self.members.append(client)
                elif command == b"PING" and self.said == MESSAGES:
                    client.send(b"".join(late + b"\n" for late in self.deliveries(MESSAGES, b"") if late))
                client.send(b"RESULT %s 1\n" % command)

    def deliver(self, name: bytes, rest: bytes) -> None:
        lines = self.deliveries(self.said, b"RECV %s %s" % (name, rest))
        self.said += 1
        for member in self.members:
            member.send(b"".join(line + b"\n" for line in lines))

    def processor_seconds(self) -> float:
        return time.monotonic()

    kind = Kind("faulty", "result", lambda _directory, _port: [], None)


@pytest.fixture(params=[number for number, _fault in enumerate(FAULTS)])
def fault(request: pytest.FixtureRequest) -> Iterator[tuple[Faulty, str]]:
    deliveries, complaint = FAULTS[request.param]
    server = Faulty(deliveries)
    yield server, complaint
    server.close()


def test_the_generator_notices_what_is_wrong(fault: tuple[Faulty, str], generator: list[str]) -> None:
    server, complaint = fault
    load = Load("faults", 1, 2, 2, MESSAGES // 2, window=2)
    with pytest.raises(WrongDelivery, match=complaint):
        run(load, server, generator)  # type: ignore[arg-type]


def test_a_load_that_cannot_be_played_is_no_result() -> None:
    server = Faulty(lambda _number, line: [line])
    with pytest.raises(WrongDelivery, match="could not be played"):
        run(TINY, server, ["false"])  # type: ignore[arg-type]
    server.close()


def test_a_server_knows_its_cost(tools: Path) -> None:
    with Running(kinds(tools)[2]) as server:
        assert server.processor_seconds() > 0
        assert server.resident_bytes() > 100_000
        assert server.seconds_to_start > 0
