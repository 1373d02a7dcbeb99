"""protocol.py: lines, words, the gate, the session."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ChatError
from protocol import (
    LINES_PER_TURN,
    LIST_PIECE,
    READ_AHEAD,
    Block,
    Command,
    Dialect,
    Done,
    Refusal,
    Request,
    Session,
    SessionState,
    match_arguments,
)
from support.examples import EXAMPLES, pieces
from support.world import FakeTransport
from text import (
    MAX_LINE,
    OVERLONG_HEAD,
    LineBuffer,
    Overlong,
    clean,
    join_message,
    normalize,
    replaced,
    split_at_most,
    split_words,
)

Line = bytes | Overlong
LONG = b"(too long)"


# ---- lines ----


def all_lines(buffer: LineBuffer) -> Iterator[Line]:
    while (line := buffer.next()) is not None:
        yield line


def lines_of(*data: bytes, limit: int = MAX_LINE) -> list[Line]:
    buffer, lines = LineBuffer(limit), list[Line]()
    for piece in data:
        buffer.feed(piece)
        lines += all_lines(buffer)
    return lines


def marked(lines: Iterable[Line]) -> list[bytes]:
    """Lines without what is kept of an over-long one."""
    return [LONG if isinstance(line, Overlong) else line for line in lines]


def one_by_one(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


BODY = b"x" * (MAX_LINE - 2)
HEAD = Overlong(BODY[:OVERLONG_HEAD])

CASES: dict[str, tuple[bytes, list[Line]]] = {
    "nothing": (b"", []),
    "no end": (b"abc", []),
    "one": (b"abc\n", [b"abc"]),
    "two": (b"abc\ndef\n", [b"abc", b"def"]),
    "trailing data": (b"abc\nde", [b"abc"]),
    "empty lines": (b"\n\n", [b"", b""]),
    "crlf": (b"abc\r\n\r\ndef\n", [b"abc", b"", b"def"]),
    "one cr only": (b"abc\r\r\n", [b"abc\r"]),
    "cr inside": (b"a\rbc\n", [b"a\rbc"]),
    "nul": (b"a\0b\n", [b"a\0b"]),
    "as long as may be": (BODY + b"y\n", [BODY + b"y"]),
    "as long as may be, crlf": (BODY + b"\r\n", [BODY]),
    "too long by one": (BODY + b"yz\nabc\n", [HEAD, b"abc"]),
    "too long by one, crlf": (BODY + b"y\r\nabc\n", [HEAD, b"abc"]),
    "too long without end": (BODY + b"yz", [HEAD]),
    "far too long": (b"x" * 3 * MAX_LINE + b"\nabc\n", [HEAD, b"abc"]),
    "two that are too long": (
        b"x" * MAX_LINE + b"\n" + b"y" * MAX_LINE + b"\nabc\n",
        [HEAD, Overlong(b"y" * OVERLONG_HEAD), b"abc"],
    ),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES)
def test_lines_do_not_depend_on_how_they_arrive(data: bytes, expected: list[Line]) -> None:
    assert lines_of(data) == expected
    assert lines_of(*one_by_one(data)) == expected
    assert lines_of(data + b"tail") == expected
    assert lines_of(data, b"", b"") == expected


MARK, WILL, SUB = b"\xef\xbb\xbf", b"\xff\xfb\x1f", b"\xff\xfa\x1f\0P\0\x18\xff\xf0"
LONGEST = b"\xff\xfa" + b"x" * 60 + b"\xff\xf0"

OPENINGS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b"abc"),
    "a byte order mark": (MARK, b"abc"),
    "a mark in UTF-16": (b"", b"\xff\xfea\0"),
    "a part of a mark": (b"", b"\xef\xbbabc"),
    "will": (WILL, b"abc"),
    "won't, do, don't": (b"\xff\xfc\0\xff\xfd\1\xff\xfe\x31", b"abc"),
    "an option that is none": (WILL, b"\xff\xfb\x32"),
    "an option that ends a line": (WILL, b"\xff\xfd"),
    "an option that is a carriage return": (b"", b"\xff\xfd\r\0"),
    "a verb that is none": (b"", b"\xff\xf9abc"),
    "a subnegotiation": (SUB, b"abc"),
    "the longest": (LONGEST, b"abc"),
    "one that is too long": (SUB, LONGEST.replace(b"x\xff", b"xx\xff") + b"abc"),
    "one with an escape": (b"\xff\xfa\x1f\xff\xff\xf0\xff\xf0", b"abc"),
    "one that is too long with its escapes": (b"", b"\xff\xfa" + b"\xff\xff" * 31 + b"\xff\xf0abc"),
    "one that has no end": (b"", b"\xff\xfaabc"),
    "one with a verb in it": (b"", b"\xff\xfaabc\xff\xfb\x01"),
    "all of them": (WILL + MARK + SUB + WILL, b"abc"),
    "as much as is skipped": (WILL * 2730, b"abc"),
    "one more": (WILL * 2730, WILL + b"abc"),
    "more than is skipped, in one sequence": (LONGEST * 127 + MARK * 21, MARK + b"abc"),
    "a mark behind the first character": (b"", b"a" + MARK),
    "an empty line, then a mark": (b"\n", MARK + b"abc"),
}


@pytest.mark.parametrize(("skipped", "line"), OPENINGS.values(), ids=OPENINGS)
def test_what_stands_before_the_first_line(skipped: bytes, line: bytes) -> None:
    """C7: in whatever pieces it comes."""
    data = skipped + line + b"\n" + MARK + b"\n"
    expected = [*[b""] * skipped.count(b"\n"), line.removesuffix(b"\r"), MARK]
    assert lines_of(data) == lines_of(*one_by_one(data)) == expected
    assert lines_of(skipped, line + b"\n", MARK + b"\n") == expected


@EXAMPLES
@given(
    st.lists(st.sampled_from([MARK, WILL, SUB, LONGEST]), max_size=6).map(b"".join),
    st.lists(st.sampled_from([b"a", b"\n", b"\xff", b"\xfa", b"\xfb", b"\xef", b"\xbb", b"\1"]), max_size=6).map(
        b"".join
    ),
    st.lists(st.integers(0, 200), max_size=10),
)
def test_an_opening_in_any_pieces(opening: bytes, rest: bytes, cuts: list[int]) -> None:
    data = opening + rest + b"\n"
    assert lines_of(*pieces(data, cuts)) == lines_of(data)
    if rest[:1] not in (b"\xff", b"\xef"):
        assert lines_of(data) == rest.split(b"\n")


def reference(data: bytes, limit: int) -> list[bytes]:
    """The rules of a line in a form that is slow, simple, and needs all of the data at once."""
    *whole, rest = data.split(b"\n")
    lines = [LONG if len(line) + 1 > limit else line.removesuffix(b"\r") for line in whole]
    return [*lines, LONG] if len(rest) >= limit else lines


@EXAMPLES
@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"bcdef", b"\xfd"]), max_size=40).map(b"".join),
    st.lists(st.integers(0, 200), max_size=10),
    st.integers(1, 12),
)
def test_lines_in_any_pieces(data: bytes, cuts: list[int], limit: int) -> None:
    assert marked(lines_of(*pieces(data, cuts), limit=limit)) == reference(data, limit)


@EXAMPLES
@given(st.lists(st.sampled_from([b"ab", b"\n", b"abcdefgh", b"\r\n"]), max_size=30))
def test_lines_may_wait_while_more_arrive(fed: list[bytes]) -> None:
    """A session does not take each line as soon as it is there."""
    data, limit = b"".join(fed), 6
    buffer, lines = LineBuffer(limit), list[Line]()
    for number, piece in enumerate(fed):
        buffer.feed(piece)
        if number % 3 == 2 and (line := buffer.next()) is not None:
            lines.append(line)
    assert marked([*lines, *all_lines(buffer)]) == reference(data, limit)


def test_an_overlong_line_is_reported_before_its_end_and_is_not_kept() -> None:
    buffer = LineBuffer(100)
    buffer.feed(b"x" * 99)
    assert buffer.next() is None
    assert len(buffer) == 99
    buffer.feed(b"x")
    assert buffer.next() == Overlong(b"x" * OVERLONG_HEAD)
    for _ in range(50):
        buffer.feed(b"x" * 1000)
        assert buffer.next() is None
        assert len(buffer) == 0
    buffer.feed(b"end\nabc\nd")
    assert buffer.next() == b"abc"
    assert buffer.next() is None
    assert len(buffer) == 1


def test_a_buffer_keeps_no_line_that_was_taken() -> None:
    buffer = LineBuffer()
    for _ in range(20):
        buffer.feed(b"x" * 1000 + b"\nabc")
        buffer.next()
        assert buffer.next() is None
        assert len(buffer) <= 3 * 20
        buffer.feed(b"\n")
        assert buffer.next() == b"abc"
        assert len(buffer) == 0


def test_a_cleared_buffer_begins_anew() -> None:
    buffer = LineBuffer()
    buffer.feed(b"abc\nde")
    buffer.clear()
    assert len(buffer) == 0
    assert buffer.next() is None
    buffer.feed(b"f\n")
    assert buffer.next() == b"f"


# ---- words and messages ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t ", []),
        ("a", ["a"]),
        ("a b", ["a", "b"]),
        ("  a \t\t b  ", ["a", "b"]),
        ("a\tb", ["a", "b"]),
        ("a\u00a0b", ["a\u00a0b"]),
        ("a\u3000b \u2003", ["a\u3000b", "\u2003"]),
        ("a\u2028b\x0bc\x0cd\x1ce\x85f\rg", ["a\u2028b\x0bc\x0cd\x1ce\x85f\rg"]),
        ("\u4f60\u597d \u4e16\u754c", ["\u4f60\u597d", "\u4e16\u754c"]),
    ],
)
def test_words_are_apart_by_spaces_and_tabs_only(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_what_must_not_reach_a_screen_is_taken_out() -> None:
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        character = chr(code)
        assert clean(f"a{character}b") == ("a\tb" if character == "\t" else "ab"), hex(code)
    for character in "\u2028\u2029\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
        assert clean(f"a{character}b") == "ab", hex(ord(character))
    assert clean("\x1b[31mred\x1b[0m\x07") == "[31mred[0m"
    assert clean("\x00\x9b\u202e") == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "tab\tstays",
        "a\u00a0b\u3000c",
        "\u0645\u0631\u062d\u0628\u0627",
        "\U0001f468\u200d\U0001f469",
        "e\u0301",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert clean(text) == text


@EXAMPLES
@given(st.text())
def test_what_is_replaced_keeps_its_length_and_is_clean(text: str) -> None:
    assert len(replaced(text)) == len(text)
    assert clean(replaced(text)) == replaced(text)
    assert replaced(clean(text)) == clean(text)


@EXAMPLES
@given(st.text())
def test_cleaning_is_done_once_for_all(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert not {unicodedata.category(character) for character in cleaned.replace("\t", "")} & {"Cc", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(character) for character in cleaned} & {
        "LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI",
    }  # fmt: skip


def test_names_are_compared_in_one_form() -> None:
    assert normalize("e\u0301") == "\u00e9" == normalize("\u00e9")
    assert normalize("\u1112\u1161\u11ab") == "\ud55c"
    assert normalize("alice") == "alice"


# ---- the row of a command and a line's words ----


def row(least: int = 0, most: int = 0, **features: Any) -> Command:
    return Command(lambda _dialect, _session, _request: None, "", "", least, most, **features)


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        (row(), [], ()),
        (row(), ["a"], Refusal.TOO_MANY),
        (row(1, 1), [], Refusal.TOO_FEW),
        (row(1, 1), ["a"], ("a",)),
        (row(1, 1), ["a", "b"], Refusal.TOO_MANY),
        (row(1, 2), ["a"], ("a",)),
        (row(1, 2), ["a", "b"], ("a", "b")),
        (row(1, 2), ["a", "b", "c"], Refusal.TOO_MANY),
        (row(1, 2, name=True), ["e\u0301", "e\u0301"], ("\u00e9", "e\u0301")),
        (row(0, 1, name=True), [], ()),
    ],
)
def test_words_fit_a_command_or_do_not(command: Command, words: list[str], expected: tuple[str, ...] | Refusal) -> None:
    fitted = match_arguments(command, words)
    assert (fitted.args if isinstance(fitted, Request) else fitted) == expected


@pytest.mark.parametrize(
    ("words", "squeezed"),
    [
        (["a"], ["a"]),
        (["a", "b"], ["a", "b"]),
        (["a", "b", "c", "d"], ["a", "b c d"]),
        (["a", "b\x07", "\x1b", "d"], ["a", "b d"]),
        (["a", "\x1b", "\u202e"], ["a"]),
        (["a\x07", "b"], ["a\x07", "b"]),
        (["a", "e\u0301", "x"], ["a", "e\u0301 x"]),
        (["a", "b\u00a0c", "d"], ["a", "b\u00a0c d"]),
    ],
)
def test_words_are_squeezed_to_a_message(words: list[str], squeezed: list[str]) -> None:
    join_message(words, 1)
    assert words == squeezed


@pytest.mark.parametrize(
    ("text", "most", "words"),
    [
        ("", 2, []),
        (" \t ", 2, []),
        ("a", 0, ["a"]),
        ("a", 1, ["a"]),
        (" a  b ", 0, ["a  b"]),
        (" a  b ", 1, ["a  b"]),
        ("\ta \t b  \t c \t", 2, ["a", "b  \t c"]),
        ("a b c", 3, ["a", "b", "c"]),
        ("a\u3000b c", 2, ["a\u3000b", "c"]),
    ],
)
def test_words_are_split_off_and_the_rest_keeps_its_spacing(text: str, most: int, words: list[str]) -> None:
    assert split_at_most(text, most) == words


# ---- sessions ----


class Tiny(Dialect):
    """A dialect that notes what happens to it. `later` words wait for `outcomes` to be called."""

    name = "tiny"

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Done] = []
        self.left = 0
        self.rows = {
            "now": Command(Tiny.now, "now <word>", "is answered at once", max_args=1, success="now {0}"),
            "later": Command(Tiny.later, "later <word>", "waits", min_args=1, max_args=1, success="done {0}"),
            "after": Command(Tiny.after, "after <word>", "does more after its answer", max_args=1, success="done {0}"),
            "pipe": Command(Tiny.later, "pipe <word>", "may follow others", min_args=1, max_args=1, pipelined=True),
            "secret": Command(Tiny.now, "secret", "needs a login", needs_login=True, success="secret"),
            "wrong": Command(Tiny.wrong, "wrong <word>", "cannot be done", min_args=1, max_args=1),
            "bye": Command(Tiny.bye, "bye", "ends the session"),
            "much": Command(Tiny.much, "much <word>", "says much", max_args=1),
        }

    def parse(self, line: str) -> Request | Refusal | None:
        verb, *words = line.strip("\t ").split(" ")
        if not verb:
            return None
        command = self.rows.get(verb)
        return Refusal.UNKNOWN if command is None else match_arguments(command, words)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        session.send(refusal.value)

    def succeed(self, session: Session, request: Request) -> None:
        session.send(request.command.success.format(*request.args))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        session.send(f"failed {' '.join(request.args)} {error}")

    def deliver(self, session: Session, event: Any) -> None:
        session.transport.send(self.render(event))

    def render(self, event: Any) -> bytes:
        return f"event {event}\n".encode()

    def leave(self, session: Session) -> None:
        self.left += 1

    def now(self, session: Session, request: Request) -> None:
        self.succeed(session, request)

    def later(self, session: Session, request: Request) -> None:
        self.outcomes.append(session.expect_outcome(request))

    def after(self, session: Session, request: Request) -> None:
        self.outcomes.append(session.expect_outcome(request, lambda: session.send("and more")))

    def wrong(self, session: Session, request: Request) -> None:
        raise ChatError("no")

    def bye(self, session: Session, request: Request) -> None:
        session.end()

    def much(self, session: Session, request: Request) -> None:
        session.send("head")
        session.transport.stream(iter([b"body\n"]))


class Talk:
    """A session with a tiny dialect and a fake transport."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self.soon: list[Callable[[], None]] = []
        self.transport = FakeTransport(self.soon)
        self.dialect = Tiny()
        self.other = Tiny()
        self.other.name = "other"
        self.session = Session(self.transport, self.dialect, max_line, {"other": self.other})
        self.transport.owner = self.session

    def send(self, *lines: str) -> None:
        self.session.received("".join(f"{line}\n" for line in lines).encode())

    def turn(self) -> int:
        """Run what was put off to the next turn; return how many calls that were."""
        calls = self.soon[:]
        self.soon.clear()
        for call in calls:
            call()
        return len(calls)

    def give(self, error: Exception | None = None) -> None:
        """Give the oldest outcome."""
        self.dialect.outcomes.pop(0)(error)

    def heard(self) -> list[str]:
        return self.transport.take().decode().splitlines()

    def said(self, *lines: str) -> list[str]:
        self.send(*lines)
        return self.heard()


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_lines_are_answered_as_they_come(talk: Talk) -> None:
    assert talk.said("now 1", "now 2") == ["now 1", "now 2"]
    talk.session.received(b"no")
    assert talk.heard() == []
    talk.session.received(b"w 3\r\n")
    assert talk.heard() == ["now 3"]
    assert talk.said("", "   ") == []


