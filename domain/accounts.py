"""Accounts: creation, passwords, IDs, deletion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    ChatError,
    LimitReached,
    NameTaken,
    NotAName,
    NotAPassword,
    Overloaded,
    RegistrationClosed,
    WrongPassword,
)
from domain.events import AccountGone
from domain.interfaces import Claim, Passwords, RateLimit
from domain.invitations import Invitations, Registration
from domain.journal import Journal
from domain.logins import Logins
from domain.sessions import ClientSession
from domain.state import Visitor
from domain.tokens import is_token
from domain.users import Users

FAILED_PASSWORD = "failed-password"
"""The reason in the log of limits for a wrong old password."""


class Accounts:
    """Requests about accounts: creation, passwords, deletion.

    Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.

    Args:
        users: all users.
        journal: takes changes.
        passwords: hashes and checks.
        now: the wall clock, in seconds since the epoch.
        make_id: makes the ID of an account without a password from its name.
        rate_limit: how many accounts one address may make.
        logins: of all accounts.

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
        logins: Logins,
    ) -> None:
        self._logins = logins
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
                self._logins.take_over(recipient, account)
            done(error)

        self._make_account(recipient.address, opened, decided)
        return opened.id

    def delete(self, recipient: ClientSession, account_id: str, done: Done) -> None:
        """Delete the account with this ID. Its session is logged out, and closed if it is not the one that asks.

        Fails with NoSuchUser, KeptOut, HasMail, StoreUnavailable.
        """
        try:
            account = self._logins.owner(recipient, account_id)
        except ChatError as error:
            done(error)
            return

        def decided(error: Exception | None) -> None:
            if error is None:
                self._logins.end_sessions(account, AccountGone(account.name), keep=recipient)
                if recipient.principal is account:
                    self._users.logout(recipient)
            done(error)

        self._journal.submit(AccountDeleted(account.name, account.id), decided)
