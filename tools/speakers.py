"""Clients of every dialect that speak in one channel, and write down what was acknowledged.

`make kill` and `make soak` use them. Each row of SPEAKERS is one client: how it logs in, what it says, and the line
that acknowledges it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from domain.changes import AccountRegistered, Mailed
from harness.peer import Peer
from harness.servers import free_ports
from store import Store

CHANNEL = "lobby"
"""The channel in which all speak. It has a port, so that room guests can."""

MAILBOX = "away"
"""The account that is never there: what is sent to it waits."""

WINDOW = 16
"""Messages of one speaker that wait for their acknowledgement."""

PATIENCE = 3.0
"""Seconds without an acknowledgement after which a speaker connects anew."""

PAUSE = 0.005
"""Seconds between two messages of one speaker, so that the server has time for all."""

OPENING_SECONDS = 20.0


class Wire(Protocol):
    """A connection that carries lines."""

    def send(self, line: str) -> None: ...
    def line(self, seconds: float) -> str:
        """Return the next line. Raises EOFError at the end of the connection, TimeoutError (an OSError) without one."""
        ...

    def close(self) -> None: ...


class Tcp:
    """Lines over TCP."""

    def __init__(self, port: int) -> None:
        self._peer = Peer(port, seconds=PATIENCE)

    def send(self, line: str) -> None:
        self._peer.send(line)

    def line(self, seconds: float) -> str:
        until = time.monotonic() + seconds
        while (line := self._peer.take_line()) is None:
            if not self._peer.receive(until):
                raise EOFError
        return line.decode().rstrip("\r")

    def close(self) -> None:
        self._peer.close()


QUIET = logging.Logger("quiet")
"""Takes what the library says of connections that are lost, as they are here all the time."""
QUIET.addHandler(logging.NullHandler())


class Browser:
    """Lines over a WebSocket, as the page sends them."""

    def __init__(self, port: int) -> None:
        from websockets.sync.client import connect

        place = f"ws://127.0.0.1:{port}/"
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(
            connect(place, open_timeout=PATIENCE, close_timeout=0.1, compression=None, logger=QUIET, ping_interval=None)
        )
        self._waiting: deque[str] = deque()

    def send(self, line: str) -> None:
        with _as_end_of_file():
            self._socket.send(line)

    def line(self, seconds: float) -> str:
        while not self._waiting:
            with _as_end_of_file():
                message = self._socket.recv(seconds)
            self._waiting.extend(str(message).splitlines())
        return self._waiting.popleft()

    def close(self) -> None:
        with contextlib.suppress(EOFError, OSError), _as_end_of_file():
            self._open.close()


@contextlib.contextmanager
def _as_end_of_file() -> Iterator[None]:
    from websockets.exceptions import ConnectionClosed

    try:
        yield
    except ConnectionClosed:
        raise EOFError from None


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        name: of the dialect, and of its user.
        port: the name of its port in `Ports`.
        opening: lines to send, each with a pattern of the line to wait for behind it; None waits for nothing.
        message: what is sent for a text.
        taken: matches the acknowledgement; its group is the text, or it has none: then the oldest text is meant.
        refused: matches the answer that a message was not taken.
        is_kept: what was acknowledged must be found in the database.
        wire: makes the connection.
    """

    name: str
    port: str
    opening: Sequence[tuple[str, str | None]]
    message: str
    taken: str
    refused: str
    is_kept: bool = True
    wire: Callable[[int], Wire] = Tcp


def _irc(nick: str) -> Sequence[tuple[str, str | None]]:
    return (
        ("CAP REQ :echo-message", None),
        (f"NICK {nick}", None),
        (f"USER {nick} 0 * :{nick}", None),
        ("CAP END", f" 001 {nick} "),
        (f"JOIN #{CHANNEL}", f" 366 {nick} "),
    )


SPEAKERS = (
    Row(
        "result", "auto",
        (
            ("REGISTER result x", "RESULT REGISTER "), ("LOGIN result x", "RESULT LOGIN 1"),
            (f"JOIN {CHANNEL}", "RESULT JOIN "),
        ),
        f"SAY {CHANNEL} {{}}", rf"RECV result {CHANNEL} (\S+)", "RESULT SAY ",
    ),
    Row("rooms", "rooms", (("rooms", "rooms has joined the channel"),), "{}", r"\[rooms \([0-9:]+\)\] (\S+)", "(?!)"),
    Row(
        "mailbox", "mailbox",
        (("1|mailbox", "(Success|Username) .*"), ("0|mailbox123", "user : mailbox is now logged in")),
        f"3|{MAILBOX}|{{}}", "message from mailbox has been delivered", "(Receiver: |The mailbox|.*cannot)",
    ),
    Row(
        "hello", "auto", (("HELLO-FROM hello", "HELLO hello"),), "SEND result {}", "SEND-OK", "UNKNOWN",
        is_kept=False,
    ),
    Row(
        "federation", "auto",
        (
            ("FEDERATE-OUT far.example", "FEDCHANNELS"), ("FEDCHANNELS", None),
            (f"FEDJOIN fay@far.example {CHANNEL}", "FEDRESULT fay JOIN .* 1"),
        ),
        f"FEDSAY fay@far.example {CHANNEL} {{}}", rf"FEDRECV fay fay@far\.example {CHANNEL} (\S+)",
        "FEDRESULT fay SAY .* 0",
    ),
    Row("irc", "irc", _irc("irc"), f"PRIVMSG #{CHANNEL} :{{}}", rf":irc!\S+ PRIVMSG #{CHANNEL} :?(\S+)", ":[^!]* 404 "),
    Row(
        "page", "web", _irc("page"), f"PRIVMSG #{CHANNEL} :{{}}", rf":page!\S+ PRIVMSG #{CHANNEL} :?(\S+)",
        ":[^!]* 404 ", wire=Browser,
    ),
)  # fmt: skip


