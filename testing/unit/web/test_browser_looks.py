"""The page in a headless Chromium: the keyboard alone, screen readers, small screens, colours."""

from __future__ import annotations

import pytest

from support.chromium import CONTROL, Tab
from support.page_stage import Stage, confirmed, go_offline, go_online, log_in, say

CONTROLS = ("button", "textbox", "combobox", "listbox", "option", "radio", "checkbox", "link")


SMALL = """[...document.querySelectorAll("button")]
  .filter((button) => button.checkVisibility() && button.getBoundingClientRect().height < 44).length"""


PANE = "document.getElementById('app').dataset.pane"
"""Which of two panes a narrow screen shows."""

PLACES = ("navigation", "main", "complementary", "log", "heading", "status", "list")


def names_of(page: Tab, roles: tuple[str, ...] = CONTROLS) -> dict[str, list[str]]:
    """Return the accessible names of what has these roles."""
    found: dict[str, list[str]] = {}
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        if not node.get("ignored") and node["role"]["value"] in roles:
            found.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    return found


IN_SIGHT = """[...arguments].every((id) => {
  const box = document.getElementById(id).getBoundingClientRect();
  return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth;
})"""


def is_in_sight(page: Tab, *ids: str) -> bool:
    """Tell whether these elements are wholly on the screen."""
    return bool(page.js(f"(function () {{ return {IN_SIGHT}; }})({', '.join(map(repr, ids))})"))


@pytest.mark.parametrize(("width", "height"), [(320, 640), (1440, 900), (320, 256)])
def test_every_control_has_a_name_and_nothing_overflows(stage: Stage, width: int, height: int) -> None:
    """320 by 256 is what is left of a screen of 1280 by 1024 at 400 %."""
    page = stage.tab(width=width, height=height)
    page.media(prefers_reduced_motion="reduce")
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
    assert is_in_sight(page, "line", "send", "title", "leave")
    assert page.js("document.getElementById('log').clientHeight") > 100
    places = names_of(page, PLACES)
    assert {"main", "log"} <= set(places)
    assert places["log"] == ["#hall"]
    assert "#hall" in places["heading"]
    assert all(places.get("list", ["named"]))
    if width > 1000:
        assert (places["navigation"], places["complementary"]) == (["Conversations"], ["Members"])
        assert {"Channels", "Members"} <= set(places["heading"])
        page.click("#menu")
    else:
        page.click("#back")
        page.wait(f"{PANE} === 'list'")
        page.click("#menu")
    assert not page.js(overflow)
    page.js("document.querySelector('#settings .closes').scrollIntoView()")
    page.click("#settings .closes")
    page.wait("!document.getElementById('settings').open")


def test_the_keyboard_alone_is_enough(stage: Stage) -> None:
    name = stage.account("steps")
    page = stage.tab()
    page.wait("document.activeElement.id === 'name'")
    page.type(name)
    page.key("Tab")
    page.type(name)
    page.key("Enter")
    page.sees("#steps", "#title")
    page.wait("document.activeElement.id === 'line'")
    page.key("k", CONTROL)
    page.type("x")
    page.key("Escape")
    page.wait("!document.getElementById('finder').open && document.activeElement.id === 'line'")
    page.key("k", CONTROL)
    page.type("steps")
    page.key("Enter")
    page.wait("!document.getElementById('finder').open && document.activeElement.id === 'line'")
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
    page.wait("!document.getElementById('login-page').hidden && document.activeElement.id === 'name'")
    assert not page.js("sessionStorage.length")


FOCUS = "document.activeElement.id || document.activeElement.innerText"


@pytest.mark.parametrize("touch", [False, True])
def test_the_focus_goes_with_the_panes(stage: Stage, touch: bool) -> None:
    """A hand-held screen shows one of two panes, and no soft keyboard unasked."""
    page = stage.tab(width=320, height=640, touch=touch)
    log_in(page, stage.account("cabin"))
    page.sees("#cabin", "#channels")
    page.wait(FOCUS, lambda focus: focus != "enter")
    page.click("#channels button")
    page.wait(FOCUS, lambda focus: focus == ("log" if touch else "line"))
    if touch:
        page.click("#back")
    else:
        page.js("document.getElementById('back').focus()")
        page.key("Enter")
    page.wait(FOCUS, lambda focus: focus == "#cabin")


