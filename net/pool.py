"""Threads for slow work: a few, each of which gives way to the loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

NICENESS = 10
"""How much nicer than the process these threads are."""

NICEST = 19
"""The largest niceness that there is."""

T = TypeVar("T")


class PoolFull(Exception):
    """More slow work is waiting than the pool's queue may hold."""


class Pool:
    """Threads for slow work, made when there is some.

    Args:
        name: what its threads are called.
        threads: how many there may be.
        queue: pieces of work that may wait or run at once.
        hand_in: runs a call in the loop's thread.
    """

    def __init__(self, name: str, threads: int, queue: int, hand_in: Callable[[Callable[[], None]], None]) -> None:
        self._name = name
        self._threads = threads
        self._size = self._free = queue
        self._hand_in = hand_in
        self._executor: ThreadPoolExecutor | None = None

    @property
    def working(self) -> bool:
        """True while work has not come back."""
        return self._free < self._size

    def submit(self, work: Callable[[], T], then: Callable[[Future[T]], None]) -> None:
        """Run `work` in a thread and `then` with its finished future in the loop's thread.

        Raises:
            PoolFull: too much is waiting already; neither is called.
        """
        if not self._free:
            raise PoolFull

        def finish(future: Future[T]) -> None:
            self._free += 1
            then(future)

        future = self._started().submit(work)
        self._free -= 1
        future.add_done_callback(lambda done: self._hand_in(lambda: finish(done)))

    def close(self) -> None:
        """Begin with nothing that waits; what runs is not waited for."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ThreadPoolExecutor:
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self._threads, self._name, _lower_priority)
        return self._executor


def _lower_priority() -> None:
    """Let the loop have the processor first when both share one. Linux sets this for each thread.

    A new thread has the niceness of the one that made it.
    """
    if hasattr(os, "setpriority"):
        import threading

        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, min(NICEST, niceness))
