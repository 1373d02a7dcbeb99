"""net/listener.py: accepting, refusing, pausing."""

from __future__ import annotations

import errno
import os
import socket
from selectors import EVENT_READ
from typing import Any

import pytest

from harness.peer import PATIENCE
from harness.text import LOOPBACK
from net.connection import Connection
from net.listener import Listener, bound_socket, listen
from net.table import CloseReason
from support.loop import LoopStage, Owner, connection_of, put, staged


@pytest.fixture(autouse=True)
def time_to_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns of these tests have time for all that wait, also on a busy machine."""
    monkeypatch.setattr("net.listener.ACCEPT_SECONDS", PATIENCE)


def test_a_message_does_not_wait_for_an_acknowledgement(stage: LoopStage) -> None:
    (owner,), _peers = stage.accept()
    sock = connection_of(owner).sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not sock.getblocking()


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="a system that does not tell")
@pytest.mark.parametrize(("seconds", "longest"), [(60, 60), (7, 7), (1, 4), (32767, 32767)])
def test_the_kernel_looks_after_silent_peers(seconds: int, longest: int) -> None:
    stage = LoopStage(keepalive_seconds=seconds)
    (owner,), _peers = stage.accept()
    sock = connection_of(owner).sock

    def option(name: str) -> int:
        return sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    silence = option("TCP_KEEPIDLE") + option("TCP_KEEPCNT") * option("TCP_KEEPINTVL")
    assert seconds <= silence <= longest
    stage.close()


def test_without_keepalive_the_kernel_is_left_alone(stage: LoopStage) -> None:
    (owner,), _peers = stage.accept()
    sock = connection_of(owner).sock
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_all_that_wait_are_accepted_in_one_turn(stage: LoopStage) -> None:
    address = stage.listen()
    for _ in range(10):
        stage.dial(address)
    stage.until(lambda: stage.loop.connections)
    assert len(stage.loop.connections) == 10


@pytest.mark.parametrize(
    ("bound", "value", "counts"), [("ACCEPTS_PER_TURN", 3, [3, 6, 9, 10]), ("ACCEPT_SECONDS", 0.0, [1, 2, 3])]
)
def test_a_flood_of_connections_shares_its_turns(
    bound: str, value: float, counts: list[int], stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"net.listener.{bound}", value)
    address = stage.listen()
    for _ in range(counts[-1]):
        stage.dial(address)
    seen = []
    while len(stage.loop.connections) < counts[-1]:
        stage.loop.turn()
        seen.append(len(stage.loop.connections))
    assert seen == counts


def test_more_clients_than_the_setting_allows_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    stage = LoopStage(max_clients=2)
    try:
        address = stage.listen()
        first, _second, third = (stage.dial(address) for _ in range(3))
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED])
        assert third.recv(1) == b""
        assert len(stage.loop.connections) == 2 == stage.loop.client_ceiling
        assert "max-clients" in caplog.text
        first.close()
        for connection in stage.loop.connections:
            assert isinstance(connection.owner, Owner)
            connection.owner.ended = connection.finish  # type: ignore[method-assign]
        stage.until(lambda: len(stage.loop.connections) == 1)
        stage.dial(address)
        stage.until(lambda: len(stage.loop.connections) == 2)
    finally:
        stage.close()


def nobody(_address: str) -> bool:
    """No address is exempt."""
    return False


def test_one_address_has_a_share_of_the_clients(caplog: pytest.LogCaptureFixture) -> None:
    """C19."""
    with staged(max_clients=8, address_share=25, is_exempt=nobody) as stage:
        address = stage.listen()
        peers = [stage.dial(address) for _ in range(3)]
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED] == 1)
        assert peers[2].recv(1) == b""
        assert (
            "limit reason=max-address-share address=127.0.0.1 (refused: 2 clients are connected from 127.0.0.1)"
            in caplog.text
        )
        assert stage.loop.table.clients_at == {"127.0.0.1": 2}
        for connection in list(stage.loop.connections):
            connection.close(CloseReason.PEER)
        stage.until(lambda: not stage.loop.connections)
        assert not stage.loop.table.clients_at
        stage.dial(address)
        stage.until(lambda: stage.loop.connections)


def test_this_machine_has_no_share_and_no_time_to_log_in() -> None:
    with staged(max_clients=8, address_share=1, login_seconds=1) as stage:
        owners, _peers = stage.accept(8)
        assert not stage.loop.table.clients_at
        assert stage.loop._deadlines.nearest() is None
        assert all(connection_of(owner)._login is None for owner in owners)


def test_a_client_that_says_nothing_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """C18."""
    caplog.set_level("INFO")
    with staged(login_seconds=0.05, is_exempt=nobody) as stage:
        (silent, other), (peer, _other) = stage.accept(2)
        connection_of(other).note_first_line()
        put(peer, b"no whole line")
        stage.until(lambda: silent.lost_for)
        assert silent.lost_for == [CloseReason.SILENT]
        assert (
            "limit reason=login-seconds address=127.0.0.1 (has not begun a session within 0.05 seconds)" in caplog.text
        )
        assert other.lost_for == []
        assert stage.loop._deadlines.nearest() is None


def test_the_login_time_out_stands_still_while_it_is_held() -> None:
    """(I5)"""
    with staged(login_seconds=1000, is_exempt=nobody) as stage:
        (owner, other), _peers = stage.accept(2)
        connection, deadlines = connection_of(owner), stage.loop._deadlines
        connection_of(other).note_first_line()
        first = deadlines.nearest()
        assert first is not None
        began = stage.loop.monotonic()
        connection.hold_login_timeout()
        connection.hold_login_timeout()
        assert deadlines.nearest() is None
        stage.turn()
        connection.resume_login_timeout()
        held = stage.loop.monotonic() - began
        resumed = deadlines.nearest()
        assert resumed is not None
        assert 0 < resumed - first <= held
        connection.resume_login_timeout()
        assert deadlines.nearest() == resumed
        connection.hold_login_timeout()
        connection.note_first_line()
        connection.resume_login_timeout()
        assert deadlines.nearest() is None
        connection_of(other).hold_login_timeout()
        connection_of(other).resume_login_timeout()
        assert deadlines.nearest() is None


def test_a_login_time_out_that_goes_on_closes() -> None:
    """C18, (I5)"""
    with staged(login_seconds=0.05, is_exempt=nobody) as stage:
        (owner,), _peers = stage.accept()
        connection_of(owner).hold_login_timeout()
        connection_of(owner).resume_login_timeout()
        stage.until(lambda: owner.lost_for)
        assert owner.lost_for == [CloseReason.SILENT]


def test_a_client_that_leaves_before_its_first_line_leaves_no_deadline() -> None:
    with staged(login_seconds=1000, is_exempt=nobody) as stage:
        (owner,), _peers = stage.accept()
        assert stage.loop._deadlines.nearest() is not None
        connection_of(owner).close(CloseReason.PEER)
        stage.turn()
        assert stage.loop._deadlines.nearest() is None


def test_a_listener_waits_at_the_descriptor_ceiling(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("net.table.descriptor_ceiling", lambda: 2)
    stage = LoopStage()
    try:
        owners: list[Owner] = []

        def accepted(connection: Connection) -> Owner:
            owners.append(Owner(connection))
            return owners[-1]

        address = stage.listen(accepted)
        peers = [stage.dial(address) for _ in range(4)]
        stage.until(lambda: "every descriptor" in caplog.text)
        for _ in range(3):
            stage.turn()
        assert len(owners) == 2
        assert caplog.text.count("every descriptor") == 1
        put(peers[3], b"waited")
        for number in (0, 1):
            connection = owners[number].connection
            assert connection is not None
            connection.close(CloseReason.GOODBYE)
        stage.until(lambda: len(owners) == 4 and owners[3].data)
        assert owners[3].data == b"waited"
        assert CloseReason.REFUSED not in stage.loop.closed
    finally:
        stage.close()


class FullTable(socket.socket):
    """A listening socket in a process that runs out of descriptors."""

    failures = 0
    error = errno.EMFILE

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(self.error, os.strerror(self.error))
        return super().accept()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_listener_tries_again_when_descriptors_run_out(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    monkeypatch.setattr("net.listener.ACCEPT_RETRY_SECONDS", 0.01)
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    sock = FullTable(fileno=listening.detach())
    sock.failures, sock.error = 2, error
    stage.loop.listen(sock, Owner)
    stage.dial(address)
    stage.until(lambda: stage.loop.connections)
    assert caplog.text.count("accept paused") == 2


@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.EINTR])
def test_a_client_that_is_gone_before_it_is_accepted_is_no_matter(
    stage: LoopStage, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    sock = FullTable(fileno=listening.detach())
    sock.failures, sock.error = 1, error
    stage.loop.listen(sock, Owner)
    stage.dial(address)
    stage.until(lambda: stage.loop.connections)
    assert caplog.text == ""


def test_a_closed_listener_refuses_and_a_paused_one_can_be_closed(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.listener.ACCEPT_RETRY_SECONDS", 0.01)
    address = stage.listen()
    listening = socket.create_server(("127.0.0.1", 0))
    paused_address = listening.getsockname()
    sock = FullTable(fileno=listening.detach())
    sock.failures = 1
    stage.loop.listen(sock, Owner)
    stage.dial(paused_address)
    stage.until(lambda: not sock.failures)
    stage.loop.stop_listening()
    for closed in (address, paused_address):
        with pytest.raises(ConnectionError):
            socket.create_connection(closed, PATIENCE)
    passed: list[bool] = []
    stage.loop.call_later(0.02, lambda: passed.append(True))
    stage.until(lambda: passed)
    assert not stage.loop.connections


def test_where_no_socket_serves_both_families_ipv4_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with bound_socket(None, 0) as sock:
        assert sock.family == socket.AF_INET
        socket.create_connection(("127.0.0.1", sock.getsockname()[1])).close()


@pytest.mark.parametrize("address", [LOOPBACK, None, "0.0.0.0", "::"])
def test_a_reserved_port_refuses_until_it_listens(address: str | None) -> None:
    sock = bound_socket(address, 0, listening=False)
    port = sock.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), 5)
    listen(sock)
    socket.create_connection(("::1" if address == "::" else LOOPBACK, port), 5).close()
    with pytest.raises(OSError, match="in use"):
        bound_socket(address, port, listening=False)
    sock.close()


def test_an_event_from_before_it_was_closed_is_stale(stage: LoopStage, caplog: pytest.LogCaptureFixture) -> None:
    """As when a client that was served earlier in the turn has shut the server down."""
    listener = Listener(stage.loop.table, bound_socket(LOOPBACK, 0), lambda _connection: pytest.fail("accepted"))
    listener.close()
    listener(EVENT_READ)
    assert not caplog.records
    assert not stage.loop.connections


@pytest.mark.parametrize(
    ("limits", "reason", "admitted"),
    [
        ({"address_connections": 2}, "max-address-connections", 2),
        ({"address_share": 10, "max_clients": 30, "address_connections": 20}, "max-address-share", 3),
        ({"connection_rate": 4}, "connection-rate", 4),
    ],
)
def test_a_refusal_for_the_address_is_counted_and_logged_with_its_reason(
    limits: dict[str, int], reason: str, admitted: int, caplog: pytest.LogCaptureFixture
) -> None:
    """C19, C60."""
    with staged(is_exempt=nobody, **limits) as stage:
        address = stage.listen()
        for _ in range(admitted + 2):
            stage.dial(address)
        stage.until(lambda: stage.loop.closed[CloseReason.REFUSED] == 2)
        assert len(stage.loop.connections) == admitted
        assert stage.loop.table.limits.counts == {reason: 2}
        refused = [record for record in caplog.records if record.name == "crosstalk.limits"]
        assert [record.getMessage().split(" (")[0] for record in refused] == [
            f"limit reason={reason} address=127.0.0.1"
        ] * 2
        assert [vars(record)["connection"] for record in refused] == [admitted + 1, admitted + 2]


def test_a_client_behind_a_proxy_is_refused_with_the_same_reason(caplog: pytest.LogCaptureFixture) -> None:
    """(C19, W5)"""
    with staged(is_exempt=lambda address: address.startswith("127."), address_connections=1) as stage:
        owners, _peers = stage.accept(2)
        one, other = (connection_of(owner) for owner in owners)
        assert one.recount_for("198.51.100.7")
        assert not other.recount_for("198.51.100.7")
        assert stage.loop.table.limits.counts == {"max-address-connections": 1}
        (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert record.getMessage() == (
            "limit reason=max-address-connections address=198.51.100.7"
            " (refused: 1 clients are connected from 198.51.100.7)"
        )
        assert record.connection == other.number  # type: ignore[attr-defined]
        assert other.recount_for("198.51.100.8")


def test_refusals_share_their_turns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.listener.REFUSALS_PER_TURN", 3)
    with staged(is_exempt=nobody, address_connections=1) as stage:
        address = stage.listen()
        for _ in range(11):
            stage.dial(address)
        counts = []
        while stage.loop.closed[CloseReason.REFUSED] < 10:
            stage.loop.turn()
            counts.append(stage.loop.closed[CloseReason.REFUSED])
        assert [count for count in counts if count] == [3, 6, 9, 10]


def test_exempt_addresses_have_no_limits_of_addresses() -> None:
    with staged(address_connections=1, connection_rate=1, address_share=1, max_clients=9, login_seconds=1) as stage:
        owners, _peers = stage.accept(5)
        assert len(owners) == 5
        assert not stage.loop.table.limits.counts


def test_limits_of_addresses_can_change_while_clients_are_connected() -> None:
    with staged(is_exempt=nobody, address_connections=1) as stage:
        address = stage.listen()
        stage.dial(address)
        stage.until(lambda: stage.loop.connections)
        table = stage.loop.table
        limits: dict[str, Any] = {"address_share": 100, "address_connections": 3, "connection_rate": 100}
        limits |= {"max_out_buffer": 1 << 20, "max_buffers": None, "stall_seconds": 30.0, "login_seconds": 0}
        table.set_limits(max_clients=None, **limits)
        for _ in range(2):
            stage.dial(address)
        stage.until(lambda: len(stage.loop.connections) == 3)
        table.set_limits(max_clients=2, **limits)
        stage.dial(address)
        stage.until(lambda: table.limits.counts["max-clients"] == 1)
        assert len(stage.loop.connections) == 3
