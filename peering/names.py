"""Names on a link: the name by which another server is known here, and the users and channels that its lines name.

The rules are L11 to L22, L24 and L52 of PROTOCOL.md.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from domain.bans import BANNED
from domain.chat import Chat
from domain.names import (
    HOST_OF_CHANNEL,
    HOST_OF_USER,
    PROVEN,
    has_form_of_name,
    is_host,
    is_name,
    remote_user,
)
from net.addresses import is_loopback
from peering.dialer import PeerDialer
from peering.peers import Link, Peer
from settings import PeerConfig, Secret, Settings
from text import normalize
from transport import Transport

KEPT_OUT = "the operator keeps it out (/unlink, ban)"

MAX_SHOWN = 100
"""Characters of a wrong word that are shown in the log."""

log = logging.getLogger("crosstalk.federation")


class LineIgnored(Exception):
    """A line of a peer that is ignored and counted; the message says why (L5, L19)."""


class Violation(Exception):
    """A fault of the other side for which the link is closed; the message says why (L15, L18)."""


class NameHandler(Protocol):
    """Depends on the names of peers."""

    def is_in_use(self, peer: Peer) -> bool:
        """Tell whether anything here depends on a peer's name now."""

    def peer_renamed(self, peer: Peer, before: str) -> None:
        """A peer has got another name.

        Args:
            peer: the peer, with its new name.
            before: its old name.
        """


