#!/usr/bin/env python3
"""Can a flood make others wait? Run by `make floods`.

A bystander sends PING again and again, first while nothing else happens, then during each kind of flood. The 99th
percentile of its waits must stay below FACTOR times that of the quiet server. The floods come from addresses that are
not exempt from the limits (docs/limits.md), as those of the network are. The bystander is exempt, since it measures.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.peer import Peer
from harness.servers import ServerProcess

FACTOR = 3.0
"""By how much the 99th percentile may grow."""

TRIES = 3
"""Measurements of a kind, of which the best counts: another program may take the processor for a moment."""

PAUSE = 0.01
"""Seconds between two PINGs."""

ATTACKERS = 20
"""Connections of most floods."""

SILENT, PER_ADDRESS = 10_000, 500
"""Connections of the silent crowd, and how many of them have the same address."""

BURST_SECONDS = 3.0
"""How long a flood lasts before it is measured: by then it has used the burst that `line-burst` gives it."""

CONFIG = ("exempt 127.0.0.1",)

BEGUN = "flooding"
"""What a flood prints when all its connections are open."""


class Connections:
    """The connections of a flood, which send as much as the server takes, and read what it answers or nothing.

    Args:
        port: of the server.
        reads: whether they read.
    """

    def __init__(self, port: int, *, reads: bool = True) -> None:
        self._port = port
        self._reads = reads
        self._selector = selectors.DefaultSelector()
        self._payloads: dict[socket.socket, Iterator[bytes]] = {}
        self._rest: dict[socket.socket, bytes] = {}

    def open(self, payload: Iterator[bytes] | None, address: str = "127.0.0.2") -> None:
        """Open a connection that sends this; None: nothing. One that the server closes is not opened again."""
        sock = socket.create_connection(("127.0.0.1", self._port), 10, (address, 0))
        sock.setblocking(False)
        if payload is not None:
            self._payloads[sock] = payload
            self._rest[sock] = b""
        self._selector.register(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if payload is not None else 0))

    def run(self, seconds: float) -> None:
        """Serve them for `seconds`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, mask in self._selector.select(min(left, 0.05)):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    if mask & selectors.EVENT_WRITE:
                        data = self._rest[sock] or next(self._payloads[sock])
                        self._rest[sock] = data[sock.send(data) :]
                    if mask & selectors.EVENT_READ and self._reads and not sock.recv(65536):
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    self._selector.unregister(sock)
                    sock.close()
            if not self._reads:
                time.sleep(0.001)


def again(data: bytes) -> Iterator[bytes]:
    """The same bytes without end."""
    return itertools.repeat(data)


def _many(payload: Callable[[int], bytes], *, reads: bool = True) -> Callable[[int], Connections]:
    """Return what opens ATTACKERS connections, each with bytes of its own, sent again and again."""

    def begin(port: int) -> Connections:
        connections = Connections(port, reads=reads)
        for number in range(ATTACKERS):
            connections.open(again(payload(number)))
        return connections

    return begin


def _messages(port: int) -> Connections:
    """Users who speak in one channel without a pause."""
    connections = Connections(port)
    for number in range(ATTACKERS):
        name = f"flood{number}"
        first = f"REGISTER {name} pw\nLOGIN {name} pw\nCREATE flood\nJOIN flood\n".encode()
        connections.open(itertools.chain([first], again(b"SAY flood " + b"x" * 100 + b"\n")))
    return connections


