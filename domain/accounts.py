"""Accounts: creation, login, passwords and IDs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from domain.bans import Bans
from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    Done,
    InvitedRegistered,
    Joined,
    MailboxOpened,
    PasswordChanged,
    RankGiven,
    ignore,
)
from domain.errors import (
    AlreadyLoggedIn,
    ChatError,
    KeptOut,
    LimitReached,
    NameTaken,
    NoSuchUser,
    NotAName,
    NotAPassword,
    Overloaded,
    RegistrationClosed,
    WrongPassword,
)
from domain.events import AccountGone, LoggedInElsewhere, MailWaiting
from domain.interfaces import Claim, Passwords, RateLimit
from domain.invitations import Invitations, Registration
from domain.journal import Journal
from domain.names import MAX_NAME, is_name
from domain.sessions import ClientSession
from domain.state import Account, Visitor
from domain.tokens import Tokens, is_token
from domain.users import Users

FAILED_LOGIN = "failed-login"
FAILED_PASSWORD = "failed-password"
BANNED = "ban"
"""Reasons in the log of limits: a wrong name, password or ID at a login, a wrong old password, and a ban."""


class Accounts:
    """Requests about accounts: creation, login, passwords, deletion.

    Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.

    Args:
        users: all users.
        journal: takes changes.
        passwords: hashes and checks.
        now: the wall clock, in seconds since the epoch.
        make_id: makes the ID of an account without a password from its name.
        rate_limit: how many accounts one address may make.
        tokens: of all accounts.
        bans: those of the operator.

    Attributes:
        invitations: who may make an account, and the codes that are valid.
    """

    def __init__(
        self,
        users: Users,
        journal: Journal,
        passwords: Passwords,
        now: Callable[[], float],
        make_id: Callable[[str], str],
        rate_limit: RateLimit,
        tokens: Tokens,
        bans: Bans,
    ) -> None:
        self._tokens = tokens
        self._bans = bans
        self.failed_logins = 0
        self.invitations = Invitations(users, journal, passwords, now)
        self._users = users
        self._journal = journal
        self._passwords = passwords
        self._now = now
        self.make_id = make_id
        self._rate_limit = rate_limit

    # ---- with a password ----

    def register(self, recipient: ClientSession, name: str, password: str, done: Done, invitation: str = "") -> None:
        """Make an account. Fails with NotAName, NameTaken, LimitReached, RegistrationClosed, NotInvited, Overloaded,
        StoreUnavailable.

        LimitReached is also for an address that makes accounts too fast (C42).

        Args:
            recipient: the session that asks.
            name: of the account.
            password: of the account.
            done: takes the outcome.
            invitation: a code, which counts only where the settings ask for one (C57).
        """
        address = recipient.address
        if not self._users.may_name(name):
            done(NotAName())
        elif (reason := self._why_no_account(address, name)) is not None:
            done(reason)
        else:

            def make(password_hash: bytes) -> None:
                self._make_account(address, self.invitations.registered(name, password_hash, invitation), done)

            self.invitations.admit(recipient, invitation, lambda: self.hash(recipient, password, make, done), done)

    def register_visitor(self, visitor: Visitor, password: str, done: Done, invitation: str = "") -> None:
        """Make an account of a visitor that is logged in. Its login stays; its memberships and ranks become durable.

        Fails with LimitReached, RegistrationClosed, NotInvited, Overloaded, StoreUnavailable, as `register` does.
        """
        session, name = visitor.session, visitor.name
        assert session is not None

        def make(password_hash: bytes) -> None:
            visitor.registering, at = password_hash, self._now()
            memberships = [Joined(name, channel, at, "", visitor.since[channel]) for channel in visitor.channels]
            ranks = [
                RankGiven(channel.name, name, rank, True, name, at)
                for channel in visitor.channels.values()
                for rank in channel.rank(name)
            ]
            self._make_account(
                session.address,
                self.invitations.registered(name, password_hash, invitation),
                done,
                [*memberships, *ranks],
            )

        if self._rate_limit.allows(session.address):
            self.invitations.admit(session, invitation, lambda: self.hash(session, password, make, done), done)
        else:
            done(LimitReached("max-registrations"))

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
                self.failed_logins += 1
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
            self.failed_logins += 1
            recipient.report_limit(FAILED_LOGIN, "name=%s (by token)", _loggable(name))
            raise
        if (ban := self._ban_error(recipient, name)) is not None:
            raise ban
        return digest

    def change_password(self, recipient: ClientSession, old: str, new: str, done: Done) -> None:
        """Set a new password for the account of a session that is logged in with one.

        Fails with WrongPassword, Overloaded, StoreUnavailable.
        """
        account = recipient.principal

        def checked(error: Exception | None) -> None:
            if isinstance(error, WrongPassword):
                recipient.report_limit(FAILED_PASSWORD, "name=%s", account.name)
            if error is None and not recipient.over:
                self.hash(recipient, new, change, done)
            else:
                done(error)

        def change(password_hash: bytes) -> None:
            self._journal.submit(PasswordChanged(account.name, password_hash), done)

        self._passwords.check(recipient, Claim(account.name, old, account.password_hash), checked, is_login=False)

    def hash(self, recipient: ClientSession, password: str, then: Callable[[bytes], None], done: Done) -> None:
        """Hash a password for a session, and call `then`; or call `done` with NotAPassword or Overloaded."""
        if is_token(password):
            done(NotAPassword())
            return

        def hashed(password_hash: bytes | None) -> None:
            if password_hash is None:
                done(Overloaded())
            else:
                then(password_hash)

        self._passwords.hash(recipient, password, hashed)

    def session_over(self, recipient: ClientSession) -> None:
        """Log out a session that is over, and drop the work that waits for it."""
        self._passwords.forget(recipient)
        self._users.logout(recipient)

    def _why_no_account(self, address: str, name: str) -> ChatError | None:
        """Return the error that now forbids an account of this name; None if it may be made."""
        if self._users.is_taken(name):
            return NameTaken()
        return None if self._rate_limit.allows(address) else LimitReached("max-registrations")

    def _make_account(
        self,
        address: str,
        change: AccountRegistered | InvitedRegistered | MailboxOpened,
        done: Done,
        brought: Sequence[Joined | RankGiven] = (),
    ) -> None:
        """Submit a change that makes an account, if the address may make one; it counts when that succeeds.

        Args:
            address: the client's.
            change: makes the account.
            done: takes the outcome.
            brought: the memberships and ranks of the new account.
        """

        def decided(error: Exception | None) -> None:
            if error is not None:
                self._rate_limit.give_back(address)
            done(error)

        if self._rate_limit.allows(address):
            self._rate_limit.spend(address)
            self._journal.submit(change, decided)
            for each in brought:
                self._journal.submit(each, ignore)
        else:
            done(self._why_no_account(address, change.name))

    # ---- with an ID ----

    def open_mailbox(self, recipient: ClientSession, name: str, done: Done) -> str:
        """Make an account with an ID and log the session in to it; return that ID, which is valid if this succeeds.

        Fails with RegistrationClosed, NotAName, NameTaken, LimitReached, StoreUnavailable; LimitReached as in
        `register`. An invitation does not help: this way to make an account has no place for it.
        """
        if self.invitations.registration is not Registration.OPEN:
            done(RegistrationClosed())
            return ""
        if not self._users.may_name(name):
            done(NotAName())
            return ""
        opened = MailboxOpened(name, self.make_id(name), self._now())

        def decided(error: Exception | None) -> None:
            account = self._users.by_id.get(opened.id)
            if error is None and recipient.over:
                self._journal.submit(AccountDeleted(name, opened.id), ignore)  # its ID has not been sent
            elif error is None and account is not None:  # it may have been deleted in the same commit
                self._take_over(recipient, account)
            done(error)

        self._make_account(recipient.address, opened, decided)
        return opened.id

    def login_by_id(self, recipient: ClientSession, account_id: str) -> str:
        """Log a session in, out of where it was; return the account's name. An older session of the account is told and
        closed.

        Raises:
            NoSuchUser: no account has this ID.
            KeptOut: it is banned (C71).
        """
        try:
            account = self.owner(recipient, account_id)
        except NoSuchUser:
            self.failed_logins += 1
            recipient.report_limit(FAILED_LOGIN, "(by ID)")  # which may be right but for a slip, so it is not shown
            raise
        self._take_over(recipient, account)
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

    def _ban_error(self, recipient: ClientSession, name: str) -> KeptOut | None:
        """Return the error of a login that a ban of the operator forbids; None for any other."""
        if self._bans.of_login(name, recipient.address) is None:
            return None
        recipient.report_limit(BANNED, "name=%s", _loggable(name))
        return KeptOut()

    def delete(self, recipient: ClientSession, account_id: str, done: Done) -> None:
        """Delete the account with this ID. Its session is logged out, and closed if it is not the one that asks.

        Fails with NoSuchUser, KeptOut, HasMail, StoreUnavailable.
        """
        try:
            account = self.owner(recipient, account_id)
        except ChatError as error:
            done(error)
            return

        def decided(error: Exception | None) -> None:
            if error is None:
                self.end_sessions(account, AccountGone(account.name), keep=recipient)
                if recipient.principal is account:
                    self._users.logout(recipient)
            done(error)

        self._journal.submit(AccountDeleted(account.name, account.id), decided)

    def _take_over(self, recipient: ClientSession, account: Account) -> None:
        if recipient.principal is account:
            return
        self._users.logout(recipient)
        self.end_sessions(account, LoggedInElsewhere(account.name))
        self._users.enter(recipient, account)

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
