"""Engines that are played, in virtual time: three of them keep one log, and lose, delay and repeat what engines may.

They speak the protocol byte by byte, with a decoder of their own. What a test changes is in plain attributes: an engine
may be dead, frozen, cut off, behind with its copy, or in the middle of an election.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from replica.network import Address

MAJORITY = 2
COUNT = 3


class Time:
    """Virtual time: calls in the order of their times."""

    def __init__(self, seed: int) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self._order = itertools.count()
        self._calls: list[tuple[float, int, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.run(seconds)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._calls, (self.now + seconds, next(self._order), call))

    def run(self, seconds: float) -> None:
        """Make the calls of the next so many seconds."""
        ends = self.now + seconds
        while self._calls and self._calls[0][0] <= ends:
            self.now, _order, call = heapq.heappop(self._calls)
            call()
        self.now = ends

    def run_until(self, seconds: float, condition: Callable[[], bool]) -> None:
        """Make the calls of the next so many seconds, or until a condition is true."""
        ends = self.now + seconds
        while not condition() and self.now < ends:
            self.run(min(0.001, ends - self.now))

    def between(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)


class Proposal(NamedTuple):
    """An append that the leader has taken, and a majority has not yet. A replicated one may outlive the leader."""

    payload: bytes
    reply: str
    is_replicated: bool


class Pipe:
    """A node's connection to an engine, as replica.network.Pipe; bytes arrive in order, in pieces, a little later."""

    def __init__(self, cluster: Cluster, engine: Engine, ready: Callable[[], None]) -> None:
        self.cluster = cluster
        self.engine = engine
        self.ready = ready
        self.input: deque[bytes] = deque()
        self.is_closed = False
        self.subscriptions: dict[int, str] = {}
        self.buffer = b""
        self.arrives = 0.0
        self.error: OSError | None = None

    # ---- the node's side ----

    def send(self, data: bytes | bytearray) -> int:
        if self.error:
            raise self.error
        copy = bytes(data)
        self.engine.inputs.append((self, copy))
        self.cluster.time.later(self.cluster.delay(), self.engine.work)
        return len(copy)

    def receive(self) -> bytes | None:
        if self.input:
            data = self.input.popleft() if self.cluster.cuts else b"".join(self.input)
            if not self.cluster.cuts:
                self.input.clear()
            return data
        if self.error:
            raise self.error
        return None

    def secure(self) -> None:
        raise NotImplementedError

    def want_to_send(self, wanted: bool) -> None:
        assert not wanted

    def wait(self, seconds: float) -> None:
        """Let the rest of the world go on; for a call that is made between two events alone."""
        self.cluster.time.run_until(seconds, lambda: bool(self.input or self.error))

    def close(self) -> None:
        self.is_closed = True
        self.engine.pipes.discard(self)

    # ---- the engine's side ----

    def put(self, data: bytes) -> None:
        time = self.cluster.time
        at = time.random.randrange(len(data)) if self.cluster.cuts else 0
        for piece in (data[:at], data[at:]):
            if piece:
                self.arrives = max(self.arrives + 1e-6, time.now + self.cluster.delay())
                time.later(self.arrives - time.now, partial(self._arrive, piece))

    def _arrive(self, piece: bytes) -> None:
        if not self.is_closed:
            self.input.append(piece)
            if self.cluster.cuts or len(self.input) == 1:
                self.cluster.time.later(0.0 if self.cluster.cuts else 0.0002, self._ready)

    def _ready(self) -> None:
        if not self.is_closed:
            self.ready()

    def break_off(self) -> None:
        """The engine's machine closes the connection."""
        self.error = ConnectionResetError(104, "reset")
        self.engine.pipes.discard(self)
        if not self.is_closed:
            self.ready()


