"""net/loop.py: descriptors, deadlines, slow work."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import random
import selectors
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.peer import PATIENCE
from net.connection import Connection
from net.dialer import LOOK_UP_THREADS
from net.endpoint import READ_SIZE
from net.loop import Loop
from net.pool import PoolFull
from net.reactor import MAX_WAIT, THREADSAFE_CALLS_PER_TURN, TURN_SECONDS
from net.table import HIGH_WATER, STALL_SECONDS, Buffers, CloseReason
from net.tcp import bytes_in_kernel, find_places, host_of, unacknowledged_for
from net.timers import Deadlines
from protocol import Session
from support import EXAMPLES, World, raising

MAX_OUT = 1024 * 1024


# ---- what the tests use ----


class CountingSelector(selectors.DefaultSelector):
    """Notes what it is asked for: (call, events)."""

    calls: list[tuple[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self.calls.append(("register", events))
        return super().register(fileobj, events, data)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self.calls.append(("modify", events))
        return super().modify(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        self.calls.append(("unregister", 0))
        return super().unregister(fileobj)


class ScriptedSocket(socket.socket):
    """A socket that notes what is sent, and takes only as much as `takes` says: a number for each send."""

    def __init__(self, other: socket.socket) -> None:
        super().__init__(fileno=other.detach())
        self.takes: list[int] = []
        self.sends: list[int] = []

    def send(self, data: Any, flags: int = 0) -> int:
        self.sends.append(len(data))
        if not self.takes:
            return super().send(data, flags)
        takes = self.takes.pop(0)
        if not takes:
            raise BlockingIOError
        return super().send(data[:takes], flags)


class Owner:
    """A receiver that notes what it is told."""

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection
        self.data = b""
        self.told: list[str] = []
        self.lost_for: list[CloseReason] = []
        self.on_data: Callable[[bytes], None] = lambda _data: None

    def received(self, data: bytes) -> None:
        self.data += data
        self.on_data(data)

    def ended(self) -> None:
        self.told.append("ended")

    def drained(self) -> None:
        self.told.append("drained")

    def lost(self, reason: CloseReason) -> None:
        self.lost_for.append(reason)


def connection_of(owner: Owner) -> Connection:
    """The connection that this owner was made for."""
    assert owner.connection is not None
    return owner.connection


class Outcome:
    """What came of a dial."""

    def __init__(self) -> None:
        self.owners: list[Owner] = []
        self.reasons: list[str] = []
        self.on_failure: Callable[[], object] = lambda: None

    @property
    def told(self) -> int:
        return len(self.owners) + len(self.reasons)

    @property
    def owner(self) -> Owner:
        """Of the connection that has come, and of no other."""
        assert self.reasons == []
        [owner] = self.owners
        return owner

    def connected(self, connection: Connection) -> Owner:
        self.owners.append(Owner(connection))
        return self.owners[-1]

    def failed(self, reason: str) -> None:
        self.reasons.append(reason)
        self.on_failure()


class Stage:
    """A loop, the connections in it, and the peers outside."""

    def __init__(self, **options: Any) -> None:
        self.loop = Loop(**options)
        self._sockets: list[socket.socket] = []

    @property
    def selector(self) -> CountingSelector:
        selector = self.loop._selector
        assert isinstance(selector, CountingSelector)
        return selector

    def keep(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(PATIENCE)
        self._sockets.append(sock)
        return sock

    def pair(self) -> tuple[Connection, Owner, socket.socket, ScriptedSocket]:
        """Give a connection, its owner, the peer, and the socket of the connection."""
        ours, theirs = socket.socketpair()
        scripted = ScriptedSocket(ours)
        owner = Owner()
        connection = owner.connection = self.loop.connect(scripted, owner)
        return connection, owner, self.keep(theirs), scripted

    def accept(self, count: int = 1) -> tuple[list[Owner], list[socket.socket]]:
        """Have peers connect over TCP; give the owners of the connections, and the peers, in the same order."""
        owners: list[Owner] = []

        def accepted(connection: Connection) -> Owner:
            owners.append(Owner(connection))
            return owners[-1]

        address = self.listen(accepted)
        peers = [self.dial(address) for _ in range(count)]
        self.until(lambda: len(owners) == count)
        return owners, peers

    def listen(self, accepted: Callable[[Connection], Any] = Owner) -> tuple[str, int]:
        """Listen and give the address."""
        sock = socket.create_server(("127.0.0.1", 0))
        address: tuple[str, int] = sock.getsockname()
        self.loop.listen(sock, accepted)
        return address

    def dial(self, address: tuple[str, int]) -> socket.socket:
        return self.keep(socket.create_connection(address, PATIENCE))

    def call_out(
        self,
        place: tuple[str, int],
        outcome: Outcome | None = None,
        *,
        source: str | None = None,
        seconds: float = 10 * PATIENCE,
    ) -> Outcome:
        """Have the loop dial. Nothing comes of it before the next turn."""
        outcome = outcome or Outcome()
        told = outcome.told
        self.loop.dial(*place, source=source, seconds=seconds, connected=outcome.connected, failed=outcome.failed)
        assert outcome.told == told
        return outcome

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until something is true."""
        late = False

        def give_up() -> None:
            nonlocal late
            late = True

        deadline = self.loop.call_later(PATIENCE, give_up)
        self.loop.call_soon(lambda: None)  # what was queued between two turns leaves in the first one
        while not condition():
            assert not late, "this did not come"
            self.loop.turn()
        self.loop.cancel(deadline)

    def turn(self) -> None:
        """One turn that waits for nothing."""
        self.loop.call_soon(lambda: None)
        self.loop.turn()

    def close(self) -> None:
        self.loop.close()
        for sock in self._sockets:
            sock.close()


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "DefaultSelector", CountingSelector)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(max_out_buffer=MAX_OUT)
    yield stage
    stage.close()


def open_descriptors() -> int | None:
    """How many this process has, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None


def put(sock: socket.socket, data: bytes) -> None:
    while data:
        data = data[sock.send(data) :]


def get(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"the end after {len(data)} bytes"
        data += piece
    return data


# ---- deadlines ----


def test_deadlines_are_due_in_order_and_once() -> None:
    deadlines, called = Deadlines(), list[float]()
    times = [3.0, 1.0, 2.0, 1.0, 5.0]
    for order, when in enumerate(times):
        deadlines.add(when, lambda mark=when + order / 100: called.append(mark))  # type: ignore[misc]
    assert deadlines.nearest() == 1.0
    assert not list(deadlines.due(0.9))
    for call in deadlines.due(3.0):
        call()
    assert called == [1.01, 1.03, 2.02, 3.0]
    assert deadlines.nearest() == 5.0
    assert len(deadlines) == 1


def test_cancelled_deadlines_are_not_called_and_do_not_pile_up() -> None:
    deadlines = Deadlines()
    kept = deadlines.add(1e9, raising)
    for number in range(2000):
        deadlines.cancel(deadlines.add(float(number), raising))
        assert len(deadlines) <= 3
    assert deadlines.nearest() == 1e9
    deadlines.cancel(kept)
    deadlines.cancel(kept)
    assert deadlines.nearest() is None
    assert len(deadlines) == 0


def test_any_mix_of_deadlines_and_cancellations() -> None:
    chance = random.Random(1)
    deadlines, expected = Deadlines(), dict[int, float]()
    added = []
    for number in range(500):
        when = chance.random()
        added.append(deadlines.add(when, lambda number=number: called.append(number)))  # type: ignore[misc]
        expected[number] = when
        if chance.random() < 0.6:
            victim = chance.randrange(len(added))
            deadlines.cancel(added[victim])
            expected.pop(victim, None)
    called: list[int] = []
    for call in deadlines.due(1.0):
        call()
    assert called == sorted(expected, key=lambda number: (expected[number], number))
    assert len(deadlines) == 0
    assert deadlines.nearest() is None


def test_a_deadline_may_cancel_another_that_is_due() -> None:
    deadlines, called = Deadlines(), list[str]()

    def first() -> None:
        called.append("first")
        deadlines.cancel(second)

    deadlines.add(1.0, first)
    second = deadlines.add(1.0, raising)
    deadlines.add(1.0, lambda: called.append("third"))
    for call in deadlines.due(2.0):
        call()
    assert called == ["first", "third"]
    deadlines.cancel(second)
    assert deadlines.nearest() is None


def test_the_loop_calls_later(stage: Stage) -> None:
    called: list[str] = []
    started = time.monotonic()
    stage.loop.call_later(0.02, lambda: called.append("second"))
    stage.loop.call_later(0.01, lambda: called.append("first"))
    stage.loop.cancel(stage.loop.call_later(0.015, raising))
    stage.until(lambda: len(called) == 2)
    assert called == ["first", "second"]
    assert time.monotonic() - started >= 0.02


def test_a_deadline_far_away_is_waited_for_in_pieces(stage: Stage) -> None:
    for seconds in (1e12, 1e300, float("inf")):
        stage.loop.call_later(seconds, lambda: None)
        assert stage.loop._timeout() == MAX_WAIT
        stage.turn()
    with selectors.DefaultSelector() as selector:
        reader, writer = socket.socketpair()
        selector.register(reader, selectors.EVENT_READ)
        writer.send(b"x")
        assert selector.select(MAX_WAIT)
        reader.close()
        writer.close()


def test_a_flood_from_another_thread_shares_its_turns(stage: Stage) -> None:
    called: list[int] = []
    for number in range(3 * THREADSAFE_CALLS_PER_TURN):
        stage.loop.call_threadsafe(partial(called.append, number))
    stage.turn()
    assert len(called) == THREADSAFE_CALLS_PER_TURN
    stage.until(lambda: len(called) == 3 * THREADSAFE_CALLS_PER_TURN)
    assert called == sorted(called)


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn has time for one piece of work of each kind."""
    monkeypatch.setattr("net.reactor.TURN_SECONDS", 0.0)


