"""Draws the picture of the client in the README: `make picture` plays a chat and writes docs/client.svg.

Three people meet at a server of their own: two with netcat, and one with the client on a terminal, whose screen is
drawn. Times and the port are written as in the README, so that each run draws the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from harness.peer import Peer
from harness.processes import ROOT
from harness.servers import ServerProcess

PICTURE = ROOT / "docs" / "client.svg"
ROWS, COLUMNS = 22, 80
LEFT_OUT = ("NO_COLOR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "CROSSTALK_PASSWORD", "COLORTERM")
"""Variables that would make the picture another one."""

SECONDS = 30.0
"""Time-out of each event."""

# ---- the chat ----


class Client:
    """The client on a terminal of its own, with the screen that a person sees."""

    def __init__(self, port: int, home: str) -> None:
        pyte: Any = importlib.import_module("pyte")
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._descriptor, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        self._process = subprocess.Popen(
            [sys.executable, ROOT / "client.py", str(port)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env={**environment, "TERM": "xterm", "HOME": home},
        )
        os.close(terminal)

    def type(self, line: str, answer: str) -> None:
        """Type a line, and wait until the answer is on the screen."""
        os.write(self._descriptor, f"{line}\r".encode())
        self.sees(answer)

    def sees(self, wanted: str) -> None:
        """Wait until a text is on the screen."""
        until = time.monotonic() + SECONDS
        while not any(wanted in row for row in self.screen.display):
            if not select.select([self._descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"no {wanted!r} on the screen")
            self._stream.feed(os.read(self._descriptor, 65536))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._descriptor)


def play() -> list[list[Cell]]:
    """Play the chat; return the rows of the screen at its end."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(contextlib.closing(ServerProcess(Path(home), "database :memory:")))
        ann = stack.enter_context(contextlib.closing(server.peer()))
        ann.send("REGISTER ann secret", "LOGIN ann secret")
        ann.send("CREATE garden", "JOIN garden", "CREATE attic", "JOIN attic")
        ann.expect("RESULT JOIN attic 1\n")
        bob = stack.enter_context(contextlib.closing(Client(server.port, home)))
        bob.sees("Ctrl-D ends.")
        bob.type("/register bob hush", "You are registered")
        bob.type("/login bob hush", "You are in no channel yet")
        bob.type("/join attic", "You are in attic.")
        bob.type("/join garden", "You are in garden.")
        bob.type("shall we meet at six?", "[garden] bob: shall we meet at six?")
        _chat(ann, server.peer(), bob, stack)
        return cells(bob.screen, str(server.port))


def _chat(ann: Peer, zoe: Peer, bob: Client, stack: contextlib.ExitStack) -> None:
    stack.enter_context(contextlib.closing(zoe))
    ann.send("SAY garden I bring the tea", "SAY attic who has the ladder?", "SAY garden bob: and you the cake")
    bob.sees("[garden] ann: bob: and you the cake")
    zoe.send("HELLO-FROM zoe", "SEND bob room for one more?")
    bob.sees("[@zoe] zoe: room for one more?")
    bob.type("@zoe always", "[@zoe] bob: always")
    bob.type("/me bakes", "[garden] * bob bakes")
    bob.sees("garden: ann, bob | 1:attic 1 | bob connected")


# ---- the drawing ----


class Cell(NamedTuple):
    """A character of a screen with its style."""

    character: str
    colour: str
    bold: bool
    reverse: bool


COLOURS = {
    "default": "#d8dee9", "black": "#2e3440", "red": "#bf616a", "green": "#a3be8c", "brown": "#ebcb8b",
    "blue": "#81a1c1", "magenta": "#b48ead", "cyan": "#88c0d0", "white": "#e5e9f0", "brightblack": "#7b88a1",
}  # fmt: skip
BACKGROUND = "#2e3440"
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 12


def cells(screen: Any, port: str) -> list[list[Cell]]:
    """Return the rows of a screen, with times and port as in the README."""
    rows = []
    for number, text in enumerate(screen.display):
        written = re.sub(r"^\d\d:\d\d ", "17:20 ", text).replace(f":{port}.", f":{'5050':<{len(port)}}".rstrip() + ".")
        styles = [screen.buffer[number][column] for column in range(COLUMNS)]
        rows.append(
            [
                Cell(character, style.fg, style.bold, style.reverse)
                for character, style in zip(written.ljust(COLUMNS), styles, strict=False)
            ]
        )
    return rows


def runs(row: list[Cell]) -> Iterator[tuple[int, str, Cell]]:
    """Return the runs of a row in one style: column, text, style."""
    start = 0
    for column in range(1, len(row) + 1):
        if column == len(row) or row[column][1:] != row[start][1:]:
            yield start, "".join(cell.character for cell in row[start:column]), row[start]
            start = column


def draw(rows: list[list[Cell]]) -> str:
    """Return the picture of a screen, as SVG."""
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, len(rows) * CELL_HEIGHT + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-size="14"'
        ' font-family="ui-monospace, Menlo, Consolas, monospace">',
        "<title>The client on a terminal</title>",
        f'<rect width="100%" height="100%" rx="6" fill="{BACKGROUND}"/>',
    ]
    for number, row in enumerate(rows):
        for column, text, style in runs(row):
            lines += _run(number, column, text, style)
    return "\n".join([*lines, "</svg>", ""])


def _run(number: int, column: int, text: str, style: Cell) -> Iterator[str]:
    if not (text.strip() or style.reverse):
        return
    x, y = MARGIN + column * CELL_WIDTH, MARGIN + number * CELL_HEIGHT
    colour = COLOURS.get(style.colour, COLOURS["default"])
    weight = ' font-weight="bold"' if style.bold else ""
    columns = len(text) * CELL_WIDTH
    if style.reverse:
        yield f'<rect x="{x:.1f}" y="{y}" width="{columns:.1f}" height="{CELL_HEIGHT}" fill="{colour}"/>'
    yield (
        f'<text x="{x:.1f}" y="{y + 13}" textLength="{columns:.1f}" xml:space="preserve"'
        f' fill="{BACKGROUND if style.reverse else colour}"{weight}>{escape(text)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(play()), encoding="utf-8")
    print(f"written: {PICTURE.relative_to(ROOT)}")
