"""dialects/mailbox.py and the accounts without a password, on a server without sockets."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.throttle import HOUR, AccountRateLimit
from dialects.mailbox import GREETING, HINT, NOT_KEPT, Pattern
from domain.state import Limits
from support.examples import EXAMPLES, pieces, raising
from support.world import Client, World
from text import MAX_LINE

CREATED = "Success New Account Creation! Your new Account ID: {}123"
UNKNOWN_ID = "user with ID : {} is not recognized in the system, please try a different name or create a new one"


@pytest.fixture
def world() -> Iterator[World]:
    with World(channels={"room": 9}) as world:
        yield world


def is_closed(client: Client) -> bool:
    return client.session.over and client.transport.finished == 1


# ---- accounts ----


def test_the_server_speaks_first(world: World) -> None:
    client = world.client(world.mailbox)
    world.mailbox.begin(client.session)
    assert client.heard() == [GREETING]


def test_an_account_is_made_and_entered_again(world: World) -> None:
    mason = world.mailbox_client()
    assert mason.ask("1|mason", "bye") == [CREATED.format("mason")]
    assert is_closed(mason)
    mason = world.mailbox_client()
    assert mason.ask("0|mason123", "3|mason|hi") == [
        "user : mason is now logged in", "mason: hi", "Sender mason sends a new message hi to mason",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["mason", "user", "guest", "visitor"])
def test_a_name_that_somebody_has(world: World, name: str) -> None:
    world.mailbox_user("mason").ask("bye")
    world.user("user").ask("LOGOUT")
    world.guest("guest")
    world.room("room", "visitor")
    assert world.mailbox_client().ask(f"1|{name}", "3|mason|x") == [
        f"Username {name} already exists. Please try a different username.", HINT,
    ]  # fmt: skip


def test_a_name_is_nobody_elses(world: World) -> None:
    world.mailbox_user("mason").ask("bye")
    assert world.client().ask("REGISTER mason x", "LOGIN mason x") == ["RESULT REGISTER 0", "RESULT LOGIN 0"]
    assert world.client().ask("HELLO-FROM mason") == ["IN-USE"]
    assert world.room_guest("room", "mason").saw() == ["* Cannot connect to the room channel."]


@pytest.mark.parametrize("name", ["mason123", "", "None"])
def test_an_account_without_a_password_has_no_password(world: World, name: str) -> None:
    world.mailbox_user("mason")
    assert world.client().ask(f"LOGIN mason {name or 'x'}") == ["RESULT LOGIN 0"]


def test_an_account_with_a_password_has_no_id(world: World) -> None:
    world.user("user")
    assert world.mailbox_client().ask("0|user123", "4|user123", "5|user123", "0|user") == [
        UNKNOWN_ID.format("user123"), "User not Found", "User Not Found! ", UNKNOWN_ID.format("user"),
    ]  # fmt: skip


def test_a_switch_of_accounts(world: World) -> None:
    client = world.mailbox_user("mason")
    world.mailbox_user("wayne").ask("bye")
    other = world.guest("other")
    assert other.ask("LIST") == ["LIST-OK mason,other"]
    assert client.ask("0|wayne123") == ["user : wayne is now logged in"]
    assert other.ask("LIST") == ["LIST-OK other,wayne"]
    assert client.ask("1|dave") == [CREATED.format("dave")]
    assert other.ask("LIST") == ["LIST-OK other,dave"]
    assert client.ask("0|nobody", "1|wayne", "0|dave123")[2] == "user : dave is now logged in"
    assert client.ask("3|dave|hi")[0] == "dave: hi"


def test_the_newer_login_wins(world: World) -> None:
    older, newer = world.mailbox_user("mason"), world.mailbox_client()
    assert newer.ask("0|mason123") == ["user : mason is now logged in"]
    assert older.heard() == ["user : mason is now logged in elsewhere"]
    assert is_closed(older)
    assert newer.ask("3|mason|hi")[0] == "mason: hi"
    assert world.guest("guest").ask("LIST") == ["LIST-OK mason,guest"]


def test_there_is_room_for_so_many() -> None:
    with World(Limits(accounts=1)) as world:
        world.mailbox_user("mason")
        assert world.mailbox_client().ask("1|wayne") == ["There is no room for more accounts"]


def test_an_address_makes_accounts_at_a_pace_whatever_it_speaks(world: World) -> None:
    world.chat.accounts._rate_limit = AccountRateLimit(world.timers.monotonic, 2)
    place = ("192.0.2.1", 40000)
    mailbox, result = world.client(world.mailbox, place), world.client(None, place)
    assert mailbox.ask("1|mason") == [CREATED.format("mason")]
    assert result.ask("REGISTER alice a") == ["RESULT REGISTER 1"]
    assert mailbox.ask("1|wayne") == ["There is no room for more accounts"]
    assert mailbox.ask("1|alice") == ["Username alice already exists. Please try a different username."]
    assert result.ask("REGISTER bob b", "LOGIN alice a") == ["RESULT REGISTER 0", "RESULT LOGIN 1"]
    assert world.mailbox_client().ask("1|wayne") == [CREATED.format("wayne")]
    world.timers.let_pass(HOUR / 2)
    assert result.ask("REGISTER bob b", "REGISTER carol c") == ["RESULT REGISTER 1", "RESULT REGISTER 0"]


# ---- lists ----


def test_accounts_are_listed_in_the_order_in_which_they_were_made(world: World) -> None:
    client = world.mailbox_client()
    assert client.ask("2") == ["Showing all accounts:"]
    for name in ("wayne", "mason"):
        world.mailbox_user(name).ask("bye")
    world.user("alice")
    world.guest("guest")
    assert client.ask("2", "2|", " 2 | ") == ["Showing all accounts: wayne,mason,alice"] * 3
    assert client.ask("2|.a.*") == ["Account matched: wayne,mason"]
    assert client.ask("2|x*") == ["Account matched to: x* doesn't exist"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("mason", "mason"),
        (".ason", "mason"),
        ("w.yne", "wayne"),
        ("*", "wayne mason m maon"),
        (".*", "wayne mason m maon"),
        ("**.*", "wayne mason m maon"),
        ("m*", "mason m maon"),
        ("m.*n", "mason maon"),
        ("*n", "mason maon"),
        ("*a*o*", "mason maon"),
        ("ma*on", "mason maon"),
        ("mas*son", ""),
        ("m.", ""),
        (".", "m"),
        ("....", "maon"),
        ("M*", ""),
        ("[m]*", ""),
        ("m+", ""),
        ("(m|w).*", ""),
        ("\\w*", ""),
    ],
)
def test_patterns(pattern: str, names: str) -> None:
    asked = Pattern(pattern)
    assert [name for name in ("wayne", "mason", "m", "maon") if asked.matches(name)] == names.split()


@EXAMPLES
@given(st.text("ab.*", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_means_what_the_expression_means(pattern: str, name: str) -> None:
    expression = re.sub(r"(?:\.?\*)+", "\0", pattern).replace("\0", ".*")
    assert Pattern(pattern).matches(name) == (re.fullmatch(expression, name, re.DOTALL) is not None)


@pytest.mark.parametrize("pattern", ["*a" * 32, "*a.b" * 16 + "*", "." * 63 + "b", "*" * 4000, "a*" * 4000, "." * 8000])
def test_a_hostile_pattern_is_answered_like_any_other(pattern: str) -> None:
    began = time.process_time()
    asked = Pattern(pattern)
    for _ in range(100):
        Pattern(pattern)
        asked.matches("a" * 64)
    assert time.process_time() - began < 1, "seconds, where a second try for every star would take years"


# ---- messages ----


def test_a_message_to_one_who_is_there(world: World) -> None:
    mason, wayne = world.mailbox_user("mason"), world.mailbox_user("wayne")
    assert mason.ask("3|wayne| a  | b \x07 ") == ["Sender mason sends a new message a  | b to wayne"]
    assert wayne.heard() == ["mason: a  | b"]
    assert mason.ask("3|nobody|hi", "3|wayne123|hi") == [
        "Receiver: nobody doesn't exist ",
        "Receiver: wayne123 doesn't exist ",
    ]


def test_a_message_to_one_who_is_away_waits_until_it_is_asked_for(world: World) -> None:
    mason, wayne = world.mailbox_user("mason"), world.mailbox_user("wayne")
    assert wayne.ask("4|wayne123", "bye") == ["No new messages"]
    assert mason.ask("3|wayne|one", "3|wayne|two") == ["message from mason has been delivered to wayne's mailbox"] * 2
    wayne = world.mailbox_client()
    assert wayne.ask("0|wayne123") == ["user : wayne is now logged in"]
    assert wayne.ask("4|wayne123", "4|wayne123", "4|nobody") == [
        "undelivered message for user ID wayne123:", "mason sends: one", "mason sends: two", "No new messages",
        "User not Found",
    ]  # fmt: skip


def test_much_mail_comes_in_order_and_once(world: World) -> None:
    mason = world.mailbox_user("mason")
    world.mailbox_user("wayne").ask("bye")
    for number in range(100):
        mason.ask(f"3|wayne|{number}")
    first, second = world.mailbox_client(), world.mailbox_client()
    first.send("4|wayne123")
    second.send("4|wayne123")
    assert len(first.heard()) == 101
    assert second.heard() == ["Your messages are on their way to another connection; please try again later"]
    assert world.chat.users.accounts["wayne"].mail == 0


def test_mail_that_did_not_leave_stays(world: World) -> None:
    mason = world.mailbox_user("mason")
    world.mailbox_user("wayne").ask("bye")
    mason.ask("3|wayne|one")
    lost = world.mailbox_client()
    lost.send("4|wayne123")
    stream = lost.transport.behind.pop()
    assert isinstance(stream, Iterator)
    assert b"one" in next(stream)
    stream.close()  # type: ignore[attr-defined]
    lost.leave()
    assert world.mailbox_client().ask("4|wayne123")[1:] == ["mason sends: one"]


def test_a_full_mailbox() -> None:
    """B8, B22."""
    with World(Limits(mail=1)) as world:
        mason = world.mailbox_user("mason")
        world.mailbox_user("wayne").ask("bye")
        assert mason.ask("3|wayne|x", "3|wayne|x")[1] == "The mailbox of wayne is full"


def test_a_disk_that_takes_nothing(world: World) -> None:
    """B4: what needs no disk goes on."""
    mason = world.mailbox_user("mason")
    world.mailbox_user("wayne").ask("bye")
    world.let_database_take(anything=False)
    assert mason.ask("1|carol", "3|wayne|x", "5|mason123", "2") == [NOT_KEPT] * 3 + [
        "Showing all accounts: mason,wayne"
    ]


def test_mail_that_cannot_be_read_is_not_lost(world: World) -> None:
    mason, wayne = world.mailbox_user("mason"), world.mailbox_user("wayne")
    wayne.ask("bye")
    mason.ask("3|wayne|hi")
    wayne = world.mailbox_client()
    wayne.ask("0|wayne123")
    world.store._db.execute("ALTER TABLE mail RENAME TO hidden")
    assert wayne.ask("4|wayne123") == [NOT_KEPT]
    world.store._db.execute("ALTER TABLE hidden RENAME TO mail")
    assert wayne.ask("4|wayne123") == ["undelivered message for user ID wayne123:", "mason sends: hi"]


# ---- the end of an account ----


def test_an_account_is_deleted(world: World) -> None:
    mason, wayne = world.mailbox_user("mason"), world.mailbox_user("wayne")
    assert mason.ask("5|mason123", "5|mason123", "0|mason123", "3|wayne|x") == [
        "Your account has been deleted", "User Not Found! ", UNKNOWN_ID.format("mason123"), HINT,
    ]  # fmt: skip
    assert wayne.ask("3|mason|hi", "2") == ["Receiver: mason doesn't exist ", "Showing all accounts: wayne"]
    assert world.guest("mason").ask("LIST") == ["LIST-OK wayne,mason"]


def test_an_account_with_mail_is_not_deleted(world: World) -> None:
    mason = world.mailbox_user("mason")
    world.mailbox_user("wayne").ask("bye")
    mason.ask("3|wayne|hi")
    wayne = world.mailbox_client()
    assert wayne.ask("5|wayne123", "4|wayne123", "5|wayne123") == [
        "Please check your mailbox before deleting your account!",
        "undelivered message for user ID wayne123:", "mason sends: hi", "Your account has been deleted",
    ]  # fmt: skip


def test_mail_and_deletion_in_one_packet(world: World) -> None:
    mason = world.mailbox_user("mason")
    world.mailbox_user("wayne").ask("bye")
    mason.ask("3|wayne|hi")
    wayne = world.mailbox_client()
    wayne.send("4|wayne123\n5|wayne123")
    assert wayne.heard()[-1] == "Your account has been deleted"


def test_a_deleted_accounts_session_ends(world: World) -> None:
    mason = world.mailbox_user("mason")
    assert world.mailbox_client().ask("5|mason123") == ["Your account has been deleted"]
    assert mason.heard() == ["Your account has been deleted"]
    assert is_closed(mason)
    assert world.guest("guest").ask("LIST") == ["LIST-OK guest"]


def test_whoever_takes_the_name_next_inherits_nothing(world: World) -> None:
    wayne = world.mailbox_user("wayne")
    mason = world.mailbox_user("mason")
    mason.ask("3|wayne|x", "5|mason123")
    wayne.heard()
    other = world.user("mason")
    assert other.ask("CHANNELS") == ["RESULT CHANNELS room"]
    assert mason.ask("3|wayne|x", "4|mason123", "5|mason123", "0|mason123")[:3] == [
        HINT,
        "User not Found",
        "User Not Found! ",
    ]
    assert wayne.ask("3|mason|hi") == ["Sender wayne sends a new message hi to mason"]
    assert (other.heard(), mason.heard()) == (["RECV wayne @wayne hi"], [])


# ---- lines ----


@pytest.mark.parametrize(
    "line",
    ["0", "0|", "1", "1|", "1| ", "1|a b", "1|a,b", "1|a|b", "1|/a", "1|" + "x" * 65, "1|a\x07", "3", "3|", "3|mason",
     "3|mason|", "3||x", "3|mason| \x07", "4", "4|", "5", "5| ", "6|x", "9", "x", "bye|", "bye now", "BYE", "|", "||",
     "22", "2x|a", "LOGIN a b"],
)  # fmt: skip
def test_anything_else_gets_the_hint(world: World, line: str) -> None:
    assert world.mailbox_user("mason").ask(line) == [HINT]


def test_speaking_needs_a_login(world: World) -> None:
    world.mailbox_user("wayne")
    assert world.mailbox_client().ask("3|wayne|hi", "3|nobody|hi") == [HINT, HINT]


@pytest.mark.parametrize("line", [b"\xff", b"1|\xff", b"x" * MAX_LINE, b"1|" + b"x" * MAX_LINE], ids=len)
def test_a_line_that_cannot_be_read_gets_the_hint_once(world: World, line: bytes) -> None:
    client = world.mailbox_client()
    client.send(line + b"\n\n 1|mason \r\n")
    assert client.heard() == [HINT, CREATED.format("mason")]


def test_a_failure_that_nobody_has_foreseen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.mailbox_user("wayne").ask("bye")
    mason = world.mailbox_user("mason")
    monkeypatch.setattr(world.chat.journal, "_apply", raising)
    assert mason.ask("3|wayne|x", "1|dave", "5|mason123") == [HINT] * 3
    assert NOT_KEPT


# ---- the other wires ----


def test_everyone_meets_everyone(world: World) -> None:
    mason, user, guest = world.mailbox_user("mason"), world.user("user"), world.guest("guest")
    (visitor,) = world.room("room", "visitor")
    assert mason.ask("3|user|a", "3|guest|b", "3|visitor|c") == [
        "Sender mason sends a new message a to user", "Sender mason sends a new message b to guest",
        "Receiver: visitor doesn't exist ",
    ]  # fmt: skip
    assert (user.heard(), guest.heard(), visitor.saw()) == (["RECV mason @mason a"], ["DELIVERY mason b"], [])
    assert user.ask("SAY @mason d") == ["RECV user @mason d"]
    assert guest.ask("SEND mason e", "LIST") == ["SEND-OK", "LIST-OK mason,user,guest"]
    assert mason.heard() == ["user: d", "guest: e"]
    mason.ask("bye")
    user.ask("LOGOUT")
    assert guest.ask("SEND mason f") == ["BAD-DEST-USER"]
    wayne = world.mailbox_user("wayne")
    assert wayne.ask("3|user|g") == ["message from wayne has been delivered to user's mailbox"]
    assert user.ask("LOGIN user user", "SAY @mason h") == [
        "RESULT LOGIN 1", "RECV wayne @wayne g", "RECV user @mason h",
    ]  # fmt: skip
    assert world.mailbox_client().ask("4|mason123")[1:] == ["user sends: h"]


# ---- any bytes, any order ----

LINES = st.one_of(
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")),
    st.text(alphabet="012345|ab .*123 \x1b\u3000李", max_size=10).map(lambda line: line.encode(errors="ignore")),
)


@EXAMPLES
@given(st.lists(LINES, max_size=8), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_do_the_same_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    seen = []
    data = b"".join(line + b"\n" for line in lines)
    for parts in ([data], pieces(data, cuts), [bytes([byte]) for byte in data]):
        with World() as world:
            client = world.mailbox_user("a")
            for part in parts:
                client.send(part)
            seen.append(client.heard())
    assert seen[0] == seen[1] == seen[2]


@EXAMPLES
@given(st.randoms(use_true_random=False))
def test_whatever_they_do_everybody_is_online_once_and_no_message_is_lost(rng: random.Random) -> None:
    names = ["a", "b", "c"]
    with World() as world:
        clients = [world.mailbox_client() for _ in range(4)]
        sent = got = 0
        for number in range(40):
            place = rng.randrange(4)
            if clients[place].session.over:
                clients[place] = world.mailbox_client()
            name = rng.choice(names)
            line = rng.choice(
                [f"0|{name}123", f"1|{name}", f"3|{name}|m{number}", f"4|{name}123", f"5|{name}123", "bye"]
            )
            clients[place].send(line)
            heard = [heard for client in clients for heard in client.heard()]
            sent += sum("sends a new message" in answer or "'s mailbox" in answer for answer in heard)
            got += sum(re.match(r"\w(: | sends: )m\d", answer) is not None for answer in heard)
            online = [client.session.principal for client in clients if client.session.principal is not None]
            assert len(online) == len(set(online))
            assert {user.name: user for user in online} == world.chat.users.online
            assert all(world.chat.users.accounts[user.name] is user for user in online)
            waiting = sum(account.mail for account in world.chat.users.accounts.values())
            assert sent == got + waiting
