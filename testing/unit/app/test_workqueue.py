"""workqueue.py: whose work is next, what is refused, what is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workqueue import LOGINS_IN_A_ROW, Job, WorkQueue
from net.pool import PoolFull, Then
from support.examples import EXAMPLES
from support.job_client import JobClient
from support.world import FakeTimers


class Bench:
    """A queue whose threads work when they are told to. `done` has the marks of the jobs that have run, in order."""

    def __init__(self, threads: int = 1, size: int = 100) -> None:
        self.timers = FakeTimers()
        self.queue = WorkQueue(self._in_thread, self.timers, threads, size)
        self.running: list[tuple[Callable[[], Any], Then[Any]]] = []
        self.done: list[object] = []

    def _in_thread(self, work: Callable[[], Any], then: Then[Any]) -> None:
        self.running.append((work, then))

    def submit(self, mark: object, client: JobClient | None, *, is_login: bool = True, delay: float = 0.0) -> None:
        def then(result: object, error: BaseException | None) -> None:
            assert error is None
            self.done.append(result)

        self.queue.submit(Job(client, lambda: mark, then, is_login=is_login), delay)

    def finish(self) -> None:
        """Have the piece of work end that has run longest."""
        work, then = self.running.pop(0)
        then(work(), None)

    def finish_all(self) -> list[object]:
        """Have everything done; return what was, since the last time."""
        while self.running:
            self.finish()
        done, self.done = self.done, []
        return done


def test_no_more_runs_than_there_are_threads() -> None:
    bench = Bench(threads=2)
    for mark in range(5):
        bench.submit(mark, JobClient())
    assert len(bench.running) == 2
    bench.finish()
    assert len(bench.running) == 2
    assert bench.finish_all() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("is_login", [True, False])
def test_addresses_are_served_in_turn(is_login: bool) -> None:
    """C41."""
    bench = Bench(size=1000)
    bench.submit("first", JobClient("192.0.2.9"), is_login=is_login)
    for mark in range(100):
        bench.submit(mark, JobClient("192.0.2.1"), is_login=is_login)
    bench.submit("b", JobClient("192.0.2.2"), is_login=is_login)
    bench.submit("b again", JobClient("192.0.2.2"), is_login=is_login)
    bench.submit("c", JobClient("127.0.0.3"), is_login=is_login)
    assert bench.finish_all()[:8] == ["first", 0, "b", "c", 1, "b again", 2, 3]


def test_a_network_of_ipv6_is_one_address() -> None:
    """C43."""
    bench = Bench()
    for mark in range(4):
        bench.submit(mark, JobClient(f"2001:db8::{mark}"))
    bench.submit("other", JobClient("2001:db8:0:1::1"))
    assert bench.finish_all() == [0, 1, "other", 2, 3]


def test_logins_go_before_other_work() -> None:
    """C41."""
    bench = Bench()
    for mark in range(3):
        bench.submit(mark, JobClient(), is_login=False)
    bench.submit("login", JobClient())
    bench.submit("login from elsewhere", JobClient("192.0.2.1"))
    assert bench.finish_all() == [0, "login", "login from elsewhere", 1, 2]


def test_a_login_of_a_half_closed_client_goes_with_other_work() -> None:
    """C41."""
    bench = Bench()
    bench.submit("runs", JobClient(), is_login=False)
    ending, ended = JobClient(), JobClient()
    ended.half_closed = True
    for client in (ending, ended):
        bench.submit("ended", client)
    bench.submit("other", JobClient(), is_login=False)
    bench.submit("login", JobClient())
    ending.half_closed = True
    assert bench.finish_all() == ["runs", "login", "ended", "other", "ended"]


def test_no_flood_of_logins_stops_other_work_for_ever() -> None:
    """C41."""
    bench = Bench()
    bench.submit("runs", JobClient(), is_login=False)
    for mark in range(3 * LOGINS_IN_A_ROW):
        bench.submit(mark, JobClient())
    bench.submit("one", JobClient(), is_login=False)
    bench.submit("two", JobClient(), is_login=False)
    done = bench.finish_all()
    assert done.index("one") == 1 + LOGINS_IN_A_ROW
    assert done.index("two") == 2 + 2 * LOGINS_IN_A_ROW


def test_a_full_queue_refuses_other_work_and_lets_logins_wait() -> None:
    """C39."""
    bench = Bench(size=4)
    for mark in range(4):
        bench.submit(mark, JobClient(), is_login=False)
    for address in ("127.0.0.1", "192.0.2.1", "::1", ""):
        with pytest.raises(PoolFull):
            bench.submit("too much", JobClient(address), is_login=False)
    bench.submit("login", JobClient())
    assert bench.finish_all() == [0, "login", 1, 2, 3]
    bench.submit("again", JobClient(), is_login=False)
    assert bench.finish_all() == ["again"]


@pytest.mark.parametrize("is_login", [True, False])
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_one_address_fills_its_share_of_the_queue_only(address: str, is_login: bool) -> None:
    """C39, C43."""
    bench = Bench(size=8)
    bench.submit(0, JobClient(address), is_login=is_login)
    bench.submit(1, JobClient(address), is_login=is_login)
    with pytest.raises(PoolFull):
        bench.submit("too much", JobClient(address), is_login=False)
    for mark in range(2, 100):
        bench.submit(mark, JobClient(address))  # logins wait, and take no place from others
    for mark in range(6):
        bench.submit(f"here {mark}", JobClient("127.0.0.1"), is_login=False)
    with pytest.raises(PoolFull):
        bench.submit("too much", JobClient("127.0.0.1"), is_login=False)
    assert len(bench.finish_all()) == 106


def test_work_for_a_client_that_has_gone_is_not_done() -> None:
    """Connections that ask for a login and reset do not delay the next login."""
    bench = Bench(threads=4)
    gone = [JobClient("192.0.2.1") for _ in range(560)]
    for client in gone:
        bench.submit("gone", client)
    for client in gone:
        bench.queue.discard(client)
        bench.queue.discard(client)  # twice is once
    bench.submit("right", JobClient("192.0.2.1"))
    assert bench.finish_all() == ["gone"] * 4 + ["right"]


def test_a_client_without_waiting_work_can_go() -> None:
    bench = Bench()
    client = JobClient()
    bench.queue.discard(client)
    bench.submit("one", client)
    bench.queue.discard(client)  # it runs already
    assert bench.finish_all() == ["one"]
    bench.queue.discard(client)


def test_a_delayed_job_holds_no_thread() -> None:
    bench = Bench()
    bench.submit("late", JobClient(), delay=5.0)
    bench.submit("as late", JobClient(), delay=5.0)
    bench.submit("at once", JobClient())
    assert bench.finish_all() == ["at once"]
    bench.timers.let_pass(4.9)
    assert bench.running == []
    bench.timers.let_pass(0.2)
    assert bench.finish_all() == ["late", "as late"]


@pytest.mark.parametrize("is_discarded", [True, False])
def test_delayed_jobs_take_no_place_from_others(is_discarded: bool) -> None:
    """Some addresses that only fail and wait do not keep registrations out."""
    bench = Bench(size=8)
    clients = [JobClient(f"192.0.2.{number % 8}") for number in range(80)]
    for client in clients:
        bench.submit("late", client, delay=5.0)
    for client in clients if is_discarded else ():
        bench.queue.discard(client)
    for mark in range(8):
        bench.submit(mark, JobClient(f"192.0.2.{mark}"), is_login=False)
    assert bench.finish_all() == [*range(8)]
    bench.timers.let_pass(5.1)
    assert bench.finish_all() == ["late"] * (0 if is_discarded else 80)


def test_a_delayed_job_is_forgotten_with_its_client() -> None:
    bench = Bench()
    clients = [JobClient("192.0.2.1") for _ in range(100)]
    for client in clients:
        bench.submit("late", client, delay=5.0)
    for client in clients:
        bench.queue.discard(client)
    assert len(bench.timers.deadlines) <= 1
    bench.timers.let_pass(6.0)
    assert bench.finish_all() == []


def test_the_server_has_work_of_its_own() -> None:
    bench = Bench()
    bench.submit("one", None, is_login=False)
    bench.submit("two", None, is_login=False)
    assert bench.finish_all() == ["one", "two"]


ADDRESSES = st.sampled_from(["127.0.0.1", "::1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", ""])


@EXAMPLES
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("submit"), ADDRESSES, st.booleans(), st.sampled_from([0.0, 0.0, 1.0, 5.0])),
            st.tuples(st.just("discard"), st.integers(0, 30)),
            st.tuples(st.just("end"), st.integers(0, 30)),
            st.tuples(st.just("finish")),
            st.tuples(st.just("pass"), st.sampled_from([0.5, 2.0])),
        ),
        max_size=60,
    )
)
def test_all_is_done_once_or_dropped_and_the_queue_is_empty_again(steps: list[tuple[Any, ...]]) -> None:
    bench, clients, dropped = Bench(threads=2, size=8), list[JobClient](), set[int]()
    refused = set[int]()
    for step, *words in steps:
        if step == "submit":
            address, is_login, delay = words
            clients.append(JobClient(address))
            try:
                bench.submit(len(clients) - 1, clients[-1], is_login=is_login, delay=delay)
            except PoolFull:
                assert not is_login
                refused.add(len(clients) - 1)
        elif step == "discard" and words[0] < len(clients):
            bench.queue.discard(clients[words[0]])
            dropped.add(words[0])
        elif step == "end" and words[0] < len(clients):
            clients[words[0]].half_closed = True
        elif step == "finish" and bench.running:
            bench.finish()
        elif step == "pass":
            bench.timers.let_pass(words[0])
        assert len(bench.running) <= 2
    bench.timers.let_pass(10.0)
    done = bench.finish_all()
    assert len(set(done)) == len(done)
    assert set(range(len(clients))) - refused - dropped <= set(done)
    assert not refused & set(done)
    for mark in range(8):  # all places are free again
        bench.submit(mark, JobClient(), is_login=False)
    with pytest.raises(PoolFull):
        bench.submit(8, JobClient(), is_login=False)