def test_the_focus_outlives_what_others_do(stage: Stage) -> None:
    """Rows move and go under it: a member is away, and leaves."""
    page = stage.page(stage.account("patio"))
    page.sees("#patio", "#title")
    for nick in ("aaa", "bbb"):
        stage.peers.append(irc := stage.server.peer())
        irc.send(f"NICK {nick}", f"USER {nick} 0 * :x", "JOIN #patio")
    order = "[...document.querySelectorAll('#member-list bdi')].map((name) => name.textContent).slice(-2)"
    page.wait(order, lambda names: names == ["aaa", "bbb"])
    page.js("document.querySelector('#member-list li:nth-child(3) button').focus()")
    page.wait(FOCUS, lambda focus: focus.startswith("bbb"))
    stage.peers[-2].send("AWAY :tea")
    page.wait(order, lambda names: names == ["bbb", "aaa"])
    page.wait(FOCUS, lambda focus: focus.startswith("bbb"))
    stage.peers[-1].send("PART #patio")
    page.wait(order, lambda names: names[-1] == "aaa" and "bbb" not in names)
    page.wait("document.activeElement.closest('#member-list') !== null")


def test_who_has_left_is_forgotten(stage: Stage) -> None:
    """A page that is open for weeks does not keep a row for everybody who ever came."""
    page = stage.page(stage.account("inn"))
    page.sees("#inn", "#title")
    stage.peers.append(irc := stage.server.peer())
    irc.send("NICK zzz", "USER zzz 0 * :x", "JOIN #inn")
    page.sees("zzz", "#member-list")
    page.js("window.row = new WeakRef(document.querySelector('#member-list li:last-child'))")
    irc.send("PART #inn")
    page.wait("!document.getElementById('member-list').innerText.includes('zzz')")
    page.wait("window.row.deref() === undefined", lambda gone: gone or bool(page.call("HeapProfiler.collectGarbage")))


@pytest.mark.parametrize(("width", "pane"), [(320, "list"), (320, "talk"), (1440, "talk")])
def test_a_lost_connection_is_told_wherever_one_is(stage: Stage, width: int, pane: str) -> None:
    page = stage.tab(width=width, height=640)
    log_in(page, stage.account("lock"))
    page.sees("#lock", "#channels")
    if pane == "talk":
        page.click("#channels button")
        page.wait(f"{PANE} === 'talk' && getComputedStyle(document.getElementById('talk')).transform === 'none'")
    page.wait("document.getElementById('network').getBoundingClientRect().height === 0")
    go_offline(page)
    page.sees("Not connected", "#network")
    assert is_in_sight(page, "network", *(("line", "send", "title") if pane == "talk" else ("menu", "whoami")))
    go_online(page)


def test_a_finder_leaves_the_keys_to_an_input_method(stage: Stage) -> None:
    page = stage.page(stage.account("pagoda"))
    page.sees("#pagoda", "#title")
    page.key("k", CONTROL)
    page.type("yunomi")
    page.sees("Make the channel #yunomi", "#finder-list")
    page.js("""for (const key of ["Enter", "Escape"]) document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key, isComposing: true, bubbles: true, cancelable: true }))""")
    assert page.js("document.getElementById('finder').open")
    page.key("Enter")
    page.sees("#yunomi", "#title")


PICKED = """(() => { const active = document.activeElement.getAttribute("aria-activedescendant");
  return [...document.querySelectorAll("[role=option][aria-selected=true]")]
    .map((option) => [option.id === active, option.checkVisibility(), option.querySelector("bdi").textContent]); })()"""


def test_a_screen_reader_hears_what_the_finder_has_picked(stage: Stage) -> None:
    page = stage.page(stage.account(*(f"pier{number}" for number in range(9))))
    page.sees("#pier8", "#channels")
    page.key("k", CONTROL)
    page.type("pier")
    page.sees("10 found", "#finder-note")
    page.key("ArrowDown")
    page.wait(PICKED, lambda picked: picked == [[True, True, "#pier1"]])
    names = names_of(page)
    assert names["combobox"] == ["Channel or person"]
    assert names["listbox"] == ["Go to a channel or person"]
    assert len(names["option"]) == 10, "and one to make a channel"
    assert all(names["option"])
    page.key("ArrowUp")
    page.wait(PICKED, lambda picked: picked == [[True, True, "#pier0"]])
    page.click("#finder .closes")
    page.wait("!document.getElementById('finder').open")


WATCH_THE_LOG = """window.added = [];
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes) window.added.push(node.textContent);
}).observe(document.getElementById("log"), { childList: true, subtree: true })"""


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
    confirmed(page, "mine")
    added = page.js("window.added")
    assert sum("la la" in text for text in added) == 1, added
    assert sum("mine" in text for text in added) == 1, added
    assert not page.js("document.getElementById('log').hasAttribute('aria-busy')")


def test_colours_that_are_forced_leave_everything_usable(stage: Stage) -> None:
    name = stage.account("forge")
    page = stage.page(name)
    page.media(forced_colors="active", prefers_reduced_motion="reduce")
    page.sees("#forge", "#title")
    say(page, "iron")
    page.sees("iron", "#log")
    assert all(name for names in names_of(page).values() for name in names)
