"""Who leads a cluster, with which log and at which engine: a scenario for each rule, in virtual time.

test_missing_rules.py takes each rule away, and its scenario must fail.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.virtual_engines import COUNT
from support.virtual_nodes import Simulation
from support.virtual_scenes import (
    Scenario,
    after_a_read,
    engine_of,
    ignore_probes,
    others,
    probes,
    proposal,
    said_within,
    scenarios,
    served_within,
    up,
)

# ---- who leads ----


def the_primary_dies() -> None:
    simulation, primary = up()
    primary.kill()
    successor = served_within(simulation, 1.5, primary)
    assert 4 <= probes(simulation) <= 16
    simulation.run(3.0)
    assert simulation.failovers == 1
    assert successor.roles.leader == f"c{successor.number}"
    said_within(simulation, 0.5)
    simulation.check()


def the_primary_freezes() -> None:
    simulation, primary = up()
    primary.freeze()
    began = simulation.time.now
    served_within(simulation, 4.5, primary)
    assert simulation.time.now - began > 2.5


def the_primary_freezes_for_a_moment() -> None:
    simulation, primary = up()
    primary.freeze()
    simulation.run(2.0)
    primary.thaw()
    simulation.run(3.0)
    assert simulation.failovers == 0


def a_new_primary_loads_for_long() -> None:
    simulation, primary = up()
    for node in simulation.nodes:
        node.loads_for = 6.0
    primary.kill()
    simulation.run(12.0)
    assert simulation.failovers == 1
    assert {node.link.openings for node in others(simulation, primary)} == {1}
    said_within(simulation, 1.0)


def entries_alone_arrive() -> None:
    simulation, primary = up()
    simulation.cluster.mutes = {"presence"}
    ignore_probes(primary)
    simulation.chat(0.2, share=1.0)
    simulation.run(8.0)
    assert simulation.failovers == 0
    simulation.check()


def a_backup_is_paused() -> None:
    simulation, primary = up()
    backup = others(simulation, primary)[0]
    simulation.cluster.mutes = {"feed", "presence"}
    backup.freeze()
    simulation.run(5.0)
    simulation.cluster.mutes = set()
    backup.thaw()
    simulation.run(3.0)
    assert backup.roles.reason == ""
    assert simulation.failovers == 0


def a_backup_looks_for_an_engine() -> None:
    simulation, primary = up()
    backup = others(simulation, primary)[0]
    near = engine_of(backup)
    simulation.cluster.engines[(near + 1) % COUNT].is_deaf = True
    for pipe in simulation.cluster.engines[near].pipes:
        if pipe.ready.__closure__ and any(cell.cell_contents is backup for cell in _cells(pipe.ready)):
            pipe.put = lambda data: None  # type: ignore[method-assign] # this connection alone is silent
    simulation.cluster.engines[near].is_deaf = True
    simulation.run(6.0)
    assert backup.link.openings == 2
    assert backup.roles.reason == ""


def _cells(call: Any) -> list[Any]:
    """Return the cells of a closure, and of the objects in them that are networks."""
    cells = list(call.__closure__ or ())
    return cells + [_Cell(cell.cell_contents._node) for cell in cells if hasattr(cell.cell_contents, "_node")]


class _Cell:
    def __init__(self, contents: Any) -> None:
        self.cell_contents = contents


def the_primarys_engine_freezes_and_dies() -> None:
    simulation, primary = up()
    simulation.cluster.freeze(engine_of(primary))
    simulation.run(1.25)
    simulation.cluster.kill(engine_of(primary))
    simulation.run(4.0)
    assert simulation.failovers == 0
    said_within(simulation, 1.0)


def the_primarys_engine_is_cut_off() -> None:
    simulation, primary = up(2)
    simulation.chat(0.02)
    simulation.run(1.0)
    simulation.cluster.cut_off(engine_of(primary))
    served_within(simulation, 4.0, primary)
    simulation.run(3.0)
    simulation.cluster.heal()
    simulation.run(1.0)
    assert primary.ended
    simulation.settle(5.0)


def an_answer_is_late_and_the_engine_cut_off() -> None:
    simulation, primary = up()
    cluster, near = simulation.cluster, engine_of(primary)
    cluster.elect(near)
    after_a_read(simulation, primary)
    cluster.mutes, cluster.late = {"feed"}, 1.5
    simulation.say()
    simulation.run(0.02)
    for node in others(simulation, primary):
        node.log.read()
    simulation.run(0.02)
    cluster.mutes, cluster.late = set(), 0.0
    cluster.cut_off(near)
    cluster.elect((near + 1) % COUNT)
    served_within(simulation, 2.0, primary)
    simulation.run(2.0)
    simulation.check()


def a_second_copy_is_sent_and_the_engine_cut_off() -> None:
    simulation, primary = up()
    cluster, near = simulation.cluster, engine_of(primary)
    cluster.elect(near)
    after_a_read(simulation, primary)
    cluster.mutes = {"ack", "feed"}
    simulation.say()
    simulation.run(0.02)
    for node in others(simulation, primary):
        node.log.read()
    simulation.run(0.02)
    cluster.cut_off(near)
    cluster.elect((near + 1) % COUNT)
    cluster.mutes = set()
    served_within(simulation, 2.0, primary)
    assert primary.file.rows == ["m0"]
    simulation.run(2.0)
    simulation.check()


def a_read_comes_to_one_that_was_frozen() -> None:
    for seed in range(3):
        simulation, primary = up(seed)
        said_within(simulation, 0.1)
        primary.freeze()
        served_within(simulation, 4.5, primary)
        said_within(simulation, 0.5)
        simulation.read(primary)
        primary.is_frozen = False
        primary.step()
        primary.step()
        primary.thaw()
        simulation.run(1.0)
        simulation.check()


def a_candidate_reads_first() -> None:
    simulation, primary = up()
    backup, other = others(simulation, primary)
    other.kill()
    simulation.cluster.mutes = {"feed", "read", "presence"}
    said_within(simulation, 0.03)
    simulation.cluster.mutes = set()
    primary.kill()
    backup.log._reader.started = simulation.time.now + 5.0
    appends = simulation.cluster.appends
    served_within(simulation, 3.0, primary)
    assert simulation.cluster.appends == appends + 1


def a_candidate_is_refused() -> None:
    simulation, primary = up()
    backup, other = others(simulation, primary)
    other.kill()
    simulation.cluster.refuses = 1
    appends = simulation.cluster.appends
    primary.kill()
    simulation.run(1.9)
    assert simulation.cluster.appends - appends == 1
    simulation.run(1.0)
    assert backup.is_primary


def a_candidate_leads_when_it_has_applied() -> None:
    simulation, primary = up()
    backups = others(simulation, primary)
    primary.kill()
    simulation.cluster.mutes = {"feed"}
    while not simulation.cluster.appends or not any(node.log.is_busy for node in backups):
        simulation.run(0.001)
    simulation.cluster.mutes = {"feed", "read"}
    simulation.run(0.5)
    assert not any(node.is_primary for node in backups)
    simulation.cluster.mutes = set()
    served_within(simulation, 3.0, primary)
    said_within(simulation, 0.5)


# ---- which log, and whose data ----


def the_log_is_another() -> None:
    simulation, _primary = up()
    said_within(simulation, 0.1)
    simulation.cluster.created = "another time"
    simulation.cluster.break_connections()
    simulation.run(1.0)
    assert all(node.ended and "made at" in node.ended[0] for node in simulation.nodes)


def the_log_is_shorter() -> None:
    simulation, _primary = up()
    said_within(simulation, 0.1)
    simulation.run(0.2)
    del simulation.cluster.log[1:]
    simulation.cluster.break_connections()
    simulation.run(3.0)
    assert not any(node.ended for node in simulation.nodes)
    simulation.run(5.0)
    assert all(node.ended and "ends at" in node.ended[0] for node in simulation.nodes)


def an_entry_is_another() -> None:
    simulation, _primary = up()
    said_within(simulation, 0.1)
    simulation.run(0.2)
    simulation.cluster.log[-1] = simulation.cluster.log[-1].replace(b"m0", b"m1")
    simulation.cluster.break_connections()
    simulation.run(1.0)
    assert all(node.ended and "entry" in node.ended[0] for node in simulation.nodes)


def the_log_is_lost() -> None:
    simulation, _primary = up()
    said_within(simulation, 0.1)
    simulation.cluster.created = ""
    simulation.cluster.break_connections()
    simulation.run(3.0)
    assert not any(node.ended for node in simulation.nodes)
    simulation.run(8.0)
    assert all(node.ended and "no stream" in node.ended[0] for node in simulation.nodes)


def the_log_cannot_be_made_at_first() -> None:
    simulation = Simulation(3)
    simulation.cluster.full = True
    simulation.start()
    simulation.run(2.0)
    assert not any(node.log.is_ready for node in simulation.nodes)
    simulation.cluster.full = False
    simulation.run(5.0)
    assert any(node.is_primary for node in simulation.nodes)


def the_entry_cannot_be_compared_at_first() -> None:
    simulation, _primary = up()
    said_within(simulation, 0.1)
    simulation.cluster.leaderless_reads = 5
    simulation.cluster.break_connections()
    simulation.run(0.1)
    assert not all(node.log.is_ready for node in simulation.nodes)
    simulation.run(2.0)
    assert all(node.log.is_ready for node in simulation.nodes)


def a_file_with_data_founds() -> None:
    simulation = Simulation(3, ("", "", "abc"))
    for node in simulation.nodes[:2]:
        node.start()
    simulation.run(2.0)
    simulation.start()
    simulation.run(3.5)
    assert simulation.nodes[2].is_primary
    assert simulation.nodes[0].behind
    assert simulation.nodes[0].file.position.applied == 0


def a_file_with_data_comes_too_late() -> None:
    simulation = Simulation(3, ("", "", "abc"))
    for node in simulation.nodes[:2]:
        node.start()
    simulation.run(5.0)
    simulation.nodes[2].start()
    simulation.run(1.0)
    assert "data of its own" in simulation.nodes[2].ended[0]


def a_newer_version_writes() -> None:
    simulation, primary = up()
    cluster = simulation.cluster
    payload = json.dumps({"v": 2, "run": "x", "n": 0, "c": []}).encode()
    cluster._store(cluster.engines[0], proposal(primary)._replace(payload=payload), is_answered=False)
    simulation.run(0.5)
    assert all("newer version" in node.ended[0] for node in simulation.nodes)


# ---- the engine's connection ----


def an_engine_freezes() -> None:
    simulation, primary = up()
    leader = simulation.cluster.leader
    assert leader is not None
    near = engine_of(primary)
    simulation.cluster.elect((near + 1) % COUNT)
    simulation.cluster.freeze(near)
    said_within(simulation, 2.5)
    assert simulation.failovers == 0


@pytest.mark.parametrize("scenario", scenarios(__name__, globals()), ids=lambda scenario: scenario.__name__)
def test_a_rule(scenario: Scenario) -> None:
    scenario()
