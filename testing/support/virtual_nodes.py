"""Nodes of a cluster in virtual time: the real link, log and roles; clients, faults, and what must hold at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from database_copies import Position
from domain.changes import Change, Said
from replica import wire
from replica.link import TICK, EngineLink
from replica.log import LEAVE_SECONDS, ReplicatedLog
from replica.names import Ending, Names, SteppedDown
from replica.network import Address
from replica.roles import Role, Roles
from support.virtual_engines import COUNT, Cluster, Pipe, Time

RESTART_SECONDS = 0.1
CHANNEL = "garden"


class File:
    """A node's file, which outlives its processes."""

    def __init__(self) -> None:
        self.position = Position()
        self.rows: list[str] = []
        self.is_full = False
        self.transactions: list[int] = []
        self._open: tuple[Sequence[Change], Position] = (), Position()

    def replicate(self, changes: Sequence[Change], position: Position) -> bool:
        return self.prepare(changes, position) and self.commit()

    def prepare(self, changes: Sequence[Change], position: Position) -> bool:
        self._open = changes, position
        return not self.is_full

    def commit(self) -> bool:
        if self.is_full:
            return False
        changes, position = self._open
        self.rows += [change.text for change in changes if isinstance(change, Said)]
        self.position = position
        self.transactions.append(len(changes))
        return True


class Request:
    """What a client has asked: to say a text, or, without one, to read everything."""

    def __init__(self, node: Peer, text: str, now: float) -> None:
        self.node = node
        self.text = text
        self.began = now
        self.ended: float | None = None
        self.shown = 0


class Network:
    """The network of one process of a node; nothing of it reaches the process while that is frozen, or after it."""

    def __init__(self, node: Peer) -> None:
        self._node = node
        self.monotonic = node.time.monotonic
        self.sleep = node.time.sleep

    def dial(self, address: Address, ready: Callable[[], None]) -> Pipe:
        process = self._node.process

        def deliver() -> None:
            if self._node.process is not process:
                return
            if self._node.is_frozen:
                self._node.late.append(deliver)
            else:
                self._node.guarded(ready)
                self._node.step()

        return self._node.cluster.dial(address, deliver)


class Process:
    """One run of a node."""

    def __init__(self, node: Peer, run: str) -> None:
        self.run = run
        self.serves = False
        self.waiting: list[Request] = []
        self.answers: list[Request] = []


