"""What all the client's dialects share."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ui.dialects.base
from dialects.mailbox import GREETING
from harness.processes import ROOT
from settings import Settings
from ui.dialects import DIALECTS, recognise_greeting
from ui.dialects.base import CHOICES_SHOWN, LOGIN_RETRY_SECONDS, NAMES_KEPT, PROBE, ClientDialect, Names
from ui.dialects.mailbox import MailboxClient
from ui.dialects.result import ResultClient
from ui.dialects.slash import complete
from ui.rendering import MAX_NAME_SHOWN


def test_a_login_is_repeated_each_second_and_then_more_slowly_until_the_server_must_have_noticed() -> None:
    assert set(LOGIN_RETRY_SECONDS[:15]) == {1}
    assert all(1 < pause <= 10 for pause in LOGIN_RETRY_SECONDS[15:])
    assert sum(LOGIN_RETRY_SECONDS) == Settings().keepalive_seconds + 5


def test_the_newest_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui.dialects.base, "NAMES_KEPT", 2)
    names = Names()
    names.add("amy", "bob", "amy", "cid")
    assert list(names) == ["amy", "cid"]


def test_what_cannot_be_a_name_is_not_kept() -> None:
    names = Names()
    names.add("x" * MAX_NAME_SHOWN, "y" * (MAX_NAME_SHOWN + 1))
    assert list(names) == ["x" * MAX_NAME_SHOWN]


FRAME = "[Server message (12:34:56)]"
LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("dialect_name", "lines"),
    [
        ("result", [f"RESULT JOIN {LONG} 1", f"RECV {LONG} {LONG} hi", f"RESULT CHANNELS {LONG}, {LONG}y"]),
        ("result", ["RESULT JOIN den 1", "RESULT USERS den " + ", ".join(f"n{number}" for number in range(100_000))]),
        ("result", [f"RECV n{number} c{number} hi" for number in range(20_000)]),
        ("hello", [f"HELLO {LONG}", f"DELIVERY {LONG} hi"]),
        ("mailbox", [f"{LONG}: hi", f"{LONG} sends: hi"]),
        ("rooms", [f"{FRAME} Welcome to the {LONG} channel, {LONG}.", f"{FRAME} {LONG} has joined the channel."]),
    ],
)
def test_whatever_a_server_says_the_line_being_typed_stays_quick(dialect_name: str, lines: list[str]) -> None:
    dialect: ClientDialect = DIALECTS[dialect_name]()
    dialect.take_name("amy")
    dialect.sent(dialect.begun().send)
    for line in lines:
        dialect.received(line)
    assert len(dialect.prompt()) < 2 * MAX_NAME_SHOWN
    for text in ("", "@", "JOIN ", "/msg ", "/join "):
        _word, choices = complete(dialect, text)
        assert len(choices) <= CHOICES_SHOWN
        assert all(len(choice) <= MAX_NAME_SHOWN + 2 for choice in choices)
    for names in vars(dialect).values():
        assert not isinstance(names, Names) or len(list(names)) <= NAMES_KEPT


def test_of_many_choices_those_are_offered_that_have_in_common_what_all_have() -> None:
    dialect = ResultClient()
    for number in range(1000, 2000):
        dialect.received(f"RECV bob den{number} hi")
    dialect.received("RECV bob dew hi")
    choices = complete(dialect, "JOIN ")[1]
    assert {"den1000", "dew"} <= set(choices)


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_a_dialect_begins_with_a_hint_and_takes_no_bad_name(dialect_name: str) -> None:
    dialect: ClientDialect = DIALECTS[dialect_name]()
    assert dialect.take_name("a b")
    assert dialect.begun().hint.endswith("Ctrl-D ends.")
    assert dialect.begun().send in ("", PROBE)
    assert not dialect.done()
    assert dialect.ready() == (dialect.failure is not None)


@pytest.mark.parametrize("line", ["", "RESULT ERROR unknown type", "HELLO amy", f"RECV {GREETING}", f" {GREETING}"])
def test_a_server_that_says_something_else_first_is_not_recognised(line: str) -> None:
    assert recognise_greeting(line) is None


def test_a_mailbox_is_recognised_by_its_greeting() -> None:
    assert isinstance(recognise_greeting(GREETING), MailboxClient)


@pytest.mark.parametrize("path", sorted((ROOT / "ui/dialects").glob("*.py")), ids=lambda path: path.name)
def test_dialects_know_no_network_and_no_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & {"asyncio", "os", "prompt_toolkit", "socket", "sys", "threading", "time"}
