"""The bottom toolbar: the channel, who is online in it, what is unread elsewhere, the state of the connection. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ui.dialects.base import Status

SEPARATOR = " | "
CONNECTED, LOST = "connected", "no connection"


def render_toolbar(status: Status, connected: bool, width: int, columns_of: Callable[[str], int]) -> str:
    """Return the text of the toolbar.

    Where there is no room for all, other channels without unread messages are left out. Then the names of those online
    become their number, and at last other channels with unread messages are left out.

    Args:
        status: what the dialect tells.
        connected: there is a connection.
        width: columns of the terminal; the text takes fewer, so that no terminal breaks it.
        columns_of: returns the columns that a text takes.
    """
    candidates = (SEPARATOR.join(parts) for parts in _candidates(status, CONNECTED if connected else LOST))
    text = ""
    for text in candidates:
        if columns_of(text) <= width - 2:
            return f" {text}"
    return f" {_cut(text, width - 2, columns_of)}"


def _candidates(status: Status, state: str) -> Iterator[list[str]]:
    """Return the parts, each time in fewer words."""
    unread = [f"{number}:{name} {count}" for number, name, count in status.others if count]
    quiet = [f"{number}:{name}" for number, name, count in status.others if not count]
    who = f"{status.user} {state}" if status.user else state
    for place in _places(status):
        for others in ([*unread, *quiet], unread):
            yield list(filter(None, (place, " ".join(others), who)))
    *_, place = _places(status)
    for count in range(len(unread), -1, -1):
        yield list(filter(None, (place, " ".join(unread[:count]), state)))
    yield list(filter(None, (place, state)))


def _places(status: Status) -> Iterator[str]:
    online = status.online
    if online is None or not status.place:
        yield status.place
        return
    yield f"{status.place}: {', '.join(online) if online else 'nobody online'}"
    for shown in (8, 4, 2):
        if shown < len(online):
            yield f"{status.place}: {', '.join(online[:shown])} +{len(online) - shown}"
    yield f"{status.place}: {len(online)} online"
    yield f"{status.place} ({len(online)})"


def _cut(text: str, width: int, columns_of: Callable[[str], int]) -> str:
    while text and columns_of(text) > width:
        text = text[:-1]
    return text
