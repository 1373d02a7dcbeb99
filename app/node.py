"""One server's objects and their wiring, free of sockets, threads and signals: `server.py` adds these, tests fakes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from app.limits import ClientLimits
from app.statistics import Histogram, timed
from audiences import fan_out
from dialects import AUTO, DEFAULT, Built
from dialects.mailbox import RESERVED_NAMES
from dialects.operator.bans import farewell
from dialects.operator.base import Hosted, ServerControls
from dialects.operator.console import Console
from dialects.operator.control import Control
from dialects.rooms import MessageFormatter, RoomsDialect, RoomsHandshake, TimeOfDay, piece_size
from domain.ban_enforcement import BanEnforcement
from domain.bans import BANNED
from domain.changes import Change, ChannelCreated, HostKeyMade, ignore
from domain.chat import Chat
from domain.errors import LimitReached
from domain.guests import RoomGuests
from domain.interfaces import Backend, Passwords, Timers
from domain.invitations import Registration
from domain.names import classic_id
from domain.rooms import Rooms
from domain.state import Limits
from domain.transfers import Transfers
from federation import Federation
from net.addresses import network_of
from paced_session import PacedSession
from peering.dialer import Dial
from peering.proof import make_nonce
from protocol import Counts, Dialect, Session
from settings import Settings
from transport import MakeAudience, Transport

SECRET_BYTES = 16
"""Random bytes of an ID that cannot be guessed."""

RUN_BYTES = 4
"""Random bytes that tell this run of the server from the others, in the IDs of direct messages."""

HOST_DIGITS = 8
"""Hexadecimal digits that stand for a guest's address (I14)."""


def make_secret() -> str:
    """Make a password or an invitation: 80 random bits as four groups of letters and digits that are easy to type."""
    import base64

    letters = base64.b32encode(os.urandom(10)).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


