"""The role of a node: silence, probes, candidates, leading, stepping down.

| role | begins | does | ends |
| --- | --- | --- | --- |
| BACKUP | at the start | applies entries, listens for heartbeats | the leader is gone, see below |
| CANDIDATE | the leader is gone | reads until nothing is left, then appends `Leads` | see below |
| PRIMARY | its `Leads` is applied; calls `lead` | serves; heartbeats, also while it waits | with the process |

A candidate is a backup again when an entry or a heartbeat of the leader comes, or its `Leads` gets error 10071. A
primary ends by `SteppedDown`, or by `ReplicatedLog.leave`.

Silence counts from the last of these:

- a heartbeat of the leader, or its answer to a probe;
- *any* entry that was applied;
- the end of a pause of this process above 1 s;
- a new engine.

A backup becomes a candidate after

- SILENCE_SECONDS, if for NO_RESPONDERS_SECONDS every probe came back with 503: nobody is subscribed for the leader.
- LONG_SILENCE_SECONDS in any case: the leader may be frozen.
- 0 to VACANT_SECONDS, if the last leader has said `Leaves`, or the log is empty and this file has data.
- FOUND_SECONDS, if log and file are both empty, and no node with data has announced itself in that time.

A leader's lease (log.py) is shorter than SILENCE_SECONDS, and each entry that it gets decided starts its backups'
silence anew. So when a `Leads` lands, the one before it has no lease.
"""

from __future__ import annotations

import enum
import json
import logging
from collections.abc import Callable
from typing import NamedTuple

from replica.link import OWN_PAUSE, EngineLink
from replica.log import ReplicatedLog
from replica.names import NO_RESPONDERS, read_answer
from replica.nats import Message
from replica.wire import Entry, Leads, Leaves

HEARTBEAT_SECONDS = 0.25
"""How often a node announces itself."""

PROBE_AFTER_SECONDS = 0.6
PROBE_SECONDS = 0.1
SILENCE_SECONDS = 1.0
NO_RESPONDERS_SECONDS = 0.5
LONG_SILENCE_SECONDS = 3.0
VACANT_SECONDS = 0.2
FOUND_SECONDS = 3.0

FILE_SECONDS = 1.0
"""How often a file that has refused a transaction is tried again."""

MAX_NODES = 100
"""Names of nodes that are remembered."""

log = logging.getLogger("crosstalk.replica")


class Role(enum.Enum):
    """What a node does in its cluster: see the head of this file."""

    BACKUP = "backup"
    CANDIDATE = "candidate"
    PRIMARY = "primary"


class Peer(NamedTuple):
    """What a node has said of itself.

    Attributes:
        heard: when, on the monotonic clock.
        run: of its process.
        applied: the last entry in its file.
        safe: the last one that is synced to its disk.
    """

    heard: float
    run: str
    applied: int
    safe: int


