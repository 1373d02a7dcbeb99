"""Scenes of a cluster in virtual time: how one begins, and what is waited for in it."""

from __future__ import annotations

import json
from collections.abc import Callable

from support.virtual_engines import Proposal
from support.virtual_nodes import Peer, Simulation

Scenario = Callable[[], None]


def scenarios(module: str, members: dict[str, object]) -> list[Scenario]:
    """Return the functions of a module that take and return nothing, and are no tests."""
    return [
        value
        for name, value in members.items()
        if callable(value)
        and getattr(value, "__module__", "") == module
        and not name.startswith("test")
        and getattr(value, "__annotations__", None) == {"return": "None"}
    ]


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


def proposal(primary: Peer, version: int = 1) -> Proposal:
    entry = {"v": version, "run": primary.process.run if primary.process else "", "n": 0, "c": []}
    return Proposal(json.dumps(entry).encode(), "", True)
