#!/usr/bin/env python3
"""Plays the scripts below `testing/` against real servers: `python3 testing.py [pattern]`.

TESTING.md describes the language of the scripts. This file needs the standard library alone. Reading order:

1. Words and texts    how arguments are read from a line, how bytes are shown to a person
2. Processes          ports, server processes, their output
3. Actors             the client and the server that a script moves, on their stage
4. Actions            the table of the language: one row for each action of each kind of actor
5. Parsing            `parse(text) -> Case`, which also finds every misuse of a name; touches nothing outside
6. Playing            `play(case, settings) -> Record`
7. The command line   finding cases, running them side by side, reporting

Nothing here sleeps for a fixed time: whatever waits does so for an event and under a deadline. Deadlines are
points on the monotonic clock and are called `until`.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import errno
import io
import ipaddress
import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

ROOT = Path(__file__).resolve().parent
CASES = ROOT / "testing"
SERVER = ROOT / "server.py"
RECORD = "testing.json"

# What starts a server, as words; `{port}` and `{config}` are filled in. The variable names another one.
OUR_COMMAND = (sys.executable, str(SERVER), "{port}", "{config}")
COMMAND_VARIABLE = "CROSSTALK_SERVER"

# Every config that a command asks for begins so: the scripts test the chat, not how slow a hash can be made.
CONFIG_HEAD = ("bcrypt-cost 4",)


LONGEST_WAIT = 0.5  # seconds; a Ctrl-C in the moment before a wait begins is noticed only after that wait


class Failed(Exception):
    """The server did not do what the script says. `expected` and `received` are texts for a person."""

    def __init__(self, message: str, expected: str | None = None, received: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.received = received


class InvalidCase(Exception):
    """The script itself is wrong, at this line; the server has no part in it."""

    def __init__(self, line: int, text: str, message: str) -> None:
        super().__init__(f"line {line}: {message}: {text}")
        self.line = line
        self.text = text
        self.message = message


# --- 1. Words and texts -------------------------------------------------------------------------------------
#
# The readers take what follows the action in a line, without the comment and the blanks around it, and raise
# ValueError when it is no argument of theirs. Blanks are ASCII: other white space is for the server to judge.

BLANKS = " \t"
NAME = re.compile(r"[\w.-]+")
PORT_REFERENCE = re.compile(r"\$([0-9]+)")
TARGET = re.compile(r"(?P<server>[^ ]+)(?: (?P<place>[^ ]+))?(?: from (?P<source>[^ ]+))?")
LOOPBACK = "127.0.0.1"  # where a script says no address

PLAIN_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"s": b" ", b"\\": b"\\", b"#": b"#"}
ESCAPE = re.compile(
    rb"\\(?:(?P<plain>[ntrs\\#])|x(?P<byte>[0-9A-Fa-f]{2})|u(?P<char>[0-9A-Fa-f]{4})"
    rb"|\{(?P<body>.+?)\*(?P<count>[0-9]{1,8})\}|(?P<unknown>.?))"
)
LONGEST_REPEAT = 16 * 1024 * 1024  # bytes; sixteen times the longest line that our own client takes

SHOWN_ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\"}
NOT_PLAIN = re.compile(r"(.)\1{39,}|[^ -\[\]-~]", re.DOTALL)  # shorter runs are easier to read as they are


@dataclass(frozen=True)
class Start:
    """How a server is started: the script's port (None: as it was started before), further words, or (`alone`) all."""

    port: int | None
    words: tuple[str, ...]
    alone: bool = False


@dataclass(frozen=True)
class Place:
    """Where somebody listens: a script port (None: the first one of a server), at a loopback address."""

    port: int | None = None
    address: str = LOOPBACK


@dataclass(frozen=True)
class Target:
    """Where a client connects to, a place of a server of the script, and the address that it does so from."""

    server: str
    place: Place = Place()
    source: str | None = None


def read_words(rest: str) -> list[str]:
    """The words of a line; a backslash that protects a leading `#` is taken off."""
    return [word[1:] if word.startswith(r"\#") else word for word in re.split(f"[{BLANKS}]+", rest) if word]


def read_line(rest: str) -> bytes:
    return " ".join(read_words(rest)).encode()


def read_raw(rest: str) -> bytes:
    if not rest:
        raise ValueError("there is nothing to send")
    return unescape(rest)


def read_exact_line(rest: str) -> bytes:
    line = unescape(rest)
    if b"\n" in line:
        raise ValueError("a received line has no newline in it")
    return line


def read_pattern(rest: str) -> re.Pattern[str]:
    if not rest:
        raise ValueError("a regular expression is missing")
    try:
        return re.compile(rest)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def read_nothing(rest: str) -> None:
    if rest:
        raise ValueError(f"unexpected argument {rest!r}")


def read_status(rest: str) -> int:
    if not re.fullmatch(r"[0-9]{0,3}", rest) or int(rest or 0) > 255:
        raise ValueError(f"{rest!r} is not an exit status from 0 to 255")
    return int(rest or 0)


