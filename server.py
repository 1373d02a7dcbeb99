#!/usr/bin/env python3
"""The server: a Node with sockets, signals and a console. `./server.py --help` tells how to start it."""

from __future__ import annotations

import gc
import sys

from app import bootstrap

if __name__ == "__main__":
    bootstrap.end_quietly_when_interrupted()  # also while the rest is loaded
    gc.disable()  # until `tame_garbage_collector`: what a start loads stays

from app import options

if __name__ == "__main__":
    ARGUMENTS = options.parse_command_line(sys.argv[1:])
    bootstrap.use_environment("bcrypt")  # may start this program again; the config can be read only once, so after it
    OPTIONS = options.read_or_exit(ARGUMENTS)  # before the other imports, so that a wrong config is refused at once

import contextlib
import errno
import functools
import logging
import os
import signal
import socket
import threading
import time
from typing import NamedTuple

from app.logs import start_logging
from app.node import Node, StartError, port_label
from app.passwords import BcryptPasswords
from app.printer import ConsoleTransport, Printer, read_lines
from app.signals import Signals
from app.workqueue import WorkQueue
from net import listener
from net.loop import Loop
from net.tcp import raise_descriptor_limit
from protocol import Session
from settings import Listen, Settings
from store import Store, StoreError

STDIN, STDOUT = 0, 1

MAX_TYPED = 64
"""Maximum typed commands that wait for the loop; then reading from standard input pauses."""

WATCH_SECONDS = 1.0
"""Interval at which the database's files are checked."""

WILDCARDS = {"0.0.0.0", "::"}
"""All addresses of one family: valid to listen on, but not as a source address."""

log = logging.getLogger("crosstalk.server")


class Endpoint(NamedTuple):
    """The address of one listener, and the dialect of its connections. `ipv6_only`: `::` does not accept IPv4."""

    address: str
    port: int
    dialect: str
    ipv6_only: bool


class Server:
    """A Node on real sockets: a loop, a store, listeners. Two of them can live in one process.

    Args:
        settings: with at least one `listen` or `channel`. The database is named after the first one's port.

    Raises:
        StartError: a port or the database cannot be opened, or a channel of the config cannot be made.
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
            pool_queue=settings.hash_threads,  # further jobs wait in the work queue
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.loop.close)
            listens = [
                *(listen._replace(address=listen.address or settings.address) for listen in settings.listen),
                *(Listen(settings.address, channel.port, port_label(channel.name)) for channel in settings.channel),
            ]
            own_addresses = {listen.address for listen in listens}
            sockets = [undo.enter_context(bound_socket(listen.address, listen.port)) for listen in listens]
            self.endpoints = [
                Endpoint(host, port, listen.dialect, ipv6_only=listen.address == "::")
                for (host, port, *_), listen in zip((sock.getsockname() for sock in sockets), listens, strict=True)
            ]
            self.port = self.endpoints[0].port
            try:
                self.store = Store(settings.database or f"crosstalk-{self.port}.db")
                undo.callback(self.store.close)
                self.node = self._build_node(own_addresses)
            except StoreError as error:
                raise StartError(str(error)) from error
            for sock, listen in zip(sockets, listens, strict=True):
                self.loop.listen(sock, functools.partial(self.node.accept, label=listen.dialect))
            self.loop.before_flush = self._before_flush
            undo.pop_all()
        self._watch_store()
        self.loop.call_soon(self.node.start)
        self._stopping = False

    def _build_node(self, own_addresses: set[str | None]) -> Node:
        """Build the Node. If all listeners share one address, other servers are dialled from it."""
        settings, loop = self.settings, self.loop
        queue = WorkQueue(loop.in_thread, loop, settings.hash_threads, settings.max_hash_queue)
        self.passwords = BcryptPasswords(queue, loop.monotonic, settings.bcrypt_cost)
        self.printer = Printer(STDOUT, loop.call_later)
        source = next(iter(own_addresses)) if len(own_addresses) == 1 and not own_addresses & WILDCARDS else None
        node = Node(
            settings,
            store=self.store,
            passwords=self.passwords,
            timers=loop,
            now=time.time,
            time_of_day=time_of_day,
            dial=functools.partial(loop.dial, source=source, seconds=settings.federation_seconds),
            console=ConsoleTransport(self.printer, loop.call_soon, loop.call_later),
            stop=self.stop,
        )
        hashes = (account.password_hash for account in node.chat.users.accounts.values())
        self.passwords.calibrate_dummy_hash(filter(None, hashes))
        return node

    def _watch_store(self) -> None:
        self.store.watch()
        self.loop.call_later(WATCH_SECONDS, self._watch_store)

    def _before_flush(self) -> None:
        self.node.end_turn()
        self.printer.flush()

    def run(self) -> None:
        """Serve until `stop`, then write what is left for the console and close the database."""
        self.loop.run()
        self.printer.drain(self.settings.shutdown_seconds)
        self.loop.close()
        self.store.close()

    def stop(self) -> None:
        """Stop accepting, send the outstanding answers, then end (C21). Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        log.info("stopping")
        self.node.close()
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
            len(self.node.chat.users.online),
            len(self.node.chat.users.accounts),
            len(self.node.chat.channels.local),
            self.node.chat.accounts.failed_logins,
            self.passwords.refused,
            self.store.failures,
            self.loop.longest_turn * 1000,
            closed,
        )
        federation = self.node.federation
        for line in federation.statistics() if federation is not None else ():
            log.info("%s", line)


