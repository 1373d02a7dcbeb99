"""The dialect `hello` as a person uses it, without a server."""

from __future__ import annotations

import pytest

from support.lines import text_of
from text import MAX_LINE
from ui.dialects.base import (
    CONNECTION_LOST,
    LOGIN_RETRY_SECONDS,
    STILL_HELD,
    TOO_LONG,
    ParsedInput,
    complete_addressed,
    refuse,
)
from ui.dialects.hello import (
    COMMANDS,
    MAX_UNANSWERED,
    NOBODY_ADDRESSED,
    NOT_A_NAME,
    HelloClient,
    interpret,
)
from ui.rendering import STYLES


def dialect_of(name: str) -> HelloClient:
    """A dialect whose name came with the command line, and whose login has no answer yet."""
    dialect = HelloClient()
    assert not dialect.take_name(name)
    dialect.sent(dialect.begun().send)
    return dialect


def dialect_after(*lines: str) -> HelloClient:
    """A dialect in which amy has logged in, and then typed these lines, to which nothing was answered yet."""
    dialect = dialect_of("amy")
    dialect.received("HELLO amy")
    for line in lines:
        enter(dialect, line)
    return dialect


def enter(dialect: HelloClient, line: str) -> ParsedInput:
    """Type a line and send what it comes to."""
    parsed = dialect.typed(line)
    if parsed.send:
        dialect.sent(parsed.send)
    return parsed


def shown(dialect: HelloClient, line: str) -> str:
    """A received line as the screen shows it, without its colours."""
    return text_of(dialect.received(line))


def turned_away(dialect: HelloClient, answer: str) -> str:
    """Have a login refused and the connection closed; return what the user is told then."""
    dialect.received(answer)
    return dialect.lost()


# ---- typing ----


@pytest.mark.parametrize(
    ("line", "current", "sent"),
    [
        ("@bob hi", "", "SEND bob hi"),
        ("@bob \t hi   there\tyou", "", "SEND bob hi   there\tyou"),
        ("@bob hi", "cid", "SEND bob hi"),
        ("@bob @cid !who", "", "SEND bob @cid !who"),
        ("@e\u0301lan hi", "", "SEND \u00e9lan hi"),
        ("hi   there", "bob", "SEND bob hi   there"),
        ("hi", "bob", "SEND bob hi"),
        ("!who", "", "LIST"),
        ("!who", "bob", "LIST"),
        ("SEND bob  hi  there", "", "SEND bob  hi  there"),
        ("SEND bob hi", "cid", "SEND bob hi"),
        ("LIST", "bob", "LIST"),
        ("LIST x", "", "LIST x"),
        ("list", "bob", "SEND bob list"),
        ("SENDER", "bob", "SEND bob SENDER"),
    ],
)
def test_what_a_typed_line_sends(line: str, current: str, sent: str) -> None:
    parsed = interpret(line, current)
    assert (parsed.send, parsed.hint) == (sent, "")


@pytest.mark.parametrize(
    ("line", "current"), [("hi", ""), ("@", ""), ("@ hi", "bob"), ("!what", "bob"), ("!who is", "bob"), ("list", "")]
)
def test_what_makes_no_sense_is_not_sent_but_helped(line: str, current: str) -> None:
    parsed = interpret(line, current)
    assert not parsed.send
    assert parsed.hint.startswith("Not sent: ")
    assert "@<user> <message>" in parsed.hint


def test_plain_text_goes_to_whom_was_addressed_alone() -> None:
    dialect = dialect_after()
    assert dialect.prompt() == "> "
    assert dialect.typed("hello") == refuse(NOBODY_ADDRESSED)
    assert not dialect.typed("@bob").send
    assert dialect.prompt() == "@bob> "
    assert dialect.typed("@cid psst").send == "SEND cid psst"
    assert dialect.typed(" hello ").send == "SEND bob hello"


