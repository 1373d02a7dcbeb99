"""What all talks share."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import talks.talk
from client_support import ROOT
from config import Settings
from dialects.mailbox import GREETING
from talks import TALKS, recognised
from talks.mailbox import MailboxTalk
from talks.talk import REPETITIONS, Names, Talk


def test_a_login_is_repeated_each_second_and_then_more_slowly_until_the_server_must_have_noticed() -> None:
    assert set(REPETITIONS[:15]) == {1}
    assert all(1 < pause <= 10 for pause in REPETITIONS[15:])
    assert sum(REPETITIONS) == Settings().keepalive_seconds + 5


def test_the_newest_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks.talk, "NAMES_KEPT", 2)
    names = Names()
    names.add("amy", "bob", "amy", "cid")
    assert list(names) == ["amy", "cid"]


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


@pytest.mark.parametrize("path", sorted((ROOT / "talks").glob("*.py")), ids=lambda path: path.name)
def test_talks_know_no_network_and_no_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & {"asyncio", "os", "prompt_toolkit", "socket", "sys", "threading", "time"}
