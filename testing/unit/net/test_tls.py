"""net/tls.py: two ends without sockets, and the socket that encrypts."""

from __future__ import annotations

import os
import socket
import ssl
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.tls import (
    MAX_RECORD,
    MAX_UNSENT,
    READ_SIZE,
    CertificateError,
    TlsEnd,
    TlsSocket,
    certificate_of,
    client_context,
    connect,
    explain,
    server_context,
)
from net.watched import Truncated
from support.certificates import Authority, Certificate


@pytest.fixture(scope="session")
def contexts(authority: Authority, certificate: Certificate) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's."""
    return authority.context(), server_context(*certificate)


class Pair:
    """Two ends, and the bytes between them."""

    def __init__(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext], name: str = "localhost") -> None:
        self.client, self.server = TlsEnd(contexts[0], name), TlsEnd(contexts[1])

    def handshake(self, cuts: list[int] | None = None) -> None:
        """Make the handshake; the bytes of each flight arrive in pieces of these sizes, over and over."""
        sizes = iter(lambda: 0, 1) if not cuts else _endless(cuts)
        done = [False, False]
        for _ in range(100):
            for number, (one, other) in enumerate(((self.client, self.server), (self.server, self.client))):
                done[number] = done[number] or one.handshake()
                data = one.output()
                while data:
                    size = next(sizes) or len(data)
                    other.feed(data[:size])
                    data = data[size:]
                    done[1 - number] = done[1 - number] or other.handshake()
            if all(done):
                return
        raise AssertionError("no handshake")


def _endless(sizes: list[int]) -> Any:
    while True:
        yield from sizes


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 700), min_size=1, max_size=8), text=st.binary(min_size=1, max_size=40_000))
def test_a_handshake_and_data_in_any_split(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], cuts: list[int], text: bytes
) -> None:
    pair = Pair(contexts)
    pair.handshake(cuts)
    received, rest = b"", text
    while rest:
        rest = rest[pair.client.encrypt(rest[:MAX_RECORD]) :]
    data, sizes = pair.client.output(), _endless(cuts)
    while data:
        size = next(sizes)
        pair.server.feed(data[:size])
        data = data[size:]
        received += pair.server.decrypt()[0] or b""
    assert received == text


def test_a_handshake_byte_by_byte(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    Pair(contexts).handshake([1])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken(authority: Authority, certificate: Certificate, version: ssl.TLSVersion) -> None:
    client = authority.context()
    client.minimum_version = client.maximum_version = version
    pair = Pair((client, server_context(*certificate)))
    pair.handshake()
    pair.client.encrypt(b"hi")
    pair.server.feed(pair.client.output())
    assert pair.server.decrypt() == (b"hi", False)


def test_older_versions_are_not(authority: Authority, certificate: Certificate) -> None:
    client = authority.context()
    with pytest.warns(DeprecationWarning):
        client.minimum_version, client.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        Pair((client, server_context(*certificate))).handshake()


def test_the_end_of_one_side_leaves_the_other(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    pair = Pair(contexts)
    pair.handshake()
    pair.client.encrypt(b"last")
    pair.client.end()
    pair.server.feed(pair.client.output())
    assert pair.server.decrypt() == (b"last", True)
    assert pair.server.decrypt() == (b"", False)
    for answer in (b"one", b"two"):
        pair.server.encrypt(answer)
        pair.client.feed(pair.server.output())
        assert pair.client.decrypt() == (answer, False)
    pair.server.end()
    pair.client.feed(pair.server.output())
    assert pair.client.decrypt() == (b"", False)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=2000), size=st.integers(0, 20_000))
def test_any_bytes_in_place_of_a_handshake_are_refused_or_waited_for(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], data: bytes, size: int
) -> None:
    """Little is answered, whatever is sent."""
    for head in (b"", b"\x16\x03\x01" + size.to_bytes(2, "big")):
        end = TlsEnd(contexts[1])
        end.feed(head + data)
        try:
            assert not end.handshake()
        except ssl.SSLError as error:
            assert explain(error)
        assert len(end.output()) < 100


