"""The page in a headless Chromium: somebody comes for the first time, on a telephone, and again on the next day."""

from __future__ import annotations

from support.page_stage import Stage, confirmed

SHOWN = "[...document.querySelectorAll('#log .line .text, #log .rule')].map((node) => node.innerText.trim())"

NEWS = "[...document.querySelectorAll('#channels .badge, #people .badge')].map((badge) => badge.firstChild.textContent)"


def test_a_newcomer_talks_and_finds_what_was_missed_on_the_next_day(stage: Stage) -> None:
    bob, peer = stage.member("meadow")
    irc = stage.server.peer()
    stage.peers.append(irc)
    irc.send("NICK ire", "USER ire 0 * :Ire", "JOIN #meadow")
    irc.expect(" 366 ")
    peer.ask("SAY meadow is anybody here?")
    page = stage.tab(width=320, height=568, touch=True)
    page.media(prefers_reduced_motion="reduce")  # nothing is on its way when it is tapped
    page.click("#way-register")
    page.click("#name")
    page.type("zoe")
    page.click("#password")
    page.type("a long secret")
    page.click("#stay")
    page.click("#enter")
    page.wait("!document.getElementById('app').hidden")
    page.click("#add")
    page.type("meadow")
    page.wait("document.querySelector('#finder-list').innerText.trim()", lambda found: found == "#meadow\n2 members")
    page.click("#finder-list button")
    page.sees("is anybody here?", "#log")
    page.click("#line")
    page.type("I am")
    page.click("#send")
    confirmed(page, "I am")
    peer.expect("RECV zoe meadow I am\n")
    irc.expect("PRIVMSG #meadow :I am")
    irc.send("PRIVMSG #meadow :hello zoe")
    page.sees("hello zoe", "#log .mention")
    page.click("#show-members")
    page.sees(bob, "#member-list")
    page.click("#hide-members")
    page.wait("localStorage.getItem('crosstalk-token')")
    page.wait("document.querySelectorAll('#channels .badge').length === 0")
    page.call("Page.navigate", url="about:blank")
    peer.expect("hello zoe\n")
    while "zoe" in peer.ask("WHO")[0].split():
        pass
    peer.ask("SAY meadow tea is ready", "SAY meadow zoe: yours gets cold", "SAY @zoe a word in private")
    page = stage.tab(beside=page, width=320, height=568, touch=True)
    page.media(prefers_reduced_motion="reduce")
    page.wait(NEWS, lambda found: found == ["2", "1"])
    page.click("#channels button")
    page.wait(SHOWN, lambda found: found[-3:] == ["new", "tea is ready", "zoe: yours gets cold"])
    assert page.js(SHOWN)[-6:-3] == ["is anybody here?", "I am", "hello zoe"]
    page.wait(NEWS, lambda found: found == ["1"])
    page.sees("1", "#elsewhere")
    page.js("history.back()")  # the telephone's own way
    page.wait("document.getElementById('app').dataset.pane === 'list'")
    page.click("#people button")
    page.sees("a word in private", "#log")
    page.click("#line")
    page.type("thanks")
    page.click("#send")
    peer.expect("RECV zoe @")
    peer.expect(" thanks\n")
