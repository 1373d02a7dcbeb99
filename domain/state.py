"""The state: users, channels and their members. Its classes hold data; the rules are in the modules that use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from domain.changes import Done, InOrder, Left, Mailed, Said, VisitorSaid
from domain.modes import SECRET, Modes
from domain.names import HOST_OF_CHANNEL, MAX_NAME, remote_user
from domain.sessions import Clients, ClientSession, Relay, Subscriber, VisitorMemberships, as_clients, sessions_of
from domain.sorted_names import SortedNames
from domain.waiting_mail import WaitingMail


class Limits(NamedTuple):
    """How much there may be.

    Attributes:
        name: characters of a name.
        guests: guests of `hello` at once.
        accounts: accounts in all.
        channels: channels here.
        channels_per_creator: channels that one account has made.
        channels_per_user: channels that one account or remote user is in.
        clients: clients at which one account is logged in.
        mail: direct messages that wait for one account.
        unlisted_mail: how many of these may come from unlisted servers together.
    """

    name: int = MAX_NAME
    guests: int = 1 << 62
    accounts: int = 100_000
    channels: int = 10_000
    channels_per_creator: int = 1000
    channels_per_user: int = 1000
    clients: int = 20
    mail: int = 1000
    unlisted_mail: int = 20


NO_LIMITS = Limits(*[1 << 62] * len(Limits._fields))

NOBODY = ("", 0.0)
"""Who has set the topic of a channel, and when, where that is not known."""

NO_CHANNELS: dict[str, Channel] = {}
"""The channels of a user who is in none; shared, so it never changes."""


class Token(NamedTuple):
    """What is known of a token besides its digest: whether it is for long, and when it lapses."""

    lasts: bool
    ends: float


NO_TOKENS: Mapping[str, Token] = {}
NO_NETWORKS: Mapping[str, float] = {}


class Account:
    """A registered name, its memberships, the clients where it is logged in, and how much mail waits for it.

    The account has a password or an ID.

    Attributes:
        session: reaches all clients at once; None while there is none.
        collecting: counts the readers of its mail, and the pages that are about to be deleted. Until it is 0, no other
            session gets the mail.
        tokens: its valid tokens, by digest.
        networks: when it last logged in from each network, in seconds since the epoch.
    """

    says = Said

    __slots__ = (
        "_waiting", "channels", "collecting", "id", "name", "networks", "password_hash", "session", "tokens",
    )  # fmt: skip

    def __init__(self, name: str, password_hash: bytes | None, account_id: str = "") -> None:
        self.name = name
        self.password_hash = password_hash
        self.id = account_id
        self.channels = NO_CHANNELS
        self.session: Clients | None = None
        self._waiting: WaitingMail | None = None
        self.collecting = 0
        self.tokens: Mapping[str, Token] = NO_TOKENS
        self.networks: Mapping[str, float] = NO_NETWORKS

    @property
    def sessions(self) -> tuple[ClientSession, ...]:
        """The session of each client, in the order of their logins."""
        return sessions_of(self.session)

    def add_session(self, session: ClientSession) -> None:
        """Add the session of a client that has logged in."""
        self.session = session if self.session is None else as_clients((*self.sessions, session))

    def remove_session(self, session: ClientSession) -> None:
        """Remove the session of a client that is logged out."""
        others = () if self.session is session else tuple(each for each in self.sessions if each is not session)
        self.session = as_clients(others)

    @property
    def mail(self) -> int:
        """How many messages wait."""
        return len(self._waiting or ())

    @property
    def waiting(self) -> WaitingMail:
        """The mail that waits; made when it is first needed, since most accounts never have any."""
        if self._waiting is None:
            self._waiting = WaitingMail()
        return self._waiting

    def leaving(self, channel: str) -> Left:
        """Return the change that ends a membership."""
        return Left(self.name, channel)


class RemoteUser:
    """A user of another server who is in channels of this one, or is about to join one.

    Args:
        user: the bare name.
        host: the server's name.
        session: delivers to this user.
        relay: delivers to all users of that server.
    """

    says = Said

    __slots__ = ("channels", "name", "relay", "session", "user")

    def __init__(self, user: str, host: str, session: Subscriber, relay: Relay) -> None:
        self.user = user
        self.name = remote_user(user, host)
        self.session: Subscriber | None = session
        self.relay = relay
        self.channels = NO_CHANNELS

    def leaving(self, channel: str) -> InOrder:
        """Return the change that ends a membership."""
        return self.relay.leaving(self.user, channel)


class Guest:
    """A user of `hello`: the name is free again when the connection ends."""

    __slots__ = ("name", "session")

    def __init__(self, name: str, session: ClientSession) -> None:
        self.name = name
        self.session: ClientSession | None = session


class Visitor(Guest):
    """A guest who may be a member of channels.

    Args:
        name: the name.
        session: where it is logged in; it stays the same, also after that.
        memberships: ends its memberships.

    Attributes:
        since: for each channel, the number of the newest message when the visitor joined.
        registering: the hash of the password with which the visitor is about to become an account.
        farewell: what it has said at its end.
        invited: the channels that it may join once, whoever else may.
    """

    says: type[Said] = VisitorSaid

    __slots__ = ("_memberships", "channels", "farewell", "invited", "registering", "since")

    def __init__(self, name: str, session: ClientSession, memberships: VisitorMemberships) -> None:
        super().__init__(name, session)
        self.channels = NO_CHANNELS
        self.since: dict[str, int] = {}
        self.registering: bytes | None = None
        self.farewell = ""
        self.invited: set[str] = set()
        self._memberships = memberships

    @property
    def sessions(self) -> tuple[ClientSession, ...]:
        """The session, as an account has several."""
        return sessions_of(self.session)

    def leaving(self, channel: str) -> InOrder:
        """Return the change that ends a membership."""
        return self._memberships.leaving(self, channel)

    def departed(self) -> None:
        """End all memberships."""
        self._memberships.departed(self)


class PendingDirectMessage(NamedTuple):
    """A direct message on its way: its sender, the sender's session, and the callback for the outcome. A user of
    another server has no session here. `room` is as in events.DirectEcho."""

    sender: Account | RemoteUser | Visitor
    session: ClientSession | None
    message: Mailed
    done: Done
    room: str = ""


User = Account | Guest
"""A user of this server that can be logged in."""

Member = Account | RemoteUser | Visitor
"""A user that can be a member of a channel. Guests of a channel are no members."""


class RemoteSubscribers:
    """The subscribers of a channel at one other server, by their bare names."""

    __slots__ = ("_listed", "_users")

    def __init__(self) -> None:
        self._users: dict[str, None] = {}
        self._listed: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: str) -> bool:
        return user in self._users

    def add(self, user: str) -> None:
        """Add a subscriber."""
        self._users[user] = None
        self._listed = None

    def remove(self, user: str) -> None:
        """Remove a subscriber."""
        del self._users[user]
        self._listed = None

    @property
    def users(self) -> tuple[str, ...]:
        """All of them, in the order of their joins; the same tuple until that changes."""
        if self._listed is None:
            self._listed = tuple(self._users)
        return self._listed


class Channel:
    """A named set of members, and of guests, who come in through a port of the channel's own (rooms.Rooms).

    A decision changes `members`, `guests` and the counts; `subscribers` and `elsewhere` follow when it is published.

    Attributes:
        creator: the account that has made it; "" for any other.
        capacity: how many may be in it at once; None for a channel without a port.
        members: accounts, visitors and remote users, by name.
        guests: the guests who are in it, by name.
        subscribers: the sessions here that are told its messages.
        audiences: what `Outside.fan_out` knows of the subscribers here; None when they have changed since.
        elsewhere: the subscribers at other servers.
        here: how many members of this server are logged in.
        remote: how many members other servers have.
        mutes: the time on the monotonic clock until which a name may not speak.
        topic: its topic; "" without one.
        topic_set: who has set the topic, and when; NOBODY where that is not known.
        modes: what is not the default in it; None where everything is.
        created: when it was made, in seconds since the epoch; 0 for a channel of another server.
    """

    __slots__ = (
        "_names", "audiences", "capacity", "created", "creator", "elsewhere", "guests", "here", "members", "modes",
        "mutes", "name", "remote", "subscribers", "topic", "topic_set",
    )  # fmt: skip

    def __init__(self, name: str, creator: str = "") -> None:
        self.name = name
        self.creator = creator
        self.topic = ""
        self.created = 0.0
        self.topic_set = NOBODY
        self.modes: Modes | None = None
        self.capacity: int | None = None
        self.members: dict[str, Member] = {}
        self.guests: dict[str, RoomGuest] = {}
        self.subscribers: dict[ClientSession, None] = {}
        self.audiences: Any = None
        self.elsewhere: dict[Relay, RemoteSubscribers] = {}
        self.remote = 0
        self._names = SortedNames()
        self.mutes: dict[str, float] = {}
        self.here = 0

    @property
    def has_room(self) -> bool:
        """Whether one more user of this server may come in. Users of other servers do not count (O11)."""
        return self.capacity is None or self.here + len(self.guests) < self.capacity

    @property
    def has_room_for_remote(self) -> bool:
        """Whether one more user of another server may come in."""
        return self.capacity is None or self.here + len(self.guests) + self.remote < self.capacity

    @property
    def is_at_limit(self) -> bool:
        """Whether as many are in it as its mode `l` allows."""
        return self.modes is not None and 0 < self.modes.limit <= len(self.members) + len(self.guests)

    @property
    def is_secret(self) -> bool:
        """Whether only members may know of it (mode `s`)."""
        return self.modes is not None and SECRET in self.modes.flags

    def own_modes(self) -> Modes:
        """Return what is not the default in it, to be changed."""
        if self.modes is None:
            self.modes = Modes()
        return self.modes

    def rank(self, name: str) -> str:
        """Return the letters of a user's ranks in it."""
        return "" if self.modes is None else self.modes.rank(name)

    def drop_rank(self, name: str) -> None:
        """End the rank that a user has had until it leaves."""
        if self.modes is not None:
            self.modes.temporary.pop(name, None)

    @property
    def population(self) -> int:
        """How many users the subscribers are, at other servers too. An account may have several clients (M16)."""
        here = {session.principal or session for session in self.subscribers}  # a session that ends has no principal
        return len(here) + sum(map(len, self.elsewhere.values()))

    def subscribe(self, session: ClientSession) -> None:
        """Tell a session the messages from now on."""
        self.subscribers[session] = None
        self.audiences = None

    def unsubscribe(self, session: ClientSession) -> None:
        """Tell a session nothing more. Idempotent."""
        self.subscribers.pop(session, None)
        self.audiences = None

    def names(self) -> Sequence[str]:
        """Return the names of members and guests, sorted: one list for all readers until it changes."""
        return self._names.read()

    def present(self) -> list[str]:
        """Return the names of guests, of members who are logged in, and of remote members, sorted."""
        members = self.members
        return [name for name in self.names() if name not in members or members[name].session is not None]

    def muted_for(self, name: str, now: float) -> float:
        """Return the seconds for which a name may not speak; 0 when it may.

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
        """Add a member."""
        self.members[member.name] = member
        self._count(member, 1)
        self._names.add(member.name)

    def remove_member(self, member: Member) -> None:
        """Remove a member."""
        del self.members[member.name]
        self._count(member, -1)
        self._names.remove(member.name)

    def replace_member(self, old: Member, new: Member) -> None:
        """Replace a member by another one of the same name: a visitor by its account, or back."""
        self._count(old, -1)
        self.members[new.name] = new
        self._count(new, 1)

    def rename_member(self, member: Member, name: str) -> None:
        """Note that a member has another name. A mute and a rank follow it."""
        del self.members[member.name]
        self.members[name] = member
        self._names.remove(member.name)
        self._names.add(name)
        if member.name in self.mutes:
            self.mutes[name] = self.mutes.pop(member.name)
        if self.modes is not None and member.name in self.modes.temporary:
            self.modes.temporary[name] = self.modes.temporary.pop(member.name)

    def _count(self, member: Member, number: int) -> None:
        if isinstance(member, RemoteUser):
            self.remote += number
        elif member.session is not None:
            self.here += number

    def add_guest(self, guest: RoomGuest) -> None:
        """Add a guest."""
        self.guests[guest.name] = guest
        self._names.add(guest.name)

    def remove_guest(self, guest: RoomGuest) -> None:
        """Remove a guest."""
        del self.guests[guest.name]
        self._names.remove(guest.name)


class RoomGuest:
    """A guest in a channel, or in its queue, through the channel's own port.

    Attributes:
        channel: the channel that the guest has asked for last; this need not be decided yet.
        gone: the guest leaves for good; this need not be decided yet.
        idle_since: the time of the last activity, on the monotonic clock; a mute moves it on.
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
    """A channel of another server, and the accounts here that are its members.

    Attributes:
        servers: for each account, the identity of the server when the membership began (L21).
    """

    __slots__ = ("servers",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.servers: dict[str, str] = {}

    @property
    def host(self) -> str:
        """The name of its server."""
        return self.name.partition(HOST_OF_CHANNEL)[2]
