"""The operator's dialect: how a line becomes a request, and how a command answers.

`table.py` has all commands. `console.py` and `control.py` format the answers for their two places.
"""

from __future__ import annotations

import itertools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from commands import Command, Refusal, Request
from domain.chat import Chat
from domain.errors import (
    ChatError,
    LimitReached,
    MessagesRemoved,
    NameTaken,
    NoSuchChannel,
    NoSuchUser,
    NotAName,
    NotAPassword,
    NotHere,
    Overloaded,
    StoreUnavailable,
)
from domain.interfaces import Timers
from domain.rooms import Rooms
from peering.links import Links
from protocol import Dialect, Session
from text import clean, normalize, parse_duration, split_at_most, split_words

AT_A_BACKUP = frozenset({"help", "reload", "status", "shutdown"})
"""The commands that a backup carries out."""

LINES_PER_PIECE = 100
"""Lines of a list that are rendered at once."""

log = logging.getLogger("crosstalk.operator")


class Refused(ChatError):
    """The operator's command cannot be carried out; the text says why."""


class Misused(ChatError):
    """The words of an operator's command do not have its form."""


class ReloadOutcome(NamedTuple):
    """The outcome of a reload of the config.

    Attributes:
        changed: the directives that are in force with other values now.
        need_restart: those that have changed in the config, and take effect with the next start.
        errors: why everything stays as it was; empty after a success.
    """

    changed: Sequence[str] = ()
    need_restart: Sequence[str] = ()
    errors: Sequence[str] = ()


class ServerControls(NamedTuple):
    """What the operator can do with the whole server, also with a backup.

    Attributes:
        stop: ends the server; idempotent.
        reload: loads the config again.
        status: returns names and values.
        sessions: returns the sessions of all connections.
    """

    stop: Callable[[], None]
    reload: Callable[[], ReloadOutcome]
    status: Callable[[], Iterable[tuple[str, object]]]
    sessions: Callable[[], Iterable[Session]]


class Hosted(NamedTuple):
    """What the operator's commands use of a server that has clients, so not of a backup.

    Attributes:
        chat: the domain.
        rooms: the channels with ports, and what the operator does in any channel.
        links: those with other servers; None where there is no federation.
        timers: the monotonic clock, and deferred calls.
        now: the wall clock, in seconds since the epoch.
        make_secret: makes a password or code that is hard to guess and easy to type.
    """

    chat: Chat
    rooms: Rooms
    links: Links | None
    timers: Timers
    now: Callable[[], float]
    make_secret: Callable[[], str]


ERRORS: Mapping[type, str] = {
    NoSuchChannel: "{0} does not exist.",
    NoSuchUser: "There is no account {0}.",
    NotHere: "{1} is not in {0}.",
    NotAName: "{0} is no name.",
    NotAPassword: "This cannot be a password: it begins as tokens do.",
    NameTaken: "{0} exists already.",
    LimitReached: "A limit of the settings forbids one more.",
    Overloaded: "Too many passwords wait to be hashed; try again.",
    StoreUnavailable: "The database takes nothing.",
}
"""The answer to a failure by its error, for commands without words of their own in `Operator.failures`."""


