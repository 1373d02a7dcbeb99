"""The page in a headless Chromium: hostile texts, and pages of other sites."""

from __future__ import annotations

from support.page_stage import Stage

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
