"""The operator's console (P1 to P10): commands on standard input, the chat's log on standard output.

Nothing here makes the loop wait. Input is read by a thread of its own, which ends with the input and keeps nothing
alive; output that nobody takes waits in a bounded buffer, and what is too much for it is dropped.
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from app.logs import LONGEST, unblocked
from dialects.rooms import Lines
from domain.errors import NoSuchChannel, NotHere, StoreUnavailable
from domain.rooms import FOR_EVER, Rooms
from peering.links import Links
from text import LineBuffer, Overlong, clean, normal, split_words

log = logging.getLogger("crosstalk.console")

MAX_WAITING = 1024 * 1024
"""Bytes that may wait for standard output to be read."""

PIECE_SIZE = 4096
PIECE_SECONDS = 0.1
"""Pause after a piece of input behind which more is ready: nobody types so much, and /dev/zero would never end."""

RETRY_SECONDS = 0.1
FOREGROUND_SECONDS = 1.0
"""Pause before a terminal is read again that refused because the server is in its background."""


class Printer:
    """Writes lines to a descriptor that may be slow, or have nobody at its other end.

    Args:
        descriptor: where to.
        call_later: has a call made after so many seconds.
    """

    def __init__(self, descriptor: int, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._descriptor = descriptor = unblocked(descriptor)
        self._call_later = call_later
        self._waiting = bytearray()
        self._dropped = 0
        self._retrying = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def print(self, text: str) -> None:
        """Queue whole lines for `flush`."""
        if len(self._waiting) > MAX_WAITING:
            self._dropped += 1
            if self._dropped == 1:
                log.warning("standard output is not read; lines of the chat's log are dropped")
        else:
            self._waiting += text.encode(errors="replace")

    def flush(self) -> None:
        """Write what waits, as far as it is taken; the rest is tried again by itself."""
        while self._waiting and self._is_writable():
            try:
                written = os.write(self._descriptor, self._waiting[:LONGEST])
            except BlockingIOError:
                break
            except OSError:  # nobody will read it
                self._waiting.clear()
                return
            del self._waiting[:written]
        if self._waiting:
            self._retry()
        elif self._dropped:
            log.warning("%d lines of the chat's log were dropped", self._dropped)
            self._dropped = 0

    def drain(self, seconds: float) -> None:
        """Wait until all is written, but for no longer than this."""
        until = time.monotonic() + seconds
        self.flush()
        while self._waiting and time.monotonic() < until:
            self._poll.poll(1000 * RETRY_SECONDS)
            self.flush()

    def _retry(self) -> None:
        if not self._retrying:
            self._retrying = True
            self._call_later(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retrying = False
        self.flush()

    def _is_writable(self) -> bool:
        return any(events for _descriptor, events in self._poll.poll(0))


def read_lines(descriptor: int, take: Callable[[str], None]) -> None:
    """Read lines until the end of the input; blocks, so it wants a thread. Lines that are too long are left out.

    Args:
        descriptor: read at most PIECE_SIZE bytes in PIECE_SECONDS where it is never empty.
        take: called with each line, without its newline; may block.
    """
    lines = LineBuffer()
    while data := _read(descriptor):
        lines.feed(data)
        while (line := lines.next()) is not None:
            if not isinstance(line, Overlong):
                take(line.decode(errors="replace"))
        if len(data) == PIECE_SIZE:
            time.sleep(PIECE_SECONDS)
    if len(lines):
        lines.feed(b"\n")
        line = lines.next()
        if isinstance(line, bytes):
            take(line.decode(errors="replace"))


def _read(descriptor: int) -> bytes:
    """Read what is there; nothing at the end, or where nothing can be read."""
    while True:
        try:
            return os.read(descriptor, PIECE_SIZE)
        except BlockingIOError:  # shared with somebody who has made it non-blocking
            select.select([descriptor], [], [])
        except OSError:
            if not os.isatty(descriptor):
                return b""
            time.sleep(FOREGROUND_SECONDS)  # in the background of a terminal, whose keys are for somebody else


class Console:
    """What the operator types, and what the operator sees.

    Args:
        rooms: the domain.
        lines: the words.
        now: the wall clock, in seconds since the epoch.
        show: prints whole lines.
        shut_down: ends the server.

    Attributes:
        links: with other servers; None where there is no federation.
    """

    def __init__(
        self,
        rooms: Rooms,
        lines: Lines,
        now: Callable[[], float],
        show: Callable[[str], None],
        shut_down: Callable[[], None],
    ) -> None:
        self._rooms = rooms
        self._lines = lines
        self._now = now
        self._show = show
        self._shut_down = shut_down
        self.links: Links | None = None
        self._over = False

    def typed(self, line: str) -> None:
        """Carry out a command; anything else is ignored, and so is a command with too few or too many words."""
        verb, *words = split_words(line) or [""]
        command = None if self._over else COMMANDS.get(verb)
        if command is not None and len(words) == command.words:
            command.handler(self, *map(normal, words))

    # ---- commands ----

    def kick(self, place: str) -> None:
        channel, _, user = place.partition(":")
        if not (channel and user):
            return
        self._rooms.kick(channel, user, partial(self._explain_kick, channel, user))

    def mute(self, place: str, seconds: str) -> None:
        channel, _, user = place.partition(":")
        if not (channel and user):
            return
        number = int(min(float(seconds), FOR_EVER)) if seconds.isascii() and seconds.isdigit() else 0
        try:
            self._rooms.who_is_there(channel, user)
            if number:
                self._rooms.mute(channel, user, number)
        except NotHere:
            self._say(f"{user} is not here.")
        else:
            self._say(f"Muted {user} for {number} seconds." if number else "Invalid mute time.")

    def empty(self, channel: str) -> None:
        try:
            self._rooms.empty(channel)
        except NoSuchChannel:
            self._say(f"{channel} does not exist.")

    def unlink(self, server: str) -> None:
        self._change_links(server, lambda links: f"{server} is kept out; links closed: {links.unlink(server)}.")

    def relink(self, server: str) -> None:
        self._change_links(
            server,
            lambda links: f"{server} may link again." if links.relink(server) else f"{server} was not kept out.",
        )

    def shut_down(self) -> None:
        self._over = True
        self._shut_down()

    # ---- pieces ----

    def _change_links(self, server: str, change: Callable[[Links], str]) -> None:
        if self.links is None:
            self._say("There are no links: federation is off.")
            return
        try:
            self._say(change(self.links))
        except ValueError:
            self._say(f"{server} is no server's name or address.")

    def _explain_kick(self, channel: str, user: str, error: Exception | None) -> None:
        if isinstance(error, NoSuchChannel):
            self._say(f"{channel} does not exist.")
        elif isinstance(error, StoreUnavailable):
            self._say(f"{user} cannot be removed: the database takes nothing.")
        elif error is not None:
            self._say(f"{user} is not in {channel}.")

    def _say(self, text: str) -> None:
        self._show(self._lines.server(clean(text), self._now()))


class ConsoleCommand(NamedTuple):
    """A row of the console's table: what carries it out, how it is typed, what it does, how many words it takes."""

    handler: Callable[..., None]
    usage: str
    help: str
    words: int


COMMANDS: Mapping[str, ConsoleCommand] = {
    "/kick": ConsoleCommand(Console.kick, "/kick <channel>:<user>", "take somebody out of a channel or its queue", 1),
    "/mute": ConsoleCommand(
        Console.mute, "/mute <channel>:<user> <seconds>", "let somebody say nothing in a channel for a while", 2
    ),
    "/empty": ConsoleCommand(Console.empty, "/empty <channel>", "take everybody out of a channel", 1),
    "/unlink": ConsoleCommand(
        Console.unlink, "/unlink <server>", "close the links with a server, by name or address, and keep it out", 1
    ),
    "/relink": ConsoleCommand(Console.relink, "/relink <server>", "let such a server in again", 1),
    "/shutdown": ConsoleCommand(Console.shut_down, "/shutdown", "end the server", 0),
}