def test_what_is_no_request_is_refused_and_the_session_lives(talk: Talk) -> None:
    assert talk.said("what") == [Refusal.UNKNOWN.value]
    assert talk.said("now 1 2") == [Refusal.TOO_MANY.value]
    assert talk.said("later") == [Refusal.TOO_FEW.value]
    talk.session.received(b"now \xff\n")
    assert talk.heard() == [Refusal.NOT_UTF8.value]
    talk.session.received(b"now \xed\xa0\x80\n")
    assert talk.heard() == [Refusal.NOT_UTF8.value]
    assert talk.said("now 1" * MAX_LINE) == [Refusal.TOO_LONG.value]
    assert talk.said("now 1") == ["now 1"]


def test_a_handler_may_raise_and_the_gate_answers(talk: Talk) -> None:
    assert talk.said("wrong 1", "now 2") == ["failed 1 no", "now 2"]


def test_a_session_says_what_blocks_it_and_the_first_reason_first(talk: Talk) -> None:
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
def test_a_session_only_goes_forward(talk: Talk, pairs: tuple[str, str]) -> None:
    talk.send("later 1")
    states = [talk.session.state]
    for name in pairs:
        getattr(talk.session, name)()
        states.append(talk.session.state)
    order = list(SessionState)
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)


def test_an_event_without_words_is_not_told(talk: Talk) -> None:
    plain = Dialect()
    plain.deliver(talk.session, object())
    assert plain.render(object()) == b""
    assert talk.heard() == []