OURS = re.compile(rf"[a-z0-9]+-({'|'.join(row.name for row in SPEAKERS)})-\d+")
"""What the speakers say. Bytes that are sent as a fault may be a message, too."""


class Ports(NamedTuple):
    """The ports of a server at which all dialects are spoken."""

    auto: int
    mailbox: int
    irc: int
    web: int
    rooms: int
    attic: int
    cellar: int
    metrics: int

    @classmethod
    def free(cls) -> Ports:
        """Return free ports."""
        return cls(*free_ports(len(cls._fields)))

    def config(self, database: Path) -> list[str]:
        """Return the directives of such a server."""
        return [
            "address 127.0.0.1",
            f"database {database}",
            f"listen {self.auto} auto",
            *(f"listen {getattr(self, name)} {name}" for name in ("mailbox", "irc", "web")),
            *(f"channel {name} {getattr(self, port)} 1000" for name, port in HOSTED),
            f"metrics {self.metrics}",
            "max-mail 1000000000",
        ]


HOSTED = ((CHANNEL, "rooms"), ("attic", "attic"), ("cellar", "cellar"))
"""Channels with a port."""


class Speaker(threading.Thread):
    """A client that speaks until it is stopped, and connects anew after each loss.

    Args:
        row: what it is.
        port: where it connects.
        tag: begins each of its texts.

    Attributes:
        stopped: ends it.
        has_spoken: something was acknowledged since this was cleared.
        said: every text that was sent.
        kept: those that were acknowledged, and that the database must have.
        acknowledged: how many were, kept or not.
    """

    def __init__(self, row: Row, port: int, tag: str) -> None:
        super().__init__(name=row.name, daemon=True)
        self.row = row
        self.stopped = threading.Event()
        self.has_spoken = threading.Event()
        self.said: list[str] = []
        self.kept: list[str] = []
        self.acknowledged = 0
        self._port = port
        self._texts = (f"{tag}-{row.name}-{number}" for number in itertools.count(1))
        self._taken, self._refused = re.compile(row.taken), re.compile(row.refused)

    def run(self) -> None:
        while not self.stopped.is_set():
            with contextlib.suppress(OSError, EOFError), contextlib.closing(self.row.wire(self._port)) as wire:
                self._come_in(wire)
                self._speak(wire)
            self.stopped.wait(0.02)

    def _come_in(self, wire: Wire) -> None:
        until = time.monotonic() + OPENING_SECONDS
        for line, answer in self.row.opening:
            wire.send(line)
            while answer is not None and not re.search(answer, wire.line(until - time.monotonic())):
                pass

    def _speak(self, wire: Wire) -> None:
        """Speak until stopped, then wait for what is not acknowledged yet."""
        waiting: deque[str] = deque()
        answered = time.monotonic()
        while waiting or not self.stopped.is_set():
            if not self.stopped.is_set() and len(waiting) < WINDOW:
                self._say(wire, waiting)
            until = time.monotonic() + PAUSE
            with contextlib.suppress(TimeoutError):
                while waiting and (left := until - time.monotonic()) > 0:
                    if self._judge(wire.line(left), waiting):
                        answered = time.monotonic()
            if waiting and time.monotonic() - answered > PATIENCE:
                return  # connect anew

    def _say(self, wire: Wire, waiting: deque[str]) -> None:
        text = next(self._texts)
        waiting.append(text)
        self.said.append(text)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what has come before can still be read
            wire.send(self.row.message.format(text))

    def _judge(self, line: str, waiting: deque[str]) -> bool:
        """Note what a line acknowledges or refuses; tell whether it does."""
        if (taken := self._taken.match(line)) is not None:
            text = taken[1] if taken.re.groups else waiting[0]
            if text in waiting:
                waiting.remove(text)
                self.acknowledged += 1
                self.has_spoken.set()
                if self.row.is_kept:
                    self.kept.append(text)
            return True
        if self._refused.match(line) is None or not waiting:
            return False
        waiting.popleft()
        return True


def prepare(database: Path) -> None:
    """Make a database with the account to which mail is sent."""
    store = Store(str(database))
    store.write([AccountRegistered(MAILBOX, b"", 0.0)])
    store.close()


class Verdict(NamedTuple):
    """What went wrong: texts that were acknowledged and are not there, texts that are there twice, texts of nobody."""

    lost: list[str]
    doubled: list[str]
    unknown: list[str]

    def __bool__(self) -> bool:
        """Whether nothing did."""
        return not any(self)


def judge(database: Path, speakers: Sequence[Speaker]) -> Verdict:
    """Compare what the speakers were told with what the database has."""
    found = Counter(_texts_in(database))
    said = {text for speaker in speakers for text in speaker.said}
    kept = [text for speaker in speakers for text in speaker.kept]
    doubled = [text for text, count in found.items() if count > 1 and text in said]
    unknown = [text for text in found if text not in said and OURS.fullmatch(text)]
    return Verdict([text for text in kept if not found[text]], doubled, unknown)


def _texts_in(database: Path) -> Iterator[str]:
    store = Store(str(database))
    try:
        _count, pages = store.history(CHANNEL, 10**9)
        yield from (said.text for page in pages for said in page)
        yield from (change.text for change in store.load() if isinstance(change, Mailed))
    finally:
        store.close()
