"""dialects/result.py: every command, every error, and any bytes at all, on a server without sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Refusal
from dialects.result import COMMANDS, DEFAULT_HISTORY, MAX_HISTORY, REFUSALS, WORDS, Result
from domain.changes import Said
from domain.events import ChannelMessages, DirectEcho, DirectMessage
from domain.state import Limits
from protocol import LIST_PIECE
from support.examples import EXAMPLES, pieces, raising
from support.world import World
from text import clean

MISSING, TOO_MANY = "RESULT ERROR not enough arguments", "RESULT ERROR too many arguments"


@pytest.fixture
def world() -> Iterator[World]:
    """alice and bob are in `room`, alice alone in `attic`; nobody is in `cellar`."""
    with World() as world:
        alice = world.user("alice", "room", "attic")
        alice.ask("CREATE cellar")
        world.user("bob", "room")
        yield world


# ---- the table ----

IN = "alice"
OUT = ""

ANSWERS: list[tuple[str, str, list[str]]] = [
    # who asks, what, and what the answer is
    (OUT, "REGISTER carol pw", ["RESULT REGISTER 1"]),
    (OUT, "REGISTER alice pw", ["RESULT REGISTER 0"]),
    (OUT, "REGISTER room pw", ["RESULT REGISTER 1"]),
    (OUT, "REGISTER a,b pw", ["RESULT REGISTER 0"]),
    (OUT, "REGISTER @a pw", ["RESULT REGISTER 0"]),
    (OUT, f"REGISTER {'x' * 64} pw", ["RESULT REGISTER 1"]),
    (OUT, f"REGISTER {'x' * 65} pw", ["RESULT REGISTER 0"]),
    (OUT, "REGISTER \u4f60\u597d pw", ["RESULT REGISTER 1"]),
    (OUT, "REGISTER a\u3000b pw", ["RESULT REGISTER 0"]),
    (OUT, "REGISTER  carol \t pw ", ["RESULT REGISTER 1"]),
    (IN, "REGISTER carol pw", ["RESULT REGISTER 1"]),
    (OUT, "REGISTER", [MISSING]),
    (OUT, "REGISTER carol", [MISSING]),
    (OUT, "REGISTER carol pw pw", [TOO_MANY]),
    (OUT, "LOGIN bob bob", ["RESULT LOGIN 0"]),
    (OUT, "LOGIN nobody pw", ["RESULT LOGIN 0"]),
    (OUT, "LOGIN away wrong", ["RESULT LOGIN 0"]),
    (OUT, "LOGIN away away", ["RESULT LOGIN 1"]),
    (IN, "LOGIN away away", ["RESULT LOGIN 0"]),
    (IN, "LOGIN alice alice", ["RESULT LOGIN 0"]),
    (OUT, "LOGIN away", [MISSING]),
    (OUT, "LOGIN away away away", [TOO_MANY]),
    (IN, "LOGOUT", ["RESULT LOGOUT 1"]),
    (OUT, "LOGOUT", ["RESULT LOGOUT 0"]),
    (IN, "LOGOUT now", [TOO_MANY]),
    (IN, "PASSWORD alice new", ["RESULT PASSWORD 1"]),
    (IN, "PASSWORD wrong new", ["RESULT PASSWORD 0"]),
    (OUT, "PASSWORD alice new", ["RESULT PASSWORD 0"]),
    (IN, "PASSWORD alice", [MISSING]),
    (IN, "PASSWORD alice new new", [TOO_MANY]),
    (IN, "CHANNELS", ["RESULT CHANNELS attic, cellar, room"]),
    (OUT, "CHANNELS", ["RESULT CHANNELS attic, cellar, room"]),
    (OUT, "CHANNELS all", [TOO_MANY]),
    (IN, "CREATE garden", ["RESULT CREATE garden 1"]),
    (IN, "CREATE room", ["RESULT CREATE room 0"]),
    (IN, "CREATE alice", ["RESULT CREATE alice 1"]),
    (IN, "CREATE a:b", ["RESULT CREATE a:b 0"]),
    (IN, "CREATE /x", ["RESULT CREATE /x 0"]),
    (IN, "CREATE {0}%s", ["RESULT CREATE {0}%s 1"]),
    (IN, "CREATE e\u0301", ["RESULT CREATE \u00e9 1"]),
    (IN, "CREATE \x1b[31mred", ["RESULT CREATE [31mred 0"]),
    (IN, "CREATE \u202e", ["RESULT CREATE  0"]),
    (OUT, "CREATE garden", ["RESULT CREATE garden 0"]),
    (IN, "CREATE", [MISSING]),
    (IN, "CREATE my garden", [TOO_MANY]),
    (OUT, "CREATE", [MISSING]),
    (IN, "JOIN cellar", ["RESULT JOIN cellar 1"]),
    (IN, "JOIN room", ["RESULT JOIN room 0"]),
    (IN, "JOIN nowhere", ["RESULT JOIN nowhere 0"]),
    (IN, "JOIN \x07", ["RESULT JOIN  0"]),
    (OUT, "JOIN cellar", ["RESULT JOIN cellar 0"]),
    (IN, "JOIN", [MISSING]),
    (IN, "JOIN cellar room", [TOO_MANY]),
    (IN, "LEAVE room", ["RESULT LEAVE room 1"]),
    (IN, "LEAVE cellar", ["RESULT LEAVE cellar 0"]),
    (IN, "LEAVE nowhere", ["RESULT LEAVE nowhere 0"]),
    (OUT, "LEAVE room", ["RESULT LEAVE room 0"]),
    (IN, "LEAVE", [MISSING]),
    (IN, "LEAVE room attic", [TOO_MANY]),
    (IN, "USERS room", ["RESULT USERS room alice, bob"]),
    (IN, "USERS attic", ["RESULT USERS attic alice"]),
    (IN, "USERS cellar", ["RESULT USERS cellar 0"]),
    (IN, "USERS nowhere", ["RESULT USERS nowhere 0"]),
    (OUT, "USERS room", ["RESULT USERS room 0"]),
    (IN, "USERS", [MISSING]),
    (IN, "USERS room attic", [TOO_MANY]),
    (IN, "SAY room hello", ["RECV alice room hello"]),
    (IN, "SAY room  hello \t world ", ["RECV alice room hello world"]),
    (IN, "SAY room a\u3000 b\u00a0", ["RECV alice room a\u3000 b\u00a0"]),
    (IN, "SAY room {0} %s \\n", ["RECV alice room {0} %s \\n"]),
    (IN, "SAY room \x1b[31mred\x07 \u202eback \u2028", ["RECV alice room [31mred back"]),
    (IN, "SAY room e\u0301", ["RECV alice room e\u0301"]),
    (IN, "SAY room @bob hi", ["RECV alice room @bob hi"]),
    (IN, "SAY room \x07", [MISSING]),
    (IN, "SAY room", [MISSING]),
    (IN, "SAY", [MISSING]),
    (OUT, "SAY", [MISSING]),
    (IN, "SAY cellar hello", ["RESULT SAY 0"]),
    (IN, "SAY nowhere hello", ["RESULT SAY 0"]),
    (OUT, "SAY room hello", ["RESULT SAY 0"]),
    (IN, "SEND room hello", ["RECV alice room hello"]),
    (IN, "SEND cellar hello", ["RESULT SEND ERROR"]),
    (IN, "SEND nowhere hello", ["RESULT SEND ERROR"]),
    (OUT, "SEND room hello", ["RESULT SEND ERROR"]),
    (IN, "SEND room", [MISSING]),
    (IN, "SAY @bob hello  there", ["RECV alice @bob hello there"]),
    (IN, "SAY @away hello", ["RECV alice @away hello"]),
    (IN, "SAY @alice hello", ["RECV alice @alice hello"]),
    (IN, "SAY @nobody hello", ["RESULT SAY 0"]),
    (IN, "SAY @room hello", ["RESULT SAY 0"]),
    (IN, "SAY @ hello", ["RESULT SAY 0"]),
    (IN, "SAY @@bob hello", ["RESULT SAY 0"]),
    (IN, "SAY @bob", [MISSING]),
    (OUT, "SAY @bob hello", ["RESULT SAY 0"]),
    (IN, "SEND @bob hello", ["RECV alice @bob hello"]),
    (IN, "SEND @nobody hello", ["RESULT SEND ERROR"]),
    (OUT, "SEND @bob hello", ["RESULT SEND ERROR"]),
    (IN, "HISTORY attic", ["RESULT HISTORY attic 0"]),
    (IN, "HISTORY room", ["RESULT HISTORY room 2", "RECV bob room one", "RECV bob room two"]),
    (IN, "HISTORY room 1", ["RESULT HISTORY room 1", "RECV bob room two"]),
    (IN, "HISTORY room 0002", ["RESULT HISTORY room 2", "RECV bob room one", "RECV bob room two"]),
    (IN, f"HISTORY room {'9' * 5000}", ["RESULT HISTORY room 2", "RECV bob room one", "RECV bob room two"]),
    *[
        (IN, f"HISTORY room {count}", ["RESULT HISTORY room 0"])
        for count in ("0", "-1", "+1", "1.5", "x", "\u0663", "\u00b2")
    ],
    (IN, "HISTORY cellar", ["RESULT HISTORY cellar 0"]),
    (IN, "HISTORY nowhere 5", ["RESULT HISTORY nowhere 0"]),
    (OUT, "HISTORY room", ["RESULT HISTORY room 0"]),
    (IN, "HISTORY", [MISSING]),
    (IN, "HISTORY room before 2", ["RESULT HISTORY room 1", "RECV bob room one"]),
    (IN, "HISTORY room after 1", ["RESULT HISTORY room 1", "RECV bob room two"]),
    (IN, "HISTORY room 1 before 3", ["RESULT HISTORY room 1", "RECV bob room two"]),
    (IN, "HISTORY room 1 after 0", ["RESULT HISTORY room 1", "RECV bob room one"]),
    (IN, "HISTORY room 9999 before 0099", ["RESULT HISTORY room 2", "RECV bob room one", "RECV bob room two"]),
    (IN, f"HISTORY room before {'9' * 5000}", ["RESULT HISTORY room 2", "RECV bob room one", "RECV bob room two"]),
    *[
        (IN, f"HISTORY room {words}", ["RESULT HISTORY room 0"])
        for words in (
            *("before 1", "before 0", "after 2", f"after {'9' * 5000}", "5 after 99", "1 2", "1 2 3", "before"),
            *("5 before", "before x", "before -1", "before 1.0", "after \u0663", "before before", "before 5 5"),
            *("5 5 before", "0 before 5", "x before 5", "5 Before 5", "5 BEFORE 5", "5 around 5", "before 5 after"),
        )
    ],
    (IN, "HISTORY cellar 5 before 5", ["RESULT HISTORY cellar 0"]),
    (OUT, "HISTORY room 5 before 5", ["RESULT HISTORY room 0"]),
    (IN, "HISTORY room 5 before 5 5", [TOO_MANY]),
    *[(IN, f"SEEN room {number}", ["RESULT SEEN room 1"]) for number in ("0", "1", "2", "0002", "99", "9" * 5000)],
    *[
        (IN, f"SEEN room {number}", ["RESULT SEEN room 0"])
        for number in ("-1", "+1", "1.5", "1e3", "x", "\u0663", "\u00b2", "0x1", "1_0", "\x1b")
    ],
    *[(IN, f"SEEN {channel} 1", [f"RESULT SEEN {channel} 0"]) for channel in ("cellar", "nowhere", "room:host")],
    (OUT, "SEEN room 1", ["RESULT SEEN room 0"]),
    (IN, "SEEN room", [MISSING]),
    (IN, "SEEN room 1 2", [TOO_MANY]),
    (IN, "UNREAD", ["RESULT UNREAD room 2"]),
    (OUT, "UNREAD", ["RESULT UNREAD 0"]),
    (IN, "UNREAD room", [TOO_MANY]),
    (IN, "JOINED", ["RESULT JOINED attic, room"]),
    (OUT, "JOINED", ["RESULT JOINED 0"]),
    (IN, "JOINED room", [TOO_MANY]),
    (IN, "WHO", ["RESULT WHO alice, bob"]),
    (IN, "WHO room", ["RESULT WHO room alice, bob"]),
    (IN, "WHO attic", ["RESULT WHO attic alice"]),
    *[(IN, f"WHO {channel}", [f"RESULT WHO {channel} 0"]) for channel in ("cellar", "nowhere", "room:host", "0")],
    (IN, "WHO \x1b", ["RESULT WHO  0"]),
    (IN, "WHO room attic", [TOO_MANY]),
    (OUT, "WHO", ["RESULT WHO 0"]),
    (OUT, "WHO room", ["RESULT WHO room 0"]),
    (IN, "PRESENCE on", ["RESULT PRESENCE 1"]),
    (IN, "PRESENCE off", ["RESULT PRESENCE 1"]),
    *[(IN, f"PRESENCE {word}", ["RESULT PRESENCE 0"]) for word in ("ON", "1", "on,off", "\x1b")],
    (OUT, "PRESENCE on", ["RESULT PRESENCE 0"]),
    (IN, "PRESENCE", [MISSING]),
    (IN, "PRESENCE on off", [TOO_MANY]),
    (IN, "TOPIC room", ["RESULT TOPIC room"]),
    (IN, "TOPIC cellar", ["RESULT TOPIC cellar"]),
    (IN, "TOPIC room \x1b", ["RESULT TOPIC room"]),
    *[
        (IN, f"TOPIC room {text}", ["RESULT TOPIC room 1"])
        for text in ("roses", " a  b\tc ", "-", "--", "10", "\u3000", "x" * 390, "\u00e9" * 195, "\u202ex")
    ],
    *[
        (IN, f"TOPIC room {text}", ["RESULT TOPIC room 0"])
        for text in ("0", "1", "0\x1b", "x" * 391, "\u00e9" * 196, "x" * 8000)
    ],
    *[(IN, f"TOPIC {channel} x", [f"RESULT TOPIC {channel} 0"]) for channel in ("cellar", "nowhere", "room:host")],
    (IN, "TOPIC nowhere", ["RESULT TOPIC nowhere 0"]),
    (IN, "TOPIC room:host", ["RESULT TOPIC room:host 0"]),
    (OUT, "TOPIC room", ["RESULT TOPIC room 0"]),
    (OUT, "TOPIC room x", ["RESULT TOPIC room 0"]),
    (IN, "TOPIC", [MISSING]),
    (OUT, "TAGS", ["RESULT TAGS 1"]),
    (OUT, "TAGS time id", ["RESULT TAGS 1"]),
    (IN, "TAGS id time id", ["RESULT TAGS 1"]),
    *[(IN, f"TAGS {names}", ["RESULT TAGS 0"]) for names in ("TIME", "time,id", "id what", "\x1b", "time=1")],
    (OUT, "HELP WHAT", ["RESULT HELP 0"]),
    (OUT, "HELP say", ["RESULT HELP 0"]),
    (OUT, "HELP PING", ["RESULT HELP PING: ask whether the server is there"]),
    (OUT, "HELP PING PONG", [TOO_MANY]),
    (OUT, "PING", ["RESULT PING 1"]),
    (IN, "PING", ["RESULT PING 1"]),
    (OUT, "PING PING", [TOO_MANY]),
    (IN, "QUIT", []),
    (OUT, "QUIT", []),
    (OUT, "QUIT now", [TOO_MANY]),
    (OUT, "", []),
    (OUT, " \t ", []),
    (OUT, "login alice alice", ["RESULT ERROR unknown type"]),
    (OUT, "WHAT", ["RESULT ERROR unknown type"]),
    (IN, "WHAT is @this", ["RESULT ERROR unknown type"]),
    (IN, "WHAT @bob this", ["RESULT ERROR unknown type"]),
    (IN, "@bob hello", ["RESULT ERROR unknown type"]),
    (IN, "/join room", ["RESULT ERROR unknown type"]),
    (IN, "JOIN\u3000room", ["RESULT ERROR unknown type"]),
    (IN, "FEDSAY a@b room hello", ["RESULT ERROR unknown type"]),
    (IN, "x" * 8191, ["RESULT ERROR unknown type"]),
    (IN, "x" * 8192, ["RESULT ERROR line too long"]),
]


@pytest.mark.parametrize(("who", "line", "expected"), ANSWERS, ids=lambda value: repr(value)[:40])
def test_answers(world: World, who: str, line: str, expected: list[str]) -> None:
    alice, bob = world.clients
    bob.ask("REGISTER away away", "SAY room one", "SAY room two")
    alice.heard()
    asker = alice if who else world.client()
    assert asker.ask(line) == expected
    assert asker.transport.finished == (line == "QUIT")
    if line != "QUIT":
        assert asker.ask("PING") == ["RESULT PING 1"]


def test_every_command_is_asked_with_and_without_a_login() -> None:
    for who in (IN, OUT):
        asked = {line.split()[0] for asker, line, _answer in ANSWERS if asker == who and line.split()}
        assert asked >= {verb for verb in COMMANDS if " " not in verb} - {"HELP", "CHANNELS"}


def test_lines_that_are_no_text(world: World) -> None:
    alice = world.clients[0]
    for data in (b"SAY room \xff\n", b"\xc3\n", b"SAY room \xed\xa0\x80\n", b"\xf5\x80\x80\x80\n"):
        alice.send(data)
        assert alice.heard() == ["RESULT ERROR not utf-8"]


def test_every_refusal_has_words() -> None:
    assert set(REFUSALS) == set(Refusal)
    assert all(text.startswith("RESULT ERROR ") for text in REFUSALS.values())


# ---- commands and what they change ----


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


def test_help_names_every_command_and_explains_each() -> None:
    with World() as world:
        guest = world.client()
        (line,) = guest.ask("HELP")
        head, names = line[: len("RESULT HELP ")], line[len("RESULT HELP ") :].split(", ")
        assert head == "RESULT HELP "
        assert names == [verb for verb in COMMANDS if " " not in verb]
        for verb, command in COMMANDS.items():
            (explained,) = guest.ask(f"HELP {verb.split()[0]}")
            assert explained.startswith(f"RESULT HELP {verb.split()[0]}")
            assert f"{command.usage}: {command.help}" in explained


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_row_of_the_table_is_complete(verb: str) -> None:
    command = COMMANDS[verb]
    assert command.help
    assert "\n" not in command.help
    words = re.sub(r" \[[a-z|]+ <[a-z]+>\]", " [one] [other]", command.usage).split()  # what may be left out together
    assert words[0] == verb.split()[0]
    many = words[-1].endswith("...]")
    assert many or len(words) - 1 == command.max_args, "the usage shows as many words as the command takes"
    assert len([word for word in words[1:] if not word.startswith("[")]) == command.min_args
    assert all(re.fullmatch(r"@?<[a-z]+>|<[a-z]+>:<host>|\[[a-z]+(\.\.\.)?\]|on\|off", word) for word in words[1:])
    assert command.failure or not (command.needs_login or command.min_args)
    assert not command.text or command.max_args


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
    world.store._db.execute("PRAGMA query_only = 1")
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
    world.store._db.execute("PRAGMA query_only = 0")
    assert alice.ask("SAY room hello", "CREATE x") == ["RECV alice room hello", "RESULT CREATE x 1"]


def test_a_history_that_cannot_be_read_is_none(world: World) -> None:
    alice = world.clients[0]
    alice.ask("SAY room hello")
    world.store._db.execute("ALTER TABLE messages RENAME TO gone")
    assert alice.ask("HISTORY room", "PING") == ["RESULT HISTORY room 0", "RESULT PING 1"]


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
