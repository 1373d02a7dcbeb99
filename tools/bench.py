#!/usr/bin/env python3
"""How fast is the server? Run by `make bench`; it prints a table and judges nothing.

Each workload starts a server on one processor and runs its clients on another. The main figure is deliveries per second
of the server's processor time, since the wall clock also measures this program, which is slower. Compare
two versions on one machine in alternating runs, and take medians; single figures mean little.
"""

from __future__ import annotations

import argparse
import os
import selectors
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.peer import Peer
from harness.servers import ServerProcess
from harness.text import LOOPBACK

TEXT = "x" * 64
PROCESSORS = sorted(os.sched_getaffinity(0))


class Measured(NamedTuple):
    """A row of the table: deliveries, and their cost in seconds."""

    deliveries: int
    processor_seconds: float
    wall_seconds: float


class Server(ServerProcess):
    """A server process on a processor of its own, with a database in a temporary directory."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        super().__init__(Path(self._directory.name), f"address {LOOPBACK}")
        os.sched_setaffinity(self.process.pid, {PROCESSORS[0]})

    def processor_seconds(self) -> float:
        """Return the seconds that the server's main thread has run on a processor."""
        with open(f"/proc/{self.process.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    def resident_kib(self) -> int:
        """Return the resident memory in KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def close(self) -> None:
        """End the process and remove its files."""
        super().close()
        self._directory.cleanup()


class Client(Peer):
    """A client that also counts lines without parsing them; `lines` is the number that `drain` has read."""

    def __init__(self, port: int, *login: str) -> None:
        super().__init__(port)
        self.lines = 0
        for line in login:
            self.ask(line)

    def drain(self) -> None:
        """Read once, and count the lines."""
        self.lines += self.socket.recv(1 << 20).count(b"\n")


def account(name: str) -> tuple[str, str]:
    """Return the lines that make an account and log in to it."""
    return f"REGISTER {name} secret", f"LOGIN {name} secret"


def fan_out(channels: int, members: int, senders: int, window: int, rounds: int) -> Measured:
    """Let `senders` of each channel say `window` messages in each round, until every member has all of them."""
    server = Server()
    clients = [Client(server.port, *account(f"user{number}")) for number in range(channels * members)]
    for number, client in enumerate(clients):
        client.ask(f"CREATE channel{number // members}")
        client.ask(f"JOIN channel{number // members}")
    packets = [
        (c, f"SAY channel{i // members} {TEXT}\n".encode() * window)
        for i, c in enumerate(clients)
        if i % members < senders
    ]
    deliveries = len(clients) * senders * window
    return exchange(server, clients, packets, deliveries, deliveries, rounds)


def direct(users: int, window: int, rounds: int) -> Measured:
    """Let each of many `hello` users send `window` messages to the next one in each round, and wait for SEND-OK."""
    server = Server()
    clients = [Client(server.port, f"HELLO-FROM user{number}") for number in range(users)]
    packets = [
        (client, f"SEND user{(number + 1) % users} {TEXT}\n".encode() * window) for number, client in enumerate(clients)
    ]
    return exchange(server, clients, packets, users * window, 2 * users * window, rounds)


def exchange(
    server: Server, clients: list[Client], packets: list[tuple[Client, bytes]], deliveries: int, lines: int, rounds: int
) -> Measured:
    """Send the packets in each round, read until this many lines have come, and stop the server."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    processor, wall = server.processor_seconds(), time.perf_counter()
    for number in range(1, rounds + 1):
        for client, packet in packets:
            client.socket.send(packet)
        while sum(client.lines for client in clients) < lines * number:
            for key, _events in selector.select(5):
                key.data.drain()
    measured = Measured(deliveries * rounds, server.processor_seconds() - processor, time.perf_counter() - wall)
    for client in clients:
        client.socket.close()
    server.close()
    return measured


def ping_pong(idle: int, rounds: int) -> tuple[float, float]:
    """Let two of many connected users talk in turns; return the median seconds of a message, and KiB per user."""
    server = Server()
    empty = server.resident_kib()
    clients = [Client(server.port, *account(f"user{number}")) for number in range(idle)]
    each = (server.resident_kib() - empty) / idle
    first, last = clients[0], clients[-1]
    first.ask("CREATE channel")
    for client in (first, last):
        client.ask("JOIN channel")
    times = []
    for _ in range(rounds):
        for speaker, listener in ((first, last), (last, first)):
            started = time.perf_counter()
            speaker.socket.send(f"SAY channel {TEXT}\n".encode())
            listener.drain()
            times.append(time.perf_counter() - started)
            speaker.drain()
    for client in clients:
        client.socket.close()
    server.close()
    return statistics.median(times), each


WORKLOADS: dict[str, Callable[[], Measured]] = {
    "one channel of 100, 10 speak": lambda: fan_out(1, 100, 10, 5, 200),
    "one channel of 1000, 10 speak": lambda: fan_out(1, 1000, 10, 5, 20),
    "180 channels of 5, 1 speaks": lambda: fan_out(180, 5, 1, 5, 60),
    "100 hello users, each to another": lambda: direct(100, 5, 100),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of each workload; the medians are printed (default 3)"
    )
    runs = parser.parse_args().runs
    os.sched_setaffinity(0, {PROCESSORS[-1]})
    print(f"{'workload':32} {'deliveries/CPU s':>18} {'deliveries/s':>14}")
    for name, workload in WORKLOADS.items():
        results = [workload() for _ in range(runs)]
        each_cpu = statistics.median(result.deliveries / result.processor_seconds for result in results)
        each_wall = statistics.median(result.deliveries / result.wall_seconds for result in results)
        print(f"{name:32} {each_cpu:18,.0f} {each_wall:14,.0f}", flush=True)
    seconds, kib = ping_pong(1000, 1000)
    print(f"a message among 1000 idle users: {seconds * 1e6:.0f} µs (median); memory: {kib:.1f} KiB for each")


if __name__ == "__main__":
    main()
