"""The server's first line: the dialect that it tells, and how the client is started for that one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ui.dialects.base import ParsedInput

MAILBOX_GREETING = "To get started on this chat room"
"""The start of the line that a mailbox server sends by itself."""

FIRST_LINES: Mapping[str, str] = {
    "mailbox": rf"{MAILBOX_GREETING}.*",
    "rooms": r"\[Server message \(\S+\)\] .*",
    "hello": r"HELLO \S+|IN-USE|BUSY|BAD-RQST-HDR|BAD-RQST-BODY",
    "result": r"RESULT .*|RECV .*|@\S+ RECV .*",
}
"""What the first line of a server looks like, in each dialect."""

NEEDS_TLS = "This port speaks TLS only: connect with TLS."
"""What a port for TLS says to a client without it (C54)."""

CHANNEL = re.compile(r"\[Server message \(\S+\)\] (?:Cannot connect to|Welcome to) the (\S+) channel.*")


class HeldInput:
    """Holds lines back until the server's first line has told its dialect: in another one a password may be a message.

    Args:
        greeted: the server speaks first, so no line goes before.

    Attributes:
        is_released: the dialect is known, or nothing tells it, so no line has to wait.
    """

    def __init__(self, greeted: bool = False) -> None:
        self.is_released = False
        self._began = greeted
        self._held: list[ParsedInput] = []

    def holds(self, parsed: ParsedInput) -> bool:
        """Tell whether a line has to wait. The one with which a dialect begins does not."""
        waits = self._began and not self.is_released
        self._began = True
        if waits:
            self._held.append(parsed)
        return waits

    def release(self) -> Sequence[ParsedInput]:
        """Return what has waited."""
        self.is_released, held, self._held = True, self._held, []
        return held

    def begin_again(self) -> None:
        """The dialect has changed, and begins with a line of its own."""
        self._began = False

    def drop(self) -> None:
        """The connection is lost, or is not wanted: nothing of what has waited is sent."""
        self._held.clear()


class Start(NamedTuple):
    """How the client was started: host, port, the user's name if there is one, and whether with TLS."""

    host: str
    port: int
    name: str = ""
    tls: bool = False

    def words(self, dialect: str) -> str:
        """Return the command that starts the client for a server of this dialect."""
        where = f"client.py {self.port}" + ("" if self.host == "localhost" else f" --host {self.host}")
        where += " --tls" if self.tls else ""
        match dialect:
            case "rooms":
                return f"{where} {self.name or '<name>'}"
            case "hello":
                return f"{where} --dialect hello --name {self.name or '<name>'}"
        return where


def dialect_of(line: str) -> str:
    """Return the dialect of a server by its first line; empty if that is of none."""
    return next((dialect for dialect, pattern in FIRST_LINES.items() if re.fullmatch(pattern, line)), "")


def needs_tls(line: str) -> bool:
    """Tell whether a first line says that the port is for TLS (C54)."""
    return line.removeprefix("ERROR :") == NEEDS_TLS


def wrong_server(line: str, dialect: str, start: Start) -> str:
    """Return a note that a server speaks another dialect, or TLS, and how the client is started for it; else "".

    Args:
        line: the first line of the server.
        dialect: what the client speaks.
        start: how it was started.
    """
    if needs_tls(line):
        return f"Start the client with: python3 {start._replace(tls=True).words(dialect)}"
    other = dialect_of(line)
    if other in ("", dialect):
        return ""
    channel = CHANNEL.fullmatch(line)
    what = f"This is the port of the channel {channel[1]}" if channel else f"This port speaks the dialect {other}"
    return f"{what}. Start the client with: python3 {start.words(other)}"
