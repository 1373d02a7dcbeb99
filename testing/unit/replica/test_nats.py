"""The engines' protocol: frames fed whole and byte by byte, what is refused, and what is sent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica import nats
from replica.nats import Complaint, Control, Decoder, Frame, Info, Message, ProtocolError
from support.examples import EXAMPLES, pieces

FRAMES: list[tuple[bytes, Frame]] = [
    (b'INFO {"server_id":"a","ldm":true} \r\n', Info({"server_id": "a", "ldm": True})),
    (b"PING\r\n", Control("PING")),
    (b"pong\r\n", Control("PONG")),
    (b"+OK\r\n", Control("+OK")),
    (b"-ERR 'Authorization Violation'\r\n", Complaint("Authorization Violation")),
    (b"MSG ct.t.r 3 5\r\nhello\r\n", Message("ct.t.r", 3, "", 0, b"", b"hello")),
    (b"MSG ct.t.r 3 _INBOX.a.1 0\r\n\r\n", Message("ct.t.r", 3, "_INBOX.a.1", 0, b"", b"")),
    (b"MSG ct.t.r 3 6\r\n\r\nMSG\r\n\r\n"[:-2] + b"\r\n", Message("ct.t.r", 3, "", 0, b"", b"\r\nMSG\r")),
    (
        b"HMSG ct.t.r 3 40 42\r\nNATS/1.0\r\nNats-Sequence: 7\r\nA:b:c \r\n\r\n..hi\r\n",
        Message("ct.t.r", 3, "", 0, b"NATS/1.0\r\nNats-Sequence: 7\r\nA:b:c \r\n\r\n", b"hi"),
    ),
    (b"HMSG i 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", Message("i", 1, "", 503, b"NATS/1.0 503\r\n\r\n", b"")),
    (b"HMSG i 1 r 20 20\r\nNATS/1.0 204 EOB\r\n\r\n\r\n", Message("i", 1, "r", 204, b"NATS/1.0 204 EOB\r\n\r\n", b"")),
]


def fixed(frames: Iterable[tuple[bytes, Frame]]) -> list[tuple[bytes, Frame]]:
    """Return the frames with the sizes of their headers and payloads as they are."""
    result = []
    for data, frame in frames:
        if isinstance(frame, Message):
            line, _, rest = data.partition(b"\r\n")
            words = line.split()
            block = rest[: rest.index(b"\r\n\r\n") + 4] if words[0] == b"HMSG" else b""
            sizes = [len(block), len(block) + len(frame.payload)] if block else [len(frame.payload)]
            words[-len(sizes) :] = [b"%d" % size for size in sizes]
            data = b" ".join(words) + b"\r\n" + block + frame.payload + b"\r\n"
        result.append((data, frame))
    return result


def test_headers() -> None:
    message = EXPECTED[8]
    assert isinstance(message, Message)
    twice = message._replace(head=b"NATS/1.0\r\nNats-Sequence: 9\r\nNats-Sequence: 7\r\n\r\n")
    assert twice.header("Nats-Sequence") == "7", "the engine's own comes last"
    assert [message.header(name) for name in ("Nats-Sequence", "A", "Nats", "B")] == ["7", "b:c", "", ""]


STREAM = b"".join(data for data, _frame in fixed(FRAMES))
EXPECTED = [frame for _data, frame in FRAMES]


def test_whole() -> None:
    assert list(Decoder().feed(STREAM)) == EXPECTED


def test_byte_by_byte() -> None:
    decoder = Decoder()
    assert [frame for byte in STREAM for frame in decoder.feed(bytes([byte]))] == EXPECTED


def test_cut_at_every_byte() -> None:
    for cut in range(1, len(STREAM)):
        decoder = Decoder()
        assert [*decoder.feed(STREAM[:cut]), *decoder.feed(STREAM[cut:])] == EXPECTED, cut


@EXAMPLES
@given(cuts=st.lists(st.integers(0, len(STREAM))))
def test_cut_anywhere(cuts: list[int]) -> None:
    decoder = Decoder()
    assert [frame for piece in pieces(STREAM, cuts) for frame in decoder.feed(piece)] == EXPECTED


@pytest.mark.parametrize(
    "data",
    [
        b"HELLO\r\n",
        b"\r\n",
        b"INFO nothing\r\n",
        b"INFO [1]\r\n",
        b"MSG\r\n",
        b"MSG a\r\n",
        b"MSG a 1\r\n",
        b"MSG a b 1\r\n",
        b"MSG a 1 r more 1\r\n",
        b"MSG a 1 -1\r\n",
        "MSG a 1 ²\r\n".encode(),
        b"MSG a 1 99999999\r\n",
        b"HMSG a 1 5\r\n",
        b"HMSG a 1 20 10\r\n",
        b"MSG a 1 1\r\nab\r\n",
        b"HMSG a 1 10 10\r\nHTTP/1.1\r\n\r\n",
        b"x" * (nats.MAX_LINE + 1),
        b"INFO " + b"x" * nats.MAX_LINE + b"\r\n",
        b"MSG " + b"x" * nats.MAX_LINE + b" 1 0\r\n\r\n",
    ],
    ids=lambda data: str(data[:20]),
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed(data))


@EXAMPLES
@given(data=st.binary(max_size=80), words=st.sampled_from([b"", b"MSG ", b"HMSG a 1 ", b"INFO {", b"-ERR "]))
def test_any_bytes_are_frames_or_refused(data: bytes, words: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        list(Decoder().feed(words + data + b"\r\n"))


def test_what_is_sent() -> None:
    assert nats.subscribe("ct.t.r", 3) == b"SUB ct.t.r 3\r\n"
    assert nats.unsubscribe(3) == b"UNSUB 3\r\n"
    assert nats.publish("a", b"hi") == b"PUB a 2\r\nhi\r\n"
    assert nats.publish("a", b"", "r") == b"PUB a r 0\r\n\r\n"
    assert nats.publish("a", b"hi", "r", {"K": "v"}) == b"HPUB a r 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n"
    bare = json.loads(nats.connect("run", "", "").removeprefix(b"CONNECT "))
    assert bare["headers"] and bare["no_responders"] and not bare["verbose"]
    assert "user" not in bare
    named = json.loads(nats.connect("run", "chat", "secret").removeprefix(b"CONNECT "))
    assert (named["user"], named["pass"], named["name"]) == ("chat", "secret", "run")
