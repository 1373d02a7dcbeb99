"""Breaks lines between words, as wide as a terminal is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ui.rendering import Fragments

TAB_SIGN, TAB = "\t", "    "
JOINER = "\u200d"


class Cell(NamedTuple):
    """A character with its style and the columns that it takes."""

    style: str
    character: str
    columns: int


def wrap(line: Fragments, width: int, indent: int, columns_of: Callable[[str], int]) -> list[Fragments]:
    """Break a line into rows, at blanks and between wide characters.

    A word that is longer than a row is left to the terminal, which breaks it without adding anything to it.

    Args:
        line: the line.
        width: columns of the terminal.
        indent: blanks before each further row.
        columns_of: returns the columns that a text takes.
    """
    text = "".join([part for _style, part in line])
    if len(text) <= width and text.isascii() and TAB_SIGN not in text:
        return [line]  # as most lines do; no character needs to be looked at
    cells = [
        Cell(style, character, columns_of(character))
        for style, part in line
        for character in part.replace(TAB_SIGN, TAB)
    ]
    if indent * 2 > width:
        indent = 0
    rows: list[Fragments] = []
    start, room = 0, width
    while (end := _row_end(cells, start, room, width)) < len(cells):
        rows.append(_fragments(cells[start:end], indent if rows else 0))
        start, room = end, width - indent
        while start < len(cells) and cells[start].character == " ":
            start += 1
    if start < len(cells) or not rows:
        rows.append(_fragments(cells[start:], indent if rows else 0))
    return rows


def _row_end(cells: list[Cell], start: int, room: int, width: int) -> int:
    """Find where a row ends: behind the last place before its end where it may be broken."""
    used, best = 0, start
    for place in range(start, len(cells)):
        if place > start and _may_break(cells, place):
            best = place
        used += cells[place].columns
        if used > room and cells[place].character != " ":
            if best > start:
                return best
            used, room = cells[place].columns, width  # the terminal breaks here
    return len(cells)


def _may_break(cells: list[Cell], place: int) -> bool:
    before, after = cells[place - 1], cells[place]
    if after.columns == 0 or after.character == " ":
        return False
    return before.character == " " or (
        (before.columns > 1 or after.columns > 1) and JOINER not in (before.character, after.character)
    )


def _fragments(cells: list[Cell], indent: int) -> Fragments:
    """Join the cells of a row again, without the blanks at its end."""
    while cells and cells[-1].character == " ":
        cells = cells[:-1]
    row: Fragments = [("", " " * indent)] if indent else []
    for style, character, _columns in cells:
        if row and row[-1][0] == style:
            row[-1] = (style, row[-1][1] + character)
        else:
            row.append((style, character))
    return row
