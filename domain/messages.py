"""Direct messages, and mail for accounts that are away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from domain.changes import NOTICE, SAY, Done, MailDelivered, Mailed, Undo
from domain.errors import BeingCollected, CannotLeaveMail, IsOnline, LimitReached, NoSuchUser, NotAName
from domain.events import DirectEcho, DirectMessage, MailWaiting
from domain.interfaces import Backend, Outside
from domain.journal import Journal
from domain.names import HOST_OF_USER, is_name
from domain.sessions import ClientSession
from domain.state import Account, Member, PendingDirectMessage, User, Visitor
from domain.users import Users
from domain.waiting_mail import WaitingMail

SENDER_DIVISOR, HOST_DIVISOR, MIN_SHARE = 5, 10, 20
"""One sender may have a fifth of the mail that may wait for an account, and one other server a tenth; each of them at
least 20 messages (R33, L51)."""


class DirectMessages:
    """Messages from one user to another, and the mail that waits for accounts that are away.

    Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.

    Args:
        users: all users.
        journal: takes changes.
        backend: keeps the mail.
        outside: observers of channels, and other servers.
        now: the time of messages, in seconds since the epoch.
        run: tells this run of the server from all others.

    Attributes:
        next_id: returns the ID of a direct message that is about to be sent.
    """

    def __init__(
        self, users: Users, journal: Journal, backend: Backend, outside: Outside, now: Callable[[], float], run: str
    ) -> None:
        self._users = users
        self._journal = journal
        self._backend = backend
        self._outside = outside
        self._now = now
        self.next_id: Callable[[], str] = map(f"d{run}-{{}}".format, itertools.count(1)).__next__

    def send_direct(
        self,
        sender: Member,
        name: str,
        text: str,
        done: Done,
        session: ClientSession | None = None,
        kind: str = SAY,
        room: str = "",
    ) -> None:
        """Send a direct message; it waits for an account that is away, unless a visitor has sent it. The clients of an
        account or visitor that sends get a `DirectEcho`.

        Fails with CannotLeaveMail, NoSuchUser, StillMuted, LimitReached, TooLong, StoreUnavailable.

        Args:
            sender: an account or visitor, or a user of another server.
            name: the recipient's.
            text: the message.
            done: takes the outcome.
            session: the one that sends; None for a user of another server.
            kind: SAY, ACT or NOTICE. A notice to an account that is away is not kept.
            room: the channel of the room guest who is meant; "" for the first channel with a guest of this name.
        """
        message = Mailed(sender.name, name, text, self._now(), self.next_id(), kind)
        pending = PendingDirectMessage(sender, session, message, done, room)
        if self._users.is_users(name):
            self._hand_over(pending)
        elif HOST_OF_USER in name:
            self._outside.servers.tell(sender.name, name, message.words, lambda error: self._answered(pending, error))
        else:
            self._outside.observer.whisper_from_member(
                sender, name, message.words, lambda error: self._answered(pending, error), room
            )

    def _answered(self, pending: PendingDirectMessage, error: Exception | None) -> None:
        if error is None:
            self._echo(pending)
        else:
            pending.done(error)

    def _hand_over(self, pending: PendingDirectMessage) -> None:
        """Deliver a direct message if its recipient is logged in, else store it as mail."""
        message = pending.message
        session = self._users.session(message.recipient)
        if isinstance(pending.sender, Account) and self._users.accounts.get(message.sender) is not pending.sender:
            pending.done(NoSuchUser())  # the sender's account was deleted meanwhile, and its name may be another's
        elif session is None and (isinstance(pending.sender, Visitor) or message.kind == NOTICE):
            pending.done(CannotLeaveMail())
        elif session is None:
            self._journal.submit(message, lambda error: self._mailed(pending, error))
        else:
            session.deliver(DirectMessage(message.sender, *message[2:]))
            self._echo(pending)

    def _mailed(self, pending: PendingDirectMessage, error: Exception | None) -> None:
        if isinstance(error, IsOnline):
            self._hand_over(pending)
        elif error is not None:
            pending.done(error)
        else:
            self._echo(pending, waits=True)

    def send_direct_online(self, sender: User, name: str, text: str, done: Done) -> None:
        """Send a direct message to a user who is logged in; it succeeds when all of it has left for the user's client.

        Fails with NotAName, NoSuchUser.
        """
        if not (self._users.is_users(name) or is_name(name)):
            done(NotAName())
            return
        session = self._users.session(name)
        if session is None:
            done(NoSuchUser())
            return
        told = self._outside.counting(done)
        session.deliver_with_receipt(
            DirectMessage(sender.name, text, self._now(), self.next_id()),
            lambda has_left: told(None if has_left else NoSuchUser()),
        )

    def _echo(self, pending: PendingDirectMessage, *, waits: bool = False) -> None:
        sender, own = pending.sender, pending.session
        if own is not None and sender.session is own:  # the sender has no other client
            own.deliver(DirectEcho(*pending.message, waits, room=pending.room))
        elif isinstance(sender, Account | Visitor):
            for session in sender.sessions:
                session.deliver(DirectEcho(*pending.message, waits, session is own, pending.room))
        self._outside.messages["direct"] += 1
        pending.done(None)

    # ---- mail ----

    def mail(self, recipient: ClientSession, account: Account) -> Iterator[list[Mailed]]:
        """Return the messages that wait for an account, the oldest first, in pages, until the recipient is over.

        A request for the next page means that the page before has left for the account's client. That page is then
        removed, so a message may be delivered again after a crash, and none is lost.

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
                self._journal.submit(MailDelivered(account.name, last, len(page)), deleted)
            complete = True
        finally:
            account.collecting -= 1
            others = [session for session in account.sessions if session is not recipient]
            if not complete and others:  # they have got nothing yet
                others[0].deliver(MailWaiting())

    # ---- changes ----

    def apply_mailed(self, change: Mailed) -> Undo:
        account = self._users.accounts.get(change.recipient)
        if account is None:
            raise NoSuchUser
        if account.session is not None:
            raise IsOnline
        waiting = account.waiting
        if len(waiting) >= self._users.limits.mail or self._has_its_share(waiting, change.sender):
            raise LimitReached("max-mail")
        waiting.add(change.sender)
        return waiting.drop_newest

    def _has_its_share(self, waiting: WaitingMail, sender: str) -> bool:
        """Tell whether as much waits as may from this sender, or from the sender's server (R33, L51)."""
        if waiting.by_sender[sender] >= self._share(SENDER_DIVISOR):
            return True
        host = sender.partition(HOST_OF_USER)[2]
        if not host:
            return False
        if waiting.by_host[host] >= self._share(HOST_DIVISOR):
            return True
        is_unlisted = self._outside.servers.is_unlisted
        unlisted = sum(count for other, count in waiting.by_host.items() if is_unlisted(other))
        return is_unlisted(host) and unlisted >= self._users.limits.unlisted_mail

    def _share(self, part: int) -> int:
        return max(MIN_SHARE, self._users.limits.mail // part)

    def apply_mail_delivered(self, change: MailDelivered) -> Undo:
        waiting = self._users.account(change.recipient).waiting
        taken = waiting.take(change.messages)
        return lambda: waiting.put_back(taken)
