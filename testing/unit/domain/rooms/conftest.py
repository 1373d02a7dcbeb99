"""A server with channels that have ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Two users fill `small`; `large` and `other` have room."""
    with World(channels={"small": 2, "large": 9, "other": 9}) as world:
        yield world
