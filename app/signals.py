"""Handlers of signals: these stop the server, once and cleanly, or write its counters to the log.

A handler may run between any two bytecodes of the main thread, so it only schedules a call in the loop. The one thing
that it does itself is to end the process at once, since a loop that hangs would never do so.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

ONE_SIGNAL_SECONDS = 0.5
"""Signals that follow the first so soon count as one with it: `timeout` sends two, and a shell that loses its terminal
adds its own SIGHUP to the kernel's."""

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

log = logging.getLogger("crosstalk.signals")


class Signals:
    """The handlers of a server's signals. Main thread only.

    Args:
        call_threadsafe: has a call made in the loop's thread (net.loop.Loop.call_threadsafe).
        stop: stops the server; idempotent.
        report: writes the counters to the log.
        reload: reads again what can change.
        hangup: `end` if SIGHUP stops the server, `reload` if it reloads.
        now: the monotonic clock, in seconds.
        exit_now: ends the process at once, with this exit status.
    """

    def __init__(
        self,
        call_threadsafe: Callable[[Callable[[], None]], None],
        stop: Callable[[], None],
        report: Callable[[], None],
        reload: Callable[[], None],
        hangup: str,
        *,
        now: Callable[[], float] = time.monotonic,
        exit_now: Callable[[int], Any] = os._exit,
    ) -> None:
        self._call_threadsafe = call_threadsafe
        self._stop = stop
        self._now = now
        self._exit_now = exit_now
        self._stopped_at: float | None = None
        self._calls: Mapping[int, Callable[[], None]] = {
            signal.SIGTERM: self._stop_or_exit,
            signal.SIGINT: self._stop_or_exit,
            signal.SIGHUP: self._stop_once if hangup == "end" else lambda: self._unless_stopping(reload),
            signal.SIGUSR1: lambda: self._unless_stopping(report),
        }

    @property
    def stopping(self) -> bool:
        """Whether a signal has come that stops the server."""
        return self._stopped_at is not None

    def install(self) -> None:
        """Install the handlers; a SIGHUP that is ignored already (`nohup`) stays so. Let in what `hold_back` kept."""
        for signum in self._calls:
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self.handle)

        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._calls)

    def ignore(self) -> None:
        """Ignore the signals: the server has ended, and none may change the exit status while the interpreter ends."""
        for signum in self._calls:
            signal.signal(signum, signal.SIG_IGN)

    def handle(self, signum: int, _frame: object = None) -> None:
        """Handle a signal. The first that stops the server does so once; a later SIGTERM or SIGINT ends the process.

        While the server stops, all others are ignored.
        """
        self._calls[signum]()

    def _stop_or_exit(self) -> None:
        if self._stopped_at is not None and self._now() - self._stopped_at > ONE_SIGNAL_SECONDS:
            self._exit_now(1)
        else:
            self._stop_once()

    def _stop_once(self) -> None:
        if self._stopped_at is None:
            self._stopped_at = self._now()
            self._call_threadsafe(self._stop)

    def _unless_stopping(self, call: Callable[[], None]) -> None:
        if self._stopped_at is None:
            self._call_threadsafe(call)


def hold_back() -> None:
    """Keep signals waiting while the program begins again, until its handlers are installed."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def stops_within(seconds: float) -> bool:
    """Wait for a signal that `hold_back` keeps; tell whether one has come that stops the server."""
    came = signal.sigtimedwait(HANDLED, seconds)
    return came is not None and came.si_signo != signal.SIGUSR1
