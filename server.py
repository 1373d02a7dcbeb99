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
from app.options import Options

if __name__ == "__main__":
    if sys.argv[1:2] == ["--control"]:  # which needs no installed module
        from app import operate

        sys.exit(operate.main(sys.argv[2:]))
    ARGUMENTS = options.parse_command_line(sys.argv[1:])
    bootstrap.hold_back_signals(ARGUMENTS.hangup)
    # This may start the program again. The config may be a pipe, which can be read only once, so it comes after that.
    bootstrap.use_environment("bcrypt")
    OPTIONS = options.read_or_exit(ARGUMENTS)  # before the other imports, so that a wrong config is refused at once
    bootstrap.hold_back_signals(OPTIONS.settings.hangup)

import contextlib
import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.control import ControlSocket
from app.health import Health
from app.limits import ClientLimits, exemption_of
from app.logs import start_logging
from app.node import Node, StartError, StateStore, port_label
from app.passwords import BcryptPasswords
from app.ports import Endpoint, bound_socket, open_port
from app.printer import ConsoleTransport, Printer, read_lines
from app.reload import Reload
from app.signals import HANDLED, Signals
from app.statistics import report
from app.supervisor import Supervisor
from app.workqueue import WorkQueue
from dialects import WEB
from dialects.operator.base import ReloadOutcome, ServerControls
from dialects.operator.control import FULL, Control, ControlSession
from dialects.operator.table import is_command
from net.connection import Connection, Receiver
from net.loop import Loop
from net.tcp import raise_descriptor_limit, reserve_descriptor_table
from protocol import Session
from settings import Listen, Live, Settings
from store import Store, StoreError

if TYPE_CHECKING:
    from app.replicated import Replica
    from app.tls import Tls
    from web.gateway import Gateway

STDIN, STDOUT = 0, 1

MAX_TYPED = 64
"""Maximum typed commands that wait for the loop; then reading from standard input pauses."""

WATCH_SECONDS = 1.0
"""Interval at which the database's files are checked."""

WILDCARDS = {"0.0.0.0", "::"}
"""All addresses of one family: valid to listen on, but not as a source address."""

log = logging.getLogger("crosstalk.server")


