"""Users: accounts, guests, logged-in users, and taken names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    HostKeyMade,
    InvitedRegistered,
    MailboxOpened,
    Marked,
    PasswordChanged,
    Undo,
)
from domain.errors import AlreadyLoggedIn, ChatError, HasMail, LimitReached, NameTaken, NoSuchUser, NotAName, Unchanged
from domain.interfaces import Outside
from domain.masks import fold
from domain.names import SERVICES, is_name
from domain.presence import Presence
from domain.sessions import Clients, ClientSession
from domain.state import NO_TOKENS, Account, Guest, Limits, User, Visitor
from domain.watchers import UserWatchers


class Users:
    """All users and their names: accounts, guests, and logged-in users.

    Args:
        limits: the limits.
        outside: observers of channels.
        presence: told of logins and their ends.
        reserved: names that no new user can have.

    Attributes:
        watchers: told of names and logins.
    """

    def __init__(self, limits: Limits, outside: Outside, presence: Presence, reserved: Collection[str] = ()) -> None:
        self.accounts: dict[str, Account] = {}
        self.by_id: dict[str, Account] = {}
        self.guests: dict[str, Guest] = {}
        self.online: dict[str, User] = {}
        self.room_guest_names: Counter[str] = Counter()
        """Names of the guests of channels, and how many guests have each."""
        self.watchers = UserWatchers()
        self.limits = limits
        self.host_key = b""
        """The key under which guests get hosts; b"" before the first one has needed it."""
        self._outside = outside
        self._reserved = reserved
        self.operators: Collection[str] = ()
        """Names of accounts with the operator's rights on IRC; the operator alone can make these (P36)."""
        self._visitors = 0
        self.presence = presence
        self._account_names: list[str] | None = None
        self._online_names: list[str] | None = None
        self._sorted_online_names: list[str] | None = None

    # ---- names ----

    def online_names(self) -> Sequence[str]:
        """Return the names of all logged-in accounts and guests, in the order of their logins.

        It is the same list until that changes.
        """
        if self._online_names is None:
            self._online_names = list(self.online)
        return self._online_names

    def sorted_online_names(self) -> Sequence[str]:
        """Return the names of all logged-in accounts and guests, sorted: the same list until that changes."""
        if self._sorted_online_names is None:
            self._sorted_online_names = sorted(self.online)
        return self._sorted_online_names

    def account_names(self) -> Sequence[str]:
        """Return the names of all accounts, in the order of their creation.

        It is the same list until that changes, so slow readers do not each hold a copy.
        """
        if self._account_names is None:
            self._account_names = list(self.accounts)
        return self._account_names

    def may_name(self, word: str) -> bool:
        """Tell whether a new account or guest of any kind can have this name, if it is free (rules C30, C33, C35 and
        I13)."""
        return self.can_be_account(word) and (word not in self.operators or word in self.accounts)

    def can_be_account(self, word: str) -> bool:
        """Tell whether the operator can make an account of this name, if it is free (P32)."""
        if word in self._reserved or word.lower() in SERVICES:
            return False
        return is_name(word, self.limits.name)

    def is_users(self, name: str) -> bool:
        """Tell whether a name is an account's or a logged-in guest's."""
        return name in self.accounts or name in self.guests

    def is_taken(self, name: str) -> bool:
        """Tell whether a user or a guest of a channel has this name, so that no new account can have it."""
        return self.is_users(name) or name in self.room_guest_names

    def _note_login(self, name: str, *, is_online: bool) -> None:
        self._forget_lists()
        self.watchers.note_login(name, is_online=is_online)

    # ---- logins ----

    def enter_as_guest(self, recipient: ClientSession, name: str) -> None:
        """Log a session in under a name that it holds until it logs out.

        Raises:
            AlreadyLoggedIn, NotAName, NameTaken, LimitReached: the first that applies.
        """
        if recipient.principal is not None:
            raise AlreadyLoggedIn
        if not self.may_name(name):
            raise NotAName
        if self.is_taken(name):
            raise NameTaken
        if len(self.guests) - self._visitors >= self.limits.guests:
            raise LimitReached("max-users")
        self.add_guest(Guest(name, recipient))

    def add_guest(self, guest: Guest) -> None:
        """Log the session of a guest in; the guest's name is free."""
        assert guest.session is not None
        guest.session.principal = self.guests[guest.name] = self.online[guest.name] = guest
        self._visitors += isinstance(guest, Visitor)
        self.watchers.note_name(guest.name, taken=True)
        self._note_login(guest.name, is_online=True)

    def rename_guest(self, guest: Guest, name: str) -> None:
        """Give a guest another name, which is free. The guest becomes the last in the list of logged-in users."""
        if self.guests.get(guest.name) is guest:  # it may have logged out meanwhile
            del self.guests[guest.name], self.online[guest.name]
            self.guests[name] = self.online[name] = guest
            self.watchers.note_name(guest.name, taken=False)
            self.watchers.note_name(name, taken=True)
            if fold(name) != fold(guest.name):  # another case is another name for no client of IRC
                self._note_login(guest.name, is_online=False)
                self._note_login(name, is_online=True)
            self._forget_lists()
        guest.name = name

    def enter(self, recipient: ClientSession, account: Account) -> None:
        """Log a session in to an account. It is online from the login of its first client on."""
        recipient.principal = account
        is_first = account.session is None
        account.add_session(recipient)
        for channel in account.channels.values():
            channel.here += is_first
            channel.subscribe(recipient)
        self._outside.logged_in(account)
        if not is_first:
            return
        self.online[account.name] = account
        self._note_login(account.name, is_online=True)
        self.presence.logged_in(account.name, online=True, channels=account.channels.values(), own=(recipient,))

    def logout(self, recipient: ClientSession) -> None:
        """Log a session out: a guest's name is free, an account's memberships stay. No-op without a login.

        An account is online until its last client is logged out.
        """
        user: User | None = recipient.principal
        if user is None:
            return
        recipient.principal = None
        self.presence.unwatch(recipient)
        if isinstance(user, Guest):
            self._is_offline(user)
            del self.guests[user.name]
            self.watchers.note_name(user.name, taken=False)
            if isinstance(user, Visitor):
                self._visitors -= 1
                user.departed()
            return
        user.remove_session(recipient)
        for channel in user.channels.values():
            channel.unsubscribe(recipient)
        if user.session is None:
            self._is_offline(user)
            for channel in user.channels.values():
                channel.here -= 1
                self._outside.observer.vacated(channel)
            self.presence.logged_in(user.name, online=False, channels=user.channels.values())

    def _is_offline(self, user: User) -> None:
        del self.online[user.name]
        self._note_login(user.name, is_online=False)

    def words_changed(self, recipient: ClientSession) -> None:
        """A session gets other words for events from now on."""
        user: User | None = recipient.principal
        if isinstance(user, Account):
            for channel in user.channels.values():
                channel.audiences = None

    def _forget_lists(self) -> None:
        """Drop the lists of who is online: that has changed."""
        self._online_names = self._sorted_online_names = None

    def session(self, name: str) -> Clients | None:
        """Return what reaches all clients of a user; None if the user is not logged in."""
        user = self.online.get(name)
        return None if user is None else user.session

    def account(self, name: str) -> Account:
        """Return the account of this name.

        Raises:
            NoSuchUser: no account has it.
        """
        account = self.accounts.get(name)
        if account is None:
            raise NoSuchUser
        return account

    def owner(self, account_id: str) -> Account:
        """Return the account with this ID.

        Raises:
            NoSuchUser: no account has this ID.
        """
        try:
            return self.by_id[account_id]
        except KeyError:
            raise NoSuchUser from None

    # ---- changes ----

    def apply_registered(self, change: AccountRegistered | InvitedRegistered) -> Undo:
        visitor = self.guests.get(change.name)
        if isinstance(visitor, Visitor) and visitor.registering is change.password_hash:
            return self._become_account(visitor, change)
        account = self._add_account(change.name, change.password_hash)
        return lambda: self._remove_account(account)

    def _become_account(self, visitor: Visitor, change: AccountRegistered | InvitedRegistered) -> Undo:
        """Have a visitor be the account that it has registered; its memberships follow (`Channels.add`)."""
        session = visitor.session
        assert session is not None
        del self.guests[visitor.name]
        try:
            account = self._add_account(change.name, change.password_hash)
        except ChatError:
            self.guests[visitor.name] = visitor
            raise
        self._visitors -= 1
        self.online[account.name] = session.principal = account
        account.add_session(session)

        def undo() -> None:
            self._remove_account(account)
            self._visitors += 1
            self.guests[visitor.name] = self.online[visitor.name] = session.principal = visitor
            self.watchers.note_name(visitor.name, taken=True)

        return undo

    def apply_opened(self, change: MailboxOpened) -> Undo:
        account = self._add_account(change.name, None, change.id)
        return lambda: self._remove_account(account)

    def apply_deleted(self, change: AccountDeleted) -> Undo:
        account = self.owner(change.id)
        if account.mail:
            raise HasMail
        return self.remove(account)

    def remove(self, account: Account) -> Undo:
        """Remove an account."""
        place = [*self.accounts].index(account.name)
        self._remove_account(account)

        def undo() -> None:
            accounts = [*self.accounts.items()]
            accounts.insert(place, (account.name, account))
            self.accounts = dict(accounts)
            if account.id:
                self.by_id[account.id] = account
            self._account_names = None
            self.watchers.note_name(account.name, taken=True)

        return undo

    def apply_password(self, change: PasswordChanged) -> Undo:
        account = self.account(change.name)
        old, tokens = account.password_hash, account.tokens
        account.password_hash, account.tokens = change.password_hash, NO_TOKENS

        def undo() -> None:
            account.password_hash, account.tokens = old, tokens

        return undo

    def apply_marked(self, change: Marked) -> None:
        """Accept a read marker; the backend alone has these."""
        self.account(change.account)

    def apply_host_key(self, change: HostKeyMade) -> Undo:
        if self.host_key:
            raise Unchanged
        self.host_key = change.key
        return lambda: setattr(self, "host_key", b"")

    def _add_account(self, name: str, password_hash: bytes | None, account_id: str = "") -> Account:
        if self.is_taken(name) or account_id in self.by_id:
            raise NameTaken
        if len(self.accounts) >= self.limits.accounts:
            raise LimitReached("max-accounts")
        self._account_names = None
        account = self.accounts[name] = Account(name, password_hash, account_id)
        if account_id:
            self.by_id[account_id] = account
        self.watchers.note_name(name, taken=True)
        return account

    def _remove_account(self, account: Account) -> None:
        del self.accounts[account.name]
        self.by_id.pop(account.id, None)
        self._account_names = None
        self.watchers.note_name(account.name, taken=False)
