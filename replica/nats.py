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

_MESSAGE = re.compile(
    rb"(?i:(?P<has_headers>H)?MSG)[ \t]+(\S+)[ \t]+(\d{1,20})(?:[ \t]+(\S+?))??"
    rb"(?(has_headers)[ \t]+(\d{1,20}))[ \t]+(\d{1,20})[ \t]*\r\n"
)
"""A message's line: `H` if it has headers, subject, sid, reply, the bytes of the headers, and those of all."""

_HEAD = re.compile(rb"NATS/1\.0(?: (\d{3})(?=[ \r]))?[ \r]")
"""How a block of headers begins, with the status if there is one."""

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
        head: the block of headers; b"" for none.
    """

    subject: str
    sid: int
    reply: str
    status: int
    head: bytes
    payload: bytes

    def header(self, name: str) -> str:
        """Return the value of a header; "" for none."""
        _, found, rest = self.head.rpartition(b"\r\n%b:" % name.encode())  # the engine adds its own behind others
        return rest.partition(b"\r\n")[0].decode("utf-8", "replace").strip(" \t") if found else ""


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
        self._data = b""
        self._at = 0
        """Where the next frame begins in the data."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Return the frames that are complete with these bytes.

        Raises:
            ProtocolError: the bytes are no such frames, or a line or payload is longer than allowed.
        """
        self._data = data = self._data[self._at :] + data
        self._at = 0
        while (line_end := data.find(b"\r\n", self._at)) >= 0:
            if line_end - self._at > MAX_LINE:
                break
            announced = _MESSAGE.match(data, self._at)
            begin = line_end + 2
            if announced is None:
                line, self._at = data[self._at : line_end], begin
                yield _line(line.decode("utf-8", "replace"))
                continue
            size = int(announced[6])
            if not int(announced[5] or 0) <= size <= MAX_PAYLOAD:
                raise ProtocolError("a message is too large, or smaller than its headers")
            end = begin + size
            if len(data) < end + 2:
                return
            if data[end : end + 2] != b"\r\n":
                raise ProtocolError("a payload has another size than announced")
            self._at = end + 2
            yield _message(announced, data[begin:end])
        if len(data) - self._at > MAX_LINE:
            raise ProtocolError("a line is too long")


def _message(announced: re.Match[bytes], body: bytes) -> Message:
    _has_headers, subject, sid, reply, head_size, _size = announced.groups(b"")
    split, status = int(head_size or 0), 0
    head, payload = body[:split], body[split:]
    if head:
        begin = _HEAD.match(head)
        if begin is None:
            raise ProtocolError("headers of an unknown version")
        status = int(begin[1] or 0)
    return Message(
        subject.decode("utf-8", "replace"), int(sid), reply.decode("utf-8", "replace"), status, head, payload
    )


def _line(line: str) -> Frame:
    word, _, rest = line.partition(" ")
    word = word.upper()
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
    raise ProtocolError(f"unknown line {line[:16]!r}")


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
    block = head_of(headers)
    if not block:
        return b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(payload), payload)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (to.encode(), len(block), len(block) + len(payload), block, payload)


def head_of(headers: Mapping[str, str]) -> bytes:
    """Return the block of these headers; b"" for none."""
    if not headers:
        return b""
    return "".join(("NATS/1.0\r\n", *(f"{key}: {value}\r\n" for key, value in headers.items()), "\r\n")).encode()
