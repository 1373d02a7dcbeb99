"""The dialect `mailbox` as a person uses it, without a server."""

from __future__ import annotations

import pytest

from commands import Request
from dialects.mailbox import COMMANDS, GREETING, HINT, NOT_KEPT, Mailbox
from support.lines import text_of
from support.world import World
from text import MAX_LINE
from ui.dialects.base import CONNECTION_LOST, TOO_LONG, ParsedInput, complete_addressed, refuse
from ui.dialects.mailbox import NOBODY_ADDRESSED, VERBS, MailboxClient, interpret
from ui.rendering import STYLES, without_style
from ui.secrets import cut, hide

LOGGED_IN = "user : amy is now logged in"
MADE = "Success New Account Creation! Your new Account ID: "


def dialect_after(*lines: str) -> MailboxClient:
    """A dialect in which amy has logged in, and then typed these lines, to which nothing was answered yet."""
    dialect = MailboxClient()
    dialect.received(GREETING)
    enter(dialect, "/login s3cret")
    dialect.received(LOGGED_IN)
    for line in lines:
        enter(dialect, line)
    return dialect


def enter(dialect: MailboxClient, line: str) -> ParsedInput:
    """Type a line and send what it comes to."""
    parsed = dialect.typed(line)
    if parsed.send:
        dialect.sent(parsed.send)
    return parsed


def shown(dialect: MailboxClient, line: str) -> str:
    """A received line as the screen shows it, without its colours."""
    return text_of(dialect.received(line))


# ---- typing ----


def test_the_client_knows_the_commands_of_the_server() -> None:
    assert sorted([verb.opcode for verb in VERBS.values()] + ["3"]) == sorted(COMMANDS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_server_takes_what_the_words_stand_for(verb: str) -> None:
    with World() as world:
        row = VERBS[verb]
        words = ["ann"] * row.max_args
        request = Mailbox(world.chat).parse(interpret(" ".join([verb, *words]), "", "").send)
        assert isinstance(request, Request)
        assert (request.command, request.args) == (COMMANDS[row.opcode], tuple(words))


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("/new ann", "1|ann"),
        ("/new \t e\u0301lan", "1|e\u0301lan"),
        ("/login ann123", "0|ann123"),
        ("/users", "2"),
        ("/users a.*", "2|a.*"),
        ("/mail", "4|own1"),
        ("/mail ann123", "4|ann123"),
        ("/delete ann123", "5|ann123"),
        ("/bye", "bye"),
        ("@bob hi", "3|bob|hi"),
        ("@bob \t hi   there\tyou", "3|bob|hi   there\tyou"),
        ("@bob 2", "3|bob|2"),
        ("@bob a|b", "3|bob|a|b"),
        ("@e\u0301lan hi", "3|\u00e9lan|hi"),
        ("hi   there", "3|cid|hi   there"),
        ("login to it please", "3|cid|login to it please"),
        ("1|ann", "1|ann"),
        ("0 | ann123", "0 | ann123"),
        ("2", "2"),
        ("2|", "2|"),
        ("3|bob|  hi  | you", "3|bob|  hi  | you"),
        ("9|what", "9|what"),
        ("bye", "bye"),
        ("22", "3|cid|22"),
        ("bye bye", "3|cid|bye bye"),
    ],
)
def test_what_a_typed_line_sends(line: str, sent: str) -> None:
    parsed = interpret(line, "cid", "own1")
    assert (parsed.send, parsed.hint, parsed.goodbye) == (sent, "", sent == "bye")


