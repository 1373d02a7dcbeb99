"""text.py: lines, however they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES, pieces
from text import (
    MAX_LINE,
    OVERLONG_HEAD,
    LineBuffer,
    Overlong,
    whole_line,
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
@given(st.lists(st.sampled_from([b"ab", b"\n", b"\r"]), max_size=5), st.integers(min_value=1, max_value=10))
def test_a_whole_line_is_what_a_buffer_would_give_and_leaves_nothing(fed: list[bytes], limit: int) -> None:
    data = b"".join(fed)
    buffer = LineBuffer(limit, begun=True)
    buffer.feed(data)
    lines = [*all_lines(buffer)]
    alone = data.endswith(b"\n") and len(lines) == 1 and not isinstance(lines[0], Overlong)
    assert whole_line(data, limit) == (lines[0] if alone else None)


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
