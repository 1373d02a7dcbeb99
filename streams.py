"""What the client reads and writes beside the network: the standard streams, as descriptors."""

from __future__ import annotations

import contextlib
import os
import select
import sys

STDIN, STDOUT = 0, 1

READ_SIZE = 65536
"""Bytes of input that are read at once. One such piece is on its way to the loop at a time."""


def read_some(descriptor: int) -> bytes:
    """Read what is there; nothing at the end, or where nothing can be read (a directory, a lost terminal)."""
    while True:
        try:
            return os.read(descriptor, READ_SIZE)
        except BlockingIOError:  # somebody else reads here too, and has made it non-blocking
            select.select([descriptor], [], [])
        except OSError:
            return b""


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, however long it takes.

    Raises:
        OSError: it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # shared with somebody who has made it non-blocking
            select.select([], [descriptor], [])


def complain(text: str) -> int:
    """Say what is wrong, if anybody hears it; return the exit status for it."""
    if sys.stderr:
        with contextlib.suppress(OSError):
            print(f"client.py: {text}", file=sys.stderr, flush=True)
    return 1
