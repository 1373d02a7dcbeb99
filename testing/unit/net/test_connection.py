"""net/connection.py: receiving, and the ways to end."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import weakref

import pytest

from harness.peer import PATIENCE
from net.connection import Connection
from net.table import CloseReason
from net.tcp import PROBE_SECONDS, bytes_in_kernel, unacknowledged_for
from net.watched import READ_SIZE
from support.examples import raising
from support.loop import LoopStage, Owner, connection_of, get, numbered, put


def test_one_connection_hands_in_a_bounded_amount_each_turn(stage: LoopStage) -> None:
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


def test_a_half_closed_peer_still_gets_its_answers(stage: LoopStage) -> None:
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


def test_a_peer_that_ended_does_not_keep_the_loop_turning(stage: LoopStage) -> None:
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
    stage: LoopStage, before: str, monkeypatch: pytest.MonkeyPatch
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
    stage = LoopStage(keepalive_seconds=5)
    silent: dict[socket.socket, float] = {}
    monkeypatch.setattr("net.connection.unacknowledged_for", lambda sock: silent.get(sock, 0.0))
    monkeypatch.setattr("net.table.CHECK_SECONDS", 0.001)
    owners, _peers = stage.accept(8)
    silent[connection_of(owners[3]).sock] = 5.1
    silent[connection_of(owners[4]).sock] = 4.9
    stage.until(lambda: owners[3].lost_for)
    assert [owner.lost_for for owner in owners if owner.lost_for] == [[CloseReason.LOST]]
    assert "keepalive-seconds" in caplog.text
    stage.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="a system that does not tell")
@pytest.mark.parametrize("seconds", [0, 60])
def test_a_probe_asks_each_second_and_then_all_is_as_before(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """R50."""
    stage = LoopStage(keepalive_seconds=seconds)
    (owner,), _peers = stage.accept()
    connection = connection_of(owner)
    sock = connection.sock

    def options() -> list[int]:
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        values = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        return values if sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) else []

    before = options()
    assert bool(before) == bool(seconds)
    connection.probe()
    assert options() == [1, 1, PROBE_SECONDS]
    stage.loop.call_soon(connection._probed)
    stage.until(lambda: options() == before)
    monkeypatch.setattr("net.connection.PROBE_GRACE", 0.01 - PROBE_SECONDS)
    connection.probe()
    probes: list[socket.socket] = []
    monkeypatch.setattr("net.connection.probe_keepalive", probes.append)
    connection.probe()  # one is under way
    assert probes == []
    stage.until(lambda: options() == before)
    connection.probe()
    assert probes == [sock]
    assert owner.lost_for == []
    connection.close(CloseReason.GOODBYE)
    connection.probe()
    assert probes == [sock]
    stage.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="a system that does not tell")
def test_a_peer_that_does_not_read_is_not_silent(stage: LoopStage) -> None:
    (owner,), (peer,) = stage.accept()
    connection = connection_of(owner)
    sock = connection.sock
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


def test_reading_can_be_paused(stage: LoopStage) -> None:
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


def test_finish_drops_input_and_later_output(stage: LoopStage) -> None:
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


def test_the_last_words_arrive_although_input_is_unread(stage: LoopStage) -> None:
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


def test_a_peer_that_never_ends_is_not_waited_for_for_ever(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.connection.LINGER_SECONDS", 0.01)
    connection, owner, _peer, _sock = stage.pair()
    connection.finish()
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.GOODBYE]
    stage.until(lambda: not len(stage.loop._deadlines) > 1)


def test_a_connection_that_was_not_read_is_read_to_its_end_when_it_finishes(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch
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


def test_finish_waits_for_a_slow_reader_and_its_stream(stage: LoopStage) -> None:
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


def test_close_drops_what_has_not_left_and_tells_later(stage: LoopStage) -> None:
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


def test_an_ended_connection_is_freed_without_the_garbage_collector(stage: LoopStage) -> None:
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


def test_a_refused_connection_is_counted_as_such(stage: LoopStage) -> None:
    connection, owner, _peer, _sock = stage.pair()
    connection.refuse()
    stage.turn()
    assert owner.lost_for == [CloseReason.REFUSED]


def test_an_event_for_a_connection_that_was_closed_in_the_same_batch_is_stale(stage: LoopStage) -> None:
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


def test_a_mistake_of_a_receiver_closes_only_its_connection(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
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
    stage: LoopStage, caplog: pytest.LogCaptureFixture, where: str
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


def test_a_reset_is_a_lost_connection(stage: LoopStage) -> None:
    (owner,), (peer,) = stage.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.LOST]
    assert not stage.loop.connections


def test_a_connection_knows_both_its_ends(stage: LoopStage) -> None:
    (owner,), (peer,) = stage.accept()
    connection = connection_of(owner)
    assert connection.remote_address == peer.getsockname()
    assert connection.local_address == peer.getpeername()
    connection.close(CloseReason.GOODBYE)
    stage.turn()
    assert connection.remote_address == (peer.getsockname()[0], 0)  # the log may have to show the address still
    assert connection.local_address == ("", 0)


def test_a_connection_that_is_not_tcp_has_no_addresses(stage: LoopStage) -> None:
    connection, *_ = stage.pair()
    assert connection.remote_address == connection.local_address == ("", 0)
    assert str(connection) == "a client"


def test_an_ipv4_address_is_the_same_on_an_ipv6_socket(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, _owner, _peer, sock = stage.pair()
    monkeypatch.setattr(sock, "getpeername", lambda: ("::ffff:192.0.2.1", 5, 0, 0), raising=False)
    monkeypatch.setattr(sock, "getsockname", lambda: ("2001:db8::1", 6, 0, 0), raising=False)
    assert connection.remote_address == ("192.0.2.1", 5)
    assert connection.local_address == ("2001:db8::1", 6)
    assert str(connection) == "192.0.2.1 port 5"
