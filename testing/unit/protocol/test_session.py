"""Lines, answers and events; the first word; web browsers."""

from __future__ import annotations

import itertools

import pytest

from commands import Refusal
from protocol import Dialect
from session_output import LIST_PIECE
from session_state import Block, SessionState
from support.tiny import TinySession
from text import (
    MAX_LINE,
)


def test_lines_are_answered_as_they_come(talk: TinySession) -> None:
    assert talk.said("now 1", "now 2") == ["now 1", "now 2"]
    talk.session.received(b"no")
    assert talk.heard() == []
    talk.session.received(b"w 3\r\n")
    assert talk.heard() == ["now 3"]
    assert talk.said("", "   ") == []


def test_what_is_no_request_is_refused_and_the_session_lives(talk: TinySession) -> None:
    assert talk.said("what") == [Refusal.UNKNOWN.value]
    assert talk.said("now 1 2") == [Refusal.TOO_MANY.value]
    assert talk.said("later") == [Refusal.TOO_FEW.value]
    talk.session.received(b"now \xff\n")
    assert talk.heard() == [Refusal.NOT_UTF8.value]
    talk.session.received(b"now \xed\xa0\x80\n")
    assert talk.heard() == [Refusal.NOT_UTF8.value]
    assert talk.said("now 1" * MAX_LINE) == [Refusal.TOO_LONG.value]
    assert talk.said("now 1") == ["now 1"]


def test_a_handler_may_raise_and_the_gate_answers(talk: TinySession) -> None:
    assert talk.said("wrong 1", "now 2") == ["failed 1 no", "now 2"]


def test_a_session_says_what_blocks_it_and_the_first_reason_first(talk: TinySession) -> None:
    assert talk.session.blocked_by is None
    talk.send("later 1")
    assert talk.session.blocked_by is None, "nothing else waits yet"
    talk.send("now 2")
    assert talk.session.blocked_by is Block.UNANSWERED
    talk.transport.congested = True
    assert talk.session.blocked_by is Block.CONGESTED
    talk.session.pause()
    assert talk.session.blocked_by is Block.PAUSED
    talk.session.end()
    assert talk.session.blocked_by is Block.OVER


@pytest.mark.parametrize("pairs", [*itertools.permutations(["ended", "drain", "end"], 2)])
def test_a_session_only_goes_forward(talk: TinySession, pairs: tuple[str, str]) -> None:
    talk.send("later 1")
    states = [talk.session.state]
    for name in pairs:
        getattr(talk.session, name)()
        states.append(talk.session.state)
    order = list(SessionState)
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)


def test_an_event_without_words_is_not_told(talk: TinySession) -> None:
    plain = Dialect()
    plain.deliver(talk.session, object())
    assert plain.render(object()) == b""
    assert talk.heard() == []


def test_a_sessions_line_limit_is_its_own() -> None:
    assert TinySession(max_line=8).said("now 123", "now 1234") == ["now 123", Refusal.TOO_LONG.value]


@pytest.mark.parametrize("before", [b"", b"\n", b" \t\r\n"])
def test_the_first_word_chooses_the_dialect(talk: TinySession, before: bytes) -> None:
    talk.session.received(before + b"\t other 1\nnow 2\n")
    assert talk.session.dialect is talk.other
    assert talk.heard() == [Refusal.UNKNOWN.value, "now 2"]


@pytest.mark.parametrize(
    "first",
    [
        b"now 1\n",
        b"others\n",
        b"OTHER\n",
        b"other\xff\n",
        b"other \xff\n",
        b"\xff\n",
        b"other" + b" " * MAX_LINE + b"\n",
    ],
    ids=lambda line: repr(line[:12]),
)
def test_only_the_first_line_chooses_and_only_by_its_whole_word(talk: TinySession, first: bytes) -> None:
    talk.session.received(first + b"other 1\n")
    assert talk.session.dialect is talk.dialect


def test_an_event_can_be_delivered_with_a_receipt(talk: TinySession) -> None:
    left: list[bool] = []
    talk.session.deliver_with_receipt(1, left.append)
    assert talk.transport.pump()
    talk.turn()
    assert (talk.heard(), left) == (["event 1"], [True])


@pytest.mark.parametrize("count", [0, 1, LIST_PIECE, LIST_PIECE + 1, 3 * LIST_PIECE])
def test_a_list_of_any_length_is_one_line(talk: TinySession, count: int) -> None:
    names = [f"name{number}" for number in range(count)]
    talk.session.send_list("LIST", names, ", ")
    assert talk.transport.congested == (count > LIST_PIECE)
    talk.transport.pump()
    assert talk.heard() == [f"LIST {', '.join(names)}".rstrip()]


def test_the_gate_asks_for_a_login(talk: TinySession) -> None:
    assert talk.said("secret") == ["failed  None"]
    talk.session.principal = "somebody"
    assert talk.said("secret") == ["secret"]


def test_an_event_is_put_into_the_dialects_words(talk: TinySession) -> None:
    talk.session.deliver(1)
    assert talk.heard() == ["event 1"]


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"OPTIONS * HTTP/2"])
def test_a_web_browser_is_not_spoken_to(talk: TinySession, request_line: bytes) -> None:
    talk.session.received(request_line + b"\r\nHost: x\r\n\r\nnow 1\n")
    assert talk.heard() == []
    assert talk.transport.refused == 1
    assert talk.session.over
    assert talk.dialect.left == 1
    talk.session.received(b"now 2\n")
    assert talk.heard() == []


def test_a_web_browser_is_known_behind_empty_lines(talk: TinySession) -> None:
    talk.session.received(b"\r\n\nGET / HTTP/1.1\r\n")
    assert talk.transport.refused == 1


@pytest.mark.parametrize("first", ["now 1", "what", "x" * MAX_LINE])
def test_only_the_first_line_can_be_a_browsers(talk: TinySession, first: str) -> None:
    talk.send(first, "GET / HTTP/1.1", "now 2")
    assert talk.heard()[1:] == [Refusal.UNKNOWN.value, "now 2"]
    assert not talk.transport.refused


@pytest.mark.parametrize("start", ["GET /", "POST http://x/", "OPTIONS *"])
def test_a_web_browser_is_known_by_the_start_of_a_line_that_is_too_long(talk: TinySession, start: str) -> None:
    talk.send(start + "x" * MAX_LINE, "now 1")
    assert talk.heard() == []
    assert talk.transport.refused == 1
    assert talk.session.over


@pytest.mark.parametrize("start", ["SAY /", "SEND garden:"])
def test_a_line_that_is_too_long_and_no_browsers_is_answered(talk: TinySession, start: str) -> None:
    assert talk.said(start + "x" * MAX_LINE) == [Refusal.TOO_LONG.value]
    assert not talk.transport.refused


def test_a_line_that_only_looks_like_a_browsers(talk: TinySession) -> None:
    assert talk.said("now GET / HTTP/1.1") == [Refusal.TOO_MANY.value]
    assert not talk.transport.refused
