"""What the tests of federation share: settings, and steps of peers."""

from __future__ import annotations

from settings import PeerConfig, Settings
from support.world import Client, World

ONE = Settings(hostname="one")
TWO = PeerConfig("127.0.0.2", 5051, None)
PINNED = PeerConfig("127.0.0.2", 5051, "two")


def is_closed(peer: Client) -> bool:
    """Tell whether the server has ended the link without a further line."""
    return peer.transport.refused == 1 and peer.heard() == []


def cut(*peers: Client) -> None:
    """Lose the connections of these peers."""
    for peer in peers:
        peer.leave()
        peer.world.settle()


def joined(world: World, name: str, channel: str, peer: Client) -> Client:
    """Return a new user who is in a channel of the peer `two`."""
    user = world.user(name)
    user.send(f"JOIN {channel}:two")
    assert peer.heard() == [f"FEDJOIN {name}@one {channel}"]
    peer.send(f"FEDRESULT {name} JOIN {channel}:two 1")
    assert user.heard() == [f"RESULT JOIN {channel}:two 1"]
    return user
