#!/usr/bin/env python3
"""The server: the command line, and what ties the rooms together. `./server.py --help` tells how to start it."""

from __future__ import annotations

import sys

from app import bootstrap

if __name__ == "__main__":
    bootstrap.end_quietly_when_interrupted()  # also while the rest is loaded

from app import options

if __name__ == "__main__":
    ARGUMENTS = options.parse_command_line(sys.argv[1:])
    bootstrap.use_environment("bcrypt")  # may start this program again, so the config is read behind it,
    OPTIONS = options.read_or_exit(ARGUMENTS)  # once, and is refused before anything else is loaded

import contextlib
import errno
import functools
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.console import Console, Printer, read_lines
from app.logs import start_logging
from app.passwords import BcryptPasswords
from app.signals import Signals
from app.throttle import Pace
from app.workqueue import WorkQueue
from dialects import Door, Hello, Lines, Mailbox, Result, RoomTalk
from dialects.mailbox import RESERVED_NAMES
from dialects.rooms import OPERATOR_WORDS
from domain.changes import ChannelCreated
from domain.chat import Chat
from domain.errors import LimitReached
from domain.names import classic_id
from domain.rooms import Rooms
from domain.state import Limits
from domain.transfers import Transfers
from federation import Federation
from net.connection import Connection
from net.loop import Loop
from net.tcp import raise_descriptor_limit
from peering.proof import make_nonce
from protocol import Dialect, Session
from settings import Listen, Settings
from store import Store, StoreError

STDIN, STDOUT = 0, 1

MAX_TYPED = 64
"""Commands that may wait for the loop before more of standard input is read."""

SECRET_BYTES = 16
"""Random bytes of an ID that cannot be guessed."""

WATCH_SECONDS = 1.0
"""Time between two looks after the files of the database."""

BACKLOG = 4096
"""Connections that the kernel keeps ready for us; it may allow less (net.core.somaxconn)."""

log = logging.getLogger("crosstalk.server")


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


WILDCARDS = {"0.0.0.0", "::"}
"""All addresses of one family: a place to listen, but none to call from."""


class Place(NamedTuple):
    """Where one of the listeners is; `::` with `ipv6_only` where it does not take IPv4 as well."""

    address: str
    port: int
    dialect: str
    ipv6_only: bool


