"""The connection to an engine, against a pipe that is played by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from replica import link as module
from replica.link import EngineLink
from replica.nats import Message
from replica.network import Address

ENGINES = [Address("127.0.0.1", port) for port in (1, 2, 3)]
INFO = b'INFO {"server_id": "a"}\r\n'


class PlayedPipe:
    def __init__(self, ready: Callable[[], None]) -> None:
        self.ready = ready
        self.sent = b""
        self.takes = 1_000_000
        self.input: list[bytes] = []
        self.wants = False
        self.is_closed = False
        self.waited: list[float] = []
        self.error: OSError | None = None

    def send(self, data: bytes | bytearray) -> int:
        if self.error:
            raise self.error
        taken = bytes(data[: self.takes])
        self.sent += taken
        return len(taken)

    def receive(self) -> bytes | None:
        if self.error:
            raise self.error
        return self.input.pop(0) if self.input else None

    def secure(self) -> None:
        if self.error:
            raise self.error
        self.sent += b"(TLS)"

    def want_to_send(self, wanted: bool) -> None:
        self.wants = wanted

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    def close(self) -> None:
        self.is_closed = True


class PlayedNetwork:
    def __init__(self) -> None:
        self.now = 50.0
        self.dialled: list[int] = []
        self.pipes: list[PlayedPipe] = []
        self.slept: list[float] = []
        self.refused: set[int] = set()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def dial(self, address: Address, ready: Callable[[], None]) -> PlayedPipe:
        self.dialled.append(address.port)
        if address.port in self.refused:
            raise ConnectionRefusedError(111, "refused")
        self.pipes.append(PlayedPipe(ready))
        return self.pipes[-1]


class Stage:
    def __init__(self, *, tls: bool = False) -> None:
        self.network = PlayedNetwork()
        self.link = EngineLink(ENGINES, self.network, run="run", user="chat", password="secret", tls=tls)
        self.heard: list[Message] = []
        self.told: list[str] = []
        self.link.opened = lambda: self.told.append("opened")
        self.link.settled = lambda: self.told.append("settled")
        self.link.subscribe("ct.t.r", self.heard.append)

    @property
    def pipe(self) -> PlayedPipe:
        return self.network.pipes[-1]

    def put(self, data: bytes) -> None:
        self.pipe.input.append(data)
        self.pipe.ready()

    def pass_time(self, seconds: float) -> None:
        ends = self.network.now + seconds
        while self.network.now < ends:
            self.network.now += module.TICK
            self.link.tick()

    def open(self) -> Stage:
        self.link.tick()
        self.put(INFO)
        self.put(b"PONG\r\n")
        assert self.link.is_open
        return self


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_an_engine_takes_the_subscriptions_first() -> None:
    stage = Stage()
    stage.link.publish("lost", b"")
    stage.link.tick()
    assert stage.pipe.sent == b""
    stage.put(INFO)
    lines = stage.pipe.sent.split(b"\r\n")
    assert [line.split(b" ")[0] for line in lines] == [b"CONNECT", b"SUB", b"SUB", b"PING", b""]
    assert b"secret" in lines[0]
    assert not stage.link.is_open
    assert stage.told == ["settled"]
    stage.put(b"PONG\r\n")
    assert stage.told == ["settled", "opened", "settled"]
    stage.link.publish("a", b"hi")
    assert stage.pipe.sent.endswith(b"PUB a 2\r\nhi\r\n")


@pytest.mark.parametrize("option", ["tls_required", "tls_available"])
def test_tls_begins_before_a_word_is_said_and_drops_what_came_before(option: str) -> None:
    stage = Stage(tls=True)
    stage.link.tick()
    stage.put(b'INFO {"%b": true}\r\nPONG\r\n' % option.encode())
    assert stage.pipe.sent.startswith(b"(TLS)CONNECT ")
    assert not stage.link.is_open, "the PONG was not encrypted"
    stage.put(b'INFO {"tls_required": true}\r\n')
    assert stage.pipe.sent.count(b"(TLS)") == 1
    stage.put(b"PONG\r\n")
    assert stage.link.is_open


@pytest.mark.parametrize(
    ("tls", "info", "reason"),
    [
        (True, INFO, "offers no TLS"),
        (False, b'INFO {"tls_required": true}\r\n', "wants TLS; write tls at the end of the line"),
    ],
)
def test_an_engine_that_does_not_agree_on_tls_is_left(
    tls: bool, info: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tls=tls)
    stage.link.tick()
    stage.put(info)
    assert stage.pipe.is_closed
    assert stage.pipe.sent == b""
    assert reason in caplog.text


def test_messages_go_to_their_handlers() -> None:
    stage = Stage().open()
    answers: list[Message] = []
    reply = stage.link.expect(answers.append)
    late: list[Message] = []
    sid = stage.link.subscribe("late", late.append)
    assert stage.pipe.sent.endswith(b"SUB late %d\r\n" % sid)
    inbox, feed = 1, 2  # in the order in which they were subscribed
    messages = [f"ct.t.r {feed} 2\r\nhi", f"{reply} {inbox} 0\r\n", f"late {sid} 0\r\n", "x 99 0\r\n"]
    stage.put("".join(f"MSG {message}\r\n" for message in messages).encode())
    assert [message.payload for message in stage.heard] == [b"hi"]
    assert len(answers) == len(late) == 1
    stage.link.forget(reply)
    stage.link.unsubscribe(sid)
    stage.link.unsubscribe(sid)
    assert stage.pipe.sent.endswith(b"UNSUB %d\r\n" % sid)
    stage.put(f"MSG {reply} {inbox} 0\r\n\r\nMSG late {sid} 0\r\n\r\n".encode())
    assert len(answers) == len(late) == 1


def test_what_arrives_together_is_settled_once() -> None:
    stage = Stage().open()
    stage.told.clear()
    stage.put(b"PING\r\n" * 5)
    assert stage.told == ["settled"]
    assert stage.pipe.sent.count(b"PONG\r\n") == 5


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'INFO {"ldm":true}\r\n', id="lame-duck"),
        pytest.param(b"-ERR 'Maximum Payload Violation'\r\n", id="complaint"),
        pytest.param(b"what\r\n", id="no-frame"),
        pytest.param(b"", id="end"),
    ],
)
def test_an_engine_is_left_for_the_next(data: bytes) -> None:
    stage = Stage().open()
    stage.put(data)
    assert stage.network.pipes[0].is_closed
    assert not stage.link.is_open
    assert stage.link.engine is None
    stage.link.tick()
    assert stage.network.dialled == [1, 2]
    stage.network.pipes[0].ready()  # a stale event
    stage.put(INFO)
    stage.put(b"PONG\r\n")
    assert stage.link.openings == 2
    assert stage.pipe.sent.count(b"SUB ") == 2


@pytest.mark.parametrize("call", ["receive", "send"])
def test_a_broken_connection_is_left(call: str) -> None:
    stage = Stage().open()
    stage.pipe.error = OSError(104, "reset")
    if call == "send":
        stage.link.publish("a", b"")
    else:
        stage.pipe.ready()
    assert stage.pipe.is_closed
    stage.link.tick()
    assert stage.network.dialled == [1, 2]


def test_a_silent_engine_is_left() -> None:
    stage = Stage().open()
    stage.pass_time(1.4)
    assert stage.pipe.sent.count(b"PING\r\n") == 3  # the one of the beginning, and one each half second
    stage.put(b"PONG\r\n")
    stage.pass_time(1.4)
    assert not stage.pipe.is_closed
    stage.pass_time(0.3)
    assert stage.network.pipes[0].is_closed
    assert stage.network.dialled == [1, 2]


def test_an_engine_that_does_not_begin_is_left() -> None:
    stage = Stage()
    stage.pass_time(1.7)
    assert stage.network.dialled == [1, 2]
    assert b"PING" not in stage.network.pipes[0].sent


def test_the_silence_of_others_proves_nothing_after_a_pause() -> None:
    stage = Stage().open()
    stage.network.now += 10
    stage.link.tick()
    assert stage.link.is_open
    stage.pass_time(1.7)
    assert stage.network.dialled == [1, 2]


def test_all_engines_are_tried_again_after_a_pause() -> None:
    stage = Stage()
    stage.network.refused = {1, 2, 3}
    for _ in range(3):
        stage.link.tick()
    stage.link.tick()
    assert stage.network.dialled == [1, 2, 3]
    stage.pass_time(0.15)
    assert stage.network.dialled[:4] == [1, 2, 3, 1]
    stage.network.refused.clear()
    stage.pass_time(0.1)
    assert stage.pipe


def test_what_an_engine_does_not_take_waits() -> None:
    stage = Stage().open()
    stage.pipe.takes = 4
    stage.link.publish("a", b"hi")
    assert stage.pipe.wants
    stage.pipe.takes = 1_000_000
    stage.pipe.ready()
    assert not stage.pipe.wants
    assert stage.pipe.sent.endswith(b"PUB a 2\r\nhi\r\n")


def test_an_engine_that_takes_nothing_is_left() -> None:
    stage = Stage().open()
    stage.pipe.takes = 0
    for _ in range(3):
        stage.link.publish("a", bytes(module.MAX_PENDING // 2))
    assert stage.network.pipes[0].is_closed


def test_waiting_handles_what_arrives() -> None:
    stage = Stage()
    stage.link.wait(0.05)
    assert stage.network.slept == [0.05]
    stage.open()
    stage.pipe.input.append(b"PING\r\n")
    stage.link.wait(0.05)
    assert stage.pipe.waited == [0.05]
    assert stage.pipe.sent.endswith(b"PONG\r\n")


def test_a_handler_that_leaves_ends_the_frames() -> None:
    stage = Stage().open()
    stage.link.subscribe("end", lambda _message: stage.link.close())
    sid = int(stage.pipe.sent.split(b"\r\n")[-2].split()[2])
    stage.put(f"MSG end {sid} 0\r\n\r\nMSG ct.t.r 2 0\r\n\r\n".encode())
    assert stage.heard == []
    stage.pass_time(1.0)
    assert stage.network.dialled == [1]


def test_no_password_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage().open()
    stage.put(b"-ERR 'Authorization Violation'\r\n")
    assert "Authorization Violation; see the directive engine-password-file" in caplog.text
    assert "secret" not in caplog.text
