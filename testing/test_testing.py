"""Unit tests of the script runner, on a small server that does what a client tells it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import testing
from harness import actors, cases, player, processes
from harness.actors import Stage
from harness.cases import case_name, find_cases
from harness.language import ACTIONS, COMMENT, Case, InvalidCase, parse
from harness.peer import PATIENCE
from harness.player import perform, play
from harness.processes import (
    FIRST_PORT,
    LAST_PORT,
    OUR_COMMAND,
    ROOT,
    Ports,
    Settings,
    command_words,
    is_free,
    program_words,
    server_command,
)
from harness.report import Outcome, Record, Trouble, describe, shorten
from harness.text import Failed, Place, Start, Target, escape, read_glob, read_pattern, unescape

# It sends a line back, unless that begins with `!`: then the rest is Python for it to run, as in its config.
FAKE_SERVER = """
import os, select, signal, socket, struct, sys, threading

def log(text):
    os.write(2, text.encode() + b"\\n")

def wait():
    threading.Event().wait()

def serve(client):
    def send(data):
        client.sendmsg([data.encode() if isinstance(data, str) else data])
    def say(*values):
        send(" ".join(map(str, values)) + "\\n")
    def bye():
        client.shutdown(socket.SHUT_RDWR)
    def reset():
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(client.detach())
    names = {**globals(), "client": client, "send": send, "say": say, "bye": bye, "reset": reset}
    try:
        for line in client.makefile("rb"):
            exec(line[1:], names) if line.startswith(b"!") else send(line)
        say("end")
        bye()
    except OSError:
        pass

def dial(port, address="127.0.0.1"):
    peer = socket.create_connection((address, port))
    threading.Thread(target=serve, args=(peer,), daemon=True).start()

def is_found(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

def read_console():
    for line in sys.stdin:
        print("typed", line, end="", flush=True)

port = int(sys.argv[1])
address = "127.0.0.1"
config = open(sys.argv[2]).read().splitlines() if sys.argv[2:] else []
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
threading.Thread(target=read_console, daemon=True).start()
for line in config:
    if line.startswith("!"):
        exec(line[1:])
# A signal that comes just before `select` wakes it too.
woken, waker = socket.socketpair()
waker.setblocking(False)
signal.set_wakeup_fd(waker.fileno())
listener = socket.create_server((address, port))
log("INFO ready port=%d" % port)
while listener in select.select([listener, woken], [], [])[0]:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fake") / "server.py"
    path.write_text(FAKE_SERVER)
    return path


@pytest.fixture
def settings(fake: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The fake server in the place of ours."""
    monkeypatch.setattr(processes, "SERVER", fake)
    return Settings(command=(sys.executable, "-IS", str(fake), "{port}", "{config}"), quiet=0.02)


@pytest.fixture
def foreign(fake: Path) -> Settings:
    """The fake server as somebody else's."""
    return Settings(command=(sys.executable, "-IS", str(fake)))


def script(text: str) -> Case:
    return parse(textwrap.dedent(text))


def connected(text: str) -> Case:
    """A script that starts a server, connects `c` to it, and goes on from line 3."""
    return script("server @ 5050\nc ~ server\n" + textwrap.dedent(text).strip())


def check_passes(case: Case, settings: Settings) -> Record:
    record = play(case, settings)
    assert record.outcome is Outcome.PASSED, describe(record)
    return record


def check_fails(case: Case, settings: Settings) -> Trouble:
    record = play(case, settings)
    assert record.outcome is Outcome.FAILED
    assert record.error
    return record.error


# --- Texts ---


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"a\nb\tc\rd\s", b"a\nb\tc\rd "),
        (r"\x1b\xff\x00", b"\x1b\xff\x00"),
        (r"\u00e9 é", "é é".encode()),
        (r"\\n \#", rb"\n #"),
        (r"\{a*3}b\{ab*2}", b"aaababab"),
        (r"\{\xff*2}\{\u00e9*2}\{\\*2}", b"\xff\xff\xc3\xa9\xc3\xa9\\\\"),
        (r"\{**3}\{}*2}", b"***}}"),
        (r"\{x*0}", b""),
    ],
)
def test_unescape(text: str, data: bytes) -> None:
    assert unescape(text) == data


@pytest.mark.parametrize("text", [r"\q", "\\", r"\x1", r"\u12", r"\{a*}", r"\{*3}", r"\{a*99999999}", r"\ud800"])
def test_unknown_escape(text: str) -> None:
    with pytest.raises(ValueError, match=r"escape|repeat|codec"):
        unescape(text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"RESULT LOGIN 1", "RESULT LOGIN 1"),
        (b" a  b ", r"\sa  b\s"),
        ("é 你好\u202e".encode(), r"é 你好\u202e"),
        (b"\x1b[2J\t\xff\\", r"\x1b[2J\t\xff\\"),
        (b"#a b#c #d", r"\#a b#c \#d"),
        (b"a" * 9000 + b"b", r"\{a*9000}b"),
    ],
)
def test_escape(data: bytes, text: str) -> None:
    assert escape(data) == text


def test_escape_is_undone_by_unescape() -> None:
    source = random.Random(1)
    words = ("#", " ", "\\", "*", "}", "{", "\n", "é", "\u202e", "\U0001f600", "a" * 50, "*" * 50)
    pieces = [b"\xff", *(word.encode() for word in words)]
    for _ in range(500):
        data = b"".join(source.choices(pieces, k=source.randrange(12))) + source.randbytes(3)
        text = escape(data)
        assert unescape(text) == data
        assert text == text.strip(" ")
        assert not COMMENT.search(text)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("a?c", ["abc", "a?c", "a\u4f60c"], ["ac", "abbc", "abcd", "xabc"]),
        ("a*c", ["ac", "abc", "a * c"], ["acd", "a"]),
        (r"\*\?\\*", ["*?\\", "*?\\x"], ["x?\\", "*x\\", "*?x"]),
        (r"[x] (?).+\d", [r"[x] (y).+\d"], [r"x (y).+\d", "[x] (y)a1"]),
        ("a  b", ["a b"], ["a  b"]),
        ("", [""], ["x"]),
    ],
)
def test_glob(glob: str, matching: list[str], others: list[str]) -> None:
    regex = read_glob(glob).regex
    assert [line for line in [*matching, *others] if regex.fullmatch(line)] == matching


