"""The dialect `hello` as a person uses it, without a server."""

from __future__ import annotations

import pytest

from text import MAX_LINE
from ui.dialects.base import (
    CONNECTION_LOST,
    REPETITIONS,
    STILL_HELD,
    STYLES,
    TOO_LONG,
    Meaning,
    refuse,
    without_style,
)
from ui.dialects.hello import (
    ENOUGH_UNANSWERED,
    NOBODY_ADDRESSED,
    NOT_A_NAME,
    HelloTalk,
    complete,
    interpret,
)


def talk_of(name: str) -> HelloTalk:
    """A talk whose name came with the command line, and whose login has no answer yet."""
    talk = HelloTalk()
    assert not talk.take_name(name)
    talk.sent(talk.begun().send)
    return talk


def talk_after(*lines: str) -> HelloTalk:
    """A talk in which amy has logged in, and then typed these lines, to which nothing was answered yet."""
    talk = talk_of("amy")
    talk.received("HELLO amy")
    for line in lines:
        enter(talk, line)
    return talk


def enter(talk: HelloTalk, line: str) -> Meaning:
    """Type a line and send what it comes to."""
    meaning = talk.typed(line)
    if meaning.send:
        talk.sent(meaning.send)
    return meaning


def shown(talk: HelloTalk, line: str) -> str:
    """A received line as the screen shows it, without its colours."""
    return without_style(talk.received(line))


def turned_away(talk: HelloTalk, answer: str) -> str:
    """Have a login refused and the connection closed; return what the user is told then."""
    talk.received(answer)
    return talk.lost()


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
    meaning = interpret(line, current)
    assert (meaning.send, meaning.hint) == (sent, "")


@pytest.mark.parametrize(
    ("line", "current"), [("hi", ""), ("@", ""), ("@ hi", "bob"), ("!what", "bob"), ("!who is", "bob"), ("list", "")]
)
def test_what_makes_no_sense_is_not_sent_but_helped(line: str, current: str) -> None:
    meaning = interpret(line, current)
    assert not meaning.send
    assert meaning.hint.startswith("Not sent: ")
    assert "@<user> <message>" in meaning.hint


def test_plain_text_goes_to_whom_was_addressed_alone() -> None:
    talk = talk_after()
    assert talk.prompt() == "> "
    assert talk.typed("hello") == refuse(NOBODY_ADDRESSED)
    assert not talk.typed("@bob").send
    assert talk.prompt() == "@bob> "
    assert talk.typed("@cid psst").send == "SEND cid psst"
    assert talk.typed(" hello ").send == "SEND bob hello"


@pytest.mark.parametrize("line", ["", " ", "\t "])
@pytest.mark.parametrize("talk", [HelloTalk(), talk_of("amy"), talk_after()], ids=["nameless", "waiting", "admitted"])
def test_blanks_mean_nothing(talk: HelloTalk, line: str) -> None:
    assert talk.typed(line) == Meaning()


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
    assert complete(text, ["bob", "amy"]) == (word, choices)


def test_names_are_learnt_from_what_is_seen() -> None:
    talk = talk_after("!who", "@dee hi", "@fox hi", "@gus hi")
    for line in ["LIST-OK amy,bob,gus", "DELIVERY cid hi", "SEND-OK", "BAD-DEST-USER", "BAD-DEST-USER"]:
        talk.received(line)
    assert talk.complete("@") == ("@", ["@amy ", "@bob ", "@cid ", "@dee "])