class StateStore(Backend, Protocol):
    """The journal's backend, and the state that it has kept."""

    def load(self) -> Iterator[Change]: ...
    def remove_orphans(self) -> None: ...


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class Node:
    """One server: the domain, the other servers, the dialects.

    Args:
        settings: see settings.Settings.
        limits: of sessions, addresses and accounts.
        store: keeps the state, which is loaded here.
        passwords: hashes and checks.
        timers: the monotonic clock, in seconds.
        now: the wall clock, in seconds since the epoch.
        time_of_day: returns the local time, hh:mm:ss, of a time of the wall clock.
        dial: opens connections to other servers.
        make_audience: makes an audience of the outputs of transports.
        console: the transport of the operator's session.
        controls: what the operator can do with the whole server.
        complain: shows a text about a mistyped line of the console; None where nobody would see it.
        jitter: returns a random number from 0 to 1.
        nonce: returns a new nonce each time.
        make_secret: makes a password or an invitation.

    Attributes:
        dialects: the dialects that are on, by name.
        by_first_word: returns the dialect that a first word chooses on an `auto` port.
        ports: the first dialect of the connections to a channel's port, by its `port_label`.
        operator: the session of the console.
        control: the dialect of the control socket.
        commits: how long commits have taken.

    Raises:
        StartError: a channel of the config cannot be made.
        StoreError: the database cannot be read, or its orphaned rows cannot be removed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        limits: ClientLimits,
        store: StateStore,
        passwords: Passwords,
        timers: Timers,
        now: Callable[[], float],
        time_of_day: TimeOfDay,
        dial: Dial,
        make_audience: MakeAudience,
        console: Transport,
        controls: ServerControls,
        complain: Callable[[str], None] | None = None,
        jitter: Callable[[], float] = lambda: os.urandom(1)[0] / 255,
        nonce: Callable[[], str] = make_nonce,
        make_secret: Callable[[], str] = make_secret,
    ) -> None:
        self.settings = settings
        self._limits = limits
        self._timers = timers
        self._host_key = b""
        formatter = MessageFormatter(time_of_day)

        # The domain.
        self.commits = Histogram()
        self.chat = self._load_chat(store, passwords, now)
        limits.failures.know(self.chat.known_networks)
        self.now = now = self.chat.now
        guests = RoomGuests(self.chat, timers, now, self._show, settings.afk_seconds)
        self.rooms = Rooms(self.chat, guests, timers, now, self._show)
        self.transfers = Transfers(
            timers, settings, piece_size(settings.max_line), now, self._show, guests.note_activity
        )
        self.chat.outside.observer = self.rooms
        self.chat.outside.fan_out = partial(fan_out, make_audience)
        self.chat.outside.prefix_of = self._prefix_of
        self.apply_settings()
        self._host_channels()

        # Other servers.
        self.federation: Federation | None = None
        if settings.federation != "off":
            self.federation = Federation(self.chat, timers, now, dial, jitter, nonce, settings)
            self.chat.outside.servers = self.federation.servers
        self._enforce_bans(controls)

        # The dialects.
        links = self.federation.links if self.federation is not None else None
        hosted = Hosted(self.chat, self.rooms, links, timers, now, make_secret)
        self.operator = Session(console, Console(controls, hosted, formatter, complain))
        self.control = Control(controls, hosted)
        self.dialects = Built(self)
        self.by_first_word = self.dialects.by_first_word()
        plain, with_files = (
            RoomsDialect(self.rooms, self.transfers, formatter, now, files=files) for files in (False, True)
        )
        self.ports: Mapping[str, Dialect] = {
            port_label(name): RoomsHandshake(self.rooms, name, plain, with_files) for name in self.rooms.hosted
        }
        self._others = (*self.ports.values(), plain, with_files, self.operator.dialect, self.control)

    def _load_chat(self, store: StateStore, passwords: Passwords, now: Callable[[], float]) -> Chat:
        """Make the domain and load its state; its commits are measured from then on."""
        settings = self.settings
        chat = Chat(
            store,
            passwords,
            now,
            limits_of(settings),
            MAKE_ID[settings.mailbox_ids],
            self._limits.accounts,
            reserved_names(settings),
            os.urandom(RUN_BYTES).hex(),
            make_token_secret,
            members_only=settings.channels == "members",
        )
        if not chat.restore(store.load()):
            store.remove_orphans()
        chat.journal.write = timed(chat.journal.write, self.commits, self._timers.monotonic)
        return chat

    def _enforce_bans(self, controls: ServerControls) -> None:
        """Have the operator's bans end what they no longer allow: sessions, memberships, links."""
        close_links = self.federation.links.close_with if self.federation is not None else _no_links
        enforcement = BanEnforcement(self.chat, self.rooms, self._timers, controls.sessions, close_links, farewell)
        self.chat.outside.enforce, self.chat.outside.logged_in = enforcement.enforce, enforcement.logged_in

    def _host_channels(self) -> None:
        """Make the channels of the config that do not exist, and give each its port."""
        for channel in self.settings.channel:
            if channel.name not in self.chat.channels.local:
                self._create(channel.name, self.now())
            self.rooms.host(channel.name, channel.capacity)
        self.chat.moderation.remove_abandoned()

    def counts(self) -> Iterator[tuple[str, Counts]]:
        """Return the counts of each dialect's clients; a name may come more than once."""
        yield from ((name, Counts()) for name in self.dialects)
        yield from ((dialect.name, dialect.counts) for dialect in (*self.dialects.so_far, *self._others))

    def _prefix_of(self, name: str, *, in_room: bool) -> str:
        """Return how IRC names a user, for the masks of channels, which hold in every dialect (C67)."""
        from dialects.irc.core import Irc  # a server without masks needs none

        dialect = self.dialects["irc"]
        assert isinstance(dialect, Irc)
        return f"{dialect.people.nick(name)}!{dialect.people.user_at_host(name, in_room=in_room)}"

    def guest_host(self, address: str) -> str:
        """Return the host that stands for a guest's address in IRC."""
        import hmac  # most servers have no guests of IRC

        digest = hmac.digest(self._key_of_hosts(), network_of(address).encode(), "sha256")
        return f"{digest.hex()[:HOST_DIGITS]}.guest"

    def _key_of_hosts(self) -> bytes:
        """Return the key of guests' hosts, which lasts, so that masks on them do (C67)."""
        if not self._host_key:
            self._host_key = self.chat.users.host_key or os.urandom(SECRET_BYTES)
            if not self.chat.users.host_key:
                self.chat.journal.submit(HostKeyMade(self._host_key), ignore)
        return self._host_key

    def apply_settings(self) -> None:
        """Use the settings' values where copies are kept: at the start, and after a reload."""
        settings = self.settings
        self.chat.accounts.invitations.registration = Registration(settings.registration)
        self.chat.users.operators = frozenset(settings.operator)
        self.chat.users.limits = limits_of(settings)
        self.chat.accounts.make_id = MAKE_ID[settings.mailbox_ids]
        self._limits.change(settings)
        self.chat.upkeep.retention = settings.retention
        self.chat.upkeep.start(self._timers)
        self.rooms.guests.afk_seconds = settings.afk_seconds

    def start(self) -> None:
        """Begin to dial the other servers of the config, and to look for old messages."""
        self.chat.upkeep.start(self._timers)
        if self.federation is not None:
            self.federation.links.start()

    def accept(self, transport: Transport, label: str) -> Session:
        """Create the session of a new connection; `label` is a word of `listen`, or a key of `ports`."""
        is_auto = label == AUTO
        dialect = self.ports.get(label) or self.dialects[DEFAULT if is_auto else label]
        max_line = dialect.max_line or self.settings.max_line
        bucket = self._limits.bucket_for(transport.remote_address[0])
        make = Session if bucket is None else partial(PacedSession, bucket=bucket)
        session = make(transport, dialect, max_line, self.by_first_word if is_auto else {})
        if self.chat.bans.of_address(session.address) is None:
            dialect.begin(session)
        else:  # it came through a proxy, or the ban is as new as the connection
            session.report_limit(BANNED, "(refused)")
            session.end()
        return session

    def end_turn(self) -> None:
        """Commit the changes of the turn, before anything is sent."""
        self.chat.end_turn()
        self.rooms.guests.end_turn()

    def close(self) -> None:
        """End transfers and links, and announce no departure any more: the server stops."""
        self.chat.users.presence.stop()
        self.rooms.guests.stop()
        self.transfers.close()
        if self.federation is not None:
            self.federation.links.close()

    def _show(self, event: Any) -> None:
        self.operator.deliver(event)

    def _create(self, channel: str, at: float) -> None:
        outcomes: list[Exception | None] = []
        self.chat.journal.submit(ChannelCreated(channel, "", at), outcomes.append)
        self.chat.journal.commit()
        if outcomes != [None]:
            is_full = isinstance(outcomes[0], LimitReached)
            reason = "max-channels is too small" if is_full else "the database takes nothing"
            raise StartError(f"cannot make the channel {channel}: {reason}")