@pytest.mark.parametrize(
    "line",
    [
        "hi", "@", "@ hi", "@a|b hi", "/", "/what", "/NEW ann", "/new", "/new a b", "/login", "/login a b",
        "/users a b", "/mail", "/mail a b", "/delete a b", "/bye now", "login ann123", "Login  ann123",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_not_sent_but_helped(line: str) -> None:
    parsed = interpret(line, "", "")
    assert parsed.refused
    assert not parsed.send
    assert parsed.hint.startswith("Not sent: ")


def test_an_account_is_not_deleted_by_one_word() -> None:
    parsed = dialect_after().typed("/delete")
    assert parsed == refuse("it is typed /delete <id>. It is for good, so the ID has to be typed.")


def test_plain_text_goes_to_whom_was_addressed_alone() -> None:
    dialect = dialect_after()
    assert dialect.prompt() == "> "
    assert dialect.typed("hello") == refuse(NOBODY_ADDRESSED)
    assert dialect.typed("@bob ") == ParsedInput(hint="Plain text goes to bob now.", current="bob")
    assert dialect.prompt() == "@bob> "
    assert dialect.typed("@cid psst").send == "3|cid|psst"
    assert dialect.typed(" hello ").send == "3|bob|hello"


@pytest.mark.parametrize("line", ["", " ", "\t "])
def test_blanks_mean_nothing(line: str) -> None:
    assert dialect_after().typed(line) == ParsedInput()


def test_a_line_has_a_longest_length() -> None:
    dialect = dialect_after()
    room = MAX_LINE - len("3|bob|\n")
    assert dialect.typed("@bob " + "x" * room).send
    assert dialect.typed("@bob " + "x" * (room + 1)) == refuse(TOO_LONG)
    assert dialect.typed("3|bob|" + "x" * (room + 1)) == refuse(TOO_LONG)


@pytest.mark.parametrize(
    ("typed", "masked", "kept"),
    [
        ("/login ann123", "/login ******", "/login"),
        ("  /mail\tann123 ", "  /mail\t****** ", "  /mail"),
        ("/delete ann123", "/delete ******", "/delete"),
        ("/LOGIN ann123", "/LOGIN ******", "/LOGIN"),
        ("/login a b", "/login * *", "/login"),
        ("login ann123", "login ******", "login"),
        ("0|ann123", "0|******", "0|"),
        (" 4 | ann123", " 4 | ******", " 4 |"),
        ("5|a|b", "5|***", "5|"),
        ("/login ", "/login ", "/login "),
        ("/mail", "/mail", "/mail"),
        ("/logins ann123", "/logins ann123", "/logins ann123"),
        ("login to it please", "login ** ** ******", "login"),
        ("1|ann", "1|ann", "1|ann"),
        ("3|bob|0|x", "3|bob|0|x", "3|bob|0|x"),
        ("@bob /login x", "@bob /login x", "@bob /login x"),
        ("", "", ""),
    ],
)
def test_ids_are_masked_and_not_kept(typed: str, masked: str, kept: str) -> None:
    dialect = dialect_after()
    start = dialect.secret_start(typed)
    assert hide(typed, start) == masked
    assert cut(typed, start) == kept


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("", "", ["/bye", "/delete", "/login", "/mail", "/new", "/users"]),
        ("/l", "/l", ["/login"]),
        ("/login ", "", []),
        ("@", "@", ["@amy ", "@bob "]),
        ("@b", "@b", ["@bob "]),
        ("@amy ask @b", "@b", ["@bob"]),
        ("hello", "hello", []),
        ("hello ", "", []),
    ],
)
def test_completion(text: str, word: str, choices: list[str]) -> None:
    assert complete_addressed(text, ["bob", "amy"], VERBS) == (word, choices)


def test_names_are_learnt_from_what_is_seen() -> None:
    dialect = dialect_after("/users", "@dee hi", "@eve hi", "@fox hi", "/users .*", "/users", "/mail")
    for line in [
        "Showing all accounts: amy,bob,fox", "cid: hi", "Sender amy sends a new message hi to dee",
        "message from amy has been delivered to eve's mailbox", "Receiver: fox doesn't exist", "Account matched: gus",
        "Showing all accounts:", "undelivered message for user ID s3cret:", "hal sends: hi",
    ]:  # fmt: skip
        dialect.received(line)
    names = ["bob", "cid", "dee", "eve", "gus", "hal"]
    assert dialect.complete("@") == ("@", [f"@{name} " for name in names])


# ---- answers ----


