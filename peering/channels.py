"""The channels that linked servers have announced, and the announcement of those here (L31, L32, L49, L50)."""

from __future__ import annotations

from collections.abc import Mapping

from domain.chat import Chat
from domain.names import remote_channel
from peering.peers import Link, Peer
from settings import Settings
from text import MAX_LINE


class AnnouncedChannels:
    """The channels of linked servers, which CHANNELS lists by their remote names.

    Args:
        chat: the domain, which has the list.
        peers: the linked servers.
        settings: how many channels they may announce.
    """

    def __init__(self, chat: Chat, peers: Mapping[str, Peer], settings: Settings) -> None:
        self._chat = chat
        self._peers = peers
        self._settings = settings

    def announce(self, link: Link) -> None:
        """Send the channels here that others may know of (L31).

        As many as fit are in one line; each further one has its own line.
        """
        names = self._chat.channels.listing.announced()
        size, fitting = len("FEDCHANNELS"), 0
        for name in names:
            size += len(f", {name}".encode())
            if size > MAX_LINE:
                break
            fitting += 1
        link.session.send(f"FEDCHANNELS {', '.join(names[:fitting])}".rstrip())
        if names[fitting:]:
            link.session.send("\n".join(f"FEDNEW {name}" for name in names[fitting:]))

    def add(self, peer: Peer, name: str) -> str:
        """Add a channel of a peer to the list.

        Returns:
            "", or the setting that keeps the channel out.
        """
        if name in peer.channels:
            return ""
        limit = self._limit(peer)
        if not limit:
            peer.channels.add(name)
            self._chat.channels.listing.names.add(remote_channel(name, peer.name))
        return limit

    def clear(self, peer: Peer) -> None:
        """List none of a peer's channels any more."""
        for name in peer.channels:
            self._chat.channels.listing.names.remove(remote_channel(name, peer.name))
        peer.channels.clear()

    def rename(self, peer: Peer, before: str) -> None:
        """List a peer's channels under its new name."""
        for name in peer.channels:
            self._chat.channels.listing.names.remove(remote_channel(name, before))
            self._chat.channels.listing.names.add(remote_channel(name, peer.name))

    def _limit(self, peer: Peer) -> str:
        """Return the setting whose limit keeps a peer from announcing another channel; "" if none does."""
        if len(peer.channels) >= self._settings.max_remote_channels:
            return "max-remote-channels"
        if not peer.configured:
            announced = sum(len(other.channels) for other in self._peers.values() if not other.configured)
            if announced >= self._settings.max_unlisted_channels:
                return "max-unlisted-channels"
        return ""