class Roles:
    """The role of this node.

    The owner calls `tick` every TICK seconds (link.py); it drives the link and the log as well.

    Args:
        link, log: of this node; it becomes the log's observer.
        node: the name of this node.
        clock: the monotonic clock, in seconds.
        jitter: returns a random number from 0 to 1.
        safe: returns the last entry that is synced to the disk.
        lead: called once, within `tick`, when this node leads: load the state, open the ports.
        behind: called when only a snapshot helps, again and again until it has been taken. Afterwards the process
            begins again (`SteppedDown`).

    Attributes:
        role: see above.
        leader: the node that leads, as far as the log was applied; "" for none, or unknown since the start.
        reason: why this node became a candidate, in a few words.
        peers: the other nodes, by name.
    """

    def __init__(
        self,
        link: EngineLink,
        log: ReplicatedLog,
        *,
        node: str,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        safe: Callable[[], int],
        lead: Callable[[], None],
        behind: Callable[[], None],
    ) -> None:
        self.role = Role.BACKUP
        self.leader = ""
        self.reason = ""
        self.peers: dict[str, Peer] = {}
        self._link = link
        self._log = log
        self._node = node
        self._clock = clock
        self._jitter = jitter
        self._safe = safe
        self._lead = lead
        self._call_behind = behind
        self._is_serving = self._has_namesake = False
        self._openings = 0
        self._ticked = self._heard_at = clock()
        self._beat_at = self._probe_at = self._file_at = 0.0
        self._unanswered_since: float | None = None
        self._vacant_until: float | None = None
        self._probes = link.expect(self._probed)
        log.observer = self
        link.subscribe(log.names.presence, self._announced)

    # ---- time ----

    def tick(self) -> None:
        """Drive link, log and role. To be called every TICK seconds; more often does no harm.

        Raises:
            Ending: the process ends.
        """
        now = self._clock()
        if now - self._ticked > OWN_PAUSE:
            self._hear()
        self._ticked = now
        self._link.tick()
        self._log.tick()
        if self._link.openings != self._openings:
            self._openings = self._link.openings
            self._hear()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_SECONDS
            self._link.publish(self._log.names.presence, self._heartbeat())
        if self.role is Role.PRIMARY:
            self._serve()
        elif not self._log.copy.can_write:
            self._try_file(now)
        elif self._log.is_ready:
            self._watch(now)

    def keep_up(self) -> None:
        """Handle what the engine has sent, and `tick`: for work that keeps the loop for long, such as loading.

        Raises:
            Ending: the process ends.
        """
        self._link.wait(0.0)
        self.tick()

    def _serve(self) -> None:
        if not self._is_serving:
            self._is_serving = True
            self._lead()

    def _try_file(self, now: float) -> None:
        """No candidate until the file can be written."""
        if now >= self._file_at:
            self._file_at = now + FILE_SECONDS
            self._log.copy.try_file()

    def _watch(self, now: float) -> None:
        """Find out whether the leader is gone; then read what is left, and append `Leads`."""
        if self.role is Role.BACKUP:
            reason = self._why_gone(now) if self._log.position.run else self._why_vacant(now)
            if not reason:
                return
            log.info("candidate: %s", reason)
            self.role, self.reason = Role.CANDIDATE, reason
        if not self._log.is_busy and not self._log.is_reading:
            self._log.read()

    def _why_gone(self, now: float) -> str:
        """Tell why the leader is taken for gone; "" while it is not."""
        silence = now - self._heard_at
        if silence > PROBE_AFTER_SECONDS and now >= self._probe_at:
            self._probe_at = now + PROBE_SECONDS
            self._link.publish(self._log.names.leader(self._log.position.run), reply=self._probes)
        since = self._unanswered_since
        if since is not None and now - since >= NO_RESPONDERS_SECONDS and silence >= SILENCE_SECONDS:
            return "the leader is gone"
        if silence >= LONG_SILENCE_SECONDS:
            return f"the leader has been silent for {LONG_SILENCE_SECONDS:g} seconds"
        return ""

    def _why_vacant(self, now: float) -> str:
        """Tell why this node may lead where nobody does; "" while it must wait."""
        is_founding = self._log.is_empty and not self._log.base
        if self._vacant_until is None:
            self._vacant_until = now + (FOUND_SECONDS if is_founding else self._jitter() * VACANT_SECONDS)
        if now < self._vacant_until:
            return ""
        return "the log is empty" if self._log.is_empty else "the leader has left"

    def _hear(self) -> None:
        """Silence counts anew; a candidate is a backup again."""
        self._heard_at = self._clock()
        self._unanswered_since = None
        if self.role is Role.CANDIDATE:
            self.role = Role.BACKUP
            self._log.withdraw()
            self._vacant_until = None

    # ---- messages ----

    def _heartbeat(self) -> bytes:
        fields = {
            "node": self._node,
            "run": self._log.run,
            "applied": self._log.position.applied,
            "safe": self._safe(),
            "leads": self.role is Role.PRIMARY,
            "base": self._log.base,
        }
        return json.dumps(fields).encode()

    def _announced(self, message: Message) -> None:
        """A node has announced itself; this one hears itself too, which proves nothing."""
        fields = read_answer(message.payload)
        try:
            node, run = str(fields["node"]), str(fields["run"])
            peer = Peer(self._clock(), run, int(fields["applied"]), int(fields["safe"]))
            leads, base = fields["leads"] is True, str(fields["base"])
        except (KeyError, TypeError, ValueError):
            return
        if run == self._log.run:
            return
        if node == self._node:
            self._warn_of_namesake(run)
        if node in self.peers or len(self.peers) < MAX_NODES:
            self.peers[node] = peer
        if leads and run == self._log.position.run:
            self._hear()
        if peer.applied > self._log.position.applied:
            self._log.read()
        if base and self._log.is_empty and not self._log.base and self._vacant_until is not None:
            self._vacant_until = self._clock() + FOUND_SECONDS  # it shall found the cluster

    def _warn_of_namesake(self, run: str) -> None:
        """Warn once of another node with this one's name. One announcement may be an own old one."""
        before = self.peers.get(self._node)
        if before is not None and before.run == run and not self._has_namesake:
            self._has_namesake = True
            log.warning("another node is called %s as well: give each node a name of its own", self._node)

    def _probed(self, message: Message) -> None:
        """The leader has answered, or the engine has: nobody is subscribed."""
        if message.status != NO_RESPONDERS:
            self._announced(message)
        elif self._unanswered_since is None:
            self._unanswered_since = self._clock()

    def _asked(self, message: Message) -> None:
        """A backup asks whether this leader is there."""
        if message.reply:
            self._link.publish(message.reply, self._heartbeat())

    # ---- the log's observer ----

    def applied(self, entry: Entry) -> None:
        """An entry is in the file."""
        self._hear()
        for change in entry.changes:
            if isinstance(change, Leads):
                self._follow(entry.run, change)
            elif isinstance(change, Leaves):
                self.leader = ""
                self._vacant_until = None

    def _follow(self, run: str, leads: Leads) -> None:
        self.leader = leads.node
        log.info("%s leads, run %s", leads.node, run)
        if run == self._log.run:
            self.role = Role.PRIMARY
            self._log.leading = True
            self._link.subscribe(self._log.names.leader(run), self._asked)

    def caught_up(self) -> None:
        """A read has found nothing more: the time for a candidate's `Leads`."""
        if self.role is Role.CANDIDATE and not self._log.is_busy:
            self._log.begin([Leads(self._node, "" if self._log.position.applied else self._log.base)])

    def refused(self) -> None:
        """An entry got error 10071. A candidate reads what has come, and its silence counts anew."""
        if self.role is not Role.PRIMARY:
            self._hear()

    def behind(self) -> None:
        """Only a snapshot helps."""
        self._call_behind()
