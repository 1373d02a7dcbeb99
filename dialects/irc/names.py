"""Names of the domain as nicks and channels of IRC, and back; and names that differ in case alone (I15 to I17).

No name of the domain has a bar. So bars, in pairs, hold what cannot stand in a nick: `a!b` is shown as `a|21|b`. A
single bar, the last one, parts a remote user from the host: `bob@two.example` is `bob|two.example`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from domain.masks import fold
from domain.names import HOST_OF_USER

BAR = "|"
CHANNEL = "#"

_NOT_IN_NICKS = re.compile(r"[!*?]|\A[#&+%~$]")
"""Characters that would end a nick in a prefix, or make it a mask, a channel or another kind of target."""

_LETTER = re.compile("[A-Za-z]")
_BYTE = re.compile("[0-9a-fA-F]{2}")

MAX_USER_PART = 10
_NOT_IN_USER_PARTS = re.compile(r"[^A-Za-z0-9._-]")


# ---- out ----


def _escape(found: re.Match[str]) -> str:
    return "".join([f"|{byte:02x}|" for byte in found[0].encode()])


def nick_of(name: str) -> str:
    """Return the nick that shows a user's name, of this server or of another (I16)."""
    nick = _NOT_IN_NICKS.sub(_escape, name)
    return nick.replace(HOST_OF_USER, BAR) if HOST_OF_USER in nick else nick


def channel_of(name: str) -> str:
    """Return the IRC name of a channel, of this server or of another (I15)."""
    return CHANNEL + name


def distinct(name: str, oldest: str) -> str:
    """Return a name with each letter escaped that differs in case from the oldest name alike (I17)."""
    bare, sign, host = name.partition(HOST_OF_USER)
    letters = zip(bare, oldest, strict=False)
    escaped = "".join([letter if letter == other else f"|{ord(letter):02x}|" for letter, other in letters])
    return (escaped if escaped != bare else wholly_escaped(bare)) + sign + host


def wholly_escaped(name: str) -> str:
    """Return a name with all ASCII letters escaped, or its first character where there is none (I17)."""
    escaped = _LETTER.sub(_escape, name)
    return escaped if escaped != name else re.sub(r"\A.", _escape, name)


@lru_cache(1000)
def user_part(text: str, otherwise: str = "u") -> str:
    """Return what stands between `!` and `@` in a prefix (I14): ten of ASCII's letters, digits, and `._-`."""
    return _NOT_IN_USER_PARTS.sub("", text)[:MAX_USER_PART] or otherwise


# ---- in ----


def is_plain_nick(nick: str) -> bool:
    """Tell whether a word has no character that nicks escape (I17)."""
    return _NOT_IN_NICKS.search(nick) is None and HOST_OF_USER not in nick


def unescape(shown: str) -> str | None:
    """Return the name that a nick, or a channel without its `#`, shows, in the case in which it is shown.

    None if no name is shown like this.
    """
    if BAR not in shown:
        return shown
    parts = shown.split(BAR)
    host = parts.pop() if len(parts) % 2 == 0 else None
    if not all(_BYTE.fullmatch(part) for part in parts[1::2]):
        return None
    name = b"".join([bytes.fromhex(part) if number % 2 else part.encode() for number, part in enumerate(parts)])
    try:
        bare = name.decode()
    except UnicodeDecodeError:
        return None
    return bare if host is None else f"{bare}{HOST_OF_USER}{host}"


def channel_name(word: str) -> str | None:
    """Return the name that an IRC channel shows; None if the word is no channel's (I15)."""
    return unescape(word[1:]) if word.startswith(CHANNEL) else None


class Alike:
    """Names, found whatever the case of their ASCII letters; of those alike the oldest comes first (I17)."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: dict[str, str | list[str]] = {}
        """By folded name: the name, or the list of those alike, the oldest first. Nearly all have no other alike."""
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Add a name, the youngest. No-op for one that is there."""
        key = fold(name)
        held = self._names.setdefault(key, name)
        if isinstance(held, list):
            if name not in held:
                held.append(name)
        elif held != name:
            self._names[key] = [held, name]

    def remove(self, name: str) -> None:
        """Remove a name. No-op for one that is not there."""
        key = fold(name)
        held = self._names.get(key)
        if held == name:
            del self._names[key]
        elif isinstance(held, list) and name in held:
            held.remove(name)
            if len(held) == 1:
                self._names[key] = held[0]

    def all(self, name: str) -> list[str]:
        """Return the names that are alike, the oldest first."""
        held = self._names.get(fold(name), [])
        return [*held] if isinstance(held, list) else [held]

    def oldest(self, name: str) -> str | None:
        """Return the oldest name that is alike; None if there is none."""
        held = self._names.get(fold(name))
        return held[0] if isinstance(held, list) else held

    def shown(self, name: str) -> str:
        """Return a name as it is shown beside those alike: the oldest as it is, any other with letters escaped."""
        held = self._names.get(fold(name))
        return distinct(name, held[0]) if isinstance(held, list) and name in held[1:] else name

    def find(self, name: str, exists: Callable[[str], bool]) -> str | None:
        """Return the name that is meant: that very one if it exists, else the oldest alike."""
        return name if exists(name) else self.oldest(name)
