"""The state: users, channels and who is in them. Its classes hold what is so, and decide nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from domain.changes import Done, InOrder, Left, Mailed
from domain.names import HOST_OF_CHANNEL, HOST_OF_USER, MAX_NAME, remote_user
from domain.sessions import ClientSession, Relay, Subscriber


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
        self.session: ClientSession | None = None
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
    """A user of another server who is in channels of this one, or is about to join one.

    Args:
        user: the bare name.
        host: the server's name.
        session: the way to this user.
        relay: the way to all users of that server.
    """

    __slots__ = ("channels", "name", "relay", "session", "user")

    def __init__(self, user: str, host: str, session: Subscriber, relay: Relay) -> None:
        self.user = user
        self.name = remote_user(user, host)
        self.session: Subscriber | None = session
        self.relay = relay
        self.channels: dict[str, Channel] = {}

    def leaving(self, channel: str) -> InOrder:
        """Give the change that ends a membership."""
        return self.relay.leaving(self.user, channel)


class Guest:
    """Somebody who holds a name while connected, and has nothing that lasts."""

    __slots__ = ("name", "session")

    def __init__(self, name: str, session: ClientSession) -> None:
        self.name = name
        self.session: ClientSession | None = session


class PendingDirectMessage(NamedTuple):
    """A direct message on its way: who sends it, at which session, and who is to be told what became of it. A user of
    another server has no session here."""

    sender: Account | RemoteUser
    session: ClientSession | None
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
    """A named set of members. `subscribers` are the sessions of those who are logged in here, and of the guests;
    `elsewhere` are the users of other servers.

    Guests come in through a port of the channel's own, if it has one; rooms.Rooms looks after them. `mutes` has for a
    name the time on the monotonic clock until which it may not speak; `here` counts members of this server who are
    logged in, `remote` all members of other servers. What is decided changes `members`, `guests` and the counts at
    once; `subscribers` and `elsewhere` change when it is told.
    """

    __slots__ = (
        "_names", "capacity", "elsewhere", "guests", "here", "members", "mutes", "name", "remote", "subscribers",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.capacity: int | None = None
        self.members: dict[str, Member] = {}
        self.guests: dict[str, RoomGuest] = {}
        self.subscribers: dict[ClientSession, None] = {}
        self.elsewhere: dict[Relay, Audience] = {}
        self.remote = 0
        self._names = SortedNames()
        self.mutes: dict[str, float] = {}
        self.here = 0

    @property
    def has_room(self) -> bool:
        """Whether one more of this server may come in. Users of other servers take nobody's place (O11)."""
        return self.capacity is None or self.here + len(self.guests) < self.capacity

    @property
    def has_room_for_remote(self) -> bool:
        """Whether one more of another server may come in."""
        return self.capacity is None or self.here + len(self.guests) + self.remote < self.capacity

    @property
    def population(self) -> int:
        """How many are there, users of other servers among them."""
        return len(self.subscribers) + sum(map(len, self.elsewhere.values()))

    def names(self) -> Sequence[str]:
        """Give the names of members and guests, sorted: one list for all readers until it changes."""
        return self._names.read()

    def muted_for(self, name: str, now: float) -> float:
        """Give the seconds for which a name may not speak; 0 when it may.

        Args:
            now: the time on the monotonic clock.
        """
        until = self.mutes.get(name)
        if until is None:
            return 0
        if until <= now:
            del self.mutes[name]
            return 0
        return until - now

    def add_member(self, member: Member) -> None:
        """There is one member more."""
        self.members[member.name] = member
        self._count(member, 1)
        self._names.add(member.name)

    def remove_member(self, member: Member) -> None:
        """Somebody is a member no more."""
        del self.members[member.name]
        self._count(member, -1)
        self._names.remove(member.name)

    def _count(self, member: Member, number: int) -> None:
        if isinstance(member, RemoteUser):
            self.remote += number
        elif member.session is not None:
            self.here += number

    def add_guest(self, guest: RoomGuest) -> None:
        """A guest has come in."""
        self.guests[guest.name] = guest
        self._names.add(guest.name)

    def remove_guest(self, guest: RoomGuest) -> None:
        """A guest has left."""
        del self.guests[guest.name]
        self._names.remove(guest.name)


class RoomGuest:
    """Somebody in a channel, or in its queue, through the channel's own port.

    `idle_since` is the time on the monotonic clock at which the guest last did something; a mute moves it on. `channel`
    is the one that the guest has asked for last; `gone` says that the guest leaves for good. Neither need be decided.
    """

    __slots__ = ("channel", "gone", "idle_since", "name", "session", "takes_files", "timer")

    def __init__(self, name: str, session: ClientSession, channel: Channel, *, takes_files: bool) -> None:
        self.name = name
        self.session = session
        self.channel = channel
        self.takes_files = takes_files
        self.gone = False
        self.idle_since = 0.0
        self.timer: Any = None

    @property
    def waits(self) -> bool:
        """Whether the guest is in the queue."""
        return self.channel.guests.get(self.name) is not self


class RemoteChannel(Channel):
    """A channel of another server, and the accounts here that are its members. `servers` has for each of them the
    identity of the server when the membership began (L21)."""

    __slots__ = ("servers",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.servers: dict[str, str] = {}

    @property
    def host(self) -> str:
        """The name of its server."""
        return self.name.partition(HOST_OF_CHANNEL)[2]
