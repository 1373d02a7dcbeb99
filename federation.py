"""The dialect `federation`: the lines between servers, and the handler of each.

A channel belongs to one server, which alone decides its members, messages and order. So a line travels over one link
only, there are no loops, and each member gets each message once.

- Users of a peer in channels here are in peering/members.py: a `RemoteUser` lasts as long as the peer is linked.
- Requests of users here to peers are in peering/remote.py.
- A peer speaks for its own users and channels. If it speaks for another server's, its link is closed. Other invalid
  lines are ignored and counted (peering/names.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from commands import Command, Refusal, Request, match_arguments
from domain.bans import EVERYWHERE
from domain.changes import Said
from domain.chat import Chat
from domain.errors import AlreadyMember, NoSuchUser
from domain.interfaces import Timers
from domain.names import HOST_OF_CHANNEL, HOST_OF_USER, is_name, remote_channel
from peering.channels import AnnouncedChannels
from peering.dialer import Dial
from peering.links import LinkHandler, Links
from peering.members import RemoteUsers
from peering.names import LineIgnored, Violation, split_host
from peering.peers import MAX_LINK_LINE, Link, LinkLoss, Peer
from peering.remote import LinkedServers
from protocol import Session
from settings import Settings
from text import clean, join_message, split_words

NO_CHANNEL = ""
"""No channel has this name. A request for it is refused in the journal's order, so answers keep theirs (C10)."""

AGREED: Mapping[str, bool] = {"0": False, "1": True}
"""The outcomes of a FEDRESULT."""


