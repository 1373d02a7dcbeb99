"""The three files of the page, as they are written and as they are put together."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import pytest

from harness.processes import ROOT
from web.page import Parts

HTML, STYLE, SCRIPT = ((ROOT / "page" / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))


def test_the_page_is_small() -> None:
    assert sum(text.count("\n") for text in (HTML, STYLE, SCRIPT)) <= 1500
    assert len(Parts().put_together("Crosstalk", guests=True, registration="open").text.encode()) < 100_000


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML =", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc",
             ".style", "createContextualFragment", "DOMParser", "cssText", "import(", "fetch(", "XMLHttp"]
)  # fmt: skip
def test_nothing_makes_code_or_markup_of_text(word: str) -> None:
    """(W10)"""
    assert word not in SCRIPT


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    """(W10)"""
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", HTML)
    assert not re.search(r"""\son[a-z]+=|\sstyle=""", HTML)
    assert not re.search(r"url\(|@import", STYLE)
    assert not re.search(r"""["']https?://[a-z]""", SCRIPT)


def test_every_text_is_in_the_table_and_none_is_idle() -> None:
    table = SCRIPT[SCRIPT.index("const TEXTS") : SCRIPT.index("};\nconst say")]
    texts = set(re.findall(r'(?:^|[{,\s])([a-zA-Z]+): "', table))
    code = SCRIPT.replace(table, "")
    wanted = set(re.findall(r'data-(?:text|label)="(\w+)"', HTML))
    assert wanted <= texts
    assert {text for text in texts - wanted if f'"{text}"' not in code and not text.startswith("enter")} == set()
    assert set(re.findall(r'say\("(\w+)"', code)) <= texts
    words = re.sub(r"<(style|script|svg|noscript|title|h1)\b.*?</\1>|<[^>]*>", " ", HTML, flags=re.DOTALL)
    assert not re.search(r"\w", re.sub(r"\{\{\w+\}\}", "", words))


def test_the_policy_names_what_is_in_the_page() -> None:
    """(W10)"""
    page = Parts().put_together('The "Garden" <b>', guests=False, registration="closed")
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page.text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    policy = page.headers["Content-Security-Policy"]
    for kind, text in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    for rule in (
        "default-src 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "base-uri 'none'",
    ):
        assert rule in policy
    assert "<title>The &quot;Garden&quot; &lt;b&gt;</title>" in page.text
    assert 'data-guests="off" data-registration="closed"' in page.text
    assert "unsafe" not in policy


def test_a_title_may_be_any_text() -> None:
    """What stands for the other parts of the page is nothing special in it, nor is markup."""
    for title in ("/* page.js */ /* page.css */", "{{guests}} {{title}}", r"<b>&amp; \1 \g<0>"):
        text = Parts().put_together(title, guests=True, registration="open").text
        assert text.count(f"<title>{html.escape(title)}</title>") == 1
        assert text.count("<script") == 1


def test_another_page_has_another_tag() -> None:
    """(W10)"""
    one, same, other = (Parts().put_together(title, guests=True, registration="open") for title in ("a", "a", "b"))
    assert one.etag == same.etag != other.etag


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"page\.html"):
        Parts(str(tmp_path))
