"""The `web` ports: a connection begins with a request, which gets the page, an error, or a WebSocket (W1 to W6)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from domain.interfaces import Timers
from net.addresses import is_loopback
from net.connection import Connection
from net.table import CloseReason
from protocol import Session
from text import TLS_HANDSHAKE
from transport import Transport
from web.frames import SUBPROTOCOLS, TEXT
from web.page import SAFE_HEADERS, Page
from web.requests import HEAD_END, AcceptedRequest, Refused, RequestSource, Rules, check_beginning, check_request
from web.websocket import MAX_MESSAGE, WebSocket

HEAD_SECONDS = 10.0
"""Time-out in seconds for the head of a request, exempt addresses included, since nobody types one (W2)."""

log = logging.getLogger("crosstalk.web")

LIBRARY_LOG = logging.getLogger("crosstalk.websockets")
LIBRARY_LOG.setLevel(logging.WARNING)  # whatever else is logged: at the level of debugging it shows frames (W11)


class Gateway:
    """What all `web` ports share.

    Args:
        page: returns the page as the settings have it now.
        rules: from where requests may come.
        open_session: makes the session behind a WebSocket.
        fault: why the server cannot do its work; "" if it can.
        timers: the clock.
        keepalive_seconds: time-out for the pong to a ping; 0: none.

    Attributes:
        page: that is served.
        counts: pages, handshakes, and requests that were refused, by the header at fault.
    """

    def __init__(
        self,
        page: Callable[[], Page],
        rules: Rules,
        open_session: Callable[[Transport], Session],
        fault: Callable[[], str],
        timers: Timers,
        keepalive_seconds: float,
    ) -> None:
        self._make_page = page
        self.page = page()
        self.rules = rules
        self.open_session = open_session
        self.fault = fault
        self.timers = timers
        self.keepalive_seconds = keepalive_seconds
        self.counts = Counter({"pages": 0, "handshakes": 0, "refused-host": 0, "refused-origin": 0})

    def remake_page(self) -> None:
        """Make the page anew: settings that it shows have changed."""
        self.page = self._make_page()

    def accept(self, connection: Connection, *, is_tls: bool = False) -> HttpExchange:
        """Return the owner of a new connection."""
        return HttpExchange(self, connection, RequestSource(connection.remote_address[0], is_tls))

    def answer(self, protocol: ServerProtocol, request: AcceptedRequest) -> Response:
        """Return the answer to a request that is no handshake."""
        if request.path == "/healthz":
            fault = self.fault()
            status = HTTPStatus.SERVICE_UNAVAILABLE if fault else HTTPStatus.OK
            return protocol.reject(status, f"{fault or 'ok'}\n")
        if request.path != "/":
            return protocol.reject(HTTPStatus.NOT_FOUND, "There is nothing here. The page is at /\n")
        return self._serve_page(protocol, request)

    def _serve_page(self, protocol: ServerProtocol, request: AcceptedRequest) -> Response:
        self.counts["pages"] += 1
        known = ",".join(request.headers.get_all("If-None-Match")).split(",")
        if {self.page.etag, "*"} & {tag.strip().removeprefix("W/") for tag in known}:
            response = protocol.reject(HTTPStatus.NOT_MODIFIED, "")
            del response.headers["Content-Type"], response.headers["Content-Length"]
        else:
            response = protocol.reject(HTTPStatus.OK, self.page.text)
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "text/html; charset=utf-8"
        response.headers.update(self.page.headers)
        return response


class HttpExchange:
    """One request and its answer, as the owner of a connection. A handshake makes the connection a WebSocket.

    Args:
        gateway: of all of them.
        connection: to the client.
        source: the connection, as the request's source.

    Attributes:
        kind: "", since it is no session yet.
    """

    kind = ""

    def __init__(self, gateway: Gateway, connection: Connection, source: RequestSource) -> None:
        self._gateway = gateway
        self._connection = connection
        self._source = source
        self._head = bytearray()
        self._deadline: Any = gateway.timers.call_later(HEAD_SECONDS, self._timed_out)
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in SUBPROTOCOLS],
            select_subprotocol=_select_subprotocol,
            max_size=MAX_MESSAGE,
            logger=LIBRARY_LOG,
        )

    # ---- for the connection ----

    def received(self, data: bytes) -> None:
        """Collect the head of the request, and answer it when it is complete."""
        self._head += data
        if self._head.startswith(TLS_HANDSHAKE):
            mark = self._connection.log_mark()
            log.info("closing %s: it speaks TLS at a port that does not", self._connection, extra=mark)
            self._connection.refuse()  # the client could not read an answer in plain text
            return
        head, end, rest = self._head.partition(HEAD_END)
        try:
            check_beginning(head + end)
            if rest:  # no client may send more before it has the answer (W2)
                self._connection.refuse()
            elif end:
                self._act(bytes(head + end))
        except Refused as refusal:
            self._refuse(refusal)

    def ended(self) -> None:
        """The client sends no more, so its request will not be complete."""
        self._connection.finish()

    def drained(self) -> None:
        """Nothing waits for it."""

    def lost(self, reason: CloseReason) -> None:
        """The connection is gone."""
        self._gateway.timers.cancel(self._deadline)

    def drain(self) -> None:
        """The server stops."""
        self._connection.finish()

    # ---- the request ----

    def _act(self, head: bytes) -> None:
        request = check_request(head, self._source, self._gateway.rules)
        if request.path == "/" and request.wants_upgrade:
            self._upgrade(request)
        else:
            self._answer(self._gateway.answer(self._protocol, request))

    def _upgrade(self, request: AcceptedRequest) -> None:
        """Answer a handshake, and let the session begin."""
        response = self._protocol.accept(Request(request.path, request.headers))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._answer(response)
            return
        address = _address_for_limits(request)
        if address != self._source.peer and not self._connection.recount_for(address):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections from your address.")
        self._gateway.counts["handshakes"] += 1
        self._gateway.timers.cancel(self._deadline)
        self._open(address, response)

    def _open(self, address: str, response: Response) -> None:
        gateway = self._gateway
        protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE, logger=LIBRARY_LOG)
        framing = SUBPROTOCOLS.get(str(self._protocol.subprotocol), TEXT)
        websocket = WebSocket(self._connection, protocol, framing, address, gateway.timers, gateway.keepalive_seconds)
        self._connection.owner = websocket
        self._connection.send(response.serialize())
        websocket.session = gateway.open_session(websocket)

    def _refuse(self, refusal: Refused) -> None:
        if refusal.cause:
            self._gateway.counts[refusal.cause] += 1
            log.info(
                "refused a request from %s: %s (%s)",
                self._connection,
                refusal,
                refusal.cause,
                extra=self._connection.log_mark(),
            )
        response = self._protocol.reject(refusal.status, f"{refusal.why}\n")
        if refusal.status is HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET"
        self._answer(response)

    def _answer(self, response: Response) -> None:
        response.headers.update(SAFE_HEADERS)
        self._connection.send(response.serialize())
        self._connection.finish()

    def _timed_out(self) -> None:
        self._connection.report_limit("web-request-seconds", "(its request has not come for %g seconds)", HEAD_SECONDS)
        self._connection.close(CloseReason.SILENT)


def _select_subprotocol(_protocol: ServerProtocol, offered: Any) -> Subprotocol | None:
    """Choose the first offered subprotocol that is known here; without one the lines are text (W7)."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def _address_for_limits(request: AcceptedRequest) -> str:
    """Return the address that limits count. A loopback address is exempt only without a proxy or public name (W5)."""
    if request.is_forwarded and is_loopback(request.address):
        return "via-loopback"
    return request.address
