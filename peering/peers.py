"""What a server knows of others while it is linked with them: the state that federation.py works on, and no rules.

A `Link` is a connection to another server, a `Peer` that server, known by its name: it is there as long as it has a
link. Names here are bare, without a host, where nothing else is said.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from domain.changes import Said
from domain.events import ChannelMessages
from domain.names import HOST_OF_USER, MAX_NAME, PROVEN, remote_user
from peering.dialer import PeerDialer
from peering.pending import Key, PendingMessage, PendingQueue, PendingRequest
from peering.proof import Handshake
from protocol import Session
from text import MAX_LINE

HEAD = "FEDRECV "
MAX_HEAD = len(HEAD) + 4 * MAX_NAME
"""What stands before a user's name in a line that brings a message, and the bytes of both at the most."""

PIECE_BYTES = 64 * 1024
"""Bytes of such lines that are made at once."""

MAX_LINK_LINE = MAX_LINE + 1024
"""Bytes of a line on a link, its newline included: a client's full line grows by names when it is passed on."""

MAX_LINKS = 8
"""Links with one peer (L8). Two are needed; the loss of older ones may not have been noticed yet."""

MAX_LEAVES = 1000
"""FEDLEAVE lines that are remembered, to be sent again if their link is lost."""

log = logging.getLogger("crosstalk.federation")


