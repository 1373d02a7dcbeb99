"""What the domain is made of: names, errors, durable changes, events, and the state. The rules are in chat.py.

Everything here is plain: a change or an event is a tuple of values, an error says by its class why a request is
refused, and the state's classes hold what is so, and decide nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

MAX_NAME = 64
"""Characters of a name."""

_NOT_IN_NAMES = frozenset(",:@|")


def is_name(word: str, longest: int = MAX_NAME) -> bool:
    """Tell whether a word may name a new user or channel (rules C19, C20 and C40).

    It has the form of a name, and nothing in it is invisible.

    Args:
        longest: characters that it may have.
    """
    if not has_form_of_name(word, longest):
        return False
    if word.isascii():
        return True
    import names

    return names.is_seen(word)


def has_form_of_name(word: str, longest: int = MAX_NAME) -> bool:
    """Tell whether a word may be the name of a user or channel that exists (rules C19 and C20).

    1 to `longest` characters, in NFC, of any language; no white space of any alphabet, comma, colon, at sign or
    vertical bar; no control or format character but for joiners and signs of numbers; no slash in front. Names from
    before rule C40 need not be visible.
    """
    if not 1 <= len(word) <= longest or word[0] == "/" or not _NOT_IN_NAMES.isdisjoint(word):
        return False
    if word.isascii():
        return word.isprintable() and " " not in word
    import names

    return names.has_form(word)


MAX_HOST = 64
"""Characters of a server's name."""

HOST_OF_CHANNEL = ":"
HOST_OF_USER = "@"
"""What parts a remote name, that of a channel or user of another server, from its host (seed 003). No local name has
either."""


def remote_channel(name: str, host: str) -> str:
    """Give the name that a server's channel has for others."""
    return f"{name}{HOST_OF_CHANNEL}{host}"


def remote_user(name: str, host: str) -> str:
    """Give the name that a server's user has for others."""
    return f"{name}{HOST_OF_USER}{host}"


_IN_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")


PROVEN = "proven"
"""The identity of a server that has proven its name (L38); that of another one is its IP address."""


def is_host(word: str) -> bool:
    """Tell whether a word may name a server: 1 to 64 letters, digits, hyphens and dots, so an IPv4 address may."""
    return 1 <= len(word) <= MAX_HOST and _IN_HOSTS.issuperset(word)


# ---- errors ----


class ChatError(Exception):
    """A request that the rules refuse. The class says why; each dialect has its own words for it."""


class NotAName(ChatError):
    """The word cannot be a name."""


class NameTaken(ChatError):
    """An account or a channel of this name exists, or a guest holds it."""


class AlreadyLoggedIn(ChatError):
    """This client, or this user elsewhere, is logged in."""


class WrongPassword(ChatError):
    """There is no such user, or the password is another."""


class NoSuchChannel(ChatError):
    """There is no channel of this name."""


class NoSuchUser(ChatError):
    """Nobody has this name, or nobody who could get this message."""


class HasMail(ChatError):
    """Direct messages wait for the account, so it cannot be deleted."""


class BeingCollected(ChatError):
    """The account's mail is on its way to another client."""


class IsOnline(ChatError):
    """The addressee needs no mailbox: a login came in between."""


class ChannelFull(ChatError):
    """As many are in the channel as its capacity allows."""


