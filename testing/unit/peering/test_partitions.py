"""Three servers whose cables are cut and mended at any moment: what everybody hears against the rules of federation.

Hypothesis draws what people do, which bytes arrive when, who loses sight of whom, and which server starts anew; it
shrinks those steps after which somebody hears what the rules do not allow. The rules are written from PROTOCOL.md.

Where a cable is cut, nobody can know what has become of the lines on it. So the rules say of each line that somebody
hears whether it may come then and there, and of each quiet moment what must have been heard by then.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.state import Limits
from protocol import Session
from settings import PeerConfig, Settings
from store import MEMORY, Store
from support.examples import EXAMPLES
from support.world import Client, FakeDial, FakeTransport, World

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
        self._stores.append(Store(MEMORY))
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
        """Let bytes arrive; give whether there were any."""
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


# ---- the rules ----


@dataclass
class Message:
    """Something said to a channel or a user. `fate` is what its speaker has been told, or that nobody can hear it."""

    text: str
    speaker: Name
    target: Name
    fate: str = ""
    arrived: bool = False


class Asked(NamedTuple):
    """What somebody waits for. It is `sure` to be granted if the way there is not cut and the answer not late."""

    verb: str
    target: Name
    sure: bool
    cuts: int
    since: float
    message: Message | None = None


@dataclass
class Hearing:
    """What somebody has heard of a channel: all before `least` is past. Nothing from `must` on may be missed."""

    least: int = 0
    must: float = math.inf


@dataclass
class Person:
    """A user.

    Attributes:
        doubtful: memberships that may have ended, or begun, without a word: the user was away, or the channel's server
            has lost its database.
        open: messages to remote channels that have not come back yet.
        past: those that need not come back, since the user has left the channel.
    """

    name: Name
    client: Client | None = None
    asked: Asked | None = None
    members: set[Name] = field(default_factory=set)
    doubtful: set[Name] = field(default_factory=set)
    hearings: dict[Name, Hearing] = field(default_factory=dict)
    open: list[Asked] = field(default_factory=list)
    past: list[Asked] = field(default_factory=list)

    def __str__(self) -> str:
        return "@".join(self.name)

    def is_in(self, channel: Name) -> bool:
        """Whether the user is a member beyond doubt."""
        return channel in self.members - self.doubtful

    def close(self, asked: Asked) -> None:
        """A message has come back, or will not."""
        (self.past if asked in self.past else self.open).remove(asked)

    def forget(self, channel: Name) -> None:
        """The user is no longer a member, and so hears not even what comes back."""
        self.members.discard(channel)
        self.doubtful.discard(channel)
        self.past += [asked for asked in self.open if asked.target == channel]
        self.open = [asked for asked in self.open if asked.target != channel]


WITNESS = "eve"
"""One at each server who makes its channels, is in all of them, and is never away: she hears what her server decides,
in that order."""

PEOPLE = [Name(bare, host) for bare in (WITNESS, "amy", "bob") for host in HOSTS]
CHANNELS = [Name(bare, host) for bare in ("tea", "den") for host in HOSTS]
TEA = {channel.host: channel for channel in CHANNELS if channel.bare == "tea"}


class Play:
    """Three servers, the people there, and what they have been told.

    Args:
        dials: who lists whom.
    """

    def __init__(self, dials: Sequence[tuple[str, str]]) -> None:
        self.network = Network(dials)
        self.people = {name: Person(name) for name in PEOPLE}
        self.messages: dict[str, Message] = {}
        self.channels: dict[Name, list[Message]] = {}
        self.registered: set[Name] = set()
        self._loosened: Counter[frozenset[str]] = Counter()
        self._halved: set[frozenset[str]] = set()
        for host in HOSTS:
            self.log(Name(WITNESS, host))

    def close(self) -> None:
        self.network.close()

    def is_sure(self, one: str, other: str) -> bool:
        """Whether two servers are linked for certain."""
        return one == other or frozenset((one, other)) in self.network.sure

    def cuts(self, one: str, other: str) -> int:
        return self.network.cuts[frozenset((one, other))]

    # ---- what people do ----

    def log(self, name: Name) -> None:
        """Have somebody come, or go who is there."""
        person = self.people[name]
        if person.client is not None:
            person.client.leave()
            self._gone(person)
        else:
            person.client = self.network.worlds[name.host].client()
            answers = person.client.ask(f"REGISTER {name.bare} pw", f"LOGIN {name.bare} pw")
            assert answers[:2] == [f"RESULT REGISTER {name not in self.registered:d}", "RESULT LOGIN 1"]
            self.registered.add(name)
            for channel in person.members - person.doubtful:
                if self.is_sure(name.host, channel.host):
                    self._begin_to_hear(person, channel)
            for line in answers[2:]:
                self._hear(person, line)
        self.listen()

    def _gone(self, person: Person) -> None:
        if person.asked is not None and person.asked.verb == "JOIN":
            person.doubtful.add(person.asked.target)
        person.client = person.asked = None
        person.open.clear()
        person.past.clear()
        for hearing in person.hearings.values():
            hearing.must = math.inf

    def create(self, channel: Name) -> None:
        """Have the witness make a channel, if there is none, and enter it."""
        witness = self.people[Name(WITNESS, channel.host)]
        if channel in self.channels:
            return
        assert witness.client is not None
        self.channels[channel] = []
        answers = witness.client.ask(f"CREATE {channel.bare}", f"JOIN {channel.bare}")
        assert answers == [f"RESULT {verb} {channel.bare} 1" for verb in ("CREATE", "JOIN")]
        witness.members.add(channel)
        self._begin_to_hear(witness, channel)

    def join(self, name: Name, channel: Name) -> None:
        person = self.people[name]
        granted = channel in self.channels and channel not in person.members | person.doubtful
        self._ask(person, f"JOIN {channel.at(name.host, ':')}", channel, granted)

    def leave(self, name: Name, channel: Name) -> None:
        person = self.people[name]
        self._ask(person, f"LEAVE {channel.at(name.host, ':')}", channel, person.is_in(channel))

    def say(self, name: Name, channel: Name) -> None:
        person, message = self.people[name], self._message(name, channel)
        line = f"SAY {channel.at(name.host, ':')} {message.text}"
        self._ask(person, line, channel, person.is_in(channel), message)

    def tell(self, name: Name, other: Name) -> None:
        """Send a direct message to a user of another server."""
        if name.host != other.host:
            message = self._message(name, other)
            line = f"SAY @{other.at(name.host, '@')} {message.text}"
            self._ask(self.people[name], line, other, other in self.registered, message)

    def _message(self, speaker: Name, target: Name) -> Message:
        message = Message(f"m{len(self.messages)}", speaker, target)
        self.messages[message.text] = message
        return message

    def _ask(self, person: Person, line: str, target: Name, granted: bool, message: Message | None = None) -> None:
        """Say a line, if nothing else has to be answered first."""
        if person.client is None or person.asked is not None:
            return
        verb, host = line.split()[0], person.name.host
        sure = granted and (verb == "LEAVE" or self.is_sure(host, target.host))
        person.asked = Asked(verb, target, sure, self.cuts(host, target.host), self.network.now, message)
        person.client.send(line)
        self.listen()
        if person.asked is not None:
            assert verb != "LEAVE" and host != target.host, f"{person} got no answer to {line}"
            if message is not None and target in CHANNELS:
                assert target in person.members | person.doubtful, f"{person} got no answer to {line}"
                person.open.append(person.asked)
                person.asked = None

    # ---- what they hear ----

    def listen(self) -> None:
        """Let each server finish its turn, and see that what is heard may be heard."""
        self.network.settle()
        self._loosen()
        for person in self.people.values():  # the witnesses are the first
            if person.client is not None:
                for line in person.client.heard():
                    self._hear(person, line)
        self._miss_nothing(lambda person, channel: person.name.host == channel.host)

    def _loosen(self) -> None:
        """What was on its way over a cable that is cut may be missed."""
        for person, channel, hearing in self._hearings():
            pair = frozenset((person.name.host, channel.host))
            if self.network.cuts[pair] != self._loosened[pair]:
                hearing.must = math.inf
        self._loosened = self.network.cuts.copy()

    def _hearings(self) -> Iterator[tuple[Person, Name, Hearing]]:
        for person in self.people.values():
            for channel, hearing in person.hearings.items():
                yield person, channel, hearing

    def _miss_nothing(self, is_near: Callable[[Person, Name], bool]) -> None:
        """Those in channels from which nothing is on its way have heard all."""
        for person, channel, hearing in self._hearings():
            if person.client is not None and person.is_in(channel) and is_near(person, channel):
                said = len(self.channels[channel])
                assert hearing.must >= said, f"{person} has missed {self.channels[channel][said - 1]}"
                hearing.must = said

    def _begin_to_hear(self, person: Person, channel: Name) -> None:
        person.hearings.setdefault(channel, Hearing()).must = len(self.channels[channel])

    def _hear(self, person: Person, line: str) -> None:
        match line.split(" "):
            case ["RECV", speaker, where, text] if where.startswith("@"):
                self._hear_directly(person, self.messages[text], speaker, where[1:])
            case ["RECV", speaker, where, text]:
                self._hear_in_channel(person, self.messages[text], speaker, where)
            case ["RESULT", "SAY", "0"]:
                assert person.asked and person.asked.message, f"{person} hears {line}"
                self._refused(person, person.asked)
                person.asked = None
            case ["RESULT", "SAY", where, "0"]:
                open_ = [*person.past, *person.open]
                asked = next(asked for asked in open_ if asked.target.at(person.name.host, ":") == where)
                self._refused(person, asked)
                person.close(asked)
            case ["RESULT", "JOIN" | "LEAVE" as verb, where, "0" | "1" as outcome]:
                (channel,) = (channel for channel in CHANNELS if channel.at(person.name.host, ":") == where)
                self._answered(person, verb, channel, outcome == "1")
            case _:
                raise AssertionError(f"{person} hears {line}")

    def _refused(self, person: Person, asked: Asked) -> None:
        assert not self._is_due(person, asked), f"{person} is refused {asked}"
        if asked.message is not None:
            asked.message.fate = "refused"

    def _is_due(self, person: Person, asked: Asked) -> bool:
        """Whether it has to be granted."""
        return (
            asked.sure
            and asked.cuts == self.cuts(person.name.host, asked.target.host)
            and (asked in person.open or self.network.now - asked.since < SECONDS)
        )

    def _answered(self, person: Person, verb: str, channel: Name, yes: bool) -> None:
        asked, person.asked = person.asked, None
        if asked is None or asked[:2] != (verb, channel):  # after a cut somebody may not be let in again
            assert (verb, yes) == ("JOIN", False) and channel in person.doubtful, f"{person}: {verb} {channel} {yes}"
            person.asked = asked
            person.forget(channel)
        elif not yes:
            self._refused(person, asked)
        elif verb == "LEAVE":
            assert channel in person.members | person.doubtful, f"{person} leaves {channel}"
            person.forget(channel)
        else:
            assert not person.is_in(channel), f"{person} joins {channel}"
            person.doubtful.discard(channel)
            person.members.add(channel)
            self._begin_to_hear(person, channel)

    def _hear_in_channel(self, person: Person, message: Message, speaker: str, where: str) -> None:
        host, channel = person.name.host, message.target
        said = self.channels[channel]
        assert (speaker, where) == (message.speaker.at(host, "@"), channel.at(host, ":"))
        assert channel in person.members | person.doubtful, f"{person} is not in {channel} and hears {message}"
        if person.name == Name(WITNESS, channel.host):
            assert message not in said, f"{message} is there again"
            said.append(message)
        place = said.index(message)
        hearing = person.hearings.setdefault(channel, Hearing())
        assert hearing.least <= place, f"{person} hears {message} again or late"
        assert place <= hearing.must, f"{person} has missed what was before {message}"
        hearing.least = place + 1
        hearing.must = max(hearing.must, hearing.least)
        if person.name == message.speaker:
            self._came_back(person, message)

    def _came_back(self, person: Person, message: Message) -> None:
        assert message.fate == "" or self._is_halved(person, message), f"{person} has been told of {message} before"
        message.fate = "came back"
        if person.asked is not None and person.asked.message is message:
            person.asked = None
        for asked in [asked for asked in (*person.past, *person.open) if asked.message is message]:
            person.close(asked)

    def _is_halved(self, person: Person, message: Message) -> bool:
        """Whether a message may have gone over a cable that was lost and come back over another."""
        return message.target in CHANNELS and frozenset((person.name.host, message.target.host)) in self._halved

    def _hear_directly(self, person: Person, message: Message, speaker: str, other: str) -> None:
        host = person.name.host
        if person.name == message.speaker:
            assert (speaker, other) == (person.name.bare, message.target.at(host, "@"))
            assert person.asked and person.asked.message is message
            self._came_back(person, message)
        else:
            assert (speaker, other) == (message.speaker.at(host, "@"),) * 2
            assert person.name == message.target and not message.arrived
            message.arrived = True

    # ---- what happens to servers ----

    def carry(self, pair: Sequence[str], number: int, size: int) -> None:
        """Let some bytes arrive, one way on one of the cables between two servers."""
        ways = [(cable, host) for cable in self.network.live(frozenset(pair)) for host in cable.ends]
        if ways:
            self.network.carry(*ways[number % len(ways)], size)
            self.listen()

    def drain(self) -> None:
        """Let everything arrive, with what it brings about."""
        busy = True
        while busy:
            busy = False
            for cable in [*self.network.cables]:
                for host in cable.ends:
                    if cable in self.network.cables and self.network.carry(cable, host):
                        busy = True
                        self.listen()
        self.network.sure.update(filter(self.network.is_whole, self.network.pairs))
        self._miss_nothing(lambda person, channel: self.is_sure(person.name.host, channel.host))
        for person in self.people.values():
            asked = person.asked
            late = [one for one in person.open if self._must_have_come_back(person, one)]
            assert not late, f"{person} got no answer to {late}"
            assert asked is None or not self._is_due(person, asked), f"{person} got no answer to {asked}"

    def _must_have_come_back(self, person: Person, asked: Asked) -> bool:
        """A message that may have been on a cable that was lost is waited for; another one may bring it back."""
        lost_at = self.network.lost_at.get(frozenset((person.name.host, asked.target.host)), -LONG)
        is_doubtful = asked.since <= lost_at and self.network.now < lost_at + SECONDS
        return not is_doubtful and self.is_sure(person.name.host, asked.target.host)

    def let_pass(self, seconds: float) -> None:
        self.network.let_pass(seconds)
        self.listen()
        for person in self.people.values():
            asked = person.asked
            assert asked is None or self.network.now - asked.since < SECONDS, f"{person} got no answer to {asked}"

    def part(self, pair: Sequence[str], blind: int = 2) -> None:
        """Cut the cables between two servers. One of them may not see it: 0 or 1."""
        self.network.part(frozenset(pair), (*pair, "")[blind])
        self.listen()

    def cut(self, pair: Sequence[str], number: int, blind: int) -> None:
        """Lose a cable between two servers."""
        cables = self.network.live(frozenset(pair))
        if cables:
            self._halved.add(frozenset(pair))
            self.network.cut(cables[number % len(cables)], (*pair, "")[blind])
            self.listen()

    def heal(self, pair: Sequence[str]) -> None:
        self.network.apart.discard(frozenset(pair))

    def notice(self) -> None:
        self.network.notice()
        self.listen()

    def restart(self, host: str, empty: bool, unnoticed: bool) -> None:
        """Kill a server and start it, with its database or with none; the others may not see that it was away."""
        store = self.network.new_store() if empty else self.network.worlds[host].store
        self.network.restart(host, store, unnoticed=unnoticed)
        for name, person in self.people.items():
            if name.host == host and person.client is not None:
                self._gone(person)
        if empty:
            self._lose_database(host)
        self._loosen()
        self.log(Name(WITNESS, host))

    def _lose_database(self, host: str) -> None:
        for name in PEOPLE:
            if name.host == host:
                self.people[name] = Person(name)
                self.registered.discard(name)
        for channel in [channel for channel in self.channels if channel.host == host]:
            del self.channels[channel]
            for person in self.people.values():
                person.hearings.pop(channel, None)
                if channel in person.members:
                    person.doubtful.add(channel)
        for message in self.messages.values():
            message.fate = message.fate if message.target.host != host else "lost"

    # ---- the end ----

    def finish(self) -> None:
        """All is mended: servers agree on who is where, and a message to each channel reaches who is there."""
        self.drain()
        self.network.apart.clear()
        self.notice()
        for _ in range(3):
            self.let_pass(LONG)
            self.drain()
        assert self.network.sure == self.network.pairs
        for person in self.people.values():
            if person.client is None:
                self.log(person.name)
            self._resolve(person)
            self.see_channels(person)
        self.drain()
        for channel in self.channels:
            self._agree(channel)
            self.say(Name(WITNESS, channel.host), channel)
        self.drain()
        for message in self.messages.values():
            if message.target not in CHANNELS and message.fate == "came back":
                assert message.arrived, f"{message} never came"

    def _resolve(self, person: Person) -> None:
        """See what became of the memberships of which the user was told nothing."""
        host = person.name.host
        account = self.network.worlds[host].chat.users.accounts[person.name.bare]
        for channel in person.doubtful:
            if channel.at(host, ":") in account.channels:
                assert channel in self.channels, f"{person} is still in {channel}, which is gone"
                person.members.add(channel)
            else:
                person.members.discard(channel)
        person.doubtful.clear()

    def see_channels(self, person: Person) -> None:
        """The channels of servers that are linked are listed, and no others."""
        host = person.name.host
        near = [channel for channel in self.channels if self.is_sure(host, channel.host)]
        names = ", ".join(sorted(channel.at(host, ":") for channel in near))
        assert person.client is not None
        assert person.client.ask("CHANNELS") == [f"RESULT CHANNELS {names}".rstrip()]

    def _agree(self, channel: Name) -> None:
        witness = self.people[Name(WITNESS, channel.host)].client
        assert witness is not None
        members = [name.at(channel.host, "@") for name, person in self.people.items() if channel in person.members]
        assert witness.ask(f"USERS {channel.bare}") == [f"RESULT USERS {channel.bare} {', '.join(sorted(members))}"]


# ---- whatever happens ----


class Step(NamedTuple):
    """What is done in a play, and with what."""

    do: Callable[..., None]
    words: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"play.{self.do.__name__}{self.words!r}"


def steps(do: Callable[..., None], *words: Sequence[Any]) -> list[Step]:
    return [Step(do, chosen) for chosen in itertools.product(*words)]


PAIRS = [("a", "b"), ("b", "c"), ("a", "c")]
USERS = [name for name in PEOPLE if name.bare != WITNESS]
NOBODY = [Name("nobody", host) for host in HOSTS]
LIFE = [
    *[steps(Play.say, USERS, CHANNELS)] * 5,
    *[steps(Play.say, [Name(WITNESS, channel.host)], [channel]) for channel in CHANNELS],
    *[steps(Play.join, USERS, CHANNELS)] * 4,
    *[steps(Play.leave, USERS, CHANNELS)] * 2,
    *[steps(Play.tell, USERS, [*USERS, *NOBODY])] * 2,
    steps(Play.log, USERS),
    steps(Play.create, CHANNELS),
    *[steps(Play.carry, PAIRS, range(4), (1, 20, 50, 1000))] * 10,
    *[steps(Play.drain)] * 2,
    *[steps(Play.let_pass, (1.0, 5.0, LONG))] * 2,
    steps(Play.heal, PAIRS),
]
PARTITIONS = [*LIFE, steps(Play.part, PAIRS), steps(Play.restart, HOSTS, (False, True), (False,))]
"""Two servers lose sight of each other, and both see it."""

LOSSES = [
    *LIFE,
    steps(Play.part, PAIRS, range(3)),
    steps(Play.cut, PAIRS, range(2), range(3)),
    steps(Play.notice),
    steps(Play.restart, HOSTS, (False, True), (False, True)),
]
"""One of two may take a lost cable for one that is there, or they may lose one of two."""


@st.composite
def a_step(draw: st.DrawFn, kinds: Sequence[list[Step]]) -> Step:
    kind = draw(st.sampled_from(kinds))
    step: Step = draw(st.sampled_from(kind))
    return step


def steps_of(kinds: Sequence[list[Step]]) -> st.SearchStrategy[list[Step]]:
    """Draw about forty steps, nested in little, so that Hypothesis can leave out any of them."""
    return st.tuples(*[st.lists(a_step(kinds))] * 8).map(lambda lists: [*itertools.chain(*lists)])


@st.composite
def topologies(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw who lists whom in a chain or a ring: the one the other, the other the one, or both."""
    pairs = draw(st.sampled_from([PAIRS[:2], PAIRS]))
    return [dial for one, other in pairs for dial in draw(st.sampled_from(dials_of(one, other)))]


