"""Users as IRC shows them: nicks, prefixes, and who is meant by a nick (I14 to I17)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from dialects.irc.client import Client
from dialects.irc.names import Alike, channel_name, channel_of, nick_of, unescape, user_part
from dialects.irc.namesakes import Namesakes, without_pairs
from domain.chat import Chat
from domain.masks import fold
from domain.names import HOST_OF_USER
from domain.sessions import ClientSession
from domain.state import Account, Guest, User
from text import normalize

KEPT_HOSTS = 1000
"""Addresses of guests whose hosts are kept."""

MAX_GONE = 1000
"""Clients that have gone and are remembered, for WHOWAS."""

ACCOUNT_HOST = "account"
UNKNOWN_HOST = "guest"
"""The host of a guest of whom nothing more is known."""

ROOM_HOST = "room"
ROOM_USER = "rooms"


class Gone(NamedTuple):
    """A client that has gone.

    Attributes:
        name: of its user, in the domain.
        nick, user_at_host, realname: as others saw it.
        at: when it has gone, in seconds since the epoch.
    """

    name: str
    nick: str
    user_at_host: str
    realname: str
    at: float


class People:
    """All users here, and those of other servers, by the names that IRC gives them.

    Args:
        chat: the domain.
        host_of: returns the host that stands for a guest's address.
    """

    def __init__(self, chat: Chat, host_of: Callable[[str], str]) -> None:
        self._users = chat.users
        self._channels = chat.channels
        self.host_of = lru_cache(KEPT_HOSTS)(host_of)  # it takes a hash, for each message of a guest
        self._alike = Alike([*chat.users.accounts, *chat.users.guests, *chat.users.room_guest_names])
        self._channels_alike = Alike([*chat.channels.local, *chat.channels.remote])
        self.namesakes = Namesakes((name, key) for key, room in chat.channels.local.items() for name in room.guests)
        self._prefixes: dict[str, tuple[User, str]] = {}
        """The prefixes of users who are here, until a name comes or goes: each message has one."""
        self._freed: dict[str, str] = {}
        """Names that are free again and were shown in another form, and that form."""
        self._held: dict[str, str] = {}
        """Names whose form has changed, and the old form, which is shown until all clients know the new one."""
        self.form_watchers: list[Callable[[str], object]] = []
        """Told of each name that is to be shown in another form: see `show_anew`."""
        self.gone: deque[Gone] = deque(maxlen=MAX_GONE)
        chat.users.watchers.of_names.append(self._note_name)
        chat.channels.name_watchers.append(self._note_channel)

    def _note_name(self, name: str, taken: bool) -> None:
        self._prefixes.clear()
        if taken:
            self._freed.pop(name, None)
            self._alike.add(name)
            return
        shown = self._form(name)
        forms = {other: self._form(other) for other in self._alike.all(name) if other != name}
        self._held.pop(name, None)
        self._alike.remove(name)
        for other, form in forms.items():
            if form != self._alike.shown(other):
                self._held[other] = form
                for watch in self.form_watchers:
                    watch(other)
        if shown != name:
            self._freed[name] = shown
            if len(self._freed) > MAX_GONE:
                del self._freed[next(iter(self._freed))]

    def _note_channel(self, name: str, taken: bool) -> None:
        (self._channels_alike.add if taken else self._channels_alike.remove)(name)

    def remember(self, name: str, realname: str, at: float) -> None:
        """Remember a client that is about to go, for WHOWAS, and for what is told of a guest later."""
        self.gone.append(Gone(name, self.nick(name), self.user_at_host(name), realname, at))

    # ---- out ----

    def nick(self, name: str, room: str = "") -> str:
        """Return the nick of a user, of this server or of another.

        Args:
            name: the user's.
            room: the channel where a room guest is, or has been; "" for any other user.
        """
        return self.namesakes.nick(name, self._form(name), room) if room else nick_of(self._form(name))

    def _form(self, name: str) -> str:
        return self._held.get(name) or self._freed.get(name) or self._alike.shown(name)

    def show_anew(self, name: str) -> tuple[str, str]:
        """Show a name as it is to be shown beside those that are left (I17); return its nick before and after."""
        before = self.nick(name)
        self._prefixes.clear()
        self._held.pop(name, None)
        return before, self.nick(name)

    def prefix(self, name: str, *, room: str = "", is_guest: bool = False) -> str:
        """Return the prefix `nick!user@host` of a user, who need not be here any more (I14).

        Args:
            name: the user's.
            room: as in `nick`.
            is_guest: whether the name was a guest's then; an account may have it now.
        """
        holder = None if room else self._users.online.get(name)
        if holder is None or (is_guest and isinstance(holder, Account)):
            return f"{self.nick(name, room)}!{self.user_at_host(name, in_room=bool(room), is_guest=is_guest)}"
        known = self._prefixes.get(name)
        if known is None or known[0] is not holder:
            known = self._prefixes[name] = holder, f"{self.nick(name)}!{self.user_at_host(name)}"
        return known[1]

    def user_at_host(self, name: str, *, in_room: bool = False, is_guest: bool = False) -> str:
        """Return the `user@host` of a user, who need not be here any more.

        Args:
            name: the user's.
            in_room: whether it is a room guest's name.
            is_guest: as in `prefix`.
        """
        if in_room:
            return f"{ROOM_USER}@{ROOM_HOST}"
        bare, _sign, host = name.partition(HOST_OF_USER)
        if host:
            return f"{user_part(bare)}@{host}"
        guest = self._users.guests.get(name)
        if guest is not None:
            return self._guest_at_host(guest)
        if name in self._users.accounts and not is_guest:
            return f"{user_part(name)}@{ACCOUNT_HOST}"
        if name in self._users.room_guest_names and not is_guest:
            return f"{ROOM_USER}@{ROOM_HOST}"
        never = f"{user_part(name)}@{ACCOUNT_HOST}" if is_guest else ""  # a guest's name may have been an account's
        latest = (gone.user_at_host for gone in reversed(self.gone) if gone.name == name)
        return next((each for each in latest if each != never), f"{user_part(name)}@{UNKNOWN_HOST}")

    def _guest_at_host(self, guest: Guest) -> str:
        client = client_of(guest.session)
        user = f"~{user_part(client.user)}" if client is not None else "hello"
        address = guest.session.address if guest.session is not None else ""
        return f"{user}@{self.host_of(address)}"

    def channel(self, name: str) -> str:
        """Return the IRC name of a channel, of this server or of another."""
        return channel_of(self._channels_alike.shown(name))

    def shown(self, name: str) -> str:
        """Return a name that need not be a user's as a word of an answer."""
        return nick_of(name)

    # ---- in ----

    def find(self, nick: str) -> str | None:
        """Return the name of the user whom a nick means, if there is one; users of other servers need not exist."""
        name = unescape(without_pairs(nick))
        if name is None or HOST_OF_USER in name:
            return name
        return self._alike.find(name, self._exists)

    def room_of(self, nick: str) -> str:
        """Return the channel of the room guest whom a nick means, where there are several of one name; else ""."""
        name = self.find(nick)
        channels = self.namesakes.channels_of(name) if name is not None else ()
        if name is None or len(channels) < 2:
            return ""
        return next((room for room in channels if fold(self.nick(name, room)) == fold(nick)), "")

    def find_in(self, nick: str, channel: str) -> str | None:
        """Return the name of the user whom a nick means in a channel; None if it means a room guest of another."""
        return self.find(nick) if self.room_of(nick) in ("", channel) else None

    def channel_name(self, shown: str) -> str | None:
        """Return the name of the channel that a word means, which need not exist; None if it can be none's (I17)."""
        name = channel_name(shown)
        if name is None or name in self._channels.local:  # nearly always
            return name
        name = normalize(name)
        return self._channels_alike.find(name, self._is_channel) or name

    def _is_channel(self, name: str) -> bool:
        return self._channels.find(name) is not None

    def here(self, nick: str) -> str | None:
        """Return the name of the user whom a nick means, if the user is logged in."""
        name = self.find(nick)
        return name if name in self._users.online else None

    def is_user(self, name: str) -> bool:
        """Tell whether an account or a guest, of this server or of another, has this name."""
        return self._users.is_users(name) or HOST_OF_USER in name

    def is_online(self, name: str) -> bool:
        """Tell whether a user is logged in."""
        return name in self._users.online

    def is_known(self, name: str) -> bool:
        """Tell whether a user of this server has this name, or one of another server who is in a channel here."""
        if HOST_OF_USER in name:
            return any(name in channel.members for channel in self._channels.local.values())
        return self._exists(name)

    def is_taken(self, name: str, but: str = "") -> bool:
        """Tell whether a user has this name, or one alike but for case (I10).

        Args:
            name: the name.
            but: a user whose name may be alike.
        """
        return self._exists(name) or self._alike.oldest(name) not in (None, but)

    def has_password(self, name: str) -> bool:
        """Tell whether an account has this name, and a password."""
        account = self._users.accounts.get(name)
        return account is not None and account.password_hash is not None

    def may_be_nick(self, name: str) -> bool:
        """Tell whether a client can ask for this name (I10, I13)."""
        return self._users.may_name(name)

    def _exists(self, name: str) -> bool:
        return self._users.is_taken(name)


def client_of(session: ClientSession | Any) -> Client | None:
    """Return what the server knows of a client, if it speaks IRC."""
    own = getattr(session, "own", None)
    return own if isinstance(own, Client) else None
