"""The operator's bans: they keep users out of the server, or of a channel (C71, C72).

A ban names an account, an address or network, or another server. It lasts until its end, or until it is lifted. A
lapsed ban has no effect from then on, and is removed with the next change of the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from domain.changes import BanLifted, Banned, Done, Undo
from domain.errors import KeptOut, LimitReached, NotAName, Unchanged
from domain.interfaces import Outside
from domain.journal import Journal
from domain.names import HOST_OF_USER, has_form_of_name, is_host
from domain.state import Channel, Member, RemoteUser

if TYPE_CHECKING:  # else it is imported where an address is looked at: most servers have no bans
    import ipaddress

ACCOUNT, ADDRESS, SERVER = "account", "address", "server"
"""Kinds of targets."""

KINDS = (ACCOUNT, ADDRESS, SERVER)

BANNED = "ban"
"""The reason in the log of limits for a client or server that a ban keeps out."""

MAX_BANS = 10_000
"""Bans at once."""

EVERYWHERE = ""
"""In the place of a channel: the ban holds for the whole server."""

Key = tuple[str, str, str]


def closes_account(ban: Banned) -> bool:
    """Tell whether a ban keeps an account from the whole server: then it ends the account's tokens too (W12)."""
    return ban.kind == ACCOUNT and ban.channel == EVERYWHERE


def target_of(kind: str, word: str) -> str:
    """Return the one form of a ban's target.

    Raises:
        NotAName: the word is no account's name, no address or network, or no server's name or address.
    """
    if kind == ADDRESS:
        return str(network_in(word))
    if kind == SERVER:
        import ipaddress

        try:
            return str(ipaddress.ip_address(word))
        except ValueError:
            is_valid = is_host(word)
    else:
        user, sign, host = word.partition(HOST_OF_USER)
        is_valid = has_form_of_name(user) and (not sign or is_host(host))
    if not is_valid:
        raise NotAName
    return word


