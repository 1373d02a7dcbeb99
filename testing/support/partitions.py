"""What users of three linked servers may and must hear while cables are cut: the rules of federation.

The rules are written from PROTOCOL.md.

Where a cable is cut, nobody can know what has become of the lines on it. So the rules say of each line whether a
user may hear it then and there. Of each quiet moment they say what must have been heard by then.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from support.cables import HOSTS, LONG, SECONDS, Name, Network
from support.world import Client


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
