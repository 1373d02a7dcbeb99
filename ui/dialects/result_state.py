"""The state of a conversation in the dialect `result`, and which answer belongs to which request. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from text import clean, normalize
from ui.dialects.base import Names
from ui.dialects.result_channels import Channel, Channels
from ui.dialects.result_commands import HOST_OF_CHANNEL, MESSAGE_VERBS
from ui.rendering import Line

MAX_REQUESTS = 1000
"""Maximum requests without an answer that are remembered."""

Then = Callable[[str | None], list[Line]]
"""Takes the words of an answer behind `RESULT <verb>`, None for an error; returns the lines to show."""


class Request(NamedTuple):
    """A request without an answer yet.

    Attributes:
        verb: its first word.
        words: the others.
        then: called with the answer; None for a request of the user, whose answer has words of its own.
    """

    verb: str
    words: Sequence[str] = ()
    then: Then | None = None

    @property
    def target(self) -> str:
        """The channel or user that it is about, as the server writes it."""
        return clean(normalize(self.words[0])) if self.words else ""


def is_remote(target: str) -> bool:
    """Tell whether a channel or user is on another server, so that the answer to a message may come much later."""
    return HOST_OF_CHANNEL in target or "@" in target[1:]


class Requests:
    """The requests without an answer yet, in the order in which answers come."""

    def __init__(self) -> None:
        self._pending: deque[Request] = deque(maxlen=MAX_REQUESTS)

    def add(self, request: Request) -> None:
        self._pending.append(request)

    def clear(self) -> None:
        self._pending.clear()

    def next(self) -> Request | None:
        """Take the oldest one."""
        return self._pending.popleft() if self._pending else None

    def answered(self, verbs: Sequence[str], target: str | None = None) -> Request | None:
        """Take the oldest one of a verb, and of a target; those before it have had answers that are unknown here."""
        for place, request in enumerate(self._pending):
            if request.verb in verbs and target in (None, request.target):
                for _ in range(place):
                    self._pending.popleft()
                return self._pending.popleft()
        return None


def ignore(_words: str | None) -> list[Line]:
    """Show nothing, see `Then`."""
    return []


class State:
    """The state of a conversation.

    Attributes:
        user: who is logged in; empty for nobody.
        login_pending: the server has refused to repeat the login after a lost connection, and is asked again.
        current: where plain text goes: a channel, `@user`, or empty.
        joined: the channels that the user is in.
        channels, users: the names that are known.
        speakers: those who have written; the last one wrote last.
        requests: the requests without an answer yet.
        lines: the lines that the client wants to send by itself; the caller sends them and empties it.
        lacking: verbs that the server does not know.
    """

    def __init__(self) -> None:
        self.user = self.current = ""
        self.login_pending = False
        self.joined = Channels()
        self.channels, self.users, self.speakers = Names(), Names(), Names()
        self.requests = Requests()
        self.lines: Sequence[str] = ()
        self.lacking: set[str] = set()
        self._asked: deque[tuple[str, Then]] = deque()

    @property
    def here(self) -> Channel | None:
        """The current channel; None where there is none, or plain text goes to a user."""
        return self.joined.get(self.current)

    def ask(self, line: str, then: Then = ignore) -> None:
        """Send a request, unless the server does not know it; its answer goes to `then`."""
        if line.split(" ", 1)[0] not in self.lacking:
            self._asked.append((line, then))
            self.lines = (*self.lines, line)

    def sent(self, line: str, verb: str, words: Sequence[str]) -> None:
        """A line is sent, by the user or by the client."""
        asked = bool(self._asked) and self._asked[0][0] == line
        then = self._asked.popleft()[1] if asked else None
        if not (verb in MESSAGE_VERBS and words and is_remote(words[0])):
            self.requests.add(Request(verb, words, then))

    def lost(self) -> None:
        """The connection is lost, with every answer that was due."""
        self.requests.clear()
        self._asked.clear()
        self.lines = ()

    def entered(self, name: str) -> Channel | None:
        """The user is in a channel."""
        self.channels.add(name)
        return self.joined.enter(name)

    def left(self, name: str) -> None:
        """The user is no longer in a channel."""
        self.joined.leave(name)
        if self.current == name:
            self.current = ""

    def forget_channels(self) -> None:
        """Another user is logged in, or none."""
        self.joined.clear()
        self.current = ""
