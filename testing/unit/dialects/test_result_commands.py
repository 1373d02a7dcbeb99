"""The dialect `result`: what commands change, history, direct messages, and the words for events."""

from __future__ import annotations

from typing import Any

import pytest

from dialects.result import DEFAULT_HISTORY, MAX_HISTORY, Result
from dialects.result_words import WORDS
from domain.changes import Said
from domain.events import ChannelMessages, DirectEcho, DirectMessage
from domain.state import Limits
from session_output import LIST_PIECE
from support.world import World


def test_register_does_not_log_in(world: World) -> None:
    carol = world.client()
    assert carol.ask("REGISTER carol pw", "CREATE x", "LOGIN carol pw", "CREATE x") == [
        "RESULT REGISTER 1", "RESULT CREATE x 0", "RESULT LOGIN 1", "RESULT CREATE x 1",
    ]  # fmt: skip


def test_a_name_is_one_name_however_it_is_typed(world: World) -> None:
    one, two = world.client(), world.client()
    assert one.ask("REGISTER e\u0301 pw", "LOGIN \u00e9 pw") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
    assert two.ask("REGISTER \u00e9 pw", "LOGIN e\u0301 pw") == ["RESULT REGISTER 0", "RESULT LOGIN 0"]
    assert one.ask("CREATE u\u0308", "JOIN \u00fc", "SAY u\u0308 hello", "USERS u\u0308") == [
        "RESULT CREATE \u00fc 1", "RESULT JOIN \u00fc 1", "RECV \u00e9 \u00fc hello", "RESULT USERS \u00fc \u00e9",
    ]  # fmt: skip
    assert world.clients[0].ask("SAY @e\u0301 hi") == ["RECV alice @\u00e9 hi"]
    assert one.heard() == ["RECV alice @alice hi"]


def test_a_password_is_taken_as_it_is(world: World) -> None:
    one = world.client()
    assert one.ask("REGISTER carol e\u0301", "LOGIN carol \u00e9", "LOGIN carol e\u0301") == [
        "RESULT REGISTER 1", "RESULT LOGIN 0", "RESULT LOGIN 1",
    ]  # fmt: skip


def test_everybody_in_the_channel_hears_a_message_and_nobody_else(world: World) -> None:
    alice, bob = world.clients
    carol = world.user("carol", "cellar")
    guest = world.client()
    assert alice.ask("SAY room hello") == ["RECV alice room hello"]
    assert bob.heard() == ["RECV alice room hello"]
    assert carol.heard() == guest.heard() == []


def test_join_and_leave(world: World) -> None:
    alice, bob = world.clients
    assert bob.ask("JOIN attic", "SAY attic hi", "LEAVE attic", "SAY attic hi", "JOIN attic") == [
        "RESULT JOIN attic 1", "RECV bob attic hi", "RESULT LEAVE attic 1", "RESULT SAY 0", "RESULT JOIN attic 1",
    ]  # fmt: skip
    assert alice.heard() == ["RECV bob attic hi"]


def test_logout_and_a_lost_connection_free_the_name(world: World) -> None:
    alice, bob = world.clients
    assert alice.ask("LOGOUT", "SAY room hi", "LOGIN alice alice", "SAY room hi") == [
        "RESULT LOGOUT 1", "RESULT SAY 0", "RESULT LOGIN 1", "RECV alice room hi",
    ]  # fmt: skip
    bob.heard()
    bob.leave()
    again = world.client()
    assert again.ask("LOGIN bob bob") == ["RESULT LOGIN 1"]
    alice.ask("SAY room hello")
    assert again.heard() == ["RECV alice room hello"]
    assert bob.heard() == []
    assert again.ask("QUIT") == []
    assert world.chat.users.accounts["bob"].session is None


