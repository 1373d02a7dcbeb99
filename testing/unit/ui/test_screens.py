"""How many rows a narrower terminal makes of those that were drawn."""

from __future__ import annotations

import pytest

from ui.screens import reflowed_rows


@pytest.mark.parametrize(
    ("widths", "cursor", "columns", "rows"),
    [
        ([], 0, 40, 0),
        ([], 39, 40, 0),
        ([], 40, 40, 1),
        ([], 95, 40, 2),
        ([90], 9, 50, 1),
        ([90], 9, 30, 2),
        ([90, 0, 31], 0, 30, 3),
        ([40, 40], 5, 40, 0),
    ],
)
def test_rows_that_a_narrower_terminal_adds(widths: list[int], cursor: int, columns: int, rows: int) -> None:
    assert reflowed_rows(widths, cursor, columns) == rows
