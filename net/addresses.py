"""IP addresses as text: loopback, and the network that counts as one client."""

from __future__ import annotations

import socket

NETWORK_BYTES = 8
"""Bytes of an IPv6 network prefix: a client usually controls a whole /64."""


def is_loopback(address: str) -> bool:
    """Tell whether an address is loopback, which is exempt from rate limits and shares.

    Args:
        address: an IPv4 or IPv6 address as `remote_address` gives it, so not an IPv4-mapped one; "" if there is none.
    """
    return address == "::1" or address.startswith("127.")


def network_of(address: str) -> str:
    """Return the key under which limits count an address: the /64 of an IPv6 address, any other address itself.

    Args:
        address: as for `is_loopback`; loopback and "" stay as they are.
    """
    if ":" not in address or is_loopback(address):
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET6, packed[:NETWORK_BYTES].ljust(len(packed), b"\0")) + "/64"
