"""The client as somebody uses it every day: on a terminal of real size, beside netcat users, at a real server.

A screen emulator reads what a person sees. One session tests many lines, since each one starts processes.
"""

from __future__ import annotations

import contextlib
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.peer import Peer
from harness.preloaded import wait_until_stopped
from harness.servers import ServerProcess, free_ports
from support.clients import FakeServer, OnTerminal, RoomServer

PASSWORD = "S3cr3t-of-ann"


@pytest.fixture
def server(tmp_path: Path, stack: contextlib.ExitStack) -> ServerProcess:
    return stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database chat.db", port=free_ports(1)[0])))


def member(server: ServerProcess, name: str, *channels: str) -> Peer:
    """A netcat user who is logged in, and in these channels, which are made if they are missing."""
    peer = server.peer()
    peer.send(f"REGISTER {name} {PASSWORD}", f"LOGIN {name} {PASSWORD}")
    peer.expect("RESULT LOGIN 1\n")
    for channel in channels:
        peer.send(f"CREATE {channel}", f"JOIN {channel}")
        peer.expect(f"RESULT JOIN {channel} 1\n")
    return peer


def client(server: ServerProcess, *words: str, **how: object) -> OnTerminal:
    """The client of ann, logged in."""
    terminal = OnTerminal(server.port, "--user", "ann", *words, begins="", **how)  # type: ignore[arg-type]
    terminal.sees("Password for ann:")
    terminal.type(f"{PASSWORD}\r")
    terminal.sees("You are logged in.")
    return terminal


def away(server: ServerProcess, *channels: str) -> None:
    """Make ann, a member of these channels, who has read everything and is away."""
    with contextlib.closing(member(server, "ann", *channels)) as ann:
        ann.send("LOGOUT")
        ann.expect("RESULT LOGOUT 1\n")


def test_what_is_new_is_shown_and_counts_as_read(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    away(server, "garden", "attic")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden", "attic")))
    bob.send("SAY garden old", "TOPIC garden All about plants")
    bob.expect("RESULT TOPIC garden 1\n")
    with contextlib.closing(server.peer()) as reader:
        reader.send(f"LOGIN ann {PASSWORD}", "SEEN garden 999999999", "QUIT")
        reader.rest()
    bob.send("SAY attic up here", "SAY attic and here", "SAY garden one", "SAY garden two, Ann!", "SAY @ann psst")
    bob.expect("RECV bob @ann psst\n")
    ann = stack.enter_context(contextlib.closing(client(server)))
    ann.sees("attic: ann, bob | 2:garden 2 | ann connected")
    seen = ann.sees("[attic] bob: and here\nattic>")
    assert re.search(
        r"""\d\d:\d\d \[@bob\] bob: psst
\d\d:\d\d \* Your channels: 1 attic \(2 new\), 2 garden \(2 new\)
\d\d:\d\d ---- new ----
\d\d:\d\d \[attic\] bob: up here
\d\d:\d\d \[attic\] bob: and here
attic>
""",
        seen,
    )
    ann.type("\x1b2")  # Alt-2
    seen = ann.sees("garden: ann, bob | 1:attic | ann connected")
    assert re.search(
        r"""\d\d:\d\d \* You are in garden; plain text goes there now.
\d\d:\d\d Topic of garden: All about plants
\d\d:\d\d \[garden\] bob: old
\d\d:\d\d ---- new ----
\d\d:\d\d \[garden\] bob: one
\d\d:\d\d \[garden\] bob: two, Ann!
garden>
""",
        ann.sees("two, Ann!\ngarden>"),
    )
    assert ann.screen.styled("[garden] bob: two, Ann!").reverse
    ann.enter("/join attic", "You are in attic; plain text goes there now.")
    bob.send("SAY garden three", "SAY garden ann: four", "SAY attic five")
    ann.sees("attic: ann, bob | 2:garden 2 | ann connected")
    ann.sees("[attic] bob: five")
    assert ann.screen.styled("[garden] bob: ann: four").reverse
    assert not ann.screen.styled("[garden] bob: three").reverse
    assert b"\x07" in ann.output.raw
    assert ann.screen.title == "* [garden] bob: ann: four"
    ann.type("\x1b2")
    ann.sees("garden: ann, bob | 1:attic | ann connected")
    assert "\n".join(ann.screen.scrollback()).count("[garden] bob: three") == 1, "nothing is shown twice"
    ann.type("\x04")
    assert ann.status() == 0
    with contextlib.closing(server.peer()) as reader:  # what was on the screen counts as read
        reader.send(f"LOGIN ann {PASSWORD}", "UNREAD")
        reader.expect("RESULT UNREAD\n")


def test_who_comes_and_goes_shows_in_the_toolbar(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    away(server, "garden")
    ann = stack.enter_context(contextlib.closing(client(server, size=(24, 80))))
    ann.sees("garden: ann | ann connected")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    ann.sees("garden: ann, bob | ann connected")
    bob.close()
    ann.sees("garden: ann | ann connected")


def test_a_server_that_restarts_loses_nothing(
    server: ServerProcess, stack: contextlib.ExitStack, tmp_path: Path
) -> None:
    away(server, "garden")
    ann = stack.enter_context(contextlib.closing(client(server)))
    ann.sees("garden>")
    ann.enter("before", "[garden] ann: before")
    ann.type("half a line")
    server.close()
    ann.sees("ann no connection")
    again = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "database chat.db", port=server.port)))
    with contextlib.closing(again.peer()) as bob:
        bob.send(f"REGISTER bob {PASSWORD}", f"LOGIN bob {PASSWORD}", "JOIN garden", "SAY garden while you were away")
        bob.expect("RECV bob garden while you were away\n")
        ann.sees("[garden] bob: while you were away")
        ann.sees("garden> half a line")
        ann.type(" is kept\r")
        bob.expect("RECV ann garden half a line is kept\n")
    shown = "\n".join(ann.screen.scrollback())
    assert shown.count("[garden] ann: before") == shown.count("while you were away") == 1


