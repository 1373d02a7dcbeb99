"""ui/transfers.py: files that come: consent, limits, names, and what may fail."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.client_files import Side, encoded, names, offered
from text import clean
from ui import files, transfers
from ui.transfers import FILE_COST, MAX_OFFERS, MAX_RUNNING, NO_OFFER, TOO_MUCH


def test_a_file_comes(side: Side, here: Path) -> None:
    assert side.hear("/file 7 5 ann a.txt") == []
    assert side.took() == ["/ready 7"]
    assert side.hear(f"/piece 7 {encoded(b'123')}") == []
    (hidden,) = names(here)
    assert hidden.startswith(".a.txt.part-")
    assert stat.S_IMODE((here / hidden).stat().st_mode) == 0o600
    assert side.transfers.progress() == "a.txt [######----] 60 %"
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
    assert side.transfers.received() == ["offered: a.py from ann, 5 bytes"]
    assert side.hear(f"/piece 1 {encoded(b'12345')}", "/end 1") == side.took() == names(here) == []
    assert side.transfers.accept() == ""
    assert side.took() == ["/ready 1"]
    assert side.transfers.progress() == "a.py [----------] 0 %"
    assert side.transfers.received() == ["on its way: a.py, 5 bytes"]
    assert side.hear(f"/piece 1 {encoded(b'12345')}", "/end 1") == [
        "Received: a.py from ann, 5 bytes. It is called received/a.py.received here."
    ]
    assert side.transfers.received() == ["received: a.py from ann, 5 bytes. It is called received/a.py.received here."]
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
    assert side.transfers.progress() == "2 files [##--------] 20 %"
    assert side.transfers.close() == [
        "Not sent: a.txt to bob: the connection is over.",
        "Not received: b from ann: the connection is over.",
    ]
    assert names(here) == ["a.txt"]
    assert side.transfers.close() == []


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
