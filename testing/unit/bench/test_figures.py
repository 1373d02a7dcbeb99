"""The benchmark's own arithmetic, its table, and its command line."""

from __future__ import annotations

import json

import pytest

from bench.__main__ import options, plan, relative
from bench.figures import Figures, percentile, shown, table
from bench.loads import DELIVERIES, LOADS, WrongDelivery, figures
from harness.processes import ROOT


@pytest.mark.parametrize(
    ("samples", "part", "expected"),
    [([], 0.99, 0), ([7], 0.99, 7), ([3, 1, 2], 0.5, 2), (range(101), 0.99, 99), (range(101), 1, 100)],
)
def test_a_percentile_is_one_of_the_samples(samples: list[float], part: float, expected: float) -> None:
    assert percentile(samples, part) == expected


def test_medians_are_in_the_table_beside_our_part_of_the_yardstick() -> None:
    measured = Figures()
    for value in (3_000_000, 1_000_000, 2_000_000):
        measured.add("fan-out", "ours", {DELIVERIES: value, "p50 ms": 0.93})
        measured.add("fan-out", "C yardstick", {DELIVERIES: 2 * value})
    measured.add("only ours", "ours", {"p50 ms": 12.34})
    assert table(measured, ["ours", "C yardstick"]).splitlines() == [
        "|           | figure           |      ours | C yardstick | ours / C |",
        "| --------- | ---------------- | --------: | ----------: | -------: |",
        "| fan-out   | deliveries/CPU s | 2,000,000 |   4,000,000 |     0.50 |",
        "| fan-out   | p50 ms           |      0.93 |           - |        - |",
        "| only ours | p50 ms           |      12.3 |           - |        - |",
    ]
    assert table(Figures(json.loads(json.dumps(measured.as_json()))), ["ours"]) == table(measured, ["ours"])


def test_the_picture_compares_with_the_yardstick_or_with_us() -> None:
    measured = Figures()
    measured.add("fan-out", "ours", {DELIVERIES: 100.0, "p50 ms": 1.0})
    measured.add("fan-out", "peer", {DELIVERIES: 150.0})
    assert relative(measured, ["ours", "peer"]) == {"fan-out": {"ours": 1.0, "peer": 1.5}}
    measured.add("fan-out", "C yardstick", {DELIVERIES: 200.0})
    assert relative(measured, ["ours", "peer"])["fan-out"] == {"ours": 0.5, "peer": 0.75, "C yardstick": 1.0}


@pytest.mark.parametrize(
    ("value", "words"), [(0.1234, "0.123"), (12.34, "12.3"), (99.4, "99.4"), (1234567.8, "1,234,568")]
)
def test_values_have_three_digits_or_more(value: float, words: str) -> None:
    assert shown(value) == words


def test_a_report_becomes_figures_or_a_complaint() -> None:
    report: dict[str, float | str] = {
        "deliveries": 1000,
        "seconds": 2.0,
        "p50": 1500,
        "p99": 2500,
        "worst": 9000,
        "wrong": "",
    }
    by_window, by_rate = LOADS[0], LOADS[-1]
    assert figures(by_window, report, 0.5, "ours") == {DELIVERIES: 2000.0}
    assert figures(by_rate, report, 0.5, "ours") == {DELIVERIES: 2000.0, "p50 ms": 1.5, "p99 ms": 2.5}
    with pytest.raises(WrongDelivery, match="peer, fan-out to 100 members: lost"):
        figures(by_window, {**report, "wrong": "lost"}, 0.5, "peer")


def test_rows_can_be_chosen() -> None:
    everything = [name for name, _measure, _is_of_all in plan([], False, "")]
    assert len(everything) == len(set(everything)) == len(LOADS) + 6
    assert [name for name, *_rest in plan([], True, "channels")] == [
        load.name for load in LOADS if "channels" in load.name
    ]


def test_the_document_shows_the_figures_that_are_kept() -> None:
    kept = json.loads((ROOT / "docs" / "speed.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert table(Figures(kept["figures"]), list(kept["servers"])) in text
    for name in ("machine", "system", "python", "command"):
        assert kept[name] in text, name
    assert (ROOT / "docs" / "speed.svg").read_text(encoding="utf-8").count(kept["machine"])


def test_a_trial_writes_nothing_unless_asked() -> None:
    assert options([]).out == "docs/speed"
    assert options(["--quick"]).out is None
    assert options(["--quick", "--out", "x"]).out == "x"
