"""The port for monitoring: /metrics and /healthz over HTTP.

It serves GET and HEAD, one request for each connection, and nothing else: no body is read, and no file is served. A
request is bounded in size and time, and so is the number of connections (`net.admin_listener.AdminListener`).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.health import Health
from app.prometheus import CONTENT_TYPE, exposition
from app.statistics import MeasuredServer, collect
from net.connection import Connection
from net.loop import Loop
from net.table import CloseReason

MAX_REQUEST = 8192
"""Maximum bytes of a request's head."""

REQUEST_SECONDS = 10.0
"""How long a request may take, its answer included."""

REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (?:http://[^/? ]*)?(/[!-~]*) HTTP/1\.[0-9]")
"""A method, a path perhaps behind the server's address, and the version (RFC 9112, section 3)."""

HEAD_END = re.compile(rb"\r?\n\r?\n")
"""Ends a request's head."""

PLAIN = "text/plain; charset=utf-8"

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Answer(NamedTuple):
    """The answer to a request: its status, its body, and the type of that."""

    status: int
    body: str
    content_type: str = PLAIN


Pages = Mapping[str, Callable[[], Answer]]
"""What makes the answer for each path."""


def answer_to(head: bytes, pages: Pages) -> bytes:
    """Return the bytes of the answer to a request.

    Args:
        head: the request, up to the empty line or to MAX_REQUEST.
        pages: what there is.
    """
    lines = head.decode("latin-1").split("\n")
    request = REQUEST_LINE.fullmatch(lines[0].removesuffix("\r"))
    if request is None or not all(":" in line for line in lines[1:]):
        return _encoded(Answer(400, "this is no request\n"))
    method, target = request.groups()
    page = pages.get(target.partition("?")[0])
    if page is None:
        return _encoded(Answer(404, f"there is {' and '.join(pages)}\n"), is_head=method == "HEAD")
    if method not in ("GET", "HEAD"):
        return _encoded(Answer(405, "GET and HEAD are possible\n"))
    return _encoded(page(), is_head=method == "HEAD")


def _encoded(answer: Answer, *, is_head: bool = False) -> bytes:
    body = answer.body.encode()
    fields = [
        f"HTTP/1.1 {answer.status} {REASONS[answer.status]}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(["Allow: GET, HEAD"] if answer.status == 405 else []),
    ]
    return "".join(f"{field}\r\n" for field in [*fields, ""]).encode() + (b"" if is_head else body)


class Exchange:
    """A connection to the port: the owner of one request and its answer.

    Args:
        connection: to the client.
        loop: gives the time-out.
        pages: what there is.

    Attributes:
        kind: "", since it is no session.
    """

    kind = ""

    def __init__(self, connection: Connection, loop: Loop, pages: Pages) -> None:
        self._connection = connection
        self._loop = loop
        self._pages = pages
        self._head = b""
        self._is_answered = False
        self._deadline = loop.call_later(REQUEST_SECONDS, lambda: connection.close(CloseReason.SILENT))

    def received(self, data: bytes) -> None:
        """Answer when the head of the request is whole."""
        if self._is_answered:
            return
        self._head += data
        end = HEAD_END.search(self._head)
        if end is not None and end.start() <= MAX_REQUEST:
            self._answer(answer_to(self._head[: end.start()], self._pages))
        elif len(self._head) > MAX_REQUEST:
            self._answer(_encoded(Answer(431, f"a request has at most {MAX_REQUEST} bytes\n")))

    def ended(self) -> None:
        """The client sends no more: without a whole request there is nothing to answer."""
        if not self._is_answered:
            self._answer(_encoded(Answer(400, "this is no request\n")) if self._head else b"")

    def _answer(self, data: bytes) -> None:
        self._is_answered = True
        self._connection.send(data)
        self._connection.finish(CloseReason.SERVED)

    def drained(self) -> None:
        """The client has read much; there is nothing to go on with."""

    def lost(self, _reason: CloseReason) -> None:
        """The connection is gone."""
        self._loop.cancel(self._deadline)

    def drain(self) -> None:
        """The server stops: no request is waited for."""
        self._connection.finish()


def serve_metrics(server: MeasuredServer, health: Health, sock: socket.socket) -> None:
    """Serve the values and the health of a server.

    Args:
        server: whose loop drives it.
        health: its health.
        sock: bound and listening; the loop owns it from here on.
    """

    def metrics() -> Answer:
        return Answer(200, exposition(collect(server)), CONTENT_TYPE)

    def healthz() -> Answer:
        fault = health.fault()
        return Answer(503, f"{fault}\n") if fault else Answer(200, "ok\n")

    pages: Pages = {"/metrics": metrics, "/healthz": healthz}
    server.loop.listen_admin(sock, lambda connection: Exchange(connection, server.loop, pages))
