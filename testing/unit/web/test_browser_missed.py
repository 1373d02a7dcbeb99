"""The page in a headless Chromium: connections that end, what was missed, and much history."""

from __future__ import annotations

import signal

from support.chromium import Tab
from support.page_stage import CONFIRMED, ROWS_A_FRAME, WATCH_FRAMES, Stage, say


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
