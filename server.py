#!/usr/bin/env python3
"""The server: the command line, and what ties the rooms together. `./server.py --help` tells how to start it."""

from __future__ import annotations

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.use_environment("bcrypt")

import argparse
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence

from chat import Chat, Limits
from commandline import OneLineParser, port_number
from config import ConfigError, Settings, read_config
from dialects import Result
from logs import start_logging
from loop import Connection, Loop, raise_descriptor_limit
from passwords import BcryptPasswords
from protocol import Session
from store import Store, StoreError

BACKLOG = 4096
"""Connections that the kernel keeps ready for us; it may allow less (net.core.somaxconn)."""

log = logging.getLogger("crosstalk.server")


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class Server:
    """One chat: a store, a domain, a loop, listeners. Two of them can live in one process.

    Args:
        settings: see config.Settings.
        port: to listen on; 0 takes a free one.

    Raises:
        StartError: the port or the database cannot be had.
    """

    def __init__(self, settings: Settings, port: int) -> None:
        self.settings = settings
        self.loop = Loop(
            max_clients=settings.max_clients,
            max_out_buffer=settings.max_out_buffer,
            pool_threads=settings.hash_threads,
            pool_queue=settings.max_hash_queue,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.loop.close)
            sock = undo.enter_context(bound_socket(settings.address, port))
            self.address, self.port = sock.getsockname()[:2]
            try:
                self.store = Store(settings.database or f"crosstalk-{self.port}.db")
                undo.callback(self.store.close)
                self.chat = self._build_chat()
            except StoreError as error:
                raise StartError(str(error)) from error
            self.dialect = Result(
                self.chat,
                joined_only=settings.channels_reply == "joined",
                history_on_join=settings.history_on_join,
            )
            self.loop.before_flush = self.store.commit
            self.loop.listen(sock, self._accepted)
            undo.pop_all()
        self._stopping = False

    def _build_chat(self) -> Chat:
        settings = self.settings
        self.passwords = BcryptPasswords(self.loop.in_thread, settings.bcrypt_cost)
        limits = Limits(
            name=settings.max_name,
            accounts=settings.max_accounts,
            channels=settings.max_channels,
            channels_per_user=settings.max_channels_per_user,
            mail=settings.max_mail,
        )
        chat = Chat(self.store, self.passwords, time.time, limits)
        self.store.attach(chat.apply, chat.announce)
        chat.restore(self.store.load())
        self.passwords.resemble(account.password_hash for account in chat.accounts.values())
        return chat

    def _accepted(self, connection: Connection) -> Session:
        return Session(connection, self.dialect, self.settings.max_line)

    def run(self) -> None:
        """Serve until `stop`."""
        self.loop.run()
        self.loop.close()
        self.store.close()

    def stop(self) -> None:
        """Accept no more, give what is owed and let it leave, then end. A second call ends the process at once."""
        if self._stopping:
            os._exit(1)
        self._stopping = True
        log.info("stopping")
        self.loop.drain(self.settings.shutdown_seconds)
        for connection in list(self.loop.connections):
            assert isinstance(connection.owner, Session)
            connection.owner.retire()

    def log_statistics(self) -> None:
        """Write the counters to the log."""
        closed = " ".join(
            f"closed-{reason.name.lower().replace('_', '-')}={count}" for reason, count in self.loop.closed.items()
        )
        log.info(
            "statistics clients=%d accounts=%d channels=%d refused-hashes=%d failed-commits=%d longest-turn-ms=%.1f %s",
            len(self.loop.connections),
            len(self.chat.accounts),
            len(self.chat.channels),
            self.passwords.refused,
            self.store.failures,
            self.loop.longest_turn * 1000,
            closed,
        )


def bound_socket(address: str | None, port: int) -> socket.socket:
    """Listen on an address, or on all of IPv4 and IPv6.

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


def parse_command_line(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits when it cannot be understood."""
    parser = OneLineParser(
        prog="server.py",
        description="A chat server. Talk to it with netcat, client.py, or any client of the protocols that it speaks.",
        epilog="Signals: TERM and INT stop it (twice: at once), USR1 writes counters to the log.",
        allow_abbrev=False,
    )
    parser.add_argument("port", type=port_number(0), help="the port to listen on; 0 takes a free one")
    parser.add_argument("config", nargs="?", help="a file of settings; the README lists them")
    parser.add_argument(
        "--database",
        metavar="PATH",
        help="the database file (default: crosstalk-<port>.db in the current directory); :memory: keeps nothing",
    )
    return parser.parse_args(words)


def start(words: Sequence[str]) -> Server:
    """Build the server that a command line asks for.

    Raises:
        ConfigError, StartError: it cannot be built.
    """
    arguments = parse_command_line(words)
    settings = read_config(arguments.config) if arguments.config else Settings()
    if arguments.database:
        settings = settings._replace(database=arguments.database)
    raise_descriptor_limit()
    return Server(settings, arguments.port)


def main(words: Sequence[str]) -> int:
    """Run the server until a signal stops it; return the exit status."""
    bootstrap.occupy_standard_descriptors()
    start_logging()
    try:
        server = start(words)
    except (ConfigError, StartError) as error:
        print(f"server.py: {error}", file=sys.stderr)
        return 1
    loop = server.loop
    loop.on_signal(signal.SIGTERM, server.stop)
    loop.on_signal(signal.SIGINT, server.stop)
    loop.on_signal(signal.SIGUSR1, server.log_statistics)
    tame_garbage_collector()
    log.info("room for %d clients", loop.client_ceiling)
    log.info("ready address=%s port=%d database=%s", server.address, server.port, server.store.path)
    server.passwords.warm_up()
    server.run()
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
    sys.exit(main(sys.argv[1:]))