class Peer:
    """One node: what its process does, how it is frozen, killed and begun again."""

    def __init__(self, number: int, time: Time, cluster: Cluster, base: str = "") -> None:
        self.number = number
        self.name = f"c{number}"
        self.time = time
        self.cluster = cluster
        self.base = base
        self.file = File()
        self.is_frozen = False
        self.late: list[Callable[[], None]] = []
        self.ended: list[str] = []
        self.led: list[float] = []
        self.reasons: list[str] = []
        self.behind = 0
        self.loads_for = 0.0
        self._runs = itertools.count(1)
        self.process: Process | None = None

    def start(self) -> None:
        if self.process is not None:
            return
        run = f"{self.number:06d}{next(self._runs):06d}"
        self.process = Process(self, run)
        engines = [Address("127.0.0.1", 1 + (self.number + each) % COUNT) for each in range(COUNT)]
        self.link = EngineLink(engines, Network(self), run=run)
        self.log = ReplicatedLog(
            self.link, self.file, Names("t"), run, clock=self.time.monotonic, copies=COUNT, base=self.base
        )
        self.roles = Roles(
            self.link,
            self.log,
            node=self.name,
            clock=self.time.monotonic,
            jitter=self.time.random.random,
            safe=lambda: self.file.position.applied,
            lead=self._lead,
            behind=self._behind,
        )
        self._tick(self.process)

    @property
    def is_primary(self) -> bool:
        return self.process is not None and self.roles.role is Role.PRIMARY

    def kill(self) -> None:
        if self.process is not None:
            self.process = None
            self.is_frozen = False
            self.late.clear()
            self.link.close()

    def freeze(self) -> None:
        self.is_frozen = self.process is not None

    def thaw(self) -> None:
        self.is_frozen = False
        late, self.late = self.late, []
        for call in late:
            self.time.later(0.0, call)

    def leave(self) -> None:
        """End as SIGTERM does, when nothing is out."""
        if self.process is not None and self.is_primary and not self.log.is_busy:
            self.process.serves = False
            self.log.begin_to_leave("c")
            self.time.later(LEAVE_SECONDS, partial(self._left, self.process))

    def _left(self, process: Process) -> None:
        """Somebody starts the program again."""
        if self.process is process:
            self.kill()
            self.start()

    def _lead(self) -> None:
        assert self.process is not None
        self.is_frozen = self.loads_for > 0.0
        for _ in range(round(self.loads_for / 0.1)):
            self.time.run(0.1)
            self.roles.keep_up()
        self.thaw()
        self.process.serves = True
        self.led.append(self.time.now)
        self.reasons.append(self.roles.reason)

    def _behind(self) -> None:
        self.behind += 1

    def _tick(self, process: Process) -> None:
        if self.process is not process:
            return
        if self.is_frozen:
            self.late.append(lambda: self._tick(process))
            return
        self.guarded(self.roles.tick)
        self.step()
        self.time.later(TICK, lambda: self._tick(process))

    def guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Ending as ending:
            self.ended.append(str(ending))
            self.kill()
            if isinstance(ending, SteppedDown):
                self.time.later(RESTART_SECONDS, self.start)

    # ---- what a server does in a turn ----

    def ask(self, request: Request) -> None:
        if self.process is not None and self.process.serves:
            self.process.waiting.append(request)
            self.step()

    def step(self) -> None:
        self.guarded(self._step)

    def _step(self) -> None:
        process = self.process
        if process is None or self.is_frozen or not process.serves or self.log.is_busy:
            return
        if process.answers:
            self._answer(process)
        elif process.waiting:
            process.answers, process.waiting = process.waiting, []
            said = [Said("ann", CHANNEL, request.text, 0.0) for request in process.answers if request.text]
            for request in process.answers:
                request.shown = 0 if request.text else len(self.file.rows)
            if said:
                self.log.begin(said)
            self.time.later(self.time.between(0.0, 0.002), self.step)

    def _answer(self, process: Process) -> None:
        """The end of the turn: output leaves, if the lease lasts."""
        if not self.log.has_lease:
            self.log.begin(())
            return
        for request in process.answers:
            request.ended = self.time.now
        process.answers = []
        self.time.later(0.0, self.step)


