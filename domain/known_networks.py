"""From which networks each account has logged in, so that an attack on it does not delay its owner there (C61)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from domain.changes import LoggedInFrom, Undo, ignore
from domain.journal import Journal
from domain.users import Users

MAX_NETWORKS = 8
"""Networks of an account that are remembered: a person has few, and a new one takes the place of the oldest."""

REFRESH_SECONDS = 86400.0
"""Time after which a login is noted again, so that most logins write nothing."""


class KnownNetworks:
    """The networks of all accounts.

    Args:
        users: all users.
        journal: takes changes.
        now: the wall clock, in seconds since the epoch.
    """

    def __init__(self, users: Users, journal: Journal, now: Callable[[], float]) -> None:
        self._users = users
        self._journal = journal
        self._now = now

    def note(self, name: str, network: str) -> None:
        """Note that an account has logged in from a network. No-op if that has been noted within a day."""
        account, now = self._users.accounts.get(name), self._now()
        if account is not None and now - account.networks.get(network, -math.inf) >= REFRESH_SECONDS:
            self._journal.submit(LoggedInFrom(name, network, now), ignore)

    def all(self) -> Iterator[tuple[str, str]]:
        """Yield each account's name with each of its networks, the oldest first."""
        for account in self._users.accounts.values():
            for network in sorted(account.networks, key=account.networks.__getitem__):
                yield account.name, network

    def apply(self, change: LoggedInFrom) -> Undo:
        account = self._users.account(change.account)
        before = account.networks
        networks = {**before, change.network: change.at}
        while len(networks) > MAX_NETWORKS:
            del networks[min(networks, key=networks.__getitem__)]
        account.networks = networks
        return lambda: setattr(account, "networks", before)
