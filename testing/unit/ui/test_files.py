"""The client's files: what is sent and received, without a server."""

from __future__ import annotations

import base64
import errno
import itertools
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialects.rooms import GUEST_WORDS, MessageFormatter
from domain.events import FileCancelled, FileEnded, FileOffered, FilePiece, FileWanted, SendFile
from support.examples import EXAMPLES
from text import clean, shown_path
from ui import files, transfers
from ui.dialects.rooms import interpret
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
from ui.options import MAX_RECEIVED
from ui.transfers import FILE_COST, FILE_LINES, MAX_OFFERS, MAX_RUNNING, NO_OFFER, OFFERS_KEPT, TOO_MUCH, FileTransfers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Side:
    """File transfers and the lines that they have sent."""

    def __init__(self, *, ask_first: bool = False, max_bytes: int = MAX_RECEIVED) -> None:
        self.sent: list[str] = []
        self.transfers = FileTransfers(self.sent.append, ask_first=ask_first, max_bytes=max_bytes)

    def offer(self, user: str, path: str) -> str:
        return self.transfers.offer(f"/send {user} {shown_path(path)}", path)

    def hear(self, *lines: str) -> list[str]:
        """Have it take lines; return its notes."""
        notes = []
        for line in lines:
            note = self.transfers.handle_line(line)
            assert note is not None, line
            notes += [note] if note else []
        return notes

    def took(self) -> list[str]:
        """What it has sent since the last time."""
        sent, self.sent[:] = self.sent[:], []
        return sent


@pytest.fixture
def side() -> Side:
    return Side()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# ---- names ----


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


# ---- the door ----


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


# ---- files that go ----


def offered(side: Side, here: Path, data: bytes = b"12345", piece: int = 2) -> Path:
    """Have a file offered to bob and accepted; it has the number 1."""
    path = here / "a.txt"
    path.write_bytes(data)
    assert side.offer("bob", "a.txt") == f"/send bob a.txt {len(data)}"
    assert side.hear(f"/sending 1 {piece} bob a.txt") == []
    return path


def test_a_file_goes_piece_by_piece_as_it_is_asked_for(side: Side, here: Path) -> None:
    offered(side, here)
    assert side.took() == []
    assert side.transfers.progress() == "a.txt 0 %"
    side.hear("/more 1 2")
    assert side.took() == [f"/piece 1 {encoded(b'12')}", f"/piece 1 {encoded(b'34')}"]
    assert side.transfers.progress() == "a.txt 80 %"
    side.hear("/more 1 1")
    assert side.took() == [f"/piece 1 {encoded(b'5')}", "/end 1"]
    side.hear("/more 1 1")
    assert side.took() == []
    assert side.transfers.progress() == "a.txt 100 %"
    assert side.transfers.handle_line("[Server message (12:34:56)] You sent a.txt to bob.") is None
    assert side.transfers.progress() == ""
    assert side.hear("/cancel 1") == side.transfers.close() == []


def test_a_path_has_no_blanks_but_may_have_other_spaces(side: Side, here: Path) -> None:
    (here / "a\u00a0b").write_bytes(b"12345")
    side.offer("bob", "a\u00a0b")
    side.hear("/sending 1 9 bob a\u00a0b", "/more 1 1")
    assert side.took() == [f"/piece 1 {encoded(b'12345')}", "/end 1"]
    side.transfers.handle_line("[Server message (12:34:56)] You sent a\u00a0b to bob.")
    assert not side.transfers.close()


def test_an_empty_file_goes_when_it_is_asked_for(side: Side, here: Path) -> None:
    offered(side, here, b"")
    assert side.transfers.progress() == "a.txt 100 %"
    side.hear("/more 1 8")
    assert side.took() == ["/end 1"]


def test_a_file_that_is_not_there_is_offered_as_such(side: Side, here: Path) -> None:
    assert side.offer("bob", "nothing") == "/send bob nothing -"
    assert side.hear("/sending 1 6000 bob nothing") == []
    assert side.took() == ["/cancel 1"]


