"""Answers come in the order of the requests, whatever they wait for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commands import Refusal
from support.examples import EXAMPLES, pieces
from support.tiny import TinySession


def test_an_outstanding_answer_holds_back_what_follows(talk: TinySession) -> None:
    assert talk.said("later 1", "now 2", "what", "later 3", "now 4") == []
    talk.give()
    assert talk.heard() == ["done 1"]
    assert talk.turn() == 1
    assert talk.heard() == ["now 2", Refusal.UNKNOWN.value]
    talk.give(ValueError("reason"))
    assert talk.heard() == ["failed 3 reason"]
    talk.turn()
    assert talk.heard() == ["now 4"]
    assert talk.turn() == 0


def test_what_arrives_meanwhile_waits_too(talk: TinySession) -> None:
    assert talk.said("later 1") == []
    assert talk.said("now 2") == []
    assert talk.said("now 3") == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "now 2", "now 3"]


def test_a_parked_request_alone_is_run_after_the_answer(talk: TinySession) -> None:
    assert talk.said("later 1", "now 2") == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "now 2"]


def test_nothing_is_put_off_when_nothing_waits(talk: TinySession) -> None:
    assert talk.said("later 1") == []
    talk.give()
    assert talk.heard() == ["done 1"]
    assert talk.turn() == 0


def test_what_follows_a_success_comes_before_the_next_answer(talk: TinySession) -> None:
    assert talk.said("after 1", "now 2") == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "and more", "now 2"]
    talk.send("after 3")
    talk.give(ValueError())
    assert talk.heard() == ["failed 3 "]


def test_pipelined_requests_follow_each_other_and_nothing_else_does(talk: TinySession) -> None:
    assert talk.said("pipe 1", "pipe 2", "pipe 3", "now 4", "pipe 5") == []
    assert len(talk.dialect.outcomes) == 3
    talk.give()
    talk.give(ValueError("reason"))
    assert talk.turn() == 0
    talk.give()
    assert talk.turn() == 1
    assert talk.heard() == ["failed 2 reason", "now 4"]
    assert len(talk.dialect.outcomes) == 1


def test_a_pipelined_request_waits_for_one_that_is_not(talk: TinySession) -> None:
    """A message behind a LOGIN needs its outcome, as any other request does."""
    talk.send("later 1", "pipe 2", "pipe 3")
    assert len(talk.dialect.outcomes) == 1
    talk.give()
    talk.turn()
    assert len(talk.dialect.outcomes) == 2
    talk.send("pipe 4")
    assert len(talk.dialect.outcomes) == 3


@EXAMPLES
@given(
    st.lists(st.sampled_from(["now 1", "later 2", "pipe 3", "after 4", "what", "", "much 5", "now 6 7"]), max_size=30),
    st.lists(st.integers(0, 300), max_size=8),
    st.lists(st.booleans(), max_size=30),
)
def test_answers_come_in_the_order_of_the_requests(lines: list[str], cuts: list[int], early: list[bool]) -> None:
    """However the lines arrive, and whenever outcomes are given, the client hears the same."""

    def heard(*data: bytes, give_early: list[bool]) -> list[str]:
        talk = TinySession()
        for piece, give in zip(data, [*give_early, *[False] * len(data)], strict=False):
            talk.session.received(piece)
            if give and talk.dialect.outcomes:
                talk.give()
                talk.turn()
        while talk.turn() or talk.transport.pump() or talk.dialect.outcomes:
            if talk.dialect.outcomes:
                talk.give()
        return talk.heard()

    data = "".join(f"{line}\n" for line in lines).encode()
    expected = [
        {
            "now 1": ["now 1"], "later 2": ["done 2"], "pipe 3": [], "after 4": ["done 4", "and more"],
            "what": [Refusal.UNKNOWN.value], "": [], "much 5": ["head", "body"], "now 6 7": [Refusal.TOO_MANY.value],
        }[line]
        for line in lines
    ]  # fmt: skip
    assert heard(*pieces(data, cuts), give_early=early) == [line for answer in expected for line in answer]
