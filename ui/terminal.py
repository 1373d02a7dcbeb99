"""The client on a terminal: ties the dialect, the files, the connection and the screen together.

The main thread owns `Terminal`, the dialect, the files and the screen; a second one owns the loop and its connection.
Calls into the other thread go through `call_threadsafe`. prompt_toolkit and asyncio are imported by the functions that
use them, so this module can be imported without them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from app.bootstrap import INTERRUPTED
from net.loop import Loop
from ui.connection import Address, ReconnectingConnection
from ui.dialects import never_recognise, slash
from ui.dialects.base import ClientDialect, Consent, Fragments, ParsedInput, Recogniser, render_note
from ui.screens import DumbScreen, PromptHooks, RichScreen, Screen
from ui.streams import STDIN
from ui.transfers import FileTransfers

if TYPE_CHECKING:
    import asyncio

FAREWELL_SECONDS = 1.0
"""Time-out at the end for the loop's thread to send the last lines."""

LINES_AT_ONCE = 200
"""Maximum lines shown before keys are handled again: about 15 ms."""

GOODBYE_SECONDS = 1.0
"""Time-out for the server to close after a goodbye."""

HUNG_UP = 128 + signal.SIGHUP


class Terminal:
    """Ties a dialect, its files, a connection and a screen together. Runs in the main thread, observes the connection.

    Args:
        address: of the server.
        sock: connected to it.
        dialect: of the server, unless `recognise` gives another one by the first line.
        recognise: see `Recogniser`.
        make_raw: sets the terminal's modes, see `raw_terminal`.
        max_received: bytes of all files that are received.
    """

    def __init__(
        self,
        address: Address,
        sock: socket.socket,
        dialect: ClientDialect,
        recognise: Recogniser,
        make_raw: Callable[[], None],
        max_received: int,
    ) -> None:
        self._address = address
        self._sock = sock
        self._dialect = dialect
        self._recognise = recognise
        self._make_raw = make_raw
        self._transfers = FileTransfers(lambda line: self._server.send(line), ask_first=True, max_bytes=max_received)
        self._progress = ""
        self._pasted: list[tuple[str, ParsedInput]] = []
        self._connected = True
        self._retry_timer: asyncio.TimerHandle | None = None
        self._over = False
        self._status = 0

    async def run(self) -> int:
        """Serve the user until the user leaves or the server closes for good; return the exit status."""
        import asyncio

        screen = DumbScreen if os.environ.get("TERM", "") in ("", "dumb", "unknown") else RichScreen
        self._screen: Screen = screen(
            PromptHooks(
                self._prompt,
                lambda: self._progress,
                lambda text: slash.complete(self._dialect, text),
                lambda line: self._dialect.secret_start(line),
            )
        )
        main_loop = self._main_loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is signal.SIG_DFL:
                main_loop.add_signal_handler(signum, self._end, 128 + signum)
        main_loop.add_signal_handler(signal.SIGCONT, self._continued)
        main_loop.set_exception_handler(self._failed)
        loop = Loop()
        self._server = ReconnectingConnection(loop, self._address, self._sock, self, main_loop.call_soon_threadsafe)
        network = threading.Thread(target=loop.run, daemon=True)
        network.start()
        try:
            self._start(f"Connected to {self._address}. ", self._dialect.begun())
            await self._take_lines()
        finally:
            notes = self._transfers.close()
            loop.call_threadsafe(loop.stop)
            network.join(FAREWELL_SECONDS)
        if not os.isatty(STDIN):
            return self._status or HUNG_UP
        for note in notes:
            self._note(note)
        return self._status

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
            lines = [line for line in text.split("\n") if line.strip()]
            if self._pasted:
                self._decide(text)
            elif len(lines) > 1:
                self._question(lines)
            else:
                self._take("".join(lines))

    def _question(self, lines: list[str]) -> None:
        """Ask whether to send a paste; only a paste has several lines. All of them are text, whatever is in them."""
        parsed_lines = [slash.say(self._dialect, line) for line in lines]
        for number, (line, parsed) in enumerate(zip(lines, parsed_lines, strict=True), 1):
            self._screen.repeat(self._prompt(), line)
            if not parsed.send:
                self._note(f"Line {number} of the paste, so none is sent: {parsed.hint}")
                return
        self._pasted = list(zip(lines, parsed_lines, strict=True))
        self._note(f"You have pasted {len(lines)} lines. y sends them as text; anything else drops them.")

    def _decide(self, answer: str) -> None:
        pasted, self._pasted = self._pasted, []
        if answer.strip().casefold() not in ("y", "yes"):
            self._note("The pasted lines are dropped. The up arrow brings them back.")
            return
        for line, parsed in pasted:
            self._carry_out(self._prompt(), line, parsed)

    def _take(self, line: str) -> None:
        prompt = self._prompt()
        parsed = slash.enter(self._dialect, line)
        if self._dialect.done() or (parsed.goodbye and not self._connected):
            self._end(0)
            return
        if parsed.goodbye:
            self._main_loop.call_later(GOODBYE_SECONDS, self._end, 0)
        self._carry_out(prompt, line, parsed)

    def _carry_out(self, prompt: str, line: str, parsed: ParsedInput) -> None:
        if parsed.consent:
            self._screen.repeat(prompt, line)
            self._answer(parsed.consent)
            return
        if not (parsed.send or parsed.hint):
            return
        sending = bool(parsed.send) and self._connected
        if not (sending and parsed.echoed):
            self._screen.repeat(prompt, line)
        self._note(parsed.hint)
        if sending:
            self._send(parsed)
        elif parsed.send:
            self.refused()

    def _send(self, parsed: ParsedInput) -> None:
        self._recognise = never_recognise
        self._dialect.sent(parsed.send)
        self._server.send(self._transfers.offer(parsed.send, parsed.offer) if parsed.offer else parsed.send)

    def _answer(self, consent: Consent) -> None:
        self._note((self._transfers.accept if consent.accepted else self._transfers.decline)(consent.user))
        self._show_progress()

    # ---- events of the connection ----

    def heard(self, lines: list[str]) -> None:
        """Show lines of the server, and handle keys after each LINES_AT_ONCE."""
        if self._over:
            return
        self._hear(lines[:LINES_AT_ONCE])
        if len(lines) > LINES_AT_ONCE:
            self._main_loop.call_soon(self.heard, lines[LINES_AT_ONCE:])
        else:
            self._server.go_on(self._dialect.admitted, self._dialect.pause)
        self._send_automatic_lines()
        if self._dialect.done():
            self._end(0)

    def _hear(self, lines: list[str]) -> None:
        other = self._recognise(lines[0])
        self._recognise = never_recognise
        self._dialect = other or self._dialect
        shown = [drawn for line in lines if (drawn := self._render(line))]
        if shown:
            self._screen.show(shown)
        if other:
            self._start("", other.begun())
        self._show_progress()

    def _send_automatic_lines(self) -> None:
        """Send the lines that the dialect sends by itself, and set the timer for `again`."""
        lines, self._dialect.automatic_lines = self._dialect.automatic_lines, ()
        pause, self._dialect.pause = self._dialect.pause, None
        for line in lines:
            self._send(ParsedInput(send=line))
        if pause is not None:
            self._cancel_retry()
            self._retry_timer = self._main_loop.call_later(pause, lambda: self._start("", self._dialect.again()))

    def _cancel_retry(self) -> None:
        if self._retry_timer:
            self._retry_timer.cancel()

    def _render(self, line: str) -> Fragments:
        """Render a line for the screen; most lines that carry files give an empty one."""
        note = self._transfers.handle_line(line) if self._dialect.files else None
        if note is None:
            return self._dialect.received(line)
        return render_note(note) if note else []

    def lost(self) -> None:
        """The connection is lost: end after a goodbye, or if the dialect does not dial again."""
        self._connected = False
        self._cancel_retry()
        hint = self._dialect.lost()
        if not self._dialect.leaving:
            self._note(hint)
        if self._dialect.leaving or not self._dialect.reconnects:
            self._end(0)

    def returned(self) -> None:
        """There is a connection again."""
        self._connected = True
        self._start("", self._dialect.returned())
        self._screen.refresh()  # the prompt shows whether there is one

    def refused(self) -> None:
        """A line is dropped because there is no connection."""
        if not self._over:
            self._note("Not sent: there is no connection at the moment. The up arrow brings the line back.")

    # ---- events of the terminal ----

    def _continued(self) -> None:
        """The program continues after a stop; the shell has used the terminal."""
        if not _in_background():
            self._make_raw()
            self._screen.redraw()

    def _failed(self, main_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A call of the loop has failed. If the terminal is gone, that is why."""
        if os.isatty(STDIN):
            main_loop.default_exception_handler(context)
        else:
            self._end(HUNG_UP)

    # ---- pieces ----

    def _start(self, news: str, parsed: ParsedInput) -> None:
        """Show the news of a connection, and send the first line of the dialect."""
        self._note(news + parsed.hint)
        if parsed.send:
            self._send(parsed)

    def _prompt(self) -> str:
        if self._pasted:
            return f"Send {len(self._pasted)} lines as text? y/n "
        return ("" if self._connected else "(no connection) ") + self._dialect.prompt()

    def _show_progress(self) -> None:
        if self._progress != (progress := self._transfers.progress()):
            self._progress = progress
            self._screen.refresh()

    def _note(self, text: str) -> None:
        if text:
            self._screen.show([render_note(text)])

    def _end(self, status: int) -> None:
        self._over, self._status = True, status
        self._screen.end()


def _in_background() -> bool:
    try:
        return os.tcgetpgrp(STDIN) != os.getpgrp()
    except OSError:  # not our controlling terminal
        return False


def run_terminal(
    address: Address,
    sock: socket.socket,
    dialect: ClientDialect,
    recognise: Recogniser,
    max_received: int,
) -> int:
    """Run the client on a terminal, see `Terminal`; return the exit status."""
    import asyncio
    import termios

    try:
        with raw_terminal() as make_raw:
            return asyncio.run(Terminal(address, sock, dialect, recognise, make_raw, max_received).run())
    except (OSError, termios.error):
        if os.isatty(STDIN):
            raise
        return HUNG_UP


@contextlib.contextmanager
def raw_terminal() -> Iterator[Callable[[], None]]:
    """Turn echo and line editing of the terminal off while the context lasts; give a function that does so again.

    The line editor does so too, but only while it runs: before and between, a password would be echoed and a Ctrl-D
    lost.
    """
    import termios

    before = termios.tcgetattr(STDIN)
    raw = list(before)
    raw[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    make_raw = partial(termios.tcsetattr, STDIN, termios.TCSANOW, raw)
    make_raw()
    try:
        yield make_raw
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
