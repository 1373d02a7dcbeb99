"""What properties draw, and a callable that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = settings(
    derandomize=True, deadline=None, max_examples=100, database=None, suppress_health_check=[HealthCheck.too_slow]
)
"""The same examples in each run, without a time limit."""


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut bytes at these positions, modulo their length."""
    positions = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *positions], [*positions, len(data)], strict=True)]


def raising(*_args: Any) -> Any:
    """Fail unexpectedly."""
    raise RuntimeError("a mistake")
