"""A server without sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.world import World


@pytest.fixture
def world() -> Iterator[World]:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 5}) as world:
        yield world