class Federation(LinkHandler):
    """The dialect `federation`, with this server's links and the linked servers.

    Args:
        chat: the domain.
        timers: the monotonic clock.
        now: the wall clock, in seconds since the epoch.
        dial: opens connections.
        jitter: returns a random number from 0 to 1.
        make_nonce: returns a new nonce at each call.
        settings: the servers to dial, which others may link, this server's name, and the limits of peers.
    """

    name = "federation"
    max_line = MAX_LINK_LINE

    def __init__(
        self,
        chat: Chat,
        timers: Timers,
        now: Callable[[], float],
        dial: Dial,
        jitter: Callable[[], float],
        make_nonce: Callable[[], str],
        settings: Settings,
    ) -> None:
        super().__init__()
        self._chat = chat
        self._now = now
        self.links = Links(self, timers, dial, jitter, make_nonce, settings, chat)
        self.peers = self.links.peers
        self._names = self.links.names
        self._channels = AnnouncedChannels(chat, self.peers, settings)
        self.servers = LinkedServers(chat, timers, settings, self.links, self._channels.announce)
        self.users = RemoteUsers(chat, timers, settings, self.links, self.servers.tell)

    def statistics(self) -> Iterator[str]:
        """Return a line for each link (L48)."""
        for peer in self.peers.values():
            members = self.users.of(peer)
            for link in peer.links:
                ignored = " ".join(f"ignored={count} ({reason})" for reason, count in link.ignored.items())
                yield (
                    f"link with {link} users={len(members.users)} memberships={len(members.memberships)}"
                    f" channels={len(peer.channels)} {ignored}"
                ).rstrip()

    # ---- the dialect ----

    def begin(self, session: Session) -> None:
        """Expect a link on this connection (L3)."""
        self.links.accept(session)

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of the first word."""
        words = split_words(line)
        if not words:
            return None
        command = COMMANDS.get(words.pop(0))
        if command is None:
            return Refusal.UNKNOWN
        if command.text:
            join_message(words, command.max_args - 1)
        return match_arguments(command, words)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Ignore an invalid line (L5)."""
        self.links.ignore(session, refusal.value)

    def succeed(self, session: Session, request: Request) -> None:
        """Send the row's answer to success."""
        self._answer(session, request, request.command.success)

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Send the row's answer to failure. A FEDJOIN of a member succeeds: a restored link repeats its joins (L46)."""
        if error is None:
            self.links.ignore(session, "the link is not up")
        elif isinstance(error, AlreadyMember):
            self.succeed(session, request)
        else:
            self._answer(session, request, request.command.failure)

    def leave(self, session: Session) -> None:
        """The connection has ended."""
        self.links.lost(session)

    def _answer(self, session: Session, request: Request, words: str) -> None:
        link: Link = session.principal
        (user, _host), (name, host) = map(split_host, request.args[:2])
        answer = words.format(user, clean(name), clean(host) or link.local_name)
        if len(answer.encode()) < MAX_LINK_LINE:
            session.send(answer)
        else:
            link.ignore("its answer would be too long")

    # ---- links come up and go down ----

    def link_up(self, link: Link) -> None:
        """Send the channels here and the joins of users here (L4)."""
        peer = link.peer
        self._channels.announce(link)
        if len(peer.links) == 1:
            self.users.add_peer(peer)
            self.servers.resend_joins(peer)

    def link_down(self, peer: Peer, loss: LinkLoss) -> None:
        """Resend over the remaining links what the lost one carried (L9), or remove a lost peer's users (L46)."""
        if peer.links:
            self.servers.resend(peer, loss)
            self.users.expire_unconfirmed(peer)
            if loss.carried_channels:
                self._channels.announce(peer.links.newest)
        else:
            self._peer_lost(peer)

    def _peer_lost(self, peer: Peer) -> None:
        self._channels.clear(peer)
        members = self.users.remove_peer(peer)
        self.servers.peer_lost(peer)
        if not self.links.closed:
            members.dismiss()

    def is_in_use(self, peer: Peer) -> bool:
        """Tell whether anything here depends on a peer's name now (L13)."""
        return bool(self.users.of(peer).users) or self.servers.is_in_use(peer)

    def peer_renamed(self, peer: Peer, before: str) -> None:
        """A peer has got a name instead of its address (L13)."""
        self._channels.rename(peer, before)
        self.servers.resend_joins(peer)

    # ---- the handshake ----

    def handle_federate_out(self, session: Session, request: Request) -> None:
        """FEDERATE-OUT: another server has dialled this one (L27)."""
        self.links.receive_introduction(session, " ".join(request.args))

    def handle_federate_confirm(self, session: Session, request: Request) -> None:
        """FEDERATE-CONFIRM: the server that was dialled agrees (L28)."""
        self.links.receive_confirmation(session, " ".join(request.args))

    def handle_federate_prove(self, session: Session, request: Request) -> None:
        """FEDERATE-PROVE: the server that was dialled asks for a proof (L29)."""
        self.links.answer_challenge(session, " ".join(request.args))

    def handle_federate_proof(self, session: Session, request: Request) -> None:
        """FEDERATE-PROOF: the server that has dialled proves its name (L30)."""
        mac, _, nonce = " ".join(request.args).partition(" ")
        self.links.check_proof(session, mac, nonce)

    # ---- the peer's channels ----

    def handle_fedchannels(self, link: Link, request: Request) -> None:
        """FEDCHANNELS: these are all the peer's channels (L31)."""
        self._channels.clear(link.peer)
        for word in filter(None, ",".join(request.args).split(",")):
            self._add_channel(link, word)

    def handle_fednew(self, link: Link, request: Request) -> None:
        """FEDNEW: the peer has a new channel (L32)."""
        self._add_channel(link, request.args[0])

    def _add_channel(self, link: Link, word: str) -> None:
        name = self._names.maybe_theirs(link, word, HOST_OF_CHANNEL)
        if name is None or not is_name(name):
            link.ignore("it announces an invalid or foreign channel")
        elif limit := self._channels.add(link.peer, name):
            link.ignore(f"it announces more channels than {limit} allows")

    # ---- the peer's users in channels here ----

    def handle_fedjoin(self, link: Link, request: Request) -> None:
        """FEDJOIN: a user of the peer asks to come into a channel here (L33)."""
        user = self._names.user(link, request.args[0])
        channel = self._names.maybe_local(link, request.args[1], HOST_OF_CHANNEL) or NO_CHANNEL
        self.users.of(link.peer).admit(link, user, channel, link.session.expect_outcome(request))

    def handle_fedleave(self, link: Link, request: Request) -> None:
        """FEDLEAVE: a user of the peer leaves a channel here (L34). There is no answer."""
        user = self._names.user(link, request.args[0])
        channel = self._names.maybe_local(link, request.args[1], HOST_OF_CHANNEL)
        if channel is not None:
            self.users.of(link.peer).leave(user, channel)

    def handle_fedsay(self, link: Link, request: Request) -> None:
        """FEDSAY: a user of the peer says something in a channel here (L35)."""
        user = self._names.user(link, request.args[0])
        channel = self._names.maybe_local(link, request.args[1], HOST_OF_CHANNEL) or NO_CHANNEL
        speaker = self.users.of(link.peer).find(user)
        self._chat.say(speaker, channel, request.args[2], link.session.expect_outcome(request))

    # ---- messages to users here ----

    def handle_fedmsg(self, link: Link, request: Request) -> None:
        """FEDMSG: a user of the peer sends a direct message to one here (L37)."""
        user = self._names.user(link, request.args[0])
        name = self._names.maybe_local(link, request.args[1], HOST_OF_USER)
        if name is None:
            raise NoSuchUser
        sender = self.users.of(link.peer).find(user)
        if self._chat.bans.of_member(sender, EVERYWHERE) is not None:
            raise NoSuchUser
        self._chat.messages.send_direct(sender, name, request.args[2], link.session.expect_outcome(request))

    def handle_fedrecv(self, link: Link, request: Request) -> None:
        """FEDRECV: a message in a channel of the peer, for one of its members here (L36)."""
        to_word, from_word, channel_word, text = request.args
        self._names.check_channel(link, channel_word)
        user = self._names.maybe_local(link, to_word, HOST_OF_USER)
        channel = self._names.maybe_theirs(link, channel_word, HOST_OF_CHANNEL) or NO_CHANNEL
        full_name = remote_channel(channel, link.peer.name)
        sender = self._names.maybe_sender(link, from_word, full_name)
        if not channel or user is None or sender is None:
            raise LineIgnored("invalid name of a user or channel")
        self.servers.deliver(link, (user, channel), Said(sender, full_name, text, self._now()))

    # ---- answers to users here ----

    def handle_fedresult(self, link: Link, request: Request) -> None:
        """FEDRESULT: an answer to a user here, or news of a channel of the peer (L38)."""
        user_word, kind, rest = request.args
        user = self._names.maybe_local(link, user_word, HOST_OF_USER)
        about, _, outcome = rest.partition(" ")
        handle = RESULTS.get(kind)
        if user is None or handle is None or not handle(self, link, user, about, AGREED.get(outcome)):
            raise LineIgnored("unexpected FEDRESULT")

    def _handle_join_result(self, link: Link, user: str, about: str, agreed: bool | None) -> bool:
        channel = self._names.maybe_theirs(link, about, HOST_OF_CHANNEL)
        if channel is None or agreed is None:
            return False
        return self.servers.join_answered(link, (user, channel), agreed=agreed)

    def _handle_say_result(self, link: Link, user: str, about: str, agreed: bool | None) -> bool:
        channel = self._names.maybe_theirs(link, about, HOST_OF_CHANNEL)
        if channel is None or agreed is None:
            return False
        return self.servers.say_answered(link, (user, channel), agreed=agreed)

    def _handle_msg_result(self, link: Link, user: str, about: str, agreed: bool | None) -> bool:
        name = self._names.maybe_theirs(link, about, HOST_OF_USER)
        if name is None or agreed is None:
            return False
        return self.servers.direct_answered(link, (user, name), agreed=agreed)

    def _handle_kicked_result(self, link: Link, user: str, about: str, _agreed: bool | None) -> bool:
        channel = self._names.maybe_theirs(link, about, HOST_OF_CHANNEL)
        return channel is not None and self.servers.kicked(link, (user, channel))