def _no_links(_server: str) -> int:
    """Close no links: federation is off."""
    return 0


def port_label(channel: str) -> str:
    """Return the key of a channel's port in `Node.ports`, which is also its dialect in the log."""
    return f"rooms channel={channel}"


def limits_of(settings: Settings) -> Limits:
    """Return the domain's limits."""
    return Limits(
        name=settings.max_name,
        guests=settings.max_users or Limits().guests,
        accounts=settings.max_accounts,
        channels=settings.max_channels,
        channels_per_creator=settings.max_channels_per_creator,
        channels_per_user=settings.max_channels_per_user,
        clients=settings.max_account_clients,
        mail=settings.max_mail,
        unlisted_mail=settings.max_unlisted_mail,
    )


def reserved_names(settings: Settings) -> frozenset[str]:
    """Return the names that no new user can have (C35)."""
    return RESERVED_NAMES if "mailbox" in {listen.dialect for listen in settings.listen} else frozenset()


def secret_id(_name: str) -> str:
    """Make an account's ID that cannot be guessed."""
    import secrets

    return secrets.token_urlsafe(SECRET_BYTES)


def make_token_secret() -> str:
    """Make the random part of a token: 43 characters."""
    import secrets

    return secrets.token_urlsafe(32)


MAKE_ID: Mapping[str, Callable[[str], str]] = {"classic": classic_id, "secret": secret_id}
"""How the setting mailbox-ids makes IDs."""
