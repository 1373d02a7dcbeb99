"""A session for each test."""

from __future__ import annotations

import pytest

from support.tiny import TinySession


@pytest.fixture
def talk() -> TinySession:
    return TinySession()
