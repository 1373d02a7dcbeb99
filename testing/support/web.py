"""What the tests of web/ share: a connection without a socket, and a browser's side of it."""

from __future__ import annotations

from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.uri import parse_uri

from net.table import CloseReason
from support.world import FakeTimers, FakeTransport
from web.gateway import Gateway, HttpExchange
from web.page import Page
from web.requests import Rules

PAGE = Page("<p>the page", {"Content-Security-Policy": "default-src 'none'", "ETag": '"tag"'}, '"tag"')
ANYBODY = Rules(frozenset(), frozenset(), [])


class FakeConnection(FakeTransport):
    """A connection of a `web` port whose socket is the test."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        super().__init__(remote_address=(peer, 40000))
        self.owner: Any = None
        self.closed_for: list[CloseReason] = []
        self.counted_for: list[str] = []
        self.full_for = ""

    def close(self, reason: CloseReason) -> None:
        self.closed_for.append(reason)

    def recount_for(self, address: str) -> bool:
        self.counted_for.append(address)
        return address != self.full_for

    @property
    def is_over(self) -> bool:
        return bool(self.finished or self.refused or self.closed_for)


class FakeSession:
    """A session that notes what it is told."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.lines: list[bytes] = []
        self.told: list[object] = []
        self.over = False

    def received(self, data: bytes) -> None:
        if not self.over:
            self.lines.append(data)

    def ended(self) -> None:
        self.told.append("ended")

    def drained(self) -> None:
        self.told.append("drained")

    def lost(self, reason: object) -> None:
        self.told.append(reason)

    def drain(self) -> None:
        self.told.append("drain")
        self.end()

    def end(self) -> None:
        if not self.over:
            self.over = True
            self.transport.finish()


class Desk:
    """A gateway, a connection to it, and the session behind it."""

    def __init__(self, rules: Rules = ANYBODY, peer: str = "127.0.0.1", *, is_tls: bool = False) -> None:
        self.timers = FakeTimers()
        self.sessions: list[FakeSession] = []
        self.fault = ""
        self.gateway = Gateway(lambda: PAGE, rules, self._open, lambda: self.fault, self.timers, 60)
        self.connection = FakeConnection(peer)
        self.exchange: HttpExchange = self.gateway.accept(self.connection, is_tls=is_tls)  # type: ignore[arg-type]
        self.connection.owner = self.exchange

    def _open(self, transport: Any) -> Any:
        self.sessions.append(FakeSession(transport))
        return self.sessions[-1]

    def feed(self, data: bytes) -> None:
        """Have bytes arrive, unless the connection has ended."""
        if not self.connection.is_over:
            self.connection.owner.received(data)

    def settle(self) -> None:
        """Make the calls that were put off."""
        while self.connection.soon:
            self.connection.soon.pop(0)()

    def answer(self) -> Response | None:
        """Return what was answered; None if nothing was."""
        data = self.connection.take()
        if not data:
            return None
        client = ClientProtocol(parse_uri("ws://localhost/"))
        client.writes.clear()
        client.receive_data(data)
        client.receive_eof()
        (response,) = [event for event in client.events_received() if isinstance(event, Response)]
        return response


class Browser:
    """The client's side of a WebSocket."""

    def __init__(self, desk: Desk, *subprotocols: Any) -> None:
        self.desk = desk
        self.protocol = ClientProtocol(parse_uri("ws://localhost/"), subprotocols=subprotocols or None)
        request: Request = self.protocol.connect()
        self.protocol.send_request(request)
        self.push()
        self.frames: list[Frame] = []
        self.pull()

    @property
    def session(self) -> FakeSession:
        return self.desk.sessions[-1]

    def push(self) -> None:
        """Send what the library has written."""
        for data in self.protocol.data_to_send():
            self.desk.feed(data)

    def pull(self) -> list[Frame]:
        """Take what the server has sent; return the new frames."""
        self.protocol.receive_data(self.desk.connection.take())
        frames = [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        self.frames += frames
        return frames

    def say(self, data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> None:
        """Send a frame."""
        self.protocol.writes.append(Frame(opcode, data, fin).serialize(mask=True))
        self.push()

    @property
    def close_code(self) -> int | None:
        """Why the server closes the WebSocket; None if it does not."""
        self.pull()
        return None if self.protocol.close_rcvd is None else self.protocol.close_rcvd.code


def head(*lines: str, target: str = "/", method: str = "GET", host: str | None = "localhost:8080") -> bytes:
    """Return the head of a request."""
    hosts = [] if host is None else [f"Host: {host}"]
    return "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", *hosts, *lines, "")).encode("latin-1")


HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
