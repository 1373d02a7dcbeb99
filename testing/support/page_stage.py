"""What the tests of the page share: a server, a browser, people at netcats, and what they do."""

from __future__ import annotations

import socket
from itertools import count
from pathlib import Path
from typing import Any

from harness.peer import Peer
from harness.processes import CONFIG_HEAD
from harness.servers import ServerProcess, free_ports
from support.chromium import CONTROL, Chromium, Tab

NAMES = (f"user{number}" for number in count())

LAST = """((line) => [line?.querySelector(".text").textContent, line?.className.replace(" follow", "")])(
  [...document.querySelectorAll("#log .line")].at(-1))"""

ROWS_A_FRAME = 40
"""What a frame may add to the log, so that it is drawn in time however fast lines come."""

WATCH_FRAMES = """[window.rows, window.astray] = [[], 0];
new MutationObserver((changes) => {
  const added = changes.flatMap((change) => [...change.addedNodes]), log = document.getElementById("log");
  window.rows.push(added.filter((node) => node.classList.contains("line")).length);
  window.astray += log.scrollHeight - log.scrollTop - log.clientHeight > 2;
}).observe(document.getElementById("log"), { childList: true })"""
"""Note the rows that each frame adds to the log, and the frames that end elsewhere than at the newest line."""

PROBLEMS = ("Runtime.exceptionThrown", "Audits.issueAdded")
"""Exceptions, and what the browser finds wrong: what the page's security policy has refused, above all."""


class Stage:
    """A server and a browser."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = free_ports(2)
        self.server = self.start()
        self.browser = Chromium(directory / "chromium")
        self.url = f"http://127.0.0.1:{self.ports[1]}/"
        self.tabs: list[Tab] = []
        self.peers: list[Peer] = []

    @property
    def config(self) -> list[str]:
        """The config, without what `reload` adds."""
        chat, web = self.ports
        return [f"listen 127.0.0.1:{chat} auto", f"listen 127.0.0.1:{web} web", "web-host chat.example"]

    def start(self) -> ServerProcess:
        return ServerProcess(self.directory, *self.config, port=None)

    def reload(self, *lines: str) -> None:
        """Have the server load its config again, with these lines, too."""
        (self.directory / "config").write_text("\n".join((*CONFIG_HEAD, *self.config, *lines)), encoding="utf-8")
        assert self.operate("reload")[-1] == "OK"

    def operate(self, command: str) -> list[str]:
        """Return the operator's answer to a command."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(str(next(self.directory.glob("*.control"))))
            peer = Peer(sock)
            peer.send(command)
            answer = [peer.line()]
            while answer[-1].startswith(" "):
                answer.append(peer.line())
        return answer

    def tab(self, **screen: Any) -> Tab:
        """Return the page as a stranger sees it."""
        self.tabs.append(self.browser.tab(self.url, **screen))
        return self.tabs[-1]

    def account(self, *channels: str) -> str:
        """Make an account that is in these channels; its password is its name."""
        name = next(NAMES)
        with self.server.user(name) as peer:
            for channel in channels:
                peer.ask(f"CREATE {channel}", f"JOIN {channel}")
            peer.ask("LOGOUT")
        return name

    def member(self, *channels: str) -> tuple[str, Peer]:
        """Return a netcat that is in these channels."""
        name = next(NAMES)
        self.peers.append(self.server.user(name))
        for channel in channels:
            self.peers[-1].ask(f"CREATE {channel}", f"JOIN {channel}")
        return name, self.peers[-1]

    def page(self, name: str, **screen: Any) -> Tab:
        """Return a page on which this account is logged in."""
        tab = self.tab(**screen)
        log_in(tab, name)
        return tab

    def clear(self) -> list[str]:
        """Close all pages and netcats; return what was wrong with the pages."""
        problems = [str(event) for tab in self.tabs for event in tab.events if event[0] in PROBLEMS]
        for tab in self.tabs:
            tab.close()
        for peer in self.peers:
            peer.close()
        self.tabs.clear()
        self.peers.clear()
        return problems

    def close(self) -> None:
        self.browser.close()
        self.server.close()


def log_in(tab: Tab, name: str, password: str | None = None) -> None:
    tab.click("#name")
    tab.type(name)
    tab.click("#password")
    tab.type(name if password is None else password)
    tab.key("Enter")
    if password is None:
        tab.wait("!document.getElementById('app').hidden")


def enter_as_guest(tab: Tab, name: str) -> None:
    tab.click("#way-guest")
    tab.click("#name")
    tab.type(name)
    tab.key("Enter")
    tab.wait("!document.getElementById('app').hidden")


def go_offline(tab: Tab) -> None:
    """Cut a tab off from the network."""
    _set_network(tab, offline=True)


def go_online(tab: Tab) -> None:
    _set_network(tab, offline=False)


def _set_network(tab: Tab, *, offline: bool) -> None:
    limits = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.call("Network.emulateNetworkConditions", offline=offline, **limits)


def find_channel(tab: Tab, name: str, offer: str) -> None:
    """Go to a channel by the finder, once that makes this offer."""
    tab.key("k", CONTROL)
    tab.type(name)
    tab.sees(offer, "#finder-list")
    tab.key("Enter")
    tab.sees(f"#{name}", "#title")


def say(tab: Tab, text: str) -> None:
    tab.click("#line")
    tab.type(text)
    tab.key("Enter")


def confirmed(tab: Tab, text: str, state: str = "") -> None:
    """Wait until the last line is this one, and the server has it on disk, or until it is in another state."""
    tab.wait(LAST, lambda found: found == [text, f"line say {state}".strip()])


def reload(tab: Tab) -> None:
    """Load the page anew, once it can log in by itself."""
    tab.wait("sessionStorage.getItem('crosstalk-token') ?? localStorage.getItem('crosstalk-token')")
    tab.js("window.isOld = true")
    tab.call("Page.reload")
    tab.wait("!window.isOld && document.readyState === 'complete'")
