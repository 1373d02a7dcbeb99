"""The dialect `result`: the order of answers whose outcomes come later, failures, and any bytes at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.result import COMMANDS, REFUSALS
from support.examples import EXAMPLES, pieces, raising
from support.world import World
from text import clean

# ---- outcomes that come later ----


def test_a_password_that_is_hashed_holds_back_its_session_only(world: World) -> None:
    alice = world.clients[0]
    world.passwords.later = True
    carol = world.client()
    for line in ("REGISTER carol pw", "LOGIN carol pw", "CREATE x", "PING"):
        carol.send(line)
    assert carol.heard() == []
    assert alice.ask("PING") == ["RESULT PING 1"]
    world.passwords.answer()
    assert carol.heard() == ["RESULT REGISTER 1"]
    world.passwords.answer()
    assert carol.heard() == ["RESULT LOGIN 1", "RESULT CREATE x 1", "RESULT PING 1"]


def test_a_message_behind_a_login_is_said_by_who_has_logged_in(world: World) -> None:
    world.clients[1].leave()
    world.passwords.later = True
    bob = world.client()
    bob.send(b"LOGIN bob bob\nSAY room 1\nSAY room 2\n")
    assert bob.heard() == []
    world.passwords.answer()
    assert bob.heard() == ["RESULT LOGIN 1", "RECV bob room 1", "RECV bob room 2"]


def test_too_many_passwords_at_once(world: World) -> None:
    alice = world.clients[0]
    world.passwords.overloaded = True
    guest = world.client()
    assert guest.ask("REGISTER carol pw", "LOGIN alice alice") == ["RESULT REGISTER 0", "RESULT LOGIN 0"]
    assert alice.ask("PASSWORD alice new") == ["RESULT PASSWORD 0"]


def test_a_client_that_leaves_during_its_login(world: World) -> None:
    world.clients[1].leave()
    world.passwords.later = True
    gone, other = world.client(), world.client()
    gone.send("LOGIN bob bob")
    gone.leave()
    other.send("LOGIN bob bob")
    world.passwords.answer()
    assert other.heard() == ["RESULT LOGIN 1"]
    assert world.chat.users.accounts["bob"].session is other.session


def test_messages_are_pipelined_and_keep_their_order(world: World) -> None:
    alice, bob = world.clients
    alice.send(b"SAY room 1\nSAY room 2\nSAY attic 3\nSEND room 4\nSAY cellar 5\nPING\nSAY room 6\n")
    assert alice.heard() == [
        "RECV alice room 1", "RECV alice room 2", "RECV alice attic 3", "RECV alice room 4", "RESULT SAY 0",
        "RESULT PING 1", "RECV alice room 6",
    ]  # fmt: skip
    assert bob.heard() == [f"RECV alice room {number}" for number in (1, 2, 4, 6)]


MIXED = {
    "SAY room {0}": "RECV alice room {0}",
    "SEND attic {0}": "RECV alice attic {0}",
    "SAY cellar {0}": "RESULT SAY 0",
    "SEND nowhere {0}": "RESULT SEND ERROR",
    "SAY nowhere:host {0}": "RESULT SAY 0",
    "SEND nowhere:host {0}": "RESULT SEND ERROR",
    "SAY : {0}": "RESULT SAY 0",
    "SAY @bob {0}": "RECV alice @bob {0}",
    "SEND @alice {0}": "RECV alice @alice {0}",
    "SAY @away {0}": "RECV alice @away {0}",
    "SAY @nobody {0}": "RESULT SAY 0",
    "SEND @nobody@host {0}": "RESULT SEND ERROR",
    "SAY room": "RESULT ERROR not enough arguments",
    "NONSENSE {0}": "RESULT ERROR unknown type",
    "JOIN {0}": "RESULT JOIN {0} 0",
    "JOIN {0}:host": "RESULT JOIN {0}:host 0",
    "CREATE {0}": "RESULT CREATE {0} 1",
    "PASSWORD {0} x": "RESULT PASSWORD 0",
    "LOGIN {0} x": "RESULT LOGIN 0",
    "USERS {0}": "RESULT USERS {0} 0",
    "HISTORY {0}": "RESULT HISTORY {0} 0",
    "HELP {0}": "RESULT HELP 0",
    "PING": "RESULT PING 1",
}
"""Requests that are decided at once, by the journal, or after a hash; what their sender hears."""


@EXAMPLES
@given(st.lists(st.sampled_from(list(MIXED)), max_size=30), st.lists(st.integers(0, 2000), max_size=6))
def test_answers_come_in_the_order_of_the_requests(asked: list[str], cuts: list[int]) -> None:
    """C10: however the requests are mixed and cut into packets."""
    with World() as world:
        alice = world.user("alice", "room", "attic")
        world.user("bob")
        world.user("away", "cellar").ask("LOGOUT")
        for piece in pieces("".join(f"{line.format(n)}\n" for n, line in enumerate(asked)).encode(), cuts):
            alice.send(piece)
        assert alice.heard() == [MIXED[line].format(number) for number, line in enumerate(asked)]


def test_what_is_refused_at_once_waits_for_what_the_journal_decides(world: World) -> None:
    alice, _bob = world.clients
    alice.send(b"SAY room one\nSAY nowhere:host two\nSEND room three\nSEND nowhere:host four\nSAY nowhere five\n")
    assert alice.heard() == [
        "RECV alice room one", "RESULT SAY 0", "RECV alice room three", "RESULT SEND ERROR", "RESULT SAY 0",
    ]  # fmt: skip


def test_a_disk_that_refuses_is_a_failure_of_each_command(world: World) -> None:
    """C47."""
    alice, bob = world.clients
    bob.ask("SAY room before")
    alice.heard()
    carol = world.client()
    carol.ask("REGISTER away away")
    world.let_database_take(anything=False)
    asked = {
        "REGISTER carol pw": "RESULT REGISTER 0",
        "PASSWORD alice new": "RESULT PASSWORD 0",
        "CREATE x": "RESULT CREATE x 0",
        "JOIN cellar": "RESULT JOIN cellar 0",
        "LEAVE room": "RESULT LEAVE room 0",
        "SAY room hello": "RESULT SAY 0",
        "SEND room hello": "RESULT SEND ERROR",
        "SAY @away hello": "RESULT SAY 0",
        # What needs no disk goes on.
        "SAY @bob hello": "RECV alice @bob hello",
        "USERS room": "RESULT USERS room alice, bob",
        "CHANNELS": "RESULT CHANNELS attic, cellar, room",
        "PING": "RESULT PING 1",
    }
    assert dict(zip(asked, alice.ask(*asked), strict=True)) == asked
    assert alice.ask("HISTORY room") == ["RESULT HISTORY room 1", "RECV bob room before"]
    assert bob.heard() == ["RECV alice @alice hello"]
    world.let_database_take(anything=True)
    assert alice.ask("SAY room hello", "CREATE x") == ["RECV alice room hello", "RESULT CREATE x 1"]


def test_a_history_that_cannot_be_read_is_none(world: World) -> None:
    alice = world.clients[0]
    alice.ask("SAY room hello")
    world.store._db.execute("ALTER TABLE messages RENAME TO gone")
    assert alice.ask("HISTORY room", "PING") == ["RESULT HISTORY room 0", "RESULT PING 1"]


# ---- any bytes ----

NAME = r"[^\s,:@|/][^\s,:@|]*"
NAMES = rf"{NAME}(, {NAME})*"
ANYTHING = r"[^ \t\n]*"
DOCUMENTED = re.compile(
    rf"RESULT (REGISTER|LOGIN|LOGOUT|PASSWORD) [01]"
    rf"|RESULT (CREATE|JOIN|LEAVE) {ANYTHING} 0|RESULT (CREATE|JOIN|LEAVE) {NAME} 1"
    rf"|RESULT CHANNELS( {NAMES})?"
    rf"|RESULT USERS ({ANYTHING} 0|{NAME} {NAMES})"
    rf"|RESULT SAY 0|RESULT SEND ERROR|RESULT PING 1"
    rf"|RESULT HISTORY ({ANYTHING} 0|{NAME} [1-9][0-9]*)"
    rf"|RESULT HELP (0|.+)"
    rf"|RESULT SEEN {ANYTHING} [01]|RESULT UNREAD( 0|( {NAME} [0-9]+(, )?)+)?"
    rf"|RESULT (TAGS|PRESENCE) [01]|RESULT JOINED( 0|{NAMES})?|RESULT WHO (0|{ANYTHING} 0|({NAME} )?{NAMES})"
    rf"|RESULT TOPIC ({ANYTHING} 0|{NAME}( \S.*)?)|PRESENCE {NAME} (on|off)|TOPIC {NAME} {NAME}( \S.*)?"
    rf"|{'|'.join(REFUSALS.values())}"
    rf"|(@(time=[0-9.:TZ-]+)?;?(id=[1-9][0-9]*)? )?RECV {NAME} @?{NAME} \S.*",
    re.DOTALL,
)

TYPED = [
    "alice", "bob", "carol", "room", "attic", "nowhere", "@bob", "@carol", "@",
    "1", "{0}", "pw", "id", "on", "off", "-", "before", "after",
]  # fmt: skip
WORD = st.one_of(
    st.sampled_from(TYPED),
    st.text(max_size=6).map(lambda text: text.replace("\n", "")),
)
LINE = st.one_of(
    st.builds(
        lambda verb, words, blank, end: (blank.join([verb, *words]) + end).encode(errors="ignore"),
        st.sampled_from([verb for verb in COMMANDS if " " not in verb and verb != "QUIT"]),
        st.lists(WORD, max_size=4),
        st.sampled_from([" ", " ", " ", "\t", "  "]),
        st.sampled_from(["\n", "\n", "\n", "\r\n", ""]),
    ),
    st.binary(max_size=30),
    st.sampled_from([b"LOGIN bob bob\n", b"QUIT\n", b"\n", b"x" * 8192, b"\n" * 100, b"LOGIN carol bob\n"]),
)


@EXAMPLES
@given(st.lists(LINE, max_size=25), st.lists(st.integers(0, 10_000), max_size=6), st.booleans())
def test_any_bytes_in_any_pieces_give_documented_answers(lines: list[bytes], cuts: list[int], later: bool) -> None:
    data = b"".join([b"LOGIN bob bob\n", *lines])

    def heard(*fed: bytes, later: bool) -> list[str]:
        """What bob hears, who has registered, is in a channel, and has mail."""
        with World(history_on_join=3) as world:
            alice = world.user("alice", "room")
            alice.ask("SAY room hello", "REGISTER bob bob", "SAY @bob one", "SAY @bob two")
            bob = world.client()
            world.passwords.later = later
            for piece in fed:
                if bob.session.over:
                    break
                bob.send(piece)
                world.settle()
            while world.passwords.answer():
                world.settle()
            bob.session.ended()
            world.settle()
            return [*bob.heard(), *alice.heard()]

    answers = heard(*pieces(data, cuts), later=later)
    for line in answers:
        assert DOCUMENTED.fullmatch(line), line
        assert clean(line) == line
    assert answers == heard(data, later=False)


def test_a_fault_of_one_costs_nobody_else_anything(caplog: pytest.LogCaptureFixture) -> None:
    with World() as world:
        alice, bob = world.user("alice", "tea"), world.user("bob", "tea")
        world.chat.create(alice.session.principal, "cake", raising)
        bob.send("CREATE milk")
        assert bob.heard() == ["RESULT CREATE milk 1"]
        assert alice.ask("TAGS id") == ["RESULT TAGS 1"]
        alice.session.dialect.render = raising  # type: ignore[assignment, method-assign]
        assert bob.ask("SAY tea hello") == ["RECV bob tea hello"]
    assert "error while telling the outcome of ChannelCreated" in caplog.text
    assert "error while telling ChannelMessages" in caplog.text
