"""The output of a connection: a bounded buffer, streams, receipts, and the time-out of a peer that does not read."""

from __future__ import annotations

import enum
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from selectors import EVENT_WRITE
from typing import Any

from net.blockage import Blockage
from net.fanout import send_rest, send_row
from net.streams import Receipt, Streams, close_iterator
from net.table import CloseReason, ConnectionTable, OutputLimit
from net.watched import WatchedSocket, Wire

ROW = 64
"""Connections whose output is gathered before the first of them sends it."""

log = logging.getLogger("crosstalk.loop")


class State(enum.Enum):
    """Where a connection is in its life; it only goes forward."""

    OPEN = "open"
    FINISHING = "input is discarded; closes when the output has left"
    LINGERING = "output has left and is ended; waits for the peer's end"
    CLOSED = "nothing is sent or received; to be freed in this turn"


_OPEN, _CLOSED = State.OPEN, State.CLOSED  # looked up for every message


class Output(WatchedSocket):
    """The writing half of a connection.

    Output is a list of byte strings, so the same object can wait for a thousand receivers without a copy. A `stream` is
    output that is produced only as fast as the peer reads it; what is sent after it waits behind it.
    """

    framing = None
    """What is sent needs no frames."""

    __slots__ = (
        "_blockage",
        "_limit",
        "_mark",
        "_out",
        "_pending",
        "_plain",
        "_state",
        "_streams",
        "_wire",
        "congested",
    )

    def __init__(self, table: ConnectionTable[Any], sock: socket.socket) -> None:
        super().__init__(table, sock)
        self._wire: Wire = sock
        self._state = State.OPEN
        self._out: list[bytes] | tuple[()] = ()  # no list of its own while nothing is pending, which saves memory
        self._pending = 0
        self._plain = True
        """Open, not blocked, not congested, without streams and TLS: there is nothing but `_out` to look at."""
        self._streams: Streams | None = None
        self._blockage: Blockage | None = None
        self.congested = False
        """True while the peer has much to read: produce no more output until `Receiver.drained` is called."""
        self._limit = table.output_limit
        self._mark = table.high_water

    def close(self, reason: CloseReason) -> None:
        """Close now and drop pending output."""
        raise NotImplementedError

    def free(self) -> None:
        """Release all resources, after a close."""
        raise NotImplementedError

    def fault(self) -> None:
        """Log the exception that is being handled, and close: a fault ends one connection, not the service."""
        log.exception("error while serving a connection", extra=self.log_mark())
        self.close(CloseReason.FAULT)

    def _all_sent(self) -> None:
        """No output is left: finish, or report that the congestion is over."""
        raise NotImplementedError

    def count_input(self, size: int) -> None:
        """Count the bytes of received input that wait with the owner."""
        if self._state is not _CLOSED:
            self._table.buffers.count_input(self, size)

    def set_output_limit(self, size: int, setting: str) -> None:
        """Replace the loop's limit for this connection. The threshold for `congested` stays the same.

        Args:
            size: bytes that may wait before the peer is closed as a slow reader.
            setting: its name, for the log.
        """
        self._limit = OutputLimit(size, setting)

    @property
    def _blocked(self) -> bool:
        return self._blockage is not None

    @property
    def output(self) -> Output:
        """Where bytes are queued: an audience consists of these."""
        return self

    @property
    def is_behind(self) -> bool:
        """True while the peer has much to read and does read: a producer should wait until it has caught up."""
        return self.congested and self._blockage is not None and self._blockage.is_fresh

    @property
    def has_output(self) -> bool:
        """True while output waits to be sent."""
        return self._pending > 0 or bool(self._streams) or self in self._table.fanout.batches

    @property
    def is_secure(self) -> bool:
        """Whether the bytes are encrypted."""
        return self._wire is not self.sock

    @property
    def queued(self) -> bytes:
        """The output that has not been sent, without streams."""
        return _joined(self._out)

    def secure(self, wire: Wire) -> None:
        """Move all bytes through TLS from now on.

        Args:
            wire: over the same socket. It knows that the bytes which are `queued` now are encrypted already.
        """
        self._set_apart()
        self._wire = wire

    @property
    def must_yield(self) -> bool:
        """True when this connection has used its share of the turn: continue in the next one, by `call_soon`."""
        return time.monotonic() >= self._loop.slice_ends

    def send(self, data: bytes) -> None:
        """Queue bytes; they leave at the end of the turn. After a close they are dropped."""
        if self._state is not _OPEN:
            return
        if self._streams:
            self._streams[-1][1].append(data)
        else:
            if not self._pending:
                loop = self._loop
                loop.flush_later(self)
                if loop.rows:
                    self.stand_apart()
            if self._out:
                self._out.append(data)
            else:
                self._out = [data]
        self._pending += len(data)
        if self._pending > self._mark:
            self._relieve()

    def stand_apart(self) -> None:
        """Take over what an audience has queued for this connection in this turn, see `net.fanout`."""
        shared = self._table.fanout.leave(self)
        if shared:
            self._out, self._pending = shared, sum(map(len, shared))
            self._loop.flush_later(self)

    def _set_apart(self) -> None:
        """From now on there is more to look at than `_out`, so no output is shared."""
        if self._plain:
            self._plain = False
            self._table.fanout.apart[self] = None
            self.stand_apart()

    def _relieve(self) -> None:
        """Handle output above the mark: count it if it is blocked, and send it early if it is large."""
        if self._holds_output:
            self._count()
        if self._pending > self._table.high_water:
            self._set_apart()
            self.congested = True
            if not self._blocked or self._pending > self._limit.size:
                self.flush()

    @property
    def _holds_output(self) -> bool:
        """Whether output waits for longer than a turn: for the peer, or behind a stream."""
        return self._blocked or bool(self._streams)

    def _count(self) -> None:
        """Count what waits here. While output is held the mark is its size, so that each further byte counts."""
        held = self._holds_output
        self._mark = self._pending if held else self._table.high_water
        if self._state is not _CLOSED:
            self._table.buffers.count_output(self, self._pending if held else 0)

    def send_with_receipt(self, data: bytes, done: Callable[[bool], None]) -> None:
        """Send bytes, and call `done` once with the outcome: see `Receipt`.

        Where no output is blocked they leave now, together with what waits for the end of the turn. Then `done` is
        called within this call.
        """
        if self._state is _OPEN and not (self._blocked or self._streams):
            self.stand_apart()
            self._out = [*self._out, data]
            self._pending += len(data)
            self.flush()
            if self._state is _OPEN and not self._blocked:
                done(True)
                return
            data = b""  # what is left of it is at the end of the pending output
        if self._queue_stream(Receipt(self._loop, data, done)):
            self._pending += len(data)
            if self._pending > self._mark:
                self._relieve()

    def stream(self, chunks: Iterator[bytes]) -> None:
        """Queue output that is produced chunk by chunk as the peer reads.

        The next chunk is requested when the operating system has taken the one before in full. So code after a `yield`
        runs when that chunk has left. A generator is closed when the connection ends first.

        Streams share the turns: each makes one chunk in a turn, and only so many of them do (`net.reactor`).
        """
        if self._queue_stream(chunks):
            self.congested = True
            self._pull_later()

    def _queue_stream(self, chunks: Iterator[bytes]) -> bool:
        if self._state is not _OPEN:
            close_iterator(chunks)
            return False
        if self._streams is None:
            self._streams = Streams()
        self._set_apart()
        if not self._pending and not self._streams:
            self._loop.flush_later(self)
        self._streams.append((chunks, []))
        return True

    # ---- for the loop ----

    def flush(self) -> None:
        """Send pending output; the rest of a short write waits for the next write event."""
        while self._state is not _CLOSED:
            out = self._out
            if out:
                data = _joined(out)
                try:
                    sent = self._wire.send(data)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError:
                    self.close(CloseReason.LOST)
                    return
                self._pending -= sent
                self._table.sent += sent
                if sent < len(data):
                    self._keep_rest(data[sent:], progress=sent > 0)
                    return
                self._out = ()
                if self._streams is not None:
                    self._streams.chunk = 0
            if not self._streams:
                if not self._plain:
                    self._flushed()
                return
            if not self._pulls_at_once:
                self._unblock()
                self._pull_later()
                return
            self._pull()

    def send_rest(self, rest: bytes) -> None:
        """Send what was taken from here in a row with others, and the kernel has not taken."""
        self._out = [rest]
        self._pending = len(rest)
        self.flush()

    def _keep_rest(self, rest: bytes, *, progress: bool) -> None:
        """The kernel has not taken everything: wait until it does, unless too much waits."""
        self._out = [rest]
        chunk = 0 if self._streams is None else self._streams.chunk
        if self._pending - chunk > self._limit.size:
            self.report_limit(self._limit.setting, "(reads too slowly, %d bytes wait)", self._pending)
            self.close(CloseReason.SLOW_READER)
        else:
            self._block(progress=progress)

    @property
    def _pulls_at_once(self) -> bool:
        """Whether the next chunk is taken without waiting: it exists already, or too much waits behind the stream."""
        assert self._streams
        return isinstance(self._streams[0][0], Receipt) or self._pending > self._limit.size

    def _pull_later(self) -> None:
        assert self._streams is not None
        if not self._streams.pulling:
            self._streams.pulling = True
            self._loop.pull_later(self)

    def pull(self) -> None:
        """Make the next chunk of a stream; it leaves at the end of this turn."""
        assert self._streams is not None
        self._streams.pulling = False
        if self._streams and not self._blocked and self._state is not _CLOSED:
            self._pull()
            self._loop.flush_later(self)

    def _pull(self) -> None:
        """Take the next chunk of the first stream, or end that stream."""
        assert self._streams
        chunks, behind = self._streams[0]
        try:
            chunk = next(chunks, None)
        except Exception:
            log.exception("error while making output", extra=self.log_mark())
            self.close(CloseReason.FAULT)
            return
        if chunk is None:
            self._streams.popleft()
            self._out = [*self._out, *behind]
            return
        self._out = [*self._out, chunk]
        if not isinstance(chunks, Receipt):  # whose chunk was counted when it was queued
            self._pending += len(chunk)
            self._streams.chunk = len(chunk)

    def _block(self, *, progress: bool) -> None:
        """Wait for a write event, and close the connection of a peer that takes nothing for too long."""
        if self._blockage is None:
            self._set_apart()
            self._blockage = Blockage(self._table, self.sock, self._stalled)
            self._want(self._events | EVENT_WRITE)
        elif progress:
            self._blockage.note_progress()
        self._count()

    def _stalled(self) -> None:
        """The peer has taken nothing for too long."""
        self.report_limit("stall-seconds", "(has taken nothing for %g seconds)", self._table.stall_seconds)
        self.close(CloseReason.SLOW_READER)

    def _unblock(self) -> None:
        if self._blockage is not None:
            self._blockage.end()
            self._blockage = None
            self._want(self._events & ~EVENT_WRITE)
        self._count()

    def _flushed(self) -> None:
        if self._streams is not None and not self._streams.pulling:
            self._streams = None
        self._unblock()
        self._all_sent()

    def _drop_output(self) -> None:
        """Drop pending output and close streams, once the connection has ended."""
        self._out = ()
        self._wire = self.sock  # breaks a reference cycle, so that what TLS holds is freed at once
        if self._blockage is not None:
            self._blockage.end()
            self._blockage = None  # it knows this connection
        for chunks, _behind in self._streams or ():
            close_iterator(chunks)


def flush_all(outputs: Sequence[Output]) -> int:
    """Send what is pending in each of these; return the bytes that were sent in rows, which nobody else counts.

    Most are plain, and the kernel takes all that they have. So they are sent in rows, without a step of the interpreter
    in between: after a system call the processor's caches are cold.
    """
    total = 0
    for start in range(0, len(outputs), ROW):
        row: list[Output] = []
        pieces: list[bytes] = []
        for output in outputs[start : start + ROW]:
            if output._plain and output._pending:
                out = output._out
                row.append(output)
                pieces.append(out[0] if len(out) == 1 else b"".join(out))  # as `_joined`, without a call for each
                output._out, output._pending = (), 0
            else:
                _flush(output)
        sent = send_row([output.sock for output in row], pieces)
        total += sum(sent)
        if sent != [*map(len, pieces)]:
            for output, piece, count in zip(row, pieces, sent, strict=True):
                if count < len(piece):
                    send_rest(output, piece[count:])
    return total


def _joined(pieces: Sequence[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _flush(output: Output) -> None:
    try:
        output.flush()
    except Exception:
        output.fault()
