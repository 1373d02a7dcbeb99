"""Names of users, channels and servers: what may be one, and how those of other servers are written."""

from __future__ import annotations

MAX_NAME = 64
"""Characters of a name."""

_NOT_IN_NAMES = frozenset(",:@|")


def is_name(word: str, longest: int = MAX_NAME) -> bool:
    """Tell whether a word may name a new user or channel (rules C30, C31 and C33).

    It has the form of a name, and nothing in it is invisible.

    Args:
        longest: characters that it may have.
    """
    if not has_form_of_name(word, longest):
        return False
    if word.isascii():
        return True
    import unicode_names

    return unicode_names.is_visible(word)


def has_form_of_name(word: str, longest: int = MAX_NAME) -> bool:
    """Tell whether a word may be the name of a user or channel that exists (rules C30 and C31).

    1 to `longest` characters, in NFC, of any language; no white space of any alphabet, comma, colon, at sign or
    vertical bar; no control or format character but for joiners and signs of numbers; no slash in front. Names from
    before rule C33 need not be visible.
    """
    if not 1 <= len(word) <= longest or word[0] == "/" or not _NOT_IN_NAMES.isdisjoint(word):
        return False
    if word.isascii():
        return word.isprintable() and " " not in word
    import unicode_names

    return unicode_names.is_well_formed(word)


MAX_HOST = 64
"""Characters of a server's name."""

HOST_OF_CHANNEL = ":"

HOST_OF_USER = "@"
"""What parts a remote name, that of a channel or user of another server, from its host (L39). No local name has
either."""


def remote_channel(name: str, host: str) -> str:
    """Give the name that a server's channel has for others."""
    return f"{name}{HOST_OF_CHANNEL}{host}"


def remote_user(name: str, host: str) -> str:
    """Give the name that a server's user has for others."""
    return f"{name}{HOST_OF_USER}{host}"


_IN_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")

PROVEN = "proven"
"""The identity of a server that has proven its name (L21); that of another one is its IP address."""


def is_host(word: str) -> bool:
    """Tell whether a word may name a server: 1 to 64 letters, digits, hyphens and dots, so an IPv4 address may."""
    return 1 <= len(word) <= MAX_HOST and _IN_HOSTS.issuperset(word)


def classic_id(name: str) -> str:
    """Make an account's classic ID: anybody can guess it (B17)."""
    return f"{name}123"
