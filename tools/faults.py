"""What is done to the nodes and engines of a cluster: they are killed, frozen and restarted, or lose their files."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import NamedTuple

from harness.cluster import Cluster, ClusterNode
from harness.text import Failed

Choice = Callable[[Cluster, random.Random], ClusterNode]
Infliction = Callable[[Cluster, random.Random], Callable[[], None]]


class Fault(NamedTuple):
    """What is done to a cluster.

    Attributes:
        name: for the table.
        inflict: does it, and returns what ends it.
        seconds: how long it lasts.
        may_fail_over: whether another leader is expected.
    """

    name: str
    inflict: Infliction
    seconds: float
    may_fail_over: bool


def kill(*chosen: Choice, by: signal.Signals = signal.SIGKILL) -> Infliction:
    """Return what ends some nodes; they are started again afterwards."""

    def inflict(cluster: Cluster, rng: random.Random) -> Callable[[], None]:
        for node in [choose(cluster, rng) for choose in chosen]:
            if node.process is not None:
                node.end(by)
        return cluster.start

    return inflict


def lose_file(choose: Choice) -> Infliction:
    """Return what ends a node and destroys its file; it is started again without it."""

    def inflict(cluster: Cluster, rng: random.Random) -> Callable[[], None]:
        node = choose(cluster, rng)
        node.end()
        for path in node.directory.glob(f"{node.database.name}*"):
            path.unlink()
        return cluster.start

    return inflict


def freeze(choose: Choice) -> Infliction:
    """Return what freezes a node; it goes on afterwards."""

    def inflict(cluster: Cluster, rng: random.Random) -> Callable[[], None]:
        node = choose(cluster, rng)
        node.send_signal(signal.SIGSTOP)
        return lambda: node.send_signal(signal.SIGCONT)

    return inflict


def hit_engines(count: int, by: signal.Signals) -> Infliction:
    """Return what kills or freezes engines, that which leads the log first."""

    def inflict(cluster: Cluster, rng: random.Random) -> Callable[[], None]:
        engines = cluster.engines
        leader = engines.leader(cluster.name)
        others = [number for number in engines.numbers if number != leader]
        chosen = [leader, *rng.sample(others, len(others))][:count]
        for number in chosen:
            engines.send_signal(number, by)

        def restore() -> None:
            for number in chosen:
                engines.send_signal(number, signal.SIGCONT)
            engines.start()

        return restore

    return inflict


def restart_engine(cluster: Cluster, _rng: random.Random) -> Callable[[], None]:
    """Restart the engine that leads the log, as an update does."""
    engines = cluster.engines
    restarted = engines.run("restart", str(engines.leader(cluster.name)))
    if restarted.returncode:
        raise Failed(restarted.stderr)
    return lambda: None


def primary(cluster: Cluster, _rng: random.Random) -> ClusterNode:
    return cluster.primary()


def backup(cluster: Cluster, rng: random.Random) -> ClusterNode:
    return rng.choice(cluster.backups())


FAULTS = (
    Fault("primary killed", kill(primary), 2.0, True),
    Fault("primary and a backup killed", kill(backup, primary), 2.0, True),
    Fault("backup killed", kill(backup), 1.0, False),
    Fault("backup's file lost", lose_file(backup), 0.5, False),
    Fault("primary's file lost", lose_file(primary), 2.0, True),
    Fault("primary terminated", kill(primary, by=signal.SIGTERM), 2.0, True),
    Fault("primary frozen for 7 s", freeze(primary), 7.0, True),
    Fault("backup frozen for 3 s", freeze(backup), 3.0, False),
    Fault("leading engine killed", hit_engines(1, signal.SIGKILL), 5.0, False),
    Fault("leading engine frozen", hit_engines(1, signal.SIGSTOP), 5.0, False),
    Fault("leading engine restarted", restart_engine, 0.0, False),
    Fault("two engines killed", hit_engines(2, signal.SIGKILL), 3.0, True),
    Fault("all engines killed", hit_engines(3, signal.SIGKILL), 3.0, True),
)
