"""The client between pipes, and its command line, as users meet them.

Whatever waits does so for an event and under a deadline; nothing sleeps.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import client
from dialects.mailbox import GREETING
from dialects.mailbox import HINT as MAILBOX_HINT
from harness.peer import Peer
from harness.processes import ROOT
from harness.servers import ServerProcess
from support.clients import SECONDS, FakeServer, Piped
from text import MAX_LINE
from ui import pipes as ui_pipes
from ui import streams
from ui.connection import MAX_RECEIVED_LINE, LineConnection
from ui.dialects.base import TOO_LONG
from ui.dialects.hello import MAX_UNANSWERED, WRONG_SERVER, HelloClient
from ui.options import MAX_RECEIVED, parse_command_line
from ui.pipes import SERVER_HAS_CLOSED
from ui.streams import READ_SIZE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with contextlib.closing(ServerProcess(tmp_path_factory.mktemp("server"), "database :memory:")) as server:
        yield server


# ---- pipes ----


def test_lines_go_both_ways_and_the_server_ends_it(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(server.port)))
    piped.send("REGISTER pia hush\nLOGIN pia hush\n")
    piped.output.expect("RESULT REGISTER 1\nRESULT LOGIN 1\n")
    piped.send("QUIT")
    piped.end_input()
    assert piped.output.rest() == "RESULT REGISTER 1\nRESULT LOGIN 1\n"
    assert (piped.status(), piped.errors()) == (0, "")


def test_after_the_end_of_its_input_it_prints_what_is_answered_and_ends(
    fake: FakeServer, stack: contextlib.ExitStack
) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    piped.send("\ufeffone\r\n\ufefftwo")  # only the first mark stands at the start
    piped.end_input()
    wire.rest()
    assert wire.received == "one\r\n\ufefftwo\n"
    wire.send("three")
    piped.output.expect("three\n")
    assert piped.process.poll() is None
    wire.send_bytes(b"four")
    wire.close()
    assert piped.output.rest() == "three\nfour\n"
    assert (piped.status(), piped.errors()) == (0, "")


def test_it_stays_when_it_is_told_to(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port, "--stay", stdin=subprocess.DEVNULL)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    for line in ("one", "two"):
        wire.send(line)
        piped.output.expect(f"{line}\n")
    wire.socket.setblocking(False)
    with pytest.raises(BlockingIOError):  # neither a byte nor an end has come
        wire.socket.recv(1)
    wire.close()
    assert (piped.status(), piped.errors()) == (1, f"client.py: {SERVER_HAS_CLOSED}\n")


@pytest.mark.parametrize(
    ("typed", "answer", "status"),
    [
        ("PING\n", "RESULT PING 1\n", 1),  # the server goes away while there may be more input
        ("QUIT\n", "", 0),
        ("PING\n \tQUIT \r\n", "RESULT PING 1\n", 0),
        ("1|ann\nbye\n", f"{GREETING}\nSuccess New Account Creation! Your new Account ID: ann123\n", 0),
        ("PING\nSAY den QUIT\nQUITTER\nQUIT", "", 1),
        ("LOGIN ann x\nQUIT\n", "RESULT LOGIN 0\n", 1),
        ("PING\nQUIT\n", "RECV bob den RESULT LOGIN 0\nRESULT HISTORY den 0\n", 0),
        ("x|\nbye\n", f"{GREETING}\nbob: {MAILBOX_HINT}\n", 0),
        ("x|\nbye\n", f"{GREETING}\n{MAILBOX_HINT}\n", 1),
        ("x|\nbye\n", f"RESULT PING 1\n{MAILBOX_HINT}\n", 0),  # no mailbox
    ],
)
def test_the_status_tells_of_failures_and_of_who_went_first(
    fake: FakeServer, stack: contextlib.ExitStack, typed: str, answer: str, status: int
) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    piped.send(typed)
    wire.expect(typed)
    wire.send_bytes(answer.encode())
    wire.close()
    assert piped.output.rest() == answer
    printed = "" if status == 0 or "\nQUIT\n" in typed or "bye\n" in typed else f"client.py: {SERVER_HAS_CLOSED}\n"
    assert (piped.status(), piped.errors()) == (status, printed)


def test_a_reset_after_the_end_of_the_input_is_no_goodbye(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    piped.send("PING\n")
    piped.end_input()
    wire.rest()
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()
    assert (piped.status(), piped.errors()) == (1, f"client.py: {SERVER_HAS_CLOSED}\n")


def test_a_script_can_run_again_at_once(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    wire = stack.enter_context(contextlib.closing(server.peer()))
    wire.send("REGISTER rob hush", "LOGIN rob hush", "CREATE runs", "JOIN runs", "LOGOUT")
    wire.expect("RESULT LOGOUT 1\n")
    for number in range(5):
        piped = stack.enter_context(contextlib.closing(Piped(server.port)))
        piped.send(f"LOGIN rob hush\nSAY runs {number}\n")
        piped.end_input()
        assert piped.output.rest() == f"RESULT LOGIN 1\nRECV rob runs {number}\n"
        assert (piped.status(), piped.errors()) == (0, "")


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([], b""),
        ([b"\xef\xbb\xbf"], b""),
        ([b"\xef", b"\xbb", b"\xbf", b"LOGIN"], b"LOGIN\n"),
        ([b"\xef\xbb\xbf\xff\xfb", b"\x1fLOGIN"], b"LOGIN\n"),
        ([b"\xff\xfa\x1f", b"\xff\xf0\n"], b"\n"),
        ([b"\xff\xfa\x1f"], b"\xff\xfa\x1f\n"),
        ([b"\xef\xbb"], b"\xef\xbb\n"),
        ([b"\xef", b"\xbbx\n"], b"\xef\xbbx\n"),
        ([b"a\n", b"\xef\xbb\xbfb\n"], b"a\n\xef\xbb\xbfb\n"),
        ([b"\n", b"\xff\x00"], b"\n\xff\x00\n"),
    ],
)
def test_text_from_a_descriptor(pieces: list[bytes], text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = iter([*pieces, b""])
    monkeypatch.setattr(streams, "read_some", lambda _descriptor, _size: next(chunks))
    source = streams.TextInput(0)
    read = b""
    while not source.ended:
        read += source.read()
    assert read == text


def test_what_the_network_sends_is_cleaned(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send_bytes(b"\x1b[2Jclear\x07\r\na\tb\xff\xc2\x9b\xe2\x80\xae\rc\n\nlast \x1b]0;title\x07words")
    wire.close()
    piped.output.rest()
    assert piped.output.raw.decode() == "[2Jclear\na\tb\ufffdc\n\nlast ]0;titlewords\n"


def test_a_line_of_a_mebibyte_arrives_but_no_more(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    longest = b"x" * (MAX_RECEIVED_LINE - 1) + b"\n"
    wire.send_bytes(longest)
    wire.send_bytes(b"y" + longest + b"next\n")
    wire.close()
    piped.output.rest()
    assert piped.output.raw == longest + f"{LineConnection.TOO_LONG}\nnext\n".encode()


def test_input_waits_for_a_server_that_reads_slowly(
    fake: FakeServer, stack: contextlib.ExitStack, tmp_path: Path
) -> None:
    size, most = 64 << 20, 24 << 20  # the kernel's buffers hold some of it too
    source = stack.enter_context((tmp_path / "huge").open("w+b"))
    source.truncate(size)
    piped = stack.enter_context(contextlib.closing(Piped(fake.port, stdin=source.fileno())))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    for number in range(100):  # each round gives it the time to read too much
        wire.send(f"{number}.")
        piped.output.expect(f"{number}.\n")
    assert os.lseek(source.fileno(), 0, os.SEEK_CUR) < most  # the offset is shared with the client
    buffer = bytearray(1 << 20)
    taken = 0
    while taken < size + 1:  # the newline that the file lacks
        taken += wire.socket.recv_into(buffer)
    assert not wire.socket.recv(1)
    wire.close()
    assert piped.status() == 0


def test_it_ends_when_nobody_reads_its_output(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send("one")
    piped.output.expect("one\n")
    assert piped.process.stdout
    piped.process.stdout.close()
    assert (piped.status(), piped.errors()) == (0, "")


def test_an_interrupt_ends_it_quietly(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    # In the background a shell has interrupts ignored, and whatever is started there inherits that.
    stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send("one")
    piped.output.expect("one\n")
    piped.process.send_signal(signal.SIGINT)
    assert (piped.status(), piped.errors()) == (130, "")


def test_an_output_that_is_full_is_an_error(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    with open("/dev/full", "wb") as full:
        piped = stack.enter_context(contextlib.closing(Piped(fake.port, stdout=full.fileno())))
    stack.enter_context(contextlib.closing(fake.accept())).send("one")
    assert piped.status() == 1
    assert piped.errors() == "client.py: cannot write: No space left on device\n"


def test_closed_standard_streams_are_no_streams(fake: FakeServer) -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, ROOT / "client.py", str(fake.port)]
    ) as process:
        wire = fake.accept()
        wire.rest()  # a closed input is one at its end
        wire.send("one")
        wire.close()
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("words", [(), ("--dialect", "mailbox")], ids=["unsaid", "said"])
def test_lines_of_a_mailbox_go_both_ways(tmp_path: Path, stack: contextlib.ExitStack, words: tuple[str, ...]) -> None:
    server = stack.enter_context(ServerProcess(tmp_path, "listen 0 mailbox"))
    piped = stack.enter_context(contextlib.closing(Piped(server.ports[1], *words)))
    piped.send("1|pia\n3|pia|hi  you\n/new amy\nbye")
    piped.end_input()
    assert piped.output.rest().splitlines() == [
        GREETING,
        "Success New Account Creation! Your new Account ID: pia123",
        "pia: hi  you",
        "Sender pia sends a new message hi  you to pia",
        MAILBOX_HINT,
    ]
    assert (piped.status(), piped.errors()) == (1, "")  # for the hint


# ---- pipes, in the dialect hello ----


def hello(port: int, name: str = "amy", stdin: int = subprocess.PIPE) -> Piped:
    return Piped(port, "--dialect", "hello", "--name", name, stdin=stdin)


def admitted(fake: FakeServer, stack: contextlib.ExitStack, stdin: int = subprocess.PIPE) -> tuple[Piped, Peer]:
    """A client between pipes to whose login a scripted server has said yes."""
    piped = stack.enter_context(contextlib.closing(hello(fake.port, stdin=stdin)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    wire.send("HELLO amy")
    piped.output.expect("Successfully logged in as amy!\n")
    return piped, wire


def test_a_chat_between_pipes(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    server = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database :memory:")))
    bob = stack.enter_context(contextlib.closing(server.peer()))
    bob.send("HELLO-FROM bob")
    bob.expect("HELLO bob\n")
    amy = stack.enter_context(contextlib.closing(hello(server.port)))
    amy.send("@bob  hi   there\nSEND bob again\n@nobody hi\n!who\n")
    bob.expect("DELIVERY amy hi   there\nDELIVERY amy again\n")
    amy.output.expect("There are 2 online users: bob, amy\n")
    bob.send("SEND amy hi yourself")
    bob.expect("SEND-OK\n")
    amy.output.expect("From bob: hi yourself\n")
    amy.send("!quit")
    amy.end_input()
    assert amy.output.rest() == (
        "Successfully logged in as amy!\n"
        "The message to bob was sent successfully.\n"
        "The message to bob was sent successfully.\n"
        "The message to nobody was not sent. The destination user does not exist, or cannot be reached.\n"
        "There are 2 online users: bob, amy\n"
        "From bob: hi yourself\n"
    )
    assert (amy.status(), amy.errors()) == (1, "")  # for the message to nobody


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("IN-USE\n", "Cannot log in as amy. That username is already in use.\n"),
        ("BUSY\n", "Cannot log in. The server is full!\n"),
        ("BAD-RQST-BODY\n", "Cannot log in as amy. That username contains disallowed characters.\n"),
        ("", ""),
    ],
)
def test_a_refused_login_ends_it(fake: FakeServer, stack: contextlib.ExitStack, answer: str, reason: str) -> None:
    piped = stack.enter_context(contextlib.closing(hello(fake.port)))
    piped.send("@bob hi\n")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    wire.send_bytes(answer.encode())
    wire.close()
    assert piped.output.rest() == reason
    assert (piped.status(), piped.errors()) == (1, "client.py: the server has closed without a login\n")


@pytest.mark.parametrize("answer", ["RESULT ERROR unknown type", GREETING])
def test_a_server_of_another_kind_ends_it(fake: FakeServer, stack: contextlib.ExitStack, answer: str) -> None:
    piped = stack.enter_context(contextlib.closing(hello(fake.port)))
    piped.send("@bob hi\n!quit\n")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    wire.send(f"{answer}")
    assert piped.output.rest().endswith(f" It says: {answer}\n")
    assert piped.status() == 1
    assert re.fullmatch(rf"client.py: {WRONG_SERVER}\. This port speaks .*: python3 client.py .*\n", piped.errors())
    wire.rest()
    assert wire.received == "HELLO-FROM amy\n"


def test_the_result_port_of_a_server_is_one_of_another_kind(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    server = stack.enter_context(ServerProcess(tmp_path, "listen 0 result"))
    piped = stack.enter_context(contextlib.closing(hello(server.ports[1])))
    assert piped.status() == 1
    assert re.fullmatch(rf"client.py: {WRONG_SERVER}\. This port speaks .*: python3 client.py .*\n", piped.errors())


@pytest.mark.parametrize("answer", ["", "IN-USE\n", "half a line"])
def test_a_server_that_does_not_admit_us_is_not_waited_for(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    monkeypatch.setattr(ui_pipes, "LOGIN_SECONDS", 0.0 if not answer else 0.1)
    dialect = HelloClient()
    dialect.take_name("amy")
    pipes = ui_pipes.ChatPipes(socket.create_connection(("127.0.0.1", fake.port)), dialect, 0)
    pipes._take(b"@bob hi\n!quit\n")
    with contextlib.closing(fake.accept()) as wire:
        wire.send_bytes(answer.encode())
        pipes._loop.run()
    pipes._loop.close()
    assert pipes._status == 1
    assert "is this a server of that dialect?" in capsys.readouterr().err


def test_a_message_that_is_too_long_is_explained(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped, wire = admitted(fake, stack)
    longest = "x" * (MAX_LINE - len("SEND bob \n"))
    piped.send(f"@bob {longest}x\n@bob {longest}\n!quit\n")
    wire.expect(f"SEND bob {longest}\n")
    assert wire.received == f"HELLO-FROM amy\nSEND bob {longest}\n"
    wire.send("SEND-OK")
    assert (piped.status(), piped.errors()) == (1, f"client.py: Not sent: {TOO_LONG}\n")


def test_a_message_without_an_answer_counts_as_not_delivered(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped, wire = admitted(fake, stack)
    piped.send("@bob hi\n")
    wire.expect("SEND bob hi\n")
    wire.close()
    assert piped.errors() == "client.py: the server has closed without an answer to every message\n"
    assert piped.status() == 1


@pytest.mark.parametrize(("answer", "status"), [("SEND-OK", 0), ("BAD-DEST-USER", 1), ("BAD-RQST-BODY", 1)])
def test_the_status_tells_of_delivery(fake: FakeServer, stack: contextlib.ExitStack, answer: str, status: int) -> None:
    piped, wire = admitted(fake, stack)
    piped.send("@bob hi\n@cid hi\n!quit\n")
    wire.expect("SEND bob hi\nSEND cid hi\n")
    wire.send(f"{answer}", "SEND-OK")
    assert (piped.status(), piped.errors()) == (status, "")


def test_nothing_is_asked_before_the_login_has_its_answer(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(hello(fake.port)))
    piped.send("!who\n")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    piped.send("!who\n")
    assert wire.received == "HELLO-FROM amy\n"
    wire.send("HELLO amy")
    wire.expect("LIST\nLIST\n")
    assert wire.received == "HELLO-FROM amy\nLIST\nLIST\n"


def test_hints_go_to_standard_error(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped, wire = admitted(fake, stack)
    assert piped.process.stdin
    piped.process.stdin.write(b"hello\n\n@bob \xff\n" + b"x" * READ_SIZE + b"\n!who\n")
    piped.process.stdin.flush()
    wire.expect("LIST\n")
    assert wire.received == "HELLO-FROM amy\nLIST\n"
    wire.close()
    assert piped.status() == 1
    hints = piped.errors().splitlines()
    assert [hint.split(":")[:2] for hint in hints] == [["client.py", " Not sent"]] * 3
    assert ["nobody is addressed" in hints[0], "UTF-8" in hints[1], f"{MAX_LINE} bytes" in hints[2]] == [True] * 3


def test_a_chat_goes_on_after_the_end_of_its_input(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped, wire = admitted(fake, stack, stdin=subprocess.DEVNULL)
    wire.send("DELIVERY bob one")
    piped.output.expect("From bob: one\n")
    wire.send("DELIVERY bob \x1b[31mtwo")
    piped.output.expect("From bob: [31mtwo\n")
    wire.close()
    assert (piped.status(), piped.errors()) == (0, "")


def test_leaving_waits_for_the_answers(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped, wire = admitted(fake, stack)
    piped.send("@bob hi\n@bob\nand more\n!quit\n@bob not this\n")
    wire.expect("SEND bob hi\nSEND bob and more\n")
    wire.send("SEND-OK", "DELIVERY bob hi yourself")
    piped.output.expect("From bob: hi yourself\n")
    assert piped.process.poll() is None
    wire.send("BAD-DEST-USER")
    piped.output.expect("The message to bob was not sent.")
    assert (piped.status(), piped.errors()) == (1, "client.py: Plain text goes to bob now.\n")
    wire.rest()
    assert wire.received.endswith("more\n")


def test_leaving_does_not_wait_for_ever(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ui_pipes, "ANSWER_SECONDS", 0.0)
    dialect = HelloClient()
    dialect.name, dialect.admitted = "amy", True
    pipes = ui_pipes.ChatPipes(socket.create_connection(("127.0.0.1", fake.port)), dialect, 0)
    pipes._take(b"@bob hi\n!quit\n")
    pipes._loop.run()
    pipes._loop.close()
    assert pipes._status == 1
    assert capsys.readouterr().err == "client.py: the server has not answered every request\n"


def test_a_chat_takes_input_as_fast_as_the_server_answers(
    fake: FakeServer, stack: contextlib.ExitStack, tmp_path: Path
) -> None:
    number = 100_000
    source = stack.enter_context((tmp_path / "huge").open("w+b"))
    source.write(b"!who\n" * number)
    source.seek(0)
    piped, wire = admitted(fake, stack, stdin=source.fileno())
    wire.expect("LIST\n" * MAX_UNANSWERED)
    for round_number in range(100):  # each round gives it the time to ask too much
        wire.send(f"{round_number}.")
        piped.output.expect(f"{round_number}.\n")
    assert wire.received == "HELLO-FROM amy\n" + "LIST\n" * MAX_UNANSWERED
    assert os.lseek(source.fileno(), 0, os.SEEK_CUR) <= 2 * READ_SIZE  # the offset is shared with the client
    wire.send("LIST-OK amy")
    wire.expect("LIST\n")
    wire.close()
    assert piped.status() == 0


# ---- the command line ----


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["port"],
        ["0"],
        ["65536"],
        ["-1"],
        ["5050", "name", "more"],
        ["5050", ""],
        ["5050", "a b"],
        ["5050", "a\n/quit"],
        ["5050", "amy", "--dialect", "hello"],
        ["5050", "amy", "--dialect", "result"],
        ["5050", "amy", "--name", "bob"],
        ["port", "amy"],
        ["5050", "--host"],
        ["--what", "5050"],
        ["5050", "--dialect", "hullo"],
        ["5050", "--name", "amy"],
        ["5050", "--dialect", "mailbox", "--name", "amy"],
        ["5050", "amy", "--dialect", "mailbox"],
        ["5050", "--dialect", "hello", "--name", ""],
        ["5050", "--dialect", "hello", "--name", "a b"],
        ["5050", "--dialect", "hello", "--name", "a,b"],
    ],
)
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(words)
    assert end.value.code == 1
    assert re.fullmatch(r"client\.py: .+\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "first_line"),
    [
        ([], "TAGS time id"),
        (["--dialect", "result"], "TAGS time id"),
        (["--dialect", "mailbox"], ""),
        (["--dialect", "hello", "--name", "amy"], "HELLO-FROM amy"),
        (["amy"], "amy files"),
        (["amy", "--dialect", "rooms"], "amy files"),
        (["--host", "here", "amy"], "amy files"),
        (["amy", "--name", "amy"], "amy files"),
        (["--dialect", "rooms", "--name", "amy"], "amy files"),
    ],
)
def test_what_the_command_line_says_first(words: list[str], first_line: str) -> None:
    assert client.dialect_for(parse_command_line(["5050", *words])).begun().send == first_line


@pytest.mark.parametrize(
    ("words", "asks"), [([], True), (["--dialect", "result"], False), (["amy"], True), (["--dialect", "rooms"], False)]
)
def test_the_server_is_asked_for_its_dialect_where_none_is_said(words: list[str], asks: bool) -> None:
    assert parse_command_line(["5050", *words]).guessed == asks


def test_no_connection(fake: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    fake.close()
    assert client.main(parse_command_line([str(fake.port), "--host", "127.0.0.1"])) == 1
    place = f"127.0.0.1:{fake.port}"
    assert capsys.readouterr().err == f"client.py: cannot connect to {place}: Connection refused\n"
    assert client.main(parse_command_line(["1", "--host", "a" * 300])) == 1
    assert capsys.readouterr().err.endswith(": not a host name\n")


@pytest.mark.parametrize("dialect", ["hello", "rooms"])
def test_a_chat_between_pipes_needs_a_name(dialect: str) -> None:
    words = [sys.executable, str(ROOT / "client.py"), "1", "--dialect", dialect]
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"client\.py: .*--name is needed\n", ended.stderr)


def test_help_tells_of_both_uses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(["--help"])
    assert not end.value.code
    text = capsys.readouterr().out
    for chapter in (
        "result, on a terminal:",
        "result, in pipes",
        "the dialect hello:",
        "the dialect rooms,",
        "the dialect mailbox, on a terminal:",
        "the dialect mailbox, in pipes:",
        "on a terminal:",
        "in pipes:",
    ):
        assert chapter in text


def test_the_options_name_the_talks_and_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_command_line(["--help"])
    assert "received (1 GiB)" in " ".join(capsys.readouterr().out.split())
    assert MAX_RECEIVED == 1 << 30
