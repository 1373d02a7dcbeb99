"""The operator's requests about accounts: register, reset a password, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.accounts import Accounts
from domain.changes import AccountRegistered, AccountRemoved, Done, PasswordChanged, Undo
from domain.channels import Channels
from domain.errors import HasNoPassword, NameTaken, NoSuchUser, NotAName
from domain.events import AccountGone, WentOut
from domain.interfaces import Outside
from domain.journal import Journal
from domain.logins import Logins
from domain.names import HOST_OF_CHANNEL
from domain.sessions import ClientSession
from domain.state import Account, Channel
from domain.users import Users

DELETED = "its account has been deleted"
"""The reason that others in its channels get when the operator has deleted an account."""


class Administration:
    """The operator's requests about accounts.

    Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.

    Args:
        users: all users.
        accounts: hashes their passwords.
        logins: ends their sessions.
        channels: all channels.
        journal: takes changes.
        outside: other servers.
        now: the wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        users: Users,
        accounts: Accounts,
        logins: Logins,
        channels: Channels,
        journal: Journal,
        outside: Outside,
        now: Callable[[], float],
    ) -> None:
        self._users = users
        self._accounts = accounts
        self._logins = logins
        self._channels = channels
        self._journal = journal
        self._outside = outside
        self._now = now
        self._removed: dict[str, tuple[Account, list[Channel]]] = {}
        """Accounts whose removal is not published yet, and the channels that they were in."""

    def register(self, operator: ClientSession, name: str, password: str, done: Done) -> None:
        """Make an account, whatever the settings say of who may. Fails with NotAName, NameTaken, LimitReached,
        Overloaded, StoreUnavailable."""
        if not self._users.can_be_account(name):
            done(NotAName())
        elif self._users.is_taken(name):
            done(NameTaken())
        else:

            def make(password_hash: bytes) -> None:
                self._journal.submit(AccountRegistered(name, password_hash, self._now()), done)

            self._accounts.hash(operator, password, make, done)

    def reset_password(self, operator: ClientSession, name: str, password: str, farewell: Any, done: Done) -> None:
        """Set the password of an account, and close its clients, which are told an event. Fails with NoSuchUser,
        HasNoPassword, Overloaded, StoreUnavailable."""
        account = self._users.accounts.get(name)
        if account is None or account.password_hash is None:
            done(NoSuchUser() if account is None else HasNoPassword())
            return

        def reset(error: Exception | None) -> None:
            if error is None:
                self._logins.end_sessions(account, farewell)
            done(error)

        def change(password_hash: bytes) -> None:
            self._journal.submit(PasswordChanged(name, password_hash), reset)

        self._accounts.hash(operator, password, change, done)

    def remove_account(self, name: str, farewell: Any, done: Done) -> None:
        """Delete an account with its memberships and its mail, and close its clients, which are told an event.

        Its messages stay in the channels. Fails with NoSuchUser, StoreUnavailable; then nothing has changed.
        """
        account = self._users.accounts.get(name)
        if account is None:
            done(NoSuchUser())
            return

        def removed(error: Exception | None) -> None:
            if error is None:
                for session in account.sessions:
                    session.deliver(farewell)
                self._logins.end_sessions(account, AccountGone(name))
            done(error)

        self._journal.submit(AccountRemoved(name), removed)

    # ---- changes ----

    def apply_account_removed(self, change: AccountRemoved) -> Undo:
        account = self._users.account(change.name)
        channels = list(account.channels.values())
        undos = [self._channels.remove(account, channel.name) for channel in channels]
        undos += [self._channels.forget_account(change.name), self._users.remove(account)]
        self._removed[change.name] = account, channels

        def undo() -> None:
            for undo_one in reversed(undos):
                undo_one()

        return undo

    def tell_account_removed(self, change: AccountRemoved) -> None:
        """End what the account had in channels, here and on other servers."""
        account, channels = self._removed.pop(change.name)
        if account.session is not None:
            self._users.presence.changed(account.name, online=False, channels=channels, own=account.sessions)
        for channel in channels:
            if channel.capacity is not None and account.session is not None:
                self._outside.observer.left(channel, account.name)
            for session in account.sessions:
                channel.unsubscribe(session)
            self._users.presence.tell_followers(WentOut(account.name, channel.name, DELETED), (channel,))
            self._outside.observer.vacated(channel)
            if HOST_OF_CHANNEL in channel.name:
                self._outside.servers.left(account.name, channel.name)
