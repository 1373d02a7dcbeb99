"""Lines that are broken between words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from support.examples import EXAMPLES
from ui.rendering import without_style
from ui.wrapping import wrap


def rows(text: str, width: int, indent: int = 0) -> list[str]:
    return [without_style(row) for row in wrap([("", text)], width, indent, get_cwidth)]


@pytest.mark.parametrize(
    ("text", "width", "indent", "wanted"),
    [
        ("", 10, 0, [""]),
        ("short", 10, 2, ["short"]),
        ("one two three", 7, 0, ["one two", "three"]),
        ("one two three", 8, 0, ["one two", "three"]),
        ("one  two   three", 7, 2, ["one", "  two", "  three"]),
        ("12345 67890", 5, 0, ["12345", "67890"]),
        ("a b c d", 3, 1, ["a b", " c", " d"]),
        ("a b c d", 3, 2, ["a b", "c d"]),  # no indent where it would take half of the row
        ("ab " + "x" * 12 + " cd", 5, 0, ["ab", "x" * 12 + " cd"]),
        ("\u6211\u4eec\u660e\u5929\u89c1", 4, 0, ["\u6211\u4eec", "\u660e\u5929", "\u89c1"]),
        ("a\u6211\u4eec", 4, 0, ["a\u6211", "\u4eec"]),
        ("e\u0301e\u0301 e\u0301e\u0301", 3, 0, ["e\u0301e\u0301", "e\u0301e\u0301"]),
        ("\U0001f44d\U0001f44d", 2, 0, ["\U0001f44d", "\U0001f44d"]),
        ("\u05e9\u05dc\u05d5 \u05e2\u05d5\u05dc", 4, 0, ["\u05e9\u05dc\u05d5", "\u05e2\u05d5\u05dc"]),
        ("a\tb", 10, 0, ["a    b"]),
    ],
)  # fmt: skip
def test_a_line_is_broken_between_words(text: str, width: int, indent: int, wanted: list[str]) -> None:
    assert rows(text, width, indent) == wanted


def test_styles_stay_with_their_text() -> None:
    line = [("a", "one t"), ("b", "wo thr"), ("c", "ee")]
    assert wrap(line, 7, 2, get_cwidth) == [
        [("a", "one t"), ("b", "wo")],
        [("", "  "), ("b", "thr"), ("c", "ee")],
    ]


def test_a_sequence_of_emoji_is_not_broken_apart() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert all(row.count(family) == row.count("\U0001f468") for row in rows(f"{family} {family} {family}", 8))


@EXAMPLES
@given(
    st.text(st.sampled_from("ab  \u6211\u0301\U0001f44d\u05e9"), max_size=60),
    st.integers(4, 30),
    st.integers(0, 6),
)
def test_nothing_is_lost_and_no_row_is_too_wide(text: str, width: int, indent: int) -> None:
    broken = rows(text, width, indent)
    assert "".join("".join(broken).split()) == "".join(text.split())
    for row in broken:
        words = row.split()
        assert get_cwidth(row) <= width or len(words[-1]) > 1