class PeerNames:
    """The names of other servers.

    Args:
        chat: the domain, which records names of servers (L20), and has the users here.
        settings: which servers the config lists, and which others may link.
        peers: the linked servers, by their names; shared with `Links`.
        dialers: of the servers of the config that are dialled.
        users: called when a peer gets another name.
    """

    def __init__(
        self, chat: Chat, settings: Settings, peers: dict[str, Peer], dialers: Iterable[PeerDialer], users: NameHandler
    ) -> None:
        self.secrets: dict[str, Secret] = {}
        self.set_secrets(settings.peers)
        self._chat = chat
        self._settings = settings
        self._peers = peers
        self._dialers = dialers
        self._users = users
        self._kept_out: set[str] = set()
        """Names and addresses of servers that the operator keeps out."""

    # ---- what the operator does ----

    def keep_out(self, host: str) -> None:
        """Let no server of this name or address in, until `let_in` or the end of the process (L52)."""
        self._kept_out.add(host)

    def let_in(self, host: str) -> bool:
        """Let a server in again; tell whether it was kept out."""
        was_kept_out = host in self._kept_out
        self._kept_out.discard(host)
        return was_kept_out

    def is_kept_out(self, known_as: AbstractSet[str]) -> bool:
        """Tell whether the operator keeps out one of these names and addresses."""
        is_unlinked = not self._kept_out.isdisjoint(known_as)
        return is_unlinked or self._chat.bans.of_server(known_as) is not None

    # ---- the servers of the config ----

    def set_secrets(self, servers: Sequence[PeerConfig]) -> None:
        """Have these servers prove their names from now on, where the config has a secret for them."""
        self.secrets = {server.name: server.secret for server in servers if server.name and server.secret}

    def is_unlisted_now(self, link: Link) -> bool:
        """Tell whether the config no longer lists the server at the other end of an accepted link."""
        if not link.configured or link.dialer is not None or link.maybe_peer is None:
            return False
        if link.proven and link.handshake is not None:
            return link.handshake.dialer not in self.secrets
        link.configured = self._is_configured(link, link.peer.name)
        return not (link.configured or self._lets_in(link))

    def lists(self, host: str) -> bool:
        """Tell whether a line of the config has this name or address, of a server that is not linked."""
        return host in self.secrets or any(host in (dialer.config.name, dialer.address) for dialer in self._dialers)

    def listed_as(self, link: Link) -> list[PeerDialer]:
        """Return the dialled servers of the config that the other server may be."""
        if link.dialer is not None:
            return [link.dialer]
        if link.proven and link.handshake is not None:
            return [dialer for dialer in self._dialers if dialer.config.name == link.handshake.dialer]
        return [dialer for dialer in self._dialers if dialer.address == link.address]

    def _is_configured(self, link: Link, name: str) -> bool:
        """Tell whether the config lists the server at the other end, which has this name (L14)."""
        if link.dialer is not None or link.proven:
            return True
        listed = self.listed_as(link)
        pins = {dialer.config.name for dialer in listed} - {None}
        return name in pins if pins else bool(listed)

    # ---- a link gets a name, and a peer perhaps another one ----

    def introduce(self, link: Link, sent: str) -> str:
        """Return the name by which the other server is known (L12).

        Args:
            sent: the name that it sends, or "".

        Raises:
            Violation: it cannot be known by that name (L15, L16, L50, L52).
        """
        listed = self.listed_as(link)
        pin = listed[0].config.name if len(listed) == 1 and not listed[0].config.secret else None
        name = sent or pin or link.address
        link.nameless = not sent
        link.configured = self._is_configured(link, name)
        reason = self._refusal_reason(link, name, sent)
        if reason is not None:
            raise Violation(reason)
        link.peer_names = frozenset({name, link.address} if link.nameless else {name})
        self._remember_host(link, name)
        return name

    def _adopt(self, link: Link, name: str) -> bool:
        """Take the host of the first user as the name of a peer that has sent none (L13).

        A peer of the course protocol sends no name in FEDERATE-OUT, only in its first FEDJOIN.

        Returns:
            Whether it may: no other server has that name.
        """
        known = self._peers.get(name)
        is_free = known is None or all(other.nameless and other.address == link.address for other in known.links)
        if link.has_spoken or not link.nameless or not is_free or self._refusal_reason(link, name, name):
            return False
        link.peer_names |= {name}
        self._rename(link, name)
        return True

    def _rename(self, link: Link, name: str) -> None:
        """Call a peer by this name instead of its address, unless something depends on that, or it has other links."""
        peer = link.peer
        if peer.name != link.address or len(peer.links) > 1 or name in self._peers:
            return
        if self._users.is_in_use(peer):
            return
        log.info("%s calls itself %s, and is known so from now on", link, name, extra=link.log_mark)
        before = peer.name
        del self._peers[before]
        self._peers[name] = peer
        peer.name = name
        link.configured = self._is_configured(link, name)
        self._remember_host(link, name)
        self._users.peer_renamed(peer, before)

    def _remember_host(self, link: Link, name: str) -> None:
        """Reserve the name of a configured server for it while it is away (L20)."""
        if link.configured and name != link.address:
            self._chat.peer_records.remember_host(name, link.identity)

    def _refusal_reason(self, link: Link, name: str, sent: str) -> str | None:
        """Return why the other server cannot be known by this name; None if it can. A ban is counted (C71)."""
        peer = self._peers.get(name)
        if self.is_kept_out({name} | link.known_as):
            link.session.report_limit(BANNED, "(the link is refused)")
            return KEPT_OUT
        if not (link.configured or link.maybe_peer or self._lets_in(link)):
            return f"the config does not list it, and has federation {self._settings.federation}"
        if not is_host(name):
            return "missing or invalid hostname (required for peers reached over IPv6)"
        if not is_host(link.local_name):
            return "this server needs a hostname over IPv6: set it in the config"
        if name == self._settings.hostname or sent == link.local_name:
            return f"{name} is this server's own name"
        if not link.proven and (reason := self._address_refusal_reason(link, name, sent)):
            return reason
        if peer is not None and peer.links.is_full:
            return f"{len(peer.links)} links with it are up already"
        return None if link.configured or link.maybe_peer else self._limit_reason(peer)

    def _address_refusal_reason(self, link: Link, name: str, sent: str) -> str | None:
        """Return the reason why a server that has proven nothing cannot have this name at its address."""
        peer = self._peers.get(name)
        pinned = [dialer for dialer in self._dialers if dialer.config.name == name]
        noted = self._chat.channels.identities.noted(name)
        if name in self.secrets:
            return f"it has not proven that it is {name}, and the config has a secret for that name"
        if sent != link.address and sent in {dialer.address for dialer in self._dialers}:
            return f"{name} is the address of another server of the config"
        if link.dialer is not None and link.dialer.config.name not in (None, name):
            return f"it calls itself {name}, and the config pins it to {link.dialer.config.name}"
        if pinned and not any(dialer in pinned for dialer in self.listed_as(link)):
            return f"the config pins the name {name} to another server"
        if peer is not None and any(other.address != link.address for other in peer.links):
            return f"the name {name} is in use by a server at {peer.links.oldest.address}"
        if noted and link.identity not in noted and not pinned:
            return (
                f"the name {name} is recorded for {' and '.join(map(_described, sorted(noted)))};"
                f" if it has moved, list it as {link.address}:<port> {name}"
            )
        return None

    def _limit_reason(self, peer: Peer | None) -> str | None:
        """Return the reason why no more unlisted servers can be linked (L16, L50).

        Args:
            peer: the server, if it has links already.
        """
        unlisted = sum(not link.configured for other in self._peers.values() for link in other.links)
        if unlisted >= self._settings.max_unlisted_links:
            return f"{unlisted} links with unlisted servers are up, and max-unlisted-links allows no more"
        if len(self._peers) >= self._settings.max_peers and peer is None:
            return f"{len(self._peers)} servers are linked, and max-peers allows no more"
        return None

    def _lets_in(self, link: Link) -> bool:
        """Tell whether the setting `federation` lets an unlisted server link (L16, L17)."""
        policy = self._settings.federation
        return policy == "open" or (policy == "local" and _is_local(link.session.transport))

    # ---- names in the lines of a link that is up ----

    def user(self, link: Link, word: str) -> str:
        """Return the bare name of the peer's user for whom a line speaks (L18, L19).

        Raises:
            LineIgnored: it is no name.
            Violation: it is a user of another server.
        """
        user, at, host = word.partition(HOST_OF_USER)
        if not is_name(user):
            raise LineIgnored("invalid name of the user it speaks for")
        if at and host not in link.peer_names and not self._adopt(link, host):
            raise Violation(f"it speaks for {word[:MAX_SHOWN]!r}, a user of another server")
        link.has_spoken = True
        return user

    def maybe_local(self, link: Link, word: str, sign: str) -> str | None:
        """Return the bare name of a channel or user of this server; None if it is no name, or another server's.

        Args:
            sign: HOST_OF_CHANNEL or HOST_OF_USER.
        """
        name, found, host = normalize(word).partition(sign)
        return name if (not found or host == link.local_name) and has_form_of_name(name) else None

    def maybe_theirs(self, link: Link, word: str, sign: str) -> str | None:
        """Return the bare name of a channel or user of the peer; None if it is no name, or another server's.

        Args:
            sign: HOST_OF_CHANNEL or HOST_OF_USER.
        """
        name, found, host = normalize(word).partition(sign)
        return name if has_form_of_name(name) and (not found or self._is_their_host(link, host)) else None

    def check_channel(self, link: Link, word: str) -> None:
        """Check that a channel in which a peer speaks is not another server's (L18).

        Raises:
            Violation: it is.
        """
        host = word.partition(HOST_OF_CHANNEL)[2]
        if host and not self._is_their_host(link, host):
            raise Violation(f"it speaks for {word[:MAX_SHOWN]!r}, a channel of another server")

    def maybe_sender(self, link: Link, word: str, channel: str) -> str | None:
        """Return the name that the sender of a message has here, bare for a user of this server (L42).

        Args:
            word: the sender, as the peer writes it.
            channel: the remote channel, by its name here.

        Returns:
            None if the word is no name.
        """
        user, at, host = normalize(word).partition(HOST_OF_USER)
        peer = link.peer
        is_ours = bool(at) and host == link.local_name and (peer.name != host or self._is_in(user, channel))
        if not (is_name(user) or (is_ours and self._chat.users.is_users(user))) or not (is_host(host) or not at):
            return None
        if is_ours:
            return user
        return remote_user(user, peer.name if not at or host in link.peer_names else host)

    def _is_in(self, user: str, channel: str) -> bool:
        """Tell whether a user here is in a channel.

        Two servers without a hostname can have the same address; this then tells which one a user belongs to.
        """
        account = self._chat.users.accounts.get(user)
        return account is not None and channel in account.channels

    def _is_their_host(self, link: Link, host: str) -> bool:
        """Tell whether a host may be the peer. A peer that has sent no name cannot know its name here (L18)."""
        return host in link.peer_names or (link.nameless and host != link.local_name and host not in self._peers)


def split_host(word: str) -> tuple[str, str]:
    """Return the name, and the host or "", of a channel or user."""
    sign = HOST_OF_CHANNEL if HOST_OF_CHANNEL in word else HOST_OF_USER
    name, _, host = normalize(word).partition(sign)
    return name, host


def host_or_address(word: str) -> str:
    """Return a server's name as it is, or an IP address in the form of a connection's address.

    Raises:
        ValueError: it is neither.
    """
    if is_host(word):
        return word
    import ipaddress

    address = ipaddress.IPv6Address(word)
    return str(address.ipv4_mapped or address)


def _described(identity: str) -> str:
    return "a server that has proven it" if identity == PROVEN else f"the server at {identity}"


def _is_local(transport: Transport) -> bool:
    """Tell whether both ends of a connection are on this machine (L17)."""
    address = transport.remote_address[0]
    return is_loopback(address) or address == transport.local_address[0] != ""
