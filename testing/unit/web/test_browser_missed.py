"""The page in a headless Chromium: connections that end, what was missed, and much history."""

from __future__ import annotations

import signal

from support.chromium import Tab
from support.page_stage import (
    ROWS_A_FRAME,
    WATCH_FRAMES,
    Stage,
    confirmed,
    enter_as_guest,
    go_offline,
    go_online,
    reload,
    say,
)


def test_a_page_survives_the_end_of_its_connection(stage: Stage) -> None:
    name = stage.account("shed")
    page = stage.page(name)
    page.sees("#shed", "#title")
    page.click("#line")
    page.type("half a sent")
    go_offline(page)
    page.sees("Not connected", "#network")
    page.key("Enter")
    page.sees("Not sent", "#network")
    go_online(page)
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    assert page.js("document.getElementById('line').value") == "half a sent"
    page.type("ence")
    page.key("Enter")
    confirmed(page, "half a sentence")


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
    confirmed(page, "back")
    for text in ("before 0", "before 1", "before 2", "seen", *(f"after {number}" for number in range(5)), "back"):
        assert times_shown(page, text) == 1, text


CLOCK = """window.due = [];
const later = window.setTimeout;
window.setTimeout = (act, wait) => { (window.due[wait] ??= []).push(act); return later(act, wait); };
window.pass = (wait) => window.due[wait].at(-1)();"""
"""Have the test say when the time of the last timer of a length is over."""


def _page_with_a_clock(stage: Stage, channel: str) -> Tab:
    """Return the page of a new account in a channel, with CLOCK."""
    page = stage.page(stage.account(channel))
    page.call("Page.addScriptToEvaluateOnNewDocument", source=CLOCK)
    reload(page)
    page.sees(f"#{channel}", "#title")
    return page


def test_what_is_not_confirmed_can_be_sent_again(stage: Stage) -> None:
    page = _page_with_a_clock(stage, "bridge")
    stage.server.signal(signal.SIGSTOP)
    try:
        say(page, "into the void")
        confirmed(page, "into the void", "sending")
        page.js("window.pass(15000)")
        page.sees("Not confirmed", "#log")
    finally:
        stage.server.signal(signal.SIGCONT)
    confirmed(page, "into the void")
    assert "Not confirmed" not in page.text("#log"), "it was only late"
    stage.server.signal(signal.SIGSTOP)
    say(page, "never heard")
    confirmed(page, "never heard", "sending")
    stage.server.signal(signal.SIGKILL)
    stage.server.close()
    page.sees("Not confirmed", "#log")
    stage.server = stage.start()
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    page.click("#log .state button")
    page.wait("document.querySelector('#log .state button') === null")
    confirmed(page, "never heard")
    assert times_shown(page, "into the void") == times_shown(page, "never heard") == 1
    reload(page)
    page.sees("never heard", "#log")
    assert times_shown(page, "into the void") == times_shown(page, "never heard") == 1


def test_a_connection_that_is_silent_is_given_up(stage: Stage) -> None:
    page = _page_with_a_clock(stage, "moor")
    stage.server.signal(signal.SIGSTOP)
    try:
        page.js("window.pass(30000)")
        page.js("window.pass(15000)")
        page.sees("Not connected", "#network")
    finally:
        stage.server.signal(signal.SIGCONT)
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    say(page, "there again")
    confirmed(page, "there again")


TO_THE_TOP = """(() => {
  const log = document.getElementById("log"), button = log.querySelector(".rule button");
  if (button) button.click();
  else log.scrollTop = 0;
  for (const line of log.querySelectorAll(".line.say")) window.shown.add(line);
  return window.shown.size;
})()"""

ORDER = """[...window.shown].map((line) => line.querySelector(".text").textContent)
  .filter((text) => text.startsWith("echo-")).sort()"""


def test_a_gap_of_many_lines_is_shown_and_filled(stage: Stage) -> None:
    """A lost connection that misses more than the page asks for at once leaves a gap to be clicked, not a hole."""
    name = stage.account("canyon")
    _bob, peer = stage.member("canyon")
    page = stage.page(name)
    page.sees("#canyon", "#title")
    peer.ask("SAY canyon echo-000")
    page.sees("echo-000", "#log")
    stage.peers.append(irc := stage.server.peer())
    irc.send("NICK mole", "USER mole 0 * :x", "JOIN #canyon")
    for begin, end in ((1, 450), (450, 700)):
        irc.send(f"PRIVMSG @#canyon :for operators {begin}")  # what is not kept, and a note: no gap begins there
        page.sees(f"for operators {begin}", "#log")
        say(page, "/nonsense")
        page.js("document.getElementById('line').value = ''")
        go_offline(page)
        page.sees("Not connected", "#network")
        peer.ask(*(f"SAY canyon echo-{number:03}" for number in range(begin, end)))
        go_online(page)
        page.sees(f"echo-{end - 1}", "#log")
    page.js("window.shown = new Set()")
    page.wait(TO_THE_TOP, lambda size: size >= 702)
    assert page.js(ORDER) == [f"echo-{number:03}" for number in range(700)], "each is there once"
    assert page.js("document.activeElement.id") == "log", "the button is gone, and the focus is not"


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
    page.js(WATCH_FRAMES)
    peer.send(*(f"SAY mill grain {number}" for number in range(2500)))
    page.sees("grain 2499", "#log")
    assert page.js("Math.max(...window.rows)") <= ROWS_A_FRAME
    assert page.js("window.astray") == 0
    page.wait("document.querySelectorAll('#log .line').length", lambda count: count == 120)
    assert page.js("document.querySelectorAll('#log .line').length") <= 300
    page.js("document.getElementById('log').scrollTop = 0")
    page.wait("document.getElementById('log').scrollTop", lambda top: top > 0)
    assert page.js("document.querySelectorAll('#log .line').length") <= 300


