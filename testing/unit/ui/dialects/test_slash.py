"""What a person types on a terminal, in every dialect, without a server."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from ui.dialects import DIALECTS
from ui.dialects.base import ClientDialect, refuse
from ui.dialects.hello import HelloClient
from ui.dialects.mailbox import MailboxClient
from ui.dialects.result import ResultClient
from ui.dialects.result_commands import VERBS
from ui.dialects.rooms import RoomsClient
from ui.dialects.slash import ALIASES, SECRET, complete, enter, say
from ui.secrets import cut, hide

COMMON = (
    *("@", "/join", "/leave", "/msg", "/me", "/who", "/users", "/history", "/topic", "/seen", "/channels"),
    *("/help", "/quit"),
)
"""The words that every dialect has, if only to say that it has no such thing."""

FRAME = "[Server message (12:34:56)]"

WHERE = {
    "result": "SAY den ",
    "hello": "SEND den ",
    "mailbox": "3|den|",
    "rooms": "",
}
"""What stands before plain text on each wire, in the dialects of these tests."""


def client_dialect(dialect_name: str) -> ClientDialect:
    """A dialect that is logged in where a login is needed, and whose plain text goes to den."""
    dialect: ClientDialect
    match dialect_name:
        case "result":
            dialect = ResultClient()
            dialect.received("RESULT JOIN den 1")
        case "hello":
            dialect = HelloClient()
            dialect.take_name("amy")
            dialect.sent(dialect.begun().send)
            dialect.received("HELLO amy")
            dialect.typed("@den")
        case "mailbox":
            dialect = MailboxClient()
            dialect.typed("@den")
        case _:
            dialect = RoomsClient(lambda word: [word])
            dialect.take_name("amy")
            dialect.received(f"{FRAME} Welcome to the den channel, amy.")
            dialect.received(f"{FRAME} amy has joined the channel.")
    return dialect


dialects = pytest.mark.parametrize("dialect_name", DIALECTS)


# ---- what a line comes to ----


@pytest.mark.parametrize(
    ("dialect_name", "typed", "sent"),
    [
        ("result", "/login bob secret", "LOGIN bob secret"),
        ("result", " \t/Login  bob secret ", "LOGIN bob secret"),
        ("result", "/REGISTER bob secret", "REGISTER bob secret"),
        ("result", "/password old new", "PASSWORD old new"),
        ("result", "/logout", "LOGOUT"),
        ("result", "/channels", "CHANNELS"),
        ("result", "/join lab", "JOIN lab"),
        ("result", "/join\tlab", "JOIN lab"),
        ("result", "/leave", "LEAVE den"),
        ("result", "/leave lab", "LEAVE lab"),
        ("result", "/create lab private", "CREATE lab private"),
        ("result", "/invite lab bob", "INVITE lab bob"),
        ("result", "/users", "USERS den"),
        ("result", "/history lab 5", "HISTORY lab 5"),
        ("result", "/msg bob hi {0} there", "SAY @bob hi {0} there"),
        ("result", "/msg @bob hi", "SAY @bob hi"),
        ("result", "@bob hi", "SAY @bob hi"),
        ("result", "@bob\u3000hi", "SAY @bob hi"),
        ("result", "\u3000\uff20bob hi", "SAY @bob hi"),
        ("result", "/msg @ bob hi", "SAY @bob hi"),
        ("result", "\uff0flogin\u3000bob\u3000secret", "LOGIN bob secret"),
        ("result", "\uff0f\uff2a\uff4f\uff49\uff4e lab", "JOIN lab"),
        ("result", "/quit", "QUIT"),
        ("hello", "/msg bob hi", "SEND bob hi"),
        ("hello", "@bob hi", "SEND bob hi"),
        ("hello", "/who", "LIST"),
        ("mailbox", "/login ann123", "0|ann123"),
        ("mailbox", "/LOGIN ann123", "0|ann123"),
        ("mailbox", "/new ann", "1|ann"),
        ("mailbox", "/register ann", "1|ann"),
        ("mailbox", "/msg bob hi", "3|bob|hi"),
        ("mailbox", "@bob hi", "3|bob|hi"),
        ("mailbox", "/who", "2"),
        ("mailbox", "/quit", "bye"),
        ("rooms", "/msg bob hi  you", "/whisper bob hi  you"),
        ("rooms", "/Whisper bob hi", "/whisper bob hi"),
        ("rooms", "@bob hi", "/whisper bob hi"),
        ("rooms", "/join lab", "/switch lab"),
        ("rooms", "/list", "/list"),
        ("rooms", "/QUIT", "/quit"),
        ("rooms", "/leave", "/quit"),
        *((dialect_name, "//foo bar", f"{where}/foo bar") for dialect_name, where in WHERE.items()),
        *((dialect_name, "hi /quit @bob", f"{where}hi /quit @bob") for dialect_name, where in WHERE.items()),
    ],
)
def test_what_a_line_with_a_slash_sends(dialect_name: str, typed: str, sent: str) -> None:
    parsed = enter(client_dialect(dialect_name), typed)
    assert parsed.send == sent
    assert not parsed.refused


@dialects
@pytest.mark.parametrize(
    "typed", ["/", "/foo", "/foo bar", "/ foo", "/join/lab", "/@bob hi", "/e\u0301", "@", "@ hi", "/msg"]
)
def test_what_makes_no_sense_is_refused_with_a_hint(dialect_name: str, typed: str) -> None:
    parsed = enter(client_dialect(dialect_name), typed)
    assert parsed.refused
    assert not parsed.send
    assert "/" in parsed.hint or "@<user>" in parsed.hint


@dialects
def test_help_lists_what_can_be_typed(dialect_name: str) -> None:
    dialect = client_dialect(dialect_name)
    for typed in ("/help", "/HELP me"):
        parsed = enter(dialect, typed)
        assert not (parsed.send or parsed.refused)
        assert len(parsed.show) <= 21, "it is one screen, with the prompt and the toolbar"
        for row in dialect.slash_commands.values():
            shown = row.usage if row.help else row.usage.split()[0]
            assert (shown in "\n".join(parsed.show)) != row.absent


@pytest.mark.parametrize(
    ("dialect_name", "typed"),
    [("result", "@bob"), ("result", "/msg bob"), ("hello", "/msg bob"), ("mailbox", "/msg bob")],
)
def test_a_user_can_be_made_current(dialect_name: str, typed: str) -> None:
    dialect = client_dialect(dialect_name)
    assert not enter(dialect, typed).send
    assert dialect.prompt() == "@bob> "


@dialects
def test_every_row_has_a_name_of_its_own_and_says_how_it_is_typed(dialect_name: str) -> None:
    for name, row in client_dialect(dialect_name).slash_commands.items():
        assert row.usage.split()[0].startswith(name)
        assert name == name.casefold()


def test_every_verb_of_the_wire_can_be_typed_with_a_slash() -> None:
    assert {f"/{verb.lower()}" for verb in VERBS} <= {*ResultClient.slash_commands, "/help"}


@dialects
def test_words_of_irc_mean_the_same_here(dialect_name: str) -> None:
    for alias, word in ALIASES.items():
        for words in ("", " lab"):
            assert enter(client_dialect(dialect_name), alias + words) == enter(
                client_dialect(dialect_name), word + words
            )


@pytest.mark.parametrize(
    ("typed", "meant"), [("/jion lab", "/join"), ("/hlep", "/help"), ("/topci x", "/topic"), ("/xyz", "")]
)
def test_a_misspelt_command_is_told_with_what_may_be_meant(typed: str, meant: str) -> None:
    hint = enter(client_dialect("result"), typed).hint
    assert hint.startswith(f"Not sent: there is no command {typed.split()[0]}")
    assert (f", but {meant}." in hint) == bool(meant)


# ---- secrets ----

SECRETS = [
    "login bob s3cret", "LOGIN bob s3cret", "/login bob s3cret", "/Login bob s3cret", " \tlOgIn  bob\ts3cret",
    "//login bob s3cret", "/ login bob s3cret", "login bob s3cret more", "login\u3000bob\u3000s3cret",
    "> LOGIN bob s3cret", "\ufefflogin bob s3cret", '"LOGIN" bob s3cret', "login: bob s3cret", "password: s3cret",
    "\uff4c\uff4f\uff47\uff49\uff4e bob s3cret", "\uff0flogin bob s3cret",
    "register bob s3cret", "Register bob s3cret", "/REGISTER bob s3cret",
    " password s3cret s3cret", "PASSWORD s3cret s3cret", "/password s3cret s3cret", "password s3cret",
]  # fmt: skip
IDS = [
    "0|s3cret", " 0 | s3cret", ">0|s3cret", "4|s3cret", "5|s3cret", "/login s3cret", "login s3cret", "Login s3cret",
    "//login s3cret", "/mail s3cret", "/Delete s3cret", "mail s3cret", "Delete s3cret ", "\uff10\uff5cs3cret",
    "login: s3cret",
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect_name", "typed"),
    [
        *((dialect_name, typed) for dialect_name in DIALECTS for typed in SECRETS),
        *(("mailbox", typed) for typed in IDS),
    ],
)
def test_a_secret_is_never_said_shown_or_kept(dialect_name: str, typed: str) -> None:
    dialect = client_dialect(dialect_name)
    start = dialect.secret_start(typed)
    assert "s3cret" not in hide(typed, start)
    assert len(hide(typed, start)) == len(typed)
    assert "s3cret" not in cut(typed, start)
    for parsed in (enter(dialect, typed), say(dialect, typed)):
        assert not parsed.said
        assert "s3cret" not in parsed.hint
        assert "s3cret" not in parsed.send or re.match(r"(LOGIN|REGISTER|PASSWORD) |[045][ \t]*\||1\|", parsed.send)


@dialects
@pytest.mark.parametrize(
    "typed",
    [
        "logins are slow",
        "my login bob secret",
        "the login",
        "passwords are long",
        "pass me the salt",
        "relogin a b c",
        "logic is fun",
        "mail me about it",
    ],
)
def test_what_is_no_secret_is_said(dialect_name: str, typed: str) -> None:
    dialect = client_dialect(dialect_name)
    assert dialect.secret_start(typed) == len(typed)
    assert enter(dialect, typed).said


def test_without_a_channel_a_secret_is_still_told_to_be_one() -> None:
    assert enter(ResultClient(), "login bob secret") == refuse(SECRET)


commands = st.sampled_from(["login ann", "register ann", "password", "passwd", "/pass", "/msg nickserv identify"])


@EXAMPLES
@given(
    st.sampled_from(sorted(DIALECTS)),
    st.sampled_from(["", " ", "\t ", "/", "//", "/ ", "> ", '"', "\ufeff"]),
    commands,
    st.lists(st.booleans(), min_size=24, max_size=24),
    st.sampled_from([" ", "  ", "\t", "\u3000"]),
    st.sampled_from(["", " ", " again"]),
)
def test_no_line_with_a_password_is_said_shown_or_kept(
    dialect_name: str, before: str, command: str, upper: list[bool], blank: str, after: str
) -> None:
    cased = "".join(letter.upper() if up else letter for letter, up in zip(command, upper, strict=False))
    if before.strip() and cased.startswith("/"):
        cased = cased[1:]
    line = f"{before}{cased}{blank}S3cret{after}"
    dialect = client_dialect(dialect_name)
    start = dialect.secret_start(line)
    assert "S3cret" not in hide(line, start) + cut(line, start)
    for parsed in (enter(dialect, line), say(dialect, line)):
        assert not parsed.said
        assert "S3cret" not in parsed.hint
        assert (
            "S3cret" not in parsed.send
            or parsed.send.split()[0] in ("LOGIN", "REGISTER", "PASSWORD")
            or (re.match(r"[01]\|", parsed.send))
        )


# ---- commands without a slash ----


@dialects
@pytest.mark.parametrize(
    "typed",
    [
        "?",
        "? join",
        "help",
        "Help me",
        "HELP",
        "quit",
        "Quit",
        "exit",
        "login",
        "Login ann",
        "\uff48\uff45\uff4c\uff50",
    ],
)
def test_a_command_without_its_slash_is_not_said(dialect_name: str, typed: str) -> None:
    parsed = enter(client_dialect(dialect_name), typed)
    assert not parsed.said
    assert parsed.refused or (dialect_name == "result" and parsed.send == "HELP")
    assert not parsed.refused or "/" in parsed.hint


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_in_other_letters_is_not_said(verb: str) -> None:
    for typed in (verb.lower(), f"{verb.capitalize()} den hi", f" {verb[:-1]}{verb[-1].lower()} x"):
        parsed = enter(client_dialect("result"), typed)
        assert parsed.refused
        assert "slash" in parsed.hint or "password" in parsed.hint


@dialects
def test_every_dialect_has_the_same_words(dialect_name: str) -> None:
    dialect = client_dialect(dialect_name)
    assert {*COMMON} <= {*dialect.slash_commands, "/help"}
    for word in (word for word in COMMON if word != "/me"):
        parsed = enter(dialect, f"{word} den" if word != "@" else "@den")
        assert not parsed.said
        assert "no command" not in parsed.hint


@dialects
def test_what_a_user_does_is_said_with_a_star(dialect_name: str) -> None:
    assert enter(client_dialect(dialect_name), "/me  waves ").send == f"{WHERE[dialect_name]}* waves"


# ---- in a pipe ----


@pytest.mark.parametrize("dialect_name", ["hello", "rooms"])
@pytest.mark.parametrize("typed", ["/foo", "//foo", "login bob secret", "/login bob secret"])
def test_between_pipes_it_is_a_message(dialect_name: str, typed: str) -> None:
    assert client_dialect(dialect_name).typed(typed).send == f"{WHERE[dialect_name]}{typed}"


def test_between_pipes_a_guest_of_a_channel_says_what_begins_with_an_at_sign() -> None:
    assert client_dialect("rooms").typed("@bob hi").send == "@bob hi"


# ---- text as it is ----


@pytest.mark.parametrize(
    "typed", ["LEAVE", "QUIT", "SAY den hi", "@bob hi", "/foo", "//foo", "!who", "LIST", "2", "3|bob|hi", "bye"]
)
@dialects
def test_a_text_is_said_whatever_command_it_looks_like(dialect_name: str, typed: str) -> None:
    parsed = say(client_dialect(dialect_name), typed)
    assert parsed.send == f"{WHERE[dialect_name]}{typed}"
    assert parsed.said


@pytest.mark.parametrize("typed", ["/quit", "/whisper bob hi", "/send bob a", "/list", "/switch den", "/piece 1 AAAA"])
def test_what_the_server_of_a_channel_would_obey_cannot_be_said(typed: str) -> None:
    for parsed in (say(client_dialect("rooms"), typed), enter(client_dialect("rooms"), f"/{typed}")):
        assert parsed.refused
        assert not parsed.send


@EXAMPLES
@given(st.sampled_from(sorted(DIALECTS)), st.text("/@ ab|!\t", max_size=12), st.booleans())
def test_a_line_that_begins_with_a_slash_or_an_at_sign_is_never_said_as_it_is(
    dialect_name: str, text: str, at: bool
) -> None:
    line = f"{'@' if at else '/'}{text}"
    parsed = enter(client_dialect(dialect_name), line)
    assert not parsed.said or line.startswith("//")
    assert not parsed.said or parsed.send == WHERE[dialect_name] + line.strip(" \t")[1:]


@pytest.mark.parametrize("typed", ["a\udcff", "@bob \udcff", "/msg bob \udcff"])
@dialects
def test_what_is_no_text_is_not_sent(dialect_name: str, typed: str) -> None:
    parsed = enter(client_dialect(dialect_name), typed)
    assert parsed.refused
    assert "UTF-8" in parsed.hint


# ---- a guest without a name ----


@pytest.mark.parametrize("dialect", [RoomsClient(lambda word: [word]), HelloClient()], ids=["rooms", "hello"])
@pytest.mark.parametrize("typed", ["/list", "/msg bob hi", "@bob hi", "//amy", "/foo", "login bob secret"])
def test_a_command_is_no_name(dialect: ClientDialect, typed: str) -> None:
    dialect.begun()
    assert enter(dialect, typed).refused


@pytest.mark.parametrize("dialect", [RoomsClient(lambda word: [word]), HelloClient()], ids=["rooms", "hello"])
def test_a_guest_without_a_name_can_leave(dialect: ClientDialect) -> None:
    dialect.begun()
    assert not enter(dialect, "/quit").send
    assert dialect.done()


# ---- completion ----


@pytest.mark.parametrize(
    ("dialect_name", "text", "word", "choices"),
    [
        ("result", "/l", "/l", ["/leave", "/list", "/login", "/logout"]),
        ("result", "/J", "/J", ["/join", "/joined"]),
        ("result", "/join d", "d", ["den"]),
        ("result", "/msg b", "b", ["bob"]),
        ("result", "/msg @b", "@b", ["@bob"]),
        ("result", "@b", "@b", ["@bob"]),
        ("result", "/foo b", "", []),
        ("result", "JOIN d", "d", ["den"]),
        ("hello", "/msg b", "b", ["bob "]),
        ("hello", "@b", "@b", ["@bob "]),
        ("hello", "/he", "/he", ["/help"]),
        ("mailbox", "/msg b", "b", ["bob "]),
        ("mailbox", "/m", "/m", ["/mail", "/me", "/msg"]),
        ("rooms", "/msg b", "b", ["bob"]),
        ("rooms", "@b", "b", ["bob"]),
        ("rooms", "/join d", "d", ["den"]),
        ("rooms", "/send bob x", "x", ["x"]),
    ],
)
def test_completion(dialect_name: str, text: str, word: str, choices: list[str]) -> None:
    dialect = client_dialect(dialect_name)
    for line in {
        "result": ["RECV bob den hi"],
        "hello": ["DELIVERY bob hi"],
        "mailbox": ["bob: hi"],
        "rooms": [f"{FRAME} bob has joined the channel."],
    }[dialect_name]:
        dialect.received(line)
    assert complete(dialect, text) == (word, choices)
