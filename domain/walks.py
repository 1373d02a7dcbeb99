"""Walks over many users, which are made in pieces, so that other sessions have their turns in between."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from domain.interfaces import Timers

STEPS_PER_TURN = 256
"""Steps of a walk in a turn of the event loop: each submits about one change."""


def walk(steps: Iterator[None], timers: Timers) -> None:
    """Take some steps now, and the rest in the next turns.

    Args:
        steps: takes a step each time.
        timers: makes the next turns come.
    """
    if sum(1 for _ in itertools.islice(steps, STEPS_PER_TURN)) == STEPS_PER_TURN:
        timers.call_later(0, partial(walk, steps, timers))
