"""net/blockage.py: the time-out of a peer that takes nothing."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from net.blockage import FRESH_SECONDS, Blockage
from net.table import CloseReason
from support.loop import LoopStage

SECONDS = 30.0


class Clock:
    """A loop's timers, and the kernel's buffer, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.in_kernel = 100
        self.deadlines: list[tuple[float, Any]] = []
        self.stalled: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr("net.blockage.bytes_in_kernel", lambda _sock: self.in_kernel)
        table: Any = SimpleNamespace(stall_seconds=SECONDS, reactor=self)
        sock: Any = None
        self.blockage = Blockage(table, sock, lambda: self.stalled.append(self.now))

    def call_later(self, seconds: float, call: Any) -> Any:
        deadline = (self.now + seconds, call)
        self.deadlines.append(deadline)
        return deadline

    def cancel(self, deadline: Any) -> None:
        self.deadlines.remove(deadline)

    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        due = [deadline for deadline in self.deadlines if deadline[0] <= self.now]
        for deadline in due:
            self.deadlines.remove(deadline)
            deadline[1]()


def test_a_peer_that_takes_nothing_is_stalled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.let_pass(SECONDS - 1)
    assert clock.stalled == []
    clock.let_pass(1)
    assert clock.stalled == [1000.0 + SECONDS]
    assert clock.deadlines == []


@pytest.mark.parametrize("reports", [True, False], ids=["by a write", "seen in the kernel alone"])
def test_progress_begins_the_time_anew(monkeypatch: pytest.MonkeyPatch, reports: bool) -> None:
    clock = Clock(monkeypatch)
    clock.let_pass(SECONDS - 10)
    clock.in_kernel -= 1
    if reports:
        clock.blockage.note_progress()
    clock.let_pass(10)
    assert clock.stalled == []
    rest = SECONDS - 10 if reports else SECONDS
    clock.let_pass(rest - 1)
    assert clock.stalled == []
    clock.let_pass(1)
    assert clock.stalled == [clock.now]


def test_it_is_fresh_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert clock.blockage.is_fresh
    clock.let_pass(FRESH_SECONDS)
    assert not clock.blockage.is_fresh


def test_an_end_leaves_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.blockage.end()
    assert clock.deadlines == []


def test_a_blocked_connection_that_is_closed_keeps_nothing_of_it(stage: LoopStage) -> None:
    """Else the two would know each other, and wait for the collector of cycles."""
    connection, _owner, _peer, sock = stage.pair()
    sock.takes = [0] * 10
    connection.send(b"x")
    connection.flush()
    assert connection._blockage is not None
    connection.close(CloseReason.REFUSED)
    stage.turn()
    assert connection._blockage is None
    assert not len(stage.loop._deadlines)
