"""A session for each test."""

from __future__ import annotations

import pytest

from support.talk import Talk


@pytest.fixture
def talk() -> Talk:
    return Talk()
