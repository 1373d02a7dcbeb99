"""The dialect `result` as a person uses it, without a server."""

from __future__ import annotations

import pytest

from dialects.result import COMMANDS
from dialects.result_words import render_not_restored
from domain.events import NotRestored
from support.lines import text_of
from text import MAX_LINE
from ui.dialects.base import LOGIN_RETRY_SECONDS, PROBE, STILL_HELD, TOO_LONG, ParsedInput, read, refuse
from ui.dialects.result import ANSWERS, ResultClient
from ui.dialects.result_commands import NO_CHANNEL, VERBS, complete, interpret
from ui.rendering import STYLES, Fragments, without_style
from ui.secrets import cut, hide, password_start


def draw(line: str) -> Fragments:
    """A received line as the screen shows it."""
    answer, words = read(line, ANSWERS)
    return answer.render(*words)


def shown(line: str) -> str:
    """The same without its colours."""
    return without_style(draw(line))


# ---- verbs and secrets ----


def test_the_client_knows_the_verbs_of_the_server() -> None:
    assert {verb for verb in COMMANDS if " " not in verb} <= {*VERBS}


@pytest.mark.parametrize(
    ("typed", "masked", "kept"),
    [
        ("LOGIN amy hush", "LOGIN amy ****", "LOGIN amy"),
        ("  LOGIN\tamy  hush  more ", "  LOGIN\tamy  ****  **** ", "  LOGIN\tamy"),
        ("REGISTER amy h", "REGISTER amy *", "REGISTER amy"),
        ("PASSWORD old new", "PASSWORD *** ***", "PASSWORD"),
        ("login amy hush", "login amy ****", "login amy"),
        ("LOGIN amy ", "LOGIN amy ", "LOGIN amy "),
        ("LOGINS amy hush", "LOGINS amy hush", "LOGINS amy hush"),
        ("SAY LOGIN amy hush", "SAY LOGIN amy hush", "SAY LOGIN amy hush"),
        ("", "", ""),
    ],
)
def test_passwords_are_masked_and_not_kept(typed: str, masked: str, kept: str) -> None:
    start = password_start(typed)
    assert hide(typed, start) == masked
    assert cut(typed, start) == kept


# ---- typing ----


@pytest.mark.parametrize(
    ("typed", "current", "sent", "echoed"),
    [
        ("LOGIN amy hush", "", "LOGIN amy hush", False),
        (" CREATE  den ", "", "CREATE  den", False),
        ("hello  you", "den", "SAY den hello  you", True),
        ("  hello\tyou ", "@bob", "SAY @bob hello\tyou", True),
        ("help me", "den", "SAY den help me", True),
        ("/quit", "den", "SAY den /quit", True),
        ("SAY lab hello", "den", "SAY lab hello", True),
        ("SEND lab hello", "", "SEND lab hello", True),
        ("USERS", "den", "USERS den", False),
        ("HISTORY", "den", "HISTORY den", False),
        ("LEAVE", "den", "LEAVE den", False),
        ("LEAVE lab", "den", "LEAVE lab", False),
        ("LEAVE", "", "LEAVE", False),
        ("SAY", "den", "SAY", True),
        ("hello you", "den:two.org", "SAY den:two.org hello you", True),
        ("hello you", "@bob@two.org", "SAY @bob@two.org hello you", True),
        ("SEND den:two.org hello", "den", "SEND den:two.org hello", True),
        ("LEAVE", "den:two.org", "LEAVE den:two.org", False),
    ],
)
def test_what_a_typed_line_sends(typed: str, current: str, sent: str, echoed: bool) -> None:
    parsed = interpret(typed, current)
    assert (parsed.send, parsed.echoed) == (sent, echoed)
    assert bool(parsed.hint) != bool(parsed.send)


def test_a_line_has_a_longest_length() -> None:
    dialect = ResultClient()
    assert dialect.typed("SAY den " + "x" * (MAX_LINE - len("SAY den \n"))).send
    assert dialect.typed("SAY den " + "x" * (MAX_LINE - len("SAY den "))) == refuse(TOO_LONG)


def test_plain_text_without_a_channel_is_not_sent_but_helped() -> None:
    assert interpret("hello", "") == refuse(NO_CHANNEL)


