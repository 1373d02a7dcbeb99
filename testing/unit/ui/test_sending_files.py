"""ui/transfers.py: files that go, and files that pass both ways."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.rooms import GUEST_WORDS, MessageFormatter
from domain.events import FileCancelled, FileEnded, FileOffered, FilePiece, FileWanted, SendFile
from support.client_files import Side, encoded, names, offered
from support.examples import EXAMPLES
from text import clean, shown_path
from ui import transfers
from ui.dialects.rooms import interpret
from ui.files import (
    RECEIVED,
    is_used,
)
from ui.transfers import FILE_LINES, OFFERS_KEPT, FileTransfers


def test_a_file_goes_piece_by_piece_as_it_is_asked_for(side: Side, here: Path) -> None:
    offered(side, here)
    assert side.took() == []
    assert side.transfers.progress() == "a.txt [----------] 0 %"
    side.hear("/more 1 2")
    assert side.took() == [f"/piece 1 {encoded(b'12')}", f"/piece 1 {encoded(b'34')}"]
    assert side.transfers.progress() == "a.txt [########--] 80 %"
    side.hear("/more 1 1")
    assert side.took() == [f"/piece 1 {encoded(b'5')}", "/end 1"]
    side.hear("/more 1 1")
    assert side.took() == []
    assert side.transfers.progress() == "a.txt [##########] 100 %"
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
    assert side.transfers.progress() == "a.txt [##########] 100 %"
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
