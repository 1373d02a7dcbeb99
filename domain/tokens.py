"""Tokens: random words by which a program logs in to an account again, without the password (W12).

Only a digest of a token is kept. A token has so many random bits that a fast hash is enough. So a hundred programs
that reconnect after a restart cost no password hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from domain.changes import Done, TokenDropped, TokenMade, Undo
from domain.errors import NoSuchUser, WrongPassword
from domain.journal import Journal
from domain.state import NO_TOKENS, Account, Token
from domain.users import Users

PREFIX = "ct1_"
"""Begins every token, and no password."""

MAX_TOKENS = 8
"""Tokens of one kind that an account has; one more takes the place of the oldest."""

DAY = 24 * 3600.0
LASTING_SECONDS = 90 * DAY
TAB_SECONDS = DAY
"""How long a lasting token is valid, and one for a tab of a browser, in seconds."""


class Issued(NamedTuple):
    """A new token, and when it lapses, in seconds since the epoch."""

    token: str
    ends: float


class Tokens:
    """Makes, checks and ends tokens.

    Args:
        users: all users, whose accounts have the digests.
        journal: takes changes.
        now: the wall clock, in seconds since the epoch.
        make_secret: makes 32 random bytes in 43 characters.
    """

    def __init__(
        self, users: Users, journal: Journal, now: Callable[[], float], make_secret: Callable[[], str]
    ) -> None:
        self._users = users
        self._journal = journal
        self._now = now
        self._make_secret = make_secret

    def find(self, name: str, token: str) -> str:
        """Return the digest of a valid token of an account.

        Raises:
            WrongPassword: there is no such account, or the token is not one of its own, or has lapsed.
        """
        account, digest = self._users.accounts.get(name), digest_of(token)
        found = account.tokens.get(digest) if account is not None else None
        if found is None or found.ends <= self._now():
            raise WrongPassword
        return digest

    def make(self, account: Account, replaced: str, done: Done, *, lasts: bool = False) -> Issued:
        """Make a token; return it, which is valid if this succeeds. Fails with NoSuchUser, StoreUnavailable.

        Args:
            account: whose it is.
            replaced: the digest of a token whose place it takes, with its kind and its end; "" for none.
            done: takes the outcome.
            lasts: whether it is a lasting one, not one for a tab of a browser.
        """
        now, old = self._now(), account.tokens.get(replaced)
        if old is None:
            old = Token(lasts, now + (LASTING_SECONDS if lasts else TAB_SECONDS))
        token = PREFIX + self._make_secret()
        self._journal.submit(TokenMade(account.name, digest_of(token), old.lasts, old.ends, now, replaced), done)
        return Issued(token, old.ends)

    def drop(self, account: Account, digest: str, done: Done) -> None:
        """End a token, or all of an account's ("")."""
        self._journal.submit(TokenDropped(account.name, digest), done)

    # ---- changes ----

    def apply_made(self, change: TokenMade) -> Undo:
        """Keep a new token. Those that have lapsed are dropped, and the oldest of its kind where there are too many."""
        account = self._users.account(change.account)
        before = account.tokens
        kept = {
            digest: token for digest, token in before.items() if token.ends > change.at and digest != change.replaced
        }
        alike = [digest for digest, token in kept.items() if token.lasts == change.lasts]
        for digest in alike[: max(0, len(alike) + 1 - MAX_TOKENS)]:
            del kept[digest]
        account.tokens = {**kept, change.digest: Token(bool(change.lasts), change.ends)}
        return lambda: setattr(account, "tokens", before)

    def apply_dropped(self, change: TokenDropped) -> Undo | None:
        """End a token, or all of an account's."""
        account = self._users.accounts.get(change.account)
        if account is None:
            raise NoSuchUser
        if not change.digest:
            return self.end_all(change.account)
        before = account.tokens
        account.tokens = {digest: token for digest, token in before.items() if digest != change.digest}
        return lambda: setattr(account, "tokens", before)

    def end_all(self, name: str) -> Undo:
        """End all tokens of an account here, if there is one of this name; return the undo."""
        account = self._users.accounts.get(name)
        if account is None:
            return lambda: None
        before, account.tokens = account.tokens, NO_TOKENS
        return lambda: setattr(account, "tokens", before)


def is_token(secret: str) -> bool:
    """Tell whether a secret has the form of a token, which no password has."""
    return secret.startswith(PREFIX)


def digest_of(token: str) -> str:
    """Return the digest of a token."""
    import hashlib  # most servers need none

    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
