"""The picture of the main figure. Only this module needs matplotlib (bench/requirements.txt)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ("#1f6f54", "#6bb394", "#9aa0a6", "#35618e", "#c58b2a", "#7a5195")


def draw(path: str, values: Mapping[str, Mapping[str, float]], servers: Sequence[str], note: str) -> None:
    """Write an SVG with a group of bars for each row.

    Args:
        path: of the file.
        values: for each row, the figure of each server, relative to the yardstick or to the first server.
        servers: their order.
        note: lines below the picture.

    Raises:
        ImportError: matplotlib is not installed.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.75 * len(values)), layout="constrained")
    height = 0.8 / len(servers)
    for place, server in enumerate(servers):
        rows = [(number, row[server]) for number, row in enumerate(values.values()) if server in row]
        at = [number + (place - (len(servers) - 1) / 2) * height for number, _value in rows]
        bars = axes.barh(at, [value for _number, value in rows], height * 0.92, color=COLOURS[place], label=server)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    dress(axes, list(values))
    figure.legend(loc="outside upper center", ncols=len(servers), frameon=False, fontsize=8)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def dress(axes: Any, rows: Sequence[str]) -> None:
    """Label the axes, without any line that says nothing."""
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
