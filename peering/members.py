"""Users of other servers in channels here: their memberships, the limits, the events that they get.

A membership is not durable. It ends when the other server is lost, which requests it again later (L46).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from domain.changes import Done
from domain.chat import Chat
from domain.events import ChannelMessages, DirectMessage, Removed
from domain.interfaces import Timers
from domain.names import remote_channel, remote_user
from domain.sessions import Relay, Subscriber
from domain.state import RemoteUser
from peering.backpressure import BackPressure
from peering.links import Links
from peering.peers import Link, Peer
from peering.pending import Key
from protocol import Session
from settings import Settings


class RemoteUserSession:
    """Tells events to a user of another server, as a session does to a user here."""

    def __init__(self, users: RemoteUsers, peer: Peer, user: str) -> None:
        self._users = users
        self._peer = peer
        self._user = user

    def deliver(self, event: Any) -> None:
        """Pass an event on, if the wire has a line for it."""
        if isinstance(event, Removed):
            self._users.removed(self._peer, self._user, event.channel)
        elif isinstance(event, DirectMessage):  # of a guest, who is not told what becomes of it
            name = remote_user(self._user, self._peer.name)
            self._users.send_direct(event.sender, name, event.text, lambda _error: None)


class PeerRelay:
    """Tells events to those users of a peer who are in one channel."""

    def __init__(self, users: RemoteUsers, peer: Peer) -> None:
        self._users = users
        self._peer = peer

    def deliver(self, event: Any, users: Sequence[str]) -> None:
        """Pass messages on to these users, given by their bare names."""
        self._users.deliver(self._peer, event, users)


class Members:
    """The users of one peer in channels here, or about to join or leave, by their bare names.

    Args:
        chat: the domain.
        peer: their server.
        settings: the limits.
        timers: the monotonic clock.
        session: gives the session of a user, by its bare name.
        relay: tells events to all of them.
    """

    def __init__(
        self,
        chat: Chat,
        peer: Peer,
        settings: Settings,
        timers: Timers,
        session: Callable[[str], Subscriber],
        relay: Relay,
    ) -> None:
        self.users: dict[str, RemoteUser] = {}
        self.memberships: dict[Key, float] = {}
        """Their memberships, with the time of the last FEDJOIN on the monotonic clock."""
        self.in_channel: Counter[str] = Counter()
        """How many of them are in each channel."""
        self._undecided: Counter[str] = Counter()
        """How many changes of each user wait in the journal."""
        self._chat = chat
        self._peer = peer
        self._settings = settings
        self._timers = timers
        self._session = session
        self._relay = relay

    def find(self, user: str) -> RemoteUser:
        """Give a user, who need not be in any channel."""
        return self.users.get(user) or RemoteUser(user, self._peer.name, self._session(user), self._relay)

    def limit(self, user: str, channel: str) -> str:
        """Give the setting whose limit keeps a user out of a channel; "" if none does (L49)."""
        if user not in self.users and len(self.users) >= self._settings.max_remote_users:
            return "max-remote-users"
        if (user, channel) not in self.memberships and len(self.memberships) >= self._settings.max_remote_memberships:
            return "max-remote-memberships"
        return ""

    def admit(self, user: str, channel: str, done: Done) -> None:
        """Let a user join a channel (L33). Fails as `Chat.admit`."""
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
        """Let a user leave a channel (L34). No-op for a user of no channel."""
        remote = self.users.get(user)
        if remote is not None:
            self._undecided[user] += 1
            self._chat.dismiss(remote, channel, lambda _error: self._decided(user, channel))

    def dismiss(self, asked_before: float = float("inf")) -> None:
        """End memberships.

        Args:
            asked_before: only those whose last FEDJOIN came before this time on the monotonic clock.
        """
        for (user, channel), asked in list(self.memberships.items()):
            if asked < asked_before:
                self.leave(user, channel)

    def forget(self, user: str, channel: str) -> None:
        """Forget a membership if it has ended, and its user after the last one."""
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


class RemoteUsers:
    """The users of all linked servers in channels here.

    Args:
        chat: the domain.
        timers: the monotonic clock.
        settings: how many there may be.
        links: closes those that take too little.
        send_direct: sends a direct message to a remote user, as `RemoteServers.tell`.
    """

    def __init__(
        self,
        chat: Chat,
        timers: Timers,
        settings: Settings,
        links: Links,
        send_direct: Callable[[str, str, str, Done], None],
    ) -> None:
        self.send_direct = send_direct
        self._chat = chat
        self._timers = timers
        self._settings = settings
        self._links = links
        self._back_pressure = BackPressure(timers)
        self._members: dict[Peer, Members] = {}

    def add_peer(self, peer: Peer) -> None:
        """A peer is linked; none of its users is in a channel yet."""
        session = partial(RemoteUserSession, self, peer)
        self._members[peer] = Members(self._chat, peer, self._settings, self._timers, session, PeerRelay(self, peer))

    def remove_peer(self, peer: Peer) -> Members:
        """Forget a peer that is lost, and give its users, whose memberships are to be ended."""
        return self._members.pop(peer)

    def of(self, peer: Peer) -> Members:
        """Give the users of a linked peer."""
        return self._members[peer]

    def expire_unconfirmed(self, peer: Peer) -> None:
        """End memberships that are not confirmed in time, now that one of several links is lost (L9).

        Users who joined before any of the remaining links came up do so over one that is lost. If the peer has
        restarted since, it does not know of them, unless it repeats their joins.
        """
        joined_before = peer.links.up_since

        def expire() -> None:
            if peer.links:
                self.of(peer).dismiss(joined_before)

        self._timers.call_later(self._settings.federation_seconds, expire)

    # ---- limits ----

    def makes_room_for(self, link: Link, user: str, channel: str) -> bool:
        """Tell whether the limits let a peer's user in, when all that was said before has been decided (L49, L50)."""
        if self._limit(link.peer, user, channel):
            self._chat.settle()
        limit = self._limit(link.peer, user, channel)
        if limit:
            link.ignore(f"it has as many users or memberships here as {limit} allows")
        return not limit

    def _limit(self, peer: Peer, user: str, channel: str) -> str:
        """Name the setting that keeps a peer's user out of a channel; "" if none does."""
        members, settings = self._members[peer], self._settings
        limit = members.limit(user, channel)
        if limit or peer.configured:
            return limit
        unlisted = [others for other, others in self._members.items() if not other.configured]
        if user not in members.users and sum(len(others.users) for others in unlisted) >= settings.max_unlisted_users:
            return "max-unlisted-users"
        in_channel = sum(others.in_channel[channel] for others in unlisted)
        if (user, channel) not in members.memberships and in_channel >= settings.max_unlisted_members:
            return "max-unlisted-members"
        return ""

    # ---- events ----

    def removed(self, peer: Peer, user: str, channel: str) -> None:
        """The operator has taken a peer's user out of a channel here (R27)."""
        peer.links.send(f"FEDRESULT {user} KICKED {remote_channel(channel, peer.local_name)}")
        if peer in self._members:  # else it is lost, and all its users with it
            self._members[peer].forget(user, channel)

    def deliver(self, peer: Peer, event: ChannelMessages, users: Sequence[str]) -> None:
        """Send messages of a channel here to a peer's users who are in it (L36).

        A peer for whom too much waits already is closed when the turn is over; one batch may be of any size (L47).
        """
        if not peer.links:
            return
        link = peer.links.oldest
        if link.owed > self._settings.max_link_buffer:
            self._links.give_up(link)
            return
        peer.deliver(event, users)
        if peer.is_behind:
            self._slow_down(link, event)

    def _slow_down(self, link: Link, event: ChannelMessages) -> None:
        """Pause the sessions here that said this, while the link catches up (L7)."""
        for message in event.messages:
            session = self._chat.speaker_session(message)
            if isinstance(session, Session):
                self._back_pressure.pause(session, link)
