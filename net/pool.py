"""A small pool of threads for slow work, with a bounded queue and a lower priority than the loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

NICENESS = 10
"""Added to the niceness of the process for these threads."""

MAX_NICENESS = 19
"""The maximum niceness."""

T = TypeVar("T")
Then = Callable[[T | None, BaseException | None], None]
"""Takes the outcome of work: its result and None, or None and the exception that it raised."""


class PoolFull(Exception):
    """The queue of the pool is full."""


class Pool:
    """Threads for slow work, started on first use.

    Args:
        name: prefix of the threads' names.
        threads: their maximum number.
        queue: maximum of jobs that wait or run.
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

    def submit(self, work: Callable[[], T], then: Then[T]) -> None:
        """Run `work` in a thread, and `then` with its outcome in the loop's thread.

        Raises:
            PoolFull: the queue is full; neither is called.
        """
        if not self._free:
            raise PoolFull
        self._started().submit(self._run, work, then)
        self._free -= 1

    def _run(self, work: Callable[[], T], then: Then[T]) -> None:
        """In a thread: do the work, and send the outcome to the loop."""
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        self._call_threadsafe(partial(self._finish, then, result, error))

    def _finish(self, then: Then[T], result: T | None, error: BaseException | None) -> None:
        self._free += 1
        then(result, error)

    def close(self) -> None:
        """Cancel waiting work. Does not wait for running work."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ThreadPoolExecutor:
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self._threads, self._name, _prepare_thread)
        return self._executor


def _prepare_thread() -> None:
    """Leave signals to the main thread, and lower the priority."""
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _lower_priority()


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