def _on_link(
    handle: Callable[[Federation, Link, Request], None],
) -> Callable[[Federation, Session, Request], None]:
    """Make a row's handler from a function that takes a link, which is up, and may raise LineIgnored or Violation."""

    def handler(federation: Federation, session: Session, request: Request) -> None:
        link: Link = session.principal
        try:
            handle(federation, link, request)
        except LineIgnored as error:
            link.ignore(str(error))
        except Violation as error:
            federation.links.refuse(link, str(error))

    return handler


RESULTS: Mapping[str, Callable[[Federation, Link, str, str, bool | None], bool]] = {
    "JOIN": Federation._handle_join_result,
    "SAY": Federation._handle_say_result,
    "MSG": Federation._handle_msg_result,
    "KICKED": Federation._handle_kicked_result,
}
"""The handler of each type of FEDRESULT (L38); it tells whether the result was expected."""

COMMANDS: Mapping[str, Command] = {
    "FEDERATE-OUT": Command(
        Federation.handle_federate_out, "FEDERATE-OUT [hostname]", "ask for a link", max_args=MAX_LINK_LINE
    ),
    "FEDERATE-CONFIRM": Command(
        Federation.handle_federate_confirm, "FEDERATE-CONFIRM [hostname [mac]]", "agree to a link",
        max_args=MAX_LINK_LINE,
    ),
    "FEDERATE-PROVE": Command(
        Federation.handle_federate_prove, "FEDERATE-PROVE <nonce>", "ask for a proof of a name", max_args=MAX_LINK_LINE
    ),
    "FEDERATE-PROOF": Command(
        Federation.handle_federate_proof, "FEDERATE-PROOF <mac> <nonce>", "prove a name", max_args=MAX_LINK_LINE
    ),
    "FEDCHANNELS": Command(
        _on_link(Federation.handle_fedchannels), "FEDCHANNELS [channel, ...]", "say which channels there are",
        max_args=MAX_LINK_LINE, needs_login=True, pipelined=True,
    ),
    "FEDNEW": Command(
        _on_link(Federation.handle_fednew), "FEDNEW <channel>", "say that there is one channel more",
        min_args=1, max_args=1, needs_login=True, pipelined=True,
    ),
    "FEDJOIN": Command(
        _on_link(Federation.handle_fedjoin), "FEDJOIN <user>@<host> <channel>", "have a user come into a channel",
        min_args=2, max_args=2, name=True, needs_login=True, pipelined=True,
        success="FEDRESULT {0} JOIN {1}:{2} 1", failure="FEDRESULT {0} JOIN {1}:{2} 0",
    ),
    "FEDLEAVE": Command(
        _on_link(Federation.handle_fedleave), "FEDLEAVE <user>@<host> <channel>", "have a user leave a channel",
        min_args=2, max_args=2, name=True, needs_login=True, pipelined=True,
    ),
    "FEDSAY": Command(
        _on_link(Federation.handle_fedsay),
        "FEDSAY <user>@<host> <channel> <message>", "have a user say something in a channel",
        min_args=3, max_args=3, name=True, text=True, needs_login=True, pipelined=True,
        failure="FEDRESULT {0} SAY {1}:{2} 0",
    ),
    "FEDMSG": Command(
        _on_link(Federation.handle_fedmsg),
        "FEDMSG <user>@<host> <touser> <message>", "have a user say something to another",
        min_args=3, max_args=3, name=True, text=True, needs_login=True,
        success="FEDRESULT {0} MSG {1}@{2} 1", failure="FEDRESULT {0} MSG {1}@{2} 0",
    ),
    "FEDRECV": Command(
        _on_link(Federation.handle_fedrecv),
        "FEDRECV <touser> <fromuser>@<host> <channel> <message>", "bring a message to a member",
        min_args=4, max_args=4, name=True, text=True, needs_login=True, pipelined=True,
    ),
    "FEDRESULT": Command(
        _on_link(Federation.handle_fedresult), "FEDRESULT <user> <type> <message...>", "answer a user",
        min_args=3, max_args=3, name=True, text=True, needs_login=True, pipelined=True,
    ),
}  # fmt: skip
