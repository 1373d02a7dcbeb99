"""WeeChat and irssi in tmux: they find what they have missed, talk with netcat's users and a room guest, and are away
and back."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.peer import Peer
from harness.servers import ServerProcess, free_ports

SECONDS = 30


class Screen:
    """A program in a tmux of its own."""

    def __init__(self, directory: Path, command: str) -> None:
        self._socket = str(directory / "tmux")
        self._run("new-session", "-d", "-x", "120", "-y", "40", command)

    def _run(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self._socket, *words], check=True, capture_output=True, text=True, timeout=SECONDS
        ).stdout

    def type(self, line: str) -> None:
        """Type a line."""
        self._run("send-keys", "-l", line)
        self._run("send-keys", "Enter")

    def shows(self, text: str) -> None:
        """Wait until a text is on the screen."""
        wait_for(lambda: text in self._seen(), lambda: f"no {text!r} in\n{self._seen()}")

    def _seen(self) -> str:
        return self._run("capture-pane", "-p")

    def close(self) -> None:
        """End the program."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("kill-server")


def wait_for(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def weechat(home: Path, port: int) -> str:
    """Return the command that starts WeeChat, logged in as ann."""
    server = "irc.server.cross"
    options = {"nicks": "ann", "sasl_username": "ann", "sasl_password": "secret"}
    options |= {"anti_flood_prio_high": "0", "anti_flood_prio_low": "0"}  # it waits two seconds between lines
    commands = [
        f"/server add cross 127.0.0.1/{port} -notls",
        *(f"/set {server}.{name} {value}" for name, value in options.items()),
        "/connect cross",
    ]
    return " ".join(["weechat", "-d", str(home), *(f"-r '{command}'" for command in commands)])


IRSSI = """\
servers = ({ address = "127.0.0.1"; port = "PORT"; chatnet = "cross"; autoconnect = "yes"; use_tls = "no"; });
chatnets = {
  cross = { type = "IRC"; nick = "ann"; sasl_mechanism = "PLAIN"; sasl_username = "ann"; sasl_password = "secret"; };
};
settings = {
  core = { nick = "ann"; real_name = "Ann"; user_name = "ann"; };
  "irc/core" = { cmd_queue_speed = "10msec"; };
};
"""


def irssi(home: Path, port: int) -> str:
    """Return the command that starts irssi, logged in as ann."""
    (home / "config").write_text(IRSSI.replace("PORT", str(port)))
    return f"irssi --home={home}"


class Program(NamedTuple):
    """A client, and how it shows what is unread.

    Attributes:
        command: returns the command that starts it, logged in as ann, given its directory and the port.
        unread: its mark for a private message and one channel.
        go: the command that shows another channel.
    """

    command: Callable[[Path, int], str]
    unread: str
    go: str


PROGRAMS = {"weechat": Program(weechat, "[H: 2:bob]", "/buffer"), "irssi": Program(irssi, "[Act: 2,3]", "/window goto")}


@contextlib.contextmanager
def talking(directory: Path) -> Iterator[tuple[ServerProcess, Peer, Peer]]:
    """Run a server with an account for the client, which is away. Bob is in the channels by netcat's lines, kim is in
    one by its port."""
    lobby, attic, cellar = free_ports(3)
    channels = (f"channel lobby {lobby} 5", f"channel attic {attic} 5", f"channel cellar {cellar} 5")
    with ServerProcess(directory, *channels) as server, Peer(server.port) as bob, Peer(lobby) as kim:
        asked = ("REGISTER ann secret", "LOGIN ann secret", "JOIN attic", "LOGOUT", "REGISTER bob bob", "LOGIN bob bob")
        assert {line[-2:] for line in bob.ask(*asked, "JOIN lobby", "JOIN attic")} == {" 1"}
        bob.send("SAY attic while you were out", "SAY @ann a letter")
        bob.expect("@ann a letter")
        kim.send("kim")
        kim.expect("kim has joined the channel.")
        yield server, bob, kim


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_real_client_talks_with_everyone(program: str, tmp_path: Path) -> None:
    """(I7, I18, I20, I23, I24, I30)"""
    for name in ("tmux", program):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    client = PROGRAMS[program]
    with contextlib.ExitStack() as stack:
        server, bob, kim = stack.enter_context(talking(tmp_path))
        screen = Screen(tmp_path, client.command(tmp_path, server.port))
        stack.callback(screen.close)
        screen.shows(client.unread)
        screen.type(f"{client.go} #attic")
        screen.shows("while you were out")
        screen.type("/query bob")
        screen.shows("a letter")
        screen.type("/join #lobby")
        screen.shows("kim")
        screen.type("hello from a client of IRC")
        bob.expect("RECV ann lobby hello from a client of IRC")
        bob.send("SAY lobby hello from netcat")
        screen.shows("hello from netcat")
        kim.send("hello from a room")
        screen.shows("hello from a room")
        screen.type("/msg bob psst")
        bob.expect("RECV ann @ann psst")
        is_away_and_back(screen, bob, server.port)


def is_away_and_back(screen: Screen, bob: Peer, port: int) -> None:
    """Have the client say that it is away, and back; then have it leave, miss something, and come again."""
    with Peer(port) as zoe:
        zoe.send("CAP REQ away-notify", "NICK zoe", "USER zoe 0 * :Zoe", "CAP END", "JOIN #lobby")
        zoe.expect(" 366 zoe #lobby ")
        screen.type("/away having tea")
        zoe.expect("ann!ann@account AWAY :having tea\r\n")
        zoe.send("WHOIS ann")
        zoe.expect(" 301 zoe ann :having tea\r\n")
        screen.type("/away")
        zoe.expect("ann!ann@account AWAY\r\n")
        screen.type("/disconnect cross")
        zoe.expect("ann!ann@account AWAY :not here\r\n")
        bob.send("SAY lobby you have missed this")
        bob.expect("you have missed this")
        screen.type("/connect cross")
        zoe.expect("ann!ann@account AWAY\r\n")
        screen.shows("you have missed this")
