"""Which servers are linked with this one, and by what names they are known: dialling, the handshake, the end of a link.

What is said on a link that is up is federation.py's business; it is told of each that comes up and goes down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Protocol

from domain.interfaces import Timers
from domain.names import PROVEN, is_host
from net.addresses import is_loopback
from peering.dialer import Dialler
from peering.peers import MAX_LINK_LINE, Link, LinkLoss, Peer
from peering.proof import Handshake, is_nonce
from protocol import Dialect, Session, Transport
from settings import Settings

KEPT_OUT = "the operator keeps it out (/unlink)"

log = logging.getLogger("crosstalk.federation")


class Dial(Protocol):
    """Connects in the background, then calls one of the two; see net.loop.Loop.dial."""

    def __call__(
        self, host: str, port: int, *, connected: Callable[[Any], Session], failed: Callable[[str], None]
    ) -> None: ...


class Speaker(Dialect, Protocol):
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
        noted: gives the identities for which a server's name is noted (L39).
        note_host: keeps the identity under which a server of the config has borne a name.
    """

    def __init__(
        self,
        speaker: Speaker,
        timers: Timers,
        dial: Dial,
        chance: Callable[[], float],
        make_nonce: Callable[[], str],
        settings: Settings,
        noted: Callable[[str], Collection[str]],
        note_host: Callable[[str, str], None],
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
        self._secrets = {server.name: server.secret for server in settings.peers if server.secret}
        self._noted = noted
        self._note_host = note_host
        self._links: dict[Session, Link] = {}
        self._kept_out: set[str] = set()
        """Names and addresses of servers that the operator does not let in."""

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
        if self._is_kept_out(dialler.known_as):
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
        if link.dialler is None or link.peer is not None:  # else the dialler has a word on it
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
        """Close all links with a server and let it in no more, until `relink` or the end of the process (L45).

        Args:
            word: its name, or an address.

        Returns:
            How many links are closed.

        Raises:
            ValueError: no server can be called so.
        """
        word = _host_or_address(word)
        self._kept_out.add(word)
        closed = [link for link in self._links.values() if word in link.known_as]
        for link in closed:
            self.refuse(link, KEPT_OUT)
        return len(closed)

    def relink(self, word: str) -> bool:
        """Let a server in again, and dial it if it is one of the config; give whether it was kept out (L45).

        Raises:
            ValueError: no server can be called so.
        """
        word = _host_or_address(word)
        if word not in self._kept_out:
            return False
        self._kept_out.remove(word)
        self._dial_at_once(dialler for dialler in self._diallers if word in dialler.known_as)
        return True

    def _is_kept_out(self, known_as: AbstractSet[str]) -> bool:
        return not self._kept_out.isdisjoint(known_as)

    # ---- a link comes up ----

    def called(self, session: Session, sent: str) -> None:
        """Another server has dialled this one and sends this name, or none."""
        link = self._links.get(session) or self._add_link(session, None)
        if link.peer is not None or link.dialler is not None:
            link.ignore("the link is up already")
        elif (meant := self._own_calls().get(session.transport.remote_place)) is not None:
            self._stop_dialling_itself(link, meant)
        elif link.handshake is not None:
            link.ignore("it has to prove its name first")
        elif sent in self._secrets:
            link.handshake = Handshake(self._secrets[sent], sent, link.me, self._make_nonce())
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
        if link is None or link.peer is not None or link.dialler is None:
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
        """Find out by what name the other server is known, and if it may be, have the link up."""
        listed = self._listed_as(link)
        pin = listed[0].listed.name if len(listed) == 1 and not listed[0].listed.secret else None
        name = sent or pin or link.address
        link.nameless = not sent
        link.configured = self._is_configured(link, name)
        objection = self._objection(link, name, sent)
        if objection is not None:
            self.refuse(link, objection)
            return
        link.hosts = frozenset({name, link.address} if link.nameless else {name})
        self._keep_name(link, name)
        self._link_up(link, name)

    def _is_configured(self, link: Link, name: str) -> bool:
        """Tell whether the config lists the server at the other end, which bears this name (L31)."""
        if link.dialler is not None or link.proven:
            return True
        listed = self._listed_as(link)
        pins = {dialler.listed.name for dialler in listed} - {None}
        return name in pins if pins else bool(listed)

    def may_be_called(self, link: Link, name: str) -> bool:
        """Tell whether a link whose peer has sent no name may have this one, as one more, and have it so."""
        known = self.peers.get(name)
        is_free = known is None or all(other.nameless and other.address == link.address for other in known.links)
        if not (link.nameless and is_free and self._objection(link, name, name) is None):
            return False
        link.hosts |= {name}
        return True

    def rename(self, link: Link, name: str) -> None:
        """Know the peer of a link by another name than its address, if that is free, and this is its only link."""
        peer = link.peer
        if peer is None or peer.name != link.address or len(peer.links) > 1 or name in self.peers:
            return
        log.info("%s calls itself %s, and is known so from now on", link, name)
        del self.peers[peer.name]
        self.peers[name] = peer
        peer.name = name
        link.configured = self._is_configured(link, name)
        self._keep_name(link, name)

    def _keep_name(self, link: Link, name: str) -> None:
        """Let the name of a server of the config be its own while it is away, too."""
        if link.configured and name != link.address:
            self._note_host(name, link.identity)

    def _own_calls(self) -> dict[tuple[str, int], Dialler]:
        """The places from which this server has dialled others, with whom it meant."""
        return {
            link.session.transport.local_place: link.dialler
            for link in self._links.values()
            if link.dialler is not None
        }

    def _stop_dialling_itself(self, link: Link, dialler: Dialler) -> None:
        self._diallers.remove(dialler)
        log.warning("%s port %d is this server itself, and is not dialled again", *dialler.listed[:2])
        link.session.refuse()

    def lists(self, host: str) -> bool:
        """Tell whether a line of the config has this name or address, for a server that is away."""
        return host in self._secrets or any(
            host in (dialler.listed.name, dialler.address) for dialler in self._diallers
        )

    def _listed_as(self, link: Link) -> list[Dialler]:
        """The lines of the config that the other server can be meant by."""
        if link.dialler is not None:
            return [link.dialler]
        if link.proven and link.handshake is not None:
            return [dialler for dialler in self._diallers if dialler.listed.name == link.handshake.dialler]
        return [dialler for dialler in self._diallers if dialler.address == link.address]

    def _lets_in(self, link: Link) -> bool:
        """Tell whether an unlisted server may link, as far as the setting `federation` goes (L10, L40)."""
        policy = self._settings.federation
        return policy == "open" or (policy == "local" and _is_from_here(link.session.transport))

    def _objection(self, link: Link, name: str, sent: str) -> str | None:
        """Why the other server cannot be known by this name; None if it can."""
        peer = self.peers.get(name)
        if self._is_kept_out({name} | link.known_as):
            return KEPT_OUT
        if not (link.configured or link.peer or self._lets_in(link)):
            return f"the config does not list it, and has federation {self._settings.federation}"
        if not is_host(name):
            return "it sends no name, or one that is none: a server needs a hostname where its IP address is none"
        if not is_host(link.me):
            return "this server needs a hostname, since its IP address is none: set it in the config"
        if name == self._settings.hostname or sent == link.me:
            return f"{name} is this server's own name"
        if not link.proven and (objection := self._objection_to_address(link, name, sent)):
            return objection
        if peer is not None and peer.links.is_full:
            return f"{len(peer.links)} links with it are up already"
        if link.configured or link.peer:
            return None
        unlisted = sum(other.peer is not None and not other.configured for other in self._links.values())
        if unlisted >= self._settings.max_unlisted_links:
            return f"{unlisted} links with unlisted servers are up, and max-unlisted-links allows no more"
        if len(self.peers) >= self._settings.max_peers and peer is None:
            return f"{len(self.peers)} servers are linked, and max-peers allows no more"
        return None

    def _objection_to_address(self, link: Link, name: str, sent: str) -> str | None:
        """Why a server that has proven nothing cannot have this name at its address; None if it can."""
        peer = self.peers.get(name)
        pinned = [dialler for dialler in self._diallers if dialler.listed.name == name]
        noted = self._noted(name)
        if name in self._secrets:
            return f"it has not proven that it is {name}, and the config has a secret for that name"
        if sent != link.address and sent in {dialler.address for dialler in self._diallers}:
            return f"{name} is the address of another server of the config"
        if link.dialler is not None and link.dialler.listed.name not in (None, name):
            return f"it calls itself {name}, and the config pins it to {link.dialler.listed.name}"
        if pinned and not any(dialler in pinned for dialler in self._listed_as(link)):
            return f"the config pins the name {name} to another server"
        if peer is not None and any(other.address != link.address for other in peer.links):
            return f"the name {name} is in use by a server at {peer.links.oldest.address}"
        if noted and link.identity not in noted and not pinned:
            return (
                f"the name {name} was borne by {' and by '.join(map(_described, sorted(noted)))};"
                f" if it has moved, list it as {link.address}:<port> {name}"
            )
        return None

    def _link_up(self, link: Link, name: str) -> None:
        peer = self.peers.setdefault(name, Peer(name))
        peer.links.add(link)
        self._cancel(link.deadline)
        link.peer, link.deadline, link.since = peer, None, self._timers.monotonic()
        link.session.user = link
        link.session.widen(MAX_LINK_LINE, self._settings.max_link_buffer, "max-link-buffer")
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
        self._dial_at_once(self._listed_as(link))

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
        if link.peer is not None:
            self._link_down(link, link.peer, reason)
        elif link.dialler in self._diallers:
            link.dialler.tell(reason)
        if link.dialler is not None:
            self._dial_later(link.dialler, self._timers.monotonic() - link.since if link.peer else 0.0)

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


def _described(identity: str) -> str:
    return "a server that has proven it" if identity == PROVEN else f"the server at {identity}"


def _is_from_here(transport: Transport) -> bool:
    """Tell whether a connection comes from this machine: from a loopback address, or from the address that it leads to
    (L40)."""
    address = transport.remote_place[0]
    return is_loopback(address) or address == transport.local_place[0] != ""


def _host_or_address(word: str) -> str:
    """Give a server's name as it stands, or an IP address in the form in which connections have it.

    Raises:
        ValueError: it is neither.
    """
    if is_host(word):
        return word
    import ipaddress

    address = ipaddress.IPv6Address(word)
    return str(address.ipv4_mapped or address)
