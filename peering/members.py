"""Users of other servers in channels here: memberships, limits, events.

A membership is not durable. It ends when the other server is lost, which requests it again later (L46).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from domain.changes import Done, InOrder, Undo, ignore
from domain.chat import Chat
from domain.errors import AlreadyMember, LimitReached, NoSuchUser, NotAMember
from domain.events import ChannelMessages, DirectMessage, Removed, WentOut
from domain.interfaces import Timers
from domain.names import remote_channel, remote_user
from domain.sessions import Relay
from domain.state import RemoteUser
from domain.walks import walk
from peering.backpressure import BackPressure
from peering.links import Links
from peering.peers import Link, Peer
from peering.pending import Key
from settings import Settings


class RemoteUserSession:
    """Delivers events to a user of another server, as a session does to a user here."""

    def __init__(self, users: RemoteUsers, peer: Peer, user: str) -> None:
        self._users = users
        self._peer = peer
        self._user = user

    def deliver(self, event: Any) -> None:
        """Send an event, if the protocol of links has a line for it."""
        if isinstance(event, Removed):
            self._users.removed(self._peer, self._user, event.channel)
        elif isinstance(event, DirectMessage):  # of a guest, who gets no outcome
            name = remote_user(self._user, self._peer.name)
            self._users.send_direct(event.sender, name, event.words, ignore)


class Members(Relay):
    """The users of one peer in channels here, by their bare names.

    Their memberships and the limits are decided in the journal's order, so that all earlier requests count.

    Args:
        chat: the domain.
        peer: their server.
        users: the users of all peers.
        settings: the limits.
        timers: the monotonic clock.
    """

    def __init__(self, chat: Chat, peer: Peer, users: RemoteUsers, settings: Settings, timers: Timers) -> None:
        self.users: dict[str, RemoteUser] = {}
        self.memberships: dict[Key, float] = {}
        """Their memberships, with the time of the last FEDJOIN on the monotonic clock."""
        self.in_channel: Counter[str] = Counter()
        """How many of them are in each channel."""
        self._chat = chat
        self._peer = peer
        self._all = users
        self._settings = settings
        self._timers = timers

    def find(self, user: str) -> RemoteUser:
        """Return a user, who need not be in any channel."""
        known = self.users.get(user)
        return known or RemoteUser(user, self._peer.name, RemoteUserSession(self._all, self._peer, user), self)

    def limit(self, user: str, channel: str) -> str:
        """Return the setting whose limit keeps a user out of a channel; "" if none does (L49)."""
        if user not in self.users and len(self.users) >= self._settings.max_remote_users:
            return "max-remote-users"
        if (user, channel) not in self.memberships and len(self.memberships) >= self._settings.max_remote_memberships:
            return "max-remote-memberships"
        return ""

    def deliver(self, event: Any, users: Sequence[str]) -> None:
        """Pass messages on to these users, given by their bare names; the sequence may be kept."""
        self._all.deliver(self._peer, event, users)

    def admit(self, link: Link, user: str, channel: str, done: Done) -> None:
        """Let a user join a channel (L33).

        Fails with NoSuchUser if the peer is lost by then, with LimitReached (L49, L50), and as `Admission.check_entry`
        and `Channels.add`.
        """
        asked = self._timers.monotonic()
        self._end_earlier(user, channel)
        joining = InOrder(
            lambda: self._join(link, user, channel, asked),
            lambda: self._chat.subscriptions.add_remote(self.find(user), channel),
        )
        self._chat.journal.submit(joining, done)

    def _end_earlier(self, user: str, channel: str) -> None:
        """End a membership from before the peer was lost, if `dismiss` has not ended it yet."""
        joined = self._chat.channels.local.get(channel)
        member = joined.members.get(remote_user(user, self._peer.name)) if joined is not None else None
        if isinstance(member, RemoteUser) and member.relay is not self:
            self._chat.journal.submit(member.leaving(channel), ignore)

    def leave(self, user: str, channel: str, reason: str = "") -> None:
        """Let a user leave a channel (L34); `reason` is for the others. No-op for a user who is not in it."""
        name, subscriptions = remote_user(user, self._peer.name), self._chat.subscriptions
        if reason:
            subscriptions.expect_end(WentOut(name, channel, reason))
        self._chat.journal.submit(
            self.leaving(user, channel), lambda _error: subscriptions.expect_no_end(channel, name)
        )

    def leaving(self, user: str, channel: str) -> InOrder:
        """Return the change that ends a membership. Fails as `Channels.remove`."""
        return InOrder(
            lambda: self._leave(user, channel), lambda: self._chat.subscriptions.remove_remote(self.find(user), channel)
        )

    def dismiss(self, asked_before: float = float("inf")) -> None:
        """End memberships, in pieces.

        Args:
            asked_before: only those whose last FEDJOIN came before this time on the monotonic clock.
        """
        walk(self._dismiss(asked_before), self._timers)

    def _dismiss(self, asked_before: float) -> Iterator[None]:
        for key in list(self.memberships):
            if self.memberships.get(key, asked_before) < asked_before:
                self.leave(*key, f"{self._peer.name} is away")
            yield

    def _join(self, link: Link, user: str, channel: str, asked: float) -> Undo:
        if not self._peer.links:
            raise NoSuchUser
        if (user, channel) in self.memberships:
            self.memberships[user, channel] = asked
            raise AlreadyMember
        if limit := self._all.limit(self._peer, user, channel):
            link.ignore(f"it has as many users or memberships here as {limit} allows")
            raise LimitReached(limit)
        remote, found = self.find(user), self._chat.channels.local.get(channel)
        if found is not None:
            self._chat.channels.admission.check_entry(remote, found)
        undo_joined = self._chat.channels.add(remote, channel)
        self._add(remote, channel, asked)

        def undo() -> None:
            undo_joined()
            self._remove(remote, channel)

        return undo

    def _leave(self, user: str, channel: str) -> Undo:
        if (user, channel) not in self.memberships:
            raise NotAMember  # though a user of a new link may be one, under the same name
        remote = self.find(user)
        undo_left = self._chat.channels.remove(remote, channel)
        asked = self._remove(remote, channel)

        def undo() -> None:
            undo_left()
            self._add(remote, channel, asked)

        return undo

    def _add(self, remote: RemoteUser, channel: str, asked: float) -> None:
        self.users[remote.user] = remote
        self.memberships[remote.user, channel] = asked
        self.in_channel[channel] += 1

    def _remove(self, remote: RemoteUser, channel: str) -> float:
        """Forget a membership, and the user after the last one; return the time of its last FEDJOIN."""
        asked = self.memberships.pop((remote.user, channel))
        self.in_channel[channel] -= 1
        if not self.in_channel[channel]:
            del self.in_channel[channel]
        if not remote.channels:
            del self.users[remote.user]
        return asked


class RemoteUsers:
    """The users of all linked servers in channels here.

    Args:
        chat: the domain.
        timers: the monotonic clock.
        settings: how many there may be.
        links: the links, which can give up a slow one.
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
        self._members[peer] = Members(self._chat, peer, self, self._settings, self._timers)

    def remove_peer(self, peer: Peer) -> Members:
        """Forget a peer that is lost, and return its users, whose memberships are to be ended."""
        return self._members.pop(peer)

    def of(self, peer: Peer) -> Members:
        """Return the users of a linked peer."""
        return self._members[peer]

    def expire_unconfirmed(self, peer: Peer) -> None:
        """End memberships that are not confirmed in time, now that one of several links is lost (L9).

        Users who joined before the oldest remaining link came up did so over a lost one. If the peer has restarted
        since, it does not know of them, unless it repeats their joins.
        """
        joined_before = peer.links.up_since

        def expire() -> None:
            if peer.links:
                self.of(peer).dismiss(joined_before)

        self._timers.call_later(self._settings.federation_seconds, expire)

    # ---- limits ----

    def limit(self, peer: Peer, user: str, channel: str) -> str:
        """Return the setting whose limit keeps a linked peer's user out of a channel; "" if none does (L49, L50)."""
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
        """The operator has removed a peer's user from a channel here (R27)."""
        peer.links.send(f"FEDRESULT {user} KICKED {remote_channel(channel, peer.local_name)}")

    def deliver(self, peer: Peer, event: ChannelMessages, users: Sequence[str]) -> None:
        """Send messages of a channel here to a peer's users who are in it (L36).

        A link on which too much waits already is closed at the end of the turn; one batch may be of any size (L47).
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
            if session is not None:
                self._back_pressure.pause(session, link)