@pytest.mark.parametrize("typed", ["", " ", "\t "])
def test_blanks_mean_nothing(typed: str) -> None:
    assert interpret(typed, "den") == ParsedInput()


def test_say_without_a_message_makes_a_channel_current() -> None:
    dialect = ResultClient()
    for typed, prompt in [
        ("SAY den", "den> "),
        ("SAY @bob", "@bob> "),
        ("LEAVE", "> "),
        ("SAY den:two.org", "den:two.org> "),
        ("SAY @bob@two.org", "@bob@two.org> "),
        ("LEAVE", "> "),
    ]:
        assert not dialect.typed(typed).send
        assert dialect.prompt() == prompt


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("", "", sorted(VERBS)),
        ("LOG", "LOG", ["LOGIN", "LOGOUT"]),
        ("jo", "jo", ["JOIN", "JOINED"]),
        ("hello", "hello", []),
        ("JOIN ", "", ["den", "lab"]),
        ("JOIN d", "d", ["den"]),
        ("SAY den d", "d", []),
        ("CREATE d", "d", []),
        ("d d", "d", []),
        ("SAY @", "@", ["@amy", "@bob"]),
        ("hello @b", "@b", ["@bob"]),
        ("@a", "@a", ["@amy"]),
    ],
)
def test_completion(text: str, word: str, choices: list[str]) -> None:
    assert complete(text, ["lab", "den"], ["bob", "amy"]) == (word, choices)


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("JOIN d", "d", ["den", "den:one.org", "den:two.org"]),
        ("JOIN den:", "den:", ["den:one.org", "den:two.org"]),
        ("SAY @b", "@b", ["@bob", "@bob@two.org"]),
        ("SAY @bob@", "@bob@", ["@bob@two.org"]),
    ],
)
def test_completion_of_what_is_on_other_servers(text: str, word: str, choices: list[str]) -> None:
    assert complete(text, ["den:two.org", "den", "den:one.org"], ["bob@two.org", "bob"]) == (word, choices)


# ---- answers ----


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("RECV amy den hello  you ", "[den] amy: hello  you "),
        ("RECV amy @amy psst", "[@amy] amy: psst"),
        ("RECV amy den", "RECV amy den"),
        ("RECV amy@two.org den:two.org hi", "[den:two.org] amy@two.org: hi"),
        ("RECV amy@two.org @amy@two.org psst", "[@amy@two.org] amy@two.org: psst"),
        ("RESULT KICKED den:two.org", "You have been removed from den:two.org."),
        ("RESULT JOIN den 1", "You are in den."),
        ("RESULT JOIN {0} 1", "You are in {0}."),
        ("RESULT CHANNELS", "Channels: none"),
        ("RESULT CHANNELS den, lab", "Channels: den, lab"),
        ("RESULT USERS den amy, bob", "In den: amy, bob"),
        ("RESULT HISTORY den 3", "Messages repeated from den: 3"),
        ("RESULT KICKED den", "You have been removed from den."),
        ("RESULT MUTED den 30", "You are muted in den for 30 seconds."),
        ("RESULT ERROR line too long", "Error: line too long (HELP <command> explains a command)"),
        ("RESULT FUTURE den 1", "RESULT FUTURE den 1"),
        ("RESULT JOIN den 2", "RESULT JOIN den 2"),
        ("anything else", "anything else"),
        ("", ""),
    ],
)
def test_how_a_received_line_is_drawn(line: str, text: str) -> None:
    assert shown(line) == text


def test_every_answer_of_the_table_is_drawn_in_words() -> None:
    for command in COMMANDS.values():
        for answer in filter(None, (command.success, command.failure)):
            line = answer.format("den")
            assert shown(line) != line
            assert "den" not in line or "den" in shown(line)


def test_drawing_uses_styles_that_exist() -> None:
    for line in ["RECV amy den hi", "RESULT LOGIN 0", "RESULT LOGIN 1", "RESULT CHANNELS"]:
        for style, _text in draw(line):
            assert not style or style.removeprefix("class:") in STYLES


