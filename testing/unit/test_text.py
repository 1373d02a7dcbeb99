"""text.py: the reader of whole numbers. Lines and words are tested with the sessions that use them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from text import parse_number


@pytest.mark.parametrize("word", ["", "-1", "+1", "1.5", "1e3", "0x10", "1_000", " 1", "\u0661", "\u00b2", "ten"])
def test_what_is_no_whole_number(word: str) -> None:
    assert parse_number(word, 100) is None


@EXAMPLES
@given(number=st.integers(0, 10**30), zeros=st.integers(0, 5000), most=st.integers(0, 10**20))
def test_a_number_is_what_it_says_and_no_more_than_is_allowed(number: int, zeros: int, most: int) -> None:
    assert parse_number("0" * zeros + str(number), most) == min(number, most)


def test_a_number_of_any_length_is_quick() -> None:
    assert parse_number("9" * 1_000_000, 7) == 7
