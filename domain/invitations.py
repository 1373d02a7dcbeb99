"""Who may make an account, and invitations: codes with which one can be made where not everybody may (C57).

Only a digest of a code is kept. A code has so many random bits that a fast hash is enough.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from domain.changes import AccountRegistered, Done, InvitationMade, InvitedRegistered, Undo
from domain.errors import LimitReached, NotInvited, Overloaded, RegistrationClosed
from domain.interfaces import Claim, Passwords
from domain.journal import Journal
from domain.sessions import ClientSession
from domain.users import Users

MAX_INVITATIONS = 1000
"""Codes that are valid at the same time."""

NOBODY = "/invitation"
"""Stands for a name, and is none: wrong codes are delayed under it, as wrong passwords are under an account's."""


class Registration(enum.Enum):
    """Who may make an account; the values are the words of the setting."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class Invitations:
    """Says who may make an account, and keeps the codes that are valid.

    Args:
        users: all users.
        journal: takes changes.
        passwords: delays wrong codes.
        now: the wall clock, in seconds since the epoch.

    Attributes:
        registration: who may make an account.
    """

    def __init__(self, users: Users, journal: Journal, passwords: Passwords, now: Callable[[], float]) -> None:
        self.registration = Registration.OPEN
        self._users = users
        self._journal = journal
        self._passwords = passwords
        self._now = now
        self._ends: dict[str, float] = {}

    def make(self, code: str, seconds: float, done: Done) -> None:
        """Have a code be valid for so many seconds. Fails with LimitReached, StoreUnavailable."""
        now = self._now()
        self._journal.submit(InvitationMade(digest(code), now + seconds, now), done)

    def admit(self, recipient: ClientSession, code: str, then: Callable[[], None], done: Done) -> None:
        """Call `then` if this client may make an account with this code, which counts only where one is needed.

        Else `done` gets RegistrationClosed, NotInvited or Overloaded. A wrong code takes the time of a wrong password,
        and is delayed like one (C40).
        """
        if self.registration is Registration.CLOSED:
            done(RegistrationClosed())
        elif self.registration is Registration.OPEN or self._ends.get(digest(code), 0.0) > self._now():
            then()
        else:

            def checked(error: Exception | None) -> None:
                recipient.report_limit("failed-invitation")
                done(error if isinstance(error, Overloaded) else NotInvited())

            self._passwords.check(recipient, Claim(NOBODY, code, None), checked, is_login=False)

    def registered(self, name: str, password_hash: bytes, code: str) -> AccountRegistered | InvitedRegistered:
        """Return the change that makes an account, for a client that was admitted with this code."""
        at = self._now()
        if self.registration is not Registration.INVITE:
            return AccountRegistered(name, password_hash, at)
        return InvitedRegistered(name, password_hash, at, digest(code))

    # ---- changes ----

    def apply_made(self, change: InvitationMade) -> Undo:
        """Keep a new code. Those that have lapsed are dropped."""
        before = self._ends
        valid = {code: ends for code, ends in before.items() if ends > change.at}
        if len(valid) >= MAX_INVITATIONS:
            raise LimitReached
        self._ends = {**valid, change.code: change.ends}
        return lambda: setattr(self, "_ends", before)

    def apply_registered(self, change: InvitedRegistered) -> Undo:
        """Make an account, and use up its code.

        Raises:
            NotInvited: the code has been used or has lapsed meanwhile.
            NameTaken, LimitReached: as for any account.
        """
        ends = self._ends.get(change.invitation, 0.0)
        if ends <= change.at:
            raise NotInvited
        remove = self._users.apply_registered(change)
        del self._ends[change.invitation]

        def undo() -> None:
            self._ends[change.invitation] = ends
            remove()

        return undo


def digest(code: str) -> str:
    """Return the digest of a code; whether it is typed in small or capital letters does not matter."""
    import hashlib  # most servers need none

    return hashlib.sha256(code.lower().encode(errors="replace")).hexdigest()
