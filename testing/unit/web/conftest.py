"""One browser and one server for all tests of the page."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.chromium import PROGRAM
from support.page_stage import Stage


@pytest.fixture(scope="session")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if PROGRAM is None and "CI" not in os.environ:
        pytest.skip("there is no Chromium")
    stage = Stage(tmp_path_factory.mktemp("page"))
    try:
        yield stage
    finally:
        stage.close()


@pytest.fixture
def stage(shared_stage: Stage) -> Iterator[Stage]:
    """The stage, empty. No exception, and nothing that the page's policy refuses, in any test."""
    yield shared_stage
    problems = shared_stage.clear()
    assert problems == []