def test_ctrl_c_clears_and_asks_and_history_lasts(
    server: ServerProcess, stack: contextlib.ExitStack, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    away(server, "garden")
    ann = stack.enter_context(contextlib.closing(client(server, home=home)))
    ann.sees("garden>")
    ann.enter("said before", "[garden] ann: said before")
    ann.type("typed in vain")
    ann.sees("garden> typed in vain")
    ann.type("\x03")
    ann.sees("\ngarden>\n")
    ann.type("\x03")
    ann.sees("Ctrl-C once more ends the client")
    ann.enter("still here", "[garden] ann: still here")
    ann.type("\x03")
    ann.type("\x03")
    assert ann.status() == 130
    history = home / ".local" / "state" / "crosstalk" / "history"
    assert history.read_text() == "said before\nstill here\n"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    again = stack.enter_context(contextlib.closing(client(server, home=home)))
    again.sees("garden>")
    again.type("\x1b[A\x1b[A")
    again.sees("garden> said before")
    again.type("\x03\x03\x03")
    assert again.status() == 130


def test_names_are_completed_in_the_order_in_which_they_spoke(
    server: ServerProcess, stack: contextlib.ExitStack
) -> None:
    away(server, "garden")
    ann = stack.enter_context(contextlib.closing(client(server)))
    speakers = [stack.enter_context(contextlib.closing(member(server, name, "garden"))) for name in ("andy", "anders")]
    for speaker in speakers:
        speaker.send("SAY garden hello")
        speaker.expect("garden hello\n")
    ann.sees("[garden] anders: hello")
    ann.sees("garden>")
    ann.enter("a word of mine", "[garden] ann: a word of mine")
    ann.type("an\t")
    ann.sees("garden> anders:")
    ann.type("\t")
    ann.sees("garden> andy:")
    ann.type("hi an\t")
    ann.sees("garden> andy: hi anders")
    ann.type("\r")
    speakers[0].expect("RECV ann garden andy: hi anders\n")


@pytest.mark.parametrize("size", [(24, 40), (24, 80), (50, 200)], ids=["40", "80", "200"])
def test_lines_are_as_wide_as_the_terminal(
    server: ServerProcess, stack: contextlib.ExitStack, size: tuple[int, int]
) -> None:
    away(server, "garden")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    ann = stack.enter_context(contextlib.closing(client(server, size=size)))
    ann.sees("garden>")
    words = " ".join(["evergreen"] * 40)
    bob.send(
        f"SAY garden {words}",
        "SAY garden \u660e\u5929\u4e0b\u5348\u516d\u70b9\u5728\u82b1\u56ed\u95e8\u53e3\u89c1\u9762\u597d\u5417",
        "SAY garden \u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        "SAY garden tea? \U0001f375\U0001f44d\U0001f3fd",
        "SAY garden the end",
    )
    ann.sees("[garden] bob: the end")
    shown = [row for row in ann.screen.scrollback() if row]
    assert sum(row.count("evergreen") for row in shown) == 40, "no word is broken"
    text = "\n".join(shown)
    assert "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd" in text
    for narrower in (30, size[1]):
        ann.resize(24, narrower)
        ann.type("x")
        ann.sees("garden> x")
        rows = ann.screen.rows()
        assert sum("garden>" in row for row in rows) == 1, "\n".join(rows)
        assert sum("connected" in row for row in rows) == 1, "\n".join(rows)
        ann.type("\x03")
        ann.sees("garden>\n")


@pytest.mark.parametrize(
    ("environment", "words"), [({"TERM": "dumb"}, ()), ({"TERM": "xterm"}, ("--plain",))], ids=["dumb", "plain"]
)
def test_a_terminal_that_only_prints_gets_one_line_a_message(
    server: ServerProcess, stack: contextlib.ExitStack, environment: dict[str, str], words: tuple[str, ...]
) -> None:
    away(server, "garden")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    ann = stack.enter_context(contextlib.closing(client(server, *words, environment=environment, size=(24, 40))))
    text = " ".join(["evergreen"] * 20)
    bob.send(f"SAY garden {text}")
    ann.expect(f" [garden] bob: {text}\n")
    ann.expect("garden> ")  # the message may have come before the list of channels
    assert b"\x1b" not in ann.output.raw
    assert PASSWORD.encode() not in ann.output.raw
    ann.enter("hello", "[garden] ann: hello")
    ann.type("/quit\r")
    assert ann.status() == 0
    assert ann.output.text.count("garden> hello") == 1


def test_a_locale_without_letters_shows_them_all_the_same(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    away(server, "garden")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    environment = {"LANG": "C", "LC_ALL": "C"}
    ann = stack.enter_context(contextlib.closing(client(server, environment=environment)))
    ann.sees("garden>")
    bob.send("SAY garden gr\u00fc\u00df dich")
    ann.sees("[garden] bob: gr\u00fc\u00df dich")
    ann.type("\u660e\u5929\r")
    bob.expect("RECV ann garden \u660e\u5929\n")


def test_the_settings_file_names_servers(server: ServerProcess, stack: contextlib.ExitStack, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".config" / "crosstalk").mkdir(parents=True)
    secret = home / "secret"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    (home / ".config" / "crosstalk" / "client.toml").write_text(
        f'user = "ann"\nbell = false\n[servers.home]\nhost = "127.0.0.1"\nport = {server.port}\n'
        f'channels = ["shed", "garden"]\npassword-file = "{secret}"\n'
    )
    away(server, "attic")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    ann = stack.enter_context(contextlib.closing(OnTerminal("home", home=home, begins="")))
    ann.sees("Cannot enter shed; /join shed tells why.")
    ann.sees("garden>")
    ann.sees("garden: ann, bob")
    bob.send("SAY @ann psst")
    ann.sees("[@bob] bob: psst")
    ann.enter("/join shed", "Cannot join shed: there is no such channel. /create shed makes it.")
    assert b"\x07" not in ann.output.raw.replace(b"psst\x07", b""), "the bell is off; a title ends so too"


# ---- what is private ----


def private_lines() -> Iterator[str]:
    """Lines with a password, as people type them by mistake."""
    yield from (f"login ann {PASSWORD}", f"Login ann {PASSWORD}", f"/lgoin ann {PASSWORD}", f"//login ann {PASSWORD}")
    yield from (f"register zoe {PASSWORD}", f"password {PASSWORD} new", f"/pass {PASSWORD}", f" pass {PASSWORD}")
    yield from (f"/msg NickServ identify {PASSWORD}", f"@nickserv identify {PASSWORD}", f"lgoin ann {PASSWORD}")
    yield from (f"\uff4c\uff4f\uff47\uff49\uff4e ann {PASSWORD}", f"LOGIN ann {PASSWORD}x", f"/login ann {PASSWORD}x")


def test_nothing_private_leaks(server: ServerProcess, stack: contextlib.ExitStack, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    away(server, "garden")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    ann = stack.enter_context(contextlib.closing(client(server, home=home)))
    ann.sees("garden>")
    for line in private_lines():
        ann.type(f"{line}\r")
    for line in ("help", "?", "Quit", "quit", "join garden", "Say garden hi", "/foo", "WhO is here"):
        ann.type(f"{line}\r")
    ann.type(f"\x1b[200~one\nlogin ann {PASSWORD}\x1b[201~\r")
    ann.sees("Line 2 of the paste, so none is sent: Not sent: there may be a password")
    ann.type("//shrug\r")
    bob.expect("RECV ann garden /shrug\n")
    bob.send("PING", "HISTORY garden 100")
    bob.expect("RESULT HISTORY garden 1\nRECV ann garden /shrug\n")
    ann.type("\x1b[A" * 30 + "\x03")
    ann.type("\x04")
    ann.status()
    secret = PASSWORD.encode()
    assert secret not in ann.output.raw
    assert secret not in bob.received.encode()
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert kept == []


def test_a_wrong_server_is_told_before_any_password_is_sent(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    (tmp_path / "rooms").mkdir()
    (tmp_path / "others").mkdir()
    rooms = stack.enter_context(contextlib.closing(RoomServer(tmp_path / "rooms")))
    others = stack.enter_context(
        contextlib.closing(ServerProcess(tmp_path / "others", "listen 0 hello", "listen 0 mailbox", "listen 0 result"))
    )
    _auto, hello, mailbox, result = others.ports
    guest = stack.enter_context(contextlib.closing(rooms.guest("kim")))
    for port, words, told in (
        (rooms.port, (), f"the port of the channel lobby. Start the client with: python3 client.py {rooms.port}"),
        (hello, (), f"This port speaks the dialect hello. Start the client with: python3 client.py {hello}"),
        (hello, ("ann",), "This port speaks the dialect hello."),
        (mailbox, ("ann",), "This port speaks the dialect mailbox."),
        (result, ("--dialect", "hello", "--name", "ann"), "This port speaks the dialect result."),
        (rooms.port, ("--dialect", "hello", "--name", "ann"), "This is the port of the channel lobby."),
        (result, ("--dialect", "rooms", "--name", "ann"), "This port speaks the dialect result."),
    ):
        terminal = stack.enter_context(contextlib.closing(OnTerminal(port, *words, size=(24, 200), begins="")))
        terminal.expect(told)
        assert terminal.status() == 1
    guest.send("still here")
    guest.expect("] still here\n")
    assert "LOGIN" not in guest.received
    assert "TAGS" not in guest.received
    at_result = stack.enter_context(contextlib.closing(OnTerminal(result, "ann", begins="")))
    at_result.sees("Password for ann:")
    at_result.type("\x04")
    assert at_result.status() == 0


def test_what_is_typed_before_the_dialect_is_known_goes_nowhere(fake: FakeServer, stack: contextlib.ExitStack) -> None:
    terminal = stack.enter_context(contextlib.closing(OnTerminal(fake.port)))
    wire = stack.enter_context(contextlib.closing(fake.accept()))
    terminal.type(f"/login ann {PASSWORD}\r")
    terminal.expect("/login ann ****")
    wire.send("BAD-RQST-HDR")
    terminal.expect("This port speaks the dialect hello.")
    assert terminal.status() == 1
    wire.rest()
    assert wire.received == "TAGS time id\n"
    assert PASSWORD.encode() not in terminal.output.raw


@pytest.mark.parametrize("dialect", ["result", "hello", "rooms", "mailbox"])
def test_help_is_one_screen(dialect: str, stack: contextlib.ExitStack, tmp_path: Path) -> None:
    server: ServerProcess
    if dialect == "rooms":
        server = stack.enter_context(contextlib.closing(RoomServer(tmp_path)))
        terminal = OnTerminal(server.port, "ann", size=(24, 80))
    else:
        server = stack.enter_context(contextlib.closing(ServerProcess(tmp_path, "listen 0 mailbox")))
        port = server.ports[1] if dialect == "mailbox" else server.port
        name = ("--name", "ann") if dialect == "hello" else ()
        terminal = OnTerminal(port, "--dialect", dialect, *name, size=(24, 80), begins="")
    stack.enter_context(contextlib.closing(terminal))
    terminal.sees("connected")
    terminal.type("/help\r")
    seen = terminal.sees("//text says what begins with a slash")
    assert "> /help" in seen
    assert "/quit" in seen
    terminal.type("\x04")
    assert terminal.status() == 0


def test_a_stopped_client_goes_on(server: ServerProcess, stack: contextlib.ExitStack) -> None:
    away(server, "garden")
    bob = stack.enter_context(contextlib.closing(member(server, "bob", "garden")))
    ann = stack.enter_context(contextlib.closing(client(server)))
    ann.sees("garden: ann, bob")
    ann.process.send_signal(signal.SIGSTOP)
    wait_until_stopped(ann.process.pid)
    bob.send("SAY garden while it slept")
    bob.expect("while it slept\n")
    ann.process.send_signal(signal.SIGCONT)
    ann.sees("[garden] bob: while it slept")
