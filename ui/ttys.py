"""The modes of the terminal, its process group, and its events."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ui.streams import STDIN

if TYPE_CHECKING:
    import asyncio

HUNG_UP = 128 + signal.SIGHUP
"""The exit status when the terminal is gone."""


def in_background() -> bool:
    """Tell whether another process group uses the terminal."""
    try:
        return os.tcgetpgrp(STDIN) != os.getpgrp()
    except OSError:  # not our controlling terminal
        return False


def drop_typed_ahead() -> None:
    """Drop what was typed and not read yet: a password would be left to the shell, which shows it."""
    import termios

    with contextlib.suppress(termios.error):  # the terminal is gone
        termios.tcflush(STDIN, termios.TCIFLUSH)


def handle_terminal_events(
    main_loop: asyncio.AbstractEventLoop, end: Callable[[int], None], continued: Callable[[], None]
) -> None:
    """Have a loop handle the end of the terminal, signals, and a stop of the program. Ignored signals stay ignored.

    Args:
        main_loop: of the main thread.
        end: called with the exit status.
        continued: called when the program continues in the foreground after a stop.
    """

    def go_on() -> None:
        if not in_background():
            continued()

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if os.isatty(STDIN):
            loop.default_exception_handler(context)
        else:  # a call of the loop has failed because the terminal is gone
            end(HUNG_UP)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is signal.SIG_DFL:
            main_loop.add_signal_handler(signum, end, 128 + signum)
    main_loop.add_signal_handler(signal.SIGCONT, go_on)
    main_loop.set_exception_handler(failed)


@contextlib.contextmanager
def without_echo() -> Iterator[None]:
    """Turn echo of the terminal off while the context lasts: what is typed ahead may be a password."""
    import termios

    before = termios.tcgetattr(STDIN)
    quiet = list(before)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(STDIN, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


@contextlib.contextmanager
def raw_terminal() -> Iterator[Callable[[], None]]:
    """Turn echo and line editing of the terminal off while the context lasts; return a function that does so again.

    The line editor does so too, but only while it runs: before and between, a password would be echoed and a Ctrl-D
    lost.
    """
    import termios

    before = termios.tcgetattr(STDIN)
    raw = list(before)
    raw[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    make_raw = partial(termios.tcsetattr, STDIN, termios.TCSANOW, raw)
    make_raw()
    try:
        yield make_raw
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
