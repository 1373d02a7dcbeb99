"""What a terminal sends: the lines that were typed, and those that the dialect sends by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ui.dialects.base import ClientDialect, ParsedInput
from ui.first_line import HeldInput
from ui.transfers import FileTransfers

if TYPE_CHECKING:
    import asyncio


class Sending:
    """Sends lines to the server as soon as its dialect is known. Runs in the main thread.

    Args:
        dialect: returns the dialect that is spoken now.
        held_input: holds lines back.
        transfers: complete the line that offers a file.
        send: passes a line to the connection, and whether the client repeats it by itself.
        call_later: calls after these seconds.
        again: called when the dialect's `pause` is over.
    """

    def __init__(
        self,
        dialect: Callable[[], ClientDialect],
        held_input: HeldInput,
        transfers: FileTransfers,
        *,
        send: Callable[[str, bool], None],
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
        again: Callable[[], None],
    ) -> None:
        self._dialect = dialect
        self._held_input = held_input
        self._transfers = transfers
        self._pass_on = send
        self._call_later = call_later
        self._again = again
        self._retry_timer: asyncio.TimerHandle | None = None

    def send(self, parsed: ParsedInput) -> None:
        """Send a line, or hold it back until the dialect is known."""
        if self._held_input.holds(parsed):
            return
        self._dialect().sent(parsed.send)
        line = self._transfers.offer(parsed.send, parsed.offer) if parsed.offer else parsed.send
        self._pass_on(line, parsed.by_itself)

    def send_automatic_lines(self) -> None:
        """Send the lines that the dialect sends by itself, and set the timer for `again`."""
        dialect = self._dialect()
        lines, dialect.automatic_lines = dialect.automatic_lines, ()
        pause, dialect.pause = dialect.pause, None
        for line in lines:
            self.send(ParsedInput(send=line, by_itself=True))
        if pause is not None:
            self._cancel_retry()
            self._retry_timer = self._call_later(pause, self._again)

    def release_input(self) -> None:
        """Send what was held back: the dialect is known, or nothing tells it."""
        for parsed in self._held_input.release():
            self.send(parsed)
        self.send_automatic_lines()

    def lost(self) -> None:
        """The connection is lost: nothing that was held back is sent, and nothing is repeated on it."""
        self._held_input.drop()
        self._cancel_retry()

    def _cancel_retry(self) -> None:
        if self._retry_timer:
            self._retry_timer.cancel()
