"""Nodes of a cluster and the engines under them, as processes that can be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from harness.peer import PATIENCE, Peer
from harness.processes import CONFIG_HEAD, ROOT, SERVER, Ports, Process, is_free
from harness.servers import PROCESSES, free_ports
from harness.text import LOOPBACK, Failed

T = TypeVar("T")

ENGINE = ROOT / "engine.py"
MAX_ENGINES = 5
OTHER_PORTS = (0, 100, 200)
"""What an engine adds to its port: for clients, for other engines, for its health."""

SHARED_ENGINES = "CROSSTALK_TEST_ENGINES"
"""The environment variable that names the directory of the engines that all processes of a test run share."""

ANSWER_SECONDS = 1.0
"""A node that answers nothing for so long does not serve; the kernel accepts connections for a frozen one."""


BASES = Ports([block + step for block in range(10_000, 19_000, 300) for step in range(0, 100, MAX_ENGINES)])
"""Ports of first engines, far enough from each other, and away from the ports of servers."""


def free_base() -> int:
    """Return a port that engines can be started from: those after it and their other ports are free, too."""
    while True:
        base = BASES.take_for_good()
        if all(is_free(base + more + number) for more in OTHER_PORTS for number in range(MAX_ENGINES)):
            return base


class Engines:
    """The engines of a directory, which engine.py runs.

    Args:
        directory: where they keep their data.
        count: how many; 1, 3 or 5.
    """

    def __init__(self, directory: Path, count: int = 3) -> None:
        self.directory = directory
        self.count = count
        directory.mkdir(parents=True, exist_ok=True)
        port_file = directory / "port"
        if not port_file.exists():
            port_file.write_text(str(free_base()))
        self.port = int(port_file.read_text())
        self.password_file: Path | None = None
        self.tls: Sequence[str] = ()
        """Options of engine.py that turn TLS on."""

    @property
    def numbers(self) -> Sequence[int]:
        return range(1, self.count + 1)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run engine.py with these words."""
        command = [sys.executable, str(ENGINE), *words, "--directory", str(self.directory)]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    def start(self) -> None:
        """Start those that do not run. Raises Failed."""
        password = ("--password-file", str(self.password_file)) if self.password_file else ()
        started = self.run("start", "--port", str(self.port), "--engines", str(self.count), *password, *self.tls)
        if started.returncode:
            self.stop()
            raise Failed(f"the engines do not start: {started.stderr}")

    def stop(self) -> None:
        """Stop all of them, also frozen ones."""
        self.run("stop")

    def pid(self, number: int) -> int:
        return int((self.directory / str(number) / "pid").read_text())

    def send_signal(self, number: int, signum: signal.Signals) -> None:
        """Send an engine a signal, if it runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(number), signum)

    def leader(self, cluster: str) -> int:
        """Return the engine that leads a cluster's log. Raises Failed where none does in time."""

        def found() -> re.Match[str] | None:
            return re.search(rf"^{cluster} .*?(\d) leads", self.run("status").stdout, re.MULTILINE)

        match = wait_for(found, f"an engine that leads the log of {cluster}")
        return int(match[1])

    @property
    def addresses(self) -> str:
        return " ".join(f"{LOOPBACK}:{self.port + number - 1}" for number in self.numbers)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class ClusterNode:
    """One node: its directory and port, and the process that runs, if any.

    Args:
        directory: of its database.
        number: of the node.
        engines: of its cluster.
        cluster: the name of the cluster.
        config: further directives.
    """

    def __init__(self, directory: Path, number: int, engines: Engines, cluster: str, *config: str) -> None:
        self.name = f"c{number}"
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (self.port,) = free_ports(1)
        first = (number - 1) % engines.count
        addresses = engines.addresses.split()
        self._config = [
            *CONFIG_HEAD,
            f"node {self.name}",
            f"cluster {cluster}",
            f"address {LOOPBACK}",
            f"engine {' '.join(addresses[first:] + addresses[:first])}{' tls' if engines.tls else ''}",
            *config,
        ]
        self.database = directory / f"crosstalk-{self.port}.db"
        self.process: Process | None = None
        self.past_log: list[str] = []
        self.peers: list[Peer] = []

    def join(self, cluster: str) -> None:
        """Belong to another cluster from the next start on."""
        self._config = [f"cluster {cluster}" if line.startswith("cluster ") else line for line in self._config]

    def start(self) -> None:
        """Start it, and wait until it follows the log or has ended."""
        path = self.directory / "config"
        path.write_text("".join(f"{line}\n" for line in self._config))
        self.process = Process([sys.executable, str(SERVER), str(self.port), str(path)], self.directory, PROCESSES)
        self.process.log.find(lambda line: b"is a backup" in line, time.monotonic() + PATIENCE)

    @property
    def log(self) -> list[str]:
        """The lines that the running process has written."""
        return [line.decode() for line in self.process.log.lines] if self.process else []

    def wait_for(self, text: str) -> str:
        """Wait for a line of the log with this text, also one that has come already. Raises Failed."""
        assert self.process
        line = self.process.log.find(lambda line: text.encode() in line, time.monotonic() + PATIENCE)
        if line is None:
            raise Failed(f"{self.name} does not say {text!r}: {self.log}")
        return line.decode()

    def send_signal(self, signum: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None:
            self.process.signal(signum)

    def end(self, signum: signal.Signals = signal.SIGKILL) -> int:
        """End it by a signal; return its exit status."""
        assert self.process
        process, self.process = self.process, None
        process.signal(signum)
        status = process.wait(time.monotonic() + PATIENCE)
        if status is None:
            raise Failed(f"{self.name} does not end")
        self.past_log += (line.decode() for line in process.log.lines)
        process.judged = True
        process.close(True, time.monotonic() + PATIENCE)
        return status

    @property
    def serves(self) -> bool:
        """Whether it accepts a connection and answers."""
        try:
            with Peer(self.port, seconds=ANSWER_SECONDS) as peer:
                return bool(peer.ask("HELP")[0])
        except OSError:
            return False

    def peer(self) -> Peer:
        """Connect, until the cluster ends. Raises OSError."""
        self.peers.append(Peer(self.port))
        return self.peers[-1]


class Cluster:
    """Nodes that share a log.

    Args:
        directory: of their databases.
        engines: which run.
        name: of the cluster.
        count: of the nodes.
        config: further directives of each.
    """

    def __init__(self, directory: Path, engines: Engines, name: str, *config: str, count: int = 3) -> None:
        self.name = name
        self.engines = engines
        self.nodes = [
            ClusterNode(directory / f"{name}-c{number}", number, engines, name, *config)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start those that do not run."""
        for node in self.nodes:
            if node.process is None:
                node.start()

    def primary(self) -> ClusterNode:
        """Wait until a node serves, and return it. Raises Failed."""
        return wait_for(lambda: next((node for node in self.nodes if node.process and node.serves), None), "a primary")

    def backups(self) -> list[ClusterNode]:
        """Return the running nodes that do not serve."""
        primary = self.primary()
        return [node for node in self.nodes if node.process and node is not primary]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for node in self.nodes:
            for peer in node.peers:
                peer.close()
            if node.process is not None:
                node.end()


def wait_for(look: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """Wait until a look finds something. Raises Failed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise Failed(f"no {what} in {seconds:g} seconds")
