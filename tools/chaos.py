#!/usr/bin/env python3
"""What becomes of a cluster when its nodes and engines are killed and frozen at random? Run by `make chaos`.

Clients write down each message, its answer, and both times. At the end every message that was acknowledged must be in
each node's file and in the engines' log once, in one order. No answer to HISTORY may have lacked a message that was
acknowledged before the request.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from domain.changes import AccountRegistered, ChannelCreated, Said
from harness.cluster import Cluster, Engines, wait_for
from harness.peer import Peer
from harness.text import Failed
from replica import wire
from tools.copies import CHANNEL, agree, append, in_file, in_log, times_logged
from tools.faults import FAULTS, Fault
from tools.verdicts import print_verdict

WRITERS = 3
REQUEST_SECONDS = 4.0
"""After this without an answer a client looks for another node, as client.py does."""

GIVE_UP_SECONDS = 15.0
"""After this it leaves a connection at which nothing comes: the server closes it after 12 seconds."""

WINDOW = 60
"""Messages that a reader asks for."""

PAUSE = 0.02
"""Seconds between two messages of a writer."""

ENTRIES = 12_000
LOG_BYTES = 65_536
"""Entries that the log has at the beginning, more than a purge leaves in any case, and the size that it shall have."""

CALM_SECONDS = 1.5
"""How long the cluster is left alone between two faults."""


class Message(NamedTuple):
    """A message, and when it was sent and acknowledged; None where no answer came, so that nothing is known of it."""

    text: str
    sent: float
    acknowledged: float | None


class Record:
    """What the clients have seen, in the order in which it happened."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.stale: list[str] = []
        self.reads = 0
        self._lock = threading.Lock()

    def add(self, message: Message) -> None:
        with self._lock:
            self.messages.append(message)

    def newest(self) -> str | None:
        """Return the text of the message that was acknowledged last."""
        with self._lock:
            return next((each.text for each in reversed(self.messages) if each.acknowledged), None)

    def read(self, expected: str, found: Sequence[str]) -> None:
        """Judge an answer to HISTORY: it must have the message that was acknowledged before it was asked for."""
        with self._lock:
            self.reads += 1
            if expected not in found:
                self.stale.append(expected)

    def acknowledged(self) -> list[Message]:
        with self._lock:
            return [message for message in self.messages if message.acknowledged is not None]


class Client(threading.Thread):
    """A client that keeps a connection to whichever node answers, and does one thing over and over."""

    def __init__(self, name: str, ports: Sequence[int], record: Record) -> None:
        super().__init__(name=name, daemon=True)
        self.stopped = threading.Event()
        self.record = record
        self._ports = itertools.cycle(ports)
        self._others = ports

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                with Peer(next(self._ports), seconds=REQUEST_SECONDS) as peer:
                    self._log_in(peer)
                    while not self.stopped.is_set():
                        self.step(peer)
            except (OSError, EOFError):
                self.stopped.wait(0.05)

    def _log_in(self, peer: Peer) -> None:
        for line in (f"REGISTER {self.name} x", f"LOGIN {self.name} x", f"CREATE {CHANNEL}", f"JOIN {CHANNEL}"):
            peer.send(line)
            self.line(peer, lambda line: line.startswith("RESULT "))

    def line(self, peer: Peer, matches: Callable[[str], bool]) -> str:
        """Read up to such a line. Raises EOFError when the connection ends, OSError when another node serves."""
        until = time.monotonic() + GIVE_UP_SECONDS
        while True:
            while (line := peer.take_line()) is not None:
                if matches(text := line.decode()):
                    return text
            try:
                if not peer.receive(min(until, time.monotonic() + REQUEST_SECONDS)):
                    raise EOFError
            except TimeoutError:
                if time.monotonic() > until or self._another_answers(peer):
                    raise

    def _another_answers(self, peer: Peer) -> bool:
        here = peer.socket.getpeername()[1]
        for port in self._others:
            if port != here:
                try:
                    with Peer(port, seconds=0.5) as other:
                        other.ask("HELP")
                        return True
                except OSError:
                    continue
        return False

    def step(self, peer: Peer) -> None:
        raise NotImplementedError


