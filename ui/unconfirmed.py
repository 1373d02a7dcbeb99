"""What a lost server has not confirmed, for a terminal: told, and sent again when the user wishes."""

from __future__ import annotations

from ui.dialects.base import ClientDialect, ParsedInput
from ui.secrets import hide

NOTHING = "There is nothing that was not confirmed."


class Unconfirmed:
    """The lines without an answer, since the last `/again`. Lines with a secret are told, and not kept."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, lines: list[str], dialect: ClientDialect) -> str:
        """Add the lines of a lost connection; return the notes for the user, one in each row."""
        starts = [dialect.secret_start(line) for line in lines]
        again = [line for line, start in zip(lines, starts, strict=True) if start == len(line)]
        self._lines += again
        notes = [f"Not confirmed: {hide(line, start)}" for line, start in zip(lines, starts, strict=True)]
        if again:
            notes.append("It may have taken effect or not. /again sends it once more.")
        return "\n".join(notes)

    def take(self) -> list[ParsedInput]:
        """Return what is to be sent again, or a hint that there is nothing."""
        lines, self._lines = self._lines, []
        return [ParsedInput(send=line) for line in lines] or [ParsedInput(hint=NOTHING)]
