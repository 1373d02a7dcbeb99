"""A headless Chromium, driven over its DevTools protocol. Each wait has a deadline."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

SECONDS = 60.0  # time-out of each step, on a loaded machine

PROGRAM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
"""The browser; None where there is none."""

WORDS = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--hide-scrollbars"]
WORDS += ["--lang=en-GB", "--disable-font-subpixel-positioning"]
WORDS += ["--host-resolver-rules=MAP *.example 127.0.0.1"]
KEY_NAMES = ["Enter", "Tab", "Escape", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "a", "k"]
KEYS = dict(zip(KEY_NAMES, (13, 9, 27, 38, 40, 33, 34, 65, 75), strict=True))
ALT, CONTROL = 1, 2

MIDDLE = """new Promise((tell) => requestAnimationFrame(() => {  // when all that has changed is drawn
  const box = ((node) => (node?.scrollIntoView({ block: "nearest" }), node?.getBoundingClientRect()))(%s);
  tell(box?.width ? [box.x + box.width / 2, box.y + box.height / 2] : null);
}))"""


class Chromium:
    """A browser; `directory` is for its files."""

    def __init__(self, directory: Path) -> None:
        words = [str(PROGRAM), *WORDS, f"--user-data-dir={directory}"]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
        told = (re.search(r"listening on (ws://\S+)", line) for line in self._process.stderr or ())
        url = next(filter(None, told))[1]
        self._open = contextlib.ExitStack()
        self._link = self._open.enter_context(
            connect(url, max_size=None, proxy=None, compression=None, ping_interval=None)
        )
        self._calls = 0
        self._tabs: dict[str, Tab] = {}

    def call(self, method: str, session: str = "", **params: Any) -> Any:
        """Call a method of the protocol; return its result."""
        self._calls += 1
        to = {"sessionId": session} if session else {}
        self._link.send(json.dumps({"id": self._calls, "method": method, "params": params, **to}))
        until = time.monotonic() + SECONDS
        while (answer := json.loads(self._link.recv(until - time.monotonic()))).get("id") != self._calls:
            if (tab := self._tabs.get(answer.get("sessionId", ""))) is not None:
                tab.events.append((answer["method"], answer["params"]))
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def tab(self, url: str, *, beside: Tab | None = None, **screen: Any) -> Tab:
        """Open a page on a screen as for `Tab.size`; beside another one it shares what that one's site has stored."""
        context = beside.context if beside else self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session, target, context)
        for domain in ("Page", "Runtime", "Network", "Accessibility", "Audits"):
            tab.call(f"{domain}.enable")
        tab.size(**screen)
        tab.call("Security.setIgnoreCertificateErrors", ignore=True)  # those of tests are nobody's
        tab.call("Page.navigate", url=url)
        tab.wait("document.readyState === 'complete'")
        return tab

    def close(self) -> None:
        self._open.close()
        os.killpg(self._process.pid, signal.SIGKILL)  # its children, too
        self._process.communicate()


class Tab:
    """A page that is open. `events`: what the browser has reported of it, each with its name."""

    def __init__(self, browser: Chromium, session: str, target: str, context: str) -> None:
        self._browser, self._session, self._target, self.context = browser, session, target, context
        self.events: list[tuple[str, Any]] = []

    def call(self, method: str, **params: Any) -> Any:
        return self._browser.call(method, self._session, **params)

    def js(self, expression: str) -> Any:
        """Return the value of an expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str, fits: Callable[[Any], bool] = bool) -> Any:
        """Wait until the value of an expression fits; return it."""
        until = time.monotonic() + SECONDS
        while not fits(value := self.js(expression)):
            assert time.monotonic() < until, f"{expression} is {value!r}; {self.events[-3:]}; {self.text()}"
            time.sleep(0.02)
        return value

    def text(self, selector: str = "body") -> str:
        return str(self.js(f"document.querySelector({selector!r})?.innerText ?? ''"))

    def sees(self, text: str, selector: str = "body") -> None:
        """Wait until an element shows a text."""
        self.wait(f"(document.querySelector({selector!r})?.innerText ?? '').includes({json.dumps(text)})")

    def click(self, selector: str) -> None:
        """Click into the middle of an element, or tap it, once it is there."""
        x, y = self.wait(MIDDLE % f"document.querySelector({json.dumps(selector)})")
        if self._has_touch:
            self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
            self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def key(self, name: str, modifiers: int = 0) -> None:
        text, code = ("\r" if name == "Enter" else ""), (f"Key{name.upper()}" if len(name) == 1 else name)
        common = {"key": name, "code": code, "windowsVirtualKeyCode": KEYS[name], "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int = 1440, height: int = 900, factor: float = 1, *, touch: bool = False) -> None:
        """Set the screen, in CSS pixels. With `touch` it is a telephone's, where a click is a tap."""
        screen = {"width": width, "height": height, "deviceScaleFactor": factor, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._has_touch = touch

    def media(self, **features: str) -> None:
        """Emulate media features: `prefers_color_scheme="dark"`."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def shot(self, path: Path) -> None:
        """Take a picture of what is on the screen."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)
