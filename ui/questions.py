"""Questions to the user, which the next typed line answers: whether a paste is sent, and what a password is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ui.dialects import slash
from ui.dialects.base import ClientDialect, ParsedInput

Answered = Sequence[tuple[str, ParsedInput]]
"""Lines with what they are parsed to, to be carried out; a line that is empty is not shown."""


class Question(Protocol):
    """A question.

    Attributes:
        prompt: the text before the answer.
        secret: the answer is neither shown nor kept.
        dropped: the note when the answer says no, or is none.
    """

    prompt: str
    secret: bool
    dropped: str

    def answered(self, text: str) -> Answered:
        """Return what the answer leads to; nothing if it says no."""
        ...


class Paste:
    """Whether several pasted lines are sent. They are text, whatever is in them.

    Args:
        lines: each with what it is parsed to.
    """

    secret = False
    dropped = "The pasted lines are dropped. The up arrow brings them back."

    def __init__(self, lines: Answered) -> None:
        self._lines = lines
        self.prompt = f"Send {len(lines)} lines as text? y/n "
        self.note = f"You have pasted {len(lines)} lines. y sends them as text; anything else drops them."

    def answered(self, text: str) -> Answered:
        return self._lines if text.strip().casefold() in ("y", "yes") else ()


class Password:
    """A password that completes a line for the server.

    Args:
        line: the line up to it: a verb, a name and a blank.
    """

    secret = True
    dropped = "No password, so nothing is sent."

    def __init__(self, line: str) -> None:
        self._line = line
        self.prompt = f"Password for {line.split()[1]}: "

    def answered(self, text: str) -> Answered:
        password = text.strip()
        return [("", ParsedInput(send=self._line + password))] if password else ()


class Questions:
    """The question that waits for its answer, if there is one.

    Args:
        note: shows a note.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self.current: Question | None = None

    @property
    def is_secret(self) -> bool:
        """Tell whether what is being typed is neither shown nor kept."""
        return self.current is not None and self.current.secret

    def ask_about_paste(self, dialect: ClientDialect, lines: Sequence[str]) -> None:
        """Ask whether to send several lines; only a paste has them."""
        paste = parse_paste(dialect, lines)
        if isinstance(paste, str):
            self._note(paste)
        else:
            self.current = paste
            self._note(paste.note)

    def answered(self, text: str) -> Answered:
        """Return what the answer leads to; nothing if it says no, which is noted."""
        question, self.current = self.current, None
        answered = question.answered(text) if question else ()
        if question and not answered:
            self._note(question.dropped)
        return answered

    def drop(self) -> bool:
        """Drop the question; tell whether there was one."""
        question, self.current = self.current, None
        if question:
            self._note(question.dropped)
        return question is not None


def parse_paste(dialect: ClientDialect, lines: Sequence[str]) -> Paste | str:
    """Parse pasted lines as text. If one of them cannot be said, none is; return why."""
    parsed_lines = [(line, slash.say(dialect, line)) for line in lines]
    for number, (_line, parsed) in enumerate(parsed_lines, 1):
        if not parsed.send:
            return f"Line {number} of the paste, so none is sent: {parsed.hint}"
    return Paste(parsed_lines)
