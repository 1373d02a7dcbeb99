"""net/output.py: streams and receipts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from net.reactor import CHUNKS_PER_TURN
from net.table import HIGH_WATER, CloseReason
from protocol import Session
from support.examples import raising
from support.loop import MAX_OUT, LoopStage, Owner, ScriptedSocket, get, numbered, put, staged
from support.world import World


def test_a_stream_is_made_only_as_the_peer_reads(stage: LoopStage) -> None:
    connection, owner, peer, sock = stage.pair()
    log: list[str] = []
    sock.takes = [10, 6, 0, 4, 10, 0, 10]
    connection.send(b"head")
    sock.takes.insert(0, 4)
    connection.stream(numbered(log, 10, 3))
    assert connection.congested
    assert log == []
    connection.send(b"tail")
    stage.turn()  # the head and a chunk, of which a part leaves
    assert log == ["made 0"]
    stage.turn()
    assert log[1:] == ["left 0", "made 1"]
    stage.turn()
    assert log[3:] == []
    stage.turn()
    assert log[3:] == ["left 1", "made 2"]
    stage.turn()
    assert log[5:] == ["left 2", "all", "closed"]
    assert owner.told == []
    stage.turn()
    assert owner.told == ["drained"]
    assert get(peer, 38) == b"head" + b"0" * 10 + b"1" * 10 + b"2" * 10 + b"tail"


def test_streams_follow_each_other_with_what_was_sent_between(stage: LoopStage) -> None:
    connection, owner, peer, _sock = stage.pair()
    connection.stream(iter([b"a", b"", b"b"]))
    connection.send(b"1")
    connection.stream(iter([]))
    connection.send(b"2")
    connection.stream(iter([b"c"]))
    connection.send(b"3")
    stage.until(lambda: owner.told)
    assert get(peer, 6) == b"ab12c3"
    assert owner.told == ["drained"]
    assert not connection.congested


def test_a_stream_makes_one_chunk_in_a_turn_and_all_together_only_so_many(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None starves: each has made as many as the others, but for one. A turn with more to do does not wait."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    logs: list[list[str]] = []
    for _ in range(CHUNKS_PER_TURN + 5):
        logs.append([])
        stage.pair()[0].stream(numbered(logs[-1], 10, 6))
    made = [0] * len(logs)
    while not all("closed" in log for log in logs):
        before = sum(made)
        stage.loop.turn()
        made = [sum(line.startswith("made") for line in log) for log in logs]
        assert sum(made) - before <= CHUNKS_PER_TURN
        assert max(made) - min(made) <= 1
    assert made == [6] * len(logs)


def test_what_is_said_meanwhile_waits_behind_a_stream_within_the_limit(stage: LoopStage) -> None:
    """Where that is too much, the stream does not wait for its turn."""
    connection, _owner, peer, _sock = stage.pair()
    log: list[str] = []
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(get(peer, 30 + MAX_OUT + 1)))
    reader.start()
    connection.stream(numbered(log, 10, 3))
    connection.send(b"x" * MAX_OUT)
    assert log == []
    connection.send(b"x")
    assert log[-1] == "closed"
    stage.until(lambda: not connection.has_output)
    reader.join()
    assert received == [b"0" * 10 + b"1" * 10 + b"2" * 10 + b"x" * (MAX_OUT + 1)]


def test_what_waits_behind_a_stream_counts_for_all_buffers() -> None:
    with staged(max_buffers=1000) as stage:
        connection, owner, _peer, _sock = stage.pair()
        connection.stream(numbered([], 10, 50))
        stage.turn()
        connection.send(b"x" * 1001)
        stage.until(lambda: owner.lost_for)
        assert owner.lost_for == [CloseReason.FULLEST]


def test_a_stream_ends_with_its_connection(stage: LoopStage) -> None:
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


def test_a_receipt_is_given_when_all_has_left(stage: LoopStage) -> None:
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


def test_a_receipt_is_given_at_once_where_nothing_holds_the_output_up(stage: LoopStage) -> None:
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


def test_a_receipt_is_given_in_the_turn_in_which_the_output_leaves(stage: LoopStage) -> None:
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
def test_a_receipt_of_a_connection_that_ends_says_so(stage: LoopStage, already: bool) -> None:
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


def test_what_waits_with_a_receipt_counts_for_a_slow_reader(stage: LoopStage) -> None:
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


def test_a_receipt_waits_behind_a_stream_and_is_given_to_a_finished_connection(stage: LoopStage) -> None:
    connection, _owner, peer, _sock = stage.pair()
    log: list[str] = []
    connection.stream(numbered(log, 10, 3))
    connection.send_with_receipt(b"last", lambda has_left: log.append(f"left {has_left}"))
    connection.finish()
    stage.until(lambda: log[-1:] == ["left True"])
    assert log[-2:] == ["closed", "left True"]
    assert get(peer, 34).endswith(b"last")


def test_a_mistake_of_who_gets_a_receipt_is_logged(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
    connection, owner, peer, sock = stage.pair()
    sock.takes = [0]
    connection.send_with_receipt(b"ping", raising)
    stage.turn()
    stage.turn()
    assert get(peer, 4) == b"ping"
    assert "a mistake" in caplog.text
    assert owner.lost_for == []


def test_a_stream_for_a_closed_connection_is_closed(stage: LoopStage) -> None:
    connection, _owner, _peer, _sock = stage.pair()
    connection.close(CloseReason.FAULT)
    log: list[str] = []
    generator = numbered(log, 10, 3)
    next(generator)
    connection.stream(generator)
    assert log == ["made 0", "closed"]
    connection.stream(iter([b"no generator"]))
    stage.turn()


def test_a_mistake_in_a_stream_closes_only_its_connection(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
    connection, owner, _peer, _sock = stage.pair()
    other, other_owner, other_peer, _ = stage.pair()

    def chunks() -> Iterator[bytes]:
        yield b"piece"
        raising()

    connection.stream(chunks())
    other.send(b"abc")
    stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.FAULT]
    assert other_owner.lost_for == []
    assert get(other_peer, 3) == b"abc"
    assert "a mistake" in caplog.text


def test_a_piece_of_a_stream_may_be_larger_than_what_may_wait() -> None:
    """A stream is made as fast as the peer reads, so its pieces make nobody a slow reader."""
    stage = LoopStage(max_out_buffer=65536)
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


def test_a_reader_that_leaves_a_stream_alone_while_much_is_sent_behind_it_is_slow(stage: LoopStage) -> None:
    connection, owner, _peer, sock = stage.pair()
    sock.takes = [0] * 1000
    connection.stream(iter([b"x" * 1000]))
    stage.turn()
    for _ in range(MAX_OUT // 65536 + 1):
        connection.send(b"y" * 65536)
    stage.turn()
    assert owner.lost_for == [CloseReason.SLOW_READER]


def test_drained_inside_of_an_answer_does_not_mix_a_sessions_answers(stage: LoopStage) -> None:
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
