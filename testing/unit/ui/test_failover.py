"""ui/failover.py: the next server when a connection is lost, and when no answer comes; the clock is the test's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from net.loop import Loop
from net.table import CloseReason
from net.timers import Deadline
from ui import places
from ui.connection import Address
from ui.failover import FailoverConnection
from ui.places import Places
from unit.ui.test_connection import turn_until

PLACES = [Address("h", port) for port in (1, 2, 3)]


class PlayedLoop(Loop):
    """A loop whose timers are due when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.table.check_later = lambda: None  # type: ignore[method-assign]

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        self.timers.append((self.now + seconds, call))
        return Deadline(0, 0, call)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, half a second at once, and run what is due."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            due = [timer for timer in self.timers if timer[0] <= self.now]
            self.timers = [timer for timer in self.timers if timer[0] > self.now]
            for _when, call in due:
                call()
            self.call_soon(lambda: None)
            self.turn()


class Played:
    """A connection, what it tells, and the network: which places accept and answer."""

    def __init__(self, loop: PlayedLoop, seconds: float = 15) -> None:
        self.loop = loop
        self.news: list[object] = []
        self.accepting: list[int] = []
        self.answering: list[int] = []
        self.probed: list[int] = []
        self.where = Places(PLACES, persistent=True)
        ours, self.server = socket.socketpair()
        self.servers = [self.server]
        self.connection = FailoverConnection(loop, self.where, ours, "result", self, seconds, self.dial, self.probe)

    def dial(self, where: Places) -> socket.socket:
        for address in (where.current, *where.others):
            if address.port in self.accepting:
                where.choose(address)
                ours, self.server = socket.socketpair()
                self.servers.append(self.server)
                return ours
        raise ConnectionRefusedError

    def probe(self, address: Address, probe: bytes) -> bool:
        assert probe == b"PING\n"
        self.probed.append(address.port)
        return address.port in self.answering

    def heard(self, lines: list[str]) -> None:
        for line in lines:
            self.connection.requests.received(line)
        self.news.append(lines)

    def lost(self, _reason: CloseReason, unconfirmed: list[str]) -> None:
        self.news.append(["lost", *unconfirmed])

    def returned(self) -> None:
        self.news.append(f"at {self.where.current.port}")

    def drained(self) -> None:
        pass

    def given_up(self) -> None:
        self.news.append("given up")

    def wait_for(self, news: object) -> None:
        turn_until(self.loop, lambda: news in self.news)

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture
def played() -> Iterator[Played]:
    with contextlib.closing(PlayedLoop()) as loop, contextlib.closing(Played(loop)) as made:
        yield made
        for connection in list(loop.connections):
            connection.close(CloseReason.LOST)
        loop.call_soon(lambda: None)
        loop.turn()


def test_a_lost_connection_leads_to_the_next_place(played: Played) -> None:
    played.accepting = [1, 2, 3]
    played.loop.now = 1.0
    played.connection.send(b"SAY a b\n")
    played.connection.send(b"LOGIN ann x\n", by_itself=True)
    assert not played.connection.congested
    played.server.close()
    played.wait_for(["lost", "SAY a b"])
    assert played.connection.congested
    assert not played.connection.send(b"PING\n")
    played.loop.pass_time(0.5)
    played.wait_for("at 2")
    played.server.send(b"RESULT PING 1\n")
    played.wait_for(["RESULT PING 1"])


def test_a_server_without_answers_is_left_only_for_one_that_answers(played: Played) -> None:
    played.accepting = [1, 2, 3]
    played.connection.send(b"PING\n")
    played.loop.pass_time(4)
    turn_until(played.loop, lambda: played.probed == [2, 3])
    played.loop.pass_time(0.5)
    assert played.news == []
    played.answering = [3]
    played.loop.pass_time(1)
    played.wait_for(["lost", "PING"])
    played.loop.pass_time(0.5)
    played.wait_for("at 3")


def test_a_server_that_answers_at_last_is_kept(played: Played) -> None:
    played.answering = [2]
    played.connection.send(b"PING\n")
    played.loop.now = 3.5
    played.server.send(b"RESULT PING 1\n")
    played.wait_for(["RESULT PING 1"])
    played.loop.pass_time(10)
    assert played.probed == []
    assert played.news == [["RESULT PING 1"]]


@pytest.mark.parametrize("settled", [False, True])
def test_the_search_ends_when_nobody_serves(played: Played, settled: bool) -> None:
    played.loop.now = 1.0
    played.server.close()
    played.wait_for(["lost"])
    played.accepting = [2]
    played.loop.pass_time(3)
    played.wait_for("at 2")
    if settled:
        played.connection.settled()
    played.loop.pass_time(15)
    assert ("given up" in played.news) == (not settled)


def test_nobody_is_looked_for_after_the_end(played: Played) -> None:
    played.accepting = [1, 2, 3]
    played.connection.close()
    played.server.close()
    played.wait_for(["lost"])
    played.loop.pass_time(20)
    assert played.news == [["lost"]]


def test_a_server_answers_when_it_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PROBE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        address = Address(*frozen.getsockname())
        where = Places([address])
        assert not where.answers(address, b"PING\n"), "the kernel accepts for it"
    assert not where.answers(address, b"PING\n"), "refused"