@pytest.mark.parametrize(
    "line", ["/sending 1 6000 bob secret", "/sending 1 6000 eve a.txt", "/sending 1 0 bob a.txt", "/sending 2 9 a b"]
)
def test_what_was_not_offered_does_not_go(side: Side, here: Path, line: str) -> None:
    (here / "secret").write_text("hush")
    (here / "a.txt").write_text("1")
    side.offer("bob", "a.txt")
    assert side.hear(line) == []
    assert side.took() == [f"/cancel {line.split()[1]}"]
    side.hear(f"/more {line.split()[1]} 8")
    assert side.took() == []


def test_only_the_newest_offers_stand(side: Side, here: Path) -> None:
    (here / "a").touch()
    for number in range(OFFERS_KEPT + 1):
        side.offer(f"user{number}", "a")
    side.hear("/sending 1 9 user0 a", "/sending 2 9 user1 a", "/more 2 1")
    assert side.took() == ["/cancel 1", "/end 2"]


def test_an_offer_is_for_one_file(side: Side, here: Path) -> None:
    (here / "a").touch()
    side.offer("bob", "a")
    side.offer("bob", "a")
    side.hear("/sending 1 9 bob a", "/sending 2 9 bob a", "/sending 3 9 bob a")
    assert side.took() == ["/cancel 3"]


@pytest.mark.parametrize("name", [b"a\xff\xfe.txt", "a\u200e\u200f.txt".encode(), b"\xff", "\u200b".encode()])
def test_a_file_of_any_name_can_be_sent(side: Side, here: Path, name: bytes) -> None:
    path = os.fsdecode(name)
    (here / path).write_bytes(b"12345")
    parsed = interpret(f"/send bob {path}")
    line = side.transfers.offer(parsed.send, parsed.offer)
    _verb, _user, shown, size = line.split(" ")
    assert (shown_path(shown), size) == (shown, "5")
    side.hear(f"/sending 1 9 bob {shown}", "/more 1 1")
    assert side.took() == [f"/piece 1 {encoded(b'12345')}", "/end 1"]


def test_what_was_not_taken_is_told_once(side: Side, here: Path) -> None:
    (here / "a").touch()
    for number in (1, 2, 3):
        side.offer("bob", "a")
        side.hear(f"/sending {number} 9 bob a")
    assert side.transfers.handle_line("[Server message (12:34:56)] bob did not take a.") is None
    assert side.hear("/cancel 2") == []
    assert side.transfers.failed
    assert side.hear("/cancel 1") == ["Not sent: a to bob: it was cancelled."]
    side.hear("/more 3 1")
    assert side.took() == ["/end 3"]


def test_a_number_is_given_once(side: Side, here: Path) -> None:
    offered(side, here)
    assert side.hear("/sending 1 2 bob a.txt") == [
        "Not sent: a.txt to bob: the server has asked for what was not offered."
    ]
    assert side.took() == ["/cancel 1"]


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"6")


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lengthen, "it has changed meanwhile"),
        (lambda path: path.write_bytes(b"1"), "it has changed meanwhile"),
        (os.unlink, "No such file or directory"),
        (lambda path: path.unlink() or path.mkdir(), "it is not a regular file"),
    ],
)
def test_a_file_that_changes_before_it_goes(side: Side, here: Path, change: Callable[[Path], object], why: str) -> None:
    (here / "a.txt").write_bytes(b"12345")
    side.offer("bob", "a.txt")
    change(here / "a.txt")
    assert side.hear("/sending 1 2 bob a.txt") == [f"Not sent: a.txt to bob: {why}."]
    assert side.took() == ["/cancel 1"]
    assert side.hear("/cancel 1") == []


@pytest.mark.parametrize("change", [lengthen, lambda path: os.truncate(path, 1), touch])
def test_a_file_that_changes_while_it_goes(side: Side, here: Path, change: Callable[[Path], object]) -> None:
    path = offered(side, here)
    side.hear("/more 1 1")
    change(path)
    assert side.hear("/more 1 8") == ["Not sent: a.txt to bob: it has changed meanwhile."]
    sent = side.took()
    assert sent[-1] == "/cancel 1"
    assert "/end 1" not in sent


