"""The dialect `rooms` as a person uses it, without a server."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialects.rooms import COMMANDS, FILE_COMMANDS
from support.examples import EXAMPLES
from support.lines import text_of
from text import MAX_LINE, clean
from ui.dialects import slash
from ui.dialects.base import TOO_LONG, Consent, ParsedInput, refuse
from ui.dialects.rooms import COMING_IN, FILE_VERBS, NOT_A_NAME, VERBS, RoomsClient, interpret
from ui.rendering import STYLES, without_style

FRAME = "[Server message (12:34:56)]"


def dialect_after(*lines: str) -> RoomsClient:
    """A dialect in which ann has come into the lobby, and then these lines have come."""
    dialect = RoomsClient(lambda word: [f"{word}.txt"])
    assert not dialect.take_name("ann")
    dialect.sent(dialect.begun().send)
    for line in ("Welcome to the lobby channel, ann.", "ann has joined the channel."):
        dialect.received(f"{FRAME} {line}")
    for line in lines:
        dialect.received(line)
    return dialect


# ---- typing ----


def test_the_client_knows_the_commands_of_the_server() -> None:
    assert {verb: row.usage for verb, row in VERBS.items()} == {verb: row.usage for verb, row in COMMANDS.items()}
    assert list(FILE_VERBS) == [verb for verb in FILE_COMMANDS if verb not in COMMANDS]


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("hi", ParsedInput(send="hi", echoed=True, said=True)),
        ("  hi   there\t", ParsedInput(send="hi   there", echoed=True, said=True)),
        ("\u3000hi\r", ParsedInput(send="hi", echoed=True, said=True)),
        ("/foo bar", ParsedInput(send="/foo bar", echoed=True, said=True)),
        ("/", ParsedInput(send="/", echoed=True, said=True)),
        ("/QUIT", ParsedInput(send="/QUIT", echoed=True, said=True)),
        ("/sending 1", ParsedInput(send="/sending 1", echoed=True, said=True)),
        ("/quit", ParsedInput(send="/quit", goodbye=True)),
        ("/list", ParsedInput(send="/list")),
        ("/switch  den", ParsedInput(send="/switch  den")),
        ("/whisper bob a   b", ParsedInput(send="/whisper bob a   b")),
        ("/send bob a.txt", ParsedInput(send="/send bob a.txt", offer="a.txt")),
        ("/send\tbob   ../a", ParsedInput(send="/send bob ../a", offer="../a")),
        ("/send bob a\u200e\u202e.txt", ParsedInput(send="/send bob a.txt", offer="a\u200e\u202e.txt")),
        ("/send bob a\udcff\udcfe", ParsedInput(send="/send bob a\ufffd\ufffd", offer="a\udcff\udcfe")),
        ("/send bob \u200b", ParsedInput(send="/send bob file", offer="\u200b")),
        ("/accept", ParsedInput(send="/accept", echoed=True, said=True)),
        ("/decline ann", ParsedInput(send="/decline ann", echoed=True, said=True)),
        ("/send e\u0301lan e\u0301", ParsedInput(send="/send \u00e9lan e\u0301", offer="e\u0301")),
        ("", ParsedInput()),
        (" \t\r", ParsedInput()),
    ],
)
def test_what_a_typed_line_sends(typed: str, parsed: ParsedInput) -> None:
    assert dialect_after().typed(typed) == parsed


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("/accept", ParsedInput(consent=Consent(True, ""))),
        ("/accept  e\u0301lan ", ParsedInput(consent=Consent(True, "\u00e9lan"))),
        ("/decline", ParsedInput(consent=Consent(False, ""))),
        ("/decline\tann", ParsedInput(consent=Consent(False, "ann"))),
        ("/DECLINE @ann", ParsedInput(consent=Consent(False, "ann"))),
        ("/accept ann bob", refuse("it is typed /accept [user].")),
    ],
)
def test_on_a_terminal_offers_are_answered(typed: str, parsed: ParsedInput) -> None:
    assert slash.enter(dialect_after(), typed) == parsed


def test_plain_text_goes_to_a_user_who_is_addressed_and_to_nobody_else() -> None:
    dialect = dialect_after("[bob (12:34:56)] hi")
    assert slash.enter(dialect, "@bob").hint == "Plain text goes to bob now."
    assert dialect.prompt() == "@bob> "
    for typed in ("psst", "//shrug", "/me waves", "/foo"):
        sent = slash.enter(dialect, typed).send
        assert sent.startswith("/whisper bob ") or not sent
    assert slash.say(dialect, "pasted").send == "/whisper bob pasted"
    assert slash.enter(dialect, "/msg cid hi").send == "/whisper cid hi"
    assert slash.enter(dialect, "login bob secret").refused
    assert slash.enter(dialect, "/leave").hint == "Plain text goes to @bob no longer."
    assert slash.enter(dialect, "aloud").send == "aloud"
    slash.enter(dialect, "@bob")
    assert slash.enter(dialect, "/join lobby").hint == "You are in lobby; plain text goes there now."
    assert slash.enter(dialect, "aloud").send == "aloud"
    slash.enter(dialect, "@bob")
    dialect.received(f"{FRAME} Welcome to the den channel, ann.")
    assert dialect.current == ""


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("/quit now", "/quit now"),
        ("/whisper bob", "/whisper bob"),
        ("/switch", "/switch"),
        ("/list all", "/list all"),
        ("/send", "/send"),
        ("/send bob", "/send"),
        ("/send bob a 5", "/send"),
        ("/send bob a 5 6", "/send"),
    ],
)
def test_a_command_with_other_words_is_left_to_the_server_but_is_no_offer(typed: str, sent: str) -> None:
    assert interpret(typed) == ParsedInput(send=sent, hint=f"Usage: {VERBS[typed.split()[0]].usage}")


@pytest.mark.parametrize(
    "typed",
    [
        *FILE_VERBS,
        "/ready 1",
        "/piece 1 AAAA",
        "/end\t1",
        "/landed 1",
        "/cancel 1 2",
        "/send bob a\x1bb",
        "x" * MAX_LINE,
        "\u00e9" * (MAX_LINE // 2),
    ],
)
def test_what_the_server_would_misunderstand_is_not_sent(typed: str) -> None:
    parsed = dialect_after().typed(typed)
    assert parsed.refused
    assert not parsed.send
    assert parsed.hint.startswith("Not sent: ")


def test_a_line_may_be_as_long_as_the_server_takes_it() -> None:
    assert dialect_after().typed("x" * (MAX_LINE - 1)).send
    assert dialect_after().typed("x" * MAX_LINE) == refuse(TOO_LONG)


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("", "", ["/list", "/quit", "/send", "/switch", "/whisper"]),
        ("/", "/", ["/list", "/quit", "/send", "/switch", "/whisper"]),
        ("/s", "/s", ["/send", "/switch"]),
        ("/whisper ", "", ["ann", "bob", "bert"]),
        ("/whisper b", "b", ["bert", "bob"]),
        ("/whisper bob b", "b", ["bert ", "bob "]),
        ("/send b", "b", ["bert", "bob"]),
        ("/send bob notes/a", "notes/a", ["notes/a.txt"]),
        ("/send bob ", "", [".txt"]),
        ("/send bob a b", "b", []),
        ("/switch ", "", ["attic", "lobby"]),
        ("/switch a", "a", ["attic"]),
        ("/list ", "", []),
        ("hello", "hello", []),
        ("hello b", "b", ["bert ", "bob "]),
    ],
)
def test_completion(text: str, word: str, choices: list[str]) -> None:
    dialect = dialect_after("[bob (12:34:56)] hi", "[bert whispers to you: (12:34:56)] hi", "[Channel] attic 0/5/0.")
    assert dialect.complete(text) == (word, sorted(choices))


def test_completion_of_answers_to_offers() -> None:
    dialect = dialect_after("[bob (12:34:56)] hi")
    assert slash.complete(dialect, "/ac") == ("/ac", ["/accept"])
    assert slash.complete(dialect, "/decline b") == ("b", ["bob"])
    assert slash.complete(dialect, "/accept bob ") == ("", [])


# ---- names ----


@pytest.mark.parametrize("name", ["", " ", "a b", " a", "a\t", "a\nb", "\x1b", "a\u2028b", "a\udcff", "ann files"])
def test_what_cannot_be_a_name_is_refused_at_once(name: str) -> None:
    dialect = RoomsClient(lambda _word: [])
    assert dialect.take_name(name) == NOT_A_NAME
    assert not dialect.name


def test_a_name_is_asked_for_before_anything_else() -> None:
    dialect = RoomsClient(lambda _word: [])
    assert dialect.begun().hint.startswith("Type the name")
    assert dialect.prompt() == "Your name> "
    assert not dialect.ready()
    assert dialect.typed("a b") == refuse(f"{NOT_A_NAME}.")
    assert dialect.typed(" ann ") == ParsedInput(send="ann files", hint=COMING_IN.format("ann"))
    assert dialect.ready()
    assert dialect.typed("bob").send == "bob"


# ---- what comes ----


def test_the_prompt_tells_where_one_is() -> None:
    dialect = RoomsClient(lambda _word: [])
    dialect.take_name("e\u0301lan")
    assert dialect.prompt() == "> "
    dialect.received(f"{FRAME} Welcome to the lobby channel, \u00e9lan.")
    dialect.received(f"{FRAME} You are in the waiting queue and there are 0 user(s) ahead of you.")
    assert dialect.prompt() == "(waiting) lobby> "
    assert dialect.typed("hi") == ParsedInput(send="hi", said=True)  # nobody will show it
    dialect.received(f"{FRAME} bob has joined the channel.")
    assert dialect.prompt() == "(waiting) lobby> "
    dialect.received(f"{FRAME} \u00e9lan has joined the channel.")
    assert dialect.prompt() == "lobby> "
    assert dialect.typed("hi") == ParsedInput(send="hi", echoed=True, said=True)
    dialect.received(f"{FRAME} Welcome to the den channel, \u00e9lan.")
    assert dialect.prompt() == "(waiting) den> "


def test_names_are_learnt_from_what_is_seen_and_forgotten() -> None:
    dialect = dialect_after(
        *(f"{FRAME} {name} has joined the channel." for name in ("bob", "cid", "dee", "eve")),
        f"{FRAME} bob has left the channel.",
        f"{FRAME} cid went AFK.",
        f"{FRAME} dee is not here.",
        "[fox (12:34:56)] bob has joined the channel.",
    )
    assert dialect.complete("/send ")[1] == ["ann", "eve", "fox"]
    dialect.received(f"{FRAME} Welcome to the den channel, ann.")
    assert dialect.complete("/send ")[1] == []
    assert dialect.complete("/switch ")[1] == ["den", "lobby"]


@pytest.mark.parametrize(
    ("line", "styles"),
    [
        (f"{FRAME} Welcome to the lobby channel, ann.", ["class:server", ""]),
        (f"{FRAME} bob is not here.", ["class:server", ""]),
        (f"{FRAME} You sent a to bob.", ["class:server", ""]),
        ("[Channel] lobby 1/5/0.", ["class:server", "", "class:channel", ""]),
        ("[a(b]c (12:34:56)] hi", ["", "class:user1", "class:time", ""]),
        ("[bob (12:34:56)] ", ["", "class:user1", "class:time", ""]),
        (
            "[bob whispers to you: (12:34:56)] a  b",
            [f"{style} class:alert".strip() for style in ("", "class:user1", "class:whisper", "class:time", "")],
        ),
        ("[bob whispers to you]", [""]),
        ("/sends nothing", [""]),
        ("", [""]),
    ],
)
def test_how_a_received_line_is_drawn(line: str, styles: list[str]) -> None:
    (drawn,) = [shown.text for shown in dialect_after().received(line)] or [[]]
    assert [style for style, _text in drawn] == styles
    assert without_style(drawn) == line
    assert {word.removeprefix("class:") for style in styles for word in style.split()} <= {*STYLES}


words = st.text("ab{}[]():. ", max_size=20)


@EXAMPLES
@given(st.one_of(st.text(), st.builds("{}{}".format, st.sampled_from([f"{FRAME} ", "[Channel] ", "["]), words)))
@example(f"{FRAME} Welcome to the {{0}} channel, {{x}}.")
def test_a_drawn_line_is_the_line(text: str) -> None:
    line = clean(text)
    assert text_of(dialect_after().received(line)) == line


# ---- the end ----


def test_a_server_that_closes_is_not_dialled_again() -> None:
    dialect = dialect_after()
    assert not dialect.reconnects
    assert dialect.lost() == "The server has closed the connection."
    assert not (dialect.done() or dialect.leaving)
    dialect.sent("/quit")
    assert dialect.lost() == ""
    assert dialect.leaving


def test_where_several_servers_may_answer_the_name_is_said_again() -> None:
    dialect = dialect_after(f"{FRAME} Welcome to the lobby channel, ann.", f"{FRAME} ann has joined the channel.")
    dialect.take_name("ann")
    dialect.lost()
    assert not dialect.present
    assert dialect.returned().send == "ann files"