def test_a_changed_record_is_refused(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    pair = Pair(contexts)
    pair.handshake()
    pair.client.encrypt(b"a message")
    record = bytearray(pair.client.output())
    record[-1] ^= 1
    pair.server.feed(bytes(record))
    with pytest.raises(ssl.SSLError):
        pair.server.decrypt()
    assert pair.server.output(), "an alert"


# ---- certificates ----


@pytest.mark.parametrize(
    ("name", "days", "reason"),
    [
        ("localhost", -1, "the certificate is not accepted: certificate has expired"),
        ("other.example", 30, "the certificate is not accepted: Hostname mismatch, certificate is not valid for "),
        ("127.0.0.2", 30, "the certificate is not accepted: IP address mismatch, certificate is not valid for "),
    ],
)
def test_a_certificate_that_is_not_accepted(authority: Authority, name: str, days: int, reason: str) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        Pair((authority.context(), server_context(*authority.issue(days=days))), name).handshake()
    assert explain(caught.value).startswith(reason)


def test_a_certificate_of_an_unknown_authority(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        Pair((client_context(), contexts[1])).handshake()
    assert explain(caught.value) == "the certificate is not accepted: unable to get local issuer certificate"


def test_a_servers_own_certificate_can_be_trusted_alone(certificate: Certificate) -> None:
    Pair((client_context(certificate.path), server_context(*certificate))).handshake()


def test_files_that_cannot_be_used(authority: Authority, certificate: Certificate, tmp_path: Any) -> None:
    other, locked = authority.issue(), authority.issue(pass_phrase="secret")
    rsa = authority.issue(algorithm=("-newkey", "rsa:2048"))
    text, secret = tmp_path / "text", tmp_path / "secret"
    text.write_text("no certificate")
    secret.write_text("x")
    secret.chmod(0)
    path, key = certificate
    rows = [
        ("missing", key, "cannot read the certificate missing: No such file or directory"),
        (path, "missing", "cannot read the key missing: No such file or directory"),
        (path, str(tmp_path), f"cannot read the key {tmp_path}: Is a directory"),
        (path, other.key, f"the key {other.key} does not belong to the certificate {path}"),
        (path, rsa.key, f"the key {rsa.key} does not belong to the certificate {path}"),
        (rsa.path, key, f"the key {key} does not belong to the certificate {rsa.path}"),
        (str(text), key, f"the certificate {text} or the key {key} is not in PEM form"),
        (path, str(text), f"the certificate {path} or the key {text} is not in PEM form"),
        (key, path, f"the certificate {key} or the key {path} is not in PEM form"),
        (*locked, "the key has a pass phrase, for which nobody can be asked; store it without one"),
    ]
    if os.getuid():
        rows.append((path, str(secret), f"cannot read the key {secret}: Permission denied"))
    for *files, reason in rows:
        with pytest.raises(CertificateError) as caught:
            server_context(*files)
        assert str(caught.value) == reason
    for file, reason in {
        "missing": "cannot read the certificates missing: No such file or directory",
        str(text): f"{text} has no certificate in PEM form",
    }.items():
        with pytest.raises(CertificateError) as caught:
            client_context(file)
        assert str(caught.value) == reason


def test_what_clients_will_see(authority: Authority, certificate: Certificate) -> None:
    found = certificate_of(server_context(*certificate), certificate.path)
    assert found is not None
    assert found.begins <= time.time() < found.expires
    assert found.names == ["localhost", "127.0.0.1", "0:0:0:0:0:0:0:1"]
    expired = authority.issue("DNS:old.example", days=-1)
    old = certificate_of(server_context(*expired), expired.path)
    assert old is not None and old.names == ["old.example"] and old.expires < found.expires
    no_server = authority.issue(purpose="clientAuth")
    assert certificate_of(server_context(*no_server), no_server.path) is None


# ---- the socket ----


class ThrottledSocket(socket.socket):
    """A socket that takes as many bytes in all as `room` has."""

    room = 1 << 30

    def send(self, data: Any, flags: int = 0) -> int:
        if not self.room:
            raise BlockingIOError
        sent = super().send(bytes(data)[: self.room], flags)
        self.room -= sent
        return sent


class Sockets(Pair):
    """A server's TlsSocket after the handshake, and the end of its client."""

    def __init__(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        super().__init__(contexts)
        self.handshake()
        self.server.output()
        ours, self.peer = socket.socketpair()
        self.sock = ThrottledSocket(fileno=ours.detach())
        self.peer.setblocking(False)
        self.sock.setblocking(False)
        self.held = 0
        self.tls = TlsSocket(self.sock, self.server, held=self._note_held)
        with pytest.raises(BlockingIOError):
            self.tls.recv()  # nothing has come with the handshake

    def _note_held(self) -> None:
        self.held += 1

    def heard(self) -> bytes:
        """Return what the client can decrypt now."""
        data = b""
        try:
            while piece := self.peer.recv(READ_SIZE):
                self.client.feed(piece)
                data += self.client.decrypt()[0] or b""
        except BlockingIOError:
            pass
        return data

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


@pytest.fixture
def sockets(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Any:
    sockets = Sockets(contexts)
    yield sockets
    sockets.close()


@settings(max_examples=25, deadline=None)
@given(rooms=st.lists(st.integers(0, 9000), min_size=1, max_size=20), size=st.integers(1, 60_000))
def test_what_a_send_reports_has_left_and_the_rest_can_be_sent_again(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], rooms: list[int], size: int
) -> None:
    sockets = Sockets(contexts)
    data = os.urandom(size)
    sent, heard = 0, b""
    for room in [*rooms, 1 << 30]:
        sockets.sock.room = room
        while sent < size:
            count = sockets.tls.send(data[sent:])
            sent += count
            heard += sockets.heard()
            assert len(heard) >= sent, "what has left is whole"
            if not sockets.sock.room:
                break
    assert heard == data
    sockets.close()


def test_bytes_that_were_encrypted_before_are_sent_in_front(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    pair = Pair(contexts)
    pair.handshake()
    pair.server.output()
    pair.server.encrypt(b"first ")
    ready = pair.server.output()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert TlsSocket(ours, pair.server, ready).send(ready + b"second") == len(ready) + 6
        pair.client.feed(theirs.recv(READ_SIZE))
    assert pair.client.decrypt()[0] == b"first second"


def test_input_that_no_event_will_tell_is_held(sockets: Sockets) -> None:
    """Data and the end in one piece: the end comes at the next call, for which the owner is told."""
    sockets.client.encrypt(b"data")
    sockets.client.end()
    sockets.peer.send(sockets.client.output())
    assert sockets.tls.recv() == b"data"
    assert sockets.held == 1
    assert sockets.tls.recv() == b""


def test_a_part_of_a_record_is_nothing_yet(sockets: Sockets) -> None:
    sockets.client.encrypt(b"data")
    record = sockets.client.output()
    sockets.peer.send(record[:9])
    with pytest.raises(BlockingIOError):
        sockets.tls.recv()
    sockets.peer.send(record[9:])
    assert sockets.tls.recv() == b"data"


@pytest.mark.parametrize("cut", [0, 3, 12])
def test_an_end_without_notice_is_told_apart(sockets: Sockets, cut: int) -> None:
    """Also in the middle of a record. What was whole before it is not lost, and answers can still be sent."""
    sockets.client.encrypt(b"whole")
    whole = sockets.client.output()
    sockets.client.encrypt(b"not whole")
    sockets.peer.send(whole + sockets.client.output()[:cut])
    sockets.peer.shutdown(socket.SHUT_WR)
    assert sockets.tls.recv() == b"whole"
    with pytest.raises(Truncated):
        sockets.tls.recv()
    assert sockets.tls.send(b"an answer") == 9
    assert sockets.heard() == b"an answer"


def test_an_end_with_notice_is_one_however_often_it_is_asked_for(sockets: Sockets) -> None:
    sockets.client.end()
    sockets.peer.send(sockets.client.output())
    sockets.peer.shutdown(socket.SHUT_WR)
    assert [sockets.tls.recv() for _ in range(3)] == [b""] * 3


def test_the_end_waits_for_room(sockets: Sockets) -> None:
    sockets.sock.room = 5
    for room in (5, 0):
        sockets.sock.room = room
        with pytest.raises(BlockingIOError):
            sockets.tls.shutdown(socket.SHUT_WR)
    sockets.sock.room = 1 << 30
    sockets.tls.shutdown(socket.SHUT_WR)
    sockets.client.feed(sockets.peer.recv(READ_SIZE))
    assert sockets.client.decrypt() == (b"", False)
    assert sockets.peer.recv(1) == b""


def test_a_peer_cannot_have_answers_pile_up_that_it_does_not_read(sockets: Sockets) -> None:
    """As with requests for new keys, each of which TLS answers by itself."""
    sockets.sock.room = 0
    sockets.tls._end = Answering(sockets.server)  # type: ignore[assignment]
    with pytest.raises(ConnectionAbortedError):
        for _ in range(MAX_UNSENT):
            sockets.client.encrypt(b"x")
            sockets.peer.send(sockets.client.output())
            assert sockets.tls.recv() == b"x"
    assert len(sockets.tls._unsent) <= MAX_UNSENT + 100


class Answering:
    """An end that answers whatever it decrypts."""

    def __init__(self, end: TlsEnd) -> None:
        self._end = end
        self.feed, self.decrypt = end.feed, end.decrypt

    def output(self) -> bytes:
        return b"x" * 100


# ---- a client that waits ----


def test_a_server_that_speaks_plain_text_is_told_apart(authority: Authority) -> None:
    ours, theirs = socket.socketpair()
    theirs.send(b"hello\n")
    with theirs, pytest.raises(OSError) as caught:
        connect(ours, authority.context(), "localhost")
    assert caught.value.strerror == "no TLS is spoken there"
    assert ours.fileno() == -1


def test_a_server_that_closes_in_the_handshake_is_told_apart(authority: Authority) -> None:
    ours, theirs = socket.socketpair()
    theirs.shutdown(socket.SHUT_WR)
    with theirs, pytest.raises(OSError) as caught:
        connect(ours, authority.context(), "localhost")
    assert caught.value.strerror == "the connection was closed during the TLS handshake; perhaps the port speaks no TLS"
