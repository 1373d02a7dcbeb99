"""The tables of docs/meeting.md, row by row: clients of every kind at a server in a process."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from dialects.mailbox import GREETING
from harness.peer import Peer
from harness.processes import ROOT
from harness.servers import ServerProcess, free_ports

CHANNEL = "lobby"
KINDS = ("result", "hello", "room guest", "mailbox", "irc")
NOTHING = "-"
SENDER, FAILURE = "its sender sees", "and where - stands"
AT_LOGIN, AT_COLLECT, AT_WELCOME = "result, at the next LOGIN", "mailbox, at 4|<id>", "irc, after the welcome"

# ---- the tables ----


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table, as they are shown."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def plain(cell: str) -> str:
    """A cell without its backquotes."""
    return cell.replace("`", "")


class Row(NamedTuple):
    """What a client of some kind sends, and what comes of it, by the heads of the columns."""

    line: str
    kind: str
    seen: Mapping[str, str]

    @property
    def to_channel(self) -> bool:
        """Whether the line is for all in a channel, and not for one user."""
        return "<to>" not in self.line


def read_tables(path: Path) -> tuple[list[Row], list[Row]]:
    """The two tables, of those who are there and of those who are away."""
    sections = re.findall(r"^## Who meets whom\n(.*?)(?=^## |\Z)", path.read_text(encoding="utf-8"), re.M | re.S)
    tables: list[list[Row]] = []
    head: list[str] = []
    for line in "".join(sections).split("\n"):
        if not line.startswith("|"):
            head = []
        elif not head:
            head = [plain(cell) for cell in cells(line)]
            tables.append([])
        elif not re.fullmatch(r"[| -]+", line):
            what, *rest = cells(line)
            sent, kind = what.rsplit(" by ", 1)
            tables[-1].append(Row(plain(sent), plain(kind), dict(zip(head[1:], map(plain, rest), strict=True))))
    there, away = tables or ([], [])
    return there, away


THERE, AWAY = read_tables(ROOT / "docs" / "meeting.md")


def name_of(row: Row) -> str:
    return f"{row.kind}: {row.line}"


def test_the_tables_say_what_each_kind_can_send() -> None:
    ways = [
        ("SAY <channel> <text>", "result"),
        ("<text>", "room guest"),
        ("SAY @<to> <text>", "result"),
        ("SEND <to> <text>", "hello"),
        ("/whisper <to> <text>", "room guest"),
        ("3|<to>|<text>", "mailbox"),
        ("PRIVMSG #<channel> :<text>", "irc"),
        ("PRIVMSG <to> :<text>", "irc"),
        ("PRIVMSG <to> :<text>", "irc guest"),
    ]
    assert [(row.line, row.kind) for row in THERE] == ways
    assert [(row.line, row.kind) for row in AWAY] == ways
    assert {tuple(row.seen) for row in THERE} == {(*KINDS, SENDER, FAILURE)}
    assert {tuple(row.seen) for row in AWAY} == {(AT_LOGIN, AT_COLLECT, AT_WELCOME, SENDER)}


# ---- the people ----


class Person:
    """A client of some kind, and a request of that kind whose last line of answer is known: what had to come before
    must have come before it.

    Args:
        kind: one of KINDS, or `irc guest`; `irc` has an account.
        name: whoever it is.
        peer: is at the right port, and has read nothing yet.
    """

    def __init__(self, kind: str, name: str, peer: Peer) -> None:
        self.kind = kind
        self.name = name
        self.peer = peer
        self._barrier, self._end = BARRIERS[kind]
        self._enter: Mapping[str, Callable[[], None]] = {
            "result": self._register,
            "hello": lambda: self.expect(f"HELLO-FROM {name}", f"HELLO {name}"),
            "room guest": lambda: self.peer.send(name),
            "mailbox": self._open,
            "irc": lambda: self._join("REGISTER * * secret"),
            "irc guest": self._join,
        }

    def come(self) -> Person:
        """Log in; into the channel, too, if the kind has any."""
        self._enter[self.kind]()
        self.hears()
        return self

    def _register(self) -> None:
        self.expect(f"REGISTER {self.name} secret", "RESULT REGISTER 1")
        self.expect(f"LOGIN {self.name} secret", "RESULT LOGIN 1")
        self.expect(f"JOIN {CHANNEL}", f"RESULT JOIN {CHANNEL} 1")

    def _open(self) -> None:
        assert self.peer.line() == GREETING
        self.expect(f"1|{self.name}", f"Success New Account Creation! Your new Account ID: {self.name}123")

    def _join(self, *lines: str) -> None:
        self.peer.send(f"NICK {self.name}", f"USER {self.name} 0 * :{self.name}", *lines, f"JOIN #{CHANNEL}")

    def leave(self) -> None:
        """End the connection; who was logged in is away when this returns."""
        self.peer.socket.shutdown(socket.SHUT_WR)
        assert self.peer.rest() == b""
        self.peer.close()

    def expect(self, line: str, *answers: str) -> None:
        """Send a line; these answers must come."""
        self.peer.send(line)
        assert [self.peer.line() for _answer in answers] == list(answers)

    def hears(self, line: str = "") -> list[str]:
        """What has come since the last time, the answers to a line included, if one is given."""
        self.peer.send(*[line] if line else [], self._barrier)
        heard: list[str] = []
        while not re.fullmatch(self._end, last := self.peer.line().removesuffix("\r")):
            assert last, f"{self.name} was closed after {heard}"
            heard.append(last)
        return [line for line in heard if not line.startswith("[Channel] ")]


BARRIERS: Mapping[str, tuple[str, str]] = {
    "result": ("PING", "RESULT PING 1"),
    "hello": ("LIST", r"LIST-OK .*"),
    "room guest": ("/list", r"\[Channel\] cellar .*"),
    "mailbox": ("2|no one", "Account matched to: no one doesn't exist"),
    "irc": ("PING heard", r":\S+ PONG \S+ :heard"),
    "irc guest": ("PING heard", r":\S+ PONG \S+ :heard"),
}


class Company:
    """A server, and somebody of each kind who listens. Three accounts are away: two members of the channel, by
    `result` and `irc`, and one with an ID.

    Args:
        directory: the server's.
        exit_stack: ends what is begun here.
    """

    def __init__(self, directory: Path, exit_stack: ExitStack) -> None:
        self._exit_stack = exit_stack
        self.numbers = count()
        ports = free_ports(4)
        self._ports = dict(zip(("mailbox", CHANNEL, "attic", "cellar"), ports, strict=True))
        channels = [f"channel {name} {self._ports[name]} 50" for name in (CHANNEL, "attic", "cellar")]
        self.server = exit_stack.enter_context(
            ServerProcess(directory, "database :memory:", f"listen {self._ports['mailbox']} mailbox", *channels)
        )
        self.listeners = {kind: self.person(kind, f"listening-{kind.split()[0]}") for kind in KINDS}
        self.away = {AT_LOGIN: "away-result", AT_COLLECT: "away-mailbox", AT_WELCOME: "away-irc"}
        for column, name in self.away.items():
            self.person(column.split(",")[0], name).leave()

    def peer(self, kind: str) -> Peer:
        """A connection to the port where this kind of client comes in."""
        ports = {"mailbox": self._ports["mailbox"], "room guest": self._ports[CHANNEL]}
        return self._exit_stack.enter_context(Peer(ports.get(kind, self.server.port)))

    def person(self, kind: str, name: str) -> Person:
        return Person(kind, name, self.peer(kind)).come()

    def listen(self) -> dict[str, list[str]]:
        """What each kind has heard since the last time, by the heads of the columns."""
        return {kind: listener.hears() for kind, listener in self.listeners.items()}

    def comes_back(self, column: str) -> list[str]:
        """What an account that was away finds, until it is away again."""
        kind = column.split(",")[0]
        person = Person(kind, self.away[column], self.peer(kind))
        found = FINDINGS[column](person)
        person.leave()
        return found


def log_in(person: Person) -> list[str]:
    login, *found = person.hears(f"LOGIN {person.name} secret")
    assert login == "RESULT LOGIN 1"
    return found


def collect(person: Person) -> list[str]:
    greeting, login = person.hears(f"0|{person.name}123")
    assert (greeting, login) == (GREETING, f"user : {person.name} is now logged in")
    head, *found = person.hears(f"4|{person.name}123")
    assert head == (f"undelivered message for user ID {person.name}123:" if found else "No new messages")
    return found


def be_welcomed(person: Person) -> list[str]:
    person.peer.send(f"PASS {person.name}:secret", f"NICK {person.name}", f"USER {person.name} 0 * :{person.name}")
    came = person.hears()
    assert f":{person.name}!{person.name}@account JOIN #{CHANNEL}" in came, "it is a member still"
    return [line for line in came if " PRIVMSG " in line]


FINDINGS: Mapping[str, Callable[[Person], list[str]]] = {
    AT_LOGIN: log_in,
    AT_COLLECT: collect,
    AT_WELCOME: be_welcomed,
}


def expected(cell: str, values: Mapping[str, str]) -> list[str]:
    """The lines that a cell stands for, as regular expressions."""
    if cell == NOTHING:
        return []
    expression = re.escape(cell).replace("<time>", r"\d\d:\d\d:\d\d")
    expression = expression.replace("<prefix>", r"<from>!\S+@\S+").replace("<hostname>", "crosstalk")
    for name, value in values.items():
        expression = expression.replace(f"<{name}>", re.escape(value))
    return [expression]


def fill(line: str, values: Mapping[str, str]) -> str:
    """A line with its placeholders filled in."""
    for name, value in values.items():
        line = line.replace(f"<{name}>", value)
    return line


def check(heard: list[str], cell: str, values: Mapping[str, str]) -> None:
    """What was heard is what the cell says."""
    expressions = expected(cell, values)
    assert len(heard) == len(expressions), (heard, expressions)
    for line, expression in zip(heard, expressions, strict=True):
        assert re.fullmatch(expression, line)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with ExitStack() as exit_stack:
        yield Company(tmp_path_factory.mktemp("everyone"), exit_stack)


@pytest.fixture
def sender(company: Company, row: Row) -> Iterator[Person]:
    """A newcomer of the kind that the row names, whose coming has been heard by all."""
    person = company.person(row.kind, f"sender-{next(company.numbers)}")
    company.listen()
    yield person
    person.leave()


# ---- row by row ----


@pytest.mark.parametrize("row", THERE, ids=name_of)
def test_each_hears_what_the_table_says(company: Company, row: Row, sender: Person) -> None:
    values = {"from": sender.name, "channel": CHANNEL, "text": "shall we meet?"}
    if row.to_channel:
        check(sender.hears(fill(row.line, values)), row.seen[SENDER], values)
        for kind, heard in company.listen().items():
            check(heard, row.seen[kind], values)
        return
    for kind in KINDS:
        values["to"] = company.listeners[kind].name
        cell = row.seen[kind]
        check(sender.hears(fill(row.line, values)), row.seen[FAILURE if cell == NOTHING else SENDER], values)
        for other, heard in company.listen().items():
            check(heard, cell if other == kind else NOTHING, values)


@pytest.mark.parametrize("row", [row for row in THERE if not row.to_channel], ids=name_of)
def test_a_message_to_nobody_fails_as_the_table_says(company: Company, row: Row, sender: Person) -> None:
    values = {"from": sender.name, "to": "nobody", "text": "is anybody there?"}
    check(sender.hears(fill(row.line, values)), row.seen[FAILURE], values)
    assert not any(company.listen().values())


@pytest.mark.parametrize("row", AWAY, ids=name_of)
def test_who_was_away_finds_what_the_table_says(company: Company, row: Row, sender: Person) -> None:
    for column, name in company.away.items():
        values = {"from": sender.name, "channel": CHANNEL, "to": name, "text": "shall we meet tomorrow?"}
        check(sender.hears(fill(row.line, values)), row.seen[SENDER], values)
        heard = company.listen()
        if not row.to_channel:
            assert not any(heard.values())
        check(company.comes_back(column), row.seen[column], values)


def test_everyone_is_there_for_everyone(company: Company) -> None:
    guest = company.listeners["hello"]
    guest.expect("LIST", "LIST-OK listening-result,listening-hello,listening-mailbox,listening-irc")