def test_a_sessions_line_limit_is_its_own() -> None:
    assert Talk(max_line=8).said("now 123", "now 1234") == ["now 123", Refusal.TOO_LONG.value]


@pytest.mark.parametrize("before", [b"", b"\n", b" \t\r\n"])
def test_the_first_word_chooses_the_dialect(talk: Talk, before: bytes) -> None:
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
def test_only_the_first_line_chooses_and_only_by_its_whole_word(talk: Talk, first: bytes) -> None:
    talk.session.received(first + b"other 1\n")
    assert talk.session.dialect is talk.dialect


def test_an_event_can_be_delivered_with_a_receipt(talk: Talk) -> None:
    left: list[bool] = []
    talk.session.deliver_with_receipt(1, left.append)
    assert talk.transport.pump()
    talk.turn()
    assert (talk.heard(), left) == (["event 1"], [True])


@pytest.mark.parametrize("count", [0, 1, LIST_PIECE, LIST_PIECE + 1, 3 * LIST_PIECE])
def test_a_list_of_any_length_is_one_line(talk: Talk, count: int) -> None:
    names = [f"name{number}" for number in range(count)]
    talk.session.send_list("LIST", names, ", ")
    assert talk.transport.congested == (count > LIST_PIECE)
    talk.transport.pump()
    assert talk.heard() == [f"LIST {', '.join(names)}".rstrip()]


