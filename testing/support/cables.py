"""Three servers without sockets, whose cables are cut and mended."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from protocol import Session
from settings import PeerConfig, Settings
from store import Store
from support.memory_store import memory_store
from support.world import FakeDial, FakeTransport, World

HOSTS = ("a", "b", "c")
ADDRESSES = {host: f"10.0.0.{number}" for number, host in enumerate(HOSTS, 1)}
PORT = 5050
SECONDS = 10
"""How long an answer of another server is waited for."""

LONG = 40.0
"""Seconds after which any server has dialled again."""


class Name(NamedTuple):
    """A user or a channel, wherever it is spoken of."""

    bare: str
    host: str

    def at(self, host: str, sign: str) -> str:
        """What it is called on a server."""
        return self.bare if self.host == host else f"{self.bare}{sign}{self.host}"


# ---- servers and cables ----


class End(NamedTuple):
    """A server's end of a cable."""

    host: str
    transport: FakeTransport
    session: Session


class Cable:
    """A connection. `flying` is what has left one end and not come to the other, by the server to which it goes."""

    def __init__(self, *ends: End) -> None:
        self.ends = {end.host: end for end in ends}
        self.flying = dict.fromkeys(self.ends, b"")

    def links(self, pair: frozenset[str]) -> bool:
        return self.ends.keys() == pair

    def other(self, host: str) -> End:
        (end,) = (end for end in self.ends.values() if end.host != host)
        return end


class Network:
    """Servers without sockets. What they send travels when `carry` says so.

    Args:
        dials: who lists whom.
    """

    def __init__(self, dials: Sequence[tuple[str, str]]) -> None:
        self.now = 0.0
        self.worlds: dict[str, World] = {}
        self.cables: list[Cable] = []
        self.apart: set[frozenset[str]] = set()
        self.pairs = {frozenset(dial) for dial in dials}
        self.cuts: Counter[frozenset[str]] = Counter()
        self.lost_at: dict[frozenset[str], float] = {}
        self.sure: set[frozenset[str]] = set()
        self._dials = dials
        self._ports = itertools.count(40000)
        self._unnoticed: list[tuple[Cable, str]] = []
        self._stores: list[Store] = []
        for host in HOSTS:
            self.start(host, self.new_store())

    def new_store(self) -> Store:
        self._stores.append(memory_store())
        return self._stores[-1]

    def start(self, host: str, store: Store) -> None:
        listed = [PeerConfig(ADDRESSES[other], PORT, None) for one, other in self._dials if one == host]
        self.worlds[host] = World(
            settings=Settings(hostname=host, federation="open", federation_seconds=SECONDS), listed=listed, store=store
        )

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def live(self, pair: frozenset[str]) -> list[Cable]:
        return [cable for cable in self.cables if cable.links(pair)]

    def is_whole(self, pair: frozenset[str]) -> bool:
        """Whether there is a cable, and nobody takes a lost one for one that is there."""
        return bool(self.live(pair)) and not any(cable.links(pair) for cable, _host in self._unnoticed)

    def carry(self, cable: Cable, to: str, most: int | None = None) -> bool:
        """Let bytes arrive; return whether there were any."""
        source, goal = cable.other(to), cable.ends[to]
        self.worlds[source.host].settle()
        data = cable.flying[to] + source.transport.take()
        piece, cable.flying[to] = data[:most], data[len(data) if most is None else most :]
        if piece:
            goal.session.received(piece)
            self.settle()
        return bool(piece)

    def settle(self) -> None:
        """Let each server finish its turn. A link that one of them has closed is lost to the other."""
        for world in self.worlds.values():
            world.settle()
        refused = [cable for cable in self.cables if any(end.transport.refused for end in cable.ends.values())]
        if refused:
            self.cut(refused[0])

    def answer_dials(self) -> None:
        for host, world in self.worlds.items():
            while world.dials:
                dial = world.dials.pop(0)
                (other,) = (name for name, address in ADDRESSES.items() if address == dial.host)
                if frozenset((host, other)) in self.apart:
                    dial.failed("no route to host")
                else:
                    self._connect(host, other, dial)

    def _connect(self, host: str, other: str, dial: FakeDial) -> None:
        place = (ADDRESSES[host], next(self._ports))
        transport = FakeTransport(self.worlds[host].soon, (dial.host, dial.port), place)
        near = End(host, transport, dial.connected(transport))
        client = self.worlds[other].client(remote_address=place)
        self.cables.append(Cable(near, End(other, client.transport, client.session)))

    def cut(self, cable: Cable, blind: str = "") -> None:
        """Lose a cable and what is on it. The blind server does not see it before `notice`."""
        self.cables.remove(cable)
        self._count(cable)
        for host in cable.ends:
            self._unnoticed.append((cable, host))
        self._notice([(cable, host) for host in cable.ends if host != blind])

    def notice(self) -> None:
        """Let everybody see which cables are cut."""
        self._notice(self._unnoticed[:])

    def _notice(self, noticed: Sequence[tuple[Cable, str]]) -> None:
        for cable, host in noticed:
            self._unnoticed.remove((cable, host))
            self._count(cable)
            cable.ends[host].session.lost("gone")
        self.settle()

    def _count(self, cable: Cable) -> None:
        pair = frozenset(cable.ends)
        self.cuts[pair] += 1
        self.lost_at[pair] = self.now
        self.sure.discard(pair)

    def part(self, pair: frozenset[str], blind: str = "") -> None:
        self.apart.add(pair)
        for cable in self.live(pair):
            self.cut(cable, blind)

    def restart(self, host: str, store: Store, *, unnoticed: bool) -> None:
        """Kill a server and start it. It has cut its cables itself, whatever the others see of that."""
        self.settle()
        mine = [cable for cable in self.cables if host in cable.ends]
        self.cables = [cable for cable in self.cables if host not in cable.ends]
        self._unnoticed = [(cable, other) for cable, other in self._unnoticed if other != host]
        self.start(host, store)
        for cable in mine:
            self._count(cable)
            self._unnoticed.append((cable, cable.other(host).host))
        if not unnoticed:
            self.notice()
        self.settle()

    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        for world in self.worlds.values():
            world.timers.let_pass(seconds)
        self.settle()
        self.answer_dials()
        self.settle()