def test_a_line_has_a_longest_length() -> None:
    talk = talk_after()
    room = MAX_LINE - len("SEND bob \n")
    assert len(talk.typed(f"@bob {'x' * room}").send) == MAX_LINE - 1
    assert talk.typed(f"@bob {'x' * (room + 1)}") == refuse(TOO_LONG)
    assert talk.typed("@bob " + "\u00e9" * (room // 2 + 1)).refused
    assert f"{MAX_LINE} bytes" in TOO_LONG


# ---- names ----


@pytest.mark.parametrize("name", ["", " ", "a b", " a", "a\t", "a,b", "a\nb", "\x1b", "a\u2028b", "a\udcff"])
def test_what_cannot_be_a_name_is_refused_at_once(name: str) -> None:
    talk = HelloTalk()
    assert talk.take_name(name) == NOT_A_NAME
    assert not talk.name


@pytest.mark.parametrize("line", ["!who", "@bob", "@bob hi", "a b", "a,b", "a\x1bb", "LIST x"])
def test_a_name_is_asked_for_before_anything_else(line: str) -> None:
    talk = HelloTalk()
    assert "name" in talk.begun().hint
    assert talk.prompt() == "Your name> "
    meaning = talk.typed(line)
    assert meaning.hint.startswith("Not sent: ")
    assert not meaning.send


@pytest.mark.parametrize("line", ["amy", " amy\t", "HELLO-FROM amy"])
def test_a_typed_name_logs_in(line: str) -> None:
    talk = HelloTalk()
    talk.begun()
    assert enter(talk, line) == Meaning(send="HELLO-FROM amy")
    assert not talk.admitted
    assert talk.prompt() == "> "
    assert talk.typed("@bob hi").hint.startswith("Not sent: you are not logged in at the moment")
    talk.received("HELLO amy")
    assert talk.admitted
    assert talk.typed("@bob hi").send


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
    assert shown(talk_after(typed), line) == text


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
    assert shown(talk_of("amy"), line) == text


def test_answers_belong_to_requests_in_their_order() -> None:
    talk = talk_after("@bob one", "!who", "@cid two")
    lines = ["SEND-OK", "DELIVERY dee hi", "LIST-OK amy", "BAD-DEST-USER"]
    texts = [shown(talk, line).split(".")[0] for line in lines]
    assert texts == [
        "The message to bob was sent successfully",
        "From dee: hi",
        "There is 1 online user: amy",
        "The message to cid was not sent",
    ]


def test_drawing_uses_styles_that_exist() -> None:
    talk = talk_after("@bob hi", "@bob hi", "!who")
    for line in ["DELIVERY bob hi", "SEND-OK", "BAD-DEST-USER", "LIST-OK amy", "anything else"]:
        for style, _text in talk.received(line):
            assert not style or style.removeprefix("class:") in STYLES


# ---- the login, and its repetition ----


def test_a_name_that_is_in_use_is_asked_for_again() -> None:
    talk = talk_of("amy")
    talk.received("IN-USE")
    assert talk.prompt() == "Your name> "
    assert talk.typed("bob").hint == "You will be logged in as bob as soon as there is a connection."
    assert talk.lost() == "Type another name."
    assert talk.returned().send == "HELLO-FROM bob"


@pytest.mark.parametrize("answer", ["IN-USE", "BAD-RQST-BODY", "BAD-RQST-HDR"])
def test_without_another_name_nothing_is_sent(answer: str) -> None:
    talk = talk_of("amy")
    assert turned_away(talk, answer) == "Type another name."
    assert talk.returned() == Meaning()
    assert enter(talk, "bob").send == "HELLO-FROM bob"


def test_a_full_server_is_asked_again_with_the_same_name() -> None:
    talk = talk_of("amy")
    for _time in range(100):
        assert turned_away(talk, "BUSY").startswith("Trying again")
        meaning = talk.returned()
        assert meaning.send == "HELLO-FROM amy"
        talk.sent(meaning.send)
    assert shown(talk, "HELLO amy") == "Successfully logged in as amy!"


def test_after_a_lost_connection_the_name_may_still_be_ours() -> None:
    talk = talk_after("@bob hi")
    assert talk.lost() == CONNECTION_LOST
    assert not talk.admitted
    waited: list[float | None] = []
    for number in range(len(REPETITIONS)):
        meaning = talk.returned()
        assert bool(meaning.hint) == (number == 0)
        talk.sent(meaning.send)
        assert shown(talk, "IN-USE") == (f"* {STILL_HELD}" if number == 0 else "")
        waited.append(talk.pause)
        assert talk.again() == Meaning()
        assert talk.lost() == ""
    assert tuple(waited) == REPETITIONS
    talk.pause = None
    talk.sent(talk.returned().send)
    assert shown(talk, "IN-USE").startswith("Cannot log in as amy.")
    assert talk.pause is None
    assert talk.lost() == "Type another name."
    assert talk.prompt() == "Your name> "


def test_a_name_that_was_had_again_may_be_lost_again() -> None:
    talk = talk_after()
    for _time in range(2):
        talk.lost()
        talk.sent(talk.returned().send)
        talk.received("IN-USE")
        assert talk.pause == 1
        talk.lost()
        talk.sent(talk.returned().send)
        talk.received("HELLO amy")


def test_another_name_is_not_tried_again_as_if_it_had_been_ours() -> None:
    talk = talk_after()
    talk.lost()
    talk.sent(talk.returned().send)
    turned_away(talk, "BAD-RQST-BODY")
    talk.returned()
    enter(talk, "bob")
    assert turned_away(talk, "IN-USE") == "Type another name."


def test_what_was_lost_with_the_connection_is_not_waited_for() -> None:
    talk = talk_after("@bob hi", "!who")
    talk.lost()
    talk.sent(talk.returned().send)
    assert shown(talk, "HELLO amy") == "Successfully logged in as amy!"


def test_what_is_no_server_of_this_dialect_is_told_by_its_answer_to_the_login() -> None:
    talk = talk_of("amy")
    assert shown(talk, "DELIVERY bob hi") == "From bob: hi"
    assert not talk.wrong
    talk.received("To get started on this chat room")
    assert talk.wrong
    talk.lost()
    assert not talk.wrong
    talk.sent(talk.returned().send)
    talk.received("HELLO amy")
    talk.received("anything")
    assert not talk.wrong


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
    talk = talk_after(typed)
    talk.received(answer)
    assert talk.undelivered == undelivered


def test_the_server_says_what_the_name_is() -> None:
    talk = talk_of("e\u0301lan")
    talk.received("HELLO \u00e9lan")
    talk.lost()
    assert talk.returned().send == "HELLO-FROM \u00e9lan"


# ---- leaving, and pipes ----


def test_leaving_waits_for_answers() -> None:
    talk = talk_after("@bob hi")
    assert not talk.done()
    assert "Ctrl-D" in talk.typed("!quit").hint
    assert not talk.done()
    assert talk.typed("@bob more") == Meaning()
    talk.received("DELIVERY bob hi")
    assert not talk.done()
    talk.received("SEND-OK")
    assert talk.done()


@pytest.mark.parametrize("talk", [HelloTalk(), talk_of("amy"), talk_after()], ids=["nameless", "waiting", "admitted"])
def test_leaving_waits_for_nothing_else(talk: HelloTalk) -> None:
    talk.typed("!quit")
    assert talk.done()


def test_a_pipe_waits_for_the_login_and_while_much_is_unanswered() -> None:
    talk = talk_of("amy")
    assert not talk.ready()
    talk.received("HELLO amy")
    for _time in range(ENOUGH_UNANSWERED):
        assert talk.ready()
        enter(talk, "!who")
    assert not talk.ready()
    talk.received("LIST-OK amy")
    assert talk.ready()
    talk.typed("!quit")
    assert not talk.ready()