def dials_of(one: str, other: str) -> list[list[tuple[str, str]]]:
    return [[(one, other)], [(other, one)], [(one, other), (other, one)]]


@contextlib.contextmanager
def playing(dials: Sequence[tuple[str, str]]) -> Iterator[Play]:
    """Begin where there is something to lose: everybody is there, and amy is in each server's channel."""
    with contextlib.closing(Play(dials)) as play:
        play.network.answer_dials()
        for channel in TEA.values():
            play.create(channel)
        for name in USERS:
            play.log(name)
        play.drain()
        for host, channel in itertools.product(HOSTS, TEA.values()):
            play.join(Name("amy", host), channel)
            play.drain()
        yield play
        play.finish()


@EXAMPLES
@given(topologies(), steps_of(PARTITIONS))
def test_partitions(dials: list[tuple[str, str]], taken: list[Step]) -> None:
    with playing(dials) as play:
        for step in taken:
            step.do(play, *step.words)


@EXAMPLES
@given(topologies(), steps_of(LOSSES))
def test_losses_that_only_one_sees_or_of_one_cable_of_two(dials: list[tuple[str, str]], taken: list[Step]) -> None:
    with playing(dials) as play:
        for step in taken:
            step.do(play, *step.words)


# ---- what is worst ----

BC = ("b", "c")
AMY, BOB, EVE = (Name(bare, host) for bare, host in (("amy", "b"), ("bob", "c"), (WITNESS, "c")))
"""amy, at b, is in the channel of c, where eve and bob are."""

