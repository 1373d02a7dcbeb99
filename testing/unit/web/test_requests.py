"""web/requests.py and the answers of web/gateway.py: every row of W2 to W5, whole and byte by byte."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.table import CloseReason
from support.web import ANYBODY, HANDSHAKE, Desk, head
from web.gateway import HEAD_SECONDS
from web.requests import MAX_HEAD, Authority, Rules, parse_authority, parse_origin

NAMED = Rules(frozenset({"chat.example"}), frozenset(filter(None, [parse_origin("https://other.example")])), [])
PROXIED = NAMED._replace(proxies=[ipaddress.ip_network("10.0.0.0/8")])


def status(data: bytes, desk: Desk) -> int:
    """Return the status of the answer; 0 if the connection ends without one, -1 if more is awaited."""
    desk.feed(data)
    answer = desk.answer()
    if answer is not None:
        assert answer.status_code == 101 or desk.connection.finished
        return answer.status_code
    return 0 if desk.connection.is_over else -1


REQUESTS = [
    (head(), 200),
    (head(target="/?from=a-friend"), 200),
    (head("X-Anything: at all", "Accept: */*"), 200),
    (head(target="/healthz"), 200),
    (head(target="/nothing"), 404),
    (head(target="//"), 404),
    (head(target="/../"), 404),
    (head(target="/favicon.ico"), 404),
    (head(target="http://localhost/"), 404),
    (head(target="*"), 404),
    (head(method="POST"), 405),
    (head(method="HEAD"), 405),
    (head(method="OPTIONS", target="*"), 405),
    (head("Content-Length: 5", method="POST"), 405),
    (head("Content-Length: 5"), 413),
    (head("Content-Length: 0"), 200),
    (head("Content-Length: 0", "Content-Length: 5"), 413),
    (head("Content-Length: -1"), 413),
    (head("Transfer-Encoding: chunked"), 413),
    (head().replace(b"/1.1", b"/1.0"), 505),
    (head().replace(b"/1.1", b"/2.0"), 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    (head(f"X: {'x' * MAX_HEAD}"), 431),
    (b"GET /" + b"x" * MAX_HEAD, 431),
    (head(*["X: y"] * 101), 431),
    (head(f"X: {'x' * 8100}"), 431),
    (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    (b"LOGIN ann secret\r\n", 400),
    (b"NICK ann\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\n\r\n", 400),
    (b"\r\n" + head(), 400),
    (b"\x16\x03\x01\x02\x00\x01\n", 0),
    (b"\x16\x03\x01\x02\x00\x01\x00", 0),
    (b"\x16\x03", 0),
    (b"\x16", -1),
    (head("no colon"), 400),
    (head("Name : value"), 400),
    (head(" folded: line"), 400),
    (head("X: a\rb"), 400),
    (head("X: a\0b"), 400),
    (head("X: \xe4"), 200),
    (head() + b"GET / HTTP/1.1\r\n", 0),
    (head() + b"x", 0),
    (head(*HANDSHAKE) + b"\x81\x80\0\0\0\0", 0),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n", -1),
    (b"", -1),
]


@pytest.mark.parametrize(("data", "expected"), REQUESTS, ids=range(len(REQUESTS)))
def test_each_request_has_its_answer(data: bytes, expected: int) -> None:
    """(W2)"""
    assert status(data, Desk()) == expected


def test_a_request_may_come_byte_by_byte() -> None:
    """What comes behind the answer of a request is dropped, so only requests without such a thing are the same."""
    for data, expected in REQUESTS:
        if expected and len(data) < 1000:
            desk = Desk()
            answers = [answer for byte in data if (answer := status(bytes([byte]), desk)) != -1]
            assert (answers[:1] or [-1]) == [expected], data


HOSTS = [
    ("localhost", 200),
    ("LOCALHOST:8080", 200),
    ("127.0.0.1", 200),
    ("192.168.1.5:8080", 200),
    ("[::1]:8080", 200),
    ("[2001:db8::1]", 200),
    ("chat.example", 200),
    ("Chat.Example:443", 200),
    ("evil.example", 421),
    ("chat.example.evil.example", 421),
    ("xchat.example", 421),
    ("chat.example.", 421),
    ("localhost.evil.example", 421),
    ("127.0.0.1.evil.example", 421),
    ("127.1", 421),
    ("", 400),
    (None, 400),
    ("chat.example:", 400),
    ("chat.example:0", 400),
    ("chat.example:99999", 400),
    ("chat.example:80:80", 400),
    ("user@chat.example", 400),
    ("chat.example/", 400),
    ("chat.example, evil.example", 400),
    ("[::1", 400),
    ("::1", 400),
    ("[1.2.3.4]", 400),
]


@pytest.mark.parametrize(("host", "expected"), HOSTS)
@pytest.mark.parametrize("wire", [False, True])
def test_the_host_must_be_this_server(host: str | None, expected: int, wire: bool) -> None:
    """(W3)"""
    desk = Desk(NAMED)
    is_right = status(head(*(HANDSHAKE if wire else ()), host=host), desk)
    assert is_right == (101 if wire and expected == 200 else expected)
    assert desk.gateway.counts["refused-host"] == (expected != 200)


def test_a_host_stands_once() -> None:
    """(W3)"""
    assert status(head("Host: localhost:8080"), Desk()) == 400


ORIGINS = [
    ("localhost:8080", "http://localhost:8080", 101),
    ("localhost:8080", "HTTP://LOCALHOST:8080", 101),
    ("chat.example", "https://chat.example", 101),
    ("chat.example", "https://chat.example:443", 101),
    ("chat.example:443", "https://chat.example", 101),
    ("chat.example", "http://chat.example:80", 101),
    ("[::1]:8080", "http://[::1]:8080", 101),
    ("chat.example", "https://other.example", 101),
    ("chat.example", "https://other.example:443", 101),
    ("chat.example", "http://other.example", 403),
    ("chat.example", "https://chat.example:8443", 403),
    ("localhost:8080", "http://localhost", 403),
    ("localhost:8080", "http://127.0.0.1:8080", 403),
    ("localhost:8080", "http://evil.example", 403),
    ("localhost:8080", "http://localhost:8080.evil.example", 403),
    ("localhost:8080", "http://localhost:8080@evil.example", 403),
    ("localhost:8080", "http://localhost:8080/", 403),
    ("localhost:8080", "null", 403),
    ("localhost:8080", "", 403),
    ("localhost:8080", "file://", 403),
    ("localhost:8080", "localhost:8080", 403),
    ("localhost:8080", "ws://localhost:8080", 403),
    ("localhost:8080", "http://localhost:8080, http://localhost:8080", 403),
]


@pytest.mark.parametrize(("host", "origin", "expected"), ORIGINS)
def test_a_page_must_be_of_this_server(host: str, origin: str, expected: int) -> None:
    """(W4)"""
    desk = Desk(NAMED)
    assert status(head(*HANDSHAKE, f"Origin: {origin}", host=host), desk) == expected
    assert desk.gateway.counts["refused-origin"] == (expected == 403)


def test_an_origin_stands_once_or_not_at_all() -> None:
    """(W4)"""
    origin = "Origin: http://localhost:8080"
    assert status(head(*HANDSHAKE, origin, origin), Desk()) == 403
    assert status(head(*HANDSHAKE), Desk()) == 101


def test_with_tls_the_origin_must_have_it_too() -> None:
    """(W5)"""
    for scheme, expected in (("https", 101), ("http", 403)):
        request = head(*HANDSHAKE, f"Origin: {scheme}://chat.example", host="chat.example")
        assert status(request, Desk(NAMED, is_tls=True)) == expected


FORWARDED = [
    ("10.1.1.1", ["X-Forwarded-For: 9.9.9.9, 8.8.8.8"], "8.8.8.8"),
    ("10.1.1.1", ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 7.7.7.7"], "7.7.7.7"),
    ("10.1.1.1", ["X-Forwarded-For: [2001:db8::1]:99"], "2001:db8::1"),
    ("10.1.1.1", ["X-Forwarded-For: ::ffff:8.8.8.8"], "8.8.8.8"),
    ("10.1.1.1", ["X-Forwarded-For: 8.8.8.8:1234"], "8.8.8.8"),
    ("10.1.1.1", ["X-Forwarded-For: nobody"], "10.1.1.1"),
    ("10.1.1.1", ["X-Forwarded-For: 127.0.0.1"], "via-loopback"),
    ("11.1.1.1", ["X-Forwarded-For: 8.8.8.8"], "11.1.1.1"),
    ("127.0.0.1", [], "127.0.0.1"),
    ("127.0.0.1", ["X-Forwarded-For: 8.8.8.8"], "via-loopback"),
    ("127.0.0.1", ["Forwarded: for=8.8.8.8"], "via-loopback"),
    ("::1", ["Via: 1.1 proxy"], "via-loopback"),
]


@pytest.mark.parametrize(("peer", "headers", "address"), FORWARDED)
def test_only_a_trusted_proxy_tells_the_address(peer: str, headers: list[str], address: str) -> None:
    """(W5)"""
    desk = Desk(PROXIED, peer)
    assert status(head(*HANDSHAKE, *headers), desk) == 101
    assert desk.sessions[0].transport.remote_address[0] == address


def test_under_a_public_name_nobody_is_exempt_as_loopback_is() -> None:
    """(W5)"""
    desk = Desk(NAMED)
    assert status(head(*HANDSHAKE, host="chat.example"), desk) == 101
    assert desk.connection.counted_for == ["via-loopback"]


def test_a_proxy_s_client_has_its_share_of_connections() -> None:
    """(W5, W6)"""
    desk = Desk(PROXIED, "10.1.1.1")
    desk.connection.full_for = "8.8.8.8"
    assert status(head(*HANDSHAKE, "X-Forwarded-For: 8.8.8.8"), desk) == 503
    assert not desk.sessions


def test_a_trusted_proxy_tells_the_scheme() -> None:
    """(W5)"""
    origin = "Origin: http://chat.example"
    for peer, sent, expected in (("10.1.1.1", "https", 403), ("10.1.1.1", "http", 101), ("9.9.9.9", "https", 101)):
        request = head(*HANDSHAKE, origin, f"X-Forwarded-Proto: {sent}", host="chat.example")
        assert status(request, Desk(PROXIED, peer)) == expected


HANDSHAKES = [
    (HANDSHAKE, 101),
    (tuple(line.lower() for line in HANDSHAKE[:2]) + HANDSHAKE[2:], 101),
    (("Connection: keep-alive, Upgrade", *HANDSHAKE[1:]), 101),
    (("Connection: keep-alive", *HANDSHAKE[1:]), 426),
    (("Connection: Upgrade", "Upgrade: h2c"), 200),
    ((*HANDSHAKE[:2], *HANDSHAKE[3:]), 400),
    ((*HANDSHAKE[:3], "Sec-WebSocket-Version: 8"), 400),
    ((*HANDSHAKE[:2], "Sec-WebSocket-Key: short", HANDSHAKE[3]), 400),
    ((*HANDSHAKE, HANDSHAKE[2]), 400),
    ((*HANDSHAKE, "Sec-WebSocket-Protocol: a b"), 400),
]


@pytest.mark.parametrize(("lines", "expected"), HANDSHAKES)
def test_a_handshake_is_checked(lines: tuple[str, ...], expected: int) -> None:
    """(W2)"""
    desk = Desk()
    assert status(head(*lines), desk) == expected
    assert bool(desk.sessions) == (expected == 101)
    assert desk.gateway.counts["handshakes"] == (expected == 101)


def test_every_answer_is_safe_for_a_browser() -> None:
    """(W10)"""
    for data, expected in REQUESTS:
        desk = Desk()
        desk.feed(data)
        answer = desk.answer()
        if expected > 0:
            assert answer is not None
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert not any("Access-Control" in name or name == "Set-Cookie" for name in answer.headers)


@pytest.mark.parametrize(
    ("sent", "expected"), [('"tag"', 304), ('W/"tag"', 304), ('"old", "tag"', 304), ("*", 304), ('"old"', 200)]
)
def test_an_unchanged_page_is_not_sent_again(sent: str, expected: int) -> None:
    """(W10)"""
    desk = Desk()
    desk.feed(head(f"If-None-Match: {sent}"))
    data = b"".join(desk.connection.sent)
    assert data.startswith(f"HTTP/1.1 {expected} ".encode())
    assert (b"the page" in data) == (expected == 200)
    assert desk.gateway.counts["pages"] == 1


def test_health_is_told() -> None:
    """(W2)"""
    desk = Desk()
    desk.feed(head(target="/healthz"))
    answer = desk.answer()
    assert answer is not None
    assert answer.body == b"ok\n"
    ill = Desk()
    ill.fault = "this node is a backup"
    ill.feed(head(target="/healthz"))
    answer = ill.answer()
    assert answer is not None
    assert (answer.status_code, answer.body) == (503, b"this node is a backup\n")


def test_a_request_must_come_in_time() -> None:
    """(W2)"""
    desk = Desk()
    desk.feed(head()[:-1])
    desk.timers.let_pass(HEAD_SECONDS - 1)
    assert not desk.connection.is_over
    desk.timers.let_pass(1)
    assert desk.connection.closed_for == [CloseReason.SILENT]


def test_a_request_in_time_has_no_deadline() -> None:
    desk = Desk()
    desk.feed(head(*HANDSHAKE))
    desk.timers.let_pass(HEAD_SECONDS + 1)
    assert desk.connection.closed_for == []
    lost = Desk()
    lost.exchange.lost(CloseReason.PEER)
    assert lost.timers.deadlines.nearest() is None


def test_a_client_may_go_before_its_request_is_whole() -> None:
    desk = Desk()
    desk.feed(b"GET")
    desk.exchange.ended()
    assert desk.connection.finished
    stopping = Desk()
    stopping.exchange.drain()
    assert stopping.connection.finished


LIKELY = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n", b"Origin: null\r\n", b"LOGIN a b\n", b"\x81\x80\0\0\0\0"]
    + [f"{line}\r\n".encode() for line in HANDSHAKE]
)


@given(st.lists(LIKELY | st.binary(max_size=40), max_size=12))
def test_any_bytes_get_an_answer_a_close_or_a_wait(pieces: list[bytes]) -> None:
    """(W1)"""
    desk = Desk()
    for piece in pieces:
        before = len(desk.sessions)
        desk.feed(piece)
        if not before and desk.sessions:  # what follows is frames
            break
        assert not desk.sessions
    desk.settle()
    assert all(not session.lines for session in desk.sessions)


@pytest.mark.parametrize("text", ["a", "a:1", "[::1]", "[::1]:65535"])
def test_an_authority_is_parsed(text: str) -> None:
    authority = parse_authority(text)
    assert authority is not None
    assert authority.with_port("https").port == (authority.port or 443)


def test_authorities_compare_in_lower_case() -> None:
    assert parse_authority("A.Example") == Authority("a.example", None)
    assert parse_origin("HTTPS://A.example") == parse_origin("https://a.example:443")
    assert ANYBODY.origins == frozenset()
