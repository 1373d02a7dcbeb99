"""The client in the dialect `rooms`, between pipes and on a terminal, as users meet it: with channels, and with files.

Whatever waits does so for an event and under a deadline; nothing sleeps. Where a test acts in the middle of a file,
a scripted side holds the rest back, or the file has no end.
"""

from __future__ import annotations

import base64
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness.peer import Peer
from harness.processes import ROOT
from support.clients import SECONDS, FakeServer, OnTerminal, Piped, RoomServer

MAX_FILE_SIZE = 1_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoomServer]:
    directory = tmp_path_factory.mktemp("server")
    with contextlib.closing(RoomServer(directory, f"max-file-size {MAX_FILE_SIZE}")) as server:
        yield server


class Desk:
    """Starts clients, each in a directory of its own, and closes them."""

    def __init__(self, server: RoomServer | FakeServer, directory: Path, stack: contextlib.ExitStack) -> None:
        self._server = server
        self._directory = directory
        self._stack = stack

    def piped(self, name: str, *words: str, stdin: int = subprocess.PIPE) -> Piped:
        piped = Piped(self._server.port, name, *words, stdin=stdin, directory=self.directory(name))
        return self._stack.enter_context(contextlib.closing(piped))

    def guest(self, name: str) -> Piped:
        """Who is in the channel."""
        piped = self.piped(name)
        piped.output.expect(f"{name} has joined the channel.\n")
        return piped

    def terminal(self, name: str, environment: Mapping[str, str] | None = None) -> OnTerminal:
        terminal = OnTerminal(self._server.port, name, environment=environment, directory=self.directory(name))
        return self._stack.enter_context(contextlib.closing(terminal))

    def wire(self, first_line: str) -> Peer:
        assert isinstance(self._server, RoomServer)
        return self._stack.enter_context(contextlib.closing(self._server.guest(first_line)))

    def directory(self, name: str) -> Path:
        path = self._directory / name
        path.mkdir(exist_ok=True)
        return path


@pytest.fixture
def desk(server: RoomServer, tmp_path: Path, stack: contextlib.ExitStack) -> Desk:
    return Desk(server, tmp_path, stack)


@pytest.fixture
def script(fake: FakeServer, tmp_path: Path, stack: contextlib.ExitStack) -> Desk:
    """Its clients talk to a scripted server."""
    return Desk(fake, tmp_path, stack)


def plain(text: str) -> str:
    """Leave out the times."""
    return re.sub(r" \(\d\d:\d\d:\d\d\)", "", text)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def endless(directory: Path) -> None:
    """Make a file `huge` to the end of which nobody gets here. It takes no room."""
    with (directory / "huge").open("wb") as file:
        file.truncate(MAX_FILE_SIZE)


# ---- client_dialect between pipes ----


def test_lines_go_both_ways_and_the_server_ends_it(desk: Desk) -> None:
    ann, bob = desk.guest("ann"), desk.guest("bob")
    ann.output.expect("bob has joined the channel.\n")
    ann.send("  hello   all \n\n \t\n/whisper bob psst\n/whisper zoe psst\n/foo\n/list\n/quit")
    ann.end_input()
    assert plain(ann.output.rest()) == (
        "[Server message] Welcome to the lobby channel, ann.\n"
        "[Server message] ann has joined the channel.\n"
        "[Server message] bob has joined the channel.\n"
        "[ann] hello   all\n"
        "[Server message] zoe is not here.\n"
        "[ann] /foo\n"
        "[Channel] lobby 2/5/0.\n[Channel] den 0/5/0.\n[Channel] attic 0/5/0.\n"
    )
    assert (ann.status(), ann.errors()) == (0, "")
    bob.output.expect("] ann has left the channel.\n")
    assert plain(bob.output.text).endswith(
        "[ann] hello   all\n[ann whispers to you:] psst\n[ann] /foo\n[Server message] ann has left the channel.\n"
    )


def test_another_channel(desk: Desk) -> None:
    ann = desk.guest("ann")
    ann.send("/switch nowhere\n/switch den\nhi\n")
    ann.output.expect("] hi\n")
    assert plain(ann.output.text).splitlines()[2:] == [
        "[Server message] nowhere does not exist.",
        "[Server message] Welcome to the den channel, ann.",
        "[Server message] ann has joined the channel.",
        "[ann] hi",
    ]


