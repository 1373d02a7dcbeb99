"""This repository's server in a process, for unit tests and the benchmark."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from harness.peer import PATIENCE, Peer
from harness.processes import CONFIG_HEAD, SERVER, Ports, Process, Processes
from harness.text import LOOPBACK

READY = r" ready address=(?P<address>\S+) port=(?P<port>\d+) database=(?P<database>.+?)( \(new file\))?$"
"""The line of the log that says where a server listens, and which database it has."""

PORTS = Ports()
PROCESSES = Processes()
"""Shared by all tests: an interrupted run kills them."""


def free_ports(count: int) -> list[int]:
    """Return free ports, each handed out once."""
    return [PORTS.take_for_good() for _ in range(count)]


class ServerProcess:
    """A server that is ready, in a directory; killed at the end of the `with` block if it has not ended.

    Args:
        directory: where it runs.
        config: its directives; cheap hashing is put before them.
        port: 0 takes a free one; None leaves it to the directives.
        shell: shell commands to run before it, in its process.
        words: further words of its command line.

    Raises:
        AssertionError: it does not say that it is ready.
    """

    def __init__(
        self,
        directory: Path,
        *config: str,
        port: int | None = 0,
        shell: str = "",
        words: Sequence[str] = (),
    ) -> None:
        path = directory / "config"
        path.write_text("".join(f"{line}\n" for line in (*CONFIG_HEAD, *config)), encoding="utf-8")
        port_words = [] if port is None else [str(port)]
        command = [sys.executable, str(SERVER), *port_words, str(path), *words]
        if shell:
            command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
        self.process = Process(command, directory, PROCESSES)
        try:
            ready = self.wait_for(READY)
        except BaseException:
            self.close()
            raise
        self.port = int(ready["port"])
        self.ports = [int(line.split(" port=")[1].split()[0]) for line in self.log if " listening " in line]
        self.database = directory / ready["database"]

    @property
    def log(self) -> list[str]:
        """The lines of standard error so far."""
        return [line.decode() for line in self.process.log.lines]

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log that contains the pattern; the first one, also of those before this call."""
        regex = re.compile(pattern)
        line = self.process.log.find(lambda line: regex.search(line.decode()) is not None, self._until())
        match = regex.search((line or b"").decode())
        assert match, f"no line of the log matches {pattern}: {self.log}"
        return match

    def peer(self, host: str = LOOPBACK) -> Peer:
        return Peer(self.port, host)

    def user(self, name: str) -> Peer:
        """Return a client that is logged in as a new user."""
        peer = self.peer()
        assert peer.ask(f"REGISTER {name} {name}", f"LOGIN {name} {name}") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
        return peer

    def signal(self, number: signal.Signals) -> None:
        self.process.signal(number)

    @property
    def is_running(self) -> bool:
        return self.process.wait(0) is None

    def wait(self) -> int:
        """Wait for its end, and until its whole log has been read; return its exit status."""
        status = self.process.wait(self._until())
        assert status is not None, "the server does not end"
        self.process.log.wait_for_end(self._until())
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.close(True, self._until())

    def _until(self) -> float:
        return time.monotonic() + PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
