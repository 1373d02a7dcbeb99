"""net/handshake.py: handshakes in the loop, with clients that are well, silent, plain or hostile."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import weakref
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from harness.peer import PATIENCE
from net import handshake
from net.connection import Connection
from net.handshake import Handshake, ServerHandshake, secured
from net.table import CloseReason
from net.tls import READ_SIZE, TlsEnd, TlsSocket, server_context
from support.certificates import Authority, Certificate, TlsPeer
from support.loop import DialOutcome, LoopStage, Owner, ScriptedSocket, connection_of, staged

pytestmark = pytest.mark.usefixtures("no_mistake_is_only_logged")


REFUSAL = b"with TLS, please\n"


@pytest.fixture
def server(stage: LoopStage, certificate: Certificate) -> TlsServer:
    return TlsServer(stage, server_context(*certificate))


class TlsServer:
    """A listener for TLS, and the owners after the handshakes."""

    def __init__(self, stage: LoopStage, context: ssl.SSLContext, seconds: float = PATIENCE) -> None:
        self.stage = stage
        self.context = context
        self.owners: list[Owner] = []
        self.address = stage.listen(secured(stage.loop, lambda: self.context, lambda: seconds, self._accepted, REFUSAL))

    def _accepted(self, connection: Connection) -> Owner:
        self.owners.append(Owner(connection))
        return self.owners[-1]

    def peer(self, authority: Authority) -> TlsPeer:
        """Return a client that has connected and not begun."""
        return TlsPeer(self.stage.dial(self.address), authority.context())

    def client(self, authority: Authority) -> tuple[TlsPeer, Owner]:
        """Return a client after its handshake, and its owner."""
        peer, before = self.peer(authority), len(self.owners)
        self.until(peer, lambda: peer.is_open and len(self.owners) > before)
        return peer, self.owners[-1]

    def until(self, peer: TlsPeer, condition: Callable[[], object]) -> None:
        """Turn, and let the peer go on, until a condition is true."""

        def met() -> object:
            peer.step()
            return condition()

        self.stage.until(met)


def test_bytes_travel_both_ways(server: TlsServer, authority: Authority) -> None:
    peer, owner = server.client(authority)
    connection = connection_of(owner)
    assert connection.is_secure
    text = bytes(range(256)) * 1000
    peer.send(text[:40_000])
    server.until(peer, lambda: owner.data == text[:40_000])
    connection.send(text)
    server.until(peer, lambda: peer.received == text)
    for number in range(2):  # also after it was blocked, and in a row with others
        server.stage.loop.audience([connection]).send(b"more")
        server.until(peer, lambda number=number: peer.received == text + b"more" * (number + 1))  # type: ignore[misc]
    connection.finish()
    server.until(peer, lambda: peer.ended)
    peer.socket.close()
    server.stage.until(lambda: owner.lost_for)
    assert owner.lost_for == [CloseReason.GOODBYE]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_handshake_and_the_first_line_in_pieces(server: TlsServer, authority: Authority, size: int) -> None:
    peer = server.peer(authority)
    first = True
    while not (server.owners and server.owners[0].data):
        peer.is_open = peer.is_open or peer.end.handshake()
        data = peer.end.output()
        if peer.is_open and first:
            first = False
            peer.end.encrypt(b"with the last flight\n")
            data += peer.end.output()
        for start in range(0, len(data), size):
            peer.socket.send(data[start : start + size])
            server.stage.turn()
        server.stage.turn()
        with contextlib.suppress(BlockingIOError):
            peer.end.feed(peer.socket.recv(READ_SIZE))
    server.stage.until(lambda: server.owners[0].data == b"with the last flight\n")


def test_a_greeting_follows_the_handshake(stage: LoopStage, certificate: Certificate, authority: Authority) -> None:
    server = TlsServer(stage, server_context(*certificate))
    owners: list[Owner] = []

    def greet(connection: Connection) -> Owner:
        connection.send(b"welcome\n")
        owners.append(Owner(connection))
        return owners[-1]

    address = stage.listen(secured(stage.loop, lambda: server.context, lambda: PATIENCE, greet, REFUSAL))
    peer = TlsPeer(stage.dial(address), authority.context())
    server.until(peer, lambda: peer.received == b"welcome\n")


def test_half_a_close_leaves_the_answers(server: TlsServer, authority: Authority) -> None:
    peer, owner = server.client(authority)
    peer.send(b"last words")
    peer.end.end()
    peer.put(peer.end.output())
    server.until(peer, lambda: "ended" in owner.told)
    assert owner.data == b"last words"
    connection_of(owner).send(b"an answer")
    connection_of(owner).finish()
    server.until(peer, lambda: peer.ended)
    assert peer.received == b"an answer"


def test_a_connection_that_is_cut_off_is_lost(server: TlsServer, authority: Authority) -> None:
    """Nobody may cut a last line short."""
    peer, owner = server.client(authority)
    peer.send(b"a line\nhalf a li")
    peer.socket.shutdown(socket.SHUT_WR)
    server.stage.until(lambda: owner.lost_for)
    assert (owner.lost_for, owner.told, owner.data) == ([CloseReason.LOST], [], b"a line\nhalf a li")


def test_a_last_answer_leaves_although_the_client_was_cut_off(server: TlsServer, authority: Authority) -> None:
    peer, owner = server.client(authority)
    peer.send(b"QUIT\n")
    server.stage.until(lambda: owner.data)
    connection, sent = connection_of(owner), 0
    while not connection.has_output:
        connection.send(b"x" * 500_000)
        sent += 500_000
        server.stage.turn()
    connection.finish()
    peer.socket.shutdown(socket.SHUT_WR)
    for _ in range(3):
        server.stage.turn()
    server.until(peer, lambda: peer.ended)
    assert (len(peer.received), peer.error) == (sent, None)


def test_the_end_waits_until_the_kernel_takes_it(
    stage: LoopStage, certificate: Certificate, authority: Authority
) -> None:
    ours, theirs = socket.socketpair()
    scripted, end = ScriptedSocket(ours), TlsEnd(server_context(*certificate))
    peer = TlsPeer(stage.keep(theirs), authority.context())
    while not (end.handshake() and peer.is_open):
        peer.step()
        with contextlib.suppress(BlockingIOError):
            scripted.setblocking(False)
            end.feed(scripted.recv(READ_SIZE))
        theirs.setblocking(False)
        scripted.send(end.output())
    scripted.send(end.output())
    owner = Owner()
    connection = stage.loop.connect(TlsSocket(scripted, end), owner)
    connection.send(b"bye")
    scripted.takes = [1000, 0, 5, 0, 1000]
    connection.finish()

    def heard() -> bool:
        peer.step()
        return peer.ended

    stage.until(heard)
    assert (peer.received, peer.error, scripted.takes) == (b"bye", None, [])


def test_input_waits_while_reading_is_paused(server: TlsServer, authority: Authority) -> None:
    """Also the end, which came in one piece with data and has no event of its own."""
    peer, owner = server.client(authority)
    connection = connection_of(owner)
    owner.on_data = lambda _data: connection.pause_reading()
    peer.end.encrypt(b"data")
    data = peer.end.output()
    peer.end.end()
    peer.put(data + peer.end.output())
    server.stage.until(lambda: owner.data)
    for _ in range(3):
        server.stage.turn()
    assert owner.told == []
    connection.resume_reading()
    server.stage.until(lambda: owner.told == ["ended"])


def test_a_slow_reader_is_congested_and_closed_at_its_limit(certificate: Certificate, authority: Authority) -> None:
    with staged(max_out_buffer=1024 * 1024) as stage:
        server = TlsServer(stage, server_context(*certificate))
        _peer, owner = server.client(authority)
        connection = connection_of(owner)
        while not owner.lost_for:
            connection.send(b"x" * 100_000)
            stage.turn()
            assert stage.loop.table.buffers.total <= 1024 * 1024 + 200_000
        assert owner.lost_for == [CloseReason.SLOW_READER]
        assert stage.loop.table.buffers.total == 0


def test_receipts_and_streams_wait_for_their_bytes(server: TlsServer, authority: Authority) -> None:
    peer, owner = server.client(authority)
    connection = connection_of(owner)
    receipts: list[bool] = []
    connection.stream(iter([b"a" * 2_000_000, b"b" * 2_000_000]))
    connection.send_with_receipt(b"c", receipts.append)
    connection.send(b"d")
    for _ in range(5):
        server.stage.turn()
    assert receipts == [] and connection.congested
    server.until(peer, lambda: len(peer.received) == 4_000_002)
    assert peer.received == b"a" * 2_000_000 + b"b" * 2_000_000 + b"cd"
    assert receipts == [True]
    assert "drained" in owner.told


# ---- peers that are not well ----


@pytest.mark.parametrize("first", [b"PING\n", b"\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\x80\x2e\x01"])
def test_a_plain_client_is_told_what_to_do(server: TlsServer, first: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    peer = server.stage.dial(server.address)
    peer.send(first)
    server.stage.until(lambda: caplog.messages)
    server.stage.turn()
    assert peer.recv(1000) == REFUSAL
    assert peer.recv(1) == b""
    assert [message.partition(": ")[2] for message in caplog.messages] == ["it speaks plain text at a port for TLS"]
    peer.close()
    server.stage.until(lambda: not server.stage.loop.connections)
    assert server.stage.loop.closed[CloseReason.HANDSHAKE] == 1


def test_a_silent_client_is_told_the_same(stage: LoopStage, certificate: Certificate) -> None:
    """It may be a plain one that waits for a greeting."""
    server = TlsServer(stage, server_context(*certificate), seconds=0.01)
    peer = stage.dial(server.address)
    stage.until(lambda: stage.loop.connections)
    (connection,) = stage.loop.connections
    stage.until(lambda: connection.owner._is_over)  # type: ignore[attr-defined]
    stage.turn()
    assert peer.recv(1000) == REFUSAL


def test_a_handshake_that_stands_still_ends(
    stage: LoopStage, certificate: Certificate, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server = TlsServer(stage, server_context(*certificate), seconds=0.05)
    peer = server.peer(authority)
    peer.end.handshake()
    peer.put(peer.end.output()[:50])
    peer.socket.settimeout(PATIENCE)
    stage.until(lambda: "no TLS handshake within 0.05 seconds" in caplog.text)
    stage.turn()
    assert peer.socket.recv(1) == b""
    assert server.owners == []


def test_a_thousand_silent_peers_cost_a_connection_each_and_hold_up_nobody(
    certificate: Certificate, authority: Authority
) -> None:
    with staged(max_clients=1100) as stage:
        server = TlsServer(stage, server_context(*certificate))
        silent: list[socket.socket] = []
        for count in range(100, 1001, 100):  # no more at once than the listener's backlog has places
            silent += [stage.dial(server.address) for _ in range(100)]
            stage.until(lambda count=count: len(stage.loop.connections) == count)  # type: ignore[misc]
        assert all(connection.owner._end is None for connection in stage.loop.connections)  # type: ignore[attr-defined]
        peer, owner = server.client(authority)
        peer.send(b"hello")
        server.until(peer, lambda: owner.data == b"hello")
        for sock in silent:
            sock.close()
        stage.until(lambda: len(stage.loop.connections) == 1)


def test_handshakes_share_the_turns_with_all_other_work(
    server: TlsServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that has used up its time leaves the next handshakes to the turns after it."""
    peer, owner = server.client(authority)
    beginners = [server.peer(authority) for _ in range(20)]
    server.stage.until(lambda: len(server.stage.loop.connections) == 21)
    for beginner in beginners:
        beginner.step()
    peer.send(b"hello")
    steps: list[int] = []
    real = ServerHandshake.received

    def slow(self: ServerHandshake, data: bytes) -> None:
        real(self, data)
        steps[-1] += 1

    monkeypatch.setattr(ServerHandshake, "received", slow)
    monkeypatch.setattr("net.reactor.SERVE_SECONDS", 1e-9)
    while not owner.data:
        steps.append(0)
        server.stage.turn()
    assert max(steps) <= 1, "handshakes in one turn"
    assert len(steps) <= 21