class StillMuted(ChatError):
    """The user may not speak in the channel for so many seconds more, a whole number."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class AlreadyMember(ChatError):
    """The user is in the channel."""


class NotAMember(ChatError):
    """The user is not in the channel."""


class LimitReached(ChatError):
    """A limit of the settings forbids one more."""


class Overloaded(ChatError):
    """Too much slow work is waiting."""


class TooLong(ChatError):
    """The message is longer than another server need take."""


class StoreUnavailable(ChatError):
    """The disk does not take or give what it should."""


# ---- durable changes ----


class AccountRegistered(NamedTuple):
    name: str
    password_hash: bytes
    at: float


class MailboxOpened(NamedTuple):
    """An account without a password: whoever knows its ID is its owner (seed 004)."""

    name: str
    id: str
    at: float


class AccountDeleted(NamedTuple):
    """The account with this ID, which alone tells it from a later one of the same name."""

    name: str
    id: str


class PasswordChanged(NamedTuple):
    name: str
    password_hash: bytes


class ChannelCreated(NamedTuple):
    name: str
    creator: str
    at: float


class Joined(NamedTuple):
    """A member has come into a channel. `server` is the identity of a remote channel's server (L38); "" for a channel
    here, and for a membership that is older than this was kept."""

    account: str
    channel: str
    at: float
    server: str = ""


class Left(NamedTuple):
    account: str
    channel: str


class RemoteJoined(Joined):
    """A user of another server, `user@host`, has come into a channel of this one. It lasts as long as the link."""

    __slots__ = ()


class RemoteLeft(Left):
    """A user of another server has left a channel of this one."""

    __slots__ = ()


class Said(NamedTuple):
    """A message to a channel; `at` is in seconds since the epoch."""

    sender: str
    channel: str
    text: str
    at: float


class Mailed(NamedTuple):
    """A direct message to an account that is away."""

    sender: str
    recipient: str
    text: str
    at: float


class MailDelivered(NamedTuple):
    """So many messages, the oldest, up to the one numbered `last`, have left for the account's client."""

    recipient: str
    last: int
    messages: int


class PeerNamed(NamedTuple):
    """A server that the config lists has borne this name under this identity (L38)."""

    name: str
    server: str


class MembershipsDated(NamedTuple):
    """Memberships in this server's channels of which nobody knows under which identity of it they began (L38) began
    under this one."""

    name: str
    server: str


Change = (
    AccountRegistered
    | MailboxOpened
    | AccountDeleted
    | PasswordChanged
    | ChannelCreated
    | Joined
    | Left
    | RemoteJoined
    | RemoteLeft
    | Said
    | Mailed
    | MailDelivered
    | PeerNamed
    | MembershipsDated
)
Undo = Callable[[], object]
Done = Callable[[Exception | None], None]


Outcome = tuple[Change, Exception | None, Done]
"""What became of a change: the error is None when it is applied and durable. `done` is to be told."""


# ---- events ----


class ChannelMessages(NamedTuple):
    """Messages to one channel, in order; each member who is there gets them, their senders too."""

    messages: tuple[Said, ...]


class DirectMessage(NamedTuple):
    """A direct message, for the one to whom it is sent."""

    sender: str
    text: str
    at: float


class DirectEcho(NamedTuple):
    """A direct message, for its sender: it has been delivered, or waits for one who is away."""

    sender: str
    recipient: str
    text: str
    at: float
    waits: bool = False


class AccountGone(NamedTuple):
    """The account has been deleted from another session, so this one ends."""

    user: str


class LoggedInElsewhere(NamedTuple):
    """The account has been logged in at another session, so this one ends."""

    user: str


class MailWaiting(NamedTuple):
    """Direct messages have come while the user was away: `Chat.mail` gives them."""


class Removed(NamedTuple):
    """The operator has taken the user out of the channel."""

    channel: str


class NotRestored(NamedTuple):
    """The user was in a channel of another server, which is back and does not let the user in again."""

    channel: str


class Silenced(NamedTuple):
    """The user may say nothing in the channel for so many seconds."""

    channel: str
    user: str
    seconds: int
    at: float


# ---- what the domain is handed ----


class Hearer(Protocol):
    """Who is told events: a session, or the way to a user of another server."""

    def deliver(self, event: Any) -> None: ...


class Relay(Protocol):
    """The way to the users of one other server."""

    def deliver(self, event: Any, users: Sequence[str]) -> None:
        """Tell an event to these users, given by their bare names; the sequence may be kept."""


class Recipient(Hearer, Protocol):
    """A session, as the domain sees it."""

    user: Any
    over: bool

    @property
    def address(self) -> str:
        """The client's IP address; "" when it is gone already."""

    @property
    def half_closed(self) -> bool:
        """Whether the client sends no more."""

    def end(self) -> None:
        """Close it when what has been delivered has left."""

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        """Deliver, and tell once whether the event has wholly left for the client."""


class Claim(NamedTuple):
    """A password that somebody gives for a name, and the account's hash. There is no hash where no account with a
    password has this name."""

    name: str
    password: str
    password_hash: bytes | None


