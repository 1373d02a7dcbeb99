"""Starts programs of this repository as forks of a process that has loaded their modules.

Loading takes most of a start, and the tests start a thousand servers. A fork runs the program's file from its first
line, with a command line, directory, environment and standard descriptors of its own. It is a child of that process,
which reports its exit status.

This file is also what that process runs. Its words are the program, and the number of its end of a pair of sockets.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import functools
import gc
import importlib
import io
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import termios
import time
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parent.parent

LATE_MODULES = {
    "server.py": ("bcrypt", "concurrent.futures.thread"),
    "client.py": (
        "prompt_toolkit.application",
        "prompt_toolkit.output.vt100",
        "ui.failover_pipes",
        "ui.pipes",
        "ui.preferences",
        "ui.script",
        "ui.terminal",
        "tomllib",
    ),
}
"""The programs, and what each imports later than by the statements at its top."""

MAX_ORDER = 128 * 1024
"""Bytes of an order: a command line, a directory and an environment."""

DESCRIPTORS = 4
"""Of an order: standard input, output and error, and one for the process id and the exit status."""

REPORT_SIZE = 4
"""Bytes of a number that is reported."""

MAX_DESCRIPTOR = 1 << 20

STOPPED_OR_ENDED = "tTZX"
"""States in /proc, see proc(5)."""


class Fork:
    """A running fork, with the part of the interface of `subprocess.Popen` that the harness uses.

    Args:
        pipes: this side's ends of standard input, output and error; None for what is no pipe.
        report: where the process id and the exit status come.

    Raises:
        OSError: the process that should have forked has ended.
    """

    def __init__(self, pipes: Sequence[int | None], report: int) -> None:
        stdin, stdout, stderr = pipes
        self.stdin: IO[bytes] | None = None if stdin is None else os.fdopen(stdin, "wb", buffering=0)
        self.stdout: IO[bytes] | None = None if stdout is None else os.fdopen(stdout, "rb")
        self.stderr: IO[bytes] | None = None if stderr is None else os.fdopen(stderr, "rb")
        self.returncode: int | None = None
        self._report = report
        pid = self._next_report()
        if pid is None:
            for pipe in (self.stdin, self.stdout, self.stderr):
                if pipe is not None:
                    pipe.close()
            os.close(report)
            raise ChildProcessError("the process that forks has ended")
        self.pid = pid

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status; a negative one is that of a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            status = self._next_report()
            os.close(self._report)
            self.returncode = -signal.SIGKILL if status is None else status
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit status; None while the fork runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _next_report(self) -> int | None:
        data = os.read(self._report, REPORT_SIZE)
        return int.from_bytes(data, signed=True) if data else None


class Preloaded:
    """The process that has loaded a program's modules; it ends with this one, and kills its forks then.

    Args:
        program: the name of its file.
    """

    def __init__(self, program: str) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._popen = subprocess.Popen(
                [sys.executable, __file__, program, str(number)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
                start_new_session=True,
            )

    def start(
        self,
        words: Sequence[str],
        directory: Path,
        environment: Mapping[str, str] = os.environ,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> Fork:
        """Start a program as the leader of a session, to which a terminal that is its input belongs.

        Args:
            words: of its command line; the first one is its file.
            directory: where it runs.
            environment: its variables.
            stdin, stdout, stderr: descriptors, or PIPE or DEVNULL.

        Raises:
            OSError: it cannot be started.
        """
        order = json.dumps([words, str(directory), dict(environment)]).encode()
        reader, report = os.pipe()
        streams = [_open_stream(stdin, is_input=True), _open_stream(stdout), _open_stream(stderr)]
        try:
            socket.send_fds(self._orders, [order], [*(stream.theirs for stream in streams), report])
        except OSError:
            _close([reader, *(stream.ours for stream in streams if stream.ours is not None)])
            raise
        finally:
            _close([report, *(stream.theirs for stream in streams if stream.is_opened)])
        return Fork([stream.ours for stream in streams], reader)

    def close(self) -> None:
        self._orders.close()
        self._popen.wait()


class Stream(NamedTuple):
    """A standard stream of a fork.

    Attributes:
        theirs: the fork's descriptor.
        ours: the other end of its pipe; None if it is no pipe.
        is_opened: whether `theirs` has been opened for it, and is closed when the fork has it.
    """

    theirs: int
    ours: int | None = None
    is_opened: bool = True


def _open_stream(given: int, *, is_input: bool = False) -> Stream:
    if given == subprocess.PIPE:
        reader, writer = os.pipe()
        return Stream(reader, writer) if is_input else Stream(writer, reader)
    if given == subprocess.DEVNULL:
        return Stream(os.open(os.devnull, os.O_RDWR))
    return Stream(given, is_opened=False)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


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


def take_terminal() -> None:
    """Make a terminal that is standard input that of the session, so that a hang-up sends SIGHUP, as everywhere."""
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


# ---- what that process runs ----


class Order(NamedTuple):
    words: list[str]
    directory: str
    environment: dict[str, str]
    descriptors: list[int]


def take_order(orders: socket.socket) -> Order | None:
    """Return the next order; None when no more can come."""
    data, descriptors, _flags, _address = socket.recv_fds(orders, MAX_ORDER, DESCRIPTORS)
    if not data:
        return None
    words, directory, environment = json.loads(data)
    return Order(words, directory, environment, descriptors)


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
            *standard, report = order.descriptors
            _close(standard)
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
        os.write(report, number.to_bytes(REPORT_SIZE, signed=True))


def run(order: Order) -> None:
    """Run a program as if this process had been started for it."""
    os.setsid()
    for number, descriptor in enumerate(order.descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, MAX_DESCRIPTOR)
    take_terminal()
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
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


def main(program: str, descriptor: int) -> None:
    sys.path[0] = str(ROOT)  # as for the programs
    with contextlib.suppress(ImportError):  # without the installed modules, the program takes another Python
        load(str(ROOT / program))
        for name in LATE_MODULES.get(program, ()):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the forks share its memory longer
    order = serve(socket.socket(fileno=descriptor))
    if order is not None:
        run(order)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
