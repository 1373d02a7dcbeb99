"""Names of users, channels and servers: what may be one, and how those of other servers are written."""

from __future__ import annotations

MAX_NAME = 64
"""Characters of a name."""

_NOT_IN_NAMES = frozenset(",:@|")


SERVICES = frozenset(
    ("nickserv", "chanserv", "saslserv", "authserv", "memoserv", "operserv", "hostserv", "botserv", "global")
)
"""Names, in any case, that other IRC networks give to services. Clients send these passwords by themselves, so nobody
new is called so."""


def is_name(word: str, max_length: int = MAX_NAME) -> bool:
    """Tell whether a word may name a new user or channel (rules C30, C31 and C33).

    It has the form of a name, and nothing in it is invisible.

    Args:
        max_length: how many characters it may have.
    """
    if not has_form_of_name(word, max_length):
        return False
    if word.isascii():
        return True
    import unicode_names

    return unicode_names.is_visible(word)


def has_form_of_name(word: str, max_length: int = MAX_NAME) -> bool:
    """Tell whether a word may be the name of a user or channel that exists (rules C30 and C31).

    It has 1 to `max_length` characters of any language, in NFC, and no slash in front. It has no white space, comma,
    colon, at sign or vertical bar. Of the control and format characters it may have joiners and signs of numbers alone.
    Names that are older than rule C33 need not be visible.
    """
    if not 1 <= len(word) <= max_length or word[0] == "/" or not _NOT_IN_NAMES.isdisjoint(word):
        return False
    if word.isascii():
        return word.isprintable() and " " not in word
    import unicode_names

    return unicode_names.is_well_formed(word)


MAX_HOST = 64
"""Characters of a server's name."""

HOST_OF_CHANNEL = ":"

HOST_OF_USER = "@"
"""Separates the name of a remote channel or user from its host (L39). No local name has either sign."""

SERVER = f"{HOST_OF_USER}server"
"""Stands for the server where a line needs a sender; it is no name, and nobody's."""


def remote_channel(name: str, host: str) -> str:
    """Return the name of a server's channel at other servers."""
    return f"{name}{HOST_OF_CHANNEL}{host}"


def remote_user(name: str, host: str) -> str:
    """Return the name of a server's user at other servers."""
    return f"{name}{HOST_OF_USER}{host}"


_IN_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")

PROVEN = "proven"
"""The identity of a server that has proven its name; that of any other server is its IP address (L21)."""


def is_host(word: str) -> bool:
    """Tell whether a word may name a server: 1 to 64 letters, digits, hyphens and dots, so an IPv4 address may."""
    return 1 <= len(word) <= MAX_HOST and _IN_HOSTS.issuperset(word)


def classic_id(name: str) -> str:
    """Make an account's classic ID, which anybody can guess (B17)."""
    return f"{name}123"