def test_a_file_goes_no_further_when_it_is_cancelled(side: Side, here: Path) -> None:
    offered(side, here)
    assert side.hear("/cancel 1") == ["Not sent: a.txt to bob: it was cancelled."]
    side.hear("/more 1 8")
    assert side.took() == []


def test_a_server_cannot_make_us_read_much_at_once(side: Side, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "MAX_PIECE", 3)
    monkeypatch.setattr(transfers, "MAX_PIECES", 2)
    offered(side, here, b"x" * 100, 10**9)
    side.hear("/more 1 999999999")
    assert side.took() == [f"/piece 1 {encoded(b'xxx')}"] * 2


# ---- files that come ----


def test_a_file_comes(side: Side, here: Path) -> None:
    assert side.hear("/file 7 5 ann a.txt") == []
    assert side.took() == ["/ready 7"]
    assert side.hear(f"/piece 7 {encoded(b'123')}") == []
    (hidden,) = names(here)
    assert hidden.startswith(".a.txt.part-")
    assert stat.S_IMODE((here / hidden).stat().st_mode) == 0o600
    assert side.transfers.progress() == "a.txt 60 %"
    assert side.hear(f"/piece 7 {encoded(bytes([0, 255]))}") == []
    assert names(here) == [hidden]
    assert side.hear("/end 7") == ["Received: a.txt from ann, 5 bytes."]
    assert side.took() == ["/landed 7"]
    assert names(here) == ["a.txt"]
    assert (here / "a.txt").read_bytes() == b"123\x00\xff"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((here / "a.txt").stat().st_mode) == 0o666 & ~umask
    assert side.transfers.progress() == ""


def receive(side: Side, name: str, number: int = 1) -> list[str]:
    """Have an empty file come."""
    return side.hear(f"/file {number} 0 ann {name}", f"/end {number}")


@pytest.mark.parametrize("hard_links", [True, False])
def test_no_file_is_replaced(side: Side, here: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool) -> None:
    def refuse(*_names: str, **_directories: int) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    (here / "a.txt").write_text("old")
    (here / "a-1.txt").symlink_to("elsewhere")
    (here / "a-2.txt").mkdir()
    assert receive(side, "a.txt") == ["Received: a.txt from ann, 0 bytes. It is called a-3.txt here."]
    assert receive(side, "b/../../a.txt") == ["Received: b/../../a.txt from ann, 0 bytes. It is called a-4.txt here."]
    assert receive(side, "b.txt") == ["Received: b.txt from ann, 0 bytes."]
    assert names(here) == ["a-1.txt", "a-2.txt", "a-3.txt", "a-4.txt", "a.txt", "b.txt"]
    assert (here / "a.txt").read_text() == "old"
    assert not (here / "elsewhere").exists()


def test_a_name_that_was_there_when_the_file_began_is_no_hindrance_later(side: Side, here: Path) -> None:
    side.hear("/file 1 0 ann a", "/file 2 0 bob a")
    assert side.hear("/end 2") == ["Received: a from bob, 0 bytes."]
    assert side.hear("/end 1") == ["Received: a from ann, 0 bytes. It is called a-1 here."]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["/cancel 1"], "it was cancelled"),
        (["/end 1"], "a part of it is missing"),
        ([f"/piece 1 {encoded(b'1234')}", "/end 1"], "a part of it is missing"),
        ([f"/piece 1 {encoded(b'123456')}"], "more of it comes than was said"),
        (["/piece 1 ????"], "a piece of it is damaged"),
        (["/piece 1 AAA"], "a piece of it is damaged"),
        (["/piece 1 \u00e9"], "a piece of it is damaged"),
        (["/file 1 9 eve b"], "the server has sent two files as one"),
    ],
)
def test_nothing_stays_of_a_file_that_fails(side: Side, here: Path, lines: list[str], why: str) -> None:
    side.hear("/file 1 5 ann a.txt")
    assert side.took() == ["/ready 1"]
    assert side.hear(*lines) == [f"Not received: a.txt from ann: {why}."]
    assert side.took() == ([] if "cancelled" in why else ["/cancel 1"])
    assert names(here) == []
    assert side.hear(f"/piece 1 {encoded(b'1')}", "/end 1", "/cancel 1") == side.took() == []


