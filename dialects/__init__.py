"""The registry of dialects: how each is built, and which first word chooses it on an `auto` port.

A config is checked against it at every start, so it imports little: a dialect's module is imported when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from domain.chat import Chat
    from protocol import Dialect
    from settings import Settings


class Parts(Protocol):
    """What the dialects are built from; `app.node.Node` implements it."""

    settings: Settings
    chat: Chat

    @property
    def federation(self) -> Dialect | None: ...


class Registered(NamedTuple):
    """A row of the registry.

    Attributes:
        build: creates the dialect; gives None where the settings turn it off.
        first_word: chooses it on an `auto` port (C22); "" where no word does.
    """

    build: Callable[[Parts], Dialect | None]
    first_word: str = ""


def _result(parts: Parts) -> Dialect:
    from dialects.result import Result

    return Result(
        parts.chat,
        joined_only=parts.settings.channels_reply == "joined",
        history_on_join=parts.settings.history_on_join,
        echo_seconds=parts.settings.federation_seconds,
    )


def _hello(parts: Parts) -> Dialect:
    from dialects.hello import Hello

    return Hello(parts.chat)


def _mailbox(parts: Parts) -> Dialect:
    from dialects.mailbox import Mailbox

    return Mailbox(parts.chat)


DEFAULT = "result"
"""The dialect of a connection to an `auto` port whose first word chooses no other."""

DIALECTS: Mapping[str, Registered] = {
    "result": Registered(_result),
    "hello": Registered(_hello, first_word="HELLO-FROM"),
    "mailbox": Registered(_mailbox),
    "federation": Registered(lambda parts: parts.federation, first_word="FEDERATE-OUT"),
}
"""The dialects that a port can speak. `rooms` is not among them: the config's channels bring ports of their own."""

AUTO = "auto"
"""A port on which the first word of a connection chooses the dialect."""

WEB = "web"
"""A port for browsers: HTTP, and `WIRE` over WebSocket (W1)."""

WIRE = "irc" if "irc" in DIALECTS else DEFAULT
"""The dialect that the page speaks."""

LISTEN_DIALECTS = (AUTO, *DIALECTS, WEB)
"""The dialects that a `listen` line of the config can name."""
