"""net/table.py: what all connections share."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.table import Buffers, CloseReason
from support.examples import EXAMPLES
from support.loop import MAX_OUT, staged


def test_the_fullest_is_closed_when_all_buffers_are_too_full(caplog: pytest.LogCaptureFixture) -> None:
    """C20."""
    with staged(max_out_buffer=MAX_OUT, max_buffers=100_000) as stage:
        pairs = [stage.pair() for _ in range(3)]
        for connection, _owner, _peer, sock in pairs:
            sock.takes = [0] * 100
            connection.send(b"x" * 20_000)
        assert stage.loop.table.buffers.total == 0  # within a turn nothing is counted
        stage.turn()
        assert stage.loop.table.buffers.total == 60_000
        first, second, third = (connection for connection, *_rest in pairs)
        second.count_input(30_000)
        assert stage.loop.table.buffers.total == 90_000
        first.send(b"y" * 5_000)  # to one that takes nothing each byte counts at once
        assert stage.loop.table.buffers.total == 95_000
        third.send(b"y" * 6_000)
        assert stage.loop.table.buffers.total == 51_000
        stage.turn()
        assert [owner.lost_for for _connection, owner, *_rest in pairs] == [[], [CloseReason.FULLEST], []]
        assert "50000 bytes wait, the most of all" in caplog.text
        assert "reason=max-buffers" in caplog.text
        assert stage.loop.closed[CloseReason.FULLEST] == 1
        for connection, _owner, _peer, sock in pairs:
            sock.takes = []
            if connection is not second:
                stage.until(lambda connection=connection: not connection.has_output)  # type: ignore[misc]
        assert stage.loop.table.buffers.total == 0
        first.close(CloseReason.PEER)
        first.count_input(10)
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
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["input", "output", "over"]), st.integers(0, 60))))
def test_buffers_are_within_their_bound_whatever_is_counted(counts: list[tuple[int, str, int]]) -> None:
    """The input and the output of a connection count together."""
    buffers, sizes = Buffers[Any](), dict[Any, Counter[str]]()
    buffers.bound = 100

    class Closable:
        def report_limit(self, *_words: object) -> None:
            pass

        def close(self, reason: CloseReason) -> None:
            assert reason is CloseReason.FULLEST
            assert sizes.pop(self).total() == largest

    connections: list[Any] = [Closable() for _ in range(6)]
    for number, kind, size in counts:
        connection = connections[number]
        sizes.setdefault(connection, Counter())[kind] = size
        largest = max(each.total() for each in sizes.values())
        if kind == "input":
            buffers.count_input(connection, size)
        elif kind == "output":
            buffers.count_output(connection, size)
        else:
            del sizes[connection]
            buffers.forget(connection)
        assert buffers.total == sum(each.total() for each in sizes.values()) <= 100


@pytest.mark.parametrize(("clients", "share", "ceiling"), [(8, 25, 2), (100, 1, 1), (3, 25, 1), (7, 100, 7)])
def test_a_share_is_a_part_of_all_and_one_at_least(clients: int, share: int, ceiling: int) -> None:
    with staged(max_clients=clients, address_share=share) as stage:
        assert stage.loop.table.address_ceiling == ceiling