def test_the_gate_asks_for_a_login(talk: Talk) -> None:
    assert talk.said("secret") == ["failed  None"]
    talk.session.principal = "somebody"
    assert talk.said("secret") == ["secret"]


def test_an_event_is_put_into_the_dialects_words(talk: Talk) -> None:
    talk.session.deliver(1)
    assert talk.heard() == ["event 1"]


def test_an_outstanding_answer_holds_back_what_follows(talk: Talk) -> None:
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


def test_what_arrives_meanwhile_waits_too(talk: Talk) -> None:
    assert talk.said("later 1") == []
    assert talk.said("now 2") == []
    assert talk.said("now 3") == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "now 2", "now 3"]


def test_a_parked_request_alone_is_run_after_the_answer(talk: Talk) -> None:
    assert talk.said("later 1", "now 2") == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "now 2"]


def test_nothing_is_put_off_when_nothing_waits(talk: Talk) -> None:
    assert talk.said("later 1") == []
    talk.give()
    assert talk.heard() == ["done 1"]
    assert talk.turn() == 0


def test_what_follows_a_success_comes_before_the_next_answer(talk: Talk) -> None:
    assert talk.said("after 1", "now 2") == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "and more", "now 2"]
    talk.send("after 3")
    talk.give(ValueError())
    assert talk.heard() == ["failed 3 "]


