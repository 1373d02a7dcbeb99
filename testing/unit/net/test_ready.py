"""net/ready.py: in which order ready descriptors are served."""

from __future__ import annotations

from collections.abc import Iterable
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

import pytest

from net.ready import Event, ReadyQueue


def ready(descriptors: Iterable[int], events: int = EVENT_READ) -> list[Event]:
    return [(SelectorKey(fd, fd, events, None), events) for fd in descriptors]


def taken(queue: ReadyQueue, count: int) -> list[int]:
    return [queue.take()[0].fd for _ in range(count)]


def test_as_many_as_a_turn_serves_keep_their_order() -> None:
    queue = ReadyQueue(4)
    queue.add(ready([3, 1, 2]))
    queue.add(ready([7]))
    assert taken(queue, 4) == [3, 1, 2, 7]
    assert not queue


@pytest.mark.parametrize(
    ("waiting", "order"),
    [(range(8), [7, 0, 6, 1, 2, 3, 4, 5]), (range(5), [4, 0, 1, 2, 3])],
)
def test_of_more_than_a_turn_serves_the_newest_and_the_oldest_alternate(waiting: range, order: list[int]) -> None:
    queue = ReadyQueue(4)
    queue.add(ready(waiting))
    assert taken(queue, len(queue)) == order


def test_what_is_reported_again_keeps_its_place_and_its_events() -> None:
    queue = ReadyQueue(4)
    assert queue.add(ready([1, 2])) == []
    assert [key.fd for key in queue.add(ready([3, 1], EVENT_WRITE))] == [1]
    assert [(key.fd, mask) for key, mask in (queue.take() for _ in range(3))] == [
        (1, EVENT_READ),
        (2, EVENT_READ),
        (3, EVENT_WRITE),
    ]


def test_a_report_is_over_when_the_last_of_it_and_of_those_before_is_taken() -> None:
    queue = ReadyQueue(4)
    queue.add(ready([1]))
    queue.add(ready([2]))
    report = queue.reports
    queue.add(ready([3]))
    outstanding = []
    while queue:
        outstanding.append(queue.has_any_of(report))
        queue.take()
    assert outstanding == [True, True, False]
    assert not queue.has_any_of(report)
