"""Requests of users here to linked servers: joins, messages, direct messages.

- A membership in a peer's channel is durable: domain.chat.Chat keeps it. It is requested again when the peer is back
  (L46).
- A request that the peer does not answer in time has failed (L41, L43, L44).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from domain.changes import Done, Said, ignore
from domain.chat import Chat
from domain.errors import ChatError, LimitReached, NoSuchChannel, NoSuchUser, TooLong
from domain.events import ChannelMessages, NotRestored, Removed
from domain.interfaces import RemoteServers, Timers
from domain.names import HOST_OF_CHANNEL, HOST_OF_USER, has_form_of_name, remote_channel, remote_user
from domain.state import Account
from peering.links import Links
from peering.names import LineIgnored
from peering.peers import Link, LinkLoss, Peer
from peering.pending import MAX_PENDING, Key, PendingMessage, PendingRequest
from settings import Settings
from text import MAX_LINE


class LinkedServers(RemoteServers):
    """The other servers, as the domain sees them.

    Args:
        chat: the domain.
        timers: the monotonic clock.
        settings: how long an answer may take.
        links: the links to them.
        announce: announces all channels here on a link.
    """

    def __init__(
        self, chat: Chat, timers: Timers, settings: Settings, links: Links, announce: Callable[[Link], None]
    ) -> None:
        self._announce = announce
        self._chat = chat
        self._timers = timers
        self._settings = settings
        self._peers = links.peers
        self._names = links.names

    # ---- requests of the domain ----

    def is_unlisted(self, host: str) -> bool:
        peer = self._peers.get(host)
        return not (
            host in self._chat.channels.identities.hosts or self._names.lists(host) if peer is None else peer.configured
        )

    def known_as(self, host: str) -> set[str]:
        peer = self._peers.get(host)
        return {host}.union(*(link.known_as for link in peer.links)) if peer is not None else {host}

    def created(self, channel: str) -> None:
        for peer in self._peers.values():
            peer.links.announce(f"FEDNEW {channel}")

    def hidden(self) -> None:
        for peer in self._peers.values():
            if peer.links:
                self._announce(peer.links.newest)

    def join(self, account: Account, channel: str, done: Done) -> None:
        name, peer = self._find(channel, HOST_OF_CHANNEL)
        if peer is None:
            done(NoSuchChannel())
            return
        key = (account.name, name)
        request = peer.joins.get(key)
        if request is None:
            request = peer.joins[key] = PendingRequest(self._deadline(self._join_timed_out, peer, key))
            self._ask_to_join(peer, key)
        request.add(done)

    def left(self, account: str, channel: str) -> None:
        name, peer = self._find(channel, HOST_OF_CHANNEL)
        if peer is None:
            return
        key = (account, name)
        peer.rejoining.discard(key)
        self._send_leave(peer, key)

    def say(self, account: Account, channel: str, text: str, settled: Callable[[bool], None]) -> None:
        name, peer = self._find(channel, HOST_OF_CHANNEL)
        if peer is None:
            raise NoSuchChannel
        _check_length(f"SAY {channel} {text}")
        peer.links.send(f"FEDSAY {remote_user(account.name, peer.local_name)} {name} {text}")
        key = (account.name, name)
        waiting = peer.messages.of(key)
        if len(waiting) >= MAX_PENDING:
            peer.messages.drop(key, waiting[0]).settled(True)  # its failure cannot be reported any more
        peer.messages.add(key, PendingMessage(hash(text), self._timers.monotonic(), settled))

    def tell(self, sender: str, name: str, text: str, done: Done) -> None:
        user, peer = self._find(name, HOST_OF_USER)
        key = (sender, user)
        try:
            if peer is None:
                raise NoSuchUser
            if len(peer.direct_messages.of(key)) >= MAX_PENDING:
                raise LimitReached("pending-messages")
            _check_length(f"SAY {HOST_OF_USER}{name} {text}")
        except ChatError as error:
            done(error)
            return
        peer.links.send(f"FEDMSG {remote_user(sender, peer.local_name)} {user} {text}")
        request = PendingRequest(None)
        request.deadline = self._deadline(self._direct_timed_out, peer, key, request)
        request.add(done)
        peer.direct_messages.add(key, request)

    def _find(self, remote_name: str, sign: str) -> tuple[str, Peer | None]:
        """Split a remote name into the bare name and the peer; None for an invalid name, and without a link."""
        name, _, host = remote_name.partition(sign)
        return name, self._peers.get(host) if has_form_of_name(name) else None

    def _deadline(self, call: Callable[..., None], *args: Any) -> Any:
        return self._timers.call_later(self._settings.federation_seconds, partial(call, *args))

    def _join_timed_out(self, peer: Peer, key: Key) -> None:
        """Withdraw a join that has failed for the user, so that it does not succeed later."""
        request = peer.joins.pop(key)
        self._send_leave(peer, key)
        request.end(NoSuchChannel())

    def _direct_timed_out(self, peer: Peer, key: Key, request: PendingRequest) -> None:
        peer.direct_messages.drop(key, request).end(NoSuchUser())

    # ---- answers of peers ----

    def join_answered(self, link: Link, key: Key, *, agreed: bool) -> bool:
        """A peer has answered a FEDJOIN (L41, L46); tell whether one was sent."""
        peer = link.peer
        request = peer.joins.get(key)
        if request is not None and not request.answered:
            self._timers.cancel(request.deadline)
            self._join_agreed(link, key, request) if agreed else self._join_refused(peer, key, request)
        elif key in peer.rejoining:
            peer.rejoining.remove(key)
            if not agreed:
                self._lose_membership(link, key, NotRestored)
        else:
            return False
        return True

    def say_answered(self, link: Link, key: Key, *, agreed: bool) -> bool:
        """A peer has answered a FEDSAY (L43); tell whether one was sent. The echo also shows a success."""
        message = None if agreed else link.peer.messages.take(key)
        if message is not None:
            message.settled(False)
        return message is not None or agreed

    def direct_answered(self, link: Link, key: Key, *, agreed: bool) -> bool:
        """A peer has answered a FEDMSG (L44); tell whether one was sent."""
        request = link.peer.direct_messages.take(key)
        if request is None:
            return False
        self._timers.cancel(request.deadline)
        request.end(None if agreed else NoSuchUser())
        return True

    def kicked(self, link: Link, key: Key) -> bool:
        """A peer's operator has taken a user out of a channel (R27); tell whether that user was in it."""
        if key not in link.peer.joins:
            return self._lose_membership(link, key, Removed)
        self._chat.tell_in_order(lambda: self._lose_membership(link, key, Removed))  # behind the answer to the JOIN
        return True

    def deliver(self, link: Link, key: Key, message: Said) -> None:
        """Pass a message of a peer's channel on to a member here (L36, L42).

        Raises:
            LineIgnored: the user is not in the channel.
        """
        user, _channel = key
        request = link.peer.joins.get(key)
        account = self._chat.users.accounts.get(user)
        if message.sender == user:
            link.peer.confirm(key, message.text)
        if request is not None:
            request.buffered.append(message)
        elif account is None or message.channel not in account.channels:
            raise LineIgnored("its message is for a user who is not in the channel")
        elif account.session is not None:
            account.session.deliver(ChannelMessages((message,)))

    def _join_agreed(self, link: Link, key: Key, request: PendingRequest) -> None:
        peer, (user, channel) = link.peer, key
        request.answered = True

        def decided(error: Exception | None) -> None:
            del peer.joins[key]
            request.end(error)
            if error is not None:
                self._send_leave(peer, key)
                return
            for message in request.buffered:
                if account.session is not None:
                    account.session.deliver(ChannelMessages((message,)))

        account = self._chat.users.accounts[user]
        self._chat.join_at_once(account, remote_channel(channel, peer.name), decided, link.identity)

    def _join_refused(self, peer: Peer, key: Key, request: PendingRequest) -> None:
        del peer.joins[key]
        request.end(NoSuchChannel())

    def _lose_membership(self, link: Link, key: Key, event: Callable[[str], Any]) -> bool:
        """End a membership in a peer's channel on the peer's request; tell whether there was one."""
        user, channel = key[0], remote_channel(key[1], link.peer.name)
        account = self._chat.users.accounts.get(user)
        if account is None or channel not in account.channels:
            return False
        if not link.may_end(self._chat.channels.identities.began_under(account, channel)):
            link.ignore("it ends a membership that did not begin under its address or proof")
            return True
        self._chat.remove(account, channel, event(channel), ignore)
        return True

    # ---- links come up and go down ----

    def resend_joins(self, peer: Peer) -> None:
        """Ask a peer for the memberships that accounts here have, or wait for, in its channels (L4, L46)."""
        self._chat.peer_records.date_memberships(peer.name, peer.links.oldest.identity)
        for full_name, channel in self._chat.channels.remote.items():
            name, _, host = full_name.partition(HOST_OF_CHANNEL)
            if host == peer.name:
                peer.rejoining.update((member, name) for member in channel.members)
        for key in (*peer.rejoining, *(key for key, request in peer.joins.items() if not request.answered)):
            self._ask_to_join(peer, key)

    def _ask_to_join(self, peer: Peer, key: Key) -> None:
        user, channel = key
        peer.links.send(f"FEDJOIN {remote_user(user, peer.local_name)} {channel}")

    def resend(self, peer: Peer, loss: LinkLoss) -> None:
        """Resend over a remaining link what was in flight on a lost one, and start the time-out for the rest (L9)."""
        self._deadline(self._expire_messages, peer, self._timers.monotonic())
        if loss.carried_traffic:
            self._resend_leaves(peer, loss.leaves)
            self.resend_joins(peer)

    def _resend_leaves(self, peer: Peer, leaves: Sequence[Key]) -> None:
        for user, channel in leaves:
            account = self._chat.users.accounts.get(user)
            if account is None or remote_channel(channel, peer.name) not in account.channels:
                self._send_leave(peer, (user, channel))

    def _send_leave(self, peer: Peer, key: Key) -> None:
        user, channel = key
        peer.links.send_leave(key, f"FEDLEAVE {remote_user(user, peer.local_name)} {channel}")

    def _expire_messages(self, peer: Peer, sent_before: float) -> None:
        """Fail the messages that were sent before one of several links was lost, and are still unconfirmed."""
        for key, message in peer.messages.all():
            if message.sent_at <= sent_before:
                peer.messages.drop(key, message).settled(False)

    def peer_lost(self, peer: Peer) -> None:
        """Fail everything that a peer has not answered: its last link is lost (L41, L43, L44)."""
        for request in [request for request in peer.joins.values() if not request.answered]:
            self._timers.cancel(request.deadline)
            request.end(NoSuchChannel())
        for _key, request in peer.direct_messages.all():
            self._timers.cancel(request.deadline)
            request.end(NoSuchUser())
        for key, message in peer.messages.all():
            peer.messages.drop(key, message).settled(False)

    def is_in_use(self, peer: Peer) -> bool:
        """Tell whether a user here waits for a peer, or is in one of its channels."""
        at_peer = f"{HOST_OF_CHANNEL}{peer.name}"
        return peer.is_waited_for or any(name.endswith(at_peer) for name in self._chat.channels.remote)


def _check_length(line: str) -> None:
    """Check that a message fits into a link's line, there and back, for any recipient.

    Raises:
        TooLong: it is longer than a client's line.
    """
    if len(line.encode()) >= MAX_LINE:
        raise TooLong