class Server:
    """A Node on real sockets: a loop, a store, listeners. Two of them can live in one process.

    A node of a cluster has its ports reserved, but makes its Node and listens only when it leads.

    Args:
        settings: with at least one `listen` or `channel`. The database is named after the first one's port.
        config: the bytes from which they come, for a node that begins again.

    Attributes:
        opened: called when the server listens.
        reload: loads the config again.
        gateway: of the web ports; None without one.
        health: whether this server can do its work.
        metrics: where its values are served; None if nowhere.
        replica: this server's part in a cluster; None for a single process.
        started: when, in seconds since the epoch.
        supervisor: the service manager that has started this process.

    Raises:
        StartError: a port or the database cannot be opened, or a channel of the config cannot be made.
    """

    node: Node

    def __init__(self, settings: Settings, config: bytes = b"") -> None:
        self.settings = Live(settings)
        self.reload: Callable[[], ReloadOutcome] = ReloadOutcome
        self.opened: Callable[[], None] = lambda: None
        self.is_open = False
        self.replica: Replica | None = None
        self.gateway: Gateway | None = None
        self.health = Health(self)
        self.metrics: Endpoint | None = None
        self.started = time.time()
        self._is_single = settings.node is None
        self._stopping = False
        self.tls = self._load_tls()
        self.loop = self._make_loop(settings)
        self.supervisor = Supervisor(os.environ, self.loop)
        self.printer = Printer(STDOUT, self.loop.call_later)
        with contextlib.ExitStack() as undo:
            undo.callback(self.loop.close)
            self._bind_ports(settings, undo)
            if settings.metrics is not None:
                self.metrics = self._open_metrics(settings.metrics)
            try:
                self._open_store(settings, config, undo)
            except StoreError as error:
                raise StartError(str(error)) from error
            undo.pop_all()
        self._watch_store()

    def _make_loop(self, settings: Settings) -> Loop:
        return Loop(
            max_clients=settings.max_clients,
            max_out_buffer=settings.max_out_buffer,
            stall_seconds=settings.stall_seconds,
            keepalive_seconds=settings.keepalive_seconds,
            login_seconds=settings.login_seconds,
            address_share=settings.max_address_share,
            address_connections=settings.max_address_connections,
            connection_rate=settings.connection_rate,
            is_exempt=exemption_of(self.settings.as_settings),
            max_buffers=settings.max_buffers,
            pool_threads=settings.hash_threads,
            pool_queue=settings.hash_threads,  # further jobs wait in the work queue
            connection=Connection if self._is_single else self._leased_connection(),
        )

    def _bind_ports(self, settings: Settings, undo: contextlib.ExitStack) -> None:
        """Bind the sockets of all ports. A single process listens already; a node only when it leads."""
        listens = [
            *(listen._replace(address=listen.address or settings.address) for listen in settings.listen),
            *(
                Listen(settings.address, channel.port, port_label(channel.name), channel.tls)
                for channel in settings.channel
            ),
        ]
        sockets = [
            undo.enter_context(bound_socket(listen.address, listen.port, listening=self._is_single))
            for listen in listens
        ]
        self.endpoints = [
            Endpoint(host, port, listen.dialect, listen.address == "::", listen.tls)
            for (host, port, *_), listen in zip((sock.getsockname() for sock in sockets), listens, strict=True)
        ]
        self.port = self.endpoints[0].port
        self._sockets = list(zip(sockets, listens, strict=True))
        # If all listeners share one address, other servers are dialled from it.
        own_addresses = {listen.address for listen in listens}
        is_one = len(own_addresses) == 1 and not own_addresses & WILDCARDS
        self._source = next(iter(own_addresses)) if is_one else None

    def _open_store(self, settings: Settings, config: bytes, undo: contextlib.ExitStack) -> None:
        """Open the database and the control socket; then serve, or follow the cluster's log.

        Raises:
            StartError: a socket cannot be opened.
            StoreError: the database cannot be used.
        """
        self.store = Store(settings.database or f"crosstalk-{self.port}.db", is_copy=not self._is_single)
        undo.callback(self.store.close)
        take = functools.partial(self.loop.listen_admin, accepted=self._accept_control, refusal=FULL)
        self.control = ControlSocket(settings, self.store.path, take)
        undo.callback(self.control.remove)
        if self._is_single:
            self._open(self.store)
        else:
            self.replica = self._join_cluster(config)

    def _accept_control(self, connection: Connection) -> Session:
        """Create the session of a connection to the control socket."""
        dialect = self.node.control if self.is_open else Control(self._controls, None)
        return ControlSession(connection, dialect)

    @property
    def _controls(self) -> ServerControls:
        return ServerControls(self.stop, lambda: self.reload(), self.statistics, self.sessions)

    def sessions(self) -> list[Session]:
        """Return the sessions of all connections, also those behind a WebSocket."""
        owners = (each.owner for each in self.loop.connections)
        found = (getattr(owner, "session", owner) for owner in owners)
        return [session for session in found if isinstance(session, Session)]

    def _open_metrics(self, listen: Listen) -> Endpoint:
        """Serve values and health; also at a backup, whose other ports are closed."""
        from app.monitor import serve_metrics  # most servers have no such port

        sock = bound_socket(listen.address, listen.port, listening=True)
        serve_metrics(self, self.health, sock)
        host, port, *_ = sock.getsockname()
        log.info("metrics address=%s port=%d", host, port)
        return Endpoint(host, port, listen.dialect, ipv6_only=False)

    def _load_tls(self) -> Tls | None:
        """Load what TLS needs, where anything uses it.

        Raises:
            StartError: a certificate cannot be used.
        """
        if not self.settings.uses_tls:
            return None
        from app.tls import load_tls  # most servers have none

        return load_tls(self.settings.as_settings)

    def _dial(
        self,
        host: str,
        port: int,
        *,
        certified: str | None,
        connected: Callable[[Connection], Receiver],
        failed: Callable[[str], None],
    ) -> None:
        """Dial another server, see `peering.dialer.Dial`."""
        seconds = self.settings.federation_seconds
        dial: Callable[..., object] = self.loop.dial
        if certified is not None:
            if self.tls is None:  # the line has come with a reload
                self.loop.call_soon(functools.partial(failed, "the server has started without TLS; restart it"))
                return
            dial = functools.partial(self.tls.dial, self.loop, name=certified)
        dial(host, port, source=self._source, seconds=seconds, connected=connected, failed=failed)

    def _leased_connection(self) -> type[Connection]:
        from app.replicated import leased  # only a node needs it, and what it imports

        return leased(lambda: self.replica)

    def _join_cluster(self, config: bytes) -> Replica:
        from app.replicated import Replica

        return Replica(self.settings.as_settings, self.loop, self.store, self._open, config, self.tls)

    def _open(self, store: StateStore) -> None:
        """Load the state, and listen.

        Raises:
            StartError: a port cannot be opened, or a channel of the config cannot be made.
            StoreError: the state cannot be read.
        """
        self.node = self._build_node(store)
        for sock, listen in self._sockets:
            if self.replica is not None:
                open_port(sock)
            self.loop.listen(sock, self._acceptor(listen))
        self.loop.before_flush = self._before_flush
        self.loop.call_soon(self.node.start)
        self.is_open = True
        self.opened()

    def _acceptor(self, listen: Listen) -> Callable[[Connection], Receiver]:
        """Return what makes the owners of a port's connections."""
        accepted = self._session_acceptor(listen)
        if not listen.tls or self.tls is None:
            return accepted
        return self.tls.secured(self.loop, accepted, listen.dialect)

    def _session_acceptor(self, listen: Listen) -> Callable[[Connection], Receiver]:
        if listen.dialect != WEB:
            return functools.partial(self.node.accept, label=listen.dialect)
        if self.gateway is None:
            from app.web_ports import make_gateway  # most servers have no such port

            self.gateway = make_gateway(self.settings.as_settings, self.node, self.loop, self.health.fault)
        return functools.partial(self.gateway.accept, is_tls=listen.tls)

    def _build_node(self, store: StateStore) -> Node:
        settings, loop = self.settings.as_settings, self.loop
        limits = self.limits = ClientLimits(settings, loop.monotonic)
        queue = WorkQueue(loop.in_thread, loop, settings.hash_threads, settings.max_hash_queue, limits.is_exempt)
        self.passwords = BcryptPasswords(queue, limits.failures, settings.bcrypt_cost)
        node = Node(
            settings,
            limits=limits,
            store=store,
            passwords=self.passwords,
            timers=loop,
            now=time.time,
            time_of_day=time_of_day,
            dial=self._dial,
            make_audience=loop.audience,
            console=ConsoleTransport(self.printer, loop.call_soon, loop.call_later),
            controls=self._controls,
            complain=complain if os.isatty(STDIN) else None,
        )
        loop.table.is_banned = lambda address: node.chat.bans.of_address(address) is not None
        hashes = (account.password_hash for account in node.chat.users.accounts.values())
        self.passwords.calibrate_dummy_hash(filter(None, hashes))
        return node

    def _watch_store(self) -> None:
        self.store.watch()
        self.loop.call_later(WATCH_SECONDS, self._watch_store)

    def _before_flush(self) -> None:
        self.node.end_turn()
        if self.replica is not None and (self.loop.has_output or self.printer.has_output):
            self.replica.hold_lease()
        self.printer.flush()

    def run(self) -> None:
        """Serve until `stop`, then write what is left for the console and close the database."""
        self.loop.run()
        if self.replica is not None:
            self.replica.leave()
        self.printer.drain(self.settings.shutdown_seconds)
        self.loop.close()
        self.store.close()

    def stop(self) -> None:
        """Stop accepting, send the outstanding answers, then end (C21). Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        log.info("stopping")
        self.supervisor.stopping()
        self.control.remove()
        if self.replica is not None:
            self.replica.stop()
        if self.is_open:
            self.node.close()
        self.loop.drain(self.settings.shutdown_seconds)
        for connection in list(self.loop.connections):
            owner: Any = connection.owner  # a session, or what stands in front of one
            owner.drain()

    def statistics(self) -> list[tuple[str, str]]:
        """Return all values, by name; those of what a server serves only while it does."""
        return [value for line in report(self) for value in line.values]

    def log_statistics(self) -> None:
        """Write the counters to the log."""
        for line in report(self):
            names, values = zip(*line.values, strict=True) if line.values else ((), ())
            log.info(" ".join((line.words, *(f"{name}=%s" for name in names))), *values)


def complain(text: str) -> None:
    """Tell the operator, who types at a terminal, of a line that is no command (P3)."""
    log.warning("%s", text)


def time_of_day(at: float) -> str:
    """Format a time in seconds since the epoch as local time, hh:mm:ss (O1)."""
    return _time_of_second(int(at))


@functools.lru_cache(maxsize=16)
def _time_of_second(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def announce(server: Server, *, hello_server: bool) -> None:
    """Log the listeners, and that the server is ready. The `hello` course's server also says so on standard output."""
    for endpoint in server.endpoints:
        address, port, dialect, ipv6_only, tls = endpoint
        marks = (" tls" if tls else "") + (" (IPv6 only)" if ipv6_only else "")
        kind, _, channel = dialect.partition(" channel=")
        if channel:
            log.info("listening address=%s port=%d dialect=%s channel=%s%s", address, port, kind, channel, marks)
        else:
            log.info("listening address=%s port=%d dialect=%s%s", address, port, dialect, marks)
    if server.tls is not None:
        server.tls.watch(server.loop)
    first, store = server.endpoints[0], server.store
    mark = " (new file)" if store.is_new else ""
    log.info("ready address=%s port=%d database=%s%s", first.address, first.port, store.location, mark)
    if hello_server:
        with contextlib.suppress(OSError):  # nobody may be reading standard output
            print("Server is on", flush=True)  # C25
    server.supervisor.status(f"serves at port {server.port}")
    server.passwords.warm_up()


