"""The page in a headless Chromium: talking with people who are there by other ways."""

from __future__ import annotations

from support.chromium import ALT
from support.page_stage import Stage, confirmed, enter_as_guest, find_channel, go_offline, go_online, reload, say


def test_what_is_said_is_confirmed_and_heard(stage: Stage) -> None:
    name = stage.account("garden")
    _bob, peer = stage.member("garden")
    page = stage.page(name)
    page.sees("#garden", "#title")
    say(page, "good morning")
    confirmed(page, "good morning")
    peer.expect(f"RECV {name} garden good morning\n")
    peer.send("SAY garden hello there")
    page.sees("hello there", "#log")
    for command in ("/constructor", "/nonsense"):
        say(page, command)
        page.sees(f"There is no command {command}", "#log")
        page.js("document.getElementById('line').value = ''")


def test_a_guest_may_look_in(stage: Stage) -> None:
    _bob, peer = stage.member("lawn")
    page = stage.tab()
    enter_as_guest(page, "yan")
    find_channel(page, "lawn", "members")
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
    confirmed(page, "yes?")
    reload(page)
    page.sees("kept in this tab alone", "#people-note")
    page.click("#people button")
    page.sees("psst", "#log")
    page.sees("yes?", "#log")


MEMBERS = (
    "[...document.querySelectorAll('#member-list li')].map((each) => each.innerText.trim().split(/\\s+/).join(' '))"
)


def test_commands_do_what_they_do_in_irc(stage: Stage) -> None:
    name = stage.account("atrium")
    page = stage.page(name)
    bob, peer = stage.member("atrium")
    irc = stage.server.peer()
    stage.peers.append(irc)
    irc.send("NICK aaa", "USER aaa 0 * :x", "JOIN #atrium", "AWAY :tea")
    irc.expect(" 306 ")
    page.wait(MEMBERS, lambda found: found == [f"{name} here you, operator", f"{bob} here", "aaa away away"])
    say(page, "/topic of tea")
    page.sees("of tea", "#topic")
    say(page, "/me waves")
    peer.expect(f"RECV {name} atrium ")
    page.sees("waves", "#log .act")
    say(page, "/kick aaa too loud")
    irc.expect("KICK #atrium aaa :too loud")
    page.sees("aaa was removed", "#log")
    say(page, "/mode +m")
    page.sees("has set +m", "#log")
    say(page, f"/msg {bob} quietly")
    peer.expect(f"RECV {name} @{name} quietly\n")
    page.sees(bob, "#title")
    say(page, "/join loft")
    page.sees("#loft", "#title")
    say(page, "/quote TOPIC #loft :high up")
    page.sees("high up", "#topic")
    say(page, "/away for tea")
    page.wait(MEMBERS, lambda found: found == [f"{name} away you, operator"])
    page.sees("You are away now", "#log")
    say(page, "/away")
    page.wait(MEMBERS, lambda found: found == [f"{name} here you, operator"])
    say(page, "/part")
    page.sees("Leave #loft?", "#asking")
    page.click("#asking-yes")
    page.wait("document.getElementById('channels').innerText.trim()", lambda left: left == "#atrium")
    say(page, "/nick other")
    page.sees("The nick of an account is its name", "#log")


def test_a_channel_that_is_renamed_stays_where_it_is(stage: Stage) -> None:
    page = stage.page(stage.account("annexe", "studio"))
    _bob, peer = stage.member("studio")
    page.sees("#studio", "#channels")
    page.click("#channels li:nth-child(2) button")
    page.sees("#studio", "#title")
    say(page, "before")
    confirmed(page, "before")
    page.type("half a sent")
    assert stage.operate("rename-channel studio zoo") == ["OK studio is zoo now."]
    page.sees("#zoo", "#title")
    assert page.text("#channels").split() == ["#annexe", "#zoo"]
    assert page.js("document.getElementById('line').value") == "half a sent"
    page.type("ence")
    page.key("Enter")
    confirmed(page, "half a sentence")
    peer.ask("SAY zoo after")
    page.sees("after", "#log")
    assert [page.text("#log").count(text) for text in ("before", "half a sentence", "after")] == [1, 1, 1]


ASKED = {
    "/mode": "#pantry +n",
    "/topic": "#pantry No topic is set",
    "/quote VERSION": "crosstalk",
    "/quote NAMES #pantry": "#pantry End of NAMES list",
    "/mode +b": "#pantry End of channel ban list",
    "/quote NONSENSE": "NONSENSE Unknown command",
}
"""What is asked by a command, and what is shown of the answer."""


def test_answers_to_commands_are_shown(stage: Stage) -> None:
    page = stage.page(stage.account("pantry"))
    page.sees("#pantry", "#title")
    for command, answer in ASKED.items():
        page.wait("document.getElementById('line').value === ''")
        say(page, command)
        page.sees(answer, "#log")


def test_what_is_too_long_is_counted_and_not_sent(stage: Stage) -> None:
    """However it is said. What is sent next is the first that arrives."""
    page = stage.page(stage.account("attic"))
    bob, peer = stage.member("attic")
    page.sees("#attic", "#title")
    for begin in ("", "/me ", f"/msg {bob} "):
        page.click("#line")
        page.type(begin + "x" * 600)
        page.sees("too many", "#count.over")
        over = int(page.text("#count").split()[0])
        page.key("Enter")
        assert page.js("document.getElementById('line').value.length") == len(begin) + 600, "it can be changed"
        page.js(f"document.getElementById('line').value = {begin!r}")
        page.type("y" * (600 - over))
        page.sees("0 left", "#count")
        page.key("Enter")
        line = peer.line()
        assert "x" not in line
        assert "y" * (600 - over) in line


