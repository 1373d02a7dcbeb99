"""Masks on `nick!user@host`, with which IRC names users: `*` stands for any text, `?` for one character."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_MASK = 200
"""Characters of a mask: more than any user's prefix has."""

MASKS_KNOWN = 4096
"""Masks that are kept ready for comparison."""

_CAPITALS = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}


class Mask(NamedTuple):
    """A mask of a channel's list: who has set it, and when, in seconds since the epoch."""

    mask: str
    by: str
    at: float


def fold(text: str) -> str:
    """Return a text as IRC compares names here: the capitals of ASCII are small letters, nothing else changes."""
    return text.lower() if text.isascii() else text.translate(_CAPITALS)


def completed(mask: str) -> str:
    """Return a mask with all of its three parts; those that are missing or empty are `*`."""
    nick, has_user, rest = mask.partition("!")
    if has_user:
        user, _sign, host = rest.partition("@")
    elif "@" in nick:
        user, _sign, host = nick.partition("@")
        nick = ""
    else:
        user = host = ""
    return f"{nick or '*'}!{user or '*'}@{host or '*'}"


def pattern_of(mask: str) -> re.Pattern[str]:
    """Return the pattern of a folded mask, for whole folded texts. Its match takes the product of both lengths at most.

    It never backtracks: each part is matched as early as possible, and stays there.
    """
    first, *parts = re.split(r"\*+", mask)
    if not parts:
        return re.compile(_literal(first), re.DOTALL)
    *middle, last = parts
    found = "".join(f"(?>.*?{_literal(part)})" for part in middle if part)
    end = f"(?>.*(?<={_literal(last)}))" if last else ".*"
    enough = f"(?=.{{{len(last)}}})" if last else ""  # the last part may not begin within what is found already
    return re.compile(f"{_literal(first)}{found}{enough}{end}", re.DOTALL)


def _literal(part: str) -> str:
    return "".join("." if letter == "?" else re.escape(letter) for letter in part)


_known_pattern = functools.lru_cache(MASKS_KNOWN)(pattern_of)


def matches(mask: str, prefix: str) -> bool:
    """Tell whether a mask names a user, given by `nick!user@host`; the case of ASCII letters does not matter.

    Takes a time that is the product of both lengths at most.
    """
    return _known_pattern(fold(mask)).fullmatch(fold(prefix)) is not None


def any_matches(masks: Iterable[str], prefix: str) -> bool:
    """Tell whether one of these masks names a user."""
    return any(matches(mask, prefix) for mask in masks)
