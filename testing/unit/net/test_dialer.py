"""net/dialer.py: look-ups and attempts to connect."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.peer import PATIENCE
from net.dialer import LOOK_UP_THREADS
from net.selector import Ready
from net.table import CloseReason
from net.tcp import resolve
from support.examples import raising
from support.loop import DialOutcome, LoopStage, Owner, connection_of, get, open_descriptors, put


@pytest.fixture
def leaving_nothing_open() -> Iterator[None]:
    """Every descriptor that a test opens is closed in the end. Comes before the fixtures that open some."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def remote_server(stage: LoopStage) -> tuple[socket.socket, tuple[str, int]]:
    """A listening socket outside of the loop, and its address."""
    sock = stage.keep(socket.create_server(("127.0.0.1", 0)))
    return sock, sock.getsockname()


def closed_place() -> tuple[str, int]:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        place: tuple[str, int] = sock.getsockname()
    return place


def silent_place(stage: LoopStage) -> tuple[str, int]:
    """Where nobody answers: as many wait to be accepted as may."""
    sock = stage.keep(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(3):
        waiting = stage.keep(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(sock.getsockname())
    place: tuple[str, int] = sock.getsockname()
    return place


def names(monkeypatch: pytest.MonkeyPatch, look_up: Callable[[str], list[tuple[str, int]]]) -> None:
    """Have this look names up, in place of the system."""
    real = resolve

    def find(host: str, port: int, *, numeric: bool = False) -> list[tuple[int, Any]]:
        if numeric:
            return real(host, port, numeric=True)
        return [(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, place) for place in look_up(host)]

    monkeypatch.setattr("net.dialer.resolve", find)


class SlowNames:
    """A name server that does not answer before `go`, and wakes the loop when it is asked.

    Args:
        places: what it answers; none: it knows no such name.
    """

    def __init__(self, stage: LoopStage, monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
        self._loop = stage.loop
        self.go = threading.Event()
        self.asked: list[str] = []
        self._places = list(places)
        names(monkeypatch, self._look_up)

    def _look_up(self, name: str) -> list[tuple[str, int]]:
        self._loop.call_threadsafe(lambda: self.asked.append(name))
        assert self.go.wait(PATIENCE)
        if not self._places:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._places


def sockets_are(monkeypatch: pytest.MonkeyPatch, kind: type[socket.socket]) -> list[socket.socket]:
    """Have the loop make sockets of this kind; they are noted."""
    made: list[socket.socket] = []

    def make(family: int, type_: int) -> socket.socket:
        made.append(kind(family, type_))
        return made[-1]

    changed = SimpleNamespace(**{**vars(socket), "socket": make})
    monkeypatch.setattr("net.dialer.socket", changed)
    return made


def test_a_dial_connects(leaving_nothing_open: None, stage: LoopStage) -> None:
    server, place = remote_server(stage)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert stage.loop._deadlines.nearest() is None
    connection = connection_of(outcome.owner)
    assert connection in stage.loop.connections
    assert connection.owner is outcome.owner
    peer = stage.keep(server.accept()[0])
    connection.send(b"hello")
    stage.turn()
    assert get(peer, 5) == b"hello"
    put(peer, b"welcome")
    stage.until(lambda: outcome.owner.data == b"welcome")
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    peer.close()
    stage.until(lambda: outcome.owner.told == ["ended"])
    connection.close(CloseReason.PEER)
    stage.turn()
    assert outcome.owner.lost_for == [CloseReason.PEER]
    assert outcome.told == 1
    assert not stage.loop.table.non_clients
    assert not stage.loop._dialer.dials


def test_an_ip_address_needs_no_look_up(stage: LoopStage) -> None:
    _server, place = remote_server(stage)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert stage.loop._dialer.look_ups._executor is None
    assert not stage.loop.working


def test_a_name_is_looked_up_and_none_of_its_addresses_left_out(stage: LoopStage) -> None:
    _server, (_host, port) = remote_server(stage)
    outcome = stage.call_out(("localhost", port))  # which may be ::1 first, where nobody listens
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_address == ("127.0.0.1", port)
    assert not stage.loop.working
    assert stage.loop._pool._executor is None


def test_a_dial_is_refused(leaving_nothing_open: None, stage: LoopStage) -> None:
    outcome = stage.call_out(closed_place())
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Connection refused"]
    assert stage.loop._deadlines.nearest() is None
    assert not stage.loop.connections


def test_the_next_address_is_tried_when_one_refuses(
    leaving_nothing_open: None, stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _server, place = remote_server(stage)
    names(monkeypatch, lambda _name: [closed_place(), place, closed_place()])
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_address == place
    names(monkeypatch, lambda _name: [closed_place(), closed_place()])
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Connection refused"]


def test_an_address_that_is_silent_does_not_have_all_the_time(
    leaving_nothing_open: None, stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _server, place = remote_server(stage)
    silent = silent_place(stage)
    names(monkeypatch, lambda _name: [silent, place])
    outcome = stage.call_out(("somewhere", 1), seconds=0.2)
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_address == place


def test_a_dial_times_out(leaving_nothing_open: None, stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = silent_place(stage)
    outcome = stage.call_out(silent, seconds=0.05)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["timed out"]
    assert not stage.loop._dialer.dials
    names(monkeypatch, lambda _name: [closed_place(), silent, silent])
    outcome = stage.call_out(("somewhere", 1), seconds=0.05)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["timed out"]


def test_a_name_that_is_not_found(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowNames(stage, monkeypatch)
    slow.go.set()
    outcome = stage.call_out(("nowhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Name or service not known"]


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "\udc80"])
def test_what_cannot_be_a_name(stage: LoopStage, name: str) -> None:
    outcome = stage.call_out((name, 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["not a host name"]


def test_a_mistake_in_a_look_up_fails_the_dial(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, raising)
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["a mistake"]


def test_names_that_are_not_answered_hold_up_nothing_but_names(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = LoopStage(pool_threads=1)
    slow = SlowNames(stage, monkeypatch)
    try:
        _server, place = remote_server(stage)
        hanging = [stage.call_out((name, 1)) for name in ("one", "two")]
        stage.until(lambda: len(slow.asked) == LOOK_UP_THREADS == 2)
        third = stage.call_out(("three", 1), seconds=0.01)
        stage.until(lambda: third.told)
        assert third.reasons == ["timed out"]
        hashed: list[object] = []
        stage.loop.in_thread(lambda: "hash", lambda *outcome: hashed.append(outcome))
        by_address = stage.call_out(place)
        stage.until(lambda: hashed and by_address.told)
        assert by_address.owners
        assert stage.loop.working  # so that the process knows at its end
        assert not any(outcome.told for outcome in hanging)
        slow.go.set()
        stage.until(lambda: not stage.loop.working)
        assert [outcome.reasons for outcome in hanging] == [["Name or service not known"]] * 2
        assert sorted(slow.asked) == ["one", "two"]  # nobody wanted to know the third one any more
    finally:
        slow.go.set()
        stage.close()


def test_a_look_up_that_ends_too_late_is_no_matter(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    _server, place = remote_server(stage)
    slow = SlowNames(stage, monkeypatch, place)
    outcome = stage.call_out(("somewhere", 1), seconds=0.01)
    stage.until(lambda: outcome.told)
    slow.go.set()
    stage.until(lambda: not stage.loop.working)
    stage.turn()
    assert outcome.reasons == ["timed out"]
    assert not outcome.owners
    assert not stage.loop.connections


def test_names_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.dialer.LOOK_UP_QUEUE", 1)
    stage = LoopStage()
    slow = SlowNames(stage, monkeypatch)
    try:
        outcomes = [stage.call_out((name, 1)) for name in ("one", "two")]
        stage.until(lambda: outcomes[1].told)
        assert outcomes[1].reasons == ["too many names are being looked up"]
        assert not outcomes[0].told
        slow.go.set()
        stage.until(lambda: outcomes[0].told)
    finally:
        slow.go.set()
        stage.close()


def test_a_system_without_threads_to_spare_fails_the_dial(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    outcome = stage.call_out(("somewhere", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["can't start new thread"]
    assert not stage.loop.working


def test_a_dial_comes_from_its_source(
    leaving_nothing_open: None, stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, place = remote_server(stage)
    names(monkeypatch, lambda _name: [("::1", 1), place])
    outcome = stage.call_out(("somewhere", 1), source="127.0.0.2")
    stage.until(lambda: outcome.told)
    peer, (address, port) = server.accept()
    stage.keep(peer)
    assert address == "127.0.0.2"
    assert connection_of(outcome.owner).local_address == (address, port)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("::1", "no address of the family of the source"),
        ("192.0.2.1", "Cannot assign requested address"),
        ("localhost", "the source is not an IP address"),
        ("lócal", "the source is not an IP address"),
    ],
)
def test_a_source_from_which_one_cannot_call(
    leaving_nothing_open: None, stage: LoopStage, source: str, reason: str
) -> None:
    _server, place = remote_server(stage)
    outcome = stage.call_out(place, source=source)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == [reason]


class SelfConnecting(socket.socket):
    """A socket to which the kernel gives the very port that it calls."""

    def connect_ex(self, _address: Any) -> int:
        self.bind(("127.0.0.1", 0))
        return super().connect_ex(self.getsockname())


def test_a_connection_to_itself_is_a_refused_one(
    leaving_nothing_open: None, stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sockets_are(monkeypatch, SelfConnecting)
    outcome = stage.call_out(("127.0.0.1", 1))
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["Connection refused"]
    assert [sock.fileno() for sock in made] == [-1]


class Unreachable(socket.socket):
    """A socket whose system knows no way."""

    def connect_ex(self, _address: Any) -> int:
        return errno.ENETUNREACH


class Unsettable(socket.socket):
    """A socket that refuses what it is asked for before it connects."""

    def setblocking(self, _flag: bool) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


class Vanishing(socket.socket):
    """A socket that has lost its peer when it is asked for it."""

    def getpeername(self) -> Any:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))


class Unmade(socket.socket):
    """A socket for which there is no descriptor."""

    def __new__(cls, *_args: Any) -> Unmade:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Unreachable, errno.ENETUNREACH),
        (Unsettable, errno.ENOMEM),
        (Vanishing, errno.ENOTCONN),
        (Unmade, errno.EMFILE),
    ],
)
def test_an_error_of_the_system_fails_the_dial(
    leaving_nothing_open: None,
    stage: LoopStage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[socket.socket],
    error: int,
) -> None:
    _server, place = remote_server(stage)
    made = sockets_are(monkeypatch, kind)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == [os.strerror(error)]
    assert all(sock.fileno() == -1 for sock in made)
    assert caplog.text == ""


@pytest.mark.parametrize("events", [selectors.EVENT_WRITE, selectors.EVENT_READ])
def test_a_selector_without_room_fails_the_dial(
    leaving_nothing_open: None, stage: LoopStage, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    _server, place = remote_server(stage)
    watch = stage.selector.watch

    def full(descriptor: int, wanted: int, ready: Ready) -> None:
        if wanted == events:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        watch(descriptor, wanted, ready)

    monkeypatch.setattr(stage.selector, "watch", full)
    outcome = stage.call_out(place)
    stage.until(lambda: outcome.told)
    assert outcome.reasons == [os.strerror(errno.ENOSPC)]
    assert not stage.loop.connections


def test_who_fails_may_dial_again(stage: LoopStage) -> None:
    _server, place = remote_server(stage)
    outcome = DialOutcome()
    outcome.on_failure = lambda: stage.call_out(place, outcome)
    stage.call_out(closed_place(), outcome)
    stage.until(lambda: outcome.owners)
    assert outcome.reasons == ["Connection refused"]


def test_a_mistake_of_who_dials_leaves_nothing_open(
    leaving_nothing_open: None, stage: LoopStage, caplog: pytest.LogCaptureFixture
) -> None:
    server, place = remote_server(stage)
    stage.loop.dial(*place, source=None, seconds=PATIENCE, connected=raising, failed=raising)
    stage.until(lambda: stage.loop.closed[CloseReason.FAULT])
    assert caplog.text.count("RuntimeError: a mistake") == 1
    assert "AttributeError" not in caplog.text
    assert not stage.loop.connections
    assert stage.keep(server.accept()[0]).recv(1) == b""
    stage.loop.dial(*closed_place(), source=None, seconds=PATIENCE, connected=raising, failed=raising)
    stage.until(lambda: caplog.text.count("RuntimeError: a mistake") == 2)
    assert not stage.loop._dialer.dials


def test_the_kernel_looks_after_a_silent_peer_that_was_dialled() -> None:
    stage = LoopStage(keepalive_seconds=60)
    try:
        _server, place = remote_server(stage)
        outcome = stage.call_out(place)
        stage.until(lambda: outcome.told)
        sock = connection_of(outcome.owner).sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert stage.loop.table._checking
    finally:
        stage.close()


def test_what_is_dialled_takes_no_clients_place_and_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.table.descriptor_ceiling", lambda: 3)
    stage = LoopStage(max_clients=1)
    try:
        _server, place = remote_server(stage)
        address = stage.listen()
        outcomes = [stage.call_out(place)]
        stage.until(lambda: outcomes[0].owners)
        stage.dial(address)
        stage.until(lambda: len(stage.loop.connections) == 2)
        refused = stage.dial(address)
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED])
        assert refused.recv(1) == b""
        outcomes += [stage.call_out(place) for _ in range(2)]
        stage.until(lambda: all(outcome.owners for outcome in outcomes))
        assert len(stage.loop.connections) == 4
    finally:
        stage.close()


def test_drain_gives_up_what_is_being_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()
    stage = LoopStage()
    slow = SlowNames(stage, monkeypatch)
    try:
        _server, place = remote_server(stage)
        silent = silent_place(stage)
        with_servers = open_descriptors()
        outcomes = [stage.call_out(silent), stage.call_out(("somewhere", 1))]
        stage.until(lambda: slow.asked)
        [connecting] = [dial for dial in stage.loop._dialer.dials if dial._sock]
        assert connecting._sock is not None
        late = stage.selector.ready_of(connecting._sock)
        outcomes.append(stage.call_out(place))
        guard = stage.loop.call_later(PATIENCE, lambda: pytest.fail("the loop goes on"))
        stage.loop.drain(10 * PATIENCE)
        late(selectors.EVENT_WRITE)  # which came in the same batch
        outcomes.append(stage.call_out(place))
        assert open_descriptors() == with_servers
        stage.loop.run()
        stage.loop.cancel(guard)
        assert stage.loop.working
        slow.go.set()
        stage.until(lambda: not stage.loop.working)
        assert not any(outcome.told for outcome in outcomes)
        assert not stage.loop._dialer.dials
    finally:
        slow.go.set()
        stage.close()
    assert open_descriptors() == before


def test_close_gives_up_what_is_being_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()
    stage = LoopStage()
    slow = SlowNames(stage, monkeypatch)
    _server, place = remote_server(stage)
    again = DialOutcome()

    class Redialler(Owner):
        def lost(self, reason: CloseReason) -> None:
            stage.call_out(place, again)

    ours, theirs = socket.socketpair()
    stage.keep(theirs)
    stage.loop.connect(ours, Redialler())
    outcomes = [again, stage.call_out(silent_place(stage)), stage.call_out(("somewhere", 1))]
    stage.until(lambda: slow.asked)
    outcomes.append(stage.call_out(place))
    stage.close()
    assert open_descriptors() == before
    assert stage.loop.working
    slow.go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("crosstalk-names"):
            thread.join(PATIENCE)
    assert not any(outcome.told for outcome in outcomes)
    assert not stage.loop._dialer.dials
