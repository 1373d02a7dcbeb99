"""docs/promises.md: what it names exists."""

from __future__ import annotations

import re

from harness.processes import ROOT

DOCUMENT = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [line for line in DOCUMENT.split("## Measured")[0].splitlines() if re.match(r"\| [A-Z`]", line)]


def test_each_promise_names_its_tests_and_they_exist() -> None:
    assert len(ROWS) >= 15
    for row in ROWS:
        cells = row.strip("| ").split(" | ")
        named = re.findall(r"`([a-z_/*]+\.(?:py|txt)|testing/[a-z_/]+/)`", cells[1])
        assert named or "PROTOCOL.md" in cells[1], row
        directory = ROOT
        for name in named:  # a bare name is in the directory of the one before
            path = ROOT / name if "/" in name else directory / name
            assert [*path.parent.glob(path.name)], name
            directory = path.parent


def test_the_words_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = set(re.findall(r"`make ([a-z]+)", DOCUMENT))
    assert {"kill", "soak", "chaos"} <= words
    for word in words:
        assert re.search(rf"^{word}: ", makefile, re.MULTILINE), word
