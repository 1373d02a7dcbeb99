"""A small pool of threads for slow work, with a bounded queue and a lower priority than the loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

NICENESS = 10
"""Added to the niceness of the process for these threads."""

MAX_NICENESS = 19
"""The maximum niceness."""

T = TypeVar("T")


class PoolFull(Exception):
    """The queue of the pool is full."""


class Pool:
    """Threads for slow work, started on first use.

    Args:
        name: prefix of the threads' names.
        threads: their maximum number.
        queue: pieces of work that may wait or run at once.
        call_threadsafe: runs a call in the loop's thread.
    """

    def __init__(
        self, name: str, threads: int, queue: int, call_threadsafe: Callable[[Callable[[], None]], None]
    ) -> None:
        self._name = name
        self._threads = threads
        self._size = self._free = queue
        self._call_threadsafe = call_threadsafe
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
        future.add_done_callback(lambda done: self._call_threadsafe(lambda: finish(done)))

    def close(self) -> None:
        """Cancel waiting work. Does not wait for running work."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ThreadPoolExecutor:
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self._threads, self._name, _lower_priority)
        return self._executor


def _lower_priority() -> None:
    """Lower the priority of this thread below the loop's. On Linux each thread has its own niceness.

    A new thread inherits the niceness of the one that started it.
    """
    if hasattr(os, "setpriority"):
        import threading

        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, min(MAX_NICENESS, niceness))
