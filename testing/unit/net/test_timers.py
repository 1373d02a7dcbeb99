"""net/timers.py: the heap of deadlines."""

from __future__ import annotations

import random

from net.timers import Deadlines
from support.examples import raising


def test_deadlines_are_due_in_order_and_once() -> None:
    deadlines, called = Deadlines(), list[float]()
    times = [3.0, 1.0, 2.0, 1.0, 5.0]
    for order, when in enumerate(times):
        deadlines.add(when, lambda mark=when + order / 100: called.append(mark))  # type: ignore[misc]
    assert deadlines.nearest() == 1.0
    assert not list(deadlines.due(0.9))
    for call in deadlines.due(3.0):
        call()
    assert called == [1.01, 1.03, 2.02, 3.0]
    assert deadlines.nearest() == 5.0
    assert len(deadlines) == 1


def test_cancelled_deadlines_are_not_called_and_do_not_pile_up() -> None:
    deadlines = Deadlines()
    kept = deadlines.add(1e9, raising)
    for number in range(2000):
        deadlines.cancel(deadlines.add(float(number), raising))
        assert len(deadlines) <= 3
    assert deadlines.nearest() == 1e9
    deadlines.cancel(kept)
    deadlines.cancel(kept)
    assert deadlines.nearest() is None
    assert len(deadlines) == 0


def test_any_mix_of_deadlines_and_cancellations() -> None:
    chance = random.Random(1)
    deadlines, expected = Deadlines(), dict[int, float]()
    added = []
    for number in range(500):
        when = chance.random()
        added.append(deadlines.add(when, lambda number=number: called.append(number)))  # type: ignore[misc]
        expected[number] = when
        if chance.random() < 0.6:
            victim = chance.randrange(len(added))
            deadlines.cancel(added[victim])
            expected.pop(victim, None)
    called: list[int] = []
    for call in deadlines.due(1.0):
        call()
    assert called == sorted(expected, key=lambda number: (expected[number], number))
    assert len(deadlines) == 0
    assert deadlines.nearest() is None


def test_a_deadline_may_cancel_another_that_is_due() -> None:
    deadlines, called = Deadlines(), list[str]()

    def first() -> None:
        called.append("first")
        deadlines.cancel(second)

    deadlines.add(1.0, first)
    second = deadlines.add(1.0, raising)
    deadlines.add(1.0, lambda: called.append("third"))
    for call in deadlines.due(2.0):
        call()
    assert called == ["first", "third"]
    deadlines.cancel(second)
    assert deadlines.nearest() is None