@pytest.mark.parametrize("name", ["bob", "a:b", "@ann", "x" * 65])
def test_a_name_that_cannot_be_had(desk: Desk, name: str) -> None:
    desk.wire("bob")
    refused = desk.piped(name)
    assert plain(refused.output.rest()) == "[Server message] Cannot connect to the lobby channel.\n"
    assert (refused.status(), refused.errors()) == (1, "")


def test_it_goes_on_after_the_end_of_its_input(script: Desk, fake: FakeServer, stack: contextlib.ExitStack) -> None:
    piped = script.piped("ann", stdin=subprocess.DEVNULL)
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("ann files\n")
    wire.send("[bob (12:34:56)] \x1b[31mone")
    piped.output.expect("[bob (12:34:56)] [31mone\n")
    wire.send("anything", "/other")
    piped.output.expect("anything\n/other\n")
    wire.socket.setblocking(False)
    with pytest.raises(BlockingIOError):  # neither a byte nor an end has come
        wire.socket.recv(1)
    wire.close()
    assert (piped.status(), piped.errors()) == (0, "")


def test_what_is_not_sent_is_explained_on_standard_error(
    script: Desk, fake: FakeServer, stack: contextlib.ExitStack
) -> None:
    piped = script.piped("ann")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    piped.send("/piece 1 AAAA\n/send bob a 5\n/send bob nothing\nbye\n")
    wire.expect("bye\n")
    assert wire.received == "ann files\n/send\n/send bob nothing -\nbye\n"
    wire.close()
    assert piped.output.rest() == ""
    assert piped.errors() == (
        "client.py: Not sent: the server takes /piece for a part of a file.\nclient.py: Usage: /send <user> <path>\n"
    )
    assert piped.status() == 1


def test_without_standard_error_the_output_is_the_servers_alone(fake: FakeServer) -> None:
    words = [sys.executable, str(ROOT / "client.py"), str(fake.port), "ann"]
    with subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        wire = fake.accept()
        assert process.stdin
        process.stdin.write(b"/send bob\nbye\n")
        process.stdin.flush()
        wire.expect("ann files\n/send\nbye\n")
        wire.send("[bob (12:34:56)] bye")
        wire.close()
        assert process.stdout
        assert process.stdout.read() == b"[bob (12:34:56)] bye\n"
        assert process.wait(SECONDS) == 0


# ---- files between pipes ----


@pytest.mark.parametrize(
    "data",
    [b"", b"one line\n", "\u7b14\u8bb0\r\n".encode(), bytes(range(256)) * 1000],
    ids=["empty", "line", "text", "binary"],
)
def test_a_file_goes_from_one_to_another(desk: Desk, data: bytes) -> None:
    ann, bob = desk.guest("ann"), desk.guest("bob")
    notes = desk.directory("ann") / "notes"
    notes.mkdir()
    (notes / "a.bin").write_bytes(data)
    ann.send("/send bob notes/a.bin\n")
    ann.output.expect("] You sent notes/a.bin to bob.\n")
    bob.stderr.expect(f"client.py: Received: a.bin from ann, {len(data)} bytes.\n")
    assert contents(desk.directory("bob")) == {"a.bin": data}
    for piped in (ann, bob):
        piped.send("/quit\n")
        assert piped.status() == 0
        assert not re.search("^/", piped.output.rest(), re.MULTILINE)
    assert ann.errors() == ""


def test_in_a_pipe_there_is_no_question(desk: Desk) -> None:
    ann, bob = desk.guest("ann"), desk.guest("bob")
    bob.send("/accept\n/decline ann\n")
    ann.output.expect("] /accept\n")
    ann.output.expect("] /decline ann\n")
    for name in (".bashrc", "GNUmakefile", "crosstalk-5050.db-wal", "pytest.ini", "readline.py"):
        (desk.directory("ann") / name).write_text(name)
        ann.send(f"/send bob {name}\n")
        stored = f"{name.lstrip('.')}.received"
        bob.stderr.expect(f"Received: {name} from ann, {len(name)} bytes. It is called {stored} here.\n")
        assert contents(desk.directory("bob")).pop(stored) == name.encode()


