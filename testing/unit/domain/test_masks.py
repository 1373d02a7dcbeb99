"""domain/masks.py: which users a mask names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.masks import MAX_MASK, any_matches, completed, fold, matches
from support.examples import EXAMPLES


def by_table(mask: str, text: str) -> bool:
    """The same as `matches`, by the table of all prefixes."""
    row = [True] + [False] * len(text)
    for sign in mask:
        if sign == "*":
            reached, after = False, []
            for before in row:
                reached = reached or before
                after.append(reached)
            row = after
        else:
            row = [False, *(before and sign in ("?", letter) for before, letter in zip(row, text, strict=False))]
    return row[-1]


@EXAMPLES
@given(st.text("aAbß!@*?.[\\n", max_size=9), st.text("aAbß!@.[\\n", max_size=9))
def test_a_mask_names_what_the_table_says(mask: str, text: str) -> None:
    """C67"""
    assert matches(mask, text) == by_table(fold(mask), fold(text))


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        ("", "*!*@*"),
        ("bob", "bob!*@*"),
        ("bob!", "bob!*@*"),
        ("bob!u", "bob!u@*"),
        ("u@host", "*!u@host"),
        ("@host", "*!*@host"),
        ("bob!u@host", "bob!u@host"),
        ("*", "*!*@*"),
    ],
)
def test_a_mask_is_completed(mask: str, whole: str) -> None:
    assert completed(mask) == whole


def test_case_matters_for_letters_of_ascii_only() -> None:
    assert matches("BOB!*@*", "bob!u@host")
    assert not matches("\u00c4!*@*", "\u00e4!u@host")
    assert not matches("[!*@*", "{!u@host")  # not as rfc1459 folds


@pytest.mark.parametrize("part", ["*a", "*?", "*aab", "*?a?", "*a?b"])
def test_the_worst_masks_take_no_long_search(part: str) -> None:
    """Each part is looked for once: a search that goes back would not end."""
    mask = (part * MAX_MASK)[: MAX_MASK - 1] + "c"
    assert not matches(mask, "a" * 300)


def test_one_of_several() -> None:
    assert any_matches(["x!*@*", "*!*@account"], "ann!ann@account")
    assert not any_matches([], "ann!ann@account")
