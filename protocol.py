"""What all dialects share, free of sockets, clocks and SQL: the session, and what it asks of a dialect.

The path of a byte: `Session.received` feeds its `SessionInput`. `Session.run` takes a line, has its dialect `parse` it
into a `Request` or a `Refusal`, and passes that through the gate (`gate.carry_out`).

Requests are answered in order (C10). A request is outstanding until a password is hashed, the journal commits or
another server answers. `Session.expect_outcome` counts it, and until its outcome comes the session runs no further
line. Only requests that are `pipelined` may follow each other into the journal, which gives their outcomes in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from commands import Refusal, Request
from domain.changes import Done
from first_line import NO_CHOICE, Choice, refuse_foreign, take_first_line
from gate import carry_out, fail
from session_input import SessionInput
from session_output import LateAnswers, SessionOutput
from session_state import Block, SessionState
from text import MAX_LINE, TLS_HANDSHAKE, Overlong, whole_line
from transport import Audience, Transport

LINES_PER_TURN = 64
"""Maximum lines that one session runs before the others have their turn; fewer where they take long."""


class Counts:
    """Counts of a dialect, for statistics.

    Attributes:
        lines: how many its clients have sent.
        deliveries: how many events they were told.
    """

    __slots__ = ("deliveries", "lines")

    def __init__(self) -> None:
        self.lines = self.deliveries = 0


class Dialect:
    """One protocol: its parsing, its words, its commands. The state of a session is kept in the session alone.

    Attributes:
        name: of the dialect, as in a `listen` line of the config.
        max_line: bytes of a line, its newline included; 0: what the setting max-line says.
        greets_late: the login time-out (C18) does not end with the first line, but when the dialect says so.
        words: renders an event, by its type. `render` has no words for any other type.
        counts: of its clients; the copies of a dialect, such as those for tags, share them.
    """

    name = ""
    max_line = 0
    words: Mapping[type, Callable[[Any], bytes]] = {}
    greets_late = False

    def __init__(self) -> None:
        self._rendered: tuple[object, bytes] = (None, b"")
        self.counts = Counts()

    def begin(self, session: Session) -> None:
        """Called when a connection opens that speaks this dialect from its first byte."""

    def parse(self, line: str) -> Request | Refusal | None:
        """Parse a line, given without its newline; None when it is blank."""
        raise NotImplementedError

    def parse_undecodable(self, line: bytes) -> Request | Refusal | None:
        """Parse a line that is not UTF-8, given without its newline."""
        return Refusal.NOT_UTF8

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is no request."""

    def succeed(self, session: Session, request: Request) -> None:
        """Answer a request that was carried out and whose row has an answer to success."""

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Answer a request that was not carried out, because of this error or (None) because it needs a login."""

    def deliver(self, session: Session, event: Any) -> None:
        """Tell the session's client what has happened. An event is rendered once for all sessions in a row."""
        self.counts.deliveries += 1
        rendered_event, rendered = self._rendered
        if rendered_event is not event:
            if self.delivers_itself(session, event):
                return
            rendered = self.render(event)
            self._rendered = (event, rendered)
        if rendered:
            session.transport.send(rendered)

    def tell_all(self, event: Any, audience: Audience) -> None:
        """Tell an event to many sessions that all have this dialect. It is rendered once.

        Args:
            event: what has happened in a channel.
            audience: the subscribers.
        """
        words = self.render(event)
        if words:
            self.counts.deliveries += len(audience)
            audience.send(words)

    def delivers_itself(self, session: Session, event: Any) -> bool:
        """Deliver an event that is not rendered alike for all sessions; return False for any other event."""
        return False

    def render(self, event: Any) -> bytes:
        """Return the words for an event; b"" where this dialect has none."""
        words = self.words.get(type(event))
        return words(event) if words is not None else b""

    def render_for(self, session: SessionOutput, event: Any) -> bytes:
        """Return the words for an event that is for one session alone."""
        return self.render(event)

    def leave(self, session: Session) -> None:
        """Called once when the session is over: undo what its login did."""


_OPEN, _OVER = SessionState.OPEN, SessionState.OVER  # compared for every line; looking them up in the enum costs time


