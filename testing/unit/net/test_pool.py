"""net/pool.py: threads for slow work, and how it comes back into a loop."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading

import pytest

from harness.peer import PATIENCE
from net.pool import MAX_NICENESS, NICENESS, Pool, PoolFull
from support.examples import raising
from support.loop import LoopStage


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def niceness_in_pool(of_process: int) -> int:
    """Return the niceness of a pool's thread when the thread that makes the pool has this one. Linux keeps one for each
    thread, so nothing else of this process is changed."""
    found: queue.SimpleQueue[int] = queue.SimpleQueue()
    pools: list[Pool] = []

    def process() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), of_process)
        pools.append(Pool("test", 1, 1, lambda call: call()))
        pools[0].submit(niceness, lambda result, _error: found.put(result or 0))

    thread = threading.Thread(target=process)
    thread.start()
    thread.join(PATIENCE)
    try:
        return found.get(timeout=PATIENCE)
    finally:
        pools[0].close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own here")
def test_slow_work_is_nicer_than_the_process_whatever_niceness_that_has() -> None:
    for of_process in range(niceness(), MAX_NICENESS + 1):  # less would need a privilege
        assert niceness_in_pool(of_process) == min(of_process + NICENESS, MAX_NICENESS)


def test_slow_work_is_bounded_and_comes_back_into_the_loops_thread() -> None:
    stage = LoopStage(pool_threads=1, pool_queue=2)
    try:
        go = threading.Event()
        results: list[tuple[int, int, bool]] = []

        def work() -> int:
            assert go.wait(PATIENCE)
            return threading.get_ident()

        def then(result: int | None, _error: BaseException | None) -> None:
            assert result is not None
            results.append((result, threading.get_ident(), stage.loop.working))

        assert not stage.loop.working
        stage.loop.in_thread(work, then)
        stage.loop.in_thread(work, then)
        with pytest.raises(PoolFull):
            stage.loop.in_thread(work, then)
        assert stage.loop.working
        go.set()
        stage.until(lambda: len(results) == 2)
        assert {there != threading.get_ident() for there, _here, _working in results} == {True}
        assert {here for _there, here, _working in results} == {threading.get_ident()}
        assert [working for _there, _here, working in results] == [True, False]
        stage.loop.in_thread(work, then)
        stage.until(lambda: len(results) == 3)
    finally:
        stage.close()


def test_a_failure_of_slow_work_comes_back(stage: LoopStage) -> None:
    errors: list[BaseException | None] = []
    stage.loop.in_thread(raising, lambda _result, error: errors.append(error))
    stage.until(lambda: errors)
    assert isinstance(errors[0], RuntimeError)
    assert not stage.loop.working


def test_a_mistake_after_slow_work_does_not_cost_a_place() -> None:
    stage = LoopStage(pool_queue=1)
    try:
        for _ in range(3):
            stage.loop.in_thread(lambda: None, raising)
            stage.until(lambda: not stage.loop.working)
    finally:
        stage.close()


def test_slow_work_that_ends_after_the_loop_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    stage = LoopStage(pool_threads=1)
    go, started = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        started.set()
        go.wait(PATIENCE)

    called: list[object] = []
    stage.loop.in_thread(work, lambda *outcome: called.append(outcome))
    stage.loop.in_thread(work, lambda *outcome: called.append(outcome))
    assert started.wait(PATIENCE)
    with caplog.at_level(logging.DEBUG):
        stage.close()
        go.set()
        threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    assert called == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