@pytest.mark.usefixtures("no_time")
def test_what_a_turn_has_no_time_for_comes_first_in_the_next_one(stage: Stage) -> None:
    served: list[int] = []
    pairs = [stage.pair() for _ in range(4)]
    for number, (_connection, owner, peer, _sock) in enumerate(pairs):
        owner.on_data = lambda _data, number=number: served.append(number)  # type: ignore[misc]
        put(peer, b"x" * 3 * READ_SIZE)
    for turn in range(12):
        stage.turn()
        assert len(served) == turn + 1
    rounds = [served[start : start + 4] for start in (0, 4, 8)]
    assert [sorted(round_) for round_ in rounds] == [[0, 1, 2, 3]] * 3


@pytest.mark.usefixtures("no_time")
def test_calls_and_input_have_their_own_shares_of_a_turn(stage: Stage) -> None:
    called: list[str] = []
    _connection, owner, peer, _sock = stage.pair()
    owner.on_data = lambda _data: called.append("input")
    for _ in range(3):
        stage.loop.call_soon(lambda: called.append("soon"))
        stage.loop.call_threadsafe(lambda: called.append("thread"))
    put(peer, b"x")
    stage.loop._woken(0)
    stage.loop.turn()
    assert called == ["input", "soon", "thread"]
    stage.loop.turn()
    stage.loop.turn()
    assert called == ["input", *["soon", "thread"] * 3]


@pytest.mark.usefixtures("no_time")
def test_no_deadline_runs_before_input_that_had_arrived(stage: Stage) -> None:
    """However many others are served first, and not for ever: who comes later does not put it off."""
    pairs = [stage.pair() for _ in range(3)]
    told: list[str] = []
    for _connection, owner, _peer, _sock in pairs:
        owner.on_data = lambda data: told.append(data[:1].decode())
    stage.loop.call_later(0, lambda: told.append("deadline"))
    for name, (_connection, _owner, peer, _sock) in zip("abc", pairs, strict=True):
        put(peer, name.encode() * 3 * READ_SIZE)
    while "deadline" not in told:
        stage.turn()
    assert told.count("a") == told.count("b") == told.count("c") == 2  # a turn of each, and a last look at all


