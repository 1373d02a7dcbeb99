"""A server without sockets, with users and channels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """alice and bob are in `room`, alice alone in `attic`; nobody is in `cellar`."""
    with World() as world:
        alice = world.user("alice", "room", "attic")
        alice.ask("CREATE cellar")
        world.user("bob", "room")
        yield world
