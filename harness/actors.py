"""The actors of a case, which are clients and servers, and the stage that they share.

A method that plays an action takes the argument that the action's row in `language.ACTIONS` has read. It returns what
was received, for the record, or None, and raises Failed.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.peer import Peer
from harness.processes import (
    CONFIG_HEAD,
    MAX_WAIT,
    STDERR_LINES,
    Process,
    Settings,
    command_words,
    hang_up,
    matched,
    program_words,
    remaining,
    render_status,
    wants_config,
)
from harness.text import (
    CONTROL,
    LINE_ENDS,
    LOGINS,
    PORT_REFERENCE,
    Endpoint,
    Failed,
    Pattern,
    Start,
    Target,
    escape,
    read_glob,
)

MAX_LINE = 16 * 1024 * 1024  # bytes; a longer line from a server fails the step


def check_line(line: bytes, wanted: bytes) -> str:
    if line != wanted:
        raise Failed("another line came", escape(wanted), escape(line))
    return escape(line)


def check_pattern(line: bytes, pattern: Pattern) -> str:
    if not matched(pattern.regex.fullmatch, line):
        raise Failed("a line came that does not match", pattern.text, escape(line))
    return escape(line)


class Client:
    """A client of the script, with one connection at a time. It connects, or listens and accepts."""

    def __init__(self, name: str, stage: Stage) -> None:
        self._name = name
        self._stage = stage
        self._connection: Peer | None = None
        self._line_end = b""

    def connect(self, target: Target) -> str:
        self.close()
        self._line_end = LINE_ENDS.get(target.login, b"")
        address = target.endpoint.address
        if address == CONTROL:
            return self._connect_to_control(target)
        port = self._stage.servers[target.server].serving_port(target.endpoint.port)
        deadline = self._stage.settings.deadline
        try:
            self._connection = Peer(port, address, source=target.source, seconds=deadline)
        except OSError as error:
            raise Failed(f"cannot connect to {address} port {port}: {error}") from None
        self._log_in(target.login)
        return f"{address} port {port}"

    def _connect_to_control(self, target: Target) -> str:
        port = self._stage.servers[target.server].serving_port(None)
        path = self._stage.directory / f"crosstalk-{port}.control"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError as error:
            sock.close()
            raise Failed(f"cannot connect to {path.name}: {error}") from None
        self._connection = Peer(sock, seconds=self._stage.settings.deadline)
        return path.name

    def _log_in(self, kind: str | None) -> None:
        for line, answers in LOGINS[kind] if kind else ():
            self.send_line(line.format(name=self._name).encode())
            for answer in answers:
                self.expect_match(read_glob(answer.format(name=self._name)))

    def listen(self, endpoint: Endpoint) -> str:
        assert endpoint.port is not None, "a client listens at a port"
        address, port = endpoint.address, self._stage.real_port(endpoint.port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._stage.listeners[self._name] = socket.create_server((address, port), family=family)
        except OSError as error:
            raise Failed(f"cannot listen at {address} port {port}: {error}") from None
        return f"{address} port {port}"

    def accept(self, listener: str | None) -> str:
        self.close()
        self._line_end = b""
        try:
            connection, (address, port, *_) = self._next_connection(self._stage.listeners[listener or self._name])
            self._connection = Peer(connection)
        except OSError as error:
            raise Failed(f"no connection came: {error}") from None
        return f"from {address} port {port}"

    def stop_listening(self, _: None) -> None:
        hang_up(self._stage.listeners.pop(self._name))

    def _next_connection(self, listener: socket.socket) -> tuple[socket.socket, tuple[Any, ...]]:
        """Return what `accept` returns. Raises OSError at the deadline, or soon after the run is over."""
        until = self._stage.until()
        while True:
            listener.settimeout(min(remaining(until), MAX_WAIT))
            try:
                return listener.accept()
            except TimeoutError:
                if self._stage.settings.processes.closed or time.monotonic() > until:
                    raise

    def send_line(self, line: bytes) -> None:
        self.send(line + b"\n")

    def send(self, data: bytes) -> None:
        try:
            self._peer.send_bytes(data, self._stage.until())
        except OSError as error:
            raise Failed(f"cannot send: {error}", received=self._unread()) from None

    def expect_line(self, wanted: bytes) -> str:
        return check_line(self._next_line(escape(wanted)), wanted)

    def expect_match(self, pattern: Pattern) -> str:
        return check_pattern(self._next_line(pattern.text), pattern)

    def expect_nothing(self, _: None) -> None:
        try:
            if self._peer.unread_size or self._peer.receive(time.monotonic() + self._stage.settings.quiet):
                raise Failed("something came", "nothing", self._unread())
        except TimeoutError:
            return
        raise Failed("the server closed the connection", "nothing")

    def expect_end(self, _: None) -> str:
        try:
            if not self._peer.unread_size and not self._peer.receive(self._stage.until()):
                return "closed"
        except TimeoutError:
            raise Failed("the connection is still open", "closed") from None
        raise Failed("something came before the close", "closed", self._unread())

    def end_sending(self, _: None) -> None:
        try:
            self._peer.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Failed(f"cannot end the sending side: {error}") from None

    def close(self, _: None = None) -> None:
        if self._connection is not None:
            hang_up(self._connection.socket)

    @property
    def _peer(self) -> Peer:
        assert self._connection is not None, "the parser puts `connect` or `accept` before every use"
        return self._connection

    def _next_line(self, expected: str) -> bytes:
        until = self._stage.until()
        while (line := self._peer.take_line()) is None:
            self._wait_for_more(expected, until)
        if not line.endswith(self._line_end):
            raise Failed("the line ends otherwise", f"{expected}{escape(self._line_end)}", escape(line))
        return line.removesuffix(self._line_end)

    def _wait_for_more(self, expected: str, until: float) -> None:
        if self._peer.unread_size > MAX_LINE:
            raise Failed(f"more than {MAX_LINE} bytes came without a newline", expected)
        try:
            if self._peer.receive(until):
                return
        except TimeoutError:
            raise Failed("no line came in time", expected, self._unread()) from None
        raise Failed("the server closed the connection", expected, self._unread())

    def _unread(self) -> str | None:
        return escape(self._peer.unread) or None


class Server:
    """A server of the script: its port and config, and its processes so far, one for each start."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.processes: list[Process] = []
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
        process = Process(self._command(port), self._stage.directory, settings.processes)
        self.processes.append(process)
        if settings.is_ours:
            process.wait_until_ready(until)
        else:
            process.wait_until_accepting(port, until)
        return f"port {port}, process {process.pid}, {'ready' if process.ready else 'ended'}"

    def _command(self, port: int) -> list[str]:
        """Write the config; return the words that start the server with it."""
        template = self._stage.settings.command
        head = CONFIG_HEAD if wants_config(template) else ()
        lines = [*head, *map(self._stage.with_real_ports, self._directives)]
        self._config.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        more = [self._stage.with_real_ports(word).replace("$config", str(self._config)) for word in self._start.words]
        if self._start.alone:
            return [*program_words(template), *more]
        return [*command_words(template, port, self._config, bool(self._directives)), *more]

    def serving_port(self, script_port: int | None) -> int:
        """Return the real port for one of its script ports (None: its own). Raises Failed if it was not ready."""
        self._serving()
        return self._stage.real_port(script_port or self._own_port())

    def _own_port(self) -> int:
        assert self._start.port is not None, "the parser gives each first start a port"
        return self._start.port

    def stop(self, _: None) -> str:
        process = self._running()
        process.stop()
        return self.expect_end(0)

    def kill(self, _: None) -> str:
        process = self._running()
        process.kill()
        return self.expect_end(-signal.SIGKILL)

    def expect_end(self, wanted: int) -> str:
        process = self.processes[-1]
        process.judged = True
        status = process.wait(self._stage.until())
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

    def expect_match(self, pattern: Pattern) -> str:
        return check_pattern(self._next_line(pattern.text), pattern)

    def expect_log(self, pattern: Pattern) -> str:
        line = self.processes[-1].log.take(lambda line: matched(pattern.regex.search, line), self._stage.until())
        if line is None:
            raise Failed("no new line on standard error matches", pattern.text)
        return escape(line)

    def _next_line(self, expected: str) -> bytes:
        line = self._serving().output.take(lambda _: True, self._stage.until())
        if line is None:
            raise Failed("no line came on standard output", expected)
        return line

    def _serving(self) -> Process:
        """Return the last process. Raises Failed if it ended before it was ready."""
        process = self.processes[-1]
        if not process.ready:
            raise Failed("the server ended before it was ready")
        return process

    def _running(self) -> Process:
        process = self._serving()
        status = process.wait(0)
        if status is not None:
            raise Failed(f"the server has ended by itself, with {render_status(status)}")
        return process


