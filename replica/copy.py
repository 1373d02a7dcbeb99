"""This node's file as a copy of the log: the entries that are applied, and those gathered for one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from database_copies import Position
from domain.changes import Change
from replica.names import digest_of
from replica.wire import Entry, Leads, Leaves


class ReplicaStore(Protocol):
    """What the log needs of the store."""

    position: Position

    def replicate(self, changes: Sequence[Change], position: Position) -> bool: ...

    def prepare(self, changes: Sequence[Change], position: Position) -> bool: ...

    def commit(self) -> bool: ...


class LogCopy:
    """The copy.

    Args:
        store: the file.
        created: returns when the log was made, in the engines' words.

    Attributes:
        can_write: the file took the last transaction.
    """

    def __init__(self, store: ReplicaStore, created: Callable[[], str]) -> None:
        self.can_write = True
        self._store = store
        self._created = created
        self._gathered: list[tuple[Entry, bytes]] = []
        self._is_prepared = False

    @property
    def position(self) -> Position:
        """Up to which entry the file has the log."""
        return self._store.position

    @property
    def next_sequence(self) -> int:
        """The sequence of the entry that is wanted next."""
        return self.position.applied + len(self._gathered) + 1

    def gather(self, entry: Entry, payload: bytes) -> None:
        """Keep the next entry for `write_gathered`."""
        self._gathered.append((entry, payload))

    def drop_gathered(self) -> None:
        """Forget what was gathered: it is read again."""
        self._gathered.clear()

    def write_gathered(self) -> Sequence[Entry]:
        """Write the entries that have come together in one transaction; return those that were written."""
        gathered, self._gathered = self._gathered, []
        if not gathered or not self.write(gathered):
            return []
        return [entry for entry, _payload in gathered]

    def prepare(self, entry: Entry, payload: bytes) -> None:
        """Write the next entry, which is not decided yet, in a transaction that `commit` ends."""
        self._is_prepared = self._store.prepare(_rows(entry), self._after(entry, payload, self.position))

    def commit(self) -> bool:
        """Commit the entry that was prepared, now that it is decided; tell whether the file has taken it."""
        self.can_write = self._is_prepared and self._store.commit()
        return self.can_write

    def write(self, entries: Iterable[tuple[Entry, bytes]]) -> bool:
        """Write entries in one transaction, all or none; tell whether the file has taken them."""
        position, changes = self.position, list[Change]()
        for entry, payload in entries:
            position = self._after(entry, payload, position)
            changes += _rows(entry)
        self.can_write = self._store.replicate(changes, position)
        return self.can_write

    def try_file(self) -> None:
        """Find out whether a file that has refused a transaction can be written again."""
        self.write(())

    def _after(self, entry: Entry, payload: bytes, before: Position) -> Position:
        """Return the position after an entry."""
        run = before.run
        for change in entry.changes:
            if isinstance(change, Leads):
                run = entry.run
            elif isinstance(change, Leaves):
                run = ""
        return Position(before.applied + 1, run, digest_of(payload), self._created())


def _rows(entry: Entry) -> list[Change]:
    """Return the changes of an entry that have rows in the file."""
    return [change for change in entry.changes if not isinstance(change, Leads | Leaves)]
