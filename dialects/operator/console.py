"""The operator's console: commands on standard input, the chat's log on standard output (rules P1 to P11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dialects.operator.base import Hosted, Operator, ServerControls
from dialects.operator.table import ALL, FAILURES
from dialects.rooms import GUEST_WORDS, MessageFormatter
from domain.events import ChannelMessages, Departed, Emptied, Entered, FileSent, Kicked, WentAway, Whispered
from protocol import Session
from text import clean

OPERATOR_WORDS: Mapping[type, Callable[[MessageFormatter, Any], str]] = {
    ChannelMessages: GUEST_WORDS[ChannelMessages],
    Entered: lambda formatter, event: formatter.server(
        f"{event.user} has joined the {event.channel} channel.", event.at
    ),
    Departed: GUEST_WORDS[Departed],
    WentAway: GUEST_WORDS[WentAway],
    Whispered: lambda formatter, event: formatter.whisper(event, event.recipient),
    FileSent: lambda formatter, event: formatter.server(
        f"{event.sender} sent {event.path} to {event.recipient}.", event.at
    ),
    Kicked: lambda formatter, event: formatter.server(f"Kicked {event.user}.", event.at),
    Emptied: lambda formatter, event: formatter.server(f"{event.channel} has been emptied.", event.at),
}


class Console(Operator):
    """The operator's console, which also shows what happens in the channels with ports.

    Args:
        controls: of the whole server.
        hosted: the domain and what belongs to it.
        formatter: formats messages and answers.
        complain: shows a text about a line that is no command; None where nobody would see it (P3).
    """

    commands, failures = ALL, FAILURES

    def __init__(
        self,
        controls: ServerControls,
        hosted: Hosted,
        formatter: MessageFormatter,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(controls, hosted)
        self._formatter = formatter
        self._complain = complain

    def render(self, event: Any) -> bytes:
        """Return the words for an event; b"" if the operator does not see it."""
        words = OPERATOR_WORDS.get(type(event))
        return words(self._formatter, event).encode(errors="replace") if words is not None else b""

    def done(self, session: Session, text: str = "", *, is_shown: bool = False) -> None:
        if text and not is_shown:
            self._answer(session, text)

    def refused(self, session: Session, text: str) -> None:
        self._answer(session, text)

    def typo(self, session: Session, text: str) -> None:
        if self._complain is not None:
            self._complain(clean(text))

    def item(self, text: str) -> str:
        return text

    def _answer(self, session: Session, text: str) -> None:
        answer = self._formatter.server(clean(text), self.hosted.now())
        session.send_bytes(answer.encode(errors="replace"))
