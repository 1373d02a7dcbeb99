"""The engines that tests of a cluster share, and where they may listen."""

from __future__ import annotations

import pytest

from app.bootstrap import ENVIRONMENT
from harness.processes import is_free
from harness.servers import free_ports
from replica.engines import HEALTH_PORT, ROUTE_PORT, EngineError, find_binary

MAX_ENGINES = 5


def why_no_engine() -> str:
    """Return why no engine can be started here; "" where one can."""
    try:
        find_binary(None, ENVIRONMENT)
    except EngineError as error:
        return str(error)
    return ""


NEEDS_ENGINE = pytest.mark.skipif(bool(why_no_engine()), reason=why_no_engine() or "an engine is installed")


def free_base() -> int:
    """Return a port that engines can be started from: those after it and their other ports are free, too."""
    while True:
        (base,) = free_ports(1)
        ports = [base + more + number for more in (0, ROUTE_PORT, HEALTH_PORT) for number in range(MAX_ENGINES)]
        if all(map(is_free, ports)):
            return base
