"""IP addresses as text: with a port, loopback, and the network that counts as one client."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

NETWORK_BYTES = 8
"""Bytes of an IPv6 network prefix: a client usually controls a whole /64."""


def join_host_port(host: str, port: int) -> str:
    """Return a host and a port as one text, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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


def exemption(networks: Sequence[str], *, loopback: bool) -> Callable[[str], bool]:
    """Return a function that tells whether the limits of addresses do not hold for an address (C62).

    Args:
        networks: IP addresses and networks such as `192.0.2.0/24` for which they do not hold.
        loopback: whether they do not hold for loopback addresses.
    """
    if not networks:
        return is_loopback if loopback else lambda _address: False
    import ipaddress  # few servers need it

    exempt = [ipaddress.ip_network(network) for network in networks]

    def is_exempt(address: str) -> bool:
        if loopback and is_loopback(address):
            return True
        try:
            number = ipaddress.ip_address(address.partition("%")[0].partition("/")[0])
        except ValueError:  # no address, such as ""
            return False
        return any(number in network for network in exempt)

    return is_exempt
