"""What waits in the replicated log: a turn's changes, the lease, the end of a leader."""

from __future__ import annotations

import json

import pytest

from domain.changes import Said
from replica.log import LEASE_SECONDS, LEAVE_SECONDS, UNDECIDED_SECONDS
from replica.names import SteppedDown
from replica.wire import MAX_ENTRY
from support.virtual_nodes import Peer, Simulation


@pytest.fixture
def stage() -> tuple[Simulation, Peer]:
    """A node that leads, and whose turns the test makes itself."""
    simulation = Simulation(1).start()
    primary = simulation.serve()
    simulation.run(1.0)
    return simulation, primary


def said(text: str) -> Said:
    return Said("ann", "garden", text, 1.0)


def test_a_turn_is_decided_when_write_returns(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    assert primary.log.write([said("a"), said("b")])
    assert simulation.texts() == ["a", "b"] == primary.file.rows
    assert primary.file.position.applied == len(simulation.cluster.log) == 2
    assert primary.file.position.run == primary.log.run
    simulation.run(0.1)
    assert [node.file.rows for node in simulation.nodes] == [["a", "b"]] * 3


def test_a_long_turn_is_several_entries_in_order(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    texts = [f"{number} {'x' * 9000}" for number in range(100)]
    primary.log.write(list(map(said, texts)))
    assert simulation.texts() == texts
    assert len(simulation.cluster.log) == 1 + 4
    assert max(map(len, simulation.cluster.log)) <= MAX_ENTRY


def test_output_waits_for_the_lease(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    primary.log.write([said("a")])
    appends = simulation.cluster.appends
    simulation.run(LEASE_SECONDS - 0.1)
    primary.log.hold_lease()
    assert simulation.cluster.appends == appends
    simulation.run(0.2)
    assert not primary.log.has_lease
    primary.log.hold_lease()
    assert primary.log.has_lease
    assert simulation.cluster.appends == appends + 1
    assert simulation.texts() == ["a"]


def test_the_others_hear_of_a_primary_that_waits(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    leader = simulation.cluster.leader
    assert leader is not None
    leader.leads = False
    simulation.time.later(8.0, lambda: setattr(leader, "leads", True))
    simulation.cluster.heard.clear()
    primary.log.write([said("a")])
    beats = [json.loads(payload) for subject, payload in simulation.cluster.heard if subject == "ct.t.p"]
    own = [beat for beat in beats if beat["run"] == primary.log.run]
    assert 25 <= len(own) <= 40
    assert all(beat["leads"] for beat in own)
    assert simulation.failovers == 0


def test_a_primary_without_engines_steps_down(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    for number in range(3):
        simulation.cluster.kill(number)
    began = simulation.time.now
    with pytest.raises(SteppedDown, match="undecided"):
        primary.log.write([said("a")])
    assert UNDECIDED_SECONDS <= simulation.time.now - began < UNDECIDED_SECONDS + 0.2


def test_why_an_entry_is_not_stored_is_logged_once(
    stage: tuple[Simulation, Peer], caplog: pytest.LogCaptureFixture
) -> None:
    simulation, primary = stage
    simulation.cluster.full = True
    simulation.time.later(0.5, lambda: setattr(simulation.cluster, "full", False))
    primary.log.write([said("a")])
    assert caplog.text.count("the engines do not store an entry: maximum bytes exceeded") == 1
    leader = simulation.cluster.leader
    assert leader is not None
    leader.leads = False
    simulation.time.later(0.5, lambda: setattr(leader, "leads", True))
    primary.log.write([said("b")])
    assert caplog.text.count("the engines do not store an entry: none of them leads the log") == 1
    assert simulation.texts() == ["a", "b"]


def test_why_the_log_cannot_be_made_is_logged_once_by_each(caplog: pytest.LogCaptureFixture) -> None:
    simulation = Simulation(1)
    simulation.cluster.full = True
    simulation.start()
    simulation.run(3.0)
    assert caplog.text.count("the engines cannot make the log: insufficient storage") == len(simulation.nodes)


def test_a_leader_leaves(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    primary.log.hold_lease()
    assert primary.log.leave("c1")
    assert not primary.log.has_lease
    assert primary.file.position.run == ""
    simulation.run(0.5)
    assert simulation.failovers == 1


def test_a_leader_leaves_without_engines(stage: tuple[Simulation, Peer]) -> None:
    simulation, primary = stage
    for number in range(2):
        simulation.cluster.freeze(number)
    began = simulation.time.now
    assert not primary.log.leave("c1")
    assert not primary.log.has_lease
    assert simulation.time.now - began < LEAVE_SECONDS + 0.2
