"""A session with a tiny dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from commands import Command, Refusal, Request, match_arguments
from domain.changes import Done
from domain.errors import ChatError
from protocol import Dialect, Session
from support.world import FakeTransport
from text import (
    MAX_LINE,
)


class TinyDialect(Dialect):
    """A dialect that notes what happens to it. `later` words wait for `outcomes` to be called."""

    name = "tiny"

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Done] = []
        self.left = 0
        self.rows = {
            "now": Command(TinyDialect.now, "now <word>", "is answered at once", max_args=1, success="now {0}"),
            "later": Command(TinyDialect.later, "later <word>", "waits", min_args=1, max_args=1, success="done {0}"),
            "after": Command(
                TinyDialect.after, "after <word>", "does more after its answer", max_args=1, success="done {0}"
            ),
            "pipe": Command(
                TinyDialect.later, "pipe <word>", "may follow others", min_args=1, max_args=1, pipelined=True
            ),
            "secret": Command(TinyDialect.now, "secret", "needs a login", needs_login=True, success="secret"),
            "wrong": Command(TinyDialect.wrong, "wrong <word>", "cannot be done", min_args=1, max_args=1),
            "bye": Command(TinyDialect.bye, "bye", "ends the session"),
            "much": Command(TinyDialect.much, "much <word>", "says much", max_args=1),
        }

    def parse(self, line: str) -> Request | Refusal | None:
        verb, *words = line.strip("\t ").split(" ")
        if not verb:
            return None
        command = self.rows.get(verb)
        return Refusal.UNKNOWN if command is None else match_arguments(command, words)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        session.send(refusal.value)

    def succeed(self, session: Session, request: Request) -> None:
        session.send(request.command.success.format(*request.args))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        session.send(f"failed {' '.join(request.args)} {error}")

    def deliver(self, session: Session, event: Any) -> None:
        session.transport.send(self.render(event))

    def render(self, event: Any) -> bytes:
        return f"event {event}\n".encode()

    def leave(self, session: Session) -> None:
        self.left += 1

    def now(self, session: Session, request: Request) -> None:
        self.succeed(session, request)

    def later(self, session: Session, request: Request) -> None:
        self.outcomes.append(session.expect_outcome(request))

    def after(self, session: Session, request: Request) -> None:
        self.outcomes.append(session.expect_outcome(request, lambda: session.send("and more")))

    def wrong(self, session: Session, request: Request) -> None:
        raise ChatError("no")

    def bye(self, session: Session, request: Request) -> None:
        session.end()

    def much(self, session: Session, request: Request) -> None:
        session.send("head")
        session.transport.stream(iter([b"body\n"]))


class TinySession:
    """A session with a tiny dialect and a fake transport."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self.soon: list[Callable[[], None]] = []
        self.transport = FakeTransport(self.soon)
        self.dialect = TinyDialect()
        self.other = TinyDialect()
        self.other.name = "other"
        self.session = Session(self.transport, self.dialect, max_line, {"other": lambda: self.other})
        self.transport.owner = self.session

    def send(self, *lines: str) -> None:
        self.session.received("".join(f"{line}\n" for line in lines).encode())

    def turn(self) -> int:
        """Run what was put off to the next turn; return how many calls that were."""
        calls = self.soon[:]
        self.soon.clear()
        for call in calls:
            call()
        return len(calls)

    def give(self, error: Exception | None = None) -> None:
        """Give the oldest outcome."""
        self.dialect.outcomes.pop(0)(error)

    def heard(self) -> list[str]:
        return self.transport.take().decode().splitlines()

    def said(self, *lines: str) -> list[str]:
        self.send(*lines)
        return self.heard()
