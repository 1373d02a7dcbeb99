"""The HTTP request of a connection to a `web` port: bounds, syntax, allowed hosts and origins (W2 to W5).

Everything here is pure. `check_request` takes the head of a request, and returns what its answer depends on.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from websockets.datastructures import Headers

MAX_HEAD = 16 * 1024
"""Maximum bytes of the request line and the headers together (W2)."""

MAX_HEADERS = 100
"""Maximum number of headers: what common servers take, and fewer than the library does."""

MAX_HEADER_LINE = 8000
"""Maximum bytes of one line of the head: what the library takes, without its end."""

HEAD_END = b"\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"(https?)://(\S+)", re.ASCII)

DEFAULT_PORTS = {"http": 80, "https": 443}

FORWARDING = ("X-Forwarded-For", "Forwarded", "Via")
"""Headers that only a proxy adds."""


class Authority(NamedTuple):
    """A host and a port, in lower case; `port` is None where none is given."""

    host: str
    port: int | None

    def with_port(self, scheme: str) -> Authority:
        """Fill in the port that a URL of this scheme has without one (W4)."""
        return self._replace(port=DEFAULT_PORTS[scheme]) if self.port is None else self


class Origin(NamedTuple):
    """The origin of a page: its scheme and its authority, whose port is filled in."""

    scheme: str
    authority: Authority


class Rules(NamedTuple):
    """From where requests to a `web` port may come.

    Attributes:
        hosts: names under which this server is reached, in lower case; addresses and `localhost` are not among them.
        origins: of pages elsewhere that may open a WebSocket here.
        proxies: networks whose forwarding headers are believed.
    """

    hosts: frozenset[str]
    origins: frozenset[Origin]
    proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: of the answer.
        why: for the person who sees it.
        cause: the counter that counts it; "" if none does.
    """

    def __init__(self, status: HTTPStatus, why: str, cause: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.cause = cause


class RequestSource(NamedTuple):
    """The connection from which a request came.

    Attributes:
        peer: IP address of the connection.
        is_tls: whether it uses TLS with this server itself.
    """

    peer: str
    is_tls: bool


class AcceptedRequest(NamedTuple):
    """A request that may be answered.

    Attributes:
        path: of its target, without a query.
        headers: of the request.
        address: the client's address for logs and limits; the peer's, or what a trusted proxy says.
        is_forwarded: whether it came through a proxy, or under a public name. Then it is not exempt as loopback is.
    """

    path: str
    headers: Headers
    address: str
    is_forwarded: bool

    @property
    def wants_upgrade(self) -> bool:
        """Whether the request asks for a WebSocket (RFC 6455, section 4.1)."""
        upgrades = ",".join(self.headers.get_all("Upgrade")).lower().split(",")
        return "websocket" in (upgrade.strip(" \t") for upgrade in upgrades)


def check_beginning(data: bytes | bytearray) -> None:
    """Check the part of a head that has arrived, so that bytes that are not HTTP are refused at once.

    Raises:
        Refused: it is too long, or its first line is no request line.
    """
    if len(data) > MAX_HEAD:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long.")
    line, end, _rest = bytes(data).partition(b"\r\n")
    if _BARE_NEWLINE.search(data) or (end and not _REQUEST_LINE.fullmatch(line)):
        raise Refused(HTTPStatus.BAD_REQUEST, "This port speaks HTTP.")


def check_request(head: bytes, source: RequestSource, rules: Rules) -> AcceptedRequest:
    """Check the head of a request.

    Args:
        head: from its first byte to the blank line.
        source: its connection.
        rules: from where requests may come.

    Raises:
        Refused: it is malformed, not supported, or from a place that may not come here.
    """
    target, headers = _parse(head)
    host = _check_host(headers, rules)
    scheme, address, is_forwarded = _locate(headers, source, rules)
    _check_origin(headers, host, scheme, rules)
    is_public = not _is_loopback_name(host.host)
    return AcceptedRequest(target.partition("?")[0], headers, address, is_forwarded or is_public)


def _parse(head: bytes) -> tuple[str, Headers]:
    """Parse a head; return its target and its headers."""
    line, *lines = head.removesuffix(HEAD_END).split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "This is no request line.")
    method, target, *version = match.groups()
    if method != b"GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is understood here.")
    if version != [b"1", b"1"]:
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.1 is understood here.")
    if len(lines) > MAX_HEADERS or len(max(line, *lines, b"", key=len)) > MAX_HEADER_LINE:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long.")
    headers = Headers()
    for text in lines:
        match = _HEADER.fullmatch(text)
        if match is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "A header is malformed.")
        name, value = match.groups()
        headers[name.decode()] = value.strip(b" \t").decode("latin-1")
    if "Transfer-Encoding" in headers or {*headers.get_all("Content-Length")} - {"0"}:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A request has no body here.")
    return target.decode(), headers


