"""What all talks share."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ui.dialects.base
from dialects.mailbox import GREETING
from harness.processes import ROOT
from settings import Settings
from ui.dialects import TALKS, recognised
from ui.dialects.base import CHOICES_SHOWN, LONGEST_NAME, NAMES_KEPT, REPETITIONS, Names, Talk
from ui.dialects.mailbox import MailboxTalk
from ui.dialects.result import ResultTalk
from ui.dialects.slash import complete


def test_a_login_is_repeated_each_second_and_then_more_slowly_until_the_server_must_have_noticed() -> None:
    assert set(REPETITIONS[:15]) == {1}
    assert all(1 < pause <= 10 for pause in REPETITIONS[15:])
    assert sum(REPETITIONS) == Settings().keepalive_seconds + 5


def test_the_newest_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui.dialects.base, "NAMES_KEPT", 2)
    names = Names()
    names.add("amy", "bob", "amy", "cid")
    assert list(names) == ["amy", "cid"]


def test_what_cannot_be_a_name_is_not_kept() -> None:
    names = Names()
    names.add("x" * LONGEST_NAME, "y" * (LONGEST_NAME + 1))
    assert list(names) == ["x" * LONGEST_NAME]


FRAME = "[Server message (12:34:56)]"
LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("dialect", "lines"),
    [
        ("result", [f"RESULT JOIN {LONG} 1", f"RECV {LONG} {LONG} hi", f"RESULT CHANNELS {LONG}, {LONG}y"]),
        ("result", ["RESULT JOIN den 1", "RESULT USERS den " + ", ".join(f"n{number}" for number in range(100_000))]),
        ("result", [f"RECV n{number} c{number} hi" for number in range(20_000)]),
        ("hello", [f"HELLO {LONG}", f"DELIVERY {LONG} hi"]),
        ("mailbox", [f"{LONG}: hi", f"{LONG} sends: hi"]),
        ("rooms", [f"{FRAME} Welcome to the {LONG} channel, {LONG}.", f"{FRAME} {LONG} has joined the channel."]),
    ],
)
def test_whatever_a_server_says_the_line_being_typed_stays_quick(dialect: str, lines: list[str]) -> None:
    talk: Talk = TALKS[dialect]()
    talk.take_name("amy")
    talk.sent(talk.begun().send)
    for line in lines:
        talk.received(line)
    assert len(talk.prompt()) < 2 * LONGEST_NAME
    for text in ("", "@", "JOIN ", "/msg ", "/join "):
        _word, choices = complete(talk, text)
        assert len(choices) <= CHOICES_SHOWN
        assert all(len(choice) <= LONGEST_NAME + 2 for choice in choices)
    for names in vars(talk).values():
        assert not isinstance(names, Names) or len(list(names)) <= NAMES_KEPT


def test_of_many_choices_those_are_offered_that_have_in_common_what_all_have() -> None:
    talk = ResultTalk()
    for number in range(1000, 2000):
        talk.received(f"RECV bob den{number} hi")
    talk.received("RECV bob dew hi")
    choices = complete(talk, "JOIN ")[1]
    assert {"den1000", "dew"} <= set(choices)


@pytest.mark.parametrize("dialect", TALKS)
def test_a_talk_begins_with_a_hint_and_takes_no_bad_name(dialect: str) -> None:
    talk: Talk = TALKS[dialect]()
    assert talk.take_name("a b")
    assert talk.begun().hint.endswith("Ctrl-D ends.")
    assert not talk.begun().send
    assert not talk.done()
    assert talk.ready() == (talk.failure is not None)


@pytest.mark.parametrize("line", ["", "RESULT ERROR unknown type", "HELLO amy", f"RECV {GREETING}", f" {GREETING}"])
def test_a_server_that_says_something_else_first_is_not_recognised(line: str) -> None:
    assert recognised(line) is None


def test_a_mailbox_is_recognised_by_its_greeting() -> None:
    assert isinstance(recognised(GREETING), MailboxTalk)


@pytest.mark.parametrize("path", sorted((ROOT / "ui/dialects").glob("*.py")), ids=lambda path: path.name)
def test_talks_know_no_network_and_no_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & {"asyncio", "os", "prompt_toolkit", "socket", "sys", "threading", "time"}
