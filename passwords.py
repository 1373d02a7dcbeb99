"""Passwords: hashed and checked with bcrypt, in threads, never on the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from domain import ChatError, Overloaded, WrongPassword
from pool import PoolFull

if TYPE_CHECKING:
    from concurrent.futures import Future

BCRYPT_BYTES = 72
"""bcrypt reads no more of its input."""

T = TypeVar("T")
InThread = Callable[[Callable[[], Any], Callable[["Future[Any]"], None]], None]
log = logging.getLogger("crosstalk.passwords")


class BcryptPasswords:
    """What the domain needs of passwords.

    Args:
        in_thread: runs work in a pool (loop.Loop.in_thread).
        cost: bcrypt's, 4 to 31; each step doubles the time that a guess takes.
    """

    def __init__(self, in_thread: InThread, cost: int) -> None:
        self._in_thread = in_thread
        self._cost = cost
        self._decoy = _decoy(cost)
        self.refused = 0

    def resemble(self, hashes: Iterable[bytes]) -> None:
        """Let the check for a user who does not exist take as long as that of the most costly of these hashes."""
        self._decoy = _decoy(max((int(known[4:6]) for known in hashes if known[4:6].isdigit()), default=self._cost))

    def warm_up(self) -> None:
        """Load the library now, in a thread, so that the first login need not wait for it."""
        self._run(_load, lambda _none: None)

    def hash(self, password: str, then: Callable[[bytes | None], None]) -> None:
        """Hash a password and call `then` with the hash, or with None when it cannot be done now."""
        self._run(lambda: _hash(password, self._cost), then)

    def check(self, password: str, password_hash: bytes | None, then: Callable[[ChatError | None], None]) -> None:
        """Check a password and call `then` with None, WrongPassword or Overloaded.

        None for a hash stands for a user who does not exist: checked as slowly as a wrong password, and never right.
        """

        def checked(matches: bool | None) -> None:
            if matches is None:
                then(Overloaded())
            else:
                then(None if matches and password_hash is not None else WrongPassword())

        self._run(lambda: _matches(password, password_hash or self._decoy), checked)

    def _run(self, work: Callable[[], T], then: Callable[[T | None], None]) -> None:
        def finished(future: Future[T]) -> None:
            try:
                result = future.result()
            except Exception:
                log.exception("hashing failed")
                then(None)
            else:
                then(result)

        try:
            self._in_thread(work, finished)
        except PoolFull:
            self.refused += 1
            log.warning("refused a login or registration: too many are waiting (max-hash-queue)")
            then(None)


def _decoy(cost: int) -> bytes:
    """A hash that is well-formed, and nobody's."""
    return b"$2b$%02d$" % cost + b"." * 53


def _digestible(password: str) -> bytes:
    """A password that bcrypt can read in full. One that is too long, or holds a NUL, goes through SHA-256 first."""
    data = password.encode()
    if len(data) <= BCRYPT_BYTES and b"\0" not in data:
        return data
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(data).digest())


def _load() -> None:
    import bcrypt  # noqa: F401


def _hash(password: str, cost: int) -> bytes:
    import bcrypt

    return bcrypt.hashpw(_digestible(password), bcrypt.gensalt(cost))


def _matches(password: str, password_hash: bytes) -> bool:
    import bcrypt

    return bcrypt.checkpw(_digestible(password), password_hash)
