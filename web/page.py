"""The page: one document of three files, and the headers that keep it safe (W10)."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from typing import NamedTuple

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "page")

STYLE, SCRIPT, TITLE = "/* page.css */", "/* page.js */", "{{title}}"
"""What stands in page.html where the other files and the title belong."""

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Sent with every answer."""


class Page(NamedTuple):
    """The document and its headers.

    Attributes:
        text: of the document.
        headers: that belong to it, and to the answer that it has not changed.
        etag: names this version of it.
    """

    text: str
    headers: dict[str, str]
    etag: str


class Parts:
    """The three files, as they were when the server started.

    Args:
        directory: where they are.

    Raises:
        OSError: a file cannot be read.
    """

    def __init__(self, directory: str = DIRECTORY) -> None:
        self._document, self._style, self._script = (
            _read(directory, name) for name in ("page.html", "page.css", "page.js")
        )

    def put_together(self, title: str, *, guests: bool, registration: str) -> Page:
        """Return the page.

        Args:
            title: of the page, from the setting web-title.
            guests: whether one may look in without an account.
            registration: who may make an account: `open`, `invite` (with an invitation code) or `closed`.
        """
        style, script = self._style, self._script
        marks = {
            STYLE: style,
            SCRIPT: script,
            TITLE: html.escape(title),
            "{{guests}}": "on" if guests else "off",
            "{{registration}}": registration,
        }
        text = re.sub("|".join(map(re.escape, marks)), lambda mark: marks[mark[0]], self._document)
        policy = (
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; connect-src 'self';"
            " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
            " require-trusted-types-for 'script'; trusted-types 'none'"
        )
        etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        return Page(text, {"Content-Security-Policy": policy, "Cache-Control": "no-cache", "ETag": etag}, etag)


def _read(directory: str, name: str) -> str:
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return file.read()


def _hash(text: str) -> str:
    """Return the hash of an inline script or style, as the policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