@pytest.mark.parametrize(
    ("line", "fails"),
    [
        *(
            (command.failure.format("den"), "HISTORY" not in usage)
            for usage, command in COMMANDS.items()
            if command.failure
        ),
        *((command.success.format("den"), False) for command in COMMANDS.values() if command.success),
        ("RESULT ERROR unknown type", True),
        ("RESULT SAY den:two.org 0", True),
        ("RESULT JOIN  0", True),  # the name was none, and nothing of it is left
        ("RESULT JOIN a, 0", True),
        ("RESULT WHO 0", True),
        ("RESULT CHANNELS 0", False),  # the name of a channel
        ("RESULT CHANNELS a, 0", False),
        ("RESULT USERS den a, 0", False),
        ("RESULT WHO a, 0", False),
        ("RESULT TOPIC den from ten to 0", False),
        ("RESULT TOPIC den 0", True),
        ("RESULT HISTORY den 10", False),
        ("RESULT MUTED den 10", False),
        ("RESULT KICKED 0", False),
        ("RECV bob den RESULT LOGIN 0", False),
        ("RECV bob RESULT 0", False),
        ("@time=2026-11-30T17:20:18.123Z;id=1 RECV bob den RESULT ERROR 0", False),
        (" RESULT LOGIN 0", False),
        ("", False),
    ],
)
def test_what_is_a_failure_between_pipes(line: str, fails: bool) -> None:
    failure = ResultClient().failure
    assert failure
    assert bool(failure.fullmatch(line)) == fails


# ---- dialect ----


def dialect_after(*lines: str) -> ResultClient:
    """A dialect in which amy has logged in, and then sent and received these lines; `lost` is the connection."""
    dialect = ResultClient()
    dialect.sent("LOGIN amy hush")
    for line in ("RESULT LOGIN 1", *lines):
        if line == "lost":
            dialect.lost()
        elif line.split()[0] in VERBS:
            dialect.sent(line)
        else:
            dialect.received(line)
        send_automatic_lines(dialect)
    return dialect


def send_automatic_lines(dialect: ResultClient) -> list[str]:
    """What the dialect sends by itself."""
    lines, dialect.automatic_lines = list(dialect.automatic_lines), ()
    for line in lines:
        dialect.sent(line)
    return lines


@pytest.mark.parametrize(
    ("lines", "current"),
    [
        (["RESULT JOIN den 1"], "den"),
        (["RESULT JOIN den 1", "RESULT JOIN lab 1"], "lab"),
        (["RESULT JOIN den 1", "JOIN lab", "RESULT JOIN lab 0"], "den"),
        (["JOIN den", "RESULT JOIN den 0"], ""),
        (["JOIN den", "RESULT JOIN den 0", "RESULT USERS den amy, bob"], "den"),
        (["JOIN den", "RESULT JOIN den 0", "RESULT USERS den 0"], ""),
        (["JOIN den", "RESULT JOIN den 0", "lost", "RESULT USERS den amy, bob"], ""),
        (["RESULT USERS den amy, bob"], ""),
        (["RECV bob den hello", "JOIN den", "RESULT JOIN den 0"], "den"),
        (["RECV bob den hello"], ""),
        (["RESULT JOIN den 1", "RESULT LEAVE den 1"], ""),
        (["RESULT JOIN den 1", "RESULT LEAVE den 0"], "den"),
        (["RESULT JOIN den 1", "RESULT JOIN lab 1", "RESULT LEAVE den 1"], "lab"),
        (["RESULT JOIN den 1", "RESULT KICKED den"], ""),
        (["RESULT JOIN den 1", "RESULT LOGOUT 1"], ""),
        (["JOIN den:two.org", "RESULT JOIN den:two.org 1"], "den:two.org"),
        (["RESULT JOIN den:two.org 1", "RECV bob@two.org den hi", "RESULT SAY den:two.org 0"], "den:two.org"),
        (["RESULT JOIN den:two.org 1", "RESULT KICKED den:two.org"], ""),
    ],
)
def test_the_current_channel(lines: list[str], current: str) -> None:
    assert dialect_after(*lines).current == current


def test_names_are_learnt_from_what_is_seen() -> None:
    dialect = dialect_after(
        "RESULT CHANNELS den, lab",
        "RESULT CREATE attic 1",
        "RECV bob hall hi",
        "RECV amy @cid hi",
        "RESULT USERS hall bob, dee",
    )
    assert dialect.complete("JOIN ") == ("", ["attic", "den", "hall", "lab"])
    assert dialect.complete("@") == ("@", ["@bob", "@cid", "@dee"])


