"""The rules of a cluster, one scenario for each, in virtual time: the real link, log and roles, played engines.

test_missing_rules.py takes each rule away, and its scenario must fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from replica.roles import Role
from support.virtual_engines import COUNT, Proposal
from support.virtual_nodes import Peer, Simulation


def up(seed: int = 1) -> tuple[Simulation, Peer]:
    """Three nodes, one of which serves; the others follow."""
    simulation = Simulation(seed).start()
    primary = simulation.serve()
    simulation.run(1.0)
    for node in simulation.nodes:
        node.roles.reason = ""
    return simulation, primary


def others(simulation: Simulation, primary: Peer) -> list[Peer]:
    return [node for node in simulation.nodes if node is not primary]


def served_within(simulation: Simulation, seconds: float, but: Peer) -> Peer:
    began = simulation.time.now
    while simulation.time.now - began <= seconds:
        for node in others(simulation, but):
            if node.process is not None and node.process.serves:
                return node
        simulation.run(0.02)
    raise AssertionError(f"not served within {seconds} seconds")


def said_within(simulation: Simulation, seconds: float) -> None:
    request = simulation.say()
    simulation.run(seconds)
    assert request.ended is not None, f"not acknowledged within {seconds} seconds"


def after_a_read(simulation: Simulation, node: Peer) -> None:
    """Run until this node has just read the log, as it does each second."""
    started = node.log._reader.started
    for _ in range(300):
        if node.log._reader.started != started and not node.log.is_reading:
            return
        simulation.run(0.01)


def applied_within(simulation: Simulation, seconds: float, nodes: list[Peer]) -> None:
    simulation.run(seconds)
    assert {node.file.position.applied for node in nodes} == {len(simulation.cluster.log)}


def engine_of(node: Peer) -> int:
    assert node.link.engine is not None
    return node.link.engine.port - 1


def probes(simulation: Simulation) -> int:
    return sum(subject.startswith("ct.t.n.") for subject, _payload in simulation.cluster.heard)


def ignore_probes(primary: Peer) -> None:
    for sid, (subject, _handler) in primary.link._handlers.items():
        if subject.startswith("ct.t.n."):
            primary.link._handlers[sid] = subject, lambda _message: None


# ---- appending ----


def an_answer_to_an_earlier_entry() -> None:
    simulation, _primary = up()
    simulation.cluster.repeats = 0.6
    said_within(simulation, 0.1)
    for number in range(COUNT):
        simulation.cluster.engines[number].proposals.clear()
    simulation.cluster.swallows = 100
    request = simulation.say()
    simulation.run(0.8)
    assert request.ended is None
    simulation.check()


def the_feed_decides() -> None:
    simulation, _primary = up()
    simulation.cluster.mutes = {"ack", "error", "read"}
    said_within(simulation, 0.3)


def a_read_decides() -> None:
    simulation, primary = up()
    simulation.cluster.mutes = {"ack", "error", "feed"}
    after_a_read(simulation, primary)
    simulation.say()
    simulation.run(1.3)
    assert primary.file.rows == ["m0"]


def another_runs_entry_replaces() -> None:
    simulation, primary = up()
    primary.freeze()
    served_within(simulation, 4.5, primary)
    primary.thaw()
    simulation.run(0.1)
    assert primary.ended and primary.ended[0].startswith("replaced")


def a_later_entry_replaces() -> None:
    simulation, primary = up()
    simulation.cluster.mutes = {"read"}
    cluster = simulation.cluster
    cluster._deliver(cluster.engines[0], "ct.t.r", b"{}", "", cluster._head(len(cluster.log) + 2))
    simulation.run(0.1)
    assert primary.ended and primary.ended[0].startswith("replaced")


def a_proposal_vanishes() -> None:
    simulation, primary = up()
    cluster = simulation.cluster
    cluster.slow = 1e9
    request = simulation.say()
    simulation.run(0.9)
    cluster.slow, cluster.keeps = 0.003, 0
    leader = cluster.leader
    assert leader is not None
    leader.proposals.clear()
    cluster.elect((leader.number + 1) % COUNT)
    simulation.run(0.3)
    simulation.check()
    simulation.run(2.0)
    assert request.ended is not None
    assert simulation.failovers == 0
    assert primary.is_primary
    simulation.check()


def an_entry_was_refused_though_it_is_there() -> None:
    simulation, primary = up()
    simulation.cluster.mutes = {"ack", "feed"}
    after_a_read(simulation, primary)
    said_within(simulation, 0.8)


def an_entry_is_refused_for_what_vanishes() -> None:
    simulation, _primary = up()
    simulation.cluster.refuses = 3
    said_within(simulation, 0.4)


def an_append_is_lost() -> None:
    simulation, _primary = up()
    simulation.cluster.swallows = 2
    said_within(simulation, 1.3)


def there_is_no_leader_for_a_moment() -> None:
    simulation, _primary = up()
    leader = simulation.cluster.leader
    assert leader is not None
    leader.leads = False
    request = simulation.say()
    simulation.run(0.15)
    leader.leads = True
    simulation.run(0.2)
    assert request.ended is not None


def a_connection_breaks_with_an_entry_out() -> None:
    simulation, _primary = up()
    simulation.cluster.swallows = 1
    request = simulation.say()
    simulation.run(0.01)
    simulation.cluster.break_connections()
    simulation.run(0.3)
    assert request.ended is not None


def an_append_is_sent_twice() -> None:
    simulation, _primary = up()
    simulation.cluster.slow = 1.2
    for _ in range(4):
        simulation.say()
        simulation.run(4.0)
    simulation.check()


def no_engines() -> tuple[Simulation, Peer]:
    simulation, primary = up()
    for number in range(2):
        simulation.cluster.freeze(number)
    simulation.say()
    return simulation, primary


def the_engines_are_away_for_too_long() -> None:
    simulation, primary = no_engines()
    simulation.run(13.0)
    assert any("undecided" in reason for reason in primary.ended)


def the_engines_are_away_for_a_while() -> None:
    simulation, primary = no_engines()
    simulation.run(9.0)
    for number in range(2):
        simulation.cluster.revive(number)
    simulation.run(3.0)
    assert primary.ended == []
    assert simulation.failovers == 0
    simulation.check()


def an_election_takes_long() -> None:
    simulation, primary = up()
    leader = simulation.cluster.leader
    assert leader is not None
    leader.leads = False
    request = simulation.say()
    simulation.run(8.0)
    leader.leads = True
    simulation.run(1.0)
    assert request.ended is not None
    assert primary.is_primary
    assert [node.roles.reason for node in others(simulation, primary)] == ["", ""]
    assert probes(simulation) == 0


def a_file_is_full() -> None:
    simulation, primary = up()
    primary.file.is_full = True
    simulation.say()
    served_within(simulation, 3.0, primary)
    simulation.run(2.0)
    simulation.check()
    assert primary.ended[0].startswith("the file refuses")
    assert len(simulation.texts()) == 1
    for node in others(simulation, primary):
        node.kill()
    simulation.run(6.0)
    assert len(primary.led) == 1
    assert primary.roles.role is Role.BACKUP
    primary.file.is_full = False
    simulation.run(5.0)
    assert primary.is_primary


def the_primary_leaves() -> None:
    simulation, primary = up()
    simulation.chat()
    simulation.run(0.5)
    while primary.log.is_busy:
        simulation.run(0.001)
    cluster, near = simulation.cluster, engine_of(primary)
    cluster.elect((near + 1) % COUNT)
    primary.leave()
    simulation.run(0.01)
    cluster.cut_off(near)
    served_within(simulation, 0.5, primary)
    simulation.run(1.0)
    simulation.check()


# ---- following ----


def backups_follow_the_feed() -> None:
    simulation, primary = up()
    simulation.cluster.mutes = {"presence", "read"}
    said_within(simulation, 0.1)
    applied_within(simulation, 0.1, simulation.nodes)
    assert primary.is_primary


def a_node_reads_the_past() -> None:
    simulation, primary = up()
    late = others(simulation, primary)[0]
    late.kill()
    for _ in range(300):
        simulation.cluster._store(simulation.cluster.engines[0], _proposal(primary), is_answered=False)
    late.start()
    simulation.run(1.0)
    assert late.file.position.applied == len(simulation.cluster.log) == 301
    assert len(late.file.transactions) < 40


def _proposal(primary: Peer) -> Any:
    entry = {"v": 1, "run": primary.process.run if primary.process else "", "n": 0, "c": []}
    return Proposal(json.dumps(entry).encode(), "", True)


def an_entry_of_the_feed_is_lost() -> None:
    simulation, primary = up()
    for node in others(simulation, primary):
        after_a_read(simulation, node)
    simulation.cluster.mutes = {"feed", "presence"}
    said_within(simulation, 0.03)
    simulation.cluster.mutes = {"presence"}
    said_within(simulation, 0.03)
    applied_within(simulation, 0.05, simulation.nodes)


def a_new_connection_reads() -> None:
    simulation, primary = up()
    for node in others(simulation, primary):
        after_a_read(simulation, node)
    simulation.cluster.mutes = {"feed", "presence"}
    said_within(simulation, 0.03)
    simulation.cluster.break_connections()
    applied_within(simulation, 0.3, simulation.nodes)


def a_heartbeat_hints() -> None:
    simulation, primary = up()
    for node in others(simulation, primary):
        after_a_read(simulation, node)
    simulation.cluster.mutes = {"feed"}
    said_within(simulation, 0.03)
    applied_within(simulation, 0.4, simulation.nodes)


def nodes_read_each_second() -> None:
    simulation, primary = up()
    simulation.cluster.mutes = {"feed", "presence"}
    ignore_probes(primary)
    said_within(simulation, 0.1)
    applied_within(simulation, 1.3, simulation.nodes)


def a_copy_is_behind() -> None:
    simulation, _primary = up()
    said_within(simulation, 0.1)
    for engine in simulation.cluster.engines:
        engine.copy = 0
    simulation.cluster.break_connections()
    simulation.run(1.0)
    assert [node.ended for node in simulation.nodes] == [[], [], []]
    said_within(simulation, 0.5)


def the_beginning_is_purged() -> None:
    simulation, primary = up()
    late = others(simulation, primary)[0]
    late.kill()
    for _ in range(5):
        said_within(simulation, 0.1)
    simulation.cluster.first = len(simulation.cluster.log)
    late.start()
    simulation.run(2.0)
    assert late.behind
    assert late.file.rows == []


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
    cluster._store(cluster.engines[0], _proposal(primary)._replace(payload=payload), is_answered=False)
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


SCENARIOS = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and value.__annotations__ == {"return": "None"}
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_rule(scenario: Callable[[], None]) -> None:
    scenario()
