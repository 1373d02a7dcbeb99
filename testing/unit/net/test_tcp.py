"""net/tcp.py: what is asked of sockets."""

from __future__ import annotations

from typing import Any

import pytest

from net.tcp import host_of


@pytest.mark.parametrize(
    ("place", "host"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8::1", 5, 0, 0), "2001:db8::1"),
        ("", ""),
    ],
)
def test_the_host_of_a_socket_address(place: Any, host: str) -> None:
    assert host_of(place) == host
