"""The client between pipes where several servers may answer: it goes on at the next one when the connection is lost.

What was not confirmed is told on standard error and makes the exit status 1; it is never sent again. The answers to
what the client repeats by itself, a login and what belongs to it, are not shown.
"""

from __future__ import annotations

from collections import deque

from net.table import CloseReason
from net.watched import AnySocket
from ui.dialects import never_recognise
from ui.dialects.base import LOGIN_RETRY_SECONDS, ClientDialect, ParsedInput, Recogniser
from ui.failover import FailoverConnection
from ui.first_line import MAILBOX_GREETING, Start
from ui.pipes import GOODBYE, SERVER_HAS_CLOSED, ChatPipes, Netcat
from ui.places import RETRY_SECONDS, Places
from ui.requests import REFUSED, Replay
from ui.secrets import hide
from ui.streams import print_error

LOGIN_ATTEMPTS = sum(1 for pause in LOGIN_RETRY_SECONDS if pause == 1)
"""How often a refused login is repeated, once a second: the server may still count the lost connection as logged in."""

MAX_PIECE = 1024 * 1024
"""Bytes without a newline that are passed on as a line of their own."""


def tell_unconfirmed(dialect: ClientDialect, lines: list[str]) -> None:
    """Write what was not confirmed to standard error, without its secrets."""
    for line in lines:
        print_error(f"not confirmed: {hide(line, dialect.secret_start(line))}")


class FailoverNetcat(Netcat):
    """Passes the lines of the protocol as they are, to the server that answers.

    Args:
        where: the places; the current one is that of `sock`.
        sock: connected to the server.
        dialect: says which answers are failures.
        recognise: may change the dialect by the server's first line.
        stay: do not half-close at the end of the input.
        seconds: how long a server is looked for after a loss.
        start: as for `Netcat`.
    """

    _server: FailoverConnection

    def __init__(
        self,
        where: Places,
        sock: AnySocket,
        dialect: ClientDialect,
        recognise: Recogniser = never_recognise,
        *,
        stay: bool = False,
        seconds: float = RETRY_SECONDS,
        start: Start | None = None,
    ) -> None:
        self._where, self._seconds, self._kind = where, seconds, dialect.kind
        self._replay = Replay()
        self._repeating: deque[str] = deque()
        """Lines that are still to be repeated; the first one has been sent."""
        self._attempts = 0
        self._was_lost = False
        self._serves = True
        """What was to be repeated has been, so the input goes on."""
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._ended = False
        super().__init__(sock, dialect, recognise, stay=stay, start=start)

    def _adopt(self, sock: AnySocket) -> FailoverConnection:
        return FailoverConnection(self._loop, self._where, sock, self._kind, self, self._seconds)

    # ---- see `FailoverObserver` ----

    def heard(self, lines: list[str]) -> None:
        changed = self._recognise(lines[0])
        if changed:
            self._recognise, self._dialect = never_recognise, changed
            self._server.requests.recognised(changed.kind)
        shown = [line for line in lines if self._take_line(line)]
        if shown:
            self._heard(shown)
        self._go_on()

    def lost(self, reason: CloseReason, unconfirmed: list[str]) -> None:
        self._serves = False
        self._was_lost = True
        if unconfirmed:
            tell_unconfirmed(self._dialect, unconfirmed)
            self._status = 1
        if self._goodbye or self._has_said_all:
            self._server.close()
            self._loop.stop()
            if not (self._goodbye or unconfirmed or reason is CloseReason.PEER):
                self._fail(SERVER_HAS_CLOSED)

    def returned(self) -> None:
        self._repeating = deque(self._replay.lines())
        self._attempts = 0
        self._repeat()

    def drained(self) -> None:
        self._go_on()

    def given_up(self) -> None:
        self._fail(f"{SERVER_HAS_CLOSED}, and no other was found within {self._seconds:g} seconds")

    # ---- the lines of the server ----

    def _take_line(self, line: str) -> bool:
        """Take a line, and tell whether it is to be shown."""
        request = self._server.requests.received(line)
        if request is None:
            self._replay.heard(line)
            return not (self._was_lost and line.startswith(MAILBOX_GREETING))
        if self._repeating and request.by_itself:
            self._repeated(line)
            return False
        self._replay.confirmed(self._server.requests.kind, request.line, line)
        return True

    def _repeated(self, answer: str) -> None:
        if REFUSED.fullmatch(answer) and self._replay.is_login(self._repeating[0]):
            self._attempts += 1
            if self._attempts > LOGIN_ATTEMPTS:
                self._fail("the login was refused after the connection had been lost")
            else:
                self._loop.call_later(1, self._repeat)
            return
        self._repeating.popleft()
        self._repeat()

    def _repeat(self) -> None:
        """Send the first of the lines that are to be repeated; without one the input goes on."""
        if self._repeating:
            self._server.send(f"{self._repeating[0]}\n".encode(), by_itself=True)
            return
        self._serves = True
        self._server.settled()
        self._go_on()

    # ---- the input ----

    @property
    def _has_said_all(self) -> bool:
        return self._ended and not self._lines and not self._stay

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._lines += [line + b"\n" for line in lines]
        if len(self._rest) > MAX_PIECE:
            self._lines.append(self._rest)
            self._rest = b""
        self._input_waits = True
        self._go_on()

    def _go_on(self) -> None:
        while self._lines and self._serves and not (self._server.congested or self._server.requests.full):
            line = self._lines.popleft()
            self._goodbye = self._goodbye or bool(GOODBYE.fullmatch(b"\n" + line))
            self._server.send(line)
        if not self._lines and self._serves:
            super()._go_on()
            if self._ended and not self._stay:
                self._server.end_sending()

    def _input_ended(self) -> None:
        if self._rest:
            self._lines.append(self._rest)
        self._ended, self._rest = True, b""
        self._go_on()


