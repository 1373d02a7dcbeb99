"""The keys under which the messages of channels are stored. A channel's key is the name that it was created with.

The messages keep their key when a channel is renamed, so that renaming costs nothing. A new channel of the old name
gets another key.
"""

from __future__ import annotations

from collections.abc import Mapping

MARK = "|"
"""Stands in no name, so a key with it is no channel's name."""


class ChannelKeys:
    """The keys of all channels. A key that equals the channel's name is not stored.

    Args:
        keys: the keys that differ from the names, by name.

    Attributes:
        by_name: these keys, as they are now.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.by_name = dict(keys)
        self._before: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self.by_name.get(name, name)

    def names(self) -> dict[str, str]:
        """Return the names of channels by their keys, for keys that are not names."""
        return {key: name for name, key in self.by_name.items()}

    def create(self, name: str) -> str | None:
        """Choose the key of a new channel; None if it is the name."""
        used = set(self.by_name.values())
        if name not in used:
            return None
        number = 1
        while (key := f"{name}{MARK}{number}") in used:
            number += 1
        self._change()[name] = key
        return key

    def rename(self, old: str, new: str) -> str:
        """Give the key of a channel to its new name; return it."""
        key = self[old]
        keys = self._change()
        keys.pop(old, None)
        if key != new:
            keys[new] = key
        return key

    def remove(self, name: str) -> None:
        """Forget the key of a channel that is gone."""
        if name in self.by_name:
            del self._change()[name]

    def committed(self) -> None:
        """The changes since the last call are on disk."""
        self._before = None

    def rolled_back(self) -> None:
        """The changes since the last call are not on disk."""
        if self._before is not None:
            self.by_name, self._before = self._before, None

    def _change(self) -> dict[str, str]:
        if self._before is None:
            self._before = dict(self.by_name)
        return self.by_name
