"""text.py: words, what must not be shown, and whole numbers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from text import (
    clean,
    normalize,
    parse_number,
    replaced,
    split_words,
)


@pytest.mark.parametrize("word", ["", "-1", "+1", "1.5", "1e3", "0x10", "1_000", " 1", "\u0661", "\u00b2", "ten"])
def test_what_is_no_whole_number(word: str) -> None:
    assert parse_number(word, 100) is None


@EXAMPLES
@given(number=st.integers(0, 10**30), zeros=st.integers(0, 5000), most=st.integers(0, 10**20))
def test_a_number_is_what_it_says_and_no_more_than_is_allowed(number: int, zeros: int, most: int) -> None:
    assert parse_number("0" * zeros + str(number), most) == min(number, most)


def test_a_number_of_any_length_is_quick() -> None:
    assert parse_number("9" * 1_000_000, 7) == 7


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
