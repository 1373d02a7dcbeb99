"""TLS without I/O of its own: one end of a connection, and the socket that encrypts with it. Standard `ssl` alone.

Loaded only where TLS is configured. `net.handshake` has the handshake of a connection in the loop.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from net.watched import Truncated

MAX_RECORD = 16 * 1024
"""Maximum bytes that one record carries. So much is encrypted at once: what waits encrypted stays small."""

READ_SIZE = MAX_RECORD + 1024
"""Maximum bytes that are received and decrypted at once, so that no sender of tiny records holds up a turn."""

MAX_UNSENT = 64 * 1024
"""Bytes of answers to a peer's own records (key updates) that may wait while the peer reads nothing."""

HANDSHAKE_RECORD = 0x16
"""The first byte of a client that speaks TLS."""

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""

CUT_OFF = "the connection was closed during the TLS handshake"

NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
"""OpenSSL's names for the errors of a peer that does not speak TLS."""


class CertificateError(Exception):
    """A certificate, key or authority cannot be used; the message says why."""


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the context of a server's listeners: TLS 1.2 or later, without renegotiation.

    Args:
        certificate: path of a PEM file: the server's own certificate, then those up to the authority's.
        key: path of a PEM file: the private key, without a pass phrase.

    Raises:
        CertificateError: a file cannot be read, or they do not fit.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    for path, what in ((certificate, "certificate"), (key, "key")):
        _check_readable(path, what)
    try:
        context.load_cert_chain(certificate, key, password=_no_pass_phrase)
    except ssl.SSLError as error:
        raise CertificateError(_why_unusable(error, certificate, key)) from error
    except OSError as error:
        raise CertificateError(f"cannot read the certificate {certificate}: {error.strerror}") from error
    return context


def client_context(authorities: str | None = None) -> ssl.SSLContext:
    """Return the context for connections to servers, whose certificates and names are verified.

    Args:
        authorities: path of a PEM file with the certificates that are trusted; None: those of the system.

    Raises:
        CertificateError: the file cannot be read, or has no certificate.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may name the server's own certificate
    if authorities is None:
        context.load_default_certs()
        return context
    _check_readable(authorities, "certificates")
    try:
        context.load_verify_locations(authorities)
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(f"{authorities} has no certificate in PEM form") from error
    return context


class CertificateInfo(NamedTuple):
    """What clients see of a certificate: its names, and when it begins and expires, in seconds since the epoch."""

    names: Sequence[str]
    begins: float
    expires: float


def certificate_of(context: ssl.SSLContext, path: str) -> CertificateInfo | None:
    """Return what clients will see of a certificate, by a handshake in memory.

    Args:
        context: of a server.
        path: of its certificate.

    Returns:
        None if it cannot be a server's.
    """
    client = _context(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    try:
        client.load_verify_locations(path)
        ours, theirs = TlsEnd(client, "localhost"), TlsEnd(context)
        while not ours.handshake():
            theirs.feed(ours.output())
            theirs.handshake()
            ours.feed(theirs.output())
        found = ours.peer_certificate() or {}
    except OSError:  # of TLS, or of a file that has gone just now
        return None
    names = [name for _kind, name in found.get("subjectAltName", ())]
    begins, expires = (float(ssl.cert_time_to_seconds(found[key])) for key in ("notBefore", "notAfter"))
    return CertificateInfo(names, begins, expires)


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def _check_readable(path: str, what: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise CertificateError(f"cannot read the {what} {path}: {error.strerror}") from error


def _no_pass_phrase() -> str:
    raise CertificateError("the key has a pass phrase, for which nobody can be asked; store it without one")


FOREIGN_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""Reasons of OpenSSL for a key of another certificate, also where that has another kind of key, such as RSA."""