class Passwords(Protocol):
    """Hashing, done elsewhere. Each is done for a session, and forgotten when that is over."""

    def hash(self, asker: Recipient, password: str, then: Callable[[bytes | None], None]) -> None:
        """Hash a password; None says that too much is waiting."""

    def check(self, asker: Recipient, claim: Claim, then: Done, *, is_login: bool) -> None:
        """Check a password; the outcome is None, WrongPassword or Overloaded. Where there is no hash it is wrong, and
        found so as slowly as any other. A login waits where anything else is Overloaded."""

    def forget(self, asker: Recipient) -> None:
        """Drop what waits for a session that is over; its outcome is not told."""


class Pace:
    """How many accounts an address may make in a time. This one lets it make all it likes; throttle.Pace does not."""

    def allows(self, address: str) -> bool:
        """Tell whether this address may make one more now."""
        return True

    def spend(self, address: str) -> None:
        """Note that this address makes one."""

    def give_back(self, address: str) -> None:
        """Note that what this address was to make has failed."""


class Timers(Protocol):
    """The monotonic clock, in seconds, and calls that it brings. loop.Loop has them."""

    def monotonic(self) -> float: ...
    def call_later(self, seconds: float, call: Callable[[], None]) -> Any: ...
    def cancel(self, deadline: Any) -> None: ...


class Journal(Protocol):
    """Where durable changes go, and where what was said is read again. Reading raises StoreUnavailable."""

    def submit(self, change: Change, done: Done) -> None: ...
    def commit(self) -> None: ...
    def history(self, channel: str, count: int, but_last: int) -> tuple[int, Iterator[list[Said]]]: ...
    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]: ...


class Limits(NamedTuple):
    """How much there may be: characters of a name; guests at once, accounts, channels; channels that one account has
    made, and is in; direct messages that wait for one account, and those of them that users of unlisted servers have
    sent."""

    name: int = MAX_NAME
    guests: int = 1 << 62
    accounts: int = 100_000
    channels: int = 10_000
    channels_per_creator: int = 1000
    channels_per_user: int = 1000
    mail: int = 1000
    unlisted_mail: int = 20


NO_LIMITS = Limits(*[1 << 62] * len(Limits._fields))


def classic_id(name: str) -> str:
    """Make an account's ID as seed 004 does: anybody can guess it."""
    return f"{name}123"


# ---- state ----

MANY_CHANGES = 100
"""Changes of a list of names that wait to be merged in, whatever its length."""


class SortedNames:
    """Names in the order of their code points, for those who read them often.

    Changes are collected and merged in when somebody reads, or when they are many, so that no reader waits for a sort.
    Readers get one list, which is replaced and not changed, so that many who take it slowly hold it once.
    """

    __slots__ = ("_changes", "_names")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._changes: dict[str, bool] = {}
        """Names that have been added or removed since."""

    def add(self, name: str) -> None:
        """There is one name more."""
        self._change(name, added=True)

    def remove(self, name: str) -> None:
        """A name is there no more."""
        self._change(name, added=False)

    def read(self) -> Sequence[str]:
        """Give all names; the list may be kept, and never changes."""
        if self._changes:
            self._merge()
        return self._names

    def _change(self, name: str, *, added: bool) -> None:
        if name in self._changes:
            del self._changes[name]  # the one undoes the other
        else:
            self._changes[name] = added
            if len(self._changes) > MANY_CHANGES + len(self._names) // 16:
                self._merge()

    def _merge(self) -> None:
        new = sorted(name for name, added in self._changes.items() if added)
        old = self._names
        if len(new) < len(self._changes):
            old = [name for name in old if name not in self._changes]
        self._names = sorted(old + new)  # two sorted runs, which take no more than a merge
        self._changes.clear()


class WaitingMail:
    """Who has sent the messages that wait for an account, the oldest first; how many each sender and each host has."""

    __slots__ = ("_senders", "by_host", "by_sender")

    def __init__(self) -> None:
        self._senders: list[str] = []
        self.by_sender: Counter[str] = Counter()
        self.by_host: Counter[str] = Counter()
        """Of users of other servers alone."""

    def __len__(self) -> int:
        return len(self._senders)

    def add(self, sender: str) -> None:
        """One more waits, the newest."""
        self._senders.append(sender)
        self._count((sender,), 1)

    def drop_newest(self) -> None:
        """The newest is taken back."""
        self._count((self._senders.pop(),), -1)

    def take(self, count: int) -> list[str]:
        """Take the oldest; give their senders."""
        taken = self._senders[:count]
        del self._senders[:count]
        self._count(taken, -1)
        return taken

    def put_back(self, taken: Sequence[str]) -> None:
        """Undo a `take`."""
        self._senders[:0] = taken
        self._count(taken, 1)

    def _count(self, senders: Iterable[str], each: int) -> None:
        for sender in senders:
            _add(self.by_sender, sender, each)
            host = sender.partition(HOST_OF_USER)[2]
            if host:
                _add(self.by_host, host, each)


