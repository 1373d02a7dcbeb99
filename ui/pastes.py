"""Several lines that are pasted at once: text, whatever is in them, and sent after one question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ui.dialects import slash
from ui.dialects.base import ClientDialect, ParsedInput


class Paste(NamedTuple):
    """Lines that wait for the user's yes.

    Attributes:
        lines: each with what it is parsed to.
        refused: why none of them is sent; empty if they can be.
    """

    lines: Sequence[tuple[str, ParsedInput]]
    refused: str = ""

    @property
    def question(self) -> str:
        """The prompt while the answer is awaited."""
        return f"Send {len(self.lines)} lines as text? y/n "

    @property
    def note(self) -> str:
        """The note that explains the question."""
        return f"You have pasted {len(self.lines)} lines. y sends them as text; anything else drops them."


DROPPED = "The pasted lines are dropped. The up arrow brings them back."


def parse_paste(dialect: ClientDialect, lines: Sequence[str]) -> Paste:
    """Parse pasted lines as text. One that cannot be said keeps all from being sent."""
    parsed_lines = [(line, slash.say(dialect, line)) for line in lines]
    for number, (_line, parsed) in enumerate(parsed_lines, 1):
        if not parsed.send:
            return Paste(parsed_lines, f"Line {number} of the paste, so none is sent: {parsed.hint}")
    return Paste(parsed_lines)


def is_yes(answer: str) -> bool:
    """Tell whether an answer means that the lines are sent."""
    return answer.strip().casefold() in ("y", "yes")
