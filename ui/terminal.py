"""The client on a terminal: ties the dialect, the files, the connection and the screen together.

The main thread owns `Terminal`, the dialect, the files and the screen; a second one owns the loop and its connection.
Calls into the other thread go through `call_threadsafe`. prompt_toolkit and asyncio are imported by the functions that
use them, so this module can be imported without them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from app.bootstrap import INTERRUPTED
from net.loop import Loop
from net.watched import AnySocket
from ui.dialects import slash
from ui.dialects.base import PROBE, ClientDialect, Consent, ParsedInput
from ui.editor import PromptHooks
from ui.first_line import HeldInput, Start, dialect_of, needs_tls, wrong_server
from ui.places import Places
from ui.questions import Password, Questions
from ui.reconnecting import ReconnectingConnection, running
from ui.rendering import STYLES, Line, lines_of, render_note
from ui.screens import make_screen
from ui.sending import Sending
from ui.streams import STDIN
from ui.toolbar import render_toolbar
from ui.transfers import FileTransfers
from ui.ttys import HUNG_UP, drop_typed_ahead, handle_terminal_events, raw_terminal
from ui.typed_history import HistoryFile, default_path
from ui.unconfirmed import Unconfirmed
from ui.view import View

if TYPE_CHECKING:
    import asyncio

LINES_AT_ONCE = 200
"""Maximum lines shown before keys are handled again: about 15 ms."""

GOODBYE_SECONDS = 1.0
"""Time-out for the server to close after a goodbye."""

FIRST_LINE_SECONDS = 5.0
"""Time-out for the server's first line. Until it is there nothing that was typed is sent: it may be another dialect."""

SEEN_SECONDS = 1.0
"""How long lines are on the screen until they count as read."""


class Options(NamedTuple):
    """How the client was started on a terminal.

    Attributes:
        start: host, port and name, for the words that would start it rightly.
        adapt: returns the dialect to change to, for the name of the server's; None: keep the dialect.
        max_received: bytes of all files that are received.
        bell: ring the bell for direct messages and mentions.
        plain: print only, as for a screen reader.
        colours: styles that differ from `STYLES`.
    """

    start: Start
    adapt: Callable[[str], ClientDialect | None] = lambda _dialect: None
    max_received: int = 0
    bell: bool = True
    plain: bool = False
    colours: dict[str, str] = {}  # noqa: RUF012  # nobody changes it


