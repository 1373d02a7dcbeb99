"""The event loop: descriptors, deadlines and slow work. It knows no word of chat.

One turn of the loop, in this order:

1. wait until a descriptor is ready or the nearest deadline is due;
2. let the ready descriptors act: a listener accepts, a dial learns what became of an address, a connection reads at
   most READ_SIZE and hands the bytes on;
3. run what was put off to this turn, what other threads handed in, and the deadlines that are due;
4. settle: call the ``before_flush`` hook (the journal commits there), send what is pending with one ``send`` for each
   connection, free what was closed, tell those who asked for a receipt what has left, and again until all is done.

Each kind of work in steps 2 and 3 has TURN_SECONDS in a turn; what is left over comes first in the next one, before the
system is asked again. Deadlines wait for it: they run when all input that had arrived by then has been handled, so that
nobody is closed for a silence that was the server's own.

Three rules hold everywhere in this file. A handler never writes to a socket: it appends to a buffer that step 4 sends
(sooner where there is much of it, or where somebody waits for a receipt; what is in a buffer is durable already).
Interest in writing is asked for only while bytes remain after a short write. Closing marks a connection at once, but it
is freed in step 4 only, since the batch of ready descriptors may still hold an event for it.

Nothing here waits for another machine: a dial connects as the selector says, and looks names up in a thread. Those
threads are not the ones for other slow work, since a dead name server holds a thread for as long as it likes.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import itertools
import logging
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from net.addresses import is_loopback, network_of
from net.pool import Pool, PoolFull
from net.tcp import (
    bytes_in_kernel,
    calls_itself,
    descriptor_ceiling,
    find_places,
    host_of,
    keep_alive,
    place_of,
    unacknowledged_for,
)
from net.timers import Deadline, Deadlines

if TYPE_CHECKING:
    from concurrent.futures import Future

READ_SIZE = 65536
"""Bytes that one connection may hand in each turn, so that no sender makes the others wait."""

HIGH_WATER = 256 * 1024
"""Pending bytes above which a connection is `congested`: its owner should produce no more answers for now. Less where
the limit of the output buffer is small."""

PIECE_COST = HIGH_WATER // 6
"""Bytes for which a piece of a stream counts at least, since making it took time: so a turn brings six of them."""

FRESH_SECONDS = 0.25
"""After so long without taking anything a peer is not one that merely falls behind."""

DISCARDED_READS = 16

STALL_SECONDS = 30.0
"""How long output may wait for a peer that takes none of it."""


CHECK_SECONDS = 1.0
"""Pause between two looks at connections that no event would tell us about."""

DRAIN_GRACE_SECONDS = 0.5
"""What answers may take to leave that are given when those who do not read have been closed at the very end."""


LINGER_SECONDS = 2.0
"""How long a connection that we closed waits for its peer to close too. Closing a socket while it holds unread input
makes the kernel send a reset, which can destroy our last words on their way."""

ACCEPTS_PER_TURN = 128
"""Connections that a listener accepts before those who are connected have their turn."""

ACCEPT_RETRY_SECONDS = 0.5

CONNECTING = (0, errno.EINPROGRESS, errno.EINTR)
"""What the system says of an attempt to connect whose end the selector will tell."""

LOOK_UP_THREADS = 2
"""Few: those who ask a name server that does not answer wait for the same one."""

LOOK_UP_QUEUE = 64
"""Names that may be looked up, or wait for it, at once. One that is asked for no longer keeps its place until then."""

TURN_SECONDS = 0.02
"""How long a turn takes up work of each kind before it is settled: answers and deadlines wait no longer for others."""

SLICE_SECONDS = 0.001
"""How long one connection's lines are run before the others have their turn; less where many are ready."""

HANDED_IN_PER_TURN = 64
"""Calls from other threads that run before those who are connected have their turn."""

LONGEST_WAIT = 24 * 3600.0
"""Seconds for which a turn waits at the most; the system refuses some that are much longer."""

T = TypeVar("T")
Work = TypeVar("Work")
log = logging.getLogger("crosstalk.loop")


class CloseReason(enum.Enum):
    """Why a connection ended; the loop counts each in `Loop.closed`."""

    PEER = "closed by the peer"
    LOST = "connection lost"
    GOODBYE = "closed after a goodbye"
    REFUSED = "refused"
    SILENT = "said nothing after it had connected"
    SLOW_READER = "reads too slowly"
    FULLEST = "its buffers were the fullest when all together were too full"
    FAULT = "error in the server"
    SHUTDOWN = "server stops"


class OutputBound(NamedTuple):
    """How many bytes may wait for a connection, and the setting that says so."""

    size: int
    setting: str


class Buffers:
    """What waits in the buffers of all connections: bytes that a peer has not taken, and lines that are not run yet.

    Bytes that come and go within a turn are not counted, so a message costs nothing here.

    Args:
        bound: bytes that may wait together; beyond it the connection with the most is closed.
    """

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._sizes: dict[Connection, int] = {}
        self.total = 0

    def count(self, connection: Connection, size: int) -> None:
        """Note how much waits for one connection now, and close the fullest while it is too much."""
        self.total += size - self._sizes.pop(connection, 0)
        if size:
            self._sizes[connection] = size
        while self.total > self._bound:
            fullest = max(self._sizes, key=self._sizes.__getitem__)
            size = self._sizes.pop(fullest)
            self.total -= size
            log.warning("closing %s: %d bytes wait, the most of all, which are too many (max-buffers)", fullest, size)
            fullest.close(CloseReason.FULLEST)


