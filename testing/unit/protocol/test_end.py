"""The end of input, goodbye, draining, and lost connections."""

from __future__ import annotations

import pytest

from protocol import (
    LINES_PER_TURN,
)
from support.tiny import TinySession


def test_a_client_that_sends_no_more_gets_its_answers(talk: TinySession) -> None:
    talk.send("later 1", "now 2")
    talk.session.ended()
    assert talk.transport.finished == 0
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "now 2"]
    assert talk.transport.finished == 1
    assert talk.dialect.left == 1


def test_the_end_of_input_waits_for_many_lines(talk: TinySession) -> None:
    talk.send(*["now 1"] * 2 * LINES_PER_TURN, "later 2")
    talk.session.ended()
    while talk.turn():
        pass
    assert len(talk.heard()) == 2 * LINES_PER_TURN
    assert talk.transport.finished == 0
    talk.give()
    while talk.turn():
        pass
    assert talk.heard() == ["done 2"]
    assert talk.transport.finished == 1


def test_the_end_of_input_waits_for_a_slow_reader(talk: TinySession) -> None:
    talk.send("much 1", "now 2")
    talk.session.ended()
    assert talk.transport.finished == 0
    talk.transport.pump()
    while talk.turn():
        pass
    assert talk.heard() == ["head", "body", "now 2"]
    assert talk.transport.finished == 1


def test_the_end_of_input_with_nothing_to_answer(talk: TinySession) -> None:
    talk.session.received(b"now half a line")
    talk.session.ended()
    assert talk.heard() == []
    assert talk.transport.finished == 1


@pytest.mark.parametrize("end", ["settled", "late", "retired", "gone"])
def test_the_end_of_input_waits_for_what_is_owed_but_not_for_ever(talk: TinySession, end: str) -> None:
    for _message in range(2):
        talk.session.expect_late_answer(10)
    talk.send("now 1")
    talk.session.ended()
    talk.session.late_answer_given()
    while talk.turn():
        pass
    assert (talk.heard(), talk.transport.finished) == (["now 1"], 0)
    [(seconds, give_up)] = talk.transport.later
    assert seconds == 10
    match end:
        case "settled":
            talk.session.late_answer_given()
            talk.turn()
        case "late":
            give_up()
        case "retired":
            talk.session.drain()
        case "gone":
            talk.session.lost("gone")
    assert talk.transport.finished == (end != "gone")
    talk.session.late_answer_given()
    give_up()
    assert talk.turn() in (0, 1)
    assert talk.transport.finished == (end != "gone")


def test_what_is_owed_holds_up_nothing_else(talk: TinySession) -> None:
    talk.session.expect_late_answer(10)
    assert talk.said("now 1", "bye") == ["now 1"]
    assert talk.transport.finished == 1
    assert not talk.transport.later


def test_no_line_is_run_after_a_goodbye(talk: TinySession) -> None:
    assert talk.said("now 1", "bye", "now 2") == ["now 1"]
    assert talk.said("now 3") == []
    talk.session.ended()
    talk.session.drained()
    talk.session.lost("gone")
    talk.turn()
    assert talk.heard() == []
    assert talk.session.over
    assert talk.transport.finished == 1
    assert talk.dialect.left == 1


def test_retire_gives_outstanding_answers_and_runs_nothing_more(talk: TinySession) -> None:
    talk.send("later 1", "now 2", "now 3")
    talk.session.drain()
    talk.session.received(b"")
    assert talk.heard() == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1"]
    assert talk.transport.finished == 1
    assert talk.dialect.left == 1


def test_what_comes_after_retire_is_dropped(talk: TinySession) -> None:
    talk.send("later 1")
    talk.session.drain()
    talk.send("now 2", "later 3")
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1"]
    assert talk.transport.finished == 1


def test_retire_ends_an_idle_session_at_once(talk: TinySession) -> None:
    talk.session.drain()
    assert talk.transport.finished == 1
    talk.session.drain()
    assert talk.transport.finished == 1


def test_a_lost_session_leaves_once_and_its_outcomes_do_no_harm(talk: TinySession) -> None:
    talk.send("later 1", "now 2")
    talk.session.lost("gone")
    talk.session.lost("gone")
    assert talk.session.over
    assert talk.dialect.left == 1
    talk.give()
    talk.turn()
    assert "now 2" not in talk.heard()
