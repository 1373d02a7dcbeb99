"""Where the server may be: one port, or the ports and hosts of a primary and its backups."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Sequence

from net.watched import AnySocket
from ui.connection import CONNECT_SECONDS, Address, Securing, dial, plain
from ui.options import LOCALHOST, parse_hosts, parse_ports

CLUSTER_PORTS = (6666, 6667, 6668)
"""What 6666 alone stands for."""

RETRY_SECONDS = 15.0
"""How long a server is looked for, at the start, and in a pipe after a loss."""

ROUND_PAUSE = 0.25
"""Seconds between two rounds through all places."""

PROBE_SECONDS = 1.5
"""Time-out for the answer to a probe."""

DIAL_SECONDS = 2.0
"""Time-out for one of several places: a machine that is gone does not refuse."""


class Places:
    """The addresses at which a server may answer, and which of them answered last.

    Args:
        addresses: in the order in which they are tried; not empty.
        persistent: keep looking when no server is found; otherwise the first failure is the end.
        secure: is given each connection.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        persistent: bool = False,
        secure: Securing = plain,
    ) -> None:
        self._addresses = tuple(addresses)
        self._secure = secure
        self._at = 0
        self.persistent = persistent

    @property
    def several(self) -> bool:
        return len(self._addresses) > 1

    @property
    def current(self) -> Address:
        """The place that answered last, or that is tried next."""
        return self._addresses[self._at]

    @property
    def others(self) -> Sequence[Address]:
        """All but the current one, in the order in which they are tried."""
        return (*self._addresses[self._at + 1 :], *self._addresses[: self._at])

    def choose(self, address: Address) -> None:
        """This one has answered."""
        self._at = self._addresses.index(address)

    def leave(self) -> None:
        """The connection to the current place is lost: the next one is tried first."""
        self._at = (self._at + 1) % len(self._addresses)

    def dial(self) -> AnySocket:
        """Connect to the first place that accepts, which becomes the current one. Blocks.

        Raises:
            OSError: no place accepts; with several places this is the last one's error.
        """
        if not self.several:
            return dial(self.current, CONNECT_SECONDS, self._secure)
        refusal = OSError()
        for address in (self.current, *self.others):
            try:
                sock = dial(address, DIAL_SECONDS, self._secure)
            except OSError as error:
                refusal = error
            else:
                self.choose(address)
                return sock
        raise refusal

    def answers(self, address: Address, probe: bytes) -> bool:
        """Tell whether a server accepts and answers at one of the places. Blocks for a few seconds at most."""
        try:
            with contextlib.closing(dial(address, DIAL_SECONDS, self._secure)) as sock:
                sock.settimeout(PROBE_SECONDS)
                sock.send(probe)
                return bool(sock.recv(1))
        except OSError:
            return False

    def __str__(self) -> str:
        return ", ".join(map(str, self._addresses))


def places(
    hosts: Sequence[str],
    ports: Sequence[int],
    alone: bool = False,
    retry: bool = False,
    secure: Securing = plain,
) -> Places:
    """Return where to look.

    Args:
        hosts, ports: each port at each host, the first port of all hosts first.
        alone: nothing but the port was given; the first of CLUSTER_PORTS then stands for all of them.
        retry: keep looking also at a single place.
        secure: as for `Places`.
    """
    if alone and tuple(ports) == CLUSTER_PORTS[:1]:
        ports = CLUSTER_PORTS
    addresses = [Address(host, port) for port in ports for host in hosts]
    return Places(addresses, retry or len(addresses) > 1, secure)


def places_of(options: argparse.Namespace) -> Places:
    """Return where the command line says that the server is. Exits when its file of certificates cannot be used."""
    hosts, ports = parse_hosts(options.host or LOCALHOST), parse_ports(options.port)
    secure = _with_tls(options) if options.tls else plain
    return places(hosts, ports, options.alone, retry=options.retry is not None, secure=secure)


def _with_tls(options: argparse.Namespace) -> Securing:
    from net.tls import CertificateError, client_context, connect  # takes a while to load

    try:
        context = client_context(os.path.expanduser(options.ca) if options.ca else None)
    except CertificateError as error:
        options.refuse(f"--ca: {error}")
    return lambda sock, host: connect(sock, context, host)


def find(
    where: Places,
    seconds: float = RETRY_SECONDS,
    searching: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> AnySocket:
    """Make the first connection; where the addresses are persistent, try for `seconds`. Blocks.

    Args:
        where: the addresses.
        seconds: how long they are tried.
        searching: called once, when no server was found in the first round and another one follows.
        clock, sleep: those of `time`.

    Raises:
        OSError: no server is found.
    """
    until = clock() + seconds
    first_round = True
    while True:
        try:
            return where.dial()
        except OSError:
            if not where.persistent or clock() + ROUND_PAUSE > until:
                raise
            if first_round:
                searching()
            first_round = False
            sleep(ROUND_PAUSE)
