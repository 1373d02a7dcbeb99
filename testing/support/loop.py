"""What the tests of net/ share: a loop with owners, peers, and sockets whose sends are scripted."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from harness.peer import PATIENCE
from net import fanout, reactor
from net.connection import Connection
from net.loop import Loop
from net.selector import EpollSelector, Ready
from net.table import CloseReason

MAX_OUT = 1024 * 1024


class CountingSelector(EpollSelector):
    """Records its calls: (call, events)."""

    calls: list[tuple[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        self.calls.append(("watch", events))
        super().watch(descriptor, events, ready)

    def change(self, descriptor: int, events: int, ready: Ready) -> None:
        self.calls.append(("change", events))
        super().change(descriptor, events, ready)

    def unwatch(self, descriptor: int) -> None:
        self.calls.append(("unwatch", 0))
        super().unwatch(descriptor)

    def ready_of(self, sock: socket.socket) -> Ready:
        """Return what is called with the events of a socket."""
        return self._ready[sock.fileno()]


class ScriptedSocket(socket.socket):
    """A socket that records the size of each send, and takes only as many bytes as `takes` gives for it."""

    def __init__(self, other: socket.socket) -> None:
        super().__init__(fileno=other.detach())
        self.takes: list[int] = []
        self.sends: list[int] = []

    def send(self, data: Any, flags: int = 0) -> int:
        self.sends.append(len(data))
        if not self.takes:
            return super().send(data, flags)
        takes = self.takes.pop(0)
        if not takes:
            raise BlockingIOError
        return super().send(data[:takes], flags)


class Owner:
    """A receiver that records its calls."""

    kind = ""

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection
        self.data = b""
        self.told: list[str] = []
        self.lost_for: list[CloseReason] = []
        self.on_data: Callable[[bytes], None] = lambda _data: None

    def received(self, data: bytes) -> None:
        self.data += data
        self.on_data(data)

    def ended(self) -> None:
        self.told.append("ended")

    def drained(self) -> None:
        self.told.append("drained")

    def lost(self, reason: CloseReason) -> None:
        self.lost_for.append(reason)


def connection_of(owner: Owner) -> Connection:
    """Return the connection of an owner."""
    assert owner.connection is not None
    return owner.connection


class DialOutcome:
    """The outcome of a dial."""

    def __init__(self) -> None:
        self.owners: list[Owner] = []
        self.reasons: list[str] = []
        self.on_failure: Callable[[], object] = lambda: None

    @property
    def told(self) -> int:
        return len(self.owners) + len(self.reasons)

    @property
    def owner(self) -> Owner:
        """The owner of the only connection."""
        assert self.reasons == []
        [owner] = self.owners
        return owner

    def connected(self, connection: Connection) -> Owner:
        self.owners.append(Owner(connection))
        return self.owners[-1]

    def failed(self, reason: str) -> None:
        self.reasons.append(reason)
        self.on_failure()


class LoopStage:
    """A loop, the connections in it, and the peers outside."""

    def __init__(self, **options: Any) -> None:
        with mock.patch.object(reactor, "make_selector", CountingSelector):
            self.loop = Loop(**options)
        self._sockets: list[socket.socket] = []
        self._undo = contextlib.ExitStack()
        # The product calls the send of the class, which would pass by that of a ScriptedSocket.
        self._undo.enter_context(mock.patch.object(fanout, "SEND", lambda sock, data: sock.send(data)))

    @property
    def selector(self) -> CountingSelector:
        selector = self.loop._selector
        assert isinstance(selector, CountingSelector)
        return selector

    def keep(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(PATIENCE)
        self._sockets.append(sock)
        return sock

    def pair(self) -> tuple[Connection, Owner, socket.socket, ScriptedSocket]:
        """Return a connection, its owner, the peer, and the socket of the connection."""
        ours, theirs = socket.socketpair()
        scripted = ScriptedSocket(ours)
        owner = Owner()
        connection = owner.connection = self.loop.connect(scripted, owner)
        return connection, owner, self.keep(theirs), scripted

    def accept(self, count: int = 1) -> tuple[list[Owner], list[socket.socket]]:
        """Have peers connect over TCP; return the owners of the connections, and the peers, in the same order."""
        owners: list[Owner] = []

        def accepted(connection: Connection) -> Owner:
            owners.append(Owner(connection))
            return owners[-1]

        address = self.listen(accepted)
        peers = [self.dial(address) for _ in range(count)]
        self.until(lambda: len(owners) == count)
        return owners, peers

    def listen(self, accepted: Callable[[Connection], Any] = Owner) -> tuple[str, int]:
        """Listen; return the address."""
        sock = socket.create_server(("127.0.0.1", 0))
        address: tuple[str, int] = sock.getsockname()
        self.loop.listen(sock, accepted)
        return address

    def dial(self, address: tuple[str, int]) -> socket.socket:
        return self.keep(socket.create_connection(address, PATIENCE))

    def call_out(
        self,
        address: tuple[str, int],
        outcome: DialOutcome | None = None,
        *,
        source: str | None = None,
        seconds: float = 10 * PATIENCE,
    ) -> DialOutcome:
        """Have the loop dial. It calls nothing before the next turn."""
        outcome = outcome or DialOutcome()
        told = outcome.told
        self.loop.dial(*address, source=source, seconds=seconds, connected=outcome.connected, failed=outcome.failed)
        assert outcome.told == told
        return outcome

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until a condition is true. Raises AssertionError after PATIENCE."""
        late = False

        def give_up() -> None:
            nonlocal late
            late = True

        deadline = self.loop.call_later(PATIENCE, give_up)
        self.loop.call_soon(lambda: None)  # what was queued between two turns leaves in the first one
        while not condition():
            assert not late, "the condition did not become true in time"
            self.loop.turn()
        self.loop.cancel(deadline)

    def turn(self) -> None:
        """Make one turn, which waits for nothing."""
        self.loop.call_soon(lambda: None)
        self.loop.turn()

    def close(self) -> None:
        self._undo.close()
        self.loop.close()
        for sock in self._sockets:
            sock.close()


def open_descriptors() -> int | None:
    """Return the number of this process's descriptors; None where the system does not tell."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None


def put(sock: socket.socket, data: bytes) -> None:
    while data:
        data = data[sock.send(data) :]


def get(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"the end after {len(data)} bytes"
        data += piece
    return data


def numbered(log: list[str], size: int, count: int) -> Iterator[bytes]:
    try:
        for number in range(count):
            log.append(f"made {number}")
            yield b"%d" % (number % 10) * size
            log.append(f"left {number}")
        log.append("all")
    finally:
        log.append("closed")


@contextlib.contextmanager
def staged(**options: Any) -> Iterator[LoopStage]:
    stage = LoopStage(**options)
    try:
        yield stage
    finally:
        stage.close()