def _add(counts: Counter[str], key: str, number: int) -> None:
    counts[key] += number
    if not counts[key]:
        del counts[key]


class Account:
    """A registered name, its memberships, the session where it is logged in, and how much mail waits for it.

    It has a password or an ID; `number` grows with each that is made. While its mail is being collected nobody else
    gets it: `collecting` counts those who do, and what of it is on its way to be deleted.
    """

    __slots__ = ("_waiting", "channels", "collecting", "id", "name", "number", "password_hash", "session")

    def __init__(self, number: int, name: str, password_hash: bytes | None, account_id: str = "") -> None:
        self.number = number
        self.name = name
        self.password_hash = password_hash
        self.id = account_id
        self.channels: dict[str, Channel] = {}
        self.session: Recipient | None = None
        self._waiting: WaitingMail | None = None
        self.collecting = 0

    @property
    def mail(self) -> int:
        """How many messages wait."""
        return len(self._waiting or ())

    @property
    def waiting(self) -> WaitingMail:
        """Whose messages wait; most accounts never have any."""
        if self._waiting is None:
            self._waiting = WaitingMail()
        return self._waiting

    def leaving(self, channel: str) -> Left:
        """Give the change that ends a membership."""
        return Left(self.name, channel)


class RemoteUser:
    """A user of another server who is in channels of this one, or on the way in.

    Args:
        user: the bare name.
        host: the server's name.
        session: the way to this user.
        relay: the way to all users of that server.
    """

    __slots__ = ("channels", "name", "relay", "session", "user")

    def __init__(self, user: str, host: str, session: Hearer, relay: Relay) -> None:
        self.user = user
        self.name = remote_user(user, host)
        self.session: Hearer | None = session
        self.relay = relay
        self.channels: dict[str, Channel] = {}

    def leaving(self, channel: str) -> RemoteLeft:
        """Give the change that ends a membership."""
        return RemoteLeft(self.name, channel)


class Guest:
    """Somebody who holds a name while connected, and has nothing that lasts."""

    __slots__ = ("name", "session")

    def __init__(self, name: str, session: Recipient) -> None:
        self.name = name
        self.session: Recipient | None = session


class Visitor(Protocol):
    """A guest of one channel; rooms.RoomGuest is one."""

    name: str


class Letter(NamedTuple):
    """A direct message on its way: who sends it, at which session, and who is to be told what became of it. A user of
    another server has no session here."""

    sender: Account | RemoteUser
    session: Recipient | None
    message: Mailed
    done: Done


User = Account | Guest
"""Who can be logged in."""

Member = Account | RemoteUser
"""Who can be in a channel and is known outside of it."""


class Audience:
    """The users of one other server who hear what is said in a channel, by their bare names."""

    __slots__ = ("_listed", "_users")

    def __init__(self) -> None:
        self._users: dict[str, None] = {}
        self._listed: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: str) -> bool:
        return user in self._users

    def add(self, user: str) -> None:
        """One more hears it."""
        self._users[user] = None
        self._listed = None

    def remove(self, user: str) -> None:
        """One hears it no more."""
        del self._users[user]
        self._listed = None

    @property
    def users(self) -> tuple[str, ...]:
        """All of them, in the order in which they came; the same tuple until that changes."""
        if self._listed is None:
            self._listed = tuple(self._users)
        return self._listed


