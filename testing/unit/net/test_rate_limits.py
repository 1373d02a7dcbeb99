"""net/rate_limits.py and the limits of addresses in net/addresses.py."""

from __future__ import annotations

import pytest

from net.addresses import exemption
from net.rate_limits import AddressRateLimit
from support.world import FakeTimers


@pytest.mark.parametrize(
    ("networks", "loopback", "exempt", "others"),
    [
        ([], True, ["127.0.0.1", "127.9.9.9", "::1"], ["192.0.2.1", "2001:db8::1", "", "via-loopback"]),
        ([], False, [], ["127.0.0.1", "::1", "192.0.2.1", ""]),
        (["192.0.2.0/24"], False, ["192.0.2.1", "192.0.2.255"], ["127.0.0.1", "192.0.3.1", "2001:db8::1", "", "x"]),
        (["2001:db8::/32"], True, ["::1", "2001:db8::1", "2001:db8:0:1::/64"], ["2001:db9::1", "192.0.2.1"]),
        (["127.0.0.1"], False, ["127.0.0.1"], ["127.0.0.2", "::1"]),
        (["fe80::/10"], False, ["fe80::1%eth0"], ["fec0::1", "::1"]),
    ],
)
def test_who_is_exempt(networks: list[str], loopback: bool, exempt: list[str], others: list[str]) -> None:
    """C62."""
    is_exempt = exemption(networks, loopback=loopback)
    assert [address for address in (*exempt, *others) if is_exempt(address)] == exempt


def test_a_pace_can_change() -> None:
    clock = FakeTimers()
    rate_limit = AddressRateLimit(clock.monotonic, 2, 60.0)
    for _ in range(2):
        assert rate_limit.allows("192.0.2.1")
        rate_limit.spend("192.0.2.1")
    assert not rate_limit.allows("192.0.2.1")
    rate_limit.limit = 3
    assert rate_limit.allows("192.0.2.1")