class Operator(Dialect, ABC):
    """The dialect of the operator; its subclasses format the answers.

    Args:
        controls: of the whole server.
        hosted: the domain and what belongs to it; None at a backup.

    Attributes:
        commands: the table, by verb.
        failures: the answer to a failure by its handler and error, which comes before ERRORS.
    """

    name = "operator"
    commands: Mapping[str, Command]
    failures: Mapping[tuple[Any, type], str]

    def __init__(self, controls: ServerControls, hosted: Hosted | None) -> None:
        super().__init__()
        self.controls = controls
        self._hosted = hosted

    @property
    def hosted(self) -> Hosted:
        """The domain and what belongs to it. No command that needs it is run at a backup."""
        assert self._hosted is not None
        return self._hosted

    # ---- the dialect ----

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of a command. Anything else becomes a request too, which `TYPO` answers in its turn."""
        words = split_words(line)
        if not words:
            return None
        verb = words.pop(0)
        command = self.commands.get(verb) or self.commands.get(verb.removeprefix("/"))
        if command is None:
            return Request(TYPO, (f"There is no command {clean(verb)}; try help.",))
        if self._hosted is None and verb.removeprefix("/") not in AT_A_BACKUP:
            return Request(AT_THE_PRIMARY, ())
        if command.text:
            words = [text for word in split_at_most(line, command.max_args + 1)[1:] if (text := clean(word).strip())]
        words = split_place(command, words)
        if command.min_args <= len(words) <= command.max_args:
            names = 1 if command.name else len(words)  # a password is not normalized
            return Request(command, (*map(normalize, words[:names]), *words[names:]))
        return Request(TYPO, (f"Usage: {command.usage}",))

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is too long, or not UTF-8."""
        self.typo(session, f"{refusal.value.capitalize()}.")

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Answer with the reason."""
        if isinstance(error, Misused):
            self.typo(session, f"Usage: {request.command.usage}")
            return
        self.refused(session, str(error) if isinstance(error, Refused) else self._reason(request, error))

    def _reason(self, request: Request, error: Exception | None) -> str:
        words = self.failures.get((request.command.handler, type(error)))
        words = words or request.command.failure or ERRORS.get(type(error)) or type(error).__name__
        return words.format(*request.args)

    # ---- answers ----

    def leave(self, session: Session) -> None:
        """Drop a password that waits to be hashed."""
        if self._hosted is not None:
            self._hosted.chat.logins.session_over(session)

    @abstractmethod
    def done(self, session: Session, text: str = "", *, is_shown: bool = False) -> None:
        """Answer that a command has been carried out.

        Args:
            session: the operator's.
            text: what has been done, in one line.
            is_shown: an event has shown it at the console already.
        """

    @abstractmethod
    def refused(self, session: Session, text: str) -> None:
        """Answer that a command has not been carried out, with the reason in one line."""

    @abstractmethod
    def typo(self, session: Session, text: str) -> None:
        """Answer a line that is no command."""

    @abstractmethod
    def item(self, text: str) -> str:
        """Return a line of a list as it is sent, without its newline."""

    def list_items(self, session: Session, items: Iterable[str]) -> None:
        """Answer with a list of lines, which are made as they are read, and then with its end."""
        session.stream(self._pieces(session, iter(items)))

    def _pieces(self, session: Session, items: Iterator[str]) -> Iterator[bytes]:
        try:
            while piece := list(itertools.islice(items, LINES_PER_PIECE)):
                yield "".join(f"{self.item(clean(line))}\n" for line in piece).encode(errors="replace")
        except StoreUnavailable:
            self.refused(session, "The database cannot be read.")
        except MessagesRemoved:
            self.refused(session, "Messages have been removed meanwhile; some are missing here.")
        else:
            self.done(session)

    def expect(self, session: Session, request: Request, text: str, *, is_shown: bool = False) -> Callable[..., None]:
        """Return the callback for the outcome of a request; on success it answers with this text."""
        return session.expect_outcome(request, lambda: self.done(session, text, is_shown=is_shown))


def parse_time(word: str, maximum: int) -> int:
    """Return the seconds that a word such as `10m` states, `maximum` at most.

    Raises:
        Refused: the word is no time.
    """
    seconds = parse_duration(word, maximum)
    if not seconds:
        raise Refused(f"{word} is no time; try 90, 10m, 2h or 7d.")
    return seconds


def split_place(command: Command, words: list[str]) -> list[str]:
    """Split the first word of a command at its colon, if the usage has `<channel>:<user>`, as the course's commands do.

    No channel's name has a colon. Returns [] where the first word is not a channel and a user.
    """
    if not words or command.usage.split()[1:2] != ["<channel>:<user>"]:
        return words
    channel, _, user = words[0].partition(":")
    return [channel, user, *words[1:]] if channel and user else []


def _answer_typo(dialect: Operator, session: Session, request: Request) -> None:
    dialect.typo(session, request.args[0])


def _answer_at_a_backup(dialect: Operator, session: Session, _request: Request) -> None:
    dialect.refused(session, "This node is a backup: the primary has the channels.")


TYPO = Command(_answer_typo, "", "a line that is no command")
AT_THE_PRIMARY = Command(_answer_at_a_backup, "", "a command that only the primary can run")
