"""Rate limits for a network: wrong passwords delay its next attempt, and it can make a limited number of accounts.

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

MAX_ENTRIES = 10_000
"""Maximum entries of a table. To displace one, a client has to cause so many hashes, which takes longer than the delay.
"""

MAX_KEY = 65
"""Characters of a name that are compared. Longer words are no names; those with the same beginning count as one."""

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by keys. Each expires some time after it was set; a full table drops the oldest.

    Args:
        now: the monotonic clock, in seconds.
        seconds: time after which a value expires.
        size: maximum number of values.
    """

    def __init__(self, now: Callable[[], float], seconds: float, size: int = MAX_ENTRIES) -> None:
        self._now = now
        self._seconds = seconds
        self._size = size
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, default: Value) -> Value:
        """Return the value of a key, or the default if there is none or it has expired."""
        at, value = self._values.get(key, (0.0, default))
        return value if self._now() < at + self._seconds else default

    def set(self, key: Hashable, value: Value) -> None:
        """Set the value of a key, which expires anew."""
        now = self._now()
        self._values[key] = (now, value)
        self._values.move_to_end(key)
        while len(self._values) > self._size or next(iter(self._values.values()))[0] + self._seconds <= now:
            self._values.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Remove the value of a key, if there is one."""
        self._values.pop(key, None)


class Failures:
    """Counts wrong passwords by network and name, and says how long the next attempt is to wait.

    Args:
        now: the monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._counts: Recent[int] = Recent(now, FORGET_SECONDS)

    def delay(self, address: str, name: str) -> float:
        """Return the seconds that an attempt from this address against this name has to wait (C40)."""
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
    return network_of(address), name[:MAX_KEY]


class Pace(interfaces.Pace):
    """Lets each network do something so many times within PACE_SECONDS: all at once, or spread out (C42).

    Args:
        now: the monotonic clock, in seconds.
        limit: how many times.
    """

    def __init__(self, now: Callable[[], float], limit: int) -> None:
        self._now = now
        self._limit = limit
        self._spent: Recent[tuple[float, float]] = Recent(now, PACE_SECONDS)  # how many times, and when that was so

    def allows(self, address: str) -> bool:
        """Tell whether this address may do it once more now."""
        return is_loopback(address) or self._spent_by(address) + 1 <= self._limit

    def spend(self, address: str) -> None:
        """Note that this address does it."""
        self._set(address, self._spent_by(address) + 1)

    def give_back(self, address: str) -> None:
        """Note that this address did not do it after all."""
        self._set(address, max(0.0, self._spent_by(address) - 1))

    def _spent_by(self, address: str) -> float:
        spent, at = self._spent.get(network_of(address), (0.0, 0.0))
        return max(0.0, spent - (self._now() - at) * self._limit / PACE_SECONDS)

    def _set(self, address: str, spent: float) -> None:
        if not is_loopback(address):
            self._spent.set(network_of(address), (spent, self._now()))