def _why_unusable(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason in FOREIGN_KEY:
        return f"the key {key} does not belong to the certificate {certificate}"
    if error.reason in (None, "NO_START_LINE", "PEM"):
        return f"the certificate {certificate} or the key {key} is not in PEM form"
    return f"the certificate {certificate} or the key {key} cannot be used: {_words(error.reason)}"


def explain(error: ssl.SSLError) -> str:
    """Return in a few words why TLS has failed, for a log or a user."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message.rstrip('.')}"
    if error.reason in NOT_TLS:
        return "no TLS is spoken there"
    return f"TLS has failed: {_words(error.reason or type(error).__name__)}"


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


class TlsEnd:
    """One end of a TLS connection, without I/O.

    Args:
        context: see `server_context` and `client_context`.
        host: the name or IP address that the server's certificate must bear; None: this end is the server.
    """

    __slots__ = ("_incoming", "_outgoing", "_session")

    def __init__(self, context: ssl.SSLContext, host: str | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=host is None, server_hostname=host)

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._incoming.write(data)

    def output(self) -> bytes:
        """Return what is to be sent, once."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go on with the handshake; return whether it is complete.

        Raises:
            ssl.SSLError: it has failed.
        """
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes | memoryview) -> int:
        """Encrypt the first bytes of some data, MAX_RECORD at most; return how many."""
        return self._session.write(data)

    def decrypt(self) -> tuple[bytes | None, bool]:
        """Decrypt what was fed.

        Returns:
            The bytes, None for none, b"" when the peer has ended its side; and whether the next call finds more.

        Raises:
            ssl.SSLError: the peer has sent what cannot be decrypted.
        """
        pieces = []
        try:
            while piece := self._session.read(MAX_RECORD):
                pieces.append(piece)
                if not self._incoming.pending:  # a read returns a whole record
                    return b"".join(pieces), False
        except ssl.SSLWantReadError:
            return (b"".join(pieces) if pieces else None), False
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError:
            if not pieces:
                raise
        return b"".join(pieces), bool(pieces)

    def end(self) -> None:
        """End this side: the peer learns that no more follows (close_notify)."""
        with contextlib.suppress(ssl.SSLError):  # which says that the peer has not ended its side
            self._session.unwrap()

    def peer_certificate(self) -> Mapping[str, Any] | None:
        """Return the peer's certificate as `ssl` decodes it, after a handshake that has verified it."""
        return self._session.getpeercert()


class TlsSocket:
    """A connected socket whose bytes are encrypted, with the calls of a socket by which a connection moves bytes.

    The socket may be non-blocking, or have a time-out.

    Args:
        sock: connected.
        end: after its handshake.
        unsent: bytes of the handshake that are still to be sent. `send` is given them again in front, see there.
        held: called when input waits here, which no event of the socket reports.
    """

    __slots__ = ("_encrypted", "_end", "_has_ended", "_holds_input", "_peer_has_ended", "_unsent", "held", "sock")

    def __init__(
        self, sock: socket.socket, end: TlsEnd, unsent: bytes = b"", held: Callable[[], None] = lambda: None
    ) -> None:
        self.sock = sock
        self._end = end
        self._unsent = unsent
        self._encrypted = len(unsent)
        """Bytes at the front of what `send` is given next that are in `_unsent` already."""
        self.held = held
        self._holds_input = True  # data may have come with the end of the handshake
        self._has_ended = self._peer_has_ended = False

    def recv(self, _size: int = READ_SIZE) -> bytes:
        """Receive, READ_SIZE at most; b"" when the peer has ended its side. Waits where the socket does.

        Raises:
            BlockingIOError: nothing is there, or only a part of a record.
            Truncated: the connection has ended, but the peer has not ended its side of TLS.
            OSError: the connection is broken, or the peer sends what cannot be decrypted.
        """
        while (data := self._receive()) is None:
            if self.sock.gettimeout() == 0:
                raise BlockingIOError
        if self._holds_input:
            self.held()
        return data

    def _receive(self) -> bytes | None:
        if not self._holds_input:
            received = self.sock.recv(READ_SIZE)
            if not received:  # not for OpenSSL: it would refuse to send from here on
                return self._cut_off()
            self._end.feed(received)
        try:
            data, self._holds_input = self._end.decrypt()
        finally:
            self._answer()
        self._peer_has_ended = data == b""
        return data

    def _cut_off(self) -> bytes:
        if not self._peer_has_ended:
            raise Truncated
        return b""

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and send; return how many bytes have left.

        What comes next must begin with those that have not: a part of them is encrypted already.

        Raises:
            OSError: the connection is broken.
        """
        sent, rest = 0, memoryview(data)
        while self._send_unsent():
            sent += self._encrypted
            rest = rest[self._encrypted :]
            self._encrypted = 0
            if not rest:
                break
            self._encrypted = self._end.encrypt(rest[:MAX_RECORD])
            self._unsent = self._end.output()
        return sent

    def shutdown(self, how: int) -> None:
        """End our side of TLS, and half-close the connection.

        Raises:
            BlockingIOError: the connection takes nothing now; call again later.
            OSError: the connection is broken.
        """
        if not self._has_ended:
            self._has_ended = True
            self._end.end()
            self._unsent += self._end.output()
        if not self._send_unsent():
            raise BlockingIOError
        self.sock.shutdown(how)

    def settimeout(self, seconds: float) -> None:
        """Set the time-out of the socket."""
        self.sock.settimeout(seconds)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def _answer(self) -> None:
        """Send what TLS itself has to say to the last records; what does not leave now leaves with later output."""
        answer = self._end.output()
        if answer:
            self._unsent += answer
            if len(self._unsent) > MAX_UNSENT:
                raise ConnectionAbortedError
            self._send_unsent()

    def _send_unsent(self) -> bool:
        """Send what is encrypted already; return whether all of it has left."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True


def connect(sock: socket.socket, context: ssl.SSLContext, host: str) -> TlsSocket:
    """Make the handshake with a server. Blocks, for at most the socket's time-out for each step.

    Args:
        sock: connected, with a time-out. It is closed if this fails.
        context: see `client_context`.
        host: the name or IP address that the certificate must bear.

    Raises:
        OSError: the handshake has failed; `strerror` says why.
    """
    try:
        end = TlsEnd(context, host)
        while not continue_handshake(end):
            _send(sock, end.output())
            feed_received(end, sock)
        _send(sock, end.output())
    except ValueError as error:
        sock.close()
        raise OSError(errno.EINVAL, "not a name that a certificate can bear") from error
    except OSError:
        sock.close()
        raise
    return TlsSocket(sock, end)


def feed_received(end: TlsEnd, sock: socket.socket) -> None:
    """Feed what a socket receives during a handshake.

    Raises:
        OSError: nothing can be received, or no more will come; `strerror` says why.
    """
    received = sock.recv(READ_SIZE)
    if not received:
        raise ConnectionAbortedError(errno.ECONNABORTED, f"{CUT_OFF}; perhaps the port speaks no TLS")
    end.feed(received)


def continue_handshake(end: TlsEnd) -> bool:
    """Go on with a handshake; return whether it is complete.

    Raises:
        OSError: it has failed; `strerror` says why.
    """
    try:
        return end.handshake()
    except ssl.SSLError as error:
        raise ConnectionError(errno.EPROTO, explain(error)) from error


def _send(sock: socket.socket, data: bytes) -> None:
    while data:
        data = data[sock.send(data) :]
