"""A server as a node of a cluster: its copy of the log, its role, and how its process begins again.

While the node is a backup it writes what the primary has decided to its own file, and its ports are closed. When it
leads, it loads that file and serves, with the replicated log as the backend of its journal. A primary that was replaced
begins again as a backup: the same process with a new run, so that nothing of its memory survives.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from app.bootstrap import hand_over_config
from app.node import StartError
from app.signals import hold_back, stops_within
from database_files import why_the_disk_refuses
from domain.changes import Change
from net.connection import Connection
from net.loop import Loop
from net.pool import Pool
from replica.engines import USER
from replica.link import TICK, EngineLink
from replica.log import ReplicatedLog
from replica.names import Ending, Names, SteppedDown, Unfit
from replica.network import Address, LoopNetwork, new_run, time_since_boot
from replica.purge import Purge
from replica.roles import Role, Roles
from replica.snapshot import SnapshotGiver, SnapshotTaker
from settings import Settings
from store import Store, StoreError

if TYPE_CHECKING:
    from app.tls import Tls

ROWS_PER_TICK = 500
"""Rows of the file that are loaded between two heartbeats."""

FILE_SECONDS = 1.0
"""How often a disk that takes nothing is tried again."""

LIVE_SECONDS = 2.0
"""A node that has announced itself within this time is live."""

log = logging.getLogger("crosstalk.replica")


class Status(NamedTuple):
    """The state of a node, and of its cluster as far as the node knows it.

    Attributes:
        node: its name.
        role: backup, candidate or primary.
        run: the run of its process.
        leader: the node that leads; "" if that is not known.
        applied: the last entry in its file.
        lag: entries that the log is known to have beyond that.
        lease: seconds that its output may still leave; 0 at a backup.
        engine: the engine that it is connected with; "" for none.
        engine_changes: how often it has lost one.
        failovers: how often another leader has followed since the process began.
        reason: why this node became a candidate; "" if it has not.
    """

    node: str
    role: str
    run: str
    leader: str
    applied: int
    lag: int
    lease: float
    engine: str
    engine_changes: int
    failovers: int
    reason: str

    def words(self) -> Iterator[tuple[str, str]]:
        """Return names and values for a line of the log."""
        for name, value in self._asdict().items():
            text = f"{value:.2f}" if isinstance(value, float) else str(value)
            yield name.replace("_", "-"), text.replace(" ", "-") or "none"


class ClusterBackend:
    """The backend of a primary's journal: the replicated log, and this node's own file to read from.

    Args:
        log: the replicated log.
        store: the file.
        tick: called while much is read, so that the others hear of this node.
    """

    def __init__(self, log: ReplicatedLog, store: Store, tick: Callable[[], None]) -> None:
        self.write = log.write
        self.history, self.unread, self.mail = store.history, store.unread, store.mail
        self.number_at, self.time_of, self.markers = store.number_at, store.time_of, store.markers
        self.oldest = store.oldest
        self._store = store
        self._tick = tick

    @property
    def is_read(self) -> bool:
        """Whether some history is being read, page by page."""
        return self._store.is_read

    @property
    def last_number(self) -> int:
        """No message or read marker has a greater number; 0 without messages."""
        return self._store.last_number

    @property
    def last_time(self) -> float:
        """When the newest message was said, in seconds since the epoch; 0 without messages."""
        return self._store.last_time

    def load(self) -> Iterator[Change]:
        """Return the state as the changes that lead to it, see `Store.load`."""
        for number, change in enumerate(self._store.load()):
            if number % ROWS_PER_TICK == 0:
                self._tick()
            yield change

    def remove_orphans(self) -> None:
        """Keep orphaned rows: the file must stay a copy of the others. A founder of a cluster has removed its own."""


def _link(settings: Settings, loop: Loop, run: str, tls: Tls | None) -> EngineLink:
    """Return the link to the engines of the settings, which is not open yet."""
    password = settings.engine_password_file or ""
    return EngineLink(
        [Address(engine.host, engine.port) for engine in settings.engine],
        LoopNetwork(loop, None if tls is None else lambda: tls.trusted),
        run=run,
        user=USER if password else "",
        password=password,
        tls=any(engine.tls for engine in settings.engine),
    )


class Replica:
    """This server's part in a cluster.

    Args:
        settings: with a node.
        loop: drives it.
        store: the file.
        serve: called with the journal's backend when this node leads: load the state, open the ports.
        config: the text of the config, for the process that begins again.
        tls: the trusted certificates; None without TLS.

    Raises:
        StoreError: the file cannot be read or written.
    """

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        store: Store,
        serve: Callable[[ClusterBackend], None],
        config: bytes,
        tls: Tls | None = None,
    ) -> None:
        assert settings.node is not None
        self.node = settings.node
        self.run_name = new_run()
        self._cluster = settings.cluster
        self._loop = loop
        self._store = store
        self._serve = serve
        self.config = config
        self._leaving = False
        self._failovers = 0
        self._followed = store.position.run
        names = Names(settings.cluster)
        self._link = _link(settings, loop, self.run_name, tls)
        base = ""
        if not store.position.applied:
            store.remove_orphans()  # from here on the file is changed by the log alone
            base = store.digest()
        self.log = ReplicatedLog(
            self._link, store, names, self.run_name, clock=time_since_boot, copies=len(settings.engine), base=base
        )
        self.roles = Roles(
            self._link,
            self.log,
            node=self.node,
            clock=loop.monotonic,
            jitter=lambda: os.urandom(1)[0] / 255,
            safe=lambda: store.safe,
            lead=self._lead,
            behind=self._behind,
        )
        self._pool = Pool("crosstalk-snapshot", 1, 1, loop.call_threadsafe)
        self._giver = SnapshotGiver(
            self._link, names, self.run_name, store, self._pool.submit, loop.monotonic, lambda: self.is_primary
        )
        self._taker: SnapshotTaker | None = None
        self._purge = Purge(self._link, names, loop.monotonic, log_bytes=settings.log_bytes)
        self._names = names

    def start(self) -> None:
        """Begin to follow the log. The server's own log says why the ports are closed."""
        is_backup = "node=%s cluster=%s run=%s is a backup: its ports are closed until it leads"
        log.info(is_backup, self.node, self._cluster, self.run_name)
        self._tick()

    @property
    def working(self) -> bool:
        """True while a snapshot is made in a thread."""
        return self._pool.working

    @property
    def is_primary(self) -> bool:
        """Whether this node leads."""
        return self.roles.role is Role.PRIMARY

    @property
    def status(self) -> Status:
        """What this node knows now."""
        applied = self.log.position.applied
        return Status(
            node=self.node,
            role=self.roles.role.value,
            run=self.run_name,
            leader=self.roles.leader,
            applied=applied,
            lag=max(0, self.log.last_sequence - applied),
            lease=self.log.lease_left,
            engine=str(self._link.engine) if self._link.is_open else "",
            engine_changes=max(0, self._link.openings - 1),
            failovers=self._failovers,
            reason=self.roles.reason,
        )

    def _tick(self) -> None:
        self._loop.call_later(TICK, self._tick)
        self.roles.tick()
        self._count_failovers()
        self._giver.tick()
        if self._taker is not None:
            self._taker.tick()
        if self.is_primary and not self._leaving:
            now = self._loop.monotonic()
            live = [peer.safe for peer in self.roles.peers.values() if now - peer.heard < LIVE_SECONDS]
            self._purge.tick([self._store.safe, *live])

    def _count_failovers(self) -> None:
        run = self.log.position.run
        if run and run != self._followed:
            self._failovers += bool(self._followed)
            self._followed = run

    def hold_lease(self) -> None:
        """Return when output may leave, see `ReplicatedLog.hold_lease`."""
        if not self.log.has_lease:
            self.log.hold_lease()

    # ---- leading ----

    def _lead(self) -> None:
        log.info("leading: node=%s run=%s applied=%d", self.node, self.run_name, self.log.position.applied)
        try:
            self._serve(ClusterBackend(self.log, self._store, self.roles.keep_up))
        except (StartError, StoreError) as error:
            self.leave()
            raise Unfit(f"this node cannot serve: {error}") from error

    def _behind(self) -> None:
        """Take a snapshot: the log no longer has what this file lacks."""
        if self._taker is None:
            log.warning("the log begins after entry %d: taking a snapshot", self.log.position.applied)
            self._taker = SnapshotTaker(self._link, self._names, self._store, self._loop.monotonic)

    def stop(self) -> None:
        """The server stops: a primary answers what it can, and then says that it leaves."""
        self._leaving = True
        self._giver.close()
        if self._taker is not None:
            self._taker.close()
            self._taker = None

    def leave(self) -> None:
        """Tell the others that they need not wait; at a backup nothing."""
        if self.is_primary:
            log.info("leaving: %s", "a backup leads at once" if self.log.leave(self.node) else "nobody was told")

    # ---- the process ----

    def run(self, serve: Callable[[], None], is_stopping: Callable[[], bool], alive: Callable[[], None]) -> int:
        """Run the server to its end; return the exit status. A node that has stepped down begins again instead.

        Args:
            serve: runs the server.
            is_stopping: tells whether a signal has come that stops the server, even if it could not do so any more.
            alive: called about once a second while the loop does not turn.
        """
        try:
            serve()
        except SteppedDown as ending:
            log.warning("stepping down: %s", ending)
            hold_back()  # a signal that comes from here on is handled by the program that begins again
            self._link.close()
            self._store.close()
            if not is_stopping() and self._file_can_be_written(alive) and not is_stopping():
                hand_over_config(self.config)
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        except Ending as ending:
            print(f"server.py: {ending}", file=sys.stderr)
            return 1
        return 0

    def _file_can_be_written(self, alive: Callable[[], None]) -> bool:
        """Wait until the disk takes something: the program that begins again must open the file. False: stop."""
        directory = os.path.dirname(os.path.abspath(self._store.path))
        if reason := why_the_disk_refuses(directory):
            log.warning("waiting until the database can be written: %s", reason)
            self._loop.close()
        while why_the_disk_refuses(directory):
            alive()
            if stops_within(FILE_SECONDS):
                return False
        return True


def leased(replica: Callable[[], Replica | None]) -> type[Connection]:
    """Return the class of connections whose output leaves only while the lease lasts.

    Args:
        replica: returns the server's part in the cluster; while that is None, nothing leaves.
    """

    class LeasedConnection(Connection):
        __slots__ = ()

        def flush(self) -> None:
            """Send pending output, see `Connection.flush`."""
            part = replica()
            if part is not None:
                part.hold_lease()
                super().flush()

    return LeasedConnection