def test_a_full_disk_ends_a_file(side: Side, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    side.hear("/file 1 5 ann a.txt")
    monkeypatch.setattr(files, "write_all", fail)
    assert side.hear(f"/piece 1 {encoded(b'1')}") == ["Not received: a.txt from ann: No space left on device."]
    assert side.took() == ["/ready 1", "/cancel 1"]
    assert names(here) == []


def test_a_directory_in_which_nothing_can_be_written(side: Side, here: Path) -> None:
    (here / "gone").mkdir()
    os.chdir("gone")
    os.rmdir(here / "gone")
    assert side.hear("/file 1 0 ann a.txt", "/end 1") == ["Not received: a.txt from ann: No such file or directory."]
    assert side.took() == ["/ready 1", "/cancel 1"]


def test_a_file_system_without_hard_links_fails(side: Side, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_names: str, **_directories: int) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(os, "replace", fail)
    assert receive(side, "a") == ["Not received: a from ann: Operation not permitted."]
    assert names(here) == []


def test_a_link_that_fails_for_another_reason_ends_a_file(
    side: Side, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_names: str, **_directories: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    assert receive(side, "a") == ["Not received: a from ann: Input/output error."]
    assert names(here) == []


@pytest.mark.usefixtures("here")
def test_a_name_that_the_system_cannot_write(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "safe_name", lambda name: f"{name}\udc80\ud800")
    assert receive(side, "a") == ["Not received: a from ann: that cannot be a file's name here."]


def test_a_name_that_programs_look_for_is_told(side: Side, here: Path) -> None:
    assert receive(side, ".bashrc") == ["Received: .bashrc from ann, 0 bytes. It is called bashrc.received here."]
    assert receive(side, "a.py") == ["Received: a.py from ann, 0 bytes. It is called a.py.received here."]
    assert receive(side, "a.py") == ["Received: a.py from ann, 0 bytes. It is called a.py-1.received here."]
    assert names(here) == ["a.py-1.received", "a.py.received", "bashrc.received"]


def test_a_longest_name_of_any_kind_can_be_stored(side: Side, here: Path) -> None:
    for name in ("." + "x" * 400 + ".py", "\u7b14" * 400, "\U0001f600" * 9999 + ".sqlite3"):
        for number in (1, 2):
            assert receive(side, name, number)[0].startswith("Received: ")
    assert len(names(here)) == 6


def test_many_files_of_one_name(side: Side, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "NUMBERED", 3)
    for _ in range(9):
        assert receive(side, "a")[0].startswith("Received: ")
    assert len(names(here)) == 9
    monkeypatch.setattr(os, "urandom", lambda count: bytes(count))
    assert receive(side, "a")[0].startswith("Received: ")
    assert receive(side, "a") == ["Not received: a from ann: there are too many files of this name."]
    assert len(names(here)) == 10


# ---- what a server or many senders can do ----


def test_all_files_together_have_a_limit(here: Path) -> None:
    """F14."""
    side = Side(max_bytes=2 * FILE_COST + 10)
    assert side.hear(f"/file 1 {FILE_COST + 11} ann a") == [f"Not received: a from ann: {TOO_MUCH}."]
    assert receive(side, "b") == ["Received: b from ann, 0 bytes."]
    side.took()
    side.hear("/file 2 10 ann c", f"/piece 2 {encoded(b'1' * 10)}")
    assert side.hear("/file 3 0 ann d") == [f"Not received: d from ann: {TOO_MUCH}."]
    side.hear("/cancel 2", "/file 4 0 ann e")
    assert receive(side, "f", 5) == ["Received: f from ann, 0 bytes."]
    assert side.hear("/end 4") == [f"Not received: e from ann: {TOO_MUCH}."]
    assert names(here) == ["b", "f"]


def test_what_does_not_come_takes_no_room_from_others(here: Path) -> None:
    side = Side(max_bytes=2 * FILE_COST + 10)
    side.hear(*(f"/file {number} 10 s{number} a" for number in range(20)))
    assert side.took() == [f"/ready {number}" for number in range(20)]
    assert side.hear(f"/piece 19 {encoded(b'1' * 9)}", f"/piece 3 {encoded(b'1')}") == []
    assert side.hear(f"/piece 3 {encoded(b'1')}") == [f"Not received: a from s3: {TOO_MUCH}."]
    assert side.hear(f"/piece 19 {encoded(b'1')}", "/end 19") == ["Received: a from s19, 10 bytes."]


def test_too_much_is_not_offered_to_the_user(here: Path) -> None:
    side = Side(ask_first=True, max_bytes=2 * FILE_COST)
    side.hear(f"/file 1 {FILE_COST} ann a", "/file 2 5 bob b")
    assert side.hear(f"/file 3 {FILE_COST + 1} ann c") == [f"Not received: c from ann: {TOO_MUCH}."]
    assert side.transfers.accept() == ""
    side.hear(f"/piece 1 {encoded(b'1' * FILE_COST)}", "/end 1")
    assert side.transfers.accept() == f"Not received: b from bob: {TOO_MUCH}."
    assert side.took() == ["/cancel 3", "/ready 1", "/landed 1", "/cancel 2"]
    assert side.transfers.accept() == NO_OFFER


@pytest.mark.parametrize("accepted", [True, False])
def test_a_number_is_offered_once(here: Path, accepted: bool) -> None:
    side = Side(ask_first=True)
    side.hear("/file 1 5 ann a")
    if accepted:
        side.transfers.accept()
    side.hear("/file 1 5 ann b")
    assert side.took()[-1] == "/cancel 1"
    assert side.transfers.accept() == NO_OFFER
    assert side.transfers.progress() == ""


def test_few_files_are_open_at_once(side: Side, here: Path) -> None:
    side.hear(*(f"/file {number} 5 ann a" for number in range(MAX_RUNNING + 2)))
    before = len(os.listdir("/dev/fd"))
    notes = side.hear(*(f"/piece {number} {encoded(b'1')}" for number in range(MAX_RUNNING + 1)))
    assert notes == ["Not received: a from ann: the server sends too many files at once."]
    assert len(os.listdir("/dev/fd")) == before + MAX_RUNNING == len(names(here)) + before
    side.hear("/cancel 0", f"/piece {MAX_RUNNING + 1} {encoded(b'1')}")
    side.transfers.close()
    assert len(os.listdir("/dev/fd")) == before
    assert names(here) == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("ask_first", [True, False])
def test_offers_without_end_are_declined(ask_first: bool) -> None:
    side = Side(ask_first=ask_first, max_bytes=MAX_OFFERS * 2 * FILE_COST)
    side.hear(*(f"/file {number} 5 s{number} {'a' * 5000}" for number in range(MAX_OFFERS)))
    side.took()
    assert side.hear("/file 9999 5 ann a") == ["Not received: a from ann: too many files are offered."]
    assert side.took() == ["/cancel 9999"]
    side.hear("/cancel 5")
    side.hear("/file 9999 5 ann a")
    assert side.took() == ([] if ask_first else ["/ready 9999"])


def test_what_is_shown_of_a_server_that_lies_is_bounded(here: Path) -> None:
    side = Side(ask_first=True)
    (note,) = side.hear(f"/file 1 5 {'u' * 10**6} {'a' * 10**6}\u202e\u200b")
    assert len(note) < 2000
    assert clean(note) == note


# ---- consent ----


def test_a_file_comes_when_it_is_accepted(here: Path) -> None:
    side = Side(ask_first=True)
    assert side.hear("/file 1 5 ann a.py") == [
        "ann offers a.py, 5 bytes: /accept ann puts it into received/, /decline ann does not."
    ]
    assert (side.took(), names(here), side.transfers.progress()) == ([], [], "")
    assert side.hear(f"/piece 1 {encoded(b'12345')}", "/end 1") == side.took() == names(here) == []
    assert side.transfers.accept() == ""
    assert side.took() == ["/ready 1"]
    assert side.transfers.progress() == "a.py 0 %"
    assert side.hear(f"/piece 1 {encoded(b'12345')}", "/end 1") == [
        "Received: a.py from ann, 5 bytes. It is called received/a.py.received here."
    ]
    assert (here / "received" / "a.py.received").read_bytes() == b"12345"
    assert stat.S_IMODE((here / "received").stat().st_mode) == 0o700
    assert (names(here), names(here / "received")) == (["received"], ["a.py.received"])
    assert side.transfers.accept() == side.transfers.decline() == NO_OFFER


def test_the_oldest_offer_is_meant_or_that_of_a_user(here: Path) -> None:
    side = Side(ask_first=True)
    side.hear("/file 1 5 ann a", "/file 2 5 bob b", "/file 3 5 ann c", "/file 4 5 bob d", "/file 5 5 ann e")
    assert side.transfers.accept("eve") == side.transfers.decline("eve") == NO_OFFER
    assert side.transfers.accept("bob") == ""
    assert side.transfers.decline("ann") == "Declined: a."
    assert side.transfers.accept() == ""
    assert side.transfers.decline() == "Declined: d."
    assert side.took() == ["/ready 2", "/cancel 1", "/ready 3", "/cancel 4"]
    assert side.hear("/cancel 1", "/cancel 4") == []
    assert side.hear("/cancel 5") == ["ann does not offer e any more."]
    assert side.transfers.accept() == NO_OFFER
    assert side.transfers.close() == [
        f"Not received: {name}: the connection is over." for name in ("b from bob", "c from ann")
    ]


def make_link(here: Path) -> None:
    (here / "elsewhere").mkdir()
    (here / "received").symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_link, "received: Not a directory"),
        (lambda here: (here / "received").symlink_to("nowhere"), "received: Not a directory"),
        (lambda here: (here / "received").touch(), "received: Not a directory"),
        (lambda here: os.mkfifo(here / "received"), "received: Not a directory"),
    ],
)  # fmt: skip
def test_what_is_called_like_our_directory_and_is_none(here: Path, make: Callable[[Path], object], why: str) -> None:
    make(here)
    side = Side(ask_first=True)
    side.hear("/file 1 0 ann a")
    assert side.transfers.accept() == f"Not accepted yet: a: {why}. Put that right, then /accept again."
    assert side.took() == []
    assert not (here / "elsewhere").exists() or names(here / "elsewhere") == []
    (here / "received").unlink()
    assert side.transfers.accept() == ""
    assert side.took() == ["/ready 1"]