@pytest.mark.parametrize("line", ["", " ", "\t "])
@pytest.mark.parametrize(
    "dialect", [HelloClient(), dialect_of("amy"), dialect_after()], ids=["nameless", "waiting", "admitted"]
)
def test_blanks_mean_nothing(dialect: HelloClient, line: str) -> None:
    assert dialect.typed(line) == ParsedInput()


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("", "", ["!quit", "!who"]),
        ("!", "!", ["!quit", "!who"]),
        ("!w", "!w", ["!who"]),
        ("@", "@", ["@amy ", "@bob "]),
        ("@b", "@b", ["@bob "]),
        ("@amy ask @b", "@b", ["@bob"]),
        ("@amy !", "!", []),
        ("hello", "hello", []),
        ("hello ", "", []),
    ],
)
def test_completion(text: str, word: str, choices: list[str]) -> None:
    assert complete_addressed(text, ["bob", "amy"], COMMANDS) == (word, choices)


def test_names_are_learnt_from_what_is_seen() -> None:
    dialect = dialect_after("!who", "@dee hi", "@fox hi", "@gus hi")
    for line in ["LIST-OK amy,bob,gus", "DELIVERY cid hi", "SEND-OK", "BAD-DEST-USER", "BAD-DEST-USER"]:
        dialect.received(line)
    assert dialect.complete("@") == ("@", ["@bob ", "@cid ", "@dee "])


def test_a_line_has_a_longest_length() -> None:
    dialect = dialect_after()
    room = MAX_LINE - len("SEND bob \n")
    assert len(dialect.typed(f"@bob {'x' * room}").send) == MAX_LINE - 1
    assert dialect.typed(f"@bob {'x' * (room + 1)}") == refuse(TOO_LONG)
    assert dialect.typed("@bob " + "\u00e9" * (room // 2 + 1)).refused
    assert f"{MAX_LINE} bytes" in TOO_LONG


# ---- names ----


@pytest.mark.parametrize("name", ["", " ", "a b", " a", "a\t", "a,b", "a\nb", "\x1b", "a\u2028b", "a\udcff"])
def test_what_cannot_be_a_name_is_refused_at_once(name: str) -> None:
    dialect = HelloClient()
    assert dialect.take_name(name) == NOT_A_NAME
    assert not dialect.name


@pytest.mark.parametrize("line", ["!who", "@bob", "@bob hi", "a b", "a,b", "a\x1bb", "LIST x"])
def test_a_name_is_asked_for_before_anything_else(line: str) -> None:
    dialect = HelloClient()
    assert "name" in dialect.begun().hint
    assert dialect.prompt() == "Your name> "
    parsed = dialect.typed(line)
    assert parsed.hint.startswith("Not sent: ")
    assert not parsed.send


@pytest.mark.parametrize("line", ["amy", " amy\t", "HELLO-FROM amy"])
def test_a_typed_name_logs_in(line: str) -> None:
    dialect = HelloClient()
    dialect.begun()
    assert enter(dialect, line) == ParsedInput(send="HELLO-FROM amy")
    assert not dialect.admitted
    assert dialect.prompt() == "> "
    assert dialect.typed("@bob hi").hint.startswith("Not sent: you are not logged in at the moment")
    dialect.received("HELLO amy")
    assert dialect.admitted
    assert dialect.typed("@bob hi").send


# ---- answers ----


@pytest.mark.parametrize(
    ("typed", "line", "text"),
    [
        ("!who", "LIST-OK amy", "There is 1 online user: amy"),
        ("!who", "LIST-OK amy,bob", "There are 2 online users: amy, bob"),
        ("LIST x", "BAD-RQST-BODY", "The list was refused: nothing may stand after LIST."),
        ("!who", "BAD-RQST-HDR", "Error: the server does not understand the header of the last request."),
        ("@bob hi", "SEND-OK", "The message to bob was sent successfully."),
        ("@{0} hi", "SEND-OK", "The message to {0} was sent successfully."),
        ("@b\x1bob hi", "SEND-OK", "The message to bob was sent successfully."),
        (
            "@bob hi",
            "BAD-DEST-USER",
            "The message to bob was not sent. The destination user does not exist, or cannot be reached.",
        ),
        (
            "@a,b hi",
            "BAD-RQST-BODY",
            "The message to a,b was refused: it needs a user's name, in which there is no comma, and a text.",
        ),
        (
            "SEND",
            "BAD-RQST-BODY",
            "The message to nobody was refused: it needs a user's name, in which there is no comma, and a text.",
        ),
        ("@bob hi", "BAD-RQST-HDR", "Error: the server does not understand the header of the last request."),
        ("", "BAD-RQST-BODY", "Error: the server does not understand the body of the last request."),
        ("", "DELIVERY bob hi", "From bob: hi"),
        ("@bob hi", "DELIVERY bob  hi  you ", "From bob:  hi  you "),
        ("@bob hi", "DELIVERY bob", "DELIVERY bob"),
        ("@bob hi", "LIST-OK amy", "LIST-OK amy"),
        ("", "SEND-OK", "SEND-OK"),
        ("", "anything {else}", "anything {else}"),
        ("", "", ""),
    ],
)
def test_how_a_received_line_is_drawn(typed: str, line: str, text: str) -> None:
    assert shown(dialect_after(typed), line) == text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("HELLO amy", "Successfully logged in as amy!"),
        ("IN-USE", "Cannot log in as amy. That username is already in use."),
        ("BUSY", "Cannot log in. The server is full!"),
        ("BAD-RQST-BODY", "Cannot log in as amy. That username contains disallowed characters."),
        ("BAD-RQST-HDR", "Cannot log in as amy. The server does not understand the login."),
        (
            "RESULT ERROR unknown type",
            "Cannot log in as amy: this is not a server of the dialect hello. It says: RESULT ERROR unknown type",
        ),
    ],
)
def test_how_the_answer_to_a_login_is_drawn(line: str, text: str) -> None:
    assert shown(dialect_of("amy"), line) == text


