"""The proof that a server bears its name: a secret that two servers share, and what each of them computes with it.

Both sides compute over the same words, in which a name stands by its role on the link. So what one side has said is of
no use on another link, in the other role, or for another nonce (PROTOCOL.md L32 to L35).
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

LEAST_SECRET = 16
MOST_SECRET = 65_536
"""Bytes of a secret, without the newline at its end."""

NONCE_BYTES = 16
_NONCE = re.compile(rf"[0-9a-fA-F]{{{2 * NONCE_BYTES}}}")


class SecretError(Exception):
    """The secret cannot be used; the message says why, and nothing of the secret."""


class Secret:
    """What two servers share. It shows itself nowhere.

    Args:
        key: its bytes.
        is_exposed: other users of the machine can read or write its file.
    """

    __slots__ = ("_key", "is_exposed")

    def __init__(self, key: bytes, *, is_exposed: bool = False) -> None:
        self._key = key
        self.is_exposed = is_exposed

    def mac(self, words: str) -> str:
        """Give the HMAC-SHA-256 of some words, in hex."""
        import hmac  # most servers have no use for it

        return hmac.digest(self._key, words.encode(), "sha256").hex()


def read_secret(path: str) -> Secret:
    """Read the file of a secret; a newline at its end does not count.

    Raises:
        SecretError: it cannot be read, or is too short or too long.
    """
    try:
        with open(path, "rb") as file:
            key = file.read(MOST_SECRET + 2).removesuffix(b"\n")
            is_exposed = bool(os.fstat(file.fileno()).st_mode & 0o077)
    except OSError as error:
        raise SecretError(f"cannot read the secret {path}: {error.strerror}") from error
    if not LEAST_SECRET <= len(key) <= MOST_SECRET:
        raise SecretError(f"the secret {path} must have {LEAST_SECRET} to {MOST_SECRET} bytes")
    return Secret(key, is_exposed=is_exposed)


def make_nonce() -> str:
    """Give random bytes in hex, for one use."""
    return os.urandom(NONCE_BYTES).hex()


def is_nonce(word: str) -> bool:
    """Tell whether a word is one that `make_nonce` could give, in either case of letters."""
    return _NONCE.fullmatch(word) is not None


class Handshake(NamedTuple):
    """What is proven on one link: the secret, the two names by their roles, and the two nonces."""

    secret: Secret
    dialler: str
    receiver: str
    receiver_nonce: str
    dialler_nonce: str = ""

    def mac(self, step: str) -> str:
        """Give the mac of a step, `proof` (said by the dialler) or `confirm` (said by the receiver)."""
        return self.secret.mac(f"{step} {self.dialler} {self.receiver} {self.receiver_nonce} {self.dialler_nonce}")

    def is_right(self, step: str, mac: str) -> bool:
        """Tell whether the other side's mac of a step is right, in a time that tells nothing of the right one."""
        import hmac

        return hmac.compare_digest(mac.lower().encode(), self.mac(step).encode())