def test_a_directory_that_becomes_a_link_meanwhile(here: Path) -> None:
    """F14."""
    side = Side(ask_first=True)
    side.hear("/file 1 0 ann a")
    assert side.transfers.accept() == ""
    (here / "received").rmdir()
    make_link(here)
    assert side.hear("/end 1") == ["Not received: a from ann: received: Not a directory."]
    assert names(here / "elsewhere") == []


def test_a_directory_of_somebody_else_is_not_used(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "received").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    side = Side(ask_first=True)
    side.hear("/file 1 0 ann a")
    why = "received belongs to somebody else. Put that right, then /accept again."
    assert side.transfers.accept() == f"Not accepted yet: a: {why}"


def test_a_directory_that_is_there_is_closed_to_others(here: Path) -> None:
    (here / "received").mkdir(mode=0o755)
    (here / "received" / "a").touch()
    side = Side(ask_first=True)
    side.hear("/file 1 0 ann a")
    side.transfers.accept()
    assert side.hear("/end 1") == ["Received: a from ann, 0 bytes. It is called received/a-1 here."]
    assert stat.S_IMODE((here / "received").stat().st_mode) == 0o700


def test_the_end_of_the_connection_ends_all(side: Side, here: Path) -> None:
    offered(side, here)
    side.hear("/file 2 5 ann b", f"/piece 2 {encoded(b'12')}")
    assert side.transfers.progress() == "2 files 20 %"
    assert side.transfers.close() == [
        "Not sent: a.txt to bob: the connection is over.",
        "Not received: b from ann: the connection is over.",
    ]
    assert names(here) == ["a.txt"]
    assert side.transfers.close() == []