class FailoverChat(ChatPipes):
    """A chat between pipes, with the server that answers.

    Args:
        where: the places; the current one is that of `sock`.
        sock: connected to the server.
        dialect: with the user's name.
        max_received: bytes of all files that are received.
        seconds: how long a server is looked for after a loss.
        start: as for `ChatPipes`.
    """

    _server: FailoverConnection

    def __init__(
        self,
        where: Places,
        sock: AnySocket,
        dialect: ClientDialect,
        max_received: int,
        *,
        seconds: float = RETRY_SECONDS,
        start: Start | None = None,
    ) -> None:
        self._where, self._seconds, self._kind = where, seconds, dialect.kind
        self._was_served = self._goodbye = False
        super().__init__(sock, dialect, max_received, start)

    def _adopt(self, sock: AnySocket) -> FailoverConnection:
        return FailoverConnection(self._loop, self._where, sock, self._kind, self, self._seconds)

    # ---- see `FailoverObserver` ----

    def heard(self, lines: list[str]) -> None:
        for line in lines:
            self._server.requests.received(line)
        self._heard(lines)
        if self._dialect.admitted and (self._kind != "rooms" or self._server.requests.user):
            self._was_served = True
            self._server.settled()
        pause, self._dialect.pause = self._dialect.pause, None
        if pause is not None:
            self._server.pause_before_next(pause)

    def lost(self, reason: CloseReason, unconfirmed: list[str]) -> None:
        if self._goodbye and unconfirmed:
            self._tell(unconfirmed)
        if self._goodbye or self._dialect.leaving or not self._was_served:
            self._server.close()
            self._lost(reason)
            return
        told = self._dialect.undelivered
        self._dialect.lost()
        self._dialect.undelivered = told
        for note in self._transfers.close():
            print_error(note)
        if unconfirmed:
            self._tell(unconfirmed)

    def returned(self) -> None:
        self._send(self._dialect.returned())

    def drained(self) -> None:
        self._go_on()

    def given_up(self) -> None:
        self._fail(f"{SERVER_HAS_CLOSED}, and no other was found within {self._seconds:g} seconds")

    # ---- the input ----

    def _send(self, parsed: ParsedInput) -> None:
        self._goodbye = self._goodbye or parsed.goodbye
        super()._send(parsed)

    def _tell(self, unconfirmed: list[str]) -> None:
        tell_unconfirmed(self._dialect, unconfirmed)
        self._status = 1
