"""IP addresses as text: which are of this machine, and which belong to one client."""

from __future__ import annotations

import socket

NETWORK_BYTES = 8
"""Bytes of an IPv6 address that name a network: whoever has one address of a /64 has them all."""


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own, which paces and shares spare.

    Args:
        address: an IPv4 or IPv6 address, an IPv4 one not mapped into IPv6, as `remote_place` gives it; "" is none.
    """
    return address == "::1" or address.startswith("127.")


def network_of(address: str) -> str:
    """Give what limits for an address are kept for: the /64 of an IPv6 address, any other address itself.

    Args:
        address: as for `is_loopback`; that of a loopback stays as it is, and so does "".
    """
    if ":" not in address or is_loopback(address):
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET6, packed[:NETWORK_BYTES].ljust(len(packed), b"\0")) + "/64"
