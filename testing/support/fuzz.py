"""Clients of every dialect in one `World`, and what Hypothesis has them send."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

import federation
from commands import Command
from dialects import hello, mailbox, result, rooms
from dialects.irc import commands as irc
from dialects.operator import table as operator
from protocol import Session
from settings import Settings
from support.examples import pieces
from support.world import Client, FakeTransport, World

CHANNELS = {"tea": 5, "garden": 5, "shed": 6}
"""Channels with ports of their own."""

SETTINGS = Settings(hostname="server.com", federation="open")


def _auto(world: World) -> Client:
    return world.client()


def _result(world: World) -> Client:
    client = world.client()
    client.ask("REGISTER alice pw", "LOGIN alice pw", "CREATE pond", "JOIN pond", "JOIN tea")
    return client


def _hello(world: World) -> Client:
    client = world.client()
    client.ask("HELLO-FROM zoe")
    return client


def _rooms(world: World) -> Client:
    return world.room_guest("tea", "gil")


def _files(world: World) -> Client:
    return world.room_guest("tea", "/files fay")


def _mailbox(world: World) -> Client:
    client = world.mailbox_client()
    client.ask("1|mason")
    return client


def _irc(world: World) -> Client:
    client = world.client()
    client.ask("NICK ivy", "USER ivy 0 * :Ivy", "JOIN #tea", "JOIN #pond")
    return client


def _peer(world: World) -> Client:
    client = world.client()
    client.ask("FEDERATE-OUT peer.com", "FEDCHANNELS lake", "FEDJOIN bob@peer.com tea")
    return client


def _caller(world: World) -> Client:
    return world.caller()


def _console(world: World) -> Client:
    return Client(world, world.screen, world.node.operator)


def _control(world: World) -> Client:
    transport = FakeTransport(world.soon)
    transport.owner = Session(transport, world.node.control)
    return Client(world, transport, transport.owner)


class Party(NamedTuple):
    """A kind of client.

    Attributes:
        come: brings a new one in.
        usages: of the commands of its dialect.
        shows: control characters that its dialect passes on, as a character class; a terminal shows none of them.
    """

    come: Callable[[World], Client]
    usages: tuple[str, ...]
    shows: str = ""


IRC_FORMATS = "\x01-\x04\x0f\x11\x16\x1d-\x1f"
"""CTCP, colours and the like, which IRC passes on to its own clients."""

OPENINGS = ("GET / HTTP/1.1", "\x16\x03\x01", "PASS x", "NICK ivy2", "HELLO-FROM <name>", "FEDERATE-OUT <server>")


def usages(*tables: Mapping[str, Command]) -> tuple[str, ...]:
    """The forms of the commands of some tables."""
    return tuple(command.usage for table in tables for command in table.values())


PARTIES: Mapping[str, Party] = {
    "auto": Party(_auto, (*OPENINGS, *usages(result.COMMANDS)), IRC_FORMATS),
    "result": Party(_result, usages(result.COMMANDS)),
    "hello": Party(_hello, usages(hello.COMMANDS)),
    "rooms": Party(_rooms, (*usages(rooms.COMMANDS), "<text>")),
    "files": Party(_files, (*usages(rooms.COMMANDS, rooms.FILE_COMMANDS), "/send gil <path> 5", "/ready 1")),
    "mailbox": Party(_mailbox, usages(mailbox.COMMANDS)),
    "irc": Party(_irc, usages(irc.COMMANDS), IRC_FORMATS),
    "link": Party(_peer, usages(federation.COMMANDS)),
    "caller": Party(_caller, usages(federation.COMMANDS)),
    "console": Party(_console, usages(operator.ALL)),
    "control": Party(_control, usages(operator.ALL)),
}

USERS = (
    "alice",
    "bob",
    "zoe",
    "gil",
    "fay",
    "mason",
    "ivy",
    "bob@peer.com",
    "alice@server.com",
    "tea:gil",
    "*",
    "nobody",
)
PLACES = (
    "tea",
    "garden",
    "pond",
    "lake",
    "lake:peer.com",
    "tea:server.com",
    "#tea",
    "#pond",
    "#lake:peer.com",
    "new",
    "#new",
)
NUMBERS = ("1", "2", "0", "-1", "7d", "99999999999999999999", "x")
WORDS = (
    "alice", "bob", "zoe", "gil", "fay", "mason", "ivy", "@alice", "@zoe", "bob@peer.com", "alice@server.com",
    "peer.com", "tea", "garden", "pond", "lake", "lake:peer.com", "tea:server.com", "#tea", "#pond", "#lake:peer.com",
    "tea:gil", "&", "*", "mason123", "pw", "hi", ":hello there", "1", "0", "-1", "2", "99999999999999999999", "7d",
    "+o", "-b", "+k-l", "*!*@*", "192.0.2.0/24", "::1", "LS", "REQ", "END", "PLAIN", "AGFsaWNlAHB3", "LATEST",
    "BEFORE", "msgid=1", "timestamp=2026-01-01T00:00:00.000Z", "\x01ACTION waves\x01", "private", "before", "after",
    "on", "off", "\u674e", "e\u0301", "\u202e", "\x1b[2J", "a,b", "a|b", "\ufeff", "\udc80", "@+draft/reply=1",
    "@label=x", "=", "%s{}",
    "x" * 70, "x" * 9000,
)  # fmt: skip

POOLS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("user", "name", "nick", "target", "account", "touser", "fromuser", "channel|user"), USERS),
    **dict.fromkeys(("channel", "target"), PLACES),
    **dict.fromkeys(("number", "id", "count", "seconds", "size", "time"), (*NUMBERS, "mason123")),
    **dict.fromkeys(("host", "server", "hostname"), ("peer.com", "server.com", "192.0.2.0/24", "127.0.0.1")),
}
"""What may stand for a word of a usage; anything for the others."""


def filled(draw: st.DrawFn, usage: str) -> str:
    """Put words into the form of a command, and leave out some of what may be left out."""
    text = re.sub(r"\[([^\]]*)\]?", lambda found: found[1] if draw(st.booleans()) else "", usage)
    text = re.sub(
        r"\b[A-Za-z]+(?:\|[A-Za-z]+)+(?!\|?>)", lambda found: draw(st.sampled_from(found[0].split("|"))), text
    )
    return re.sub(r"<([^>]+)>", lambda found: draw(st.sampled_from(POOLS.get(found[1], WORDS))), text)


@st.composite
def lines(draw: st.DrawFn, usages: tuple[str, ...]) -> bytes:
    """Draw a line: a command as it should be, most often, or with something else behind or between its words."""
    text = filled(draw, draw(st.sampled_from(usages)))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        text = f"{text} {draw(st.sampled_from(WORDS))}{draw(st.text(max_size=8))}"
    elif kind == 1:
        text = text.replace(" ", draw(st.sampled_from(("  ", "\t", "|", ",", " :", ""))))
    elif kind == 2:
        text = draw(st.sampled_from(WORDS)) + text[draw(st.integers(0, 3)) :]
    end = draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r\n", b"", b"\n\n")))
    return text.encode(errors="surrogateescape" if draw(st.booleans()) else "replace") + end


class Step(NamedTuple):
    """A party sends bytes in pieces, half-closes, or goes; or time passes."""

    party: str
    data: bytes = b""
    cuts: tuple[int, ...] = ()
    ends: bool = False
    goes: bool = False
    seconds: float = 0.0


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw a step."""
    party = draw(st.sampled_from([*PARTIES]))
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return Step(party, goes=True)
    if kind == 1:
        return Step(party, ends=True)
    if kind == 2:
        return Step(party, seconds=draw(st.sampled_from((0.1, 5.0, 60.0, 200.0))))
    if kind == 3:
        return Step(party, draw(st.binary(max_size=300)))
    whole = b"".join(draw(st.lists(lines(PARTIES[party].usages), min_size=1, max_size=4)))
    return Step(party, whole, tuple(draw(st.lists(st.integers(0, 2000), max_size=3))))


