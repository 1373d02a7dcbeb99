"""line_bucket.py and paced_session.py: lines beyond the rate wait, and none is lost (C59)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Request
from line_bucket import MAX_GRANT, PAUSE_SECONDS, LineBucket, LineRate
from paced_session import PacedSession
from session_input import READ_AHEAD
from support.examples import EXAMPLES
from support.tiny import TinySession
from support.world import FakeTimers
from text import MAX_LINE


class Paced(TinySession):
    """A session with a bucket, whose calls of later happen when time passes."""

    def __init__(self, burst: int = 10, per_second: int = 5, *, for_links: bool = False) -> None:
        super().__init__()
        self.timers = FakeTimers()
        self.rate = LineRate(self.timers.monotonic, burst, per_second, for_links=for_links)
        self.transport.call_later = self.timers.call_later  # type: ignore[method-assign, assignment]
        bucket = LineBucket(self.rate)
        self.session = PacedSession(self.transport, self.dialect, MAX_LINE, {}, bucket=bucket)
        self.transport.owner = self.session

    def settle(self) -> list[str]:
        """Turn until only time can help; return what was answered."""
        while self.turn():
            pass
        return self.heard()

    def let_pass(self, seconds: float) -> list[str]:
        """Let time pass in small steps."""
        heard = []
        for _ in range(round(seconds / PAUSE_SECONDS)):
            self.timers.let_pass(PAUSE_SECONDS)
            heard += self.settle()
        return heard


def numbered(first: int, last: int) -> list[str]:
    return [f"now {number}" for number in range(first, last)]


def test_a_burst_is_run_at_once_and_the_rest_at_the_rate() -> None:
    """C59."""
    talk = Paced(per_second=4)
    talk.send(*numbered(0, 30))
    assert talk.settle() == numbered(0, 10)
    assert talk.let_pass(1.1) == numbered(10, 14)
    assert talk.let_pass(10.0) == numbered(14, 30)
    assert talk.transport.limits == [("line-rate", "(slowed, 4 a second after 10)")]  # told once
    talk.let_pass(10.0)
    talk.send(*numbered(30, 40))
    assert talk.settle() == numbered(30, 40)


def test_a_client_that_half_closes_gets_all_its_answers() -> None:
    """C12, C59."""
    talk = Paced()
    talk.send(*numbered(0, 25))
    talk.session.ended()
    assert talk.settle() == numbered(0, 10)
    assert talk.transport.finished == 0
    assert talk.let_pass(4.0) == numbered(10, 25)
    assert talk.transport.finished == 1


def test_a_client_that_half_closes_with_an_empty_bucket_and_no_line_ends() -> None:
    talk = Paced()
    talk.send(*numbered(0, 10))
    talk.settle()
    talk.session.ended()
    assert talk.transport.finished == 1


def test_what_waits_is_back_pressure_and_not_a_fault() -> None:
    talk = Paced(burst=1, per_second=1000)
    lines = [f"now {'x' * 1000}{number}" for number in range(READ_AHEAD // 1000 + 10)]
    talk.send(*lines)
    heard = talk.settle()
    assert not talk.transport.reading
    heard += talk.let_pass(2 * len(lines) * PAUSE_SECONDS)
    assert talk.transport.reading
    assert heard == lines
    assert talk.transport.holds_input == 0


def test_every_kind_of_line_counts_blank_ones_too() -> None:
    talk = Paced()
    talk.session.received(b"\n" * 5 + b"unknown\n" * 4 + b"now 1\nnow 2\n")
    assert talk.settle() == ["no such command"] * 4 + ["now 1"]
    assert talk.let_pass(3 * PAUSE_SECONDS) == ["now 2"]


def test_an_unfinished_line_waits_for_no_lines_of_the_bucket() -> None:
    talk = Paced()
    talk.send(*numbered(0, 10))
    talk.settle()
    talk.session.received(b"now ")
    assert talk.let_pass(1.0) == []
    talk.session.received(b"10\n")
    assert talk.settle() + talk.let_pass(1.0) == ["now 10"]


def test_a_session_that_is_over_runs_nothing_when_its_time_comes() -> None:
    talk = Paced()
    talk.send(*numbered(0, 30))
    talk.settle()
    talk.session.lost("gone")
    assert talk.let_pass(5.0) == []
    assert talk.timers.deadlines.nearest() is None


def test_a_line_for_which_the_server_has_asked_does_not_count() -> None:
    talk = Paced(burst=1, per_second=1)

    def asked(dialect: Any, session: Any, request: Request) -> None:
        session.excuse_line()
        dialect.succeed(session, request)

    talk.dialect.rows["now"].handler = asked
    talk.send(*numbered(0, 50))
    assert talk.settle() == numbered(0, 50)


def test_bytes_without_newline_count_as_lines_of_the_maximum_length() -> None:
    """C4, C59."""
    talk = Paced(burst=10, per_second=5)
    lines, held = 0, 2 * READ_AHEAD // MAX_LINE
    for _ in range(round(20.0 / PAUSE_SECONDS)):
        while talk.transport.reading and lines < 1000:
            talk.session.received(b"x" * MAX_LINE)
            talk.settle()
            lines += 1
        talk.let_pass(PAUSE_SECONDS)
    assert 10 + 20 * 5 - held <= lines <= 10 + 20 * 5 + held
    assert talk.transport.limits == [("line-rate", "(slowed, 5 a second after 10)")]
    talk.let_pass(20.0)
    assert talk.transport.reading
    talk.session.received(b"\n")
    talk.send("now 1")
    assert talk.let_pass(5.0)[-1:] == ["now 1"]


@pytest.mark.parametrize(("for_links", "count"), [(False, 30), (True, 10)])
def test_links_have_no_rate_unless_the_setting_says_so(for_links: bool, count: int) -> None:
    talk = Paced(for_links=for_links)
    talk.session.set_link_limits(1000, 100_000, "max-link-buffer")
    talk.send(*numbered(0, 30))
    assert talk.settle() == numbered(0, count)


def test_a_new_rate_holds_at_once() -> None:
    talk = Paced()
    talk.send(*numbered(0, 1000))
    assert talk.settle() == numbered(0, 10)
    talk.rate.per_second = 0
    assert talk.let_pass(3 * PAUSE_SECONDS) == numbered(10, 1000)


@EXAMPLES
@given(
    st.integers(1, 600),
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 300)), max_size=30),
)
def test_a_bucket_gives_what_its_rate_allows_and_a_grant_more_at_most(
    burst: int, per_second: int, steps: list[tuple[float, int]]
) -> None:
    timers = FakeTimers()
    bucket = LineBucket(LineRate(timers.monotonic, burst, per_second))
    level, taken, began = float(burst), 0, 0.0
    for seconds, wanted in steps:
        timers.let_pass(seconds)
        level = min(burst, level + seconds * per_second)
        for _ in range(wanted):
            if not (bucket.ready or bucket.grant()):
                assert level < 1.0
                assert PAUSE_SECONDS <= bucket.seconds_to_wait() <= max(PAUSE_SECONDS, 1 / per_second)
                break
            bucket.ready -= 1
            level -= 1
            taken += 1
        assert level > -MAX_GRANT
    assert taken <= burst + MAX_GRANT + (timers.now - began) * per_second
