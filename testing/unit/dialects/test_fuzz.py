"""Any bytes in every dialect, and in the operator's, break nothing. `make fuzz` plays this for longer."""

from __future__ import annotations

import contextlib
import os
import time

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from support.fuzz import Fuzzed, Step, steps

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
"""How long new examples are played, besides those of each run."""

SOME = hypothesis.settings(EXAMPLES, max_examples=30)
NEW = hypothesis.settings(EXAMPLES, derandomize=False, max_examples=100)


def play(steps: list[Step]) -> None:
    with contextlib.closing(Fuzzed()) as fuzzed:
        for step in steps:
            fuzzed.play(step)
        fuzzed.check()


DRAWN = st.lists(steps(), min_size=10, max_size=60)


def test_nothing_that_is_sent_breaks_the_server() -> None:
    SOME(given(DRAWN)(play))()


def test_nor_does_anything_new() -> None:
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        NEW(given(DRAWN)(play))()
