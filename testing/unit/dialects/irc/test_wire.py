"""dialects/irc/wire.py: lines, tags, masks, long messages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irctokens.line import tokenise

from dialects.irc import wire
from dialects.irc.wire import Line
from domain.masks import pattern_of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("NICK ann", Line({}, "NICK", ["ann"])),
        ("  nick   ann  ", Line({}, "NICK", ["ann"])),
        (":ann!a@b PRIVMSG #c :hi  there ", Line({}, "PRIVMSG", ["#c", "hi  there "])),
        ("PRIVMSG #c ::)", Line({}, "PRIVMSG", ["#c", ":)"])),
        ("USER a 0 * :", Line({}, "USER", ["a", "0", "*", ""])),
        (r"@+a=x\:y\s\\;b;=c PING x", Line({"+a": r"x;y \ ".rstrip(), "b": ""}, "PING", ["x"])),
        ("", Line({}, "", [])),
        ("@a", Line({"a": ""}, "", [])),
        (":only", Line({}, "", [])),
        ("PING a\0\rb", Line({}, "PING", ["ab"])),
    ],
)
def test_a_line_is_parsed(text: str, line: Line) -> None:
    assert wire.parse(text) == line


def test_tags_and_the_rest_have_limits_of_their_own() -> None:
    """(I2)"""
    assert wire.parse("@" + "a" * 4094 + " PING x") is not None
    assert wire.parse("@" + "a" * 4095 + " PING x") is None
    assert wire.parse("PING " + "x" * 505) is not None
    assert wire.parse("PING " + "x" * 506) is None
    assert wire.parse("PING " + "é" * 253) is None
    assert wire.parse("@" + "a" * 4094 + " PING " + "x" * 505) is not None


@given(st.text())
def test_any_text_is_a_line_or_too_long(text: str) -> None:
    """Nothing that ends a line comes through."""
    line = wire.parse(text)
    if line is not None:
        assert not re.search("[\r\n\0]", "".join((line.verb, *line.words)))


KEYS = st.from_regex(r"\A\+?[a-z][a-z0-9./-]{0,20}\Z")
VALUES = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=50)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
def test_another_parser_reads_our_tags(tags: dict[str, str]) -> None:
    """What is escaped is unescaped again, so nobody forges a tag (I34)."""
    line = wire.render_tags(tags.items()) + wire.message("a!b@c", "PRIVMSG", "#d", text="hi")
    read = tokenise(line.removesuffix(wire.END))
    assert {key: value or "" for key, value in (read.tags or {}).items()} == tags
    assert (read.command, read.params) == ("PRIVMSG", ["#d", "hi"])
    assert wire.parse_tags(line.partition(" ")[0][1:]) == tags


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=600), st.integers(1, 400))
def test_a_long_text_is_parted_without_loss(text: str, size: int) -> None:
    """(I27)"""
    parts = list(wire.pieces(text, size))
    assert all(len(part.encode()) <= max(size, wire.MIN_TEXT) for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_a_long_text_is_parted_at_blanks() -> None:
    """(I27)"""
    assert list(wire.pieces("ab " * 30, 64)) == ["ab " * 20 + "ab", "ab " * 9]


@pytest.mark.parametrize(
    ("shown", "word"),
    [
        ("a b", "ab"),
        (":a", "a"),
        ("\x1b[1m", "[1m"),
        ("", "*"),
        ("::", "*"),
        ("x" * 300, "x" * 200),
        ("é" * 150, "é" * 100),
    ],
)
def test_a_word_in_an_answer_is_bare_and_short(shown: str, word: str) -> None:
    """(I31)"""
    assert wire.word(shown) == word


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x0304,05red\x03 and \x02bold\x02", "red and bold"),
        ("\x04ff0000,00ff00x\x04", "x"),
        ("\x03,5 x", ",5 x"),
        ("\x1b[31mred", "[31mred"),
        ("a\tb", "a\tb"),
    ],
)
def test_formats_go_with_their_numbers(text: str, plain: str) -> None:
    """(I25)"""
    assert wire.plain(text) == plain


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_a_mask_fits_as_a_pattern_does(mask: str, text: str) -> None:
    pattern = re.escape(mask).replace(r"\*", ".*").replace(r"\?", ".")
    assert (pattern_of(mask).fullmatch(text) is not None) == (re.fullmatch(pattern, text) is not None)


def test_a_mask_takes_no_exponential_time() -> None:
    assert not pattern_of("*a" * 100 + "b").fullmatch("a" * 400)
