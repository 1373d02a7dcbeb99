"""ui/sending.py: what a terminal sends, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ui.dialects.base import ParsedInput
from ui.dialects.result import ResultClient
from ui.first_line import HeldInput
from ui.sending import Sending
from ui.transfers import FileTransfers


class Side:
    """A `Sending`, what it has sent, and its timers with whether they still run."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bool]] = []
        self.timers: list[tuple[float, Any]] = []
        self.dialect = ResultClient()
        self.sending = Sending(
            lambda: self.dialect,
            HeldInput(),
            FileTransfers(lambda _line: None, max_bytes=0),
            send=lambda line, by_itself: self.sent.append((line, by_itself)),
            call_later=self.call_later,
            again=lambda: None,
        )

    def call_later(self, seconds: float, _call: Callable[[], None]) -> asyncio.TimerHandle:
        timer: Any = Timer()
        self.timers.append((seconds, timer))
        return timer  # type: ignore[no-any-return]

    @property
    def running(self) -> list[float]:
        return [seconds for seconds, timer in self.timers if not timer.cancelled]


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_lines_of_the_dialect_go_behind_those_that_were_held_back() -> None:
    side = Side()
    side.sending.send(ParsedInput(send="TAGS", by_itself=True))
    side.sending.send(ParsedInput(send="SAY den hi"))
    side.dialect.automatic_lines = ("PING",)
    assert side.sent == [("TAGS", True)]
    side.sending.release_input()
    assert side.sent[1:] == [("SAY den hi", False), ("PING", True)]
    side.sending.send_automatic_lines()
    assert len(side.sent) == 3, "each goes once"


def test_one_timer_runs_for_the_next_attempt_and_none_without_a_connection() -> None:
    side = Side()
    for seconds in (1.0, 5.0):
        side.dialect.pause = seconds
        side.sending.send_automatic_lines()
    side.sending.send_automatic_lines()
    assert side.running == [5.0]
    side.sending.lost()
    assert side.running == []


def test_what_was_held_back_is_dropped_with_the_connection() -> None:
    side = Side()
    for line in ("TAGS", "LOGIN ann secret"):
        side.sending.send(ParsedInput(send=line))
    side.sending.lost()
    side.sending.release_input()
    assert [line for line, _by_itself in side.sent] == ["TAGS"]
