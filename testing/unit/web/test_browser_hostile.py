"""The page in a headless Chromium: hostile texts, and pages of other sites."""

from __future__ import annotations

from support.page_stage import Stage, confirmed, reload, say

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
    assert page.js("document.title") != "owned"


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