def parse_authority(text: str) -> Authority | None:
    """Parse a host with an optional port; None if it is malformed."""
    match = _HOST.fullmatch(text.lower())
    if match is None:
        return None
    host, digits = match.groups()
    port = int(digits) if digits is not None else None
    if port is not None and not 0 < port < 65536:
        return None
    if host.startswith("["):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return None
    return Authority(host, port)


def parse_origin(text: str) -> Origin | None:
    """Parse an origin as browsers write it; None if it is malformed or opaque (`null`)."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, rest = match.groups()
    authority = parse_authority(rest)
    return None if authority is None else Origin(scheme, authority.with_port(scheme))


def _check_host(headers: Headers, rules: Rules) -> Authority:
    """Return the host of a request, after checking that this server is reached under it (W3)."""
    values = headers.get_all("Host")
    host = parse_authority(values[0]) if len(values) == 1 else None
    if host is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "A request needs one Host.", "refused-host")
    if not (host.host == "localhost" or host.host in rules.hosts or _is_address(host.host)):
        why = "This server is not known under that name. The setting web-host makes it so."
        raise Refused(HTTPStatus.MISDIRECTED_REQUEST, why, "refused-host")
    return host


def _check_origin(headers: Headers, host: Authority, scheme: str | None, rules: Rules) -> None:
    """Check the origin of the page that made a request, if a page did (W4, W5)."""
    values = headers.get_all("Origin")
    if not values:
        return
    origin = parse_origin(values[0]) if len(values) == 1 else None
    if origin is None or not (origin in rules.origins or _is_own(origin, host, scheme)):
        raise Refused(HTTPStatus.FORBIDDEN, "Pages of another site may not come here.", "refused-origin")


def _is_own(origin: Origin, host: Authority, scheme: str | None) -> bool:
    return origin.scheme == (scheme or origin.scheme) and origin.authority == host.with_port(origin.scheme)


def _locate(headers: Headers, source: RequestSource, rules: Rules) -> tuple[str | None, str, bool]:
    """Tell where a request came from (W5).

    Returns:
        The scheme that the browser uses, None if it is not known: a proxy may have ended the TLS. The client's
        address. Whether a proxy has forwarded the request.
    """
    is_forwarded = any(name in headers for name in FORWARDING)
    scheme, address = ("https" if source.is_tls else None), source.peer
    if _is_within(source.peer, rules.proxies):
        sent = _last(headers, "X-Forwarded-For")
        address = _address(sent) or address
        scheme = {"http": "http", "https": "https"}.get(_last(headers, "X-Forwarded-Proto").lower(), scheme)
    return scheme, address, is_forwarded


def _last(headers: Headers, name: str) -> str:
    """Return the last value of a list in headers: what the nearest proxy has added."""
    return ",".join(headers.get_all(name)).rpartition(",")[2].strip(" \t")


def _address(text: str) -> str | None:
    """Parse an IP address with an optional port, as proxies write it; None if it is malformed."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_within(peer: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    if not networks or not peer:
        return False
    address = ipaddress.ip_address(peer)
    return any(address in network for network in networks)


def _is_loopback_name(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
