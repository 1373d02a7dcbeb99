"""app/monitor.py and what it serves: requests over HTTP, the values of a server, and its health."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.monitor import MAX_REQUEST, Answer, Exchange, answer_to
from app.prometheus import exposition
from app.statistics import METRICS, Family, Histogram, Metric, collect, report
from app.tls import DAY
from harness.peer import PATIENCE, Peer
from net.admin_listener import MAX_OPEN
from net.handshake import ServerHandshake
from net.table import CloseReason
from server import Server
from settings import Listen, Settings
from support.certificates import Authority
from support.examples import EXAMPLES
from support.loop import LoopStage, put
from support.monitored import fetch, status_of, turn
from support.programs import on
from text import utc_time

PAGES = {"/metrics": lambda: Answer(200, "a 1\n"), "/healthz": lambda: Answer(503, "no disk\n")}


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /metrics HTTP/1.1", 200),
        ("GET /metrics HTTP/1.0", 200),
        ("HEAD /metrics HTTP/1.1", 200),
        ("GET /metrics?name=x HTTP/1.1", 200),
        ("GET http://localhost:9464/metrics HTTP/1.1", 200),
        ("GET /healthz HTTP/1.1", 503),
        ("POST /metrics HTTP/1.1", 405),
        ("get /metrics HTTP/1.1", 405),
        ("DELETE /healthz HTTP/1.1", 405),
        ("GET / HTTP/1.1", 404),
        ("GET /metrics/ HTTP/1.1", 404),
        ("GET /../metrics HTTP/1.1", 404),
        ("POST /x HTTP/1.1", 404),
        ("GET /metrics", 400),
        ("GET  /metrics HTTP/1.1", 400),
        ("GET /metrics HTTP/2.0", 400),
        ("GET metrics HTTP/1.1", 400),
        (" GET /metrics HTTP/1.1", 400),
        ("GET /m\u00e9 HTTP/1.1", 400),
        ("GET /metrics HTTP/1.1\nno field", 400),
        ("REGISTER alice secret", 400),
        ("", 400),
    ],
)
def test_what_is_answered(request_line: str, status: int) -> None:
    answer = answer_to(request_line.replace("\n", "\r\n").encode(), PAGES)
    assert status_of(answer) == status
    assert (b"Allow: GET, HEAD\r\n" in answer) == (status == 405)
    assert answer.endswith(b"\r\n\r\n") == request_line.startswith("HEAD")


@EXAMPLES
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_head_is_answered(head: bytes) -> None:
    assert status_of(answer_to(head, PAGES)) in (200, 400, 404, 405, 503)


REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


def exchange(stage: LoopStage, *pieces: bytes, ends: bool = False) -> bytes:
    """Send pieces of a request, each in a turn of its own; return the answer, to the end of the connection."""
    connection, _owner, peer, _sock = stage.pair()
    connection.owner = Exchange(connection, stage.loop, PAGES)
    for piece in pieces:
        put(peer, piece)
        stage.turn()
    if ends:
        peer.shutdown(1)
    answer = b""
    peer.setblocking(False)

    def is_over() -> bool:
        nonlocal answer
        with contextlib.suppress(BlockingIOError):
            while data := peer.recv(4096):
                answer += data
            return True
        return False

    stage.until(is_over)
    peer.close()
    return answer


def test_a_request_may_come_in_any_pieces(stage: LoopStage) -> None:
    whole = exchange(stage, REQUEST)
    assert status_of(whole) == 200
    assert whole.endswith(b"\r\n\r\na 1\n")
    assert exchange(stage, *(bytes([byte]) for byte in REQUEST)) == whole
    assert exchange(stage, REQUEST + REQUEST) == whole
    assert exchange(stage, REQUEST.replace(b"\r\n", b"\n")) == whole
    assert exchange(stage, REQUEST, ends=True) == whole


def test_a_request_has_bounds(stage: LoopStage) -> None:
    field = b"GET /metrics HTTP/1.1\r\nCookie: " + b"x" * MAX_REQUEST
    assert status_of(exchange(stage, field)) == 431
    assert status_of(exchange(stage, field + b"\r\n\r\n")) == 431
    assert status_of(exchange(stage, b"GET /met", ends=True)) == 400
    assert exchange(stage, ends=True) == b""


def test_a_silent_request_is_closed(stage: LoopStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.monitor.REQUEST_SECONDS", 0.0)
    assert exchange(stage, b"GET ") == b""
    assert stage.loop.closed[CloseReason.SILENT] == 1


@contextlib.contextmanager
def monitored(**settings: Any) -> Iterator[Server]:
    """A server in this process, with a port for metrics."""
    more: dict[str, Any] = {"metrics": Listen("127.0.0.1", 0, "metrics"), "database": ":memory:", **settings}
    server = Server(on(0)._replace(**more))
    try:
        yield server
    finally:
        server.loop.close()
        server.store.close()


def test_prometheus_can_read_every_value() -> None:
    ports = (Listen("127.0.0.1", 0, "auto"), Listen("127.0.0.1", 0, "web"))
    with monitored(listen=ports) as server:
        status, body = fetch(server, "/metrics")
        assert status == 200
        families = {family.name: family for family in text_string_to_metric_families(body)}
        wanted = {
            f"crosstalk_{metric.name.removesuffix('_total')}": metric
            for metric in METRICS
            if metric.needs not in ("replica", "tls")
        }
        assert families.keys() == wanted.keys()
        for name, family in families.items():
            assert (family.type, family.documentation) == (wanted[name].type, wanted[name].help)
            assert family.samples or name == "crosstalk_refused"  # nothing was
            for sample in family.samples:
                assert {*sample.labels} - {"le"} == {*wanted[name].labels}


def test_values_are_those_of_the_server() -> None:
    with monitored() as server, Peer(server.port) as alice:
        guard = server.loop.call_later(PATIENCE, lambda: pytest.fail("there is no answer"))
        alice.send("CREATE tea", "HELLO")
        while server.loop.table.sent == 0:
            server.loop.turn()
        server.loop.cancel(guard)
        _status, body = fetch(server, "/metrics")
        for line in (
            "crosstalk_clients 1",
            'crosstalk_sessions{dialect="result"} 1',
            'crosstalk_lines_total{dialect="result"} 2',
            'crosstalk_lines_total{dialect="hello"} 0',
            "crosstalk_commit_seconds_count 0",
            "crosstalk_channels 0",
        ):
            assert f"{line}\n" in body
        _status, body = fetch(server, "/metrics")
        assert 'crosstalk_closed_total{reason="served"} 1\n' in body


def test_connections_that_are_no_sessions_yet_hold_up_no_values(authority: Authority) -> None:
    """A silent client in the handshake of TLS took the values from Prometheus and the operator."""
    certificate = authority.issue()
    ports = [("auto", True), ("web", True), ("web", False), ("auto", False), ("irc", False), ("mailbox", False)]
    with (
        monitored(
            listen=tuple(Listen("127.0.0.1", 0, dialect, tls) for dialect, tls in ports),
            tls_certificate=certificate.path,
            tls_key=certificate.key,
        ) as server,
        contextlib.ExitStack() as silent,
    ):
        for endpoint in server.endpoints:
            for said in (b"", b"\x16\x03", b"GET / HT"):
                peer = silent.enter_context(socket.create_connection(("127.0.0.1", endpoint.port)))
                peer.sendall(said)
        deadline = time.monotonic() + PATIENCE
        while sum(type(getattr(each, "owner", None)) is ServerHandshake for each in server.loop.connections) < 2:
            turn(server)
            assert time.monotonic() < deadline
        status, body = fetch(server, "/metrics")
        assert status == 200
        assert 'crosstalk_sessions{dialect="result"} ' in body
        assert dict(server.statistics())["sessions-hello"] == "0"


def test_a_server_without_a_port_for_browsers_counts_none() -> None:
    with monitored() as server:
        assert "crosstalk_web" not in fetch(server, "/metrics")[1]
        assert not any(name.startswith("web-") for name, _value in server.statistics())


def test_the_end_of_the_certificate_is_told(authority: Authority) -> None:
    """As Prometheus and as an operator read it; also after a reload. Who only trusts others has none."""
    old, new = authority.issue(days=20), authority.issue(days=40)
    name = "crosstalk_certificate_expiry_timestamp_seconds"
    settings = Settings(tls_certificate=old.path, tls_key=old.key)
    with monitored(tls_certificate=old.path, tls_key=old.key) as server:
        assert server.tls is not None
        for days, now in ((20, settings), (40, settings._replace(tls_certificate=new.path, tls_key=new.key))):
            server.tls.load(now)
            _status, body = fetch(server, "/metrics")
            (sample,) = (family for family in text_string_to_metric_families(body) if family.name == name)
            assert abs(sample.samples[0].value - time.time() - days * DAY) < DAY
            assert ("certificate-expires", utc_time(sample.samples[0].value)) in server.statistics()
    with monitored(tls_ca=authority.path) as server:
        assert f"# TYPE {name} gauge\n# " in fetch(server, "/metrics")[1]
        assert "certificate-expires" not in dict(server.statistics())


def test_a_histogram_and_labels_are_written_as_prometheus_reads_them() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.1, 0.05, 0.5, 7.0):
        histogram.note(seconds)
    odd = 'a\\b"c\nd'
    text = exposition(
        [
            Family(Metric("x_seconds", "all\\of\nit", lambda _: 0.0, kind="histogram"), histogram),
            Family(Metric("y", "Y.", lambda _: 0.0, ("one", "two")), {(odd, "z"): 2.5}),
        ]
    )
    x, y = text_string_to_metric_families(text)
    assert {sample.labels.get("le", sample.name): sample.value for sample in x.samples} == {
        "0.1": 2, "1.0": 3, "+Inf": 4, "crosstalk_x_seconds_sum": 7.65, "crosstalk_x_seconds_count": 4,
    }  # fmt: skip
    assert y.samples[0].labels == {"one": odd, "two": "z"}
    assert y.samples[0].value == 2.5


def test_the_log_tells_the_same_values() -> None:
    with monitored() as server:
        (line,) = report(server)
        told = {name.partition("=")[0] for name in str(line).split()[1:]}
        for metric, values in collect(server):
            if metric.word is None or isinstance(values, Histogram) or metric.name.endswith("_seconds"):
                continue
            word = metric.name.removesuffix("_total").replace("_", "-")
            assert {"-".join((word, *labels)) for labels in values} <= told
        assert {"longest-turn-ms", "commits", "mean-commit-ms"} <= told


def test_health_is_that_of_the_disk_although_nobody_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("health") / "my.db"
    with monitored(database=str(path)) as server:
        monkeypatch.setattr("app.health.TRY_SECONDS", 0.0)
        assert fetch(server, "/healthz") == (200, "ok\n")
        database = server.store._db  # as on a full disk: nothing more can be added
        database.execute("PRAGMA query_only = ON")
        status, body = fetch(server, "/healthz")
        assert (status, "cannot be written" in body) == (503, True)
        database.execute("PRAGMA query_only = OFF")
        assert fetch(server, "/healthz") == (200, "ok\n")
        path.rename(path.with_suffix(".away"))
        assert fetch(server, "/healthz")[0] == 503
        path.with_suffix(".away").rename(path)
        assert fetch(server, "/healthz")[0] == 200


def test_the_disk_is_tried_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    with monitored() as server:
        tried: list[object] = []

        def write(changes: object) -> bool:
            tried.append(changes)
            return True

        monkeypatch.setattr(server.store, "write", write)
        monkeypatch.setattr(server.loop, "monotonic", lambda: 100.0 + len(tried) * 0.4)
        for _ in range(5):
            server.health.fault()
        assert tried == [()]


def test_monitoring_is_no_client_and_its_places_are_few() -> None:
    with monitored(max_clients=1) as server, contextlib.ExitStack() as stack:
        assert server.metrics is not None
        stack.enter_context(Peer(server.port))
        _silent = [stack.enter_context(Peer(server.metrics.port)) for _ in range(MAX_OPEN + 3)]
        deadline = time.monotonic() + PATIENCE
        while len(server.loop.connections) < MAX_OPEN + 1:
            turn(server)
            assert time.monotonic() < deadline
        turn(server)
        assert (len(server.loop.connections), server.loop.table.clients) == (MAX_OPEN + 1, 1)
    with monitored(max_clients=1) as server, Peer(server.port):
        assert fetch(server, "/healthz")[0] == 200, "also where no client finds a place"


def test_a_stop_waits_for_no_request(stage: LoopStage) -> None:
    connection, _owner, _peer, _sock = stage.pair()
    connection.owner = visit = Exchange(connection, stage.loop, PAGES)
    visit.drain()
    stage.loop.table.draining = True
    stage.until(lambda: connection not in stage.loop.connections)