class Receiver(Protocol):
    """What a connection tells its owner. Every call comes from the loop's thread."""

    def received(self, data: bytes) -> None: ...
    def ended(self) -> None:
        """The peer sends no more, and may still read."""

    def drained(self) -> None:
        """The connection was congested and has nothing left to send. May come from inside of `Connection.send`."""

    def lost(self, reason: CloseReason) -> None:
        """The connection is gone. Called exactly once, never from inside a call of its owner's."""


class Loop:
    """One selector, one thread. Not thread-safe but for `call_threadsafe`.

    Args:
        max_clients: connections that may be open at once; more are refused. None: as many as descriptors allow.
        max_out_buffer: bytes that may wait for one connection before it is closed as a slow reader.
        stall_seconds: how long output may wait for a peer that takes none of it, before it is closed as one, too.
        keepalive_seconds: after about so much silence of a client's machine the connection is lost; 0: never.
        login_seconds: how long a client may take to its first line (C50); 0: for ever. Not for loopback.
        address_share: how many percent of the clients may come from one address (C51). Not for loopback.
        max_buffers: bytes that may wait in all connections together (C52). None: any number.
        pool_threads: threads for slow work. Names are looked up in others.
        pool_queue: pieces of slow work that may wait or run at once.
    """

    def __init__(
        self,
        *,
        max_clients: int | None = None,
        max_out_buffer: int = 1024 * 1024,
        stall_seconds: float = STALL_SECONDS,
        keepalive_seconds: int = 0,
        login_seconds: int = 0,
        address_share: int = 100,
        max_buffers: int | None = None,
        pool_threads: int = 2,
        pool_queue: int = 512,
    ) -> None:
        self.output_bound = OutputBound(max_out_buffer, "max-out-buffer")
        self.high_water = min(HIGH_WATER, max_out_buffer // 4)
        self.stall_seconds = stall_seconds
        self.before_flush: Callable[[], None] = lambda: None
        self.closed: Counter[CloseReason] = Counter()
        self.longest_turn = 0.0
        self.draining = False
        self.connections: set[Connection] = set()
        self._dialled: set[Connection] = set()
        self.buffers = Buffers(max_buffers or math.inf)
        self.clients_at: Counter[str] = Counter()
        self.login_seconds = login_seconds
        self._address_share = address_share
        self._keepalive_seconds = keepalive_seconds
        self._deaf: dict[Connection, None] = {}
        self._to_check: Iterator[Connection] = iter(())
        self._checking = False
        self._max_clients = max_clients
        self._descriptor_ceiling = descriptor_ceiling()
        self._selector = selectors.DefaultSelector()
        self._deadlines = Deadlines()
        self._ready: deque[tuple[selectors.SelectorKey, int]] = deque()
        self._polled: float | None = None
        self._slice_ends = 0.0
        self._soon: deque[Callable[[], None]] = deque()
        self._handed_in: deque[Callable[[], None]] = deque()
        self._dirty: list[Connection] = []
        self._receipts: list[Callable[[], None]] = []
        self._dying: list[Connection] = []
        self._listeners: list[Listener] = []
        self._dials: set[Dial] = set()
        self._pool = Pool("crosstalk-pool", pool_threads, pool_queue, self.call_threadsafe)
        self._look_ups = Pool("crosstalk-names", LOOK_UP_THREADS, LOOK_UP_QUEUE, self.call_threadsafe)
        self._running = False
        self._wakes_for_signals = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, EVENT_READ, self._woken)

    # ---- for those who use the loop ----

    def listen(self, sock: socket.socket, accepted: Callable[[Connection], Receiver]) -> None:
        """Accept connections on a listening socket.

        Args:
            sock: bound and listening; the loop owns it from here on.
            accepted: called with each new connection, returns its owner.
        """
        if self._keepalive_seconds:
            keep_alive(sock, self._keepalive_seconds)  # an accepted socket inherits it
        self._listeners.append(Listener(self, sock, accepted))

    def dial(
        self,
        host: str,
        port: int,
        *,
        source: str | None,
        seconds: float,
        connected: Callable[[Connection], Receiver],
        failed: Callable[[str], None],
    ) -> None:
        """Connect to the first of a host's addresses that takes it, without waiting for it here.

        Exactly one of the two is called, once, and not from inside of this call; neither while the loop drains or when
        it is closed, which give up what is being dialled.

        Args:
            host: a name or an IP address.
            port: 1 to 65535.
            source: the IP address to call from, and only to addresses of its family; None: as the system chooses.
            seconds: how long all of it may take, the look-up included.
            connected: called with the connection, returns its owner.
            failed: called with the reason in a few words, for a log.
        """
        if not self.draining:
            dial = Dial(self, host, port, source=source, seconds=seconds, connected=connected, failed=failed)
            self._dials.add(dial)
            self.call_soon(dial.begin)

    def connect(self, sock: socket.socket, owner: Receiver) -> Connection:
        """Take over a connected socket as a connection with this owner."""
        connection = Connection(self, sock)
        connection.owner = owner
        return connection

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run `call` in the next turn, which comes without waiting."""
        self._soon.append(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Run `call` once, so many seconds from now on the monotonic clock. `cancel` takes what this returns."""
        return self._deadlines.add(time.monotonic() + seconds, call)

    def monotonic(self) -> float:
        """The time, in seconds, on the clock by which deadlines are due."""
        return time.monotonic()

    def cancel(self, deadline: Deadline) -> None:
        """Cancel what `call_later` returned."""
        self._deadlines.cancel(deadline)

    def call_threadsafe(self, call: Callable[[], None]) -> None:
        """Run `call` in the loop's thread; may be called from any thread."""
        self._handed_in.append(call)
        with contextlib.suppress(OSError):  # full of wake-up bytes, so the loop will wake anyway; or the loop is closed
            self._wake_writer.send(b"\0")

    def in_thread(self, work: Callable[[], T], then: Callable[[Future[T]], None]) -> None:
        """Run `work` in a thread of the pool and `then` with its finished future in the loop's thread.

        Raises:
            PoolFull: too much is waiting already; neither is called.
        """
        self._pool.submit(work, then)

    def wake_for_signals(self) -> None:
        """Have a signal wake the loop while it waits, so that its handler runs at once. Main thread only."""
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        self._wakes_for_signals = True

    def run(self) -> None:
        """Turn until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        """Make `run` return after this turn."""
        self._running = False

    def stop_listening(self) -> None:
        """Close every listener."""
        while self._listeners:
            self._listeners.pop().close()

    def drain(self, seconds: float) -> None:
        """Accept no more, and stop when the last connection has gone or so many seconds have passed."""
        self.draining = True
        self.stop_listening()
        self._give_dials_up()
        for connection in list(self.connections):
            connection.linger_no_longer()
        if self.connections:
            self.call_later(seconds, self._close_those_who_do_not_read)
            self.call_later(seconds + DRAIN_GRACE_SECONDS, self.stop)
        else:
            self.call_later(0, self.stop)

    def _close_those_who_do_not_read(self) -> None:
        """Somebody else may wait for what they take."""
        for connection in list(self.connections):
            if connection.has_output:
                connection.close(CloseReason.SHUTDOWN)

    def _give_dials_up(self) -> None:
        while self._dials:
            self._dials.pop().give_up()

    def close(self) -> None:
        """Free every descriptor. Pending output is dropped, work in threads is not waited for."""
        self.stop_listening()
        for connection in list(self.connections):
            connection.close(CloseReason.SHUTDOWN)
        self._free_closed()
        self._give_dials_up()  # after those whose connections were lost have dialled again
        self._pool.close()
        self._look_ups.close()
        self._ready.clear()
        self._selector.close()
        if self._wakes_for_signals:
            signal.set_wakeup_fd(-1)
        self._wake_reader.close()
        self._wake_writer.close()

    @property
    def working(self) -> bool:
        """True while work in threads has not come back, look-ups included."""
        return self._pool.working or self._look_ups.working

    @property
    def client_ceiling(self) -> int:
        """Connections that may be open at once: the setting, or what the descriptor limit leaves."""
        return min(self._descriptor_ceiling, self._max_clients or self._descriptor_ceiling)

    @property
    def address_ceiling(self) -> int:
        """Connections that may come from one address at once."""
        return max(1, self.client_ceiling * self._address_share // 100)

    # ---- connections of which no event tells ----

    def check_later(self) -> None:
        """Look after a while at those who are not watched, or may have vanished."""
        if not self._checking:
            self._checking = True
            self.call_later(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        self._checking = False
        for connection in list(self._deaf):
            connection.check_for_reset()
        if self._keepalive_seconds:
            for connection in self._next_to_check(1 + len(self.connections) // self._keepalive_seconds):
                connection.check_for_silence(self._keepalive_seconds)
        if self._deaf or (self._keepalive_seconds and self.connections):
            self.check_later()

    def _next_to_check(self, count: int) -> list[Connection]:
        """Give some of the connections; each has its turn about once in the keepalive's time."""
        chosen = list(itertools.islice(self._to_check, count))
        if len(chosen) < count:
            self._to_check = iter(list(self.connections))
        return chosen

    # ---- a turn ----

    def turn(self) -> None:
        """Wait for events once and carry out what they bring."""
        if not self._ready:
            self._ready.extend(self._selector.select(self._timeout()))
        started = time.monotonic()
        self._work_off(self._ready, self._serve)
        self._work_off(self._soon, self._guarded)
        self._work_off(self._handed_in, self._guarded, HANDED_IN_PER_TURN)
        self._run_deadlines()
        self._settle()
        self.longest_turn = max(self.longest_turn, time.monotonic() - started)

    def _timeout(self) -> float | None:
        if self._soon or self._handed_in:
            return 0.0
        nearest = self._deadlines.nearest()
        return None if nearest is None else min(max(0.0, nearest - time.monotonic()), LONGEST_WAIT)

    def _work_off(self, queue: deque[Work], carry_out: Callable[[Work], None], most: int = sys.maxsize) -> None:
        """Carry out what is in a queue now, the oldest first, until its share of the turn is used up."""
        count = min(len(queue), most)
        if not count:
            return
        now = time.monotonic()
        ends = now + TURN_SECONDS
        share = min(SLICE_SECONDS, TURN_SECONDS / count)
        for _ in range(count):
            self._slice_ends = now + share
            carry_out(queue.popleft())
            now = time.monotonic()
            if now >= ends:
                return

    def _serve(self, ready: tuple[selectors.SelectorKey, int]) -> None:
        key, mask = ready
        try:
            key.data(mask)
        except Exception:
            self._fault(key.data)

    def _run_deadlines(self) -> None:
        """Run those that are due when all has been handled that was ready by then.

        The system is asked once more for that: when the process has stood still, its last answer says nothing of the
        input that came meanwhile.
        """
        if self._ready:
            return
        if self._polled is None:
            nearest, now = self._deadlines.nearest(), time.monotonic()
            if nearest is None or nearest > now:
                return
            self._polled = now
            self._ready.extend(self._selector.select(0))
            self._work_off(self._ready, self._serve)
        if not self._ready:
            polled, self._polled = self._polled, None
            for call in self._deadlines.due(polled):
                self._guarded(call)

    def _settle(self) -> None:
        """Commit, send, free, tell what has left; each may bring more of the others."""
        while True:
            self._guarded(self.before_flush)
            if not self._dirty and not self._dying and not self._receipts:
                return
            dirty, self._dirty = self._dirty, []
            for connection in dirty:
                try:
                    connection.flush()
                except Exception:
                    self._fault(connection)
            self._free_closed()
            receipts, self._receipts = self._receipts, []
            for tell in receipts:
                self._guarded(tell)

    def _free_closed(self) -> None:
        dying, self._dying = self._dying, []
        for connection in dying:
            try:
                connection._free()
            except Exception:
                log.exception("error after a connection ended")
        if dying:
            for listener in self._listeners:
                listener.resume()
            if self.draining and not self.connections:
                self.stop()

    def _guarded(self, call: Callable[[], None]) -> None:
        """A mistake in one call must not end the service for everybody."""
        try:
            call()
        except Exception:
            log.exception("error in a call from the loop")

    def _fault(self, source: object) -> None:
        log.exception("error while serving a connection")
        if isinstance(source, Connection):
            source.close(CloseReason.FAULT)

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass

    def leave_address(self, address: str) -> None:
        """One client less comes from there."""
        self.clients_at[address] -= 1
        if not self.clients_at[address]:
            del self.clients_at[address]

    def _introduce(self, connection: Connection, accepted: Callable[[Connection], Receiver]) -> None:
        """Have a new connection get its owner."""
        try:
            connection.owner = accepted(connection)
        except Exception:
            connection.close(CloseReason.FAULT)
            raise
        if self._keepalive_seconds:
            self.check_later()


