"""The replicated log: one order of entries, which a majority of the engines keeps.

The log is a JetStream stream with one subject. Its sequence numbers are positions; `Store.position` is the one up to
which this node's file has it. Every append names the position that it expects, so an entry is stored at `applied + 1`
or not at all. So retransmits are harmless, and a leader that was replaced cannot write (fencing).

| mode | an entry at applied + 1 | this node's own |
| --- | --- | --- |
| following | written to the file; all that arrived together in one transaction | `Leads`: `Observer.applied` tells |
| leading | another's: SteppedDown | decided: committed in the file, `write` returns |

An entry is in flight (`Out`) from its first send until it is decided; only one is at a time. The answers to it mean:

| answer | meaning |
| --- | --- |
| PubAck for its own reply subject, with applied + 1 | decided |
| the feed or a read shows it at applied + 1 | decided |
| wrong last sequence (10071) | nothing: the sequence may be that of a proposal that vanishes. Read, then send again |
| 503, another error, none within ANSWER_SECONDS, a new connection | nothing: send again |
| none of these for UNDECIDED_SECONDS | SteppedDown: the clients cannot know, so they are told nothing |

A leader sends output to its clients only while it holds its lease: LEASE_SECONDS from the first send of the last
decided entry. A backup waits longer than that before it becomes a candidate.

At each new connection the log is compared with the file before anything is written or applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from database_copies import Position
from domain.changes import Change
from replica import wire
from replica.appends import Appends, Out
from replica.copy import LogCopy, ReplicaStore
from replica.history import History
from replica.link import TICK, EngineLink
from replica.names import (
    Names,
    SteppedDown,
    Unfit,
    sequence_of,
)
from replica.nats import Message
from replica.reading import Reader
from replica.wire import Entry, Leads, Leaves

LEASE_SECONDS = 0.8
"""How long output may leave after the first send of the last entry that was decided."""

UNDECIDED_SECONDS = 12.0
"""How long an entry may be out; an engine's elections take at most 9 seconds."""

READ_SECONDS = 1.0
"""How often the log is read past `applied` even if nothing hints that there is more."""

LEAVE_SECONDS = 2.0
"""How long the end of a leader may take."""