def test_answers_belong_to_requests_in_their_order() -> None:
    dialect = dialect_after("@bob one", "!who", "@cid two")
    lines = ["SEND-OK", "DELIVERY dee hi", "LIST-OK amy", "BAD-DEST-USER"]
    texts = [shown(dialect, line).split(".")[0] for line in lines]
    assert texts == [
        "The message to bob was sent successfully",
        "From dee: hi",
        "There is 1 online user: amy",
        "The message to cid was not sent",
    ]


def test_drawing_uses_styles_that_exist() -> None:
    dialect = dialect_after("@bob hi", "@bob hi", "!who")
    for line in ["DELIVERY bob hi", "SEND-OK", "BAD-DEST-USER", "LIST-OK amy", "anything else"]:
        styles = [word for shown in dialect.received(line) for style, _text in shown.text for word in style.split()]
        assert {style.removeprefix("class:") for style in styles} <= {*STYLES}


# ---- the login, and its repetition ----


def test_a_name_that_is_in_use_is_asked_for_again() -> None:
    dialect = dialect_of("amy")
    dialect.received("IN-USE")
    assert dialect.prompt() == "Your name> "
    assert dialect.typed("bob").hint == "You will be logged in as bob as soon as there is a connection."
    assert dialect.lost() == "Type another name."
    assert dialect.returned().send == "HELLO-FROM bob"


@pytest.mark.parametrize("answer", ["IN-USE", "BAD-RQST-BODY", "BAD-RQST-HDR"])
def test_without_another_name_nothing_is_sent(answer: str) -> None:
    dialect = dialect_of("amy")
    assert turned_away(dialect, answer) == "Type another name."
    assert dialect.returned() == ParsedInput()
    assert enter(dialect, "bob").send == "HELLO-FROM bob"


def test_a_full_server_is_asked_again_with_the_same_name() -> None:
    dialect = dialect_of("amy")
    for _time in range(100):
        assert turned_away(dialect, "BUSY").startswith("Trying again")
        parsed = dialect.returned()
        assert parsed.send == "HELLO-FROM amy"
        dialect.sent(parsed.send)
    assert shown(dialect, "HELLO amy") == "Successfully logged in as amy!"


def test_after_a_lost_connection_the_name_may_still_be_ours() -> None:
    dialect = dialect_after("@bob hi")
    assert dialect.lost() == CONNECTION_LOST
    assert not dialect.admitted
    waited: list[float | None] = []
    for number in range(len(LOGIN_RETRY_SECONDS)):
        parsed = dialect.returned()
        assert bool(parsed.hint) == (number == 0)
        dialect.sent(parsed.send)
        assert shown(dialect, "IN-USE") == (f"* {STILL_HELD}" if number == 0 else "")
        waited.append(dialect.pause)
        assert dialect.again() == ParsedInput()
        assert dialect.lost() == ""
    assert tuple(waited) == LOGIN_RETRY_SECONDS
    dialect.pause = None
    dialect.sent(dialect.returned().send)
    assert shown(dialect, "IN-USE").startswith("Cannot log in as amy.")
    assert dialect.pause is None
    assert dialect.lost() == "Type another name."
    assert dialect.prompt() == "Your name> "


