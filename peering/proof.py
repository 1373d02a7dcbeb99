"""The proof that a server bears its name: a secret that two servers share, and what each of them computes with it.

Both sides compute over the same words, in which a name stands by its role on the link. So what one side has said is of
no use on another link, in the other role, or for another nonce (PROTOCOL.md, L22 and L23).
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from settings import Secret

NONCE_BYTES = 16
_NONCE = rf"[0-9a-fA-F]{{{2 * NONCE_BYTES}}}"


def make_nonce() -> str:
    """Give random bytes in hex, for one use."""
    return os.urandom(NONCE_BYTES).hex()


def is_nonce(word: str) -> bool:
    """Tell whether a word is one that `make_nonce` could give, in either case of letters."""
    return re.fullmatch(_NONCE, word) is not None


class Handshake(NamedTuple):
    """What is proven on one link: the secret, the two names by their roles, and the two nonces."""

    secret: Secret
    dialer: str
    receiver: str
    receiver_nonce: str
    dialer_nonce: str = ""

    def mac(self, step: str) -> str:
        """Give the mac of a step, `proof` (said by the dialer) or `confirm` (said by the receiver)."""
        return self.secret.mac(f"{step} {self.dialer} {self.receiver} {self.receiver_nonce} {self.dialer_nonce}")

    def is_right(self, step: str, mac: str) -> bool:
        """Tell whether the other side's mac of a step is right, in a time that tells nothing of the right one."""
        import hmac

        return hmac.compare_digest(mac.lower().encode(), self.mac(step).encode())
