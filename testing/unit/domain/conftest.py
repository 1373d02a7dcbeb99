"""A chat for each test."""

from __future__ import annotations

import pytest

from support.memory_chat import MemoryChat


@pytest.fixture
def memory() -> MemoryChat:
    return MemoryChat()