class Listener:
    """Accepts connections until it would block, some in each turn; pauses while no descriptor is to be had."""

    def __init__(self, loop: Loop, sock: socket.socket, accepted: Callable[[Connection], Receiver]) -> None:
        self._loop = loop
        self._sock = sock
        self._accepted = accepted
        self._paused = False
        sock.setblocking(False)
        loop._selector.register(sock, EVENT_READ, self)

    def __call__(self, _mask: int) -> None:
        if self._paused or self._sock.fileno() < 0:  # since it was ready
            return
        for _ in range(ACCEPTS_PER_TURN):
            if len(self._loop.connections) >= self._loop._descriptor_ceiling:
                self._pause("every descriptor for clients is in use")
                return
            try:
                sock, place = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:  # most likely out of descriptors or memory
                self._pause(error.strerror or str(error))
                self._loop.call_later(ACCEPT_RETRY_SECONDS, self.resume)
                return
            self._welcome(sock, host_of(place))

    def _welcome(self, sock: socket.socket, host: str) -> None:
        address = "" if is_loopback(host) else network_of(host)
        objection = self._objection(address)
        if objection:
            self._loop.closed[CloseReason.REFUSED] += 1
            log.warning(*objection)
            sock.close()
            return
        connection = Connection(self._loop, sock)
        if address:
            connection.begin_at(address)
        self._loop._introduce(connection, self._accepted)

    def _objection(self, address: str) -> tuple[Any, ...]:
        """Give what the log says where there is no room for one more client, from an address or at all."""
        clients, neighbours = len(self._loop.connections) - len(self._loop._dialled), self._loop.clients_at[address]
        if clients >= self._loop.client_ceiling:
            return "refused a connection: %d clients are connected (max-clients)", clients
        if address and neighbours >= self._loop.address_ceiling:
            return "refused a connection: %d clients are connected from %s (max-address-share)", neighbours, address
        return ()

    def _pause(self, why: str) -> None:
        log.warning("not accepting for now: %s (%d connections)", why, len(self._loop.connections))
        self._paused = True
        self._loop._selector.unregister(self._sock)

    def resume(self) -> None:
        """Accept again after a pause, if there was one: a descriptor has become free, or it is time to try."""
        if self._paused and self._sock.fileno() >= 0:
            self._paused = False
            self._loop._selector.register(self._sock, EVENT_READ, self)

    def close(self) -> None:
        """Accept no more, for good."""
        if not self._paused:
            self._loop._selector.unregister(self._sock)
        self._sock.close()


