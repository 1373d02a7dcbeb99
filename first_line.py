"""The first line of a connection: it may choose the dialect (C22), or show another protocol (C13, C55)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from text import Overlong, first_word, foreign_protocol
from transport import Transport

Choice = Mapping[str, Callable[[], Any]]
"""Returns the dialect that a first word chooses (C22)."""

NO_CHOICE: Choice = {}

log = logging.getLogger("crosstalk.chat")


class NewSession(Protocol):
    """What the first line asks of its session."""

    dialect: Any
    transport: Transport

    def speak(self, dialect: Any) -> None: ...
    def refuse(self) -> None: ...


def take_first_line(session: NewSession, line: bytes | Overlong, choice: Choice) -> bool:
    """Let a first line choose the dialect of its session, and end the login time-out unless the dialect does so later.

    Returns:
        False when the session is closed, as the line is of another protocol.
    """
    if foreign := foreign_protocol(line):  # no web page may have its visitor's browser speak here (C13)
        session.transport.note_first_line()
        refuse_foreign(session, foreign)
        return False
    chosen = choice.get(first_word(line))
    if chosen is not None:
        session.speak(chosen())
    if not session.dialect.greets_late:
        session.transport.note_first_line()
    return True


def refuse_foreign(session: NewSession, protocol: str) -> None:
    """Close the connection of a client that speaks another protocol."""
    transport = session.transport
    log.info("closing %s: it speaks %s at a port that does not", transport, protocol, extra=transport.log_mark())
    session.refuse()
