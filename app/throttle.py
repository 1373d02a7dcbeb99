"""Rate limits for a network: a wrong password delays its next attempt, and it makes a limited number of accounts.

An attempt is never refused, only delayed, by at most MAX_SECONDS, and only for failures of the same network and name.
Unknown names are delayed alike. Entries expire. A full table drops its oldest entry, which lengthens no delay. Loopback
addresses are never delayed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from domain import interfaces
from net.addresses import is_loopback, network_of

FIRST_SECONDS = 0.25
MAX_SECONDS = 5.0
"""Delay after the first failure; each further failure doubles it, up to the maximum."""

FORGET_SECONDS = 15 * 60.0
"""Time after which failures are forgotten, if none follows."""

PACE_SECONDS = 3600.0
"""Time in which a network may make `max-registrations` accounts."""

MAX_KEPT = 10_000
"""Entries of a table. To push one out, a client has to cause as many hashes, which takes longer than the delay."""

NAME_KEPT = 65
"""Characters of a name that are kept. Longer words are invalid names; those that begin alike count as one."""

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by keys, each forgotten a while after it was set, and the oldest when there are too many.

    Args:
        now: the monotonic clock.
        seconds: how long a value is kept.
        most: how many are kept.
    """

    def __init__(self, now: Callable[[], float], seconds: float, most: int = MAX_KEPT) -> None:
        self._now = now
        self._seconds = seconds
        self._most = most
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, default: Value) -> Value:
        """Give the value of a key, or the default where there is none any more."""
        at, value = self._values.get(key, (0.0, default))
        return value if self._now() < at + self._seconds else default

    def set(self, key: Hashable, value: Value) -> None:
        """Keep a value from now on."""
        now = self._now()
        self._values[key] = (now, value)
        self._values.move_to_end(key)
        while len(self._values) > self._most or next(iter(self._values.values()))[0] + self._seconds <= now:
            self._values.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Keep nothing for a key."""
        self._values.pop(key, None)


class Failures:
    """Counts wrong passwords by network and name, and says how long the next attempt is to wait.

    Args:
        now: the monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._counts: Recent[int] = Recent(now, FORGET_SECONDS)

    def delay(self, address: str, name: str) -> float:
        """Give the seconds that an attempt from this address against this name has to wait (C40)."""
        failures = self._counts.get(_key(address, name), 0)
        if not failures or is_loopback(address):
            return 0.0
        return min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 10))

    def count(self, address: str, name: str) -> None:
        """Note that an attempt from this address against this name has failed."""
        key = _key(address, name)
        self._counts.set(key, self._counts.get(key, 0) + 1)

    def forget(self, address: str, name: str) -> None:
        """Note that an attempt from this address against this name had the right password."""
        self._counts.forget(_key(address, name))


def _key(address: str, name: str) -> tuple[str, str]:
    return network_of(address), name[:NAME_KEPT]


class Pace(interfaces.Pace):
    """Lets each network do something so many times within PACE_SECONDS: all at once, or spread out (C42).

    Args:
        now: the monotonic clock, in seconds.
        most: how many times.
    """

    def __init__(self, now: Callable[[], float], most: int) -> None:
        self._now = now
        self._most = most
        self._spent: Recent[tuple[float, float]] = Recent(now, PACE_SECONDS)  # how much, and when that was so

    def allows(self, address: str) -> bool:
        """Tell whether this address may do it once more now."""
        return is_loopback(address) or self._spent_by(address) + 1 <= self._most

    def spend(self, address: str) -> None:
        """Note that this address does it."""
        self._set(address, self._spent_by(address) + 1)

    def give_back(self, address: str) -> None:
        """Note that what this address was to do has failed."""
        self._set(address, max(0.0, self._spent_by(address) - 1))

    def _spent_by(self, address: str) -> float:
        spent, at = self._spent.get(network_of(address), (0.0, 0.0))
        return max(0.0, spent - (self._now() - at) * self._most / PACE_SECONDS)

    def _set(self, address: str, spent: float) -> None:
        if not is_loopback(address):
            self._spent.set(network_of(address), (spent, self._now()))
