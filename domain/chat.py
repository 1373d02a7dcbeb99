"""The rules of the domain: accounts, guests, channels, who is in them and who is there. It speaks no wire and no SQL.

Every change is a plain value (changes.Change). A method that wants one hands it to the journal; the journal comes back
to `Chat.apply` when it is the change's turn, and there it is decided: applied to the state, or refused with a
`ChatError`. When it is on disk, `Chat.publish` tells everyone concerned. So nobody is told what could still be lost,
and what two people ask for at once is decided in one order.

Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    Change,
    ChannelCreated,
    Done,
    Joined,
    Left,
    MailboxOpened,
    MailDelivered,
    Mailed,
    MembershipsDated,
    Outcome,
    PasswordChanged,
    PeerNamed,
    RemoteJoined,
    RemoteLeft,
    Said,
    Undo,
)
from domain.errors import (
    AlreadyLoggedIn,
    AlreadyMember,
    BeingCollected,
    ChannelFull,
    ChatError,
    HasMail,
    IsOnline,
    LimitReached,
    NameTaken,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotAName,
    Overloaded,
    WrongPassword,
)
from domain.events import AccountGone, ChannelMessages, DirectEcho, DirectMessage, LoggedInElsewhere, MailWaiting
from domain.interfaces import Backend, Claim, Network, Pace, Passwords, Watch
from domain.journal import Journal
from domain.names import HOST_OF_CHANNEL, HOST_OF_USER, MAX_NAME, classic_id, is_name
from domain.sessions import Hearer, Recipient
from domain.state import (
    NO_LIMITS,
    Account,
    Audience,
    Channel,
    Guest,
    Letter,
    Limits,
    Member,
    RemoteChannel,
    RemoteUser,
    RoomGuest,
    SortedNames,
    User,
    WaitingMail,
)

MOST_HOSTS = 1000
"""Names of servers of the config that are kept with their identities."""

SENDERS_SHARE, HOSTS_SHARE, LEAST_SHARE = 5, 10, 20
"""Which part of the mail that may wait for an account can be one sender's, and one other server's; so many in any case.
"""

log = logging.getLogger("crosstalk.chat")


class Chat:
    """All state and all rules.

    Args:
        backend: keeps what is durable.
        passwords: hashes and checks.
        now: the wall clock, in seconds since the epoch.
        limits: how much there may be.
        make_id: makes the ID of an account without a password from its name.
        pace: how many accounts one address may make.
        reserved: names that no new user can have.
    """

    def __init__(
        self,
        backend: Backend,
        passwords: Passwords,
        now: Callable[[], float],
        limits: Limits,
        make_id: Callable[[str], str] = classic_id,
        pace: Pace | None = None,
        reserved: Collection[str] = (),
    ) -> None:
        self.accounts: dict[str, Account] = {}
        self._by_id: dict[str, Account] = {}
        self._numbers = 0
        self._names: list[str] | None = None
        self._make_id = make_id
        self._reserved = reserved
        self.guests: dict[str, Guest] = {}
        self.online: dict[str, User] = {}
        self._online_names: list[str] | None = None
        self.channels: dict[str, Channel] = {}
        self._made: Counter[str] = Counter()
        self.visitors: Counter[str] = Counter()
        """Names of the guests of channels, with how many bear each."""
        self.remote_users: dict[str, RemoteUser] = {}
        """Users of other servers who are in channels here, or on the way in: whoever deals with them enters them."""
        self.all_channels = SortedNames()
        """The names of channels here, and of those of other servers, which the network enters."""
        self.remote_channels: dict[str, RemoteChannel] = {}
        """Channels of other servers that accounts are members of."""
        self.hosts: dict[str, str] = {}
        """Names that servers of the config have borne, and their identities then (L38)."""
        self._identities: dict[str, Counter[str]] = {}
        """For each server in whose channels accounts are members the identities under which memberships began, and how
        many did."""
        self.watch = Watch()
        self.network = Network()
        self.journal = Journal(backend.write, self.apply, self.publish)
        self._backend = backend
        self._passwords = passwords
        self._now = now
        self._limits = limits
        self._pace = pace or Pace()
        self.failed_logins = 0
        self._unpublished: deque[Outcome] = deque()
        self._rules: dict[type, Callable[[Any], Undo | None]] = {
            AccountRegistered: self._apply_registered,
            MailboxOpened: self._apply_opened,
            AccountDeleted: self._apply_deleted,
            PasswordChanged: self._apply_password,
            ChannelCreated: self._apply_created,
            Joined: self._apply_joined,
            Left: self._apply_left,
            RemoteJoined: self._apply_joined,
            RemoteLeft: self._apply_left,
            Said: self._apply_said,
            Mailed: self._apply_mailed,
            MailDelivered: self._apply_mail_delivered,
            PeerNamed: self._apply_named,
            MembershipsDated: self._apply_dated,
        }

    # ---- users ----

    def user_names(self) -> Sequence[str]:
        """Give the names of all who are logged in, accounts and guests, in the order in which they logged in; the same
        list until that changes."""
        if self._online_names is None:
            self._online_names = list(self.online)
        return self._online_names

    def enter_as_guest(self, recipient: Recipient, name: str) -> None:
        """Log a session in under a name that it holds until it logs out.

        Raises:
            AlreadyLoggedIn, NotAName, NameTaken, LimitReached: it cannot be; the first that applies.
        """
        if recipient.user is not None:
            raise AlreadyLoggedIn
        if not self.may_name_a_user(name):
            raise NotAName
        if self._is_taken(name):
            raise NameTaken
        if len(self.guests) >= self._limits.guests:
            raise LimitReached
        recipient.user = self.guests[name] = self.online[name] = Guest(name, recipient)
        self._online_names = None

    def logout(self, recipient: Recipient) -> None:
        """Log a session out: a guest's name is free, an account's memberships stay. Nothing happens to one that is not
        logged in."""
        user: User | None = recipient.user
        if user is None:
            return
        recipient.user = user.session = None
        del self.online[user.name]
        self._online_names = None
        if isinstance(user, Guest):
            del self.guests[user.name]
        else:
            for channel in user.channels.values():
                self._unseat(recipient, channel)

    def session_over(self, recipient: Recipient) -> None:
        """Log out a session that is over, and drop the work that waits for it."""
        self._passwords.forget(recipient)
        self.logout(recipient)

    def account_names(self) -> Sequence[str]:
        """Give the names of all accounts in the order in which they were made; the same list until that changes, so
        that many who read it slowly hold one."""
        if self._names is None:
            self._names = list(self.accounts)
        return self._names

    def may_name_a_user(self, word: str) -> bool:
        """Tell whether a new account or guest of any kind can have this name, if it is free (rules C19, C40, C42)."""
        return is_name(word, self._limits.name) and word not in self._reserved

    def is_users(self, name: str) -> bool:
        """Tell whether a name is an account's, or is held by a guest who is logged in."""
        return name in self.accounts or name in self.guests

    def _is_taken(self, name: str) -> bool:
        return self.is_users(name) or name in self.visitors

    # ---- accounts ----

    def register(self, recipient: Recipient, name: str, password: str, done: Done) -> None:
        """Make an account. Fails with NotAName, NameTaken, LimitReached, Overloaded, StoreUnavailable.

        LimitReached is also for an address that makes accounts too fast (C47).
        """
        address = recipient.address
        if not self.may_name_a_user(name):
            done(NotAName())
        elif (reason := self._why_no_account(address, name)) is not None:
            done(reason)
        else:

            def make(password_hash: bytes) -> None:
                self._make_account(address, AccountRegistered(name, password_hash, self._now()), done)

            self._hash(recipient, password, make, done)

    def _why_no_account(self, address: str, name: str) -> ChatError | None:
        """Give what forbids an account of this name as things are; None when nothing does."""
        if self._is_taken(name):
            return NameTaken()
        return None if self._pace.allows(address) else LimitReached()

    def _make_account(self, address: str, change: AccountRegistered | MailboxOpened, done: Done) -> None:
        """Submit a change that makes an account, if the address may make one; it counts when that succeeds."""

        def decided(error: Exception | None) -> None:
            if error is not None:
                self._pace.give_back(address)
            done(error)

        if self._pace.allows(address):
            self._pace.spend(address)
            self.journal.submit(change, decided)
        else:
            done(self._why_no_account(address, change.name))

    def login(self, recipient: Recipient, name: str, password: str, done: Done) -> None:
        """Log a session in. Fails with AlreadyLoggedIn, WrongPassword, Overloaded.

        A name that nobody has is checked as slowly as a wrong password, so that the time tells nothing.
        """
        if recipient.user is not None:
            done(AlreadyLoggedIn())
            return
        account = self.accounts.get(name)
        password_hash = account.password_hash if account else None
        address = recipient.address

        def checked(error: Exception | None) -> None:
            if error is None and (account is None or account.password_hash != password_hash):
                error = WrongPassword()
            if isinstance(error, WrongPassword):
                self.failed_logins += 1
                log.warning("failed login address=%s name=%s", address, _loggable(name))
            if error is not None or account is None:
                done(error)
            elif account.session is not None or recipient.over:
                done(AlreadyLoggedIn())
            else:
                self._enter(recipient, account)
                done(None)
                if account.mail:
                    recipient.deliver(MailWaiting())

        self._passwords.check(recipient, Claim(name, password, password_hash), checked, is_login=True)

    def change_password(self, recipient: Recipient, old: str, new: str, done: Done) -> None:
        """Set a new password for the account of a session that is logged in with one.

        Fails with WrongPassword, Overloaded, StoreUnavailable.
        """
        account, address = recipient.user, recipient.address

        def checked(error: Exception | None) -> None:
            if isinstance(error, WrongPassword):
                log.warning("failed change of password address=%s name=%s", address, account.name)
            if error is None and not recipient.over:
                self._hash(recipient, new, change, done)
            else:
                done(error)

        def change(password_hash: bytes) -> None:
            self.journal.submit(PasswordChanged(account.name, password_hash), done)

        self._passwords.check(recipient, Claim(account.name, old, account.password_hash), checked, is_login=False)

    def _enter(self, recipient: Recipient, account: Account) -> None:
        recipient.user = self.online[account.name] = account
        self._online_names = None
        account.session = recipient
        for channel in account.channels.values():
            channel.present[recipient] = None

    def _hash(self, recipient: Recipient, password: str, then: Callable[[bytes], None], done: Done) -> None:
        def hashed(password_hash: bytes | None) -> None:
            if password_hash is None:
                done(Overloaded())
            else:
                then(password_hash)

        self._passwords.hash(recipient, password, hashed)

    # ---- accounts without a password ----

    def open_mailbox(self, recipient: Recipient, name: str, done: Done) -> str:
        """Make an account with an ID and log the session in to it; give the ID that it has if this succeeds.

        Fails with NotAName, NameTaken, LimitReached, StoreUnavailable; LimitReached as in `register`.
        """
        if not self.may_name_a_user(name):
            done(NotAName())
            return ""
        opened = MailboxOpened(name, self._make_id(name), self._now())

        def decided(error: Exception | None) -> None:
            account = self._by_id.get(opened.id)
            if error is None and recipient.over:
                self.journal.submit(AccountDeleted(name, opened.id), lambda _error: None)  # nobody has learned its ID
            elif error is None and account is not None:  # it may have been deleted in the same commit
                self._take_over(recipient, account)
            done(error)

        self._make_account(recipient.address, opened, decided)
        return opened.id

    def login_by_id(self, recipient: Recipient, account_id: str) -> str:
        """Log a session in, out of where it was; give the account's name. An older session of the account is told and
        closed.

        Raises:
            NoSuchUser: no account has this ID.
        """
        try:
            account = self._owner(account_id)
        except NoSuchUser:
            self.failed_logins += 1
            log.warning("failed login address=%s by ID", recipient.address)  # the ID may be right but for a slip
            raise
        self._take_over(recipient, account)
        return account.name

    def mail_of(self, recipient: Recipient, account_id: str) -> Iterator[list[Mailed]]:
        """Give the mail of the account with this ID as `mail` does.

        Raises:
            NoSuchUser: no account has this ID.
        """
        return self.mail(recipient, self._owner(account_id))

    def delete(self, recipient: Recipient, account_id: str, done: Done) -> None:
        """Delete the account with this ID. Its session is logged out, and closed if it is not the one that asks.

        Fails with NoSuchUser, HasMail, StoreUnavailable.
        """
        try:
            account = self._owner(account_id)
        except NoSuchUser as error:
            done(error)
            return

        def decided(error: Exception | None) -> None:
            session = account.session
            if error is None and session is not None:
                self.logout(session)
                if session is not recipient:
                    session.deliver(AccountGone(account.name))
                    session.end()
            done(error)

        self.journal.submit(AccountDeleted(account.name, account.id), decided)

    def _owner(self, account_id: str) -> Account:
        try:
            return self._by_id[account_id]
        except KeyError:
            raise NoSuchUser from None

    def _take_over(self, recipient: Recipient, account: Account) -> None:
        older = account.session
        if older is recipient:
            return
        self.logout(recipient)
        if older is not None:
            older.deliver(LoggedInElsewhere(account.name))
            self.logout(older)
            older.end()
        self._enter(recipient, account)

    # ---- channels ----

    def channel_names(self, account: Account | None = None) -> Sequence[str]:
        """Give the names of all channels, other servers' too, or of those that an account is in, sorted."""
        if account is not None:
            return sorted(account.channels)
        return self.all_channels.read()

    def create(self, account: Account, name: str, done: Done) -> None:
        """Make a channel. Fails with NotAName, NameTaken, LimitReached, StoreUnavailable."""
        if is_name(name, self._limits.name):
            self.journal.submit(ChannelCreated(name, account.name, self._now()), done)
        else:
            done(NotAName())

    def join(self, account: Account, channel: str, done: Done) -> None:
        """Make an account a member; a remote channel's server is asked first. Fails with NoSuchChannel, AlreadyMember,
        ChannelFull, LimitReached, StoreUnavailable."""
        if HOST_OF_CHANNEL not in channel:
            self.join_at_once(account, channel, done)
        elif channel in account.channels:
            done(AlreadyMember())
        else:
            self.network.join(account, channel, done)

    def join_at_once(self, account: Account, channel: str, done: Done, server: str = "") -> None:
        """Make an account a member of a channel here, or of a remote one whose server, of this identity (L38), has
        agreed. Fails as `join`."""
        self.journal.submit(Joined(account.name, channel, self._now(), server), done)

    def leave(self, account: Account, channel: str, done: Done) -> None:
        """End a membership. Fails with NoSuchChannel, NotAMember, StoreUnavailable."""

        def left(error: Exception | None) -> None:
            if error is None and HOST_OF_CHANNEL in channel:
                self.network.left(account.name, channel)
            done(error)

        self.journal.submit(account.leaving(channel), left)

    def admit(self, user: RemoteUser, channel: str, done: Done) -> None:
        """Make a remote user a member of a channel here. Fails with NoSuchUser, and as `join`."""
        self.journal.submit(RemoteJoined(user.name, channel, self._now()), done)

    def dismiss(self, user: RemoteUser, channel: str, done: Done) -> None:
        """End a remote user's membership. Fails with NoSuchUser, NoSuchChannel, NotAMember."""
        self.journal.submit(user.leaving(channel), done)

    def remove(self, change: Left, event: Any, done: Done) -> None:
        """Take a member out of a channel, by another's will: the member is told the event. Fails with NotAMember,
        StoreUnavailable."""

        member = self._member(change.account)

        def told(error: Exception | None) -> None:
            if error is None and member.session is not None:
                member.session.deliver(event)
            done(error)

        self.journal.submit(change, told)

    def say(self, speaker: Member | RoomGuest, channel: str, text: str, done: Done) -> None:
        """Say something in a channel here. Fails with NoSuchChannel, NotAMember, StillMuted, StoreUnavailable."""
        self.journal.submit(Said(speaker.name, channel, text, self._now()), done)

    def say_remotely(
        self, account: Account, channel: str, text: str, done: Done, settled: Callable[[bool], None]
    ) -> None:
        """Say something in a remote channel. Fails with NotAMember, NoSuchChannel, TooLong.

        Args:
            done: told at once; None says that it is on its way.
            settled: told later, once and not after a failure, that it is known what has become of the message. False
                says that the channel has not got it, and that the account is still logged in at the same session.
        """
        session = account.session

        def told_later(said: bool) -> None:
            settled(said or account.session is not session)

        try:
            if channel not in account.channels:
                raise NotAMember
            self.network.say(account, channel, text, told_later)
        except ChatError as error:
            done(error)
        else:
            done(None)

    def speaker_session(self, message: Said) -> Hearer | None:
        """Give the session of who has said something, if it is one of this server's and still there."""
        speaker = self.accounts.get(message.sender) or self.channels[message.channel].guests.get(message.sender)
        return None if speaker is None else speaker.session

    def members(self, account: Account, channel: str) -> Sequence[str]:
        """Give the names of a channel's members and guests, sorted, those who are away too.

        Raises:
            NotAMember: the account is not in such a channel.
        """
        return self._joined(account, channel).names()

    def history(self, account: Account, channel: str, count: int) -> tuple[int, Iterator[list[Said]]]:
        """Give the last messages of a channel: how many, `count` at most, and pages of them, the oldest first.

        What has been written and will be published after this call is not among them.

        Raises:
            NotAMember: the account is not in such a channel.
            StoreUnavailable: they cannot be read; the pages may raise it as well.
        """
        still_to_come = sum(
            isinstance(change, Said) and error is None and change.channel == channel
            for change, error, _done in self._unpublished
        )
        return self._backend.history(self._joined(account, channel).name, count, still_to_come)

    def _joined(self, account: Account, channel: str) -> Channel:
        """The account's channel of this name; of a remote one nothing is known here."""
        if channel not in account.channels or channel in self.remote_channels:
            raise NotAMember
        return account.channels[channel]

    # ---- direct messages ----

    def tell(self, sender: Member, name: str, text: str, done: Done) -> None:
        """Send a direct message; it waits for an account that is away. An account that sends gets a `DirectEcho`.

        Fails with NoSuchUser, StillMuted, LimitReached, TooLong, StoreUnavailable.
        """
        session = sender.session if isinstance(sender, Account) else None
        letter = Letter(sender, session, Mailed(sender.name, name, text, self._now()), done)
        if self.is_users(name):
            self._hand_over(letter)
        elif HOST_OF_USER in name:
            self.network.tell(sender.name, name, text, lambda error: self._answered(letter, error))
        else:
            self._whisper(letter)

    def _whisper(self, letter: Letter) -> None:
        """Deliver a direct message to a guest of a channel that both are in."""
        message = letter.message
        try:
            if not self.watch.member_whispers(letter.sender, message.recipient, message.text):
                raise NoSuchUser
        except ChatError as error:
            letter.done(error)
        else:
            self._echo(letter)

    def _answered(self, letter: Letter, error: Exception | None) -> None:
        if error is None:
            self._echo(letter)
        else:
            letter.done(error)

    def _hand_over(self, letter: Letter) -> None:
        """Deliver a direct message if its addressee is there, else put it into the mailbox."""
        message = letter.message
        session = self._session(message.recipient)
        if isinstance(letter.sender, Account) and self.accounts.get(message.sender) is not letter.sender:
            letter.done(NoSuchUser())  # the sender's account was deleted meanwhile, and its name may be another's
        elif session is None:
            self.journal.submit(message, lambda error: self._mailed(letter, error))
        else:
            session.deliver(DirectMessage(message.sender, message.text, message.at))
            self._echo(letter)

    def _mailed(self, letter: Letter, error: Exception | None) -> None:
        if isinstance(error, IsOnline):
            self._hand_over(letter)
        elif error is not None:
            letter.done(error)
        else:
            self._echo(letter, waits=True)

    def tell_now(self, sender: User, name: str, text: str, done: Done) -> None:
        """Send a direct message to a user who is there; it succeeds when all of it has left for the user's client.

        Fails with NotAName, NoSuchUser.
        """
        if not (self.is_users(name) or is_name(name)):
            done(NotAName())
            return
        session = self._session(name)
        if session is None:
            done(NoSuchUser())
            return
        session.deliver_with_receipt(
            DirectMessage(sender.name, text, self._now()),
            lambda has_left: done(None if has_left else NoSuchUser()),
        )

    def mail(self, recipient: Recipient, account: Account) -> Iterator[list[Mailed]]:
        """Give the messages that wait for an account, the oldest first, in pages, until the recipient is over.

        Whoever asks for another page says that the one before has left for the account's client: it is then removed. So
        a message may be delivered again after a crash, and none is lost.

        Raises:
            StoreUnavailable: they cannot be read.
            BeingCollected: they are on their way to another client.
        """
        if account.collecting:
            raise BeingCollected
        if not account.mail:
            return

        def deleted(_error: Exception | None) -> None:
            account.collecting -= 1

        account.collecting += 1
        complete = False
        try:
            for last, page in self._backend.mail(account.name):
                if recipient.over:
                    return
                yield page
                account.collecting += 1
                self.journal.submit(MailDelivered(account.name, last, len(page)), deleted)
            complete = True
        finally:
            account.collecting -= 1
            if not complete and account.session not in (None, recipient):  # it has got nothing there yet
                account.session.deliver(MailWaiting())

    def _echo(self, letter: Letter, *, waits: bool = False) -> None:
        if letter.session is not None and letter.session.user is letter.sender:
            letter.session.deliver(DirectEcho(*letter.message, waits))
        letter.done(None)

    def _session(self, name: str) -> Recipient | None:
        user = self.online.get(name)
        return None if user is None else user.session

    # ---- other servers ----

    def note_host(self, name: str, server: str) -> None:
        """Keep under which identity a server of the config has borne a name; of MOST_HOSTS names at the most."""
        known = self.hosts.get(name)
        if known != server and (known is not None or len(self.hosts) < MOST_HOSTS):
            self.journal.submit(PeerNamed(name, server), lambda _error: None)

    def noted(self, name: str) -> Collection[str]:
        """Give the identities for which a server's name is noted (L39); none where anybody may bear it."""
        if name in self.hosts:
            return [self.hosts[name]]
        return [server for server in self._identities.get(name, ()) if server]

    def date_memberships(self, name: str, server: str) -> None:
        """Have memberships in a server's channels that began nobody knows when count as begun under this identity."""
        if "" in self._identities.get(name, ()):
            self.journal.submit(MembershipsDated(name, server), lambda _error: None)

    def began_under(self, account: Account, channel: str) -> str:
        """Give the identity of a remote channel's server under which a membership began (L38); "" if nobody knows."""
        return self.remote_channels[channel].servers[account.name]

    # ---- the journal's side ----

    def settle(self) -> None:
        """Have decided and told what waits for the end of the turn. Not from inside of what tells."""
        self.journal.commit()

    def apply(self, change: Change) -> Undo | None:
        """Decide a change, in the journal's order, and carry it out in memory.

        Returns:
            What takes it back in case it cannot be written; None where memory does not change.

        Raises:
            ChatError: it is refused, nothing has changed.
        """
        return self._rules[type(change)](change)

    def restore(self, changes: Iterable[Change]) -> None:
        """Apply what was decided before this process began; the limits of today do not undo it.

        What leads nowhere is left out and told: somebody may have deleted an account from the database by hand.
        """
        limits, self._limits = self._limits, NO_LIMITS
        for change in changes:
            try:
                self.apply(change)
            except ChatError as error:
                names = change[:2] if isinstance(change, Joined | Mailed) else change[:1]
                reason = type(error).__name__
                log.warning("a row of the database leads nowhere: %s %r: %s", type(change).__name__, names, reason)
        self._limits = limits
        for channel in (*self.channels.values(), *self.remote_channels.values()):
            channel.joining = 0  # nobody of them is there

    def publish(self, outcomes: Iterable[Outcome]) -> None:
        """Tell what became of changes, in order. Messages to one channel in a row travel together.

        Who joins or leaves begins or ceases to hear in this order, too, so that nobody hears of a channel before the
        answer to the JOIN.
        """
        self._unpublished = deque(outcomes)
        run: list[Said] = []
        while self._unpublished:
            change, error, done = self._unpublished.popleft()
            said = change if error is None and isinstance(change, Said) else None
            if run and (said is None or said.channel != run[0].channel):
                self._publish(run)
                run = []
            if said is not None:
                run.append(said)
            try:
                if error is None and said is None:
                    self._carry_out(change)
                done(error)
            except Exception:  # a mistake in one answer must not cost the others theirs
                log.exception("error while telling the outcome of %s", type(change).__name__)
        if run:
            self._publish(run)

    def _carry_out(self, change: Change) -> None:
        """Do what a change that stands brings with it."""
        if isinstance(change, Joined | Left):
            channel = self.channels.get(change.channel) or self.remote_channels.get(change.channel)
            if channel is not None:  # a remote one that its last member has left is known no more
                self._seat(change, channel)
        elif isinstance(change, ChannelCreated):
            self.network.created(change.name)

    def _seat(self, change: Joined | Left, channel: Channel) -> None:
        """Let who has joined hear what comes next, and who has left not."""
        member = self._member(change.account)
        session = member.session
        if isinstance(member, RemoteUser):
            self._seat_remote(member, change, channel)
        elif isinstance(change, Joined):
            channel.joining -= 1
            if session is not None:
                channel.present[session] = None
                if channel.capacity is not None:
                    self.watch.joined(channel, change.account)
            else:
                self.watch.vacated(channel)  # by one who was on the way in
        elif session is not None:
            if session in channel.present and channel.capacity is not None:
                self.watch.left(channel, change)
            self._unseat(session, channel)

    def _seat_remote(self, member: RemoteUser, change: Joined | Left, channel: Channel) -> None:
        audience = channel.elsewhere.setdefault(member.relay, Audience())
        if isinstance(change, Joined):
            audience.add(member.user)
            if channel.capacity is not None:
                self.watch.joined(channel, change.account)
        elif member.user in audience:
            if channel.capacity is not None:
                self.watch.left(channel, change)
            audience.remove(member.user)
        if not audience:
            del channel.elsewhere[member.relay]

    def _unseat(self, session: Hearer, channel: Channel) -> None:
        if session in channel.present:
            del channel.present[session]
            self.watch.vacated(channel)

    def _publish(self, run: list[Said]) -> None:
        event = ChannelMessages(tuple(run))
        channel = self.channels[run[0].channel]
        for recipient in channel.present:
            try:
                recipient.deliver(event)
            except Exception:  # nor may one member's cost the others the message
                log.exception("error while delivering a message")
        for relay, audience in channel.elsewhere.items():
            try:
                relay.deliver(event, audience.users)
            except Exception:
                log.exception("error while delivering a message to another server")
        if channel.capacity is not None:
            self.watch.said(run)

    def _apply_registered(self, change: AccountRegistered) -> Undo:
        account = self._add_account(change.name, change.password_hash)
        return lambda: self._remove_account(account)

    def _apply_opened(self, change: MailboxOpened) -> Undo:
        account = self._add_account(change.name, None, change.id)
        return lambda: self._remove_account(account)

    def _add_account(self, name: str, password_hash: bytes | None, account_id: str = "") -> Account:
        if self._is_taken(name) or account_id in self._by_id:
            raise NameTaken
        if len(self.accounts) >= self._limits.accounts:
            raise LimitReached
        self._numbers += 1
        self._names = None
        account = self.accounts[name] = Account(self._numbers, name, password_hash, account_id)
        if account_id:
            self._by_id[account_id] = account
        return account

    def _remove_account(self, account: Account) -> None:
        del self.accounts[account.name]
        self._by_id.pop(account.id, None)
        self._names = None

    def _apply_deleted(self, change: AccountDeleted) -> Undo:
        account = self._owner(change.id)
        if account.mail:
            raise HasMail
        self._remove_account(account)

        def take_back() -> None:
            accounts = sorted([*self.accounts.values(), account], key=lambda account: account.number)
            self.accounts = {account.name: account for account in accounts}
            self._by_id[account.id] = account
            self._names = None

        return take_back

    def _apply_password(self, change: PasswordChanged) -> Undo:
        account, old = self.accounts[change.name], self.accounts[change.name].password_hash
        account.password_hash = change.password_hash
        return lambda: setattr(account, "password_hash", old)

    def _apply_created(self, change: ChannelCreated) -> Undo:
        if change.name in self.channels:
            raise NameTaken
        made = self._made[change.creator] if change.creator else 0  # the config's channels are nobody's
        if len(self.channels) >= self._limits.channels or made >= self._limits.channels_per_creator:
            raise LimitReached
        self.channels[change.name] = Channel(change.name)
        self.all_channels.add(change.name)
        self._made[change.creator] += 1
        return lambda: self._undo_created(change)

    def _undo_created(self, change: ChannelCreated) -> None:
        name = change.name
        self._made[change.creator] -= 1
        del self.channels[name]
        self.all_channels.remove(name)

    def _apply_joined(self, change: Joined) -> Undo:
        member, channel = self._member(change.account), self._channel_to_join(change.channel)
        if member.name in channel.members:
            raise AlreadyMember
        if len(member.channels) >= self._limits.channels_per_user:
            raise LimitReached
        is_remote = isinstance(member, RemoteUser)
        if not (channel.has_room_for_remote if is_remote else channel.has_room):
            raise ChannelFull
        self._add_member(member, channel, change.server)
        channel.joining += not is_remote
        return lambda: self._undo_joined(member, channel)

    def _undo_joined(self, member: Member, channel: Channel) -> None:
        channel.joining -= not isinstance(member, RemoteUser)
        self._remove_member(member, channel)
        self.watch.vacated(channel)

    def _apply_left(self, change: Left) -> Undo:
        member, channel = self._member(change.account), self._channel(change.channel)
        if member.name not in channel.members:
            raise NotAMember
        server = self._remove_member(member, channel)
        return lambda: self._add_member(member, channel, server)

    def _apply_said(self, change: Said) -> None:
        channel = self.channels.get(change.channel)  # no further call: this is done for every message
        if channel is None:
            raise NoSuchChannel
        if change.sender not in channel.members and change.sender not in channel.speaking:
            raise NotAMember
        if channel.mutes:
            self.watch.check_mute(channel, change.sender)

    def _apply_mailed(self, change: Mailed) -> Undo:
        account = self.accounts.get(change.recipient)
        if account is None:
            raise NoSuchUser
        if account.session is not None:
            raise IsOnline
        waiting = account.waiting
        if len(waiting) >= self._limits.mail or self._has_its_share(waiting, change.sender):
            raise LimitReached
        waiting.add(change.sender)
        return waiting.drop_newest

    def _has_its_share(self, waiting: WaitingMail, sender: str) -> bool:
        """Tell whether as much waits as may from this sender, or from the sender's server (R47, L44)."""
        if waiting.by_sender[sender] >= self._share(SENDERS_SHARE):
            return True
        host = sender.partition(HOST_OF_USER)[2]
        if not host:
            return False
        if waiting.by_host[host] >= self._share(HOSTS_SHARE):
            return True
        is_unlisted = self.network.is_unlisted
        unlisted = sum(count for other, count in waiting.by_host.items() if is_unlisted(other))
        return is_unlisted(host) and unlisted >= self._limits.unlisted_mail

    def _share(self, part: int) -> int:
        return max(LEAST_SHARE, self._limits.mail // part)

    def _apply_mail_delivered(self, change: MailDelivered) -> Undo:
        waiting = self.accounts[change.recipient].waiting
        taken = waiting.take(change.messages)
        return lambda: waiting.put_back(taken)

    def _apply_named(self, change: PeerNamed) -> Undo:
        before = self.hosts.get(change.name)
        self.hosts[change.name] = change.server
        return lambda: self.hosts.pop(change.name) if before is None else self.hosts.update({change.name: before})

    def _apply_dated(self, change: MembershipsDated) -> Undo:
        dated = [
            (channel, account)
            for channel in self.remote_channels.values()
            if channel.host == change.name
            for account, server in channel.servers.items()
            if not server
        ]

        def date(server: str) -> None:
            for channel, account in dated:
                self._forget_server(channel, account)
                self._keep_server(channel, account, server)

        date(change.server)
        return lambda: date("")

    def _channel(self, name: str) -> Channel:
        channel = self.channels.get(name) or self.remote_channels.get(name)
        if channel is None:
            raise NoSuchChannel
        return channel

    def _channel_to_join(self, name: str) -> Channel:
        """A channel here, or a remote one, whose server has said that there is one."""
        if HOST_OF_CHANNEL in name:
            return self.remote_channels.get(name) or RemoteChannel(name)
        return self._channel(name)

    def _member(self, name: str) -> Member:
        member = self.accounts.get(name) or self.remote_users.get(name)
        if member is None:
            raise NoSuchUser
        return member

    def _add_member(self, member: Member, channel: Channel, server: str) -> None:
        channel.add_member(member)
        member.channels[channel.name] = channel
        if isinstance(channel, RemoteChannel):
            self.remote_channels[channel.name] = channel
            self._keep_server(channel, member.name, server)

    def _remove_member(self, member: Member, channel: Channel) -> str:
        """End a membership; give the identity of a remote channel's server under which it began."""
        channel.remove_member(member)
        del member.channels[channel.name]
        if not isinstance(channel, RemoteChannel):
            return ""
        if not channel.members:
            del self.remote_channels[channel.name]
        return self._forget_server(channel, member.name)

    def _keep_server(self, channel: RemoteChannel, account: str, server: str) -> None:
        channel.servers[account] = server
        self._identities.setdefault(channel.host, Counter())[server] += 1

    def _forget_server(self, channel: RemoteChannel, account: str) -> str:
        server = channel.servers.pop(account)
        counts = self._identities[channel.host]
        counts[server] -= 1
        if not counts[server]:
            del counts[server]
        if not counts:
            del self._identities[channel.host]
        return server


def _loggable(name: str) -> str:
    """Give a word that stands where a name belongs, with nothing in it that a terminal would obey, and not too long."""
    return name if is_name(name) else ascii(name[:MAX_NAME])