class Server:
    """One chat: a store, a domain, a loop, listeners. Two of them can live in one process.

    Args:
        settings: see config.Settings; at least one `listen` or `channel`. The database is named after the first one's
            port.

    Raises:
        StartError: a port or the database cannot be had.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loop = Loop(
            max_clients=settings.max_clients,
            max_out_buffer=settings.max_out_buffer,
            stall_seconds=settings.stall_seconds,
            keepalive_seconds=settings.keepalive_seconds,
            login_seconds=settings.login_seconds,
            address_share=settings.max_address_share,
            max_buffers=settings.max_buffers,
            pool_threads=settings.hash_threads,
            pool_queue=settings.hash_threads,  # what waits for a thread waits in the work queue
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.loop.close)
            listens = [
                *settings.listen,
                *(Listen(None, channel.port, _door(channel.name)) for channel in settings.channel),
            ]
            own_addresses = {listen.address or settings.address for listen in listens}
            sockets = [
                undo.enter_context(bound_socket(listen.address or settings.address, listen.port)) for listen in listens
            ]
            self.places = [
                Place(host, port, listen.dialect, ipv6_only=(listen.address or settings.address) == "::")
                for (host, port, *_), listen in zip((sock.getsockname() for sock in sockets), listens, strict=True)
            ]
            self.port = self.places[0].port
            try:
                self.store = Store(settings.database or f"crosstalk-{self.port}.db")
                undo.callback(self.store.close)
                self.chat = self._build_chat()
                self._build_rooms()
                self.federation = self._build_federation(own_addresses)
            except StoreError as error:
                raise StartError(str(error)) from error
            welcomes = self._build_welcomes()
            self.loop.before_flush = self._before_flush
            for sock, listen in zip(sockets, listens, strict=True):
                self.loop.listen(sock, welcomes[listen.dialect])
            undo.pop_all()
        self._watch_store()
        if self.federation is not None:
            self.console.links = self.federation.links
            self.loop.call_soon(self.federation.links.start)
        self._stopping = False

    def _build_chat(self) -> Chat:
        settings = self.settings
        queue = WorkQueue(self.loop.in_thread, self.loop, settings.hash_threads, settings.max_hash_queue)
        self.passwords = BcryptPasswords(queue, self.loop.monotonic, settings.bcrypt_cost)
        limits = Limits(
            name=settings.max_name,
            guests=settings.max_users or Limits().guests,
            accounts=settings.max_accounts,
            channels=settings.max_channels,
            channels_per_creator=settings.max_channels_per_creator,
            channels_per_user=settings.max_channels_per_user,
            mail=settings.max_mail,
            unlisted_mail=settings.max_unlisted_mail,
        )
        pace = Pace(self.loop.monotonic, settings.max_registrations)
        is_mailbox = "mailbox" in {listen.dialect for listen in settings.listen}
        reserved = RESERVED_NAMES if is_mailbox else ()
        chat = Chat(self.store, self.passwords, time.time, limits, MAKE_ID[settings.mailbox_ids], pace, reserved)
        chat.restore(self.store.load())
        self.passwords.resemble(
            account.password_hash for account in chat.users.accounts.values() if account.password_hash is not None
        )
        return chat

    def _build_rooms(self) -> None:
        """Give the config's channels their ports, and the operator a console."""
        settings = self.settings
        self.printer = Printer(STDOUT, self.loop.call_later)
        self.lines = Lines(time_of_day)
        self.rooms = Rooms(self.chat, self.loop, time.time, self._show, settings.afk_seconds)
        self.transfers = Transfers(self.loop, settings, time.time, self._show, self.rooms.stir)
        self.console = Console(self.rooms, self.lines, time.time, self.printer.print, self.stop)
        for channel in settings.channel:
            if channel.name not in self.chat.channels.local:
                self._create(channel.name)
            self.rooms.host(channel.name, channel.capacity)

    def _build_federation(self, own_addresses: set[str | None]) -> Federation | None:
        """Speak with other servers, from the one address that this one is bound to, if there is one."""
        settings = self.settings
        if settings.federation == "off":
            return None
        source = next(iter(own_addresses)) if len(own_addresses) == 1 and not own_addresses & WILDCARDS else None
        dial = functools.partial(self.loop.dial, source=source, seconds=settings.federation_seconds)
        return Federation(self.chat, self.loop, time.time, dial, jitter, make_nonce, settings)

    def _create(self, channel: str) -> None:
        outcomes: list[Exception | None] = []
        self.chat.journal.submit(ChannelCreated(channel, "", time.time()), outcomes.append)
        self.chat.journal.commit()
        if outcomes != [None]:
            reason = (
                "max-channels is too small" if isinstance(outcomes[0], LimitReached) else "the database takes nothing"
            )
            raise StartError(f"cannot make the channel {channel}: {reason}")

    def _watch_store(self) -> None:
        self.store.watch()
        self.loop.call_later(WATCH_SECONDS, self._watch_store)

    def _show(self, event: Any) -> None:
        self.printer.print(OPERATOR_WORDS[type(event)](self.lines, event))

    def _before_flush(self) -> None:
        self.chat.journal.commit()
        self.rooms.end_turn()
        self.printer.flush()

    def _build_welcomes(self) -> Mapping[str, Callable[[Connection], Session]]:
        """Say what becomes of a new connection, by what its listener speaks."""
        settings = self.settings
        hello = Hello(self.chat)
        mailbox = Mailbox(self.chat)
        result = Result(
            self.chat,
            joined_only=settings.channels_reply == "joined",
            history_on_join=settings.history_on_join,
            echo_seconds=settings.federation_seconds,
        )
        talk, file_talk = (
            RoomTalk(self.rooms, self.transfers, self.lines, time.time, files=files) for files in (False, True)
        )
        by_first_word: dict[str, Dialect] = {"HELLO-FROM": hello}
        federation = self.federation
        if federation is not None:
            by_first_word["FEDERATE-OUT"] = federation

        def greeted(connection: Connection) -> Session:
            session = Session(connection, mailbox, settings.max_line)
            mailbox.begin(session)
            return session

        def behind(door: Door) -> Callable[[Connection], Session]:
            return lambda connection: Session(connection, door, settings.max_line)

        return {
            **{_door(name): behind(Door(self.rooms, name, talk, file_talk)) for name in self.rooms.hosted},
            "auto": lambda connection: Session(connection, result, settings.max_line, by_first_word),
            "result": lambda connection: Session(connection, result, settings.max_line),
            "hello": lambda connection: Session(connection, hello, settings.max_line),
            "mailbox": greeted,
            **({} if federation is None else {"federation": federation.links.accept}),
        }

    def run(self) -> None:
        """Serve until `stop`."""
        self.loop.run()
        self.printer.drain(self.settings.shutdown_seconds)
        self.loop.close()
        self.store.close()

    def stop(self) -> None:
        """Accept no more, give what is owed and let it leave, then end. Stopping twice is stopping once."""
        if self._stopping:
            return
        self._stopping = True
        log.info("stopping")
        self.rooms.close()
        self.transfers.close()
        if self.federation is not None:
            self.federation.links.close()
        self.loop.drain(self.settings.shutdown_seconds)
        for connection in list(self.loop.connections):
            assert isinstance(connection.owner, Session)
            connection.owner.drain()

    def log_statistics(self) -> None:
        """Write the counters to the log."""
        closed = " ".join(
            f"closed-{reason.name.lower().replace('_', '-')}={count}" for reason, count in self.loop.closed.items()
        )
        log.info(
            "statistics clients=%d users=%d accounts=%d channels=%d failed-logins=%d refused-hashes=%d"
            " failed-commits=%d longest-turn-ms=%.1f %s",
            len(self.loop.connections),
            len(self.chat.users.online),
            len(self.chat.users.accounts),
            len(self.chat.channels.local),
            self.chat.accounts.failed_logins,
            self.passwords.refused,
            self.store.failures,
            self.loop.longest_turn * 1000,
            closed,
        )
        for line in self.federation.statistics() if self.federation is not None else ():
            log.info("%s", line)


