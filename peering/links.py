"""Which servers are linked with this one, and by what names they are known: dialling, the handshake, the end of a link.

What is said on a link that is up is federation.py's business; it is told of each that comes up and goes down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from domain.chat import Chat
from domain.interfaces import Timers
from peering.dialer import Dialler
from peering.names import KEPT_OUT, NameUsers, PeerNames, Violation, host_or_address
from peering.peers import MAX_LINK_LINE, Link, LinkLoss, Peer
from peering.proof import Handshake, is_nonce
from protocol import Dialect, Session, Transport
from settings import Settings

log = logging.getLogger("crosstalk.federation")


class Dial(Protocol):
    """Connects in the background, then calls one of the two; see net.loop.Loop.dial."""

    def __call__(
        self, host: str, port: int, *, connected: Callable[[Any], Session], failed: Callable[[str], None]
    ) -> None: ...


class Speaker(Dialect, NameUsers):
    """What is said on links."""

    def link_up(self, link: Link) -> None:
        """A link has come up, and its peer is there."""

    def link_down(self, peer: Peer, loss: LinkLoss) -> None:
        """A link of a peer is lost, perhaps the last one; `loss` tells what the others have to carry again."""


class Links:
    """All connections to other servers, and the peers at their ends.

    Args:
        speaker: the dialect, which is told what comes up and goes down.
        timers: the monotonic clock.
        dial: opens connections.
        chance: gives a number from 0 to 1.
        make_nonce: gives a nonce, another one each time.
        settings: which servers are dialled and let in, and as whom.
        chat: the domain, which notes names of servers (L20).
    """

    def __init__(
        self,
        speaker: Speaker,
        timers: Timers,
        dial: Dial,
        chance: Callable[[], float],
        make_nonce: Callable[[], str],
        settings: Settings,
        chat: Chat,
    ) -> None:
        self.peers: dict[str, Peer] = {}
        self.closed = False
        self._speaker = speaker
        self._timers = timers
        self._dial = dial
        self._chance = chance
        self._make_nonce = make_nonce
        self._settings = settings
        self._diallers = [Dialler(server) for server in settings.peers if server.port]
        self.names = PeerNames(chat, settings, self.peers, self._diallers, speaker)
        self._links: dict[Session, Link] = {}

    # ---- dialling and accepting ----

    def start(self) -> None:
        """Dial the servers of the config."""
        for server in self._settings.peers:
            if server.secret and server.secret.is_exposed:
                log.warning("other users can read the secret of %s; keep it from them: chmod 600 its file", server.name)
        for dialler in self._diallers:
            self._dial_now(dialler)

    def close(self) -> None:
        """The server stops: nobody is dialled any more, and nobody is told of those who go."""
        self.closed = True
        for dialler in self._diallers:
            self._cancel(dialler.timer)

    def accept(self, transport: Transport) -> Session:
        """Give a session to a connection from which a link is expected."""
        return self._begin(transport, None).session

    def _dial_now(self, dialler: Dialler) -> None:
        dialler.timer = None
        if self.names.is_kept_out(dialler.known_as):
            self._dial_later(dialler)
        elif not self.closed:
            self._dial(
                *dialler.listed[:2], connected=partial(self._connected, dialler), failed=partial(self._failed, dialler)
            )

    def _dial_later(self, dialler: Dialler, lasted: float = 0.0) -> None:
        if not self.closed and dialler in self._diallers:
            pause = dialler.next_pause(lasted, self._chance())
            dialler.timer = self._timers.call_later(pause, partial(self._dial_now, dialler))

    def _failed(self, dialler: Dialler, reason: str) -> None:
        dialler.tell(reason)
        self._dial_later(dialler)

    def _connected(self, dialler: Dialler, transport: Transport) -> Session:
        link = self._begin(transport, dialler)
        dialler.address = link.address
        link.session.send(self._introduction("FEDERATE-OUT"))
        return link.session

    def _begin(self, transport: Transport, dialler: Dialler | None) -> Link:
        link = self._add_link(Session(transport, self._speaker, MAX_LINK_LINE), dialler)
        self._expect(link)
        return link

    def _add_link(self, session: Session, dialler: Dialler | None) -> Link:
        link = Link(session, dialler, self._settings.hostname, self._timers.monotonic())
        self._links[session] = link
        return link

    def _expect(self, link: Link) -> None:
        """Give the other side its time for the next word."""
        self._cancel(link.deadline)
        link.deadline = self._timers.call_later(
            self._settings.federation_seconds, partial(self._handshake_failed, link)
        )

    def _handshake_failed(self, link: Link) -> None:
        link.deadline = None
        self.refuse(link, f"it has not said {link.awaited} within {self._settings.federation_seconds:g} seconds")

    def refuse(self, link: Link, reason: str) -> None:
        """End a link for a fault of the other side."""
        if link.dialler is None or link.maybe_peer is not None:  # else the dialler has a word on it
            log.warning("closing the link with %s: %s", link, reason)
        link.failure = reason
        link.session.refuse()

    def give_up(self, link: Link) -> None:
        """End a link at the end of the turn, for it takes too little of what is said to it."""
        if not link.failure:
            link.failure = "reads too slowly"
            log.warning(
                "closing %s port %d: %s, %d bytes wait (max-link-buffer)",
                link.address,
                link.port,
                link.failure,
                link.owed,
            )
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
            word: its name, or an address.

        Returns:
            How many links are closed.

        Raises:
            ValueError: no server can be called so.
        """
        word = host_or_address(word)
        self.names.keep_out(word)
        closed = [link for link in self._links.values() if word in link.known_as]
        for link in closed:
            self.refuse(link, KEPT_OUT)
        return len(closed)

    def relink(self, word: str) -> bool:
        """Let a server in again, and dial it if it is one of the config; give whether it was kept out (L52).

        Raises:
            ValueError: no server can be called so.
        """
        word = host_or_address(word)
        if not self.names.let_in(word):
            return False
        self._dial_at_once(dialler for dialler in self._diallers if word in dialler.known_as)
        return True

    # ---- a link comes up ----

    def called(self, session: Session, sent: str) -> None:
        """Another server has dialled this one and sends this name, or none."""
        link = self._links.get(session) or self._add_link(session, None)
        if link.maybe_peer is not None or link.dialler is not None:
            link.ignore("the link is up already")
        elif (meant := self._own_calls().get(session.transport.remote_address)) is not None:
            self._stop_dialling_itself(link, meant)
        elif link.handshake is not None:
            link.ignore("it has to prove its name first")
        elif sent in self.names.secrets:
            link.handshake = Handshake(self.names.secrets[sent], sent, link.me, self._make_nonce())
            self._expect(link)
            link.session.send(f"FEDERATE-PROVE {link.handshake.receiver_nonce}")
        else:
            self._introduce(link, sent)

    def challenged(self, session: Session, nonce: str) -> None:
        """The server that was dialled asks for a proof of this one's name."""
        link = self._links[session]
        if link.dialler is None or link.handshake is not None:
            self.refuse(link, "it asks for a proof out of turn")
            return
        _address, _port, name, secret = link.dialler.listed
        if name is None or secret is None:
            self.refuse(link, "it asks for a proof, and the config has no secret for it")
        elif not is_nonce(nonce):
            self.refuse(link, "it asks for a proof with what is no nonce")
        else:
            link.handshake = Handshake(secret, link.me, name, nonce, self._make_nonce())
            link.session.send(f"FEDERATE-PROOF {link.handshake.mac('proof')} {link.handshake.dialler_nonce}")

    def proven(self, session: Session, mac: str, nonce: str) -> None:
        """The server that has dialled proves its name."""
        link = self._links[session]
        if link.dialler is not None or link.handshake is None or link.proven:
            self.refuse(link, "it sends a proof for which it was not asked")
            return
        link.handshake = link.handshake._replace(dialler_nonce=nonce)
        if is_nonce(nonce) and link.handshake.is_right("proof", mac):
            self._introduce_proven(link, link.handshake.dialler)
        else:
            self.refuse(link, f"it has not proven that it is {link.handshake.dialler}: its secret is another one")

    def confirmed(self, session: Session, sent: str) -> None:
        """The server that was dialled agrees, and sends this name, or none."""
        link = self._links.get(session)
        if link is None or link.maybe_peer is not None or link.dialler is None:
            self.ignore(session, "nothing is to be confirmed")
        elif link.dialler.listed.secret is None:
            self._introduce(link, sent)
        else:
            self._check_confirmation(link, *sent.partition(" ")[::2])

    def _check_confirmation(self, link: Link, name: str, mac: str) -> None:
        """See whether the server that was dialled proves its name, as the config's secret for it demands."""
        handshake = link.handshake
        if handshake is None:
            self.refuse(link, "it confirms without having asked for a proof, and the config has a secret for it")
        elif name != handshake.receiver or not handshake.is_right("confirm", mac):
            self.refuse(link, f"it has not proven that it is {handshake.receiver}: its secret is another one")
        else:
            self._introduce_proven(link, name)

    def _introduce_proven(self, link: Link, name: str) -> None:
        link.proven = True
        self._introduce(link, name)

    def _introduce(self, link: Link, sent: str) -> None:
        """Have the link up, if the other server can be known by the name that it sends."""
        try:
            name = self.names.introduce(link, sent)
        except Violation as error:
            self.refuse(link, str(error))
        else:
            self._link_up(link, name)

    def _own_calls(self) -> dict[tuple[str, int], Dialler]:
        """The places from which this server has dialled others, with whom it meant."""
        return {
            link.session.transport.local_address: link.dialler
            for link in self._links.values()
            if link.dialler is not None
        }

    def _stop_dialling_itself(self, link: Link, dialler: Dialler) -> None:
        self._diallers.remove(dialler)
        log.warning("%s port %d is this server itself, and is not dialled again", *dialler.listed[:2])
        link.session.refuse()

    def _link_up(self, link: Link, name: str) -> None:
        peer = self.peers.setdefault(name, Peer(name))
        peer.links.add(link)
        self._cancel(link.deadline)
        link.maybe_peer, link.deadline, link.since = peer, None, self._timers.monotonic()
        link.session.principal = link
        link.session.set_link_limits(MAX_LINK_LINE, self._settings.max_link_buffer, "max-link-buffer")
        how = "dialled" if link.dialler else "accepted"
        log.info("the link with %s is up, %s%s", link, how, ", proven" if link.proven else "")
        if link.dialler is not None:
            link.dialler.succeeded()
        else:
            mac = link.handshake.mac("confirm") if link.handshake else ""
            link.session.send(self._introduction("FEDERATE-CONFIRM", mac))
            self._hurry(link)
        self._speaker.link_up(link)

    def _hurry(self, link: Link) -> None:
        """A server that has dialled is there, so it need not be waited for."""
        self._dial_at_once(self.names.listed_as(link))

    def _dial_at_once(self, diallers: Iterable[Dialler]) -> None:
        """Dial those that wait for their next attempt."""
        for dialler in diallers:
            if dialler.timer is not None:
                self._timers.cancel(dialler.timer)
                self._dial_now(dialler)

    # ---- a link goes down ----

    def lost(self, session: Session) -> None:
        """A connection is gone; its server is dialled again. One that is no link is left alone."""
        link = self._links.pop(session, None)
        if link is None:
            return
        self._cancel(link.deadline)
        how = "this server stops" if self.closed else getattr(session.reason, "value", "closed by the peer")
        reason = link.failure or how
        if link.maybe_peer is not None:
            self._link_down(link, link.peer, reason)
        elif link.dialler in self._diallers:
            link.dialler.tell(reason)
        if link.dialler is not None:
            self._dial_later(link.dialler, self._timers.monotonic() - link.since if link.maybe_peer else 0.0)

    def _link_down(self, link: Link, peer: Peer, reason: str) -> None:
        counts = "".join(f"; ignored {count} lines: {why}" for why, count in link.ignored.items())
        log.info("the link with %s is lost: %s%s", link, reason, counts)
        loss = peer.links.remove(link)
        if not peer.links:
            del self.peers[peer.name]
        self._speaker.link_down(peer, loss)

    def ignore(self, session: Session, reason: str) -> None:
        """Count a line that is not obeyed."""
        link = self._links.get(session)
        if link is not None:
            link.ignore(reason)
