"""The page in a headless Chromium, with the people who are there by other ways. One browser and one server for all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from harness.peer import Peer
from harness.servers import ServerProcess, free_ports
from support.chromium import ALT, CONTROL, PROGRAM, Chromium, Tab

pytestmark = pytest.mark.skipif(PROGRAM is None and "CI" not in os.environ, reason="there is no Chromium")

NAMES = (f"user{number}" for number in count())


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

    def start(self) -> ServerProcess:
        listens = [f"listen 127.0.0.1:{port} {kind}" for port, kind in zip(self.ports, ("auto", "web"), strict=True)]
        return ServerProcess(self.directory, *listens, port=None)

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


# ---- logins ----


def test_a_new_account_stays_logged_in_over_a_reload(stage: Stage) -> None:
    """(W12)"""
    page = stage.tab()
    page.click("#way-register")
    page.click("#name")
    page.type("newcomer")
    page.click("#password")
    page.type("secret")
    page.click("#stay")
    page.key("Enter")
    page.wait("!document.getElementById('app').hidden")
    page.key("k", CONTROL)
    page.type("nest")
    page.sees("Make the channel #nest", "#finder-list")
    page.key("Enter")
    page.sees("#nest", "#title")
    say(page, "my own")
    page.wait(CONFIRMED, lambda found: found == "line say")
    page.wait("localStorage.getItem('crosstalk-token')")
    page.call("Page.reload")
    page.sees("my own", "#log")
    other = stage.tab(beside=page)
    other.sees("my own", "#log")
    assert "secret" not in page.js("JSON.stringify({...localStorage, ...sessionStorage})")


def test_a_token_that_has_ended_leads_to_the_door(stage: Stage) -> None:
    """(W12)"""
    name = stage.account("porch")
    page = stage.page(name)
    page.wait("sessionStorage.getItem('crosstalk-token')")
    other = stage.tab(beside=page)
    assert not other.js("document.getElementById('door').hidden"), "a token of a tab is for that tab alone"
    other.call("Page.navigate", url="about:blank")
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.sees("Not connected", "#network")
    stage.peers.append(stage.server.peer())
    stage.peers[-1].send(f"LOGIN {name} {name}")
    stage.peers[-1].expect("RESULT LOGIN 1\n")
    stage.peers[-1].send(f"PASSWORD {name} another")
    stage.peers[-1].expect("RESULT PASSWORD 1\n")
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.sees("Your login has ended", "#login-error")
    assert not page.js("sessionStorage.getItem('crosstalk-token')")


def test_the_keyboard_alone_is_enough(stage: Stage) -> None:
    name = stage.account("steps")
    page = stage.tab()
    page.wait("document.activeElement.id === 'name'")
    page.type(name)
    page.key("Tab")
    page.type(name)
    page.key("Enter")
    page.sees("#steps", "#title")
    page.key("k", CONTROL)
    page.type("steps")
    page.key("Enter")
    page.wait("document.activeElement.id === 'line'")
    page.type("by keys")
    page.key("Enter")
    page.sees("by keys", "#log")
    page.key("PageUp")
    page.key("Escape")
    for wanted in ("menu", "logout"):
        for _step in range(40):
            if page.js("document.activeElement.id") == wanted:
                break
            page.key("Tab")
        page.key("Enter")
    page.wait("!document.getElementById('door').hidden && document.activeElement.id === 'name'")
    assert not page.js("sessionStorage.length")


# ---- what one missed ----


def times_shown(page: Tab, text: str) -> int:
    return page.text("#log").count(text)


def test_a_page_that_was_open_while_the_server_was_killed_misses_nothing(stage: Stage) -> None:
    name = stage.account("harbour")
    _bob, peer = stage.member("harbour")
    page = stage.page(name)
    page.sees("#harbour", "#title")
    for number in range(3):
        say(page, f"before {number}")
    peer.send("SAY harbour seen")
    page.sees("seen", "#log")
    stage.server.signal(signal.SIGKILL)
    stage.server.close()
    page.sees("Not connected", "#network")
    stage.server = stage.start()
    _carol, again = stage.member("harbour")
    for number in range(5):
        again.send(f"SAY harbour after {number}")
    page.sees("after 4", "#log")
    say(page, "back")
    page.sees("back", "#log")
    page.wait(CONFIRMED, lambda found: found == "line say")
    for text in ("before 0", "before 1", "before 2", "seen", *(f"after {number}" for number in range(5)), "back"):
        assert times_shown(page, text) == 1, text


def test_what_is_not_confirmed_can_be_sent_again(stage: Stage) -> None:
    name = stage.account("bridge")
    page = stage.page(name)
    page.sees("#bridge", "#title")
    stage.server.signal(signal.SIGSTOP)
    try:
        say(page, "into the void")
        page.wait(CONFIRMED, lambda found: "sending" in str(found))
    finally:
        stage.server.signal(signal.SIGCONT)
    page.wait(CONFIRMED, lambda found: found == "line say")
    assert times_shown(page, "into the void") == 1


def test_older_lines_come_at_the_top_and_the_place_is_kept(stage: Stage) -> None:
    name = stage.account("cellar")
    _bob, peer = stage.member("cellar")
    for number in range(120):
        peer.ask(f"SAY cellar line-{number:03}")
    page = stage.page(name)
    page.sees("line-119", "#log")
    page.wait("document.querySelectorAll('#log .line').length", lambda count: count == 50)
    place = "document.querySelector('#log .line').getBoundingClientRect().top"
    page.js("window.first = document.querySelector('#log .line'); document.getElementById('log').scrollTop = 100")
    before = page.js("window.first.getBoundingClientRect().top")
    page.wait("document.querySelectorAll('#log .line').length", lambda count: count >= 100)
    page.wait(f"Math.abs(window.first.getBoundingClientRect().top - {before})", lambda moved: moved < 3)
    assert page.js(place) < before
    page.js("document.getElementById('log').scrollTop = 0")
    page.sees("beginning", "#log")
    assert times_shown(page, "line-") == 120
    page.click("#latest")
    page.wait("document.getElementById('latest').hidden")


def test_many_lines_keep_the_document_small(stage: Stage) -> None:
    name = stage.account("mill")
    _bob, peer = stage.member("mill")
    page = stage.page(name)
    page.sees("#mill", "#title")
    peer.send(*(f"SAY mill grain {number}" for number in range(2500)))
    page.sees("grain 2499", "#log")
    assert page.js("document.querySelectorAll('#log .line').length") <= 300
    page.js("document.getElementById('log').scrollTop = 0")
    page.wait("document.getElementById('log').scrollTop", lambda top: top > 0)
    assert page.js("document.querySelectorAll('#log .line').length") <= 300


def test_what_is_read_on_one_device_is_read_on_all(stage: Stage) -> None:
    name = stage.account("aisle", "bench")
    _bob, peer = stage.member("bench")
    one, two = stage.page(name), stage.page(name)
    for page in (one, two):
        page.sees("#aisle", "#title")
    peer.send("SAY bench news")
    for page in (one, two):
        page.wait("document.querySelector('#channels .badge span')?.innerText", lambda count: count == "1")
    one.key("a", ALT)
    one.sees("news", "#log")
    two.wait("!document.querySelector('#channels .badge')")
    assert two.text("#title") == "#aisle"


WATCH_THE_LOG = """window.added = [];
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes) window.added.push(node.textContent);
}).observe(document.getElementById("log"), { childList: true })"""


def test_one_line_is_announced_once(stage: Stage) -> None:
    name = stage.account("choir")
    _bob, peer = stage.member("choir")
    page = stage.page(name)
    page.sees("#choir", "#title")
    page.wait("!document.getElementById('log').hasAttribute('aria-busy')")
    page.js(WATCH_THE_LOG)
    peer.send("SAY choir la la")
    page.sees("la la", "#log")
    say(page, "mine")
    page.sees("mine", "#log")
    page.wait(CONFIRMED, lambda found: found == "line say")
    added = page.js("window.added")
    assert sum("la la" in text for text in added) == 1, added
    assert sum("mine" in text for text in added) == 1, added
    assert not page.js("document.getElementById('log').hasAttribute('aria-busy')")


def test_a_page_of_another_origin_gets_nothing(stage: Stage) -> None:
    """(W4)"""
    tab = stage.browser.tab("about:blank")
    try:
        address = stage.url.replace("http", "ws")
        opened = f"new Promise((tell) => {{ const socket = new WebSocket('{address}'); socket.onopen = () => tell('open'); socket.onerror = () => tell('refused'); }})"  # noqa: E501
        assert tab.js(opened) == "refused"
        for method in ("GET", "POST"):
            sent = f"fetch('{stage.url}', {{method: '{method}', body: {'null' if method == 'GET' else repr('NICK x')}}}).then(() => 'read', () => 'refused')"  # noqa: E501
            assert tab.js(sent) == "refused"
    finally:
        tab.close()


def test_colours_that_are_forced_leave_everything_usable(stage: Stage) -> None:
    name = stage.account("forge")
    page = stage.page(name)
    page.media(forced_colors="active", prefers_reduced_motion="reduce")
    page.sees("#forge", "#title")
    say(page, "iron")
    page.sees("iron", "#log")
    assert all(name for names in names_of(page).values() for name in names)
