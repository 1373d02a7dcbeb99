"""The protocol of a NATS engine, without I/O: frames out of bytes, and bytes for what a client sends.

A frame is a line that ends in CRLF. MSG and HMSG lines name the size of a payload, which follows with a CRLF of its
own. The first part of an HMSG payload is a block of headers: `NATS/1.0[ <status>[ <words>]]`, then `Key: value` lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MAX_LINE = 64 * 1024
"""Maximum bytes of a line; an engine's INFO, which lists its cluster, is the longest."""

MAX_PAYLOAD = 1024 * 1024 + 64 * 1024
"""Maximum bytes of a payload with its headers: the engine's own limit, and some for what it adds."""

MAX_DIGITS = 60
"""Digits of the numbers in a message's line, all together."""

_HEADER = re.compile(r"([^:\r\n]*):[ \t]*([^\r\n]*?)[ \t]*\r\n")

PING, PONG = b"PING\r\n", b"PONG\r\n"

NO_HEADERS: Mapping[str, str] = {}


class ProtocolError(Exception):
    """The bytes are not this protocol; nothing after them can be understood."""


class Info(NamedTuple):
    """What the engine says of itself, at the beginning and when it changes."""

    options: Mapping[str, Any]


class Message(NamedTuple):
    """A message to one of our subscriptions.

    Attributes:
        sid: the number of the subscription.
        reply: where an answer goes; "" for nowhere.
        status: of the headers: 503 when nobody is subscribed; 0 for none.
    """

    subject: str
    sid: int
    reply: str
    status: int
    headers: Mapping[str, str]
    payload: bytes


class Control(NamedTuple):
    """A line without content: `PING`, `PONG` or `+OK`."""

    word: str


class Complaint(NamedTuple):
    """An error that the engine tells, `-ERR`; most of them end the connection."""

    text: str


Frame = Info | Message | Control | Complaint


class Decoder:
    """Makes frames of the bytes that an engine sends, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._awaited: tuple[list[str], int, int] | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Return the frames that are complete with these bytes.

        Raises:
            ProtocolError: the bytes are no such frames, or a line or payload is longer than allowed.
        """
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if self._awaited is None:
            end = self._buffer.find(b"\r\n")
            if end > MAX_LINE or (end < 0 and len(self._buffer) > MAX_LINE):
                raise ProtocolError("a line is too long")
            if end < 0:
                return None
            line = self._buffer[:end].decode("utf-8", "replace")
            del self._buffer[: end + 2]
            word, _, rest = line.partition(" ")
            if word.upper() not in ("MSG", "HMSG"):
                return _line(word.upper(), rest)
            self._awaited = _announced(word.upper() == "HMSG", rest.split())
        return self._payload(*self._awaited)

    def _payload(self, words: list[str], header_size: int, size: int) -> Message | None:
        if len(self._buffer) < size + 2:
            return None
        if self._buffer[size : size + 2] != b"\r\n":
            raise ProtocolError("a payload has another size than announced")
        head, payload = bytes(self._buffer[:header_size]), bytes(self._buffer[header_size:size])
        del self._buffer[: size + 2]
        self._awaited = None
        status, headers = _headers(head) if head else (0, NO_HEADERS)
        return Message(words[0], int(words[1]), words[2] if len(words) == 3 else "", status, headers, payload)


def _line(word: str, rest: str) -> Frame:
    if word == "INFO":
        try:
            options = json.loads(rest)
        except ValueError as error:
            raise ProtocolError("INFO is no JSON") from error
        if not isinstance(options, dict):
            raise ProtocolError("INFO is no JSON object")
        return Info(options)
    if word == "-ERR":
        return Complaint(rest.strip("' "))
    if word in ("PING", "PONG", "+OK"):
        return Control(word)
    raise ProtocolError(f"unknown word {word[:16]!r}")


def _announced(has_headers: bool, words: list[str]) -> tuple[list[str], int, int]:
    """Return subject, sid and reply; the bytes of the headers, and of headers and payload."""
    sizes = words[-2:] if has_headers else ["0", *words[-1:]]
    words = words[: -2 if has_headers else -1]
    digits = "".join([*sizes, *words[1:2]])
    if not 2 <= len(words) <= 3 or not (digits.isascii() and digits.isdigit()) or len(digits) > MAX_DIGITS:
        raise ProtocolError("a message's line is wrong")
    head, size = map(int, sizes)
    if not head <= size <= MAX_PAYLOAD:
        raise ProtocolError("a message is too large")
    return words, head, size


def _headers(block: bytes) -> tuple[int, Mapping[str, str]]:
    text = block.decode("utf-8", "replace")
    version, _, rest = text.partition("\r\n")[0].partition(" ")
    if version != "NATS/1.0":
        raise ProtocolError("headers of an unknown version")
    status = rest.split(" ", 1)[0]
    return int(status) if len(status) == 3 and status.isascii() and status.isdigit() else 0, dict(_HEADER.findall(text))


# ---- what a client sends ----


def connect(name: str, user: str, password: str) -> bytes:
    """Return the CONNECT line; without a user there are no credentials."""
    options: dict[str, Any] = {
        "verbose": False,
        "pedantic": False,
        "headers": True,
        "no_responders": True,
        "protocol": 1,
        "lang": "python",
        "version": "1",
        "name": name,
    }
    if user:
        options |= {"user": user, "pass": password}
    return b"CONNECT %b\r\n" % json.dumps(options).encode()


def subscribe(subject: str, sid: int) -> bytes:
    """Return the line that subscribes to a subject; its messages bear this number."""
    return f"SUB {subject} {sid}\r\n".encode()


def unsubscribe(sid: int) -> bytes:
    """Return the line that ends a subscription."""
    return f"UNSUB {sid}\r\n".encode()


def publish(subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] = NO_HEADERS) -> bytes:
    """Return the frame that publishes a payload."""
    to = f"{subject} {reply}" if reply else subject
    if not headers:
        return b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(payload), payload)
    block = "".join(("NATS/1.0\r\n", *(f"{key}: {value}\r\n" for key, value in headers.items()), "\r\n")).encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (to.encode(), len(block), len(block) + len(payload), block, payload)
