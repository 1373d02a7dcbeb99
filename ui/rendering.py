"""Lines for the screen: text with styles, when it was said, and whether it calls for attention. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

Fragments = list[tuple[str, str]]
"""A line for the screen, as pairs of style and text."""

MAX_NAME_SHOWN = 256
"""Maximum characters of a name that is remembered or shown in the prompt. A name has at most 64, its server as many."""


class Line(NamedTuple):
    """A line for the screen.

    Attributes:
        text: the line, as pairs of style and text.
        at: when it was said, in seconds since the epoch; None: now.
        alert: a direct message to the user, or a message that mentions the user's name.
        stamped: the time stands before the line; False where the line has its own.
    """

    text: Fragments
    at: float | None = None
    alert: bool = False
    stamped: bool = True


def lines_of(text: Fragments, *, at: float | None = None, alert: bool = False, stamped: bool = True) -> list[Line]:
    """Return the lines for a text: none if it is empty, see `Line`."""
    return [Line(highlighted(text) if alert else text, at, alert, stamped)] if text else []


def highlighted(text: Fragments) -> Fragments:
    """Make a text stand out."""
    return [(f"{style} class:alert".strip(), part) for style, part in text]


def render_note(text: str) -> Fragments:
    """Render a note of the client itself."""
    return [("class:note", f"* {text}")]


def render_user(name: str) -> tuple[str, str]:
    """Render a user's name, always in the same colour."""
    return f"class:user{sum(name[:MAX_NAME_SHOWN].encode()) % USER_COLOURS}", name


def _in_style(style: str) -> Callable[[str], Callable[..., Fragments]]:
    """Make functions for `Answer.render` in a style: each formats a sentence with the groups of the pattern."""
    return lambda sentence: lambda *words: [(style, sentence.format(*words))]


plain, good, bad = _in_style(""), _in_style("class:good"), _in_style("class:bad")


def without_style(text: Fragments) -> str:
    """Return the bare text of a line."""
    return "".join([part for _style, part in text])


USER_COLOURS = 6
STYLES: Mapping[str, str] = {
    "prompt": "bold",
    "channel": "ansicyan",
    "good": "ansigreen",
    "bad": "ansired",
    "note": "ansiyellow",
    "typed": "ansibrightblack",
    "time": "ansibrightblack",
    "day": "ansibrightblack",
    "new": "bold ansired",
    "server": "ansicyan",
    "whisper": "ansimagenta",
    "progress": "ansiyellow",
    "secret": "bold ansiyellow",
    "alert": "bold reverse",
    "toolbar": "reverse",
    "user0": "bold ansiblue",
    "user1": "bold ansimagenta",
    "user2": "bold ansigreen",
    "user3": "bold ansiyellow",
    "user4": "bold ansicyan",
    "user5": "bold ansired",
}
