"""Lines for the screen, as their text."""

from __future__ import annotations

from collections.abc import Iterable

from ui.rendering import Line, without_style


def text_of(lines: Iterable[Line]) -> str:
    """Return the bare text of lines."""
    return "\n".join(without_style(line.text) for line in lines)
