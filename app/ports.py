"""The ports of a server: where it listens, and why the operating system refuses one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

from app.node import StartError
from net import listener


class Endpoint(NamedTuple):
    """The address of one listener, the dialect of its connections, and whether they use TLS.

    `ipv6_only`: `::` does not accept IPv4.
    """

    address: str
    port: int
    dialect: str
    ipv6_only: bool
    tls: bool = False


def bound_socket(address: str | None, port: int, *, listening: bool) -> socket.socket:
    """Bind a socket to an address and a port, see `net.listener.bound_socket`.

    Raises:
        StartError: the operating system refuses it.
    """
    with usable(address, port):
        return listener.bound_socket(address, port, listening=listening)


def open_port(sock: socket.socket) -> None:
    """Listen on a reserved port.

    Raises:
        StartError: another program has taken it meanwhile.
    """
    with usable(*sock.getsockname()[:2]):
        listener.listen(sock)


@contextlib.contextmanager
def usable(address: str | None, port: int) -> Iterator[None]:
    """Say which address and port the operating system refuses.

    Raises:
        StartError: it does.
    """
    try:
        yield
    except OSError as error:
        endpoint, reason = f"{address or '*'}:{port}", os.strerror(error.errno or 0)
        choice = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "address"
        raise StartError(f"cannot listen on {endpoint}: {reason}; choose another {choice}") from error
