"""Reading from descriptors that are shared with other programs, as standard input is."""

from __future__ import annotations

import os
import select


def read_some(descriptor: int, size: int) -> bytes:
    """Wait until something can be read; return it, at most `size` bytes; empty at the end of the input.

    Raises:
        OSError: nothing can be read: a directory, a lost terminal, a terminal in whose background the program is.
    """
    while True:
        try:
            return os.read(descriptor, size)
        except BlockingIOError:  # another program that shares it has made it non-blocking
            select.select([descriptor], [], [])
