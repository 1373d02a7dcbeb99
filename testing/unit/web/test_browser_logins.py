"""The page in a headless Chromium: logins and tokens."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from harness.servers import ServerProcess
from support.certificates import Authority, need_openssl
from support.chromium import Tab
from support.page_stage import Stage, confirmed, find_channel, go_offline, go_online, log_in, reload, say


def test_a_wrong_password_is_told(stage: Stage) -> None:
    page = stage.tab()
    log_in(page, stage.account(), "wrong")
    page.sees("Name or password is wrong.", "#login-error")
    assert page.js("document.getElementById('app').hidden")
    page.click("#enter")
    page.wait("document.documentElement.dataset.phase === 'out' && document.activeElement.id === 'enter'")


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
    find_channel(page, "nest", "Make the channel #nest")
    say(page, "my own")
    confirmed(page, "my own")
    page.wait("localStorage.getItem('crosstalk-token')")
    reload(page)
    page.sees("my own", "#log")
    other = stage.tab(beside=page)
    other.sees("my own", "#log")
    assert "secret" not in page.js("JSON.stringify({...localStorage, ...sessionStorage})")


def test_the_password_is_forgotten_when_a_token_is_there(stage: Stage) -> None:
    """(W12)"""
    page = stage.page(stage.account())
    page.wait("sessionStorage.getItem('crosstalk-token')")
    assert page.js("document.getElementById('password').value") == ""


def register(page: Tab, name: str, code: str = "") -> None:
    page.click("#way-register")
    for field, text in (("#name", name), ("#password", name), ("#code", code)):
        if text:
            page.js(f"document.querySelector('{field}').value = ''")
            page.click(field)
            page.type(text)
    page.key("Enter")


VISIBLE = """["way-register", "way-guest", "code", "password"]
  .map((id) => document.getElementById(id).checkVisibility())"""


def test_the_form_asks_for_what_the_settings_need(stage: Stage) -> None:
    """(W10)"""
    code = stage.operate("invite 1h")[0].split()[0]
    stage.reload("registration invite")
    try:
        page = stage.tab()
        assert page.js(VISIBLE) == [True, False, False, True]
        page.click("#way-register")
        page.wait(VISIBLE, lambda found: found == [True, False, True, True])
        register(page, "invited", "wrong")
        page.sees("An invitation code is needed", "#login-error")
        assert not page.js("document.getElementById('login-page').hidden")
        register(page, "invited", code)
        page.wait("!document.getElementById('app').hidden")
        stage.reload("registration closed", "irc-guests on")
        page = stage.tab()
        assert page.js(VISIBLE) == [False, True, False, True]
        page.click("#way-guest")
        page.wait(VISIBLE, lambda found: found == [False, True, False, False])
        page = stage.tab()
        log_in(page, "nobody", "nothing")
        page.wait(
            "document.getElementById('login-error').textContent", lambda told: told == "Name or password is wrong."
        )
    finally:
        stage.reload()


ADDRESSES = {
    "Network.requestWillBeSent": lambda params: params["request"]["url"],
    "Network.webSocketCreated": lambda params: params["url"],
}


def test_no_secret_is_in_the_log_or_in_an_address(stage: Stage) -> None:
    """(W11) Nothing but the page and its WebSocket is asked for, either."""
    stage.reload("log-level debug")
    name, password, begin = stage.account("vault"), "c0rrect-horse", len(stage.server.log)
    with stage.server.peer() as peer:
        peer.ask(f"LOGIN {name} {name}", f"PASSWORD {name} {password}", "LOGOUT")
    page = stage.tab()
    log_in(page, name, password)
    page.sees("#vault", "#title")
    token = page.wait("JSON.parse(sessionStorage.getItem('crosstalk-token'))?.token")
    reload(page)
    page.sees("#vault", "#title")
    urls = {address(params) for kind, params in page.events if (address := ADDRESSES.get(kind))}
    assert urls == {stage.url, stage.url.replace("http", "ws")}
    stage.reload()
    log = "\n".join(stage.server.log[begin:])
    secrets = (password, token, *(b64encode(f"\0{name}\0{each}".encode()).decode() for each in (password, token)))
    assert "DEBUG connection=" in log
    assert [secret for secret in secrets if secret in log] == []


def test_https_brings_wss(tmp_path: Path, stage: Stage) -> None:
    """(W5)"""
    need_openssl()
    listens = ("listen 127.0.0.1:0 auto", "listen 127.0.0.1:0 web tls")
    with ServerProcess(tmp_path, *listens, *Authority(tmp_path).issue().directives, port=None) as server:
        with server.user("ann") as ann:
            ann.ask("CREATE safe", "JOIN safe")
        url = f"https://127.0.0.1:{server.ports[1]}/"
        stage.tabs.append(page := stage.browser.tab(url))
        log_in(page, "ann")
        page.sees("#safe", "#title")
        say(page, "sealed")
        confirmed(page, "sealed")
        assert [params["url"] for kind, params in page.events if kind == "Network.webSocketCreated"] == [
            url.replace("http", "ws")
        ]


def test_a_page_from_elsewhere_without_tls_says_so(stage: Stage) -> None:
    """(W3, W5) Above the password, where there is one. Under a name that is not the server's there is no page."""
    assert not stage.tab().js("document.getElementById('plain').checkVisibility()"), "on this machine nobody listens"
    stage.tabs.append(page := stage.browser.tab(stage.url.replace("127.0.0.1", "chat.example")))
    page.sees("This connection is not encrypted", "#plain")
    warning, password = (f"document.getElementById('{name}').getBoundingClientRect()" for name in ("plain", "password"))
    assert page.js(f"{warning}.bottom <= {password}.top")
    page.click("#way-guest")
    page.wait("!document.getElementById('plain').checkVisibility()")
    page.click("#login input[value=login]")
    log_in(page, stage.account("dunes"))
    page.sees("#dunes", "#title")
    page.click("#menu")
    page.sees("allows no notifications here", "#notify")
    stage.tabs.append(page := stage.browser.tab(stage.url.replace("127.0.0.1", "evil.example")))
    assert page.text().startswith("This server is not known under that name.")


