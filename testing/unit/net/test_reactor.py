"""net/reactor.py: what a turn does, and in which order; calls from other threads."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from harness.peer import PATIENCE
from net.reactor import FREED_PER_TURN, MAX_WAIT, READY_PER_TURN, SERVE_SECONDS, THREADSAFE_CALLS_PER_TURN
from net.selector import Event
from net.table import CloseReason
from net.watched import READ_SIZE
from support.examples import raising
from support.loop import LoopStage, Owner, connection_of, get, put, staged


def test_the_loop_calls_later(stage: LoopStage) -> None:
    called: list[str] = []
    started = time.monotonic()
    stage.loop.call_later(0.02, lambda: called.append("second"))
    stage.loop.call_later(0.01, lambda: called.append("first"))
    stage.loop.cancel(stage.loop.call_later(0.015, raising))
    stage.until(lambda: len(called) == 2)
    assert called == ["first", "second"]
    assert time.monotonic() - started >= 0.02


def test_a_deadline_far_away_is_waited_for_in_pieces(stage: LoopStage) -> None:
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


def test_a_flood_from_another_thread_shares_its_turns(stage: LoopStage) -> None:
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
    monkeypatch.setattr("net.reactor.SERVE_SECONDS", 0.0)


@pytest.mark.usefixtures("no_time")
def test_what_a_turn_has_no_time_for_comes_first_in_the_next_one(stage: LoopStage) -> None:
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
def test_calls_and_input_have_their_own_shares_of_a_turn(stage: LoopStage) -> None:
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
def test_no_deadline_runs_before_input_that_had_arrived(stage: LoopStage) -> None:
    """However many others are served first, and not for ever: what comes later does not put it off."""
    pairs = [stage.pair() for _ in range(3)]
    told: list[str] = []
    for _connection, owner, _peer, _sock in pairs:
        owner.on_data = lambda data: told.append(data[:1].decode())
    stage.loop.call_later(0, lambda: told.append("deadline"))
    for name, (_connection, _owner, peer, _sock) in zip("abc", pairs, strict=True):
        put(peer, name.encode() * 3 * READ_SIZE)
    while "deadline" not in told:
        stage.turn()
    assert told == ["a", "b", "c", "a", "deadline"]  # each once after the time of the deadline


def test_a_turn_serves_at_most_so_many_connections(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a deadline is due, for which the selector is asked once more."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    commits: list[int] = []
    served: list[int] = []
    stage.loop.before_flush = lambda: commits.append(len(served))
    for number in range(READY_PER_TURN + 20):
        _connection, owner, peer, _sock = stage.pair()
        owner.on_data = lambda _data, number=number: served.append(number)  # type: ignore[misc]
        put(peer, b"x")
    stage.loop.call_later(0, lambda: served.append(-1))
    stage.turn()
    assert len(served) == commits[0] == READY_PER_TURN
    stage.turn()
    assert sorted(served[:-1]) == list(range(READY_PER_TURN + 20))
    assert served[-1] == -1


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopStage]:
    """A loop whose turns serve four connections, and always have time for them."""
    monkeypatch.setattr("net.reactor.READY_PER_TURN", 4)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    with staged() as stage:
        yield stage


def test_neither_newcomers_nor_those_that_wait_starve(narrow: LoopStage) -> None:
    """If a turn has not served all, the oldest and the newcomers take turns."""
    turns: list[int] = []
    served: dict[int, int] = {}
    pairs = [narrow.pair() for _ in range(40)]
    for number, (_connection, owner, peer, _sock) in enumerate(pairs):
        owner.on_data = lambda _data, number=number: served.update({number: len(turns)})  # type: ignore[misc]
        put(peer, b"x")
    narrow.turn()
    bystander, replies = narrow.pair(), list[int]()
    bystander[1].on_data = lambda _data: replies.append(len(turns))
    while len(served) < 40:
        if len(turns) % 2:
            put(bystander[2], b"x")
        narrow.turn()
        turns.append(len(turns))
    assert replies == turns[1::2]  # it is served at once
    assert len(turns) <= 40 // 2  # and takes at most half of them


def test_the_selector_does_not_report_again_what_waits(narrow: LoopStage) -> None:
    served: list[int] = []
    for number in range(40):
        _connection, owner, peer, _sock = narrow.pair()
        owner.on_data = lambda _data, number=number: served.append(number)  # type: ignore[misc]
        put(peer, b"x")
    reports: list[int] = []
    select = narrow.selector.select

    def counted(timeout: float | None = None) -> list[Event]:
        found = select(timeout)
        reports.append(len(found))
        return found

    narrow.selector.select = counted  # type: ignore[method-assign]
    while len(served) < 40:
        narrow.turn()
    assert reports[:2] == [40, 36]
    assert sum(reports[2:]) == 0
    put(peer, b"x")  # all are watched again
    narrow.turn()
    assert served == [*served[:40], 39]


def test_what_waits_may_be_paused_or_closed_meanwhile(narrow: LoopStage) -> None:
    owners: list[Owner] = []
    for _ in range(40):
        _connection, owner, peer, _sock = narrow.pair()
        owners.append(owner)
        put(peer, b"x")
    narrow.turn()
    narrow.turn()
    waiting = [owner for owner in owners if not owner.data]
    closed, paused, resumed = waiting[:10], waiting[10:20], waiting[20:]
    for owner in closed:
        connection_of(owner).close(CloseReason.GOODBYE)
    for owner in paused + resumed:
        connection_of(owner).pause_reading()
    for owner in resumed:
        connection_of(owner).resume_reading()
    for _ in range(len(owners)):
        narrow.turn()
    assert all(owner.data for owner in resumed)
    assert all(owner.lost_for for owner in closed)
    assert not any(owner.data for owner in closed + paused)
    for owner in paused:
        connection_of(owner).resume_reading()
    for _ in range(len(owners)):
        narrow.turn()
    assert all(owner.data for owner in paused)


@pytest.mark.usefixtures("no_time")
def test_deadlines_share_their_turns_too(stage: LoopStage) -> None:
    called: list[int] = []
    for number in range(10):
        stage.loop.call_later(0, partial(called.append, number))
    for turn in range(10):
        stage.turn()
        assert called == list(range(turn + 1))


def test_many_that_end_at_once_delay_nobody(narrow: LoopStage) -> None:
    pairs = [narrow.pair() for _ in range(40)]
    bystander, replies = narrow.pair(), list[int]()
    bystander[1].on_data = lambda _data: replies.append(turns)
    for _connection, _owner, peer, _sock in pairs:
        peer.close()
    turns = 0
    while not all("ended" in owner.told for _connection, owner, _peer, _sock in pairs):
        put(bystander[2], b"x")
        narrow.turn()
        turns += 1
    assert replies == list(range(turns))
    assert turns <= 40 // 3 + 1, "it is one of the four that a turn serves"


def test_those_that_have_ended_do_not_starve(narrow: LoopStage) -> None:
    busy, gone = [narrow.pair() for _ in range(8)], [narrow.pair() for _ in range(5)]
    for _connection, _owner, peer, _sock in gone:
        peer.close()
    for _ in gone:
        for _connection, _owner, peer, _sock in busy:
            put(peer, b"x")
        narrow.turn()
    assert ["ended" in owner.told for _connection, owner, _peer, _sock in gone] == [True] * 5


@pytest.mark.usefixtures("no_time")
def test_freed_connections_share_their_turns_too(stage: LoopStage) -> None:
    owners = [stage.pair()[1] for _ in range(3)]
    for owner in owners:
        connection_of(owner).close(CloseReason.GOODBYE)
    for turn in range(1, 4):
        stage.loop.turn()
        assert [len(owner.lost_for) for owner in owners] == [1] * turn + [0] * (3 - turn)


def test_a_turn_frees_at_most_so_many_connections(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.reactor.TURN_SECONDS", 60.0)
    owners = [stage.pair()[1] for _ in range(FREED_PER_TURN + 20)]
    for owner in owners:
        connection_of(owner).close(CloseReason.GOODBYE)
    stage.loop.turn()
    assert [len(owner.lost_for) for owner in owners] == [1] * FREED_PER_TURN + [0] * 20
    stage.loop.turn()  # which does not wait
    assert [len(owner.lost_for) for owner in owners] == [1] * len(owners)


def test_an_end_is_handled_before_input_that_came_later(stage: LoopStage) -> None:
    """Nobody may meet a user who has gone before."""
    order: list[str] = []
    _connection, gone, peer, _sock = stage.pair()
    _connection, other, mouth, _sock = stage.pair()
    gone.ended = lambda: order.append("ended")  # type: ignore[method-assign]
    other.on_data = lambda data: order.append(data.decode())
    peer.close()
    put(mouth, b"LIST")
    stage.loop.turn()
    assert order == ["ended", "LIST"]


def test_a_process_that_stood_still_asks_for_input_before_its_deadlines(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch
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
def test_an_event_that_waited_for_its_turn_may_be_stale(stage: LoopStage) -> None:
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


def test_a_connections_time_is_over_after_its_slice(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    _connection, owner, peer, _sock = stage.pair()
    yields: list[bool] = []
    owner.on_data = lambda _data: yields.append(_connection.must_yield)
    put(peer, b"x")
    stage.until(lambda: yields)
    monkeypatch.setattr("net.reactor.SLICE_SECONDS", 0.0)
    put(peer, b"x")
    stage.until(lambda: len(yields) == 2)
    assert yields == [False, True]


def test_a_connections_slice_is_smaller_where_many_are_ready(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    slices: list[float] = []
    for _ in range(50):
        _connection, owner, peer, _sock = stage.pair()
        owner.on_data = lambda _data: slices.append(stage.loop.slice_ends - 100)
        put(peer, b"x")
    stage.turn()
    assert slices == [pytest.approx(SERVE_SECONDS / 50)] * 50


def test_calls_that_are_put_off_run_in_the_next_turn_without_waiting(stage: LoopStage) -> None:
    called: list[int] = []

    def again() -> None:
        called.append(len(called))
        stage.loop.call_soon(again)

    stage.loop.call_soon(again)
    stage.loop.turn()
    assert called == [0]
    stage.loop.turn()
    assert called == [0, 1]


def test_a_mistake_in_a_call_is_logged_and_the_loop_goes_on(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    stage.loop.call_soon(raising)
    stage.loop.call_soon(lambda: called.append("soon"))
    stage.loop.call_later(0, raising)
    stage.loop.call_later(0, lambda: called.append("later"))
    stage.loop.call_threadsafe(raising)
    stage.loop.call_threadsafe(lambda: called.append("handed in"))
    stage.until(lambda: len(called) == 3)
    assert caplog.text.count("RuntimeError: a mistake") == 3


def test_a_mistake_before_the_flush_does_not_keep_output_back(
    stage: LoopStage, caplog: pytest.LogCaptureFixture
) -> None:
    connection, _owner, peer, _sock = stage.pair()
    stage.loop.before_flush = raising
    connection.send(b"abc")
    stage.turn()
    assert get(peer, 3) == b"abc"
    assert "a mistake" in caplog.text


def test_the_journal_comes_before_the_answers(stage: LoopStage) -> None:
    connection, _owner, peer, sock = stage.pair()
    sends_at_commit: list[int] = []

    def commit() -> None:
        sends_at_commit.append(len(sock.sends))
        connection.send(b"committed\n")

    stage.loop.before_flush = commit
    connection.send(b"before\n")
    stage.turn()
    assert sends_at_commit == [0]
    assert sock.sends == [len(b"before\ncommitted\n")]
    assert get(peer, 17) == b"before\ncommitted\n"


def test_what_the_end_of_a_stream_brings_is_committed_and_sent_in_the_same_turn(stage: LoopStage) -> None:
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
    stage.turn()
    peer.setblocking(False)
    assert peer.recv(100) == b"piece\noutcome\n"


def test_any_thread_may_hand_in_a_call(stage: LoopStage) -> None:
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


def test_a_call_from_a_thread_wakes_a_loop_that_waits(stage: LoopStage) -> None:
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


def test_calls_that_nobody_takes_never_block_a_thread(stage: LoopStage) -> None:
    called: list[int] = []
    for number in range(20_000):
        stage.loop.call_threadsafe(lambda number=number: called.append(number))  # type: ignore[misc]
    stage.until(lambda: len(called) == 20_000)
    stage.loop.call_threadsafe(lambda: called.append(-1))
    stage.until(lambda: called[-1] == -1)
