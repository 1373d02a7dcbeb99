"""The client on a terminal, as users meet it.

Whatever waits does so for an event and under a deadline; nothing sleeps.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import termios
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from dialects.mailbox import GREETING
from harness.peer import Peer
from harness.preloaded import wait_until_stopped
from harness.servers import ServerProcess, free_ports
from support.clients import SECONDS, FakeServer, OnTerminal
from ui.connection import Address
from ui.dialects.base import ClientDialect
from ui.dialects.hello import HelloClient
from ui.dialects.mailbox import MailboxClient
from ui.dialects.result import ResultClient
from ui.first_line import Start
from ui.places import Places
from ui.rendering import Line
from ui.terminal import LINES_AT_ONCE, Options, Terminal


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with contextlib.closing(ServerProcess(tmp_path_factory.mktemp("server"), "database :memory:")) as server:
        yield server


def test_a_chat_on_a_terminal(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    bob = stack.enter_context(contextlib.closing(server.peer()))
    bob.send("REGISTER bob hush", "LOGIN bob hush", "CREATE den", "JOIN den")
    bob.expect("RESULT JOIN den 1\n")
    amy = stack.enter_context(contextlib.closing(OnTerminal(server.port)))
    amy.enter("hello", "JOIN <channel>")
    amy.enter("REGISTER amy S3cr3t", "You are registered")
    amy.enter("LOGIN amy S3cr3t", "You are logged in.")
    amy.enter("JOIN den", "You are in den.")
    amy.expect("den>")
    amy.enter("hello  all", "[den] amy: hello all")
    bob.expect("RECV amy den hello all\n")
    bob.send("SAY den hello yourself", "SAY @amy psst")
    amy.expect("[den] bob: hello yourself")
    amy.expect("[@bob] bob: psst")
    amy.type("SAY @b\t")
    amy.sees("den> SAY @bob")
    amy.enter(" not so loud", "[@bob] amy: not so loud")
    bob.expect("RECV amy @amy not so loud\n")
    amy.enter("\x1b[A\x1b[A\x1b[A\x1b[A", "LOGIN amy")  # four lines up in the history
    amy.enter("LEAVE den", "You have left den.")
    amy.type("QUIT\r")
    assert amy.status() == 0
    assert "S3" not in amy.output.text
    assert "REGISTER amy ******" in amy.output.text


def test_a_lost_connection_comes_back_with_its_login(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    first = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database chat.db", port=free_ports(1)[0])))
    amy = stack.enter_context(contextlib.closing(OnTerminal(first.port)))
    amy.enter("REGISTER amy hush", "You are registered")
    amy.enter("LOGIN amy hush", "You are logged in.")
    amy.enter("CREATE den", "den is there now")
    amy.enter("JOIN den", "You are in den.")
    first.close()
    amy.expect("The connection is lost.")
    amy.expect("(no connection) den>")
    amy.enter("hello", "Not sent")
    again = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database chat.db", port=first.port)))
    amy.expect("logging in as amy")
    amy.expect("You are logged in.")
    amy.enter("\x1b[A", "[den] amy: hello")
    assert again.port == first.port
    amy.type("\x04")
    assert amy.status() == 0


def test_control_characters_do_not_reach_the_terminal(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    wire.send_bytes(b"RECV eve den \x1b]0;owned\x07\x1b[31mred\x9b\r\nnot ended")
    terminal.expect("[den] eve: ]0;owned[31mred")
    wire.close()
    terminal.expect("not ended")
    terminal.expect("lost")
    assert b"\x1b]0;owned" not in terminal.output.raw
    assert b"\x07" not in terminal.output.raw
    terminal.type("typed\x03\x03")
    terminal.expect("Ctrl-C once more ends the client")
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
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port, environment=environment)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    terminal.enter("LOGIN eve h1dd3n", "******")
    wire.expect("LOGIN eve h1dd3n\n")
    wire.send("RESULT LOGIN 1", "RECV eve den hello")
    terminal.expect("You are logged in.")
    terminal.expect("[den] eve: hello")
    terminal.type("typed\x7f\x7f\r")
    terminal.expect("typ")
    terminal.expect("Not sent")
    terminal.type("\x04")
    assert terminal.status() == 0
    assert "h1d" not in terminal.output.text
    if unwanted is None:
        assert b"\x1b[0;36m[den]" in terminal.output.raw
    else:
        assert not re.search(unwanted, terminal.output.raw)


def test_the_terminal_is_given_back_after_a_signal(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    stack.enter_context(contextlib.closing(fake.accept_client()))
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(SECONDS) == 128 + signal.SIGTERM


@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("ignored", [False, True], ids=["", "nohup"])
def test_a_terminal_that_hangs_up_ends_it_quietly(
    fake: FakeServer, stack: contextlib.ExitStack, tmp_path: Path, term: str, ignored: bool
) -> None:
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    stack.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, handler))
    errors = stack.enter_context((tmp_path / "errors").open("wb"))
    terminal = OnTerminal(fake.port, environment={"TERM": term}, stderr=errors.fileno())
    stack.enter_context(contextlib.closing(terminal))
    stack.enter_context(contextlib.closing(fake.accept_client())).send(*["RECV bob den hi"] * 1000)
    terminal.expect("hi")
    assert terminal.hang_up() == 128 + signal.SIGHUP
    assert (tmp_path / "errors").read_bytes() == b""


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_password_is_not_echoed_after_a_stop(fake: FakeServer, stack: contextlib.ExitStack, term: str) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port, environment={"TERM": term})))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    terminal.type("LOGIN amy ")
    terminal.expect("LOGIN amy")
    terminal.process.send_signal(signal.SIGSTOP)
    wait_until_stopped(terminal.process.pid)
    modes = termios.tcgetattr(terminal.output.descriptor)
    assert not modes[3] & termios.ECHO
    modes[3] |= termios.ECHO | termios.ICANON  # as a shell wants them
    termios.tcsetattr(terminal.output.descriptor, termios.TCSANOW, modes)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.expect("LOGIN amy")
    assert not termios.tcgetattr(terminal.output.descriptor)[3] & termios.ECHO
    terminal.enter("S3cr3t", "******")
    wire.expect("LOGIN amy S3cr3t\n")
    assert "S3" not in terminal.output.text


def paste(terminal: OnTerminal, text: str) -> None:
    """Paste as a terminal does that tells typing and pasting apart."""
    terminal.type(f"\x1b[200~{text}\x1b[201~\r")


def test_several_lines_at_once_are_text(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    paste(terminal, "one\ntwo")
    terminal.expect("Line 1 of the paste, so none is sent: Not sent: no channel is current.")
    wire.send("RESULT JOIN den 1")
    terminal.expect("den>")
    paste(terminal, "\nQUIT\r\n\n/quit\n@bob hi\r")
    terminal.expect("You have pasted 3 lines.")
    terminal.expect("Send 3 lines as text? y/n")
    terminal.enter("/quit", "The pasted lines are dropped.")
    paste(terminal, "all\nlogin amy h1dd3n")
    terminal.expect("Line 2 of the paste, so none is sent: Not sent: there may be a password")
    paste(terminal, "QUIT\n/quit")
    terminal.enter("Y", "den>")
    wire.expect("SAY den QUIT\nSAY den /quit\n")
    paste(terminal, "SAY den one line")
    wire.expect("SAY den one line\n")
    assert wire.received == "SAY den QUIT\nSAY den /quit\nSAY den one line\n"
    assert "h1d" not in terminal.output.text
    terminal.type("\x04")
    assert terminal.status() == 0


@pytest.mark.parametrize(("words", "goodbye"), [((), "QUIT"), ((), "/quit"), (("--dialect", "mailbox"), "bye")])
def test_a_goodbye_ends_it_without_a_connection(
    stack: contextlib.ExitStack, words: tuple[str, ...], goodbye: str
) -> None:
    fake = stack.enter_context(contextlib.closing(FakeServer()))
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port, *words)))
    wire = fake.accept() if words else fake.accept_client()
    fake.close()
    wire.close()
    terminal.expect("(no connection)")
    terminal.type(f"{goodbye}\r")
    assert terminal.status() == 0


def test_a_goodbye_is_not_waited_for_for_ever(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    terminal.type("QUIT\r")
    wire.expect("QUIT\n")
    assert terminal.status() == 0


def test_bytes_that_are_no_text_are_not_sent(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    os.write(terminal.output.descriptor, b"SAY den \xff\r")
    terminal.expect("Not sent: there is something in it that is not UTF-8.")
    terminal.type("\x1b[A\x7fok\r")
    wire.expect("SAY den ok\n")
    assert wire.received == "SAY den ok\n"


class Stage:
    """What a `Terminal` works with: its screen, its server and its loop; nothing happens by itself."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.typed: list[str] = []
        self.sent: list[str] = []
        self.admitted: list[bool] = []
        self.soon: list[Callable[[], None]] = []
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    def show(self, lines: list[Line]) -> None:
        self.shown.append(len(lines))

    def note(self, text: str) -> None:
        assert not text

    def repeat(self, _prompt: str, line: str) -> None:
        self.typed.append(line)

    def list(self, rows: Sequence[str]) -> None:
        assert not rows

    def send(self, line: str, _by_itself: bool) -> None:
        self.sent.append(line)

    def go_on(self, admitted: bool, _pause: float | None) -> None:
        self.admitted.append(admitted)

    def call_soon(self, call: Callable[..., None], *args: object) -> None:
        self.soon.append(partial(call, *args))

    def call_later(self, _seconds: float, _call: Callable[..., None]) -> None:
        """Nothing is called later."""


