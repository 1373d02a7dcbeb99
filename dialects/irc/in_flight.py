"""Messages to channels that the journal has not published yet: their clients, and their tags, which are not kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dialects.irc.client import Answers, Client
from dialects.irc.wire import NO_TAGS

Answer = Callable[[Exception | None], object]


class Sent(NamedTuple):
    """A message that a client has sent.

    Attributes:
        client: the client.
        tags: its client tags, which are passed on and not kept.
        answers: where its echo is gathered; None without a label, or without an echo.
    """

    client: Client
    tags: Mapping[str, str] = NO_TAGS
    answers: Answers | None = None


class InFlight:
    """The messages that have been submitted, by their numbers, until they have been told to all."""

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self._echoes: list[Sent] = []
        """Messages to channels of other servers, which have no number here, whose echoes arrive in this turn."""

    def add(self, number: int, sent: Sent, published: int) -> None:
        """Add a message; those with numbers up to `published` have been told."""
        while self._sent and (oldest := next(iter(self._sent))) <= published:
            del self._sent[oldest]
        self._sent[number] = sent

    def get(self, number: int) -> Sent | None:
        """Return what is known of a message; None if no client of IRC has sent it."""
        if number:
            return self._sent.get(number)
        return self._echoes[-1] if self._echoes else None

    def expect_echo(self, sent: Sent) -> None:
        """The echo of a message to a channel of another server comes next."""
        self._echoes.append(sent)

    def echo_over(self, sent: Sent) -> bool:
        """The echo has come, or will not come any more; tell whether it was still expected."""
        if sent not in self._echoes:
            return False
        self._echoes.remove(sent)
        return True


class Parts:
    """The parts of one request. Those that are refused at once are answered behind those before them (I4)."""

    def __init__(self) -> None:
        self._waiting: deque[list[Callable[[], object]]] = deque()
        """What is to be called for each part when those before it have been answered; nothing while it is not known."""

    def add(self, answer: Answer) -> Answer:
        """Add a part whose outcome comes later; return what takes it, and answers."""
        part: list[Callable[[], object]] = []
        self._waiting.append(part)

        def take(error: Exception | None) -> None:
            answer(error)
            part.append(lambda: None)
            self._call()

        return take

    def add_refused(self, answer: Callable[[], object]) -> None:
        """Add a part that is refused."""
        self._waiting.append([answer])
        self._call()

    def _call(self) -> None:
        while self._waiting and self._waiting[0]:
            self._waiting.popleft()[0]()


class PassedTags:
    """The client tags of the direct message that is being delivered, which are not kept."""

    def __init__(self) -> None:
        self.tags: Mapping[str, str] = NO_TAGS
