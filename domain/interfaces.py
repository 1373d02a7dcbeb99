"""What the domain is handed: hashing, clocks, the journal, observers and other servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from domain.changes import Change, Done, Mailed, Said
from domain.errors import NoSuchChannel, NoSuchUser
from domain.sessions import ClientSession
from domain.state import Account, Channel, Member


class Claim(NamedTuple):
    """A password that somebody gives for a name, and the account's hash. There is no hash where no account with a
    password has this name."""

    name: str
    password: str
    password_hash: bytes | None


class Passwords(Protocol):
    """Hashing, done elsewhere. Each is done for a session, and forgotten when that is over."""

    def hash(self, session: ClientSession, password: str, then: Callable[[bytes | None], None]) -> None:
        """Hash a password; None says that too much is waiting."""

    def check(self, session: ClientSession, claim: Claim, then: Done, *, is_login: bool) -> None:
        """Check a password; the outcome is None, WrongPassword or Overloaded. Where there is no hash it is wrong, and
        found so as slowly as any other. A login waits where anything else is Overloaded."""

    def forget(self, session: ClientSession) -> None:
        """Drop what waits for a session that is over; its outcome is not told."""


class Pace:
    """How many accounts an address may make in a time. This one sets no limit; app.throttle.Pace does."""

    def allows(self, address: str) -> bool:
        """Tell whether this address may make one more now."""
        return True

    def spend(self, address: str) -> None:
        """Note that this address makes one."""

    def give_back(self, address: str) -> None:
        """Note that what this address was to make has failed."""


class Timers(Protocol):
    """The monotonic clock, in seconds, and calls that it brings. net.loop.Loop has them."""

    def monotonic(self) -> float: ...
    def call_later(self, seconds: float, call: Callable[[], None]) -> Any: ...
    def cancel(self, deadline: Any) -> None: ...


class Backend(Protocol):
    """Where the journal's durable changes are kept, and read again. Reading raises StoreUnavailable."""

    def write(self, changes: Sequence[Change]) -> bool: ...
    def history(self, channel: str, count: int, but_last: int) -> tuple[int, Iterator[list[Said]]]: ...
    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]: ...


class ChannelObserver:
    """Is told what happens in channels, and has a say in some of it. This one does nothing; rooms.Rooms does more."""

    def check_mute(self, channel: Channel, name: str) -> None:
        """Raise StillMuted for who may not speak there."""

    def said(self, messages: Sequence[Said]) -> None:
        """These messages, all to one channel that has a capacity, have been delivered."""

    def joined(self, channel: Channel, name: str) -> None:
        """A member has come into a channel that has a capacity."""

    def left(self, channel: Channel, name: str) -> None:
        """A member who was there has left a channel that has a capacity."""

    def vacated(self, channel: Channel) -> None:
        """There may be room for one more in a channel."""

    def whisper_from_member(self, member: Member, name: str, text: str, done: Done) -> None:
        """Deliver a direct message to a guest of one of the member's channels.

        Fails with NoSuchUser, StillMuted.
        """
        done(NoSuchUser())


class RemoteServers:
    """The other servers, as the domain sees them. This one has none; peering.remote.LinkedServers does more."""

    def is_unlisted(self, host: str) -> bool:
        """Tell whether the config does not mean the server of this name (L14)."""
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


class Outside:
    """What the domain tells and asks; whoever observes channels or speaks with other servers enters it here."""

    def __init__(self) -> None:
        self.observer = ChannelObserver()
        self.servers = RemoteServers()