def test_a_peer_that_goes_in_the_handshake(server: TlsServer, authority: Authority) -> None:
    for cut in (0, 1, 60):
        peer = server.peer(authority)
        peer.end.handshake()
        peer.put(peer.end.output()[:cut])
        server.stage.until(lambda: server.stage.loop.connections)
        peer.socket.close()
        server.stage.until(lambda: not server.stage.loop.connections)
    assert sum(server.stage.loop.closed.values()) == 3
    assert server.owners == []


@pytest.mark.parametrize("kind", ["established", "cut off", "plain", "garbage"])
def test_nothing_of_an_ended_connection_waits_for_the_garbage_collector(
    server: TlsServer, authority: Authority, kind: str
) -> None:
    """It runs rarely, so what waits for it would be a leak under a flood of connections."""
    gc.collect()
    gc.disable()
    try:
        peer = server.peer(authority)
        server.stage.until(lambda: server.stage.loop.connections)
        (connection,) = server.stage.loop.connections
        left = [weakref.ref(connection.owner)]
        match kind:
            case "plain":
                peer.socket.send(b"PING\n")
            case "garbage":
                peer.socket.send(b"\x16\x03\x01\x00\x10" + b"x" * 16)
            case _:
                server.until(peer, lambda: peer.is_open and server.owners)
                left.append(weakref.ref(connection._wire._end._session))  # type: ignore[attr-defined]
                if kind == "cut off":
                    peer.put(b"\x17\x03\x03\x00\x10" + b"x" * 16)
        for _ in range(3):
            server.stage.turn()
        peer.socket.close()
        server.stage.until(lambda: not server.stage.loop.connections)
        server.owners.clear()
        del connection
        assert [reference() for reference in left] == [None] * len(left)
    finally:
        gc.enable()


