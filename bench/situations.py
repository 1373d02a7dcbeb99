"""What only this server does, or what does not need many messages: long turns, logins, memory and the start."""

from __future__ import annotations

import json
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from types import TracebackType
from typing import NamedTuple, Self

from bench.figures import percentile
from bench.servers import Kind, Running, own
from harness.peer import PATIENCE, Peer
from harness.processes import ROOT
from harness.text import Failed

PASSWORD = "secret"
LINE = "x" * 64
LONG = 300.0
"""Time-out in seconds for an answer: ten thousand passwords are hashed one after the other."""

TURN = re.compile(r" longest-turn-ms=([\d.]+)")
COSTLY = partial(own, cost=12)
CLIENTS = re.compile(r" statistics clients=(\d+)")


class Bystander:
    """A client on its own, in a process of its own, that sends PING a thousand times a second within the block."""

    def __init__(self, server: Running) -> None:
        command = [sys.executable, "-m", "bench.bystander", str(server.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.milliseconds: list[float] = []

    def __enter__(self) -> Self:
        assert self._process.stdout
        self._process.stdout.readline()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        answer, _no_errors = self._process.communicate("stop\n")
        self.milliseconds = json.loads(answer)

    def figures(self, server: Running) -> dict[str, float]:
        """Return the latency of its PINGs, and the longest turn of the server's loop."""
        turn = float(statistic(server, TURN))
        return {"PING p99 ms": percentile(self.milliseconds, 0.99), "longest turn ms": turn}


def statistic(server: Running, pattern: re.Pattern[str]) -> str:
    """Have the server write its counters to its log, and return the one that the pattern finds."""
    known = len(server.process.log.lines)
    server.process.signal(signal.SIGUSR1)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for line in server.process.log.lines[known:]:
            if match := pattern.search(line.decode()):
                return match.group(1)
        time.sleep(0.005)
    raise Failed("the server does not write its counters")


def connected(server: Running, count: int) -> list[Peer]:
    """Connect so many clients, from several addresses, since each has only so many ports."""
    return [server.peer(f"127.0.0.{2 + number % 8}", LONG) for number in range(count)]


@cache
def accounts(count: int, kind: Kind) -> bytes:
    """Return a database with the accounts `user0` and so on; it is made once, over a few connections."""
    with Running(kind) as server:
        peers = connected(server, min(count, 50))
        for first in range(0, count, len(peers)):
            part = list(zip(peers, range(first, count), strict=False))
            for peer, number in part:
                peer.send(f"REGISTER user{number} {PASSWORD}")
            for peer, _number in part:
                expect(peer, "RESULT REGISTER 1")
        close(peers)
        return server.end()


def expect(peer: Peer, wanted: str) -> None:
    """Read a line. Raises AssertionError if it is another one."""
    line = peer.line()
    assert line == wanted, f"the server says {line!r}, not {wanted!r}"


def ask_all(peers: list[Peer], request: str, answer: str, at_once: int = 50) -> None:
    """Let so many clients at once send a request, in which `{}` is the client's number, and wait for the answers."""
    for first in range(0, len(peers), at_once):
        part = list(enumerate(peers))[first : first + at_once]
        for number, peer in part:
            peer.send(request.format(number))
        for _number, peer in part:
            expect(peer, answer)


def log_in(peers: list[Peer], at_once: int = 50) -> None:
    ask_all(peers, f"LOGIN user{{}} {PASSWORD}", "RESULT LOGIN 1", at_once)


def join(peers: list[Peer]) -> None:
    peers[0].ask("CREATE channel")
    ask_all(peers, "JOIN channel", "RESULT JOIN channel 1")


def close(peers: list[Peer]) -> None:
    for peer in peers:
        peer.close()


def histories(count: int, messages: int, kind: Kind) -> dict[str, float]:
    """Let clients ask for a history of so many messages at the same moment, five times."""
    with Running(kind, accounts(count, kind)) as server:
        peers = connected(server, count)
        log_in(peers)
        join(peers)
        for number in range(messages):
            peers[0].send(f"SAY channel {number} {LINE}")
            for peer in peers:
                peer.line()
        with Bystander(server) as bystander:
            for _ in range(5):
                for peer in peers:
                    peer.send(f"HISTORY channel {messages}")
                for peer in peers:
                    expect(peer, f"RESULT HISTORY channel {messages}")
                    for number in range(messages):
                        expect(peer, f"RECV user0 channel {number} {LINE}")
        result = bystander.figures(server)
        close(peers)
        return result


def logins(count: int, kind: Kind) -> dict[str, float]:
    """Let many clients log in at once."""
    with Running(kind, accounts(count, kind)) as server:
        peers = connected(server, count)
        with Bystander(server) as bystander:
            log_in(peers, count)
        result = bystander.figures(server)
        close(peers)
        return result


def departures(count: int, kind: Kind) -> dict[str, float]:
    """Let the members of a channel leave all at once: each connection ends."""
    with Running(kind, accounts(count, kind)) as server:
        peers = connected(server, count)
        log_in(peers)
        join(peers)
        with Bystander(server) as bystander:
            close(peers)
            while int(statistic(server, CLIENTS)) > 1:
                time.sleep(0.01)
        return bystander.figures(server)


def costly_logins(count: int, kind: Kind) -> dict[str, float]:
    """Let clients log in at the default cost of a hash, while two others talk."""
    kind = kind._replace(command=COSTLY)
    with Running(kind, accounts(count + 2, kind)) as server:
        peers = connected(server, count + 2)
        talkers = peers[:2]
        log_in(talkers)
        join(talkers)
        for number, peer in enumerate(peers[2:], 2):
            peer.send(f"LOGIN user{number} {PASSWORD}")
        samples = talk(talkers, peers[2:])
        close(talkers)
        return {"SAY p50 ms": statistics.median(samples), "SAY worst ms": max(samples)}


def talk(talkers: list[Peer], others: list[Peer]) -> list[float]:
    """Let one client speak each few milliseconds until all others have been answered.

    Returns:
        How long each message took to the other talker, in milliseconds.
    """
    samples = []
    while others:
        while others and others[-1].received:
            others.pop()
        started = time.perf_counter()
        talkers[0].send(f"SAY channel {LINE}")
        expect(talkers[1], f"RECV user0 channel {LINE}")
        samples.append((time.perf_counter() - started) * 1000)
        expect(talkers[0], f"RECV user0 channel {LINE}")
        time.sleep(0.004)
    return samples


def idle_memory(count: int, kind: Kind) -> dict[str, float]:
    """Let clients log in and do nothing. An account of `result` is made for each of them."""
    with Running(kind) as server:
        before = server.resident_bytes()
        peers = []
        for number in range(count):
            peers += connected(server, 1)
            if kind.wire == "irc":
                peers[-1].send(f"NICK user{number}", f"USER user{number} 0 * :bench", "PING bench")
                peers[-1].line()
            else:
                peers[-1].ask(f"REGISTER user{number} {PASSWORD}", f"LOGIN user{number} {PASSWORD}")
        for peer in peers if kind.wire == "irc" else ():
            if " 001 " not in peer.received:
                peer.expect(" 001 ")
        result = (server.resident_bytes() - before) / count
        close(peers)
        return {"bytes": result}


def start(kind: Kind) -> dict[str, float]:
    """Start with an empty directory, until a connection is accepted."""
    with Running(kind) as server:
        return {"ms": server.seconds_to_start * 1000}


class Situation(NamedTuple):
    """A row that this program plays itself.

    Args:
        measure: returns the figures by name, for a kind of server.
        of_all: every server can do it, not only ours.
    """

    name: str
    measure: Callable[[Kind], dict[str, float]]
    of_all: bool = False


def situations(scale: float = 1) -> list[Situation]:
    """Return all of them, with this part of their clients, as far as the descriptors suffice."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = hard - 500 if hard != resource.RLIM_INFINITY else 10_000

    def clients(wanted: int) -> int:
        return max(min(int(wanted * scale), most), 2)

    many, few, costly, idle = clients(10_000), clients(20), clients(100), clients(2000)
    messages = max(int(1000 * scale), 10)
    return [
        Situation(f"{few} x HISTORY {messages}", partial(histories, few, messages)),
        Situation(f"{many:,} members leave at once", partial(departures, many)),
        Situation(f"{many:,} LOGINs at once", partial(logins, many)),
        Situation(f"{costly} LOGINs at cost 12 beside SAY", partial(costly_logins, costly)),
        Situation("an idle connection, logged in", partial(idle_memory, idle), of_all=True),
        Situation("start to ready", start, of_all=True),
    ]