class Link:
    """A connection to another server.

    Args:
        session: what speaks there.
        dialer: for whom it was dialled; None for one that was accepted.
        hostname: this server's name; None: its address on this connection.
        now: the time on the monotonic clock.
    """

    def __init__(self, session: Session, dialer: PeerDialer | None, hostname: str | None, now: float) -> None:
        self.session = session
        self.dialer = dialer
        self.local_name = hostname or session.transport.local_address[0]
        self.address, self.port = session.transport.remote_address
        self.since = now
        self.maybe_peer: Peer | None = None
        """The server at the other end, once the link is up."""
        self.peer_names: frozenset[str] = frozenset()
        """By what names the peer calls itself."""
        self.nameless = False
        """The peer has sent no name, so it cannot know by which one it is known here."""
        self.handshake: Handshake | None = None
        """What is to be proven, or has been, where the config has a secret (L29)."""
        self.proven = False
        """The peer has proven its name."""
        self.configured = False
        """The config lists the peer at the other end (L14); decided when the peer gets its name."""
        self.has_spoken = False
        """The peer has spoken for one of its users."""
        self.ignored: Counter[str] = Counter()
        self.failure = ""
        self.deadline: Any = None
        self.owed = 0
        """Bytes of messages to its users that are still to be made."""

    def __str__(self) -> str:
        name = self.maybe_peer.name if self.maybe_peer else "a server"
        return f"{name} ({self.address} port {self.port})"

    @property
    def identity(self) -> str:
        """The identity under which memberships begin that are agreed on here (L21)."""
        return PROVEN if self.proven else self.address

    def may_end(self, began_under: str) -> bool:
        """Tell whether the peer may end a membership that began under this identity of the server of its name (L21)."""
        return began_under in ("", self.identity, self.address)

    @property
    def peer(self) -> Peer:
        """The server at the other end of a link that is up."""
        assert self.maybe_peer is not None, "the gate lets no line pass before"
        return self.maybe_peer

    @property
    def awaited(self) -> str:
        """The word with which the other side is to go on while the link is not up."""
        if self.dialer is not None:
            return "FEDERATE-CONFIRM"
        return "FEDERATE-PROOF" if self.handshake else "FEDERATE-OUT"

    @property
    def known_as(self) -> set[str]:
        """By which names and addresses the other side is known."""
        peer = {self.maybe_peer.name} if self.maybe_peer else set()
        return {self.address} | self.peer_names | peer | (self.dialer.known_as if self.dialer else set())

    def send_to_each(self, users: Sequence[str], rests: Sequence[str]) -> None:
        """Send FEDRECV lines to each of the peer's users; one that is too long for a link is left out.

        Args:
            users: their bare names; the sequence may be kept.
            rests: what stands behind the name in each line, with the newline.
        """
        heads = len(users) * len(HEAD) + len("".join(users).encode())
        sizes = [len(rest.encode()) for rest in rests]
        size = heads * len(rests) + len(users) * sum(sizes)
        pieces = self._render_pieces(users, rests, size, all_fit=max(sizes) + MAX_HEAD <= MAX_LINK_LINE)
        self.owed += size
        if size <= PIECE_BYTES:
            self.session.transport.send(b"".join(pieces))
        else:
            self.session.transport.stream(pieces)

    def _render_pieces(
        self, users: Sequence[str], rests: Sequence[str], size: int, *, all_fit: bool
    ) -> Iterator[bytes]:
        """Make about PIECE_BYTES of lines at once, the next ones when these have left."""
        at_once = max(1, len(users) * PIECE_BYTES // size)
        for start in range(0, len(users), at_once):
            lines = [f"{HEAD}{user}{rest}" for user in users[start : start + at_once] for rest in rests]
            piece = "".join(lines if all_fit else filter(self._fits, lines)).encode()
            yield piece
            self.owed -= len(piece)
            size -= len(piece)
        self.owed -= size  # of lines that were too long

    def _fits(self, line: str) -> bool:
        if len(line.encode()) <= MAX_LINK_LINE:
            return True
        log.warning("a message was not sent: it is too long for the link with %s", self)
        return False

    def ignore(self, reason: str) -> None:
        """Count a line that is not obeyed."""
        if not self.ignored[reason] and (self.maybe_peer or not self.dialer):  # else the dialer tells what matters
            log.warning("ignored a line from %s: %s (further ones are only counted)", self, reason)
        self.ignored[reason] += 1


class LinkLoss(NamedTuple):
    """What the loss of one of several links asks for (L9)."""

    leaves: Sequence[Key]
    """Memberships whose end it carried last; nobody knows whether that has arrived."""
    carried_traffic: bool
    """It was the oldest: the joins that wait for an answer went over it too."""
    carried_channels: bool
    """It was the newest: the channels here were announced over it."""


class LinkSet:
    """The links of one pair of servers: two servers that list each other have two, and keep both (L8).

    Traffic to the peer uses the oldest link, so that it stays ordered and is sent once. Channel announcements use the
    newest, behind the list with which that began. A reply uses the link of its request.
    """

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._leaves: deque[Key] = deque(maxlen=MAX_LEAVES)

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    @property
    def is_full(self) -> bool:
        return len(self._links) >= MAX_LINKS

    @property
    def oldest(self) -> Link:
        return self._links[0]

    @property
    def newest(self) -> Link:
        return self._links[-1]

    @property
    def up_since(self) -> float:
        """The time on the monotonic clock when the oldest link came up."""
        return self.oldest.since

    def add(self, link: Link) -> None:
        """A link has come up."""
        self._links.append(link)

    def remove(self, link: Link) -> LinkLoss:
        """A link is lost; tell what that asks for if others are left."""
        was_oldest, was_newest = link is self.oldest, link is self.newest
        self._links.remove(link)
        leaves: Sequence[Key] = ()
        if was_oldest:
            leaves = tuple(self._leaves)
            self._leaves.clear()
        return LinkLoss(leaves, was_oldest, was_newest)

    def send(self, line: str) -> None:
        """Send a line, given without its newline, over the oldest link. No-op when the last link is lost."""
        if self._links:
            self.oldest.session.send(line)

    def announce(self, line: str) -> None:
        """Send what is new about the channels here, over the newest link."""
        self.newest.session.send(line)

    def send_leave(self, key: Key, line: str) -> None:
        """Send the end of a membership, and remember it: there is no answer that would confirm it."""
        if self._links:
            self._leaves.append(key)
            self.send(line)


class Peer:
    """Another server, while it has a link."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links = LinkSet()
        self.channels: set[str] = set()
        """Those that it has announced."""
        self.joins: dict[Key, PendingRequest] = {}
        self.rejoining: set[Key] = set()
        """Memberships that were asked for again, and are not confirmed yet."""
        self.direct_messages: PendingQueue[PendingRequest] = PendingQueue()
        """Direct messages of users here."""
        self.messages: PendingQueue[PendingMessage] = PendingQueue()

    @property
    def configured(self) -> bool:
        """Whether one of its links is configured (L14). Unlisted peers share small bounds."""
        return any(link.configured for link in self.links)

    @property
    def local_name(self) -> str:
        """What this server is called there; nothing matters when the last link has gone."""
        return self.links.oldest.local_name if self.links else ""

    @property
    def is_waited_for(self) -> bool:
        """Whether anybody here has asked it for something."""
        return bool(self.joins or self.rejoining or self.direct_messages)

    @property
    def is_behind(self) -> bool:
        """Whether it reads more slowly than is said to it."""
        return bool(self.links) and self.links.oldest.session.transport.is_behind

    def deliver(self, event: ChannelMessages, users: Sequence[str]) -> None:
        """Say messages of a channel here to some of its users, each in a line. Many are made as the link drains."""
        self.links.oldest.send_to_each(users, [self._render(message) for message in event.messages])

    def _render(self, message: Said) -> str:
        sender, channel, text, _at = message
        speaker = sender if HOST_OF_USER in sender else remote_user(sender, self.local_name)
        return f" {speaker} {channel} {text}\n"

    def confirm(self, key: Key, text: str) -> None:
        """A message of a user to a channel has come back."""
        for message in self.messages.of(key):
            if message.text == hash(text):
                self.messages.drop(key, message).settled(True)
                return
