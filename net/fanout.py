"""Fan-out: the same bytes for many connections are queued once, and sent to all of them in one row.

Within a turn an audience keeps what all its connections are to be sent, so that a message costs no step for each of
them. The end of the turn sends it, without a step of the interpreter between two sockets: after a system call the
processor's caches are cold.

Some connections stand apart from their audiences. They have output of their own or of another audience in this turn,
wait for their peer, have TLS or a stream, or are ending. Such a connection takes over what its audience has queued, and
is sent each further message by itself. So each connection gets its output in the order in which it was sent.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Sequence
from itertools import filterfalse, repeat
from typing import Any, Protocol

from net.reactor import Reactor

SEND = socket.socket.send


class Member(Protocol):
    """A connection, as its audiences know it; `net.output.Output` implements and explains each call."""

    sock: socket.socket

    def send(self, data: bytes) -> None: ...
    def send_rest(self, rest: bytes) -> None: ...
    def stand_apart(self) -> None: ...
    def fault(self) -> None: ...


class Batch:
    """Output that an audience has queued in this turn.

    Attributes:
        pieces: the output.
        size: its bytes.
        apart: the connections of the audience that are sent everything by themselves in this turn.
    """

    __slots__ = ("apart", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.apart: set[Member] = set()


class Fanout:
    """The audiences of a loop's connections.

    Args:
        reactor: ends the turns.

    Attributes:
        high_water: bytes above which an audience queues no more. Each connection has them in its own buffer then, where
            they are limited.
        apart: connections that are sent everything by themselves, in each turn. The others are so within a turn alone.
        batches: for each connection that shares the output of an audience in this turn, that output.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.high_water = 0
        self.apart: dict[Any, None] = {}
        self.batches: dict[Any, Batch] = {}
        self._flushing = reactor.flushing
        self._flush_later = reactor.flush_row_later

    def leave(self, output: Member) -> list[bytes]:
        """Have a connection stand apart for the rest of this turn; return what its audience has queued for it."""
        batch = self.batches.pop(output, None)
        if batch is None:
            return []
        batch.apart.add(output)
        return batch.pieces[:]

    def join(self, audience: Audience, members: dict[Any, Batch]) -> set[Member]:
        """Have an audience flushed at the end of this turn.

        Args:
            audience: the audience.
            members: its connections, each with the audience's batch.

        Returns:
            The connections that stand apart.
        """
        batches, outputs = self.batches, members.keys()
        if batches and not batches.keys().isdisjoint(outputs):
            for output in batches.keys() & outputs:
                output.stand_apart()
        self._flush_later(audience)
        batches.update(members)
        apart: set[Any] = set()
        if self._flushing:
            apart |= self._flushing & outputs
        if self.apart:
            apart |= self.apart.keys() & outputs
        for output in apart:
            del batches[output]
        return apart

    def flush(self, audiences: Sequence[Audience]) -> int:
        """Send what these have queued, all that have joined; return how many bytes have left."""
        sent = sum([audience.flush() for audience in audiences])
        self.batches.clear()
        return sent


class Audience:
    """Connections that are sent the same bytes.

    Args:
        fanout: of their loop.
        outputs: the connections. Another set of connections is another audience.
    """

    __slots__ = ("_batch", "_fanout", "_members", "_sockets", "_waits")

    def __init__(self, fanout: Fanout, outputs: Iterable[Any]) -> None:
        self._fanout = fanout
        self._batch = Batch()
        self._members: dict[Any, Batch] = dict.fromkeys(outputs, self._batch)
        self._sockets = [output.sock for output in self._members]
        self._waits = False

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, output: object) -> bool:
        return output in self._members

    def send(self, data: bytes, without: Collection[Any] = ()) -> None:
        """Queue bytes for all of them, as `Output.send` does for one.

        Args:
            data: the bytes.
            without: connections of this audience that do not get them.
        """
        batch = self._batch
        if not self._waits:
            self._waits = True
            batch.apart = self._fanout.join(self, self._members)
        for output in without:
            output.stand_apart()
        size = batch.size + len(data)
        if size > self._fanout.high_water:
            for output in self._sharing():
                output.stand_apart()
        else:
            batch.pieces.append(data)
            batch.size = size
        if batch.apart:
            for output in batch.apart.difference(without):
                _send(output, data)

    def _sharing(self) -> list[Member]:
        """Return the connections that get what is queued here."""
        return [*filterfalse(self._batch.apart.__contains__, self._members)]

    def flush(self) -> int:
        """Send what is queued; return how many bytes have left."""
        batch = self._batch
        pieces = batch.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        outputs: Iterable[Member] = self._members
        sockets = self._sockets
        if batch.apart:
            outputs = self._sharing()
            sockets = [*filterfalse({output.sock for output in batch.apart}.__contains__, sockets)]
            batch.apart.clear()
        pieces.clear()
        batch.size, self._waits = 0, False
        sent = send_row(sockets, repeat(data))
        if sent.count(len(data)) < len(sent):
            for output, count in zip(outputs, sent, strict=True):
                if count < len(data):
                    send_rest(output, data[count:])
        return sum(sent)


def send_row(sockets: Collection[socket.socket], pieces: Iterable[bytes]) -> list[int]:
    """Send a piece to each socket; return how many bytes it has taken, 0 where it refuses."""
    sent: list[int] = []
    sending = map(SEND, sockets, pieces)
    while len(sent) < len(sockets):
        try:
            sent.extend(sending)
        except OSError:
            sent.append(0)
    return sent


def send_rest(output: Member, rest: bytes) -> None:
    """Send what the kernel has not taken of a row's piece; a fault ends one connection alone."""
    try:
        output.send_rest(rest)
    except Exception:
        output.fault()


def _send(output: Member, data: bytes) -> None:
    try:
        output.send(data)
    except Exception:
        output.fault()