def test_the_command_line_limits_what_is_received(desk: Desk) -> None:
    ann, bob = desk.guest("ann"), desk.piped("bob", "--max-received", "65541")
    ann.output.expect("bob has joined the channel.\n")
    (desk.directory("ann") / "a").write_bytes(b"a" * 6)
    (desk.directory("ann") / "b").touch()
    ann.send("/send bob a\n/send bob b\n")
    ann.output.expect("] bob did not take a.\n")
    ann.output.expect("] You sent b to bob.\n")
    bob.stderr.expect("Not received: a from ann: it is more than this client takes of all files together")
    assert contents(desk.directory("bob")) == {"b": b""}


def test_files_cross_each_other_and_none_is_replaced(desk: Desk) -> None:
    ann, bob = desk.guest("ann"), desk.guest("bob")
    data = {name: name.encode() * 100_000 for name in ("a", "b", "c")}
    for name in data:
        (desk.directory("ann") / name).write_bytes(data[name])
        (desk.directory("bob") / name).write_bytes(data[name].upper())
        ann.send(f"/send bob {name}\n")
        bob.send(f"/send ann {name}\n")
    for name in data:
        ann.stderr.expect(f"Received: {name} from bob, 100000 bytes. It is called {name}-1 here.\n")
        bob.stderr.expect(f"Received: {name} from ann, 100000 bytes. It is called {name}-1 here.\n")
    here, there = contents(desk.directory("ann")), contents(desk.directory("bob"))
    assert here == {**data, **{f"{name}-1": data[name].upper() for name in data}}
    assert there == {**{name: data[name].upper() for name in data}, **{f"{name}-1": data[name] for name in data}}


def test_a_file_that_cannot_be_sent(desk: Desk) -> None:
    ann = desk.guest("ann")
    netcat = desk.wire("netcat")
    (desk.directory("ann") / "a").write_text("a")
    with (desk.directory("ann") / "large").open("wb") as file:
        file.truncate(MAX_FILE_SIZE + 1)
    desk.guest("bob")
    ann.output.expect("bob has joined the channel.\n")
    ann.send("/send zoe a\n/send bob b\n/send zoe b\n/send netcat a\n/send bob large\n/send bob\n/send bob a a\nhi\n")
    ann.output.expect("[ann (")
    ann.output.expect("] hi\n")
    assert plain(ann.output.text).splitlines()[-7:] == [
        "[Server message] zoe is not here.",
        "[Server message] b does not exist.",
        "[Server message] zoe is not here.",
        "[Server message] b does not exist.",
        "[Server message] netcat cannot receive files.",
        "[Server message] large is too large.",
        "[ann] hi",
    ]
    netcat.expect("] hi\n")
    assert "/" not in netcat.received
    assert contents(desk.directory("bob")) == {}


# ---- files that come to no end ----


class Sender:
    """A scripted guest, of whose file of 20 bytes another guest takes the first half."""

    def __init__(self, desk: Desk, recipient: str, accept: Callable[[], None] = lambda: None) -> None:
        self.wire = desk.wire("ann files")
        self.wire.send(f"/send {recipient} a.bin 20")
        accept()
        self.wire.expect("/more ")
        self.number = self.wire.received.split("/sending ")[1].split()[0]
        self.send_half()

    def send_half(self) -> None:
        self.wire.send(f"/piece {self.number} {encoded(b'0123456789')}")
        self.wire.expect(f"/more {self.number} 1\n")  # it has left for the other side

    def send_rest(self) -> None:
        self.send_half()
        self.wire.send(f"/end {self.number}")