def test_a_new_password_counts_and_the_old_one_does_not(world: World) -> None:
    alice = world.clients[0]
    assert alice.ask("PASSWORD alice new", "LOGOUT", "LOGIN alice alice", "LOGIN alice new") == [
        "RESULT PASSWORD 1", "RESULT LOGOUT 1", "RESULT LOGIN 0", "RESULT LOGIN 1",
    ]  # fmt: skip


def test_channels_can_be_those_that_the_asker_is_in() -> None:
    with World(joined_only=True) as world:
        alice, guest = world.user("alice", "b", "a"), world.client()
        alice.ask("CREATE c")
        assert alice.ask("CHANNELS") == ["RESULT CHANNELS a, b"]
        assert guest.ask("CHANNELS") == ["RESULT CHANNELS"]


def test_no_channels_at_all() -> None:
    with World() as world:
        assert world.client().ask("CHANNELS") == ["RESULT CHANNELS"]


@pytest.mark.parametrize("count", [LIST_PIECE, LIST_PIECE + 1, 3 * LIST_PIECE])
def test_a_list_of_any_length(count: int) -> None:
    with World(Limits(channels_per_creator=count)) as world:
        alice = world.user("alice")
        names = [f"{number:05}" for number in range(count)]
        for name in names:
            alice.send(f"CREATE {name}")
        assert len(alice.heard()) == count
        alice.send("CHANNELS")
        alice.send("PING")
        assert alice.heard() == [f"RESULT CHANNELS {', '.join(names)}", "RESULT PING 1"]


def test_a_list_is_sorted_by_code_points(world: World) -> None:
    alice = world.clients[0]
    alice.ask("CREATE \u4f60", "CREATE Z", "CREATE \u00e9", "CREATE z")
    assert alice.ask("CHANNELS") == ["RESULT CHANNELS Z, attic, cellar, room, z, \u00e9, \u4f60"]


def test_users_names_those_who_are_away_too(world: World) -> None:
    alice, bob = world.clients
    bob.leave()
    assert alice.ask("USERS room") == ["RESULT USERS room alice, bob"]


# ---- history ----


def test_history_gives_the_last_messages(world: World) -> None:
    alice, bob = world.clients
    for number in range(DEFAULT_HISTORY + 5):
        bob.ask(f"SAY room {number}")
        alice.ask(f"SAY attic {number}")
    alice.heard()
    said = [f"RECV bob room {number}" for number in range(DEFAULT_HISTORY + 5)]
    assert alice.ask("HISTORY room") == [f"RESULT HISTORY room {DEFAULT_HISTORY}", *said[5:]]
    assert alice.ask("HISTORY room 100") == [f"RESULT HISTORY room {len(said)}", *said]
    assert alice.ask("HISTORY room 2", "PING") == ["RESULT HISTORY room 2", *said[-2:], "RESULT PING 1"]
    bob.ask("LEAVE room")
    assert bob.ask("HISTORY room") == ["RESULT HISTORY room 0"]


def test_history_has_an_upper_limit(world: World) -> None:
    bob = world.clients[1]
    for number in range(MAX_HISTORY + 2):
        bob.send(f"SAY room {number}")
    bob.heard()
    heard = bob.ask("HISTORY room 1000000")
    assert heard[0] == f"RESULT HISTORY room {MAX_HISTORY}"
    assert heard[1:] == [f"RECV bob room {number}" for number in range(2, MAX_HISTORY + 2)]


def test_answers_wait_behind_a_history(world: World) -> None:
    alice = world.clients[0]
    alice.ask("SAY attic one")
    for line in ("HISTORY attic", "PING", "HISTORY attic", "SAY attic two", "PING"):
        alice.send(line)
    history = ["RESULT HISTORY attic 1", "RECV alice attic one"]
    assert alice.heard() == [*history, "RESULT PING 1", *history, "RECV alice attic two", "RESULT PING 1"]


