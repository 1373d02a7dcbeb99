"""The dialect `hello`: `HELLO-FROM <name>`, `SEND <name> <message>`, `DELIVERY <name> <message>`.

Its users are guests: a name is theirs while they are connected. A failure without a login closes the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from commands import Command, Refusal, Request, match_arguments
from domain.chat import Chat
from domain.errors import AlreadyLoggedIn, LimitReached, NameTaken, NoSuchUser, NotAName
from domain.events import Announced, DirectMessage
from domain.names import SERVER
from protocol import Dialect, Session
from text import clean, normalize, split_at_most

BAD_HEADER = "BAD-RQST-HDR"
BAD_BODY = "BAD-RQST-BODY"

FAILURES: Mapping[type[Exception], str] = {
    AlreadyLoggedIn: BAD_HEADER,  # H2
    NotAName: BAD_BODY,  # H3
    NameTaken: "IN-USE",  # H5
    LimitReached: "BUSY",  # H10
    NoSuchUser: "BAD-DEST-USER",  # H7, H14
}

WORDS: Mapping[type, Callable[[Any], bytes]] = {
    Announced: lambda event: f"DELIVERY {SERVER} {event.text}\n".encode(),
    DirectMessage: lambda event: f"DELIVERY {event.sender} {event.words}\n".encode(),
}


class Hello(Dialect):
    """The dialect `hello`.

    Args:
        chat: the domain.
    """

    name = "hello"
    words = WORDS

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self.chat = chat

    # ---- the dialect ----

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of the header. The last argument is the rest of the line, with its inner spacing (H12)."""
        verb, *rest = split_at_most(line, 2) or [""]
        if not verb:
            return None
        command = COMMANDS.get(verb)
        if command is None:
            return Refusal.UNKNOWN
        words = split_at_most("".join(rest), command.max_args)
        if command.text and len(words) == command.max_args:
            words = [*words[:-1], *split_at_most(clean(words[-1]), 1)]
        return match_arguments(command, words)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is no request (H2, H3)."""
        unknown = refusal is Refusal.UNKNOWN or session.principal is None
        self._fail(session, BAD_HEADER if unknown else BAD_BODY)

    def succeed(self, session: Session, request: Request) -> None:
        """Send the row's answer to success."""
        session.send(request.command.success.format(*request.args))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Send the words for the error; without a login every request but HELLO-FROM is a bad header (H2)."""
        self._fail(session, FAILURES[type(error)] if error is not None else BAD_HEADER)

    def leave(self, session: Session) -> None:
        """Log the session out (H8)."""
        self.chat.users.logout(session)

    # ---- handlers ----

    def hello_from(self, session: Session, request: Request) -> None:
        name = normalize("".join(request.args))  # "" without an argument, which is no name
        self.chat.users.enter_as_guest(session, name)
        session.send(f"HELLO {name}")

    def list(self, session: Session, request: Request) -> None:
        session.send_list("LIST-OK", self.chat.users.online_names(), ",")

    def send(self, session: Session, request: Request) -> None:
        name, text = request.args
        self.chat.messages.send_direct_online(session.principal, name, text, session.expect_outcome(request))

    # ---- pieces ----

    def _fail(self, session: Session, answer: str) -> None:
        session.send(answer)
        if session.principal is None:
            session.end()


COMMANDS: Mapping[str, Command] = {
    "HELLO-FROM": Command(Hello.hello_from, "HELLO-FROM <name>", "log in", max_args=1),  # H5
    "LIST": Command(Hello.list, "LIST", "ask who is logged in", needs_login=True),  # H6
    "SEND": Command(  # H7
        Hello.send, "SEND <name> <message>", "send a message to one user",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, success="SEND-OK",
    ),
}  # fmt: skip
