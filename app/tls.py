"""The certificates of a server: its own with its key, and those that it trusts. Loaded only where TLS is configured.

They can be loaded again while the server runs. Connections that are open keep what they began with.
"""

from __future__ import annotations

import logging
import math
import os
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from app.directives import is_exposed
from app.node import StartError
from dialects import WEB
from net import handshake
from net.connection import Connection, Receiver
from net.loop import Loop
from net.tls import CertificateError, CertificateInfo, certificate_of, client_context, server_context
from settings import Settings

DAY = 24 * 3600.0
SOON_SECONDS = 14 * DAY
"""A certificate that expires within this time causes a warning."""

PLAIN_REFUSAL = "This port speaks TLS only: connect with TLS."

PLAIN_REFUSALS = {
    WEB: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n{}\n",
    "irc": "ERROR :{}\r\n",
}
"""The form of the answer to a client that speaks plain text at a port for TLS, where it is not a line (C54)."""

log = logging.getLogger("crosstalk.server")


def load_tls(settings: Settings) -> Tls:
    """Return what the TLS of a server needs.

    Raises:
        StartError: a certificate cannot be used.
    """
    try:
        return Tls(settings)
    except CertificateError as error:
        raise StartError(str(error)) from error


class Tls:
    """What the next handshakes use, and the handshakes themselves.

    Args:
        settings: name the files.
        now: the wall clock, in seconds since the epoch.

    Attributes:
        own: the context of listeners; without a certificate none of them uses it.
        trusted: the context of connections to other servers and to engines.

    Raises:
        CertificateError: a file cannot be used; the message says why.
    """

    own: ssl.SSLContext
    trusted: ssl.SSLContext

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._seen: CertificateInfo | None = None
        self._key_is_exposed = False
        self.load(settings)

    def load(self, settings: Settings) -> None:
        """Load all files. If one cannot be used, all stays as it was.

        Raises:
            CertificateError: a file cannot be used; the message says why.
        """
        trusted = client_context(settings.tls_ca)
        certificate, key = settings.tls_certificate, settings.tls_key
        if certificate is not None and key is not None:
            self.own = server_context(certificate, key)
            self._seen = certificate_of(self.own, certificate)
            self._key_is_exposed = _is_exposed(key)
        self.trusted = trusted
        self._settings = settings

    @property
    def expires(self) -> float:
        """When the certificate expires, in seconds since the epoch."""
        return math.inf if self._seen is None else self._seen.expires

    def watch(self, loop: Loop) -> None:
        """Report the certificate now, and from then on each day while it is about to expire."""
        self.report()
        loop.call_later(DAY, partial(self._watch, loop))

    def _watch(self, loop: Loop) -> None:
        if self.expires - self._now() <= SOON_SECONDS:
            self.report()
        loop.call_later(DAY, partial(self._watch, loop))

    def report(self) -> None:
        """Log which certificate is in use, and warn if clients will refuse it or it expires soon."""
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        if certificate is None:
            return
        if self._key_is_exposed:
            log.warning("other users can read the key %s; keep it from them: chmod 600 %s", key, key)
        if self._seen is None:
            log.warning("the certificate %s is not one of a server: clients will refuse it", certificate)
            return
        names, begins, expires = self._seen
        left = expires - self._now()
        until = _date(expires)
        if begins > self._now():
            wrong = "clients will refuse it, or the clock of this machine is wrong"
            log.warning("the certificate %s is not valid before %s: %s", certificate, _date(begins), wrong)
        if left <= 0:
            log.warning("the certificate %s has expired on %s: clients will refuse it", certificate, until)
        elif left <= SOON_SECONDS:
            log.warning("the certificate %s expires on %s", certificate, until)
        log.info("certificate names=%s expires=%s file=%s", ",".join(names), until, certificate)

    # ---- for the loop ----

    def secured(
        self, loop: Loop, accepted: Callable[[Connection], Receiver], dialect: str
    ) -> Callable[[Connection], Receiver]:
        """Return what a listener calls with a new connection, so that `accepted` is called after the handshake.

        Args:
            loop: has the listener.
            accepted: returns the owner of a connection.
            dialect: of the port, in which a client is refused that speaks plain text (C54).
        """
        refusal = PLAIN_REFUSALS.get(dialect, "{}\n").format(PLAIN_REFUSAL).encode()
        return handshake.secured(loop, lambda: self.own, lambda: self._settings.handshake_seconds, accepted, refusal)

    def dial(self, loop: Loop, host: str, port: int, *, name: str, **how: Any) -> None:
        """Dial another server, whose certificate must bear this name, see `net.handshake.dial`."""
        handshake.dial(loop, lambda: self.trusted, host, port, name=name, **how)


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _is_exposed(key: str) -> bool:
    """Tell whether others can read a key. It has been read just now, so it is rarely gone."""
    try:
        return is_exposed(os.stat(key))
    except OSError:
        return False
