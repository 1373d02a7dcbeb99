"""The page in a headless Chromium: hostile texts, and pages of other sites."""

from __future__ import annotations

import json

from support.page_stage import Stage, confirmed, find_channel, reload, say

TYPED = {
    "\x01VERSION\x01": "VERSION",
    "\x01ACTION waves\x01": "ACTION waves",
    "a\x1b[31m\x07\x7fb": "a[31mb",
    "\ud800 alone": "\ufffd alone",
    "x\u202ey": "xy",
    "a\tb": "a\tb",
    ":colon :": ":colon :",
    "//slash": "/slash",
    "@tag=x PRIVMSG #other :y": "@tag=x PRIVMSG #other :y",
    "\U0001d54f" * 100: "\U0001d54f" * 100,
}
"""What is pasted into the line, and what the others get."""


def test_what_is_pasted_is_said_or_refused(stage: Stage) -> None:
    page = stage.page(name := stage.account("slip"))
    _bob, peer = stage.member("slip")
    page.sees("#slip", "#title")
    for pasted, said in TYPED.items():
        page.js(f"{{ const line = document.getElementById('line'); line.value = {json.dumps(pasted)}; }}")
        page.js("document.getElementById('composer').requestSubmit()")
        assert peer.line() == f"RECV {name} slip {said}"
        confirmed(page, said)
    page.js("document.getElementById('line').value = '\\u202e'")
    page.js("document.getElementById('composer').requestSubmit()")
    confirmed(page, "\u202e", "refused")


HEBREW = "\u05d3\u05e0\u05d4"
"""A name that is written from right to left."""

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
    links = page.js("[...document.querySelectorAll('#log a')].map((link) => [link.protocol, link.target, link.rel])")
    assert {tuple(link) for link in links} == {
        (protocol, "_blank", "noopener noreferrer nofollow") for protocol in ("http:", "https:")
    }
    assert page.js("document.querySelectorAll('#log script, #log img').length") == 0
    lines = page.js("[...document.querySelectorAll('#log .line')].map((line) => getComputedStyle(line).overflowY)")
    assert set(lines) == {"clip"}, "accents that are stacked stay out of the lines of others"
    assert page.js("document.title") != "owned"


OF_A_LINK = """[...document.querySelectorAll("#log a")]
  .map((link) => [getComputedStyle(link).direction, getComputedStyle(link).unicodeBidi, link.textContent])"""


def test_a_link_reads_from_left_to_right_wherever_it_stands(stage: Stage) -> None:
    """Else what stands first is not the host."""
    page = stage.page(stage.account("kiosk"))
    _bob, peer = stage.member("kiosk")
    page.sees("#kiosk", "#title")
    link = f"https://example.org/{HEBREW}/evil.example"
    peer.send(f"SAY kiosk {HEBREW} {link} {HEBREW}", f"SAY kiosk see {link}")
    page.wait(OF_A_LINK, lambda found: found == [["ltr", "isolate", link]] * 2)


LONG = f"{'some words ' * 300}{'0123456789' * 470}"

UNTIDY = {
    "\u05e9\u05dc\u05d5\u05dd (abc) 12": "\u05e9\u05dc\u05d5\u05dd (abc) 12",
    "\u0645\u0631\u062d\u0628\u0627": "\u0645\u0631\u062d\u0628\u0627",
    "see https://example.org/\u202egpj.exe \u2066x": "see https://example.org/gpj.exe x",
    "a\x1b[31mred\x07 b": "a[31mred b",
    LONG: LONG,
}
"""What is sent, and what the page shows of it."""

SAID = """[...document.querySelectorAll("#log .say .text")]
  .map((node) => [node.textContent, getComputedStyle(node).direction])"""


