"""Which dialect a server speaks, by its first line, and what is held back until that is known."""

from __future__ import annotations

import pytest

from dialects.mailbox import GREETING
from ui.dialects.base import ParsedInput
from ui.first_line import NEEDS_TLS, HeldInput, Start, dialect_of, wrong_server

CANNOT = "[Server message (12:34:56)] Cannot connect to the lobby channel."


@pytest.mark.parametrize(
    ("line", "dialect"),
    [
        (GREETING, "mailbox"),
        (CANNOT, "rooms"),
        ("[Server message (12:34:56)] Welcome to the lobby channel, ann.", "rooms"),
        ("BAD-RQST-HDR", "hello"),
        ("HELLO ann", "hello"),
        ("BUSY", "hello"),
        ("RESULT ERROR unknown type", "result"),
        ("RESULT TAGS 1", "result"),
        ("@time=2026-11-30T17:20:18.123Z;id=1 RECV bob garden hi", "result"),
        ("220 mail.example ESMTP", ""),
        ("", ""),
    ],
)
def test_the_first_line_tells_the_dialect(line: str, dialect: str) -> None:
    assert dialect_of(line) == dialect


@pytest.mark.parametrize(
    ("line", "dialect", "start", "words"),
    [
        (CANNOT, "result", Start("localhost", 7001), "Start the client with: python3 client.py 7001 <name>"),
        (CANNOT, "hello", Start("localhost", 7001, "zoe"), "client.py 7001 zoe"),
        ("BAD-RQST-HDR", "result", Start("::1", 5), "client.py 5 --host ::1 --dialect hello --name <name>"),
        ("BAD-RQST-HDR", "rooms", Start("localhost", 5, "zoe"), "client.py 5 --dialect hello --name zoe"),
        (GREETING, "rooms", Start("localhost", 6666, "zoe"), "client.py 6666"),
        (NEEDS_TLS, "result", Start("chat.example", 5050), "client.py 5050 --host chat.example --tls"),
        (NEEDS_TLS, "hello", Start("localhost", 5, "zoe"), "client.py 5 --tls --dialect hello --name zoe"),
        (GREETING, "result", Start("localhost", 6666, tls=True), "client.py 6666 --tls"),
        ("RESULT ERROR unknown type", "hello", Start("localhost", 5050, "zoe"), "client.py 5050"),
    ],
)  # fmt: skip
def test_a_wrong_server_names_the_words_that_start_it_rightly(
    line: str, dialect: str, start: Start, words: str
) -> None:
    assert wrong_server(line, dialect, start).endswith(words)


@pytest.mark.parametrize("line", ["RESULT TAGS 1", "anything"])
def test_a_server_that_fits_or_is_unknown_is_not_wrong(line: str) -> None:
    assert wrong_server(line, "result", Start("localhost", 5)) == ""


def test_only_the_first_line_goes_before_the_dialect_is_known() -> None:
    held_input = HeldInput()
    lines = [ParsedInput(send=line) for line in ("TAGS", "LOGIN ann secret", "PING")]
    assert [held_input.holds(line) for line in lines] == [False, True, True]
    assert list(held_input.release()) == lines[1:]
    assert not held_input.holds(lines[0])


def test_nothing_goes_before_a_greeting() -> None:
    held_input = HeldInput(greeted=True)
    login = ParsedInput(send="0|amy123")
    assert held_input.holds(login)
    assert list(held_input.release()) == [login]


def test_what_is_dropped_does_not_go_later() -> None:
    held_input = HeldInput()
    for line in ("TAGS", "LOGIN ann secret"):
        held_input.holds(ParsedInput(send=line))
    held_input.drop()
    assert list(held_input.release()) == []


def test_another_dialect_begins_with_a_line_of_its_own() -> None:
    held_input = HeldInput()
    held_input.holds(ParsedInput(send="ann files"))
    held_input.begin_again()
    assert not held_input.holds(ParsedInput(send="TAGS"))
    assert held_input.holds(ParsedInput(send="LOGIN ann secret"))
