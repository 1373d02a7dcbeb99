"""The standard streams, as descriptors."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from net.descriptors import read_some
from text import Opening

STDIN, STDOUT = 0, 1

READ_SIZE = 65536
"""Maximum bytes of one read. At most one such piece is on its way to the loop."""


class TextInput:
    """Text from a descriptor, without a byte order mark or telnet's negotiation, and with a newline at its end."""

    def __init__(self, descriptor: int) -> None:
        self.ended = False
        self._descriptor = descriptor
        self._opening = Opening()
        self._last = b"\n"

    def read(self) -> bytes:
        """Wait for a piece and return it. An empty piece need not be the end, see `ended`."""
        try:
            chunk = read_some(self._descriptor, READ_SIZE)
        except OSError:  # a directory, or a lost terminal
            chunk = b""
        self.ended = not chunk
        if not self._opening.over:
            chunk = self._opening.strip(b"\n" if self.ended and self._opening.held else chunk)
        self._last = chunk[-1:] or self._last
        return chunk + b"\n" if self.ended and self._last != b"\n" else chunk


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; blocks.

    Raises:
        OSError: it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another process that shares it has made it non-blocking
            select.select([], [descriptor], [])


def print_error(text: str) -> int:
    """Print an error on standard error, if that is open; return the exit status for it."""
    if sys.stderr:
        with contextlib.suppress(OSError):
            print(f"client.py: {text}", file=sys.stderr, flush=True)
    return 1