def test_pipelined_requests_follow_each_other_and_nothing_else_does(talk: Talk) -> None:
    assert talk.said("pipe 1", "pipe 2", "pipe 3", "now 4", "pipe 5") == []
    assert len(talk.dialect.outcomes) == 3
    talk.give()
    talk.give(ValueError("reason"))
    assert talk.turn() == 0
    talk.give()
    assert talk.turn() == 1
    assert talk.heard() == ["failed 2 reason", "now 4"]
    assert len(talk.dialect.outcomes) == 1


def test_a_pipelined_request_waits_for_one_that_is_not(talk: Talk) -> None:
    """A message behind a LOGIN needs its outcome, as any other request does."""
    talk.send("later 1", "pipe 2", "pipe 3")
    assert len(talk.dialect.outcomes) == 1
    talk.give()
    talk.turn()
    assert len(talk.dialect.outcomes) == 2
    talk.send("pipe 4")
    assert len(talk.dialect.outcomes) == 3


def test_a_session_leaves_turns_to_others(talk: Talk) -> None:
    lines = [f"now {number}" for number in range(2 * LINES_PER_TURN + 5)]
    assert talk.said(*lines) == lines[:LINES_PER_TURN]
    assert talk.turn() == 1
    assert talk.heard() == lines[LINES_PER_TURN : 2 * LINES_PER_TURN]
    assert talk.turn() == 1
    assert talk.heard() == lines[2 * LINES_PER_TURN :]
    assert talk.turn() == 0