def time_of_day(at: float) -> str:
    """Format a time in seconds since the epoch as local time, hh:mm:ss (O1)."""
    return _time_of_second(int(at))


@functools.lru_cache(maxsize=16)
def _time_of_second(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def bound_socket(address: str | None, port: int) -> socket.socket:
    """Bind a socket to an address and a port, see `net.listener.bound_socket`.

    Raises:
        StartError: the operating system refuses it.
    """
    try:
        return listener.bound_socket(address, port)
    except OSError as error:
        endpoint, reason = f"{address or '*'}:{port}", os.strerror(error.errno or 0)
        choice = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "address"
        raise StartError(f"cannot listen on {endpoint}: {reason}; choose another {choice}") from error


def announce(server: Server, *, hello_server: bool) -> None:
    """Log the listeners, and that the server is ready; a server of the `hello` lab also says so on standard output."""
    log.info("max clients: %d", server.loop.client_ceiling)
    for endpoint in server.endpoints:
        only = " (IPv6 only)" if endpoint.ipv6_only else ""
        log.info("listening address=%s port=%d dialect=%s%s", endpoint.address, endpoint.port, endpoint.dialect, only)
    log.info("ready address=%s port=%d database=%s", server.endpoints[0].address, server.port, server.store.path)
    if hello_server:
        with contextlib.suppress(OSError):  # nobody may be reading standard output
            print("Server is on", flush=True)  # C25


def open_console(server: Server) -> None:
    """Read commands from standard input until its end, in a thread of its own."""
    for signum in (signal.SIGTTIN, signal.SIGTTOU):  # either would suspend a server in a terminal's background
        signal.signal(signum, signal.SIG_IGN)

    free_places = threading.Semaphore(MAX_TYPED)

    def take(line: str) -> None:
        if line.lstrip().startswith("/"):  # nothing else is a command
            free_places.acquire()
            server.loop.call_threadsafe(functools.partial(carry_out, line))

    def carry_out(line: str) -> None:
        free_places.release()
        server.node.operator.received(f"{line}\n".encode())

    threading.Thread(target=read_lines, args=(STDIN, take), daemon=True).start()


def main(settings: Settings, *, hello_server: bool) -> int:
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
    announce(server, hello_server=hello_server)
    open_console(server)
    server.passwords.warm_up()
    server.run()
    handlers.ignore()
    server.log_statistics()
    if loop.working:
        os._exit(0)  # an ordinary exit would wait for the threads that hash passwords
    return 0


def tame_garbage_collector() -> None:
    """Collect cyclic garbage rarely: messages leave none.

    A full collection with 10,000 connections stalls the loop for longer than hashing a password takes.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    gc.enable()


if __name__ == "__main__":
    sys.exit(main(OPTIONS.settings, hello_server=OPTIONS.hello_server))
