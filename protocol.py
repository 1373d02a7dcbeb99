"""What all dialects share, free of sockets, clocks and SQL: requests, the gate, the session.

A byte's way through this file: `Session.received` feeds the `LineBuffer`; `Session.run` takes a line, has its dialect
`parse` it to a `Request` or a `Refusal`, and carries that out through the one gate. A handler may assume what its row
in the table of commands says: enough words, not too many, logged in where that is asked for.

Order is the session's business. An answer that cannot be given at once (a password is being hashed, the journal has not
committed) is *outstanding*: `Session.outcome` counts it, and until it is given the session runs no further line. Only
requests that are `pipelined` may follow each other into the journal, which gives their outcomes in the same order.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from text import MAX_LINE, LineBuffer, Overlong, normal, split_words

LINES_PER_TURN = 64
"""Lines that one session runs before the others have their turn; fewer where they take long."""

READ_AHEAD = 64 * 1024
"""Bytes of lines that may wait in a session before it stops reading from its socket."""

LIST_PIECE = 500
"""Names of a list that are rendered at once."""

HTTP_REQUEST = re.compile(rb"[A-Z]+ \S+ HTTP/\d")
HTTP_REQUEST_HEAD = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) ")
"""A session that starts so is closed at once: a web page must not be able to make its visitor's browser speak here.
Of an over-long first line there is only the head to see."""


# ---- requests ----


class Refusal(enum.Enum):
    """Why a line is no request, whatever the session's state."""

    UNKNOWN = "no such command"
    TOO_FEW = "not enough arguments"
    TOO_MANY = "too many arguments"
    TOO_LONG = "line too long"
    NOT_UTF8 = "not utf-8"


class Command(NamedTuple):
    """A row in a dialect's table of commands.

    Attributes:
        handler: called with the dialect, the session and the request.
        usage: the command as it is typed.
        help: what it does, in one line.
        least, most: words that may stand after the verb.
        name: the first of these is a name.
        text: the last word is a message: all the rest of the line, cleaned. When nothing is left of it, it is missing.
        login: only a logged-in session may run it.
        pipelined: it may enter the journal behind outstanding requests that are pipelined, too.
        success, failure: the answers, where they depend on nothing but the words ({0} is the first).
    """

    handler: Callable[[Any, Session, Request], None]
    usage: str
    help: str
    least: int = 0
    most: int = 0
    name: bool = False
    text: bool = False
    login: bool = False
    pipelined: bool = False
    success: str = ""
    failure: str = ""


class Request(NamedTuple):
    """A well-formed line: the command's row and the words after the verb."""

    command: Command
    args: tuple[str, ...]


def fit(command: Command, words: list[str]) -> Request | Refusal:
    """Match the words behind a verb with the row of its command."""
    if not command.least <= len(words) <= command.most:
        return Refusal.TOO_FEW if len(words) < command.least else Refusal.TOO_MANY
    if command.name and words:
        words[0] = normal(words[0])
    return Request(command, tuple(words))


# ---- sessions ----

Done = Callable[[Exception | None], None]
"""Takes the outcome of a request: None, or the reason why it failed. Called once, at once or later."""