class Simulation:
    """Three nodes, three engines, and clients that ask whichever node serves, also one that was replaced."""

    def __init__(self, seed: int = 0, bases: Sequence[str] = ("", "", "")) -> None:
        self.time = Time(seed)
        self.cluster = Cluster(self.time)
        self.nodes = [Peer(number, self.time, self.cluster, base) for number, base in enumerate(bases)]
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self._texts = itertools.count()
        self._is_asking = 0.0

    def start(self) -> Simulation:
        for node in self.nodes:
            node.start()
        self._watch()
        return self

    def run(self, seconds: float) -> None:
        self.time.run(seconds)

    def serve(self) -> Peer:
        """Run until a node serves."""
        for _ in range(400):
            for node in self.nodes:
                if node.is_primary and not node.is_frozen and node.process and node.process.serves:
                    return node
            self.run(0.05)
        raise AssertionError("nobody serves")

    def chat(self, pause: float = 0.05, share: float = 0.5) -> None:
        """Have clients ask from now on: one request each so many seconds, this share of them says something."""
        self._is_asking = pause
        self._share = share
        self._ask()

    def hush(self) -> None:
        self._is_asking = 0.0

    def say(self) -> Request:
        """Have a client say something now, at the node that serves."""
        return self._request(self.serve(), f"m{next(self._texts)}")

    def read(self, node: Peer) -> Request:
        return self._request(node, "")

    def _request(self, node: Peer, text: str) -> Request:
        request = Request(node, text, self.time.now)
        self.requests.append(request)
        node.ask(request)
        return request

    def _ask(self) -> None:
        if not self._is_asking:
            return
        for node in self.nodes:
            if node.process is not None and node.process.serves:
                is_said = self.time.random.random() < self._share
                self._request(node, f"m{next(self._texts)}" if is_said else "")
        self.time.later(self.time.between(0.0, 2 * self._is_asking), self._ask)

    def _watch(self) -> None:
        """At most one node may answer at a time."""
        able = [node.number for node in self.nodes if node.is_primary and node.log.has_lease]
        if len(able) > 1:
            self.faults.append(f"{self.time.now:.2f}: nodes {able} hold a lease")
        self.time.later(0.01, self._watch)

    # ---- what must hold ----

    @property
    def failovers(self) -> int:
        return sum(len(node.led) for node in self.nodes) - 1

    def texts(self) -> list[str]:
        """Return what the log has, in its order."""
        return [
            change.text
            for payload in self.cluster.log
            for change in wire.decode(payload).changes
            if isinstance(change, Said)
        ]

    def check(self) -> None:
        """What was acknowledged is there once and in order, reads are never stale, files are alike."""
        assert not self.faults, self.faults[0]
        texts = self.texts()
        places = {text: place for place, text in enumerate(texts)}
        assert len(places) == len(texts), "a message is there twice"
        told = 0
        asked = iter(sorted((r for r in self.requests if r.ended is not None), key=lambda r: r.began))
        ended = sorted((r for r in self.requests if r.ended is not None), key=lambda r: r.ended or 0.0)
        done = iter(ended)
        next_done = next(done, None)
        for request in asked:
            while next_done is not None and (next_done.ended or 0.0) <= request.began:
                told = max(told, self._shows(next_done, places))
                next_done = next(done, None)
            assert self._shows(request, places) >= told, "a read is stale, or an order has changed"
        for node in self.nodes:
            assert node.file.rows == texts[: len(node.file.rows)], "a file is not the log"

    def _shows(self, request: Request, places: dict[str, int]) -> int:
        """Return how many messages somebody knows of who got this answer."""
        if not request.text:
            return request.shown
        assert request.text in places, f"{request.text} was acknowledged, and is lost"
        return places[request.text] + 1

    def settle(self, seconds: float = 20.0) -> None:
        """After all faults: something can be said again, and every file gets everything."""
        self.hush()
        for engine in self.cluster.engines:
            if not engine.works:
                self.cluster.revive(engine.number)
        self.cluster.heal()
        self.cluster.loses = self.cluster.stale = 0.0
        self.cluster.slow = 0.003
        for node in self.nodes:
            node.file.is_full = False
            node.thaw()
            node.start()
        self.run(seconds)
        request = self.say()
        self.run(3.0)
        assert request.ended is not None, "nothing can be said"
        self.check()
        for node in self.nodes:
            assert node.file.position.applied == len(self.cluster.log), "a node has not caught up"


def unfit(simulation: Simulation) -> list[Any]:
    """Return the reasons for which processes have ended."""
    return [reason for node in simulation.nodes for reason in node.ended]


def faults(simulation: Simulation) -> dict[str, Callable[[int], object]]:
    """Return what may go wrong, each for one of the three; it ends by `mend`, or by itself."""
    cluster, nodes = simulation.cluster, simulation.nodes

    def lose(number: int) -> None:
        cluster.loses = 0.3 * number

    def slow(number: int) -> None:
        cluster.slow = (0.003, 0.4, 1.5)[number]

    def stale(number: int) -> None:
        cluster.stale = (0.0, 0.5, 3.0)[number]

    def fill(number: int) -> None:
        nodes[number].file.is_full = True

    def primary(do: Callable[[Peer], object]) -> Callable[[int], object]:
        return lambda _number: [do(node) for node in nodes if node.is_primary]

    def elect(number: int) -> None:
        if cluster.works(number):
            cluster.elect(number)

    def beside(number: int) -> None:
        """Cut off the engine that a primary uses."""
        for node in nodes:
            if node.is_primary and node.link.engine is not None:
                cluster.cut_off(node.link.engine.port - 1)

    return {
        "kill": lambda number: nodes[number].kill(),
        "start": lambda number: nodes[number].start(),
        "freeze": lambda number: nodes[number].freeze(),
        "thaw": lambda number: nodes[number].thaw(),
        "kill primary": primary(Peer.kill),
        "freeze primary": primary(Peer.freeze),
        "leave": primary(Peer.leave),
        "kill engine": cluster.kill,
        "freeze engine": cluster.freeze,
        "revive engine": cluster.revive,
        "cut off engine": cluster.cut_off,
        "cut off primary": beside,
        "heal": lambda _number: cluster.heal(),
        "break": lambda _number: cluster.break_connections(),
        "elect": elect,
        "lose": lose,
        "slow": slow,
        "stale": stale,
        "fill": fill,
        "empty": lambda number: setattr(nodes[number].file, "is_full", False),
        "refuse": lambda number: setattr(cluster, "refuses", number),
    }
