"""Passwords: hashed and checked with bcrypt, in threads, never on the loop; guesses are delayed.

A stored hash begins with bcrypt's version. All versions hash alike, so here the version tells what was hashed:

- `$2b$`: the password itself; or, if an early version of this server set a long password, its digest alone.
- `$2a$`: a digest after a byte that no password has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from app.throttle import Failures
from app.workqueue import Job, JobSession, WorkQueue
from domain.errors import ChatError, Overloaded, WrongPassword
from domain.interfaces import Claim
from net.pool import PoolFull

BCRYPT_BYTES = 72
"""Maximum bytes of its input that bcrypt reads."""

DIGEST_BYTES = 44
"""Bytes of a SHA-256 digest in base64, the last of which is an equals sign."""

NOT_UTF8 = b"\xff"
"""A byte that does not occur in UTF-8, so in no password either."""

SEALED = b"$2a$"
"""Prefix of a hash that was made of NOT_UTF8 and a digest."""

log = logging.getLogger("crosstalk.passwords")


class BcryptPasswords:
    """Hashes and checks passwords; implements `domain.interfaces.Passwords`.

    Args:
        queue: in which jobs wait for a thread.
        failures: counts wrong passwords, and delays attempts.
        cost: bcrypt's, 4 to 31; each step doubles the time that a guess takes.

    Attributes:
        refused: jobs that were refused because the queue was full.
    """

    def __init__(self, queue: WorkQueue, failures: Failures, cost: int) -> None:
        self._queue = queue
        self._failures = failures
        self.cost = cost
        self._dummy_hash = _dummy_hash(cost)
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Passwords that wait for a thread, or for the end of a delay."""
        return self._queue.waiting

    def calibrate_dummy_hash(self, hashes: Iterable[bytes]) -> None:
        """Give the dummy hash for unknown users the highest cost in use, so that timing does not reveal who exists."""
        costs = (int(known[4:6]) for known in hashes if known[4:6].isdigit())
        self._dummy_hash = _dummy_hash(max(costs, default=self.cost))

    def warm_up(self) -> None:
        """Load bcrypt in a thread, so that the first login need not wait for it."""
        self._queue.submit(Job(None, _load, _log_failure))

    def hash(self, session: JobSession, password: str, then: Callable[[bytes | None], None]) -> None:
        """Hash a password and call `then` with the hash, or with None if the queue is full or hashing fails (C39)."""
        job = Job(session, partial(_hash, password, self.cost), partial(_on_hashed, then))
        self._submit(job, lambda: then(None))

    def check(
        self, session: JobSession, claim: Claim, then: Callable[[ChatError | None], None], *, is_login: bool
    ) -> None:
        """Check a password and call `then` with None, WrongPassword or Overloaded.

        A claim for an unknown user has no hash: it is checked against the dummy hash, and is never right. A session
        that is over gets no outcome.

        Args:
            session: for which it is checked; failures from its address for this name delay the check (C40).
            claim: the name, the password to check, and the hash to check it against.
            then: takes the outcome.
            is_login: it goes before other work, and is never refused (C41, C39).
        """
        address = session.address
        compare = partial(_matches, claim.password, claim.password_hash or self._dummy_hash)
        job = Job(session, compare, partial(self._on_compared, address, claim, then), is_login=is_login)
        delay = self._failures.delay(address, claim.name)
        if delay.reason:
            session.report_limit(delay.reason, "(delayed %g seconds)", delay.seconds)
        self._submit(job, lambda: then(Overloaded()), delay.seconds)

    def forget(self, session: JobSession) -> None:
        """Discard the waiting job of a session that is over."""
        self._queue.discard(session)

    def _on_compared(
        self,
        address: str,
        claim: Claim,
        then: Callable[[ChatError | None], None],
        matches: bool | None,
        error: BaseException | None,
    ) -> None:
        _log_failure(matches, error)
        if error is not None:
            then(Overloaded())
        elif matches and claim.password_hash is not None:
            self._failures.succeed(address, claim.name)
            then(None)
        else:
            self._failures.count(address, claim.name)
            then(WrongPassword())

    def _submit(self, job: Job, refused: Callable[[], None], delay: float = 0.0) -> None:
        try:
            self._queue.submit(job, delay)
        except PoolFull:
            self.refused += 1
            if job.session is not None:
                job.session.report_limit("max-hash-queue", "(refused: too many passwords wait)")
            refused()


def _on_hashed(then: Callable[[bytes | None], None], hashed: bytes | None, error: BaseException | None) -> None:
    _log_failure(hashed, error)
    then(hashed)


def _log_failure(_result: object, error: BaseException | None) -> None:
    if error is not None:
        log.error("hashing failed", exc_info=error)


def _dummy_hash(cost: int) -> bytes:
    """Return a well-formed hash that no password matches."""
    return b"$2b$%02d$" % cost + b"." * 53


def _is_plain(data: bytes) -> bool:
    """Tell whether bcrypt reads all bytes of a password."""
    return len(data) <= BCRYPT_BYTES and b"\0" not in data


def _digest(data: bytes) -> bytes:
    """Return the SHA-256 digest of a password in base64, which bcrypt reads in full."""
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(data).digest())


def _needs_seal(data: bytes) -> bool:
    """Tell whether a password is hashed as a sealed digest: bcrypt cannot read all of it, or it looks like a digest."""
    return not _is_plain(data) or (len(data) == DIGEST_BYTES and data.endswith(b"="))


def _sealed(data: bytes) -> bytes:
    return NOT_UTF8 + _digest(data)


def _load() -> None:
    import bcrypt  # noqa: F401


def _hash(password: str, cost: int) -> bytes:
    import bcrypt

    data = password.encode()
    if _needs_seal(data):
        return bcrypt.hashpw(_sealed(data), bcrypt.gensalt(cost, prefix=SEALED.strip(b"$")))
    return bcrypt.hashpw(data, bcrypt.gensalt(cost))


def _matches(password: str, password_hash: bytes) -> bool:
    import bcrypt

    data = password.encode()
    if password_hash.startswith(SEALED) and _needs_seal(data):
        data = _sealed(data)
    elif not _is_plain(data):
        data = _digest(data)
    return bcrypt.checkpw(data, password_hash)
