"""Certificates for tests, made by the program openssl, and a client that speaks TLS in a test's own thread."""

from __future__ import annotations

import itertools
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from net.tls import READ_SIZE, TlsEnd, client_context
from net.watched import Truncated

NAMES = ("DNS:localhost", "IP:127.0.0.1", "IP:::1")
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class Certificate(NamedTuple):
    """The paths of a certificate and its key."""

    path: str
    key: str

    @property
    def directives(self) -> tuple[str, str]:
        """The lines of a config that name them."""
        return f"tls-certificate {self.path}", f"tls-key {self.key}"


class Authority:
    """An authority of its own in a directory.

    Attributes:
        path: of its certificate.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self.path, self._key = str(directory / "authority.pem"), str(directory / "authority.key")
        self._openssl("req", "-x509", *CURVE, "-nodes", "-subj", "/CN=authority", "-days", "30",
                      "-keyout", self._key, "-out", self.path)  # fmt: skip

    def issue(
        self,
        *names: str,
        days: int = 30,
        purpose: str = "serverAuth",
        pass_phrase: str = "",
        algorithm: Sequence[str] = CURVE,
    ) -> Certificate:
        """Return a new certificate; it has expired if `days` is negative."""
        number = next(self._numbers)
        request, path, key = (str(self._directory / f"{number}.{kind}") for kind in ("csr", "pem", "key"))
        names = names or NAMES
        self._openssl(
            "req", "-new", *algorithm, *(["-passout", f"pass:{pass_phrase}"] if pass_phrase else ["-nodes"]),
            "-subj", "/CN=server", "-addext", f"subjectAltName={','.join(names)}",
            "-addext", f"extendedKeyUsage={purpose}", "-keyout", key, "-out", request,
        )  # fmt: skip
        self._openssl("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self._key,
                      "-copy_extensions", "copyall", "-days", str(days), "-out", path)  # fmt: skip
        return Certificate(path, key)

    def context(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority alone."""
        return client_context(self.path)

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def need_openssl() -> None:
    """Skip the test where the program is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")


class TlsPeer:
    """A client that speaks TLS, which never waits.

    Args:
        sock: connected; it becomes non-blocking.
        context: what it trusts.
        name: that the server's certificate must bear.

    Attributes:
        received: what has been decrypted.
        ended: the server has ended its side of TLS.
        error: why TLS has failed; None while it has not.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str = "localhost") -> None:
        self.socket = sock
        self.end = TlsEnd(context, name)
        self.received = b""
        self.ended = self.is_open = False
        self.error: Exception | None = None
        sock.setblocking(False)

    def step(self) -> None:
        """Receive what is there, go on, send."""
        try:
            self._go_on()
            while not self.ended:
                data = self.socket.recv(READ_SIZE)
                if not data:
                    raise Truncated
                self.end.feed(data)
                self._go_on()
        except BlockingIOError:
            pass
        except (ssl.SSLError, Truncated) as error:
            self.error, self.ended = error, True
        self.put(self.end.output())

    def _go_on(self) -> None:
        if not self.is_open:
            self.is_open = self.end.handshake()
        if self.is_open and not self.ended:
            self._read()

    def _read(self) -> None:
        more = True
        while more:
            data, more = self.end.decrypt()
            self.received += data or b""
            self.ended = data == b""

    def put(self, data: bytes) -> None:
        """Send bytes as they are."""
        if data:
            assert self.socket.send(data) == len(data)

    def send(self, data: bytes) -> None:
        """Encrypt and send."""
        while data:
            data = data[self.end.encrypt(data) :]
            self.put(self.end.output())
