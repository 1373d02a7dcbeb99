"""What the loop asks of the operating system: addresses, options and limits of sockets. No state, nothing of chat."""

from __future__ import annotations

import contextlib
import fcntl
import resource
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

KEEPALIVE_PROBES = 3
"""Probes without an answer after which the kernel gives a silent peer up."""

TCP_INFO_UNACKED, TCP_INFO_LAST_ACK = 24, 56
"""Where Linux's struct tcp_info has the packets in flight, and the milliseconds since the last acknowledgement."""

RESERVED_DESCRIPTORS = 32
"""Kept free of clients for the database, libraries that are loaded late, connections that we dial while there are as
many clients as may be, and whatever the operating system needs."""


def find_places(host: str, port: int, *, numeric: bool = False) -> list[tuple[int, Any]]:
    """Find where a host is: the family and the socket address of each of its addresses. Blocks, unless `numeric`.

    Args:
        host: a name or an IP address; with `numeric`, an IP address only.
        port: for the socket addresses.

    Raises:
        OSError: it is not found.
        ValueError: it cannot be a host.
    """
    found = socket.getaddrinfo(
        host.encode("ascii") if numeric else host,  # what is bytes needs no tables of the world's letters
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_NUMERICHOST if numeric else 0,
    )
    return [(family, place) for family, _type, _protocol, _name, place in found]


def calls_itself(sock: socket.socket) -> bool:
    """Tell whether nobody listens where a socket has called, and the kernel gave it that very port to call from."""
    return bool(sock.getsockname() == sock.getpeername())


def place_of(name: Callable[[], Any]) -> tuple[str, int]:
    """Give the IP address and port that a socket's getsockname or getpeername tells; "" and 0 where it does not."""
    try:
        host, port = name()[:2]
    except (OSError, ValueError):  # gone already, or not a TCP socket
        return "", 0
    return _unmapped(host), port


def host_of(place: Any) -> str:
    """Give the IP address of a socket address; "" where it has none."""
    return _unmapped(place[0]) if isinstance(place, tuple) else ""


def _unmapped(host: str) -> str:
    """Give an IPv4 address that an IPv6 socket shows as one of its own as what it is."""
    return host.removeprefix("::ffff:")


def keep_alive(sock: socket.socket, seconds: int) -> None:
    """Have the kernel find out that the other machine has vanished, when it has been silent for about so long.

    The probes are for a peer to which nothing is being sent; see `Connection.check_for_silence` for the others. (The
    user timeout of RFC 5482 will not do: Linux applies it to a peer, too, that is there and does not read.)
    """
    interval = max(1, seconds // (2 * KEEPALIVE_PROBES))
    options = {
        "TCP_KEEPIDLE": max(1, seconds - KEEPALIVE_PROBES * interval),
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
    }
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in options.items():
        if hasattr(socket, option):  # some systems lack some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def bytes_in_kernel(sock: socket.socket) -> int:
    """Bytes that the kernel has taken and the peer has not; 0 where the system does not tell."""
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # closed already, or the system does not tell
        return 0


def unacknowledged_for(sock: socket.socket) -> float:
    """Seconds since the peer's machine has acknowledged anything, if something is on its way to it; else, or where the
    system does not tell, 0. A peer that does not read acknowledges the probes that ask whether it does."""
    if not sys.platform.startswith("linux"):
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_LAST_ACK + 4)
    except OSError:  # not a TCP socket
        return 0.0
    (in_flight,) = struct.unpack_from("=I", info, TCP_INFO_UNACKED)
    (milliseconds,) = struct.unpack_from("=I", info, TCP_INFO_LAST_ACK)
    return milliseconds / 1000 if in_flight else 0.0


def raise_descriptor_limit() -> None:
    """Lift the soft limit of open descriptors to the hard one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse their own "infinity"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_ceiling() -> int:
    """Connections that the soft descriptor limit leaves room for, at least one."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    return max(1, soft - RESERVED_DESCRIPTORS)