def test_lines_that_arrive_while_others_have_their_turn(talk: Talk) -> None:
    talk.send(*["now 1"] * 3 * LINES_PER_TURN)
    for _ in range(5):
        talk.send("now 2")
    assert len(talk.heard()) == LINES_PER_TURN
    while talk.turn():
        pass
    assert talk.heard() == ["now 1"] * 2 * LINES_PER_TURN + ["now 2"] * 5


def test_a_session_whose_lines_take_long_leaves_its_turn_early(talk: Talk) -> None:
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
def test_a_client_has_spoken_with_its_first_line_of_any_kind(talk: Talk, data: bytes, spoken: int) -> None:
    for piece in pieces(data, range(0, len(data), 1000)):
        talk.session.received(piece)
    assert talk.transport.spoken == spoken


def test_lines_that_wait_are_told_to_the_transport(talk: Talk) -> None:
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


def test_empty_lines_count_against_the_turn(talk: Talk) -> None:
    talk.send(*[""] * LINES_PER_TURN, "now 1")
    assert talk.heard() == []
    talk.turn()
    assert talk.heard() == ["now 1"]


def test_a_client_that_has_much_to_read_gets_no_more_answers(talk: Talk) -> None:
    talk.transport.congested = True
    assert talk.said("now 1", "now 2") == []
    assert talk.turn() == 0
    talk.transport.pump()
    while talk.turn():
        pass
    assert talk.heard() == ["now 1", "now 2"]


