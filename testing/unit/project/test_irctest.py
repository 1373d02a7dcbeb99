"""The verdict of `make irctest`, and the list of tests that fail by decision."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from irctest_verdict import LIST, Verdict, expected_failures

from harness.processes import ROOT

SERVER = "irctest/server_tests/part.py::PartTestCase"


class Lines(list[str]):
    """A reporter of pytest."""

    def section(self, title: str) -> None:
        self.append(title)

    line = list.append


def report(name: str, outcome: str, when: str = "call", **more: Any) -> Any:
    """Return a report of pytest."""
    outcomes = {each: each == outcome for each in ("passed", "failed", "skipped")}
    return SimpleNamespace(nodeid=name, when=when, **outcomes, **more)


@pytest.mark.parametrize(
    ("outcomes", "counts", "status"),
    [
        ({"a": "passed", "b": "failed"}, ["1 of the server passed", "1 failed by decision"], 0),
        ({"a": "failed", "b": "failed"}, ["0 of the server passed", "1 failed unexpectedly", f"fails: {SERVER}::a"], 1),
        ({"a": "passed", "b": "passed"}, ["1 passed though listed", f"passes: {SERVER}::b", "verdict: not"], 1),
        ({"a": "skipped"}, ["0 of the server passed", "1 skipped", "verdict: good"], 0),
    ],
)
def test_a_run_fails_if_something_is_not_as_listed(outcomes: dict[str, str], counts: list[str], status: int) -> None:
    verdict, lines, session = Verdict({f"{SERVER}::b": "I1: a rule"}), Lines(), SimpleNamespace(exitstatus=1)
    verdict.pytest_runtest_logreport(report("irctest/self_tests/cases.py::Test::x", "passed"))
    for name, outcome in outcomes.items():
        verdict.pytest_runtest_logreport(report(f"{SERVER}::{name}", outcome))
    verdict.pytest_terminal_summary(lines)
    assert "(and 1 of irctest itself)" in "\n".join(lines)
    assert [count for count in counts if count not in "\n".join(lines)] == []
    verdict.pytest_sessionfinish(session)  # type: ignore[arg-type]
    assert session.exitstatus == status


def test_each_test_that_fails_by_decision_has_a_rule() -> None:
    rules = re.findall(r"^\*\*(I[0-9]+) ", (ROOT / "PROTOCOL.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = expected_failures(LIST.read_text(encoding="utf-8"))
    assert [name for name, reason in listed.items() if reason.partition(":")[0] not in rules] == []
