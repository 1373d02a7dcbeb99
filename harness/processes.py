"""Starts and ends server processes; their ports, commands and output."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.preloaded import Fork, Preloaded, wait_until_stopped
from harness.text import LOOPBACK, Failed, readable

ROOT = Path(__file__).resolve().parent.parent
SERVER = ROOT / "server.py"

# The command that starts a server, as words; `{port}` and `{config}` are filled in. The variable replaces it.
OUR_COMMAND = (sys.executable, str(SERVER), "{port}", "{config}")
COMMAND_VARIABLE = "CROSSTALK_SERVER"

# The first lines of each config that a command asks for: cheap hashes, since the scripts test the chat.
CONFIG_HEAD = ("bcrypt-cost 4",)

MAX_WAIT = 0.5  # seconds; a Ctrl-C in the moment before a wait begins is noticed only after that wait

# Below the usual ephemeral range: no client socket takes a port between its choice and the server's bind.
FIRST_PORT, LAST_PORT = 20000, 32000

READY = re.compile(r" ready ")
PROBE_SECONDS = 0.005  # between two attempts to connect to a server that does not say when it is ready
TRACEBACK = b"Traceback (most recent call last)"
STDERR_LINES = 20  # of each server, shown with a failure

REST_SECONDS = 1.0  # for the rest of an ended process' output, which a process that it has started may hold open


class Ports:
    """Hands out free ports, none twice.

    Several runs may share a machine: each begins at a random port, and claims a port by binding the UDP port of that
    number. No server here needs that one, and the system frees it even when a run is killed.

    Args:
        ports: those that may be handed out.
    """

    def __init__(self, ports: Sequence[int] = range(FIRST_PORT, LAST_PORT + 1)) -> None:
        start = random.randrange(len(ports))
        self._candidates = iter([*ports[start:], *ports[:start]])
        self._lock = threading.Lock()

    def take(self) -> socket.socket:
        """Claim a port until the returned socket is closed. Raises Failed if none is left."""
        with self._lock:
            for port in self._candidates:
                claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                with contextlib.suppress(OSError):
                    claim.bind((LOOPBACK, port))
                    if is_free(port):
                        return claim
                claim.close()
        raise Failed("no port is free any more")

    def take_for_good(self) -> int:
        """Claim a port for the rest of this process. Raises Failed if none is left."""
        claim = self.take()
        atexit.register(claim.close)  # which keeps it until then
        port: int = claim.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Tell whether the port is bound at no address. A machine without IPv6 counts as free there."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family) as probe:
                probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def accepts(port: int, until: float) -> bool:
    """Tell whether a connection to the port is accepted by the deadline."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=remaining(until)).close()
    except OSError:
        return False
    return True


def hang_up(sock: socket.socket) -> None:
    """Close a connection at once, even if a process that is being started holds a copy of the socket for a moment."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def remaining(until: float) -> float:
    """Return the seconds until then: at least a moment, since a time-out of 0 would make a socket non-blocking."""
    return max(until - time.monotonic(), 0.001)


def seconds_since(began: float) -> float:
    return round(time.monotonic() - began, 4)


class Processes:
    """The running server processes of a run. An interrupted run kills them, and starts no more.

    Attributes:
        closed: whether the run is over.
        preloads: whether this repository's servers are forks of a process that has loaded their modules.
    """

    def __init__(self) -> None:
        self._alive: set[subprocess.Popen[bytes] | Fork] = set()
        self.closed = False
        self.preloads = False
        self._preloaded: dict[str, Preloaded] = {}
        self._lock = threading.RLock()  # a signal may close them while they are being started

    def start(self, command: Sequence[str], directory: Path) -> subprocess.Popen[bytes] | Fork:
        """Start a command in a directory, with pipes, away from the terminal's Ctrl-C. Raises Failed."""
        with self._lock:
            if self.closed:
                raise Failed("the run was interrupted")
            try:
                popen = self._start(command, directory)
            except OSError as error:
                raise Failed(f"cannot start {shlex.join(command)}: {error}") from None
            self._alive.add(popen)
            if self.closed:
                popen.kill()
        return popen

    def _start(self, command: Sequence[str], directory: Path) -> subprocess.Popen[bytes] | Fork:
        if self.preloads and tuple(command[:2]) == (sys.executable, str(SERVER)):
            return self.preloaded(SERVER.name).start(command[1:], directory)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=directory, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)

    def preloaded(self, program: str) -> Preloaded:
        """Return the process that has loaded a program's modules."""
        if program not in self._preloaded:
            self._preloaded[program] = Preloaded(program)
        return self._preloaded[program]

    def forget(self, popen: subprocess.Popen[bytes] | Fork) -> None:
        """Remove a process that has ended."""
        with self._lock:
            self._alive.discard(popen)

    def close(self) -> None:
        """Kill all of them, by process id. Steps that wait for one of them fail."""
        with self._lock:
            self.closed = True
            for popen in self._alive:
                popen.kill()
            for preloaded in self._preloaded.values():
                preloaded.close()


