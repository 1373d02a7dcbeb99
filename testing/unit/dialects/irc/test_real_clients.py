"""WeeChat and irssi in tmux: they log in with SASL, join, and talk with netcat's users and a room guest."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
settings = { core = { nick = "ann"; real_name = "Ann"; user_name = "ann"; }; };
"""


def irssi(home: Path, port: int) -> str:
    """Return the command that starts irssi, logged in as ann."""
    (home / "config").write_text(IRSSI.replace("PORT", str(port)))
    return f"irssi --home={home}"


@contextlib.contextmanager
def talking(directory: Path) -> Iterator[tuple[ServerProcess, Peer, Peer]]:
    """Run a server with an account for the client; bob is in the channel by netcat's lines, kim by its port."""
    lobby, attic, cellar = free_ports(3)
    channels = (f"channel lobby {lobby} 5", f"channel attic {attic} 5", f"channel cellar {cellar} 5")
    with ServerProcess(directory, *channels) as server, Peer(server.port) as bob, Peer(lobby) as kim:
        assert bob.ask("REGISTER ann secret", "REGISTER bob bob", "LOGIN bob bob", "JOIN lobby") == [
            "RESULT REGISTER 1", "RESULT REGISTER 1", "RESULT LOGIN 1", "RESULT JOIN lobby 1",
        ]  # fmt: skip
        kim.send("kim")
        kim.expect("kim has joined the channel.")
        yield server, bob, kim


@pytest.mark.parametrize("client", [weechat, irssi])
def test_a_real_client_talks_with_everyone(client: Callable[[Path, int], str], tmp_path: Path) -> None:
    """(I7, I18, I20, I23)"""
    for program in ("tmux", client.__name__):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with contextlib.ExitStack() as stack:
        server, bob, kim = stack.enter_context(talking(tmp_path))
        screen = Screen(tmp_path, client(tmp_path, server.port))
        stack.callback(screen.close)
        screen.shows("There is no message of the day")
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
