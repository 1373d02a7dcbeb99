"""net/ready.py: in which order ready descriptors are served."""

from __future__ import annotations

from collections.abc import Iterable
from selectors import EVENT_READ, EVENT_WRITE

from net.ready import ReadyQueue
from net.selector import EVENT_END, Event


def ready(descriptors: Iterable[int], events: int = EVENT_READ) -> list[Event]:
    return [(descriptor, lambda _mask: None, events) for descriptor in descriptors]


def taken(queue: ReadyQueue, count: int) -> list[int]:
    return [queue.take()[0] for _ in range(count)]


def test_the_order_is_that_of_the_reports() -> None:
    queue = ReadyQueue()
    queue.add(ready([3, 1, 2]))
    assert taken(queue, 3) == [3, 1, 2]
    queue.add(ready([7, 3]))
    assert taken(queue, 2) == [7, 3]
    assert not queue


def test_if_a_turn_has_left_some_newcomers_and_the_oldest_alternate() -> None:
    """The newest comes first among the newcomers, and all of those that wait come in their order."""
    queue = ReadyQueue()
    queue.add(ready([3, 1, 2, 9]))
    assert taken(queue, 1) == [3]
    queue.add(ready([7, 8]))
    assert taken(queue, 5) == [8, 1, 7, 2, 9]
    queue.add(ready([1, 2]))
    assert taken(queue, 2) == [1, 2]


def test_those_who_send_all_the_time_are_no_newcomers() -> None:
    """They are served as often as each other. A selector, too, reports those last that it has reported before."""
    queue = ReadyQueue()
    order, served = list(range(10)), list[int]()
    for _ in range(30):
        queue.add(ready(order))
        turn = taken(queue, 3)
        served += turn
        order = [descriptor for descriptor in order if descriptor not in turn] + turn
    assert [served.count(descriptor) for descriptor in range(10)] == [9] * 10


def test_what_is_reported_again_keeps_its_place_and_its_events() -> None:
    queue = ReadyQueue()
    assert queue.add(ready([1, 2])) == []
    assert queue.add(ready([3, 1], EVENT_WRITE)) == [1]
    assert [(descriptor, mask) for descriptor, _ready, mask in (queue.take() for _ in range(3))] == [
        (3, EVENT_WRITE),
        (1, EVENT_READ),
        (2, EVENT_READ),
    ]


def test_a_report_is_over_when_the_last_of_it_and_of_those_before_is_taken() -> None:
    queue = ReadyQueue()
    queue.add(ready([1]))
    queue.add(ready([2]))
    report = queue.reports
    queue.add(ready([3]))
    outstanding = []
    while queue:
        outstanding.append(queue.has_any_of(report))
        queue.take()
    assert outstanding == [True, True, True]  # 3, the newest, before 1 and 2
    assert not queue.has_any_of(report)


def test_connections_that_have_ended_wait_apart() -> None:
    queue = ReadyQueue()
    queue.add(ready([1, 2], EVENT_READ | EVENT_END))
    queue.add(ready([3]))
    assert queue.add(ready([2, 3])) == [2, 3]
    assert (len(queue), queue.ended) == (3, 2)
    assert taken(queue, 1) == [3]
    assert queue.has_any_of(1)
    assert [queue.take_ended()[0] for _ in range(2)] == [1, 2]
    assert not queue and not queue.has_any_of(queue.reports)
