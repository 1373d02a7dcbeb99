"""net/output.py: bounded buffers, and peers that do not read."""

from __future__ import annotations

import selectors
import threading
import time

import pytest

from harness.peer import PATIENCE
from net.output import ROW, Output
from net.table import HIGH_WATER, STALL_SECONDS, CloseReason
from support.loop import MAX_OUT, LoopStage, get, put


def test_output_leaves_at_the_end_of_the_turn_in_one_send(stage: LoopStage) -> None:
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


def test_interest_in_writing_is_asked_for_only_after_a_short_write(stage: LoopStage) -> None:
    connection, owner, peer, sock = stage.pair()
    stage.selector.calls.clear()
    for _ in range(5):
        connection.send(b"abcdef")
        stage.turn()
    assert stage.selector.calls == []
    sock.takes = [4, 0]
    connection.send(b"123456")
    stage.turn()
    assert stage.selector.calls == [("change", selectors.EVENT_READ | selectors.EVENT_WRITE)]
    connection.send(b"789")
    stage.until(lambda: len(sock.sends) >= 8)
    stage.turn()
    assert stage.selector.calls[1:] == [("change", selectors.EVENT_READ)]
    assert get(peer, 39) == b"abcdef" * 5 + b"123456789"
    assert owner.told == []
    assert not connection.congested


def test_bytes_are_counted_when_the_kernel_has_taken_them(stage: LoopStage) -> None:
    """In rows, after a short write, of a stream, with a receipt, and when they came."""
    pairs = [stage.pair() for _ in range(3)]
    pairs[0][3].takes = [2, 0]
    for connection, *_ in pairs:
        connection.send(b"abcdef")
    pairs[1][0].stream(iter([b"12", b"345"]))
    pairs[2][0].send_with_receipt(b"789", lambda _has_left: None)
    stage.until(lambda: stage.loop.table.sent >= 26)
    for (_connection, owner, peer, _sock), more in zip(pairs, (0, 5, 3), strict=True):
        get(peer, 6 + more)
        put(peer, b"xyz")
        stage.until(lambda owner=owner: owner.data)  # type: ignore[misc]
    assert (stage.loop.table.sent, stage.loop.table.received) == (26, 9)


def test_the_same_bytes_wait_for_many_without_a_copy(stage: LoopStage) -> None:
    data = b"x" * 1000
    pairs = [stage.pair() for _ in range(3)]
    for connection, *_ in pairs:
        connection.send(data)
        assert [id(kept) for kept in connection._out] == [id(data)]
    stage.turn()
    for _connection, _owner, peer, _sock in pairs:
        assert get(peer, 1000) == data


