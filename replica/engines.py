"""The engines of this machine: their configuration, their processes, and what they say of their logs.

Each engine has a directory of its own: its configuration, its log, its data, and a file `pid`. An engine holds a lock
on that file from its start to its end, whatever ends it. So a number in it that is not locked is that of no engine.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from net.addresses import join_host_port
from net.watched import AnySocket
from replica import nats

LOOPBACK = "127.0.0.1"
ROUTE_PORT, HEALTH_PORT = 100, 200
"""What is added to the port of an engine for the other engines, and for questions about its health."""

USER = "chat"
"""The user under whose name nodes connect."""

OLDEST = (2, 14)
"""The oldest version of an engine that is known to keep the promises."""

COUNTS = (1, 3, 5)
"""How many engines a cluster can have: an even number survives no more than one less."""

PAUSE_SECONDS = 0.15
"""Between the starts of two engines, so that the first election has one candidate."""

START_SECONDS = 30.0
"""How long a start or restart may take."""

OTHERS_SECONDS = 5.0
"""How long a start waits for engines of other machines before it says that they are missing."""

DUCK_SECONDS = 2.0
"""How long an engine that is about to stop has to hand over what it leads."""

HANDSHAKE_SECONDS = 5
"""How long a TLS handshake with an engine may take."""

STOP_SECONDS = 10.0
"""How long an engine may take to stop; then it is killed, which loses nothing."""

POLL_SECONDS = 0.05
ANSWER_SECONDS = 2.0

ALLOWED = ["ct.*.>", "_INBOX.>", *(f"$JS.API.{api}.*" for api in (
    "DIRECT.GET", "STREAM.INFO", "STREAM.CREATE", "STREAM.PURGE"
))]  # fmt: skip
RIGHTS = {"publish": {"allow": ALLOWED, "deny": ["ct.*.r"]}, "subscribe": ["ct.*.>", "_INBOX.>"]}
"""What a node may do: publish to its cluster, but not what the engine itself republishes; read and purge logs."""

STORAGE = 1 << 44
"""Bytes that the engine may promise to logs; how long a log gets, the nodes decide (log-bytes)."""


class EngineError(Exception):
    """An engine cannot be started or asked; the message says why and what to do."""


class Engine(NamedTuple):
    """One engine of a cluster. `number`: from 1, in the order in which all machines list them."""

    number: int
    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


class Plan(NamedTuple):
    """All engines of a cluster, and which of them are on this machine.

    Attributes:
        tls: the absolute paths of the certificate, the key and the authorities of the engines; empty without TLS.
    """

    engines: Sequence[Engine]
    own: Sequence[int]
    tls: Sequence[str] = ()

    @classmethod
    def on_one_machine(cls, count: int, port: int) -> Plan:
        """Plan engines that all run here, at consecutive ports."""
        engines = [Engine(number, LOOPBACK, port + number - 1) for number in range(1, count + 1)]
        return cls(engines, [engine.number for engine in engines])

    @classmethod
    def on_machines(cls, number: int, hosts: Sequence[str], port: int) -> Plan:
        """Plan one engine on each machine, all at one port; `number` says which of them is this machine."""
        return cls([Engine(place, host, port) for place, host in enumerate(hosts, 1)], [number])

    def engine(self, number: int) -> Engine:
        """Return the engine with this number."""
        return self.engines[number - 1]

    def health_port(self, number: int) -> int:
        """Return the port of this machine at which an engine tells about itself."""
        return self.engine(number).port + HEALTH_PORT

    def config(self, number: int, directory: str, password: str) -> Mapping[str, Any]:
        """Return an engine's configuration.

        Args:
            number: of the engine.
            directory: its directory, an absolute path.
            password: of the user; "" lets everybody in who reaches the port.
        """
        engine = self.engine(number)
        config: dict[str, Any] = {
            "server_name": f"engine-{number}",
            "listen": str(engine),
            "http": f"{LOOPBACK}:{self.health_port(number)}",
            "log_file": f"{directory}/log",
            "logfile_size_limit": 8 * 1024 * 1024,
            "logfile_max_num": 3,
            "lame_duck_duration": "30s",
            "lame_duck_grace_period": "1s",
            "jetstream": {"store_dir": f"{directory}/data", "sync_interval": "always", "max_file_store": STORAGE},
            "authorization": {"users": [{"user": USER, "password": password, "permissions": RIGHTS}]},
        }
        if not password:
            config["no_auth_user"] = USER
        if self.tls:
            config["tls"] = self._tls()
        if len(self.engines) > 1:
            config["cluster"] = self._cluster(engine, password)
        return config

    def _tls(self) -> dict[str, Any]:
        certificate, key, _authorities = self.tls
        return {"cert_file": certificate, "key_file": key, "timeout": HANDSHAKE_SECONDS}

    def _cluster(self, engine: Engine, password: str) -> Mapping[str, Any]:
        credentials = f"{USER}:{_quoted(password)}@" if password else ""
        others = [each._replace(port=each.port + ROUTE_PORT) for each in self.engines if each != engine]
        cluster: dict[str, Any] = {
            "name": "crosstalk",
            "listen": str(engine._replace(port=engine.port + ROUTE_PORT)),
            "no_advertise": True,
            "routes": [f"nats-route://{credentials}{each}" for each in others],
        }
        if self.tls:  # engines verify each other
            cluster["tls"] = {**self._tls(), "ca_file": self.tls[2]}
        if password:
            cluster["authorization"] = {"user": USER, "password": password}
        return cluster


def _quoted(password: str) -> str:
    from urllib.parse import quote

    return quote(password, safe="")


class Copy(NamedTuple):
    """A copy of a log. `lag`: entries that it is behind; `state`: `leads`, `current`, `behind` or `away`."""

    engine: str
    state: str
    lag: int


class LogState(NamedTuple):
    """A log as its leader describes it; without one it has no copies."""

    cluster: str
    first: int
    last: int
    size: int
    copies: Sequence[Copy]

    @property
    def is_current(self) -> bool:
        """Whether every copy is up to date."""
        return bool(self.copies) and all(copy.state in ("leads", "current") for copy in self.copies)


# ---- the program ----


def find_binary(given: str | None, environment: str) -> str:
    """Return the path of the engine's program: the given one, that of `./setup --engine`, or that of the PATH.

    Raises:
        EngineError: there is none, or it is too old.
    """
    import shutil

    path = given or shutil.which(os.path.join(environment, "bin", "nats-server")) or shutil.which("nats-server")
    if path is None:
        raise EngineError("no engine is installed; run ./setup --engine, or name one: --binary PATH")
    try:
        output = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError, UnicodeError) as error:
        raise EngineError(f"{path} cannot be run: {getattr(error, 'strerror', None) or error}") from error
    version = re.match(r"nats-server: v(\d+)\.(\d+)", output)
    if version is None:
        raise EngineError(f"{path} is no nats-server")
    if (int(version[1]), int(version[2])) < OLDEST:
        raise EngineError(f"{path} is {output.split()[1]}; it must be {'.'.join(map(str, OLDEST))} or newer")
    return os.path.abspath(path)


# ---- processes ----


class EngineProcess:
    """One engine of this machine, running or not.

    Args:
        plan: its cluster.
        number: which engine it is.
        directory: of all engines.
    """

    def __init__(self, plan: Plan, number: int, directory: str) -> None:
        self.number = number
        self.engine = plan.engine(number)
        self.health_port = plan.health_port(number)
        self._plan = plan
        self.directory = os.path.join(os.path.abspath(directory), str(number))
        self._pid_path = os.path.join(self.directory, "pid")

    @property
    def pid(self) -> int | None:
        """The process that runs; None for none."""
        with contextlib.suppress(FileNotFoundError), open(self._pid_path, encoding="ascii") as file:
            if _is_locked(file.fileno()):
                return int(file.read() or 0) or None
        return None

    def configure(self, password: str) -> None:
        """Write its configuration, for its owner's eyes only."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        config = json.dumps(self._plan.config(self.number, self.directory, password), indent=1, ensure_ascii=False)
        write_private(self._config_path, config)

    @property
    def _config_path(self) -> str:
        return os.path.join(self.directory, "engine.conf")

    def start(self, binary: str) -> None:
        """Start it in a process group of its own; it must not run.

        Raises:
            EngineError: the program cannot be run.
        """
        with open(self._pid_path, "a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with open(os.path.join(self.directory, "output"), "wb") as output:
                try:
                    process = subprocess.Popen(
                        [binary, "-c", self._config_path],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        cwd=self.directory,
                        start_new_session=True,
                        pass_fds=[file.fileno()],  # the lock lasts as long as this copy is open
                    )
                except OSError as error:
                    raise EngineError(f"{binary} cannot be run: {error.strerror}") from error
            process.returncode = 0  # it outlives this program, which is no reason for a warning
            file.truncate(0)
            file.write(str(process.pid))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """Stop it and wait for its end. It is killed if it does not end in STOP_SECONDS."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # one that was suspended must not keep the signal for later
        if not waited(lambda: self.pid is None, STOP_SECONDS):
            self.signal(signal.SIGKILL)
            waited(lambda: self.pid is None, STOP_SECONDS)

    def step_aside(self) -> None:
        """Have it hand over what it leads, and tell its nodes to go elsewhere."""
        self.signal(signal.SIGUSR2)
        waited(lambda: not any(self._leads(log) for log in self.health_of_logs()), DUCK_SECONDS)

    def _leads(self, detail: Mapping[str, Any]) -> bool:
        return bool(detail.get("cluster", {}).get("leader") == f"engine-{self.number}")

    def why_it_ended(self) -> str:
        """Return what it wrote before it ended, in one line."""
        lines: list[str] = []
        for name in ("log", "output"):
            with contextlib.suppress(OSError), open(os.path.join(self.directory, name), errors="replace") as file:
                lines += file.read()[-8192:].splitlines()
        fatal = [line.partition("[FTL] ")[2] or line for line in lines if "[FTL]" in line or "nats-server:" in line]
        return (fatal or lines or ["it has written nothing"])[-1].strip()

    # ---- what it says ----

    def health(self, path: str) -> Mapping[str, Any]:
        """Ask it about itself; an engine that does not answer says nothing."""
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(LOOPBACK, self.health_port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return answer if isinstance(answer, dict) else {}

    def health_of_logs(self) -> list[Mapping[str, Any]]:
        """Return what it knows of each log."""
        accounts = self.health("/jsz?accounts=true&streams=true").get("account_details", [])
        return [log for account in accounts for log in account.get("stream_detail", [])]

    @property
    def is_ready(self) -> bool:
        """Whether a log can be made: the engines have a leader, and this one knows all that it has missed."""
        if self.health("/healthz").get("status") != "ok":
            return False
        return len(self._plan.engines) == 1 or bool(self.health("/jsz").get("meta_cluster", {}).get("leader"))


def write_private(path: str, text: str) -> None:
    """Write a file for its owner's eyes only, whole or not at all."""
    with open(f"{path}.new", "w", opener=lambda name, flags: os.open(name, flags, 0o600), encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def waited(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; return False when it does not come true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


# ---- what the logs' leaders say ----


def log_state(cluster: str, detail: Mapping[str, Any]) -> LogState:
    """Return a log's state from what the engine answers to STREAM.INFO."""
    state, group = detail.get("state", {}), detail.get("cluster", {})
    leader = group.get("leader", "")
    copies = [Copy(leader.removeprefix("engine-") or "1", "leads", 0)]
    for replica in group.get("replicas", []):
        lag = int(replica.get("lag", 0))
        word = "away" if replica.get("offline") else "current" if replica.get("current") and not lag else "behind"
        copies.append(Copy(replica["name"].removeprefix("engine-"), word, lag))
    return LogState(
        cluster,
        int(state.get("first_seq", 0)),
        int(state.get("last_seq", 0)),
        int(state.get("bytes", 0)),
        sorted(copies),
    )


def ask_for_logs(engine: Engine, names: Sequence[str], password: str, certificate: str = "") -> list[LogState]:
    """Ask an engine for the state of logs, which their leaders answer.

    Args:
        engine: any of the cluster.
        names: of the streams.
        password: of the user; "" for none.
        certificate: the path of the engine's own; "" without TLS.

    Raises:
        EngineError: the engine does not answer, or wants another password.
    """
    try:
        with contextlib.closing(_connect(engine, certificate)) as sock:
            inbox = f"_INBOX.{os.urandom(6).hex()}"
            greeting = nats.connect("engine.py", USER if password else "", password)
            questions = (nats.publish(f"$JS.API.STREAM.INFO.{name}", b"", f"{inbox}.{name}") for name in names)
            data = b"".join((greeting, nats.subscribe(f"{inbox}.*", 1), *questions, nats.PING))
            while data:
                data = data[sock.send(data) :]
            answers = itertools.islice(_answers(sock), len(names))
            return [
                log_state(name.removeprefix("CT_"), detail if "error" not in detail else {}) for name, detail in answers
            ]
    except OSError as error:
        raise EngineError(f"engine {engine.number} at {engine} does not answer: {error.strerror or error}") from error


def _connect(engine: Engine, certificate: str) -> AnySocket:
    """Connect, with TLS if there is a certificate.

    Raises:
        OSError: the engine does not answer, or is not the one with this certificate.
        EngineError: the certificate cannot be read.
    """
    sock = socket.create_connection((engine.host, engine.port), ANSWER_SECONDS)
    if not certificate:
        return sock
    from net.tls import CertificateError, client_context, connect

    try:
        next(_frames(sock))  # INFO, which comes before TLS
        return connect(sock, client_context(certificate), engine.host)
    except OSError:
        sock.close()
        raise
    except StopIteration as error:
        sock.close()
        raise ConnectionAbortedError("says nothing") from error
    except CertificateError as error:
        sock.close()
        raise EngineError(str(error)) from error


def _answers(sock: AnySocket) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the answers that come in time: a stream's name, and its state."""
    for frame in _frames(sock):
        if isinstance(frame, nats.Complaint):
            raise EngineError(f"the engine refuses: {frame.text}")
        if isinstance(frame, nats.Message) and frame.payload:
            yield frame.subject.rpartition(".")[2], json.loads(frame.payload)


def _frames(sock: AnySocket) -> Iterator[nats.Frame]:
    """Yield the frames that come in time."""
    decoder = nats.Decoder()
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        try:
            data = sock.recv(65536)
        except TimeoutError:
            return
        if not data:
            return
        yield from decoder.feed(data)
