"""What is measured, and the documents and the dashboard that name it."""

from __future__ import annotations

import json
import re

from app.prometheus import PREFIX
from app.statistics import METRICS
from harness.processes import ROOT

SUFFIXES = ("_bucket", "_sum", "_count")


def named(text: str) -> set[str]:
    """The metrics that a text names."""
    names = set(re.findall(rf"\b{PREFIX}[a-z_]+", text))
    histograms = {PREFIX + metric.name for metric in METRICS if metric.kind == "histogram"}
    return {
        stem if (stem := name.removesuffix(suffix)) in histograms else name
        for name in names
        for suffix in [next((end for end in SUFFIXES if name.endswith(end)), "")]
    }


ALL = {PREFIX + metric.name for metric in METRICS}


def test_each_metric_has_a_name_that_says_what_it_is() -> None:
    assert len(ALL) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch("[a-z]+(_[a-z]+)*", metric.name)
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.type == "counter")


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    text = (ROOT / "contrib" / "grafana-dashboard.json").read_text()
    expressions = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    assert named("\n".join(expressions)) == ALL
    labels = {label for metric in METRICS for label in metric.labels} | {"le"}
    for groups in re.findall(r" by \(([a-z, ]+)\)", text):
        assert {*groups.split(", ")} <= labels


def test_the_document_tells_each_metric_as_prometheus_gets_it() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| (`crosstalk_.*) \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    assert rows == [
        (" ".join(f"`{word}`" for word in (PREFIX + metric.name, *metric.labels)), metric.type, metric.help)
        for metric in METRICS
    ]
    assert named(text) <= ALL