def test_a_login_is_repeated_with_what_succeeded_last() -> None:
    dialect = ResultClient()
    assert dialect.returned().send == PROBE
    for line in ["LOGIN amy wrong", "LOGIN amy hush", "PASSWORD hush x", "PASSWORD hush new", "PASSWORD x"]:
        dialect.sent(line)
    for line in ["RESULT LOGIN 0", "RESULT LOGIN 1", "RESULT PASSWORD 0", "RESULT PASSWORD 1"]:
        dialect.received(line)
    assert dialect.returned().send == PROBE
    assert dialect.automatic_lines[-1] == "LOGIN amy new"
    dialect.automatic_lines = ()
    dialect.received("RESULT LOGOUT 1")
    assert dialect.returned().send == PROBE
    assert not dialect.automatic_lines


def test_an_answer_that_was_lost_with_the_connection_is_not_waited_for() -> None:
    dialect = dialect_after()
    dialect.sent("LOGIN bob other")
    dialect.sent("PASSWORD hush newer")
    dialect.lost()
    dialect.received("RESULT LOGIN 1")
    dialect.received("RESULT PASSWORD 1")
    assert dialect.returned().send == PROBE
    assert dialect.automatic_lines == ("LOGIN amy hush",)


def test_another_user_starts_without_a_channel_and_the_same_one_keeps_it() -> None:
    dialect = dialect_after("RESULT JOIN den 1")
    dialect.sent("LOGIN amy hush")
    dialect.received("RESULT LOGIN 1")
    assert dialect.current == "den"
    dialect.sent("LOGIN bob hush")
    dialect.received("RESULT LOGIN 1")
    assert not dialect.current


@pytest.mark.parametrize(
    ("before", "answer", "told"),
    [
        ([], "RESULT USERS den amy, bob", "You are in den already; plain text goes there now."),
        (["RESULT USERS den 0"], "RESULT CHANNELS lab", "Cannot join den: there is no such channel. /create den makes"),
        (["RESULT USERS den 0"], "RESULT CHANNELS", "Cannot join den: there is no such channel. /create den makes it."),
        (["RESULT USERS den 0"], "RESULT CHANNELS den, lab", "Cannot join den: it is full"),
    ],
)
def test_a_join_that_fails_is_looked_into(before: list[str], answer: str, told: str) -> None:
    dialect = dialect_after("JOIN den")
    assert dialect.received("RESULT JOIN den 0") == []
    assert send_automatic_lines(dialect) == ["USERS den", "CHANNELS"]
    for line in before:
        assert dialect.received(line) == []
    assert text_of(dialect.received(answer)).startswith(told)
    assert text_of(dialect.received("RESULT USERS lab 0")).startswith("Nothing is told of lab: you are not in it")


def test_a_join_that_fails_where_that_can_be_known_is_not_looked_into() -> None:
    for dialect, channel, told in (
        (ResultClient(), "den", "Cannot join den: you are not logged in."),
        (dialect_after("RESULT JOIN den 1"), "den", "You are in den already"),
    ):
        dialect.sent(f"JOIN {channel}")
        assert text_of(dialect.received(f"RESULT JOIN {channel} 0")).startswith(told)
        assert not dialect.automatic_lines


def test_a_login_that_the_server_still_holds_is_repeated() -> None:
    dialect = dialect_after("RESULT JOIN den 1", "lost")
    dialect.sent(dialect.returned().send)
    assert send_automatic_lines(dialect) == ["LOGIN amy hush"]
    assert dialect.received("RESULT TAGS 1") == []
    waited = []
    for number in range(len(LOGIN_RETRY_SECONDS)):
        text = text_of(dialect.received("RESULT LOGIN 0"))
        assert text == (f"* {STILL_HELD}" if number == 0 else "")
        waited.append(dialect.pause)
        assert dialect.again() == ParsedInput(send="LOGIN amy hush")
        dialect.sent("LOGIN amy hush")
    assert tuple(waited) == LOGIN_RETRY_SECONDS
    assert text_of(dialect.received("RESULT LOGIN 0")).startswith("Not logged in:")
    assert dialect.pause is None
    assert dialect.again() == ParsedInput()


