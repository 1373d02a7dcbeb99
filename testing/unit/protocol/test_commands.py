"""The row of a command, and the words of a line."""

from __future__ import annotations

from typing import Any

import pytest

from commands import Command, Refusal, Request, match_arguments
from text import (
    join_message,
    split_at_most,
)


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