class Terminal:
    """Ties a dialect, its files, a connection and a screen together. Runs in the main thread, observes the connection.

    Args:
        where: the places where the server may be.
        sock: connected to the current one.
        dialect: of the server, until its first line tells another one.
        options: see `Options`.
        make_raw: sets the terminal's modes, see `raw_terminal`.
    """

    def __init__(
        self,
        where: Places,
        sock: AnySocket,
        dialect: ClientDialect,
        options: Options,
        make_raw: Callable[[], None],
    ) -> None:
        self._where = where
        self._sock = sock
        self._dialect = dialect
        self._options = options
        self._make_raw = make_raw
        self._transfers = FileTransfers(
            lambda line: self._server.send(line), ask_first=True, max_bytes=options.max_received
        )
        self._progress = ""
        self._questions = Questions(self._note)
        self._warned = False
        """Ctrl-C was typed on an empty line, and nothing since."""
        self._held_input = HeldInput(dialect.greeted)
        self._sending = Sending(
            lambda: self._dialect,
            self._held_input,
            self._transfers,
            send=lambda line, by_itself: self._server.send(line, by_itself),
            call_later=lambda seconds, call: self._main_loop.call_later(seconds, call),
            again=lambda: self._start(self._dialect.again()),
        )
        self._unconfirmed = Unconfirmed()
        self._connected = True
        self._seen_timer: asyncio.TimerHandle | None = None
        self._over = False
        self._status = 0

    async def run(self) -> int:
        """Serve the user until the user leaves or the server closes for good; return the exit status."""
        import asyncio

        self._screen = make_screen(self._hooks(), self._options.plain)
        self._view = View(self._screen, self._options.bell)
        main_loop = self._main_loop = asyncio.get_running_loop()
        handle_terminal_events(main_loop, self._end, self._continued)
        loop = Loop()
        post = main_loop.call_soon_threadsafe
        self._server = ReconnectingConnection(loop, self._where, self._sock, self._dialect.kind, self, post)
        with running(loop):
            try:
                self._note(f"Connected to {self._where.current}.")
                self._start(self._dialect.begun())
                main_loop.call_later(FIRST_LINE_SECONDS, self._sending.release_input)
                await self._take_lines()
            finally:
                self._been_shown()
                self._screen.set_title("")
                notes = self._transfers.close()
        if not os.isatty(STDIN):
            return self._status or HUNG_UP
        for note in notes:
            self._note(note)
        return self._status

    def _hooks(self) -> PromptHooks:
        return PromptHooks(
            prompt=self._prompt,
            progress=lambda: self._progress,
            toolbar=self._toolbar,
            complete=lambda text: slash.complete(self._dialect, text),
            secret_start=self._secret_start,
            switch=self._switch,
            interrupted=self._interrupted,
            history=HistoryFile(default_path()),
            styles={**STYLES, **self._options.colours},
        )

    # ---- events of the user ----

    async def _take_lines(self) -> None:
        while not self._over:
            try:
                text = await self._screen.ask()
            except EOFError:
                return
            except KeyboardInterrupt:
                self._status = INTERRUPTED
                return
            self._warned = False
            self._screen.set_title("")
            lines = [line for line in text.split("\n") if line.strip()]
            if self._questions.current:
                for line, parsed in self._questions.answered(text):
                    self._carry_out(self._prompt(), line, self._dialect.accept(parsed))
            elif len(lines) > 1:
                for line in lines:
                    self._view.repeat(self._prompt(), line)
                self._questions.ask_about_paste(self._dialect, lines)
            else:
                self._take("".join(lines))

    def _take(self, line: str) -> None:
        prompt = self._prompt()
        parsed = slash.enter(self._dialect, line)
        if self._dialect.done() or (parsed.goodbye and not self._connected):
            self._end(0)
            return
        if parsed.goodbye:
            self._been_shown()
            self._main_loop.call_later(GOODBYE_SECONDS, self._end, 0)
        self._carry_out(prompt, line, parsed)

    def _carry_out(self, prompt: str, line: str, parsed: ParsedInput) -> None:
        sending = bool(parsed.send) and self._connected
        if line and not (sending and parsed.echoed):
            self._view.repeat(prompt, line)
        self._note(parsed.hint)
        self._view.list(parsed.show)
        if parsed.ask:
            self._ask_password(parsed.ask)
        if parsed.consent:
            self._answer(parsed.consent)
        for again in self._unconfirmed.take() if parsed.resends else ():
            self._carry_out("", "", again)
        if parsed.lists_files:
            self._note("\n".join(self._transfers.received()) or "No file has come, and none is offered.")
        if sending:
            self._sending.send(parsed)
        elif parsed.send:
            self.refused()
        self._sending.send_automatic_lines()

    def _ask_password(self, line: str) -> None:
        if self._connected:
            self._questions.current = Password(line)
            self._screen.refresh()
        else:
            self.refused()

    def _switch(self, number: int) -> None:
        """Alt and a digit were typed."""
        if self._questions.current:
            return
        self._note(self._dialect.switch(number).hint)
        self._sending.send_automatic_lines()
        self._screen.refresh()

    def _interrupted(self) -> None:
        """Ctrl-C was typed on an empty line: drop a question, or else ask once more, and then end."""
        if self._questions.drop():
            return
        if self._warned:
            self._end(INTERRUPTED)
        else:
            self._warned = True
            self._note("Ctrl-C once more ends the client; Ctrl-D and /quit do too.")

    def _answer(self, consent: Consent) -> None:
        self._note((self._transfers.accept if consent.accepted else self._transfers.decline)(consent.user))
        self._show_progress()

    # ---- events of the connection ----

    def heard(self, lines: list[str]) -> None:
        """Show lines of the server, and handle keys after each LINES_AT_ONCE."""
        if self._over:
            return
        if not self._held_input.is_released:
            lines = self._recognise_server(lines)
        self._hear(lines[:LINES_AT_ONCE])
        if len(lines) > LINES_AT_ONCE:
            self._main_loop.call_soon(self.heard, lines[LINES_AT_ONCE:])
        else:
            self._server.go_on(self._dialect.admitted, self._dialect.pause)
        self._sending.send_automatic_lines()
        if self._dialect.done():
            self._end(0)

    def _recognise_server(self, lines: list[str]) -> list[str]:
        """The server's first line tells its dialect: change to it, or say how the client is started for it.

        Returns the lines that are still to be shown.
        """
        dialect = dialect_of(lines[0])
        is_tls = needs_tls(lines[0])
        if not is_tls and dialect in ("", self._dialect.kind):
            self._sending.release_input()
            return lines
        other = None if is_tls else self._options.adapt(dialect)
        if other is None:
            self._hear(lines[:1])
            self._note(wrong_server(lines[0], self._dialect.kind, self._options.start))
            self._held_input.drop()
            drop_typed_ahead()
            self._end(1)
            return []
        self._dialect = other
        self._server.speak(dialect)
        if dialect != "mailbox":
            self._held_input.begin_again()
            self._start(other.begun())
            return lines[1:]
        other.sent(PROBE)  # a mailbox has been asked something before it could greet
        self._hear(lines[:1])
        self._start(other.begun())
        self._sending.release_input()
        return lines[1:]

    def _hear(self, lines: list[str]) -> None:
        shown = [shown for line in lines for shown in self._render(line)]
        self._view.show(shown)
        self._show_progress()
        if shown and self._seen_timer is None:
            self._seen_timer = self._main_loop.call_later(SEEN_SECONDS, self._been_shown)
        self._screen.refresh()

    def _been_shown(self) -> None:
        self._seen_timer = None
        if self._connected:
            self._dialect.been_shown()
            self._sending.send_automatic_lines()

    def _render(self, line: str) -> list[Line]:
        """Render a line for the screen; most lines that carry files give none."""
        note = self._transfers.handle_line(line) if self._dialect.files else None
        if note is None:
            return self._dialect.received(line)
        return lines_of(render_note(note)) if note else []

    def lost(self, unconfirmed: list[str]) -> None:
        """The connection is lost: end after a goodbye, or if the dialect does not dial again."""
        self._connected = False
        if self._over:
            return
        if self._questions.is_secret:
            self._questions.drop()
        self._sending.lost()
        hint = self._dialect.lost()
        if not self._dialect.leaving:
            self._note("\n".join((hint, self._unconfirmed.add(unconfirmed, self._dialect), *self._transfers.close())))
        if self._dialect.leaving or not (self._dialect.reconnects or self._where.persistent):
            self._end(self._status)

    def returned(self) -> None:
        """There is a connection again."""
        self._connected = True
        if self._where.several:
            self._note(f"Connected to {self._where.current}.")
        self._start(self._dialect.returned())
        self._sending.send_automatic_lines()
        self._screen.refresh()  # the prompt shows whether there is one

    def refused(self) -> None:
        """A line is dropped because there is no connection."""
        if not self._over:
            self._note("Not sent: there is no connection at the moment. The up arrow brings the line back.")

    # ---- pieces ----

    def _continued(self) -> None:
        """The shell has used the terminal."""
        self._make_raw()
        self._screen.redraw()

    def _start(self, parsed: ParsedInput) -> None:
        """Show the hint of a dialect, and send its first line."""
        self._note(parsed.hint)
        if parsed.send:
            self._sending.send(parsed._replace(by_itself=True))
        if parsed.ask:
            self._ask_password(parsed.ask)

    def _prompt(self) -> str:
        if self._questions.current:
            return self._questions.current.prompt
        return ("" if self._connected else "(no connection) ") + self._dialect.prompt()

    def _secret_start(self, line: str) -> int:
        return 0 if self._questions.is_secret else self._dialect.secret_start(line)

    def _toolbar(self, width: int) -> str:
        from prompt_toolkit.utils import get_cwidth

        return render_toolbar(self._dialect.status(), self._connected, width, get_cwidth)

    def _show_progress(self) -> None:
        if self._progress != (progress := self._transfers.progress()):
            self._progress = progress
            self._screen.refresh()

    def _note(self, text: str) -> None:
        self._view.note(text)

    def _end(self, status: int) -> None:
        self._over, self._status = True, status
        self._screen.end()


def run_terminal(where: Places, sock: AnySocket, dialect: ClientDialect, options: Options) -> int:
    """Run the client on a terminal, see `Terminal`; return the exit status."""
    import asyncio
    import termios

    try:
        with raw_terminal() as make_raw:
            return asyncio.run(Terminal(where, sock, dialect, options, make_raw).run())
    except (OSError, termios.error):
        if os.isatty(STDIN):
            raise
        return HUNG_UP