def _silent(port: int) -> Connections:
    """Thousands of connections that say nothing."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = Connections(port)
    for number in range(SILENT):
        connections.open(None, f"127.0.1.{1 + number // PER_ADDRESS}")
    return connections


class Coming(Connections):
    """Connections that are opened and closed without a pause."""

    def run(self, seconds: float) -> None:
        """Come and go for `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.socket() as sock:
                sock.bind(("127.0.0.2", 0))
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", self._port))


class Slow(Connections):
    """Connections that send one byte a second each."""

    def run(self, seconds: float) -> None:
        """Send a byte on each, again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for sock, payload in self._payloads.items():
                with contextlib.suppress(OSError):
                    sock.send(next(payload))
                time.sleep(1.0 / len(self._payloads))


def _slow(port: int) -> Connections:
    connections = Slow(port)
    for _ in range(10 * ATTACKERS):
        connections.open(again(b"x"))
    return connections


FLOODS: Mapping[str, Callable[[int], Connections]] = {
    "lines": _many(lambda _number: b"PING\n" * 100),
    "blank-lines": _many(lambda _number: b"\n" * 1000),
    "wrong-lines": _many(lambda _number: b"\xff\xfe what\n" * 100),
    "no-newline": _many(lambda _number: b"x" * 65536),
    "messages": _messages,
    "lists": _many(lambda _number: b"CHANNELS\nHELP\nWHO\n" * 100),
    "stalled-readers": _many(lambda _number: b"HELP\n" * 100, reads=False),
    "passwords": _many(lambda number: f"LOGIN user{number} wrong\n".encode()),
    "registrations": _many(lambda number: f"REGISTER new{number} pw\n".encode()),
    "guests": _many(lambda number: f"HELLO-FROM guest{number}\nLIST\n".encode()),
    "coming-and-going": Coming,
    "one-byte-a-second": _slow,
    "silent": _silent,
}


class Waits(NamedTuple):
    """How long a bystander has waited for its answers, in milliseconds."""

    median: float
    p99: float

    def __str__(self) -> str:
        return f"p50 {self.median:7.2f} ms  p99 {self.p99:7.2f} ms"


def measure(port: int, seconds: float) -> Waits:
    """Send PING for `seconds`; raises TimeoutError if an answer does not come."""
    waits = []
    with Peer(port) as peer:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            assert peer.ask("PING") == ["RESULT PING 1"]
            waits.append(time.perf_counter() - began)
            time.sleep(PAUSE)
    waits.sort()
    return Waits(1000 * waits[len(waits) // 2], 1000 * waits[len(waits) * 99 // 100])


@contextlib.contextmanager
def flood(kind: str, port: int, seconds: float) -> Iterator[None]:
    """Have another process flood a server while the block runs."""
    command = [sys.executable, "-m", "tools.floods", "--flood", kind, "--port", str(port), "--seconds", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == BEGUN
        try:
            yield
        finally:
            process.kill()


def measured(kind: str, seconds: float) -> tuple[Waits, Waits]:
    """Return the waits at a quiet server and during a flood of this kind."""
    with tempfile.TemporaryDirectory() as directory, ServerProcess(Path(directory), *CONFIG) as server:
        with Peer(server.port) as peer:
            peer.ask("REGISTER user0 right")
        quiet = measure(server.port, seconds)
        with flood(kind, server.port, seconds + 60):
            time.sleep(BURST_SECONDS)
            flooded = measure(server.port, seconds)
        assert server.is_running
        return quiet, flooded


def is_good(kind: str, seconds: float) -> bool:
    """Measure a kind, a few times if necessary, and print it; return whether nobody has to wait for it."""
    for _ in range(TRIES):
        quiet, flooded = measured(kind, seconds)
        factor = flooded.p99 / quiet.p99
        print(f"{kind:18} quiet: {quiet}  flood: {flooded}  factor {factor:5.1f}", flush=True)
        if factor <= FACTOR:
            return True
    return False


def main(words: Sequence[str] | None = None) -> int:
    """Measure all kinds; the exit status is 1 if one makes others wait."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(FLOODS)}; all by default")
    parser.add_argument("--seconds", type=float, default=5, help="how long each is measured (default 5)")
    parser.add_argument("--flood", choices=FLOODS, help="flood the server at --port, and measure nothing")
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args(words)
    if arguments.flood:
        connections = FLOODS[arguments.flood](arguments.port)
        print(BEGUN, flush=True)
        connections.run(arguments.seconds)
        return 0
    bad = [kind for kind in arguments.kinds or FLOODS if not is_good(kind, arguments.seconds)]
    print("verdict:", f"BAD, others wait for {', '.join(bad)}" if bad else "good")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
