"""Who leads: silence, probes, candidates, leading, stepping down.

| role | begins | does | ends |
| --- | --- | --- | --- |
| BACKUP | at the start | applies entries, listens for heartbeats | the leader is gone, see below |
| CANDIDATE | the leader is gone | reads until nothing is left, then appends `Leads` | see below |
| PRIMARY | its `Leads` is applied; calls `lead` | serves; heartbeats, also while it waits | with the process |

A candidate is a backup again when an entry or a heartbeat of the leader comes, or its `Leads` gets error 10071. A
primary ends by `SteppedDown`, or by `ReplicatedLog.leave`.

Silence counts from the last of: a heartbeat of the leader or its answer to a probe; *any* entry that was applied; the
end of a pause of this process above 1 s; a new engine. A backup becomes a candidate after

- SILENCE_SECONDS, if for NO_RESPONDERS_SECONDS every probe came back with 503: nobody is subscribed for the leader;
- LONG_SILENCE_SECONDS in any case: the leader may be frozen;
- 0 to VACANT_SECONDS, if the last leader has said `Leaves`, or the log is empty and this file has data; FOUND_SECONDS
  if the log is empty and this file too, in which no node with data has announced itself.

A leader's lease (log.py) is shorter than SILENCE_SECONDS, and each entry that it gets decided starts its backups'
silence anew. So when a `Leads` lands, the one before it has no lease.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from replica.link import EngineLink
from replica.log import ReplicatedLog
from replica.wire import Entry

HEARTBEAT_SECONDS = 0.25
PROBE_AFTER_SECONDS = 0.6
PROBE_SECONDS = 0.1
SILENCE_SECONDS = 1.0
NO_RESPONDERS_SECONDS = 0.5
LONG_SILENCE_SECONDS = 3.0
VACANT_SECONDS = 0.2
FOUND_SECONDS = 3.0


class Role(enum.Enum):
    BACKUP = "backup"
    CANDIDATE = "candidate"
    PRIMARY = "primary"


class Roles:
    """The role of this node.

    The owner calls `tick` every TICK seconds (link.py); it drives the link and the log as well.

    Args:
        link, log: of this node; it becomes the log's observer.
        node: the name of this node.
        clock: the monotonic clock, in seconds.
        jitter: gives a random number from 0 to 1.
        lead: called once, when this node leads: load the state, open the ports.
        behind: called when only a snapshot helps, again and again until it has been taken. Afterwards the process
            begins again (`SteppedDown`).

    Attributes:
        role: see above.
        leader: the node that leads, as far as the log was applied; "" for none, or unknown since a snapshot.
        reason: why this node became a candidate, in a few words, for the log and the metrics.
        peers: the last heartbeat of each other node, by name: when it came, its position, what is safe on its disk.
    """

    def __init__(
        self,
        link: EngineLink,
        log: ReplicatedLog,
        *,
        node: str,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        lead: Callable[[], None],
        behind: Callable[[], None],
    ) -> None:
        self.role = Role.BACKUP
        self.leader = ""
        self.reason = ""
        log.observer = self

    def tick(self) -> None:
        """Drive link, log and role. To be called every TICK seconds; more often does no harm.

        Raises:
            Ending: the process ends.
        """
        raise NotImplementedError

    # ---- the log's observer ----

    def applied(self, entry: Entry) -> None:
        """An entry is in the file."""
        raise NotImplementedError

    def caught_up(self) -> None:
        """A read has found nothing more."""
        raise NotImplementedError

    def refused(self) -> None:
        """An entry got error 10071."""
        raise NotImplementedError

    def behind(self) -> None:
        """Only a snapshot helps."""
        raise NotImplementedError
