"""The limits of clients: set from the settings at the start and by a reload (docs/limits.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.throttle import AccountRateLimit, Failures
from line_bucket import LineBucket, LineRate
from net.addresses import exemption
from settings import LINKS, LOOPBACK, Settings


class ClientLimits:
    """The limits of the sessions, addresses and accounts of one server, besides those of its tables and buffers.

    Args:
        settings: of the server.
        now: the monotonic clock, in seconds.

    Attributes:
        lines: how fast each session may send lines (C59).
        accounts: how many accounts an address may make (C42).
        failures: how wrong passwords delay the next attempt (C40, C61).
        is_exempt: whether no limit of addresses holds for an address.
    """

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self.is_exempt = exemption_of(settings)
        self.lines = LineRate(now, settings.line_burst, settings.line_rate, for_links=LINKS not in settings.exempt)
        self.accounts = AccountRateLimit(now, settings.max_registrations, self.is_exempt)
        self.failures = Failures(now, settings.max_login_failures, settings.max_account_failures, self.is_exempt)

    def bucket_for(self, address: str) -> LineBucket | None:
        """Return the bucket of a new session; None if it may send any number of lines."""
        return None if self.is_exempt(address) or not self.lines.per_second else LineBucket(self.lines)

    def change(self, settings: Settings) -> None:
        """Use other settings from now on, for what exists too."""
        self.lines.burst, self.lines.per_second = settings.line_burst, settings.line_rate
        self.lines.for_links = LINKS not in settings.exempt
        self.accounts.limit = settings.max_registrations
        self.failures.of_addresses.limit = settings.max_login_failures
        self.failures.of_accounts.limit = settings.max_account_failures


def exemption_of(settings: Settings) -> Callable[[str], bool]:
    """Return a function that tells whether an address is exempt from the limits of addresses.

    Args:
        settings: read at each call, since a reload may change `exempt`.
    """
    words, is_among = settings.exempt, _exemption(settings.exempt)

    def is_exempt(address: str) -> bool:
        nonlocal words, is_among
        if settings.exempt is not words:
            words, is_among = settings.exempt, _exemption(settings.exempt)
        return is_among(address)

    return is_exempt


def _exemption(words: Sequence[str]) -> Callable[[str], bool]:
    networks = [word for word in words if word not in (LOOPBACK, LINKS)]
    return exemption(networks, loopback=LOOPBACK in words)
