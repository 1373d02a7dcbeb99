"""The purge of the log: what it keeps, and what it asks of the engines."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.names import Names
from replica.nats import Message
from replica.purge import FIRST_SECONDS, KEPT_ENTRIES, PURGE_SECONDS, Purge, keep_from
from support.bus import Bus, Clock


@pytest.mark.parametrize(
    ("log_bytes", "safe", "size", "first", "last", "kept"),
    [
        pytest.param(1000, [90_000, 80_000], 1000, 1, 90_000, 1, id="not-too-large"),
        pytest.param(1000, [90_000], 9000, 1, 90_000, 1, id="alone"),
        pytest.param(1000, [], 9000, 1, 90_000, 1, id="nobody"),
        pytest.param(1000, [90_000, 80_000], 9000, 1, 90_000, 70_000, id="what-the-slower-one-has"),
        pytest.param(4500, [90_000, 90_000], 9000, 1, 90_000, 45_001, id="what-is-too-much"),
        pytest.param(1000, [90_000, 5_000], 9000, 1, 90_000, 1, id="one-has-little"),
        pytest.param(1000, [90_000, 0, 90_000], 9000, 1, 90_000, 1, id="one-has-nothing"),
        pytest.param(1000, [90_000, 50_000], 9000, 60_000, 90_000, 60_000, id="purged-beyond-that-already"),
        pytest.param(1000, [0, 0], 2000, 5, 4, 5, id="empty"),
    ],
)
def test_what_is_kept(log_bytes: int, safe: list[int], size: int, first: int, last: int, kept: int) -> None:
    assert keep_from(log_bytes, safe, size, first, last) == kept


@given(
    st.integers(65536, 10**9),
    st.lists(st.integers(0, 10**6), max_size=5),
    st.integers(0, 10**10),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
)
def test_nothing_is_purged_that_a_live_node_may_need(
    log_bytes: int, safe: list[int], size: int, first: int, length: int
) -> None:
    kept = keep_from(log_bytes, safe, size, first, first + length - 1)
    assert first <= kept
    if kept > first:
        assert len(safe) >= 2
        assert kept <= min(safe) - KEPT_ENTRIES
        assert size > log_bytes


class Stage:
    """A purge, and the engines' answers to it."""

    def __init__(self) -> None:
        self.bus, self.clock = Bus(), Clock()
        self.purge = Purge(self.bus.link(), Names("c"), self.clock, log_bytes=1000)
        self.answers = {
            "INFO": json.dumps({"state": {"bytes": 9000, "first_seq": 1, "last_seq": 90_000}}),
            "PURGE": json.dumps({"success": True, "purged": 69_999}),
        }
        self.bus.engine = self.answer

    def answer(self, message: Message) -> bytes | None:
        return self.answers[message.subject.split(".")[3]].encode()

    def after(self, seconds: float, safe: list[int]) -> list[str]:
        """Let time pass; return what the engines are asked then."""
        self.bus.sent.clear()
        self.clock.now += seconds
        self.purge.tick(safe)
        self.bus.deliver()
        return [f"{message.subject} {message.payload.decode()}".strip() for message in self.bus.sent]


def test_it_looks_soon_after_the_lead_began_and_then_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crosstalk")
    stage = Stage()
    assert stage.after(0, [90_000, 80_000]) == []
    assert stage.after(FIRST_SECONDS - 1, [90_000, 80_000]) == []
    wanted = ["$JS.API.STREAM.INFO.CT_c", '$JS.API.STREAM.PURGE.CT_c {"seq": 70000}']
    assert stage.after(1, [90_000, 80_000]) == wanted
    assert "purged 69999 entries of the log" in caplog.text
    assert stage.after(PURGE_SECONDS - 1, [90_000, 80_000]) == []
    assert stage.after(1, [90_000, 80_000]) == wanted
    assert stage.after(PURGE_SECONDS, [90_000]) == wanted[:1]


def test_without_a_leader_of_the_log_it_looks_again_soon() -> None:
    stage = Stage()
    stage.answers["INFO"] = ""
    stage.after(0, [90_000, 80_000])
    assert len(stage.after(FIRST_SECONDS, [90_000, 80_000])) == 1
    assert len(stage.after(1, [90_000, 80_000])) == 1


def test_a_refused_purge_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.answers["PURGE"] = json.dumps({"error": {"code": 500, "err_code": 10000, "description": "no"}})
    stage.after(0, [])
    stage.after(FIRST_SECONDS, [90_000, 80_000])
    assert "the engines did not purge the log" in caplog.text
