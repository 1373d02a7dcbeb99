"""What the client reads and writes beside the network: the standard streams, as descriptors."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from net.descriptors import read_some
from text import Opening

STDIN, STDOUT = 0, 1

READ_SIZE = 65536
"""Bytes of input that are read at once. One such piece is on its way to the loop at a time."""


class TextInput:
    """Text from a descriptor, without what is no text at its start and with a newline at its end."""

    def __init__(self, descriptor: int) -> None:
        self.ended = False
        self._descriptor = descriptor
        self._opening = Opening()
        self._last = b"\n"

    def read(self) -> bytes:
        """Wait for a piece and give it; it may be empty before the end too."""
        try:
            chunk = read_some(self._descriptor, READ_SIZE)
        except OSError:  # a directory, or a lost terminal
            chunk = b""
        self.ended = not chunk
        if not self._opening.over:
            chunk = self._opening.rest(b"\n" if self.ended and self._opening.held else chunk)
        self._last = chunk[-1:] or self._last
        return chunk + b"\n" if self.ended and self._last != b"\n" else chunk


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


def print_error(text: str) -> int:
    """Say what is wrong, if anybody hears it; return the exit status for it."""
    if sys.stderr:
        with contextlib.suppress(OSError):
            print(f"client.py: {text}", file=sys.stderr, flush=True)
    return 1
