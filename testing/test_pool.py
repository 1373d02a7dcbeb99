"""net/pool.py: threads for slow work. How it comes back into the loop is in test_loop.py."""

from __future__ import annotations

import os
import queue
import sys
import threading

import pytest

from harness.peer import PATIENCE
from net.pool import NICENESS, NICEST, Pool


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def niceness_in_pool(of_process: int) -> int:
    """Give the niceness of a pool's thread when the thread that makes the pool has this one. Linux keeps one for each
    thread, so nothing else of this process is changed."""
    found: queue.SimpleQueue[int] = queue.SimpleQueue()
    pools: list[Pool] = []

    def process() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), of_process)
        pools.append(Pool("test", 1, 1, lambda call: call()))
        pools[0].submit(niceness, lambda future: found.put(future.result()))

    thread = threading.Thread(target=process)
    thread.start()
    thread.join(PATIENCE)
    try:
        return found.get(timeout=PATIENCE)
    finally:
        pools[0].close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own here")
def test_slow_work_is_nicer_than_the_process_whatever_niceness_that_has() -> None:
    for of_process in range(niceness(), NICEST + 1):  # less would need a privilege
        assert niceness_in_pool(of_process) == min(of_process + NICENESS, NICEST)
