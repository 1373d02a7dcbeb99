"""What the tests of the client share: the client between pipes and on a terminal, and servers for it.

Each wait is for an event and has a deadline; nothing sleeps.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import pty
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.peer import Peer
from harness.preloaded import Fork, take_terminal
from harness.processes import ROOT
from harness.servers import PROCESSES, ServerProcess, free_ports
from ui.screens import REFLOWING

SECONDS = 60.0
"""Time-out of an event in seconds, on a loaded machine."""

CLIENT = ROOT / "client.py"

LEFT_OUT = ("NO_COLOR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "CROSSTALK_PASSWORD")
"""Variables of whoever runs the tests that the client on a terminal does not get."""

CHANNELS = ("lobby", "den", "attic")

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()=>].?)|\r")


class ClientOutput:
    """The text from a descriptor, read with deadlines."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.raw = b""
        self.ended = False

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw.decode(errors="replace"))

    def expect(self, wanted: str, after: int = 0) -> int:
        """Wait until a text has come after a position in `text`; return the position behind it."""
        until = time.monotonic() + SECONDS
        while (start := self.text.find(wanted, after)) < 0:
            assert not self.ended, f"{wanted!r} is not in {self.text!r}, which is all"
            assert self.read(until - time.monotonic()), f"no {wanted!r} in time, only {self.text!r}"
        return start + len(wanted)

    def rest(self) -> str:
        """Wait for the end; return all."""
        until = time.monotonic() + SECONDS
        while not self.ended:
            assert self.read(until - time.monotonic()), f"no end in time, only {self.text!r}"
        return self.text

    def read(self, seconds: float) -> bool:
        """Read a piece; return False when none has come in that time."""
        if not select.select([self.descriptor], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the other side of the terminal is closed
            data = b""
        self.raw += data
        self.ended = not data
        return True


def start_client(
    words: Sequence[str],
    directory: Path | None,
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    *,
    alone: bool = False,
) -> subprocess.Popen[bytes] | Fork:
    """Start the client: an interpreter of its own if it is to be alone, else a fork of one, see `harness.preloaded`."""
    stdin, stdout, stderr = streams
    if PROCESSES.preloads and not alone:
        return PROCESSES.preloaded(CLIENT.name).start(words, directory or Path.cwd(), environment, *streams)
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=take_terminal,
        env=environment,
        cwd=directory,
    )