def read_port(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", word) or not 1 <= int(word) <= 65535:
        raise ValueError(f"{word!r} is not a port from 1 to 65535")
    return int(word)


def read_start(rest: str) -> Start:
    words = read_words(rest)
    return Start(read_port(words[0]), tuple(words[1:])) if words else Start(None, ())


def read_start_alone(rest: str) -> Start:
    if not rest:
        raise ValueError("the first start needs a port")
    return replace(read_start(rest), alone=True)


def read_address(word: str) -> str:
    try:
        address = ipaddress.ip_address(re.sub(r"^\[(.*:.*)\]$", r"\1", word))
    except ValueError:
        raise ValueError(f"{word!r} is not an IP address") from None
    if not address.is_loopback:
        raise ValueError(f"{word} is not a loopback address")
    return str(address)


def read_place(rest: str) -> Place:
    address, colon, port = rest.rpartition(":")
    return Place(read_port(port), read_address(address) if colon else LOOPBACK)


def read_target(rest: str) -> Target:
    match = TARGET.fullmatch(" ".join(read_words(rest)))
    if not match:
        raise ValueError("a server's name is needed, perhaps one of its ports, and perhaps `from` and an address")
    server, place, source = match.groups()
    return Target(server, read_place(place) if place else Place(), read_address(source) if source else None)


def read_listener(rest: str) -> str | None:
    """The client whose listener is meant; None: the one that the line begins with."""
    return rest or None


def read_directive(rest: str) -> str:
    if not rest:
        raise ValueError("a config directive is missing")
    return " ".join(read_words(rest))


def referred_ports(text: str) -> set[int]:
    """The script ports that a text refers to as `$5051`."""
    return {read_port(number) for number in PORT_REFERENCE.findall(text)}


def unescape(text: str) -> bytes:
    """The bytes that an escaped text stands for. Raises ValueError for an escape that does not exist."""
    return ESCAPE.sub(_unescaped, text.encode())


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match["plain"]:
        return PLAIN_ESCAPES[match["plain"]]
    if match["byte"]:
        return bytes.fromhex(match["byte"].decode())
    if match["char"]:
        return chr(int(match["char"], 16)).encode()
    if match["body"]:
        return _repeated(ESCAPE.sub(_unescaped, match["body"]), int(match["count"]))
    raise ValueError(f"unknown escape {match[0].decode(errors='replace')!r}")


def _repeated(body: bytes, count: int) -> bytes:
    if len(body) * count > LONGEST_REPEAT:
        raise ValueError(f"a repeat is longer than {LONGEST_REPEAT} bytes")
    return body * count


def escape(data: bytes) -> str:
    """A text that shows every byte and that `unescape` turns back into them: what `<<` would expect."""
    text = NOT_PLAIN.sub(_escaped, data.decode("utf-8", "surrogateescape"))
    text = re.sub(r"(?<![^ ])#", r"\\#", text)
    return re.sub(r"^ | $", r"\\s", text)


def _escaped(match: re.Match[str]) -> str:
    character, count = match[0][0], len(match[0])
    return _shown(character) if count == 1 else rf"\{{{_shown(character)}*{count}}}"


def _shown(character: str) -> str:
    if character in SHOWN_ESCAPES:
        return SHOWN_ESCAPES[character]
    if character.isprintable():
        return character
    if 0x7F < ord(character) < 0xD800:
        return f"\\u{ord(character):04x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def readable(data: bytes) -> str:
    """A text for a person, safe for a terminal: a line of a server's standard error."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(character if character.isprintable() else _shown(character) for character in text)


# --- 2. Processes -------------------------------------------------------------------------------------------

# Below the usual ephemeral range: no client socket takes a port between its choice and the server's bind.
FIRST_PORT, LAST_PORT = 20000, 32000

READY = re.compile(r" ready ")
PROBE_SECONDS = 0.005  # between two attempts to connect to a server that does not say when it is ready
TRACEBACK = b"Traceback (most recent call last)"
STDERR_LINES = 20  # of each server, shown with a failure


class Ports:
    """Hands out free ports, none twice.

    Runs that go on at one time keep apart: each begins at a random port, and claims one by binding its UDP
    namesake, which no server here needs and which the system takes back even from a run that was killed.
    """

    def __init__(self) -> None:
        start = random.randint(FIRST_PORT, LAST_PORT)
        self._candidates = itertools.chain(range(start, LAST_PORT + 1), range(FIRST_PORT, start))
        self._lock = threading.Lock()

    def take(self) -> socket.socket:
        """A claim, which keeps other runs from its port until it is closed. Raises Failed if none is left."""
        with self._lock:
            for port in self._candidates:
                claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                with contextlib.suppress(OSError):
                    claim.bind((LOOPBACK, port))
                    if is_free(port):
                        return claim
                claim.close()
        raise Failed(f"no port from {FIRST_PORT} to {LAST_PORT} is free any more")


def is_free(port: int) -> bool:
    """Whether nobody has bound the port at any address; a machine without IPv6 has it free there."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family) as probe:
                probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def accepts(port: int, until: float) -> bool:
    """Whether somebody accepts a connection at the port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=remaining(until)).close()
    except OSError:
        return False
    return True


def hang_up(sock: socket.socket) -> None:
    """Close a socket at once, although a process that is being started may hold a copy of it for a moment."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def remaining(until: float) -> float:
    """The seconds until then; at least a moment, since 0 means "do not wait at all" to a socket."""
    return max(until - time.monotonic(), 0.001)


class Processes:
    """The server processes of a run that are alive: an interrupted run ends them, and starts no more."""

    def __init__(self) -> None:
        self._alive: set[subprocess.Popen[bytes]] = set()
        self.closed = False  # whether the run is over
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], directory: Path) -> subprocess.Popen[bytes]:
        """Start a command in a directory, with pipes, away from the terminal's Ctrl-C. Raises Failed."""
        pipe = subprocess.PIPE
        with self._lock:
            if self.closed:
                raise Failed("the run was interrupted")
            try:
                popen = subprocess.Popen(
                    command, cwd=directory, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
                )
            except OSError as error:
                raise Failed(f"cannot start {shlex.join(command)}: {error}") from None
            self._alive.add(popen)
        return popen

    def forget(self, popen: subprocess.Popen[bytes]) -> None:
        """This one has ended."""
        with self._lock:
            self._alive.discard(popen)

    def close(self) -> None:
        """Kill all of them, by process id. What waits for one of them goes on, and fails."""
        with self._lock:
            self.closed = True
            for popen in self._alive:
                popen.kill()


