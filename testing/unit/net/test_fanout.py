"""net/fanout.py: the same bytes for many connections, each of which gets all of its output in order."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.connection import Connection
from net.output import Output
from net.table import HIGH_WATER, CloseReason
from support.loop import MAX_OUT, LoopStage, get, staged

Steps = list[tuple[Any, ...]]


def test_what_many_share_leaves_at_the_end_of_the_turn_in_one_send(stage: LoopStage) -> None:
    pairs = [stage.pair() for _ in range(150)]
    audience = stage.loop.audience([connection for connection, *_ in pairs])
    for _turn in range(2):
        for number in range(3):
            audience.send(b"%d\n" % number)
        assert all(connection.has_output for connection, *_ in pairs)
        assert stage.loop.has_output
        stage.turn()
        assert not any(connection.has_output for connection, *_ in pairs)
        assert not stage.loop.has_output
    assert stage.loop.table.sent == 150 * 12
    for _connection, _owner, peer, sock in pairs:
        assert sock.sends == [6, 6]
        assert get(peer, 12) == b"0\n1\n2\n" * 2


def test_a_message_costs_no_step_for_each_of_those_who_have_nothing_else(stage: LoopStage) -> None:
    pairs = [stage.pair() for _ in range(50)]
    audience = stage.loop.audience([connection for connection, *_ in pairs])
    with (
        mock.patch.object(Output, "send", side_effect=AssertionError),
        mock.patch.object(Output, "flush", side_effect=AssertionError),
    ):
        audience.send(b"all")
        stage.turn()
    assert [get(peer, 3) for *_, peer, _sock in pairs] == [b"all"] * 50


def test_an_audience_knows_its_connections(stage: LoopStage) -> None:
    (one, *_), (two, *_), (other, *_) = (stage.pair() for _ in range(3))
    audience = stage.loop.audience([one, two])
    assert len(audience) == 2
    assert (one in audience, other in audience) == (True, False)


def test_some_of_an_audience_do_not_get_it(stage: LoopStage) -> None:
    pairs = [stage.pair() for _ in range(3)]
    one, two, three = (connection for connection, *_ in pairs)
    audience = stage.loop.audience([one, two, three])
    audience.send(b"a", [one])
    audience.send(b"b", [one, two])
    audience.send(b"c")
    two.send(b".")
    stage.turn()
    assert [get(peer, size) for (*_, peer, _sock), size in zip(pairs, (1, 3, 3), strict=True)] == [b"c", b"ac.", b"abc"]


def test_the_same_bytes_go_to_many_as_they_do_to_one(stage: LoopStage) -> None:
    """Each kind of connection: plain, with a stream, blocked, finishing, closed, with something pending already."""
    data = b"same"
    pairs = [stage.pair() for _ in range(6)]
    plain, streaming, blocked, finishing, closed, pending = (connection for connection, *_ in pairs)
    streaming.stream(iter([b"stream "]))
    pairs[2][3].takes = [4, *[0] * 4]
    blocked.send(b"blocked ")
    stage.turn()
    finishing.finish()
    closed.close(CloseReason.GOODBYE)
    pending.send(b"before ")
    stage.loop.audience([plain, streaming, blocked, finishing, closed, pending]).send(data)
    for connection in (plain, streaming, pending):
        connection.send(b".")
    stage.until(lambda: not any(connection.has_output for connection in (plain, streaming, blocked, pending)))
    expected = [b"same.", b"stream same.", b"blocked same", b"", b"", b"before same."]
    assert [get(peer, len(text)) for (*_, peer, _sock), text in zip(pairs, expected, strict=True)] == expected
    assert [peer.recv(1) for peer in (pairs[3][2], pairs[4][2])] == [b"", b""]


ENDS: dict[str, tuple[Callable[[Connection], object], bytes]] = {
    "finish": (lambda connection: connection.finish(), b"shared"),
    "close": (lambda connection: connection.close(CloseReason.GOODBYE), b""),
    "receipt": (lambda connection: connection.send_with_receipt(b"!", lambda _left: None), b"shared!"),
    "stream": (lambda connection: connection.stream(iter([b"1", b"2"])), b"shared12"),
}


@pytest.mark.parametrize(("what", "expected"), ENDS.values(), ids=ENDS)
def test_what_is_shared_goes_before_what_a_connection_does_next(
    stage: LoopStage, what: Callable[[Connection], object], expected: bytes
) -> None:
    (one, _owner, peer, _sock), (other, _other_owner, other_peer, _other_sock) = stage.pair(), stage.pair()
    audience = stage.loop.audience([one, other])
    audience.send(b"shared")
    what(one)
    stage.until(lambda: one not in stage.loop.connections or not one.has_output)
    assert get(peer, len(expected)) == expected
    audience.send(b"more")
    stage.turn()
    assert get(other_peer, 10) == b"sharedmore"


@pytest.mark.parametrize("takes", [[0], [3], [0, 0, 1, 0]])
def test_what_the_kernel_does_not_take_waits_with_its_connection(stage: LoopStage, takes: list[int]) -> None:
    pairs = [stage.pair() for _ in range(3)]
    audience = stage.loop.audience([connection for connection, *_ in pairs])
    pairs[1][3].takes = takes
    audience.send(b"shared")
    stage.turn()
    audience.send(b" later")
    stage.until(lambda: not pairs[1][0].has_output)
    assert [get(peer, 12) for *_, peer, _sock in pairs] == [b"shared later"] * 3
    assert stage.loop.table.sent == 36
    with mock.patch.object(Output, "send", side_effect=AssertionError):  # it shares again
        audience.send(b".")
    stage.turn()
    assert [get(peer, 1) for *_, peer, _sock in pairs] == [b"."] * 3


def test_bytes_for_many_congest_those_that_have_much(stage: LoopStage) -> None:
    (much, owner, peer, sock), (little, *_) = stage.pair(), stage.pair()
    sock.takes = [0]
    much.send(b"x" * HIGH_WATER)
    stage.loop.audience([much, little]).send(b"y")
    assert (much.congested, little.congested) == (True, False)
    reader = threading.Thread(target=get, args=(peer, HIGH_WATER + 1))
    reader.start()
    stage.until(lambda: owner.told)
    reader.join()
    assert owner.told == ["drained"]


def test_much_that_is_shared_is_limited_as_the_output_of_each(stage: LoopStage) -> None:
    """The kernel takes a part of it for one of them, so only the other one has too much."""
    pairs = [stage.pair() for _ in range(2)]
    (reads, owner, peer, _sock), (_never, slow, _peer, sock) = pairs
    audience = stage.loop.audience([connection for connection, *_ in pairs])
    sock.takes = [0] * 1000
    pieces = [b"x" * (HIGH_WATER // 2)] * (2 * MAX_OUT // HIGH_WATER) + [b"x"]
    for piece in pieces:
        audience.send(piece)
    reader = threading.Thread(target=get, args=(peer, MAX_OUT + 1))
    reader.start()
    stage.until(lambda: not reads.has_output)
    reader.join()
    assert (owner.lost_for, slow.lost_for) == ([], [CloseReason.SLOW_READER])


def test_a_fault_with_one_of_many_costs_the_others_nothing(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (much, owner, *_), (little, _owner, peer, _sock) = stage.pair(), stage.pair()
    much.send(b"x" * HIGH_WATER)
    monkeypatch.setattr(Output, "_relieve", lambda _output: 1 // 0)
    stage.loop.audience([much, little]).send(b"y")
    stage.turn()
    assert owner.lost_for == [CloseReason.FAULT]
    assert get(peer, 1) == b"y"
    assert "ZeroDivisionError" in caplog.text


def test_a_fault_after_a_short_send_costs_the_others_nothing(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (short, owner, _peer, sock), (whole, _owner, peer, _sock) = stage.pair(), stage.pair()
    sock.takes = [1]
    monkeypatch.setattr(Output, "send_rest", lambda _output, _rest: 1 // 0)
    stage.loop.audience([short, whole]).send(b"shared")
    stage.turn()
    assert owner.lost_for == [CloseReason.FAULT]
    assert get(peer, 6) == b"shared"
    assert "ZeroDivisionError" in caplog.text


def test_nothing_keeps_a_connection_that_has_ended(stage: LoopStage) -> None:
    (one, *_), (other, *_) = stage.pair(), stage.pair()
    stage.loop.audience([one, other]).send(b"shared")
    one.close(CloseReason.GOODBYE)
    stage.turn()
    assert not stage.loop.table.fanout.apart
    assert not stage.loop.table.fanout.batches


def test_an_audience_is_freed_at_once(stage: LoopStage) -> None:
    """Without the garbage collector, which a busy server does not wait for."""
    (one, *_), (other, *_) = stage.pair(), stage.pair()
    before = sys.getrefcount(one)
    audience = stage.loop.audience([one, other])
    audience.send(b"shared", [one])
    stage.turn()
    assert sys.getrefcount(one) > before
    del audience
    assert sys.getrefcount(one) == before


def test_everything_that_is_sent_in_one_turn_comes_in_order(stage: LoopStage) -> None:
    """All scripts of three steps for a connection that is in two audiences."""
    pairs = [stage.pair() for _ in range(3)]
    (one, _owner, peer, _sock), (two, *_), (three, *_) = pairs
    first, second = stage.loop.audience([one, two]), stage.loop.audience([one, three])
    acts: list[Callable[[bytes], object]] = [
        first.send,
        second.send,
        lambda data: first.send(data, [two]),
        one.send,
        lambda data: one.send_with_receipt(data, lambda _left: None),
        lambda data: one.stream(iter([data])),
    ]
    for script in product(acts, repeat=3):
        for number, act in enumerate(script):
            act(b"%d" % number)
        stage.until(lambda: not any(connection.has_output for connection in (one, two, three)))
        assert get(peer, 3) == b"012", [acts.index(act) for act in script]


COUNT = 5
connections = st.integers(0, COUNT - 1)
groups = st.sets(connections, min_size=1)
texts = st.one_of(st.just(b""), st.binary(min_size=1, max_size=9), st.integers(1, 9).map(lambda n: b"%d" % n * 900))
steps: st.SearchStrategy[Steps] = st.lists(
    st.one_of(
        st.tuples(st.just("all"), st.integers(0, 2), texts, st.one_of(st.just(set()), groups)),
        st.tuples(st.just("one"), connections, texts),
        st.tuples(st.just("receipt"), connections, texts),
        st.tuples(st.just("stream"), connections, st.lists(texts, max_size=3)),
        st.tuples(st.just("finish"), connections),
        st.tuples(st.just("close"), connections),
        st.tuples(st.just("takes"), connections, st.lists(st.integers(0, 5), max_size=4)),
        st.tuples(st.just("turn")),
        st.tuples(st.just("turn")),
    ),
    max_size=30,
)


@given(st.lists(groups, min_size=3, max_size=3), steps)
def test_each_gets_all_of_its_output_in_order(members: Sequence[set[int]], script: Steps) -> None:
    with staged(max_out_buffer=20_000) as stage:
        pairs = [stage.pair() for _ in range(COUNT)]
        audiences = [stage.loop.audience([pairs[number][0] for number in sorted(group)]) for group in members]
        expected = [b""] * COUNT
        over: set[int] = set()

        def expect(number: int, data: bytes) -> None:
            if number not in over:
                expected[number] += data

        for what, *rest in script:
            match what, rest:
                case "all", [index, data, without]:
                    chosen = without & members[index]
                    audiences[index].send(data, [pairs[number][0] for number in chosen])
                    for number in members[index] - chosen:
                        expect(number, data)
                case "one", [number, data]:
                    pairs[number][0].send(data)
                    expect(number, data)
                case "receipt", [number, data]:
                    pairs[number][0].send_with_receipt(data, lambda _left: None)
                    expect(number, data)
                case "stream", [number, chunks]:
                    pairs[number][0].stream(iter(chunks))
                    expect(number, b"".join(chunks))
                case "finish", [number]:
                    pairs[number][0].finish()
                    over.add(number)
                case "close", [number]:
                    pairs[number][0].close(CloseReason.GOODBYE)
                    over.add(number)
                case "takes", [number, takes]:
                    pairs[number][3].takes = takes
                case _:
                    stage.turn()
        stage.until(lambda: not any(connection.has_output for connection in stage.loop.connections))
        for (_connection, owner, peer, _sock), data in zip(pairs, expected, strict=True):
            peer.setblocking(False)
            got = b""
            try:
                while piece := peer.recv(1 << 20):
                    got += piece
            except BlockingIOError:
                pass
            assert got == data or (owner.lost_for and data.startswith(got))