def test_each_of_many_gets_all_of_its_output_whatever_happens_to_the_others(stage: LoopStage) -> None:
    pairs = [stage.pair() for _ in range(2 * ROW + 5)]
    size = 1000
    for number, (connection, _owner, peer, sock) in enumerate(pairs):
        sock.takes = {1: [size // 2, 0], 2: [0, 0], 3: [0, size // 2, 0]}.get(number % ROW, [])
        if number % ROW == 4:
            peer.close()
        for _ in range(2):
            connection.send(b"%d" % (number % 10) * (size // 2))
    stage.turn()
    stage.until(
        lambda: not any(connection.has_output for connection, *_ in pairs if connection in stage.loop.connections)
    )
    for number, (connection, owner, peer, sock) in enumerate(pairs):
        if number % ROW == 4:
            assert owner.lost_for == [CloseReason.LOST]
            continue
        assert get(peer, size) == b"%d" % (number % 10) * size
        assert number % ROW in (1, 2, 3) or sock.sends == [size]
        connection.send(b"more")
    stage.turn()
    assert all(get(peer, 4) == b"more" for number, (*_, peer, _sock) in enumerate(pairs) if number % ROW != 4)


def test_a_fault_with_one_connection_does_not_keep_the_output_of_others_back(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (broken, broken_owner, *_), (whole, _owner, peer, _sock) = stage.pair(), stage.pair()
    broken.stream(iter([b"more"]))  # what has a stream is flushed by itself
    monkeypatch.setattr(Output, "_pull", lambda _output: 1 // 0)
    broken.send(b"lost")
    whole.send(b"here")
    stage.turn()
    assert get(peer, 4) == b"here"
    assert broken_owner.lost_for == [CloseReason.FAULT]
    assert "ZeroDivisionError" in caplog.text


def test_a_connection_is_congested_until_its_output_has_left(stage: LoopStage) -> None:
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


def test_much_output_does_not_wait_in_memory_for_the_end_of_the_turn(stage: LoopStage) -> None:
    connection, _owner, peer, sock = stage.pair()
    reader = threading.Thread(target=get, args=(peer, HIGH_WATER + 100))
    reader.start()
    connection.send(b"x" * (HIGH_WATER + 100))
    assert sock.sends == [HIGH_WATER + 100]
    stage.until(lambda: not connection.congested)
    reader.join()


def test_a_slow_reader_is_closed_with_its_reason(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_reader_that_takes_all_is_no_slow_one(stage: LoopStage) -> None:
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
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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


def test_a_reader_of_what_the_kernel_holds_is_not_given_up(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_reader_that_catches_up_in_time_is_watched_no_longer(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0]
    connection.send(b"x")
    stage.turn()
    stage.turn()
    assert sock.sends == [1, 1]
    assert connection._blockage is None
    assert not len(stage.loop._deadlines)
    now += STALL_SECONDS
    stage.turn()
    sock.takes = [0]
    connection.send(b"y")
    stage.turn()
    now += STALL_SECONDS - 1
    stage.turn()
    assert owner.lost_for == []


def test_a_finished_connection_does_not_wait_for_ever_for_its_reader() -> None:
    stage = LoopStage(stall_seconds=0.01)
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0] * 100_000
    connection.send(b"x")
    connection.finish()
    stage.until(lambda: owner.lost_for)
    stage.close()


def test_a_peer_that_is_gone_is_lost_once(stage: LoopStage) -> None:
    connection, owner, peer, sock = stage.pair()
    peer.close()
    connection.send(b"abc")
    connection.send(b"def")
    stage.turn()
    stage.turn()
    assert len(owner.lost_for) == 1
    assert stage.loop.closed.total() == 1
    assert sock.fileno() == -1


def test_more_may_wait_for_one_connection_than_for_others(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
    ends = [stage.pair() for _ in range(2)]
    (link, link_owner, _peer, link_sock), (_client, client_owner, _other_peer, _other_sock) = ends
    link.set_output_limit(2 * MAX_OUT, "max-link-buffer")
    for connection, _owner, _p, sock in ends:
        sock.takes = [0] * 100
        for _ in range(MAX_OUT // 65536 + 1):
            connection.send(b"x" * 65536)
    assert link.congested
    stage.turn()
    assert link_owner.lost_for == []
    assert client_owner.lost_for == [CloseReason.SLOW_READER]
    assert "reason=max-out-buffer" in caplog.text
    assert "max-link-buffer" not in caplog.text
    attempts = len(link_sock.sends)
    link.send(b"x" * (2 * MAX_OUT - link._pending))
    assert len(link_sock.sends) == attempts  # the kernel has said that it takes nothing
    stage.turn()
    assert link_owner.lost_for == []
    link.send(b"y")
    stage.turn()
    assert link_owner.lost_for == [CloseReason.SLOW_READER]
    assert "reason=max-link-buffer" in caplog.text


def test_a_peer_that_takes_some_of_much_is_behind(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.blockage.FRESH_SECONDS", PATIENCE)
    connection, owner, peer, sock = stage.pair()
    sock.takes = [10] + [0] * 3
    connection.send(b"x" * (HIGH_WATER // 2))
    stage.turn()
    assert not connection.is_behind  # there is not much
    connection.send(b"x" * HIGH_WATER)
    assert connection.is_behind
    monkeypatch.setattr("net.blockage.FRESH_SECONDS", 0.0)
    assert not connection.is_behind  # it takes nothing any more
    monkeypatch.setattr("net.blockage.FRESH_SECONDS", PATIENCE)
    reader = threading.Thread(target=get, args=(peer, HIGH_WATER // 2 + HIGH_WATER))
    reader.start()
    stage.until(lambda: owner.told)
    reader.join()
    assert not connection.is_behind


def test_a_connection_that_has_nothing_to_send_holds_no_container(stage: LoopStage) -> None:
    """Before it has sent anything, and after all has left."""
    connection, _owner, peer, _sock = stage.pair()
    for _ in range(2):
        assert connection._out == ()
        assert connection._streams is None
        assert connection._blockage is None
        connection.send(b"abc")
        connection.send(b"def")
        stage.turn()
        assert get(peer, 6) == b"abcdef"
    assert connection._out == ()
    connection.stream(iter([b"ghi"]))
    stage.until(lambda: not connection.congested)
    assert get(peer, 3) == b"ghi"
    assert connection._streams is None
