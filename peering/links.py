"""Links to other servers: dialling, the handshake, the end of a link.

federation.py has the lines of a link that is up; it is called when a link comes up or goes down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from domain.chat import Chat
from domain.interfaces import Timers
from peering.dialer import Dial, PeerDialer, PeerDialers
from peering.names import KEPT_OUT, NameHandler, PeerNames, Violation, host_or_address
from peering.peers import MAX_LINK_LINE, Link, LinkLoss, Peer
from peering.proof import Handshake, is_nonce
from protocol import Dialect, Session
from settings import PeerConfig, Settings
from transport import Transport

STRANGE_PORT = ", and what it has said belongs to no link; perhaps the port is for TLS, or for another protocol"

log = logging.getLogger("crosstalk.federation")


class LinkHandler(Dialect, NameHandler):
    """The dialect of the links, which is called when they come up and go down."""

    def link_up(self, link: Link) -> None:
        """A link has come up; its peer is known."""

    def link_down(self, peer: Peer, loss: LinkLoss) -> None:
        """A link of a peer is lost, perhaps the last one; `loss` says what the remaining ones have to resend."""


class Links:
    """All connections to other servers, and the peers at their ends.

    Args:
        handler: the dialect, called when links come up and go down.
        timers: the monotonic clock.
        dial: opens connections.
        jitter: returns a random number from 0 to 1.
        make_nonce: returns a new nonce at each call.
        settings: the servers to dial, which others may link, and this server's name.
        chat: the domain, which records names of servers (L20).
    """

    def __init__(
        self,
        handler: LinkHandler,
        timers: Timers,
        dial: Dial,
        jitter: Callable[[], float],
        make_nonce: Callable[[], str],
        settings: Settings,
        chat: Chat,
    ) -> None:
        self.peers: dict[str, Peer] = {}
        self.closed = False
        self._handler = handler
        self._timers = timers
        self._make_nonce = make_nonce
        self._settings = settings
        self._dial = dial
        self._jitter = jitter
        self._dialers = PeerDialers(self._dialer_for, settings.peers)
        self.names = PeerNames(chat, settings, self.peers, self._dialers, handler)
        self._links: dict[Session, Link] = {}

    # ---- dialling and accepting ----

    def start(self) -> None:
        """Dial the servers of the config."""
        _warn_of_exposed_secrets(self._settings.peers)
        self._dialers.start()

    def set_peers(self, servers: Sequence[PeerConfig]) -> None:
        """The config has been loaded again: dial its new servers, and close the links that it no longer lists.

        Args:
            servers: those of the config.
        """
        _warn_of_exposed_secrets(servers)
        gone, new = self._dialers.configure(servers)
        self.names.set_secrets(servers)
        for link in list(self._links.values()):
            if link.dialer in gone or self.names.is_unlisted_now(link):
                self.refuse(link, "the config lists it no longer")
        for dialer in new:
            dialer.dial_now()

    def _dialer_for(self, server: PeerConfig) -> PeerDialer:
        return PeerDialer(server, self._timers, self._dial, self._jitter, self._connected, self._may_dial)

    def close(self) -> None:
        """The server stops: dial no server any more, and do nothing for lost peers."""
        self.closed = True
        self._dialers.stop()

    def accept(self, session: Session) -> None:
        """Expect a link on a connection to a `federation` listener (L3)."""
        self._expect(self._add_link(session, None))

    def _may_dial(self, dialer: PeerDialer) -> bool:
        return not self.names.is_kept_out(dialer.known_as)

    def _connected(self, dialer: PeerDialer, transport: Transport) -> Session:
        link = self._add_link(Session(transport, self._handler, MAX_LINK_LINE), dialer)
        self._expect(link)
        dialer.address = link.address
        link.session.send(self._introduction("FEDERATE-OUT"))
        return link.session

    def _add_link(self, session: Session, dialer: PeerDialer | None) -> Link:
        link = Link(session, dialer, self._settings.hostname, self._timers.monotonic())
        self._links[session] = link
        return link

    def _expect(self, link: Link) -> None:
        """Start the time-out for the next line of the handshake (L3, L23)."""
        self._cancel(link.deadline)
        link.deadline = self._timers.call_later(
            self._settings.federation_seconds, partial(self._handshake_failed, link)
        )

    def _handshake_failed(self, link: Link) -> None:
        link.deadline = None
        self.refuse(link, f"it has sent no {link.awaited} within {self._settings.federation_seconds:g} seconds")

    def refuse(self, link: Link, reason: str) -> None:
        """End a link for a fault of the other side."""
        if link.dialer is None or link.maybe_peer is not None:  # else the dialer logs it
            log.warning("closing the link with %s: %s", link, reason, extra=link.log_mark)
        link.failure = reason
        link.session.refuse()

    def give_up(self, link: Link) -> None:
        """Close a slow reader at the end of the turn (L7)."""
        if not link.failure:
            link.failure = "reads too slowly"
            link.session.report_limit("max-link-buffer", "(reads too slowly, %d bytes wait)", link.owed)
            link.session.transport.refuse()

    def _introduction(self, verb: str, mac: str = "") -> str:
        return f"{verb} {self._settings.hostname or ''} {mac}".rstrip()

    def _cancel(self, timer: Any) -> None:
        if timer is not None:
            self._timers.cancel(timer)

    # ---- what the operator does ----

    def unlink(self, word: str) -> int:
        """Close all links with a server and let it in no more, until `relink` or the end of the process (L52).

        Args:
            word: its name, or an IP address.

        Returns:
            How many links are closed.

        Raises:
            ValueError: the word is neither.
        """
        word = host_or_address(word)
        self.names.keep_out(word)
        return self.close_with(word)

    def close_with(self, word: str) -> int:
        """Close all links with a server that is kept out; return how many.

        Args:
            word: its name, or an IP address.
        """
        closed = [link for link in self._links.values() if word in link.known_as]
        for link in closed:
            self.refuse(link, KEPT_OUT)
        return len(closed)

    def relink(self, word: str) -> bool:
        """Let a server in again, and dial it if the config lists it (L52).

        Returns:
            Whether it was kept out.

        Raises:
            ValueError: the word is neither a server's name nor an IP address.
        """
        word = host_or_address(word)
        if not self.names.let_in(word):
            return False
        self._dialers.dial_soon(word)
        return True

    # ---- a link comes up ----

    def receive_introduction(self, session: Session, sent: str) -> None:
        """Another server has dialled this one (L27).

        Args:
            sent: its name, or "".
        """
        link = self._links.get(session) or self._add_link(session, None)
        if link.maybe_peer is not None or link.dialer is not None:
            link.ignore("the link is up already")
        elif (meant := self._own_calls().get(session.transport.remote_address)) is not None:
            self._stop_dialling_itself(link, meant)
        elif link.handshake is not None:
            link.ignore("it has to prove its name first")
        elif sent in self.names.secrets:
            link.handshake = Handshake(self.names.secrets[sent], sent, link.local_name, self._make_nonce())
            self._expect(link)
            link.session.send(f"FEDERATE-PROVE {link.handshake.receiver_nonce}")
        else:
            self._introduce(link, sent)

    def answer_challenge(self, session: Session, nonce: str) -> None:
        """The dialled server asks for a proof of this server's name (L29)."""
        link = self._links[session]
        if link.dialer is None or link.handshake is not None:
            self.refuse(link, "it asks for a proof out of turn")
            return
        name, secret = link.dialer.config.name, link.dialer.config.secret
        if name is None or secret is None:
            self.refuse(link, "it asks for a proof, and the config has no secret for it")
        elif not is_nonce(nonce):
            self.refuse(link, "it asks for a proof with an invalid nonce")
        else:
            link.handshake = Handshake(secret, link.local_name, name, nonce, self._make_nonce())
            link.session.send(f"FEDERATE-PROOF {link.handshake.mac('proof')} {link.handshake.dialer_nonce}")

    def check_proof(self, session: Session, mac: str, nonce: str) -> None:
        """The dialling server proves its name (L30)."""
        link = self._links[session]
        if link.dialer is not None or link.handshake is None or link.proven:
            self.refuse(link, "it sends a proof out of turn")
            return
        link.handshake = link.handshake._replace(dialer_nonce=nonce)
        if is_nonce(nonce) and link.handshake.is_right("proof", mac):
            self._introduce_proven(link, link.handshake.dialer)
        else:
            self.refuse(link, f"it has not proven that it is {link.handshake.dialer}: wrong secret")

    def receive_confirmation(self, session: Session, sent: str) -> None:
        """The dialled server agrees (L28).

        Args:
            sent: its name, or "", and its mac if it had to prove the name.
        """
        link = self._links.get(session)
        if link is None or link.maybe_peer is not None or link.dialer is None:
            self.ignore(session, "unexpected FEDERATE-CONFIRM")
        elif link.dialer.config.secret is None:
            self._introduce(link, sent)
        else:
            self._check_confirmation(link, *sent.partition(" ")[::2])

    def _check_confirmation(self, link: Link, name: str, mac: str) -> None:
        """Check that the dialled server proves its name, for which the config has a secret (L22)."""
        handshake = link.handshake
        if handshake is None:
            self.refuse(link, "it confirms without having asked for a proof, and the config has a secret for it")
        elif name != handshake.receiver or not handshake.is_right("confirm", mac):
            self.refuse(link, f"it has not proven that it is {handshake.receiver}: wrong secret")
        else:
            self._introduce_proven(link, name)

    def _introduce_proven(self, link: Link, name: str) -> None:
        link.proven = True
        self._introduce(link, name)

    def _introduce(self, link: Link, sent: str) -> None:
        """Bring the link up, unless the other server cannot be known by the name that it sends."""
        try:
            name = self.names.introduce(link, sent)
        except Violation as error:
            self.refuse(link, str(error))
        else:
            self._link_up(link, name)

    def _own_calls(self) -> dict[tuple[str, int], PeerDialer]:
        """Return the local addresses of dialled connections: a connection from one of them is to this server itself."""
        return {
            link.session.transport.local_address: link.dialer
            for link in self._links.values()
            if link.dialer is not None
        }

    def _stop_dialling_itself(self, link: Link, dialer: PeerDialer) -> None:
        self._dialers.remove(dialer)
        log.warning(
            "%s port %d is this server itself, and is not dialled again", *dialer.config[:2], extra=link.log_mark
        )
        link.session.refuse()

    def _link_up(self, link: Link, name: str) -> None:
        peer = self.peers.setdefault(name, Peer(name))
        peer.links.add(link)
        self._cancel(link.deadline)
        link.maybe_peer, link.deadline, link.since = peer, None, self._timers.monotonic()
        link.session.principal = link
        link.session.set_link_limits(MAX_LINK_LINE, self._settings.max_link_buffer, "max-link-buffer")
        how = "dialled" if link.dialer else "accepted"
        log.info("the link with %s is up, %s%s", link, how, ", proven" if link.proven else "", extra=link.log_mark)
        if link.dialer is not None:
            link.dialer.succeeded()
        else:
            mac = link.handshake.mac("confirm") if link.handshake else ""
            link.session.send(self._introduction("FEDERATE-CONFIRM", mac))
            for dialer in self.names.listed_as(link):  # it can be reached now (L2)
                dialer.dial_soon()
        self._handler.link_up(link)

    # ---- a link goes down ----

    def lost(self, session: Session) -> None:
        """A connection has ended; its server is dialled again. No-op for a connection that is no link."""
        link = self._links.pop(session, None)
        if link is None:
            return
        self._cancel(link.deadline)
        how = "this server stops" if self.closed else getattr(session.reason, "value", "closed by the peer")
        reason = link.failure or how
        if link.maybe_peer is not None:
            self._link_down(link, link.peer, reason)
        elif link.dialer is not None and not link.dialer.stopped:
            link.dialer.log_failure(f"{reason}{STRANGE_PORT if link.ignored and not link.failure else ''}")
        if link.dialer is not None:
            link.dialer.dial_later(self._timers.monotonic() - link.since if link.maybe_peer else 0.0)

    def _link_down(self, link: Link, peer: Peer, reason: str) -> None:
        counts = "".join(f"; ignored {count} lines: {why}" for why, count in link.ignored.items())
        log.info("the link with %s is lost: %s%s", link, reason, counts, extra=link.log_mark)
        loss = peer.links.remove(link)
        if not peer.links:
            del self.peers[peer.name]
        self._handler.link_down(peer, loss)

    def ignore(self, session: Session, reason: str) -> None:
        """Count a line that is ignored. No-op for a connection that is no link."""
        link = self._links.get(session)
        if link is not None:
            link.ignore(reason)


def _warn_of_exposed_secrets(servers: Sequence[PeerConfig]) -> None:
    for server in servers:
        if server.secret and server.secret.is_exposed:
            log.warning("other users can read the secret of %s; keep it from them: chmod 600 its file", server.name)
