"""Rounds of measurements: medians, the table, and the JSON that holds all of it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

YARDSTICK = "C yardstick"
NONE = "-"


def percentile(samples: Sequence[float], part: float) -> float:
    """Return the sample below which this part of all samples is (nearest rank); 0 of none."""
    return sorted(samples)[int(part * (len(samples) - 1))] if samples else 0.0


class Figures:
    """What has been measured, by row, figure and server, each with all its rounds."""

    def __init__(self, rounds: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]] | None = None) -> None:
        self._rounds: dict[str, dict[str, dict[str, list[float]]]] = {
            row: {
                figure: {server: list(values) for server, values in servers.items()} for figure, servers in of.items()
            }
            for row, of in (rounds or {}).items()
        }

    def add(self, row: str, server: str, measured: Mapping[str, float]) -> None:
        """Add a round of one server in one row."""
        for figure, value in measured.items():
            self._rounds.setdefault(row, {}).setdefault(figure, {}).setdefault(server, []).append(value)

    def medians(self, row: str, figure: str) -> dict[str, float]:
        """Return the median of each server's rounds; nothing if the row was not measured."""
        servers = self._rounds.get(row, {}).get(figure, {})
        return {server: statistics.median(values) for server, values in servers.items()}

    def rows(self) -> list[tuple[str, str]]:
        """Return the pairs of row and figure, in the order in which they came."""
        return [(row, figure) for row, figures in self._rounds.items() for figure in figures]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, from which an equal object can be made."""
        return {row: {figure: dict(servers) for figure, servers in of.items()} for row, of in self._rounds.items()}


def shown(value: float) -> str:
    """Return a value with three digits or more, its thousands separated."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(figures: Figures, servers: Sequence[str]) -> str:
    """Return the medians as a table in Markdown, with our part of the yardstick in the last column."""
    head = ["", "figure", *servers, f"{servers[0]} / C"]
    body = [
        [row, figure, *(shown(medians[server]) if server in medians else NONE for server in servers),
         part_of_yardstick(medians, servers[0])]
        for row, figure in figures.rows()
        for medians in [figures.medians(row, figure)]
    ]  # fmt: skip
    return aligned([head, *body])


def part_of_yardstick(medians: Mapping[str, float], server: str) -> str:
    """Return a server's median as a multiple of the yardstick's, where both have one."""
    if server not in medians or not medians.get(YARDSTICK):
        return NONE
    return f"{medians[server] / medians[YARDSTICK]:.2f}"


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown that can also be read as it is: words to the left, numbers to the right."""
    lines = [list(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([line(lines[0]), line(rule), *(line(cells) for cells in lines[1:])])
