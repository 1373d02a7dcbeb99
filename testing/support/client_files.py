"""The client's side of files that pass, without a server."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from text import shown_path
from ui.options import MAX_RECEIVED
from ui.transfers import FileTransfers


class Side:
    """File transfers and the lines that they have sent."""

    def __init__(self, *, ask_first: bool = False, max_bytes: int = MAX_RECEIVED) -> None:
        self.sent: list[str] = []
        self.transfers = FileTransfers(self.sent.append, ask_first=ask_first, max_bytes=max_bytes)

    def offer(self, user: str, path: str) -> str:
        return self.transfers.offer(f"/send {user} {shown_path(path)}", path)

    def hear(self, *lines: str) -> list[str]:
        """Have it take lines; return its notes."""
        notes = []
        for line in lines:
            note = self.transfers.handle_line(line)
            assert note is not None, line
            notes += [note] if note else []
        return notes

    def took(self) -> list[str]:
        """What it has sent since the last time."""
        sent, self.sent[:] = self.sent[:], []
        return sent


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def offered(side: Side, here: Path, data: bytes = b"12345", piece: int = 2) -> Path:
    """Have a file offered to bob and accepted; it has the number 1."""
    path = here / "a.txt"
    path.write_bytes(data)
    assert side.offer("bob", "a.txt") == f"/send bob a.txt {len(data)}"
    assert side.hear(f"/sending 1 {piece} bob a.txt") == []
    return path