class Output:
    """The lines from a pipe. A thread reads them, so that the process at the other end never blocks."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: list[bytes] = []
        self._taken = 0
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        with self._pipe:
            for line in self._pipe:
                with self._changed:
                    self._lines.append(line.removesuffix(b"\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _search(self, matches: Callable[[bytes], bool], start: int, until: float) -> int | None:
        """Return the index of the first such line from `start` on; None at the end of the output or at the deadline."""
        with self._changed:
            while True:
                for index in range(start, len(self._lines)):
                    if matches(self._lines[index]):
                        return index
                start = len(self._lines)
                if self._ended or not self._changed.wait(max(until - time.monotonic(), 0)):
                    return None

    def take(self, matches: Callable[[bytes], bool], until: float) -> bytes | None:
        """Return the first such line after the one taken last; None at the deadline."""
        index = self._search(matches, self._taken, until)
        if index is None:
            return None
        self._taken = index + 1
        return self._lines[index]

    def find(self, matches: Callable[[bytes], bool], until: float) -> bytes | None:
        """Return the first such line, also of those before this call; None at the deadline. Takes nothing."""
        index = self._search(matches, 0, until)
        return None if index is None else self._lines[index]

    @property
    def lines(self) -> list[bytes]:
        """All lines so far."""
        return self._lines[:]

    def wait_for_end(self, until: float) -> None:
        """Wait for the end of the output, or for the deadline."""
        self._search(lambda _: False, len(self._lines), until)

    def excerpt(self, matches: Callable[[bytes], bool], count: int) -> list[str]:
        """Return the first such line so far and those after it, at most `count`, readable; empty if there is none."""
        start = self._search(matches, 0, 0)
        return [] if start is None else [readable(line) for line in self._lines[start : start + count]]

    def tail(self, count: int) -> list[str]:
        """Return the last lines so far, readable."""
        return [readable(line) for line in self._lines[-count:]]


class Process:
    """One process of a server, from its start to its exit."""

    def __init__(self, command: Sequence[str], directory: Path, processes: Processes) -> None:
        self._popen = processes.start(command, directory)
        stdin, stdout, stderr = self._popen.stdin, self._popen.stdout, self._popen.stderr
        assert stdin and stdout and stderr, "it was started with pipes"
        os.set_blocking(stdin.fileno(), False)
        self._stdin = stdin
        self.output = Output(stdout)
        self.log = Output(stderr)
        self.pid = self._popen.pid
        self.ready = False
        self.judged = False  # the script has checked its exit status, so `close` does not
        self._processes = processes
        self._status: int | None = None
        self._stopped = False
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        self._status = self._popen.wait()
        self._processes.forget(self._popen)
        until = time.monotonic() + REST_SECONDS
        for pipe in (self.output, self.log):
            pipe.wait_for_end(until)
        self._ended.set()

    def wait(self, until: float) -> int | None:
        """Return the exit status (negative: the signal that ended it); None if it still runs at the deadline."""
        self._ended.wait(max(until - time.monotonic(), 0))
        return self._status

    def wait_until_ready(self, until: float) -> None:
        """Wait for the log line that says so. A process that exits first is not ready, which a script may expect."""
        self.ready = self.log.find(says_ready, until) is not None
        if not self.ready and self.wait(until) is None:
            raise Failed("the server did not say in time that it is ready")

    def wait_until_accepting(self, port: int, until: float) -> None:
        """Wait likewise for a server that may not log it: it is also ready when it accepts a connection."""
        while not self._ended.wait(PROBE_SECONDS):
            if self.log.find(says_ready, 0) or accepts(port, until):
                self.ready = True
                return
            if time.monotonic() > until:
                raise Failed(f"the server accepted no connection at port {port} in time")

    def write(self, data: bytes) -> None:
        """Write to the console. Never blocks. Raises OSError when it is closed or full."""
        while data:
            data = data[os.write(self._stdin.fileno(), data) :]

    def stop(self) -> None:
        """Send SIGTERM. `wait` tells when the process has ended."""
        self._stopped = not self._ended.is_set()
        self._popen.terminate()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. After SIGSTOP this waits until the process has stopped, or ended."""
        self._popen.send_signal(number)
        if number is signal.SIGSTOP:
            wait_until_stopped(self._popen.pid)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._popen.kill()

    def close(self, may_ignore_stop: bool, until: float) -> str | None:
        """Wait for the end, free the pipes, and return what was wrong with this process, if anything.

        Args:
            may_ignore_stop: SIGTERM may end it, since another server need not handle the signal.
            until: the deadline, after which it is killed.
        """
        status = self.wait(until)
        if status is None:
            self.kill()
            self._ended.wait()
        self.log.wait_for_end(until)
        self._stdin.close()
        if status is None:
            return "did not end in time when it was stopped"
        if crash := self.log.excerpt(lambda line: TRACEBACK in line, STDERR_LINES):
            return "\n".join(["wrote a traceback", *crash])
        accepted = (0, -signal.SIGTERM) if may_ignore_stop and self._stopped else (0,)
        if self.ready and not self.judged and status not in accepted:
            return f"ended with {render_status(status)}"
        return None