class Writer(Client):
    """Says one message after the other."""

    def __init__(self, name: str, ports: Sequence[int], record: Record) -> None:
        super().__init__(name, ports, record)
        self._numbers = itertools.count(1)

    def step(self, peer: Peer) -> None:
        text = f"{self.name}-{next(self._numbers)}"
        sent = time.monotonic()
        acknowledged: float | None = None
        try:
            peer.send(f"SAY {CHANNEL} {text}")
            self.line(peer, lambda line: line == f"RECV {self.name} {CHANNEL} {text}")
            acknowledged = time.monotonic()
        finally:
            self.record.add(Message(text, sent, acknowledged))
        self.stopped.wait(PAUSE)


class Reader(Client):
    """Asks for the last messages over and over."""

    def step(self, peer: Peer) -> None:
        expected = self.record.newest()
        peer.send(f"HISTORY {CHANNEL} {WINDOW}")
        count = int(self.line(peer, lambda line: line.startswith("RESULT HISTORY ")).split()[-1])
        found = [self.line(peer, lambda line: line.startswith("RECV ")).split(" ")[-1] for _ in range(count)]
        if expected is not None:
            self.record.read(expected, found)
        self.stopped.wait(PAUSE)


# ---- the verdict ----


def lengthen_log(cluster: Cluster) -> None:
    """Write a long log to a new cluster. It is then purged, so nodes that lose their files must take snapshots."""
    with cluster:
        cluster.primary()
    said = (Said("history", CHANNEL, f"old-{number}", 0.0, number) for number in range(1, ENTRIES + 1))
    entries = (wire.encode("past", number, [message]) for number, message in enumerate(said, 2))
    first = wire.encode("past", 1, [AccountRegistered("history", b"", 0.0), ChannelCreated(CHANNEL, "history", 0.0)])
    append(cluster.engines.port, cluster.name, first, *entries)
    with cluster:  # what a node has at its start is synced, so that it may be purged
        cluster.primary()
        agree(cluster.nodes)
        for node in cluster.nodes:
            node.end(signal.SIGTERM)


class Verdict(NamedTuple):
    """What went wrong; each is a list of messages, or of nodes."""

    lost: list[str]
    doubled: list[str]
    reordered: list[str]
    stale: list[str]
    needless: list[str]

    def __bool__(self) -> bool:
        """Whether nothing did."""
        return not any(self)


def judge(record: Record, copies: dict[str, list[str]], log: list[str], needless: Sequence[str]) -> Verdict:
    """Compare what clients were told with what the copies have.

    Args:
        record: of the clients.
        copies: the texts of each file.
        log: those of the log, which may have been purged at its beginning.
        needless: faults at which the leader changed without need.
    """
    known = [message.text for message in record.acknowledged()]
    lost = [f"{text} in {name}" for name, texts in copies.items() for text in sorted({*known} - {*texts})]
    doubled = [f"{text} in {name}" for name, texts in copies.items() for text, n in Counter(texts).items() if n > 1]
    first = next(iter(copies.values()))
    reordered = [name for name, texts in copies.items() if texts != first]
    reordered += [] if log and first[-len(log) :] == log else ["the log"]
    reordered += [f"{name} in {copy}" for copy, texts in copies.items() for name in disordered(texts)]
    return Verdict(lost, doubled, reordered, record.stale, list(needless))


def disordered(texts: Sequence[str]) -> list[str]:
    """Return the writers whose messages are not in the order in which they were sent."""
    numbers: dict[str, list[int]] = {}
    for text in texts:
        writer, _, number = text.rpartition("-")
        numbers.setdefault(writer, []).append(int(number))
    return [writer for writer, found in numbers.items() if found != sorted(found)]


def longest_pause(record: Record, since: float, until: float) -> float:
    """Return the longest time between two acknowledgements."""
    times = [message.acknowledged for message in record.acknowledged() if message.acknowledged]
    inside = [since, *sorted(at for at in times if since < at < until), until]
    return max(after - before for before, after in itertools.pairwise(inside))


# ---- a run ----


