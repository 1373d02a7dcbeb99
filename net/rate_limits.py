"""Rate limits: how often an address may do something; and tables whose entries expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from net.addresses import is_loopback, network_of

MAX_ENTRIES = 10_000
"""Maximum entries of a table. A client that would displace one has to cause as many hashes or connections, which takes
longer than to wait."""

Value = TypeVar("Value")


class ExpiringTable(Generic[Value]):
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


class RateLimit:
    """A token bucket for each key: it may do something `limit` times in `seconds`, all at once or spread out.

    Args:
        now: the monotonic clock, in seconds.
        limit: how many times.
        seconds: the time to which the limit refers.

    Attributes:
        limit: how many times; it can change at any time.
    """

    def __init__(self, now: Callable[[], float], limit: int, seconds: float) -> None:
        self.limit = limit
        self._now = now
        self._seconds = seconds
        self._spent: ExpiringTable[tuple[float, float]] = ExpiringTable(now, seconds)
        """For each key the tokens that were spent, and the time of that count."""

    def allows(self, key: str) -> bool:
        """Tell whether this key may do it once more now."""
        return self._spent_by(key) + 1 <= self.limit

    def spend(self, key: str) -> None:
        """Note that this key does it."""
        self._set(key, self._spent_by(key) + 1)

    def give_back(self, key: str) -> None:
        """Note that this key did not do it after all."""
        self._set(key, max(0.0, self._spent_by(key) - 1))

    def _spent_by(self, key: str) -> float:
        spent, at = self._spent.get(key, (0.0, 0.0))
        return max(0.0, spent - (self._now() - at) * self.limit / self._seconds)

    def _set(self, key: str, spent: float) -> None:
        self._spent.set(key, (spent, self._now()))


class AddressRateLimit(RateLimit):
    """A rate limit for addresses: those of one network count as one, and some are exempt.

    Args:
        now, limit, seconds: as of `RateLimit`.
        is_exempt: whether an address may do it any number of times.
    """

    def __init__(
        self,
        now: Callable[[], float],
        limit: int,
        seconds: float,
        is_exempt: Callable[[str], bool] = is_loopback,
    ) -> None:
        super().__init__(now, limit, seconds)
        self._is_exempt = is_exempt

    def allows(self, key: str) -> bool:
        """Tell whether this address may do it once more now."""
        return self._is_exempt(key) or super().allows(network_of(key))

    def spend(self, key: str) -> None:
        """Note that this address does it."""
        if not self._is_exempt(key):
            super().spend(network_of(key))

    def give_back(self, key: str) -> None:
        """Note that this address did not do it after all."""
        if not self._is_exempt(key):
            super().give_back(network_of(key))
