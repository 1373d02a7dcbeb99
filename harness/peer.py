"""The other end of a connection: a blocking client, which reads lines and waits for nothing without a deadline."""

from __future__ import annotations

import socket
import time

from harness.text import LOOPBACK

PATIENCE = 30.0
"""Seconds after which something that must come soon is given up."""


class Peer:
    """A connection to a port, or one that has been accepted. What has come is kept, and read up to a place.

    Args:
        place: a port, or a socket that is connected.
        host: of the port.
        source: the address to connect from.
        seconds: what a wait may take, unless the call says until when.
    """

    def __init__(
        self,
        place: int | socket.socket,
        host: str = LOOPBACK,
        *,
        source: str | None = None,
        seconds: float = PATIENCE,
    ) -> None:
        if isinstance(place, int):
            place = socket.create_connection((host, place), seconds, (source, 0) if source else None)
        place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = place
        self._seconds = seconds
        self._received = bytearray()
        self._place = 0
        self._searched = 0  # up to here there is no newline behind the place

    # ---- bytes ----

    def send_bytes(self, data: bytes, until: float | None = None) -> None:
        """Raises OSError, TimeoutError among them."""
        left = memoryview(data)
        while left:
            self._set_deadline(until)
            left = left[self.socket.send(left) :]

    def receive(self, until: float | None = None) -> bool:
        """Take what arrives next; False when the other side has closed, with a reset too. Raises TimeoutError."""
        self._set_deadline(until)
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)

    @property
    def unread(self) -> bytes:
        """What has come and was not read yet."""
        return bytes(self._received[self._place :])

    @property
    def unread_size(self) -> int:
        return len(self._received) - self._place

    def take_line(self) -> bytes | None:
        """Read the next line, without its newline; None if it has not come yet."""
        end = self._received.find(b"\n", max(self._searched, self._place))
        if end < 0:
            self._searched = len(self._received)
            return None
        line = bytes(self._received[self._place : end])
        self._place = end + 1
        return line

    def _set_deadline(self, until: float | None) -> None:
        """At least a moment, since 0 means "do not wait at all" to a socket."""
        self.socket.settimeout(self._seconds if until is None else max(until - time.monotonic(), 0.001))

    # ---- lines of text ----

    def send(self, *lines: str) -> None:
        assert not any("\n" in line for line in lines), "a line has no newline in it"
        self.send_bytes("".join(f"{line}\n" for line in lines).encode())

    def line(self) -> str:
        """The next line; what is left, if anything, at the end."""
        while (line := self.take_line()) is None:
            if not self.receive():
                return self.rest().decode()
        return line.decode()

    def ask(self, *lines: str) -> list[str]:
        """Send lines and read as many."""
        self.send(*lines)
        return [self.line() for _line in lines]

    def rest(self) -> bytes:
        """Read what comes until the other side closes."""
        while self.receive():
            pass
        rest, self._place = self.unread, len(self._received)
        return rest

    def expect(self, wanted: str) -> None:
        """Read on until a text has come."""
        data = wanted.encode()
        until = time.monotonic() + self._seconds
        while (start := self._received.find(data, self._place)) < 0:
            try:
                assert self.receive(until), f"{wanted!r} is not in {self.unread!r}, which is all"
            except TimeoutError:
                raise AssertionError(f"no {wanted!r} in time, only {self.unread!r}") from None
        self._place = start + len(data)

    @property
    def received(self) -> str:
        """All that has come so far, read or not."""
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
