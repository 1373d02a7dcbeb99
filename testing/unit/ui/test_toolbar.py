"""The bottom toolbar, at each width."""

from __future__ import annotations

import pytest
from prompt_toolkit.utils import get_cwidth

from ui.dialects.base import Status
from ui.toolbar import render_toolbar

BUSY = Status(
    "ann",
    "garden",
    ["ann", "bob", "cid", "dee", "eve", "fox", "gus", "hal", "ida", "joe"],
    [(2, "attic", 12), (3, "shed", 0), (4, "cellar", 1000)],
)


def bar(status: Status, width: int, connected: bool = True) -> str:
    return render_toolbar(status, connected, width, get_cwidth)


@pytest.mark.parametrize(
    ("width", "wanted"),
    [
        (
            200,
            " garden: ann, bob, cid, dee, eve, fox, gus, hal, ida, joe"
            " | 2:attic 12 4:cellar 1000 3:shed | ann connected",
        ),
        (100, " garden: ann, bob, cid, dee, eve, fox, gus, hal +2 | 2:attic 12 4:cellar 1000 | ann connected"),
        (80, " garden: ann, bob, cid, dee +6 | 2:attic 12 4:cellar 1000 | ann connected"),
        (60, " garden (10) | 2:attic 12 4:cellar 1000 | ann connected"),
        (40, " garden (10) | 2:attic 12 | connected"),
        (25, " garden (10) | connected"),
        (15, " garden (10) |"),
    ],
)  # fmt: skip
def test_it_tells_what_there_is_room_for(width: int, wanted: str) -> None:
    assert bar(BUSY, width) == wanted


@pytest.mark.parametrize("width", [1, 2, 10, 39, 40, 41, 79, 80, 81, 120, 200])
@pytest.mark.parametrize(
    "status",
    [
        BUSY,
        Status(),
        Status("ann"),
        Status("ann", "@bob"),
        Status("\u5b89\u5a1c", "\u82b1\u56ed", ["\u5b89\u5a1c"] * 40, [(2, "\u9601\u697c", 1)]),
    ],
)
def test_no_terminal_breaks_it(status: Status, width: int) -> None:
    for connected in (True, False):
        assert get_cwidth(bar(status, width, connected)) < max(width, 2)


def test_it_tells_of_the_connection() -> None:
    assert bar(Status(), 40) == " connected"
    assert bar(Status("ann", "garden", []), 60, False) == " garden: nobody online | ann no connection"
    assert bar(Status("ann", "@bob"), 60) == " @bob | ann connected"