def test_answers_stand_behind_a_stream(talk: Talk) -> None:
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
    talk = Talk()
    talk.transport = Eager(talk.soon)
    talk.session = talk.transport.owner = Session(talk.transport, talk.dialect)
    talk.send("much 1", "now 2", "now 3")
    while talk.turn() or talk.transport.pump():
        pass
    assert talk.heard() == ["head", "body", "now 2", "now 3"]


def test_a_relief_inside_of_an_answer_does_not_lengthen_the_turn() -> None:
    talk = Talk()
    talk.transport = Eager(talk.soon)
    talk.session = talk.transport.owner = Session(talk.transport, talk.dialect)
    talk.send(*["now 1"] * 4 * LINES_PER_TURN)
    assert len(talk.heard()) == LINES_PER_TURN


def test_reading_pauses_while_many_lines_wait(talk: Talk) -> None:
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
    talk = Talk(max_line=4 * READ_AHEAD)
    word = "x" * 3 * READ_AHEAD
    for piece in pieces(f"now {word}\n".encode(), range(0, 3 * READ_AHEAD, 32768)):
        assert talk.transport.reading, "nobody will ever send the rest of this line"
        talk.session.received(piece)
    assert talk.heard() == [f"now {word}"]


def test_a_client_that_sends_no_more_gets_its_answers(talk: Talk) -> None:
    talk.send("later 1", "now 2")
    talk.session.ended()
    assert talk.transport.finished == 0
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1", "now 2"]
    assert talk.transport.finished == 1
    assert talk.dialect.left == 1


def test_the_end_of_input_waits_for_many_lines(talk: Talk) -> None:
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


def test_the_end_of_input_waits_for_a_slow_reader(talk: Talk) -> None:
    talk.send("much 1", "now 2")
    talk.session.ended()
    assert talk.transport.finished == 0
    talk.transport.pump()
    while talk.turn():
        pass
    assert talk.heard() == ["head", "body", "now 2"]
    assert talk.transport.finished == 1


def test_the_end_of_input_with_nothing_to_answer(talk: Talk) -> None:
    talk.session.received(b"now half a line")
    talk.session.ended()
    assert talk.heard() == []
    assert talk.transport.finished == 1


@pytest.mark.parametrize("end", ["settled", "late", "retired", "gone"])
def test_the_end_of_input_waits_for_what_is_owed_but_not_for_ever(talk: Talk, end: str) -> None:
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


def test_what_is_owed_holds_up_nothing_else(talk: Talk) -> None:
    talk.session.expect_late_answer(10)
    assert talk.said("now 1", "bye") == ["now 1"]
    assert talk.transport.finished == 1
    assert not talk.transport.later