class Engine:
    """One engine.

    Attributes:
        is_deaf: it accepts connections and says nothing to them.
        copy: how many entries of the log it has.
        leads: it believes that it leads the log.
        term: of its last election; only in the newest one can anything be stored.
        proposals: what it has taken as the leader.
    """

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster = cluster
        self.number = number
        self.group = 0
        self.is_dead = False
        self.is_frozen = False
        self.is_deaf = False
        self.leads = False
        self.term = 0
        self.copy = 0
        self.proposals: list[Proposal] = []
        self.inputs: deque[tuple[Pipe, bytes]] = deque()
        self.pipes: set[Pipe] = set()

    @property
    def works(self) -> bool:
        return not self.is_dead and not self.is_frozen

    def reaches(self, other: Engine) -> bool:
        return self.works and other.works and self.group == other.group

    def work(self) -> None:
        """Handle what has arrived."""
        while self.works and self.inputs:
            pipe, data = self.inputs.popleft()
            pipe.buffer += data
            self._frames(pipe)

    def _frames(self, pipe: Pipe) -> None:
        while b"\r\n" in pipe.buffer:
            line, rest = pipe.buffer.split(b"\r\n", 1)
            word, *words = line.decode().split(" ")
            size = int(words[-1]) if word in ("PUB", "HPUB") else -2
            if len(rest) < size + 2:
                return
            pipe.buffer = rest[size + 2 :]
            if word == "PING":
                pipe.put(b"PONG\r\n")
            elif word == "SUB":
                pipe.subscriptions[int(words[1])] = words[0]
            elif word == "UNSUB":
                pipe.subscriptions.pop(int(words[0]), None)
            elif word in ("PUB", "HPUB"):
                head = int(words[-2]) if word == "HPUB" else 0
                reply = words[1] if len(words) == (3 if word == "PUB" else 4) else ""
                self.cluster.published(self, words[0], reply, rest[:head].decode(), rest[head:size])
            else:
                assert word in ("CONNECT", "PONG"), line


