"""Random schedules of three nodes and engines: whatever fails, nothing that was told is lost, doubled or stale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from replica.log import ReplicatedLog
from support.virtual_nodes import Simulation, faults
from unit.replica.test_missing_rules import method, take_the_heartbeat_for_a_lease, trust_the_refusal

FAULTS = sorted(faults(Simulation()))
STEPS = st.lists(
    st.tuples(st.sampled_from(FAULTS), st.integers(0, 2), st.sampled_from([0.01, 0.3, 1.0, 2.0, 4.0])),
    min_size=2,
    max_size=8,
)
SCHEDULES = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
"""Without shrinking: a schedule that fails is short, and seconds are many."""


def play(seed: int, steps: Sequence[tuple[str, int, float]], *, cuts: bool = False) -> None:
    """Play a schedule of faults while clients say and read, let everything recover, and check what must hold."""
    simulation = Simulation(seed)
    simulation.cluster.cuts = cuts
    fault = faults(simulation)
    simulation.start()
    simulation.run(4.0)
    simulation.chat()
    for name, number, seconds in steps:
        fault[name](number)
        simulation.run(seconds)
    simulation.settle(10.0)


@SCHEDULES
@given(seed=st.integers(0, 1000), steps=STEPS, cuts=st.booleans())
def test_whatever_fails(seed: int, steps: list[tuple[str, int, float]], cuts: bool) -> None:
    play(seed, steps, cuts=cuts)


@pytest.mark.parametrize(
    "mutate",
    [
        pytest.param(method(ReplicatedLog, "_refused", trust_the_refusal), id="10071-is-trusted"),
        pytest.param(take_the_heartbeat_for_a_lease, id="the-own-heartbeat-is-a-lease"),
    ],
)
def test_the_errors_of_the_first_design_are_found(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    @settings(SCHEDULES, max_examples=200)
    @given(seed=st.integers(0, 1000), steps=STEPS)
    def search(seed: int, steps: list[tuple[str, int, float]]) -> None:
        play(seed, steps)

    mutate(monkeypatch)
    with pytest.raises(AssertionError, match=r"lost|twice|stale|hold a lease|not caught up"):
        search()
