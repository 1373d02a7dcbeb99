"""The page in a headless Chromium, with the people who are there by other ways. One browser and one server for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from harness.peer import Peer
from harness.servers import ServerProcess
from support.chromium import ALT, CONTROL, PROGRAM, Chromium, Tab

pytestmark = pytest.mark.skipif(PROGRAM is None and "CI" not in os.environ, reason="there is no Chromium")

PORTS = ("listen 127.0.0.1:0 auto", "listen 127.0.0.1:0 web")
NAMES = (f"user{number}" for number in count())


class Stage:
    """A server and a browser."""

    def __init__(self, directory: Path) -> None:
        self.server = ServerProcess(directory, *PORTS, port=None)
        self.browser = Chromium(directory / "chromium")
        self.url = f"http://127.0.0.1:{self.server.ports[1]}/"
        self.tabs: list[Tab] = []
        self.peers: list[Peer] = []

    def tab(self, **words: object) -> Tab:
        self.tabs.append(self.browser.tab(self.url, **words))  # type: ignore[arg-type]
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

    def page(self, name: str, **words: object) -> Tab:
        """Return a page on which this account is logged in."""
        tab = self.tab(**words)
        log_in(tab, name)
        return tab


def log_in(tab: Tab, name: str, password: str | None = None) -> None:
    tab.click("#name")
    tab.type(name)
    tab.click("#password")
    tab.type(name if password is None else password)
    tab.key("Enter")
    if password is None:
        tab.wait("!document.getElementById('app').hidden")


def say(tab: Tab, text: str) -> None:
    tab.click("#line")
    tab.type(text)
    tab.key("Enter")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("page"))
    try:
        yield stage
    finally:
        stage.browser.close()
        stage.server.close()


@pytest.fixture(autouse=True)
def no_problems(stage: Stage) -> Iterator[None]:
    """No exception, and nothing that the page's policy refuses, in any test."""
    yield
    problems = [problem for tab in stage.tabs for problem in tab.problems]
    for tab in stage.tabs:
        tab.close()
    for peer in stage.peers:
        peer.close()
    stage.tabs.clear()
    stage.peers.clear()
    assert problems == []


CONFIRMED = "[...document.querySelectorAll('#log .line')].at(-1)?.className"


def test_what_is_said_is_confirmed_and_heard(stage: Stage) -> None:
    name = stage.account("garden")
    _bob, peer = stage.member("garden")
    page = stage.page(name)
    page.sees("#garden", "#title")
    say(page, "good morning")
    page.wait(CONFIRMED, lambda found: found == "line say")
    peer.expect(f"RECV {name} garden good morning\n")
    peer.send("SAY garden hello there")
    page.sees("hello there", "#log")


def test_a_wrong_password_is_told(stage: Stage) -> None:
    page = stage.tab()
    log_in(page, stage.account(), "wrong")
    page.sees("Name or password is wrong.", "#login-error")
    assert page.js("document.getElementById('app').hidden")


def test_a_guest_may_look_in(stage: Stage) -> None:
    _bob, peer = stage.member("lawn")
    page = stage.tab()
    page.click("#way-guest")
    page.click("#name")
    page.type("zoe")
    page.key("Enter")
    page.wait("!document.getElementById('app').hidden")
    page.key("k", CONTROL)
    page.type("lawn")
    page.sees("members", "#finder-list")
    page.key("Enter")
    page.sees("#lawn", "#title")
    say(page, "may I?")
    peer.expect("may I?\n")


def test_direct_messages_go_both_ways(stage: Stage) -> None:
    name = stage.account("desk")
    bob, peer = stage.member("desk")
    page = stage.page(name)
    peer.send(f"SAY @{name} psst")
    page.sees(bob, "#people")
    page.click("#people button")
    page.sees("psst", "#log")
    say(page, "yes?")
    peer.expect(f"RECV {name} @{name} yes?\n")