class Session(SessionOutput):
    """One connection, speaking one dialect; the transport's owner.

    Args:
        transport: the connection to the client.
        dialect: the dialect that it speaks unless its first word chooses another.
        max_line: maximum bytes of a line, its newline included.
        by_first_word: the dialects that the first word can choose (C22).

    Attributes:
        principal: what the connection acts for (see above), None before a login. The domain sets it.
        own: what its dialect keeps about its client; None where it keeps nothing.
        reason: why the connection is gone, when it is.
    """

    dialect: Dialect

    __slots__ = (
        "_by_first_word",
        "_ignores_congestion",
        "_late",
        "_lines",
        "_max_line",
        "_outstanding",
        "_parked",
        "_paused",
        "_pipelining",
        "_scheduled",
        "own",
        "principal",
        "reason",
        "state",
    )

    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        max_line: int = MAX_LINE,
        by_first_word: Choice = NO_CHOICE,
    ) -> None:
        super().__init__(transport, dialect)
        self.principal: Any = None
        self.own: Any = None
        self.state = _OPEN
        self.reason: object = None
        self._ignores_congestion = False
        self._paused = False
        self._max_line = max_line
        self._lines: SessionInput | None = SessionInput(transport, max_line)  # None while nothing waits
        self._parked: Request | Refusal | None = None
        self._outstanding = 0
        self._pipelining = True  # every outstanding request is pipelined
        self._late: LateAnswers | None = None
        self._by_first_word: Choice | None = by_first_word  # None after the first line
        self._scheduled = False

    @property
    def has_spoken(self) -> bool:
        """Whether the client has sent a line, so that its dialect is known."""
        return self._by_first_word is None

    @property
    def over(self) -> bool:
        """Whether nothing is run or sent any more."""
        return self.state is _OVER

    @property
    def blocked_by(self) -> Block | None:
        """Why no line is run for now; None when the next one can be."""
        if self.state is _OVER:
            return Block.OVER
        if self._paused:
            return Block.PAUSED
        if self.transport.congested and not self._ignores_congestion:
            return Block.CONGESTED
        if self._outstanding and self._parked is not None:
            return Block.UNANSWERED
        return None

    # ---- for the transport ----

    def received(self, data: bytes) -> None:
        """Run the lines that these bytes complete."""
        if self.state is not _OPEN:
            return
        lines = self._lines
        alone = whole_line(data, self._max_line) if lines is None and self._parked is None else None
        if alone is not None:
            self._parked = self._read(alone)  # most lines come alone, and need no buffer
            if self._parked is None:
                self.dialect.counts.lines += 1  # `run` counts the others
        else:
            if lines is None:
                lines = self._lines = SessionInput(self.transport, self._max_line, begun=True)
            lines.feed(data)
        if not self._scheduled:
            self.run()
        elif self._lines is not None:  # sending more must not win a session more turns
            self._lines.apply_back_pressure(held_back=True)

    def ended(self) -> None:
        """The client has half-closed: it gets its answers, then the session ends (C12)."""
        if self.state is _OPEN:
            self.state = SessionState.INPUT_ENDED
        self.run()

    def drained(self) -> None:
        """The output buffer is no longer congested."""
        self._run_soon()

    def lost(self, reason: object) -> None:
        """The connection is gone."""
        self.reason = reason
        self._leave()

    # ---- for the dialect and the domain ----

    def deliver(self, event: Any) -> None:
        """Tell the client what has happened, in its dialect's words."""
        self.dialect.deliver(self, event)

    @property
    def half_closed(self) -> bool:
        """Whether no more input is taken: the client has half-closed or gone (C12), or the server stops (C21)."""
        return self.state in (SessionState.INPUT_ENDED, SessionState.DRAINING)

    def expect_outcome(self, request: Request, then: Callable[[], None] | None = None) -> Done:
        """Count the request as outstanding; return the callback that takes its outcome and answers it.

        Args:
            request: of this session.
            then: called after the answer to a success.
        """
        self._outstanding += 1
        self._pipelining = request.command.pipelined
        return partial(self._on_outcome, request, then)

    def expect_late_answer(self, seconds: float) -> None:
        """Count an answer that holds up no later request: the echo of a message, or its failure.

        A client that ends its sending side stays until all of them have come (C12).

        Args:
            seconds: maximum time that it stays.
        """
        if self._late is None:
            self._late = LateAnswers()
        self._late.count += 1
        self._late.seconds = seconds

    def late_answer_given(self) -> None:
        """A late answer has been sent, or will never be."""
        if self._late is None:
            return
        self._late.count -= 1
        if not self._late.count:
            self._late = None
            if self.half_closed:
                self._run_soon()

    def set_link_limits(self, max_line: int, max_output: int, setting: str) -> None:
        """Use the limits of a link: longer lines, a larger output buffer, and no back-pressure on input.

        Two linked servers that paused reading for each other would deadlock.

        Args:
            max_line: bytes of a line, its newline included.
            max_output: bytes that may wait for the peer before it is closed as a slow reader.
            setting: the name of the setting that gives max_output.
        """
        self._set_max_line(max_line)
        self._ignores_congestion = True
        self.transport.set_output_limit(max_output, setting)

    def speak(self, dialect: Dialect) -> None:
        """Speak this dialect, which the first word has chosen, with its limit (C22)."""
        self.dialect = dialect
        if dialect.max_line:
            self._set_max_line(dialect.max_line)

    def excuse_line(self) -> None:
        """Do not count the line that is being run in the client's rate, as the server has asked for it (C59)."""

    def pause(self) -> None:
        """Run no lines until `resume`: they produce more than a linked server can read. Idempotent."""
        self._paused = True

    def resume(self) -> None:
        """Run lines again."""
        self._paused = False
        self._run_soon()

    def end(self) -> None:
        """Run no more lines; close the connection once the output has been sent."""
        self._leave()
        self.transport.finish()

    def refuse(self) -> None:
        """Close the connection at once: nothing more is run or sent."""
        self._leave()
        self.transport.refuse()

    def drain(self) -> None:
        """The server stops: send the outstanding answers, run no more lines, end (C21).

        Input is still read, and dropped: closing a socket with unread input would discard the last answers.
        """
        if self.state is _OVER:
            return
        self.state = SessionState.DRAINING
        if self._lines is not None:
            self._lines.clear()
        self._parked = None
        self.run()

    # ---- running lines ----

    def _on_outcome(self, request: Request, then: Callable[[], None] | None, error: Exception | None) -> None:
        """The outcome of an outstanding request has come."""
        self._outstanding -= 1
        if error is not None:
            fail(self, request, error)
        else:
            if request.command.success:
                self.dialect.succeed(self, request)
            if then is not None:
                then()
        if not self._outstanding and (self._parked or self.state is not _OPEN or self._lines):
            self._run_soon()

    def run(self) -> None:
        """Run lines until one is blocked (see `blocked_by`), or until it is the other sessions' turn."""
        self._scheduled = False
        steps, unused = LINES_PER_TURN, 0
        while (
            (self._parked is not None or (self._lines is not None and self._lines.data))
            and steps
            and self.state is not _OVER  # from here on as in `blocked_by`, without a call for each line
            and not self._paused
            and (self._ignores_congestion or not self.transport.congested)
            and self._step()
        ):
            steps -= 1
            if not steps & 1 and self.transport.must_yield:  # every second line: most often there is only one
                steps, unused = 0, steps
        self.dialect.counts.lines += LINES_PER_TURN - unused - steps
        if self.state is _OVER:
            return
        if not steps:
            self._run_soon()
        elif self.state is not _OPEN and not self._outstanding and self.blocked_by is None:
            self._end_when_answered()
            return
        if self._lines is not None:
            if self._lines.data or self._lines.counted:
                if self._by_first_word is not None and self._lines.data.startswith(TLS_HANDSHAKE):
                    refuse_foreign(self, "TLS")  # its first bytes rarely have a newline
                    return
                self._lines.apply_back_pressure(held_back=not steps or self.blocked_by is not None)
            if self._lines.is_idle:
                self._lines = None

    def _end_when_answered(self) -> None:
        """All lines are run and answered: end now, or after the late answers, or when these have taken too long."""
        late = self._late
        if late is None or self.state is SessionState.DRAINING:
            self.end()
        elif late.seconds:
            self.transport.call_later(late.seconds, self._give_up_late_answers)
            late.seconds = 0.0

    def _give_up_late_answers(self) -> None:
        if self.state is not _OVER:
            self.end()

    def _step(self) -> bool:
        """Carry out the next request; False when there is none, or when it has to wait."""
        request = self._parked
        if request is None:
            line = self._lines.next() if self._lines is not None else None
            if line is None:
                return False
            request = self._read(line)
            if request is None:
                return True
        if self._outstanding and not (self._pipelining and isinstance(request, Request) and request.command.pipelined):
            self._parked = request
            return False
        self._parked = None
        carry_out(self, request)
        return True

    def _read(self, line: bytes | Overlong) -> Request | Refusal | None:
        """Parse a line, the first one also for its dialect; None when there is nothing to answer."""
        if self._by_first_word is not None and (isinstance(line, Overlong) or line.strip(b" \t")):
            choice, self._by_first_word = self._by_first_word, None
            if not take_first_line(self, line, choice):
                return None
        if isinstance(line, Overlong):
            return Refusal.TOO_LONG
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self.dialect.parse_undecodable(line)
        return self.dialect.parse(text)

    def _set_max_line(self, max_line: int) -> None:
        self._max_line = max_line
        if self._lines is not None:
            self._lines.limit = max_line

    def _run_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.transport.call_soon(self.run)

    def _leave(self) -> None:
        if self.state is not _OVER:
            self.state = _OVER
            self.dialect.leave(self)