DEN = Name("den", "c")
"""A channel that is not there yet."""

ONE = [BC]
BOTH = [BC, ("c", "b")]
b_and_c_are_linked = pytest.mark.parametrize("dials", [ONE, BOTH], ids=["one link", "two links"])


def arrive(play: Play, *hosts: str) -> None:
    """Let what is on its way to these servers come there, but not what it brings about."""
    for host in hosts:
        for cable in play.network.live(frozenset(BC)):
            play.network.carry(cable, host)
        play.listen()


def leave_and_join(play: Play) -> None:
    """Have amy on her way into a channel that was there all the time."""
    play.leave(AMY, TEA["c"])
    play.drain()
    play.join(AMY, TEA["c"])


@b_and_c_are_linked
@pytest.mark.parametrize("blind", range(3))
def test_a_cut_between_fedjoin_and_its_answer(dials: list[tuple[str, str]], blind: int) -> None:
    with playing(dials) as play:
        leave_and_join(play)
        arrive(play, "c")
        play.part(BC, blind)


def test_a_join_that_is_granted_too_late() -> None:
    with playing(ONE) as play:
        leave_and_join(play)
        arrive(play, "c")
        play.let_pass(SECONDS)


def test_a_direct_message_that_is_answered_too_late() -> None:
    with playing(ONE) as play:
        play.tell(AMY, BOB)
        play.let_pass(SECONDS)
        assert play.messages["m0"].fate == "refused"


