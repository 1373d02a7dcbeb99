"""The client between pipes: a netcat, and a chat without a screen. Imports little, so that it starts quickly."""

from __future__ import annotations

import re
import select
import signal
import sys
import threading
from typing import NoReturn, Protocol

from net.loop import Loop
from net.table import CloseReason
from net.watched import AnySocket
from text import LineBuffer, Overlong
from ui.connection import LineConnection
from ui.dialects import never_recognise
from ui.dialects.base import TOO_LONG, ClientDialect, ParsedInput, Recogniser
from ui.first_line import Start, needs_tls, wrong_server
from ui.rendering import without_style
from ui.streams import READ_SIZE, STDIN, STDOUT, TextInput, print_error, write_all
from ui.transfers import FileTransfers

ANSWER_SECONDS = 5.0
"""Time-out for the last answers after the user has left the chat."""

LOGIN_SECONDS = 10.0
"""Time-out for the login of a chat."""


class ServerConnection(Protocol):
    """What pipes need of a connection, see `LineConnection`."""

    @property
    def congested(self) -> bool: ...
    @property
    def half_closed(self) -> bool: ...
    def send(self, data: bytes) -> object: ...
    def end_sending(self) -> None: ...


class Pipes:
    """Base of both kinds of pipes. The main thread runs the loop and prints; a second thread reads the input.

    The loop is never closed, since the second thread may still call into it; the process ends anyway.
    """

    def __init__(self, sock: AnySocket, dialect: ClientDialect) -> None:
        self._loop = Loop()
        self._server = self._adopt(sock)
        self._dialect = dialect
        self._status = 0
        self._failed = False
        self._taken = threading.Semaphore(0)
        self._input_waits = False

    def run(self) -> int:
        """Pass lines both ways until the server closes; return the exit status."""
        threading.Thread(target=self._watch, daemon=True).start()
        self._loop.run()
        return self._status

    # ---- in the loop's thread ----

    def _adopt(self, sock: AnySocket) -> ServerConnection:
        return LineConnection(self._loop, sock, self._heard, self._lost, self._go_on)

    def _heard(self, lines: list[str]) -> None:
        """Take lines from the server."""
        raise NotImplementedError

    def _lost(self, reason: CloseReason) -> None:
        """The connection is over."""
        raise NotImplementedError

    def _take(self, chunk: bytes) -> None:
        """Take a piece of input. The next one is read when this one is passed on, see `_go_on`."""
        self._input_waits = True
        self._go_on()

    def _input_ended(self) -> None:
        """The input is at its end and has been passed on."""

    def _print(self, lines: list[str]) -> None:
        try:
            write_all(STDOUT, "".join([f"{line}\n" for line in lines]).encode(errors="replace"))
        except BrokenPipeError:
            self._loop.stop()
        except OSError as error:
            self._fail(f"cannot write: {error.strerror}")

    def _fail(self, why: str) -> None:
        """Stop with an error. Only the first one is printed."""
        if not self._failed:
            self._failed = True
            self._status = print_error(why)
        self._loop.stop()

    def _go_on(self) -> None:
        """Read more input, unless the server exerts back-pressure."""
        if self._input_waits and not self._server.congested:
            self._input_waits = False
            self._taken.release()

    # ---- in a thread of its own ----

    def _watch(self) -> None:
        """Hand the input to the loop. Stop when the reader of the output has gone, also after the input's end."""
        poll = select.poll()
        poll.register(STDIN, select.POLLIN)
        poll.register(STDOUT, 0)  # for errors, which poll always reports: the reader has gone
        source = TextInput(STDIN)
        while STDOUT not in dict(poll.poll()):
            if chunk := source.read():
                self._hand_in(chunk)
            if source.ended:
                poll.unregister(STDIN)
                self._loop.call_threadsafe(self._input_ended)
        self._loop.call_threadsafe(self._loop.stop)

    def _hand_in(self, chunk: bytes) -> None:
        """Give a piece to the loop and wait until it has been passed on."""
        self._loop.call_threadsafe(lambda: self._take(chunk))
        self._taken.acquire()


SERVER_HAS_CLOSED = "the server has closed the connection"
GOODBYE = re.compile(rb"\n[ \t]*(?:QUIT|bye)[ \t]*\r?\n")
MAX_GOODBYE = 64
"""A request to close, and the bytes of one piece of input that are searched again with the next."""


