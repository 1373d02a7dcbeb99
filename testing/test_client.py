"""The client: its pure functions, the netcat between pipes, and the chat on a terminal, as users meet them.

Whatever waits does so for an event and under a deadline; nothing sleeps.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import client
from dialects.result import COMMANDS
from loop import Deadline, Loop

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 20.0
"""How long an event may take on a machine that has much else to do."""

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()=>].?)|\r")


class Output:
    """What comes out of a descriptor or a socket, read with deadlines."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.raw = b""
        self.ended = False

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw.decode(errors="replace"))

    def expect(self, wanted: str, after: int = 0) -> int:
        """Wait until a text has come after a place in `text`; return the place behind it."""
        until = time.monotonic() + SECONDS
        while (place := self.text.find(wanted, after)) < 0:
            assert not self.ended, f"{wanted!r} is not in {self.text!r}, which is all"
            assert self.read(until - time.monotonic()), f"no {wanted!r} in time, only {self.text!r}"
        return place + len(wanted)

    def rest(self) -> str:
        """Wait for the end; return all."""
        until = time.monotonic() + SECONDS
        while not self.ended:
            assert self.read(until - time.monotonic()), f"no end in time, only {self.text!r}"
        return self.text

    def read(self, seconds: float) -> bool:
        """Read a piece; False when none has come in that time."""
        if not select.select([self.descriptor], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # a terminal whose other side has gone
            data = b""
        self.raw += data
        self.ended = not data
        return True


class Wire:
    """A plain connection, to a server or from a client."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self.sock = sock
        self._output = Output(sock.fileno())
        self._place = 0

    def send(self, data: str | bytes) -> None:
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def expect(self, wanted: str) -> None:
        """Wait until a text has come behind the one that was expected last."""
        self._place = self._output.expect(wanted, self._place)

    def close(self) -> None:
        self.sock.close()


class Piped:
    """The client between pipes."""

    def __init__(self, port: int, stdin: int = subprocess.PIPE, stdout: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "client.py", str(port), "--host", "127.0.0.1"],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        if self.process.stdout:
            self.output = Output(self.process.stdout.fileno())

    def send(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def status(self) -> int:
        return self.process.wait(SECONDS)

    def errors(self) -> str:
        assert self.process.stderr
        return self.process.stderr.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


class OnTerminal:
    """The client on a terminal of its own."""

    def __init__(self, port: int, environment: Mapping[str, str] | None = None) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "client.py", str(port), "--host", "127.0.0.1"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**inherited, "TERM": "xterm", **(environment or {})},
        )
        os.close(slave)
        self.output = Output(master)
        self._place = 0
        self.expect("Ctrl-D ends.")
        self.expect(">")

    def type(self, text: str) -> None:
        os.write(self.output.descriptor, text.encode())

    def enter(self, line: str, answer: str) -> None:
        """Type a line and wait for what it brings."""
        self.type(f"{line}\r")
        self.expect(answer)

    def expect(self, wanted: str) -> None:
        """Wait until a text has come behind the one that was expected last."""
        self._place = self.output.expect(wanted, self._place)

    def status(self) -> int:
        self.output.rest()
        return self.process.wait(SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.output.descriptor)


class Server:
    """The real server."""

    def __init__(self, directory: Path, port: int = 0, database: str = ":memory:") -> None:
        config = directory / "config"
        config.write_text("bcrypt-cost 4\n")
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "server.py", str(port), config, "--database", database],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=directory,
        )
        assert self.process.stderr
        log = Output(self.process.stderr.fileno())
        log.expect("\n", log.expect(" ready "))
        self.port = int(log.text.split("port=")[1].split()[0])

    def wire(self) -> Wire:
        return Wire(socket.create_connection(("127.0.0.1", self.port)))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()


class FakeServer:
    """A listening socket; the test speaks for the server."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.settimeout(SECONDS)
        self.port = self.sock.getsockname()[1]

    def accept(self) -> Wire:
        return Wire(self.sock.accept()[0])

    def close(self) -> None:
        self.sock.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with contextlib.closing(Server(tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with contextlib.closing(FakeServer()) as fake:
        yield fake


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes what a test has started."""
    with contextlib.ExitStack() as stack:
        yield stack


def shown(line: str) -> str:
    """A received line as the screen shows it, without its colours."""
    return "".join(text for _style, text in client.draw(line))


# ---- verbs and secrets ----


def test_the_client_knows_the_verbs_of_the_server() -> None:
    assert list(client.VERBS) == [verb for verb in COMMANDS if " " not in verb]


@pytest.mark.parametrize(
    ("typed", "masked", "kept"),
    [
        ("LOGIN amy hush", "LOGIN amy ****", "LOGIN amy"),
        ("  LOGIN\tamy  hush  more ", "  LOGIN\tamy  ****  **** ", "  LOGIN\tamy"),
        ("REGISTER amy h", "REGISTER amy *", "REGISTER amy"),
        ("PASSWORD old new", "PASSWORD *** ***", "PASSWORD"),
        ("login amy hush", "login amy ****", "login amy"),
        ("LOGIN amy ", "LOGIN amy ", "LOGIN amy "),
        ("LOGINS amy hush", "LOGINS amy hush", "LOGINS amy hush"),
        ("SAY LOGIN amy hush", "SAY LOGIN amy hush", "SAY LOGIN amy hush"),
        ("", "", ""),
    ],
)
def test_passwords_are_masked_and_not_kept(typed: str, masked: str, kept: str) -> None:
    assert client.mask(typed) == masked
    assert client.without_secrets(typed) == kept


# ---- typing ----


@pytest.mark.parametrize(
    ("typed", "current", "sent", "echoed"),
    [
        ("LOGIN amy hush", "", "LOGIN amy hush", False),
        (" CREATE  den ", "", "CREATE  den", False),
        ("hello  you", "den", "SAY den hello  you", True),
        ("  hello\tyou ", "@bob", "SAY @bob hello\tyou", True),
        ("help me", "den", "SAY den help me", True),
        ("/quit", "den", "SAY den /quit", True),
        ("SAY lab hello", "den", "SAY lab hello", True),
        ("SEND lab hello", "", "SEND lab hello", True),
        ("USERS", "den", "USERS den", False),
        ("HISTORY", "den", "HISTORY den", False),
        ("LEAVE", "den", "LEAVE den", False),
        ("LEAVE lab", "den", "LEAVE lab", False),
        ("LEAVE", "", "LEAVE", False),
        ("SAY", "den", "SAY", True),
        ("login and out", "", "", False),
    ],
)
def test_what_a_typed_line_sends(typed: str, current: str, sent: str, echoed: bool) -> None:
    meaning = client.interpret(typed, current)
    assert (meaning.send, meaning.echoed) == (sent, echoed)
    assert bool(meaning.hint) != bool(meaning.send)


def test_plain_text_without_a_channel_is_not_sent_but_helped() -> None:
    assert client.interpret("hello", "") == client.Meaning(hint=client.NO_CHANNEL)


def test_a_command_with_a_password_in_lower_case_is_not_said_in_the_channel() -> None:
    meaning = client.interpret("login amy hush", "den")
    assert not meaning.send
    assert "LOGIN" in meaning.hint
    assert client.interpret("password forgotten, what now?", "den").send


@pytest.mark.parametrize("typed", ["", " ", "\t "])
def test_blanks_mean_nothing(typed: str) -> None:
    assert client.interpret(typed, "den") == client.Meaning()


def test_say_without_a_message_makes_a_channel_current() -> None:
    talk = client.ResultTalk()
    for typed, prompt in [("SAY den", "den> "), ("SAY @bob", "@bob> "), ("LEAVE", "> ")]:
        assert not talk.typed(typed).send
        assert talk.prompt() == prompt


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("", "", sorted(client.VERBS)),
        ("LOG", "LOG", ["LOGIN", "LOGOUT"]),
        ("jo", "jo", ["JOIN"]),
        ("hello", "hello", []),
        ("JOIN ", "", ["den", "lab"]),
        ("JOIN d", "d", ["den"]),
        ("SAY den d", "d", []),
        ("CREATE d", "d", []),
        ("d d", "d", []),
        ("SAY @", "@", ["@amy", "@bob"]),
        ("hello @b", "@b", ["@bob"]),
        ("@a", "@a", ["@amy"]),
    ],
)
def test_completion(text: str, word: str, choices: list[str]) -> None:
    assert client.complete(text, ["lab", "den"], ["bob", "amy"]) == (word, choices)


# ---- answers ----


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("RECV amy den hello  you ", "[den] amy: hello  you "),
        ("RECV amy @amy psst", "[@amy] amy: psst"),
        ("RECV amy den", "RECV amy den"),
        ("RESULT JOIN den 1", "You are in den."),
        ("RESULT JOIN {0} 1", "You are in {0}."),
        ("RESULT CHANNELS", "Channels: none"),
        ("RESULT CHANNELS den, lab", "Channels: den, lab"),
        ("RESULT USERS den amy, bob", "In den: amy, bob"),
        ("RESULT HISTORY den 3", "Messages repeated from den: 3"),
        ("RESULT KICKED den", "You have been removed from den."),
        ("RESULT MUTED den 30", "You are muted in den for 30 seconds."),
        ("RESULT ERROR line too long", "Error: line too long (HELP <command> explains a command)"),
        ("RESULT FUTURE den 1", "RESULT FUTURE den 1"),
        ("RESULT JOIN den 2", "RESULT JOIN den 2"),
        ("anything else", "anything else"),
        ("", ""),
    ],
)
def test_how_a_received_line_is_drawn(line: str, text: str) -> None:
    assert shown(line) == text


def test_every_answer_of_the_table_is_drawn_in_words() -> None:
    for command in COMMANDS.values():
        for answer in filter(None, (command.success, command.failure)):
            line = answer.format("den")
            assert shown(line) != line
            assert "den" not in line or "den" in shown(line)


def test_drawing_uses_styles_that_exist() -> None:
    for line in ["RECV amy den hi", "RESULT LOGIN 0", "RESULT LOGIN 1", "RESULT CHANNELS"]:
        for style, _text in client.draw(line):
            assert not style or style.removeprefix("class:") in client.STYLES


# ---- talk ----


def talk_after(*lines: str) -> client.ResultTalk:
    """A talk in which amy has logged in, and then received these lines."""
    talk = client.ResultTalk()
    talk.sent("LOGIN amy hush")
    for line in ("RESULT LOGIN 1", *lines):
        talk.received(line)
    return talk


@pytest.mark.parametrize(
    ("lines", "current"),
    [
        (["RESULT JOIN den 1"], "den"),
        (["RESULT JOIN den 1", "RESULT JOIN lab 1"], "lab"),
        (["RESULT JOIN den 1", "RESULT JOIN lab 0"], "den"),
        (["RESULT JOIN den 0"], ""),
        (["RECV bob den hello", "RESULT JOIN den 0"], "den"),
        (["RECV bob den hello"], ""),
        (["RESULT JOIN den 1", "RESULT LEAVE den 1"], ""),
        (["RESULT JOIN den 1", "RESULT LEAVE den 0"], "den"),
        (["RESULT JOIN den 1", "RESULT JOIN lab 1", "RESULT LEAVE den 1"], "lab"),
        (["RESULT JOIN den 1", "RESULT KICKED den"], ""),
        (["RESULT JOIN den 1", "RESULT LOGOUT 1"], ""),
    ],
)
def test_the_current_channel(lines: list[str], current: str) -> None:
    assert talk_after(*lines).current == current


def test_names_are_learnt_from_what_is_seen() -> None:
    talk = talk_after(
        "RESULT CHANNELS den, lab",
        "RESULT CREATE attic 1",
        "RECV bob hall hi",
        "RECV amy @cid hi",
        "RESULT USERS hall bob, dee",
    )
    assert talk.complete("JOIN ") == ("", ["attic", "den", "hall", "lab"])
    assert talk.complete("@") == ("@", ["@amy", "@bob", "@cid", "@dee"])


def test_the_newest_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "NAMES_KEPT", 2)
    names = client.Names()
    names.add("amy", "bob", "amy", "cid")
    assert list(names) == ["amy", "cid"]


def test_a_login_is_repeated_with_what_succeeded_last() -> None:
    talk = client.ResultTalk()
    assert not talk.returned().send
    for line in ["LOGIN amy wrong", "LOGIN amy hush", "PASSWORD hush x", "PASSWORD hush new", "PASSWORD x"]:
        talk.sent(line)
    for line in ["RESULT LOGIN 0", "RESULT LOGIN 1", "RESULT PASSWORD 0", "RESULT PASSWORD 1"]:
        talk.received(line)
    assert talk.returned().send == "LOGIN amy new"
    talk.received("RESULT LOGOUT 1")
    assert not talk.returned().send


def test_an_answer_that_was_lost_with_the_connection_is_not_waited_for() -> None:
    talk = talk_after()
    talk.sent("LOGIN bob other")
    talk.sent("PASSWORD hush newer")
    talk.lost()
    talk.received("RESULT LOGIN 1")
    talk.received("RESULT PASSWORD 1")
    assert talk.returned().send == "LOGIN amy hush"


def test_another_user_starts_without_a_channel_and_the_same_one_keeps_it() -> None:
    talk = talk_after("RESULT JOIN den 1")
    talk.sent("LOGIN amy hush")
    talk.received("RESULT LOGIN 1")
    assert talk.current == "den"
    talk.sent("LOGIN bob hush")
    talk.received("RESULT LOGIN 1")
    assert not talk.current


# ---- network ----


def test_a_connection_to_oneself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    monkeypatch.setattr(socket, "create_connection", lambda *_args: sock)
    with pytest.raises(ConnectionRefusedError):
        client.dial(client.Address("127.0.0.1", 1))


class QuickLoop(Loop):
    """Writes down for how long it should have waited, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        self.pauses.append(seconds)
        return super().call_later(0, call)


class Told:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.news: list[object] = []

    def heard(self, lines: list[str]) -> None:
        self.news.append(lines)

    def lost(self) -> None:
        self.news.append("lost")

    def returned(self) -> None:
        self.news.append("returned")

    def refused(self) -> None:
        self.news.append("refused")


def test_a_keeper_dials_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    again, server_side = socket.socketpair()
    answers: list[socket.socket | OSError] = [*[OSError("refused")] * 6, again]

    def dial(_address: client.Address) -> socket.socket:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(client, "dial", dial)
    told = Told()
    before = set(threading.enumerate())
    with contextlib.closing(QuickLoop()) as loop, theirs, server_side:
        keeper = client.Keeper(loop, client.Address("here", 1), ours, told, lambda call: call())
        theirs.send(b"hello\n")
        turn_until(loop, lambda: told.news == [["hello"]])
        keeper.go_on()
        theirs.close()
        turn_until(loop, lambda: "lost" in told.news)
        keeper.send("nobody hears this")
        turn_until(loop, lambda: "returned" in told.news)
        assert told.news == [["hello"], "lost", "refused", "returned"]
        assert loop.pauses == [0.5, 1, 2, 4, 8, 15, 15]
        keeper.send("h\u00e9llo \udcff")
        turn_until(loop, lambda: bool(select.select([server_side], [], [], 0)[0]))
        assert server_side.recv(100) == "h\u00e9llo ?\n".encode()
        for thread in set(threading.enumerate()) - before:  # they still use the loop
            thread.join(SECONDS)


def turn_until(loop: Loop, done: Callable[[], bool]) -> None:
    """Turn a loop until something is true."""
    until = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < until
        loop.call_soon(lambda: None)  # a turn that does not wait
        loop.turn()


# ---- pipes ----


def test_lines_go_both_ways_and_the_server_ends_it(server: Server, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(server.port)))
    piped.send("REGISTER pia hush\nLOGIN pia hush\n")
    piped.output.expect("RESULT REGISTER 1\nRESULT LOGIN 1\n")
    piped.send("QUIT")
    piped.end_input()
    assert piped.output.rest() == "RESULT REGISTER 1\nRESULT LOGIN 1\n"
    assert (piped.status(), piped.errors()) == (0, "")


def test_it_goes_on_after_the_end_of_its_input(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port, stdin=subprocess.DEVNULL)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send("one\n")
    piped.output.expect("one\n")
    wire.send("two\n")
    piped.output.expect("two\n")
    wire.sock.setblocking(False)
    with pytest.raises(BlockingIOError):  # neither a byte nor an end has come
        wire.sock.recv(1)
    wire.close()
    assert piped.status() == 0


def test_what_the_network_sends_is_cleaned(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send(b"\x1b[2Jclear\x07\r\na\tb\xff\xc2\x9b\xe2\x80\xae\rc\n\nlast \x1b]0;title\x07words")
    wire.close()
    piped.output.rest()
    assert piped.output.raw.decode() == "[2Jclear\na\tb\ufffdc\n\nlast ]0;titlewords\n"
    assert piped.status() == 0


def test_a_line_of_a_mebibyte_arrives_but_no_more(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    longest = b"x" * (client.MAX_RECEIVED_LINE - 1) + b"\n"
    wire.send(longest)
    wire.send(b"y" + longest + b"next\n")
    wire.close()
    piped.output.rest()
    assert piped.output.raw == longest + f"{client.Link.TOO_LONG}\nnext\n".encode()


def test_input_waits_for_a_server_that_reads_slowly(
    fake: FakeServer, stack: contextlib.ExitStack, tmp_path: Path
) -> None:
    size, most = 64 << 20, 24 << 20  # the kernel's buffers hold some of it too
    source = stack.enter_context((tmp_path / "huge").open("w+b"))
    source.truncate(size)
    piped = stack.enter_context(contextlib.closing(Piped(fake.port, stdin=source.fileno())))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    for number in range(100):  # each round gives it the time to read too much
        wire.send(f"{number}.\n")
        piped.output.expect(f"{number}.\n")
    assert os.lseek(source.fileno(), 0, os.SEEK_CUR) < most  # the offset is shared with the client
    buffer = bytearray(1 << 20)
    taken = 0
    while taken < size + 1:  # the newline that the file lacks
        taken += wire.sock.recv_into(buffer)
    wire.close()
    assert piped.status() == 0


def test_it_ends_when_nobody_reads_its_output(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send("one\n")
    piped.output.expect("one\n")
    assert piped.process.stdout
    piped.process.stdout.close()
    assert (piped.status(), piped.errors()) == (0, "")


def test_an_interrupt_ends_it_quietly(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    # In the background a shell has interrupts ignored, and whatever is started there inherits that.
    stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
    piped = stack.enter_context(contextlib.closing(Piped(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send("one\n")
    piped.output.expect("one\n")
    piped.process.send_signal(signal.SIGINT)
    assert (piped.status(), piped.errors()) == (130, "")


def test_an_output_that_is_full_is_an_error(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    with open("/dev/full", "wb") as full:
        piped = stack.enter_context(contextlib.closing(Piped(fake.port, stdout=full.fileno())))
    stack.enter_context(contextlib.closing(fake.accept())).send("one\n")
    assert piped.status() == 1
    assert piped.errors() == "client.py: cannot write: No space left on device\n"


def test_closed_standard_streams_are_no_streams(fake: FakeServer) -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, ROOT / "client.py", str(fake.port)]
    ) as process:
        wire = fake.accept()
        wire.send("one\n")
        wire.close()
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize(
    "words",
    [[], ["port"], ["0"], ["65536"], ["-1"], ["5050", "name"], ["5050", "--host"], ["--what", "5050"]],
)
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        client.main(words)
    assert end.value.code == 1
    assert re.fullmatch(r"client\.py: .+\n", capsys.readouterr().err)


def test_no_connection(fake: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    fake.close()
    assert client.main([str(fake.port), "--host", "127.0.0.1"]) == 1
    place = f"127.0.0.1:{fake.port}"
    assert capsys.readouterr().err == f"client.py: cannot connect to {place}: Connection refused\n"
    assert client.main(["1", "--host", "a" * 300]) == 1
    assert capsys.readouterr().err.endswith(": not a host name\n")


def test_help_tells_of_both_uses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        client.main(["--help"])
    assert not end.value.code
    text = capsys.readouterr().out
    assert "on a terminal:" in text
    assert "in pipes" in text


def test_nothing_heavy_is_imported_between_pipes() -> None:
    program = "import client, sys; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).split()
    assert not {"asyncio", "prompt_toolkit", "concurrent.futures"} & set(modules)


# ---- on a terminal ----


def test_a_chat_on_a_terminal(server: Server, stack: contextlib.ExitStack) -> None:
    bob = stack.enter_context(contextlib.closing(server.wire()))
    bob.send("REGISTER bob hush\nLOGIN bob hush\nCREATE den\nJOIN den\n")
    bob.expect("RESULT JOIN den 1\n")
    amy = stack.enter_context(contextlib.closing(OnTerminal(server.port)))
    amy.enter("hello", "JOIN <channel>")
    amy.enter("REGISTER amy S3cr3t", "You are registered")
    amy.enter("LOGIN amy S3cr3t", "You are logged in.")
    amy.enter("JOIN den", "You are in den.")
    amy.expect("den>")
    amy.enter("hello  all", "[den] amy: hello all")
    bob.expect("RECV amy den hello all\n")
    bob.send("SAY den hello yourself\nSAY @amy psst\n")
    amy.expect("[den] bob: hello yourself")
    amy.expect("[@bob] bob: psst")
    amy.type("SAY @b\t")
    amy.expect("SAY @bob")
    amy.enter(" not so loud", "[@bob] amy: not so loud")
    bob.expect("RECV amy @amy not so loud\n")
    amy.enter("\x1b[A\x1b[A\x1b[A\x1b[A", "LOGIN amy")  # four lines up in the history
    amy.enter("LEAVE den", "You have left den.")
    amy.type("QUIT\r")
    assert amy.status() == 0
    assert "S3" not in amy.output.text
    assert "REGISTER amy ******" in amy.output.text


def test_a_lost_connection_comes_back_with_its_login(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    first = stack.enter_context(contextlib.closing(Server(tmp_path, free_port(), "chat.db")))
    amy = stack.enter_context(contextlib.closing(OnTerminal(first.port)))
    amy.enter("REGISTER amy hush", "You are registered")
    amy.enter("LOGIN amy hush", "You are logged in.")
    amy.enter("CREATE den", "den is there now")
    amy.enter("JOIN den", "You are in den.")
    first.close()
    amy.expect("The connection is lost.")
    amy.expect("(no connection) den>")
    amy.enter("hello", "Not sent")
    again = stack.enter_context(contextlib.closing(Server(tmp_path, first.port, "chat.db")))
    amy.expect("logging in as amy")
    amy.expect("You are logged in.")
    amy.enter("\x1b[A", "[den] amy: hello")
    assert again.port == first.port
    amy.type("\x04")
    assert amy.status() == 0


def free_port() -> int:
    """A port that is free and stays so: it is none of those that the kernel gives to whoever asks for any."""
    while True:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port


def test_control_characters_do_not_reach_the_terminal(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send(b"RECV eve den \x1b]0;owned\x07\x1b[31mred\x9b\r\nnot ended")
    terminal.expect("[den] eve: ]0;owned[31mred")
    wire.close()
    terminal.expect("not ended")
    terminal.expect("lost")
    assert b"\x1b]0;owned" not in terminal.output.raw
    assert b"\x07" not in terminal.output.raw
    terminal.type("\x03")
    assert terminal.status() == 130


@pytest.mark.parametrize(
    ("environment", "unwanted"),
    [({"TERM": "dumb"}, rb"\x1b"), ({"NO_COLOR": "1"}, rb"\x1b\[[0-9;]*[34][0-8][;m]"), ({}, None)],
    ids=["dumb", "no-color", "colour"],
)
def test_colour_where_it_is_wanted(
    fake: FakeServer, stack: contextlib.ExitStack, environment: dict[str, str], unwanted: bytes | None
) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port, environment)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    terminal.enter("LOGIN eve h1dd3n", "******")
    wire.expect("LOGIN eve h1dd3n\n")
    wire.send("RESULT LOGIN 1\nRECV eve den hello\n")
    terminal.expect("You are logged in.")
    terminal.expect("[den] eve: hello")
    terminal.type("typed\x7f\x7f\r")
    terminal.expect("typ")
    terminal.expect("Not sent")
    terminal.type("\x04")
    assert terminal.status() == 0
    assert "h1" not in terminal.output.text
    if unwanted is None:
        assert b"\x1b[0;36m[den]" in terminal.output.raw
    else:
        assert not re.search(unwanted, terminal.output.raw)


def test_the_terminal_is_given_back_after_a_signal(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    stack.enter_context(contextlib.closing(fake.accept()))
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(SECONDS) == 128 + signal.SIGTERM