def test_the_channels_of_a_lost_server_are_not_listed() -> None:
    with playing(BOTH) as play:
        for _ in range(2):
            play.see_channels(play.people[AMY])
            play.part(BC)


@pytest.mark.parametrize("lost", range(2))
@pytest.mark.parametrize("arrived", range(2))
def test_a_join_on_one_of_two_links_that_is_lost(lost: int, arrived: int) -> None:
    with playing(BOTH) as play:
        leave_and_join(play)
        arrive(play, *"c"[:arrived])
        play.cut(BC, lost, 2)
        play.drain()
        assert play.people[AMY].is_in(TEA["c"])


@b_and_c_are_linked
def test_a_message_right_behind_the_answer_to_a_join(dials: list[tuple[str, str]]) -> None:
    with playing(dials) as play:
        leave_and_join(play)
        arrive(play, "c")
        play.say(EVE, TEA["c"])
        arrive(play, "b")
        assert play.people[AMY].hearings[TEA["c"]].least == 1


def test_messages_before_and_after_a_second_link_comes_up() -> None:
    """They go one way, or the second could overtake the first."""
    with playing(BOTH) as play:
        play.cut(BC, 0, 2)
        play.drain()
        play.say(EVE, TEA["c"])
        play.say(AMY, TEA["c"])
        (old,) = play.network.live(frozenset(BC))
        play.let_pass(1.0)
        (new,) = (cable for cable in play.network.live(frozenset(BC)) if cable is not old)
        for host in BC * 3:
            play.network.carry(new, host)
        play.say(EVE, TEA["c"])
        play.say(AMY, TEA["c"])
        for cable, host in itertools.product((new, old), BC * 2):
            play.network.carry(cable, host)
            play.listen()