class Transport(Protocol):
    """What a session needs of its connection. loop.Connection is one; what each call means stands there."""

    @property
    def congested(self) -> bool: ...
    @property
    def must_yield(self) -> bool: ...
    def send(self, data: bytes) -> None: ...
    def send_with_receipt(self, data: bytes, done: Callable[[bool], None]) -> None: ...
    def stream(self, chunks: Iterator[bytes]) -> None: ...
    def has_spoken(self) -> None: ...
    def hold_input(self, size: int) -> None: ...
    def finish(self) -> None: ...
    def refuse(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def call_soon(self, call: Callable[[], None]) -> None: ...
    def call_later(self, seconds: float, call: Callable[[], None]) -> object: ...
    @property
    def is_behind(self) -> bool: ...
    def allow_output(self, size: int, setting: str) -> None: ...
    @property
    def remote_place(self) -> tuple[str, int]: ...
    @property
    def local_place(self) -> tuple[str, int]: ...


class Dialect(Protocol):
    """One wire: its parsing, its words, its commands. What it knows of a session is in the session."""

    name: str

    def parse(self, line: str) -> Request | Refusal | None:
        """Read a line; None when there is nothing but blanks in it."""

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is no request."""

    def succeed(self, session: Session, request: Request) -> None:
        """Answer a request that was carried out and whose row has an answer to success."""

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Answer a request that was not carried out, because of this error or (None) for want of a login."""

    def deliver(self, session: Session, event: Any) -> None:
        """Tell the session's client what has happened."""

    def render(self, event: Any) -> bytes:
        """Give the words for what has happened."""

    def leave(self, session: Session) -> None:
        """The session is over: undo what its login did."""


NO_CHOICE: Mapping[str, Dialect] = {}


class Session:
    """One connection, speaking one dialect; the transport's owner.

    Args:
        transport: the way to the client.
        dialect: the wire it speaks, if its first word does not choose another.
        max_line: bytes of a line, its newline included.
        by_first_word: the dialects that can be chosen so.
    """

    __slots__ = (
        "_by_first_word",
        "_ended",
        "_heedless",
        "_held",
        "_holding",
        "_journaling",
        "_lines",
        "_outstanding",
        "_owed",
        "_owed_seconds",
        "_parked",
        "_paused",
        "_retired",
        "_scheduled",
        "dialect",
        "over",
        "reason",
        "transport",
        "user",
    )

    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        max_line: int = MAX_LINE,
        by_first_word: Mapping[str, Dialect] = NO_CHOICE,
    ) -> None:
        self.transport = transport
        self.dialect = dialect
        self.user: Any = None
        """Who is logged in here; the domain's business."""
        self.over = False
        self.reason: object = None
        """Why the connection is gone, when it is."""
        self._heedless = False
        self._held = False
        self._holding = 0  # bytes of lines, as the transport knows
        self._lines = LineBuffer(max_line)
        self._parked: Request | Refusal | None = None
        self._outstanding = 0
        self._owed = 0
        self._owed_seconds = 0.0
        self._journaling = True  # all that is outstanding is pipelined
        self._by_first_word: Mapping[str, Dialect] | None = by_first_word  # None: the first line has been
        self._ended = False
        self._paused = False
        self._retired = False
        self._scheduled = False

    # ---- for the transport ----

    def received(self, data: bytes) -> None:
        """Run the lines that these bytes complete."""
        if self._retired:
            return
        self._lines.feed(data)
        if self._scheduled:  # reading more must not bring more turns
            self._pace(held_back=True)
        else:
            self.run()

    def ended(self) -> None:
        """The client sends no more: it gets its answers, then the session ends."""
        self._ended = True
        self.run()

    def drained(self) -> None:
        """The client has read what waited for it."""
        self._run_soon()

    def lost(self, reason: object) -> None:
        """The connection is gone."""
        self.reason = reason
        self._leave()

    # ---- for the dialect and the domain ----

    @property
    def address(self) -> str:
        """The client's IP address; "" when it is gone already."""
        return self.transport.remote_place[0]

    @property
    def half_closed(self) -> bool:
        """Whether the client sends no more: it waits for its answers, or has gone."""
        return self._ended

    def send(self, text: str) -> None:
        """Send a line, given without its newline."""
        self.transport.send(f"{text}\n".encode())

    def deliver(self, event: Any) -> None:
        """Tell the client what has happened, in its dialect's words."""
        self.dialect.deliver(self, event)

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        """Tell the client what has happened; `done` learns whether all of it was handed to the operating system."""
        self.transport.send_with_receipt(self.dialect.render(event), done)

    def send_list(self, head: str, names: Sequence[str], separator: str) -> None:
        """Send a list of any length, in pieces when it is long, so that it is no burden for memory."""
        if len(names) <= LIST_PIECE:
            self.send(f"{head} {separator.join(names)}".rstrip())
        else:
            self.transport.stream(_render_list(head, names, separator))

    def outcome(self, request: Request, then: Callable[[], None] | None = None) -> Done:
        """Count the request as outstanding and give what takes its outcome and answers it.

        Args:
            then: called after the answer to a success.
        """
        self._outstanding += 1
        self._journaling = request.command.pipelined
        return partial(self._told, request, then)

    def owe(self, seconds: float) -> None:
        """Count a line as owed that comes by itself and holds up no request: the echo of a message, or its failure.

        A client that ends its sending side stays until all of them have come (rule C11).

        Args:
            seconds: how long it stays at most.
        """
        self._owed += 1
        self._owed_seconds = seconds

    def settle(self) -> None:
        """A line that was owed has come, or will never come."""
        self._owed -= 1
        if self._ended and not self._owed:
            self._run_soon()

    def widen(self, max_line: int, max_output: int, setting: str) -> None:
        """Carry the lines of many: longer ones, and also while the peer has much to read. For two servers that wait
        for each other would wait for ever.

        Args:
            max_line: bytes of a line, its newline included.
            max_output: bytes that may wait for the peer before it is closed as a slow reader.
            setting: what these are called.
        """
        self._lines.limit = max_line
        self._heedless = True
        self.transport.allow_output(max_output, setting)

    def hold(self) -> None:
        """Run no lines for now: they make more than others can take. Nothing happens to one that is held."""
        self._held = True

    def go_on(self) -> None:
        """Run lines again."""
        self._held = False
        self._run_soon()

    def end(self) -> None:
        """Say goodbye: run no more lines, close when the output has left."""
        self._leave()
        self.transport.finish()

    def refuse(self) -> None:
        """Close at once, without a word: nothing more is run or sent."""
        self._leave()
        self.transport.refuse()

    def retire(self) -> None:
        """The server stops: give the outstanding answers, run no more lines, end.

        What still comes is read and dropped: unread, it would cost the client its last answers.
        """
        self._retired = True
        self._lines.clear()
        self._parked = None
        self.ended()

    # ---- running lines ----

    def _told(self, request: Request, then: Callable[[], None] | None, error: Exception | None) -> None:
        """The outcome of an outstanding request has come."""
        self._outstanding -= 1
        if error is not None:
            self.dialect.fail(self, request, error)
        else:
            if request.command.success:
                self.dialect.succeed(self, request)
            if then is not None:
                then()
        if not self._outstanding and (self._parked or self._ended or len(self._lines)):
            self._run_soon()

    def run(self) -> None:
        """Run lines while nothing holds them back: an outstanding answer, much to read, the other sessions' turn."""
        self._scheduled = False
        steps = LINES_PER_TURN
        while (
            steps
            and not (self.over or self._held)
            and (self._heedless or not self.transport.congested)
            and self._step()
        ):
            steps -= 1
            if not steps & 1 and self.transport.must_yield:  # every other time, since most often there is but one line
                steps = 0
        if self.over:
            return
        waits = self._held or (not self._heedless and self.transport.congested)
        held_back = not steps or self._parked is not None or waits
        if not steps:
            self._run_soon()
        elif self._ended and not (self._outstanding or held_back):
            self._end_when_settled()
            return
        if self._holding or self._lines._data:  # most often nothing waits, and nothing did
            self._pace(held_back)

    def _end_when_settled(self) -> None:
        """All lines are run and answered: end now, or as soon as nothing is owed, or when that has taken too long."""
        if not self._owed or self._retired:
            self.end()
        elif self._owed_seconds:
            self.transport.call_later(self._owed_seconds, self._give_up_what_is_owed)
            self._owed_seconds = 0.0

    def _give_up_what_is_owed(self) -> None:
        if not self.over:
            self.end()

    def _step(self) -> bool:
        """Carry out the next request; False when there is none, or when it has to wait."""
        if self._parked is None:
            line = self._lines.next()
            if line is None:
                return False
            self._parked = self._read(line)
            if self._parked is None:
                return True
        request = self._parked
        if self._outstanding and not (self._journaling and isinstance(request, Request) and request.command.pipelined):
            return False
        self._parked = None
        self._carry_out(request)
        return True

    def _read(self, line: bytes | Overlong) -> Request | Refusal | None:
        """Make a line a request; None when there is nothing in it to answer."""
        if self._by_first_word is not None and (isinstance(line, Overlong) or line.strip(b" \t")):
            choice, self._by_first_word = self._by_first_word, None
            self.transport.has_spoken()
            if _is_http(line):
                self.refuse()
                return None
            self.dialect = choice.get(_first_word(line), self.dialect)
        if isinstance(line, Overlong):
            return Refusal.TOO_LONG
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return Refusal.NOT_UTF8
        return self.dialect.parse(text)

    def _carry_out(self, request: Request | Refusal) -> None:
        """The gate: the row has been found and the words counted; what is left to ask for is the login."""
        if isinstance(request, Refusal):
            self.dialect.refuse(self, request)
        elif request.command.login and self.user is None:
            self.dialect.fail(self, request, None)
        else:
            request.command.handler(self.dialect, self, request)

    def _run_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.transport.call_soon(self.run)

    def _pace(self, held_back: bool) -> None:
        """Stop reading while many lines wait, so that a client that asks faster than it reads has to wait itself."""
        waiting = len(self._lines)
        if waiting != self._holding:
            self._holding = waiting
            self.transport.hold_input(waiting)
        if self._paused != (held_back and waiting > READ_AHEAD):
            self._paused = not self._paused
            (self.transport.pause_reading if self._paused else self.transport.resume_reading)()

    def _leave(self) -> None:
        if not self.over:
            self.over = True
            self.dialect.leave(self)


def _first_word(line: bytes | Overlong) -> str:
    """The first word of a line; none of one that is not whole, or not UTF-8."""
    if isinstance(line, Overlong):
        return ""
    try:
        return split_words(line.decode())[0]
    except UnicodeDecodeError:
        return ""


def _render_list(head: str, names: Sequence[str], separator: str) -> Iterator[bytes]:
    before = " "
    yield head.encode()
    for start in range(0, len(names), LIST_PIECE):
        yield (before + separator.join(names[start : start + LIST_PIECE])).encode()
        before = separator
    yield b"\n"


def _is_http(first_line: bytes | Overlong) -> bool:
    if isinstance(first_line, Overlong):
        return HTTP_REQUEST_HEAD.match(first_line.head) is not None
    return HTTP_REQUEST.match(first_line) is not None