@pytest.mark.parametrize(
    ("typed", "line", "text"),
    [
        (
            "/login x",
            "user : bob is now logged in",
            "You are logged in as bob. /mail takes what came while you were away.",
        ),
        (
            "/login x",
            "user with ID : x is not recognized in the system, please try a different name or create a new one",
            "Not logged in: no account has this ID. /new <name> makes an account.",
        ),
        ("/login x", HINT, f"The server does not understand that. {HINT}"),
        ("/login x", NOT_KEPT, NOT_KEPT),
        (
            "/new bob",
            f"{MADE}x-_9",
            f"{MADE}x-_9  (keep it: it is the only way in, and whoever knows it is you)",
        ),
        (
            "/new bob",
            "Username bob already exists. Please try a different username.",
            "Not made: the name bob is taken. Try another one.",
        ),
        ("/new @", HINT, "Not made: @ cannot be a name."),
        ("/new {0}\x1b", HINT, "Not made: {0} cannot be a name."),
        ("/new bob", "There is no room for more accounts", "Not made. There is no room for more accounts."),
        ("/users", "Showing all accounts: amy,bob", "All accounts: amy, bob"),
        ("/users", "Showing all accounts:", "All accounts: none"),
        ("/users a*", "Account matched: amy,ann", "Accounts that match: amy, ann"),
        ("/users x", "Account matched to: x doesn't exist", "No account matches x"),
        ("@bob a  b", "Sender amy sends a new message a  b to bob", "Delivered to bob: a  b"),
        ("@bob a to b", "Sender amy sends a new message a to b to bob", "Delivered to bob: a to b"),
        (
            "@bob hi",
            "message from amy has been delivered to bob's mailbox",
            "bob is away; the message waits in the mailbox.",
        ),
        ("@bob hi", "Receiver: bob doesn't exist", "Not delivered: bob doesn't exist."),
        ("@bob hi", "The mailbox of bob is full", "Not delivered: bob is away, and the mailbox is full."),
        ("@bob hi", HINT, "Not delivered: you are not logged in, or a name or a message is missing."),
        ("/mail", "undelivered message for user ID s3cret:", "What has waited:"),
        ("/mail", "No new messages", "No new messages"),
        ("/mail x", "User not Found", "No mail: no account has this ID."),
        (
            "/mail",
            "Your messages are on their way to another connection; please try again later",
            "Your messages are on their way to another connection; please try again later",
        ),
        ("/delete x", "Your account has been deleted", "Your account has been deleted."),
        ("/delete x", "User Not Found!", "Not deleted: no account has this ID."),
        (
            "/delete x",
            "Please check your mailbox before deleting your account!",
            "Not deleted: mail waits in it. /mail takes it.",
        ),
        ("9|x", HINT, f"The server does not understand that. {HINT}"),
        ("", "bob: hi: you", "bob: hi: you"),
        ("@bob hi", "bob: hi", "bob: hi"),
        ("", "bob sends:  hi", "[mail] bob:  hi"),
        ("", "Receiver: bob doesn't exist", "Receiver: bob doesn't exist"),
        ("", "Your account has been deleted", "Your account has been deleted from another connection."),
        (
            "/login x",
            "user : amy is now logged in elsewhere",
            "amy is now logged in elsewhere, so the server closes. /login <id> takes it back; nothing else will.",
        ),
        ("", GREETING, GREETING),
        ("", "anything {else}", "anything {else}"),
        ("", "", ""),
    ],
)
def test_how_a_received_line_is_drawn(typed: str, line: str, text: str) -> None:
    dialect = dialect_after(typed)
    (drawn,) = [shown.text for shown in dialect.received(line)] or [[]]
    assert without_style(drawn) == text
    styles = [word for style, _text in drawn for word in style.split()]
    assert {style.removeprefix("class:") for style in styles} <= {*STYLES}


def test_answers_belong_to_requests_in_their_order() -> None:
    dialect = dialect_after("@bob one", "/users", "/mail", "@cid two")
    lines = [
        "Sender amy sends a new message one to bob", "dee: Showing all accounts: x", "Showing all accounts: amy,bob",
        "undelivered message for user ID s3cret:", "eve sends: hi", "eve sends: you", "Receiver: cid doesn't exist",
    ]  # fmt: skip
    assert [shown(dialect, line) for line in lines] == [
        "Delivered to bob: one", "dee: Showing all accounts: x", "All accounts: amy, bob", "What has waited:",
        "[mail] eve: hi", "[mail] eve: you", "Not delivered: cid doesn't exist.",
    ]  # fmt: skip


def test_an_answer_that_is_not_known_does_not_disturb_the_others() -> None:
    dialect = dialect_after("/users", "/login x", "/users")
    assert shown(dialect, "(a line that is too long)") == "(a line that is too long)"
    assert shown(dialect, "user : bob is now logged in").startswith("You are logged in as bob.")
    assert shown(dialect, "Showing all accounts: bob") == "All accounts: bob"