def test_what_is_for_operators_alone_says_so_in_their_channel(stage: Stage) -> None:
    page = stage.page(stage.account())
    find_channel(page, "helm", "Make the channel #helm")
    stage.peers.append(irc := stage.server.peer())
    irc.send("NICK mate", "USER mate 0 * :x", "JOIN #helm")
    irc.expect(" 366 ")
    say(page, "/mode +o mate")
    irc.expect("MODE #helm +o mate")
    page.sees("you, operator", "#member-list")
    irc.send("PRIVMSG @#helm :iceberg", "PRIVMSG #helm :iceberg ahead")
    page.sees("iceberg ahead", "#log")
    say(page, "/msg @#helm aye")
    irc.expect("PRIVMSG @#helm :aye")
    confirmed(page, "aye")
    names = page.js("[...document.querySelectorAll('#log .say .name')].map((name) => name.textContent)")
    assert names == ["mate → @#helm", "mate", f"{page.text('#whoami bdi')} → @#helm"]
    assert not page.text("#people"), "it is no message to a person"


LINKS = {
    "(https://example.org/a_(b)).": "https://example.org/a_(b)",
    "(see https://example.org/a).": "https://example.org/a",
    "HTTP://Example.org/x?y=(1)#z!": "http://example.org/x?y=(1)#z",
    "https://example.org/(((": "https://example.org/(((",
    "»https://example.org/é«, “": "https://example.org/%C3%A9",
    "\uff08https://example.org/茶\uff09。": "https://example.org/%E8%8C%B6",
    "https://example.org/a...)))": "https://example.org/a",
    "http://[::1]:8080/, and": "http://[::1]:8080/",
    "xhttps://example.org": None,
    "https://": None,
    "http://%": None,
    "ftp://example.org javascript:alert(1)": None,
}
"""What is said, and where the link in it leads."""


def test_links_are_what_is_meant(stage: Stage) -> None:
    page = stage.page(stage.account("museum"))
    _bob, peer = stage.member("museum")
    page.sees("#museum", "#title")
    peer.send(*(f"SAY museum {text}" for text in LINKS))
    links = "[...document.querySelectorAll('#log .say')].map((line) => line.querySelector('a')?.href ?? null)"
    page.wait(links, lambda found: found == list(LINKS.values()))


NOTICES = """window.notices = [];
window.Notification = class {
  static permission = "granted";
  constructor(title, { body }) { window.notices.push(`${title}: ${body}`); }
};
document.hasFocus = () => false;"""


def test_the_system_tells_of_mentions_and_direct_messages(stage: Stage) -> None:
    name = stage.account("annex", "depot")
    bob, peer = stage.member("depot")
    page = stage.page(name)
    page.call("Page.addScriptToEvaluateOnNewDocument", source=NOTICES)
    reload(page)
    page.sees("#annex", "#title")
    peer.send("SAY depot hello", f"SAY depot {name}: come", f"SAY @{name} psst")
    page.wait("window.notices", lambda told: told == [f"{bob} in #depot: {name}: come", f"{bob}: psst"])


HIDDEN = """Object.defineProperty(document, "hidden", { value: true, configurable: true });
Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
window.frames = []; // a hidden page has none until it is seen
window.truly = window.requestAnimationFrame;
window.requestAnimationFrame = (draw) => window.frames.push(draw);"""

SEEN = """delete document.hidden; delete document.visibilityState;
window.requestAnimationFrame = window.truly;
window.frames.forEach((draw) => requestAnimationFrame(draw));
document.dispatchEvent(new Event("visibilitychange"));"""


def test_the_title_counts_while_the_page_is_hidden(stage: Stage) -> None:
    page = stage.page(stage.account("belfry"))
    _bob, peer = stage.member("belfry")
    page.sees("#belfry", "#title")
    page.js(HIDDEN)
    peer.send("SAY belfry one", "SAY belfry two")
    page.wait("document.title", lambda title: title == "(2) Crosstalk")


BEHIND_NEW = "[...document.querySelectorAll('#log .rule.new ~ .line .text')].map((text) => text.textContent)"


def test_a_line_stands_where_reading_stopped(stage: Stage) -> None:
    """Also in the channel that stayed open, each time that the page was out of sight."""
    page = stage.page(stage.account("vestry"))
    _bob, peer = stage.member("vestry")
    page.sees("#vestry", "#title")
    say(page, "before")
    confirmed(page, "before")
    for number in range(2):
        page.js(HIDDEN)
        peer.send(f"SAY vestry one {number}", f"SAY vestry two {number}")
        page.wait("document.title", lambda title: title == "(2) Crosstalk")
        page.js(SEEN)
        page.wait(BEHIND_NEW, [f"one {number}", f"two {number}"].__eq__)
        page.wait("document.title", lambda title: title == "Crosstalk")
        peer.send(f"SAY vestry seen {number}")
        page.sees(f"seen {number}", "#log")
    go_offline(page)
    page.sees("Not connected", "#network")
    peer.send("SAY vestry missed")
    go_online(page)
    page.wait(BEHIND_NEW, lambda texts: texts == ["missed"])


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
