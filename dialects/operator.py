"""The operator's console: commands on standard input, the chat's log on standard output (rules P1 to P10).

The operator is a session like any other. A line that is no command, or has a wrong number of words, is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from commands import Command, Refusal, Request, match_arguments
from dialects.rooms import GUEST_WORDS, MessageFormatter
from domain.errors import NoSuchChannel, StoreUnavailable
from domain.events import ChannelMessages, Departed, Emptied, Entered, FileSent, Kicked, WentAway, Whispered
from domain.rooms import MAX_MUTE_SECONDS, Rooms
from peering.links import Links
from protocol import Dialect, Session
from text import clean, normalize, parse_number, split_words

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


class Operator(Dialect):
    """The dialect of the operator's console.

    Args:
        rooms: the channels with ports.
        links: those with other servers; None where there is no federation.
        formatter: formats messages and answers.
        now: the wall clock, in seconds since the epoch.
        stop: stops the server.
    """

    name = "operator"

    def __init__(
        self,
        rooms: Rooms,
        links: Links | None,
        formatter: MessageFormatter,
        now: Callable[[], float],
        stop: Callable[[], None],
    ) -> None:
        super().__init__()
        self._rooms = rooms
        self._links = links
        self._formatter = formatter
        self._now = now
        self._stop = stop

    # ---- the dialect ----

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of a command. `<channel>:<user>` becomes two arguments of its handler."""
        words = split_words(line)
        if not words:
            return None
        command = COMMANDS.get(words.pop(0))
        if command is None:
            return Refusal.UNKNOWN
        if command.handler in (Operator.kick, Operator.mute) and words:
            channel, _, user = words[0].partition(":")
            if not (channel and user):
                return Refusal.TOO_FEW
            words[:1] = channel, user
        return match_arguments(command, list(map(normalize, words)))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Answer with the reason, or with the row's failure."""
        words = FAILURES.get((request.command.handler, type(error)), request.command.failure)
        self._answer(session, words.format(*request.args))

    def render(self, event: Any) -> bytes:
        """Return the words for an event; b"" for one that the operator does not see."""
        words = OPERATOR_WORDS.get(type(event))
        return words(self._formatter, event).encode(errors="replace") if words is not None else b""

    # ---- handlers ----

    def kick(self, session: Session, request: Request) -> None:
        channel, user = request.args
        self._rooms.kick(channel, user, session.expect_outcome(request))

    def mute(self, session: Session, request: Request) -> None:
        channel, user, word = request.args
        seconds = parse_number(word, MAX_MUTE_SECONDS) or 0
        answer = f"Muted {user} for {seconds} seconds." if seconds else "Invalid mute time."
        done = session.expect_outcome(request, lambda: self._answer(session, answer))
        self._rooms.mute(channel, user, seconds, done)

    def empty(self, session: Session, request: Request) -> None:
        self._rooms.empty(request.args[0], session.expect_outcome(request))

    def unlink(self, session: Session, request: Request) -> None:
        (server,) = request.args
        self._change_links(
            session, server, lambda links: f"{server} is kept out; links closed: {links.unlink(server)}."
        )

    def relink(self, session: Session, request: Request) -> None:
        (server,) = request.args
        self._change_links(
            session,
            server,
            lambda links: f"{server} may link again." if links.relink(server) else f"{server} was not kept out.",
        )

    def shut_down(self, session: Session, request: Request) -> None:
        session.end()
        self._stop()

    # ---- pieces ----

    def _change_links(self, session: Session, server: str, change: Callable[[Links], str]) -> None:
        if self._links is None:
            answer = "There are no links: federation is off."
        else:
            try:
                answer = change(self._links)
            except ValueError:
                answer = f"{server} is no server's name or address."
        self._answer(session, answer)

    def _answer(self, session: Session, text: str) -> None:
        session.send_bytes(self._formatter.server(clean(text), self._now()).encode(errors="replace"))


COMMANDS: Mapping[str, Command] = {
    "/kick": Command(  # P5
        Operator.kick, "/kick <channel>:<user>", "remove a user from a channel or its queue",
        min_args=2, max_args=2, failure="{1} is not in {0}.",
    ),
    "/mute": Command(  # P6
        Operator.mute, "/mute <channel>:<user> <seconds>", "mute a user in a channel for a while",
        min_args=3, max_args=3, failure="{1} is not here.",
    ),
    "/empty": Command(  # P7
        Operator.empty, "/empty <channel>", "remove everybody from a channel",
        min_args=1, max_args=1, failure="{0} does not exist.",
    ),
    "/unlink": Command(  # P8
        Operator.unlink, "/unlink <server>", "close the links with a server, by name or address, and keep it out",
        min_args=1, max_args=1,
    ),
    "/relink": Command(Operator.relink, "/relink <server>", "undo /unlink for a server", min_args=1, max_args=1),  # P9
    "/shutdown": Command(Operator.shut_down, "/shutdown", "end the server"),  # P10
}  # fmt: skip

FAILURES: Mapping[tuple[Any, type], str] = {
    (Operator.kick, NoSuchChannel): "{0} does not exist.",
    (Operator.kick, StoreUnavailable): "{1} cannot be removed: the database takes nothing.",
}
"""The answer to a failure by its handler and error; for any other the command's row has it."""
