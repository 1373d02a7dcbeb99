"""Lists of names that are kept sorted while names come and go."""

from __future__ import annotations

from collections.abc import Sequence

MAX_UNMERGED = 100
"""Changes that a list of names of any length collects before it merges them in."""


class SortedNames:
    """Names in the order of their code points.

    Changes are collected, and merged in by the next read or when there are many, so that no reader waits for a sort.
    All readers share one list. It is replaced, never changed, so slow readers do not each hold a copy.
    """

    __slots__ = ("_changes", "_names")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._changes: dict[str, bool] = {}
        """Names that have been added (True) or removed since the last merge."""

    def add(self, name: str) -> None:
        """Add a name."""
        self._change(name, added=True)

    def remove(self, name: str) -> None:
        """Remove a name."""
        self._change(name, added=False)

    def read(self) -> Sequence[str]:
        """Return all names; the list may be kept, and never changes."""
        if self._changes:
            self._merge()
        return self._names

    def _change(self, name: str, *, added: bool) -> None:
        if name in self._changes:
            del self._changes[name]  # the one undoes the other
        else:
            self._changes[name] = added
            if len(self._changes) > MAX_UNMERGED + len(self._names) // 16:
                self._merge()

    def _merge(self) -> None:
        new = sorted(name for name, added in self._changes.items() if added)
        old = self._names
        if len(new) < len(self._changes):
            old = [name for name in old if name not in self._changes]
        self._names = sorted(old + new)  # two sorted runs, which take no more than a merge
        self._changes.clear()
