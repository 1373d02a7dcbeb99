"""The effect of a new ban on users who are online: they are removed or closed (C71, C72). Many are done in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from domain.bans import ACCOUNT, ADDRESS, EVERYWHERE, SERVER
from domain.changes import Banned, ignore
from domain.chat import Chat
from domain.events import Announced
from domain.interfaces import Timers
from domain.rooms import Rooms
from domain.sessions import ClientSession
from domain.state import Account, Channel
from domain.walks import walk


class BanEnforcement:
    """Removes and closes the users whom a new ban concerns.

    Args:
        chat: the domain.
        rooms: what the operator does in channels.
        timers: the monotonic clock.
        sessions: returns the sessions of all connections.
        close_links: closes the links with a server, by its name or address.
        farewell: returns the text for the clients that a ban closes.
    """

    def __init__(
        self,
        chat: Chat,
        rooms: Rooms,
        timers: Timers,
        sessions: Callable[[], Iterable[ClientSession]],
        close_links: Callable[[str], object],
        farewell: Callable[[Banned], str],
    ) -> None:
        self._chat = chat
        self._rooms = rooms
        self._timers = timers
        self._sessions = sessions
        self._close_links = close_links
        self._words = farewell

    def enforce(self, ban: Banned) -> None:
        """Remove or close the users whom a ban concerns."""
        if ban.channel != EVERYWHERE:
            channel = self._chat.channels.local.get(ban.channel)
            if channel is not None:
                walk(self._remove_from(channel), self._timers)
        elif ban.kind == ACCOUNT:
            self._close_account(ban)
        elif ban.kind == ADDRESS:
            walk(self._close_address(ban), self._timers)
        elif ban.kind == SERVER:
            self._close_links(ban.target)

    def logged_in(self, account: Account) -> None:
        """Remove an account from the channels that are closed to the address from which it has logged in."""
        bans = self._chat.bans
        for name, channel in [] if bans.is_empty else list(account.channels.items()):
            if name in self._chat.channels.local and bans.of_member(account, name) is not None:
                self._rooms.kick(channel.name, account.name, ignore)

    def _close_account(self, ban: Banned) -> None:
        account = self._chat.users.accounts.get(ban.target)
        if account is not None:
            self._chat.logins.end_sessions(account, self._farewell(ban))
        for channel in list(self._chat.channels.local.values()):
            if account is None and ban.target in channel.members:  # a user of another server
                self._rooms.kick(channel.name, ban.target, ignore)

    def _close_address(self, ban: Banned) -> Iterator[None]:
        for session in list(self._sessions()):
            if not session.over and self._chat.bans.of_address(session.address) is ban:
                if session.has_spoken:
                    session.deliver(self._farewell(ban))
                session.end()
            yield

    def _remove_from(self, channel: Channel) -> Iterator[None]:
        bans = self._chat.bans
        for member in list(channel.members.values()):
            if bans.of_member(member, channel.name) is not None:
                self._rooms.kick(channel.name, member.name, ignore)
            yield
        for guest in self._rooms.guests.of(channel.name):
            ban = bans.of_address(guest.session.address, channel.name)
            if ban is not None:
                guest.session.deliver(self._farewell(ban))
                self._rooms.kick(channel.name, guest.name, ignore)
            yield

    def _farewell(self, ban: Banned) -> Announced:
        return Announced(self._words(ban), self._chat.now(), is_last=True)