# --- Parsing ---


def arguments(text: str) -> list[object]:
    return [step.argument for step in parse(text).steps]


def test_every_action_is_parsed() -> None:
    case = script("""
        server = bcrypt-cost  5
        server @ 5050 --database $5051
        server ? ready .* port
        server > /kick  a:b
        server < one  two
        server </ a  b
        c ~ server
        d ~ server 127.0.0.2:5051 from [0::1] as hello
        e ~@ [::1]:5052
        e ~<
        f ~< e
        e ~!
        c > LOGIN  alice\tsecret
        c >> a\\s\\x00
        c < RESULT  1
        c << a  b
        c </ \\d  x
        c <* \\*?  x*
        c <-
        c >!
        c <!
        c !
        c ~ server
        server !
        server @
        server !!
        server @
        server <* tea
        server <! 3
        d !
        other @@ 5060 $5060 $config
        """)
    played = [step.action for step in case.steps]
    assert all(action in played for action in ACTIONS)
    words = {step.line: step.argument for step in case.steps}
    assert [words[line] for line in (2, 3, 5, 6, 8, 9)] == [
        "bcrypt-cost 5",
        Start(5050, ("--database", "$5051")),
        b"/kick a:b",
        b"one two",
        Target("server"),
        Target("server", Place(5051, "127.0.0.2"), "::1", "hello"),
    ]
    assert [words[line] for line in (10, 11, 12, 13)] == [Place(5052, "::1"), None, "e", None]
    assert [words[line] for line in (14, 15, 16, 17, 20)] == [
        b"LOGIN alice secret",
        b"a \0",
        b"RESULT 1",
        b"a  b",
        None,
    ]
    assert [words[line].text for line in (4, 7, 18, 19)] == ["ready .* port", "a  b", r"\d  x", r"\*? x*"]
    assert (words[26], words[30]) == (Start(None, ()), 3)


def test_lines_without_a_step_are_counted_and_ignored() -> None:
    case = parse("\n# comment\n  \t\r\nserver @ 5050 # 5051\r\n\t# x\nc ~ server")
    assert [(step.line, step.text, step.name) for step in case.steps] == [
        (4, "server @ 5050", "server"),
        (6, "c ~ server", "c"),
    ]


def test_comments_begin_at_the_start_of_a_word() -> None:
    head = "s @ 1\nc ~ s\n"
    assert arguments(head + "c > JOIN a#b \\#c #d")[2] == b"JOIN a#b #c"
    assert arguments(head + "c < #d")[2] == b""
    assert arguments(head + "c << a# \\#b\t#c")[2] == b"a# #b"
    assert arguments(head + "c </ \\#a b# # c")[2] == read_pattern(r"\#a b#")


