"""Which requests the server owes an answer: to notice that none comes, and to tell what was not confirmed. Pure.

The lines of each dialect tell which request they answer. A message counts as confirmed when the server has said so, or
has sent it back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from text import normalize, split_at_most, split_words

ANSWER_SECONDS = 4.0
"""A request without an answer for this long makes the client look for another server."""

MAX_REQUESTS = 10_000
"""Maximum requests that are remembered."""


class Request(NamedTuple):
    """A line that was sent.

    Attributes:
        line: as it was sent.
        when: the clock's seconds then.
        by_itself: the client has sent it by itself, and repeats it where it must be repeated.
    """

    line: str
    when: float
    by_itself: bool = False


class Requests:
    """The requests of one connection that have no answer yet, in the order in which they were sent.

    Args:
        kind: the dialect's name.
        clock: returns seconds; only differences matter.
    """

    def __init__(self, kind: str, clock: Callable[[], float]) -> None:
        self.kind = kind
        self.user = ""
        """Who is logged in, in the dialects in which the lines tell."""
        self._clock = clock
        self._requests: list[Request] = []
        self._history = 0  # lines that repeat what was said before

    def recognised(self, kind: str) -> None:
        """The server's first line tells its dialect: what was sent before counts by the rules of that one."""
        self.kind = kind
        self._requests = [request for request in self._requests if IS_REQUEST[kind](self, request.line)]

    def sent(self, line: str, by_itself: bool = False) -> None:
        """A line goes to the server."""
        if line.strip() and not self.full and IS_REQUEST[self.kind](self, line):
            self._requests.append(Request(line, self._clock(), by_itself))

    @property
    def full(self) -> bool:
        """No more can be remembered: wait for answers."""
        return len(self._requests) >= MAX_REQUESTS

    def received(self, line: str) -> Request | None:
        """A line has come: return the request that it answers, if any."""
        at = FIND[self.kind](self, line)
        if at is None:
            return None
        request = self._requests[at]
        del self._requests[: at + 1]  # answers come in order, so what was sent before has been answered too
        return request

    def overdue(self) -> bool:
        """Tell whether a request has waited too long for its answer."""
        return bool(self._requests) and self._clock() - self._requests[0].when >= ANSWER_SECONDS

    def take(self) -> list[str]:
        """The connection is lost: return the lines that were not confirmed, but for those that the client repeats."""
        lost, self._requests, self._history, self.user = self._requests, [], 0, ""
        return [request.line for request in lost if not request.by_itself]

    # ---- which request a line answers ----

    def _first(self, fits: Callable[[str], bool]) -> int | None:
        return next((at for at, request in enumerate(self._requests) if fits(request.line)), None)

    def find_in_result(self, line: str) -> int | None:
        """Answers name the command; a message comes back to its sender."""
        if line.startswith("@"):
            line = line.partition(" ")[2]  # tags
        word, *rest = split_at_most(line, 4)
        if word == "RECV" and len(rest) >= 2:
            if self._history:
                self._history -= 1
                return None
            return self._first(lambda sent: rest[0] == self.user and is_said_to(sent, rest[1]))
        if word != "RESULT" or not rest:
            return None
        if rest[0] == "ERROR":
            return 0 if self._requests else None
        verb = "SAY" if rest[0] == "SEND" else rest[0]
        at = self._first(lambda sent: split_words(sent)[0] == verb)
        if at is not None:
            self._note_answer(verb, self._requests[at].line, rest[1:])
        return at

    def _note_answer(self, verb: str, sent: str, words: Sequence[str]) -> None:
        if verb == "LOGIN" and words[:1] == ["1"]:
            self.user = normalize(split_words(sent)[1])
        elif verb == "LOGOUT" and words[:1] == ["1"]:
            self.user = ""
        elif verb == "HISTORY" and len(words) == 2 and words[1].isdecimal():
            self._history = int(words[1])

    def find_in_hello(self, line: str) -> int | None:
        """Answers come in the order of the requests; the messages of others come between."""
        return 0 if self._requests and not line.startswith("DELIVERY ") else None

    def find_in_mailbox(self, line: str) -> int | None:
        """The first request that the line can answer."""
        from ui.dialects.base import find
        from ui.dialects.mailbox import ANSWERS, ANY

        return self._first(
            lambda sent: find(line, (*ANSWERS.get(sent.partition("|")[0].strip(" \t"), ()), *ANY)) is not None
        )

    def find_in_rooms(self, line: str) -> int | None:
        """A message comes back in a frame; it is the first one with this text."""
        if found := WELCOME.fullmatch(line):
            self.user = name = found[1]
            return self._first(lambda sent: split_words(sent)[0] == name)
        found = SAID.fullmatch(line)
        if not found or found[1] != self.user:
            return None
        return self._first(lambda sent: sent.strip() == found[2].strip())

    def is_request_in_rooms(self, line: str) -> bool:
        """The name is answered, and what is said; commands may not be."""
        return not line.startswith("/")


