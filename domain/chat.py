"""The domain's facade: its parts, the rule of each change, and requests about channels. It knows no dialect and no SQL.

Every change is a plain value (changes.Change), which a method submits to the journal. In its turn the journal passes it
to `Chat.apply`, which applies it to the state or refuses it with a `ChatError`. When it is on disk, `Publication`
sends the answer and the events. So no client is told what could still be lost, and there is one order of all changes.

Methods that end in a `done` argument never raise: `done` takes None or the error, at once or later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from domain.accounts import Accounts
from domain.administration import Administration
from domain.admission import Admission
from domain.bans import Bans
from domain.changes import (
    SAY,
    Change,
    ChannelCreated,
    ChannelFounded,
    Done,
    GuestSaid,
    InOrder,
    Joined,
    Mailed,
    Said,
    Undo,
    ignore,
    nothing,
)
from domain.channels import Channels
from domain.clock import RisingClock
from domain.errors import AlreadyMember, ChatError, NameTaken, NotAMember, NotAName
from domain.events import ChannelMessages, NotRestored, Removed, WentOut
from domain.interfaces import Backend, Outside, Passwords, RateLimit
from domain.journal import Journal
from domain.known_networks import KnownNetworks
from domain.logins import Logins
from domain.messages import DirectMessages
from domain.moderation import Moderation
from domain.modes import INVITE_ONLY, OPERATOR, SECRET
from domain.names import HOST_OF_CHANNEL, classic_id, is_name
from domain.peer_records import PeerRecords
from domain.presence import Presence
from domain.publication import Publication
from domain.reading import Reading
from domain.rules import Rule, make_rules
from domain.sessions import Clients, ClientSession
from domain.state import NO_LIMITS, Account, Limits, Member, RoomGuest, Visitor
from domain.subscriptions import Subscriptions
from domain.tokens import Tokens
from domain.topics import Topics
from domain.upkeep import Upkeep
from domain.users import Users
from domain.visitors import Visitors

log = logging.getLogger("crosstalk.chat")


class Chat:
    """The domain as a whole, and requests about channels.

    Args:
        backend: keeps what is durable.
        passwords: hashes and checks.
        now: the wall clock, in seconds since the epoch.
        limits: the limits.
        make_id: makes the ID of an account without a password from its name.
        rate_limit: how many accounts one address may make.
        reserved: names that no new user can have.
        make_secret: makes 32 random bytes in 43 characters, for a token.
        run: tells this run of the server from all others, in the IDs of direct messages.
        members_only: channels are shown to their members alone (C69).

    Attributes:
        now: returns the time of messages, in seconds since the epoch; it never goes back.
        time_of_turn: returns that of the turn, which is read once for many messages.
    """

    def __init__(
        self,
        backend: Backend,
        passwords: Passwords,
        now: Callable[[], float],
        limits: Limits,
        make_id: Callable[[str], str] = classic_id,
        rate_limit: RateLimit | None = None,
        reserved: Collection[str] = (),
        run: str = "",
        make_secret: Callable[[], str] = lambda: "",
        *,
        members_only: bool = False,
    ) -> None:
        self._clock = RisingClock(now, backend.last_time)
        self.now = self._clock.now
        self.time_of_turn = self._clock.of_turn
        self.rules: dict[type, Rule] = {}
        self._publication = Publication(self.rules, self._clock, self._tell_messages)
        self.journal = Journal(backend.write, self.apply, self._publication.publish)
        self.outside = Outside()
        self.users = Users(limits, self.outside, Presence(self.tell_in_order), reserved)
        self.tokens = Tokens(self.users, self.journal, self.now, make_secret)
        self.bans = Bans(self.journal, self.outside, self.now, self.tokens.end_all)
        self.logins = Logins(self.users, passwords, self.tokens, self.bans)
        self.accounts = Accounts(
            self.users, self.journal, passwords, self.now, make_id, rate_limit or RateLimit(), self.logins
        )
        admission = Admission(self.outside, self.bans)
        self.channels = Channels(self.users, self.outside, admission, members_only=members_only)
        self.peer_records = PeerRecords(self.channels.identities, self.journal)
        self.subscriptions = Subscriptions(self.users, self.channels, self.outside)
        self.topics = Topics(self.users, self.channels, self.journal, self.outside, self.now)
        self.moderation = Moderation(self.users, self.channels, self.journal, self.outside, self.now)
        self.reading = Reading(self.channels, self.journal, backend, self.now)
        self.visitors = Visitors(self.users, self.channels, self.subscriptions, self.reading, self.journal)
        self.messages = DirectMessages(self.users, self.journal, backend, self.outside, self.time_of_turn, run)
        self.administration = Administration(
            self.users, self.accounts, self.logins, self.channels, self.journal, self.outside, self.now
        )
        self.upkeep = Upkeep(self.users, self.channels, self.journal, backend, self.outside, self.remove, self.now)
        self.known_networks = KnownNetworks(self.users, self.journal, self.now)
        self.rules.update(make_rules(self))

    # ---- channels ----

    def create(self, account: Account, name: str, done: Done, *, is_private: bool = False) -> None:
        """Make a channel, which its maker operates. Fails with NotAName, NameTaken, LimitReached, StoreUnavailable.

        Args:
            account: the maker.
            name: the channel's name.
            done: takes the outcome.
            is_private: it takes invited users alone, and only members may know of it.
        """
        if is_name(name, self.users.limits.name):
            modes = f"{INVITE_ONLY}{SECRET}{OPERATOR}" if is_private else OPERATOR
            self.journal.submit(ChannelCreated(name, account.name, self.now(), modes=modes), done)
        else:
            done(NotAName())

    def found(self, member: Account | Visitor, name: str, done: Done) -> None:
        """Make a channel and join it, as a JOIN of IRC does. It does not outlast its last member if nothing was said.

        A visitor operates it as long as it stays. Fails as `create` and `join`.
        """
        is_account = isinstance(member, Account)
        modes, creator = (OPERATOR, member.name) if is_account else ("", "")

        def joined(error: Exception | None) -> None:
            channel = self.channels.local.get(name)
            if error is not None and channel is not None:
                self.moderation.vacated(channel)
            elif channel is not None and not is_account:
                channel.own_modes().give(member.name, OPERATOR, is_given=True, lasts=False)
            done(error)

        def founded(error: Exception | None) -> None:
            if error is None:
                self.join(member, name, joined)
            elif isinstance(error, NameTaken):  # another JOIN came first
                self.join(member, name, done)
            else:
                done(error)

        if is_name(name, self.users.limits.name):
            self.journal.submit(ChannelFounded(name, creator, self.now(), modes=modes), founded)
        else:
            done(NotAName())

    def join(self, member: Account | Visitor, channel: str, done: Done, key: str = "") -> None:
        """Make an account or a visitor a member; a remote channel's server is asked first.

        Fails with KeptOut, InviteOnly, WrongKey, NoSuchChannel, AlreadyMember, ChannelFull, LimitReached,
        StoreUnavailable.

        Args:
            member: the account or visitor.
            channel: the channel's name.
            done: takes the outcome.
            key: the channel's key, if the user has given one.
        """
        found = self.channels.local.get(channel)
        try:
            if found is not None and member.name not in found.members:
                self.channels.admission.check_entry(member, found, key)
        except ChatError as error:
            done(error)
            return
        if isinstance(member, Visitor):
            self.visitors.join(member, channel, done)
        elif HOST_OF_CHANNEL not in channel:
            self.join_at_once(member, channel, done)
        elif channel in member.channels:
            done(AlreadyMember())
        else:
            self.outside.servers.join(member, channel, done)

    def join_at_once(self, account: Account, channel: str, done: Done, server: str = "") -> None:
        """Make an account a member of a channel here, or of a remote one whose server, of this identity (L21), has
        agreed. Fails as `join`."""
        seen = 0 if server else self.reading.last_number
        self.journal.submit(Joined(account.name, channel, self.now(), server, seen), done)

    def leave(self, member: Account | Visitor, channel: str, done: Done, reason: str = "") -> None:
        """End a membership; `reason` is for the others. Fails with NoSuchChannel, NotAMember, StoreUnavailable."""

        def left(error: Exception | None) -> None:
            self.subscriptions.expect_no_end(channel, member.name)
            if error is None and HOST_OF_CHANNEL in channel:
                self.outside.servers.left(member.name, channel)
            done(error)

        if reason:
            self.subscriptions.expect_end(WentOut(member.name, channel, reason))
        self.journal.submit(member.leaving(channel), left)

    def remove(self, member: Member, channel: str, event: Removed | NotRestored, done: Done) -> None:
        """End a membership without the member's request; the member is told the event.

        Fails with NoSuchChannel, NotAMember, StoreUnavailable.
        """

        def told(error: Exception | None) -> None:
            self.subscriptions.expect_no_end(channel, member.name)
            if error is None and member.session is not None:
                member.session.deliver(event)
            done(error)

        self.subscriptions.expect_end(WentOut(member.name, channel, event.reason, event.by))
        self.journal.submit(member.leaving(channel), told)

    def say(self, speaker: Member, channel: str, text: str, done: Done, kind: str = SAY) -> int:
        """Say something in a channel here. Fails with NoSuchChannel, NotAMember, StillMuted, KeptOut, NotVoiced,
        StoreUnavailable.

        `done` is called before the message is published.

        Returns:
            The message's number.
        """
        reading = self.reading
        reading.last_number = number = reading.last_number + 1  # as `next_number`, without a call for each message
        at = self._clock.turn or self._clock.of_turn()  # no call for most messages
        self.journal.submit(speaker.says(speaker.name, channel, text, at, number, kind), done)
        return number

    def say_as_guest(self, guest: RoomGuest, text: str, done: Done) -> None:
        """Say something in the channel that a guest is in. Fails with NotAMember while the guest waits, StillMuted,
        KeptOut, NotVoiced, StoreUnavailable."""
        self.journal.submit(
            GuestSaid(guest.name, guest.channel.name, text, self.now(), self.reading.next_number()), done
        )

    def say_to_remote_channel(
        self, session: ClientSession, channel: str, text: str, done: Done, settled: Callable[[bool], None]
    ) -> None:
        """Say something in a remote channel. Fails with NotAMember, NoSuchChannel, TooLong.

        Args:
            session: of the account that says it.
            channel: the channel's name.
            text: what it says.
            done: called at once; None means that the message is on its way.
            settled: called once, later, unless `done` got an error. False means that the channel has not got the
                message, and that the account is still logged in at this session.
        """
        account: Account = session.principal

        def told_later(said: bool) -> None:
            settled(said or session.principal is not account)

        try:
            if channel not in account.channels:
                raise NotAMember
            self.outside.servers.say(account, channel, text, told_later)
        except ChatError as error:
            done(error)
        else:
            done(None)

    def speaker_session(self, message: Said) -> Clients | None:
        """Return the clients of a message's sender; None for a remote user, and for one that has logged out."""
        guest = self.channels.local[message.channel].guests.get(message.sender)
        return self.users.session(message.sender) if guest is None else guest.session

    def members(self, account: Account | Visitor, channel: str) -> Sequence[str]:
        """Return the names of a channel's guests and of all its members, also those not logged in, sorted.

        Raises:
            NotAMember: the account is not in such a channel.
        """
        return self.channels.joined(account, channel).names()

    def present(self, account: Account | Visitor, channel: str) -> Sequence[str]:
        """Return the names of a channel's guests and of its members who are logged in, sorted (R41).

        Raises:
            NotAMember: the account is not in such a channel.
        """
        return self.channels.joined(account, channel).present()

    # ---- the journal's side ----

    def end_turn(self) -> None:
        """Commit the changes of the turn. The next turn has another time."""
        self.journal.commit()
        self._clock.end_turn()

    def tell_in_order(self, tell: Callable[[], object], done: Done = ignore) -> None:
        """Call `tell`, then `done`, when all earlier changes have been published.

        That is at once while outcomes are being published, else at the end of the turn.
        """
        if self._publication.is_under_way:
            tell()
            done(None)
        else:
            self.journal.submit(InOrder(nothing, tell), done)

    def apply(self, change: Change) -> Undo | None:
        """Decide a change, in the journal's order: see `Rule.apply`."""
        return self.rules[type(change)].apply(change)

    def restore(self, changes: Iterable[Change]) -> bool:
        """Apply changes that were decided before this process began; today's limits do not apply to them.

        A change that is refused is left out and logged: an account may have been deleted from the database by hand.

        Returns:
            Whether none was refused.
        """
        limits, self.users.limits = self.users.limits, NO_LIMITS
        complete = True
        for change in changes:
            try:
                self.apply(change)
            except ChatError as error:
                names = change[:2] if isinstance(change, Joined | Mailed) else change[:1]
                reason = type(error).__name__
                log.warning("a row of the database leads nowhere: %s %r: %s", type(change).__name__, names, reason)
                complete = False
        self.users.limits = limits
        return complete

    def _tell_messages(self, run: list[Said]) -> None:
        """Tell consecutive messages of one channel as one event."""
        event = ChannelMessages(tuple(run))
        self.reading.last_published = run[-1].number
        self.outside.messages["channel"] += len(run)
        channel = self.channels.local[run[0].channel]
        self.outside.fan_out(event, channel)
        for relay, audience in channel.elsewhere.items():
            try:
                relay.deliver(event, audience.users)
            except Exception:
                log.exception("error while delivering a message to another server")
        if channel.capacity is not None:
            self.outside.observer.said(run)