def test_a_fault_of_the_owner_closes_the_connection(
    stage: LoopStage, certificate: Certificate, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_connection: Connection) -> Owner:
        raise RuntimeError("no owner")

    context = server_context(*certificate)
    address = stage.listen(secured(stage.loop, lambda: context, lambda: PATIENCE, fail, REFUSAL))
    peer = TlsPeer(stage.dial(address), authority.context())

    def over() -> object:
        peer.step()
        return stage.loop.closed[CloseReason.FAULT]

    stage.until(over)
    caplog.clear()  # the fault is logged


# ---- another certificate ----


def test_a_new_certificate_under_load_drops_no_connection(server: TlsServer, authority: Authority) -> None:
    """Those who are there keep the old one, those who come see the new one, those between finish with theirs."""
    old = [server.client(authority) for _ in range(5)]
    between = server.peer(authority)
    between.step()
    server.stage.turn()
    server.context = server_context(*authority.issue("DNS:new.example"))
    server.until(between, lambda: between.is_open)
    late = TlsPeer(server.stage.dial(server.address), authority.context(), "new.example")
    server.until(late, lambda: late.is_open)
    for number, (peer, owner) in enumerate(old):
        peer.send(b"%d" % number)
        server.until(peer, lambda owner=owner, number=number: owner.data == b"%d" % number)  # type: ignore[misc]
    assert not any(owner.lost_for for owner in server.owners)


