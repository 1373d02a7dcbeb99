"""The modes of the terminal, and its process group."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial

from ui.streams import STDIN


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