def network_in(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the network that a word names; a single address is a network too.

    An IPv4-mapped IPv6 address or network is returned as the IPv4 one. The interface of a link-local address (`%eth0`)
    is left out: addresses are compared without theirs.

    Raises:
        NotAName: it names none.
    """
    import ipaddress

    address, slash, length = word.partition("/")
    try:
        network = ipaddress.ip_network(address.partition("%")[0] + slash + length, strict=False)
    except ValueError:
        raise NotAName from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - 96))


class Networks:
    """Bans of networks, found by an address: each length of a prefix in use is looked up once."""

    def __init__(self) -> None:
        self._by_prefix: dict[tuple[int, int, bool], dict[int, Banned]] = {}

    def add(self, ban: Banned) -> None:
        """Add a ban of a network."""
        key, number = _prefix_of(network_in(ban.target))
        self._by_prefix.setdefault(key, {})[number] = ban

    def remove(self, ban: Banned) -> None:
        """Remove a ban of a network."""
        key, number = _prefix_of(network_in(ban.target))
        bans = self._by_prefix[key]
        del bans[number]
        if not bans:
            del self._by_prefix[key]

    def find(self, address: str) -> Iterable[Banned]:
        """Return the bans of all networks that an address is in. A loopback address is only in loopback networks."""
        if not self._by_prefix:
            return ()
        import ipaddress

        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:  # there is none any more
            return ()
        bits, number = ip.max_prefixlen, int(ip)
        return [
            bans[number >> (bits - length)]
            for (version, length, is_loopback), bans in self._by_prefix.items()
            if version == ip.version and is_loopback == ip.is_loopback and number >> (bits - length) in bans
        ]


def _prefix_of(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[tuple[int, int, bool], int]:
    """Return the kind and length of a network's prefix, and the prefix as a number."""
    bits, length = network.max_prefixlen, network.prefixlen
    return (network.version, length, network.is_loopback), int(network.network_address) >> (bits - length)


class Bans:
    """All bans, and the checks that ask for them.

    Args:
        journal: takes changes.
        outside: knows the servers' addresses; is told of new bans.
        now: the wall clock, in seconds since the epoch.
        end_tokens: ends all tokens of an account of this name, and returns the undo.
    """

    def __init__(
        self, journal: Journal, outside: Outside, now: Callable[[], float], end_tokens: Callable[[str], Undo]
    ) -> None:
        self._journal = journal
        self._outside = outside
        self._now = now
        self._end_tokens = end_tokens
        self._bans: dict[Key, Banned] = {}
        self._first_end = math.inf
        """No ban lapses before that."""
        self._networks: dict[str, Networks] = {}

    # ---- what the operator does ----

    def ban(self, ban: Banned, done: Done) -> None:
        """Add a ban; it replaces a ban of the same target in the same place.

        Fails with LimitReached, StoreUnavailable.

        Args:
            ban: its target is in its one form.
            done: takes the outcome.
        """
        self._journal.submit(ban, done)

    def lift(self, kind: str, target: str, channel: str, done: Done) -> None:
        """Lift a ban. Fails with Unchanged where there is none, StoreUnavailable."""
        self._journal.submit(BanLifted(kind, target, channel), done)

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self._bans

    def all(self) -> list[Banned]:
        """Return all bans that have not lapsed, in the order in which they were made."""
        return [ban for ban in self._bans.values() if self._holds(ban)]

    # ---- who is kept out ----

    def of_login(self, name: str, address: str) -> Banned | None:
        """Return a ban that keeps a user of this name, or of this address, from the server."""
        return self._of_name(name, EVERYWHERE) or self.of_address(address)

    def of_address(self, address: str, channel: str = EVERYWHERE) -> Banned | None:
        """Return a ban that keeps an address out."""
        networks = self._networks.get(channel)
        return None if networks is None else next(filter(self._holds, networks.find(address)), None)

    def of_server(self, known_as: Collection[str], channel: str = EVERYWHERE) -> Banned | None:
        """Return a ban that keeps a server out, by one of its names and addresses."""
        if not self._bans:
            return None
        found = (self._bans.get((SERVER, word, channel)) for word in known_as)
        return next((ban for ban in found if ban is not None and self._holds(ban)), None)

    def of_member(self, member: Member, channel: str) -> Banned | None:
        """Return a ban that keeps an account, a visitor or a remote user out of a channel, or of the server."""
        if not self._bans:
            return None
        return next((ban for place in (EVERYWHERE, channel) if (ban := self._of_member_in(member, place))), None)

    def _of_member_in(self, member: Member, place: str) -> Banned | None:
        ban = self._of_name(member.name, place)
        if ban is not None or not isinstance(member, RemoteUser):
            sessions = () if isinstance(member, RemoteUser) else member.sessions
            return ban or next(filter(None, (self.of_address(session.address, place) for session in sessions)), None)
        return self.of_server(self._outside.servers.known_as(member.name.partition(HOST_OF_USER)[2]), place)

    def check_entry(self, member: Member, channel: Channel) -> None:
        """Check whether a user may join a channel.

        Raises:
            KeptOut: a ban keeps the user out.
        """
        if self.of_member(member, channel.name) is not None:
            raise KeptOut

    def check_guest(self, address: str, channel: Channel) -> None:
        """Check whether a client may come in at the channel's own port.

        Raises:
            KeptOut: its address is banned.
        """
        if self._bans and (self.of_address(address) or self.of_address(address, channel.name)):
            raise KeptOut

    def _of_name(self, name: str, channel: str) -> Banned | None:
        ban = self._bans.get((ACCOUNT, name, channel))
        return ban if ban is not None and self._holds(ban) else None

    def _holds(self, ban: Banned) -> bool:
        return not ban.ends or self._now() < ban.ends

    # ---- changes ----

    def apply_banned(self, change: Banned) -> Undo:
        key = (change.kind, change.target, change.channel)
        lapsed = self._lapsed(change.at)
        if len(self._bans) - len(lapsed) >= MAX_BANS and key not in self._bans:
            raise LimitReached("max-bans")
        undo = self._replace([*lapsed, self._bans.get(key)], change)
        restore_tokens = self._end_tokens(change.target) if closes_account(change) else None

        def undo_all() -> None:
            undo()
            if restore_tokens is not None:
                restore_tokens()

        return undo_all

    def _lapsed(self, at: float) -> list[Banned]:
        """Return the bans that have lapsed. Most bans are made while none has, so that not all are looked at."""
        return [] if at < self._first_end else [ban for ban in self._bans.values() if ban.ends and ban.ends <= at]

    def _replace(self, old: Sequence[Banned | None], new: Banned) -> Undo:
        """Drop bans, and keep one; return the undo, for which nothing is copied if none is dropped."""
        if not any(old):
            self._keep(new)
            return lambda: self._drop(new)
        before = dict(self._bans)
        for ban in old:
            self._drop(ban)
        self._first_end = min((ban.ends for ban in self._bans.values() if ban.ends), default=math.inf)
        self._keep(new)
        return lambda: self._restore(before)

    def tell_banned(self, change: Banned) -> None:
        """Have the users removed whom the ban concerns."""
        self._outside.enforce(change)

    def apply_lifted(self, change: BanLifted) -> Undo:
        ban = self._bans.get((change.kind, change.target, change.channel))
        if ban is None:
            raise Unchanged
        before = dict(self._bans)
        self._drop(ban)
        return lambda: self._restore(before)

    def forget_channel(self, channel: str) -> Undo:
        """Drop the bans of a channel that is removed; return the undo."""
        return self._move_bans_of(channel, None)

    def rename_channel(self, old: str, new: str) -> Undo:
        """Move the bans of a channel to its new name; return the undo."""
        return self._move_bans_of(old, new)

    def _move_bans_of(self, channel: str, new: str | None) -> Undo:
        concerned = [ban for ban in self._bans.values() if ban.channel == channel]
        if not concerned:
            return lambda: None
        before = dict(self._bans)
        for ban in concerned:
            self._drop(ban)
            if new is not None:
                self._keep(ban._replace(channel=new))
        return lambda: self._restore(before)

    def _keep(self, ban: Banned) -> None:
        self._bans[ban.kind, ban.target, ban.channel] = ban
        if ban.ends:
            self._first_end = min(self._first_end, ban.ends)
        if ban.kind == ADDRESS:
            self._networks.setdefault(ban.channel, Networks()).add(ban)

    def _drop(self, ban: Banned | None) -> None:
        if ban is None or self._bans.pop((ban.kind, ban.target, ban.channel), None) is None:
            return
        if ban.kind == ADDRESS:
            self._networks[ban.channel].remove(ban)

    def _restore(self, before: dict[Key, Banned]) -> None:
        for ban in list(self._bans.values()):
            self._drop(ban)
        for ban in before.values():
            self._keep(ban)