def jitter() -> float:
    """Give a random number from 0 to 1."""
    return os.urandom(1)[0] / 255


def secret_id(_name: str) -> str:
    """Make an account's ID that cannot be guessed."""
    import secrets

    return secrets.token_urlsafe(SECRET_BYTES)


MAKE_ID: Mapping[str, Callable[[str], str]] = {"classic": classic_id, "secret": secret_id}
"""How the setting mailbox-ids makes IDs."""


def _door(channel: str) -> str:
    """How the dialect of a channel's port is named here and in the log."""
    return f"rooms channel={channel}"


def time_of_day(at: float) -> str:
    """Give the local time, hh:mm:ss (O1), of a time in seconds since the epoch."""
    return _time_of_second(int(at))


@functools.lru_cache(maxsize=16)
def _time_of_second(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def bound_socket(address: str | None, port: int) -> socket.socket:
    """Listen on an address: `0.0.0.0` is all of IPv4, `::` all of IPv6 and no other, None all of both.

    Raises:
        StartError: it cannot be done.
    """
    try:
        if address is not None:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family, backlog=BACKLOG)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        return socket.create_server(("", port), backlog=BACKLOG)
    except OSError as error:
        place, reason = f"{address or '*'}:{port}", os.strerror(error.errno or 0)
        choice = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "address"
        raise StartError(f"cannot listen on {place}: {reason}; choose another {choice}") from error


def announce(server: Server, *, lab: bool) -> None:
    """Say where the server is, and that it accepts connections."""
    log.info("room for %d clients", server.loop.client_ceiling)
    for place in server.places:
        only = " (IPv6 only)" if place.ipv6_only else ""
        log.info("listening address=%s port=%d dialect=%s%s", place.address, place.port, place.dialect, only)
    log.info("ready address=%s port=%d database=%s", server.places[0].address, server.port, server.store.path)
    if lab:
        with contextlib.suppress(OSError):  # nobody may be there to read it
            print("Server is on", flush=True)  # C25


def open_console(server: Server) -> None:
    """Take commands from standard input until its end, in a thread that waits for them."""
    for signum in (signal.SIGTTIN, signal.SIGTTOU):  # in a terminal's background that must not stop the server
        signal.signal(signum, signal.SIG_IGN)

    room = threading.Semaphore(MAX_TYPED)

    def take(line: str) -> None:
        if line.lstrip().startswith("/"):  # nothing else is a command, and the loop need not see it
            room.acquire()
            server.loop.call_threadsafe(functools.partial(carry_out, line))

    def carry_out(line: str) -> None:
        room.release()
        server.console.typed(line)

    threading.Thread(target=read_lines, args=(STDIN, take), daemon=True).start()


def main(settings: Settings, *, lab: bool) -> int:
    """Run the server until a signal stops it; return the exit status."""
    bootstrap.occupy_standard_descriptors()
    start_logging()
    try:
        raise_descriptor_limit()
        server = Server(settings)
    except StartError as error:
        print(f"server.py: {error}", file=sys.stderr)
        return 1
    loop = server.loop
    handlers = Signals(loop.call_threadsafe, server.stop, server.log_statistics, settings.hangup)
    loop.wake_for_signals()
    handlers.install()
    tame_garbage_collector()
    announce(server, lab=lab)
    open_console(server)
    server.passwords.warm_up()
    server.run()
    handlers.ignore()
    server.log_statistics()
    if loop.working:
        os._exit(0)  # a password that is being hashed is no reason to wait
    return 0


def tame_garbage_collector() -> None:
    """Collect rarely: what a message leaves behind is freed by counting, and a full collection with ten thousand
    connections would hold the loop for longer than a hash does."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


if __name__ == "__main__":
    sys.exit(main(OPTIONS.settings, lab=OPTIONS.lab))