def test_only_ascii_blanks_part_words() -> None:
    assert arguments("s @ 1\nc ~ s\nc > a\u00a0\u3000b\u2028c d")[2] == "a\u00a0\u3000b\u2028c d".encode()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("server", 1, "needed"),
        ("\n\nserver % 5050", 3, "unknown action '%'"),
        ("a/b @ 5050", 1, "not a name"),
        ("c > hi", 1, "c is not known yet"),
        ("server !", 1, "not known yet"),
        ("server @", 1, "first start needs a port"),
        ("server @ 0", 1, "not a port"),
        ("server @ 65536", 1, "not a port"),
        ("server @ x", 1, "not a port"),
        ("server @ 5050 $70000", 1, "not a port"),
        ("server @ 5050\nserver @", 2, "server is running"),
        ("server @ 5050\nserver !\nserver @ 5050", 3, "has its port already"),
        ("server @ 5050\nserver !\nserver !", 3, "server is stopped"),
        ("server @ 5050\nserver !\nserver > hi", 3, "server is stopped"),
        ("server @ 5050\nserver ! now", 2, "unexpected argument 'now'"),
        ("server @ 5050\nserver <! 256", 2, "not an exit status"),
        ("server @ 5050\nserver <! -1", 2, "not an exit status"),
        ("server @ 5050\nserver ?", 2, "missing"),
        ("server @ 5050\nserver ? (", 2, "not a regular expression"),
        ("server @ 5050\nserver >> x", 2, "a server has no '>>'"),
        ("server @ 5050\nserver ~ server", 2, "a server has no '~'"),
        ("server =", 1, "missing"),
        ("server = listen $0", 1, "not a port"),
        ("server = a\nserver !", 2, "was never started"),
        ("c ~ server", 1, "no server server runs"),
        ("server = a\nc ~ server", 2, "no server server runs"),
        ("server @ 5050\nserver !\nc ~ server", 3, "no server server runs"),
        ("server @ 5050\nc ~", 2, "name is needed"),
        ("server @ 5050\nc ~ server 5051", 2, "has no port 5051"),
        ("server @ 5050\nc ~ server 5050 x", 2, "name is needed"),
        ("server @ 5050\nc ~ server from", 2, "'from' is not a port"),
        ("server @ 5050\nc ~ server as tea", 2, "'tea' is none of result, hello, guest, files"),
        ("server @ 5050\nc ~ server as", 2, "'as' is not a port"),
        ("server @ 5050\nc ~ server as hello from 127.0.0.1", 2, "server's name"),
        ("server @ 5050\nc ~ server from 127.0.0", 2, "'127.0.0' is not an IP address"),
        ("server @ 5050\nc ~ server from 192.0.2.1", 2, "not a loopback address"),
        ("server @ 5050\nc ~ server 127.0.0.2:5051", 2, "has no port 5051"),
        ("server @ 5050\nc ~ server :5050", 2, "'' is not an IP address"),
        ("server @ 5050\nc ~ server\nd ~ c", 3, "no server c runs"),
        ("server @ 5050\nc ~ server\nc ~ server", 3, "c is connected"),
        ("server @ 5050\nc ~ server\nc @ 5051", 3, "a client has no '@'"),
        ("server @ 5050\nc ~ server\nc !\nc < hi", 4, "c is closed"),
        ("server @ 5050\nc ~ server\nc <!\nc <!", 4, "closed by the server"),
        ("server @ 5050\nc ~ server\nc >!\nc > hi", 4, "ended its sending side"),
        ("server @ 5050\nc ~ server\nc <- x", 3, "unexpected"),
        ("server @ 5050\nc ~ server\nc >>", 3, "nothing to send"),
        ("server @ 5050\nc ~ server\nc >> \\q", 3, "unknown escape"),
        ("server @ 5050\nc ~ server\nc << a\\nb", 3, "no newline"),
        ("server @ 5050\nc ~ server\nc </", 3, "missing"),
        ("c ~@", 1, "not a port"),
        ("c ~@ 127.0.0.1", 1, "not a port"),
        ("c ~@ 0.0.0.0:5052", 1, "not a loopback address"),
        ("c ~@ [127.0.0.1]:5052", 1, "not an IP address"),
        ("server @ 5050\nserver ~@ 5052", 2, "a server has no '~@'"),
        ("c ~@ 5052\nc ~@ 5053", 2, "c listens already"),
        ("c ~@ 5052\nd ~@ 127.0.0.1:5052", 2, "another client listens at 127.0.0.1 port 5052"),
        ("c ~@ 5052\nc > hi", 2, "c is not connected"),
        ("c ~@ 5052\nc !", 2, "c is not connected"),
        ("c ~@ 5052\nc ~<\nc ~<", 3, "c is connected"),
        ("c ~@ 5052\nd ~< c\nd ~< c", 3, "d is connected"),
        ("c ~<", 1, "c does not listen"),
        ("c ~@ 5052\nd ~<", 2, "d does not listen"),
        ("d ~< c", 1, "c does not listen"),
        ("c ~@ 5052\nc ~!\nc ~<", 3, "c does not listen"),
        ("c ~@ 5052\nc ~!\nd ~< c", 3, "c does not listen"),
        ("c ~!", 1, "c does not listen"),
        ("c ~@ 5052\nc ~!\nc ~!", 3, "c does not listen"),
        ("c ~@ 5052\nc ~! 5052", 2, "unexpected"),
    ],
)
def test_invalid_scripts(text: str, line: int, message: str) -> None:
    with pytest.raises(InvalidCase, match=re.escape(message)) as caught:
        parse(text)
    assert caught.value.line == line
    assert caught.value.text == text.split("\n")[line - 1]


def test_every_action_is_documented() -> None:
    document = (ROOT / "TESTING.md").read_text(encoding="utf-8")
    for action in ACTIONS:
        assert re.search(rf"^\| `{action.role.__name__.lower()} {re.escape(action.symbol)}[ `]", document, re.M)


# --- Playing ---


def test_a_case_that_passes(settings: Settings) -> None:
    record = check_passes(connected("c > hello  you\nc < hello you # as it was\nc !"), settings)
    assert [(entry.line, entry.name, entry.action, entry.text) for entry in record.transcript] == [
        (1, "server", "@", "server @ 5050"),
        (2, "c", "~", "c ~ server"),
        (3, "c", ">", "c > hello  you"),
        (4, "c", "<", "c < hello you"),
        (5, "c", "!", "c !"),
    ]
    assert record.transcript[3].received == "hello you"
    times = [entry.seconds for entry in record.transcript]
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= record.seconds


@pytest.mark.parametrize(
    "lines",
    [
        # A line in several pieces, several lines in one.
        "c > !send('two')\nc > !say(' parts')\nc < two parts",
        "c > !send('one\\ntwo\\nthr')\nc < one\nc > !say('ee')\nc < two\nc < three",
        "c >> one\\ntw\nc >> o\\n\nc < one\nc < two",
        # The ways to expect a line.
        "c >> a  b\\r\\n\nc << a  b\\r",
        "c > !send(b'\\xff \\x1b\\n')\nc << \\xff \\x1b",
        "c > !say('[12:30:00] hi')\nc <* [??:??:??] h*",
        "c > !say('[12:30:00] hi')\nc </ \\[[\\d:]+\\] hi",
        "c > !send(b'\\xff\\n')\nc </ \\\\xff",
        "c >> \\{a*100000}\\n\nc << \\{a*100000}",
        "c >\nc > 你好\nc > x\nc <<\nc < 你好\nc < x",
        "c <-\nc > x\nc < x\nc <-",
        # The ends of a connection, and connections side by side.
        "c > last\nc >!\nc < last\nc < end\nc <!",
        "c > !bye()\nc <!\nc ~ server\nc > back\nc < back",
        "c > !reset()\nc <!\nc !\nc ~ server\nc > back\nc < back",
        "d ~ server\nd > d\nc > c\nc < c\nd < d\nc !\nd > still\nd < still",
    ],
)
def test_lines_of_a_client(lines: str, settings: Settings) -> None:
    check_passes(connected(lines), settings)


