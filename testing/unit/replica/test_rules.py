"""What a node writes to the log and reads from it, a scenario for each rule, in virtual time.

test_missing_rules.py takes each rule away, and its scenario must fail.
"""

from __future__ import annotations

import pytest

from replica.roles import Role
from support.virtual_engines import COUNT
from support.virtual_nodes import Peer, Simulation
from support.virtual_scenes import (
    Scenario,
    after_a_read,
    applied_within,
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


def the_first_copy_is_answered_after_the_second() -> None:
    simulation, primary = up()
    cluster = simulation.cluster
    cluster.mutes = {"error", "feed", "read"}
    cluster.late = 0.8
    simulation.say()
    simulation.run(1.0)
    assert primary.file.rows == ["m0"]


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
        simulation.cluster._store(simulation.cluster.engines[0], proposal(primary), is_answered=False)
    late.start()
    simulation.run(1.0)
    assert late.file.position.applied == len(simulation.cluster.log) == 301
    assert len(late.file.transactions) < 40


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


@pytest.mark.parametrize("scenario", scenarios(__name__, globals()), ids=lambda scenario: scenario.__name__)
def test_a_rule(scenario: Scenario) -> None:
    scenario()


def test_a_name_that_two_nodes_have_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    simulation, primary = up()
    first, second = others(simulation, primary)
    second.kill()
    second.start()  # its own announcements from before prove nothing
    simulation.run(2.0)
    assert "another node is called" not in caplog.text
    second.kill()
    second.name = first.name
    second.start()
    simulation.run(3.0)
    warnings = [record.getMessage() for record in caplog.records if "another node is called" in record.getMessage()]
    assert warnings == [f"another node is called {first.name} as well: give each node a name of its own"] * 2
