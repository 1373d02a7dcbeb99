"""Limits on passwords and accounts: wrong passwords delay the next attempt, and each network may make few accounts.

An attempt is never refused, only delayed, by at most MAX_SECONDS. Unknown names are delayed alike. Entries expire. A
full table drops its oldest entry, which lengthens no delay.

Three counts delay an attempt:

- the failures from its network for its name;
- the failures from its network, if they are many;
- the failures of strangers for its name, if they are many.

A stranger is a network from which nobody has logged in under the name before. The last two delay strangers alone (C61).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from domain import interfaces
from domain.known_networks import MAX_NETWORKS, KnownNetworks
from net.addresses import is_loopback, network_of
from net.rate_limits import AddressRateLimit, ExpiringTable, RateLimit

FIRST_SECONDS = 0.25
MAX_SECONDS = 5.0
"""Delay after the first failure; each further failure doubles it, up to the maximum."""

FORGET_SECONDS = 15 * 60.0
"""Time after which failures are forgotten, if none follows."""

HOUR = 3600.0
"""Time to which `max-registrations`, `max-login-failures` and `max-account-failures` refer."""

KNOWN_SECONDS = 365 * 24 * HOUR
"""Time after which an account's networks are forgotten, if nobody logs in."""

MAX_KEY = 65
"""Characters of a name that are compared. Longer words are no names; those with the same beginning count as one."""


class AccountRateLimit(AddressRateLimit, interfaces.RateLimit):
    """The rate limit of accounts: each network may make so many in an hour (C42).

    Args:
        now: the monotonic clock, in seconds.
        limit: how many.
        is_exempt: whether an address may make any number.
    """

    def __init__(self, now: Callable[[], float], limit: int, is_exempt: Callable[[str], bool] = is_loopback) -> None:
        super().__init__(now, limit, HOUR, is_exempt)


class Delay(NamedTuple):
    """Seconds that an attempt has to wait, and the limit that is the reason; "" if it is the ordinary back-off."""

    seconds: float
    reason: str = ""


class Failures:
    """Counts wrong passwords, and says how long the next attempt is to wait.

    Args:
        now: the monotonic clock, in seconds.
        per_address: failures of one network in an hour, after which its attempts as a stranger wait longest.
        per_account: failures of strangers for one name in an hour, after which all strangers wait longest.
        is_exempt: whether an address is never delayed.
    """

    def __init__(
        self,
        now: Callable[[], float],
        per_address: int,
        per_account: int,
        is_exempt: Callable[[str], bool] = is_loopback,
    ) -> None:
        self.of_addresses = AddressRateLimit(now, per_address, HOUR, is_exempt)
        self.of_accounts = RateLimit(now, per_account, HOUR)
        self._is_exempt = is_exempt
        self._counts: ExpiringTable[int] = ExpiringTable(now, FORGET_SECONDS)
        self._networks: ExpiringTable[tuple[str, ...]] = ExpiringTable(now, KNOWN_SECONDS)
        self._kept: KnownNetworks | None = None

    def delay(self, address: str, name: str) -> Delay:
        """Return how long an attempt from this address against this name has to wait (C40, C61)."""
        if self._is_exempt(address):
            return Delay(0.0)
        if not self._is_known(address, name):
            if not self.of_addresses.allows(address):
                return Delay(MAX_SECONDS, "max-login-failures")
            if not self.of_accounts.allows(_short(name)):
                return Delay(MAX_SECONDS, "max-account-failures")
        failures = self._counts.get(_key(address, name), 0)
        return Delay(min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 10)) if failures else 0.0)

    def count(self, address: str, name: str) -> None:
        """Note that an attempt from this address against this name has failed."""
        if self._is_exempt(address):
            return
        key = _key(address, name)
        self._counts.set(key, self._counts.get(key, 0) + 1)
        self.of_addresses.spend(address)
        if not self._is_known(address, name):
            self.of_accounts.spend(_short(name))

    def succeed(self, address: str, name: str) -> None:
        """Note that an attempt from this address against this name had the right password."""
        if self._is_exempt(address):
            return
        self._counts.forget(_key(address, name))
        network = network_of(address)
        self._remember(name, network)
        if self._kept is not None:
            self._kept.note(name, network)

    def know(self, kept: KnownNetworks) -> None:
        """Take over the networks that the database has kept, and have it keep new ones (C61)."""
        self._kept = kept
        for name, network in kept.all():
            self._remember(name, network)

    def _remember(self, name: str, network: str) -> None:
        known = self._networks.get(_short(name), ())
        self._networks.set(_short(name), (network, *(other for other in known if other != network))[:MAX_NETWORKS])

    def _is_known(self, address: str, name: str) -> bool:
        return network_of(address) in self._networks.get(_short(name), ())


def _short(name: str) -> str:
    return name[:MAX_KEY]


def _key(address: str, name: str) -> tuple[str, str]:
    return network_of(address), _short(name)