def test_a_process_that_stood_still_asks_for_input_before_its_deadlines(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop and a continue the system's answer is that nothing came, without having looked."""
    told: list[str] = []
    _connection, owner, peer, _sock = stage.pair()
    owner.on_data = lambda data: told.append(data.decode())
    stage.loop.call_later(0, lambda: told.append("deadline"))
    answers, select = [[]], stage.selector.select  # type: ignore[var-annotated]
    monkeypatch.setattr(stage.selector, "select", lambda timeout: answers.pop() if answers else select(timeout))
    put(peer, b"typed")
    stage.loop.turn()
    assert told == ["typed", "deadline"]


@pytest.mark.usefixtures("no_time")
def test_an_event_that_waited_for_its_turn_may_be_stale(stage: Stage) -> None:
    first, other = stage.pair(), stage.pair()
    address = stage.listen()
    accepted = len(stage.loop.connections)
    stage.dial(address)
    for _connection, _owner, peer, _sock in (first, other):
        put(peer, b"x")
    stage.turn()
    assert len(stage.loop._ready) == 2
    for connection, owner, _peer, _sock in (first, other):
        if not owner.data:
            connection.pause_reading()
    stage.loop.stop_listening()
    for _ in range(3):
        stage.turn()
    assert len(first[1].data + other[1].data) <= 1
    assert len(stage.loop.connections) <= accepted + 1


def test_a_connections_time_is_over_after_its_slice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _connection, owner, peer, _sock = stage.pair()
    yields: list[bool] = []
    owner.on_data = lambda _data: yields.append(_connection.must_yield)
    put(peer, b"x")
    stage.until(lambda: yields)
    monkeypatch.setattr("net.reactor.SLICE_SECONDS", 0.0)
    put(peer, b"x")
    stage.until(lambda: len(yields) == 2)
    assert yields == [False, True]


def test_a_connections_slice_is_smaller_where_many_are_ready(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    slices: list[float] = []
    for _ in range(50):
        _connection, owner, peer, _sock = stage.pair()
        owner.on_data = lambda _data: slices.append(stage.loop.slice_ends - 100)
        put(peer, b"x")
    stage.turn()
    assert slices == [pytest.approx(TURN_SECONDS / 50)] * 50


def test_calls_that_are_put_off_run_in_the_next_turn_without_waiting(stage: Stage) -> None:
    called: list[int] = []

    def again() -> None:
        called.append(len(called))
        stage.loop.call_soon(again)

    stage.loop.call_soon(again)
    stage.loop.turn()
    assert called == [0]
    stage.loop.turn()
    assert called == [0, 1]


def test_a_mistake_in_a_call_is_logged_and_the_loop_goes_on(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    stage.loop.call_soon(raising)
    stage.loop.call_soon(lambda: called.append("soon"))
    stage.loop.call_later(0, raising)
    stage.loop.call_later(0, lambda: called.append("later"))
    stage.loop.call_threadsafe(raising)
    stage.loop.call_threadsafe(lambda: called.append("handed in"))
    stage.until(lambda: len(called) == 3)
    assert caplog.text.count("RuntimeError: a mistake") == 3


def test_a_mistake_before_the_flush_does_not_keep_output_back(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    connection, _owner, peer, _sock = stage.pair()
    stage.loop.before_flush = raising
    connection.send(b"abc")
    stage.turn()
    assert get(peer, 3) == b"abc"
    assert "a mistake" in caplog.text


# ---- sending ----


def test_output_leaves_at_the_end_of_the_turn_in_one_send(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()

    def answer(_data: bytes) -> None:
        for number in range(100):
            connection.send(b"%d\n" % number)

    owner.on_data = answer
    put(peer, b"go")
    stage.until(lambda: owner.data)
    expected = b"".join(b"%d\n" % number for number in range(100))
    assert sock.sends == [len(expected)]
    assert get(peer, len(expected)) == expected


def test_the_journal_comes_before_the_answers(stage: Stage) -> None:
    connection, _owner, peer, sock = stage.pair()
    sends_at_commit: list[int] = []

    def commit() -> None:
        sends_at_commit.append(len(sock.sends))
        if len(sends_at_commit) == 1:
            connection.send(b"committed\n")

    stage.loop.before_flush = commit
    connection.send(b"before\n")
    stage.turn()
    assert sends_at_commit == [0, 1]
    assert sock.sends == [len(b"before\ncommitted\n")]
    assert get(peer, 17) == b"before\ncommitted\n"


def test_what_a_flush_brings_is_committed_and_sent_in_the_same_turn(stage: Stage) -> None:
    """The end of a stream may submit a change, whose outcome is more to be sent."""
    connection, _owner, peer, _sock = stage.pair()
    submitted: list[bytes] = []

    def commit() -> None:
        while submitted:
            connection.send(submitted.pop())

    def chunks() -> Iterator[bytes]:
        yield b"piece\n"
        submitted.append(b"outcome\n")

    stage.loop.before_flush = commit
    connection.stream(chunks())
    stage.turn()
    peer.setblocking(False)
    assert peer.recv(100) == b"piece\noutcome\n"


def test_interest_in_writing_is_asked_for_only_after_a_short_write(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    stage.selector.calls.clear()
    for _ in range(5):
        connection.send(b"abcdef")
        stage.turn()
    assert stage.selector.calls == []
    sock.takes = [4, 0]
    connection.send(b"123456")
    stage.turn()
    assert stage.selector.calls == [("modify", selectors.EVENT_READ | selectors.EVENT_WRITE)]
    connection.send(b"789")
    stage.until(lambda: len(sock.sends) >= 8)
    stage.turn()
    assert stage.selector.calls[1:] == [("modify", selectors.EVENT_READ)]
    assert get(peer, 39) == b"abcdef" * 5 + b"123456789"
    assert owner.told == []
    assert not connection.congested


def test_the_same_bytes_wait_for_many_without_a_copy(stage: Stage) -> None:
    data = b"x" * 1000
    pairs = [stage.pair() for _ in range(3)]
    for connection, *_ in pairs:
        connection.send(data)
        assert connection._out[0] is data
    stage.turn()
    for _connection, _owner, peer, _sock in pairs:
        assert get(peer, 1000) == data


def test_a_connection_is_congested_until_its_output_has_left(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    sock.takes = [0] * 3
    connection.send(b"x" * HIGH_WATER)
    assert not connection.congested
    connection.send(b"y")
    assert connection.congested
    stage.turn()
    assert connection.congested
    assert owner.told == []
    reader = threading.Thread(target=get, args=(peer, HIGH_WATER + 1))
    reader.start()
    stage.until(lambda: owner.told)
    reader.join()
    assert owner.told == ["drained"]
    assert not connection.congested


def test_much_output_does_not_wait_in_memory_for_the_end_of_the_turn(stage: Stage) -> None:
    connection, _owner, peer, sock = stage.pair()
    reader = threading.Thread(target=get, args=(peer, HIGH_WATER + 100))
    reader.start()
    connection.send(b"x" * (HIGH_WATER + 100))
    assert sock.sends == [HIGH_WATER + 100]
    stage.until(lambda: not connection.congested)
    reader.join()


def test_a_slow_reader_is_closed_with_its_reason(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    connection, owner, _peer, sock = stage.pair()
    other, _other_owner, other_peer, _ = stage.pair()
    sock.takes = [0] * 100
    for _ in range(MAX_OUT // 65536):
        connection.send(b"x" * 65536)
    stage.turn()
    assert owner.lost_for == []
    connection.send(b"y")
    assert owner.lost_for == []  # never from inside of a call
    stage.turn()
    assert owner.lost_for == [CloseReason.SLOW_READER]
    assert stage.loop.closed == {CloseReason.SLOW_READER: 1}
    assert connection not in stage.loop.connections
    assert "max-out-buffer" in caplog.text
    connection.send(b"z")
    other.send(b"still here")
    stage.turn()
    assert get(other_peer, 10) == b"still here"


def test_the_fullest_is_closed_when_all_buffers_are_too_full(caplog: pytest.LogCaptureFixture) -> None:
    with staged(max_out_buffer=MAX_OUT, max_buffers=100_000) as stage:
        pairs = [stage.pair() for _ in range(3)]
        for connection, _owner, _peer, sock in pairs:
            sock.takes = [0] * 100
            connection.send(b"x" * 20_000)
        assert stage.loop.table.buffers.total == 0  # within a turn nothing is counted
        stage.turn()
        assert stage.loop.table.buffers.total == 60_000
        first, second, third = (connection for connection, *_rest in pairs)
        second.hold_input(30_000)
        assert stage.loop.table.buffers.total == 90_000
        first.send(b"y" * 5_000)  # to one that takes nothing each byte counts at once
        assert stage.loop.table.buffers.total == 95_000
        third.send(b"y" * 6_000)
        assert stage.loop.table.buffers.total == 51_000
        stage.turn()
        assert [owner.lost_for for _connection, owner, *_rest in pairs] == [[], [CloseReason.FULLEST], []]
        assert "50000 bytes wait, the most of all" in caplog.text
        assert "(max-buffers)" in caplog.text
        assert stage.loop.closed[CloseReason.FULLEST] == 1
        for connection, _owner, _peer, sock in pairs:
            sock.takes = []
            if connection is not second:
                stage.until(lambda connection=connection: not connection.has_output)  # type: ignore[misc]
        assert stage.loop.table.buffers.total == 0
        first.close(CloseReason.PEER)
        first.hold_input(10)
        stage.turn()
        assert stage.loop.table.buffers.total == 0


def test_a_connection_that_is_closed_for_its_buffers_tells_no_receipt_but_failure() -> None:
    with staged(max_out_buffer=MAX_OUT, max_buffers=10_000) as stage:
        connection, owner, _peer, sock = stage.pair()
        sock.takes = [0] * 100
        told: list[bool] = []
        connection.send_with_receipt(b"x" * 20_000, told.append)
        connection.stream(iter([b"y" * 20_000] * 3))
        stage.turn()
        assert (told, owner.lost_for) == ([False], [CloseReason.FULLEST])
        assert stage.loop.table.buffers.total == 0


@EXAMPLES
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60))))
def test_buffers_are_within_their_bound_whatever_is_counted(counts: list[tuple[int, int]]) -> None:
    buffers, sizes = Buffers[Any](100), dict[Any, int]()

    class Closable:
        def close(self, reason: CloseReason) -> None:
            assert reason is CloseReason.FULLEST
            assert sizes.pop(self) == largest

    connections: list[Any] = [Closable() for _ in range(6)]
    for number, size in counts:
        sizes[connections[number]] = size
        largest = max(sizes.values())
        buffers.count(connections[number], size)
        assert buffers.total == sum(sizes.values()) <= 100


def test_a_reader_that_takes_all_is_no_slow_one(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    total = 3 * MAX_OUT
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(get(peer, total)))
    reader.start()
    for _ in range(total // 65536):
        connection.send(b"x" * 65536)
        stage.until(lambda: not connection.congested)
    stage.until(lambda: not connection._pending)
    reader.join()
    assert received == [b"x" * total]
    assert owner.lost_for == []


def test_a_reader_that_takes_nothing_for_too_long_is_closed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0] * 2 + [1] + [0] * 100
    connection.send(b"x" * 100)
    stage.turn()
    now += STALL_SECONDS - 1
    stage.turn()
    stage.turn()  # here it takes one byte
    now += STALL_SECONDS - 1
    stage.turn()
    assert owner.lost_for == []
    now += 1
    stage.turn()
    assert owner.lost_for == [CloseReason.SLOW_READER]
    assert "stall-seconds" in caplog.text
    assert not len(stage.loop._deadlines)


def test_a_reader_of_what_the_kernel_holds_is_not_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection, owner, peer, sock = stage.pair()
    connection.send(b"x" * 5000)
    stage.turn()
    sock.takes = [0] * 100
    connection.send(b"y")
    stage.turn()
    get(peer, 5000)
    for _ in range(2):
        assert owner.lost_for == []
        now += STALL_SECONDS
        stage.turn()
    assert owner.lost_for == [CloseReason.SLOW_READER]


def test_a_reader_that_catches_up_in_time_is_watched_no_longer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0]
    connection.send(b"x")
    stage.turn()
    stage.turn()
    assert sock.sends == [1, 1]
    now += STALL_SECONDS
    stage.turn()
    sock.takes = [0]
    connection.send(b"y")
    stage.turn()
    now += STALL_SECONDS - 1
    stage.turn()
    assert owner.lost_for == []


def test_a_finished_connection_does_not_wait_for_ever_for_its_reader() -> None:
    stage = Stage(stall_seconds=0.01)
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0] * 100_000
    connection.send(b"x")
    connection.finish()
    stage.until(lambda: owner.lost_for)
    stage.close()


def test_a_peer_that_is_gone_is_lost_once(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    peer.close()
    connection.send(b"abc")
    connection.send(b"def")
    stage.turn()
    stage.turn()
    assert len(owner.lost_for) == 1
    assert stage.loop.closed.total() == 1
    assert sock.fileno() == -1


# ---- streams ----


def numbered(log: list[str], size: int, count: int) -> Iterator[bytes]:
    try:
        for number in range(count):
            log.append(f"made {number}")
            yield b"%d" % (number % 10) * size
            log.append(f"left {number}")
        log.append("all")
    finally:
        log.append("closed")


def test_a_stream_is_made_only_as_the_peer_reads(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    log: list[str] = []
    sock.takes = [10, 6, 0, 4, 10, 0, 10]
    connection.send(b"head")
    sock.takes.insert(0, 4)
    connection.stream(numbered(log, 10, 3))
    assert connection.congested
    assert log == []
    connection.send(b"tail")
    stage.turn()
    assert log == ["made 0", "left 0", "made 1"]
    stage.turn()
    assert log[3:] == []
    stage.turn()
    assert log[3:] == ["left 1", "made 2", "left 2", "all", "closed"]
    assert owner.told == []
    stage.turn()
    assert owner.told == ["drained"]
    assert get(peer, 38) == b"head" + b"0" * 10 + b"1" * 10 + b"2" * 10 + b"tail"


def test_streams_follow_each_other_with_what_was_sent_between(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    connection.stream(iter([b"a", b"", b"b"]))
    connection.send(b"1")
    connection.stream(iter([]))
    connection.send(b"2")
    connection.stream(iter([b"c"]))
    connection.send(b"3")
    stage.turn()
    assert get(peer, 6) == b"ab12c3"
    assert owner.told == ["drained"]
    assert not connection.congested


def test_a_long_stream_leaves_the_turn_to_others(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    log: list[str] = []
    total = 20 * 65536
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(get(peer, total)))
    reader.start()
    connection.stream(numbered(log, 65536, 20))
    stage.turn()
    assert log.count("closed") == 0
    assert 1 <= len([line for line in log if line.startswith("made")]) <= HIGH_WATER // 65536 + 1
    stage.until(lambda: owner.told)
    reader.join()
    assert len(received[0]) == total
    assert log[-2:] == ["all", "closed"]


def test_a_stream_ends_with_its_connection(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    log: list[str] = []
    waiting: list[str] = []
    sock.takes = [5, 0, 0, 0]
    connection.stream(numbered(log, 10, 3))
    connection.stream(numbered(waiting, 10, 3))
    stage.turn()
    peer.close()
    stage.until(lambda: owner.lost_for)
    assert log == ["made 0", "closed"]
    assert waiting == []


def test_a_receipt_is_given_when_all_has_left(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    told: list[bool] = []
    sock.takes = [0, 5, 5, 0]
    connection.send(b"first")
    connection.send_with_receipt(b"second", told.append)
    connection.send(b"third")
    assert not connection.congested
    stage.turn()
    stage.turn()  # all of "first" leaves, and a part of "second"
    assert told == []
    stage.until(lambda: told)
    assert get(peer, 16) == b"firstsecondthird"
    assert told == [True]
    assert connection._pending == 0
    assert owner.told == []


def test_a_receipt_is_given_at_once_where_nothing_holds_the_output_up(stage: Stage) -> None:
    connection, _owner, peer, sock = stage.pair()
    told: list[bool] = []
    connection.send(b"first")
    connection.send_with_receipt(b"second", told.append)
    assert told == [True]
    assert sock.sends == [11]
    connection.send(b"third")
    stage.turn()
    assert sock.sends == [11, 5]
    assert get(peer, 16) == b"firstsecondthird"


def test_a_receipt_is_given_in_the_turn_in_which_the_output_leaves(stage: Stage) -> None:
    connection, _owner, peer, sock = stage.pair()
    sock.takes = [2]
    other, _other_owner, other_peer, _ = stage.pair()
    connection.send_with_receipt(b"ping", lambda has_left: other.send(b"left" if has_left else b"lost"))
    assert sock.sends == [4]
    stage.turn()
    assert get(peer, 4) == b"ping"
    other_peer.setblocking(False)
    assert other_peer.recv(10) == b"left"


@pytest.mark.parametrize("already", [True, False])
def test_a_receipt_of_a_connection_that_ends_says_so(stage: Stage, already: bool) -> None:
    connection, _owner, _peer, sock = stage.pair()
    told: list[bool] = []
    sock.takes = [3, 0, 0]
    if already:
        connection.close(CloseReason.FAULT)
    connection.send_with_receipt(b"12345", told.append)
    connection.send_with_receipt(b"67890", told.append)
    assert told == []  # never from inside of a call
    stage.turn()
    connection.close(CloseReason.FAULT)
    stage.turn()
    assert told == [False, False]


def test_what_waits_with_a_receipt_counts_for_a_slow_reader(stage: Stage) -> None:
    connection, owner, _peer, sock = stage.pair()
    told: list[bool] = []
    sock.takes = [0] * 100
    for _ in range(MAX_OUT // 65536):
        connection.send_with_receipt(b"x" * 65536, told.append)
    stage.turn()
    assert (owner.lost_for, told) == ([], [])
    connection.send_with_receipt(b"y", told.append)
    stage.turn()
    assert owner.lost_for == [CloseReason.SLOW_READER]
    assert told == [False] * (MAX_OUT // 65536 + 1)


def test_a_receipt_waits_behind_a_stream_and_is_given_to_a_finished_connection(stage: Stage) -> None:
    connection, _owner, peer, _sock = stage.pair()
    log: list[str] = []
    connection.stream(numbered(log, 10, 3))
    connection.send_with_receipt(b"last", lambda has_left: log.append(f"left {has_left}"))
    connection.finish()
    stage.turn()
    assert log[-2:] == ["closed", "left True"]
    assert get(peer, 34).endswith(b"last")


def test_a_mistake_of_who_gets_a_receipt_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    connection, owner, peer, sock = stage.pair()
    sock.takes = [0]
    connection.send_with_receipt(b"ping", raising)
    stage.turn()
    stage.turn()
    assert get(peer, 4) == b"ping"
    assert "a mistake" in caplog.text
    assert owner.lost_for == []


def test_a_stream_for_a_closed_connection_is_closed(stage: Stage) -> None:
    connection, _owner, _peer, _sock = stage.pair()
    connection.close(CloseReason.FAULT)
    log: list[str] = []
    generator = numbered(log, 10, 3)
    next(generator)
    connection.stream(generator)
    assert log == ["made 0", "closed"]
    connection.stream(iter([b"no generator"]))
    stage.turn()


def test_a_mistake_in_a_stream_closes_only_its_connection(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    connection, owner, _peer, _sock = stage.pair()
    other, other_owner, other_peer, _ = stage.pair()

    def chunks() -> Iterator[bytes]:
        yield b"piece"
        raising()

    connection.stream(chunks())
    other.send(b"abc")
    stage.turn()
    assert owner.lost_for == [CloseReason.FAULT]
    assert other_owner.lost_for == []
    assert get(other_peer, 3) == b"abc"
    assert "a mistake" in caplog.text


def test_a_piece_of_a_stream_may_be_larger_than_what_may_wait() -> None:
    """A stream is made as fast as the peer reads, so its pieces make nobody a slow reader."""
    stage = Stage(max_out_buffer=65536)
    try:
        connection, owner, peer, sock = stage.pair()
        sock.takes = [10, 0, 100]
        connection.stream(iter([b"x" * 150_000, b"y" * 150_000]))
        stage.turn()
        connection.send(b"z" * 60_000)
        stage.turn()
        assert owner.lost_for == []
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(get(peer, 360_000)))
        reader.start()
        stage.until(lambda: owner.told)
        reader.join()
        assert received == [b"x" * 150_000 + b"y" * 150_000 + b"z" * 60_000]
        sock.takes = [10, 0, 0, 0]
        connection.stream(iter([b"x" * 150_000]))
        connection.send(b"z" * 66_000)
        stage.turn()
        assert owner.lost_for == [CloseReason.SLOW_READER]
    finally:
        stage.close()


def test_a_reader_that_leaves_a_stream_alone_while_much_is_sent_behind_it_is_slow(stage: Stage) -> None:
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0] * 1000
    connection.stream(iter([b"x" * 1000]))
    stage.turn()
    for _ in range(MAX_OUT // 65536 + 1):
        connection.send(b"y" * 65536)
    stage.turn()
    assert owner.lost_for == [CloseReason.SLOW_READER]


def test_drained_inside_of_an_answer_does_not_mix_a_sessions_answers(stage: Stage) -> None:
    """More than HIGH_WATER of answers in one turn, and a stream among them, for a peer that takes all at once."""
    with World() as world:
        alice = world.user("alice", "room")
        alice.ask(*[f"SAY room {number}" for number in range(3)])
        # With these, eight answers to CHANNELS have HIGH_WATER bytes: one byte more is much.
        alice.ask(f"CREATE {'y' * 9}", *[f"CREATE {number:03}{'x' * 61}" for number in range(496)])
        assert len(f"{alice.ask('CHANNELS')[0]}\n") * 8 == HIGH_WATER
        alice.ask("LOGOUT")
        ours, theirs = socket.socketpair()
        stage.keep(theirs)

        class Taking(ScriptedSocket):
            """The kernel of a peer who reads as fast as we send."""

            taken = b""

            def send(self, data: Any, flags: int = 0) -> int:
                self.taken += data
                return len(data)

        sock = Taking(ours)
        connection = stage.loop.connect(sock, Owner())
        connection.owner = Session(connection, world.dialect)
        stage.loop.before_flush = world.chat.journal.commit
        put(theirs, b"LOGIN alice alice\n")
        stage.until(lambda: sock.taken)
        put(theirs, (b"CHANNELS\n" * 8 + b"HISTORY room\nPING\n") * 2)
        stage.until(lambda: sock.taken.count(b"RESULT PING 1\n") == 2)
        heads = [b" ".join(line.split(b" ", 2)[:2]) for line in sock.taken.split(b"\n")[1:-1]]
        expected = [b"RESULT CHANNELS"] * 8 + [b"RESULT HISTORY"] + [b"RECV alice"] * 3 + [b"RESULT PING"]
        assert heads == expected * 2


# ---- receiving and ending ----


def test_one_connection_hands_in_a_bounded_amount_each_turn(stage: Stage) -> None:
    _connection, owner, peer, _sock = stage.pair()
    sizes: list[int] = []
    owner.on_data = lambda data: sizes.append(len(data))
    writer = threading.Thread(target=put, args=(peer, b"x" * 5 * READ_SIZE))
    writer.start()
    while sum(sizes) < 5 * READ_SIZE:
        before = len(sizes)
        stage.until(lambda before=before: len(sizes) > before)  # type: ignore[misc]
    writer.join()
    assert max(sizes) <= READ_SIZE
    assert owner.data == b"x" * 5 * READ_SIZE


def test_a_half_closed_peer_still_gets_its_answers(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    put(peer, b"last")
    peer.shutdown(socket.SHUT_WR)
    stage.until(lambda: owner.told)
    assert owner.data == b"last"
    assert owner.told == ["ended"]
    assert owner.lost_for == []
    connection.send(b"answer")
    connection.finish()
    stage.until(lambda: owner.lost_for)
    assert get(peer, 6) == b"answer"
    assert peer.recv(1) == b""
    assert owner.lost_for == [CloseReason.PEER]
    assert owner.told == ["ended"]


def test_a_peer_that_ended_does_not_keep_the_loop_turning(stage: Stage) -> None:
    _connection, owner, peer, _sock = stage.pair()
    peer.shutdown(socket.SHUT_WR)
    stage.until(lambda: owner.told)
    stage.loop.call_later(0.05, stage.loop.stop)
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1

    stage.loop.before_flush = count
    stage.loop.run()
    assert turns <= 3


@pytest.mark.parametrize("before", ["paused", "ended"])
def test_a_reset_is_noticed_while_nothing_is_read_or_written(
    stage: Stage, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.table.CHECK_SECONDS", 0.001)
    (owner,), (peer,) = stage.accept()
    if before == "ended":
        peer.shutdown(socket.SHUT_WR)
        stage.until(lambda: owner.told)
    else:
        connection_of(owner).pause_reading()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.LOST]


def test_a_peer_that_acknowledges_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(keepalive_seconds=5)
    silent: dict[socket.socket, float] = {}
    monkeypatch.setattr("net.connection.unacknowledged_for", lambda sock: silent.get(sock, 0.0))
    monkeypatch.setattr("net.table.CHECK_SECONDS", 0.001)
    owners, _peers = stage.accept(8)
    silent[connection_of(owners[3])._sock] = 5.1
    silent[connection_of(owners[4])._sock] = 4.9
    stage.until(lambda: owners[3].lost_for)
    assert [owner.lost_for for owner in owners if owner.lost_for] == [[CloseReason.LOST]]
    assert "keepalive-seconds" in caplog.text
    stage.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="a system that does not tell")
def test_a_peer_that_does_not_read_is_not_silent(stage: Stage) -> None:
    (owner,), (peer,) = stage.accept()
    connection = connection_of(owner)
    sock = connection._sock
    assert unacknowledged_for(sock) == 0
    while not connection._blocked:
        connection.send(b"x" * 65536)
        stage.turn()
    assert bytes_in_kernel(sock) > 0
    assert unacknowledged_for(sock) < PATIENCE
    assert unacknowledged_for(peer) == 0
    ours, theirs = socket.socketpair()
    assert unacknowledged_for(ours) == bytes_in_kernel(ours) == 0
    ours.close()
    theirs.close()
    assert bytes_in_kernel(ours) == 0


def test_reading_can_be_paused(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    connection.pause_reading()
    connection.pause_reading()
    put(peer, b"abc")
    stage.turn()
    stage.turn()
    assert owner.data == b""
    connection.resume_reading()
    stage.until(lambda: owner.data)
    assert owner.data == b"abc"


def test_finish_drops_input_and_later_output(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    connection.send(b"bye")
    connection.finish()
    connection.send(b"too late")
    connection.finish()
    put(peer, b"not heard")
    stage.turn()
    assert owner.data == b""
    assert owner.lost_for == []
    assert get(peer, 3) == b"bye"
    assert peer.recv(1) == b""
    peer.close()
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.GOODBYE]
    assert owner.data == b""


def test_the_last_words_arrive_although_input_is_unread(stage: Stage) -> None:
    """Closing a TCP socket with unread input sends a reset, which takes what is on its way along."""
    owners: list[Owner] = []

    def accepted(connection: Connection) -> Owner:
        owner = Owner(connection)
        owners.append(owner)

        def goodbye(_data: bytes) -> None:
            connection.send(b"bye" * 1000)
            connection.finish()

        owner.on_data = goodbye
        return owner

    peer = stage.dial(stage.listen(accepted))
    peer.setblocking(False)
    sent = 0
    while sent < 8 * READ_SIZE:
        try:
            sent += peer.send(b"x" * READ_SIZE)
        except BlockingIOError:
            break
    assert sent > READ_SIZE
    peer.settimeout(PATIENCE)
    stage.until(lambda: owners and owners[0].data)
    stage.turn()
    assert get(peer, 3000) == b"bye" * 1000
    assert peer.recv(1) == b""
    assert owners[0].lost_for == []
    peer.close()
    stage.until(lambda: owners[0].lost_for)
    assert owners[0].lost_for == [CloseReason.GOODBYE]


def test_a_peer_that_never_ends_is_not_waited_for_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.connection.LINGER_SECONDS", 0.01)
    connection, owner, _peer, _sock = stage.pair()
    connection.finish()
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.GOODBYE]
    stage.until(lambda: not len(stage.loop._deadlines) > 1)


def test_a_connection_that_was_not_read_is_read_to_its_end_when_it_finishes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.connection.LINGER_SECONDS", 10 * PATIENCE)
    connection, owner, peer, _sock = stage.pair()
    connection.pause_reading()
    put(peer, b"x" * 1000)
    stage.turn()
    connection.finish()
    stage.turn()
    assert peer.recv(1) == b""
    assert owner.lost_for == []
    put(peer, b"x" * 1000)
    peer.shutdown(socket.SHUT_WR)
    stage.until(lambda: owner.lost_for)
    assert owner.data == b""


def test_finish_waits_for_a_slow_reader_and_its_stream(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    log: list[str] = []
    sock.takes = [3, 0, 2]
    connection.stream(numbered(log, 5, 2))
    connection.send(b"bye")
    connection.finish()
    stage.until(lambda: len(sock.sends) >= 5)
    assert get(peer, 13) == b"0" * 5 + b"1" * 5 + b"bye"
    assert peer.recv(1) == b""
    assert log[-1] == "closed"
    peer.close()
    stage.until(lambda: owner.lost_for)


def test_close_drops_what_has_not_left_and_tells_later(stage: Stage) -> None:
    connection, owner, peer, sock = stage.pair()
    connection.send(b"abc")
    connection.close(CloseReason.FAULT)
    connection.close(CloseReason.LOST)
    connection.finish()
    connection.send(b"def")
    assert owner.lost_for == []
    stage.turn()
    assert owner.lost_for == [CloseReason.FAULT]
    assert sock.sends == []
    assert sock.fileno() == -1
    assert stage.loop.closed == {CloseReason.FAULT: 1}
    assert peer.recv(1) == b""
    connection.pause_reading()
    connection.resume_reading()
    stage.turn()
    assert owner.lost_for == [CloseReason.FAULT]


def test_an_ended_connection_is_freed_without_the_garbage_collector(stage: Stage) -> None:
    connection, owner, _peer, sock = stage.pair()
    freed = weakref.ref(owner)
    connection.close(CloseReason.PEER)
    gc.disable()
    try:
        stage.turn()
        del connection, owner, sock
        assert freed() is None
    finally:
        gc.enable()


def test_a_refused_connection_is_counted_as_such(stage: Stage) -> None:
    connection, owner, _peer, _sock = stage.pair()
    connection.refuse()
    stage.turn()
    assert owner.lost_for == [CloseReason.REFUSED]


def test_an_event_for_a_connection_that_was_closed_in_the_same_batch_is_stale(stage: Stage) -> None:
    pairs = [stage.pair() for _ in range(2)]
    for (_c, owner, peer, _s), (other, *_) in zip(pairs, reversed(pairs), strict=True):
        owner.on_data = lambda _data, other=other: other.close(CloseReason.GOODBYE)  # type: ignore[misc]
        put(peer, b"x")
    stage.loop.turn()
    heard = [owner.data for _c, owner, _p, _s in pairs]
    lost = [owner.lost_for for _c, owner, _p, _s in pairs]
    assert sorted(heard) == [b"", b"x"]
    assert sorted(map(len, lost)) == [0, 1]
    assert len(lost[heard.index(b"")]) == 1


def test_a_mistake_of_a_receiver_closes_only_its_connection(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    pairs = [stage.pair() for _ in range(3)]
    pairs[1][1].on_data = raising
    for _connection, _owner, peer, _sock in pairs:
        put(peer, b"x")
    stage.until(lambda: all(owner.data for _c, owner, _p, _s in pairs))
    stage.turn()
    assert [owner.lost_for for _c, owner, _p, _s in pairs] == [[], [CloseReason.FAULT], []]
    assert caplog.text.count("RuntimeError: a mistake") == 1
    pairs[0][0].send(b"alive")
    stage.turn()
    assert get(pairs[0][2], 5) == b"alive"


@pytest.mark.parametrize("where", ["ended", "drained", "lost"])
def test_a_mistake_elsewhere_in_a_receiver_is_survived(
    stage: Stage, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    connection, owner, peer, _sock = stage.pair()
    other, _other_owner, other_peer, _ = stage.pair()
    setattr(owner, where, raising)
    connection.stream(iter([b"x"]))
    stage.turn()
    peer.shutdown(socket.SHUT_WR)
    stage.turn()
    if where == "lost":
        connection.finish()
    stage.until(lambda: connection not in stage.loop.connections)
    assert "a mistake" in caplog.text
    assert owner.lost_for == ([] if where == "lost" else [CloseReason.FAULT])
    other.send(b"alive")
    stage.turn()
    assert get(other_peer, 5) == b"alive"


def test_a_reset_is_a_lost_connection(stage: Stage) -> None:
    (owner,), (peer,) = stage.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.LOST]
    assert not stage.loop.connections


# ---- accepting ----


def test_a_message_does_not_wait_for_an_acknowledgement(stage: Stage) -> None:
    (owner,), _peers = stage.accept()
    sock = connection_of(owner)._sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not sock.getblocking()


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="a system that does not tell")
@pytest.mark.parametrize(("seconds", "longest"), [(60, 60), (7, 7), (1, 4), (32767, 32767)])
def test_the_kernel_looks_after_silent_peers(seconds: int, longest: int) -> None:
    stage = Stage(keepalive_seconds=seconds)
    (owner,), _peers = stage.accept()
    sock = connection_of(owner)._sock

    def option(name: str) -> int:
        return sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    silence = option("TCP_KEEPIDLE") + option("TCP_KEEPCNT") * option("TCP_KEEPINTVL")
    assert seconds <= silence <= longest
    stage.close()


def test_without_keepalive_the_kernel_is_left_alone(stage: Stage) -> None:
    (owner,), _peers = stage.accept()
    sock = connection_of(owner)._sock
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_all_that_wait_are_accepted_in_one_turn(stage: Stage) -> None:
    address = stage.listen()
    for _ in range(10):
        stage.dial(address)
    stage.until(lambda: stage.loop.connections)
    assert len(stage.loop.connections) == 10


def test_a_flood_of_connections_shares_its_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.listener.ACCEPTS_PER_TURN", 3)
    address = stage.listen()
    for _ in range(10):
        stage.dial(address)
    counts = []
    while len(stage.loop.connections) < 10:
        stage.loop.turn()
        counts.append(len(stage.loop.connections))
    assert counts == [3, 6, 9, 10]


def test_more_clients_than_the_setting_allows_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(max_clients=2)
    try:
        address = stage.listen()
        first, _second, third = (stage.dial(address) for _ in range(3))
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED])
        assert third.recv(1) == b""
        assert len(stage.loop.connections) == 2 == stage.loop.client_ceiling
        assert "max-clients" in caplog.text
        first.close()
        for connection in stage.loop.connections:
            assert isinstance(connection.owner, Owner)
            connection.owner.ended = connection.finish  # type: ignore[method-assign]
        stage.until(lambda: len(stage.loop.connections) == 1)
        stage.dial(address)
        stage.until(lambda: len(stage.loop.connections) == 2)
    finally:
        stage.close()


@pytest.fixture
def from_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address is this machine's own."""
    monkeypatch.setattr("net.listener.is_loopback", lambda _address: False)


@contextlib.contextmanager
def staged(**options: Any) -> Iterator[Stage]:
    stage = Stage(**options)
    try:
        yield stage
    finally:
        stage.close()


@pytest.mark.usefixtures("from_far_away")
def test_one_address_has_a_share_of_the_clients(caplog: pytest.LogCaptureFixture) -> None:
    with staged(max_clients=8, address_share=25) as stage:
        address = stage.listen()
        peers = [stage.dial(address) for _ in range(3)]
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED] == 1)
        assert peers[2].recv(1) == b""
        assert "2 clients are connected from 127.0.0.1 (max-address-share)" in caplog.text
        assert stage.loop.table.clients_at == {"127.0.0.1": 2}
        for connection in list(stage.loop.connections):
            connection.close(CloseReason.PEER)
        stage.until(lambda: not stage.loop.connections)
        assert not stage.loop.table.clients_at
        stage.dial(address)
        stage.until(lambda: stage.loop.connections)


@pytest.mark.parametrize(("clients", "share", "ceiling"), [(8, 25, 2), (100, 1, 1), (3, 25, 1), (7, 100, 7)])
def test_a_share_is_a_part_of_all_and_one_at_least(clients: int, share: int, ceiling: int) -> None:
    with staged(max_clients=clients, address_share=share) as stage:
        assert stage.loop.table.address_ceiling == ceiling


def test_this_machine_has_no_share_and_no_time_to_log_in() -> None:
    with staged(max_clients=8, address_share=1, login_seconds=1) as stage:
        owners, _peers = stage.accept(8)
        assert not stage.loop.table.clients_at
        assert stage.loop._deadlines.nearest() is None
        assert all(connection_of(owner)._login is None for owner in owners)


@pytest.mark.parametrize(
    ("place", "host"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8::1", 5, 0, 0), "2001:db8::1"),
        ("", ""),
    ],
)
def test_the_host_of_a_socket_address(place: Any, host: str) -> None:
    assert host_of(place) == host


@pytest.mark.usefixtures("from_far_away")
def test_a_client_that_says_nothing_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with staged(login_seconds=0.05) as stage:
        (silent, other), (peer, _other) = stage.accept(2)
        connection_of(other).has_spoken()
        put(peer, b"no whole line")
        stage.until(lambda: silent.lost_for)
        assert silent.lost_for == [CloseReason.SILENT]
        assert "has said nothing for 0.05 seconds (login-seconds)" in caplog.text
        assert other.lost_for == []
        assert stage.loop._deadlines.nearest() is None


@pytest.mark.usefixtures("from_far_away")
def test_a_client_that_leaves_before_its_first_line_leaves_no_deadline() -> None:
    with staged(login_seconds=1000) as stage:
        (owner,), _peers = stage.accept()
        assert stage.loop._deadlines.nearest() is not None
        connection_of(owner).close(CloseReason.PEER)
        stage.turn()
        assert stage.loop._deadlines.nearest() is None


def test_a_listener_waits_at_the_descriptor_ceiling(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("net.table.descriptor_ceiling", lambda: 2)
    stage = Stage()
    try:
        owners: list[Owner] = []

        def accepted(connection: Connection) -> Owner:
            owners.append(Owner(connection))
            return owners[-1]

        address = stage.listen(accepted)
        peers = [stage.dial(address) for _ in range(4)]
        stage.until(lambda: "every descriptor" in caplog.text)
        for _ in range(3):
            stage.turn()
        assert len(owners) == 2
        assert caplog.text.count("every descriptor") == 1
        put(peers[3], b"waited")
        for number in (0, 1):
            connection = owners[number].connection
            assert connection is not None
            connection.close(CloseReason.GOODBYE)
        stage.until(lambda: len(owners) == 4 and owners[3].data)
        assert owners[3].data == b"waited"
        assert CloseReason.REFUSED not in stage.loop.closed
    finally:
        stage.close()


class FullTable(socket.socket):
    """A listening socket in a process that runs out of descriptors."""

    failures = 0
    error = errno.EMFILE

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(self.error, os.strerror(self.error))
        return super().accept()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_listener_tries_again_when_descriptors_run_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    monkeypatch.setattr("net.listener.ACCEPT_RETRY_SECONDS", 0.01)
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    sock = FullTable(fileno=listening.detach())
    sock.failures, sock.error = 2, error
    stage.loop.listen(sock, Owner)
    stage.dial(address)
    stage.until(lambda: stage.loop.connections)
    assert caplog.text.count("accept paused") == 2


@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.EINTR])
def test_a_client_that_is_gone_before_it_is_accepted_is_no_matter(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    sock = FullTable(fileno=listening.detach())
    sock.failures, sock.error = 1, error
    stage.loop.listen(sock, Owner)
    stage.dial(address)
    stage.until(lambda: stage.loop.connections)
    assert caplog.text == ""


def test_a_closed_listener_refuses_and_a_paused_one_can_be_closed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.listener.ACCEPT_RETRY_SECONDS", 0.01)
    address = stage.listen()
    listening = socket.create_server(("127.0.0.1", 0))
    paused_address = listening.getsockname()
    sock = FullTable(fileno=listening.detach())
    sock.failures = 1
    stage.loop.listen(sock, Owner)
    stage.dial(paused_address)
    stage.until(lambda: not sock.failures)
    stage.loop.stop_listening()
    for closed in (address, paused_address):
        with pytest.raises(ConnectionError):
            socket.create_connection(closed, PATIENCE)
    passed: list[bool] = []
    stage.loop.call_later(0.02, lambda: passed.append(True))
    stage.until(lambda: passed)
    assert not stage.loop.connections


def test_drain_stops_when_the_last_connection_has_gone(stage: Stage) -> None:
    stage.listen()
    connection, owner, peer, _sock = stage.pair()
    guard = stage.loop.call_later(PATIENCE, lambda: pytest.fail("the loop goes on"))
    stage.loop.drain(10 * PATIENCE)

    def retire() -> None:
        connection.send(b"bye")
        connection.finish()

    stage.loop.call_soon(retire)
    stage.loop.run()
    stage.loop.cancel(guard)
    assert get(peer, 3) == b"bye"
    assert owner.lost_for == [CloseReason.SHUTDOWN]


def test_drain_gives_those_their_answers_who_wait_for_one_who_does_not_read(stage: Stage) -> None:
    slow, _owner, _peer, sock = stage.pair()
    waiting, _waiting_owner, waiting_peer, _ = stage.pair()
    sock.takes = [0] * 100_000

    def answer(has_left: bool) -> None:
        waiting.send(b"left" if has_left else b"lost")
        waiting.finish()

    slow.send_with_receipt(b"x", answer)
    stage.loop.drain(0.01)
    stage.loop.run()
    assert get(waiting_peer, 4) == b"lost"
    assert waiting_peer.recv(1) == b""


def test_drain_does_not_wait_for_a_peer_to_whom_all_was_said(stage: Stage) -> None:
    connection, owner, peer, _sock = stage.pair()
    connection.send(b"bye")
    connection.finish()
    stage.turn()
    assert get(peer, 3) == b"bye"
    assert owner.lost_for == []
    stage.loop.call_soon(lambda: stage.loop.drain(PATIENCE))
    stage.loop.run()
    assert owner.lost_for == [CloseReason.GOODBYE]


def test_drain_stops_after_its_time(stage: Stage) -> None:
    stage.pair()
    stage.loop.drain(0.01)
    stage.loop.run()
    assert len(stage.loop.connections) == 1


def test_drain_stops_at_once_when_nobody_is_there(stage: Stage) -> None:
    stage.loop.drain(10 * PATIENCE)
    stage.loop.run()


def test_closing_the_loop_frees_every_descriptor_and_tells_the_owners() -> None:
    before = open_descriptors()
    stage = Stage()
    stage.listen()
    _connection, owner, _peer, sock = stage.pair()
    stage.close()
    assert owner.lost_for == [CloseReason.SHUTDOWN]
    assert sock.fileno() == -1
    assert open_descriptors() == before


# ---- dialling ----


@pytest.fixture
def leaving_nothing_open() -> Iterator[None]:
    """Every descriptor that a test opens is closed in the end. Comes before the fixtures that open some."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def remote_server(stage: Stage) -> tuple[socket.socket, tuple[str, int]]:
    """A listening socket outside of the loop, and its address."""
    sock = stage.keep(socket.create_server(("127.0.0.1", 0)))
    return sock, sock.getsockname()


def closed_place() -> tuple[str, int]:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        place: tuple[str, int] = sock.getsockname()
    return place


def silent_place(stage: Stage) -> tuple[str, int]:
    """Where nobody answers: as many wait to be accepted as may."""
    sock = stage.keep(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(3):
        waiting = stage.keep(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(sock.getsockname())
    place: tuple[str, int] = sock.getsockname()
    return place


def names(monkeypatch: pytest.MonkeyPatch, look_up: Callable[[str], list[tuple[str, int]]]) -> None:
    """Have this look names up, in place of the system."""
    real = find_places

    def find(host: str, port: int, *, numeric: bool = False) -> list[tuple[int, Any]]:
        if numeric:
            return real(host, port, numeric=True)
        return [(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, place) for place in look_up(host)]

    monkeypatch.setattr("net.dialer.find_places", find)


class SlowNames:
    """A name server that does not answer before `go`, and wakes the loop when it is asked.

    Args:
        places: what it answers; none: it knows no such name.
    """

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
        self._loop = stage.loop
        self.go = threading.Event()
        self.asked: list[str] = []
        self._places = list(places)
        names(monkeypatch, self._look_up)

    def _look_up(self, name: str) -> list[tuple[str, int]]:
        self._loop.call_threadsafe(lambda: self.asked.append(name))
        assert self.go.wait(PATIENCE)
        if not self._places:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._places


def sockets_are(monkeypatch: pytest.MonkeyPatch, kind: type[socket.socket]) -> list[socket.socket]:
    """Have the loop make sockets of this kind; they are noted."""
    made: list[socket.socket] = []

    def make(family: int, type_: int) -> socket.socket:
        made.append(kind(family, type_))
        return made[-1]

    changed = SimpleNamespace(**{**vars(socket), "socket": make})
    monkeypatch.setattr("net.dialer.socket", changed)
    return made


def test_a_dial_connects(leaving_nothing_open: None, stage: Stage) -> None:
    server, place = remote_server(stage)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert stage.loop._deadlines.nearest() is None
    connection = connection_of(outcome.owner)
    assert connection in stage.loop.connections
    assert connection.owner is outcome.owner
    peer = stage.keep(server.accept()[0])
    connection.send(b"hello")
    stage.turn()
    assert get(peer, 5) == b"hello"
    put(peer, b"welcome")
    stage.until(lambda: outcome.owner.data == b"welcome")
    assert connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not connection._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    peer.close()
    stage.until(lambda: outcome.owner.told == ["ended"])
    connection.close(CloseReason.PEER)
    stage.turn()
    assert outcome.owner.lost_for == [CloseReason.PEER]
    assert outcome.told == 1
    assert not stage.loop.table.dialled
    assert not stage.loop._dialer.dials


def test_an_ip_address_needs_no_look_up(stage: Stage) -> None:
    _server, place = remote_server(stage)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert stage.loop._dialer.look_ups._executor is None
    assert not stage.loop.working


def test_a_name_is_looked_up_and_none_of_its_addresses_left_out(stage: Stage) -> None:
    _server, (_host, port) = remote_server(stage)
    outcome = stage.call_out(("localhost", port))  # which may be ::1 first, where nobody listens
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_place == ("127.0.0.1", port)
    assert not stage.loop.working
    assert stage.loop._pool._executor is None


def test_a_dial_is_refused(leaving_nothing_open: None, stage: Stage) -> None:
    outcome = stage.call_out(closed_place())
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Connection refused"]
    assert stage.loop._deadlines.nearest() is None
    assert not stage.loop.connections


def test_the_next_address_is_tried_when_one_refuses(
    leaving_nothing_open: None, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _server, place = remote_server(stage)
    names(monkeypatch, lambda _name: [closed_place(), place, closed_place()])
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_place == place
    names(monkeypatch, lambda _name: [closed_place(), closed_place()])
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Connection refused"]


def test_an_address_that_is_silent_does_not_have_all_the_time(
    leaving_nothing_open: None, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _server, place = remote_server(stage)
    silent = silent_place(stage)
    names(monkeypatch, lambda _name: [silent, place])
    outcome = stage.call_out(("somewhere", 1), seconds=0.2)
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_place == place


def test_a_dial_times_out(leaving_nothing_open: None, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = silent_place(stage)
    outcome = stage.call_out(silent, seconds=0.05)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["timed out"]
    assert not stage.loop._dialer.dials
    names(monkeypatch, lambda _name: [closed_place(), silent, silent])
    outcome = stage.call_out(("somewhere", 1), seconds=0.05)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["timed out"]


def test_a_name_that_is_not_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowNames(stage, monkeypatch)
    slow.go.set()
    outcome = stage.call_out(("nowhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Name or service not known"]


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "\udc80"])
def test_what_cannot_be_a_name(stage: Stage, name: str) -> None:
    outcome = stage.call_out((name, 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["not a host name"]


def test_a_mistake_in_a_look_up_fails_the_dial(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, raising)
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["a mistake"]


def test_names_that_are_not_answered_hold_up_nothing_but_names(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(pool_threads=1)
    slow = SlowNames(stage, monkeypatch)
    try:
        _server, place = remote_server(stage)
        hanging = [stage.call_out((name, 1)) for name in ("one", "two")]
        stage.until(lambda: len(slow.asked) == LOOK_UP_THREADS == 2)
        third = stage.call_out(("three", 1), seconds=0.01)
        stage.until(lambda: third.told)
        assert third.reasons == ["timed out"]
        hashed: list[Future[str]] = []
        stage.loop.in_thread(lambda: "hash", hashed.append)
        by_address = stage.call_out(place)
        stage.until(lambda: hashed and by_address.told)
        assert by_address.owners
        assert stage.loop.working  # so that the process knows at its end
        assert not any(outcome.told for outcome in hanging)
        slow.go.set()
        stage.until(lambda: not stage.loop.working)
        assert [outcome.reasons for outcome in hanging] == [["Name or service not known"]] * 2
        assert sorted(slow.asked) == ["one", "two"]  # nobody wanted to know the third one any more
    finally:
        slow.go.set()
        stage.close()


def test_a_look_up_that_ends_too_late_is_no_matter(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _server, place = remote_server(stage)
    slow = SlowNames(stage, monkeypatch, place)
    outcome = stage.call_out(("somewhere", 1), seconds=0.01)
    stage.until(lambda: outcome.told)
    slow.go.set()
    stage.until(lambda: not stage.loop.working)
    stage.turn()
    assert outcome.reasons == ["timed out"]
    assert not outcome.owners
    assert not stage.loop.connections


def test_names_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.dialer.LOOK_UP_QUEUE", 1)
    stage = Stage()
    slow = SlowNames(stage, monkeypatch)
    try:
        outcomes = [stage.call_out((name, 1)) for name in ("one", "two")]
        stage.until(lambda: outcomes[1].told)
        assert outcomes[1].reasons == ["too many names are being looked up"]
        assert not outcomes[0].told
        slow.go.set()
        stage.until(lambda: outcomes[0].told)
    finally:
        slow.go.set()
        stage.close()


def test_a_system_without_threads_to_spare_fails_the_dial(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["can't start new thread"]
    assert not stage.loop.working


def test_a_dial_comes_from_its_source(
    leaving_nothing_open: None, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, place = remote_server(stage)
    names(monkeypatch, lambda _name: [("::1", 1), place])
    outcome = stage.call_out(("somewhere", 1), source="127.0.0.2")
    stage.until(lambda: outcome.told)
    peer, (address, port) = server.accept()
    stage.keep(peer)
    assert address == "127.0.0.2"
    assert connection_of(outcome.owner).local_place == (address, port)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("::1", "no address of the family of the source"),
        ("192.0.2.1", "Cannot assign requested address"),
        ("localhost", "the source is not an IP address"),
        ("lócal", "the source is not an IP address"),
    ],
)
def test_a_source_from_which_one_cannot_call(
    leaving_nothing_open: None, stage: Stage, source: str, reason: str
) -> None:
    _server, place = remote_server(stage)
    outcome = stage.call_out(place, source=source)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == [reason]


class SelfConnecting(socket.socket):
    """A socket to which the kernel gives the very port that it calls."""

    def connect_ex(self, _address: Any) -> int:
        self.bind(("127.0.0.1", 0))
        return super().connect_ex(self.getsockname())


def test_a_connection_to_itself_is_a_refused_one(
    leaving_nothing_open: None, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sockets_are(monkeypatch, SelfConnecting)
    outcome = stage.call_out(("127.0.0.1", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Connection refused"]
    assert [sock.fileno() for sock in made] == [-1]


class Unreachable(socket.socket):
    """A socket whose system knows no way."""

    def connect_ex(self, _address: Any) -> int:
        return errno.ENETUNREACH


class Unsettable(socket.socket):
    """A socket that refuses what it is asked for before it connects."""

    def setblocking(self, _flag: bool) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


class Vanishing(socket.socket):
    """A socket that has lost its peer when it is asked for it."""

    def getpeername(self) -> Any:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))


class Unmade(socket.socket):
    """A socket for which there is no descriptor."""

    def __new__(cls, *_args: Any) -> Unmade:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Unreachable, errno.ENETUNREACH),
        (Unsettable, errno.ENOMEM),
        (Vanishing, errno.ENOTCONN),
        (Unmade, errno.EMFILE),
    ],
)
def test_an_error_of_the_system_fails_the_dial(
    leaving_nothing_open: None,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[socket.socket],
    error: int,
) -> None:
    _server, place = remote_server(stage)
    made = sockets_are(monkeypatch, kind)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == [os.strerror(error)]
    assert all(sock.fileno() == -1 for sock in made)
    assert caplog.text == ""


@pytest.mark.parametrize("events", [selectors.EVENT_WRITE, selectors.EVENT_READ])
def test_a_selector_without_room_fails_the_dial(
    leaving_nothing_open: None, stage: Stage, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    _server, place = remote_server(stage)
    register = stage.selector.register

    def full(fileobj: Any, wanted: int, data: Any = None) -> selectors.SelectorKey:
        if wanted == events:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return register(fileobj, wanted, data)

    monkeypatch.setattr(stage.selector, "register", full)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == [os.strerror(errno.ENOSPC)]
    assert not stage.loop.connections


def test_who_fails_may_dial_again(stage: Stage) -> None:
    _server, place = remote_server(stage)
    outcome = Outcome()
    outcome.on_failure = lambda: stage.call_out(place, outcome)
    stage.call_out(closed_place(), outcome)
    stage.until(lambda: outcome.owners)
    assert outcome.reasons == ["Connection refused"]


def test_a_mistake_of_who_dials_leaves_nothing_open(
    leaving_nothing_open: None, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    server, place = remote_server(stage)
    stage.loop.dial(*place, source=None, seconds=PATIENCE, connected=raising, failed=raising)
    stage.until(lambda: stage.loop.closed[CloseReason.FAULT])
    assert caplog.text.count("RuntimeError: a mistake") == 1
    assert "AttributeError" not in caplog.text
    assert not stage.loop.connections
    assert stage.keep(server.accept()[0]).recv(1) == b""
    stage.loop.dial(*closed_place(), source=None, seconds=PATIENCE, connected=raising, failed=raising)
    stage.until(lambda: caplog.text.count("RuntimeError: a mistake") == 2)
    assert not stage.loop._dialer.dials


def test_the_kernel_looks_after_a_silent_peer_that_was_dialled() -> None:
    stage = Stage(keepalive_seconds=60)
    try:
        _server, place = remote_server(stage)
        outcome = stage.call_out(place)
        stage.until(lambda: outcome.told)
        sock = connection_of(outcome.owner)._sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert stage.loop.table._checking
    finally:
        stage.close()


def test_what_is_dialled_takes_no_clients_place_and_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.table.descriptor_ceiling", lambda: 3)
    stage = Stage(max_clients=1)
    try:
        _server, place = remote_server(stage)
        address = stage.listen()
        outcomes = [stage.call_out(place)]
        stage.until(lambda: outcomes[0].owners)
        stage.dial(address)
        stage.until(lambda: len(stage.loop.connections) == 2)
        refused = stage.dial(address)
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED])
        assert refused.recv(1) == b""
        outcomes += [stage.call_out(place) for _ in range(2)]
        stage.until(lambda: all(outcome.owners for outcome in outcomes))
        assert len(stage.loop.connections) == 4
    finally:
        stage.close()


def test_drain_gives_up_what_is_being_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()
    stage = Stage()
    slow = SlowNames(stage, monkeypatch)
    try:
        _server, place = remote_server(stage)
        silent = silent_place(stage)
        with_servers = open_descriptors()
        outcomes = [stage.call_out(silent), stage.call_out(("somewhere", 1))]
        stage.until(lambda: slow.asked)
        [connecting] = [dial for dial in stage.loop._dialer.dials if dial._sock]
        [late] = [key.data for key in stage.selector.get_map().values() if key.fileobj is connecting._sock]
        outcomes.append(stage.call_out(place))
        guard = stage.loop.call_later(PATIENCE, lambda: pytest.fail("the loop goes on"))
        stage.loop.drain(10 * PATIENCE)
        late(selectors.EVENT_WRITE)  # which came in the same batch
        outcomes.append(stage.call_out(place))
        assert open_descriptors() == with_servers
        stage.loop.run()
        stage.loop.cancel(guard)
        assert stage.loop.working
        slow.go.set()
        stage.until(lambda: not stage.loop.working)
        assert not any(outcome.told for outcome in outcomes)
        assert not stage.loop._dialer.dials
    finally:
        slow.go.set()
        stage.close()
    assert open_descriptors() == before


def test_close_gives_up_what_is_being_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()
    stage = Stage()
    slow = SlowNames(stage, monkeypatch)
    _server, place = remote_server(stage)
    again = Outcome()

    class Redialler(Owner):
        def lost(self, reason: CloseReason) -> None:
            stage.call_out(place, again)

    ours, theirs = socket.socketpair()
    stage.keep(theirs)
    stage.loop.connect(ours, Redialler())
    outcomes = [again, stage.call_out(silent_place(stage)), stage.call_out(("somewhere", 1))]
    stage.until(lambda: slow.asked)
    outcomes.append(stage.call_out(place))
    stage.close()
    assert open_descriptors() == before
    assert stage.loop.working
    slow.go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("crosstalk-names"):
            thread.join(PATIENCE)
    assert not any(outcome.told for outcome in outcomes)
    assert not stage.loop._dialer.dials


# ---- what the owner of a link needs ----


def test_a_connection_knows_both_its_ends(stage: Stage) -> None:
    (owner,), (peer,) = stage.accept()
    connection = connection_of(owner)
    assert connection.remote_place == peer.getsockname()
    assert connection.local_place == peer.getpeername()
    connection.close(CloseReason.GOODBYE)
    stage.turn()
    assert connection.remote_place == connection.local_place == ("", 0)
    assert str(connection) == "a client"


def test_a_connection_that_is_not_tcp_has_no_addresses(stage: Stage) -> None:
    connection, *_ = stage.pair()
    assert connection.remote_place == connection.local_place == ("", 0)


def test_an_ipv4_address_is_the_same_on_an_ipv6_socket(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, _owner, _peer, sock = stage.pair()
    monkeypatch.setattr(sock, "getpeername", lambda: ("::ffff:192.0.2.1", 5, 0, 0), raising=False)
    monkeypatch.setattr(sock, "getsockname", lambda: ("2001:db8::1", 6, 0, 0), raising=False)
    assert connection.remote_place == ("192.0.2.1", 5)
    assert connection.local_place == ("2001:db8::1", 6)
    assert str(connection) == "192.0.2.1 port 5"


def test_more_may_wait_for_one_connection_than_for_others(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    ends = [stage.pair() for _ in range(2)]
    (link, link_owner, _peer, link_sock), (_client, client_owner, _other_peer, _other_sock) = ends
    link.allow_output(2 * MAX_OUT, "max-link-buffer")
    for connection, _owner, _p, sock in ends:
        sock.takes = [0] * 100
        for _ in range(MAX_OUT // 65536 + 1):
            connection.send(b"x" * 65536)
    assert link.congested
    stage.turn()
    assert link_owner.lost_for == []
    assert client_owner.lost_for == [CloseReason.SLOW_READER]
    assert "(max-out-buffer)" in caplog.text
    assert "max-link-buffer" not in caplog.text
    attempts = len(link_sock.sends)
    link.send(b"x" * (2 * MAX_OUT - link._pending))
    assert len(link_sock.sends) == attempts  # the kernel has said that it takes nothing
    stage.turn()
    assert link_owner.lost_for == []
    link.send(b"y")
    stage.turn()
    assert link_owner.lost_for == [CloseReason.SLOW_READER]
    assert "(max-link-buffer)" in caplog.text


def test_a_peer_that_takes_some_of_much_is_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.output.FRESH_SECONDS", PATIENCE)
    connection, owner, peer, sock = stage.pair()
    sock.takes = [10] + [0] * 3
    connection.send(b"x" * (HIGH_WATER // 2))
    stage.turn()
    assert not connection.is_behind  # there is not much
    connection.send(b"x" * HIGH_WATER)
    assert connection.is_behind
    monkeypatch.setattr("net.output.FRESH_SECONDS", 0.0)
    assert not connection.is_behind  # it takes nothing any more
    monkeypatch.setattr("net.output.FRESH_SECONDS", PATIENCE)
    reader = threading.Thread(target=get, args=(peer, HIGH_WATER // 2 + HIGH_WATER))
    reader.start()
    stage.until(lambda: owner.told)
    reader.join()
    assert not connection.is_behind


# ---- threads ----


def test_any_thread_may_hand_in_a_call(stage: Stage) -> None:
    called: list[tuple[int, int]] = []
    threads_of_calls: set[int] = set()

    def call(thread: int, number: int) -> None:
        called.append((thread, number))
        threads_of_calls.add(threading.get_ident())

    def hand_in(thread: int) -> None:
        for number in range(200):
            stage.loop.call_threadsafe(lambda number=number: call(thread, number))  # type: ignore[misc]

    threads = [threading.Thread(target=hand_in, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    stage.until(lambda: len(called) == 800)
    for thread in threads:
        thread.join()
    assert threads_of_calls == {threading.get_ident()}
    for number in range(4):
        assert [order for thread, order in called if thread == number] == list(range(200))


def test_a_call_from_a_thread_wakes_a_loop_that_waits(stage: Stage) -> None:
    in_select = threading.Event()
    select = stage.selector.select

    def waiting(timeout: float | None = None) -> Any:
        in_select.set()
        return select(timeout)

    stage.selector.select = waiting  # type: ignore[method-assign]
    guard = stage.loop.call_later(PATIENCE, lambda: pytest.fail("nobody woke the loop"))

    def stop() -> None:
        in_select.wait(PATIENCE)
        stage.loop.call_threadsafe(stage.loop.stop)

    thread = threading.Thread(target=stop)
    thread.start()
    stage.loop.run()
    thread.join()
    stage.loop.cancel(guard)


def test_calls_that_nobody_takes_never_block_a_thread(stage: Stage) -> None:
    called: list[int] = []
    for number in range(20_000):
        stage.loop.call_threadsafe(lambda number=number: called.append(number))  # type: ignore[misc]
    stage.until(lambda: len(called) == 20_000)
    stage.loop.call_threadsafe(lambda: called.append(-1))
    stage.until(lambda: called[-1] == -1)


def test_slow_work_is_bounded_and_comes_back_into_the_loops_thread() -> None:
    stage = Stage(pool_threads=1, pool_queue=2)
    try:
        go = threading.Event()
        results: list[tuple[int, int, bool]] = []

        def work() -> int:
            assert go.wait(PATIENCE)
            return threading.get_ident()

        def then(future: Future[int]) -> None:
            results.append((future.result(), threading.get_ident(), stage.loop.working))

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


def test_a_failure_of_slow_work_comes_back(stage: Stage) -> None:
    errors: list[BaseException | None] = []
    stage.loop.in_thread(raising, lambda future: errors.append(future.exception()))
    stage.until(lambda: errors)
    assert isinstance(errors[0], RuntimeError)
    assert not stage.loop.working


def test_a_mistake_after_slow_work_does_not_cost_a_place() -> None:
    stage = Stage(pool_queue=1)
    try:
        for _ in range(3):
            stage.loop.in_thread(lambda: None, raising)
            stage.until(lambda: not stage.loop.working)
    finally:
        stage.close()


def test_slow_work_that_ends_after_the_loop_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(pool_threads=1)
    go, started = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        started.set()
        go.wait(PATIENCE)

    called: list[object] = []
    stage.loop.in_thread(work, called.append)
    stage.loop.in_thread(work, called.append)
    assert started.wait(PATIENCE)
    with caplog.at_level(logging.DEBUG):
        stage.close()
        go.set()
        threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    assert called == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_two_loops_live_in_one_process() -> None:
    stages = [Stage(), Stage()]
    try:
        for stage in stages:
            connection, _owner, peer, _sock = stage.pair()
            connection.send(b"x")
            stage.turn()
            assert get(peer, 1) == b"x"
    finally:
        for stage in stages:
            stage.close()