class Stage:
    """The state of one run of a case: a directory, the actors by name, the clients' listeners, the real ports."""

    def __init__(self, roles: Mapping[str, type], settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self._claims: dict[int, socket.socket] = {}
        self.servers = {name: Server(name, self) for name, role in roles.items() if role is Server}
        self.clients = {name: Client(name, self) for name, role in roles.items() if role is Client}
        self.listeners: dict[str, socket.socket] = {}

    def actor(self, name: str) -> Client | Server:
        return self.servers.get(name) or self.clients[name]

    def until(self) -> float:
        """Return the deadline of a step that begins now."""
        return time.monotonic() + self.settings.deadline

    def real_port(self, script_port: int) -> int:
        if self.settings.exact_ports:
            return script_port
        if script_port not in self._claims:
            self._claims[script_port] = self.settings.ports.take()
        port: int = self._claims[script_port].getsockname()[1]
        return port

    def with_real_ports(self, text: str) -> str:
        """Replace each script port, written as `$5051`, by its real port."""
        return PORT_REFERENCE.sub(lambda match: str(self.real_port(int(match[1]))), text)

    def close(self) -> list[tuple[str, str]]:
        """Stop everything; return each server that did not run or end well, with what was wrong."""
        for client in self.clients.values():
            client.close()
        for listener in self.listeners.values():
            hang_up(listener)
        processes = [(name, process) for name, server in self.servers.items() for process in server.processes]
        for _, process in processes:
            process.stop()
        until = self.until()
        complaints = [(name, process.close(not self.settings.is_ours, until)) for name, process in processes]
        for claim in self._claims.values():
            claim.close()
        return [(name, complaint) for name, complaint in complaints if complaint]

    def stderr(self) -> dict[str, list[str]]:
        """Return the last lines of standard error for each process of each server."""
        return {
            f"{name}, start {number}" if len(server.processes) > 1 else name: process.log.tail(STDERR_LINES)
            for name, server in self.servers.items()
            for number, process in enumerate(server.processes, 1)
        }
