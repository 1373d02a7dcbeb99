"""Lines as WebSocket frames, one a line (W7, W9)."""

from __future__ import annotations

from collections.abc import Iterator

from websockets.frames import Frame, Opcode


class Framing:
    """Makes frames of lines. A server's frames carry no mask, so that many clients can share them (W9).

    The last bytes are kept with their frames: a message is one bytes object, which goes to each client in a row.

    Args:
        opcode: of the frames.
    """

    def __init__(self, opcode: Opcode) -> None:
        self._opcode = opcode
        self._lines = self._frames = b""

    def __call__(self, lines: bytes) -> bytes:
        """Return the frames of some whole lines."""
        if lines is not self._lines:
            self._frames = b"".join(self._frame(line) for line in lines.removesuffix(b"\n").split(b"\n"))
            self._lines = lines
        return self._frames

    def stream(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Frame what a stream makes, whose chunks may end within a line."""
        begun = b""
        for chunk in chunks:
            whole, end, rest = chunk.rpartition(b"\n")
            if end:
                yield self(begun + whole + end)
                begun = b""
            begun += rest
        if begun:
            yield self(begun)

    def _frame(self, line: bytes) -> bytes:
        return Frame(self._opcode, line.removesuffix(b"\r")).serialize(mask=False)


TEXT = Framing(Opcode.TEXT)
BINARY = Framing(Opcode.BINARY)

SUBPROTOCOLS = {"text.ircv3.net": TEXT, "binary.ircv3.net": BINARY}
"""How each subprotocol frames lines. A client that asks for none of them gets text."""
