"""What is drawn on a terminal: lines with their times, notes, and calls for attention."""

from __future__ import annotations

from collections.abc import Sequence

from ui.clock import Clock
from ui.rendering import Line, render_note, without_style
from ui.screens import Screen

MAX_TITLE = 100
"""Characters of a title."""


class View:
    """Puts lines on a screen.

    Args:
        screen: shows them.
        rings: a direct message or a mention rings the bell.
    """

    def __init__(self, screen: Screen, rings: bool) -> None:
        self._screen = screen
        self._rings = rings
        self._clock = Clock()

    def show(self, lines: Sequence[Line]) -> None:
        """Show lines with their times; a direct message or a mention rings the bell and sets the title."""
        if lines:
            self._screen.show([row for line in lines for row in self._clock.stamp(line)])
        alerts = [line for line in lines if line.alert]
        if alerts:
            self._screen.set_title(f"* {without_style(alerts[-1].text)}"[:MAX_TITLE])
            if self._rings:
                self._screen.bell()

    def note(self, text: str) -> None:
        """Show notes of the client itself, one in each line of the text."""
        self.show([Line(render_note(line)) for line in text.split("\n") if line])

    def list(self, lines: Sequence[str]) -> None:
        """Show lines as they are."""
        self.show([Line([("", line)], stamped=False) for line in lines])

    def repeat(self, prompt: str, line: str) -> None:
        """Keep the line that was just typed on the screen."""
        self._screen.repeat(f"{self._clock.time_of_day()} {prompt}", line)