class Netcat(Pipes):
    """Passes the lines of the protocol as they are, in both directions.

    At the end of the input it half-closes, prints what is still answered, and ends when the server closes. The exit
    status is 1 when an answer was a failure, or when the server went away first.

    Args:
        sock: connected to the server.
        dialect: says which answers are failures.
        recognise: may change the dialect by the server's first line.
        stay: do not half-close at the end of the input.
        start: how the client was started, to tell how it is started for TLS; None where that is used.
    """

    def __init__(
        self,
        sock: AnySocket,
        dialect: ClientDialect,
        recognise: Recogniser = never_recognise,
        *,
        stay: bool = False,
        start: Start | None = None,
    ) -> None:
        super().__init__(sock, dialect)
        self._recognise = recognise
        self._stay = stay
        self._start = start
        self._tail = b"\n"
        self._goodbye = False

    def _heard(self, lines: list[str]) -> None:
        self._dialect = self._recognise(lines[0]) or self._dialect
        self._recognise = never_recognise
        assert self._dialect.failure
        if any(map(self._dialect.failure.fullmatch, lines)):
            self._status = 1
        self._print(lines)
        if self._start and needs_tls(lines[0]):
            self._fail(wrong_server(lines[0], self._dialect.kind, self._start))
        self._start = None

    def _lost(self, reason: CloseReason) -> None:
        if self._goodbye or (self._server.half_closed and reason is CloseReason.PEER):
            self._loop.stop()
        else:
            self._fail(SERVER_HAS_CLOSED)

    def _take(self, chunk: bytes) -> None:
        seen = self._tail + chunk
        self._goodbye = self._goodbye or bool(GOODBYE.search(seen))
        self._tail = seen[-MAX_GOODBYE:]
        self._server.send(chunk)
        super()._take(chunk)

    def _input_ended(self) -> None:
        if not self._stay:
            self._server.end_sending()


class ChatPipes(Pipes):
    """A chat between pipes: each line of the input counts as typed, and the output is that of a screen.

    Notes of the client go to standard error. No input is read before the login, nor while many answers are due. The
    exit status is 1 if anything could not be sent or delivered.
    """

    def __init__(self, sock: AnySocket, dialect: ClientDialect, max_received: int, start: Start | None = None) -> None:
        super().__init__(sock, dialect)
        self._start = start
        """How the client was started; None when the server's dialect is known."""
        self._transfers = FileTransfers(self._say, max_bytes=max_received)
        self._lines = LineBuffer(READ_SIZE)
        self._loop.call_soon(lambda: self._send(dialect.begun()))
        self._loop.call_later(LOGIN_SECONDS, self._check_login)

    def run(self) -> int:
        """Chat until the server closes, the user leaves, or a signal comes; leave no half file behind."""
        exit_on_signals()
        try:
            status = super().run()
        finally:
            for note in self._transfers.close():
                print_error(note)
        return 1 if self._transfers.failed else status

    def _heard(self, lines: list[str]) -> None:
        wrong = wrong_server(lines[0], self._dialect.kind, self._start) if self._start else ""
        self._start = None
        received = [self._dialect.received(line) for line in lines if self._is_shown(line)]
        self._print([without_style(shown.text) for line in received for shown in line])
        if self._dialect.undelivered:
            self._status = 1
        if wrong or self._dialect.wrong:
            self._fail(". ".join(filter(None, (self._dialect.wrong, wrong))))
        elif self._dialect.done():
            self._loop.stop()
        self._go_on()

    def _is_shown(self, line: str) -> bool:
        """Tell whether a line is for the dialect; lines that carry files are handled here."""
        note = self._transfers.handle_line(line) if self._dialect.files else None
        if note:
            print_error(note)
        return note is None

    def _lost(self, reason: CloseReason) -> None:
        expected, told = self._dialect.admitted or self._dialect.wrong, self._dialect.undelivered
        self._dialect.lost()
        if not expected:
            self._fail("the server has closed without a login")
        elif self._dialect.undelivered and not told:
            self._fail("the server has closed without an answer to every message")
        self._loop.stop()

    def _check_login(self) -> None:
        if not self._dialect.admitted:
            self._fail(f"no login within {LOGIN_SECONDS:.0f} seconds; is this a server of that dialect?")

    def _take(self, chunk: bytes) -> None:
        self._lines.feed(chunk)
        super()._take(chunk)

    def _go_on(self) -> None:
        while self._dialect.ready() and not self._server.congested:
            line = self._lines.next()
            if line is None:
                super()._go_on()
                return
            self._type(line)

    def _type(self, line: bytes | Overlong) -> None:
        if isinstance(line, Overlong):
            self._status = print_error(f"Not sent: {TOO_LONG}")
            return
        try:
            parsed = self._dialect.typed(line.decode())
        except UnicodeDecodeError:
            self._status = print_error("Not sent: a line that is not UTF-8.")
            return
        if self._dialect.leaving:
            self._leave()
        elif parsed.hint:
            print_error(parsed.hint)
        if parsed.refused:
            self._status = 1
        if parsed.send:
            self._send(parsed)

    def _send(self, parsed: ParsedInput) -> None:
        self._dialect.sent(parsed.send)
        self._say(self._transfers.offer(parsed.send, parsed.offer) if parsed.offer else parsed.send)

    def _say(self, line: str) -> None:
        self._server.send(f"{line}\n".encode(errors="replace"))

    def _leave(self) -> None:
        if self._dialect.done():
            self._loop.stop()
        else:
            self._loop.call_later(ANSWER_SECONDS, lambda: self._fail("the server has not answered every request"))


def exit_on_signals() -> None:
    """Have SIGTERM and SIGHUP raise SystemExit, so that files are cleaned up. Ignored signals stay ignored."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, _end)


def _end(signum: int, _frame: object) -> NoReturn:
    sys.exit(128 + signum)
