"""The operator's dialect at the control socket (P12 to P14)."""

from __future__ import annotations

from dialects.operator.base import Operator
from dialects.operator.table import ALL, FAILURES
from protocol import Session
from text import clean

DONE, REFUSED, TYPO = "OK", "ERROR", "USAGE"
"""The first word of the line that ends an answer."""

NO_PLACE = "All places here are taken: end a connection that is idle."
FULL = f"{REFUSED} {NO_PLACE}\n".encode()
"""Sent to a connection that is refused because all places are taken (P12)."""


class Control(Operator):
    """A session at the control socket. Every command has an answer, whose last line says how it ended."""

    commands, failures = ALL, FAILURES

    def done(self, session: Session, text: str = "", *, is_shown: bool = False) -> None:
        self._end(session, DONE, text)

    def refused(self, session: Session, text: str) -> None:
        self._end(session, REFUSED, text)

    def typo(self, session: Session, text: str) -> None:
        self._end(session, TYPO, text)

    def item(self, text: str) -> str:
        """Return a line of a list: a space in front tells it from the last line of the answer."""
        return f" {text}"

    def _end(self, session: Session, word: str, text: str) -> None:
        session.send_bytes(f"{word} {clean(text)}".rstrip().encode(errors="replace") + b"\n")


class ControlSession(Session):
    """A session at the control socket. A last line without a newline counts, too: `printf status` sends one (P13)."""

    __slots__ = ()

    def ended(self) -> None:
        """The client has half-closed: the line that it has begun is whole."""
        self.received(b"\n")  # a blank line where none is begun
        super().ended()