class Errors(logging.Handler):
    """Collects what the server logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Fuzzed:
    """A server in memory with one client of each party, and what must hold whatever they send."""

    def __init__(self) -> None:
        self.errors = Errors()
        logging.getLogger("crosstalk").addHandler(self.errors)
        self.world = World(settings=SETTINGS, channels=CHANNELS)
        self.clients = {name: party.come(self.world) for name, party in PARTIES.items()}
        self.take()

    def play(self, step: Step) -> None:
        """Play a step, and check what everybody has been told since."""
        world, client = self.world, self.clients[step.party]
        if step.seconds:
            world.let_pass(step.seconds)
        elif step.party != "console":
            if step.goes:
                client.leave()
            elif step.ends:
                client.session.ended()
        for piece in pieces(step.data, step.cuts):
            client.session.received(piece)
        world.settle()
        self.take()
        if client.session.over or client.transport.finished or client.transport.refused or step.goes or step.ends:
            if not client.session.over:
                client.leave()
            world.settle()
            self.clients[step.party] = PARTIES[step.party].come(world)
            self.take()

    def take(self) -> None:
        """Check that what was sent is whole lines of UTF-8 without control characters."""
        self.world.settle()
        for name, client in self.clients.items():
            data = client.transport.take()
            text = data.decode()
            assert not text or text.endswith("\n"), (name, data)
            shown = re.sub(f"[\n\r\t{PARTIES[name].shows}]", "", text)
            found = re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", shown)
            assert found is None, (name, data)

    def check(self) -> None:
        """Check that everybody is served as before."""
        assert self.errors.lines == []
        assert self.world.client().ask("PING") == ["RESULT PING 1"]

    def close(self) -> None:
        logging.getLogger("crosstalk").removeHandler(self.errors)
        self.world.close()
