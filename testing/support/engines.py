"""The engines that tests of a cluster share, and whether there are any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.bootstrap import ENVIRONMENT
from harness.cluster import SHARED_ENGINES, Engines
from replica.engines import EngineError, find_binary


def why_no_engine() -> str:
    """Return why no engine can be started here; "" where one can."""
    try:
        find_binary(None, ENVIRONMENT)
    except EngineError as error:
        return str(error)
    return ""


NEEDS_ENGINE = pytest.mark.skipif(bool(why_no_engine()), reason=why_no_engine() or "an engine is installed")


def shared_engines() -> Engines:
    """Return engines that run, for a cluster of a name of its own. Who kills engines needs others."""
    engines = Engines(Path(os.environ[SHARED_ENGINES]))
    engines.start()
    return engines
