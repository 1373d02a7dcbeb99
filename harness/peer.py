"""A blocking client, which reads lines, and waits for nothing without a deadline."""

from __future__ import annotations

import socket
import time

from harness.text import LOOPBACK

PATIENCE = 60.0
"""Time-out in seconds for what must come soon, even on a loaded machine."""


class Peer:
    """A connection to a port, or one that has been accepted. All received bytes are kept, with a read position.

    Args:
        endpoint: a port, or a socket that is connected.
        host: of the port.
        source: the address to connect from.
        seconds: time-out of a wait, unless the call gives a deadline.

    Raises:
        OSError: the port does not accept.
    """

    def __init__(
        self,
        endpoint: int | socket.socket,
        host: str = LOOPBACK,
        *,
        source: str | None = None,
        seconds: float = PATIENCE,
    ) -> None:
        if isinstance(endpoint, int):
            endpoint = socket.create_connection((host, endpoint), seconds, (source, 0) if source else None)
        if endpoint.family != socket.AF_UNIX:
            endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = endpoint
        self._seconds = seconds
        self._received = bytearray()
        self._position = 0
        self._searched = 0  # there is no newline between the position and here

    # ---- bytes ----

    def send_bytes(self, data: bytes, until: float | None = None) -> None:
        """Send all of it. Raises OSError, TimeoutError among them."""
        left = memoryview(data)
        while left:
            self._set_deadline(until)
            left = left[self.socket.send(left) :]

    def receive(self, until: float | None = None) -> bool:
        """Receive once; return False when the other side has closed or reset. Raises TimeoutError."""
        self._set_deadline(until)
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)

    @property
    def unread(self) -> bytes:
        """The received bytes that have not been read."""
        return bytes(self._received[self._position :])

    @property
    def unread_size(self) -> int:
        return len(self._received) - self._position

    def take_line(self) -> bytes | None:
        """Read the next line, without its newline; None if it has not arrived completely."""
        end = self._received.find(b"\n", max(self._searched, self._position))
        if end < 0:
            self._searched = len(self._received)
            return None
        line = bytes(self._received[self._position : end])
        self._position = end + 1
        return line

    def _set_deadline(self, until: float | None) -> None:
        """Set the socket's time-out: at least a moment, since 0 would make it non-blocking."""
        self.socket.settimeout(self._seconds if until is None else max(until - time.monotonic(), 0.001))

    # ---- lines of text ----

    def send(self, *lines: str) -> None:
        assert not any("\n" in line for line in lines), "a line has no newline in it"
        self.send_bytes("".join(f"{line}\n" for line in lines).encode())

    def line(self) -> str:
        """Read the next line; at the end of the connection, what is left."""
        while (line := self.take_line()) is None:
            if not self.receive():
                return self.rest().decode()
        return line.decode()

    def ask(self, *lines: str) -> list[str]:
        """Send lines and read as many."""
        self.send(*lines)
        return [self.line() for _line in lines]

    def rest(self) -> bytes:
        """Read until the other side closes."""
        while self.receive():
            pass
        rest, self._position = self.unread, len(self._received)
        return rest

    def expect(self, wanted: str) -> None:
        """Read up to the end of this text. Raises AssertionError when it does not come."""
        data = wanted.encode()
        until = time.monotonic() + self._seconds
        while (start := self._received.find(data, self._position)) < 0:
            try:
                assert self.receive(until), f"{wanted!r} is not in {self.unread!r}, which is all"
            except TimeoutError:
                raise AssertionError(f"no {wanted!r} in time, only {self.unread!r}") from None
        self._position = start + len(data)

    @property
    def received(self) -> str:
        """All received text so far, read or not."""
        try:
            while self.receive(0.0):
                pass
        except TimeoutError:
            pass
        return self._received.decode(errors="replace")

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
