"""Sessions leave turns to others, and stop reading while too much waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LINES_PER_TURN, Session
from session_input import READ_AHEAD
from support.examples import EXAMPLES, pieces
from support.tiny import TinySession
from support.world import FakeTransport
from text import (
    MAX_LINE,
)


def test_a_session_leaves_turns_to_others(talk: TinySession) -> None:
    lines = [f"now {number}" for number in range(2 * LINES_PER_TURN + 5)]
    assert talk.said(*lines) == lines[:LINES_PER_TURN]
    assert talk.turn() == 1
    assert talk.heard() == lines[LINES_PER_TURN : 2 * LINES_PER_TURN]
    assert talk.turn() == 1
    assert talk.heard() == lines[2 * LINES_PER_TURN :]
    assert talk.turn() == 0


def test_lines_that_arrive_while_others_have_their_turn(talk: TinySession) -> None:
    talk.send(*["now 1"] * 3 * LINES_PER_TURN)
    for _ in range(5):
        talk.send("now 2")
    assert len(talk.heard()) == LINES_PER_TURN
    while talk.turn():
        pass
    assert talk.heard() == ["now 1"] * 2 * LINES_PER_TURN + ["now 2"] * 5


def test_a_session_whose_lines_take_long_leaves_its_turn_early(talk: TinySession) -> None:
    talk.transport.must_yield = True
    lines = [f"now {number}" for number in range(7)]
    assert talk.said(*lines[:5]) == lines[:2]
    assert talk.turn() == 1
    assert talk.heard() == lines[2:4]
    talk.send(*lines[5:])  # which brings no further turn
    assert talk.heard() == []
    talk.transport.must_yield = False
    assert talk.turn() == 1
    assert talk.heard() == lines[4:]


@pytest.mark.parametrize(
    ("data", "spoken"),
    [(b"", 0), (b"now 1", 0), (b"\n \t\r\n", 0), (b"now 1\n", 1), (b"\xff\n", 1), (b"\n?\nnow 1\n", 1),
     (b"x" * MAX_LINE, 1), (b"GET / HTTP/1.1\n", 1)],
)  # fmt: skip
def test_a_client_has_spoken_with_its_first_line_of_any_kind(talk: TinySession, data: bytes, spoken: int) -> None:
    for piece in pieces(data, range(0, len(data), 1000)):
        talk.session.received(piece)
    assert talk.transport.spoken == spoken


@EXAMPLES
@given(st.lists(st.sampled_from([*b"now 1\n\r\xff"]), max_size=80), st.lists(st.integers(0, 80)))
def test_lines_are_answered_alike_in_any_pieces_and_then_no_buffer_is_left(data: list[int], cuts: list[int]) -> None:
    whole, cut = TinySession(max_line=12), TinySession(max_line=12)
    sent = bytes(data) + b"\n\nnow 2\n"  # what ends a line that is skipped, too
    for talk, parts in (whole, [sent]), (cut, pieces(sent, cuts)):
        for part in parts:
            talk.session.received(part)
        assert talk.session._lines is None
        assert talk.transport.holds_input == 0
    assert cut.heard() == whole.heard()


def test_lines_that_wait_are_told_to_the_transport(talk: TinySession) -> None:
    talk.send("now 1")
    assert talk.transport.holds_input == 0
    talk.session.received(b"now 2")
    assert talk.transport.holds_input == 5
    talk.session.received(b"\n")
    assert talk.transport.holds_input == 0
    talk.send("later 1", "now 2")
    talk.session.received(b"now 3\nnow")
    assert talk.transport.holds_input == len("now 3\nnow")  # now 2 is parked
    talk.give()
    while talk.turn():
        pass
    assert talk.transport.holds_input == len("now")


def test_empty_lines_count_against_the_turn(talk: TinySession) -> None:
    talk.send(*[""] * LINES_PER_TURN, "now 1")
    assert talk.heard() == []
    talk.turn()
    assert talk.heard() == ["now 1"]


def test_a_client_that_has_much_to_read_gets_no_more_answers(talk: TinySession) -> None:
    talk.transport.congested = True
    assert talk.said("now 1", "now 2") == []
    assert talk.turn() == 0
    talk.transport.pump()
    while talk.turn():
        pass
    assert talk.heard() == ["now 1", "now 2"]


def test_answers_stand_behind_a_stream(talk: TinySession) -> None:
    assert talk.said("much 1", "now 2") == ["head"]
    talk.transport.pump()
    while talk.turn():
        pass
    assert talk.heard() == ["body", "now 2"]


class Eager(FakeTransport):
    """A transport that sends what waits from inside of `send` when that is much, and says so at once."""

    def send(self, data: bytes) -> None:
        super().send(data)
        if self.owner is not None and not self.congested:
            self.owner.drained()


def test_a_relief_inside_of_an_answer_does_not_mix_answers() -> None:
    """net.connection.Connection may call `drained` while the session is in the middle of an answer."""
    talk = TinySession()
    talk.transport = Eager(talk.soon)
    talk.session = talk.transport.owner = Session(talk.transport, talk.dialect)
    talk.send("much 1", "now 2", "now 3")
    while talk.turn() or talk.transport.pump():
        pass
    assert talk.heard() == ["head", "body", "now 2", "now 3"]


def test_a_relief_inside_of_an_answer_does_not_lengthen_the_turn() -> None:
    talk = TinySession()
    talk.transport = Eager(talk.soon)
    talk.session = talk.transport.owner = Session(talk.transport, talk.dialect)
    talk.send(*["now 1"] * 4 * LINES_PER_TURN)
    assert len(talk.heard()) == LINES_PER_TURN


def test_reading_pauses_while_many_lines_wait(talk: TinySession) -> None:
    line = "now " + "x" * 995
    talk.send("later 1")
    talk.send(*[line] * (READ_AHEAD // 1000))
    assert talk.transport.reading
    talk.send(line, line)
    assert not talk.transport.reading
    talk.send("now 2")  # what the kernel had handed over already
    talk.give()
    while talk.turn():
        pass
    assert talk.transport.reading
    assert len(talk.heard()) == READ_AHEAD // 1000 + 4


def test_a_line_that_is_longer_than_what_may_wait_still_gets_its_end() -> None:
    talk = TinySession(max_line=4 * READ_AHEAD)
    word = "x" * 3 * READ_AHEAD
    for piece in pieces(f"now {word}\n".encode(), range(0, 3 * READ_AHEAD, 32768)):
        assert talk.transport.reading, "nobody will ever send the rest of this line"
        talk.session.received(piece)
    assert talk.heard() == [f"now {word}"]
