"""Watchers of users: who is told when a name is taken or freed, a guest comes or goes, a user logs in or out."""

from __future__ import annotations

from collections.abc import Callable


class UserWatchers:
    """Callbacks for what happens to users.

    Attributes:
        of_names: called with each name that a user or guest of any kind takes (True) or frees (False). A call may
            repeat the state that the name had before.
        of_room_guests: called with the name and channel of each room guest that has come in (True) or left (False).
        of_logins: called with the name of each user of this server that comes online (True) or goes offline (False).
    """

    __slots__ = ("of_logins", "of_names", "of_room_guests")

    def __init__(self) -> None:
        self.of_names: list[Callable[[str, bool], object]] = []
        self.of_room_guests: list[Callable[[str, str, bool], object]] = []
        self.of_logins: list[Callable[[str, bool], object]] = []

    def note_name(self, name: str, *, taken: bool) -> None:
        """Tell that a name is taken, or free again."""
        for watch in self.of_names:
            watch(name, taken)

    def note_room_guest(self, name: str, channel: str, *, is_there: bool) -> None:
        """Tell that a room guest has come into a channel, or has left it."""
        for watch in self.of_room_guests:
            watch(name, channel, is_there)

    def note_login(self, name: str, *, is_online: bool) -> None:
        """Tell that a user has come online, or has gone offline."""
        for watch in self.of_logins:
            watch(name, is_online)
