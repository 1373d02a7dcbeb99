"""A WebSocket between a connection and a session: the connection's receiver, and the session's transport.

`websockets` reads the frames and answers pings and closes; it does no I/O. A data frame becomes a line of the session,
and what the session sends becomes frames (W7, W9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from domain.interfaces import Timers
from net.connection import Connection
from net.table import CloseReason
from protocol import Session
from web.frames import Framing
from web.keepalive import Keepalive

MAX_MESSAGE = 4608
"""Maximum bytes of a message: a line of `irc` with its tags (I2)."""

FRAMES_PER_TURN = 64
"""Frames of one client that are read before the others have their turn, as with lines (W7)."""

NOTHING = memoryview(b"")
"""The input of a connection that has read all; one for all of them, which saves memory."""

PIECE = 6 * FRAMES_PER_TURN
"""Bytes that are read at once. No client's frame is shorter than 6 bytes, so no piece has too many."""


class WebSocket:
    """An open WebSocket.

    Args:
        connection: to the client; its owner is this object from here on.
        protocol: after the handshake.
        framing: of the lines that are sent.
        address: the client's IP address, for logs and limits.
        timers: the clock.
        keepalive_seconds: time-out for the pong to a ping; 0: none.

    Attributes:
        session: behind it; set once, by the gateway.
        framing: makes frames of lines.
        output: the connection, which takes frames.
    """

    session: Session

    __slots__ = (
        "_address",
        "_close_code",
        "_close_sent",
        "_connection",
        "_held_back",
        "_input_ended",
        "_is_text",
        "_keepalive",
        "_message",
        "_protocol",
        "_reading_paused",
        "_scheduled",
        "_unread",
        "_waiting_lines",
        "framing",
        "output",
        "session",
    )

    def __init__(
        self,
        connection: Connection,
        protocol: ServerProtocol,
        framing: Framing,
        address: str,
        timers: Timers,
        keepalive_seconds: float,
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self.framing = framing
        self.output = connection
        self._address = address
        self._keepalive = Keepalive(connection, protocol, address, timers, keepalive_seconds)
        self._unread = NOTHING
        self._message = bytearray()
        self._is_text = True
        self._held_back = False  # the session wants no input
        self._reading_paused = False
        self._scheduled = False
        self._input_ended = False
        self._close_sent = False  # a close frame has been sent: no other may follow
        self._close_code = CloseCode.NORMAL_CLOSURE
        self._waiting_lines = 0

    # ---- for the connection ----

    def received(self, data: bytes) -> None:
        """Read the frames in these bytes."""
        self._keepalive.note_input()
        self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
        if not self._scheduled:
            self._read()

    def ended(self) -> None:
        """The client has half-closed: what it has sent is run and answered (C12)."""
        self._input_ended = True
        self._read()

    def drained(self) -> None:
        """The client has read what waited for it."""
        self.session.drained()
        self._read_soon()

    def lost(self, reason: CloseReason) -> None:
        """The connection is gone."""
        self._keepalive.stop()
        self._unread = NOTHING
        self.session.lost(reason)

    def drain(self) -> None:
        """The server stops: see `Session.drain`."""
        self._close_code = CloseCode.GOING_AWAY
        self._unread = NOTHING
        self.session.drain()

    # ---- frames in ----

    def _read(self) -> None:
        """Read frames until this turn's share is used, or back-pressure stops the input."""
        self._scheduled = False
        frames = 0
        while self._unread and not self._must_wait:
            piece, self._unread = bytes(self._unread[:PIECE]), self._unread[PIECE:]
            frames += self._feed(piece)
            if frames >= FRAMES_PER_TURN or (frames and self._connection.must_yield):
                self._read_soon()
                break
        if self._close_sent:
            self._unread = NOTHING
        self._apply_back_pressure()
        if self._input_ended and not self._unread:
            self.session.ended()

    def _feed(self, piece: bytes) -> int:
        """Read a piece of the input; return how many frames it had."""
        self._protocol.receive_data(piece)
        frames = self._protocol.events_received()
        for frame in frames:
            assert isinstance(frame, Frame)
            self._take(frame)
        self._send_control()
        return len(frames)

    @property
    def kind(self) -> str:
        """The dialect of its session, for statistics."""
        return self.session.kind

    @property
    def _must_wait(self) -> bool:
        return self._held_back or self._close_sent or self._connection.congested

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._keepalive.note_pong()
        elif frame.opcode is Opcode.CLOSE:
            self._input_ended = True
        elif frame.opcode is not Opcode.PING:
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._message += frame.data
            if frame.fin:
                message, self._message = bytes(self._message), bytearray()
                self._run(message)

    def _run(self, message: bytes) -> None:
        """Pass a message to the session as a line; close the connection if it is not one line of UTF-8."""
        line = message.removesuffix(b"\n").removesuffix(b"\r")
        if b"\n" in line or b"\r" in line:
            self._fail("one line a frame")
        elif self._is_text and not _is_utf8(line):
            self._fail("not UTF-8")
        else:
            self.session.received(line + b"\n")

    def _fail(self, why: str) -> None:
        self._protocol.fail(CloseCode.INVALID_DATA, why)
        self.session.end()

    def _send_control(self) -> None:
        """Send what the library answers: pongs, and a close frame, after which nothing is sent."""
        if self._close_sent:
            return
        for data in self._protocol.data_to_send():
            self._connection.send(data)
        if self._protocol.state is not State.OPEN:
            self._close_sent = True
            if not self._input_ended:  # the client is at fault: no further line of it is run
                self.session.end()

    def _read_soon(self) -> None:
        if self._unread and not self._scheduled:
            self._scheduled = True
            self._connection.call_soon(self._read)

    def _apply_back_pressure(self) -> None:
        """Receive nothing while frames wait, or the session wants none."""
        self._connection.count_input(self._waiting_lines + len(self._unread))
        if self._reading_paused != (self._held_back or bool(self._unread)):
            self._reading_paused = not self._reading_paused
            (self._connection.pause_reading if self._reading_paused else self._connection.resume_reading)()

    # ---- for the session ----

    def send(self, data: bytes) -> None:
        """Send whole lines, each in a frame."""
        if not self._close_sent:
            self._connection.send(self.framing(data))

    def send_with_receipt(self, data: bytes, done: Callable[[bool], None]) -> None:
        """As `Output.send_with_receipt`."""
        if self._close_sent:
            self._connection.call_soon(partial(done, False))
        else:
            self._connection.send_with_receipt(self.framing(data), done)

    def stream(self, chunks: Iterator[bytes]) -> None:
        """As `Output.stream`."""
        if not self._close_sent:
            self._connection.stream(self.framing.stream(chunks))

    def finish(self) -> None:
        """Say good-bye in a close frame, unless that has been done, and close when all has left."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(self._close_code)
        if not self._close_sent:
            self._close_sent = True
            for data in self._protocol.data_to_send():
                self._connection.send(data)
        self._connection.finish()

    def probe(self) -> None:
        """Close soon if the client does not answer: see `Keepalive.probe`."""
        self._keepalive.probe()

    def pause_reading(self) -> None:
        """Receive nothing for now."""
        self._held_back = True
        self._apply_back_pressure()

    def resume_reading(self) -> None:
        """Receive again."""
        self._held_back = False
        self._apply_back_pressure()
        self._read_soon()

    def count_input(self, size: int) -> None:
        """Count the bytes of lines that wait in the session."""
        self._waiting_lines = size
        self._connection.count_input(size + len(self._unread))

    @property
    def congested(self) -> bool:
        """As `Output.congested`."""
        return self._connection.congested

    @property
    def must_yield(self) -> bool:
        """As `Output.must_yield`."""
        return self._connection.must_yield

    @property
    def is_behind(self) -> bool:
        """As `Output.is_behind`."""
        return self._connection.is_behind

    @property
    def remote_address(self) -> tuple[str, int]:
        """The client's address for logs and limits, which a proxy may have told; its port is the connection's."""
        return self._address, self._connection.remote_address[1]

    @property
    def local_address(self) -> tuple[str, int]:
        """As `Connection.local_address`."""
        return self._connection.local_address

    def note_first_line(self) -> None:
        """As `Connection.note_first_line`."""
        self._connection.note_first_line()

    def hold_login_timeout(self) -> None:
        """As `Connection.hold_login_timeout`."""
        self._connection.hold_login_timeout()

    def resume_login_timeout(self) -> None:
        """As `Connection.resume_login_timeout`."""
        self._connection.resume_login_timeout()

    def refuse(self) -> None:
        """As `Connection.refuse`."""
        self._connection.refuse()

    def call_soon(self, call: Callable[[], None]) -> None:
        """As `Connection.call_soon`."""
        self._connection.call_soon(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> object:
        """As `Connection.call_later`."""
        return self._connection.call_later(seconds, call)

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        """As `WatchedSocket.report_limit`."""
        self._connection.report_limit(reason, detail, *values)

    def log_mark(self) -> dict[str, int]:
        """As `WatchedSocket.log_mark`."""
        return self._connection.log_mark()

    def set_output_limit(self, size: int, setting: str) -> None:
        """As `Output.set_output_limit`."""
        self._connection.set_output_limit(size, setting)

    def __str__(self) -> str:
        """Return the client's address and port, for the log."""
        host, port = self.remote_address
        return f"{host} port {port}"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
