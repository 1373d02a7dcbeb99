"""A chat for each test."""

from __future__ import annotations

import pytest

from support.house import House


@pytest.fixture
def house() -> House:
    return House()