class Piped:
    """The client between pipes."""

    def __init__(
        self,
        port: int | str,
        *words: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        directory: Path | None = None,
    ) -> None:
        command = [str(CLIENT), str(port), "--host", "127.0.0.1", *words]
        self.process = start_client(command, directory, os.environ, (stdin, stdout, subprocess.PIPE))
        if self.process.stdout:
            self.output = ClientOutput(self.process.stdout.fileno())
        assert self.process.stderr
        self.stderr = ClientOutput(self.process.stderr.fileno())

    def send(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def status(self) -> int:
        return self.process.wait(SECONDS)

    def errors(self) -> str:
        """Wait for its end; return its standard error."""
        return self.stderr.rest()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


class EmulatedScreen:
    """What a person sees of the output of a program.

    Args:
        output: of the program.
        rows, columns: of the terminal.
    """

    def __init__(self, output: ClientOutput, rows: int, columns: int) -> None:
        pyte: Any = importlib.import_module("pyte")  # where it is not installed only the tests that need it fail
        self._output = output
        self._fed = 0
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self.title = ""

    def rows(self) -> list[str]:
        """The rows that are on the screen now, without the blanks at their ends."""
        self._feed()
        return [row.rstrip() for row in self._screen.display]

    def scrollback(self) -> list[str]:
        """The rows that have left the screen at its top, and those that are on it."""
        self._feed()
        columns = range(self._screen.columns)
        left = ["".join(row[column].data for column in columns).rstrip() for row in self._screen.history.top]
        return [*left, *self.rows()]

    def styled(self, text: str) -> Any:
        """The first character of a text that is on the screen, with its style."""
        for number, row in enumerate(self._screen.display):
            if (column := row.find(text)) >= 0:
                return self._screen.buffer[number][column]
        raise AssertionError(f"{text!r} is not on the screen")

    def resize(self, rows: int, columns: int) -> None:
        self._feed()
        self._screen.resize(rows, columns)

    def _feed(self) -> None:
        self._stream.feed(self._output.raw[self._fed :])
        self._fed = len(self._output.raw)
        self.title = self._screen.title


class OnTerminal:
    """The client on a terminal of its own."""

    def __init__(
        self,
        port: int | str,
        *words: str,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        stderr: int | None = None,
        home: Path | None = None,
        size: tuple[int, int] = (24, 100),
        begins: str = "Ctrl-D ends.",
    ) -> None:
        self._home = tempfile.TemporaryDirectory()
        self.home = Path(self._home.name if home is None else home)
        master, slave = pty.openpty()
        resize(slave, *size)
        inherited = {name: value for name, value in os.environ.items() if name not in (*LEFT_OUT, *REFLOWING)}
        variables = {**inherited, "TERM": "xterm", "HOME": str(self.home), **(environment or {})}
        command = [str(CLIENT), str(port), "--host", "127.0.0.1", *words]
        streams = (slave, slave, slave if stderr is None else stderr)
        # Variables that a test names may be some that the interpreter reads.
        self.process = start_client(command, directory, variables, streams, alone=environment is not None)
        os.close(slave)
        self.output = ClientOutput(master)
        self.screen = EmulatedScreen(self.output, *size)
        self._position = 0
        self.expect(begins)
        if begins:
            self.expect(">")

    def type(self, text: str) -> None:
        os.write(self.output.descriptor, text.encode())

    def enter(self, line: str, answer: str) -> None:
        """Type a line and wait for the answer."""
        self.type(f"{line}\r")
        self.expect(answer)

    def expect(self, wanted: str) -> None:
        """Wait until a text has come after the one that was expected last."""
        self._position = self.output.expect(wanted, self._position)

    def sees(self, wanted: str) -> str:
        """Wait until a person sees a text on the screen; return the screen."""
        until = time.monotonic() + SECONDS
        while wanted not in (seen := "\n".join(self.screen.rows())):
            assert not self.output.ended, f"{wanted!r} is not on the screen at the end:\n{seen}"
            assert self.output.read(until - time.monotonic()), f"no {wanted!r} in time, only\n{seen}"
        return seen

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal."""
        self.screen.resize(rows, columns)
        resize(self.output.descriptor, rows, columns)

    def status(self) -> int:
        self.output.rest()
        return self.process.wait(SECONDS)

    def hang_up(self) -> int:
        """Close the terminal; return the exit status of the client."""
        os.close(self.output.descriptor)
        self.output.descriptor = -1
        return self.process.wait(SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.output.descriptor >= 0:
            os.close(self.output.descriptor)
        self._home.cleanup()


def resize(descriptor: int, rows: int, columns: int) -> None:
    """Set the size of a terminal, which tells the programs on it."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class RoomServer(ServerProcess):
    """A server with three channels, of which `port` leads to `lobby`."""

    def __init__(self, directory: Path, *directives: str) -> None:
        ports = free_ports(len(CHANNELS))
        channels = [f"channel {name} {port} 5" for name, port in zip(CHANNELS, ports, strict=True)]
        super().__init__(directory, "database :memory:", *channels, *directives, port=None)

    def guest(self, first_line: str) -> Peer:
        """Return a plain connection that has entered the lobby."""
        peer = self.peer()
        peer.send(first_line)
        peer.expect(f"{first_line.split()[0]} has joined the channel.\n")
        return peer


class FakeServer:
    """A listening socket; the test speaks for the server."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.settimeout(SECONDS)
        self.port = self.sock.getsockname()[1]

    def accept(self) -> Peer:
        return Peer(self.sock.accept()[0], seconds=SECONDS)

    def accept_client(self) -> Peer:
        """Accept a client on a terminal, and answer its first line as a server without extensions does."""
        sock = self.sock.accept()[0]
        sock.settimeout(SECONDS)
        probe = b""
        while not probe.endswith(b"\n"):
            probe += sock.recv(1)
        assert probe == b"TAGS time id\n"
        peer = Peer(sock, seconds=SECONDS)
        peer.send("RESULT ERROR unknown type")
        return peer

    def close(self) -> None:
        self.sock.close()