def test_a_message_to_a_channel_that_is_gone() -> None:
    with playing(ONE) as play:
        play.restart("c", True, False)
        play.let_pass(1.0)
        arrive(play, "c", "b")
        play.say(AMY, TEA["c"])
        play.drain()
        assert play.messages["m0"].fate == "refused"


@b_and_c_are_linked
def test_a_leave_that_crosses_a_message_and_a_join_behind_it(dials: list[tuple[str, str]]) -> None:
    with playing(dials) as play:
        play.say(EVE, TEA["c"])
        play.leave(AMY, TEA["c"])
        play.say(EVE, TEA["c"])
        play.join(AMY, TEA["c"])
        play.say(EVE, TEA["c"])
        arrive(play, "b", "c")
        play.say(EVE, TEA["c"])


@b_and_c_are_linked
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("host", BC)
def test_a_restart_that_is_seen_when_the_new_link_is_up(dials: list[tuple[str, str]], host: str, empty: bool) -> None:
    with playing(dials) as play:
        play.restart(host, empty, True)
        play.say(AMY, TEA["c"])
        for _ in range(3):
            play.let_pass(1.0)
            arrive(play, *BC, *BC)
        play.say(EVE, TEA["c"]) if TEA["c"] in play.channels else play.create(TEA["c"])
        play.notice()


