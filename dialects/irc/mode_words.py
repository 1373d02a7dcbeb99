"""The modes of channels in words: those that are on, and changes."""

from __future__ import annotations

from dialects.irc.core import Irc
from dialects.irc.wire import message
from domain.events import ModesChanged
from domain.modes import KEY, LIMIT, OPERATOR, VOICE
from domain.state import Channel

NO_KEY = "*"
"""Stands for the key in `-k`: keys are not repeated."""


def mode_words(channel: Channel, *, shows_key: bool) -> list[str]:
    """Return a channel's modes and their values, as 324 has them."""
    modes = channel.modes
    if modes is None:
        return ["+n"]
    letters, values = "".join(sorted(modes.flags)), []
    if modes.key:
        letters += KEY
        values.append(modes.key if shows_key else NO_KEY)
    if modes.limit:
        letters += LIMIT
        values.append(str(modes.limit))
    return [f"+{letters}", *values]


def mode_line(irc: Irc, event: ModesChanged) -> str:
    """Render what has been switched in a channel."""
    letters, values, sign = "", [], ""
    for letter, is_on, value in event.switches:
        if sign != "+-"[not is_on]:
            sign = "+-"[not is_on]
            letters += sign
        letters += letter
        if letter in (OPERATOR, VOICE):
            values.append(irc.people.nick(value, event.channel))
        elif letter == KEY and not is_on:
            values.append(NO_KEY)
        elif value:
            values.append(value)
    by = irc.people.prefix(event.by) if event.by else irc.server.name
    return message(by, "MODE", irc.people.channel(event.channel), letters, *values)