@pytest.mark.parametrize(
    ("lines", "message", "expected", "received"),
    [
        ("c > a\nc < b", "another line", "b", "a"),
        ("c > a b\nc << a  b", "another line", "a  b", "a b"),
        ("c > abc\nc </ b", "does not match", "b", "abc"),
        ("c > abc\nc <* ?b", "does not match", "?b", "abc"),
        ("d ~ server as hello", "does not match", "HELLO d", "HELLO-FROM d"),
        ("c > !reset()\nc < x", "closed the connection", "x", None),
        ("c > !send('par') or bye()\nc < x", "closed the connection", "x", "par"),
        ("c > a\nc > !send('b')\nc < a\nc <-", "something came", "nothing", "b"),
        ("c > !bye()\nc <-", "closed the connection", "nothing", None),
        ("c > !say('last') or bye()\nc <!", "before the close", "closed", "last\\n"),
        ("server > hi\nserver < typed you", "another line", "typed you", "typed hi"),
        ("server > hi\nserver </ typed", "does not match", "typed", "typed hi"),
        ("c > !os._exit(0)\nserver < x", "no line came on standard output", "x", None),
        ("c > !os._exit(0)\nserver ? x", "no new line on standard error", "x", None),
        ("c > !os._exit(3)\nserver <!", "ended otherwise", "exit status 0", "exit status 3"),
        ("c > !os._exit(0)\nserver <! 1", "ended otherwise", "exit status 1", "exit status 0"),
    ],
)
def test_what_fails(lines: str, message: str, expected: str | None, received: str | None, settings: Settings) -> None:
    case = connected(lines)
    # Whatever breaks the quiet comes at some time: a long one ends with it.
    trouble = check_fails(case, dataclasses.replace(settings, quiet=10))
    assert message in trouble.message
    assert (trouble.expected, trouble.received) == (expected, received)
    assert (trouble.line, trouble.text) == (case.steps[-1].line, case.steps[-1].text)
    assert "INFO ready" in trouble.stderr["server"][0]


@contextlib.contextmanager
def staged(case: Case, settings: Settings, directory: Path) -> Iterator[Stage]:
    """A stage on which all steps but the last one have been played; its servers are stopped at the end."""
    stage = Stage(case.roles, settings, directory)
    try:
        for step in case.steps[:-1]:
            perform(stage, step)
        yield stage
    finally:
        stage.close()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("c > !send('par')\nc < part", "no line came in time"),
        ("c <!", "still open"),
        ("c > !wait()\nc >> \\{a*16000000}", "cannot send"),
        ("server < x", "no line came on standard output"),
        ("server ? x", "no new line on standard error"),
        ("server <!", "still runs"),
    ],
)
def test_deadlines(lines: str, message: str, settings: Settings, tmp_path: Path) -> None:
    case = connected(lines)
    with staged(case, settings, tmp_path) as stage:
        stage.settings = dataclasses.replace(settings, deadline=0.05)
        with pytest.raises(Failed, match=message):
            perform(stage, case.steps[-1])
        stage.settings = settings


def test_sending_fails_when_the_connection_is_broken(settings: Settings, tmp_path: Path) -> None:
    case = connected("c > !reset()\nc <!")
    # The first bytes may leave before the reset is here; it is here at the latest when all buffers are full.
    with staged(case, settings, tmp_path) as stage, pytest.raises(Failed, match="cannot send"):
        stage.clients["c"].send(bytes(16_000_000))


# --- Addresses and listeners ---


def test_addresses(settings: Settings) -> None:
    check_passes(
        script("""
            server = !address = "127.0.0.2"
            server @ 5050
            c ~ server 127.0.0.2:5050
            d ~ server 127.0.0.2:5050 from 127.0.0.3
            c > !say(client.getpeername()[0])
            c < 127.0.0.1
            d > !say(client.getpeername()[0])
            d < 127.0.0.3
            """),
        settings,
    )


@pytest.mark.parametrize(
    ("way", "where"),
    [
        ("server 127.0.0.2:5050", "cannot connect to 127.0.0.2 port"),
        ("server 5051", "cannot connect to 127.0.0.1 port"),
    ],
)
def test_connecting_where_nobody_listens_fails(way: str, where: str, settings: Settings) -> None:
    trouble = check_fails(script(f"server = $5051\nserver @ 5050\nc ~ {way}"), settings)
    assert (trouble.line, trouble.message.startswith(where)) == (3, True)


# The server connects to `p` at its start, and again, to this address, when a client says `!dial(there)`.
DIALLED = """\
server = !there = $5052
server = !dial(there)
p ~@ 5052
server @ 5050
c ~ server
"""


@pytest.mark.parametrize(
    "lines",
    [
        # It is a client as any other.
        "p ~<\np > hi\np < hi\np >> a  b\\n\np << a  b\np <-\np > x\np </ .\np >!\np < end\np <!",
        # The server connects again, after the end of a connection and before it.
        "p ~<\np !\nc > !dial(there)\np ~<\np > hi\np < hi",
        "p ~<\np > !bye()\np <!\nc > !dial(there)\np ~<\np > hi\np < hi",
        "c > !dial(there) or say('both')\nc < both\np ~<\np > !reset()\np <!\np ~<\np > hi\np < hi",
        # What the last connection brought is not there any more.
        "p ~<\np > !send('one\\ntwo\\n')\np < one\np !\nc > !dial(there)\np ~<\np > three\np < three",
        # Several connections from one listener; in the order in which they came.
        "p ~<\nc > !dial(there)\nq ~< p\np > p\nq > q\nq < q\np < p\nq !\nc > !dial(there)\nq ~< p",
        "q ~< p\nc > !dial(there)\np ~<\nq > hi\nq < hi\np > hi\np < hi",
        # The end of the listening, with a connection that goes on, and another one that is not taken.
        "p ~<\np ~!\np > hi\np < hi\nc > !say(is_found(there))\nc < False",
        "p ~!\nc > !say(is_found(there))\nc < False",
        "p ~<\np ~!\np ~@ 5052\nc > !dial(there)\np > hi\np < hi\np !\np ~<\np > hi\np < hi",
        "p ~!\nq ~@ 5052\nc > !dial(there)\nq ~<\nq > hi\nq < hi",
        # It may connect, too, and a client of a server may listen.
        "p ~ server\np > hi\np < hi\np !\np ~<\np > hi\np < hi",
        "c ~@ 5053\nc > hi\nc < hi\nc ~!\nc > hi\nc < hi",
        # Its place may be a server's in turn.
        "p ~<\np ~!\nother @ 5052\nd ~ other\nd > hi\nd < hi\nother !\np ~@ 5052\nc > !dial(there)\nq ~< p",
    ],
)
def test_a_client_that_listens(lines: str, settings: Settings) -> None:
    check_passes(script(DIALLED + lines), settings)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("127.0.0.2", "127.0.0.2"),
        pytest.param("[::1]", "::1", marks=pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")),
    ],
)
def test_listening_at_an_address(place: str, address: str, settings: Settings) -> None:
    check_passes(
        script(f"p ~@ {place}:5052\nserver = !dial($5052, '{address}')\nserver @ 5050\np ~<\np > hi\np < hi"), settings
    )


