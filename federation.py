"""The link between servers (seed 003's extension): the dialect `federation`, and what it makes of other servers.

A channel is its own server's business alone: who is in it, what is said there and in which order. So no line travels
further than over one link, nothing goes round in a ring, and each member gets each message once.

- A user of a peer who is in a channel here is a `RemoteUser`, whose way out is the peer. It lasts as long as the peer
  is there.
- An account's membership in a peer's channel lasts (chat.Chat keeps it); it is asked for again when the peer is back.
- Two servers that list each other have two links. So that everything is said once and in order, what is for the peer
  goes over its first link, but for its list of channels, which follows what the newest link began with; an answer goes
  back where the question came from.
- A peer speaks for its own users and channels. One that speaks for others is closed; what merely does not fit is
  ignored, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from domain.changes import Done, Said
from domain.chat import Chat
from domain.errors import AlreadyMember, ChatError, LimitReached, NoSuchChannel, NoSuchUser, TooLong
from domain.events import ChannelMessages, DirectMessage, NotRestored, Removed
from domain.interfaces import Network, Timers
from domain.names import HOST_OF_CHANNEL, HOST_OF_USER, has_form_of_name, is_name, remote_channel, remote_user
from domain.state import Account
from peering.backpressure import BackPressure
from peering.links import Dial, Links
from peering.members import Members
from peering.names import LineIgnored, Violation, split_host
from peering.peers import MAX_LINK_LINE, Link, LinkLoss, Peer
from peering.pending import MOST_UNANSWERED, Asked, Key, Unanswered
from protocol import Command, Refusal, Request, Session, fit
from settings import Settings
from text import MAX_LINE, clean, split_words, squeeze

NO_CHANNEL = ""
"""What no channel here is called. The journal refuses it in its turn, so that answers keep their order (C9)."""


class Way:
    """The way out to a user of a peer: what a session is to a user here."""

    def __init__(self, federation: Federation, peer: Peer, user: str) -> None:
        self._federation = federation
        self._peer = peer
        self._user = user

    def deliver(self, event: Any) -> None:
        """Pass an event on, if the wire has a word for it."""
        if isinstance(event, Removed):
            self._federation.removed(self._peer, self._user, event.channel)
        elif isinstance(event, DirectMessage):  # the whisper of a guest, who is not told what becomes of it
            name = remote_user(self._user, self._peer.name)
            self._federation.tell(event.sender, name, event.text, lambda _error: None)


class PeerRelay:
    """The way out to the users of a peer who are in one channel."""

    def __init__(self, federation: Federation, peer: Peer) -> None:
        self._federation = federation
        self._peer = peer

    def deliver(self, event: Any, users: Sequence[str]) -> None:
        """Pass messages on to all of them."""
        self._federation.pass_on(self._peer, event, users)


class Federation(Network):
    """The dialect `federation`, and the other servers as the domain sees them: this becomes the chat's network.

    Args:
        chat: the domain.
        timers: the monotonic clock.
        now: the wall clock, in seconds since the epoch.
        dial: opens connections.
        chance: gives a number from 0 to 1.
        make_nonce: gives a nonce, another one each time.
        settings: which servers are dialled and let in, as whom, and how much each may make this one hold.
    """

    name = "federation"

    def __init__(
        self,
        chat: Chat,
        timers: Timers,
        now: Callable[[], float],
        dial: Dial,
        chance: Callable[[], float],
        make_nonce: Callable[[], str],
        settings: Settings,
    ) -> None:
        self._chat = chat
        self._timers = timers
        self._now = now
        self._settings = settings
        self.links = Links(self, timers, dial, chance, make_nonce, settings, chat)
        self._names = self.links.names
        self.peers = self.links.peers
        self._members: dict[Peer, Members] = {}
        self._back_pressure = BackPressure(timers)
        chat.outside.network = self

    # ---- the dialect ----

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of the first word."""
        words = split_words(line)
        if not words:
            return None
        command = COMMANDS.get(words.pop(0))
        if command is None:
            return Refusal.UNKNOWN
        if command.text:
            squeeze(words, command.most - 1)
        return fit(command, words)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """A line that is no request is ignored."""
        self.links.ignore(session, refusal.value)

    def succeed(self, session: Session, request: Request) -> None:
        """Give the row's answer."""
        self._answer(session, request, request.command.success)

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Give the row's answer. Who is in the channel already has what was asked for: a restored link repeats its
        joins."""
        if error is None:
            self.links.ignore(session, "the link is not up")
        elif isinstance(error, AlreadyMember):
            self.succeed(session, request)
        else:
            self._answer(session, request, request.command.failure)

    def deliver(self, session: Session, event: Any) -> None:
        """A link is told nothing: each remote user has a way of its own."""

    def render(self, event: Any) -> bytes:
        """There are no words for a link itself."""
        return b""

    def leave(self, session: Session) -> None:
        """The connection is over."""
        self.links.lost(session)

    def _answer(self, session: Session, request: Request, words: str) -> None:
        link: Link = session.user
        (user, _host), (name, host) = map(split_host, request.args[:2])
        answer = words.format(user, clean(name), clean(host) or link.me)
        if len(answer.encode()) < MAX_LINK_LINE:
            session.send(answer)
        else:
            link.ignore("its answer would be too long")

    # ---- links ----

    def federate(self, session: Session, request: Request) -> None:
        """FEDERATE-OUT: another server has dialled this one."""
        self.links.called(session, " ".join(request.args))

    def confirm(self, session: Session, request: Request) -> None:
        """FEDERATE-CONFIRM: the server that was dialled agrees."""
        self.links.confirmed(session, " ".join(request.args))

    def prove(self, session: Session, request: Request) -> None:
        """FEDERATE-PROVE: the server that was dialled asks for a proof."""
        self.links.challenged(session, " ".join(request.args))

    def check_proof(self, session: Session, request: Request) -> None:
        """FEDERATE-PROOF: the server that has dialled proves its name."""
        mac, _, nonce = " ".join(request.args).partition(" ")
        self.links.proven(session, mac, nonce)

    def statistics(self) -> Iterator[str]:
        """Give a line on each link."""
        for peer, members in self._members.items():
            for link in peer.links:
                ignored = " ".join(f"ignored={count} ({reason})" for reason, count in link.ignored.items())
                yield (
                    f"link with {link} users={len(members.users)} memberships={len(members.memberships)}"
                    f" channels={len(peer.channels)} {ignored}"
                ).rstrip()

    def link_up(self, link: Link) -> None:
        """Begin a link with what the peer should know."""
        peer = link.peer
        self._announce_channels(link)
        if len(peer.links) == 1:
            self._members[peer] = Members(
                self._chat, peer, self._settings, self._timers, partial(Way, self, peer), PeerRelay(self, peer)
            )
            self._resend_joins(peer)

    def link_down(self, peer: Peer, loss: LinkLoss) -> None:
        """Resend over a remaining link what was in flight, and start the time-out for what stays unconfirmed."""
        if not peer.links:
            self._peer_lost(peer)
            return
        self._deadline(self._expire_unconfirmed, peer, self._timers.monotonic(), peer.links.up_since)
        if loss.carried_traffic:
            self._resend_leaves(peer, loss.leaves)
            self._resend_joins(peer)
        if loss.carried_channels:
            self._announce_channels(peer.links.newest)

    def is_in_use(self, peer: Peer) -> bool:
        at_peer = f"{HOST_OF_CHANNEL}{peer.name}"
        is_known = peer.is_waited_for or self._members[peer].users
        return bool(is_known) or any(name.endswith(at_peer) for name in self._chat.channels.remote)

    def peer_renamed(self, peer: Peer, before: str) -> None:
        for channel in peer.channels:
            self._chat.channels.names.remove(remote_channel(channel, before))
            self._chat.channels.names.add(remote_channel(channel, peer.name))
        self._resend_joins(peer)

    def _announce_channels(self, link: Link) -> None:
        """Say which channels there are here: as many as a line takes, each of the others in a line of its own."""
        names = sorted(self._chat.channels.local)
        size, fitting = len("FEDCHANNELS"), 0
        for name in names:
            size += len(f", {name}".encode())
            if size > MAX_LINE:
                break
            fitting += 1
        link.session.send(f"FEDCHANNELS {', '.join(names[:fitting])}".rstrip())
        if names[fitting:]:
            link.session.send("\n".join(f"FEDNEW {name}" for name in names[fitting:]))

    def _resend_joins(self, peer: Peer) -> None:
        """Ask for what the accounts here have, or wait for, in the peer's channels."""
        self._chat.date_memberships(peer.name, peer.links.oldest.identity)
        for full_name, channel in self._chat.channels.remote.items():
            name, _, host = full_name.partition(HOST_OF_CHANNEL)
            if host == peer.name:
                peer.repeated.update((member, name) for member in channel.members)
        for key in (*peer.repeated, *(key for key, asked in peer.joins.items() if not asked.answered)):
            self._ask_to_join(peer, key)

    def _ask_to_join(self, peer: Peer, key: Key) -> None:
        user, channel = key
        peer.links.send(f"FEDJOIN {remote_user(user, peer.me)} {channel}")

    def _resend_leaves(self, peer: Peer, leaves: Sequence[Key]) -> None:
        for user, channel in leaves:
            account = self._chat.users.accounts.get(user)
            if account is None or remote_channel(channel, peer.name) not in account.channels:
                self._send_leave(peer, (user, channel))

    def _send_leave(self, peer: Peer, key: Key) -> None:
        user, channel = key
        peer.links.send_leave(key, f"FEDLEAVE {remote_user(user, peer.me)} {channel}")

    def _expire_unconfirmed(self, peer: Peer, sent_before: float, joined_before: float) -> None:
        """End what is still unconfirmed in time after the loss of one of several links (L6).

        Args:
            sent_before: a message sent before this may have been lost on its way there or back.
            joined_before: a user who joined before this came over a link that is lost. A peer that has restarted since
                does not know of such a user, unless it has repeated the join.
        """
        for key, message in peer.unanswered.all():
            if message.said <= sent_before:
                peer.unanswered.drop(key, message).settled(False)
        if peer.links:
            self._members[peer].dismiss(joined_before)

    def _peer_lost(self, peer: Peer) -> None:
        self._forget_channels(peer)
        members = self._members.pop(peer)
        for asked in [asked for asked in peer.joins.values() if not asked.answered]:
            self._timers.cancel(asked.deadline)
            asked.end(NoSuchChannel())
        for _key, letter in peer.letters.all():
            self._timers.cancel(letter.deadline)
            letter.end(NoSuchUser())
        for key, message in peer.unanswered.all():
            peer.unanswered.drop(key, message).settled(False)
        if self.links.closed:
            return
        members.dismiss()
        self._chat.settle()  # before the peer can be back, and they with it

    # ---- what the peer says: its channels ----

    def their_channels(self, session: Session, request: Request) -> None:
        """FEDCHANNELS: these are all the peer's channels."""
        peer = session.user.peer
        self._forget_channels(peer)
        for word in filter(None, ",".join(request.args).split(",")):
            self._add_channel(session.user, word)

    def their_new_channel(self, session: Session, request: Request) -> None:
        """FEDNEW: the peer has one more channel."""
        self._add_channel(session.user, request.args[0])

    def _add_channel(self, link: Link, word: str) -> None:
        peer = link.peer
        name = self._names.maybe_theirs(link, word, HOST_OF_CHANNEL)
        if name is None or not is_name(name):
            link.ignore("it announces what is no channel of its own")
        elif name not in peer.channels and (limit := self._limit_on_channels(peer)):
            link.ignore(f"it announces more channels than {limit} allows")
        else:
            self._list_channel(peer, name)

    def _list_channel(self, peer: Peer, name: str) -> None:
        if name not in peer.channels:
            peer.channels.add(name)
            self._chat.channels.names.add(remote_channel(name, peer.name))

    def _forget_channels(self, peer: Peer) -> None:
        for name in peer.channel_names:
            self._chat.channels.names.remove(name)
        peer.channels.clear()

    def _limit_on_channels(self, peer: Peer) -> str:
        """Name the setting that keeps a peer from announcing one more channel; "" if none does."""
        if len(peer.channels) >= self._settings.max_remote_channels:
            return "max-remote-channels"
        if not peer.configured:
            announced = sum(len(other.channels) for other in self.peers.values() if not other.configured)
            if announced >= self._settings.max_unlisted_channels:
                return "max-unlisted-channels"
        return ""

    # ---- what the peer says: its users in channels here ----

    def join_here(self, session: Session, request: Request) -> None:
        """FEDJOIN: a user of the peer asks to come into a channel here."""
        link = session.user
        user = self._names.user(link, request.args[0])
        channel = self._names.maybe_local(link, request.args[1], HOST_OF_CHANNEL) or NO_CHANNEL
        if self._makes_room_for(link, user, channel):
            self._members[link.peer].admit(user, channel, session.outcome(request))
        else:
            self.fail(session, request, LimitReached())

    def leave_here(self, session: Session, request: Request) -> None:
        """FEDLEAVE: a user of the peer leaves a channel here. There is no answer."""
        link = session.user
        user = self._names.user(link, request.args[0])
        channel = self._names.maybe_local(link, request.args[1], HOST_OF_CHANNEL)
        if channel is not None:
            self._members[link.peer].leave(user, channel)

    def say_here(self, session: Session, request: Request) -> None:
        """FEDSAY: a user of the peer says something in a channel here."""
        link, text = session.user, request.args[2]
        user = self._names.user(link, request.args[0])
        channel = self._names.maybe_local(link, request.args[1], HOST_OF_CHANNEL) or NO_CHANNEL
        self._chat.say(self._members[link.peer].find(user), channel, text, session.outcome(request))

    def tell_here(self, session: Session, request: Request) -> None:
        """FEDMSG: a user of the peer sends a direct message to one here."""
        link, text = session.user, request.args[2]
        user = self._names.user(link, request.args[0])
        name = self._names.maybe_local(link, request.args[1], HOST_OF_USER)
        if name is None:
            self.fail(session, request, NoSuchUser())
        else:
            self._chat.messages.tell(self._members[link.peer].find(user), name, text, session.outcome(request))

    def removed(self, peer: Peer, user: str, channel: str) -> None:
        """The operator has taken a peer's user out of a channel here."""
        peer.links.send(f"FEDRESULT {user} KICKED {remote_channel(channel, peer.me)}")
        if peer in self._members:  # else it is lost, and all its users with it
            self._members[peer].forget(user, channel)

    def pass_on(self, peer: Peer, event: ChannelMessages, users: Sequence[str]) -> None:
        """Say what was said in a channel here to a peer's users who are in it.

        A peer for whom too much waits already is closed when the turn is over; one batch may be of any size (L43).
        """
        if not peer.links:
            return
        link = peer.links.oldest
        if link.owed > self._settings.max_link_buffer:
            self.links.give_up(link)
            return
        peer.deliver(event, users)
        self._slow_down(peer, event)

    def _slow_down(self, peer: Peer, event: ChannelMessages) -> None:
        """Pause the sessions here that said this, while the peer's link has to catch up (L5)."""
        if not peer.is_behind:
            return
        for message in event.messages:
            session = self._chat.speaker_session(message)
            if isinstance(session, Session):
                self._back_pressure.pause(session, peer.links.oldest)

    def _makes_room_for(self, link: Link, user: str, channel: str) -> bool:
        """Tell whether the limits let a peer's user in, when all that was said before has been decided."""
        if self._limit_on_users(link.peer, user, channel):
            self._chat.settle()
        limit = self._limit_on_users(link.peer, user, channel)
        if limit:
            link.ignore(f"it has as many users or memberships here as {limit} allows")
        return not limit

    def _limit_on_users(self, peer: Peer, user: str, channel: str) -> str:
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

    # ---- what the peer says: to users here ----

    def heard(self, session: Session, request: Request) -> None:
        """FEDRECV: a message to a channel of the peer, for one of its members here."""
        link, (to_word, from_word, channel_word, text) = session.user, request.args
        peer = link.peer
        self._names.check_channel(link, channel_word)
        channel = self._names.maybe_theirs(link, channel_word, HOST_OF_CHANNEL) or ""
        user = self._names.maybe_local(link, to_word, HOST_OF_USER)
        sender = self._names.maybe_sender(link, from_word, remote_channel(channel, peer.name))
        if not channel or user is None or sender is None:
            link.ignore("it names somebody or something by what is no name")
            return
        if sender == user:
            peer.came_back((user, channel), text)
        self._pass_on(link, (user, channel), Said(sender, remote_channel(channel, peer.name), text, self._now()))

    def _pass_on(self, link: Link, key: Key, message: Said) -> None:
        peer = link.peer
        asked = peer.joins.get(key)
        account = self._chat.users.accounts.get(key[0])
        if asked is not None:
            asked.early.append(message)
        elif account is None or message.channel not in account.channels:
            link.ignore("its message is for somebody who is not in the channel")
        elif account.session is not None:
            account.session.deliver(ChannelMessages((message,)))

    def result(self, session: Session, request: Request) -> None:
        """FEDRESULT: an answer to a user here, or news of a channel of the peer."""
        link, (user_word, kind, rest) = session.user, request.args
        user = self._names.maybe_local(link, user_word, HOST_OF_USER)
        about, _, outcome = rest.partition(" ")
        take = RESULTS.get(kind)
        if user is None or take is None or not take(self, link, user, about, outcome):
            link.ignore("it answers what was not asked")

    def joined_there(self, link: Link, user: str, about: str, outcome: str) -> bool:
        """The peer has answered a JOIN; give whether that was asked."""
        peer, channel = link.peer, self._names.maybe_theirs(link, about, HOST_OF_CHANNEL)
        if channel is None or outcome not in ("0", "1"):
            return False
        key = (user, channel)
        asked = peer.joins.get(key)
        if asked is not None and not asked.answered:
            self._join_answered(link, key, asked, agreed=outcome == "1")
        elif key in peer.repeated:
            peer.repeated.remove(key)
            if outcome == "0":
                self._lose_membership(link, key, NotRestored)
        else:
            return False
        return True

    def said_there(self, link: Link, user: str, about: str, outcome: str) -> bool:
        """The peer has refused a message, or not; give whether there was one."""
        channel = self._names.maybe_theirs(link, about, HOST_OF_CHANNEL)
        if channel is None or outcome not in ("0", "1"):
            return False
        message = link.peer.unanswered.take((user, channel)) if outcome == "0" else None
        if message is not None:
            message.settled(False)
        return message is not None or outcome == "1"  # which its echo says as well

    def told_there(self, link: Link, user: str, about: str, outcome: str) -> bool:
        """The peer has answered a direct message; give whether there was one."""
        name = self._names.maybe_theirs(link, about, HOST_OF_USER)
        letter = link.peer.letters.take((user, name)) if name is not None and outcome in ("0", "1") else None
        if letter is None:
            return False
        self._timers.cancel(letter.deadline)
        letter.end(None if outcome == "1" else NoSuchUser())
        return True

    def kicked_there(self, link: Link, user: str, about: str, _outcome: str) -> bool:
        """The peer's operator has taken a user out of a channel; give whether it was in there."""
        channel = self._names.maybe_theirs(link, about, HOST_OF_CHANNEL)
        if channel is not None and (user, channel) in link.peer.joins:
            self._chat.settle()  # it comes right behind the answer to the JOIN
        return channel is not None and self._lose_membership(link, (user, channel), Removed)

    def _lose_membership(self, link: Link, key: Key, event: Callable[[str], Any]) -> bool:
        """End a membership in a peer's channel, by its server's will; give whether there is one."""
        user, channel = key[0], remote_channel(key[1], link.peer.name)
        account = self._chat.users.accounts.get(user)
        if account is None or channel not in account.channels:
            return False
        if not link.may_end(self._chat.channels.began_under(account, channel)):
            link.ignore("it ends a membership that did not begin under its address or proof")
            return True
        self._chat.remove(account.leaving(channel), event(channel), lambda _error: None)
        return True

    # ---- what the domain asks of other servers ----

    def is_unlisted(self, host: str) -> bool:
        peer = self.peers.get(host)
        return not (host in self._chat.channels.hosts or self._names.lists(host) if peer is None else peer.configured)

    def created(self, channel: str) -> None:
        for peer in self.peers.values():
            peer.links.announce(f"FEDNEW {channel}")

    def join(self, account: Account, channel: str, done: Done) -> None:
        name, peer = self._find(channel, HOST_OF_CHANNEL)
        if peer is None:
            done(NoSuchChannel())
            return
        key = (account.name, name)
        asked = peer.joins.get(key)
        if asked is None:
            asked = peer.joins[key] = Asked(self._deadline(self._join_unanswered, peer, key))
            self._ask_to_join(peer, key)
        asked.add(done)

    def left(self, account: str, channel: str) -> None:
        name, peer = self._find(channel, HOST_OF_CHANNEL)
        if peer is None:
            return
        key = (account, name)
        peer.repeated.discard(key)
        self._send_leave(peer, key)

    def say(self, account: Account, channel: str, text: str, settled: Callable[[bool], None]) -> None:
        name, peer = self._find(channel, HOST_OF_CHANNEL)
        if peer is None:
            raise NoSuchChannel
        _check_length(f"SAY {channel} {text}")
        peer.links.send(f"FEDSAY {remote_user(account.name, peer.me)} {name} {text}")
        key = (account.name, name)
        waiting = peer.unanswered.of(key)
        if len(waiting) >= MOST_UNANSWERED:
            peer.unanswered.drop(key, waiting[0]).settled(True)  # no failure can be told any more
        peer.unanswered.add(key, Unanswered(hash(text), self._timers.monotonic(), settled))

    def tell(self, sender: str, name: str, text: str, done: Done) -> None:
        user, peer = self._find(name, HOST_OF_USER)
        key = (sender, user)
        try:
            if peer is None:
                raise NoSuchUser
            if len(peer.letters.of(key)) >= MOST_UNANSWERED:
                raise LimitReached
            _check_length(f"SAY {HOST_OF_USER}{name} {text}")
        except ChatError as error:
            done(error)
            return
        peer.links.send(f"FEDMSG {remote_user(sender, peer.me)} {user} {text}")
        letter = Asked(None)
        letter.deadline = self._deadline(self._letter_unanswered, peer, key, letter)
        letter.add(done)
        peer.letters.add(key, letter)

    def _find(self, remote_name: str, sign: str) -> tuple[str, Peer | None]:
        """Split a remote name; there is no peer where it is none, or its server is not linked."""
        name, _, host = remote_name.partition(sign)
        return name, self.peers.get(host) if has_form_of_name(name) else None

    def _deadline(self, call: Callable[..., None], *args: Any) -> Any:
        return self._timers.call_later(self._settings.federation_seconds, partial(call, *args))

    def _join_answered(self, link: Link, key: Key, asked: Asked, *, agreed: bool) -> None:
        self._timers.cancel(asked.deadline)
        peer, (user, channel) = link.peer, key
        if not agreed:
            del peer.joins[key]
            asked.end(NoSuchChannel())
            return
        asked.answered = True

        def decided(error: Exception | None) -> None:
            del peer.joins[key]
            asked.end(error)
            if error is not None:
                self._send_leave(peer, key)
                return
            for message in asked.early:
                if account.session is not None:
                    account.session.deliver(ChannelMessages((message,)))

        account = self._chat.users.accounts[user]
        self._chat.join_at_once(account, remote_channel(channel, peer.name), decided, link.identity)

    def _join_unanswered(self, peer: Peer, key: Key) -> None:
        """Too late: the user is told that it has failed, so it had better not succeed."""
        asked = peer.joins.pop(key)
        self._send_leave(peer, key)
        asked.end(NoSuchChannel())

    def _letter_unanswered(self, peer: Peer, key: Key, letter: Asked) -> None:
        peer.letters.drop(key, letter).end(NoSuchUser())


