"""The reactor: what a turn of the event loop does. It knows descriptors, deadlines and threads, but not connections.

One turn, in this order:

1. Wait until a descriptor is ready or the nearest deadline is due.
2. Serve the ready descriptors. A listener accepts, a dial learns whether it has connected, and a connection reads at
   most READ_SIZE bytes and passes them to its owner.
3. Run the calls put off to this turn, those from other threads, and the deadlines that are due. Make the next chunk of
   each stream.
4. End the turn. Call the `before_flush` hook, in which the journal commits. Send pending output, with one `send` for
   each connection; free what was closed; confirm receipts. Repeat until nothing is left to do.

A turn is short, so that each commit and flush comes soon. Step 2 serves READY_PER_TURN descriptors, step 3 makes
CHUNKS_PER_TURN chunks, step 4 frees FREED_PER_TURN connections. Each kind of work has TURN_SECONDS, but the ready
descriptors have SERVE_SECONDS. The rest waits for the next turns. Commits and sends are bounded by what the turn did.

Deadlines run only when all input that had arrived by then has been handled. So no connection times out because the
server itself was slow.

Three rules hold in the whole package:

- A handler never writes to a socket: it appends to a buffer that step 4 sends. A large buffer, or one with a receipt,
  is sent sooner; its content is already durable.
- Interest in writing is registered only while bytes remain after a short write.
- Closing marks a connection at once, but step 4 frees it, since the batch of ready descriptors may still hold an event
  for it.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from selectors import EVENT_READ
from typing import Any, Protocol, TypeVar

from net.peak import Peak
from net.pool import Pool, Then
from net.ready import ReadyQueue
from net.selector import Event, Ready, make_selector
from net.timers import Deadline, Deadlines

SERVE_SECONDS = 0.006
"""Time limit for ready descriptors in a turn. With less the messages of a busy server share fewer commits and sends."""

TURN_SECONDS = 0.002
"""Time limit for each other kind of work in a turn, after which the turn ends and its output is sent. The commit and
the flush of what was done take about twice as long again."""

READY_PER_TURN = 256
"""Ready descriptors that are served in one turn."""

ENDED_SHARE = 4
"""Of these, one in ENDED_SHARE is for a connection whose other side has ended, if there is one."""

SUSPENDED_PER_TURN = 1024
"""Waiting descriptors that the selector is told not to report in one turn, since it would report each of them again in
every turn. With thousands that takes longer than serving some."""

FREED_PER_TURN = 256
"""Closed connections that are freed in one turn: each may leave many channels."""

CHUNKS_PER_TURN = 16
"""Chunks of streams that are made in one turn: reading a page of messages takes as long as serving ten lines."""

SLICE_SECONDS = 0.001
"""Time limit for the lines of one connection in a turn; less where many are ready."""

THREADSAFE_CALLS_PER_TURN = 64
"""Calls from other threads that run in one turn."""

MAX_WAIT = 24 * 3600.0
"""Maximum seconds that a turn waits; some systems refuse a much longer time-out."""

T = TypeVar("T")
Work = TypeVar("Work")
log = logging.getLogger("crosstalk.loop")


class Flushable(Protocol):
    """What the end of a turn sends and frees."""

    def flush(self) -> None:
        """Send what is pending."""

    def pull(self) -> None:
        """Make the next chunk of a stream."""

    def free(self) -> None:
        """Release the descriptor."""

    def fault(self) -> None:
        """Log the exception that is being handled, and close."""


class Reactor:
    """One selector, one thread. Not thread-safe, except for `call_threadsafe`.

    Args:
        pool_threads: threads for slow work.
        pool_queue: maximum of slow jobs that wait or run.
    """

    def __init__(self, *, pool_threads: int = 2, pool_queue: int = 512) -> None:
        self.before_flush: Callable[[], None] = lambda: None
        self.turns = Peak(time.monotonic())
        """The duration of the longest recent turn, in seconds."""
        self.slice_ends = 0.0
        """When the connection that is being served has used its share of the turn, on the monotonic clock."""
        self._selector = make_selector()
        self._deadlines = Deadlines()
        self._ready = ReadyQueue()
        self._due: tuple[float, int] | None = None
        """The time up to which deadlines are to be run, and the selector's report of that time."""
        self._soon: deque[Callable[[], None]] = deque()
        self._threadsafe_calls: deque[Callable[[], None]] = deque()
        self._streaming: deque[Flushable] = deque()
        self._dirty: dict[Flushable, None] = {}
        self.flushing = self._dirty.keys()
        """What is flushed at the end of this turn."""
        self.rows: list[Any] = []
        """What many connections share, and is flushed at the end of this turn."""
        self._dying: deque[Flushable] = deque()
        self._receipts: list[Callable[[], None]] = []
        # Bound methods of the queues: they are called for every message.
        self.flush_later: Callable[[Flushable], None] = self._dirty.setdefault
        """Flush at the end of this turn."""
        self.flush_row_later: Callable[[Any], None] = self.rows.append
        """Flush the shared output of many connections at the end of this turn."""
        self.pull_later = self._streaming.append
        """Make the next chunk of a stream in this turn, or when its turn comes."""
        self.free_later = self._dying.append
        """Free at the end of this turn, after its output has been sent."""
        self.confirm_later = self._receipts.append
        """Call at the end of this turn, after output has been sent and connections have been freed."""
        self._pool = Pool("crosstalk-pool", pool_threads, pool_queue, self.call_threadsafe)
        self._running = False
        self._wakes_for_signals = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self.watch(self._wake_reader, EVENT_READ, self._woken)

    # ---- descriptors ----

    def watch(self, sock: socket.socket, events: int, ready: Ready) -> None:
        """Call `ready` with the events of a socket, in each turn that has any.

        Args:
            sock: not watched yet.
            events: EVENT_READ, EVENT_WRITE or both.
            ready: must survive two kinds of events: a stale one, since an earlier one of the same turn may have
                closed its socket; and one that it is not watched for (`net.selector.Event`).
        """
        self._selector.watch(sock.fileno(), events, ready)

    def watch_for(self, sock: socket.socket, events: int, ready: Ready) -> None:
        """Change the events for which a socket is watched; at least one."""
        self._selector.change(sock.fileno(), events, ready)

    def unwatch(self, sock: socket.socket) -> None:
        """Stop watching a socket.

        Raises:
            KeyError: it was not watched.
        """
        self._selector.unwatch(sock.fileno())

    # ---- calls ----

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run `call` in the next turn, which comes without waiting."""
        self._soon.append(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Run `call` once, after so many seconds on the monotonic clock. `cancel` takes what this returns."""
        return self._deadlines.add(time.monotonic() + seconds, call)

    def monotonic(self) -> float:
        """The time, in seconds, on the clock of the deadlines."""
        return time.monotonic()

    def cancel(self, deadline: Deadline) -> None:
        """Cancel what `call_later` returned."""
        self._deadlines.cancel(deadline)

    def call_threadsafe(self, call: Callable[[], None]) -> None:
        """Run `call` in the loop's thread; may be called from any thread."""
        self._threadsafe_calls.append(call)
        with contextlib.suppress(OSError):  # full of wake-up bytes, so the loop will wake anyway; or the loop is closed
            self._wake_writer.send(b"\0")

    def in_thread(self, work: Callable[[], T], then: Then[T]) -> None:
        """Run `work` in a thread of the pool, and `then` with its outcome in the loop's thread.

        Raises:
            PoolFull: the queue is full; neither is called.
        """
        self._pool.submit(work, then)

    @property
    def working(self) -> bool:
        """True while work in threads has not come back."""
        return self._pool.working

    def wake_for_signals(self) -> None:
        """Have a signal wake the loop while it waits, so that its handler runs at once. Main thread only."""
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        self._wakes_for_signals = True

    # ---- running ----

    @property
    def has_output(self) -> bool:
        """Whether output waits for the end of this turn."""
        return bool(self._dirty or self.rows)

    def run(self) -> None:
        """Turn until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        """Make `run` return after this turn."""
        self._running = False

    def close(self) -> None:
        """Release the reactor's own descriptors. Does not wait for work in threads."""
        self._pool.close()
        self._ready.clear()
        self._selector.close()
        if self._wakes_for_signals:
            signal.set_wakeup_fd(-1)
        self._wake_reader.close()
        self._wake_writer.close()

    def turn(self) -> None:
        """Wait for events once and serve them."""
        events = self._selector.select(self._timeout())
        started = time.monotonic()
        served = self._serve_report(events, started)
        if self._soon:
            self._work_off(self._soon.popleft, self._guarded, len(self._soon))
        if self._threadsafe_calls:
            waiting = min(len(self._threadsafe_calls), THREADSAFE_CALLS_PER_TURN)
            self._work_off(self._threadsafe_calls.popleft, self._guarded, waiting)
        self._run_deadlines(READY_PER_TURN - served)
        if self._streaming:
            self._work_off(self._streaming.popleft, self._pull, min(len(self._streaming), CHUNKS_PER_TURN))
        self._end_turn()
        ended = time.monotonic()
        self.turns.note(ended - started, ended)

    def _timeout(self) -> float | None:
        if self._soon or self._threadsafe_calls or self._ready or self._streaming or self._dying or self._due:
            return 0.0
        nearest = self._deadlines.nearest()
        return None if nearest is None else min(max(0.0, nearest - time.monotonic()), MAX_WAIT)

    def _work_off(
        self, take: Callable[[], Work], carry_out: Callable[[Work], None], count: int, limit: float = 0
    ) -> int:
        """Take and carry out entries of a queue; return how many.

        Args:
            take: returns the next entry.
            carry_out: called with it.
            count: how many entries at most.
            limit: seconds after which no further entry is taken; 0: TURN_SECONDS.
        """
        if not count:
            return 0
        now = time.monotonic()
        seconds = limit or TURN_SECONDS
        ends = now + seconds
        share = min(SLICE_SECONDS, seconds / count)
        for done in range(1, count + 1):
            self.slice_ends = now + share
            carry_out(take())
            now = time.monotonic()
            if now >= ends:
                return done
        return count

    def _serve_report(self, events: list[Event], started: float) -> int:
        """Serve what the selector has reported, READY_PER_TURN at most; return how many.

        Mostly nothing waits, and there is time for all: then nothing passes through the queue.
        """
        if self._ready or len(events) > READY_PER_TURN:
            self._queue(events)
            return self._serve_ready(READY_PER_TURN, started)
        served = self._work_off(iter(events).__next__, self._serve, len(events), SERVE_SECONDS)
        if served < len(events):
            self._queue(events[served:])
            self._ready.note_served(events[:served])
        return served

    def _serve_ready(self, limit: int, since: float) -> int:
        """Serve ready descriptors, `limit` at most; return how many. Those that have ended come after all others.

        Queueing thousands takes as long as serving hundreds, so it is part of the time limit, but not all of it.

        Args:
            since: when queueing began, on the monotonic clock.
        """
        seconds = max(SERVE_SECONDS / 3, SERVE_SECONDS - (time.monotonic() - since))
        ended = self._ready.ended
        others = min(len(self._ready) - ended, limit - min(ended, limit // ENDED_SHARE))
        served = self._work_off(self._ready.take, self._serve, others, seconds)
        return served + self._work_off(self._ready.take_ended, self._serve, min(ended, limit - served))

    def _queue(self, events: Iterable[Event]) -> None:
        """Queue what the selector has reported. What has waited before is not reported again until it is served."""
        for descriptor in self._ready.add(events)[:SUSPENDED_PER_TURN]:
            self._selector.suspend(descriptor)

    def _serve(self, event: Event) -> None:
        descriptor, ready, mask = event
        try:
            if self._selector.suspended:
                self._selector.resume(descriptor)
            ready(mask)
        except Exception:
            log.exception("error while serving a descriptor")

    def _pull(self, connection: Flushable) -> None:
        try:
            connection.pull()
        except Exception:
            connection.fault()

    def _run_deadlines(self, may_serve: int) -> None:
        """Run the deadlines that are due, once all input that was ready by then has been handled.

        Asks the selector once more for that: if the process was suspended, its last answer does not cover the input
        that has arrived since.

        Args:
            may_serve: how many ready descriptors this turn may still serve.
        """
        if self._due is None:
            nearest, now = self._deadlines.nearest(), time.monotonic()
            if nearest is None or nearest > now:
                return
            self._queue(self._selector.select(0))
            self._due = now, self._ready.reports
            self._serve_ready(may_serve, now)
        due, report = self._due
        if self._ready.has_any_of(report):
            return
        ends = time.monotonic() + TURN_SECONDS
        for call in self._deadlines.due(due):
            self._guarded(call)
            if time.monotonic() >= ends:
                return
        self._due = None

    def _end_turn(self) -> None:
        """Commit, send, free and confirm, until none of these has caused more of the others.

        Connections that are left when the time for them is over wait for the next turn.
        """
        may_free = FREED_PER_TURN
        while True:
            self._guarded(self.before_flush)
            if self._dirty or self.rows:
                waiting = [*self._dirty]
                self._dirty.clear()
                self._flush_all(_take(self.rows), waiting)
            if not (self._dirty or self.rows or self._receipts or (self._dying and may_free)):
                return  # sending alone changes nothing that the hook would have to commit
            freed = self._free_closed(may_free)
            may_free = 0 if self._dying else may_free - freed
            for confirm in _take(self._receipts):
                self._guarded(confirm)

    def _flush_all(self, rows: list[Any], waiting: list[Any]) -> None:
        """Send what is pending in each of these, first what many connections share."""
        raise NotImplementedError

    def _free_closed(self, limit: int) -> int:
        """Free closed connections, the oldest first, while there is time; return how many."""
        freed = self._work_off(self._dying.popleft, self._free, min(len(self._dying), limit))
        if freed:
            self._freed()
        return freed

    def _free(self, connection: Flushable) -> None:
        try:
            connection.free()
        except Exception:
            log.exception("error after a connection ended")

    def _freed(self) -> None:
        """Descriptors have become free."""

    def _guarded(self, call: Callable[[], None]) -> None:
        """Run a call; a fault in it must not end the service for every client."""
        try:
            call()
        except Exception:
            log.exception("error in a call from the loop")

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass


def _take(queue: list[T]) -> list[T]:
    """Empty a list, and return what was in it."""
    taken = queue[:]
    queue.clear()
    return taken