def test_the_place_of_nobody(settings: Settings) -> None:
    check_passes(
        script("server = !there = $5052\nserver @ 5050\nc ~ server\nc > !say(is_found(there))\nc < False"), settings
    )
    check_passes(script("p ~@ 5052"), settings)


def test_one_port_at_two_addresses(settings: Settings) -> None:
    check_passes(
        connected("""
            p ~@ 127.0.0.2:5050
            q ~@ 127.0.0.3:5050
            c > !dial(port, "127.0.0.3")
            q ~<
            c > !dial(port, "127.0.0.2")
            p ~<
            """),
        settings,
    )


def test_listening_where_a_server_does_fails(settings: Settings) -> None:
    trouble = check_fails(connected("p ~@ 5050"), settings)
    assert (trouble.line, trouble.message.startswith("cannot listen at 127.0.0.1 port")) == (3, True)


def test_nobody_connects(settings: Settings, tmp_path: Path) -> None:
    case = script("p ~@ 5052\np ~<")
    with staged(case, settings, tmp_path) as stage:
        stage.settings = dataclasses.replace(settings, deadline=0.05)
        with pytest.raises(Failed, match="no connection came: timed out"):
            perform(stage, case.steps[-1])


def test_an_interrupted_run_waits_for_no_connection(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "MAX_WAIT", 0.01)
    case = script("p ~@ 5052\np ~<")
    with staged(case, settings, tmp_path) as stage:
        settings.processes.close()
        began = time.monotonic()
        with pytest.raises(Failed, match="no connection came"):
            perform(stage, case.steps[-1])
        assert time.monotonic() - began < settings.deadline


def test_listening_at_an_exact_port(settings: Settings) -> None:
    with Ports().take() as claim, Ports().take() as other:
        port, place = claim.getsockname()[1], other.getsockname()[1]
        case = parse(f"p ~@ {place}\nserver = !dial({place})\nserver @ {port}\np ~<\np > hi\np < hi")
        check_passes(case, dataclasses.replace(settings, exact_ports=True))


# --- Servers ---


def test_console_and_standard_error(settings: Settings) -> None:
    check_passes(
        connected("""
            server > hello   you
            server > again
            server < typed hello you
            server </ typed a.*
            c > !log('one') or log('two') or log('two')
            server ? ^one$
            server ? tw
            server ? two
            server !
            """),
        settings,
    )


def test_standard_error_is_read_once(settings: Settings, tmp_path: Path) -> None:
    case = connected("c > !log('one') or log('two')\nserver ? two\nserver ? one")
    with staged(case, settings, tmp_path) as stage:
        stage.settings = dataclasses.replace(settings, deadline=0.05)
        with pytest.raises(Failed, match="no new line"):
            perform(stage, case.steps[-1])
        stage.settings = settings


def test_a_server_that_talks_a_lot_is_never_blocked(settings: Settings) -> None:
    check_passes(
        connected("c > !log('x' * 300000) or print('y' * 300000, flush=True) or say('done')\nc < done"),
        settings,
    )


def test_config_words_and_ports(settings: Settings) -> None:
    check_passes(
        script("""
            server = peer 127.0.0.1:$5051
            server @ 5050 --own $5050 --peer 127.0.0.1:$5051
            c ~ server
            c > !say(config[0], len(config))
            c < bcrypt-cost 4 2
            c > !say(config[1].split()[1] == sys.argv[6], int(sys.argv[4]) == port, port != 5050)
            c < True True True
            server = for the next start
            server !
            server @
            c <!
            c ~ server
            c > !say(config[2], *sys.argv[3::2])
            c < for the next start --own --peer
            """),
        settings,
    )


def test_another_port_of_a_server(settings: Settings) -> None:
    check_passes(
        script("""
            server = !other = socket.create_server(("127.0.0.1", $5051))
            server @ 5050
            c ~ server 5051
            d ~ server
            d > !other.accept()[0].send(b"welcome\\n")
            c < welcome
            """),
        settings,
    )


def test_exact_ports(settings: Settings) -> None:
    with Ports().take() as claim:
        port = claim.getsockname()[1]
        case = parse(f"server @ {port}\nc ~ server {port}\nc > !say(port)\nc < {port}")
        check_passes(case, dataclasses.replace(settings, exact_ports=True))


@pytest.mark.parametrize("end", ["server !", "server !!", "c > !os._exit(3)\nserver <! 3"])
def test_a_restarted_server_has_its_port_and_its_files(end: str, settings: Settings) -> None:
    check_passes(
        connected(f"""
c > !open(str(port), "w").write("kept") and say("written")
c < written
{end}
server @
c <!
c ~ server
c > !say(open(str(port)).read())
c < kept
server ? ready
"""),
        settings,
    )


def test_two_servers_of_one_case(settings: Settings) -> None:
    check_passes(
        script("""
            one = peer $5052
            one @ 5051
            two @ 5052
            c ~ one
            d ~ two
            c > !say(sorted(os.listdir()))
            c < ['one.conf', 'two.conf']
            one !
            d > still here
            d < still here
            """),
        settings,
    )


REFUSED = "server = !sys.exit('no such directive')\nserver @ 5050\n"


