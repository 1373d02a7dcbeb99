#!/usr/bin/env python3
"""Does one server bear mixed load and faults for a long time? Run by `make soak`.

Clients of every dialect speak all the time. Meanwhile the server is frozen, killed, and overrun, its disk is full, its
database is away. After each fault everybody must get answers again. At the end nothing that was acknowledged may be
lost or doubled. No process may have grown by more than GROWTH, and the log may have no unexplained error.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import re
import resource
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.peer import Peer
from harness.servers import ServerProcess
from harness.text import Failed
from tools.speakers import CHANNEL, SPEAKERS, Ports, Speaker, judge, prepare
from tools.verdicts import print_verdict

ANSWER_SECONDS = 40.0
"""In this time after a fault every speaker must have got an answer."""

CALM_SECONDS = 1.0
"""How long the server is left alone between two faults."""

FAULT_SECONDS = 1.5
"""How long a fault lasts."""

CROWD = 300
"""Connections that a fault opens at once."""

GROWTH = 64 * 1024 * 1024
"""Bytes by which a process may grow after its first fault: what waits for slow readers, and what malloc keeps."""

EXPLAINED = ("cannot write to the database",)
"""Errors in the log that a fault is expected to cause."""


class Scene:
    """A server, and the clients that speak there."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self.directory = directory
        self.database, self.ports, self.rng = directory / "chat.sqlite3", Ports.free(), rng
        prepare(self.database)
        self.log: list[str] = []
        self.server = self.start()
        self.speakers = [Speaker(row, getattr(self.ports, row.port), "soak") for row in SPEAKERS]

    def start(self) -> ServerProcess:
        """Start the server."""
        return ServerProcess(self.directory, *self.ports.config(self.database), port=None)

    def end(self, number: signal.Signals) -> None:
        """End the server, and keep its log."""
        self.server.signal(number)
        self.server.wait()
        self.log += self.server.log

    @property
    def resident(self) -> int:
        """The bytes of memory that the process has."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def is_healthy(self) -> bool:
        """Ask the server whether it is."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.metrics}/healthz", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_for_answers(self, what: str) -> float:
        """Wait until each speaker has got an answer from now on; return the seconds that took. Raises Failed."""
        began = time.monotonic()
        for speaker in self.speakers:
            speaker.has_spoken.clear()
        for speaker in self.speakers:
            if not speaker.has_spoken.wait(ANSWER_SECONDS):
                raise Failed(f"{speaker.name} gets no answer after: {what}")
        return time.monotonic() - began


Fault = Callable[[Scene], Iterator[None]]
"""Does something to a server, yields while it lasts, and undoes it."""


def frozen(scene: Scene) -> Iterator[None]:
    scene.server.signal(signal.SIGSTOP)
    yield
    scene.server.signal(signal.SIGCONT)


def killed(scene: Scene) -> Iterator[None]:
    scene.end(signal.SIGKILL)
    yield
    scene.server = scene.start()


def restarted(scene: Scene) -> Iterator[None]:
    scene.end(signal.SIGTERM)
    yield
    scene.server = scene.start()


def full_disk(scene: Scene) -> Iterator[None]:
    pid = scene.server.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    yield
    if scene.is_healthy():
        raise Failed("a server whose disk is full says that it is healthy")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def moved_database(scene: Scene) -> Iterator[None]:
    away = scene.database.with_suffix(".away")
    scene.database.rename(away)
    yield
    away.rename(scene.database)


def silent_crowd(scene: Scene) -> Iterator[None]:
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(Peer(scene.ports.auto))
        yield


def stalled_readers(scene: Scene) -> Iterator[None]:
    """Members of the channel who never read."""
    with contextlib.ExitStack() as crowd:
        for number in range(CROWD // 10):
            peer = crowd.enter_context(Peer(scene.ports.rooms))
            peer.send(f"stalled{number}")
        yield


def nonsense(scene: Scene) -> Iterator[None]:
    """Bytes that are no lines, to every port."""
    with contextlib.ExitStack() as crowd:
        for port in scene.ports:
            for _ in range(CROWD // 30):
                peer = crowd.enter_context(Peer(port))
                with contextlib.suppress(OSError):
                    peer.send_bytes(scene.rng.randbytes(scene.rng.choice((1, 100, 20_000))))
        yield


def coming_and_going(scene: Scene) -> Iterator[None]:
    for number in range(CROWD):
        with contextlib.suppress(OSError), Peer(scene.ports.auto) as peer:
            peer.send(f"HELLO-FROM passer{number}", f"SAY {CHANNEL} x")
    yield


def reported(scene: Scene) -> Iterator[None]:
    scene.server.signal(signal.SIGUSR1)
    yield


FAULTS: Sequence[Fault] = (
    frozen, killed, restarted, full_disk, moved_database, silent_crowd, stalled_readers, nonsense, coming_and_going,
    reported,
)  # fmt: skip


class Outcome(NamedTuple):
    """What went wrong; each is a list, and all are empty if nothing did."""

    lost: list[str]
    doubled: list[str]
    unknown: list[str]
    errors: list[str]
    grown: list[str]
    unhealthy: list[str]

    def __bool__(self) -> bool:
        return not any(self)


def soak(scene: Scene, seconds: float, faults: Sequence[Fault] = FAULTS) -> Outcome:
    """Inflict faults for `seconds`; each kind comes once before any comes again. Raises Failed."""
    for speaker in scene.speakers:
        speaker.start()
    scene.wait_for_answers("the start")
    began = time.monotonic()
    sizes: dict[int, list[int]] = {}
    for fault in (fault for _ in itertools.count() for fault in scene.rng.sample(faults, len(faults))):
        passed = time.monotonic() - began
        if passed >= seconds:
            break
        for _ in fault(scene):
            time.sleep(FAULT_SECONDS)
        waited = scene.wait_for_answers(fault.__name__)
        time.sleep(CALM_SECONDS)
        sizes.setdefault(scene.server.process.pid, []).append(scene.resident)
        line = f"{passed:7.0f} s  {fault.__name__:20} {waited:5.2f} s until all had answers"
        print(line, file=sys.stderr, flush=True)
    is_healthy = scene.is_healthy()
    for speaker in scene.speakers:
        speaker.stopped.set()
    for speaker in scene.speakers:
        speaker.join()
    scene.end(signal.SIGTERM)
    errors = [line for line in scene.log if " ERROR " in line and not any(known in line for known in EXPLAINED)]
    grown = [f"{max(each) - each[0]} bytes" for each in sizes.values() if max(each) - each[0] > GROWTH]
    return Outcome(*judge(scene.database, scene.speakers), errors, grown, [] if is_healthy else ["at the end"])


def report(scene: Scene, outcome: Outcome) -> None:
    """Print what was counted, and the verdict."""
    for speaker in scene.speakers:
        print(f"  {speaker.name:10} {len(speaker.said):8} sent {speaker.acknowledged:8} acknowledged")
    print_verdict(outcome._asdict(), is_good=bool(outcome))


def main() -> int:
    """Run for the given time; the exit status is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300, help="how long faults are inflicted (default 300)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a sequence of faults")
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as directory:
        try:
            scene = Scene(Path(directory), random.Random(arguments.seed))
            with contextlib.closing(scene.server):
                outcome = soak(scene, arguments.seconds)
        except (Failed, AssertionError) as failure:
            print(f"verdict: BAD, {failure}")
            return 1
    report(scene, outcome)
    return 0 if outcome else 1


if __name__ == "__main__":
    sys.exit(main())