class Cluster:
    """Three engines, their network and their log.

    Attributes:
        log: what a majority has: nothing is ever removed from it but its beginning.
        first: the sequence of the first entry that was not purged.
        cuts: frames arrive in pieces.
        loses: the share of answers to appends and of entries of the feed that are lost.
        slow: seconds that a majority takes to store an entry, at most.
        keeps: when a leader dies, how many of its proposals its successor has; None for a random number.
        stale: seconds by which a copy may be behind.
        mutes: what does not arrive: "ack", "error", "feed", "read", "presence".
        swallows: how many appends are lost on their way.
        refuses: how many get error 10071 for a proposal that has vanished since.
        full: there is no room for more.
        leaderless_reads: so many reads get 503.
        late: seconds by which answers to appends are late.
        repeats: each of them comes again after so many seconds; 0 for never.
    """

    def __init__(self, time: Time, stream: str = "CT_t") -> None:
        self.time = time
        self.stream = stream
        self.prefix = "ct." + stream.removeprefix("CT_")
        self.engines = [Engine(self, number) for number in range(COUNT)]
        self.log: list[bytes] = []
        self.first = 1
        self.created = ""
        self.cuts = False
        self.loses = 0.0
        self.slow = 0.003
        self.keeps: int | None = None
        self.stale = 0.0
        self.mutes: set[str] = set()
        self.full = False
        self.swallows = self.refuses = self.leaderless_reads = 0
        self.late = self.repeats = 0.0
        self.appends = 0
        self.heard: list[tuple[str, bytes]] = []
        self.term = 0
        self.engines[0].leads = True

    # ---- network ----

    def delay(self) -> float:
        return self.time.between(0.0002, 0.001)

    def dial(self, address: Address, ready: Callable[[], None]) -> Pipe:
        engine = self.engines[address.port - 1]
        if engine.is_dead:
            raise ConnectionRefusedError(111, "refused")
        pipe = Pipe(self, engine, ready)
        engine.pipes.add(pipe)
        engine.inputs.append((pipe, b""))
        if not engine.is_frozen and not engine.is_deaf:
            pipe.put(b'INFO {"server_id": "played"}\r\n')
        return pipe

    # ---- faults ----

    @property
    def leader(self) -> Engine | None:
        """The engine that can have entries stored."""
        return next((engine for engine in self.engines if engine.leads and self._can_store(engine)), None)

    def _can_store(self, engine: Engine) -> bool:
        return engine.term == self.term and self._has_majority(engine)

    def _has_majority(self, engine: Engine) -> bool:
        return sum(engine.reaches(other) for other in self.engines) >= MAJORITY

    def kill(self, number: int) -> None:
        engine = self.engines[number]
        engine.is_dead = True
        engine.inputs.clear()
        for pipe in list(engine.pipes):
            pipe.break_off()
        self._elect_later()

    def revive(self, number: int) -> None:
        engine = self.engines[number]
        engine.is_dead = engine.is_frozen = False
        if engine.term < self.term or self.leader not in (None, engine):
            self._follow(engine)
        self.time.later(0.05, engine.work)
        for pipe in list(engine.pipes):
            pipe.put(b'INFO {"server_id": "played"}\r\n')
        self._elect_later()

    def freeze(self, number: int) -> None:
        self.engines[number].is_frozen = True
        self._elect_later()

    def cut_off(self, number: int) -> None:
        """Put an engine in a network of its own."""
        self.engines[number].group = 1 + number
        self._elect_later()

    def heal(self) -> None:
        for engine in self.engines:
            engine.group = 0
        for engine in self.engines:
            if engine.works and (engine.term < self.term or self.leader not in (None, engine)):
                self._follow(engine)
        self._elect_later()

    def break_connections(self) -> None:
        for engine in self.engines:
            for pipe in list(engine.pipes):
                pipe.break_off()

    def _follow(self, engine: Engine) -> None:
        engine.leads = False
        engine.proposals.clear()
        engine.copy = len(self.log)

    def works(self, number: int) -> bool:
        """Tell whether an engine can lead."""
        return self._has_majority(self.engines[number])

    def _elect_later(self) -> None:
        self.time.later(self.time.between(0.5, 1.5), self.elect)

    def elect(self, number: int | None = None) -> None:
        """Have an engine lead, if none does, or this one; what the one before had proposed is stored or vanishes."""
        if number is None and self.leader is not None:
            return
        able = [engine for engine in self.engines if self._has_majority(engine)]
        if not able:
            return
        chosen = self.time.random.choice(able) if number is None else self.engines[number]
        for old in self.engines:
            if old.leads and old is not chosen:
                self._succeed(old, chosen)
        self.term += 1
        chosen.leads, chosen.term = True, self.term
        chosen.copy = len(self.log)

    def _succeed(self, old: Engine, chosen: Engine) -> None:
        replicated = sum(proposal.is_replicated for proposal in old.proposals)
        kept = self.time.random.randint(0, replicated) if self.keeps is None else min(self.keeps, replicated)
        for proposal in old.proposals[:kept]:
            self._store(chosen, proposal, is_answered=False)
        old.proposals.clear()
        if old.is_dead or old.reaches(chosen):
            self._follow(old)

    # ---- messages ----

    def published(self, via: Engine, subject: str, reply: str, head: str, payload: bytes) -> None:
        if subject == f"{self.prefix}.j":
            self._append(via, reply, head, payload)
        elif subject.startswith("$JS.API."):
            self._request(via, subject, reply, payload)
        else:
            self.heard.append((subject, payload))
            if subject == f"{self.prefix}.p" and "presence" in self.mutes:
                return
            if not self._deliver(via, subject, payload, reply) and reply:
                self._deliver(via, reply, b"", "", "NATS/1.0 503\r\n\r\n")

    def _deliver(self, via: Engine, subject: str, payload: bytes, reply: str = "", head: str = "") -> int:
        """Hand a message to its subscribers at the engines that this one reaches; return their number."""
        count = 0
        for engine in self.engines:
            if not engine.is_dead and engine.group == via.group:
                for pipe in list(engine.pipes):
                    for sid, pattern in pipe.subscriptions.items():
                        if subject == pattern or (pattern.endswith("*") and subject.startswith(pattern[:-1])):
                            count += 1  # a frozen engine's subscriptions are known to the others
                            if engine.works:
                                self._put(pipe, subject, sid, payload, reply, head)
        return count

    def _put(self, pipe: Pipe, subject: str, sid: int, payload: bytes, reply: str, head: str) -> None:
        to = f"{subject} {sid} {reply}" if reply else f"{subject} {sid}"
        block = head.encode()
        if head:
            pipe.put(f"HMSG {to} {len(block)} {len(block) + len(payload)}\r\n".encode() + block + payload + b"\r\n")
        else:
            pipe.put(f"MSG {to} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def _answer(self, via: Engine, reply: str, fields: dict[str, Any], kind: str = "ack") -> None:
        if kind in self.mutes or self.time.random.random() < self.loses:
            return
        data = json.dumps(fields).encode()
        for delay in {self.late, self.repeats or self.late}:
            self.time.later(delay, lambda: self._deliver(via, reply, data))

    def _status(self, via: Engine, reply: str, status: str) -> None:
        self._deliver(via, reply, b"", "", f"NATS/1.0 {status}\r\n\r\n")

    # ---- the log ----

    def _append(self, via: Engine, reply: str, head: str, payload: bytes) -> None:
        self.appends += 1
        if self.swallows:
            self.swallows -= 1
            return
        leader = next((engine for engine in self.engines if engine.leads and via.reaches(engine)), None)
        if leader is None or not self.created:
            self._status(via, reply, "503")
            return
        last = self._last(leader)
        _, _, expected = head.partition("Nats-Expected-Last-Sequence: ")
        if self.full:
            self._answer(via, reply, {"error": {"err_code": 10077, "description": "maximum bytes exceeded"}}, "error")
        elif self.refuses or (expected and int(expected.split("\r\n")[0]) != last):
            description = f"wrong last sequence: {last + bool(self.refuses)}"
            self.refuses = max(0, self.refuses - 1)
            self._answer(via, reply, {"error": {"err_code": 10071, "description": description}}, "error")
        else:
            proposal = Proposal(payload, reply, self._can_store(leader))
            leader.proposals.append(proposal)
            self.time.later(self.time.between(0.0005, self.slow), lambda: self._commit(leader, proposal))

    def _last(self, leader: Engine) -> int:
        stored = len(self.log) if self._can_store(leader) else leader.copy
        return stored + len(leader.proposals)

    def _commit(self, leader: Engine, proposal: Proposal) -> None:
        if proposal not in leader.proposals:
            return
        if not (leader.leads and self._can_store(leader)) or leader.proposals[0] is not proposal:
            self.time.later(0.05, lambda: self._commit(leader, proposal))
            return
        leader.proposals.pop(0)
        self._store(leader, proposal)

    def _store(self, leader: Engine, proposal: Proposal, *, is_answered: bool = True) -> None:
        self.log.append(proposal.payload)
        sequence = len(self.log)
        for engine in self.engines:
            if leader.reaches(engine):
                lag = self.time.between(0.0, self.stale) if engine is not leader else 0.0
                self.time.later(lag, partial(self._copied, engine, sequence))
        if "feed" not in self.mutes and self.time.random.random() >= self.loses:
            self._deliver(leader, f"{self.prefix}.r", proposal.payload, "", self._head(sequence))
        if is_answered:
            self._answer(leader, proposal.reply, {"stream": self.stream, "seq": sequence})

    def _copied(self, engine: Engine, sequence: int) -> None:
        if not engine.is_dead and engine.group == 0:
            engine.copy = max(engine.copy, sequence)

    def _head(self, sequence: int) -> str:
        return f"NATS/1.0\r\nNats-Stream: {self.stream}\r\nNats-Sequence: {sequence}\r\n\r\n"

    def _request(self, via: Engine, subject: str, reply: str, payload: bytes) -> None:
        fields = json.loads(payload or b"{}")
        *_, what, stream = subject.split(".")
        leader = next((engine for engine in self.engines if engine.leads and via.reaches(engine)), None)
        if what == "GET" and "read" in self.mutes:
            return
        if what == "GET":
            self._get(via, reply, fields)
        elif leader is None or not self._can_store(leader):
            pass  # without a leader the API does not answer
        elif what == "CREATE" and self.full:
            self._answer(via, reply, {"error": {"err_code": 10047, "description": "insufficient storage"}}, "api")
        elif what == "CREATE":
            self.created = self.created or f"made at {self.time.now:.6f}"
            self.settings = fields
            self._answer(via, reply, {"created": self.created}, "api")
        elif what == "INFO" and (not self.created or stream != self.stream):
            self._answer(via, reply, {"error": {"err_code": 10059}}, "api")
        elif what == "INFO":
            state = {"first_seq": self.first, "last_seq": len(self.log)}
            self._answer(via, reply, {"created": self.created, "state": state}, "api")

    def _get(self, via: Engine, reply: str, fields: dict[str, int]) -> None:
        copies = [engine for engine in self.engines if via.reaches(engine)]
        copy = self.time.random.choice(copies).copy
        if not self.created or self.leaderless_reads:
            self.leaderless_reads = max(0, self.leaderless_reads - 1)
            self._status(via, reply, "503")
            return
        begin = max(fields["seq"], self.first)
        count = fields.get("batch", 1)
        sequences = range(begin, min(copy, begin + count - 1) + 1)
        if not sequences:
            self._status(via, reply, "404 Message Not Found")
            return
        for sequence in sequences:
            self._deliver(via, reply, self.log[sequence - 1], "", self._head(sequence))
        if "batch" in fields:
            self._status(via, reply, "204 EOB")