def test_a_name_that_was_had_again_may_be_lost_again() -> None:
    dialect = dialect_after()
    for _time in range(2):
        dialect.lost()
        dialect.sent(dialect.returned().send)
        dialect.received("IN-USE")
        assert dialect.pause == 1
        dialect.lost()
        dialect.sent(dialect.returned().send)
        dialect.received("HELLO amy")


def test_another_name_is_not_tried_again_as_if_it_had_been_ours() -> None:
    dialect = dialect_after()
    dialect.lost()
    dialect.sent(dialect.returned().send)
    turned_away(dialect, "BAD-RQST-BODY")
    dialect.returned()
    enter(dialect, "bob")
    assert turned_away(dialect, "IN-USE") == "Type another name."


def test_what_was_lost_with_the_connection_is_not_waited_for() -> None:
    dialect = dialect_after("@bob hi", "!who")
    dialect.lost()
    dialect.sent(dialect.returned().send)
    assert shown(dialect, "HELLO amy") == "Successfully logged in as amy!"


def test_what_is_no_server_of_this_dialect_is_told_by_its_answer_to_the_login() -> None:
    dialect = dialect_of("amy")
    assert shown(dialect, "DELIVERY bob hi") == "From bob: hi"
    assert not dialect.wrong
    dialect.received("To get started on this chat room")
    assert dialect.wrong
    dialect.lost()
    assert not dialect.wrong
    dialect.sent(dialect.returned().send)
    dialect.received("HELLO amy")
    dialect.received("anything")
    assert not dialect.wrong


@pytest.mark.parametrize(
    ("typed", "answer", "undelivered"),
    [
        ("@bob hi", "BAD-DEST-USER", True),
        ("@bob hi", "BAD-RQST-BODY", True),
        ("@bob hi", "BAD-RQST-HDR", True),
        ("LIST x", "BAD-RQST-BODY", True),
        ("!who", "BAD-RQST-HDR", True),
        ("@bob hi", "SEND-OK", False),
        ("@bob hi", "DELIVERY bob BAD-DEST-USER", False),
        ("!who", "LIST-OK amy", False),
    ],
)
def test_what_was_not_delivered_is_remembered(typed: str, answer: str, undelivered: bool) -> None:
    dialect = dialect_after(typed)
    dialect.received(answer)
    assert dialect.undelivered == undelivered


def test_the_server_says_what_the_name_is() -> None:
    dialect = dialect_of("e\u0301lan")
    dialect.received("HELLO \u00e9lan")
    dialect.lost()
    assert dialect.returned().send == "HELLO-FROM \u00e9lan"


# ---- leaving, and pipes ----


def test_leaving_waits_for_answers() -> None:
    dialect = dialect_after("@bob hi")
    assert not dialect.done()
    assert "Ctrl-D" in dialect.typed("!quit").hint
    assert not dialect.done()
    assert dialect.typed("@bob more") == ParsedInput()
    dialect.received("DELIVERY bob hi")
    assert not dialect.done()
    dialect.received("SEND-OK")
    assert dialect.done()


@pytest.mark.parametrize(
    "dialect", [HelloClient(), dialect_of("amy"), dialect_after()], ids=["nameless", "waiting", "admitted"]
)
def test_leaving_waits_for_nothing_else(dialect: HelloClient) -> None:
    dialect.typed("!quit")
    assert dialect.done()


def test_a_pipe_waits_for_the_login_and_while_much_is_unanswered() -> None:
    dialect = dialect_of("amy")
    assert not dialect.ready()
    dialect.received("HELLO amy")
    for _time in range(MAX_UNANSWERED):
        assert dialect.ready()
        enter(dialect, "!who")
    assert not dialect.ready()
    dialect.received("LIST-OK amy")
    assert dialect.ready()
    dialect.typed("!quit")
    assert not dialect.ready()