def _check_length(line: str) -> None:
    """See to it that a message fits into a link's line, there and back, whoever gets it: a client's line does.

    Raises:
        TooLong: it may not.
    """
    if len(line.encode()) >= MAX_LINE:
        raise TooLong


def _on_link(
    handle: Callable[[Federation, Session, Request], None],
) -> Callable[[Federation, Session, Request], None]:
    """Make a handler of one that may raise LineIgnored or Violation."""

    def handler(federation: Federation, session: Session, request: Request) -> None:
        try:
            handle(federation, session, request)
        except LineIgnored as error:
            session.user.ignore(str(error))
        except Violation as error:
            federation.links.refuse(session.user, str(error))

    return handler


RESULTS: Mapping[str, Callable[[Federation, Link, str, str, str], bool]] = {
    "JOIN": Federation.joined_there,
    "SAY": Federation.said_there,
    "MSG": Federation.told_there,
    "KICKED": Federation.kicked_there,
}
"""What becomes of a FEDRESULT, by its type."""

COMMANDS: Mapping[str, Command] = {
    "FEDERATE-OUT": Command(Federation.federate, "FEDERATE-OUT [hostname]", "ask for a link", most=MAX_LINK_LINE),
    "FEDERATE-CONFIRM": Command(
        Federation.confirm, "FEDERATE-CONFIRM [hostname [mac]]", "agree to a link", most=MAX_LINK_LINE
    ),
    "FEDERATE-PROVE": Command(
        Federation.prove, "FEDERATE-PROVE <nonce>", "ask for a proof of a name", most=MAX_LINK_LINE
    ),
    "FEDERATE-PROOF": Command(
        Federation.check_proof, "FEDERATE-PROOF <mac> <nonce>", "prove a name", most=MAX_LINK_LINE
    ),
    "FEDCHANNELS": Command(
        Federation.their_channels, "FEDCHANNELS [channel, ...]", "say which channels there are",
        most=MAX_LINK_LINE, login=True, pipelined=True,
    ),
    "FEDNEW": Command(
        Federation.their_new_channel, "FEDNEW <channel>", "say that there is one channel more",
        least=1, most=1, login=True, pipelined=True,
    ),
    "FEDJOIN": Command(
        _on_link(Federation.join_here), "FEDJOIN <user>@<host> <channel>", "have a user come into a channel",
        least=2, most=2, name=True, login=True, pipelined=True,
        success="FEDRESULT {0} JOIN {1}:{2} 1", failure="FEDRESULT {0} JOIN {1}:{2} 0",
    ),
    "FEDLEAVE": Command(
        _on_link(Federation.leave_here), "FEDLEAVE <user>@<host> <channel>", "have a user leave a channel",
        least=2, most=2, name=True, login=True, pipelined=True,
    ),
    "FEDSAY": Command(
        _on_link(Federation.say_here),
        "FEDSAY <user>@<host> <channel> <message>", "have a user say something in a channel",
        least=3, most=3, name=True, text=True, login=True, pipelined=True, failure="FEDRESULT {0} SAY {1}:{2} 0",
    ),
    "FEDMSG": Command(
        _on_link(Federation.tell_here),
        "FEDMSG <user>@<host> <touser> <message>", "have a user say something to another",
        least=3, most=3, name=True, text=True, login=True,
        success="FEDRESULT {0} MSG {1}@{2} 1", failure="FEDRESULT {0} MSG {1}@{2} 0",
    ),
    "FEDRECV": Command(
        _on_link(Federation.heard),
        "FEDRECV <touser> <fromuser>@<host> <channel> <message>", "bring a message to a member",
        least=4, most=4, name=True, text=True, login=True, pipelined=True,
    ),
    "FEDRESULT": Command(
        Federation.result, "FEDRESULT <user> <type> <message...>", "answer a user",
        least=3, most=3, name=True, text=True, login=True, pipelined=True,
    ),
}  # fmt: skip
