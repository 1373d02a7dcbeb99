"""The replicated log: one order of entries, which a majority of the engines keeps.

The log is a JetStream stream with one subject. Its sequence numbers are positions; `Store.position` is the one up to
which this node's file has it. Every append names the position that it expects, so an entry lands at `applied + 1` or
nowhere: the same bytes may be sent as often as one likes, and a leader that was replaced cannot write (fencing).

| mode | an entry at applied + 1 | this node's own |
| --- | --- | --- |
| following | written to the file; all that arrived together in one transaction | `Leads`: `Observer.applied` tells |
| leading | another's: SteppedDown | decided: written to the file, `write` returns |

An entry is out from its first send until it is decided, and only one is. What the answers to it mean:

| answer | meaning |
| --- | --- |
| PubAck for its own reply subject, with applied + 1 | decided |
| the feed or a read shows it at applied + 1 | decided |
| wrong last sequence (10071) | nothing: the sequence may be that of a proposal that vanishes. Read, then send again |
| 503, another error, none within ANSWER_SECONDS, a new connection | nothing: send again |
| none of these for UNDECIDED_SECONDS | SteppedDown: the clients cannot know, so they are told nothing |

What a leader's clients are sent leaves only while it holds its lease: LEASE_SECONDS from the first send of the last
entry that was decided. Whoever replaces it has been silent towards it for longer.

At each new connection the log is compared with the file before anything is written or applied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from domain.changes import Change, Mailed, Said
from replica.link import EngineLink
from replica.wire import Entry
from store import Position

LEASE_SECONDS = 0.8
"""How long output may leave after the first send of the last entry that was decided."""

ANSWER_SECONDS = 0.5
"""After this an engine's answer is not waited for: the request is sent again."""

AGAIN_SECONDS = 0.05
"""Pause before an entry is sent again after an error."""

UNDECIDED_SECONDS = 12.0
"""How long an entry may be out; an engine's elections take at most 9 seconds."""

READ_SECONDS = 1.0
"""How often the log is read past `applied` even if nothing hints that there is more."""

LEAVE_SECONDS = 2.0
"""How long the end of a leader may take."""

MISSING_SECONDS = 5.0
"""How long a log that this file was written from may be unknown to the engines, which may just have started."""

WRONG_LAST_SEQUENCE = 10071
NO_SUCH_STREAM = 10059

BATCH = {"batch": 256, "max_bytes": 1_000_000}
"""How much a read asks for at once."""

MAX_LOG_BYTES = 8 * 1024**3
"""Size at which the engines refuse to store more; the purge keeps the log far below."""

log = logging.getLogger("crosstalk.replica")


class Ending(BaseException):
    """This process ends; nothing in its memory may be told to anybody. Not an Exception: nothing may handle it."""


class SteppedDown(Ending):
    """The program begins again, as a backup, with a new run."""


class Unfit(Ending):
    """The node cannot belong to this cluster; the message says why and what to do."""


class Names(NamedTuple):
    """The names in the engines of a cluster, so that several can share them."""

    cluster: str

    @property
    def stream(self) -> str:
        return f"CT_{self.cluster}"

    @property
    def journal(self) -> str:
        """Where entries are appended."""
        return f"ct.{self.cluster}.j"

    @property
    def feed(self) -> str:
        """Where the engines send each entry once, after it was stored."""
        return f"ct.{self.cluster}.r"

    @property
    def presence(self) -> str:
        """Where nodes announce themselves."""
        return f"ct.{self.cluster}.p"

    @property
    def snapshot(self) -> str:
        """Where a copy of the file is asked for."""
        return f"ct.{self.cluster}.snap"

    def leader(self, run: str) -> str:
        """Where this run's process answers while it leads."""
        return f"ct.{self.cluster}.n.{run}"


class ReplicaStore(Protocol):
    """What the log needs of the store."""

    position: Position

    def replicate(self, changes: Sequence[Change], position: Position) -> bool: ...
    def history(self, channel: str, count: int, but_last: int = 0) -> tuple[int, Iterator[list[Said]]]: ...
    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]: ...
    def load(self) -> Iterator[Change]: ...


class Observer(Protocol):
    """Who is told of the log: `roles.Roles`."""

    def tick(self) -> None:
        """TICK seconds may have passed while an entry was out."""

    def applied(self, entry: Entry) -> None:
        """An entry of another, or this node's `Leads`, is in the file."""

    def caught_up(self) -> None:
        """A read has found nothing after `applied`."""

    def refused(self) -> None:
        """An entry that is out got error 10071."""

    def behind(self) -> None:
        """The log begins after applied + 1, or with other data than this file: only a snapshot helps."""


class Out:
    """An entry that is out."""

    def __init__(self, number: int, payload: bytes, changes: Sequence[Any], now: float) -> None:
        self.number = number
        self.payload = payload
        self.changes = changes
        self.first_sent = now
        self.send_at = now


class ReplicatedLog:
    """The journal's backend in a cluster: `write` returns when the changes are decided and in the file.

    Args:
        link: the connection to an engine; its `opened` and `settled` belong to this log.
        store: the file.
        names: the cluster's names.
        run: the name of this run of the process, unlike any other's.
        clock: the monotonic clock, in seconds.
        copies: how many engines keep the log: 1, 3 or 5.
        base: a hash of the data that the file had before it belonged to a cluster; "" for none.

    Attributes:
        position: up to which entry the file has the log.
        observer: must be set before anything arrives.
        leading: the mode. `Roles` sets it, once: what ends leading ends the process.
        is_checked: the log of the engine that is connected is the one of the file.
        is_empty: the log has no entry, as far as is known.
        can_write: the file took the last transaction.
        lease_ends: on the monotonic clock.
        last_sequence: the highest sequence that anybody has named; less `position.applied` it is the lag.
    """

    observer: Observer

    def __init__(
        self,
        link: EngineLink,
        store: ReplicaStore,
        names: Names,
        run: str,
        *,
        clock: Callable[[], float],
        copies: int,
        base: str = "",
    ) -> None:
        self.position = store.position
        self.run = run
        self.names = names
        self.base = base
        self.leading = False
        self.is_checked = False
        self.is_empty = False
        self.can_write = True
        self.lease_ends = 0.0
        self.last_sequence = self.position.applied
        self.history, self.mail, self.load = store.history, store.mail, store.load

    # ---- the journal's backend ----

    def write(self, changes: Sequence[Change]) -> bool:
        """Append the changes of a turn, wait until they are decided, and write them to the file.

        Returns:
            True.

        Raises:
            SteppedDown: they are undecided for too long, another leads, or the file refuses them.
        """
        raise NotImplementedError

    def hold_lease(self) -> None:
        """Return when output may leave: at once while the lease lasts, else after an empty entry was decided.

        Raises:
            SteppedDown: see `write`.
        """
        raise NotImplementedError

    def leave(self) -> bool:
        """Append `Leaves`, for LEAVE_SECONDS at most: a backup leads at once. Whether it was decided."""
        raise NotImplementedError

    # ---- for Roles ----

    def begin(self, changes: Sequence[Any]) -> None:
        """Append changes without waiting; `is_busy` until they are decided. Only while it is not busy."""
        raise NotImplementedError

    @property
    def is_busy(self) -> bool:
        """Whether an entry is out."""
        raise NotImplementedError

    def read(self) -> None:
        """Read what the log has after `applied`, unless that is being done."""
        raise NotImplementedError

    def tick(self) -> None:
        """Send again what got no answer. To be called every TICK seconds."""
        raise NotImplementedError