HOSTILE = [
    "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "javascript:alert(1) data:text/html,<script>alert(1)</script>",
    'https://example.org/"onmouseover=alert(1) ',
    "http://a.b/<b>x</b>",
    "z" + "\u0301" * 200,
    "{{title}} ${alert(1)} __proto__ constructor",
]


def test_hostile_texts_stay_texts(stage: Stage) -> None:
    """(W10)"""
    name = stage.account("gate")
    _bob, peer = stage.member("gate")
    page = stage.page(name)
    page.sees("#gate", "#title")
    for text in HOSTILE:
        peer.send(f"SAY gate {text}")
    peer.send("SAY gate the end")
    page.sees("the end", "#log")
    shown = page.text("#log")
    assert all(text.strip() in shown for text in HOSTILE)
    assert page.js("[...document.querySelectorAll('#log a')].every((link) => /^https?:/.test(link.href))")
    assert page.js("document.querySelectorAll('#log script, #log img').length") == 0
    assert page.js("document.title") != "owned"


def test_unread_channels_are_marked_and_found_by_keys(stage: Stage) -> None:
    name = stage.account("abc", "xyz")
    _bob, peer = stage.member("xyz")
    page = stage.page(name)
    page.sees("#abc", "#title")
    peer.send(f"SAY xyz hello {name}")
    page.sees("1", "#channels .badge.mention")
    page.wait("document.title.startsWith('(1) ')")
    page.key("a", ALT)
    page.sees("#xyz", "#title")
    page.sees(f"hello {name}", "#log .mention")
    page.wait("!document.title.startsWith('(')")
    page.key("ArrowUp", ALT)
    page.sees("#abc", "#title")


def test_what_was_typed_comes_back_and_names_are_completed(stage: Stage) -> None:
    name = stage.account("pond")
    bob, _peer = stage.member("pond")
    page = stage.page(name)
    page.sees("2", "#member-count")
    say(page, "first")
    page.wait("document.getElementById('line').value === ''")
    page.key("ArrowUp")
    assert page.js("document.getElementById('line').value") == "first"
    page.js("document.getElementById('line').value = ''")
    page.type(bob[:5])
    page.wait(
        "(document.getElementById('line').dispatchEvent(new KeyboardEvent('keydown', {key: 'Tab', cancelable: true})),"
        f" document.getElementById('line').value.includes('{bob}: '))"
    )


def test_a_page_survives_the_end_of_its_connection(stage: Stage) -> None:
    name = stage.account("shed")
    page = stage.page(name)
    page.sees("#shed", "#title")
    page.click("#line")
    page.type("half a sent")
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.sees("Not connected", "#network")
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    assert page.js("document.getElementById('line').value") == "half a sent"
    page.type("ence")
    page.key("Enter")
    page.wait(CONFIRMED, lambda found: found == "line say")


CONTROLS = ("button", "textbox", "searchbox", "radio", "checkbox", "link")

SMALL = """[...document.querySelectorAll("button")]
  .filter((button) => button.checkVisibility() && button.getBoundingClientRect().height < 44).length"""


def names_of(page: Tab) -> dict[str, list[str]]:
    """Return the accessible names of controls, by role."""
    found: dict[str, list[str]] = {}
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        if not node.get("ignored") and node["role"]["value"] in CONTROLS:
            found.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    return found


@pytest.mark.parametrize("width", [320, 1440])
def test_every_control_has_a_name_and_nothing_overflows(stage: Stage, width: int) -> None:
    page = stage.tab(width=width, height=640)
    overflow = "document.documentElement.scrollWidth > innerWidth"
    assert all(name for names in names_of(page).values() for name in names)
    assert not page.js(overflow)
    log_in(page, stage.account("hall"))
    page.wait("!document.getElementById('app').hidden")
    page.sees("#hall", "#channels")
    assert all(name for names in names_of(page).values() for name in names)
    assert not page.js(overflow)
    page.click("#channels button")
    page.sees("#hall", "#title")
    assert all(name for names in names_of(page).values() for name in names)
    assert not page.js(overflow)
    assert page.js(SMALL) == 0
