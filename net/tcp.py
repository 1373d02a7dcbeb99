"""Sockets as the operating system has them: addresses, options, counters, and the descriptor limit. No state."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

KEEPALIVE_PROBES = 3
"""Unanswered keepalive probes after which the kernel resets the connection."""

PROBE_SECONDS = 3
"""How long a machine that is probed may be silent (R50)."""

TCP_INFO_UNACKED, TCP_INFO_LAST_ACK = 24, 56
"""Offsets in Linux's struct tcp_info: packets in flight, and milliseconds since the last acknowledgement."""

RESERVED_DESCRIPTORS = 32
"""Descriptors that clients never use. They are for the database, late imports, the system's own, and connections
that are dialled while the number of clients is at its limit."""

TABLE_SIZE = 16_384
"""Places that the process' table of descriptors has from the start; the kernel takes 8 bytes for each."""


def resolve(host: str, port: int, *, numeric: bool = False) -> list[tuple[int, Any]]:
    """Look a host up: the family and the socket address of each of its addresses. Blocks, unless `numeric`.

    Args:
        host: a name or an IP address; with `numeric`, an IP address only.
        port: for the socket addresses.

    Raises:
        OSError: the host is unknown.
        ValueError: not a valid host name.
    """
    found = socket.getaddrinfo(
        host.encode("ascii") if numeric else host,  # bytes: the IDNA codec is not loaded
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_NUMERICHOST if numeric else 0,
    )
    return [(family, address) for family, _type, _protocol, _name, address in found]


def is_self_connection(sock: socket.socket) -> bool:
    """Tell whether a socket has connected to itself: no listener had the port, and the kernel chose it as source."""
    return bool(sock.getsockname() == sock.getpeername())


def address_of(name: Callable[[], Any]) -> tuple[str, int]:
    """Return the IP address and port that a socket's getsockname or getpeername returns; "" and 0 if it fails."""
    try:
        host, port = name()[:2]
    except (OSError, ValueError):  # gone already, or not a TCP socket
        return "", 0
    return _unmapped(host), port


def host_of(address: Any) -> str:
    """Return the IP address of a socket address; "" if it has none."""
    return _unmapped(address[0]) if isinstance(address, tuple) else ""


def _unmapped(host: str) -> str:
    """Return an IPv4-mapped IPv6 address as the IPv4 address."""
    return host.removeprefix("::ffff:")


def enable_keepalive(sock: socket.socket, seconds: int) -> None:
    """Turn TCP keepalive on, so that the kernel detects a vanished machine.

    Probes are sent only while nothing else is in flight; `Connection.check_for_silence` covers the rest. (The user
    time-out of RFC 5482 is no alternative: Linux applies it also to a live peer that does not read.)

    Args:
        sock: a TCP socket.
        seconds: the machine may be silent for about this long.
    """
    interval = max(1, seconds // (2 * KEEPALIVE_PROBES))
    _set_keepalive(sock, max(1, seconds - KEEPALIVE_PROBES * interval), interval)


def probe_keepalive(sock: socket.socket) -> None:
    """Send probes now, a second apart: after PROBE_SECONDS without an answer the kernel resets the connection."""
    _set_keepalive(sock, 1, PROBE_SECONDS // KEEPALIVE_PROBES)


def disable_keepalive(sock: socket.socket) -> None:
    """Turn TCP keepalive off."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)


def _set_keepalive(sock: socket.socket, idle: int, interval: int) -> None:
    options = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
    }
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in options.items():
        if hasattr(socket, option):  # some systems lack some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def bytes_in_kernel(sock: socket.socket) -> int:
    """Bytes in the kernel's send queue that the peer has not acknowledged; 0 where the system does not tell."""
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # closed already, or the system does not tell
        return 0


def unacknowledged_for(sock: socket.socket) -> float:
    """Seconds since the last acknowledgement while data is in flight; 0 if none is, or the system does not tell.

    A live peer that does not read acknowledges window probes, so it is not silent.
    """
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


def reserve_descriptor_table() -> None:
    """Have the kernel make room for TABLE_SIZE descriptors now, before the process has threads.

    A full table is doubled. In a process with threads Linux waits for its readers then, which took up to 20 ms in the
    middle of an `accept`.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = TABLE_SIZE - 1 if soft == resource.RLIM_INFINITY else min(TABLE_SIZE, soft) - 1
    with contextlib.suppress(OSError), open(os.devnull, "rb") as file:
        os.close(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, last))


def descriptor_ceiling() -> int:
    """How many connections the soft descriptor limit allows, at least one."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    return max(1, soft - RESERVED_DESCRIPTORS)