# ---- dialling ----


def dial(server: TlsServer, authority: Authority, name: str, seconds: float = PATIENCE) -> DialOutcome:
    outcome = DialOutcome()
    context = authority.context()
    handshake.dial(
        server.stage.loop, lambda: context, *server.address,
        name=name, source=None, seconds=seconds, connected=outcome.connected, failed=outcome.failed,
    )  # fmt: skip
    return outcome


def test_a_dialled_server_proves_its_name(server: TlsServer, authority: Authority) -> None:
    for name in ("localhost", "127.0.0.1"):
        outcome = dial(server, authority, name)
        server.stage.until(lambda outcome=outcome: outcome.told)  # type: ignore[misc]
        connection = connection_of(outcome.owner)
        connection.send(b"hi")
        server.stage.until(lambda: server.owners and server.owners[-1].data == b"hi")


@pytest.mark.parametrize("name", ["other.example", "", ".x", "a..b", "x" * 300])
def test_a_server_of_another_name_is_refused(server: TlsServer, authority: Authority, name: str) -> None:
    outcome = dial(server, authority, name)
    server.stage.until(lambda: outcome.told)
    server.stage.until(lambda: not server.stage.loop.connections)
    assert outcome.owners == server.owners == []
    (reason,) = outcome.reasons
    assert reason.startswith("the certificate is not accepted: Hostname mismatch") == (name == "other.example")


