"""The load of `make bench` where there is no C compiler: `python -m bench.generator`, with the words of `generator.c`.

It checks the same and writes the same, but is slower than a good server, which then has less to send at once. So its
figures are not to be compared with those of the C program.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.figures import percentile
from bench.servers import unverified
from harness.peer import Peer
from harness.text import LOOPBACK

HEAD = 24  # of a text: sequence and time, in hexadecimal digits
PATIENCE = 20.0  # seconds without any progress


class Wire(NamedTuple):
    """The lines of a protocol, with places for names; see `generator.c`."""

    login: tuple[str, ...]
    logged_in: str
    create: str
    join: str
    joined: str
    say: str
    received: str
    ping: str
    pong: str
    echoes: bool


WIRES = {
    "result": Wire(
        ("REGISTER u{0:05} secret", "LOGIN u{0:05} secret"), "RESULT LOGIN 1", "CREATE c{1:04}", "JOIN c{1:04}",
        "RESULT JOIN", "SAY c{1:04} ", "RECV u{0:05} c{1:04} ", "PING", "RESULT PING 1", True,
    ),
    "irc": Wire(
        ("NICK u{0:05}", "USER u{0:05} 0 * :bench"), " 001 ", "", "JOIN #c{1:04}", " 366 ", "PRIVMSG #c{1:04} :",
        ":u{0:05} PRIVMSG #c{1:04} :", "PING bench", " PONG ", False,
    ),
}  # fmt: skip


class WrongLine(Exception):
    """A member got something that it should not have got."""


class Client:
    """A member of a channel.

    Args:
        load: what all clients do.
        number: of the client; it also names the user.
    """

    def __init__(self, load: Load, number: int) -> None:
        self.load = load
        self.number = number
        names = (number, number // load.members)
        self.say, self.received = load.wire.say.format(*names), load.wire.received.format(*names)
        self.join, self.create = load.wire.join.format(*names), load.wire.create.format(*names)
        sock = socket.create_connection((LOOPBACK, load.port), PATIENCE, (f"127.0.0.{2 + number % 8}", 0))
        self.peer = Peer(unverified().wrap_socket(sock) if load.tls else sock)
        self.peer.send(*(line.format(*names) for line in load.wire.login))
        self.sent = self.seen_by_neighbour = 0
        self.next = [0] * load.senders

    def wait_for(self, words: str, other: Callable[[str], object] = lambda _line: None) -> None:
        """Read until a line has these words; the lines before it go to `other`."""
        while words not in (line := self.peer.line()):
            other(line)

    def put(self, when: int) -> str:
        """Return the next message, said at this time in nanoseconds."""
        self.sent += 1
        return f"{self.say}{self.sent - 1:08x}{when:016x}{self.load.filler}"

    def fill_window(self) -> None:
        """Send what the window allows."""
        room = min(self.load.window - (self.sent - self.seen_by_neighbour), self.load.messages - self.sent)
        if room > 0:
            self.peer.send(*(self.put(time.monotonic_ns()) for _ in range(room)))

    def take(self, line: str, when: int) -> int:
        """Take a message; return its latency in microseconds. Raises WrongLine."""
        head, text = line[: -self.load.bytes], line[-self.load.bytes :]
        if not self.load.wire.echoes:
            head = re.sub(r"^(:[^! ]+)!\S+", r"\1", head)
        sender = self.load.sender(head)
        if sender is None or sender.number // self.load.members != self.number // self.load.members:
            raise WrongLine(f"altered: {line}")
        if sender.received != head or text[HEAD:] != self.load.filler:
            raise WrongLine(f"altered: {line}")
        place, sequence = sender.number % self.load.members, int(text[:8], 16)
        if sequence != self.next[place]:
            raise WrongLine(f"{'repeated' if sequence < self.next[place] else 'lost or out of order'}: {line}")
        self.next[place] = sequence + 1
        if self.number % self.load.members == (place + 1) % self.load.members:
            sender.seen_by_neighbour += 1
            if not self.load.rate:
                sender.fill_window()
        return (when - int(text[8:HEAD], 16)) // 1000


class Load:
    """All clients, and what they do; the words are those of the command line."""

    def __init__(self, wire: str, *numbers: str) -> None:
        name, _plus, security = wire.partition("+")
        self.wire, self.tls = WIRES[name], bool(security)
        self.port, self.channels, self.members, self.senders, self.messages, self.window = map(int, numbers[:6])
        self.rate, self.bytes = float(numbers[6]), int(numbers[7])
        self.filler = "".join(chr(ord("a") + i % 26) for i in range(self.bytes - HEAD))
        self.clients: list[Client] = []
        self.latencies: list[float] = []
        each = self.members if self.wire.echoes else self.members - 1
        self.expected = self.channels * self.senders * self.messages * each

    def sender(self, head: str) -> Client | None:
        """Return the sending client whose name is in what stands before a text."""
        found = re.match(r"(?:RECV |:)u(\d{5}) ", head)
        number = int(found[1]) if found else -1
        return self.clients[number] if 0 <= number < len(self.clients) else None

    @property
    def speakers(self) -> list[Client]:
        return [client for client in self.clients if client.number % self.members < self.senders]

    def enter(self) -> None:
        """Log all in, and let them join."""
        self.clients = [Client(self, number) for number in range(self.channels * self.members)]
        for client in self.clients:
            client.wait_for(self.wire.logged_in)
        for client in self.clients:
            if client.create and client.number % self.members == 0:
                client.peer.ask(client.create)
            client.peer.send(client.join)
            client.wait_for(self.wire.joined)
        self.synchronise(lambda _line: None)

    def synchronise(self, other: Callable[[str], object]) -> None:
        """Wait until each client has read what was sent to it."""
        for client in self.clients:
            client.peer.send(self.wire.ping)
            client.wait_for(self.wire.pong, other)

    def run(self) -> None:
        """Send, and receive all. Raises WrongLine."""
        selector = selectors.DefaultSelector()
        for client in self.clients:
            selector.register(client.peer.socket, selectors.EVENT_READ, client)
        due = self.schedule()
        if not self.rate:
            for client in self.speakers:
                client.fill_window()
        while len(self.latencies) < self.expected:
            ready = selector.select(0.0005 if self.rate else PATIENCE)
            next(due, None)
            if not (ready or self.rate):
                raise WrongLine("lost: no delivery for a long time")
            for key, _events in ready:
                self.receive(key.data)

    def schedule(self) -> Iterator[None]:
        """Send what the rate makes due, each time that this is continued."""
        begun, speakers, started = time.monotonic_ns(), self.speakers, 0
        while self.rate and started < self.messages * len(speakers):
            when = begun + int((started + 1) * 1e9 / self.rate)
            if when > time.monotonic_ns():
                yield
                continue
            sender = speakers[started % len(speakers)]
            sender.peer.send(sender.put(when))
            started += 1

    def receive(self, client: Client) -> None:
        """Receive once; whose message a neighbour has got sends the next one. Raises WrongLine."""
        if not client.peer.receive():
            raise WrongLine("lost: the server has closed a connection")
        when = time.monotonic_ns()
        while (line := client.peer.take_line()) is not None:
            text = line.decode(errors="replace").rstrip("\r")
            if self.wire.echoes or not text.startswith("PING "):
                self.latencies.append(client.take(text, when))


def surplus(line: str) -> None:
    """A line has come behind all messages. Raises WrongLine."""
    raise WrongLine(f"too much: {line}")


def main() -> int:
    """Play the load of the command line; return 1 if something was wrong."""
    load, wrong = Load(*sys.argv[1:]), ""
    load.enter()
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    try:
        load.run()
    except WrongLine as error:
        wrong = str(error)
    seconds = time.monotonic() - begun
    print("done", flush=True)
    try:
        if not wrong:
            load.synchronise(surplus)
    except WrongLine as error:
        wrong = str(error)
    times = {name: percentile(load.latencies, part) for name, part in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0))}
    print(json.dumps({"deliveries": len(load.latencies), "seconds": seconds, **times, "wrong": wrong}))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
