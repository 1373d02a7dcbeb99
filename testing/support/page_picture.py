"""Draws the pictures of the page in the README: `make picture` plays a chat and writes docs/page.png and page-dark.png.

A netcat, WeeChat and the page meet in a channel. It needs Chromium, WeeChat and the fonts that `.ci/packages` installs,
so that the pictures look the same everywhere. Times are written as in the other picture.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import tempfile
from pathlib import Path

from harness.peer import Peer
from harness.processes import ROOT
from harness.servers import ServerProcess
from support.chromium import Chromium, Tab

PICTURES = {"light": "page.png", "dark": "page-dark.png"}
MAX_BYTES = 200_000
CHANNELS = ("garden", "kitchen", "repair-café")
CLOCK = "document.querySelectorAll('time').forEach((time) => { time.textContent = '17:20'; })"


class WeeChat:
    """WeeChat on a terminal that shows nothing, logged in to an account whose password is its name."""

    def __init__(self, home: Path, port: int, name: str) -> None:
        server = "irc.server.chat"
        commands = (
            f"/server add chat 127.0.0.1/{port} -notls",
            f"/set {server}.nicks {name}",
            *(f"/set {server}.sasl_{key} {value}" for key, value in (("username", name), ("password", name))),
            f"/set {server}.sasl_mechanism plain",
            "/connect chat",
        )
        words = [word for command in commands for word in ("-r", command)]
        self._terminal, terminal = pty.openpty()
        self._process = subprocess.Popen(
            ["weechat", "--dir", home, *words],
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(terminal)

    def say(self, channel: str, text: str) -> None:
        """Type something into the channel's window."""
        os.write(self._terminal, f"/buffer irc.chat.#{channel}\r{text}\r".encode())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


def member(server: ServerProcess, name: str) -> Peer:
    """Return a netcat that is in all channels."""
    peer = server.user(name)
    for channel in CHANNELS:
        peer.ask(f"CREATE {channel}", f"JOIN {channel}")
    return peer


def play(server: ServerProcess, page: Tab, home: Path, stack: contextlib.ExitStack) -> None:
    """Play the chat, and leave the page with all of it."""
    for name in ("ann", "ben"):
        with member(server, name) as peer:
            peer.ask("LOGOUT")
    bob, eve = (stack.enter_context(contextlib.closing(member(server, name))) for name in ("bob", "eve"))
    bob.ask("TOPIC garden Saturday at six: tea, cake and the new beds")
    page.click("#name")
    page.type("ann")
    page.click("#password")
    page.type("ann")
    page.key("Enter")
    page.sees("#garden", "#title")
    ben = stack.enter_context(contextlib.closing(WeeChat(home, server.ports[0], "ben")))
    page.wait("document.querySelectorAll('#member-list .here').length", lambda count: count == 4)
    bob.send("SAY garden shall we meet at six?")
    page.sees("shall we meet", "#log")
    answer(page, "I bring the tea \N{TEACUP WITHOUT HANDLE}")
    ben.say("garden", "and I the cake. The recipe is at https://example.org/plum-cake")
    page.sees("plum-cake", "#log")
    ben.say("garden", "/me looks for the good plates")
    page.sees("good plates", "#log")
    bob.send("SAY garden ann: could you bring the ladder, too?")
    page.sees("the ladder", "#log")
    answer(page, "gladly")
    eve.send("SAY garden I am in the shed \N{WAVING HAND SIGN}")
    page.sees("in the shed", "#log")
    eve.send("SAY kitchen the kettle is on", "SAY kitchen who is hungry?", "SAY repair-café ann, your lamp works again")
    eve.send("SAY @ann see you on Saturday")
    page.sees("eve", "#people")
    page.wait("document.querySelectorAll('.list .badge').length", lambda count: count == 3)


def answer(page: Tab, text: str) -> None:
    """Say something on the page, and wait for its receipt."""
    page.click("#line")
    page.type(text)
    page.key("Enter")
    page.sees(text[:12], "#log")
    page.wait("!document.querySelector('#log .sending')")


def draw(directory: Path) -> None:
    """Play the chat and write both pictures."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = ("listen 127.0.0.1:0 auto", "listen 127.0.0.1:0 web", "web-title The Neighbours", "database :memory:")
        server = stack.enter_context(contextlib.closing(ServerProcess(home, *ports, port=None)))
        browser = stack.enter_context(contextlib.closing(Chromium(home / "chromium")))
        page = browser.tab(f"http://127.0.0.1:{server.ports[1]}/", width=1280, height=800)
        page.size(1280, 800, factor=2)
        play(server, page, home, stack)
        page.js(f"{CLOCK}; document.activeElement.blur()")
        for scheme, name in PICTURES.items():
            page.media(prefers_color_scheme=scheme)
            page.shot(path := directory / name)
            assert path.stat().st_size <= MAX_BYTES, f"{name} has {path.stat().st_size} bytes"
            print(f"written: {path}")


if __name__ == "__main__":
    draw(ROOT / "docs")