def test_a_login_is_not_repeated_after_a_success_nor_without_a_loss() -> None:
    dialect = dialect_after()
    dialect.sent("LOGIN amy hush")
    assert text_of(dialect.received("RESULT LOGIN 0")).startswith("Not logged in:")
    assert dialect.pause is None
    dialect.lost()
    dialect.sent(dialect.returned().send)
    send_automatic_lines(dialect)
    dialect.sent("LOGIN bob other")
    dialect.received("RESULT LOGIN 0")
    assert text_of(dialect.received("RESULT LOGIN 0")).startswith("Not logged in:")
    dialect.sent("LOGIN amy hush")
    dialect.received("RESULT LOGIN 1")
    assert dialect.again() == ParsedInput()
    never = ResultClient()
    never.lost()
    never.sent("LOGIN amy hush")
    assert text_of(never.received("RESULT LOGIN 0")).startswith("Not logged in:")


# ---- a channel whose server was away, and does not let the user in again ----

IN = ("JOIN den:two.org", "RESULT JOIN den:two.org 1")
NOT_RESTORED = render_not_restored(NotRestored("den:two.org")).decode().rstrip()


@pytest.mark.parametrize(
    ("lines", "current"),
    [
        ([*IN, NOT_RESTORED], ""),
        ([*IN, "JOIN den:two.org", "RESULT JOIN den:two.org 0", NOT_RESTORED], ""),
        ([*IN, "JOIN den:two.org", "RESULT JOIN den:two.org 0"], "den:two.org"),
        ([*IN, "JOIN den:one.org", NOT_RESTORED], ""),
        ([*IN, "JOIN den:one.org", NOT_RESTORED, "RESULT JOIN den:one.org 1"], "den:one.org"),
        ([*IN, "JOIN den:one.org", NOT_RESTORED, "RECV bob den hi", "RESULT JOIN den:one.org 0"], ""),
        ([*IN, "JOIN lab", "RESULT JOIN lab 1", NOT_RESTORED], "lab"),
        ([*IN, NOT_RESTORED, "JOIN den:two.org", "RESULT JOIN den:two.org 0"], ""),
        ([*IN, "JOIN den:two.org", "lost", NOT_RESTORED], ""),
    ],
)
def test_a_membership_that_is_not_restored_has_ended(lines: list[str], current: str) -> None:
    assert dialect_after(*lines).current == current


def test_a_membership_that_has_ended_is_told_in_other_words_than_a_join_that_is_refused() -> None:
    dialect = dialect_after(*IN, "JOIN lab:two.org")
    assert text_of(dialect.received(NOT_RESTORED)).startswith("You are no longer in den:two.org:")
    assert text_of(dialect.received("RESULT JOIN lab:two.org 0")) == ""
    send_automatic_lines(dialect)
    for names, why in (
        ("lab:two.org", "two.org does not let you in."),
        ("den", "there is no link to two.org."),
    ):
        dialect.sent("JOIN lab:two.org")
        assert text_of(dialect.received("RESULT JOIN lab:two.org 0")) == ""
        send_automatic_lines(dialect)
        assert text_of(dialect.received(f"RESULT CHANNELS {names}")) in ("", f"Cannot join lab:two.org: {why}")


def test_a_join_is_answered_whatever_the_form_of_its_name() -> None:
    dialect = dialect_after("JOIN cafe\u0301:two.org")
    assert dialect.received("RESULT JOIN caf\u00e9:two.org 0") == []
    assert send_automatic_lines(dialect)[-1] == "CHANNELS"


def test_a_message_that_did_not_arrive_is_told_with_its_channel() -> None:
    assert shown("RESULT SAY den:two.org 0") == "Not said in den:two.org: its server has not taken it."


def test_names_on_other_servers_are_learnt_from_what_is_seen() -> None:
    dialect = dialect_after(
        "RESULT CHANNELS den, lab:two.org",
        "RECV bob@two.org den hi",
        "RECV cid@two.org @cid@two.org psst",
        "RECV amy @dee@one.org hi",
        "RESULT USERS den amy, eve@one.org",
    )
    assert dialect.complete("JOIN l") == ("l", ["lab:two.org"])
    assert dialect.complete("@") == ("@", ["@bob@two.org", "@cid@two.org", "@dee@one.org", "@eve@one.org"])
