"""Logins: the proof of an account by password, token or ID, and the end of its sessions."""

from __future__ import annotations

from typing import Any

from domain.bans import BANNED, Bans
from domain.changes import Done
from domain.errors import AlreadyLoggedIn, KeptOut, NoSuchUser, WrongPassword
from domain.events import LoggedInElsewhere, MailWaiting
from domain.interfaces import Claim, Passwords
from domain.names import MAX_NAME, is_name
from domain.sessions import ClientSession
from domain.state import Account
from domain.tokens import Tokens
from domain.users import Users

FAILED_LOGIN = "failed-login"
"""The reason in the log of limits for a wrong name, password, token or ID at a login."""


class Logins:
    """Logins to accounts with a password, a token or an ID, and their ends.

    Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.

    Args:
        users: all users.
        passwords: checks them.
        tokens: of all accounts.
        bans: those of the operator.

    Attributes:
        failed: how many have failed, for statistics.
    """

    def __init__(self, users: Users, passwords: Passwords, tokens: Tokens, bans: Bans) -> None:
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._bans = bans
        self.failed = 0

    def login(self, recipient: ClientSession, name: str, password: str, done: Done, *, alongside: bool = False) -> None:
        """Log a session in. Fails with AlreadyLoggedIn, WrongPassword, KeptOut (C71), Overloaded.

        With the right password of an account that is logged in, its clients are probed: their machines may be gone
        (R50).

        Args:
            recipient: the session.
            name: the account's.
            password: as it was given.
            done: takes the outcome.
            alongside: the account may be logged in at other clients, which stay.
        """
        if recipient.principal is not None:
            done(AlreadyLoggedIn())
            return

        def verified(error: Exception | None) -> None:
            account = self._users.accounts.get(name)
            if error is not None or account is None:
                done(error)
            elif account.session is not None and not alongside:
                account.session.probe()
                done(AlreadyLoggedIn())
            elif recipient.over:
                done(AlreadyLoggedIn())
            else:
                self._users.enter(recipient, account)
                done(None)
                if account.mail:
                    recipient.deliver(MailWaiting())

        self.verify(recipient, name, password, verified)

    def verify(self, recipient: ClientSession, name: str, password: str, done: Done) -> None:
        """Check the password of an account, and that it is not banned. Fails with WrongPassword, KeptOut, Overloaded.

        A name without an account is checked as slowly as a wrong password, so that the time does not tell them apart.
        """
        account = self._users.accounts.get(name)
        password_hash = account.password_hash if account else None

        def checked(error: Exception | None) -> None:
            if error is None and (account is None or account.password_hash != password_hash):
                error = WrongPassword()
            if isinstance(error, WrongPassword):
                self.failed += 1
                recipient.report_limit(FAILED_LOGIN, "name=%s", _loggable(name))
            done(error or self._ban_error(recipient, name))

        self._passwords.check(recipient, Claim(name, password, password_hash), checked, is_login=True)

    def verify_token(self, recipient: ClientSession, name: str, token: str) -> str:
        """Check a token of an account; return its digest. No password is hashed for a wrong one.

        Raises:
            WrongPassword: it is not valid.
            KeptOut: the account is banned (C71).
        """
        try:
            digest = self._tokens.find(name, token)
        except WrongPassword:
            self.failed += 1
            recipient.report_limit(FAILED_LOGIN, "name=%s (by token)", _loggable(name))
            raise
        if (ban := self._ban_error(recipient, name)) is not None:
            raise ban
        return digest

    def login_by_id(self, recipient: ClientSession, account_id: str) -> str:
        """Log a session in to the account with an ID; return the account's name.

        The session leaves any other account. The account's older session is told, and closed.

        Raises:
            NoSuchUser: no account has this ID.
            KeptOut: it is banned (C71).
        """
        try:
            account = self.owner(recipient, account_id)
        except NoSuchUser:
            self.failed += 1
            recipient.report_limit(FAILED_LOGIN, "(by ID)")  # which may be right but for a slip, so it is not shown
            raise
        self.take_over(recipient, account)
        return account.name

    def owner(self, recipient: ClientSession, account_id: str) -> Account:
        """Return the account with this ID, for a session that shows it.

        Raises:
            NoSuchUser: no account has this ID.
            KeptOut: it is banned, or the session's address is (C71).
        """
        account = self._users.owner(account_id)
        if (ban := self._ban_error(recipient, account.name)) is not None:
            raise ban
        return account

    def take_over(self, recipient: ClientSession, account: Account) -> None:
        """Log a session in to an account, and out of any other. Other clients of the account are told, and closed."""
        if recipient.principal is account:
            return
        self._users.logout(recipient)
        self.end_sessions(account, LoggedInElsewhere(account.name))
        self._users.enter(recipient, account)

    def _ban_error(self, recipient: ClientSession, name: str) -> KeptOut | None:
        """Return the error of a login that a ban of the operator forbids; None for any other."""
        if self._bans.of_login(name, recipient.address) is None:
            return None
        recipient.report_limit(BANNED, "name=%s", _loggable(name))
        return KeptOut()

    def session_over(self, recipient: ClientSession) -> None:
        """Log out a session that is over, and drop the work that waits for it."""
        self._passwords.forget(recipient)
        self._users.logout(recipient)

    def end_sessions(self, account: Account, event: Any, keep: ClientSession | None = None) -> None:
        """Log out the clients of an account, after they have been told an event, and close them.

        Args:
            account: the account.
            event: why.
            keep: a session that is left as it is.
        """
        for session in account.sessions:
            if session is not keep:
                session.deliver(event)
                self._users.logout(session)
                session.end()


def _loggable(name: str) -> str:
    """Return a word in a form for the log: no control characters, and MAX_NAME characters of it at most."""
    return name if is_name(name) else ascii(name[:MAX_NAME])
