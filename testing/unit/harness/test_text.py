"""Reading the arguments of a script, and showing bytes."""

from __future__ import annotations

import random

import pytest

from harness.language import COMMENT
from harness.text import escape, read_glob, unescape


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"a\nb\tc\rd\s", b"a\nb\tc\rd "),
        (r"\x1b\xff\x00", b"\x1b\xff\x00"),
        (r"\u00e9 é", "é é".encode()),
        (r"\\n \#", rb"\n #"),
        (r"\{a*3}b\{ab*2}", b"aaababab"),
        (r"\{\xff*2}\{\u00e9*2}\{\\*2}", b"\xff\xff\xc3\xa9\xc3\xa9\\\\"),
        (r"\{**3}\{}*2}", b"***}}"),
        (r"\{x*0}", b""),
    ],
)
def test_unescape(text: str, data: bytes) -> None:
    assert unescape(text) == data


@pytest.mark.parametrize("text", [r"\q", "\\", r"\x1", r"\u12", r"\{a*}", r"\{*3}", r"\{a*99999999}", r"\ud800"])
def test_unknown_escape(text: str) -> None:
    with pytest.raises(ValueError, match=r"escape|repeat|codec"):
        unescape(text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"RESULT LOGIN 1", "RESULT LOGIN 1"),
        (b" a  b ", r"\sa  b\s"),
        ("é 你好\u202e".encode(), r"é 你好\u202e"),
        (b"\x1b[2J\t\xff\\", r"\x1b[2J\t\xff\\"),
        (b"#a b#c #d", r"\#a b#c \#d"),
        (b"a" * 9000 + b"b", r"\{a*9000}b"),
    ],
)
def test_escape(data: bytes, text: str) -> None:
    assert escape(data) == text


def test_escape_is_undone_by_unescape() -> None:
    source = random.Random(1)
    words = ("#", " ", "\\", "*", "}", "{", "\n", "é", "\u202e", "\U0001f600", "a" * 50, "*" * 50)
    pieces = [b"\xff", *(word.encode() for word in words)]
    for _ in range(500):
        data = b"".join(source.choices(pieces, k=source.randrange(12))) + source.randbytes(3)
        text = escape(data)
        assert unescape(text) == data
        assert text == text.strip(" ")
        assert not COMMENT.search(text)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("a?c", ["abc", "a?c", "a\u4f60c"], ["ac", "abbc", "abcd", "xabc"]),
        ("a*c", ["ac", "abc", "a * c"], ["acd", "a"]),
        (r"\*\?\\*", ["*?\\", "*?\\x"], ["x?\\", "*x\\", "*?x"]),
        (r"[x] (?).+\d", [r"[x] (y).+\d"], [r"x (y).+\d", "[x] (y)a1"]),
        ("a  b", ["a b"], ["a  b"]),
        ("", [""], ["x"]),
    ],
)
def test_glob(glob: str, matching: list[str], others: list[str]) -> None:
    regex = read_glob(glob).regex
    assert [line for line in [*matching, *others] if regex.fullmatch(line)] == matching