def test_whatever_is_wrong_leads_back_to_the_form(stage: Stage) -> None:
    page = stage.tab()
    page.click("#way-register")
    page.js(f"[document.getElementById('name').value, document.getElementById('password').value] = {['aj', CJK * 200]}")
    page.click("#enter")
    page.sees("too long", "#login-error")
    page.js(f"document.getElementById('password').value = {CJK * 100!r}")
    page.click("#enter")
    page.sees("You are aj", "#whoami")


def test_what_is_refused_has_the_focus(stage: Stage) -> None:
    page = stage.tab()
    for name, password, field in (
        *((name, "secret", "name") for name in ("", "a b", ":x", "x@y", "a,b", "x|41|")),
        ("ann", "", "password"),
    ):
        page.js(
            f"[document.getElementById('name').value, document.getElementById('password').value] = {[name, password]}"
        )
        page.click("#enter")
        page.wait(f"document.activeElement.id === '{field}' && document.getElementById('login-error').textContent")


def test_a_token_that_has_ended_leads_to_the_door(stage: Stage) -> None:
    """(W12)"""
    name = stage.account("porch")
    page = stage.page(name)
    page.wait("sessionStorage.getItem('crosstalk-token')")
    other = stage.tab(beside=page)
    assert not other.js("document.getElementById('login-page').hidden"), "a token of a tab is for that tab alone"
    other.call("Page.navigate", url="about:blank")
    page.sees("#porch", "#title")
    page.click("#line")
    page.type("for those of #porch")
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.sees("Not connected", "#network")
    stage.peers.append(stage.server.peer())
    while stage.peers[-1].ask(f"LOGIN {name} {name}") != ["RESULT LOGIN 1"]:
        pass  # the server still counts the page
    stage.peers[-1].send(f"PASSWORD {name} another")
    stage.peers[-1].expect("RESULT PASSWORD 1\n")
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.sees("Your login has ended", "#login-error")
    assert not page.js("sessionStorage.getItem('crosstalk-token')")
    assert page.js("document.getElementById('name').value") == name
    page.js("document.getElementById('name').value = ''")
    log_in(page, stage.account("pergola"))
    page.sees("#pergola", "#title")
    page.wait("document.getElementById('line').value === ''")


CJK = "\u540d"
"""A letter of three bytes."""

FORBIDDEN = """for (const area of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, area, { get() { throw new DOMException("no", "SecurityError"); } });"""


def test_a_browser_that_stores_nothing_is_good_enough(stage: Stage) -> None:
    """As with all site data forbidden: the page works, and keeps its login over a lost connection, but not a reload."""
    name = stage.account("shelf")
    stage.tabs.append(page := stage.browser.tab("about:blank"))
    page.call("Page.addScriptToEvaluateOnNewDocument", source=FORBIDDEN)
    page.call("Page.navigate", url=stage.url)
    page.wait("document.readyState === 'complete'")
    log_in(page, name)
    page.sees("#shelf", "#title")
    go_offline(page)
    page.sees("Not connected", "#network")
    go_online(page)
    page.wait("document.getElementById('network').textContent", lambda text: text == "")
    say(page, "still in")
    confirmed(page, "still in")
