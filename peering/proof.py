"""The proof of a server's name: the macs that two servers compute with a shared secret.

A mac covers the step, both names by their roles on the link, and both nonces. So it is of no use on another link, in
the other role, or for another nonce (L22, L23).
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from settings import Secret

NONCE_BYTES = 16
_NONCE = rf"[0-9a-fA-F]{{{2 * NONCE_BYTES}}}"


def make_nonce() -> str:
    """Return random bytes in hex, for one use."""
    return os.urandom(NONCE_BYTES).hex()


def is_nonce(word: str) -> bool:
    """Tell whether a word has the form of a nonce, in upper or lower case."""
    return re.fullmatch(_NONCE, word) is not None


class Handshake(NamedTuple):
    """The input of the macs on one link: the secret, the two names by their roles, and the two nonces."""

    secret: Secret
    dialer: str
    receiver: str
    receiver_nonce: str
    dialer_nonce: str = ""

    def mac(self, step: str) -> str:
        """Return the mac of a step, `proof` (said by the dialer) or `confirm` (said by the receiver)."""
        return self.secret.mac(f"{step} {self.dialer} {self.receiver} {self.receiver_nonce} {self.dialer_nonce}")

    def is_right(self, step: str, mac: str) -> bool:
        """Tell whether the other side's mac of a step is right, compared in constant time."""
        import hmac

        return hmac.compare_digest(mac.lower().encode(), self.mac(step).encode())