class Output:
    """The lines that come out of a pipe. A thread takes them: the process at its other end never blocks."""

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
        """The index of the first such line, from a start on; None at the end of the output or of the time."""
        with self._changed:
            while True:
                for index in range(start, len(self._lines)):
                    if matches(self._lines[index]):
                        return index
                start = len(self._lines)
                if self._ended or not self._changed.wait(max(until - time.monotonic(), 0)):
                    return None

    def take(self, matches: Callable[[bytes], bool], until: float) -> bytes | None:
        """The first such line after the one taken last; None if there is none until then."""
        index = self._search(matches, self._taken, until)
        if index is None:
            return None
        self._taken = index + 1
        return self._lines[index]

    def has(self, matches: Callable[[bytes], bool], until: float) -> bool:
        """Whether such a line comes, or came, until then; takes nothing."""
        return self._search(matches, 0, until) is not None

    def wait_for_end(self, until: float) -> None:
        """Wait until every line is here."""
        self._search(lambda _: False, len(self._lines), until)

    def excerpt(self, matches: Callable[[bytes], bool], count: int) -> list[str]:
        """The first such line so far and those after it, readable; empty if there is none."""
        start = self._search(matches, 0, 0)
        return [] if start is None else [readable(line) for line in self._lines[start : start + count]]

    def tail(self, count: int) -> list[str]:
        """The last lines so far, readable."""
        return [readable(line) for line in self._lines[-count:]]


class Process:
    """One life of a server, from its start to its exit."""

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
        self.judged = False  # the script has said how it must end, so its end needs no second opinion
        self._processes = processes
        self._status: int | None = None
        self._stopped = False
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        self._status = self._popen.wait()
        self._processes.forget(self._popen)
        self._ended.set()

    def wait(self, until: float) -> int | None:
        """The exit status (negative: the signal that ended it); None if it still runs then."""
        self._ended.wait(max(until - time.monotonic(), 0))
        return self._status

    def wait_until_ready(self, until: float) -> None:
        """Wait for the line that says so. A process that exits first is not ready, which may be right."""
        self.ready = self.log.has(says_ready, until)
        if not self.ready and self.wait(until) is None:
            raise Failed("the server said nothing of being ready in time")

    def wait_until_accepting(self, port: int, until: float) -> None:
        """The same for a server that may not say it: one that accepts a connection is ready too."""
        while not self._ended.wait(PROBE_SECONDS):
            if self.log.has(says_ready, 0) or accepts(port, until):
                self.ready = True
                return
            if time.monotonic() > until:
                raise Failed(f"the server accepted no connection at port {port} in time")

    def write(self, data: bytes) -> None:
        """Type at the console. Raises OSError when it is closed or full: this never waits."""
        while data:
            data = data[os.write(self._stdin.fileno(), data) :]

    def stop(self) -> None:
        """Ask it to end; `wait` tells when it has."""
        self._stopped = not self._ended.is_set()
        self._popen.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()

    def close(self, may_ignore_stop: bool, until: float) -> str | None:
        """Wait for the end and free the pipes; what was wrong with this life, if anything.

        `may_ignore_stop`: somebody else's server may leave the stop signal to the system, which ends it.
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
    """Whether a pattern's method finds a match in a line; bytes that are not UTF-8 appear as `\\xff`."""
    return match(line.decode("utf-8", "backslashreplace")) is not None


