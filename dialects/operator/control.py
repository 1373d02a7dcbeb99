"""The operator's dialect at the control socket (P12 to P14)."""

from __future__ import annotations

from dialects.operator.base import Operator
from dialects.operator.table import ALL, FAILURES
from protocol import Session
from text import clean

DONE, REFUSED, TYPO = "OK", "ERROR", "USAGE"
"""The first word of the line that ends an answer."""


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
