"""ui/files.py: names that are made safe, and paths."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from text import clean, shown_path
from ui import files
from ui.files import (
    MAX_NAME,
    NUMBERED,
    RECEIVED,
    USED_ENDINGS,
    USED_NAMES,
    is_used,
    other_names,
    paths,
    safe_name,
    size_of,
)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("\u7b14\u8bb0.txt", "\u7b14\u8bb0.txt"),
        ("/etc/passwd", "passwd"),
        ("../../a", "a"),
        ("", "file"),
        (".", "file.received"),
        ("..", "file.received"),
        ("...", "file.received"),
        ("a/", "file"),
        ("a/..", "file.received"),
        ("\x00", "file"),
        ("a\x00b\x1b\n\u202etxt", "abtxt"),
        ("\x00.bashrc", "bashrc.received"),
        (".bashrc", "bashrc.received"),
        ("-.bashrc", "bashrc.received"),
        ("-rf", "rf"),
        ("~", "file"),
        ("a\tb", "a_b"),
        (" a  b\u00a0c\u3000 ", "a_b_c"),
        ("a\u200b\u2060.t\ufeffxt", "a.txt"),
        ("\u0301a\u3164\u2800\ue000\udcff\U000e0041", "a"),
        ("\u200b", "file"),
        ("e\u0301" + "\u0301" * 9, "e\u0301\u0301\u0301\u0301"),
        ("\U0001f468\u200d\U0001f467.png", "\U0001f468\u200d\U0001f467.png"),
        (RECEIVED, "received.received"),
        ("x" * 300, "x" * MAX_NAME),
        ("x" * 300 + ".tar", "x" * (MAX_NAME - 4) + ".tar"),
        ("\u00e9" * 200 + ".md", "\u00e9" * 98 + ".md"),
        ("a." + "x" * 300, "a." + "x" * (MAX_NAME - 2)),
    ],
)
def test_a_name_from_elsewhere_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@EXAMPLES
@given(st.text(st.sampled_from(list("ab/.-~\\ \x00\n\t\u202e\u00e9\U0001f600")) | st.characters(), max_size=300))
@example("." * 250 + "/" + "." * 250)
def test_any_name_is_made_safe(name: str) -> None:
    safe = safe_name(name)
    assert os.path.basename(safe) == safe == clean(safe)
    assert safe[0] not in ".-~"
    assert safe == shown_path(safe)
    assert 0 < len(safe.encode()) <= MAX_NAME + len(".received")
    assert not is_used(safe)
    assert len(safe.encode()) > MAX_NAME or safe_name(safe) == safe


USED = [
    *USED_ENDINGS,
    *(f"a{ending}" for ending in USED_ENDINGS),
    *USED_NAMES,
    "requirements.txt",
    "requirements-dev.txt",
]


@pytest.mark.parametrize(
    "name",
    [
        "crosstalk-5050.db-wal", "GNUmakefile", "pytest.ini", "readline.py", "CMakeLists.txt", "requirements/dev.TXT",
        "MAKEFILE", "a.Py", "a.PYC", "A.INI", "Makefile.", "a.py..", "a.p\u200by", "a.p\u202ey", "a.\x7fpy",
        "a.\uff30\uff39", "\uff4dakefile", "ma\u212aefile", "make\ufb01le", "a.\u017fo", "a.\u0130N\u0130",
        "a\uff0epy", "a\u2024py", "a\ufe63wal", "-Makefile", "~-a.py", "..Makefile", "\u200bMakefile",
        "x" * (MAX_NAME - 3) + ".py" + "x" * 40, "x" * 9999 + ".py", "a" + "\u0301" * 300 + ".py", "Makefile\u3000",
    ],
)  # fmt: skip
def test_what_a_program_would_use_is_not_called_so(name: str) -> None:
    """F13."""
    name = name.replace("requirements/dev", "requirements-dev")
    assert safe_name(name).endswith(".received")
    assert not is_used(safe_name(name))


@pytest.mark.parametrize(
    "name",
    ["a.txt", "a.pyx", "apy", "a.python", "a.db.gz", "Makefile.am", "wal", "a-wall", "package.json5", "requirement.txt",
     "my-requirements.txt", "conf", "a.toml_", "received.txt", "a.PNG", "\u0130.txt"],
)  # fmt: skip
def test_no_other_name_is_changed(name: str) -> None:
    assert safe_name(name) == name


@EXAMPLES
@given(st.sampled_from(USED), st.data())
def test_a_used_name_is_known_however_its_letters_are_written(name: str, data: st.DataObject) -> None:
    """F13."""
    forms = [
        data.draw(st.sampled_from([letter, letter.upper(), chr(ord(letter) + 0xFEE0), f"{letter}\u200b"]))
        for letter in name
    ]
    written = "".join(forms) + data.draw(st.sampled_from(["", ".", "..", " ", "\t\u3000\u200b", "\u00ad."]))
    assert safe_name(written).endswith(".received")


def test_names_that_are_like_a_name() -> None:
    several = other_names("a.tar.gz")
    assert [next(several) for _ in range(3)] == ["a.tar.gz", "a.tar-1.gz", "a.tar-2.gz"]
    drawn = list(several)[NUMBERED - 3 :]
    assert len(set(drawn)) == NUMBERED
    assert all(re.fullmatch(r"a\.tar-[0-9a-f]{12}\.gz", name) for name in drawn)


def test_a_name_is_looked_at_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def look(text: str) -> str:
        looked_at.append(len(text))
        return text

    monkeypatch.setattr(files, "shown_path", look)
    assert len(safe_name("\u0301" * 10**6)) <= MAX_NAME
    assert looked_at == [2 * files.MAX_NAME_READ]


@EXAMPLES
@given(st.text(max_size=60))
def test_what_is_shown_of_a_path_is_shown_so_again(path: str) -> None:
    """F12."""
    shown = shown_path(path)
    assert shown == shown_path(shown) == clean(shown) != ""


# ---- Source and Sink ----


def test_paths_that_begin_with_a_word(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("notes.txt", "note", "other", ".hidden", "two words", "bell\x07", "line\u2028s", "tab\ts"):
        (here / name).touch()
    (here / "nook").mkdir()
    (here / "nook" / "in").touch()
    assert paths("") == ["nook/", "note", "notes.txt", "other"]
    assert paths("no") == ["nook/", "note", "notes.txt"]
    assert paths(".h") == [".hidden"]
    assert paths("nook/") == ["nook/in"]
    assert paths(f"{here}/ot") == [f"{here}/other"]
    assert paths("nowhere/") == paths("\x00/") == []
    (here / "turned\u200f\u202e").touch()
    (here / os.fsdecode(b"turned-\xff")).touch()
    assert paths("turned") == ["turned-\udcff", "turned\u200f\u202e"]
    monkeypatch.setattr(files, "MAX_PATHS", 2)
    assert len(paths("")) == 2


def test_what_is_no_file_has_no_size(here: Path) -> None:
    (here / "empty").touch()
    (here / "five").write_bytes(b"12345")
    (here / "link").symlink_to("five")
    (here / "loose").symlink_to("nothing")
    os.mkfifo(here / "pipe")
    assert [size_of(path) for path in ("empty", "five", "link", "./five")] == [0, 5, 5, 5]
    for path in ("nothing", "loose", "pipe", ".", "/dev/null", "\x00", "five/", "x" * 300):
        assert size_of(path) is None, path
