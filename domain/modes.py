"""A channel's modes, ranks and masks.

Most channels have the defaults alone: then `state.Channel.modes` is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from domain.masks import Mask, any_matches

INVITE_ONLY, KEY, LIMIT, MODERATED, MEMBERS_ONLY, SECRET, LOCKED_TOPIC = "i", "k", "l", "m", "n", "s", "t"

FLAGS = frozenset((INVITE_ONLY, MODERATED, MEMBERS_ONLY, SECRET, LOCKED_TOPIC))
"""The modes that are on or off."""

WITH_VALUE = frozenset((KEY, LIMIT))
"""The modes that have a value while they are on."""

DEFAULT = frozenset(MEMBERS_ONLY)
"""The flags of a channel for which nobody has set any."""

OPERATOR, VOICE = "o", "v"
"""The ranks."""

BANNED, EXCEPTED, INVITED = "b", "e", "I"
"""The lists of masks: who may neither come in nor speak, who may nevertheless, who comes in without an invitation."""

MASK_LISTS = (BANNED, EXCEPTED, INVITED)


class Switch(NamedTuple):
    """One mode to be switched, or that has been.

    Attributes:
        mode: its letter, also that of a rank or of a list of masks.
        is_on: on or off.
        value: the key, the limit, the user's name, or the mask; "" for none.
    """

    mode: str
    is_on: bool
    value: str = ""


_NONE: dict[str, Any] = {}
"""Stands for all that is empty in most channels; shared, so it never changes."""

MAX_VERDICTS = 1000
"""Users of a channel whose results of the masks are cached."""


class Modes:
    """The modes, ranks and masks of a channel that differ from the defaults.

    Attributes:
        flags: the flags that are on.
        key: the word that JOIN must give; "" for none.
        limit: how many may be in the channel; 0 for no limit.
        ranks: the ranks of accounts, which last.
        temporary: the ranks of other users by name, which end when they leave.
        masks: the masks of each list, in the order in which they were set.
        looks_at_speech: whether messages must be checked; in most channels they need not.
        outsiders: the numbers of messages that are on their way from users who are not in it.
    """

    __slots__ = (
        "_is_founded",
        "_verdicts",
        "flags",
        "key",
        "limit",
        "looks_at_speech",
        "masks",
        "outsiders",
        "ranks",
        "temporary",
    )  # fmt: skip

    def __init__(self) -> None:
        self.flags = DEFAULT
        self.key = ""
        self.limit = 0
        self.ranks: dict[str, str] = _NONE
        self.temporary: dict[str, str] = _NONE
        self.masks: dict[str, dict[str, Mask]] = _NONE
        self.outsiders: frozenset[int] = frozenset()
        self.looks_at_speech = False
        self._is_founded = False
        self._verdicts: dict[str, bool] = _NONE

    @property
    def is_founded(self) -> bool:
        """Whether a JOIN has made the channel, and nothing has been said in it."""
        return self._is_founded

    @is_founded.setter
    def is_founded(self, value: bool) -> None:
        self._is_founded = value
        self._update_derived()

    def _update_derived(self) -> None:
        """Update what is derived from modes and masks: whether messages must be checked, and the cached results."""
        self.looks_at_speech = self._is_founded or MODERATED in self.flags or bool(self.masks.get(BANNED))
        self._verdicts = _NONE

    def value(self, mode: str) -> str:
        """Return the value of a mode that has one; "" while it is off."""
        if mode == KEY:
            return self.key
        return str(self.limit) if self.limit else ""

    def current(self, mode: str) -> Switch:
        """Return whether a mode is on now, and its value."""
        value = self.value(mode) if mode in WITH_VALUE else ""
        return Switch(mode, bool(value) or mode in self.flags, value)

    def set(self, mode: str, value: str, *, is_on: bool) -> None:
        """Switch a mode; `value` is that of the key, or of the limit as a number."""
        if mode == KEY:
            self.key = value if is_on else ""
        elif mode == LIMIT:
            self.limit = int(value) if is_on else 0
        else:
            self.flags = self.flags | {mode} if is_on else self.flags - {mode}
            self._update_derived()

    # ---- ranks ----

    def rank(self, name: str) -> str:
        """Return the letters of a user's ranks, the highest first."""
        return self.ranks.get(name) or self.temporary.get(name, "")

    def has(self, name: str, rank: str, *, lasts: bool) -> bool:
        """Tell whether a user has a rank that lasts, or one that ends when the user leaves."""
        return rank in (self.ranks if lasts else self.temporary).get(name, "")

    def give(self, name: str, rank: str, *, is_given: bool, lasts: bool) -> Callable[[], None]:
        """Give a rank to a user, or take it; return the undo.

        A lasting rank ends the temporary ones of that name: the guest who had them is an account now.
        """
        before = self.ranks, self.temporary
        ranks = dict(self.ranks if lasts else self.temporary)
        held = {*ranks.pop(name, ""), rank} if is_given else {*ranks.pop(name, "")} - {rank}
        if held:
            ranks[name] = "".join(sorted(held))  # o before v: the higher one first
        if lasts:
            self.ranks = ranks
            self.temporary = {other: letters for other, letters in self.temporary.items() if other != name}
        else:
            self.temporary = ranks

        def undo() -> None:
            self.ranks, self.temporary = before

        return undo

    # ---- masks ----

    def list_of(self, kind: str) -> dict[str, Mask]:
        """Return the masks of a list."""
        return self.masks.get(kind, {})

    def add_mask(self, kind: str, mask: Mask) -> None:
        """Add a mask to a list."""
        self.put_masks(kind, {**self.list_of(kind), mask.mask: mask})

    def remove_mask(self, kind: str, mask: str) -> None:
        """Remove a mask from a list."""
        self.put_masks(kind, {each: kept for each, kept in self.masks[kind].items() if each != mask})

    def put_masks(self, kind: str, masks: dict[str, Mask]) -> None:
        """Replace a list."""
        self.masks = {**self.masks, kind: masks}
        self._update_derived()

    def is_banned(self, prefix: str) -> bool:
        """Tell whether the masks keep a user out, given by `nick!user@host`."""
        verdict = self._verdicts.get(prefix)
        if verdict is None:
            verdict = any_matches(self.list_of(BANNED), prefix) and not any_matches(self.list_of(EXCEPTED), prefix)
            if not 0 < len(self._verdicts) < MAX_VERDICTS:
                self._verdicts = {}
            self._verdicts[prefix] = verdict
        return verdict

    def is_invited(self, prefix: str) -> bool:
        """Tell whether the masks let a user in under `+i`."""
        return any_matches(self.list_of(INVITED), prefix)