def test_a_sender_who_vanishes(desk: Desk) -> None:
    bob = desk.guest("bob")
    Sender(desk, "bob").wire.close()
    bob.stderr.expect("client.py: Not received: a.bin from ann: it was cancelled.\n")
    assert contents(desk.directory("bob")) == {}


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda bob: bob.process.terminate(), 143),
        (lambda bob: bob.process.send_signal(signal.SIGHUP), 129),
        (lambda bob: bob.process.send_signal(signal.SIGINT), 130),
        (lambda bob: bob.send("/quit\n"), 0),
        (lambda bob: bob.process.stdout.close(), 0),
    ],
    ids=["terminated", "hung-up", "interrupted", "quit", "unread"],
)
def test_a_receiver_who_leaves_has_no_half_file(
    desk: Desk, stack: contextlib.ExitStack, end: Callable[[Piped], object], status: int
) -> None:
    # In the background a shell has interrupts ignored, and whatever is started there inherits that.
    stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
    stack.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
    bob = desk.guest("bob")
    ann = Sender(desk, "bob")
    end(bob)
    assert bob.status() == status
    why = "(the connection is over|it was cancelled)"  # after /quit the server may say so, or just close
    assert re.fullmatch(rf"client\.py: Not received: a\.bin from ann: {why}\.\n", bob.errors())
    assert contents(desk.directory("bob")) == {}
    ann.wire.expect(f"/cancel {ann.number}\n")


def test_a_file_that_comes_is_under_its_name_when_it_is_whole(desk: Desk) -> None:
    bob = desk.guest("bob")
    ann = Sender(desk, "bob")
    ann.send_half()
    ann.wire.send("hi")
    bob.output.expect("] hi\n")
    (half,) = contents(desk.directory("bob"))
    assert half.startswith(".a.bin.part-")
    ann.wire.send(f"/end {ann.number}")
    ann.wire.expect("] You sent a.bin to bob.\n")
    assert contents(desk.directory("bob")) == {"a.bin": b"0123456789" * 2}


def on_its_way(desk: Desk) -> tuple[Piped, Piped]:
    """Two clients between whom a file without an end is on its way."""
    ann, bob = desk.guest("ann"), desk.guest("bob")
    endless(desk.directory("ann"))
    ann.send("/send bob huge\nhi\n")
    bob.output.expect("] hi\n")  # which the server has passed on behind the offer
    return ann, bob


def test_a_sender_is_killed(desk: Desk) -> None:
    ann, bob = on_its_way(desk)
    ann.process.kill()
    bob.stderr.expect("Not received: huge from ann: it was cancelled.\n")
    assert contents(desk.directory("bob")) == {}
    bob.send("still here\n")
    bob.output.expect("[bob (")


def test_a_receiver_is_killed(desk: Desk) -> None:
    ann, bob = on_its_way(desk)
    bob.process.kill()
    ann.stderr.expect("client.py: Not sent: huge to bob: it was cancelled.\n")
    assert all(path.name.startswith(".huge.part-") for path in desk.directory("bob").iterdir())
    ann.send("still here\n")
    ann.output.expect("[ann (")


def test_both_go_on_talking_meanwhile(desk: Desk) -> None:
    ann, bob = on_its_way(desk)
    for number in range(20):
        ann.send(f"from ann {number}\n")
        bob.output.expect(f"] from ann {number}\n")
        bob.send(f"from bob {number}\n")
        ann.output.expect(f"] from bob {number}\n")


