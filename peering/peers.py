"""The state of other servers while they are linked.

A `Link` is one connection to another server. A `Peer` is that server, known by its name; it has one link or more, in a
`LinkSet`. Names are bare (without a host) unless stated otherwise.
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
"""The start of a line that delivers a message, and its largest size in bytes with the user's name."""

PIECE_BYTES = 64 * 1024
"""Bytes of such lines that are rendered at once (L47)."""

MAX_LINK_LINE = MAX_LINE + 1024
"""Bytes of a line on a link, its newline included (L5): a client's longest line, and room for the added names."""

MAX_LINKS = 8
"""Links with one peer (L8). Two are needed; the loss of older ones may not have been noticed yet."""

MAX_LEAVES = 1000
"""FEDLEAVE lines that are remembered, to be sent again if their link is lost."""

log = logging.getLogger("crosstalk.federation")


class Link:
    """A connection to another server.

    Args:
        session: the session of the connection.
        dialer: the configured server that was dialled; None for an accepted connection.
        hostname: this server's name; None: its address on this connection.
        now: the time on the monotonic clock, in seconds.
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
        """The names by which the peer may call itself."""
        self.nameless = False
        """Whether the peer has sent no name, and so does not know its name here."""
        self.handshake: Handshake | None = None
        """The proof of the name, where the config has a secret (L22)."""
        self.proven = False
        """Whether the peer has proven its name."""
        self.configured = False
        """Whether the config lists the peer (L14); decided when the peer gets its name."""
        self.has_spoken = False
        """Whether the peer has spoken for one of its users."""
        self.ignored: Counter[str] = Counter()
        """How many lines were ignored, by reason (L5)."""
        self.failure = ""
        """Why this server closes the link; "" while it does not."""
        self.deadline: Any = None
        self.owed = 0
        """Bytes of lines to its users that are not rendered yet (L47)."""

    def __str__(self) -> str:
        name = self.maybe_peer.name if self.maybe_peer else "a server"
        return f"{name} ({self.address} port {self.port})"

    @property
    def log_mark(self) -> dict[str, int]:
        """What marks a record of the log as one of this connection: the argument `extra`."""
        return self.session.transport.log_mark()

    @property
    def identity(self) -> str:
        """The identity under which memberships begin that this link has agreed to (L21)."""
        return PROVEN if self.proven else self.address

    def may_end(self, began_under: str) -> bool:
        """Tell whether the peer may end a membership that began under an identity of its name (L21)."""
        return began_under in ("", self.identity, self.address)

    @property
    def peer(self) -> Peer:
        """The server at the other end of a link that is up."""
        assert self.maybe_peer is not None, "the gate lets no line pass before"
        return self.maybe_peer

    @property
    def awaited(self) -> str:
        """The next line that the other side has to send in the handshake."""
        if self.dialer is not None:
            return "FEDERATE-CONFIRM"
        return "FEDERATE-PROOF" if self.handshake else "FEDERATE-OUT"

    @property
    def known_as(self) -> set[str]:
        """The names and addresses of the other side."""
        peer = {self.maybe_peer.name} if self.maybe_peer else set()
        return {self.address} | self.peer_names | peer | (self.dialer.known_as if self.dialer else set())

    def send_to_each(self, users: Sequence[str], rests: Sequence[str]) -> None:
        """Send FEDRECV lines to each of the peer's users, but none that is too long for a link (L6).

        Args:
            users: their bare names; the sequence may be kept.
            rests: the rest of each line, after the user's name, with the newline.
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
        """Render about PIECE_BYTES of lines at a time, the next ones when these have left."""
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
        log.warning("a message was not sent: it is too long for the link with %s", self, extra=self.log_mark)
        return False

    def ignore(self, reason: str) -> None:
        """Count a line that is ignored, and log the first of its kind (L5)."""
        if not self.ignored[reason] and (self.maybe_peer or not self.dialer):  # else the dialer logs the failure
            log.warning("ignored a line from %s: %s (further ones are only counted)", self, reason, extra=self.log_mark)
        self.ignored[reason] += 1


class LinkLoss(NamedTuple):
    """What has to be resent after the loss of one of several links (L9)."""

    leaves: Sequence[Key]
    """The last FEDLEAVE lines that it carried; they may not have arrived."""
    carried_traffic: bool
    """It was the oldest link, which carried the pending joins too."""
    carried_channels: bool
    """It was the newest link, over which the channels here were announced."""


class LinkSet:
    """The links of one pair of servers: two servers that list each other have two, and keep both (L8).

    Traffic to the peer uses the oldest link, so that it stays ordered and is sent once. Channel announcements use the
    newest link, after its initial FEDCHANNELS. A reply uses the link of its request.
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
        """A link is lost; return what the remaining ones have to resend."""
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
        """Send news of the channels here over the newest link."""
        self.newest.session.send(line)

    def send_leave(self, key: Key, line: str) -> None:
        """Send a FEDLEAVE and remember it: it has no answer that would confirm it."""
        if self._links:
            self._leaves.append(key)
            self.send(line)


class Peer:
    """Another server, while it has a link.

    Args:
        name: by which it is known here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.links = LinkSet()
        self.channels: set[str] = set()
        """The channels that it has announced."""
        self.joins: dict[Key, PendingRequest] = {}
        self.rejoining: set[Key] = set()
        """Memberships that were requested again and are not confirmed yet (L46)."""
        self.direct_messages: PendingQueue[PendingRequest] = PendingQueue()
        """Direct messages of users here."""
        self.messages: PendingQueue[PendingMessage] = PendingQueue()

    @property
    def configured(self) -> bool:
        """Whether one of its links is configured (L14). Unlisted peers share small bounds."""
        return any(link.configured for link in self.links)

    @property
    def local_name(self) -> str:
        """This server's name there; "" when the last link is lost, since nothing is sent then."""
        return self.links.oldest.local_name if self.links else ""

    @property
    def is_waited_for(self) -> bool:
        """Whether a user here waits for its answer."""
        return bool(self.joins or self.rejoining or self.direct_messages)

    @property
    def is_behind(self) -> bool:
        """Whether it reads more slowly than messages for it arrive (L7)."""
        return bool(self.links) and self.links.oldest.session.transport.is_behind

    def deliver(self, event: ChannelMessages, users: Sequence[str]) -> None:
        """Send messages of a channel here to some of its users, a line for each (L36, L47)."""
        self.links.oldest.send_to_each(users, [self._render(message) for message in event.messages])

    def _render(self, message: Said) -> str:
        sender = message.sender
        speaker = sender if HOST_OF_USER in sender else remote_user(sender, self.local_name)
        return f" {speaker} {message.channel} {message.words}\n"

    def confirm(self, key: Key, text: str) -> None:
        """The echo of a user's message to a channel has arrived (L43)."""
        for message in self.messages.of(key):
            if message.text == hash(text):
                self.messages.drop(key, message).settled(True)
                return
