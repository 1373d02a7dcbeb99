"""What the domain needs from outside: hashing, rate limits, timers, the backend, observers, other servers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from domain.changes import Banned, Change, Done, Mailed, Said
from domain.errors import NoSuchChannel, NoSuchUser
from domain.sessions import ClientSession, deliver_to_each
from domain.state import Account, Channel, Member


class Claim(NamedTuple):
    """A password given for a name, and the account's hash; None where no account with a password has this name."""

    name: str
    password: str
    password_hash: bytes | None


class Passwords(Protocol):
    """Hashing of passwords, outside of the loop. Each task belongs to a session, and is dropped with it."""

    def hash(self, session: ClientSession, password: str, then: Callable[[bytes | None], None]) -> None:
        """Hash a password; None means that too many tasks wait."""

    def check(self, session: ClientSession, claim: Claim, then: Done, *, is_login: bool) -> None:
        """Check a password; the outcome is None, WrongPassword or Overloaded.

        Without a hash it is wrong, after the same time. A login waits when any other check would be Overloaded.
        """

    def forget(self, session: ClientSession) -> None:
        """Drop the tasks of a session that is over; their callbacks are not called."""


class RateLimit:
    """How many accounts an address may make in a time. This one sets no limit; app.throttle.AccountRateLimit does."""

    def allows(self, address: str) -> bool:
        """Tell whether this address may make one more now."""
        return True

    def spend(self, address: str) -> None:
        """Note that this address makes one."""

    def give_back(self, address: str) -> None:
        """Note that an account that was counted has not been made."""


class Timers(Protocol):
    """The monotonic clock, in seconds, and deferred calls; net.loop.Loop implements it."""

    def monotonic(self) -> float: ...
    def call_later(self, seconds: float, call: Callable[[], None]) -> Any: ...
    def cancel(self, deadline: Any) -> None: ...


class Backend(Protocol):
    """Where the journal's durable changes are kept, and read again. Reading raises StoreUnavailable.

    Attributes:
        last_number: no message or read marker has a greater number; 0 without messages.
        last_time: when the newest message was said, in seconds since the epoch; 0 without messages.
    """

    @property
    def last_number(self) -> int: ...
    @property
    def last_time(self) -> float: ...
    def write(self, changes: Sequence[Change]) -> bool: ...
    def history(
        self, channel: str, count: int, before: int, after: int | None = None, since: int = 0
    ) -> tuple[int, Iterator[list[Said]]]: ...
    def number_at(self, at: float) -> int: ...
    def oldest(self, channel: str, before: float, most: int) -> int: ...
    @property
    def is_read(self) -> bool: ...
    def time_of(self, number: int) -> float: ...
    def markers(self, account: str) -> dict[str, float]: ...
    def unread(self, account: str) -> list[tuple[str, int]]: ...
    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]: ...


class ChannelObserver:
    """Called for what happens in channels with a port. This one does nothing; rooms.Rooms is the other one."""

    def check_mute(self, channel: Channel, name: str) -> None:
        """Check a sender.

        Raises:
            StillMuted: this name may not speak in the channel yet.
        """

    def said(self, messages: Sequence[Said]) -> None:
        """These messages, all to one channel that has a capacity, have been delivered."""

    def joined(self, channel: Channel, name: str) -> None:
        """A member has come into a channel that has a capacity."""

    def left(self, channel: Channel, name: str) -> None:
        """A member who was logged in has left a channel that has a capacity."""

    def vacated(self, channel: Channel) -> None:
        """A channel may have room for one more."""

    def whisper_from_member(self, member: Member, name: str, text: str, done: Done, room: str = "") -> None:
        """Deliver a direct message to a guest of one of the member's channels, or of the channel `room`.

        Fails with NoSuchUser, StillMuted.
        """
        done(NoSuchUser())


class PrefixOf(Protocol):
    """Returns how IRC names a user, `nick!user@host`; `in_room` for a guest of a channel's own port."""

    def __call__(self, name: str, *, in_room: bool) -> str: ...


class RemoteServers:
    """The other servers, as the domain sees them. This one has none; peering.remote.LinkedServers has those linked."""

    def is_unlisted(self, host: str) -> bool:
        """Tell whether the server of this name is unlisted (L14)."""
        return False

    def known_as(self, host: str) -> Collection[str]:
        """Return the names and addresses of the server of this name."""
        return (host,)

    def created(self, channel: str) -> None:
        """A channel has been made here that others may know of, or an older one may be known from now on."""

    def hidden(self) -> None:
        """A channel that was announced is gone, or may not be known any more."""

    def join(self, account: Account, channel: str, done: Done) -> None:
        """Have an account become a member of a remote channel. Fails with NoSuchChannel, and as `Chat.join` does."""
        done(NoSuchChannel())

    def left(self, account: str, channel: str) -> None:
        """An account is no longer a member of a remote channel."""

    def say(self, account: Account, channel: str, text: str, settled: Callable[[bool], None]) -> None:
        """Say something in a remote channel of the account.

        Args:
            settled: called once, with False if the channel has not got the message, as far as is known.

        Raises:
            NoSuchChannel: its server cannot be reached.
            TooLong: the message is too long for a link.
        """
        raise NoSuchChannel

    def tell(self, sender: str, name: str, text: str, done: Done) -> None:
        """Send a direct message to a remote user. Fails with NoSuchUser, TooLong."""
        done(NoSuchUser())


class Outside:
    """The observer of channels, the other servers, and the way to a channel's subscribers; set when they are made.

    Attributes:
        fan_out: tells an event that is the same for all to the subscribers of a channel here.
        prefix_of: returns how IRC names a user.
        enforce: removes the users whom a new ban concerns.
        logged_in: takes an account to which a client has logged in, if there are bans.
        messages: how many there have been, to channels (`channel`) and to single users (`direct`).
    """

    def __init__(self) -> None:
        self.observer = ChannelObserver()
        self.servers = RemoteServers()
        self.fan_out: Callable[[Any, Channel], None] = _fan_out
        self.prefix_of: PrefixOf = _plain_prefix
        self.enforce: Callable[[Banned], None] = lambda _ban: None
        self.logged_in: Callable[[Account], None] = lambda _account: None
        self.messages = {"channel": 0, "direct": 0}

    def counting(self, done: Done) -> Done:
        """Return a callback that also counts the direct message whose outcome it takes, if that is a success."""

        def counted(error: Exception | None) -> None:
            if error is None:
                self.messages["direct"] += 1
            done(error)

        return counted


def _fan_out(event: Any, channel: Channel) -> None:
    deliver_to_each(event, channel.subscribers)


def _plain_prefix(name: str, *, in_room: bool) -> str:
    return f"{name}!{name}@{'room' if in_room else 'account'}"
