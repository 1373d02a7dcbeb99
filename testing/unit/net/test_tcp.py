"""net/tcp.py: what is asked of sockets."""

from __future__ import annotations

import resource
import socket
import sys
from typing import Any

import pytest

from net.tcp import (
    RESERVED_DESCRIPTORS,
    bytes_in_kernel,
    descriptor_ceiling,
    enable_keepalive,
    host_of,
    unacknowledged_for,
)  # fmt: skip


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


def test_what_the_system_does_not_tell_counts_as_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unacknowledged_for(one) == 0.0
    assert bytes_in_kernel(one) == 0
    assert unacknowledged_for(one) == 0.0


def test_a_system_without_acknowledgement_times_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offsets are those of Linux's structure: elsewhere they would tell nonsense."""
    monkeypatch.setattr(sys, "platform", "darwin")
    unasked: Any = object()
    assert unacknowledged_for(unasked) == 0.0


def test_keepalive_works_with_the_options_that_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        interval = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        monkeypatch.delattr(socket, "TCP_KEEPIDLE")
        enable_keepalive(sock, 60)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10 != interval


@pytest.mark.parametrize(
    ("soft", "ceiling"),
    [(RESERVED_DESCRIPTORS + 5, 5), (RESERVED_DESCRIPTORS - 1, 1), (resource.RLIM_INFINITY, 1 << 20)],
)
def test_how_many_connections_the_descriptors_allow(soft: int, ceiling: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, resource.RLIM_INFINITY))
    assert descriptor_ceiling() == ceiling