def test_no_line_is_run_after_a_goodbye(talk: Talk) -> None:
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


def test_retire_gives_outstanding_answers_and_runs_nothing_more(talk: Talk) -> None:
    talk.send("later 1", "now 2", "now 3")
    talk.session.drain()
    talk.session.received(b"")
    assert talk.heard() == []
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1"]
    assert talk.transport.finished == 1
    assert talk.dialect.left == 1


def test_what_comes_after_retire_is_dropped(talk: Talk) -> None:
    talk.send("later 1")
    talk.session.drain()
    talk.send("now 2", "later 3")
    talk.give()
    talk.turn()
    assert talk.heard() == ["done 1"]
    assert talk.transport.finished == 1


def test_retire_ends_an_idle_session_at_once(talk: Talk) -> None:
    talk.session.drain()
    assert talk.transport.finished == 1
    talk.session.drain()
    assert talk.transport.finished == 1


def test_a_lost_session_leaves_once_and_its_outcomes_do_no_harm(talk: Talk) -> None:
    talk.send("later 1", "now 2")
    talk.session.lost("gone")
    talk.session.lost("gone")
    assert talk.session.over
    assert talk.dialect.left == 1
    talk.give()
    talk.turn()
    assert "now 2" not in talk.heard()


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"OPTIONS * HTTP/2"])
def test_a_web_browser_is_not_spoken_to(talk: Talk, request_line: bytes) -> None:
    talk.session.received(request_line + b"\r\nHost: x\r\n\r\nnow 1\n")
    assert talk.heard() == []
    assert talk.transport.refused == 1
    assert talk.session.over
    assert talk.dialect.left == 1
    talk.session.received(b"now 2\n")
    assert talk.heard() == []


def test_a_web_browser_is_known_behind_empty_lines(talk: Talk) -> None:
    talk.session.received(b"\r\n\nGET / HTTP/1.1\r\n")
    assert talk.transport.refused == 1


@pytest.mark.parametrize("first", ["now 1", "what", "x" * MAX_LINE])
def test_only_the_first_line_can_be_a_browsers(talk: Talk, first: str) -> None:
    talk.send(first, "GET / HTTP/1.1", "now 2")
    assert talk.heard()[1:] == [Refusal.UNKNOWN.value, "now 2"]
    assert not talk.transport.refused


@pytest.mark.parametrize("start", ["GET /", "POST http://x/", "OPTIONS *"])
def test_a_web_browser_is_known_by_the_start_of_a_line_that_is_too_long(talk: Talk, start: str) -> None:
    talk.send(start + "x" * MAX_LINE, "now 1")
    assert talk.heard() == []
    assert talk.transport.refused == 1
    assert talk.session.over


@pytest.mark.parametrize("start", ["SAY /", "SEND garden:"])
def test_a_line_that_is_too_long_and_no_browsers_is_answered(talk: Talk, start: str) -> None:
    assert talk.said(start + "x" * MAX_LINE) == [Refusal.TOO_LONG.value]
    assert not talk.transport.refused


def test_a_line_that_only_looks_like_a_browsers(talk: Talk) -> None:
    assert talk.said("now GET / HTTP/1.1") == [Refusal.TOO_MANY.value]
    assert not talk.transport.refused


@EXAMPLES
@given(
    st.lists(st.sampled_from(["now 1", "later 2", "pipe 3", "after 4", "what", "", "much 5", "now 6 7"]), max_size=30),
    st.lists(st.integers(0, 300), max_size=8),
    st.lists(st.booleans(), max_size=30),
)
def test_answers_come_in_the_order_of_the_requests(lines: list[str], cuts: list[int], early: list[bool]) -> None:
    """However the lines arrive, and whenever outcomes are given, the client hears the same."""

    def heard(*data: bytes, give_early: list[bool]) -> list[str]:
        talk = Talk()
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
