"""The users of another server who are in channels of this one: who they are, and what of theirs is not decided yet.

A membership is not durable: it lasts as long as the other server is linked, and is asked for again by that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from domain.changes import Done
from domain.chat import Chat
from domain.interfaces import Timers
from domain.sessions import Hearer, Relay
from domain.state import RemoteUser
from peering.peers import Peer
from peering.pending import Key
from settings import Settings


class Members:
    """All who are in from one peer, or on the way in or out, by their bare names.

    Args:
        chat: whose channels they are in.
        peer: their server.
        settings: how many there may be.
        timers: the monotonic clock.
        way: gives the way out to a user.
        relay: the way out to all of them.
    """

    def __init__(
        self,
        chat: Chat,
        peer: Peer,
        settings: Settings,
        timers: Timers,
        way: Callable[[str], Hearer],
        relay: Relay,
    ) -> None:
        self.users: dict[str, RemoteUser] = {}
        self.memberships: dict[Key, float] = {}
        """What they are in, with the time on the monotonic clock when that was last asked for."""
        self.in_channel: Counter[str] = Counter()
        """How many of them are in each channel."""
        self._undecided: Counter[str] = Counter()
        """How many changes of a user's wait in the journal."""
        self._chat = chat
        self._peer = peer
        self._settings = settings
        self._timers = timers
        self._way = way
        self._relay = relay

    def find(self, user: str) -> RemoteUser:
        """Give a user who may be in no channel at all."""
        return self.users.get(user) or RemoteUser(user, self._peer.name, self._way(user), self._relay)

    def limit(self, user: str, channel: str) -> str:
        """Name the setting that keeps a user out of a channel; "" if none does."""
        if user not in self.users and len(self.users) >= self._settings.max_remote_users:
            return "max-remote-users"
        if (user, channel) not in self.memberships and len(self.memberships) >= self._settings.max_remote_memberships:
            return "max-remote-memberships"
        return ""

    def admit(self, user: str, channel: str, done: Done) -> None:
        """Let a user into a channel. Fails as `Chat.admit`."""
        remote = self.users[user] = self.find(user)
        self._chat.users.remote[remote.name] = remote
        self.in_channel[channel] += (user, channel) not in self.memberships
        self.memberships[user, channel] = self._timers.monotonic()
        self._undecided[user] += 1

        def decided(error: Exception | None) -> None:
            self._decided(user, channel)
            if not self._peer.links and channel in remote.channels:
                self.leave(user, channel)
            done(error)

        self._chat.admit(remote, channel, decided)

    def leave(self, user: str, channel: str) -> None:
        """Let a user out of a channel; nothing happens to one who is not there."""
        remote = self.users.get(user)
        if remote is not None:
            self._undecided[user] += 1
            self._chat.dismiss(remote, channel, lambda _error: self._decided(user, channel))

    def dismiss(self, asked_before: float = float("inf")) -> None:
        """End all memberships, or those that were not asked for again since a time on the monotonic clock."""
        for (user, channel), asked in list(self.memberships.items()):
            if asked < asked_before:
                self.leave(user, channel)

    def forget(self, user: str, channel: str) -> None:
        """Forget a membership if it has ended, and with the last one its user, who is not on the way either."""
        remote = self.users.get(user)
        if remote is None or channel in remote.channels:
            return
        if self.memberships.pop((user, channel), None) is not None:
            self.in_channel[channel] -= 1
            if not self.in_channel[channel]:
                del self.in_channel[channel]
        if not remote.channels and not self._undecided[user]:
            del self.users[user], self._undecided[user], self._chat.users.remote[remote.name]

    def _decided(self, user: str, channel: str) -> None:
        self._undecided[user] -= 1
        self.forget(user, channel)