@pytest.mark.parametrize("blind", range(3))
def test_a_leave_that_is_lost(blind: int) -> None:
    """Who does not see that the link was away has the member still."""
    with playing(ONE) as play:
        play.leave(AMY, TEA["c"])
        play.part(BC, blind)
        play.heal(BC)
        play.let_pass(1.0)
        play.drain()


@pytest.mark.parametrize("lost", range(2))
def test_a_leave_that_is_lost_with_one_of_two_links(lost: int) -> None:
    with playing(BOTH) as play:
        play.leave(AMY, TEA["c"])
        play.cut(BC, lost, 2)


@pytest.mark.parametrize("lost", range(2))
@pytest.mark.parametrize("arrived", range(3))
def test_a_message_on_one_of_two_links_that_is_lost(lost: int, arrived: int) -> None:
    """It comes back, or it is told that it has not, and the next one has an answer of its own."""
    with playing(BOTH) as play:
        play.say(AMY, TEA["c"])
        arrive(play, *("c", "b")[:arrived])
        play.cut(BC, lost, 2)
        play.say(AMY, TEA["c"])
        play.drain()
        play.part(BC)


def test_who_is_not_let_in_by_the_own_server_hears_nothing() -> None:
    """The other server has granted the JOIN, and what is said there is on its way."""
    with World(Limits(channels_per_user=0)) as world:
        peer, amy = world.peer("c"), world.user("amy")
        amy.send("JOIN tea:c")
        assert peer.heard() == ["FEDJOIN amy@127.0.0.1 tea"]
        peer.send("FEDRESULT amy JOIN tea:c 1\nFEDRECV amy eve@c tea hello")
        assert amy.heard() == ["RESULT JOIN tea:c 0"]
        assert peer.heard() == ["FEDLEAVE amy@127.0.0.1 tea"]