def says_ready(line: bytes) -> bool:
    return matched(READY.search, line)


def matched(match: Callable[[str], re.Match[str] | None], line: bytes) -> bool:
    """Tell whether a pattern's method finds a match in a line. Bytes that are not UTF-8 appear as `\\xff`."""
    return match(line.decode("utf-8", "backslashreplace")) is not None


def render_status(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {-status}"


def command_words(template: Sequence[str], port: int, config: Path, has_directives: bool) -> list[str]:
    """Return the words that start a server at a port. A port or config without a placeholder is appended."""
    words = list(template)
    if not any("{port}" in word for word in template):
        words.append("{port}")
    if has_directives and not wants_config(template):
        words.append("{config}")
    return [word.replace("{port}", str(port)).replace("{config}", str(config)) for word in words]


def program_words(template: Sequence[str]) -> list[str]:
    """Return the words that start a server, without its port and config."""
    return [word for word in template if "{port}" not in word and "{config}" not in word]


def wants_config(template: Sequence[str]) -> bool:
    return any("{config}" in word for word in template)


@dataclass(frozen=True)
class Settings:
    """How cases are played. Cases that run at one time share one object, since it keeps their ports apart.

    Attributes:
        command: the template that starts a server.
        deadline: seconds that a step may take.
        quiet: seconds in which nothing may come for `<-`.
        exact_ports: use the scripts' own ports.
        keep: keep the directory of each case.
        ports: the free ports.
        processes: the running servers.
    """

    command: Sequence[str] = OUR_COMMAND
    deadline: float = 10.0
    quiet: float = 0.1
    exact_ports: bool = False
    keep: bool = False
    ports: Ports = field(default_factory=Ports)
    processes: Processes = field(default_factory=Processes)

    @property
    def is_ours(self) -> bool:
        """Whether the command starts this repository's server, which logs when it is ready, and exits with 0."""
        return str(SERVER) in self.command


def server_command(given: str | None = None) -> Sequence[str]:
    """Return the template that starts a server: the given one, the environment's, or ours.

    A word that names an existing file is made absolute, since the server runs in another directory.

    Raises:
        ValueError: the command has an unclosed quotation.
    """
    text = given or os.environ.get(COMMAND_VARIABLE)
    if not text:
        return OUR_COMMAND
    return tuple(str(Path(word).absolute()) if Path(word).is_file() else word for word in shlex.split(text))