def test_a_server_that_refuses_to_start(settings: Settings) -> None:
    check_passes(script(REFUSED), settings)
    check_passes(script(REFUSED + "server <! 1\nserver ? no such"), settings)
    check_passes(script(REFUSED + "server ? no such\nserver <! 1\nserver @\nserver <! 1"), settings)


@pytest.mark.parametrize("use", ["c ~ server", *(f"server {action}" for action in ("> x", "< x", "</ x", "!", "!!"))])
def test_using_a_server_that_refused_to_start_fails(use: str, settings: Settings) -> None:
    trouble = check_fails(script(REFUSED + use), settings)
    assert trouble.message == "the server ended before it was ready"
    assert trouble.line == 3
    assert trouble.stderr == {"server": ["no such directive"]}


def test_a_server_that_is_never_ready_fails(settings: Settings, foreign: Settings) -> None:
    case = script("server = !wait()\nserver @ 5050")
    for impatient in (settings, foreign):
        trouble = check_fails(case, dataclasses.replace(impatient, deadline=0.05))
        assert trouble.line == 2
        assert "in time" in trouble.message


def test_a_command_that_cannot_be_started_fails(settings: Settings) -> None:
    trouble = check_fails(script("server @ 5050"), dataclasses.replace(settings, command=("/no/such/program",)))
    assert "cannot start /no/such/program" in trouble.message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("c > !os._exit(3)\nc <!", "ended with exit status 3"),
        ("c > !os.kill(os.getpid(), 9)\nc <!", "ended with signal 9"),
        ("c > !1/0\nserver ? ZeroDivisionError", "wrote a traceback"),
        ("c > !1/0\nserver ? ZeroDivisionError\nserver !!\nserver @", "wrote a traceback"),
    ],
)
def test_a_server_that_does_not_live_well_fails_its_case(lines: str, message: str, settings: Settings) -> None:
    trouble = check_fails(connected(lines), settings)
    assert message in trouble.message
    assert trouble.line == 1


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("lambda *_: os._exit(3)", "ended with exit status 3"),
        ("signal.SIG_DFL", "ended with signal 15"),
    ],
)
def test_a_server_that_does_not_stop_well_fails_its_case(handler: str, message: str, settings: Settings) -> None:
    head = f"server = !signal.signal(signal.SIGTERM, {handler})\nserver @ 5050\n"
    trouble = check_fails(parse(head), settings)
    assert trouble.message == f"the server {message}"
    assert trouble.line == 2
    assert check_fails(parse(head + "server !"), settings).line == 3


def test_a_server_that_does_not_stop_at_all_is_killed(settings: Settings, tmp_path: Path) -> None:
    case = parse("server = !signal.signal(signal.SIGTERM, signal.SIG_IGN)\nserver @ 5050\nc ~ server")
    stage = Stage(case.roles, settings, tmp_path)
    for step in case.steps:
        perform(stage, step)
    stage.settings = dataclasses.replace(settings, deadline=0.05)
    assert stage.close() == [("server", "did not end in time when it was stopped")]


def test_a_server_that_ended_by_itself(settings: Settings) -> None:
    check_passes(connected("c > !os._exit(0)\nc <!"), settings)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("server !", "ended by itself, with exit status 0"),
        ("server !!", "ended by itself, with exit status 0"),
        ("server > x", "cannot write to the console"),
        ("d ~ server", "cannot connect"),
    ],
)
def test_using_a_server_that_ended_by_itself_fails(use: str, message: str, settings: Settings, tmp_path: Path) -> None:
    case = connected(f"c > !os._exit(0)\n{use}")
    with staged(case, settings, tmp_path) as stage:
        assert stage.servers["server"].lives[-1].wait(stage.until()) == 0
        with pytest.raises(Failed, match=message):
            perform(stage, case.steps[-1])


def test_somebody_elses_server(foreign: Settings) -> None:
    check_passes(parse("server = !os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n" + PASSING), foreign)
    check_passes(connected("c > !say(len(sys.argv))\nc < 2"), foreign)
    check_passes(parse("server = x\nserver @ 5050 y\nc ~ server\nc > !say(config, sys.argv[3])\nc < ['x'] y"), foreign)
    check_passes(parse("server = !signal.signal(signal.SIGTERM, signal.SIG_DFL)\nserver @ 5050"), foreign)
    check_passes(script(REFUSED + "server <! 1"), foreign)


def test_command_words() -> None:
    config = Path("/x/s.conf")

    def words(template: str, has_directives: bool = False) -> str:
        return " ".join(command_words(template.split(), 20001, config, has_directives))

    assert words("s") == "s 20001"
    assert words("s", True) == "s 20001 /x/s.conf"
    assert words("s --port={port}") == "s --port=20001"
    assert words("s {config} {port}") == "s /x/s.conf 20001"
    assert words("s {config}", True) == "s /x/s.conf 20001"


def test_command_words_alone(foreign: Settings) -> None:
    assert program_words(["s", "-v", "{port}", "{config}"]) == ["s", "-v"]
    assert program_words(OUR_COMMAND) == list(OUR_COMMAND[:2])
    check_passes(parse("server @@ 5050 $5050 $config x\nc ~ server\nc > !say(len(sys.argv))\nc < 4"), foreign)


def test_the_servers_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CROSSTALK_SERVER", raising=False)
    assert server_command() == OUR_COMMAND
    assert Settings(command=server_command()).is_ours
    monkeypatch.setenv("CROSSTALK_SERVER", "measure 'a b'")
    assert server_command() == ("measure", "a b")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").touch()
    assert server_command("./theirs {port}") == (str(tmp_path / "theirs"), "{port}")
    assert not Settings(command=server_command("x")).is_ours


