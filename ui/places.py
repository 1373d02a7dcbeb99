"""Where the server may be: one port, or the ports and hosts of a primary and its backups."""

from __future__ import annotations

import argparse
import socket
import time
from collections.abc import Callable, Sequence

from ui.connection import Address, dial
from ui.options import LOCALHOST, parse_hosts, parse_ports

CLUSTER_PORTS = (6666, 6667, 6668)
"""What 6666 alone stands for."""

RETRY_SECONDS = 15.0
"""How long a server is looked for, at the start, and in a pipe after a loss."""

ROUND_PAUSE = 0.25
"""Seconds between two rounds through all places."""

DIAL_SECONDS = 2.0
"""Time-out for one of several places: a machine that is gone does not refuse."""


class Places:
    """The addresses at which a server may answer, and which of them answered last.

    Args:
        addresses: in the order in which they are tried; not empty.
        persistent: keep looking when nobody is found; otherwise the first failure is the end.
    """

    def __init__(self, addresses: Sequence[Address], persistent: bool = False) -> None:
        self._addresses = tuple(addresses)
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

    def dial(self) -> socket.socket:
        """Connect to the first place that accepts, which becomes the current one. Blocks.

        Raises:
            OSError: no place accepts; with several places this is the last one's error.
        """
        if not self.several:
            return dial(self.current)
        refusal = OSError()
        for address in (self.current, *self.others):
            try:
                sock = dial(address, DIAL_SECONDS)
            except OSError as error:
                refusal = error
            else:
                self.choose(address)
                return sock
        raise refusal

    def __str__(self) -> str:
        return ", ".join(map(str, self._addresses))


def places(hosts: Sequence[str], ports: Sequence[int], alone: bool = False, retry: bool = False) -> Places:
    """Return where to look.

    Args:
        hosts, ports: each port at each host, the first port of all hosts first.
        alone: nothing but the port was given; the first of CLUSTER_PORTS then stands for all of them.
        retry: keep looking also at a single place.
    """
    if alone and tuple(ports) == CLUSTER_PORTS[:1]:
        ports = CLUSTER_PORTS
    addresses = [Address(host, port) for port in ports for host in hosts]
    return Places(addresses, persistent=retry or len(addresses) > 1)


def places_of(options: argparse.Namespace) -> Places:
    """Return where the command line says that the server is."""
    hosts, ports = parse_hosts(options.host or LOCALHOST), parse_ports(options.port)
    return places(hosts, ports, options.alone, retry=options.retry is not None)


def find(
    where: Places,
    seconds: float = RETRY_SECONDS,
    searching: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> socket.socket:
    """Make the first connection; at persistent places try for so long. Blocks.

    Args:
        where: the places.
        seconds: how long they are tried.
        searching: called once, when nobody was found in the first round and another one follows.
        clock, sleep: those of `time`.

    Raises:
        OSError: nobody is found.
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