def test_the_next_address_is_tried_when_a_handshake_fails(
    stage: LoopStage, server: TlsServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it stands still: no address has all the time."""
    silent = stage.listen(Owner)
    plain = stage.listen(lambda connection: (connection.send(b"welcome\n"), Owner(connection))[1])  # type: ignore[func-returns-value]
    places = [plain, silent, server.address, plain]

    def resolved(_host: str, _port: int, *, numeric: bool = False) -> list[tuple[int, tuple[str, int]]]:
        if numeric:
            raise OSError
        return [(socket.AF_INET, place) for place in places]

    monkeypatch.setattr("net.dialer.resolve", resolved)
    outcome = dial(server, authority, "localhost", seconds=1)
    stage.until(lambda: outcome.told)
    assert connection_of(outcome.owner).remote_address == server.address
    places = [plain, plain]
    outcome = dial(server, authority, "localhost")
    stage.until(lambda: outcome.told)
    assert (outcome.reasons, outcome.owners) == (["no TLS is spoken there"], [])
    places = [silent, plain]
    outcome = dial(server, authority, "localhost")
    stage.until(lambda: len(stage.loop.connections) > 4)
    stage.loop.drain(PATIENCE)
    for connection in list(stage.loop.connections):
        connection.close(CloseReason.SHUTDOWN)
    stage.until(lambda: not stage.loop.connections)
    assert not outcome.told


def test_a_plain_server_is_told_apart(stage: LoopStage, server: TlsServer, authority: Authority) -> None:
    def greet(connection: Connection) -> Owner:
        connection.send(b"welcome\n")
        return Owner(connection)

    server.address = stage.listen(greet)
    outcome = dial(server, authority, "localhost")
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["no TLS is spoken there"]


def test_a_server_that_says_nothing_is_given_up(stage: LoopStage, server: TlsServer, authority: Authority) -> None:
    server.address = stage.listen(Owner)
    outcome = dial(server, authority, "localhost", seconds=0.05)
    stage.until(lambda: outcome.told)
    assert outcome.reasons[0].startswith("no TLS handshake within 0.0")


@pytest.mark.parametrize(("seconds", "words"), [(9.99959, "10"), (10, "10"), (5.003, "5"), (0.05, "0.05")])
def test_the_time_that_a_dial_has_left_is_told_in_whole_seconds(seconds: float, words: str) -> None:
    """Each other reason would be a line of the log at each dial (L48)."""
    failed: list[str] = []
    handshake = Handshake(Mock(), Mock(), seconds, Mock(), failed.append)
    handshake._timed_out()
    assert failed == [f"no TLS handshake within {words} seconds"]


def test_a_server_that_closes_is_given_up(stage: LoopStage, server: TlsServer, authority: Authority) -> None:
    def close(connection: Connection) -> Owner:
        connection.finish()
        return Owner(connection)

    server.address = stage.listen(close)
    outcome = dial(server, authority, "localhost")
    stage.until(lambda: outcome.told)
    assert outcome.reasons == ["the connection was closed during the TLS handshake"]
