"""The time before each line, and the line between days."""

from __future__ import annotations

import time

import pytest

from ui.clock import Clock
from ui.rendering import Line, without_style

NOON = 1_796_040_000.0  # 2026-11-30T12:00:00Z


def stamped(clock: Clock, *lines: Line) -> list[str]:
    return [without_style(row) for line in lines for row in clock.stamp(line)]


def text(at: float | None = None, *, stamped: bool = True) -> Line:
    return Line([("", "hi")], at=at, stamped=stamped)


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: NOON, time.gmtime)


def test_a_line_has_the_time_when_it_was_said(clock: Clock) -> None:
    assert stamped(clock, text(), text(NOON - 3600), text(NOON + 59)) == ["12:00 hi", "11:00 hi", "12:00 hi"]
    assert clock.time_of_day() == "12:00"


def test_a_line_stands_between_days(clock: Clock) -> None:
    day = 24 * 3600
    assert stamped(clock, text(NOON - day), text(NOON - day), text(), text(NOON - 3 * day), text()) == [
        "---- Sunday, 29 November 2026 ----",
        "12:00 hi",
        "12:00 hi",
        "---- Monday, 30 November 2026 ----",
        "12:00 hi",
        "---- Friday, 27 November 2026 ----",
        "12:00 hi",
        "---- Monday, 30 November 2026 ----",
        "12:00 hi",
    ]


def test_a_line_with_a_time_of_its_own_has_no_other(clock: Clock) -> None:
    assert stamped(clock, text(stamped=False)) == ["hi"]


@pytest.mark.parametrize("at", [1e30, -1e30, float("inf"), float("nan")])
def test_a_time_that_is_none_is_now(clock: Clock, at: float) -> None:
    assert stamped(clock, text(at)) == ["12:00 hi"]


def test_the_days_are_those_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Clock(lambda: NOON, lambda at: time.gmtime(at + 13 * 3600))
    assert stamped(late, text()) == ["01:00 hi"]
    assert stamped(late, text(NOON - 2 * 3600)) == ["---- Monday, 30 November 2026 ----", "23:00 hi"]
