"""The registry of dialects: how each is built, and which first word chooses it on an `auto` port.

A config is checked against it at every start, so it imports little: a dialect's module is imported when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from domain.chat import Chat
    from domain.rooms import Rooms
    from protocol import Dialect
    from settings import Settings


class Parts(Protocol):
    """What the dialects are built from; `app.node.Node` implements it."""

    settings: Settings
    chat: Chat
    rooms: Rooms
    now: Callable[[], float]

    def guest_host(self, address: str) -> str: ...

    @property
    def federation(self) -> Dialect | None: ...


def _always(_settings: Settings) -> bool:
    return True


class Registered(NamedTuple):
    """A row of the registry.

    Attributes:
        build: creates the dialect, when the first connection needs it.
        first_words: each of them chooses it on an `auto` port (C22).
        is_on: tells whether the settings leave it on.
    """

    build: Callable[[Parts], Dialect]
    first_words: tuple[str, ...] = ()
    is_on: Callable[[Settings], bool] = _always


def _result(parts: Parts) -> Dialect:
    from dialects.result import Result

    return Result(parts.chat, parts.settings)


def _hello(parts: Parts) -> Dialect:
    from dialects.hello import Hello

    return Hello(parts.chat)


def _mailbox(parts: Parts) -> Dialect:
    from dialects.mailbox import Mailbox

    return Mailbox(parts.chat)


def _irc(parts: Parts) -> Dialect:
    from dialects.irc.core import Server
    from dialects.irc.dialect import IrcDialect

    settings = parts.settings
    server = Server(settings.hostname or "crosstalk", parts.now, parts.now(), settings.motd)
    return IrcDialect(parts.chat, parts.rooms, server, settings, parts.guest_host)


def _federation(parts: Parts) -> Dialect:
    assert parts.federation is not None, "the row is left out while it is off"
    return parts.federation


class Built(Mapping[str, "Dialect"]):
    """The dialects that are on, by name. Each is built, and its module imported, at its first look-up.

    Args:
        parts: what they are built from.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rows = {name: row for name, row in DIALECTS.items() if row.is_on(parts.settings)}
        self._built: dict[str, Dialect] = {}

    def __getitem__(self, name: str) -> Dialect:
        if name not in self._built:
            self._built[name] = self._rows[name].build(self._parts)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def so_far(self) -> Collection[Dialect]:
        """Those that have been built."""
        return self._built.values()

    def by_first_word(self) -> Mapping[str, Callable[[], Dialect]]:
        """Return, for each first word that chooses a dialect, a function that returns the dialect (C22)."""
        return {word: partial(self.__getitem__, name) for name, row in self._rows.items() for word in row.first_words}


DEFAULT = "result"
"""The dialect of a connection to an `auto` port whose first word chooses no other."""

DIALECTS: Mapping[str, Registered] = {
    "result": Registered(_result),
    "hello": Registered(_hello, first_words=("HELLO-FROM",)),
    "mailbox": Registered(_mailbox),
    "irc": Registered(_irc, first_words=("CAP", "NICK", "USER", "PASS", "AUTHENTICATE")),
    "federation": Registered(_federation, ("FEDERATE-OUT",), lambda settings: settings.federation != "off"),
}
"""The dialects that a port can speak. `rooms` is not among them: the config's channels bring ports of their own."""

AUTO = "auto"
"""A port on which the first word of a connection chooses the dialect."""

WEB = "web"
"""A port for browsers: HTTP, and `WIRE` over WebSocket (W1)."""

WIRE = "irc"
"""The dialect that the page speaks."""

LISTEN_DIALECTS = (AUTO, *DIALECTS, WEB)
"""The dialects that a `listen` line of the config can name."""
