"""web/websocket.py and web/frames.py: lines in frames, back-pressure, pings, and the end."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from net.table import CloseReason
from support.web import HANDSHAKE, Browser, Desk, head
from web.frames import BINARY, TEXT, Framing
from web.keepalive import PROBE_SECONDS, QUIET_SECONDS
from web.websocket import FRAMES_PER_TURN, MAX_MESSAGE


def masked(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.mark.parametrize(
    ("offered", "chosen", "opcode"),
    [
        ((), None, Opcode.TEXT),
        (("text.ircv3.net",), "text.ircv3.net", Opcode.TEXT),
        (("binary.ircv3.net", "text.ircv3.net"), "binary.ircv3.net", Opcode.BINARY),
        (("chat", "text.ircv3.net", "binary.ircv3.net"), "text.ircv3.net", Opcode.TEXT),
        (("chat",), None, Opcode.TEXT),
    ],
)
def test_the_client_chooses_text_or_binary(offered: tuple[str, ...], chosen: str | None, opcode: Opcode) -> None:
    """(W7)"""
    browser = Browser(Desk(), *offered)
    assert browser.protocol.subprotocol == chosen
    browser.session.transport.send(b"PING x\r\n")
    assert [(frame.opcode, frame.data) for frame in browser.pull()] == [(opcode, b"PING x")]


def test_compression_is_ignored() -> None:
    """(W8)"""
    desk = Desk()
    desk.feed(head(*HANDSHAKE, "Sec-WebSocket-Extensions: permessage-deflate"))
    answer = desk.answer()
    assert answer is not None
    assert "Sec-WebSocket-Extensions" not in answer.headers


LINES = [b"NICK ann", "SAY garden gr\u00fc\u00df dich \U0001f600".encode(), b"", b"x" * MAX_MESSAGE, b"PING 1"]


def test_a_frame_is_a_line_also_byte_by_byte() -> None:
    """(W7)"""
    data = b"".join(map(masked, LINES))
    for step in (len(data), 1, 7, 1000):
        browser = Browser(Desk())
        for start in range(0, len(data), step):
            browser.desk.feed(data[start : start + step])
            browser.desk.settle()
        assert browser.session.lines == [line + b"\n" for line in LINES]


def test_a_line_may_come_with_its_end_and_in_fragments() -> None:
    """(W7)"""
    browser = Browser(Desk())
    browser.say(b"NICK ann\r\n")
    browser.say(b"USER ")
    browser.say(b"NICK ", fin=False)
    browser.say(b"", Opcode.PING)
    browser.say(b"bo", Opcode.CONT, fin=False)
    browser.say(b"b\n", Opcode.CONT)
    assert browser.session.lines == [b"NICK ann\n", b"USER \n", b"NICK bob\n"]
    assert [frame.opcode for frame in browser.pull()] == [Opcode.PONG]


FAULTS = [
    (masked(b"x" * (MAX_MESSAGE + 1)), 1009),
    (masked(b"x" * MAX_MESSAGE, fin=False) + masked(b"x", Opcode.CONT), 1009),
    (masked(b"caf\xe9"), 1007),
    (masked(b"caf", fin=False) + masked(b"\xe9", Opcode.CONT), 1007),
    (masked(b"two\nlines"), 1007),
    (masked(b"two\rlines", Opcode.BINARY), 1007),
    (masked(b"two\r\n\r\n"), 1007),
    (Frame(Opcode.TEXT, b"no mask").serialize(mask=False), 1002),
    (masked(b"x", Opcode.CONT), 1002),
    (masked(b"x", fin=False) + masked(b"y"), 1002),
    (b"\xc1\x80\0\0\0\0", 1002),
    (b"\x83\x80\0\0\0\0", 1002),
    (b"\x89\xfe\x00\x80" + b"\0" * 132, 1002),
    (masked(b"x", fin=False) + masked(b"", Opcode.CLOSE), 1002),
]


@pytest.mark.parametrize(("data", "code"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_closes_and_nothing_behind_it_is_run(data: bytes, code: int) -> None:
    """(W7)"""
    for whole in (True, False):
        browser = Browser(Desk())
        browser.say(b"before")
        everything = data + masked(b"behind")
        for piece in [everything] if whole else [bytes([byte]) for byte in everything]:
            browser.desk.feed(piece)
        browser.desk.settle()
        assert browser.close_code == code
        assert browser.session.lines == [b"before\n"]
        assert browser.desk.connection.finished == 1


def test_binary_where_text_was_agreed_is_a_line() -> None:
    """(W7)"""
    browser = Browser(Desk(), "text.ircv3.net")
    browser.say(b"caf\xe9", Opcode.BINARY)
    assert browser.session.lines == [b"caf\xe9\n"]


def test_many_frames_leave_the_others_their_turn() -> None:
    """(W7)"""
    browser = Browser(Desk())
    count = 10 * FRAMES_PER_TURN
    browser.desk.feed(masked(b"") * count)
    assert len(browser.session.lines) == FRAMES_PER_TURN
    assert not browser.desk.connection.reading
    assert browser.desk.connection.holds_input == 6 * (count - FRAMES_PER_TURN)
    browser.desk.settle()
    assert len(browser.session.lines) == count
    assert browser.desk.connection.reading
    assert browser.desk.connection.holds_input == 0


def test_input_waits_for_the_session_and_for_the_reader() -> None:
    """(W6)"""
    browser = Browser(Desk())
    socket = browser.session.transport
    socket.pause_reading()
    browser.desk.feed(masked(b"one"))
    assert browser.session.lines == []
    browser.desk.connection.congested = True
    socket.resume_reading()
    browser.desk.settle()
    assert browser.session.lines == []
    browser.desk.connection.congested = False
    socket.drained()
    browser.desk.settle()
    assert browser.session.lines == [b"one\n"]
    assert browser.session.told == ["drained"]
    assert browser.desk.connection.reading


def test_the_frames_of_a_message_are_made_once() -> None:
    """(W9)"""
    made: list[bytes] = []

    class Counting(Framing):
        def _frame(self, line: bytes) -> bytes:
            made.append(line)
            return super()._frame(line)

    framing = Counting(Opcode.TEXT)
    message = b":ann PRIVMSG #garden :hi\r\n"
    assert len({id(framing(message)) for _client in range(3)}) == 1
    assert made == [b":ann PRIVMSG #garden :hi\r"]


@given(st.lists(st.binary(max_size=300).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))))
def test_lines_come_out_as_they_went_in(lines: list[bytes]) -> None:
    """(W9)"""
    data = b"".join(line + b"\r\n" for line in lines)
    browser = Browser(Desk(), "binary.ircv3.net")
    if data:
        browser.session.transport.send(data)
    assert [frame.data for frame in browser.pull()] == lines


@given(st.lists(st.sampled_from([b"ab", b"\n", b"cd\r\n", b"e\nf", b""])))
def test_a_stream_may_be_cut_anywhere(chunks: list[bytes]) -> None:
    """(W9)"""
    whole = b"".join(chunks)
    lines = [line.removesuffix(b"\r") for line in whole.removesuffix(b"\n").split(b"\n")] if whole else []
    frames = b"".join(TEXT.stream(iter(chunks)))
    assert frames == b"".join(Frame(Opcode.TEXT, line).serialize(mask=False) for line in lines)
    assert BINARY is not TEXT


def test_streams_and_receipts_are_framed() -> None:
    browser = Browser(Desk())
    socket = browser.session.transport
    outcomes: list[bool] = []
    socket.stream(iter([b"a\n", b"b\nc", b"\n"]))
    socket.send_with_receipt(b"d\n", outcomes.append)
    socket.send(b"e\n")
    assert socket.congested
    browser.desk.connection.pump()
    browser.desk.settle()
    assert [frame.data for frame in browser.pull()] == [b"a", b"b", b"c", b"d", b"e"]
    assert outcomes == [True]


def test_a_quiet_client_is_pinged() -> None:
    """(W6)"""
    browser = Browser(Desk())
    browser.desk.timers.let_pass(QUIET_SECONDS - 1)
    browser.say(b"PING 1")
    browser.desk.timers.let_pass(QUIET_SECONDS - 1)
    assert browser.pull() == []
    browser.desk.timers.let_pass(1)
    assert [frame.opcode for frame in browser.pull()] == [Opcode.PING]
    browser.push()
    browser.desk.timers.let_pass(QUIET_SECONDS + 61)
    assert browser.desk.connection.closed_for == [CloseReason.LOST]


def test_a_client_without_pongs_is_lost() -> None:
    """(W6)"""
    browser = Browser(Desk())
    browser.desk.timers.let_pass(QUIET_SECONDS)
    browser.desk.timers.let_pass(59)
    assert browser.desk.connection.closed_for == []
    browser.desk.timers.let_pass(1)
    assert browser.desk.connection.closed_for == [CloseReason.LOST]
    browser.desk.connection.owner.lost(CloseReason.LOST)
    assert browser.session.told == [CloseReason.LOST]
    assert browser.desk.timers.deadlines.nearest() is None


def test_a_probe_wants_its_pong_soon() -> None:
    """(W6)"""
    for answers in (True, False):
        browser = Browser(Desk())
        browser.session.transport.probe()
        browser.pull()
        if answers:
            browser.push()
        browser.desk.timers.let_pass(PROBE_SECONDS)
        assert bool(browser.desk.connection.closed_for) != answers


def test_the_client_s_close_is_answered_and_ends_the_session() -> None:
    """(W7)"""
    browser = Browser(Desk())
    browser.desk.feed(masked(b"last") + masked(b"\x03\xe8", Opcode.CLOSE) + masked(b"behind"))
    assert browser.session.lines == [b"last\n"]
    assert browser.session.told == ["ended"]
    outcomes: list[bool] = []
    browser.session.transport.send(b"too late\n")
    browser.session.transport.stream(iter([b"too late\n"]))
    browser.session.transport.send_with_receipt(b"too late\n", outcomes.append)
    browser.session.transport.probe()
    browser.session.end()
    browser.desk.settle()
    assert outcomes == [False]
    assert browser.close_code == 1000
    assert browser.frames[-1].opcode is Opcode.CLOSE
    assert browser.desk.connection.finished == 1


def test_a_session_s_end_says_good_bye() -> None:
    """(W7)"""
    browser = Browser(Desk())
    browser.session.transport.send(b"ERROR :bye\n")
    browser.session.end()
    assert browser.close_code == 1000
    assert browser.frames[0].data == b"ERROR :bye"


def test_a_server_that_stops_says_so() -> None:
    browser = Browser(Desk())
    browser.desk.connection.owner.drain()
    assert browser.close_code == 1001


def test_a_half_closed_client_gets_its_answers() -> None:
    browser = Browser(Desk())
    browser.session.transport.pause_reading()
    browser.desk.feed(masked(b"last"))
    browser.desk.connection.owner.ended()
    assert browser.session.told == []
    browser.session.transport.resume_reading()
    browser.desk.settle()
    assert browser.session.lines == [b"last\n"]
    assert browser.session.told == ["ended"]


def test_the_transport_passes_on_what_it_does_not_change() -> None:
    browser = Browser(Desk())
    socket, connection = browser.session.transport, browser.desk.connection
    socket.note_first_line()
    socket.set_output_limit(1000, "max-out-buffer")
    socket.call_later(1, print)
    socket.count_input(5)
    socket.refuse()
    assert (connection.spoken, connection.output_limit, len(connection.later)) == (1, 1000, 1)
    assert (connection.holds_input, connection.refused) == (5, 1)
    socket.hold_login_timeout()
    assert connection.holds_login
    socket.resume_login_timeout()
    assert not connection.holds_login
    assert (socket.must_yield, socket.is_behind, socket.output) == (False, False, connection)
    assert socket.local_address == connection.local_address
    assert str(socket) == "127.0.0.1 port 40000"


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=20))
def test_any_bytes_are_frames_or_a_close(pieces: list[tuple[bool, bytes]]) -> None:
    """(W1)"""
    browser = Browser(Desk())
    for is_frame, piece in pieces:
        browser.desk.feed(masked(piece) if is_frame else piece)
        browser.desk.settle()
    assert all(line.count(b"\n") == 1 for line in browser.session.lines)


def test_noise_closes() -> None:
    browser = Browser(Desk())
    browser.desk.feed(b"\xff" + os.urandom(20_000))
    browser.desk.settle()
    assert browser.close_code == 1002
