"""net/loop.py: draining and closing."""

from __future__ import annotations

import pytest

from harness.peer import PATIENCE
from net.table import CloseReason
from support.loop import LoopStage, get, open_descriptors


def test_drain_stops_when_the_last_connection_has_gone(stage: LoopStage) -> None:
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


def test_drain_gives_those_their_answers_who_wait_for_one_who_does_not_read(stage: LoopStage) -> None:
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


def test_drain_does_not_wait_for_a_peer_to_whom_all_was_said(stage: LoopStage) -> None:
    connection, owner, peer, _sock = stage.pair()
    connection.send(b"bye")
    connection.finish()
    stage.turn()
    assert get(peer, 3) == b"bye"
    assert owner.lost_for == []
    stage.loop.call_soon(lambda: stage.loop.drain(PATIENCE))
    stage.loop.run()
    assert owner.lost_for == [CloseReason.GOODBYE]


def test_drain_stops_after_its_time(stage: LoopStage) -> None:
    stage.pair()
    stage.loop.drain(0.01)
    stage.loop.run()
    assert len(stage.loop.connections) == 1


def test_drain_stops_at_once_when_nobody_is_there(stage: LoopStage) -> None:
    stage.loop.drain(10 * PATIENCE)
    stage.loop.run()


def test_closing_the_loop_frees_every_descriptor_and_tells_the_owners() -> None:
    before = open_descriptors()
    stage = LoopStage()
    stage.listen()
    _connection, owner, _peer, sock = stage.pair()
    stage.close()
    assert owner.lost_for == [CloseReason.SHUTDOWN]
    assert sock.fileno() == -1
    assert open_descriptors() == before


def test_two_loops_live_in_one_process() -> None:
    stages = [LoopStage(), LoopStage()]
    try:
        for stage in stages:
            connection, _owner, peer, _sock = stage.pair()
            connection.send(b"x")
            stage.turn()
            assert get(peer, 1) == b"x"
    finally:
        for stage in stages:
            stage.close()