class Channel:
    """A named set of members. `present` are the sessions of those who are logged in here, and of the guests;
    `elsewhere` are the users of other servers.

    Guests come in through a port of the channel's own, if it has one; rooms.Rooms looks after them. `mutes` has for a
    name the time on the monotonic clock until which it may not speak; `joining` counts members of this server who are
    not seated yet, `remote` all members of other servers, `speaking` for each guest the messages that are not decided.
    """

    __slots__ = (
        "_names", "capacity", "elsewhere", "guests", "joining", "members", "mutes", "name", "present", "remote",
        "speaking",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.capacity: int | None = None
        self.members: dict[str, Member] = {}
        self.guests: dict[str, Any] = {}
        self.present: dict[Hearer, None] = {}
        self.elsewhere: dict[Relay, Audience] = {}
        self.remote = 0
        self._names = SortedNames()
        self.mutes: dict[str, float] = {}
        self.speaking: dict[str, int] = {}
        self.joining = 0

    @property
    def has_room(self) -> bool:
        """Whether one more of this server may come in. Users of other servers take nobody's place (O35)."""
        return self.capacity is None or len(self.present) + self.joining < self.capacity

    @property
    def has_room_for_remote(self) -> bool:
        """Whether one more of another server may come in."""
        return self.capacity is None or len(self.present) + self.joining + self.remote < self.capacity

    @property
    def population(self) -> int:
        """How many are there, users of other servers among them."""
        return len(self.present) + sum(map(len, self.elsewhere.values()))

    def names(self) -> Sequence[str]:
        """Give the names of members and guests, sorted: one list for all readers until it changes."""
        return self._names.read()

    def add_member(self, member: Member) -> None:
        """There is one member more."""
        self.members[member.name] = member
        self.remote += isinstance(member, RemoteUser)
        self._names.add(member.name)

    def remove_member(self, member: Member) -> None:
        """Somebody is a member no more."""
        del self.members[member.name]
        self.remote -= isinstance(member, RemoteUser)
        self._names.remove(member.name)

    def add_guest(self, guest: Visitor) -> None:
        """A guest has come in."""
        self.guests[guest.name] = guest
        self._names.add(guest.name)

    def remove_guest(self, guest: Visitor) -> None:
        """A guest has left."""
        del self.guests[guest.name]
        self._names.remove(guest.name)


class RemoteChannel(Channel):
    """A channel of another server, and the accounts here that are its members. `servers` has for each of them the
    identity of the server when the membership began (L38)."""

    __slots__ = ("servers",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.servers: dict[str, str] = {}

    @property
    def host(self) -> str:
        """The name of its server."""
        return self.name.partition(HOST_OF_CHANNEL)[2]


class Watch:
    """Is told what happens in channels, and has a say in some of it. This one does nothing; rooms.Rooms does more."""

    def check_mute(self, channel: Channel, name: str) -> None:
        """Raise StillMuted for who may not speak there."""

    def said(self, messages: Sequence[Said]) -> None:
        """These messages, all to one channel that has a capacity, have been delivered."""

    def joined(self, channel: Channel, name: str) -> None:
        """A member has come into a channel that has a capacity."""

    def left(self, channel: Channel, change: Left) -> None:
        """By this change one who was there has left a channel that has a capacity."""

    def vacated(self, channel: Channel) -> None:
        """There may be room for one more in a channel."""

    def member_whispers(self, member: Member, name: str, text: str) -> bool:
        """Deliver a direct message to a guest of one of the member's channels; False when there is none.

        Raises:
            StillMuted: the member may not speak there.
        """
        return False


class Network:
    """The other servers, as the domain sees them. This one has none; federation.Federation does more."""

    def is_unlisted(self, host: str) -> bool:
        """Tell whether the config does not mean the server of this name (L31)."""
        return False

    def created(self, channel: str) -> None:
        """A channel has been made here."""

    def join(self, account: Account, channel: str, done: Done) -> None:
        """Have an account become a member of a remote channel. Fails with NoSuchChannel, and as `Chat.join` does."""
        done(NoSuchChannel())

    def left(self, account: str, channel: str) -> None:
        """An account is no longer a member of a remote channel."""

    def say(self, account: Account, channel: str, text: str, settled: Callable[[bool], None]) -> None:
        """Say something in a remote channel that the account is a member of.

        Args:
            settled: told once what has become of it: False if the channel has not got it, as far as that is known.

        Raises:
            NoSuchChannel: its server cannot be reached.
            TooLong: it would not take so long a message.
        """
        raise NoSuchChannel

    def tell(self, sender: str, name: str, text: str, done: Done) -> None:
        """Send a direct message to a remote user. Fails with NoSuchUser, TooLong."""
        done(NoSuchUser())
