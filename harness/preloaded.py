"""Starts programs of this repository as forks of a process that has loaded their modules.

Loading takes most of a start, and the tests start a thousand servers. A fork runs the program's file from its first
line, with a command line, directory, environment and standard descriptors of its own. It is a child of that process,
which reports its exit status.

This file is also what that process runs, with the number of its end of a pair of sockets as the only word.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parent.parent

PROGRAMS = ("server.py",)
"""Their import statements are carried out before the first fork."""

LATE_MODULES = ("bcrypt", "concurrent.futures.thread")
"""Imported by a server when it is ready."""

MAX_ORDER = 128 * 1024
"""Bytes of an order: a command line, a directory and an environment."""

PIPES = 4
"""Descriptors of an order: standard input, output and error, and one for the process id and the exit status."""

MAX_DESCRIPTOR = 1 << 20

STOPPED_OR_ENDED = "tTZX"
"""States in /proc, see proc(5)."""


class Fork:
    """A running fork, with the part of the interface of `subprocess.Popen` that the harness uses.

    Args:
        pipes: this side's ends of the descriptors of an order.

    Raises:
        OSError: the process that should have forked has ended.
    """

    def __init__(self, pipes: Sequence[int]) -> None:
        stdin, stdout, stderr, report = pipes
        self.stdin: IO[bytes] = os.fdopen(stdin, "wb", buffering=0)
        self.stdout: IO[bytes] = os.fdopen(stdout, "rb")
        self.stderr: IO[bytes] = os.fdopen(stderr, "rb")
        self._report: IO[bytes] = os.fdopen(report, "rb")
        self._status: int | None = None
        pid = self._next_report()
        if pid is None:
            for pipe in (self.stdin, self.stdout, self.stderr, self._report):
                pipe.close()
            raise ChildProcessError("the process that forks has ended")
        self.pid = pid

    def wait(self) -> int:
        """Return the exit status; a negative one is that of a signal."""
        with self._report:
            status = self._next_report()
        self._status = -signal.SIGKILL if status is None else status
        return self._status

    def send_signal(self, number: int) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _next_report(self) -> int | None:
        line = self._report.readline()
        return int(line) if line else None


class Preloaded:
    """The process that has loaded the modules; it ends with this one, and kills its forks then."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._popen = subprocess.Popen(
                [sys.executable, __file__, str(number)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
                start_new_session=True,
            )

    def start(self, words: Sequence[str], directory: Path) -> Fork:
        """Start a program of this repository with the words of its command line. Raises OSError."""
        order = json.dumps([words, str(directory), dict(os.environ)]).encode()
        pairs = [os.pipe() for _ in range(PIPES)]
        theirs = [pairs[0][0], *(write for _read, write in pairs[1:])]
        ours = [pairs[0][1], *(read for read, _write in pairs[1:])]
        try:
            socket.send_fds(self._orders, [order], theirs)
        except OSError:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return Fork(ours)

    def close(self) -> None:
        self._orders.close()
        self._popen.wait()


def wait_until_stopped(pid: int) -> None:
    """Wait until a process that has been sent SIGSTOP has stopped, or ended."""
    try:
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # it is a fork, or has ended and was waited for
        while _state(pid) not in STOPPED_OR_ENDED:
            time.sleep(0.001)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


# ---- what that process runs ----


class Order(NamedTuple):
    words: list[str]
    directory: str
    environment: dict[str, str]
    pipes: list[int]


def take_order(orders: socket.socket) -> Order | None:
    """Return the next order; None when no more can come."""
    data, pipes, _flags, _address = socket.recv_fds(orders, MAX_ORDER, PIPES)
    if not data:
        return None
    words, directory, environment = json.loads(data)
    return Order(words, directory, environment, pipes)


def serve(orders: socket.socket) -> Order | None:
    """Fork for each order. Return it in the fork, and None here when no more can come."""
    running: dict[int, tuple[int, int]] = {}  # by pidfd: process id, and where to report its end
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    while True:
        for key, _events in selector.select():
            if key.fd in running:
                selector.unregister(key.fd)
                os.close(key.fd)
                pid, report = running.pop(key.fd)
                end(pid, report)
                continue
            order = take_order(orders)
            pid = os.fork() if order else 0
            if pid == 0:
                selector.close()
                orders.detach()
                if order is None:
                    for forked, _report in running.values():
                        os.kill(forked, signal.SIGKILL)
                return order
            assert order
            *standard, report = order.pipes
            for descriptor in standard:
                os.close(descriptor)
            write_report(report, pid)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = (pid, report)
            selector.register(pidfd, selectors.EVENT_READ)


def end(pid: int, report: int) -> None:
    """Report the exit status of a fork that has ended."""
    _pid, status = os.waitpid(pid, 0)
    write_report(report, os.waitstatus_to_exitcode(status))
    os.close(report)


def write_report(report: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it
        os.write(report, b"%d\n" % number)


def run(order: Order) -> None:
    """Run a program as if this process had been started for it."""
    os.setsid()
    for number, descriptor in enumerate(order.pipes[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, MAX_DESCRIPTOR)
    os.chdir(order.directory)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    path = order.words[0]
    sys.argv[:] = order.words
    sys.orig_argv[:] = [sys.executable, *order.words]
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    exec(compiled(path), module.__dict__)


@functools.cache
def compiled(path: str) -> types.CodeType:
    return compile(Path(path).read_bytes(), path, "exec")


def load(path: str) -> None:
    """Carry out the import statements of a program, and compile it. Raises ImportError."""
    compiled(path)
    statements = ast.parse(Path(path).read_bytes()).body
    imports = [statement for statement in statements if isinstance(statement, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module([*imports], []), path, "exec"), {})


def main(descriptor: int) -> None:
    sys.path[0] = str(ROOT)  # as for the programs
    with contextlib.suppress(ImportError):  # without the installed modules, the program takes another Python
        for name in PROGRAMS:
            load(str(ROOT / name))
        for name in LATE_MODULES:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the forks share its memory longer
    order = serve(socket.socket(fileno=descriptor))
    if order is not None:
        run(order)


if __name__ == "__main__":
    main(int(sys.argv[1]))
