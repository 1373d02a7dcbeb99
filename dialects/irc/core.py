"""The dialect's core: its clients, the way of a request to its outcome, and the rendering of events.

`Irc` is what the handlers of all commands know. `dialect.py` adds the table of commands and the words for events.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from commands import Command, Refusal, Request
from dialects.irc import numerics
from dialects.irc.client import Answers, Client
from dialects.irc.in_flight import InFlight, Parts, PassedTags
from dialects.irc.monitor_lists import MonitorLists
from dialects.irc.people import People, client_of
from dialects.irc.wire import MAX_LINE, NO_TAGS, word
from domain.changes import Done
from domain.chat import Chat
from domain.names import HOST_OF_CHANNEL
from domain.rooms import Rooms
from domain.state import NO_CHANNELS, Channel, Visitor
from gate import note_refusal
from protocol import Dialect, Session
from settings import Settings

RENDERING = frozenset(
    {"account-tag", "away-notify", "account-notify", "echo-message", "extended-join", "message-tags", "server-time",
     "setname"}
)  # fmt: skip
"""The capabilities that change how an event is rendered, or whether it is sent."""


class IrcRequest(Request):
    """A request, and the tags before it.

    Attributes:
        tags: its tags.
        parts: those of a request with several targets; None for one target.
        refuse: answers its refusal, where success has no answer; None where the callback for its outcome answers.
    """

    __slots__ = ("parts", "refuse", "tags")

    def __init__(self, command: Command, args: tuple[str, ...], tags: Mapping[str, str] = NO_TAGS) -> None:
        self.command = command  # as the base class does it, without a call for each line
        self.args = args
        self.tags = tags
        self.parts: Parts | None = None
        self.refuse: Callable[[Exception], object] | None = None


class Server(NamedTuple):
    """What clients are told of this server.

    Attributes:
        name: its host name.
        now: the wall clock, in seconds since the epoch.
        started: when it was started.
        motd: the lines of the message of the day; none without one.
    """

    name: str
    now: Callable[[], float]
    started: float
    motd: tuple[str, ...]


class Census:
    """How many clients there are.

    Attributes:
        unwelcome: clients of IRC whose registration is not over.
        most: the most users that were logged in at once.
        invisible: how many clients have the user mode `i`.
        operators, bots: the users with the modes `o` and `B`, by name, and how many of their clients have them.
        listeners: the clients with the mode `w`.
    """

    def __init__(self) -> None:
        self.unwelcome = 0
        self.most = 0
        self.invisible = 0
        self.operators: Counter[str] = Counter()
        self.bots: Counter[str] = Counter()
        self.listeners: dict[Client, None] = {}

    def welcomed(self, users: int) -> None:
        """A registration is over; so many users are logged in now."""
        self.unwelcome -= 1
        self.most = max(self.most, users)

    def modes_changed(self, client: Client, name: str, before: Iterable[str], after: Iterable[str]) -> None:
        """A client of this user has other user modes."""
        self.invisible += ("i" in after) - ("i" in before)
        for mode, names in (("B", self.bots), ("o", self.operators)):
            names[name] += (mode in after) - (mode in before)
            if not names[name]:
                del names[name]
        if "w" in after:
            self.listeners[client] = None
        else:
            self.listeners.pop(client, None)


class Irc(Dialect):
    """What the handlers know of the dialect.

    Clients with the same capabilities share a copy of it, and so what is rendered for them.

    Args:
        chat: the domain.
        rooms: what operators do in channels.
        server: what clients are told of this server.
        settings: that are in force.
        host_of: returns the host that stands for a guest's address.

    Attributes:
        capabilities: those of its clients that matter for rendering.
    """

    name = "irc"
    max_line = MAX_LINE
    greets_late = True

    def __init__(
        self, chat: Chat, rooms: Rooms, server: Server, settings: Settings, host_of: Callable[[str], str]
    ) -> None:
        super().__init__()
        self.chat = chat
        self.rooms = rooms
        self.server = server
        self.settings = settings
        self.people = People(chat, host_of)
        self.census = Census()
        self.in_flight = InFlight()
        self.passed = PassedTags()
        self.monitors = MonitorLists()
        chat.users.watchers.of_logins.append(self._tell_watchers)
        chat.channels.admission.is_above = self.is_operator
        self.capabilities: frozenset[str] = frozenset()
        self._by_capabilities: dict[frozenset[str], Irc] = {self.capabilities: self}

    # ---- clients ----

    def client(self, session: Session) -> Client:
        """Return what is known of a client; a new one is noted."""
        client = client_of(session)
        if client is None:
            client = session.own = Client(session, self.server.name)
            self.census.unwelcome += 1
        return client

    def switch(self, client: Client, capabilities: frozenset[str]) -> None:
        """Give a client these capabilities, and no others."""
        client.capabilities = capabilities
        client.session.dialect = self.for_capabilities(capabilities & RENDERING)
        self.chat.users.words_changed(client.session)

    def for_capabilities(self, capabilities: frozenset[str]) -> Irc:
        """Return the dialect of all clients with these capabilities, of those that matter for rendering."""
        shared = self._by_capabilities.get(capabilities)
        if shared is None:
            shared = self._by_capabilities[capabilities] = copy.copy(self)
            shared.capabilities = capabilities
        return shared

    def _tell_watchers(self, name: str, is_online: bool) -> None:
        """Tell those who monitor a user that it has come or gone."""
        self.tell_watchers_of(self.people.nick(name), self.people.prefix(name) if is_online else None)

    def tell_watchers_of(self, nick: str, prefix: str | None) -> None:
        """Tell those who monitor a nick that its user has come, with this prefix, or has gone (None)."""
        for client in self.monitors.of(nick):
            numeric, text = (numerics.MONOFFLINE, nick) if prefix is None else (numerics.MONONLINE, prefix)
            client.session.send_bytes(client.line(numeric, text=text).encode())

    def for_client(self, client: Client) -> Irc:
        """Return the dialect of a client."""
        return self.for_capabilities(client.capabilities & RENDERING)

    def leave(self, session: Session) -> None:
        """Log the client out, and drop its password that waits to be hashed."""
        client = client_of(session)
        if client is not None:
            self.census.unwelcome -= not client.is_welcome
            for nick in client.monitored:
                self.monitors.remove(client, nick)
            self.census.modes_changed(client, client.nick, client.modes, ())
            if client.is_welcome:
                self.people.remember(client.nick, client.realname, self.server.now())
            if isinstance(session.principal, Visitor):
                session.principal.farewell = client.farewell
        self.chat.logins.session_over(session)

    # ---- requests ----

    def outcome(self, client: Client, request: Request, answer: Callable[[Exception | None], object]) -> Done:
        """Count a request as outstanding; return the callback for its outcome.

        Before the welcome the login time-out is stopped until then (I5).

        Args:
            client: the client that asks.
            request: its request.
            answer: answers the request; it gets the error, or None.
        """
        parts = getattr(request, "parts", None)
        return self._outcome(client, request, answer if parts is None else parts.add(answer))

    def outcome_if_refused(self, client: Client, request: Request, refuse: Callable[[Exception], object]) -> Done:
        """Count a request as outstanding whose success has no answer; return the callback for its outcome.

        Args:
            client: the client that asks. It is welcome.
            request: its request.
            refuse: answers a refusal; it gets the error.
        """
        if client.answers is None and isinstance(request, IrcRequest) and request.parts is None:
            request.refuse = refuse
            return client.session.expect_outcome(request)
        return self.outcome(client, request, lambda error: None if error is None else refuse(error))

    def _outcome(self, client: Client, request: Request, answer: Callable[[Exception | None], object]) -> Done:
        if not client.is_welcome:
            client.session.transport.hold_login_timeout()
        finish = client.session.expect_outcome(request)
        answers = client.answers
        if answers is not None:
            answers.outstanding += 1

        def done(error: Exception | None) -> None:
            if not client.is_welcome:  # the answer may be the welcome
                client.session.transport.resume_login_timeout()
            if error is not None:
                note_refusal(client.session, error)
            if answers is None:
                answer(error)
            else:
                self.gather(client, answers, lambda: answer(error))
            finish(None)

        return done

    def divide(self, request: Request) -> None:
        """Have a request of several targets answered part by part: see `refuse_part`."""
        if isinstance(request, IrcRequest):
            request.parts = Parts()

    def refuse_part(self, client: Client, request: Request, refuse: Callable[[], object]) -> None:
        """Refuse a request, or one of its several parts, behind what is outstanding (I4)."""
        parts = getattr(request, "parts", None)
        if parts is None and request.command.pipelined:
            self.chat.tell_in_order(lambda: None, self._outcome(client, request, lambda _error: refuse()))
        elif parts is None:
            refuse()
        else:
            parts.add_refused(partial(self._outcome(client, request, lambda _error: refuse()), None))

    def gather(self, client: Client, answers: Answers, run: Callable[[], object]) -> None:
        """Run a part of a labelled request: its answers are gathered, and sent with the last part."""
        before, client.answers = client.answers, answers
        try:
            run()
        finally:
            client.answers = before
            if settled := answers.settle(self.server.name):
                client.session.send_bytes(settled.encode())

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Answer a request that was refused, or (None) one that needs the welcome (I3)."""
        if error is not None and isinstance(request, IrcRequest) and request.refuse is not None:
            request.refuse(error)
        else:
            self.client(session).reply(numerics.NOTREGISTERED)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is too long (I2)."""
        self.client(session).reply(numerics.INPUTTOOLONG)

    @contextlib.contextmanager
    def passing_tags(self, tags: Mapping[str, str]) -> Iterator[None]:
        """Pass these client tags on with the direct message that is delivered meanwhile."""
        self.passed.tags = tags
        try:
            yield
        finally:
            self.passed.tags = NO_TAGS

    # ---- channels ----

    def exists(self, name: str) -> bool:
        """Tell whether there is a channel of this name, here or, with a member here, on another server."""
        return self.chat.channels.find(name) is not None

    def channels_of(self, client: Client) -> Mapping[str, Channel]:
        """Return the channels that a client is in, by name."""
        return getattr(client.session.principal, "channels", NO_CHANNELS)

    def visible_channel(self, client: Client, name: str | None) -> Channel | None:
        """Return a channel whose members a client may see."""
        channel = None if name is None else self.chat.channels.find(name)
        return channel if channel is not None and self.may_list(client, channel) else None

    def local_channel(self, client: Client, shown: str) -> Channel | None:
        """Return the channel here that a word names, if the client may know of it; else answer, and return None."""
        name = self.people.channel_name(shown)
        channel = None if name is None else self.chat.channels.local.get(name)
        if channel is not None and self.may_list(client, channel):
            return channel
        is_remote = name in self.chat.channels.remote
        client.reply(numerics.NOTONCHANNEL if is_remote else numerics.NOSUCHCHANNEL, word(shown))
        return None

    def enter_channel(self, client: Client, name: str, key: str, done: Done) -> None:
        """Have a client join a channel; one that is not there is made, where the settings allow it (I19).

        Fails as `Chat.join` and `Chat.create` do.
        """
        user = client.session.principal
        if self.exists(name) or HOST_OF_CHANNEL in name or not self._may_create(client):
            self.chat.join(user, name, done, key)
        else:
            self.chat.found(user, name, done)

    def _may_create(self, client: Client) -> bool:
        return self.settings.irc_create == "all" or (
            self.settings.irc_create == "accounts" and client.account is not None
        )

    def leave_channel(self, client: Client, name: str, reason: str, done: Done) -> None:
        """Have a client leave a channel."""
        self.chat.leave(client.session.principal, name, done, reason)

    def may_list(self, client: Client, channel: Channel) -> bool:
        """Tell whether a client may know of a channel and of its members."""
        return self.chat.channels.listing.is_shown(channel, client.nick)

    def is_operator(self, name: str) -> bool:
        """Tell whether a user has become an operator of the server with OPER."""
        return name in self.census.operators

    def may_operate(self, client: Client, channel: Channel) -> bool:
        """Tell whether a client may do what the operators of a channel may."""
        return self.chat.channels.admission.operates(client.nick, channel)

    def room_of(self, client: Client, nick: str, name: str) -> Channel | None:
        """Return a channel of a client in which the room guest of this nick and name is."""
        channels = (channel for channel in self.channels_of(client).values() if name in channel.guests)
        return next((channel for channel in channels if self.people.room_of(nick) in ("", channel.name)), None)

    def idle_seconds(self, clients: Iterable[Client]) -> int:
        """Return the time since a user last said something, in seconds."""
        last = max((client.active for client in clients), default=0.0)
        return max(0, int(self.server.now() - last)) if last else 0

    def tell_of(self, client: Client, capability: str, line: str) -> None:
        """Send a line once to each client with a capability that shares a channel with this one, or monitors it."""
        words = line.encode()
        for watcher in self.monitors.of(client.shown):
            if watcher.has("extended-monitor") and watcher.has(capability) and not self._share(client, watcher):
                watcher.session.send_bytes(words)
        for session in {session for channel in self.channels_of(client).values() for session in channel.subscribers}:
            other = client_of(session)
            if other is not None and other is not client and other.has(capability):
                other.session.send_bytes(words)

    def _share(self, client: Client, other: Client) -> bool:
        """Tell whether two clients are in a channel together."""
        return not self.channels_of(client).keys().isdisjoint(self.channels_of(other))
