#!/usr/bin/env python3
"""How fast is a cluster on one machine, beside a single process? Run by `make figures`; it judges nothing.

All figures come from one run: engines, nodes, clients and the single process share the processors of this machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import selectors
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from domain.changes import AccountRegistered, ChannelCreated, Said
from harness.cluster import Cluster, ClusterNode, Engines, wait_for
from harness.peer import Peer
from harness.servers import ServerProcess
from harness.text import LOOPBACK
from replica import nats, wire
from replica.history import stream_of
from replica.names import Names
from tools.copies import agree, append, applied

TEXT = "x" * 64
CLIENTS = 20
WINDOW = 25
"""Clients that speak at once, and messages that each has under way."""

TICKS = os.sysconf("SC_CLK_TCK")


def percentiles(seconds: Sequence[float]) -> str:
    """Return the median and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return f"median {statistics.median(ordered) * 1e3:.2f} ms, p99 {ordered[len(ordered) * 99 // 100] * 1e3:.2f} ms"


def timed(rounds: int, step: Callable[[], object]) -> list[float]:
    """Return the seconds that each of many steps took."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return times


LOGS = [f"bare{number}" for number in range(100)]
"""Names of logs to choose from."""


class Publisher:
    """A bare client of an engine, which appends to a log like a cluster's, and waits for each acknowledgement.

    Args:
        port: of the engine.
        cluster: the cluster whose log is led by the same engine: an append takes another step where they differ.
    """

    def __init__(self, port: int, cluster: str) -> None:
        self._sock = socket.create_connection((LOOPBACK, port), 30)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = nats.Decoder()
        self._sock.send(nats.connect("figures", "", "") + nats.subscribe("_INBOX.figures", 1))
        leader = self._ask(f"$JS.API.STREAM.INFO.{Names(cluster).stream}")["cluster"]["leader"]
        self._subject = next(names.journal for names in map(Names, LOGS) if self._make(names) == leader)
        said = Said("user0", "channel0", TEXT, time.time(), 1)
        self._payload = wire.encode("0123456789ab", 1, [said])
        self._appended = 0

    def _ask(self, subject: str, fields: object = None) -> Any:
        payload = json.dumps(fields).encode() if fields else b""
        return json.loads(self._answer_to(nats.publish(subject, payload, "_INBOX.figures")))

    def _answer_to(self, frame: bytes) -> bytes:
        self._sock.send(frame)
        while True:
            for answer in self._decoder.feed(self._sock.recv(65536)):
                if isinstance(answer, nats.Message):
                    return answer.payload

    def _make(self, names: Names) -> str:
        """Make a log; return the engine that leads it."""
        info = self._ask(f"$JS.API.STREAM.CREATE.{names.stream}", stream_of(names, copies=3))
        return str(info["cluster"]["leader"])

    def append(self) -> None:
        expected = {"Nats-Expected-Last-Sequence": str(self._appended)}
        frame = nats.publish(self._subject, self._payload, "_INBOX.figures", expected)
        self._appended += 1
        assert json.loads(self._answer_to(frame)).get("seq") == self._appended

    def close(self) -> None:
        self._sock.close()


def log_in(port: int, number: int) -> Peer:
    """Return a client in a channel of its own."""
    peer = Peer(port)
    channel = f"channel{number}"
    peer.ask(f"REGISTER user{number} x", f"LOGIN user{number} x", f"CREATE {channel}", f"JOIN {channel}")
    return peer


def answered_say(port: int, publisher: Publisher, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of answered messages and of bare acknowledgements, measured in alternating blocks."""
    peer = log_in(port, 0)
    line = f"SAY channel0 {TEXT}\n".encode()

    def say() -> None:
        peer.socket.send(line)  # both are measured by a plain socket
        while not peer.socket.recv(65536).endswith(b"\n"):
            pass

    said: list[float] = []
    bare: list[float] = []
    for _ in range(10):
        said += timed(rounds // 10, say)
        bare += timed(rounds // 10, publisher.append)
    peer.close()
    return said, bare


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def messages_per_second(port: int, seconds: float) -> tuple[float, int]:
    """Let many clients speak at once; return messages a second, and how many there were."""
    selector = selectors.DefaultSelector()
    waiting: dict[Peer, int] = {}
    for number in range(CLIENTS):
        peer = log_in(port, number)
        packet = f"SAY channel{number} {TEXT}\n".encode() * WINDOW
        selector.register(peer.socket, selectors.EVENT_READ, (peer, packet))
        waiting[peer] = 0
    count = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for peer, left in waiting.items():
            if not left:
                peer.socket.send(selector.get_key(peer.socket).data[1])
                waiting[peer] = WINDOW
        for key, _events in selector.select(5):
            peer = key.data[0]
            lines = peer.socket.recv(1 << 20).count(b"\n")
            waiting[peer] -= lines
            count += lines
    took = time.perf_counter() - began
    for peer in waiting:
        peer.close()
    return count / took, count


def failover(cluster: Cluster) -> float:
    """Kill the primary; return the seconds until another node has answered."""
    primary = cluster.primary()
    others = [node for node in cluster.nodes if node is not primary]
    began = time.perf_counter()
    primary.end(signal.SIGKILL)
    wait_for(lambda: any(node.serves for node in others), "a new primary")
    took = time.perf_counter() - began
    cluster.start()
    agree(cluster.nodes)
    return took


def catch_up(directory: Path, engines: Engines, entries: int) -> float:
    """Let a new node read a long log; return changes a second."""
    cluster = Cluster(directory, engines, "long", count=2)
    late = cluster.nodes.pop()
    with cluster:
        cluster.primary()
    said = (Said("ann", "garden", TEXT, 0.0, number) for number in range(1, entries + 1))
    first = wire.encode("past", 1, [AccountRegistered("ann", b"", 0.0), ChannelCreated("garden", "ann", 0.0)])
    numbered = itertools.count(2)
    append(engines.port, "long", first, *(wire.encode("past", next(numbered), [message]) for message in said))
    late.start()
    late.wait_for("connected to engine")
    began = time.perf_counter()
    wait_for(lambda: int(applied(late)) > entries, "a node that has caught up", 300)
    took = time.perf_counter() - began
    late.end()
    return entries / took


def pid_of(node: ClusterNode) -> int:
    assert node.process
    return node.process.pid


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=2000, help="answered messages, one after the other (default 2000)"
    )
    parser.add_argument("--seconds", type=float, default=10, help="how long many clients speak at once (default 10)")
    parser.add_argument("--failovers", type=int, default=20, help="how often the primary is killed (default 20)")
    parser.add_argument(
        "--entries", type=int, default=100_000, help="of the log that a new node reads (default 100000)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Engines(Path(name) / "engines") as engines:
        directory = Path(name)
        with Cluster(directory, engines, "figures") as cluster:
            primary = cluster.primary()
            publisher = Publisher(engines.port, cluster.name)
            said, bare = answered_say(primary.port, publisher, options.rounds)
            publisher.close()
            ratio = statistics.median(said) / statistics.median(bare)
            print(f"acknowledged append:     {percentiles(bare)}")
            print(f"answered SAY:            {percentiles(said)}; {ratio:.2f} times the append", flush=True)

            pids = {"primary": pid_of(primary)} | {node.name: pid_of(node) for node in cluster.backups()}
            before = {role: processor_seconds(pid) for role, pid in pids.items()}
            through_node, count = messages_per_second(primary.port, options.seconds)
            used = {role: (processor_seconds(pid) - before[role]) / count for role, pid in pids.items()}
            (directory / "single").mkdir()
            with ServerProcess(directory / "single", f"address {LOOPBACK}") as server:
                single, _count = messages_per_second(server.port, options.seconds)
            print(f"messages/s, node:        {through_node:,.0f}")
            print(f"messages/s, single:      {single:,.0f}; the node makes {through_node / single:.2f} of that")
            for role, seconds in used.items():
                print(f"processor, {role + ':':13} {seconds * 1e6:.0f} µs a message", flush=True)

            times = [failover(cluster) for _ in range(options.failovers)]
            if times:
                print(f"failover by kill -9:     median {statistics.median(times):.2f} s, maximum {max(times):.2f} s")
        if options.entries:
            print(f"catch-up:                {catch_up(directory, engines, options.entries):,.0f} changes/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