def test_any_directions_controls_and_lengths(stage: Stage) -> None:
    """A long message is one, though IRC has it in pieces, and is so from the history and after a reload."""
    name = stage.account("quay")
    _bob, peer = stage.member("quay")
    page = stage.page(name)
    page.sees("#quay", "#title")
    peer.ask("TOPIC quay <b>tea</b> \u202e at \x1b[2Jsix")
    page.sees("<b>tea</b> at [2Jsix", "#topic")
    for text in (*UNTIDY, "the end"):
        peer.send(f"SAY quay {text}")
    wanted = [[text, "rtl" if text[0] > "\u0500" else "ltr"] for text in (*UNTIDY.values(), "the end")]
    page.wait(SAID, lambda found: found == wanted)
    reload(page)
    page.wait(SAID, lambda found: found == wanted)
    say(page, "\u05e9\u05dc\u05d5\u05dd abc")
    peer.expect(f"RECV {name} quay \u05e9\u05dc\u05d5\u05dd abc\n")
    confirmed(page, "\u05e9\u05dc\u05d5\u05dd abc")
    page.wait(SAID, lambda found: found[-1] == ["\u05e9\u05dc\u05d5\u05dd abc", "rtl"])
    say(page, "x" * 8000)
    page.sees("too many", "#count.over")
    assert page.js("document.getElementById('line').value.length") == 8000, "what is refused can be changed"
    assert page.js(SAID)[-1][0] == "\u05e9\u05dc\u05d5\u05dd abc"


def test_names_of_any_direction_leave_the_sentence_its_own(stage: Stage) -> None:
    """What the page says is English, whoever it is about."""
    page = stage.page(stage.account())
    find_channel(page, "mole", "Make the channel #mole")
    stage.peers.append(peer := stage.server.user(HEBREW))
    peer.ask(f"CREATE {HEBREW}", f"JOIN {HEBREW}", "JOIN mole")
    page.sees(HEBREW, "#member-list")
    say(page, f"/kick {HEBREW} ({HEBREW})")
    page.sees("was removed", "#log .note")
    isolated = f"\u2068{HEBREW}\u2069"
    assert page.text("#log .note .text").startswith(f"{isolated} was removed by user")
    assert page.text("#log .note .text").endswith(f": \u2068({HEBREW})\u2069")
    assert page.js("getComputedStyle(document.querySelector('#log .note .text')).direction") == "ltr"
    say(page, f"/msg {HEBREW} hello")
    page.sees(HEBREW, "#title")
    assert page.js("document.getElementById('title').tagName") == "BDI"
    assert page.js("document.getElementById('line').placeholder") == f"Message to {isolated}"


ATTEMPTS = {
    "a handshake": """const socket = new WebSocket(url.replace("http", "ws"));
      socket.onopen = () => tell("open"); socket.onerror = () => tell("refused");""",
    "a read": "fetch(url).then(() => tell('read'), () => tell('refused'))",
    "a blind read": "fetch(url, { mode: 'no-cors' }).then(() => tell('read'), () => tell('refused'))",
    "a POST": "fetch(url, { method: 'POST', body: 'NICK x' }).then(() => tell('sent'), () => tell('refused'))",
    "a blind POST": """fetch(url, { method: "POST", mode: "no-cors", body: "NICK x" })
      .then(() => tell("sent"), () => tell("refused"))""",
    "a frame": """const frame = document.createElement("iframe");
      frame.onload = () => tell("refused"); frame.src = url; document.body.append(frame);""",
}
"""What a page tries, and what it tells of it. A frame tells nothing but its end; what the browser reports counts."""


def test_a_page_of_another_origin_gets_nothing(stage: Stage) -> None:
    """(W4, W10) The other site is this server under another name, without the page: nothing else stands between."""
    tab = stage.browser.tab(stage.url.replace("127.0.0.1", "localhost") + "healthz")
    try:
        assert tab.text().strip() == "ok"
        for attempt, script in ATTEMPTS.items():
            told = tab.js(f"new Promise((tell) => {{ const url = '{stage.url}'; {script} }})")
            assert told == "refused", attempt
        assert any("violatedDirective': 'frame-ancestors" in str(event) for event in tab.events)
        assert " refused-origin 0" not in stage.operate("status"), "the handshake came so far"
    finally:
        tab.close()
