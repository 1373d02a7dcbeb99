"""Tell clients that a name is shown in another form, because a user of a similar name has gone (I17)."""

from __future__ import annotations

from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.people import client_of
from dialects.irc.wire import message
from domain.changes import InOrder
from domain.sessions import ClientSession
from domain.state import NO_CHANNELS


class Forms:
    """Watches in which form each name is shown, and tells clients of IRC when it changes.

    Args:
        irc: the dialect.
    """

    def __init__(self, irc: Irc) -> None:
        self._irc = irc
        irc.people.form_watchers.append(self._tell_later)
        irc.chat.users.watchers.of_room_guests.append(self._tell_namesakes)

    def _tell_later(self, name: str) -> None:
        """Tell the new form when the user that has gone has left its channels, too."""
        submit, nothing = self._irc.chat.journal.submit, InOrder(lambda: None)
        submit(nothing, lambda _error: submit(nothing, lambda _error: self._tell(name)))

    def _tell(self, name: str) -> None:
        people = self._irc.people
        rooms = [""] if people.is_user(name) else people.namesakes.channels_of(name)
        nicks = [people.nick(name, room) for room in rooms]
        people.show_anew(name)
        for room, before in zip(rooms, nicks, strict=True):
            self._tell_nick(name, before, room)

    def _tell_namesakes(self, name: str, channel: str, is_there: bool) -> None:
        """A room guest has come or gone. When it has gone, those of its name that came later may get another form."""
        people = self._irc.people
        if is_there:
            people.namesakes.come(name, channel)
            return
        nicks = [(room, people.nick(name, room)) for room in people.namesakes.channels_of(name) if room != channel]
        people.namesakes.go(name, channel)
        for room, before in nicks:
            self._tell_nick(name, before, room)

    def _tell_nick(self, name: str, before: str, room: str) -> None:
        """Tell those who see a user, or the room guest of a channel, that its nick was another before."""
        irc = self._irc
        after = irc.people.nick(name, room)
        if before == after:
            return
        line = message(f"{before}!{irc.people.user_at_host(name, in_room=bool(room))}", "NICK", text=after).encode()
        for client in self._beside(name, room):
            if client.nick == name:
                client.shown = after
            client.session.send_bytes(line)
        if irc.people.is_online(name):
            irc.tell_watchers_of(before, None)
            irc.tell_watchers_of(after, irc.people.prefix(name))

    def _beside(self, name: str, room: str) -> set[Client]:
        """Return the clients of a user, and those in its channels; or those in the channel of a room guest."""
        chat = self._irc.chat
        user = chat.users.accounts.get(name) or chat.users.guests.get(name)
        channels = [chat.channels.local[room]] if room else getattr(user, "channels", NO_CHANNELS).values()
        sessions: set[ClientSession] = {session for channel in channels for session in channel.subscribers}
        sessions.update(getattr(user, "sessions", ()))
        return {client for client in map(client_of, sessions) if client is not None}