class Observer(Protocol):
    """Called for what happens in the log; `roles.Roles` implements it."""

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
        observer: must be set before anything arrives.
        leading: the mode. `Roles` sets it, once: what ends leading ends the process.
        is_empty: the log has no entry, as far as is known.
        copy: the file.
        lease_ends: on the monotonic clock.
        last_sequence: the highest sequence that any message has named; minus `position.applied` it is the lag.
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
        self.run = run
        self.names = names
        self.base = base
        self.leading = False
        self.lease_ends = 0.0
        self.copy = LogCopy(store, lambda: self._history.created)
        self.last_sequence = self.position.applied
        self._is_leaving = False
        self._link = link
        self._clock = clock
        self._appends = Appends(
            link,
            names,
            run,
            clock=clock,
            applied=lambda: self.position.applied,
            is_ready=lambda: self.is_ready,
            sent=self._sent,
            stored=self._stored,
            refused=self._refused,
        )
        self._history = History(link, names, lambda: self.position, self._accepted, clock=clock, copies=copies)
        self._reader = Reader(
            link,
            names,
            clock=clock,
            begin=lambda: self.copy.next_sequence,
            take=self._take,
            ended=self._read_ended,
            purged=self._behind,
        )
        link.subscribe(names.feed, self._fed)
        link.settled = self._write_gathered

    @property
    def position(self) -> Position:
        """Up to which entry the file has the log."""
        return self.copy.position

    @property
    def is_ready(self) -> bool:
        """Whether an engine is connected whose log is the one of the file."""
        return self._link.is_open and self._history.is_checked

    @property
    def is_empty(self) -> bool:
        """Whether the log has no entry, as far as is known."""
        return self._history.is_empty and not self.last_sequence

    def _accepted(self) -> None:
        """A new connection: the log there is the one of the file."""
        self.last_sequence = max(self.last_sequence, self._history.last)
        self.copy.drop_gathered()
        self._reader.abandon()
        self._appends.send_now()
        self.read()

    def tick(self) -> None:
        """Send again what got no answer. To be called every TICK seconds.

        Raises:
            SteppedDown: an entry has been out for too long.
        """
        now, out = self._clock(), self._appends.out
        if self.leading and out is not None and now - out.first_sent >= UNDECIDED_SECONDS:
            raise SteppedDown(f"an entry has been undecided for {UNDECIDED_SECONDS:g} seconds")
        if not self._link.is_open:
            return
        self._history.tick()
        self._appends.tick()
        if now >= self._reader.started + READ_SECONDS:
            self.read()

    # ---- the journal's backend ----

    def write(self, changes: Sequence[Change]) -> bool:
        """Append the changes of a turn, wait until they are decided, and commit them in the file.

        Returns:
            True.

        Raises:
            SteppedDown: they are undecided for too long, another leads, or the file refuses them.
        """
        self.begin(changes)
        self._wait(float("inf"))
        return True

    def hold_lease(self) -> None:
        """Return when output may leave: at once while the lease lasts, else after an empty entry was decided.

        Raises:
            SteppedDown: see `write`.
        """
        while not self.has_lease:
            self.write(())

    @property
    def has_lease(self) -> bool:
        """Whether output may leave now."""
        return self.lease_left > 0.0

    @property
    def lease_left(self) -> float:
        """Seconds for which output may leave."""
        return 0.0 if self._is_leaving else max(0.0, self.lease_ends - self._clock())

    def leave(self, node: str) -> bool:
        """Append `Leaves`, for LEAVE_SECONDS at most, so that a backup leads at once. Tell whether it was decided.

        Raises:
            SteppedDown: see `write`.
        """
        self.begin_to_leave(node)
        self._wait(self._clock() + LEAVE_SECONDS)
        return not self.is_busy

    def begin_to_leave(self, node: str) -> None:
        """Append `Leaves`. It may be decided before this node knows it, so nothing may be said from here on."""
        self._is_leaving = True
        self.begin([Leaves(node)])

    def _wait(self, ends: float) -> None:
        ticked = now = self._clock()
        while self.is_busy and now < ends:
            self._link.wait(TICK)
            now = self._clock()
            if now - ticked >= TICK:
                ticked = now
                self.observer.tick()

    # ---- appending ----

    def begin(self, changes: Sequence[Any]) -> None:
        """Append changes without waiting: `is_busy` until they are decided. Only while it is not busy."""
        self._appends.begin(changes)

    @property
    def is_busy(self) -> bool:
        """Whether an entry is out."""
        return self._appends.out is not None

    def withdraw(self) -> None:
        """Do not send again what is out. It may be decided all the same."""
        self._appends.withdraw()

    def _sent(self, out: Out) -> None:
        """An entry has been sent for the first time. While it is in flight, a leader prepares its transaction."""
        if self.leading:
            self.copy.prepare(Entry(self.run, out.number, out.changes), out.payload)

    def _stored(self, out: Out) -> None:
        """The engines have an entry of this node: a leader's is decided, a candidate's is applied when it is read."""
        if self.leading:
            self._decide(out)
        else:
            self.read()

    def _refused(self, _answer: Mapping[str, Any]) -> None:
        """Wrong last sequence: it names what was proposed, which may vanish. So only what can be read counts."""
        self.read()
        self.observer.refused()

    def _decide(self, out: Out) -> None:
        """The log has the entry at applied + 1: commit it in the file.

        Raises:
            SteppedDown: the file refuses it, though it stands.
        """
        if not self.copy.commit():
            raise SteppedDown("the file refuses what is in the log")
        self._extend_lease(out)
        self._appends.append_next()

    def _extend_lease(self, out: Out) -> None:
        self.lease_ends = out.first_sent + LEASE_SECONDS

    # ---- reading ----

    def read(self) -> None:
        """Read what the log has after `applied`; once more if that is being done."""
        if self.is_ready and self.copy.can_write:
            self._reader.read()

    @property
    def is_reading(self) -> bool:
        """Whether a read has not been answered, and still may be."""
        return self._reader.is_reading

    def _read_ended(self, may_have_more: bool) -> None:
        self._write_gathered()
        if may_have_more:
            self.read()
        else:
            self.observer.caught_up()

    def _fed(self, message: Message) -> None:
        self._take(sequence_of(message), message.payload)

    def _take(self, sequence: int, payload: bytes) -> None:
        """Take an entry that the log has.

        Raises:
            SteppedDown: this node led, and the entry is not its own.
            Unfit: the entry cannot be understood.
        """
        expected = self.copy.next_sequence
        if not self.is_ready or sequence < expected:
            return
        self.last_sequence = max(self.last_sequence, sequence)
        if sequence > expected:
            self._miss(sequence)
            return
        out = self._appends.out
        if self.leading and out is not None and payload == out.payload:
            self._decide(out)
            return
        try:
            entry = wire.decode(payload)
        except wire.NewerVersion as error:
            raise Unfit(f"a newer version has written the log ({error}): update this node") from error
        if self.leading:
            raise SteppedDown(f"replaced: entry {sequence} is of run {entry.run}")
        is_own = out is not None and entry.run == self.run and entry.number == out.number
        self._gather(entry, payload, out if is_own else None)

    def _miss(self, sequence: int) -> None:
        """An entry has come that is not the next one.

        Raises:
            SteppedDown: a leader has no gaps; so it was replaced.
        """
        if self.leading:
            raise SteppedDown(f"replaced: the log has entry {sequence}")
        self.read()

    def _gather(self, entry: Entry, payload: bytes, own: Out | None) -> None:
        if self.copy.next_sequence == 1:
            first = next((change for change in entry.changes if isinstance(change, Leads)), None)
            if first is None or first.base != self.base:
                self._behind()
                return
        if own is not None:
            self._extend_lease(own)
        self.withdraw()  # the entry that was in flight for this position is stored, or never will be
        self.copy.gather(entry, payload)

    def _write_gathered(self) -> None:
        """Write the entries that have come together. If that fails, they are read again."""
        for entry in self.copy.write_gathered():
            self.observer.applied(entry)

    def _behind(self) -> None:
        """The log begins after applied + 1, or with other data.

        Raises:
            Unfit: this file has data of its own, which a snapshot would destroy.
        """
        if self.base and not self.position.applied:
            raise Unfit(
                "the database has data of its own, and the cluster has begun with other data:"
                " move the database away, or choose another with --database PATH"
            )
        self.observer.behind()