class Dial:
    """An attempt to connect to a host: its addresses are tried one after the other. See `Loop.dial`.

    What comes of it is no client: it is never refused and counts for no client's place under max_clients. It does need
    a descriptor, so listeners do count it for the descriptor ceiling. Where clients have reached that already it takes
    one of RESERVED_DESCRIPTORS, of which a server that dials a few others has enough.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        *,
        source: str | None,
        seconds: float,
        connected: Callable[[Connection], Receiver],
        failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._host = host
        self._port = port
        self._source = source
        self._source_place: Any = None
        self._connected = connected
        self._failed = failed
        self._over = False
        self._places: deque[tuple[int, Any]] = deque()
        self._sock: socket.socket | None = None
        self._reason = "no address of the family of the source"
        self._ends = loop.monotonic() + seconds
        self._deadline = loop.call_later(seconds, self._late)

    def begin(self) -> None:
        """Find the addresses."""
        if self._over:
            return
        try:
            places = find_places(self._host, self._port, numeric=True)
        except (OSError, ValueError):
            self._look_up()
        else:
            self._found(places)

    def give_up(self) -> None:
        """Be over; nobody is told."""
        self._over = True
        self._loop._dials.discard(self)
        self._loop.cancel(self._deadline)
        self._drop()

    def _look_up(self) -> None:
        def work() -> list[tuple[int, Any]]:
            return [] if self._over else find_places(self._host, self._port)

        try:
            self._loop._look_ups.submit(work, self._looked_up)
        except PoolFull:
            self._fail("too many names are being looked up")
        except RuntimeError as error:  # no thread is to be had
            self._fail(str(error))

    def _looked_up(self, future: Future[list[tuple[int, Any]]]) -> None:
        if self._over:
            return
        try:
            places = future.result()
        except UnicodeError:
            self._fail("not a host name")
        except Exception as error:
            self._fail(_reason(error))
        else:
            self._found(places)

    def _found(self, places: list[tuple[int, Any]]) -> None:
        if self._source is not None:
            try:
                family, self._source_place = find_places(self._source, 0, numeric=True)[0]
            except (OSError, ValueError):
                self._fail("the source is not an IP address")
                return
            places = [place for place in places if place[0] == family]
        self._places.extend(places)
        self._next()

    def _next(self) -> None:
        """Try the addresses that are left until the system has begun to connect to one."""
        while self._places:
            family, place = self._places.popleft()
            try:
                self._try(family, place)
                return
            except OSError as error:
                self._reason = _reason(error)
                self._drop()
        self._fail(self._reason)

    def _try(self, family: int, place: Any) -> None:
        """Begin to connect.

        Raises:
            OSError: the system refuses.
        """
        self._sock = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if self._loop._keepalive_seconds:
            keep_alive(sock, self._loop._keepalive_seconds)
        if self._source_place is not None:
            sock.bind(self._source_place)
        error = sock.connect_ex(place)
        if error not in CONNECTING:
            raise _system_error(error)
        self._loop._selector.register(sock, EVENT_WRITE, partial(self._answered, sock))
        # An address that does not answer has only its share of the time, or the others would never have a try.
        share = (self._ends - self._loop.monotonic()) / (len(self._places) + 1)
        self._loop.cancel(self._deadline)
        self._deadline = self._loop.call_later(share, self._late)

    def _answered(self, sock: socket.socket, _mask: int) -> None:
        """The system has come to an end with an address."""
        if sock is not self._sock:  # given up since it was ready
            return
        try:
            connection = self._establish(sock)
        except OSError as error:
            self._go_on(_reason(error))
            return
        self._sock = None
        self.give_up()
        self._loop._dialled.add(connection)
        self._loop._introduce(connection, self._connected)

    def _establish(self, sock: socket.socket) -> Connection:
        """Make the connection.

        Raises:
            OSError: the address has not taken it.
        """
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise _system_error(error)
        if calls_itself(sock):
            raise _system_error(errno.ECONNREFUSED)
        self._loop._selector.unregister(sock)
        return Connection(self._loop, sock)

    def _late(self) -> None:
        self._go_on("timed out")

    def _go_on(self, reason: str) -> None:
        """This address has failed, or the look-up, after which there are no others."""
        self._reason = reason
        self._drop()
        self._next()

    def _fail(self, reason: str) -> None:
        self.give_up()
        self._failed(reason)

    def _drop(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(KeyError):  # it has not come that far
                self._loop._selector.unregister(sock)
            sock.close()


class Receipt:
    """Output whose sender is told what became of it: a stream of one piece.

    Args:
        loop: tells it, in this turn, but not from inside of a connection's work.
        data: the piece.
        done: called once, with True when all of it has been handed to the operating system, with False when the
            connection has ended before that.
    """

    __slots__ = ("_data", "_done", "_loop")

    def __init__(self, loop: Loop, data: bytes, done: Callable[[bool], None]) -> None:
        self._loop = loop
        self._data = data
        self._done: Callable[[bool], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._data:
            data, self._data = self._data, b""
            return data
        self._tell(True)
        raise StopIteration

    def close(self) -> None:
        self._tell(False)

    def _tell(self, has_left: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._loop._receipts.append(partial(done, has_left))


class _State(enum.Enum):
    OPEN = "open"
    FINISHING = "input is discarded; closes when the output has left"
    LINGERING = "output has left and is ended; waits for the peer's end"
    CLOSED = "nothing is sent or received; to be freed in this turn"


_OPEN = _State.OPEN  # looked up for every message


class Connection:
    """A socket with a bounded output buffer, and the owner whom it tells what happens.

    Output is a list of byte strings, so the same object can wait for a thousand receivers without a copy. A `stream` is
    output that is made only as fast as the peer reads it; what is sent after it waits behind it.
    """

    __slots__ = (
        "_address",
        "_blocked",
        "_bound",
        "_congested",
        "_events",
        "_in_kernel",
        "_input",
        "_login",
        "_loop",
        "_mark",
        "_out",
        "_pending",
        "_piece",
        "_progress",
        "_reason",
        "_sock",
        "_stall",
        "_state",
        "_streams",
        "owner",
    )

    owner: Receiver

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        # A message that waits for the acknowledgement of the one before shows as a tail of 40 ms.
        with contextlib.suppress(OSError):  # not a TCP socket
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = loop
        self._sock = sock
        self._state = _State.OPEN
        self._events = 0
        self._out: list[bytes] = []
        self._pending = 0
        self._piece = 0
        self._streams: deque[tuple[Iterator[bytes], list[bytes]]] | None = None
        self._blocked = False
        self._progress = 0.0
        self._in_kernel = 0
        self._stall: Deadline | None = None
        self._congested = False
        self._reason = CloseReason.LOST
        self._bound = loop.output_bound
        self._mark = loop.high_water
        self._input = 0
        self._address = ""
        self._login: Deadline | None = None
        self._want(EVENT_READ)
        loop.connections.add(self)

    def begin_at(self, address: str) -> None:
        """Count for an address, as `addresses.network_of` gives it, and be closed unless a line comes in time."""
        self._address = address
        self._loop.clients_at[address] += 1
        if self._loop.login_seconds:
            self._login = self._loop.call_later(self._loop.login_seconds, self._said_nothing)

    # ---- for the owner ----

    def __str__(self) -> str:
        """Give the other side's address and port, for the log, which asks for it only where it has room."""
        host, port = self.remote_place
        return f"{host} port {port}" if host else "a client"

    @property
    def remote_place(self) -> tuple[str, int]:
        """The other side's IP address and port; "" and 0 when it is gone already, or this is no TCP connection."""
        return place_of(self._sock.getpeername)

    @property
    def local_place(self) -> tuple[str, int]:
        """Our own side's IP address and port, which the other side sees; "" and 0 as for `remote_place`."""
        return place_of(self._sock.getsockname)

    def has_spoken(self) -> None:
        """The first line has come: the peer may be silent from now on."""
        if self._login is not None:
            self._loop.cancel(self._login)
            self._login = None

    def hold_input(self, size: int) -> None:
        """Note how many bytes of what was received wait with the owner."""
        self._input = size
        self._count()

    def allow_output(self, size: int, setting: str) -> None:
        """Let so many bytes wait before the peer is a slow reader, instead of what the loop allows everybody.

        When the connection is `congested` does not depend on it.

        Args:
            size: in bytes.
            setting: what it is called, for the log.
        """
        self._bound = OutputBound(size, setting)

    @property
    def is_behind(self) -> bool:
        """True while the peer has much to read, and reads: who makes more of it might wait until it has caught up."""
        return self._congested and self._blocked and time.monotonic() - self._progress < FRESH_SECONDS

    @property
    def has_output(self) -> bool:
        """Whether something waits to be sent."""
        return self._pending > 0 or bool(self._streams)

    @property
    def must_yield(self) -> bool:
        """True when this connection's work has taken its time: go on in the next turn, by `call_soon`."""
        return time.monotonic() >= self._loop._slice_ends

    @property
    def congested(self) -> bool:
        """True while the peer has much to read: produce no more answers until `Receiver.drained` is called."""
        return self._congested

    def send(self, data: bytes) -> None:
        """Queue bytes; they leave at the end of the turn. After a close they are dropped."""
        if self._state is not _OPEN:
            return
        if self._streams:
            self._streams[-1][1].append(data)
        else:
            if not self._pending:
                self._loop._dirty.append(self)
            self._out.append(data)
        self._pending += len(data)
        if self._pending > self._mark:
            self._relieve()

    def _relieve(self) -> None:
        """Much is pending, or more for a peer that takes nothing: send what the kernel takes now, unless it has said
        that it takes nothing."""
        if self._blocked:
            self._count()
        if self._pending > self._loop.high_water:
            self._congested = True
            if not self._blocked or self._pending > self._bound.size:
                self.flush()

    def _count(self) -> None:
        """Note what waits here, from where on every byte more is noted too."""
        self._mark = self._pending if self._blocked else self._loop.high_water
        if self._state is not _State.CLOSED:
            self._loop.buffers.count(self, self._input + (self._pending if self._blocked else 0))

    def send_with_receipt(self, data: bytes, done: Callable[[bool], None]) -> None:
        """Send bytes, and have `done` told once what becomes of them: see `Receipt`.

        They leave now if nothing holds them up, with what waits for the end of the turn: then `done` is told inside of
        this call, and who waits for it can go on at once.
        """
        if self._state is _OPEN and not (self._blocked or self._streams):
            self._out.append(data)
            self._pending += len(data)
            if self._send_out():
                done(True)
                return
            data = b""  # its rest is the last of what waits now
        if self._queue_stream(Receipt(self._loop, data, done)):
            self._pending += len(data)
            if self._pending > self._mark:
                self._relieve()

    def stream(self, chunks: Iterator[bytes]) -> None:
        """Queue output that is made piece by piece as the peer reads.

        The next piece is asked for when the one before it has been handed to the operating system in full, so code
        after a `yield` knows that this much has left. A generator is closed when the connection ends first.
        """
        if self._queue_stream(chunks):
            self._congested = True

    def _queue_stream(self, chunks: Iterator[bytes]) -> bool:
        if self._state is not _OPEN:
            _close_iterator(chunks)
            return False
        if self._streams is None:
            self._streams = deque()
        if not self._pending and not self._streams:
            self._loop._dirty.append(self)
        self._streams.append((chunks, []))
        return True

    def finish(self, reason: CloseReason = CloseReason.GOODBYE) -> None:
        """Close when all that is queued has left; nothing is received or queued from now on."""
        if self._state is _State.OPEN:
            self._state = _State.FINISHING
            if self._reason is not CloseReason.PEER:
                self._reason = CloseReason.SHUTDOWN if self._loop.draining else reason
            self._want(self._events | EVENT_READ)  # input is read and dropped, see LINGER_SECONDS
            self._loop._dirty.append(self)

    def close(self, reason: CloseReason) -> None:
        """Close now; what has not left is dropped. Closing twice is closing once."""
        if self._state is not _State.CLOSED:
            if self._state is _State.OPEN:
                self._reason = reason
            self._state = _State.CLOSED
            self._loop._dying.append(self)

    def refuse(self) -> None:
        """Close now a connection that has no business here."""
        self.close(CloseReason.REFUSED)

    def pause_reading(self) -> None:
        """Receive nothing for now: the kernel's buffer fills and the peer has to wait."""
        if self._state is _State.OPEN:
            self._want(self._events & ~EVENT_READ)

    def resume_reading(self) -> None:
        """Receive again."""
        if self._state is _State.OPEN:
            self._want(self._events | EVENT_READ)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run `call` in the loop's next turn."""
        self._loop.call_soon(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Run `call` when so many seconds have passed."""
        return self._loop.call_later(seconds, call)

    # ---- for the loop ----

    def __call__(self, mask: int) -> None:
        """The descriptor is ready, or was when the system was asked."""
        if mask & EVENT_WRITE and self._state is not _State.CLOSED:
            self.flush()
        if mask & self._events & EVENT_READ and self._state is not _State.CLOSED:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close(CloseReason.LOST)
            return
        if self._state is _State.OPEN:
            if data:
                self.owner.received(data)
            else:
                self._reason = CloseReason.PEER
                self._want(self._events & ~EVENT_READ)
                self.owner.ended()
        elif not data:
            self._peer_ended_while_finishing()

    def _peer_ended_while_finishing(self) -> None:
        if self._state is _State.LINGERING:
            self.close(self._reason)
        else:
            self._want(self._events & ~EVENT_READ)

    def flush(self) -> None:
        """Send what is pending; what the kernel does not take waits until it does."""
        if self._state is _State.CLOSED or (self._out and not self._send_out()):
            return
        if self._streams:
            self._flush_streams()
        elif self._blocked or self._congested or self._state is not _OPEN:
            self._flushed()

    def _flush_streams(self) -> None:
        budget = HIGH_WATER  # so that one long stream leaves the turn to others
        while self._streams and budget > 0:
            budget -= self._pull()
            if self._state is _State.CLOSED or (self._out and not self._send_out()):
                return
        if self._streams:
            self._block(progress=True)
        else:
            self._flushed()

    def _send_out(self) -> bool:
        """Hand all of `_out` to the kernel; False when it did not take everything."""
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close(CloseReason.LOST)
            return False
        self._pending -= sent
        if sent == len(data):
            out.clear()
            self._piece = 0
            return True
        self._out[:] = [data[sent:]]
        if self._pending - self._piece > self._bound.size:
            log.warning("closing %s: reads too slowly, %d bytes wait (%s)", self, self._pending, self._bound.setting)
            self.close(CloseReason.SLOW_READER)
        else:
            self._block(progress=sent > 0)
        return False

    def _pull(self) -> int:
        """Take the next piece of the first stream, or end that stream; return the bytes taken."""
        assert self._streams
        chunks, behind = self._streams[0]
        try:
            chunk = next(chunks, None)
        except Exception:
            log.exception("error while making output")
            self.close(CloseReason.FAULT)
            return 0
        if chunk is None:
            self._streams.popleft()
            self._out = behind
            return 0
        if not chunk:
            return PIECE_COST
        self._out.append(chunk)
        if not isinstance(chunks, Receipt):  # whose piece was counted when it was queued
            self._pending += len(chunk)
            self._piece = len(chunk)
        return max(len(chunk), PIECE_COST)

    def _block(self, *, progress: bool) -> None:
        """Go on when the peer has read more; give it up when it takes nothing for too long."""
        if progress or not self._blocked:
            self._progress = time.monotonic()
            self._in_kernel = bytes_in_kernel(self._sock)
        if not self._blocked:
            self._blocked = True
            self._want(self._events | EVENT_WRITE)
            if self._stall is None:
                self._stall = self._loop.call_later(self._loop.stall_seconds, self._stalled)
        self._count()

    def _stalled(self) -> None:
        self._stall = None
        if not self._blocked:
            return
        in_kernel = bytes_in_kernel(self._sock)
        if in_kernel < self._in_kernel:  # the kernel says that it can be written only when much has left
            self._in_kernel = in_kernel
            self._progress = time.monotonic()
        rest = self._progress + self._loop.stall_seconds - time.monotonic()
        if rest > 0:
            self._stall = self._loop.call_later(rest, self._stalled)
        else:
            log.warning("closing %s: has taken nothing for %g seconds (stall-seconds)", self, self._loop.stall_seconds)
            self.close(CloseReason.SLOW_READER)

    def _said_nothing(self) -> None:
        self._login = None
        if self._state is _State.OPEN:
            log.info("closing %s: has said nothing for %g seconds (login-seconds)", self, self._loop.login_seconds)
            self.close(CloseReason.SILENT)

    def _flushed(self) -> None:
        if self._blocked:
            self._blocked = False
            self._count()
            self._want(self._events & ~EVENT_WRITE)
        if self._state is _State.FINISHING:
            self._linger()
        elif self._congested:
            self._congested = False
            self.owner.drained()

    def _linger(self) -> None:
        """All has left: end our side, and give the peer a while to end its own."""
        self._state = _State.LINGERING
        try:
            self._sock.shutdown(socket.SHUT_WR)
            ended = any(not self._sock.recv(READ_SIZE) for _ in range(DISCARDED_READS))
        except BlockingIOError:
            ended = self._loop.draining  # nothing is unread, and there is no time to wait
        except OSError:
            ended = True  # the peer has gone first
        if ended:
            self.close(self._reason)
        else:
            self._loop.call_later(LINGER_SECONDS, self.linger_no_longer)

    def check_for_reset(self) -> None:
        """Find out that the peer is gone while neither reading nor writing would tell."""
        if self._state is not _State.CLOSED and self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close(CloseReason.LOST)

    def check_for_silence(self, seconds: float) -> None:
        """Give up a peer that has acknowledged nothing for so long while something is on its way to it."""
        if self._state is not _State.CLOSED and unacknowledged_for(self._sock) > seconds:
            log.warning("closing %s: its machine has been silent for %g seconds (keepalive-seconds)", self, seconds)
            self.close(CloseReason.LOST)

    def linger_no_longer(self) -> None:
        """There is no time to wait for the peer's end."""
        if self._state is _State.LINGERING:
            self.close(self._reason)

    def _want(self, events: int) -> None:
        if events == self._events:
            return
        selector = self._loop._selector
        if not self._events:
            selector.register(self._sock, events, self)
            self._loop._deaf.pop(self, None)
        elif not events:
            selector.unregister(self._sock)
            self._loop._deaf[self] = None
            self._loop.check_later()
        else:
            selector.modify(self._sock, events, self)
        self._events = events

    def _free(self) -> None:
        if self._events:
            self._loop._selector.unregister(self._sock)
        self._loop._deaf.pop(self, None)
        self._sock.close()
        self._out.clear()
        self._loop.connections.discard(self)
        self._loop._dialled.discard(self)
        self._loop.closed[self._reason] += 1
        self._loop.buffers.count(self, 0)
        self.has_spoken()
        if self._address:
            self._loop.leave_address(self._address)
        if self._stall is not None:
            self._loop.cancel(self._stall)
        for chunks, _behind in self._streams or ():
            _close_iterator(chunks)
        if hasattr(self, "owner"):  # not where a mistake kept it from getting one
            self.owner.lost(self._reason)
            del self.owner  # which has a reference to this connection: without the circle both are freed at once


def _close_iterator(chunks: Iterator[bytes]) -> None:
    close: Any = getattr(chunks, "close", None)
    if close is not None:
        close()


def _system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _reason(error: Exception) -> str:
    """What an error says, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
