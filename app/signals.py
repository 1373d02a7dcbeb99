"""What signals do: they stop the server, once and cleanly, and have its counters written.

A handler may run between any two steps of the main thread, so it only notes what is to be done in a turn of the loop.
The one thing that it does itself is to end the process at once, since a loop that hangs would never do so.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

ONE_SIGNAL_SECONDS = 0.5
"""Signals that come so soon after the first are one with it: `timeout` sends two, and a shell that loses its terminal
adds its own SIGHUP to the kernel's."""

log = logging.getLogger("crosstalk.signals")


class Signals:
    """The handlers of a server's signals. Main thread only.

    Args:
        hand_in: runs a call in the loop's thread (net.loop.Loop.call_threadsafe).
        stop: lets the server end; may be called again.
        report: writes the counters.
        hangup: `end` for a SIGHUP that stops the server, `reload` for one that does not.
        now: the monotonic clock, in seconds.
        exit_now: ends the process with a status, without a word.
    """

    def __init__(
        self,
        hand_in: Callable[[Callable[[], None]], None],
        stop: Callable[[], None],
        report: Callable[[], None],
        hangup: str,
        *,
        now: Callable[[], float] = time.monotonic,
        exit_now: Callable[[int], Any] = os._exit,
    ) -> None:
        self._hand_in = hand_in
        self._stop = stop
        self._now = now
        self._exit_now = exit_now
        self._stopped_at: float | None = None
        self._calls: Mapping[int, Callable[[], None]] = {
            signal.SIGTERM: self._end,
            signal.SIGINT: self._end,
            signal.SIGHUP: self._begin_to_end if hangup == "end" else lambda: self._unless_ending(_reload_nothing),
            signal.SIGUSR1: lambda: self._unless_ending(report),
        }

    def install(self) -> None:
        """Take the signals from now on, but no SIGHUP that whoever started us has had ignored (`nohup`)."""
        for signum in self._calls:
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self.handle)

    def ignore(self) -> None:
        """The server has ended: no signal changes the exit status any more, also while the interpreter ends."""
        for signum in self._calls:
            signal.signal(signum, signal.SIG_IGN)

    def handle(self, signum: int, _frame: object = None) -> None:
        """Do what a signal says: the first that stops the server stops it, a later SIGTERM or SIGINT ends the process,
        and nothing else is heeded meanwhile."""
        self._calls[signum]()

    def _end(self) -> None:
        if self._stopped_at is not None and self._now() - self._stopped_at > ONE_SIGNAL_SECONDS:
            self._exit_now(1)
        else:
            self._begin_to_end()

    def _begin_to_end(self) -> None:
        if self._stopped_at is None:
            self._stopped_at = self._now()
            self._hand_in(self._stop)

    def _unless_ending(self, call: Callable[[], None]) -> None:
        if self._stopped_at is None:
            self._hand_in(call)


def _reload_nothing() -> None:
    log.info("SIGHUP: there is nothing to reload yet (hangup reload)")
