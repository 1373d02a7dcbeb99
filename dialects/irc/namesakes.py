"""Room guests with one name in several channels: IRC shows each under a nick of its own (I17)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dialects.irc.names import nick_of, unescape, wholly_escaped

EMPTY = "||"
"""Two bars with nothing between them. One pair ends the nick of the third room guest of a name, two the next one's."""


class Namesakes:
    """The channels in which room guests of each name are, in the order in which the guests have come.

    Args:
        guests: those who are there: their names and channels.
    """

    def __init__(self, guests: Iterable[tuple[str, str]]) -> None:
        self._channels: dict[str, list[str]] = {}
        for name, channel in guests:
            self.come(name, channel)

    def come(self, name: str, channel: str) -> None:
        """A room guest has come into a channel. No-op if that is known."""
        channels = self._channels.setdefault(name, [])
        if channel not in channels:
            channels.append(channel)

    def go(self, name: str, channel: str) -> None:
        """A room guest has left a channel. No-op if it was not known to be there."""
        left = [each for each in self._channels.pop(name, ()) if each != channel]
        if left:
            self._channels[name] = left

    def channels_of(self, name: str) -> Sequence[str]:
        """Return the channels in which room guests of this name are."""
        return self._channels.get(name, ())

    def nick(self, name: str, form: str, channel: str) -> str:
        """Return the nick of a room guest.

        Args:
            name: the guest's.
            form: in which the oldest guest of this name is shown.
            channel: where the guest is, or has been.
        """
        channels, nick = self._channels.get(name, ()), nick_of(form)
        if len(channels) < 2 or channel not in channels[1:]:
            return nick
        escaped = nick_of(wholly_escaped(name))
        return escaped + EMPTY * (channels.index(channel) - (escaped != nick))


def without_pairs(nick: str) -> str:
    """Return a nick without the empty pairs of bars at its end."""
    while nick.endswith(EMPTY) and unescape(nick) is None:
        nick = nick.removesuffix(EMPTY)
    return nick
