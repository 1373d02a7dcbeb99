"""dialects/hello.py: every answer, and any bytes at all, on a server without sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.hello import COMMANDS
from domain.state import Limits
from support.examples import EXAMPLES, pieces
from support.world import Client, World
from text import MAX_LINE

BAD_HEADER, BAD_BODY = "BAD-RQST-HDR", "BAD-RQST-BODY"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def is_closed(client: Client) -> bool:
    return client.session.over and client.transport.finished == 1


# ---- logging in ----


@pytest.mark.parametrize("name", ["alice", "a", "李", "😀", "a-b_c.d", "x" * 64, "LIST", "'"])
def test_a_name_is_ones_own_until_one_leaves(world: World, name: str) -> None:
    first = world.guest(name)
    second = world.client(world.hello)
    assert second.ask(f"HELLO-FROM {name}") == ["IN-USE"]
    assert is_closed(second)
    first.leave()
    world.guest(name)


def test_names_are_compared_in_one_form(world: World) -> None:
    assert world.client(world.hello).ask("HELLO-FROM e\u0301") == ["HELLO \u00e9"]
    assert world.client(world.hello).ask("HELLO-FROM \u00e9") == ["IN-USE"]


@pytest.mark.parametrize(
    "line",
    [
        "HELLO-FROM", "HELLO-FROM ", "HELLO-FROM a b", "HELLO-FROM a,b", "HELLO-FROM ,", "HELLO-FROM a:b",
        "HELLO-FROM a@b", "HELLO-FROM a|b", "HELLO-FROM /a", "HELLO-FROM a\u3000b", "HELLO-FROM a\x07",
        "HELLO-FROM \x1b", "HELLO-FROM a\u202eb", "HELLO-FROM " + "x" * 65,
    ],
)  # fmt: skip
def test_what_is_no_name_is_a_bad_body_and_the_end(world: World, line: str) -> None:
    client = world.client(world.hello)
    assert client.ask(line, "HELLO-FROM alice") == [BAD_BODY]
    assert is_closed(client)


@pytest.mark.parametrize(
    "line",
    [
        b"LIST",
        b"LIST x",
        b"SEND a b",
        b"SEND",
        b"hello-from a",
        b"HELLO a",
        b"LOGIN a b",
        b"HELLO-FROM: a",
        b"\xff",
        b"HELLO-FROM " + b"x" * MAX_LINE,
    ],
    ids=lambda line: repr(line[:12]),
)
def test_without_a_login_only_hello_from_fits(world: World, line: bytes) -> None:
    client = world.client(world.hello)
    client.send(line + b"\nHELLO-FROM alice\n")
    assert client.heard() == [BAD_HEADER]
    assert is_closed(client)


def test_an_empty_line_is_no_line(world: World) -> None:
    client = world.client(world.hello)
    assert client.ask("", " \t", "\r", "HELLO-FROM alice\r", "", "LIST\r") == ["HELLO alice", "LIST-OK alice"]


def test_a_full_server_is_busy_and_the_other_failures_come_first() -> None:
    with World(Limits(guests=2)) as world:
        world.user("account")
        alice, _bob = world.guest("alice"), world.guest("bob")
        for name, answer in (("a,b", BAD_BODY), ("alice", "IN-USE"), ("account", "IN-USE"), ("carol", "BUSY")):
            client = world.client(world.hello)
            assert client.ask(f"HELLO-FROM {name}") == [answer]
            assert is_closed(client)
        alice.leave()
        world.guest("carol")


@pytest.mark.parametrize("line", ["HELLO-FROM", "HELLO-FROM alice", "HELLO-FROM bob", "HELLO-FROM a b", "HELLO-FROM ,"])
def test_a_second_login_does_not_fit(world: World, line: str) -> None:
    alice = world.guest("alice")
    assert alice.ask(line, "LIST") == [BAD_HEADER, "LIST-OK alice"]


# ---- who is there ----


def test_the_list_has_everybody_who_is_logged_in_once_and_nobody_else(world: World) -> None:
    bob = world.guest("bob")
    world.user("carol", "room", "attic")
    away = world.user("away", "room")
    away.ask("LOGOUT")
    world.client(world.hello)
    world.client()
    alice = world.guest("alice")
    assert alice.ask("LIST") == bob.ask("LIST") == ["LIST-OK bob,carol,alice"]
    bob.leave()
    assert alice.ask("LIST") == ["LIST-OK carol,alice"]


def test_a_list_has_no_body(world: World) -> None:
    assert world.guest("alice").ask("LIST x", "LIST ", "LIST") == [BAD_BODY, "LIST-OK alice", "LIST-OK alice"]


# ---- messages ----


@pytest.mark.parametrize(
    ("typed", "delivered"),
    [
        ("hi", "hi"),
        ("  two  words ", "two  words"),
        ("a\tb", "a\tb"),
        ("\ta \t b\t", "a \t b"),
        ("\x1b[31mred\x07", "[31mred"),
        ("\x07 a", "a"),
        ("a\u202eb\u2028c", "abc"),
        ("SEND alice x", "SEND alice x"),
        ("é 李 😀", "é 李 😀"),
    ],
)
def test_a_message_is_delivered_with_its_inner_spacing(world: World, typed: str, delivered: str) -> None:
    alice, bob = world.guest("alice"), world.guest("bob")
    assert alice.ask(f"SEND  bob {typed}") == ["SEND-OK"]
    assert bob.heard() == [f"DELIVERY alice {delivered}"]


@pytest.mark.parametrize(
    "line", ["SEND", "SEND bob", "SEND bob ", "SEND bob \x07", "SEND a,b x", "SEND @bob x", "SEND /b x"]
)
def test_a_message_with_a_bad_body_reaches_nobody(world: World, line: str) -> None:
    alice, bob = world.guest("alice"), world.guest("bob")
    assert alice.ask(line) == [BAD_BODY]
    assert bob.heard() == []


def test_a_message_to_who_is_not_there(world: World) -> None:
    world.user("away").ask("LOGOUT")
    alice, bob = world.guest("alice"), world.guest("bob")
    bob.leave()
    assert alice.ask("SEND bob x", "SEND nobody x", "SEND away x") == ["BAD-DEST-USER"] * 3
    assert world.client().ask("LOGIN away away") == ["RESULT LOGIN 1"]  # and no mail


def test_a_message_to_oneself(world: World) -> None:
    assert world.guest("alice").ask("SEND alice x") == ["DELIVERY alice x", "SEND-OK"]


@pytest.mark.parametrize(("lost", "answer"), [(False, "SEND-OK"), (True, "BAD-DEST-USER")])
def test_a_message_is_confirmed_when_it_has_left_and_nothing_is_answered_before(
    world: World, lost: bool, answer: str
) -> None:
    alice, bob, carol = world.guest("alice"), world.guest("bob"), world.guest("carol")
    bob.transport.stuck = True
    assert alice.ask("SEND bob x", "LIST", "SEND carol y") == []
    assert carol.ask("LIST") == ["LIST-OK alice,bob,carol"]
    if lost:
        bob.leave()
    else:
        bob.transport.unstick()
    present = "alice,carol" if lost else "alice,bob,carol"
    assert alice.heard() == [answer, f"LIST-OK {present}", "SEND-OK"]
    assert bob.heard() == ([] if lost else ["DELIVERY alice x"])
    assert carol.heard() == ["DELIVERY alice y"]


@pytest.mark.parametrize("line", [b"\xff", b"LIST\xff", b"x" * MAX_LINE, b"SEND bob " + b"x" * MAX_LINE], ids=len)
def test_a_line_that_cannot_be_read_is_a_bad_body_once(world: World, line: bytes) -> None:
    alice = world.guest("alice")
    alice.send(line + b"\nLIST\n")
    assert alice.heard() == [BAD_BODY, "LIST-OK alice"]


@pytest.mark.parametrize("line", ["list", "LISTS", "QUIT", "HELLO alice", "DELIVERY bob x", "LIST-OK", "李"])
def test_an_unknown_header(world: World, line: str) -> None:
    assert world.guest("alice").ask(line, "LIST") == [BAD_HEADER, "LIST-OK alice"]


# ---- the other dialect ----


def test_a_name_is_one_persons(world: World) -> None:
    alice = world.guest("alice")
    other = world.client()
    assert other.ask("REGISTER alice x") == ["RESULT REGISTER 0"]
    alice.leave()
    assert other.ask("REGISTER alice x") == ["RESULT REGISTER 1"]
    assert world.client().ask("HELLO-FROM alice") == ["IN-USE"]
    assert other.ask("LOGIN alice x", "LOGOUT") == ["RESULT LOGIN 1", "RESULT LOGOUT 1"]
    assert world.client().ask("HELLO-FROM alice") == ["IN-USE"]


def test_a_guest_who_comes_while_a_password_is_hashed_has_the_name(world: World) -> None:
    world.passwords.later = True
    other = world.client()
    assert other.ask("REGISTER alice x") == []
    alice = world.guest("alice")
    world.passwords.answer()
    assert other.heard() == ["RESULT REGISTER 0"]
    assert alice.ask("LIST") == ["LIST-OK alice"]


def test_direct_messages_go_both_ways(world: World) -> None:
    alice, bob = world.user("alice"), world.guest("bob")
    assert alice.ask("SAY @bob  hi   there") == ["RECV alice @bob hi there"]
    assert bob.heard() == ["DELIVERY alice hi there"]
    assert bob.ask("SEND alice  hi   there") == ["SEND-OK"]
    assert alice.heard() == ["RECV bob @bob hi   there"]
    bob.leave()
    assert alice.ask("SAY @bob x", "SEND @bob x") == ["RESULT SAY 0", "RESULT SEND ERROR"]


def test_mail_waits_for_no_guest(world: World) -> None:
    alice = world.user("alice")
    world.guest("bob").leave()
    assert alice.ask("SAY @bob x") == ["RESULT SAY 0"]
    assert world.guest("bob").heard() == []


# ---- any bytes ----

LINES = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda verb, body: f"{verb} {body}".encode(errors="ignore"),
        st.sampled_from(sorted(COMMANDS)),
        st.text(alphabet="ab, \t\x1b\u3000\u202e:@|/李", max_size=12),
    ),
)


@EXAMPLES
@given(st.lists(LINES, max_size=8), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_are_answered_line_by_line_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    answers = []
    data = b"".join(line + b"\n" for line in lines)
    for parts in ([data], pieces(data, cuts), [bytes([byte]) for byte in data]):
        with World() as world:
            world.guest("b")
            alice = world.guest("a")
            for part in parts:
                alice.send(part)
            answers.append(alice.heard())
            assert all(answer.split(" ")[0] in KNOWN for answer in answers[-1])
            assert not alice.session.over
    assert answers[0] == answers[1] == answers[2]


KNOWN = {"LIST-OK", "DELIVERY", "SEND-OK", "BAD-DEST-USER", BAD_HEADER, BAD_BODY}