def render_status(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {-status}"


def command_words(template: Sequence[str], port: int, config: Path, has_directives: bool) -> list[str]:
    """The words that start a server at a port; what the template has no place for is appended."""
    words = list(template)
    if not any("{port}" in word for word in template):
        words.append("{port}")
    if has_directives and not wants_config(template):
        words.append("{config}")
    return [word.replace("{port}", str(port)).replace("{config}", str(config)) for word in words]


def program_words(template: Sequence[str]) -> list[str]:
    """The words that start a server, without its port and config."""
    return [word for word in template if "{port}" not in word and "{config}" not in word]


def wants_config(template: Sequence[str]) -> bool:
    return any("{config}" in word for word in template)


# --- 3. Actors ----------------------------------------------------------------------------------------------
#
# A method that plays an action takes the argument that its row in the table below reads, returns what was
# received, for the record, or None, and raises Failed.

LONGEST_LINE = 16 * 1024 * 1024  # bytes; a server that sends more without a newline is not waited for


def check_line(line: bytes, wanted: bytes) -> str:
    if line != wanted:
        raise Failed("another line came", escape(wanted), escape(line))
    return escape(line)


def check_pattern(line: bytes, pattern: re.Pattern[str]) -> str:
    if not matched(pattern.fullmatch, line):
        raise Failed("a line came that does not match", pattern.pattern, escape(line))
    return escape(line)


class Client:
    """A client of the script: a socket, and what has arrived of the next lines. It may listen for its connections."""

    def __init__(self, name: str, stage: Stage) -> None:
        self._name = name
        self._stage = stage
        self._received = bytearray()
        self._socket = socket.socket()  # unconnected: the parser lets nobody use it before `connect` or `accept`

    def connect(self, target: Target) -> str:
        self.close()
        address = target.place.address
        port = self._stage.servers[target.server].serving_port(target.place.port)
        source = (target.source, 0) if target.source else None
        try:
            self._hold(socket.create_connection((address, port), self._stage.settings.deadline, source))
        except OSError as error:
            raise Failed(f"cannot connect to {address} port {port}: {error}") from None
        return f"{address} port {port}"

    def listen(self, place: Place) -> str:
        assert place.port is not None, "there is no listening without a port"
        address, port = place.address, self._stage.real_port(place.port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._stage.listeners[self._name] = socket.create_server((address, port), family=family)
        except OSError as error:
            raise Failed(f"cannot listen at {address} port {port}: {error}") from None
        return f"{address} port {port}"

    def accept(self, listener: str | None) -> str:
        self.close()
        try:
            connection, (address, port, *_) = self._next_connection(self._stage.listeners[listener or self._name])
            self._hold(connection)
        except OSError as error:
            raise Failed(f"no connection came: {error}") from None
        return f"from {address} port {port}"

    def stop_listening(self, _: None) -> None:
        hang_up(self._stage.listeners.pop(self._name))

    def _next_connection(self, listener: socket.socket) -> tuple[socket.socket, tuple[Any, ...]]:
        """What `accept` returns. Raises OSError; soon also when the run is over, since then nobody will connect."""
        until = self._stage.until()
        while True:
            listener.settimeout(min(remaining(until), LONGEST_WAIT))
            try:
                return listener.accept()
            except TimeoutError:
                if self._stage.settings.processes.closed or time.monotonic() > until:
                    raise

    def _hold(self, connection: socket.socket) -> None:
        """This is the client's connection from now on."""
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_line(self, line: bytes) -> None:
        self.send(line + b"\n")

    def send(self, data: bytes) -> None:
        until = self._stage.until()
        left = memoryview(data)
        try:
            while left:
                self._socket.settimeout(remaining(until))
                left = left[self._socket.send(left) :]
        except OSError as error:
            raise Failed(f"cannot send: {error}", received=self._unread()) from None

    def expect_line(self, wanted: bytes) -> str:
        return check_line(self._next_line(escape(wanted)), wanted)

    def expect_match(self, pattern: re.Pattern[str]) -> str:
        return check_pattern(self._next_line(pattern.pattern), pattern)

    def expect_nothing(self, _: None) -> None:
        try:
            if self._received or self._receive(time.monotonic() + self._stage.settings.quiet):
                raise Failed("something came", "nothing", self._unread())
        except TimeoutError:
            return
        raise Failed("the server closed the connection", "nothing")

    def expect_end(self, _: None) -> str:
        try:
            if not self._received and not self._receive(self._stage.until()):
                return "closed"
        except TimeoutError:
            raise Failed("the connection is still open", "closed") from None
        raise Failed("something came before the close", "closed", self._unread())

    def end_sending(self, _: None) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Failed(f"cannot end the sending side: {error}") from None

    def close(self, _: None = None) -> None:
        hang_up(self._socket)
        self._received.clear()

    def _next_line(self, expected: str) -> bytes:
        until = self._stage.until()
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._wait_for_more(expected, until)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _wait_for_more(self, expected: str, until: float) -> None:
        if len(self._received) > LONGEST_LINE:
            raise Failed(f"more than {LONGEST_LINE} bytes came without a newline", expected)
        try:
            if self._receive(until):
                return
        except TimeoutError:
            raise Failed("no line came in time", expected, self._unread()) from None
        raise Failed("the server closed the connection", expected, self._unread())

    def _receive(self, until: float) -> bool:
        """Take what arrives next; False when the server has closed, with a reset too. Raises TimeoutError."""
        self._socket.settimeout(remaining(until))
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)

    def _unread(self) -> str | None:
        return escape(bytes(self._received)) if self._received else None


class Server:
    """A server of the script: its place and config, and its lives so far."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.lives: list[Process] = []
        self._stage = stage
        self._start = Start(None, ())
        self._directives: list[str] = []
        self._config = stage.directory / f"{name}.conf"

    def configure(self, directive: str) -> None:
        self._directives.append(directive)

    def start(self, start: Start) -> str:
        if start.port is not None:
            self._start = start
        settings, until = self._stage.settings, self._stage.until()
        port = self._stage.real_port(self._own_port())
        life = Process(self._command(port), self._stage.directory, settings.processes)
        self.lives.append(life)
        if settings.is_ours:
            life.wait_until_ready(until)
        else:
            life.wait_until_accepting(port, until)
        return f"port {port}, process {life.pid}, {'ready' if life.ready else 'ended'}"

    def _command(self, port: int) -> list[str]:
        """Write the config; the words that start the server with it."""
        template = self._stage.settings.command
        head = CONFIG_HEAD if wants_config(template) else ()
        lines = [*head, *map(self._stage.with_real_ports, self._directives)]
        self._config.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        more = [self._stage.with_real_ports(word).replace("$config", str(self._config)) for word in self._start.words]
        if self._start.alone:
            return [*program_words(template), *more]
        return [*command_words(template, port, self._config, bool(self._directives)), *more]

    def serving_port(self, script_port: int | None) -> int:
        """The real port for one of its script ports (None: its own). Raises Failed if it was not ready."""
        self._serving()
        return self._stage.real_port(script_port or self._own_port())

    def _own_port(self) -> int:
        assert self._start.port is not None, "the parser lets no server start without a port"
        return self._start.port

    def stop(self, _: None) -> str:
        life = self._running()
        life.stop()
        return self.expect_end(0)

    def kill(self, _: None) -> str:
        life = self._running()
        life.kill()
        return self.expect_end(-signal.SIGKILL)

    def expect_end(self, wanted: int) -> str:
        life = self.lives[-1]
        life.judged = True
        status = life.wait(self._stage.until())
        if status is None:
            raise Failed("the server still runs", render_status(wanted))
        if status != wanted:
            raise Failed("the server ended otherwise", render_status(wanted), render_status(status))
        return render_status(status)

    def type_line(self, line: bytes) -> None:
        try:
            self._serving().write(line + b"\n")
        except OSError as error:
            raise Failed(f"cannot write to the console: {error}") from None

    def expect_line(self, wanted: bytes) -> str:
        return check_line(self._next_line(escape(wanted)), wanted)

    def expect_match(self, pattern: re.Pattern[str]) -> str:
        return check_pattern(self._next_line(pattern.pattern), pattern)

    def expect_log(self, pattern: re.Pattern[str]) -> str:
        line = self.lives[-1].log.take(lambda line: matched(pattern.search, line), self._stage.until())
        if line is None:
            raise Failed("no new line on standard error matches", pattern.pattern)
        return escape(line)

    def _next_line(self, expected: str) -> bytes:
        line = self._serving().output.take(lambda _: True, self._stage.until())
        if line is None:
            raise Failed("no line came on standard output", expected)
        return line

    def _serving(self) -> Process:
        """The life that is, or was, ready to be used."""
        life = self.lives[-1]
        if not life.ready:
            raise Failed("the server ended before it was ready")
        return life

    def _running(self) -> Process:
        life = self._serving()
        status = life.wait(0)
        if status is not None:
            raise Failed(f"the server has ended by itself, with {render_status(status)}")
        return life


class Stage:
    """What one playing of a case owns: a directory, the actors by name, the clients' listeners, the real ports."""

    def __init__(self, case: Case, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self._claims: dict[int, socket.socket] = {}
        roles = {step.name: step.action.role for step in case.steps}
        self.servers = {name: Server(name, self) for name, role in roles.items() if role is Server}
        self.clients = {name: Client(name, self) for name, role in roles.items() if role is Client}
        self.listeners: dict[str, socket.socket] = {}

    def perform(self, step: Step) -> str | None:
        """Play a step; what was received. Raises Failed."""
        actor = self.servers.get(step.name) or self.clients[step.name]
        received: str | None = step.action.play(actor, step.argument)
        return received

    def until(self) -> float:
        """The deadline of a step that begins now."""
        return time.monotonic() + self.settings.deadline

    def real_port(self, script_port: int) -> int:
        if self.settings.exact_ports:
            return script_port
        if script_port not in self._claims:
            self._claims[script_port] = self.settings.ports.take()
        port: int = self._claims[script_port].getsockname()[1]
        return port

    def with_real_ports(self, text: str) -> str:
        """The text with the real port in place of each `$5051`."""
        return PORT_REFERENCE.sub(lambda match: str(self.real_port(int(match[1]))), text)

    def close(self) -> list[tuple[str, str]]:
        """Stop everything; each server that did not live or end well: its name and what was wrong."""
        for client in self.clients.values():
            client.close()
        for listener in self.listeners.values():
            hang_up(listener)
        lives = [(name, life) for name, server in self.servers.items() for life in server.lives]
        for _, life in lives:
            life.stop()
        until = self.until()
        complaints = [(name, life.close(not self.settings.is_ours, until)) for name, life in lives]
        for claim in self._claims.values():
            claim.close()
        return [(name, complaint) for name, complaint in complaints if complaint]

    def stderr(self) -> dict[str, list[str]]:
        """For each life of each server the last lines of its standard error."""
        return {
            f"{name}, start {number}" if len(server.lives) > 1 else name: life.log.tail(STDERR_LINES)
            for name, server in self.servers.items()
            for number, life in enumerate(server.lives, 1)
        }


# --- 4. Actions ---------------------------------------------------------------------------------------------


class State(enum.Enum):
    """What a name can be at some line of a script; the value completes "alice is ..."."""

    NEW = "not known yet"
    CONFIGURED = "configured, but was never started"
    RUNNING = "running"
    STOPPED = "stopped"
    APART = "not connected"
    OPEN = "connected"
    HALF = "connected, but has ended its sending side"
    LEFT = "closed by the server"
    CLOSED = "closed"


NEW, CONFIGURED, RUNNING, STOPPED = State.NEW, State.CONFIGURED, State.RUNNING, State.STOPPED
APART, OPEN, HALF, LEFT, CLOSED = State.APART, State.OPEN, State.HALF, State.LEFT, State.CLOSED


@dataclass
class Scene:
    """What the parser knows when it has read a part of a script."""

    roles: dict[str, type] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    ports: dict[str, set[int]] = field(default_factory=dict)  # server -> the script ports it may listen at
    listeners: dict[str, Place] = field(default_factory=dict)  # client -> where it listens now


Actor = TypeVar("Actor")
Argument = TypeVar("Argument")


@dataclass(frozen=True)
class Action(Generic[Actor, Argument]):
    """A row of the language: who does it, how its argument is read, what it does, where it leads from where.

    `check` sees an argument in its scene, raises ValueError if it does not fit in, and notes what it adds.
    """

    symbol: str
    role: type[Actor]
    read: Callable[[str], Argument]
    play: Callable[[Actor, Argument], str | None]
    moves: Mapping[State, State]
    check: Callable[[Scene, str, Argument], None] = lambda _scene, _name, _argument: None


def stay(*states: State) -> dict[State, State]:
    return {state: state for state in states}


def check_start(scene: Scene, name: str, start: Start) -> None:
    started_before = scene.states[name] is STOPPED
    if started_before and start.port is not None:
        raise ValueError(f"{name} has its port already: `{name} @` starts it again")
    if not started_before and start.port is None:
        raise ValueError("the first start needs a port")
    if start.port is not None:
        scene.ports.setdefault(name, set()).update({start.port}, *map(referred_ports, start.words))


def check_directive(scene: Scene, name: str, directive: str) -> None:
    scene.ports.setdefault(name, set()).update(referred_ports(directive))


def check_target(scene: Scene, _name: str, target: Target) -> None:
    if scene.states.get(target.server) is not RUNNING:
        raise ValueError(f"no server {target.server} runs here")
    port = target.place.port
    if port is not None and port not in scene.ports[target.server]:
        raise ValueError(f"{target.server} has no port {port}: no ${port} stands above")


def check_listen(scene: Scene, name: str, place: Place) -> None:
    if name in scene.listeners:
        raise ValueError(f"{name} listens already")
    if place in scene.listeners.values():
        raise ValueError(f"another client listens at {place.address} port {place.port}")
    scene.listeners[name] = place


def check_accept(scene: Scene, name: str, listener: str | None) -> None:
    if (listener or name) not in scene.listeners:
        raise ValueError(f"{listener or name} does not listen")


def check_stop_listening(scene: Scene, name: str, _: None) -> None:
    check_accept(scene, name, None)
    del scene.listeners[name]


STARTING = {NEW: RUNNING, CONFIGURED: RUNNING, STOPPED: RUNNING}
CONFIGURING = {NEW: CONFIGURED, **stay(CONFIGURED, RUNNING, STOPPED)}
CONNECTING = {NEW: OPEN, APART: OPEN, LEFT: OPEN, CLOSED: OPEN}
LISTENING = {NEW: APART, **stay(APART, OPEN, HALF, LEFT, CLOSED)}
CLOSING = {OPEN: CLOSED, HALF: CLOSED, LEFT: CLOSED}

ACTIONS: tuple[Action[Any, Any], ...] = (
    Action("@", Server, read_start, Server.start, STARTING, check_start),
    Action("@@", Server, read_start_alone, Server.start, STARTING, check_start),
    Action("=", Server, read_directive, Server.configure, CONFIGURING, check_directive),
    Action(">", Server, read_line, Server.type_line, stay(RUNNING)),
    Action("<", Server, read_line, Server.expect_line, stay(RUNNING, STOPPED)),
    Action("</", Server, read_pattern, Server.expect_match, stay(RUNNING, STOPPED)),
    Action("?", Server, read_pattern, Server.expect_log, stay(RUNNING, STOPPED)),
    Action("<!", Server, read_status, Server.expect_end, {RUNNING: STOPPED}),
    Action("!", Server, read_nothing, Server.stop, {RUNNING: STOPPED}),
    Action("!!", Server, read_nothing, Server.kill, {RUNNING: STOPPED}),
    Action("~", Client, read_target, Client.connect, CONNECTING, check_target),
    Action("~@", Client, read_place, Client.listen, LISTENING, check_listen),
    Action("~<", Client, read_listener, Client.accept, CONNECTING, check_accept),
    Action("~!", Client, read_nothing, Client.stop_listening, LISTENING, check_stop_listening),
    Action(">", Client, read_line, Client.send_line, stay(OPEN)),
    Action(">>", Client, read_raw, Client.send, stay(OPEN)),
    Action("<", Client, read_line, Client.expect_line, stay(OPEN, HALF)),
    Action("<<", Client, read_exact_line, Client.expect_line, stay(OPEN, HALF)),
    Action("</", Client, read_pattern, Client.expect_match, stay(OPEN, HALF)),
    Action("<-", Client, read_nothing, Client.expect_nothing, stay(OPEN, HALF)),
    Action("<!", Client, read_nothing, Client.expect_end, {OPEN: LEFT, HALF: LEFT}),
    Action(">!", Client, read_nothing, Client.end_sending, {OPEN: HALF}),
    Action("!", Client, read_nothing, Client.close, CLOSING),
)


# --- 5. Parsing ---------------------------------------------------------------------------------------------

COMMENT = re.compile(rf"(?:^|[{BLANKS}])#.*")
STEP = re.compile(rf"(?P<name>[^{BLANKS}]+)[{BLANKS}]+(?P<symbol>[^{BLANKS}]+)(?:[{BLANKS}]+(?P<rest>.*))?")


@dataclass(frozen=True)
class Step:
    """A line of a script: its number, its text without the comment, and what it means."""

    line: int
    text: str
    name: str
    action: Action[Any, Any]
    argument: Any


@dataclass(frozen=True)
class Case:
    """A script that can be played."""

    name: str
    file: str
    steps: tuple[Step, ...]


def parse(text: str, name: str = "script", file: str = "script") -> Case:
    """Read a script. Raises InvalidCase for the first line that is wrong, also for what it says of a name."""
    scene = Scene()
    steps = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = COMMENT.sub("", line.rstrip("\r")).strip(BLANKS)
        if stripped:
            try:
                steps.append(_read_step(scene, number, stripped))
            except ValueError as error:
                raise InvalidCase(number, stripped, str(error)) from None
    return Case(name, file, tuple(steps))


def _read_step(scene: Scene, number: int, text: str) -> Step:
    """Read a line and move the scene on. Raises ValueError."""
    match = STEP.fullmatch(text)
    if not match:
        raise ValueError("a name and an action are needed")
    name = match["name"]
    action = _find_action(scene, name, match["symbol"])
    state = scene.states.setdefault(name, NEW)
    if state not in action.moves:
        raise ValueError(f"{name} is {state.value}")
    argument = action.read(match["rest"] or "")
    action.check(scene, name, argument)
    scene.roles[name] = action.role
    scene.states[name] = action.moves[state]
    return Step(number, text, name, action, argument)


def _find_action(scene: Scene, name: str, symbol: str) -> Action[Any, Any]:
    """The row for a symbol; a new name takes the kind of actor that can begin with it. Raises ValueError."""
    rows = [action for action in ACTIONS if action.symbol == symbol]
    if not rows:
        raise ValueError(f"unknown action {symbol!r}")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name")
    role = scene.roles.get(name)
    for action in rows:
        if action.role is role or (role is None and NEW in action.moves):
            return action
    raise ValueError(f"a {role.__name__.lower()} has no {symbol!r}" if role else f"{name} is {NEW.value}")


# --- 6. Playing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """How cases are played; those that run at one time share one, since it keeps their ports apart.

    `command` is the template that starts a server, `deadline` the seconds that a step may take, `quiet` the
    seconds in which nothing may come for `<-`.
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
        """Whether the command starts this repository's server: it says when it is ready, and exits with 0."""
        return str(SERVER) in self.command


def server_command(given: str | None = None) -> Sequence[str]:
    """The template to start a server with: the given one, the environment's, or ours. Raises ValueError.

    A word that names a file from here is made absolute, since the server will run elsewhere.
    """
    text = given or os.environ.get(COMMAND_VARIABLE)
    if not text:
        return OUR_COMMAND
    return tuple(str(Path(word).absolute()) if Path(word).is_file() else word for word in shlex.split(text))


class Outcome(enum.StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass
class Trouble:
    """Why a case did not pass. `stderr` holds the last lines of each server, by its name."""

    line: int
    text: str
    message: str
    expected: str | None = None
    received: str | None = None
    stderr: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Entry:
    """A played step. `seconds` is when it ended, from the beginning of the case."""

    line: int
    name: str
    action: str
    text: str
    received: str | None
    seconds: float


@dataclass
class Record:
    """What became of a case. `directory` is where its servers ran, if that was kept."""

    name: str
    file: str
    outcome: Outcome = Outcome.PASSED
    seconds: float = 0.0
    error: Trouble | None = None
    transcript: list[Entry] = field(default_factory=list)
    directory: str | None = None


def play(case: Case, settings: Settings | None = None) -> Record:
    """Play a case on servers of its own, in a directory of its own. The record tells what failed."""
    settings = settings or Settings()
    record = Record(case.name, case.file)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="crosstalk-testing-"))
    try:
        stage = Stage(case, settings, directory)
        record.error = _perform_all(case, stage, record.transcript, began)
        record.error = _close(case, stage, record.error)
    finally:
        if settings.keep:
            record.directory = str(directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    record.outcome = Outcome.FAILED if record.error else Outcome.PASSED
    record.seconds = _since(began)
    return record


def _perform_all(case: Case, stage: Stage, transcript: list[Entry], began: float) -> Trouble | None:
    """Play the steps, up to the first one that fails."""
    for step in case.steps:
        trouble, received = None, None
        try:
            received = stage.perform(step)
        except Exception as error:
            trouble = _trouble(step, error)
            received = trouble.received
        transcript.append(Entry(step.line, step.name, step.action.symbol, step.text, received, _since(began)))
        if trouble:
            return trouble
    return None


def _close(case: Case, stage: Stage, trouble: Trouble | None) -> Trouble | None:
    """Stop everything. A server's bad end is trouble too, told at its start, if there was none before."""
    for name, complaint in stage.close():
        start = next(step for step in case.steps if step.name == name and step.action.symbol in ("@", "@@"))
        trouble = trouble or _trouble(start, Failed(f"the server {complaint}"))
    if trouble:
        trouble.stderr = stage.stderr()
    return trouble


def _trouble(step: Step, error: Exception) -> Trouble:
    if isinstance(error, Failed):
        return Trouble(step.line, step.text, error.message, error.expected, error.received)
    return Trouble(step.line, step.text, render_exception(error))


def render_exception(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _since(began: float) -> float:
    return round(time.monotonic() - began, 4)


# --- 7. The command line ------------------------------------------------------------------------------------

NO_CASE_SUFFIXES = {".py", ".pyc", ".md", ".json"}
LONGEST_SHOWN = 1000  # characters of an expected or received line in a report


def is_case(path: Path, root: Path = CASES) -> bool:
    """Whether a file below the root is a script: not Python, not a document, not hidden with `.` or `_`."""
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    return not hidden and path.suffix not in NO_CASE_SUFFIXES and path.is_file()


def case_name(path: Path, root: Path = CASES) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def find_cases(pattern: str = "", root: Path = CASES) -> list[Path]:
    """The scripts below the root with the pattern in their names, sorted."""
    scripts = (path for path in root.rglob("*") if is_case(path, root))
    return sorted(path for path in scripts if pattern in case_name(path, root))


def run_case(path: Path, settings: Settings, root: Path = CASES) -> Record:
    """Read a script and play it. Whatever goes wrong is in the record: one bad case never ends a run."""
    name, file = case_name(path, root), path.relative_to(root.parent).as_posix()
    try:
        return play(parse(read_script(path), name, file), settings)
    except InvalidCase as error:
        return Record(name, file, Outcome.INVALID, error=Trouble(error.line, error.text, error.message))
    except OSError as error:
        return Record(name, file, Outcome.FAILED, error=Trouble(0, "", f"cannot be played: {error}"))
    except Exception as error:
        return Record(name, file, Outcome.FAILED, error=Trouble(0, "", render_exception(error)))


def read_script(path: Path) -> str:
    """The text of a script. Raises InvalidCase where it is not UTF-8."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n")
        raise InvalidCase(line + 1, readable(data.split(b"\n")[line]), "not UTF-8") from None


def describe(record: Record) -> str:
    """What a person is told about a case: one line, or with a trouble all that is known about it."""
    lines = [f"{record.outcome:7} {record.name} ({record.seconds:.2f} s)"]
    if record.directory:
        lines.append(f"  directory: {record.directory}")
    if record.error:
        lines += _describe_trouble(record.file, record.error)
    return "\n".join(lines)


def _describe_trouble(file: str, trouble: Trouble) -> Iterator[str]:
    yield f"  {file}:{trouble.line}: {trouble.text}"
    for line in trouble.message.split("\n"):
        yield f"  {line}"
    if trouble.expected is not None:
        yield f"    expected: {shorten(trouble.expected)}"
    if trouble.received is not None:
        yield f"    received: {shorten(trouble.received)}"
    for name, lines in trouble.stderr.items():
        yield f"  standard error of {name}{'' if lines else ': empty'}"
        for line in lines:
            yield f"    {line}"


def shorten(text: str) -> str:
    """A text that a person can look over; the record has all of it."""
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[: LONGEST_SHOWN // 2]} ... {text[-LONGEST_SHOWN // 2 :]} ({len(text)} characters)"


def run_cases(
    paths: Iterable[Path], settings: Settings, jobs: int, root: Path, report: Callable[[Record], None]
) -> None:
    """Run cases side by side; report each one when it has ended, one at a time, from the thread that ran it.

    At the end, or when it is interrupted, all servers are ended; these settings start no more.

    Raises:
        OSError: a report cannot be written; nothing else in a run raises it.
    """
    reporting = threading.Lock()

    def run(path: Path) -> None:
        record = run_case(path, settings, root)
        with reporting:
            if not settings.processes.closed:  # else it was cut off, which says nothing about it
                report(record)

    executor = ThreadPoolExecutor(jobs)
    try:
        pending = {executor.submit(run, path) for path in paths}
        while pending:
            done, pending = wait(pending, LONGEST_WAIT, FIRST_COMPLETED)
            for future in done:
                future.result()
    finally:
        settings.processes.close()
        executor.shutdown(cancel_futures=True)


def write_record(records: Sequence[Record], seconds: float) -> None:
    """Write the full record of a run into the current directory."""
    counts = Counter(record.outcome for record in records)
    document = {
        **{str(outcome): counts[outcome] for outcome in Outcome},
        "seconds": seconds,
        "cases": [asdict(record) for record in records],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    # A file's name may hold bytes that are not UTF-8; their `\udc80` is an escape in JSON as well.
    Path(RECORD).write_text(text, encoding="utf-8", errors="backslashreplace")


def summary(records: Sequence[Record], seconds: float) -> str:
    counts = Counter(record.outcome for record in records)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome) + f" in {seconds:.1f} s"


def seconds(word: str) -> float:
    number = float(word)
    if not 0 < number < threading.TIMEOUT_MAX:
        raise ValueError(word)
    return number


def jobs(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    most = max(4, 2 * (os.cpu_count() or 1))
    parser = argparse.ArgumentParser(description="Play the scripts in testing/ against real servers.")
    add = parser.add_argument
    add("pattern", nargs="?", default="", help="only the cases with this text in their names")
    add("--jobs", type=jobs, default=most, metavar="N", help="cases at a time (default %(default)s)")
    add("--deadline", type=seconds, default=10.0, metavar="SECONDS", help="of a step (default %(default)s)")
    add("--quiet-seconds", type=seconds, default=0.1, metavar="SECONDS", help="of `<-` (default %(default)s)")
    add("--exact-ports", action="store_true", help="use the scripts' own ports, one case after the other")
    add("--keep", action="store_true", help="keep the directory of each case and name it")
    add("--server", metavar="COMMAND", help="start this server, with {port} and {config} filled in, not ours")
    options = parser.parse_args(arguments)
    try:
        options.command = server_command(options.server)
    except ValueError as error:
        parser.error(f"the server's command cannot be read: {error}")
    return options


def main(arguments: Sequence[str] | None = None, root: Path = CASES) -> int:
    """Run the cases below the root that the arguments ask for; the exit status: 0 when all passed."""
    options = read_arguments(arguments)
    paths = find_cases(options.pattern, root)
    if not paths:
        print(f"no test case has {options.pattern!r} in its name", file=sys.stderr)
        return 1
    settings = Settings(
        command=options.command,
        deadline=options.deadline,
        quiet=options.quiet_seconds,
        exact_ports=options.exact_ports,
        keep=options.keep,
    )
    records: list[Record] = []

    def report(record: Record) -> None:
        records.append(record)
        print(describe(record), flush=True)

    began = time.monotonic()
    interrupted = False

    def run() -> None:
        nonlocal interrupted
        try:
            run_cases(paths, settings, 1 if options.exact_ports else options.jobs, root, report)
        except KeyboardInterrupt:
            interrupted = True
        print(summary(records, _since(began)) + (", interrupted" if interrupted else ""), flush=True)

    is_told = attempt("write the report", run)
    is_kept = attempt(f"write {RECORD}", lambda: write_record(records, _since(began)))
    all_passed = all(record.outcome is Outcome.PASSED for record in records)
    return int(interrupted or not (is_told and is_kept and all_passed))


def attempt(what: str, call: Callable[[], None]) -> bool:
    """Do what the system may not allow, and say so if it does not; tell whether it is done."""
    try:
        call()
    except OSError as error:
        complain(f"cannot {what}: {error.strerror}")
        return False
    return True


def complain(text: str) -> None:
    """Say what is wrong, if anybody hears it."""
    with contextlib.suppress(OSError):
        print(f"testing.py: {text}", file=sys.stderr, flush=True)


def interrupt_at_signals() -> None:
    """Have each signal that asks for the end do what Ctrl-C does, once: the servers of a run must not outlive it.

    A closing terminal sends SIGHUP, often twice. One that is ignored, as under `nohup`, stays so.
    """
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]

    def interrupt(_number: int, _frame: object) -> None:
        for number in handled:
            signal.signal(number, lambda _number, _frame: None)
        raise KeyboardInterrupt

    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, interrupt)


def run_program() -> int:
    """Run `main`; return the exit status, with nothing left to be written that cannot be."""
    interrupt_at_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = main()
    except KeyboardInterrupt:  # before the first case, or behind the last one
        complain("interrupted")
        status = 1
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # told already; what is in the buffer must not be tried again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(run_program())