def on_stage(monkeypatch: pytest.MonkeyPatch, dialect: ClientDialect) -> tuple[Terminal, Stage]:
    """A terminal that has begun."""
    with socket.socket() as sock:
        terminal = Terminal(Places([Address("here", 1)]), sock, dialect, Options(Start("here", 1)), lambda: None)
    stage = Stage()
    for name in ("_screen", "_view", "_server", "_main_loop"):
        monkeypatch.setattr(terminal, name, stage, raising=False)
    return terminal, stage


def test_a_flood_of_lines_leaves_the_user_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, stage = on_stage(monkeypatch, ResultClient())
    terminal.heard(["RECV bob den hi"] * (2 * LINES_AT_ONCE + 1))
    for number in range(1, 4):
        assert stage.shown == [LINES_AT_ONCE, LINES_AT_ONCE, 1][:number]
        assert bool(stage.soon) == (number < 3)
        assert stage.admitted == ([True] if number == 3 else [])  # only then more is read from the network
        if stage.soon:
            stage.soon.pop()()


@pytest.mark.parametrize("first", [GREETING, "220 mail.example ESMTP"])
def test_a_mailbox_is_sent_nothing_before_its_greeting(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    terminal, stage = on_stage(monkeypatch, MailboxClient())
    for line in ("/login amy123", "/users"):
        terminal._take(line)
    assert (stage.typed, stage.sent) == (["/login amy123", "/users"], [])
    terminal.heard([first])
    assert stage.sent == ["0|amy123", "2"]


def test_a_connection_that_is_back_shows_in_the_prompt_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, stage = on_stage(monkeypatch, HelloClient())
    terminal.returned()
    assert (stage.shown, stage.refreshed) == ([], 1)


def test_nothing_private_is_said_aloud(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    wire.send("RESULT JOIN den 1")
    terminal.expect("den>")
    terminal.enter("login amy S3cr3t", "there may be a password")
    terminal.enter("/foo", "there is no command /foo. /help lists them")
    terminal.enter("/Login amy S3cr3t", "/Login amy ******")
    terminal.enter("/msg bob psst", "den>")
    terminal.type("@bob hi\r//shrug\r")
    wire.expect("LOGIN amy S3cr3t\nSAY @bob psst\nSAY @bob hi\nSAY den /shrug\n")
    assert wire.received == "LOGIN amy S3cr3t\nSAY @bob psst\nSAY @bob hi\nSAY den /shrug\n"
    terminal.type("\x1b[A" * 4)
    terminal.expect("/Login amy")
    terminal.type("\x15/quit\r")
    wire.expect("QUIT\n")
    wire.close()
    assert terminal.status() == 0
    assert "S3" not in terminal.output.text


def test_a_login_that_the_server_still_holds_is_repeated(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    terminal.type("LOGIN amy hush\r")
    wire.expect("LOGIN amy hush\n")
    wire.send("RESULT LOGIN 1")
    terminal.expect("You are logged in.")
    wire.close()
    wire = stack.enter_context(contextlib.closing(fake.accept_client()))
    for answer in "001":
        wire.expect("LOGIN amy hush\n")
        wire.send(f"RESULT LOGIN {answer}")
    terminal.expect("The server may not have noticed yet")
    terminal.expect("You are logged in.")
    terminal.enter("PING", "PING")
    wire.expect("PING\n")
    assert wire.received == "LOGIN amy hush\n" * 3 + "PRESENCE on\nJOINED\nUNREAD\nPING\n"


def test_joining_a_channel_that_one_is_in_makes_it_current(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    wire = stack.enter_context(contextlib.closing(server.peer()))
    wire.send("REGISTER eve hush", "LOGIN eve hush", "CREATE cave", "JOIN cave", "LOGOUT")
    wire.expect("RESULT LOGOUT 1\n")
    eve = stack.enter_context(contextlib.closing(OnTerminal(server.port)))
    eve.enter("JOIN cave", "Cannot join cave: you are not logged in.")
    eve.enter("LOGIN eve hush", "You are logged in.")
    eve.enter("JOIN nowhere", "Cannot join nowhere: there is no such channel. /create nowhere makes it.")
    eve.enter("JOIN cave", "You are in cave already; plain text goes there now.")
    eve.enter("hello", "[cave] eve: hello")


# ---- in the dialect hello ----


def hello(port: int, *words: str) -> OnTerminal:
    return OnTerminal(port, "--dialect", "hello", *words)


def logging_in(fake: FakeServer, stack: contextlib.ExitStack) -> tuple[OnTerminal, Peer]:
    """Return a client that has said its name, amy, and the server's end of its connection."""
    amy = stack.enter_context(contextlib.closing(hello(fake.port, "--name", "amy")))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    return amy, wire


def test_a_chat_by_name_on_a_terminal(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    server = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database :memory:")))
    bob = stack.enter_context(contextlib.closing(server.peer()))
    bob.send("HELLO-FROM bob")
    bob.expect("HELLO bob\n")
    amy = stack.enter_context(contextlib.closing(hello(server.port)))
    assert "Your name>" in amy.output.text
    amy.enter("bob", "Cannot log in as bob. That username is already in use.")
    amy.expect("Type another name.")
    amy.expect("Your name>")
    amy.enter("a b", "Not sent: a name is one word")
    amy.enter("amy", "Successfully logged in as amy!")
    amy.enter("hello", "Not sent: nobody is addressed.")
    amy.expect("!quit leaves.")
    amy.type("!w\t")
    amy.sees("> !who")
    amy.enter("", "There are 2 online users: bob, amy")
    amy.type("@b\t")
    amy.sees("> @bob")
    amy.enter(" hi   there", "The message to bob was sent successfully.")
    bob.expect("DELIVERY amy hi   there\n")
    bob.send("SEND amy hi yourself")
    amy.expect("From bob: hi yourself")
    amy.enter("@bob", "Plain text goes to bob now.")
    amy.expect("@bob>")
    amy.enter("hello", "The message to bob was sent successfully.")
    bob.expect("DELIVERY amy hello\n")
    amy.enter("@cid hi", "The message to cid was not sent.")
    amy.type("!quit\r")
    assert amy.status() == 0
    bob.send("LIST")
    bob.expect("LIST-OK ")


def test_a_name_is_kept_when_the_connection_is_lost(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    amy = stack.enter_context(contextlib.closing(hello(fake.port, "--name", "amy")))
    for answer, told in [("BUSY", "Trying again until there is room"), ("HELLO amy", "The connection is lost.")]:
        wire = stack.enter_context(contextlib.closing(fake.accept()))
        wire.expect("HELLO-FROM amy\n")
        wire.send(f"{answer}")
        amy.expect("The server is full!" if answer == "BUSY" else "Successfully logged in as amy!")
        wire.close()
        amy.expect(told)
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    wire.send("IN-USE")
    wire.close()
    amy.expect("may not have noticed yet")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.expect("HELLO-FROM amy\n")
    wire.send("HELLO amy", "DELIVERY eve \x1b]0;owned\x07\x1b[31mred")
    amy.expect("From eve: ]0;owned[31mred")
    assert b"\x1b]0;owned" not in amy.output.raw
    amy.type("\x04")
    assert amy.status() == 0


def test_a_goodbye_waits_for_the_last_answer(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    amy, wire = logging_in(fake, stack)
    wire.send("HELLO amy")
    amy.expect("Successfully logged in as amy!")
    amy.type("@bob hi\r")
    wire.expect("SEND bob hi\n")
    amy.enter("!quit", "Leaving as soon as your requests are answered")
    wire.send("SEND-OK")
    amy.expect("The message to bob was sent successfully.")
    assert amy.status() == 0
    wire.rest()


def test_a_server_of_another_kind_is_told(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    amy, wire = logging_in(fake, stack)
    wire.send("RESULT ERROR unknown type")
    amy.expect("not a server of the dialect hello. It says: RESULT ERROR")
    amy.expect("This port speaks the dialect result. Start the client with: python3 client.py")
    assert amy.status() == 1


def test_a_completed_name_can_be_spoken_to_at_once(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    amy, wire = logging_in(fake, stack)
    wire.send("HELLO amy", "DELIVERY bob hi")
    amy.expect("From bob: hi")
    amy.type("@b\t")
    amy.sees("> @bob")
    amy.type("hi\r")
    wire.expect("SEND bob hi\n")
    amy.type("\x04")
    assert amy.status() == 0
    assert wire.received == "HELLO-FROM amy\nSEND bob hi\n"


# ---- in the dialect mailbox ----


def mailbox_peer(port: int) -> Peer:
    peer = Peer(port)
    assert peer.line() == GREETING
    return peer


def mailbox(port: int, *words: str) -> OnTerminal:
    """A terminal on which the client has recognised the server."""
    terminal = OnTerminal(port, *words)
    terminal.output.expect(GREETING[:40])
    terminal.output.expect("/login <id> enters one")
    return terminal


@pytest.mark.parametrize("words", [(), ("--dialect", "mailbox")], ids=["unsaid", "said"])
def test_mail_on_a_terminal(tmp_path: Path, stack: contextlib.ExitStack, words: tuple[str, ...]) -> None:
    server = stack.enter_context(ServerProcess(tmp_path, "listen 0 mailbox"))
    bob = stack.enter_context(mailbox_peer(server.ports[1]))
    assert bob.ask("1|bob")[0].endswith(" bob123")
    amy = stack.enter_context(contextlib.closing(mailbox(server.ports[1], *words)))
    amy.enter("hello", "Not sent: nobody is addressed.")
    amy.enter("/mail", "Not sent: you are not logged in")
    amy.enter("/new amy", "Your new Account ID: amy123")
    amy.enter("/users", "All accounts: bob, amy")
    amy.type("@b\t")
    amy.sees("> @bob")
    amy.enter("hi   there", "Delivered to bob: hi   there")
    assert bob.line() == "amy: hi   there"
    bob.send("3|amy|hi yourself", "bye")
    amy.expect("bob: hi yourself")
    assert bob.line() == "Sender bob sends a new message hi yourself to amy"
    assert bob.line() == ""
    amy.enter("@bob", "Plain text goes to bob now.")
    amy.expect("@bob>")
    amy.enter("2|b*", "Accounts that match: bob")
    amy.enter("see you", "bob is away; the message waits")
    amy.enter("/mail bob123", "What has waited:")
    amy.expect("[mail] amy: see you")
    amy.enter("/mail", "No new messages")
    amy.enter("/login amy123", "You are logged in as amy.")
    amy.enter("0|n0b0dy", "Not logged in: no account has this ID.")
    amy.enter("\x1b[A\x1b[A", "Not sent: it is typed /login <id>.")  # two lines up in the history
    amy.enter("/delete", "the ID has to be typed")
    amy.enter("/delete bob123", "Your account has been deleted.")
    amy.type("/bye\r")
    assert amy.status() == 0
    assert "bob123" not in amy.output.text
    assert "n0b" not in amy.output.text
    assert amy.output.text.count("amy123") == 1  # as the server told it


def test_mail_after_a_lost_connection(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    config = (f"listen {free_ports(1)[0]} mailbox", "database chat.db")
    with ServerProcess(tmp_path, *config) as first:
        amy = stack.enter_context(contextlib.closing(mailbox(first.ports[1])))
        amy.enter("/new amy", "Your new Account ID: amy123")
        first.signal(signal.SIGKILL)
        amy.expect("The connection is lost.")
    server = stack.enter_context(ServerProcess(tmp_path, *config))
    amy.expect("Connected again; logging in.")
    amy.expect("You are logged in as amy.")
    assert server.ports[1] == first.ports[1]
    with mailbox_peer(server.ports[1]) as other:
        assert other.ask("0|amy123") == ["user : amy is now logged in"]
        amy.expect("amy is now logged in elsewhere, so the server closes.")
        amy.expect("Connected again; you are not logged in.")
        amy.enter("/login amy123", "You are logged in as amy.")
        assert other.line() == "user : amy is now logged in elsewhere"
    amy.type("\x04")
    assert amy.status() == 0


def test_the_search_for_a_server_is_shown(stack: contextlib.ExitStack) -> None:
    ports = free_ports(2)
    terminal = stack.enter_context(contextlib.closing(OnTerminal(f"{ports[0]},{ports[1]}", begins="")))
    terminal.expect(f"Looking for a server at 127.0.0.1:{ports[0]}, 127.0.0.1:{ports[1]}, for up to 15 seconds")
    stack.enter_context(socket.create_server(("127.0.0.1", ports[1])))
    terminal.expect(f"Connected to 127.0.0.1:{ports[1]}.")
    assert terminal.output.text.count("Looking") == 1


def test_a_dialect_that_is_said_is_not_changed(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port, "--dialect", "result")))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send(f"{GREETING}")
    terminal.expect(GREETING[:40])
    terminal.expect("This port speaks the dialect mailbox. Start the client with: python3 client.py")
    assert terminal.status() == 1


def test_a_greeting_comes_before_anything_else(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send("RESULT PING 1", GREETING)
    terminal.expect(GREETING[:40])
    terminal.enter("hello", "Not sent: no channel is current.")
    terminal.type("\x04")
    assert terminal.status() == 0


def test_a_greeting_of_a_connection_that_has_come_back(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    stack.enter_context(contextlib.closing(fake.accept())).close()
    terminal.expect("The connection is lost.")
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    wire.send(f"{GREETING}")
    terminal.expect("/login <id> enters one")
    terminal.enter("/users", "/users")
    wire.expect("2\n")
    terminal.type("\x04")
    assert terminal.status() == 0
