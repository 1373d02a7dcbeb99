"""A chat whose backend is in memory, and sessions that note what they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from domain.changes import (
    AccountRegistered,
    Change,
    ChannelCreated,
    Done,
    Joined,
    MailDelivered,
    Mailed,
    Marked,
    Said,
    Seen,
)
from domain.chat import Chat
from domain.interfaces import RateLimit
from domain.modes import Modes
from domain.state import Account, Channel, Limits, Visitor
from support.world import FakePasswords

NOW = 1000.0


class MemoryBackend:
    """Keeps what is written to it in memory. `fails`: the disk does not take it."""

    def __init__(self) -> None:
        self.fails = False
        self.last_number = 0
        self.last_time = 0.0
        self.written: list[Change] = []
        self.mailbox: list[tuple[int, Mailed]] = []
        self._mails = 0

    def write(self, changes: Sequence[Change]) -> bool:
        if not self.fails:
            for change in changes:
                self._write(change)
        return not self.fails

    def _write(self, change: Change) -> None:
        self.written.append(change)
        if isinstance(change, Mailed):
            self._mails += 1
            self.mailbox.append((self._mails, change))
        elif isinstance(change, MailDelivered):
            gone = [(n, mail) for n, mail in self.mailbox if mail.recipient == change.recipient and n <= change.last]
            for entry in gone[: change.messages]:
                self.mailbox.remove(entry)

    def _said(self, channel: str, after: int, before: int) -> list[Said]:
        said = [change for change in self.written if isinstance(change, Said) and change.channel == channel]
        return [message for message in said if after < message.number < before]

    def history(
        self, channel: str, count: int, before: int, after: int | None = None, since: int = 0
    ) -> tuple[int, Iterator[list[Said]]]:
        said = self._said(channel, max(after or 0, since), before)
        said = said[-count:] if after is None else said[:count]
        return len(said), iter([said])

    def number_at(self, at: float) -> int:
        return max(
            (change.number for change in self.written if isinstance(change, Said) and change.at <= at), default=0
        )

    def time_of(self, number: int) -> float:
        return max(
            (change.at for change in self.written if isinstance(change, Said) and change.number <= number), default=0
        )

    def markers(self, account: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for change in self.written:
            if isinstance(change, Marked | Seen) and change.account == account:
                found[change[1]] = max(found.get(change[1], 0), change.at)
        return found

    is_read = False

    def oldest(self, channel: str, before: float, most: int) -> int:
        return 0

    def unread(self, account: str) -> list[tuple[str, int]]:
        return []

    def mail(self, recipient: str) -> Iterator[tuple[int, list[Mailed]]]:
        """Pages of two."""
        last = 0
        while page := [(n, mail) for n, mail in self.mailbox if mail.recipient == recipient and n > last][:2]:
            last = page[-1][0]
            yield last, [mail for _n, mail in page]


class FakeSession:
    """A session: it notes what it is told."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.principal: Any = None
        self.over = False
        self.half_closed = False
        self.has_spoken = True
        self.paused = False
        self.address = address
        self.probed = 0
        self.limits: list[tuple[str, str]] = []
        self.told: list[Any] = []

    def deliver(self, event: Any) -> None:
        self.told.append(event)

    def probe(self) -> None:
        self.probed += 1

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        self.limits.append((reason, detail % values))

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        self.told.append(event)
        done(not self.over)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def end(self) -> None:
        self.over = True

    def done(self, mark: str = "") -> Done:
        """What takes an outcome: noted among the events, since their order matters."""
        return lambda error: self.told.append((mark, None if error is None else type(error)))

    def take(self) -> list[Any]:
        told, self.told = self.told, []
        return told


def local(channel: Channel) -> list[Account | Visitor]:
    """The members who are users of this server."""
    return [member for member in channel.members.values() if isinstance(member, Account | Visitor)]