class Run:
    """A cluster under faults, for as long as one likes."""

    def __init__(self, directory: Path, engines: Engines, name: str, rng: random.Random) -> None:
        self.cluster = Cluster(directory, engines, name, f"log-bytes {LOG_BYTES}")
        self.record = Record()
        self.pauses: dict[str, list[float]] = {}
        self.needless: list[str] = []
        self._rng = rng
        ports = [node.port for node in self.cluster.nodes]
        self.clients: list[Client] = [Writer(f"w{number}", ports, self.record) for number in range(1, WRITERS + 1)]
        self.clients.append(Reader("reader", ports, self.record))

    def go(self, seconds: float, faults: Sequence[Fault] = FAULTS) -> Verdict:
        """Start the cluster, inflict faults, and judge. Each kind of fault comes once before any comes again."""
        lengthen_log(self.cluster)
        with self.cluster:
            self.cluster.primary()
            for client in self.clients:
                client.start()
            self._wait_for_answers(time.monotonic())
            ends = time.monotonic() + seconds
            rounds = (fault for _ in itertools.count() for fault in self._rng.sample(faults, len(faults)))
            for fault in rounds:
                if time.monotonic() >= ends:
                    break
                self.suffer(fault)
            self._settle()
        copies = {node.name: in_file(node) for node in self.cluster.nodes}
        return judge(self.record, copies, in_log(self.cluster), self.needless)

    def suffer(self, fault: Fault) -> None:
        """Inflict one fault, end it, and wait until the cluster answers again."""
        leader = self._leader()
        began = time.monotonic()
        end = fault.inflict(self.cluster, self._rng)
        time.sleep(fault.seconds)
        end()
        self._wait_for_answers(time.monotonic())
        time.sleep(CALM_SECONDS)
        pause = longest_pause(self.record, began, time.monotonic())
        self.pauses.setdefault(fault.name, []).append(pause)
        if not fault.may_fail_over and self._leader() != leader:
            self.needless.append(fault.name)
        print(f"{fault.name:32} {pause:5.2f} s, {self._leader()} serves", file=sys.stderr, flush=True)

    def _leader(self) -> str:
        return self.cluster.primary().name

    def _wait_for_answers(self, since: float) -> None:
        """Wait until each writer has got an answer to what it has said since then."""

        def answered() -> bool:
            writers = {each.text.partition("-")[0] for each in self.record.acknowledged() if each.sent > since}
            return len(writers) == WRITERS

        wait_for(answered, "answers for every client", 60)

    def _settle(self) -> None:
        """Stop the clients, and wait until every node has what the primary has."""
        for client in self.clients:
            client.stopped.set()
        for client in self.clients:
            client.join(2 * GIVE_UP_SECONDS)
        agree(self.cluster.nodes)


def report(run: Run, verdict: Verdict) -> None:
    """Print the table and the verdict."""
    print(f"\n{'fault':32} {'times':>5} {'longest pause':>14} {'median':>8}")
    for name, pauses in run.pauses.items():
        print(f"{name:32} {len(pauses):5} {max(pauses):12.2f} s {sorted(pauses)[len(pauses) // 2]:6.2f} s")
    counts = len(run.record.messages), len(run.record.acknowledged()), run.record.reads
    print("\n{} messages sent, {} acknowledged, {} reads".format(*counts))
    nodes = run.cluster.nodes
    print("{} purges, {} snapshots".format(*(times_logged(nodes, text) for text in (" purged ", " is in place"))))
    print_verdict(verdict._asdict(), is_good=bool(verdict))


def main() -> int:
    """Run for the given time; the exit status is 1 if anything was lost, doubled, reordered, stale or needless."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are inflicted (default 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a sequence of faults")
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as directory:
        try:
            with Engines(Path(directory) / "engines") as engines:
                run = Run(Path(directory), engines, "chaos", random.Random(arguments.seed))
                verdict = run.go(arguments.seconds)
        except Failed as failure:
            print(f"verdict: BAD, {failure}")
            return 1
    report(run, verdict)
    return 0 if verdict else 1


if __name__ == "__main__":
    sys.exit(main())
