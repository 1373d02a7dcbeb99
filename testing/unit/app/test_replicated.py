"""replicated.py: the lease at each connection, loading between heartbeats, the status line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.replicated import ROWS_PER_TICK, ClusterBackend, Status, leased
from domain.changes import ChannelCreated
from replica.names import SteppedDown
from support.loop import LoopStage, connection_of


class Lease:
    """A server's part in a cluster, of which only the lease matters."""

    def __init__(self, hold: Callable[[], None]) -> None:
        self.hold_lease = hold


def test_output_leaves_only_after_the_lease_was_held() -> None:
    held: list[str] = []
    part: Any = Lease(lambda: held.append("held"))
    stage = LoopStage(connection=leased(lambda: part))
    (owner,), (peer,) = stage.accept()
    connection = connection_of(owner)
    connection.send(b"x" * 100)
    connection.flush()
    assert held == ["held"]
    assert peer.recv(1000) == b"x" * 100
    stage.close()


def test_a_node_that_was_replaced_sends_nothing() -> None:
    def replaced() -> None:
        raise SteppedDown("replaced")

    part: Any = Lease(replaced)
    stage = LoopStage(connection=leased(lambda: part))
    (owner,), (peer,) = stage.accept()
    connection = connection_of(owner)
    connection.send(b"secret")
    with pytest.raises(SteppedDown):
        connection.flush()
    with pytest.raises(SteppedDown):
        connection.send(b"x" * 10**6)  # so much that it would leave at once
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1000)
    stage.close()


def test_a_large_state_is_loaded_between_heartbeats() -> None:
    class Rows:
        last_number = 7

        def load(self) -> Any:
            return (ChannelCreated(f"channel{number}", "ann", 1.0) for number in range(3 * ROWS_PER_TICK + 1))

        def __getattr__(self, _name: str) -> Any:
            return None

    ticks: list[int] = []
    rows: Any = Rows()
    backend = ClusterBackend(rows, rows, lambda: ticks.append(1))
    assert len(list(backend.load())) == 3 * ROWS_PER_TICK + 1
    assert len(ticks) == 4
    assert backend.last_number == 7


def test_the_status_is_words_for_one_line() -> None:
    status = Status("c1", "primary", "abc", "", 7, 0, 0.654, "", 2, 1, "the leader is gone")
    assert dict(status.words()) == {
        "node": "c1", "role": "primary", "run": "abc", "leader": "none", "applied": "7", "lag": "0", "lease": "0.65",
        "engine": "none", "engine-changes": "2", "failovers": "1", "reason": "the-leader-is-gone",
    }  # fmt: skip
