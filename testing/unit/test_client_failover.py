"""The client with several servers, of which one answers: they are killed, started elsewhere, and frozen."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.servers import ServerProcess, free_ports
from support.clients import SECONDS, FakeServer, OnTerminal, Piped


class Pair:
    """Two ports, at one of which a server listens; both use the same database."""

    def __init__(self, directory: Path, dialect: str) -> None:
        self.directory = directory
        self.dialect = dialect
        self.ports = free_ports(6)
        self.server: ServerProcess | None = None

    @property
    def words(self) -> str:
        return ",".join(map(str, self.ports[:2]))

    def start(self, number: int) -> ServerProcess:
        """Kill the server, if there is one, and start one at the port with this number."""
        self.close()
        lines = [f"listen {self.ports[number]} {self.dialect}"]
        if self.dialect == "rooms":
            rooms = (self.ports[number], *self.ports[2:4]) if number == 0 else (self.ports[number], *self.ports[4:6])
            lines = [f"channel {name} {port} 5" for name, port in zip(("lobby", "den", "attic"), rooms, strict=True)]
        lines += ["database shared.db", "log-level debug"]
        self.server = ServerProcess(self.directory, *lines, port=None)
        return self.server

    def close(self) -> None:
        if self.server:
            self.server.close()


class Talk(NamedTuple):
    """What is typed in a dialect, and what comes: at the beginning, after a failover, and while a server is frozen."""

    dialect: str
    words: tuple[str, ...]
    begin: str
    begun: str
    go_on: str
    went_on: str
    told: str


TALKS = [
    Talk("result", (), "REGISTER ann x\nLOGIN ann x\nCREATE a\nJOIN a\nSAY a one\n", "RECV ann a one\n",
         "SAY a two\n", "RECV ann a two\n", "SAY a two"),
    Talk("mailbox", (), "1|ann\n", "Account ID: ann123\n", "3|ann|two\n", "Sender ann sends a new message two to ann\n",
         "3|ann|two"),
    Talk("hello", ("--dialect", "hello", "--name", "ann"), "@ann one\n", "The message to ann was sent successfully.\n",
         "@ann two\n", "From ann: two\nThe message to ann was sent successfully.\n", "SEND ann two"),
    Talk("rooms", ("ann",), "one\n", "] one\n", "two\n", "] two\n", "two"),
]  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    with contextlib.closing(Pair(tmp_path, request.param.dialect)) as made:
        yield made


def wait_for_unread(port: int) -> None:
    """Wait until a server at this port, which is frozen, has received something from a connected client."""
    until = time.monotonic() + SECONDS
    while not unread(port):
        assert time.monotonic() < until, "the client has sent nothing"
        time.sleep(0.01)


def unread(port: int) -> int:
    """Return the bytes that wait in the kernel for the owner of the connections at this port."""
    rows = [row.split() for family in ("tcp", "tcp6") for row in Path("/proc/net", family).read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01")


@pytest.mark.parametrize(("pair", "talk"), [(talk, talk) for talk in TALKS], indirect=["pair"])
def test_a_pipe_goes_on_at_the_next_server(pair: Pair, talk: Talk, stack: contextlib.ExitStack) -> None:
    pair.start(0)
    piped = stack.enter_context(contextlib.closing(Piped(pair.words, *talk.words)))
    piped.send(talk.begin)
    position = piped.output.expect(talk.begun)
    frozen = pair.start(1)
    frozen.wait_for("connection opened")  # so it knows that the first one has ended
    piped.send(talk.go_on)
    position = piped.output.expect(talk.went_on, position)
    frozen.signal(signal.SIGSTOP)
    piped.send(talk.go_on)
    wait_for_unread(pair.ports[1])
    pair.start(0)
    piped.stderr.expect(f"not confirmed: {talk.told}\n")
    piped.send(talk.go_on)
    piped.output.expect(talk.went_on, position)
    if talk.dialect in ("result", "mailbox"):
        piped.end_input()
    else:
        piped.send("!quit\n" if talk.dialect == "hello" else "/quit\n")
    assert piped.status() == 1, "something was not confirmed"
    if talk.dialect == "result":
        assert piped.output.rest().count("RESULT LOGIN 1") == 1, "answers to what is repeated are not shown"


NEW_ACCOUNT = "Success New Account Creation! Your new Account ID: ann123"


@pytest.fixture
def two(stack: contextlib.ExitStack) -> list[FakeServer]:
    return [stack.enter_context(contextlib.closing(FakeServer())) for _ in range(2)]


def ports(two: list[FakeServer]) -> str:
    return ",".join(str(fake.port) for fake in two)


def test_a_server_that_closes_is_left_and_all_is_confirmed(two: list[FakeServer], stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(ports(two))))
    piped.send("LOGIN ann x\nSAY a b\n")
    first = stack.enter_context(two[0].accept())
    first.expect("SAY a b\n")
    first.send("RESULT LOGIN 1", "RECV ann a b")
    piped.output.expect("RECV ann a b\n")
    first.close()
    second = stack.enter_context(two[1].accept())
    for _ in range(2):
        second.expect("LOGIN ann x\n")
        second.send("RESULT LOGIN 0")  # the old connection may still count
    second.expect("LOGIN ann x\n")
    second.send("RECV bob a hi", "RESULT LOGIN 1")
    piped.send("SAY a c")
    piped.end_input()
    second.expect("SAY a c\n")
    second.send("RECV ann a c")
    assert second.rest() == b""
    second.close()
    assert piped.output.rest() == "RESULT LOGIN 1\nRECV ann a b\nRECV bob a hi\nRECV ann a c\n"
    assert (piped.status(), piped.errors()) == (0, "")


def test_a_server_that_does_not_answer_is_left_for_one_that_does(
    two: list[FakeServer], stack: contextlib.ExitStack
) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(ports(two))))
    piped.send("PING\n")
    first = stack.enter_context(two[0].accept())
    first.expect("PING\n")
    with two[1].accept() as probe:
        probe.expect("PING\n")
        probe.send("RESULT PING 1")
    second = stack.enter_context(two[1].accept())
    piped.stderr.expect("not confirmed: PING\n")
    piped.send("PING\n")
    second.expect("PING\n")
    second.send("RESULT PING 1")
    piped.output.expect("RESULT PING 1\n")
    piped.end_input()
    second.rest()
    second.close()
    assert piped.status() == 1


def test_what_was_asked_before_the_greeting_counts_in_its_dialect(
    two: list[FakeServer], stack: contextlib.ExitStack
) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(ports(two))))
    piped.send("1|ann\n3|bob|one\n")
    first = stack.enter_context(two[0].accept())
    first.expect("1|ann\n3|bob|one\n")
    first.send("To get started on this chat room, please log in", NEW_ACCOUNT)
    piped.output.expect(NEW_ACCOUNT)
    first.close()
    piped.stderr.expect("not confirmed: 3|bob|one\n")
    second = stack.enter_context(two[1].accept())
    second.send("To get started on this chat room, please log in")
    second.expect("0|ann123\n")
    second.send("user : ann is now logged in")
    piped.end_input()
    second.rest()
    second.close()
    assert piped.status() == 1


@pytest.mark.parametrize(("echoed", "status", "told"), [(True, 0, ""), (False, 1, "client.py: not confirmed: one\n")])
def test_a_pipe_does_not_come_back_after_a_goodbye(
    two: list[FakeServer], stack: contextlib.ExitStack, echoed: bool, status: int, told: str
) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(ports(two), "ann")))
    first = stack.enter_context(two[0].accept())
    first.expect("ann files\n")
    first.send("[Server message (12:00:00)] Welcome to the lobby channel, ann.")
    piped.send("one\n/quit\n")
    first.expect("one\n/quit\n")
    if echoed:
        first.send("[ann (12:00:00)] one")
    first.close()
    assert (piped.status(), piped.errors()) == (status, told)


def test_with_one_port_the_end_is_at_once(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    fake.accept().close()
    assert piped.status() == 1
    assert piped.errors() == "client.py: the server has closed the connection\n"


def test_a_pipe_ends_when_no_server_is_found_in_time(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port, "--retry", "1")))
    peer = fake.accept()
    fake.close()
    peer.close()
    assert piped.status() == 1
    assert "no other was found within 1 seconds" in piped.errors()


def test_nobody_at_all_is_an_error(stack: contextlib.ExitStack) -> None:
    first, second = free_ports(2)
    piped = stack.enter_context(contextlib.closing(Piped(f"{first},{second}", "--retry", "0")))
    assert piped.status() == 1
    assert piped.errors().startswith(f"client.py: cannot connect to 127.0.0.1:{first}, 127.0.0.1:{second}: ")


def test_a_terminal_tells_what_was_not_confirmed_and_sends_it_again(
    two: list[FakeServer], stack: contextlib.ExitStack
) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(ports(two))))
    with two[0].accept_client() as first:
        terminal.type("LOGIN ann secret\r")
        first.expect("LOGIN ann secret\n")
        first.send("RESULT LOGIN 1")
        terminal.expect("You are logged in.")
        terminal.type("SAY a hello there\r")
        first.expect("SAY a hello there\n")
    terminal.expect("Not confirmed: SAY a hello there")
    terminal.expect("/again")
    second = stack.enter_context(two[1].accept_client())
    second.expect("LOGIN ann secret\n")
    second.send("RESULT LOGIN 1")
    terminal.expect(f"Connected to 127.0.0.1:{two[1].port}.")
    terminal.type("/again\r")
    second.expect("SAY a hello there\n")
    second.send("RECV ann a hello there")
    terminal.expect("hello there")
    terminal.type("/again\r")
    terminal.expect("There is nothing that was not confirmed.")