def test_the_server_is_killed(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    directory = tmp_path / "server"
    directory.mkdir()
    server = stack.enter_context(contextlib.closing(RoomServer(directory, f"max-file-size {MAX_FILE_SIZE}")))
    desk = Desk(server, tmp_path, stack)
    ann, bob = on_its_way(desk)
    server.process.kill()
    assert (ann.status(), bob.status()) == (1, 0)
    assert ann.errors() == "client.py: Not sent: huge to bob: the connection is over.\n"
    assert bob.errors() == "client.py: Not received: huge from ann: the connection is over.\n"
    assert contents(desk.directory("bob")) == {}


def test_a_server_gets_no_file_that_was_not_offered(
    script: Desk, fake: FakeServer, stack: contextlib.ExitStack
) -> None:
    (script.directory("ann") / "secret").write_text("hush")
    script.piped("ann")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("ann files\n")
    wire.send("/sending 1 6000 bob secret", "/more 1 8")
    wire.expect("/cancel 1\n")
    wire.send("/file 2 2 bob ../../\x1b[31mout", "/piece 2 aGk=", "/end 2")
    wire.expect("/ready 2\n/landed 2\n")
    assert contents(script.directory("ann")) == {"secret": b"hush", "[31mout": b"hi"}
    assert "hush" not in wire.received


# ---- on a terminal ----


def test_a_chat_on_a_terminal(desk: Desk) -> None:
    bob = desk.wire("bob")
    ann = desk.terminal("ann")
    ann.expect("] Welcome to the lobby channel, ann.")
    ann.expect("] ann has joined the channel.")
    ann.expect("lobby>")
    ann.enter("hello  all", "] hello  all")
    bob.expect("] hello  all\n")
    bob.send("hello yourself", "/whisper ann psst")
    ann.expect("] hello yourself")
    ann.expect("[bob whispers to you: (")
    ann.expect("] psst")
    ann.type("/whi\t")
    ann.sees("lobby> /whisper")
    ann.type(" b\t")
    ann.sees("lobby> /whisper bob")
    ann.enter(" not so loud", "lobby> /whisper bob not so loud")
    bob.expect("[ann whispers to you: (")
    ann.enter("/list", "[Channel] attic 0/5/0.")
    ann.type("/switch d\t")
    ann.sees("lobby> /switch den")
    ann.enter("", "Welcome to the den channel, ann.")
    ann.expect("den>")
    ann.enter("/whisper bob", "* Not sent: it is typed /whisper <user> <message>.")
    ann.type("/quit\r")
    assert ann.status() == 0
    assert "closed" not in ann.output.text
    assert b"\x1b[0;34;1mbob" in ann.output.raw or b"\x1b[0;35;1mbob" in ann.output.raw


def test_what_the_server_closes_ends(script: Desk, fake: FakeServer, stack: contextlib.ExitStack) -> None:
    ann = script.terminal("ann")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("ann files\n")
    wire.send("[Server message (12:34:56)] ann went AFK.")
    wire.close()
    ann.expect("ann went AFK.")
    ann.expect("* The server has closed the connection.")
    assert ann.status() == 0
    fake.sock.setblocking(False)
    with pytest.raises(BlockingIOError):  # nobody has dialled again
        fake.sock.accept()


def test_a_name_is_asked_for(server: RoomServer, stack: contextlib.ExitStack) -> None:
    ann = stack.enter_context(contextlib.closing(OnTerminal(server.port, "--dialect", "rooms")))
    assert "Your name>" in ann.output.text
    ann.enter("a b", "Not sent: a name is one word")
    ann.enter("ann", "] ann has joined the channel.")
    ann.type("\x04")
    assert ann.status() == 0


def accept(bob: OnTerminal) -> None:
    bob.expect("* ann offers a.bin, 20 bytes: /accept ann puts it into received/, /decline ann does not.")
    bob.type("/accept ann\r")


def test_a_file_is_sent_and_received_on_a_terminal(desk: Desk) -> None:
    (desk.directory("bob") / "received").mkdir()
    (desk.directory("bob") / "received" / "a.bin").write_text("old")
    bob = desk.terminal("bob")
    bob.expect("bob has joined the channel.")
    ann = Sender(desk, "bob", lambda: accept(bob))
    bob.sees("a.bin [#####-----] 50 %")
    ann.send_rest()
    bob.expect("* Received: a.bin from ann, 20 bytes. It is called received/a-1.bin here.")
    ann.wire.expect("] You sent a.bin to bob.\n")
    bob.type("/send ann received/a-\t")
    bob.sees("lobby> /send ann received/a-1.bin")
    bob.enter("", "a-1.bin [----------] 0 %")
    ann.wire.expect("/file ")
    number = ann.wire.received.rsplit("/file ", 1)[1].split()[0]
    ann.wire.send(f"/ready {number}")
    ann.wire.expect(f"/piece {number} {encoded(b'0123456789' * 2)}\n/end {number}\n")
    bob.sees("a-1.bin [##########] 100 %")
    ann.wire.send(f"/landed {number}")
    bob.expect("] You sent received/a-1.bin to ann.")
    bob.enter("/files", "* received: a.bin from ann, 20 bytes. It is called received/a-1.bin here.")
    bob.enter("/send ann nothing", "] nothing does not exist.")
    bob.type("\x04")
    assert bob.status() == 0
    assert contents(desk.directory("bob") / "received") == {"a.bin": b"old", "a-1.bin": b"0123456789" * 2}


def test_a_file_is_declined_on_a_terminal(desk: Desk) -> None:
    bob = desk.terminal("bob")
    bob.expect("bob has joined the channel.")
    ann = desk.guest("ann")
    (desk.directory("ann") / "Makefile").write_text("all: harm")
    ann.send("/send bob Makefile\n")
    bob.expect("* ann offers Makefile, 9 bytes: /accept ann puts it into received/, /decline ann does not.")
    bob.type("/de\t")
    bob.sees("lobby> /decline")
    bob.enter(" zoe", "* Nobody offers such a file.")
    bob.enter("/decline ann", "* Declined: Makefile.")
    ann.output.expect("] bob did not take Makefile.\n")
    bob.enter("/accept", "* Nobody offers such a file.")
    bob.enter("/accept a b", "* Not sent: it is typed /accept [user].")
    assert not list(desk.directory("bob").iterdir())
    ann.send("/quit\n")
    assert (ann.status(), ann.errors()) == (1, "")
    assert "/accept" not in ann.output.text


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}])
def test_a_path_that_is_typed_or_completed_does_not_turn_the_line(desk: Desk, environment: Mapping[str, str]) -> None:
    desk.wire("bob files")
    for name in ("turn\u202egpj.exe", "turn\u2066two"):
        (desk.directory("ann") / name).touch()
    ann = desk.terminal("ann", environment)
    ann.expect("ann has joined the channel.")
    ann.type("/send bob turn\t")  # a menu of two
    ann.type("\u202eg\t")
    ann.sees("turn\ufffdgpj.exe")
    ann.enter("\r/list", "[Channel] attic")
    assert not {"\u202e", "\u2066"} & set(ann.output.text)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda bob: bob.type("\x04"), 0),
        (lambda bob: bob.type("\x03\x03"), 130),
        (lambda bob: bob.process.terminate(), 143),
        (lambda bob: bob.process.send_signal(signal.SIGINT), 130),
    ],
    ids=["ctrl-d", "ctrl-c", "terminated", "interrupted"],
)
def test_nothing_stays_of_half_a_file(
    desk: Desk, stack: contextlib.ExitStack, end: Callable[[OnTerminal], object], status: int
) -> None:
    stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
    bob, ann = half_a_file(desk)
    end(bob)
    assert bob.status() == status
    assert contents(desk.directory("bob") / "received") == {}
    ann.wire.expect(f"/cancel {ann.number}\n")