def open_console(server: Server) -> None:
    """Read commands from standard input until its end, in a thread of its own."""
    for signum in (signal.SIGTTIN, signal.SIGTTOU):  # either would suspend a server in a terminal's background
        signal.signal(signum, signal.SIG_IGN)

    free_places = threading.Semaphore(MAX_TYPED)

    shows_typos = os.isatty(STDIN)

    def take(line: str) -> None:
        if shows_typos or is_command(line):
            free_places.acquire()
            server.loop.call_threadsafe(functools.partial(carry_out, line))

    def carry_out(line: str) -> None:
        free_places.release()
        if not server.is_open:
            server.printer.write(b"This node is a backup: the primary has the channels.\n")
            server.printer.flush()
            return
        server.node.operator.received(f"{line}\n".encode())

    def read() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # they are for the main thread, which may hold them back
        read_lines(STDIN, take)

    threading.Thread(target=read, daemon=True).start()


def main(options: Options) -> int:
    """Run the server until a signal stops it; return the exit status."""
    settings = options.settings
    bootstrap.occupy_standard_descriptors()
    start_logging(settings.log_level, settings.log_format)
    try:
        raise_descriptor_limit()
        reserve_descriptor_table()
        server = Server(settings, options.config)
    except StartError as error:
        print(f"server.py: {error}", file=sys.stderr)
        return 1
    loop = server.loop
    server.reload = reload = Reload(server, options.arguments)
    handlers = Signals(loop.call_threadsafe, server.stop, server.log_statistics, reload.on_signal, settings.hangup)
    loop.wake_for_signals()
    handlers.install()
    tame_garbage_collector()
    log.info("max clients: %d", loop.client_ceiling)
    server.opened = functools.partial(announce, server, hello_server=options.hello_server)
    if server.is_open:
        server.opened()
    open_console(server)
    server.supervisor.ready()
    if server.replica is None:
        server.run()
        status = 0
    else:
        server.supervisor.status("is a backup")
        server.replica.start()
        status = server.replica.run(server.run, lambda: handlers.stopping, server.supervisor.alive)
    handlers.ignore()
    server.log_statistics()
    if loop.working or (server.replica is not None and server.replica.working):
        os._exit(status)  # an ordinary exit would wait for threads
    return status


def tame_garbage_collector() -> None:
    """Collect cyclic garbage rarely: messages leave none.

    A full collection with 10,000 connections stalls the loop for longer than hashing a password takes.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    gc.enable()


if __name__ == "__main__":
    sys.exit(main(OPTIONS))