def test_a_channel_that_was_left_meanwhile_is_gone(stage: Stage) -> None:
    """What another device did while this one had no connection holds here, too."""
    name = stage.account("ferry", "river")
    page = stage.page(name)
    page.sees("#river", "#channels")
    page.click("#channels li:nth-child(2) button")
    page.sees("#river", "#title")
    go_offline(page)
    page.sees("Not connected", "#network")
    stage.peers.append(other := stage.server.peer())
    while other.ask(f"LOGIN {name} {name}") != ["RESULT LOGIN 1"]:
        pass  # the server still counts the page
    assert other.ask("LEAVE river", "LOGOUT") == ["RESULT LEAVE river 1", "RESULT LOGOUT 1"]
    go_online(page)
    page.sees("You are not in #river any more.", "#log")
    assert page.text("#channels").split() == ["#ferry"]
    assert page.text("#title") == "#ferry"


FAILS_ONCE = """window.WebSocket = class extends WebSocket {
  static count = 0;
  constructor(url, kinds) { super(url + (window.WebSocket.count++ ? "" : "nothing"), kinds); }
};"""


def test_a_login_outlasts_refusals_that_may_be_over_soon(stage: Stage) -> None:
    """Only the end of a token leads back to the form: not a lost connection, nor a server without a place."""
    name = stage.account("jetty")
    page = stage.page(name)
    page.call("Page.addScriptToEvaluateOnNewDocument", source=FAILS_ONCE)
    reload(page)
    page.sees("#jetty", "#title")
    assert page.js("WebSocket.count") > 1
    go_offline(page)
    page.sees("Not connected", "#network")
    stage.reload("max-account-clients 1")
    other = stage.page(name)
    other.sees("#jetty", "#title")
    go_online(page)
    page.sees("too many clients of this account", "#network")
    page.wait("WebSocket.count", lambda count: count > 4)
    stage.reload()
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    assert page.text("#title") == "#jetty"


def test_a_guest_waits_for_the_own_name(stage: Stage) -> None:
    """The server may count the lost connection for a while, or somebody else may have the name meanwhile."""
    page = stage.tab()
    enter_as_guest(page, "wanderer")
    go_offline(page)
    page.sees("Not connected", "#network")
    stage.peers.append(other := stage.server.peer())
    other.send("USER x 0 * :x")
    while " 433 " in other.ask("NICK wanderer")[0]:
        pass  # the server still counts the page
    go_online(page)
    page.sees("Your name is still taken.", "#network")
    other.send("QUIT")
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    page.sees("wanderer", "#whoami")
    say(page, "/nick strayer")
    page.sees("strayer", "#whoami")
    go_offline(page)
    page.sees("Not connected", "#network")
    go_online(page)
    page.wait("document.getElementById('network').textContent", lambda text: text in ("", "Your name is still taken."))
    page.sees("strayer", "#whoami")


def test_a_page_that_is_opened_shows_where_its_user_was_mentioned(stage: Stage) -> None:
    name = stage.account("alcove", "wharf")
    _bob, peer = stage.member("wharf")
    peer.ask(*(f"SAY wharf word {number}" for number in range(60)), f"SAY wharf {name}: come")
    page = stage.page(name)
    page.sees("61 unread, you are mentioned", "#channels")
    page.sees("#alcove", "#title")
    page.click("#channels .unread button")
    page.wait("document.querySelector('#channels .unread') === null")
    page.sees("new", "#log .rule.new")


LOST_AT_ONCE = """window.waits = [];
const later = window.setTimeout;
window.setTimeout = (act, wait) => later(act, act.name === "open" ? window.waits.push(wait) && 0 : wait);
window.WebSocket = class extends WebSocket {
  constructor(...words) { super(...words); this.addEventListener("open", () => this.close()); }
};"""
"""Have each connection end as soon as it is open, and note how long the page would wait before the next one."""


def test_the_page_tries_again_less_and_less_often(stage: Stage) -> None:
    """A server that takes connections and closes them is no better than one that is not there."""
    page = stage.page(stage.account("spit"))
    page.sees("#spit", "#title")
    page.wait("sessionStorage.getItem('crosstalk-token')")
    page.js(LOST_AT_ONCE)
    go_offline(page)
    page.sees("Not connected", "#network")
    go_online(page)
    steps = [0, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
    waits = page.wait("window.waits", lambda waits: len(since_the_last_start(waits)) >= len(steps))
    assert waits.count(0) <= 2, "one start without the network, perhaps, and one with it"
    for wait, step in zip(since_the_last_start(waits), steps, strict=False):
        assert step * 0.75 <= wait <= step * 1.25, waits


def since_the_last_start(waits: list[float]) -> list[float]:
    """Return the waits from the last 0 on: the page begins anew when the network comes back."""
    return waits[len(waits) - 1 - waits[::-1].index(0) :] if 0 in waits else []
