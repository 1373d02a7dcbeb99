"""The page in a headless Chromium: the door, and tokens."""

from __future__ import annotations

from support.chromium import CONTROL
from support.page_stage import CONFIRMED, Stage, log_in, say


def test_a_wrong_password_is_told(stage: Stage) -> None:
    page = stage.tab()
    log_in(page, stage.account(), "wrong")
    page.sees("Name or password is wrong.", "#login-error")
    assert page.js("document.getElementById('app').hidden")


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
