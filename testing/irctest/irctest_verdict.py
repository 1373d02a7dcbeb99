"""A plugin of pytest that judges a run of irctest: no test may fail but those that testing/irctest.txt names, and each
of these must fail, so that the list stays true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OF_ITSELF = "irctest/self_tests/"
"""Where irctest has the tests of itself, which pass with any server."""

LIST = Path(__file__).resolve().parents[1] / "irctest.txt"


def expected_failures(text: str) -> dict[str, str]:
    """Return the tests that fail by decision, and the rule of PROTOCOL.md that each one is against."""
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: reason for name, _blank, reason in lines}


class Verdict:
    """What has become of the tests."""

    def __init__(self, expected: dict[str, str]) -> None:
        self._expected = expected
        self._failed: set[str] = set()
        self._passed: set[str] = set()
        self._counts: Counter[str] = Counter()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self._passed.add(report.nodeid)
        elif report.skipped:
            self._counts["expected to fail by irctest" if hasattr(report, "wasxfail") else "skipped"] += 1

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was not expected."""
        terminalreporter.section("irctest")
        for name in sorted(self.surprises):
            terminalreporter.line(f"{'fails' if name in self._failed else 'passes'}: {name}")
        terminalreporter.line(", ".join(self._summary()))
        terminalreporter.line("verdict: " + ("not as testing/irctest.txt has it" if self.surprises else "good"))

    def _summary(self) -> Iterator[str]:
        passed = self._passed - self._failed
        of_itself = sum(name.startswith(OF_ITSELF) for name in passed)
        yield f"{len(passed) - of_itself} of the server passed (and {of_itself} of irctest itself)"
        yield f"{len(self._failed & self._expected.keys())} failed by decision"
        yield f"{len(self._failed - self._expected.keys())} failed unexpectedly"
        yield f"{len(passed & self._expected.keys())} passed though listed"
        for what, count in self._counts.items():
            yield f"{count} {what}"

    @property
    def surprises(self) -> set[str]:
        """Tests that fail and are not listed, and those listed that pass."""
        return (self._failed - self._expected.keys()) | (self._passed - self._failed) & self._expected.keys()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Have the run fail if, and only if, something was not as listed."""
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if self.surprises else pytest.ExitCode.OK


def pytest_configure(config: pytest.Config) -> None:
    """Judge this run."""
    config.pluginmanager.register(Verdict(expected_failures(LIST.read_text(encoding="utf-8"))))
