"""The lines that were typed, in a file that lasts and that only its owner can read. Secrets are cut off before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from ui.streams import write_all

MAX_LINES = 1000
"""Lines that are brought back."""

MAX_BYTES = 1024 * 1024
"""Bytes of the file that are read: its last ones. When it is larger it is written anew."""


def default_path() -> str:
    """Return the path of the file: below XDG_STATE_HOME, as the XDG base directory specification has it."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "crosstalk", "history")


class HistoryFile:
    """The file. Where it cannot be read or written, the lines last as long as the client.

    Args:
        path: of the file; its directory is made if it is missing.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> Sequence[str]:
        """Return the last lines, the oldest first."""
        data = b""
        with contextlib.suppress(OSError), open(self._path, "rb", opener=_open_private) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_BYTES))
            data = file.read(MAX_BYTES)
            lines = data.decode(errors="replace").split("\n")[1 if size > MAX_BYTES else 0 : -1]
            if size > MAX_BYTES or len(lines) > 2 * MAX_LINES:
                self._rewrite(lines[-MAX_LINES:])
            return lines[-MAX_LINES:]
        return []

    def append(self, line: str) -> None:
        """Add a line. One of several lines, or that is empty, is not kept."""
        if not line or "\n" in line:
            return
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with open(self._path, "ab", opener=_open_private) as file:
                file.write(f"{line}\n".encode(errors="replace"))

    def _rewrite(self, lines: Sequence[str]) -> None:
        temporary = f"{self._path}.new"
        with open(temporary, "wb", opener=_open_private) as file:
            write_all(file.fileno(), "".join(f"{line}\n" for line in lines).encode())
        os.replace(temporary, self._path)


def _open_private(path: str, flags: int) -> int:
    """Open a file that is no symbolic link, and that only its owner can read."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # not every file system has modes
        os.fchmod(descriptor, 0o600)
    return descriptor
