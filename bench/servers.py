"""The servers that are compared, each in a process on a processor of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from harness.peer import PATIENCE, Peer
from harness.processes import ROOT, SERVER, Ports, Process, Processes, accepts
from harness.text import LOOPBACK, Failed

PORTS = Ports()
PROCESSES = Processes()
SERVER_PROCESSOR, LOAD_PROCESSOR = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"  # where packages put servers


class Kind(NamedTuple):
    """A server that can be measured.

    Args:
        name: in the table.
        wire: `result` or `irc`, the lines that it reads.
        command: the program and its words for a directory and a port, with the configuration written there.
        version: the command that tells it, or None.
        absent: why it cannot be measured here, or an empty string.
        tls: whether its port is for TLS.
    """

    name: str
    wire: str
    command: Callable[[Path, int], list[str]]
    version: tuple[str, ...] | None
    absent: str = ""
    tls: bool = False


def build(name: str, directory: Path, *options: str) -> Path | None:
    """Compile one of the C programs beside this file.

    Args:
        options: of the compiler, for what may be missing here.

    Returns:
        Its path; None without a compiler, or without what the options need.
    """
    if COMPILER is None:
        return None
    program = directory / name
    command: list[str | Path] = [COMPILER, "-O2", "-o", program, Path(__file__).with_name(f"{name}.c"), *options]
    done = subprocess.run(command, check=not options, stderr=subprocess.DEVNULL if options else None)
    return None if done.returncode else program


def own(directory: Path, port: int, cost: int = 4) -> list[str]:
    """Everything on, with the default settings, but cheap hashes where passwords are not what is measured.

    Clients of IRC come as guests, as at the other servers, so guests may make channels.
    """
    config = directory / "config"
    config.write_text(f"bcrypt-cost {cost}\nirc-create all\n", encoding="utf-8")
    return [sys.executable, str(SERVER), "--address", LOOPBACK, str(port), str(config)]


def own_with_tls(directory: Path, port: int) -> list[str]:
    """The same, at a port for TLS."""
    subprocess.run([ROOT / "tools" / "certificate", LOOPBACK], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    config = directory / "config"
    config.write_text(
        f"bcrypt-cost 4\nlisten {LOOPBACK}:{port} auto tls\ntls-certificate certificate.pem\ntls-key key.pem\n",
        encoding="utf-8",
    )
    return [sys.executable, str(SERVER), str(config)]


def ngircd(directory: Path, port: int) -> list[str]:
    """Without the limits on clients of one address, and without penalties for fast senders."""
    config = directory / "ngircd.conf"
    config.write_text(
        f"[Global]\nName = bench.example\nInfo = bench\nListen = {LOOPBACK}\nPorts = {port}\nMotdPhrase = -\n"
        "[Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\nPingTimeout = 3600\n"
        "[Options]\nDNS = no\nIdent = no\nPAM = no\n",
        encoding="utf-8",
    )
    return ["ngircd", "--nodaemon", "--config", str(config)]


def inspircd(directory: Path, port: int) -> list[str]:
    """Without the limits on clients of one address, and without delays for fast senders."""
    config = directory / "inspircd.conf"
    config.write_text(
        '<server name="bench.example" description="bench" network="bench">\n'
        '<admin name="bench" nick="bench" email="bench@bench.example">\n'
        f'<bind address="{LOOPBACK}" port="{port}" type="clients">\n'
        f'<path configdir="{directory}" datadir="{directory}" logdir="{directory}" runtimedir="{directory}">\n'
        '<connect allow="*" timeout="60" pingfreq="3600" localmax="60000" globalmax="60000" maxchans="100" fakelag="no"'
        ' hardsendq="100M" softsendq="100M" recvq="1M" threshold="1000000" commandrate="1000000000"'
        ' resolvehostnames="no" useident="no">\n'
        '<performance softlimit="60000" somaxconn="4096" clonesonconnect="no">\n',
        encoding="utf-8",
    )
    return ["inspircd", "--nofork", "--nolog", "--nopid", "--runasroot", f"--config={config}"]


def kinds(tools: Path) -> list[Kind]:
    """Return all servers, ours first. The yardstick is compiled into this directory."""
    yardstick = build("yardstick", tools)
    result = [
        Kind("Crosstalk", "result", own, (sys.executable, "--version")),
        Kind("Crosstalk, IRC", "irc", own, (sys.executable, "--version")),
        Kind(
            "C yardstick", "result", lambda _directory, port: [str(yardstick), str(port)],
            (COMPILER, "--version") if COMPILER else None, "" if COMPILER else "no C compiler",
        ),
        Kind(
            "Crosstalk, TLS", "result", own_with_tls, ("openssl", "version"),
            "" if shutil.which("openssl") else "no openssl", tls=True,
        ),
    ]  # fmt: skip
    for name, command in (("ngIRCd", ngircd), ("InspIRCd", inspircd)):
        program = shutil.which(name.lower(), path=PATH)
        absent = "" if program else "not installed"
        result.append(Kind(name, "irc", command, (program or name, "--version"), absent))
    return result


def unverified() -> ssl.SSLContext:
    """Return the context of a client of TLS that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def version(kind: Kind) -> str:
    """Return the line in which the server, its interpreter or its compiler tells its version."""
    if kind.version is None:
        return ""
    told = subprocess.run(kind.version, capture_output=True, text=True, check=False)
    return (told.stdout + told.stderr).partition("\n")[0]


class Running:
    """A server that accepts connections; the `with` block ends it and removes its files.

    Args:
        kind: which one.
        database: the bytes of the database with which ours begins; empty for a new one.

    Raises:
        Failed: it accepts none in time.
    """

    def __init__(self, kind: Kind, database: bytes = b"") -> None:
        self.kind = kind
        self.port = PORTS.take_for_good()
        self._stack = contextlib.ExitStack()
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._database = directory / f"crosstalk-{self.port}.db"
        if database:
            self._database.write_bytes(database)
        program, *words = kind.command(directory, self.port)
        command = [shutil.which(program, path=PATH) or program, *words]
        if kind.wire == "irc":  # they write a line for each client
            command = ["sh", "-c", 'exec "$@" >irc.log 2>&1', "sh", *command]
        until = time.monotonic() + PATIENCE
        started = time.perf_counter()
        self.process = Process(command, directory, PROCESSES)
        with contextlib.suppress(ProcessLookupError):  # it has ended already, which is noticed below
            os.sched_setaffinity(self.process.pid, {SERVER_PROCESSOR})
        while not accepts(self.port, until):
            if time.monotonic() > until or self.process.wait(0) is not None:
                self.close()
                raise Failed(f"{kind.name} does not start")
            time.sleep(0.001)
        self.seconds_to_start = time.perf_counter() - started

    def peer(self, source: str, seconds: float) -> Peer:
        """Return a client from an address, with this time-out."""
        sock = socket.create_connection((LOOPBACK, self.port), seconds, (source, 0))
        return Peer(unverified().wrap_socket(sock) if self.kind.tls else sock, seconds=seconds)

    def close(self) -> None:
        """End the process, and remove its files."""
        self.process.stop()
        self.process.close(True, time.monotonic() + PATIENCE)
        self._stack.close()

    def processor_seconds(self) -> float:
        """Return the seconds that all its threads have run on a processor."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def end(self) -> bytes:
        """End our server in order; return its database."""
        self.process.stop()
        self.process.wait(time.monotonic() + PATIENCE)
        return self._database.read_bytes()

    def resident_bytes(self) -> int:
        """Return the resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
