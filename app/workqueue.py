"""The queue of slow work: networks take turns, logins go first, and a closed session's work is dropped.

A thread holds only the job that it runs. Waiting jobs stay here, where they can still be reordered and removed.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from net.addresses import is_loopback, network_of
from net.pool import PoolFull, Then

SHARE = 4
"""A network may fill one part in this many of the queue."""

LOGINS_IN_A_ROW = 7
"""Logins that may overtake other work in a row. Then that has its turn, so that a flood of logins cannot starve it."""

OWN_ADDRESS = "127.0.0.1"
"""The address to which the server's own work is counted."""

InThread = Callable[[Callable[[], Any], Then[Any]], None]


class Asker(Protocol):
    """The session that a job is for."""

    @property
    def address(self) -> str: ...
    @property
    def half_closed(self) -> bool: ...


class Timers(Protocol):
    """Calls that come later; net.loop.Loop has them."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Any: ...
    def cancel(self, deadline: Any) -> None: ...


class Job:
    """A piece of slow work.

    Attributes:
        asker: the session for which it is done, which has no other job; None: the server itself.
        network: where the session comes from, which has its turn and its share of the queue.
        is_login: it is never refused.
        work: what runs in a thread.
        then: called with its outcome in the loop's thread, unless the job is discarded.
        deadline: until when it is put off.
        ring: where it waits.
    """

    __slots__ = ("asker", "deadline", "is_login", "network", "ring", "then", "work")

    def __init__(
        self,
        asker: Asker | None,
        work: Callable[[], Any],
        then: Then[Any],
        *,
        is_login: bool = False,
    ) -> None:
        self.asker = asker
        self.network = network_of(OWN_ADDRESS if asker is None else asker.address)
        self.is_login = is_login
        self.work = work
        self.then = then
        self.deadline: Any = None
        self.ring: Ring | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before others. Not when the client sends no more: it may have gone, and nothing tells that
        before it gets an answer."""
        return self.is_login and not (self.asker is not None and self.asker.half_closed)


class Ring:
    """Jobs that wait: each network has its turn, and within it the one that has waited longest."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        self._jobs.setdefault(job.network, OrderedDict())[job] = None
        job.ring = self

    def take(self) -> Job:
        """Take out the next one; its network comes last now. There must be one."""
        network, jobs = self._jobs.popitem(last=False)
        job, _ = jobs.popitem(last=False)
        if jobs:
            self._jobs[network] = jobs
        return job

    def remove(self, job: Job) -> None:
        jobs = self._jobs[job.network]
        del jobs[job]
        if not jobs:
            del self._jobs[job.network]


class WorkQueue:
    """Slow work of many sessions in front of a few threads. Each session has one job at a time (C10). So the number of
    connections bounds what waits here, also where logins exceed the queue's size.

    Args:
        in_thread: runs work in a thread; takes as much at once as there are threads.
        timers: for what is put off.
        threads: how many there are.
        size: jobs that may wait or run before one that is no login is refused.
    """

    def __init__(self, in_thread: InThread, timers: Timers, threads: int, size: int) -> None:
        self._in_thread = in_thread
        self._timers = timers
        self._threads = threads
        self._size = size
        self._running = 0
        self._urgent, self._others = Ring(), Ring()
        self._overtaken = 0
        self._put_aside: dict[Asker, Job] = {}  # what waits, and can be discarded
        self._of_network: Counter[str] = Counter()
        self._load = 0  # networks count with their shares at most, so that none fills the queue for the others

    def submit(self, job: Job, delay: float = 0.0) -> None:
        """Have a job done when its turn has come.

        Args:
            delay: seconds until it may have one. Until then it holds no thread and no place of the queue.

        Raises:
            PoolFull: the queue is full, or its network's share of it, and the job is no login.
        """
        if not job.is_login and self._is_full_for(job.network):
            raise PoolFull
        if job.asker is not None:
            assert job.asker not in self._put_aside
            self._put_aside[job.asker] = job
        if delay:
            job.deadline = self._timers.call_later(delay, partial(self._enter, job))
        else:
            self._enter(job)

    def discard(self, asker: Asker) -> None:
        """Forget the job of a session that is over, unless it runs already."""
        job = self._put_aside.pop(asker, None)
        if job is None:
            return
        if job.ring is None:
            self._timers.cancel(job.deadline)
        else:
            job.ring.remove(job)
            self._count(job.network, -1)

    def _enter(self, job: Job) -> None:
        self._count(job.network, 1)
        (self._urgent if job.is_urgent else self._others).add(job)
        self._start()

    def _start(self) -> None:
        """Give the threads that are free something to do."""
        while self._running < self._threads and (self._urgent or self._others):
            job = self._take()
            if job.asker is not None:
                del self._put_aside[job.asker]
            self._running += 1
            self._in_thread(job.work, partial(self._finished, job))

    def _take(self) -> Job:
        while self._urgent and not (self._others and self._overtaken >= LOGINS_IN_A_ROW):
            job = self._urgent.take()
            if job.is_urgent:
                self._overtaken = self._overtaken + 1 if self._others else 0
                return job
            self._others.add(job)
        self._overtaken = 0
        return self._others.take()

    def _finished(self, job: Job, result: Any, error: BaseException | None) -> None:
        self._running -= 1
        self._count(job.network, -1)
        self._start()
        job.then(result, error)

    def _is_full_for(self, network: str) -> bool:
        return self._load >= self._size or self._of_network[network] >= self._share_of(network)

    def _share_of(self, network: str) -> int:
        return self._size if is_loopback(network) else max(1, self._size // SHARE)

    def _count(self, network: str, step: int) -> None:
        before, share = self._of_network[network], self._share_of(network)
        after = before + step
        self._load += min(after, share) - min(before, share)
        self._of_network[network] = after
        if not after:
            del self._of_network[network]
