"""The queue of slow work: networks take turns, logins go first, and the jobs of closed sessions are dropped.

A thread has no queue of its own. Waiting jobs stay here, where they can still be reordered and removed.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from net.addresses import is_loopback, network_of
from net.pool import PoolFull, Then

SHARE = 4
"""A network may fill one in this many places of the queue."""

LOGINS_IN_A_ROW = 7
"""Logins in a row that may overtake other work. Then that has its turn, so that a flood of logins cannot starve it."""

OWN_ADDRESS = "127.0.0.1"
"""The address that counts as the origin of the server's own work."""

InThread = Callable[[Callable[[], Any], Then[Any]], None]


class JobSession(Protocol):
    """The session that a job is for; `protocol.Session` implements it."""

    @property
    def address(self) -> str: ...
    @property
    def half_closed(self) -> bool: ...
    def report_limit(self, reason: str, detail: str = "", *values: object) -> None: ...


class Timers(Protocol):
    """Timers; `net.loop.Loop` implements them."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Any: ...
    def cancel(self, deadline: Any) -> None: ...


class Job:
    """A piece of slow work.

    Attributes:
        session: for which it is done, which has no other job; None: the server itself.
        network: of the session's address. Networks take turns, and each has a share of the queue.
        is_login: it is never refused.
        work: the call that runs in a thread.
        then: called with its outcome in the loop's thread, unless the job is discarded.
        deadline: the timer of a delayed job.
        ring: in which it waits; None while it is delayed.
    """

    __slots__ = ("deadline", "is_login", "network", "ring", "session", "then", "work")

    def __init__(
        self,
        session: JobSession | None,
        work: Callable[[], Any],
        then: Then[Any],
        *,
        is_login: bool = False,
    ) -> None:
        self.session = session
        self.network = network_of(OWN_ADDRESS if session is None else session.address)
        self.is_login = is_login
        self.work = work
        self.then = then
        self.deadline: Any = None
        self.ring: Ring | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before others. A half-closed client has no such priority, since it may be gone (C41)."""
        return self.is_login and not (self.session is not None and self.session.half_closed)


class Ring:
    """Waiting jobs: networks take turns, and the jobs of one network are served in order."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        self._jobs.setdefault(job.network, OrderedDict())[job] = None
        job.ring = self

    def take(self) -> Job:
        """Remove and return the next job; its network comes last now. There must be one."""
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
    """A queue of slow work of many sessions for a few threads.

    Each session has one job at a time (C10). So the number of connections bounds this queue, although logins may exceed
    its size.

    Args:
        in_thread: runs work in a thread; accepts one job for each thread.
        timers: for delayed jobs.
        threads: number of threads.
        size: jobs that may wait or run; then further ones are refused, logins excepted.
        is_exempt: whether an address may fill the queue.
    """

    def __init__(
        self,
        in_thread: InThread,
        timers: Timers,
        threads: int,
        size: int,
        is_exempt: Callable[[str], bool] = is_loopback,
    ) -> None:
        self._is_exempt = is_exempt
        self._in_thread = in_thread
        self._timers = timers
        self._threads = threads
        self._size = size
        self._running = 0
        self._urgent, self._others = Ring(), Ring()
        self._overtaken = 0
        self._waiting: dict[JobSession, Job] = {}  # delayed or in a ring, so it can be discarded
        self._of_network: Counter[str] = Counter()
        self._load = 0  # each network counts up to its share, so that none fills the queue for the others

    @property
    def waiting(self) -> int:
        """Jobs that wait for a thread, or for the end of their delay."""
        return len(self._waiting)

    def submit(self, job: Job, delay: float = 0.0) -> None:
        """Queue a job.

        Args:
            delay: seconds before it enters the queue. Until then it holds no thread and no place.

        Raises:
            PoolFull: the queue or the network's share of it is full, and the job is no login.
        """
        if not job.is_login and self._is_full_for(job.network):
            raise PoolFull
        if job.session is not None:
            assert job.session not in self._waiting
            self._waiting[job.session] = job
        if delay:
            job.deadline = self._timers.call_later(delay, partial(self._enter, job))
        else:
            self._enter(job)

    def discard(self, session: JobSession) -> None:
        """Drop the job of a session that is over, unless it runs already."""
        job = self._waiting.pop(session, None)
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
        """Start jobs as long as threads are free."""
        while self._running < self._threads and (self._urgent or self._others):
            job = self._take()
            if job.session is not None:
                del self._waiting[job.session]
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
        return self._size if self._is_exempt(network) else max(1, self._size // SHARE)

    def _count(self, network: str, step: int) -> None:
        before, share = self._of_network[network], self._share_of(network)
        after = before + step
        self._load += min(after, share) - min(before, share)
        self._of_network[network] = after
        if not after:
            del self._of_network[network]