def test_history_on_join() -> None:
    with World(history_on_join=2) as world:
        alice, bob = world.user("alice", "room"), world.user("bob")
        alice.ask("SAY room one", "SAY room two", "SAY room three")
        bob.send("JOIN room")
        bob.send("PING")
        assert bob.heard() == ["RESULT JOIN room 1", "RECV alice room two", "RECV alice room three", "RESULT PING 1"]
        assert bob.ask("JOIN room") == ["RESULT JOIN room 0"]


def test_history_on_join_tells_each_message_once() -> None:
    """Also one that is said in the same turn, whichever of the two comes first."""
    with World(history_on_join=10) as world:
        alice, bob, carol = world.user("alice", "room"), world.user("bob"), world.user("carol")
        bob.send("JOIN room")
        alice.send("SAY room hello")
        carol.send("JOIN room")
        for joiner in (bob, carol):
            assert joiner.heard() == ["RESULT JOIN room 1", "RECV alice room hello"]


# ---- direct messages ----


def test_a_direct_message_to_one_who_is_there(world: World) -> None:
    alice, bob = world.clients
    assert alice.ask("SAY @bob how are you?") == ["RECV alice @bob how are you?"]
    assert bob.heard() == ["RECV alice @alice how are you?"]


def test_mail_follows_the_login_once_oldest_first(world: World) -> None:
    alice, bob = world.clients
    bob.leave()
    for number in range(70):
        assert alice.ask(f"SAY @bob {number}") == [f"RECV alice @bob {number}"]
    again = world.client()
    for line in ("LOGIN bob bob", "PING"):
        again.send(line)
    alice.ask("SAY room later")
    mail = [f"RECV alice @alice {number}" for number in range(70)]
    heard = again.heard()
    assert [line for line in heard if "PING" not in line] == ["RESULT LOGIN 1", *mail, "RECV alice room later"]
    assert heard.index("RESULT PING 1") > heard.index(mail[-1])
    assert again.ask("LOGOUT", "LOGIN bob bob") == ["RESULT LOGOUT 1", "RESULT LOGIN 1"]


def test_a_full_mailbox() -> None:
    with World(Limits(mail=1)) as world:
        alice, bob = world.user("alice"), world.user("bob")
        bob.leave()
        assert alice.ask("SAY @bob 1", "SAY @bob 2", "SEND @bob 3") == [
            "RECV alice @bob 1", "RESULT SAY 0", "RESULT SEND ERROR",
        ]  # fmt: skip


# ---- words for events ----


def test_an_event_is_rendered_once_for_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Any] = []
    real = WORDS[ChannelMessages]

    def render(event: ChannelMessages) -> bytes:
        rendered.append(event)
        return real(event)

    monkeypatch.setattr(Result, "words", {**WORDS, ChannelMessages: render})
    alice, bob = world.clients
    carol = world.user("carol", "room")
    alice.send(b"SAY room 1\nSAY room 2\n")
    world.settle()
    assert len(rendered) == 1
    datas = [[data for data in client.transport.sent if b"room 1" in data] for client in (alice, bob, carol)]
    assert datas[0] == [b"RECV alice room 1\nRECV alice room 2\n"]
    assert all(data is datas[0][0] for (data,) in datas)


def test_events_that_are_equal_are_not_the_same(world: World) -> None:
    alice, bob = world.clients
    for _ in range(2):
        assert alice.ask("SAY room 1", "SAY @bob 1") == ["RECV alice room 1", "RECV alice @bob 1"]
    assert bob.heard() == ["RECV alice room 1", "RECV alice @alice 1"] * 2


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ChannelMessages((Said("a", "c", "x y", 0.0),)), "RECV a c x y\n"),
        (ChannelMessages((Said("a", "c", "1", 0.0), Said("b", "c", "2", 0.0))), "RECV a c 1\nRECV b c 2\n"),
        (DirectMessage("a", "\u4f60", 0.0), "RECV a @a \u4f60\n"),
        (DirectEcho("a", "b", "x", 0.0), "RECV a @b x\n"),
    ],
)
def test_words(event: Any, expected: str) -> None:
    assert WORDS[type(event)](event) == expected.encode()