def test_an_error_of_the_runner_fails_the_case(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(player, "perform", broken)
    trouble = check_fails(script("server @ 5050"), settings)
    assert trouble.line == 1
    assert "RuntimeError: a bug" in trouble.message


def test_directories_are_removed_unless_kept(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert check_passes(script("server @ 5050"), settings).directory is None
    assert not any(tmp_path.iterdir())
    record = check_passes(script("server @ 5050"), dataclasses.replace(settings, keep=True))
    assert record.directory is not None
    assert [file.name for file in Path(record.directory).iterdir()] == ["server.conf"]
    assert record.directory in describe(record)


def test_ports_are_never_handed_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "randint", lambda _, last: last - 10)
    with contextlib.ExitStack() as claims:

        def take(ports: Ports) -> int:
            port: int = claims.enter_context(ports.take()).getsockname()[1]
            return port

        one, other = Ports(), Ports()
        taken = [take(ports) for _ in range(25) for ports in (one, other)]
    assert len(set(taken)) == 50
    assert all(FIRST_PORT <= port <= LAST_PORT for port in taken)


def test_only_free_ports_are_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with Ports().take() as claim:
        port = claim.getsockname()[1]
        assert is_free(port)
        for address in ("127.0.0.1", "127.0.0.2"):
            with socket.create_server((address, port)):
                assert not is_free(port)
    monkeypatch.setattr(processes, "is_free", lambda port: port % 100 == 7)
    with Ports().take() as claim:
        assert claim.getsockname()[1] % 100 == 7
    monkeypatch.setattr(processes, "is_free", lambda _: False)
    with pytest.raises(Failed, match="free"):
        Ports().take()


# --- The command line ---


@pytest.fixture
def project(tmp_path: Path, fake: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the runner, the fake server in the place of ours, and an empty `testing/`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSTALK_SERVER", raising=False)
    shutil.copy(ROOT / "testing.py", tmp_path)
    shutil.copytree(ROOT / "harness", tmp_path / "harness")
    shutil.copy(fake, tmp_path)
    (tmp_path / "testing").mkdir()
    return tmp_path


def add_case(project: Path, name: str, text: str) -> None:
    path = project / "testing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


PASSING = "server @ 5050\nc ~ server\nc > hi\nc < hi\n"
FAILING = "server @ 5050\nc ~ server\n\nc > hi\nc < ho # no\n"


def run_main(project: Path, fake: Path, *words: str) -> int:
    command = shlex.join([sys.executable, "-IS", str(fake)])
    return testing.main(["--server", command, *words], project / "testing")


def test_cases_are_found(project: Path) -> None:
    for name in ("b/login.txt", "a.txt", "b/c/deep", "x.py", "x.pyc", "x.md", "x.json", ".x", "_x.txt"):
        add_case(project, name, PASSING)
    add_case(project, "__pycache__/y.txt", PASSING)
    root = project / "testing"

    def names(pattern: str = "") -> list[str]:
        return [case_name(path, root) for path in find_cases(pattern, root)]

    assert names() == ["a", "b/c/deep", "b/login"]
    assert names("b/") == ["b/c/deep", "b/login"]
    assert names("login") == ["b/login"]
    assert names("login.") == []


def test_a_run_and_its_record(project: Path, fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_case(project, "result/login.txt", PASSING)
    add_case(project, "result/bad.txt", FAILING)
    add_case(project, "wrong.txt", "# a comment\nserver % 5050\n")
    (project / "testing" / "bytes.txt").write_bytes(b"# one\nserver \xff\n")
    assert run_main(project, fake) == 1

    told = capsys.readouterr().out
    assert re.search(r"^passed  result/login \(\d+\.\d\d s\)$", told, re.M)
    assert re.search(
        r"^failed  result/bad .*\n  testing/result/bad.txt:5: c < ho\n  another line came\n"
        r"    expected: ho\n    received: hi\n  standard error of server\n    INFO ready port=\d+$",
        told,
        re.M,
    )
    assert re.search(r"^invalid wrong .*\n  testing/wrong.txt:2: server % 5050\n  unknown action '%'$", told, re.M)
    assert re.search(r"^invalid bytes .*\n  testing/bytes.txt:2: server \\xff\n  not UTF-8$", told, re.M)
    assert re.search(r"^1 passed, 1 failed, 2 invalid in \d+\.\d s\n\Z", told, re.M)

    document = json.loads((project / "testing.json").read_text(encoding="utf-8"))
    assert (document["passed"], document["failed"], document["invalid"]) == (1, 1, 2)
    cases = {case["name"]: case for case in document["cases"]}
    passed, failed, wrong = cases["result/login"], cases["result/bad"], cases["wrong"]
    assert (passed["outcome"], passed["error"]) == ("passed", None)
    assert passed["file"] == "testing/result/login.txt"
    assert [entry["received"] for entry in passed["transcript"]][2:] == [None, "hi"]
    last = failed["transcript"][-1]
    assert (last["line"], last["name"], last["action"], last["text"]) == (5, "c", "<", "c < ho")
    assert 0 < last["seconds"] <= failed["seconds"] <= document["seconds"]
    error = failed["error"]
    assert (error["line"], error["expected"], error["received"]) == (5, "ho", "hi")
    assert (wrong["outcome"], wrong["error"]["line"], wrong["transcript"]) == ("invalid", 2, [])


def test_a_pattern_chooses(project: Path, fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_case(project, "good.txt", PASSING)
    add_case(project, "bad.txt", FAILING)
    assert run_main(project, fake, "good", "--jobs", "1") == 0
    assert "1 passed, 0 failed" in capsys.readouterr().out
    assert run_main(project, fake, "none such") == 1
    assert "no test case has 'none such' in its name" in capsys.readouterr().err


def test_a_case_that_breaks_the_runner_fails_alone(
    project: Path, fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cases, "play", broken)
    add_case(project, "good.txt", PASSING)
    assert run_main(project, fake) == 1
    assert "RuntimeError: a bug" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--jobs=0", "--deadline=0", "--deadline=x", "--deadline=inf", "--server='"])
def test_wrong_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        testing.main([option])
    assert "error" in capsys.readouterr().err


def test_a_long_line_is_shortened_for_a_person() -> None:
    assert shorten("x" * 1000) == "x" * 1000
    assert shorten("ab" * 5000).endswith("ab (10000 characters)")
    assert len(shorten("ab" * 5000)) < 1050


def test_it_runs_alone(project: Path) -> None:
    add_case(project, "good.txt", PASSING)
    command = [sys.executable, "-S", "testing.py"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    add_case(project, "bad.txt", FAILING)
    assert subprocess.run([*command, "bad"], stdout=subprocess.DEVNULL, check=False).returncode == 1


@pytest.mark.parametrize("numbers", [["INT"], ["TERM"], ["HUP"], ["HUP", "HUP", "TERM"], ["QUIT", "INT"]], ids=" ".join)
def test_an_interrupted_run_ends_its_servers(project: Path, numbers: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as witness:
        add_case(project, "a.txt", PASSING)
        port = witness.getsockname()[1]
        add_case(
            project,
            "b.txt",
            f"server = !s = socket.create_connection(('127.0.0.1', {port}))\nserver @ 5050\nserver < never",
        )
        add_case(project, "c.txt", PASSING)
        command = [sys.executable, "-S", "testing.py", "--jobs", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            server = witness.accept()[0]
            for number in numbers:
                run.send_signal(getattr(signal, f"SIG{number}"))
            told = run.communicate(timeout=20)[0]
        with server:
            server.settimeout(20)
            # The server held the other end of this connection to its last moment.
            assert server.recv(1) == b""
    assert run.returncode == 1
    assert re.fullmatch(r"passed  a .*\n1 passed, 0 failed, 0 invalid in .* s, interrupted\n", told)
    assert [case["name"] for case in json.loads((project / "testing.json").read_text())["cases"]] == ["a"]


def test_a_signal_that_is_ignored_stays_so(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as witness:
        port = witness.getsockname()[1]
        text = f"server = !s = socket.create_connection(('127.0.0.1', {port})); s.recv(1)\n{PASSING}"
        add_case(project, "a.txt", text)
        command = ["sh", "-c", f"trap '' HUP; exec {shlex.join([sys.executable, '-S', 'testing.py'])}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            server = witness.accept()[0]
            run.send_signal(signal.SIGHUP)
            server.close()
            told = run.communicate(timeout=20)[0]
    assert run.returncode == 0, told


@pytest.mark.parametrize("count", [1, 3])
def test_a_run_whose_report_nobody_reads(project: Path, count: int) -> None:
    """As with `| head -1`: it says so and ends, with its record."""
    for number in range(count):
        add_case(project, f"{number}.txt", PASSING)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:
        run = subprocess.run(
            [sys.executable, "-S", "testing.py", "--jobs", "1"], stdout=output, stderr=subprocess.PIPE, check=False
        )
    assert (run.returncode, run.stderr) == (1, b"testing.py: cannot write the report: Broken pipe\n")
    assert [case["name"] for case in json.loads((project / "testing.json").read_text())["cases"]] == ["0"]


def test_a_report_for_which_there_is_no_room(project: Path) -> None:
    add_case(project, "a.txt", PASSING)
    with open("/dev/full", "wb") as output:
        run = subprocess.run([sys.executable, "-S", "testing.py"], stdout=output, stderr=subprocess.PIPE, check=False)
    assert (run.returncode, run.stderr) == (1, b"testing.py: cannot write the report: No space left on device\n")


def test_a_record_that_cannot_be_written(project: Path, fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_case(project, "a.txt", PASSING)
    (project / "testing.json").mkdir()
    assert run_main(project, fake) == 1
    told = capsys.readouterr()
    assert "1 passed, 0 failed" in told.out
    assert told.err == "testing.py: cannot write testing.json: Is a directory\n"


def test_a_directory_that_cannot_be_made_is_no_traceback(
    project: Path, fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_case(project, "a.txt", PASSING)
    monkeypatch.setattr(tempfile, "tempdir", str(project / "none"))
    assert run_main(project, fake) == 1
    told = capsys.readouterr().out
    assert "cannot be played: [Errno 2] No such file or directory" in told
    assert "Traceback" not in told


def test_pytest_collects_the_cases(project: Path) -> None:
    add_case(project, "result/good.txt", PASSING)
    add_case(project, "bad.txt", FAILING)
    shutil.copy(ROOT / "testing" / "conftest.py", project / "testing")
    for name in ("test_one.py", "test_two.py"):
        text = "import testing\n\ndef test_runner():\n    assert testing.main\n"
        (project / "testing" / name).write_text(text)
    (project / "pytest.ini").write_text("[pytest]\ntestpaths = testing\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-n0"]

    def told(*words: str) -> str:
        return subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=False).stdout

    everything = told()
    assert "testing/result/good.txt::case PASSED" in everything
    assert "testing/bad.txt::case FAILED" in everything
    assert "testing/bad.txt:5: c < ho\n  another line came\n    expected: ho\n    received: hi" in everything
    assert "3 passed" in everything
    assert "1 failed" in everything
    assert "2 passed" in told("--no-cases")


def test_pytest_interrupted_in_several_processes_ends_the_servers(project: Path, fake: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as witness:
        witness.settimeout(PATIENCE)
        port = witness.getsockname()[1]
        for name in ("a.txt", "b.txt"):
            dial = f"server = !s = socket.create_connection(('127.0.0.1', {port}))\n"
            add_case(project, name, f"{dial}server @ 5050\nserver < never\n")
        shutil.copy(ROOT / "testing" / "conftest.py", project / "testing")
        (project / "pytest.ini").write_text("[pytest]\ntestpaths = testing\npythonpath = .\n")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as run:
            connections = [witness.accept()[0] for _ in range(2)]
            os.killpg(run.pid, signal.SIGINT)  # as a terminal does
            for server in connections:
                with server:
                    server.settimeout(PATIENCE)
                    assert server.recv(1) == b""
            assert run.wait(PATIENCE) == pytest.ExitCode.INTERRUPTED