WELCOME = re.compile(r"\[Server message \(\S+\)\] Welcome to the \S+ channel, (\S+)\.")
SAID = re.compile(r"\[(\S+) \(\S+\)\] (.*)")


def is_said_to(line: str, target: str) -> bool:
    """Tell whether a sent line says something there."""
    words = split_at_most(line, 3)
    return words[0] == "SAY" and len(words) > 1 and normalize(words[1]) == target


IS_REQUEST: Mapping[str, Callable[[Requests, str], bool]] = {
    "result": lambda _requests, line: line.strip(" \t") != "QUIT",
    "hello": lambda _requests, _line: True,
    "mailbox": lambda _requests, line: line != "bye",
    "rooms": Requests.is_request_in_rooms,
}
FIND: Mapping[str, Callable[[Requests, str], int | None]] = {
    "result": Requests.find_in_result,
    "hello": Requests.find_in_hello,
    "mailbox": Requests.find_in_mailbox,
    "rooms": Requests.find_in_rooms,
}
PROBES: Mapping[str, bytes] = {"result": b"PING\n", "hello": b"LIST\n", "mailbox": b"", "rooms": b"/\n"}
"""What makes a server of each dialect answer that has not been told who asks. A mailbox greets by itself."""


# ---- what is repeated on a new connection, where lines pass unchanged ----


class Replay:
    """What a session has to say again: its login, and what it has asked for. Confirmed requests alone count."""

    def __init__(self) -> None:
        self._login = ""
        self._settings: dict[str, str] = {}

    def confirmed(self, kind: str, request: str, answer: str) -> None:
        """A request has been answered."""
        if kind == "mailbox":
            self._confirmed_in_mailbox(request, answer)
            return
        verb, *words = split_words(request)
        if verb == "LOGIN" and answer == "RESULT LOGIN 1":
            self._login, self._settings = request, {}
        elif verb == "LOGOUT" and answer == "RESULT LOGOUT 1":
            self._login, self._settings = "", {}
        elif verb == "PASSWORD" and answer == "RESULT PASSWORD 1" and self._login and len(words) == 2:
            self._login = f"LOGIN {split_words(self._login)[1]} {words[1]}"
        elif verb in ("TAGS", "PRESENCE") and answer == f"RESULT {verb} 1":
            self._settings[verb] = request
        elif verb == "JOIN" and answer.startswith("RESULT JOIN ") and words:
            self._settings[f"JOIN {normalize(words[0])}"] = request
        elif verb == "LEAVE" and answer.endswith(" 1") and words:
            self._settings.pop(f"JOIN {normalize(words[0])}", None)

    def _confirmed_in_mailbox(self, request: str, answer: str) -> None:
        opcode = request.partition("|")[0].strip(" \t")
        if opcode == "1" and (made := NEW_ACCOUNT.fullmatch(answer)):
            self._login = f"0|{made[1]}"
        elif opcode == "0" and answer.endswith(" is now logged in"):
            self._login = request
        elif opcode == "5" and answer == DELETED:
            self._login = ""

    def heard(self, line: str) -> None:
        """A line that answers nothing: an account that was entered elsewhere or deleted is not entered again."""
        if ELSEWHERE.fullmatch(line) or line == DELETED:
            self._login = ""

    def lines(self) -> Iterator[str]:
        """Return the lines to repeat."""
        if self._login:
            yield self._login
        yield from self._settings.values()

    def is_login(self, line: str) -> bool:
        return bool(line) and line == self._login


NEW_ACCOUNT = re.compile(r"Success New Account Creation! Your new Account ID: (\S+)")
ELSEWHERE = re.compile(r"user : \S+ is now logged in elsewhere")
DELETED = "Your account has been deleted"
REFUSED = re.compile(r"RESULT LOGIN 0|user with ID : .* is not recognized in the system, .*")