class MemoryChat:
    """A chat whose backend is in memory."""

    def __init__(self, limits: Limits | None = None, rate_limit: RateLimit | None = None) -> None:
        self.backend = MemoryBackend()
        self.passwords = FakePasswords()
        self.chat = Chat(self.backend, self.passwords, lambda: NOW, limits or Limits(), rate_limit=rate_limit)
        self.journal = self.chat.journal

    def account(self, name: str, *channels: str) -> Account:
        """An account in these channels, which are made where they are not."""
        self.chat.restore([AccountRegistered(name, name.encode(), NOW)])
        for channel in channels:
            if channel not in self.chat.channels.local:
                self.chat.restore([ChannelCreated(channel, name, NOW)])
            self.chat.restore([Joined(name, channel, NOW)])
        return self.chat.users.accounts[name]

    def user(self, name: str, *channels: str) -> FakeSession:
        """An account that is logged in."""
        if name not in self.chat.users.accounts:
            self.account(name, *channels)
        screen = FakeSession()
        self.chat.logins.login(screen, name, name, screen.done())
        assert screen.take()[0] == ("", None)
        return screen

    def outcome(self, call: Callable[[Done], object]) -> type[Exception] | None:
        """Make a call that takes a `done`, commit, and return its outcome."""
        outcomes: list[Exception | None] = []
        call(outcomes.append)
        self.journal.commit()
        (error,) = outcomes
        return None if error is None else type(error)

    def audiences_are_right(self) -> bool:
        """Whether everyone who is in a channel, and there, hears what is said in it, and nobody else."""
        return all(
            set(channel.subscribers) == {session for member in local(channel) for session in member.sessions}
            and channel.here == sum(1 for member in local(channel) if member.session is not None)
            and channel.remote == len(channel.members) - len(local(channel))
            and all(name in account.channels for account in channel.members.values())
            for name, channel in self.chat.channels.local.items()
        )

    def snapshot(self) -> Any:
        """All state, in a form that can be compared."""
        return (
            dict(self.chat.accounts.invitations._ends),
            {
                name: (
                    account.name,
                    account.password_hash,
                    set(account.channels),
                    dict(account.tokens),
                    dict(account.networks),
                    account.session,
                    list(account.waiting._senders),
                    dict(account.waiting.by_sender),
                    dict(account.waiting.by_host),
                )
                for name, account in self.chat.users.accounts.items()
            },
            {
                name: (
                    channel.name,
                    set(channel.members),
                    set(channel.subscribers),
                    channel.remote,
                    channel.names(),
                    channel.topic,
                    channel.topic_set,
                    modes_of(channel),
                )
                for name, channel in (self.chat.channels.local | self.chat.channels.remote).items()
            },
            {
                name: set(member.channels)
                for channel in self.chat.channels.local.values()
                for name, member in channel.members.items()
            },
            {name: dict(channel.servers) for name, channel in self.chat.channels.remote.items()},
            {name: dict(counts) for name, counts in self.chat.channels.identities._begun.items()},
            dict(self.chat.channels.identities.hosts),
            self.chat.channels.listing.names.read(),
            self.chat.bans.all(),
            self.chat.users.host_key,
            {name: set(channels) for name, channels in self.chat.channels.admission.invitations.items()},
        )


def modes_of(channel: Channel) -> Any:
    """What is not the default in a channel."""
    modes = channel.modes or Modes()
    masks = {kind: list(masks.values()) for kind, masks in modes.masks.items() if masks}
    return modes.flags, modes.key, modes.limit, dict(modes.ranks), dict(modes.temporary), masks, modes.is_founded


def mailed(memory: MemoryChat, count: int) -> Account:
    """Give bob so many messages."""
    alice, bob = memory.user("alice"), memory.account("bob")
    for number in range(count):
        memory.chat.messages.send_direct(alice.principal, "bob", str(number), alice.done())
    memory.journal.commit()
    assert bob.mail == count
    return bob