def test_nothing_stays_of_half_a_file_when_the_window_is_closed(desk: Desk, stack: contextlib.ExitStack) -> None:
    stack.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
    bob, ann = half_a_file(desk)
    bob.hang_up()
    assert contents(desk.directory("bob") / "received") == {}
    ann.wire.expect(f"/cancel {ann.number}\n")


def half_a_file(desk: Desk) -> tuple[OnTerminal, Sender]:
    """A terminal that shows that one half of a file has come, and who sends it."""
    bob = desk.terminal("bob")
    bob.expect("bob has joined the channel.")
    ann = Sender(desk, "bob", lambda: accept(bob))
    bob.sees(" 50 %")
    assert len(contents(desk.directory("bob") / "received")) == 1
    return bob, ann


def test_a_terminal_that_can_only_print_gets_the_result(
    desk: Desk, server: RoomServer, stack: contextlib.ExitStack
) -> None:
    bob = stack.enter_context(
        contextlib.closing(
            OnTerminal(server.port, "bob", environment={"TERM": "dumb"}, directory=desk.directory("bob"))
        )
    )
    bob.expect("bob has joined the channel.")
    Sender(desk, "bob", lambda: accept(bob)).send_rest()
    bob.expect("* Received: a.bin from ann, 20 bytes. It is called received/a.bin here.")
    bob.type("\x04")
    assert bob.status() == 0
    assert b"\x1b" not in bob.output.raw
