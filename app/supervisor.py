"""Notifications to a service manager: the protocol of sd_notify(3), which systemd and others speak.

Each message is one datagram to the socket that NOTIFY_SOCKET names. Without that variable nothing is sent. The watchdog
is fed by the loop itself, so the manager notices a loop that hangs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

log = logging.getLogger("crosstalk.server")


class Timers(Protocol):
    """Timers; `net.loop.Loop` implements them."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> object: ...


class Supervisor:
    """The service manager.

    Args:
        environment: of the process: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
        timers: of the loop that is watched.
    """

    def __init__(self, environment: Mapping[str, str], timers: Timers) -> None:
        self._address = _address_of(environment.get("NOTIFY_SOCKET", ""))
        self._interval = _watchdog_seconds(environment) / 2
        self._timers = timers

    def ready(self) -> None:
        """The server has started; from now on the watchdog is fed."""
        self._send("READY=1")
        if self._interval:
            self._feed()

    def status(self, text: str) -> None:
        """Tell in one line what the server does."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog while the loop does not turn, for a reason."""
        if self._interval:
            self._send("WATCHDOG=1")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell that settings are reloaded, and when that is done."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            yield
        finally:
            self._send("READY=1")

    def stopping(self) -> None:
        """The server stops."""
        self._send("STOPPING=1")

    def _feed(self) -> None:
        self.alive()
        self._timers.call_later(self._interval, self._feed)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(message.encode(), self._address)
        except OSError as error:
            log.warning("cannot tell the service manager: %s", error.strerror or error)


def _address_of(name: str) -> str:
    """Return the address of a socket that is named by its path, or with an `@` by its abstract name; "" for others."""
    if name.startswith("@"):
        return f"\0{name[1:]}"
    return name if name.startswith("/") else ""


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Return how long the manager waits for a sign of life; 0 if it does not, or waits for another process."""
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or process not in ("", str(os.getpid())):
        return 0.0
    return int(microseconds) / 1e6