@pytest.mark.parametrize(
    ("line", "fails"),
    [
        (HINT, True),
        ("user with ID : x y is not recognized in the system, please try a different name or create a new one", True),
        ("Receiver: bob doesn't exist ", True),
        ("Receiver:  doesn't exist ", True),
        ("Account matched to: b.* doesn't exist", True),
        ("User not Found", True),
        ("User Not Found! ", True),
        ("Username bob already exists. Please try a different username.", True),
        (GREETING, False),
        (LOGGED_IN, False),
        (f"{MADE}x", False),
        ("No new messages", False),
        ("Your account has been deleted", False),
        ("Account matched: bob", False),
        *((f"{sender}{said}", False) for sender in ("bob: ", "bob sends: ", "User: ") for said in (
            HINT, "Receiver: bob doesn't exist ", "User not Found", "Username bob already exists. ",
        )),
        ("Sender amy sends a new message Receiver: bob doesn't exist  to bob", False),
        ("", False),
    ],
)  # fmt: skip
def test_what_is_a_failure_between_pipes(line: str, fails: bool) -> None:
    failure = MailboxClient().failure
    assert failure
    assert bool(failure.fullmatch(line)) == fails


# ---- the login, and its repetition ----


def test_who_is_not_logged_in_stays_so() -> None:
    dialect = MailboxClient()
    assert dialect.lost() == CONNECTION_LOST
    assert dialect.returned() == ParsedInput(hint="Connected again; you are not logged in.")
    assert dialect.typed("/mail").refused


@pytest.mark.parametrize(
    ("typed", "answer", "login"),
    [
        ("0|ann123", "user : ann is now logged in", "0|ann123"),
        ("/login e\u0301123", "user : \u00e9 is now logged in", "0|\u00e9123"),
        ("/new ann", f"{MADE}x-_9", "0|x-_9"),
        ("1| ann ", f"{MADE}x-_9", "0|x-_9"),
    ],
)
def test_a_login_is_repeated_after_a_lost_connection(typed: str, answer: str, login: str) -> None:
    dialect = MailboxClient()
    enter(dialect, typed)
    dialect.received(answer)
    assert dialect.typed("/mail").send == login.replace("0", "4", 1)
    enter(dialect, "/users")
    for _time in range(2):
        assert dialect.lost() == CONNECTION_LOST
        assert dialect.returned() == ParsedInput(send=login, hint="Connected again; logging in.")
        dialect.sent(login)
        dialect.received(GREETING)
        assert shown(dialect, "user : ann is now logged in").startswith("You are logged in as ann.")


def test_a_login_that_fails_changes_nothing() -> None:
    dialect = dialect_after("/login other", "/new amy")
    dialect.received(
        "user with ID : other is not recognized in the system, please try a different name or create a new one"
    )
    dialect.received("Username amy already exists. Please try a different username.")
    dialect.lost()
    assert dialect.returned().send == "0|s3cret"


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("/delete s3cret", "Your account has been deleted"),
        ("", "Your account has been deleted"),
        ("/mail", "User not Found"),
        (
            "/login s3cret",
            "user with ID : s3cret is not recognized in the system, please try a different name or create a new one",
        ),
    ],
)
def test_an_account_that_is_gone_is_not_entered_again(typed: str, line: str) -> None:
    dialect = dialect_after(typed)
    dialect.received(line)
    assert dialect.typed("/mail").refused
    dialect.lost()
    assert not dialect.returned().send


def test_another_account_that_is_gone_is_not_ours() -> None:
    dialect = dialect_after("/delete other")
    dialect.received("Your account has been deleted")
    dialect.lost()
    assert dialect.returned().send == "0|s3cret"


def test_two_clients_do_not_show_each_other_out_for_ever() -> None:
    dialect = dialect_after()
    dialect.received("user : amy is now logged in elsewhere")
    assert dialect.lost() == ""
    assert dialect.returned() == ParsedInput(hint="Connected again; you are not logged in.")
    assert dialect.lost() == CONNECTION_LOST
    assert not dialect.returned().send
    assert dialect.typed("/mail").send == "4|s3cret"
    enter(dialect, "/login s3cret")
    dialect.received(LOGGED_IN)
    dialect.lost()
    assert dialect.returned().send == "0|s3cret"


@pytest.mark.parametrize("line", ["/bye", "bye"])
def test_leaving_waits_for_the_server(line: str) -> None:
    dialect = dialect_after()
    assert not dialect.leaving
    enter(dialect, line)
    assert dialect.leaving
    assert not dialect.done()