# ---- both ----


def test_a_file_to_oneself(side: Side, here: Path) -> None:
    offered(side, here)
    side.hear("/file 1 5 bob a.txt", "/more 1 8")
    assert side.hear(*side.took()[1:]) == ["Received: a.txt from bob, 5 bytes. It is called a-1.txt here."]
    assert (here / "a-1.txt").read_bytes() == b"12345"
    side.offer("bob", "a.txt")
    side.hear("/file 2 5 bob a.txt", "/sending 2 2 bob a.txt")
    assert side.hear("/cancel 2") == [
        "Not sent: a.txt to bob: it was cancelled. Not received: a.txt from bob: it was cancelled."
    ]


@EXAMPLES
@given(data=st.binary(max_size=200), piece=st.integers(1, 50), turns=st.lists(st.integers(1, 9), min_size=1))
def test_what_comes_is_what_went(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, piece: int, turns: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        here = tmp_path_factory.mktemp("here")
        patch.chdir(here)
        ann, bob = Side(), Side()
        offered(ann, here, data, piece)
        bob.hear(f"/file 1 {len(data)} ann a.txt")
        wanted = itertools.cycle(turns)
        while "/landed 1" not in bob.sent:
            ann.hear(f"/more 1 {next(wanted)}")
            bob.hear(*ann.took())
        assert (here / "a-1.txt").read_bytes() == data
        assert names(here) == ["a-1.txt", "a.txt"]


def test_the_courier_knows_the_lines_of_the_server() -> None:
    events = [
        FileOffered(1, 5, "ann", "a"),
        SendFile(1, 6000, "bob", "a"),
        FileWanted(1, 8),
        FilePiece(1, "QQ=="),
        FileEnded(1),
        FileCancelled(1),
    ]
    lines = [
        GUEST_WORDS[type(event)](MessageFormatter(str), event).removesuffix("\n").split(" ", 1) for event in events
    ]
    assert [verb for verb, words in lines if re.fullmatch(FILE_LINES[verb].words, words)] == [verb for verb, _ in lines]
    assert {verb for verb, _words in lines} == set(FILE_LINES)


verbs = st.sampled_from([*FILE_LINES, "/", "/other", "[Server message (1)] You sent"])
word = st.sampled_from(["1", "2", "a", "../a", "", "-1", "9" * 30, "QUJD", "bob", "to", "bob.", "\u0661"]) | st.text(
    max_size=5
)


line = st.builds(lambda verb, rest: clean(" ".join([verb, *rest])), verbs, st.lists(word, max_size=5))
answer = st.sampled_from([FileTransfers.accept, FileTransfers.decline])


@EXAMPLES
@given(ask_first=st.booleans(), steps=st.lists(line | answer))
def test_no_line_does_harm(
    tmp_path_factory: pytest.TempPathFactory, ask_first: bool, steps: list[str | Callable[[FileTransfers], str]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        outside = tmp_path_factory.mktemp("outside")
        inside = outside / "inside"
        inside.mkdir()
        patch.chdir(inside)
        side = Side(ask_first=ask_first)
        for step in steps:
            if isinstance(step, str):
                side.transfers.handle_line(step)
            else:
                step(side.transfers)
        side.transfers.close()
        assert names(outside) == ["inside"]
        assert set(names(inside)) <= {RECEIVED} or not ask_first
        stored = names(inside / RECEIVED) if ask_first and names(inside) else names(inside)
        assert not any(name.startswith(".") or is_used(name) for name in stored)
        assert all(sent.split()[0] in ("/ready", "/landed", "/cancel") for sent in side.sent)


def test_a_signal_while_a_file_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.open

    def interrupted(path: Any, flags: int, *args: Any, **keywords: Any) -> int:
        descriptor = make(path, flags, *args, **keywords)
        if flags & os.O_CREAT:
            os.close(descriptor)
            raise KeyboardInterrupt
        return descriptor

    sink = files.Sink(str(tmp_path), "a.bin", 0o600)
    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sink.open()
    sink.close()
    assert [*tmp_path.iterdir()] == []
