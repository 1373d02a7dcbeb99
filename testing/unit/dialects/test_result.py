"""dialects/result.py: every command and every error, on a server without sockets."""

from __future__ import annotations

import re

import pytest

from commands import Refusal
from dialects.result import COMMANDS, REFUSALS
from support.world import World

MISSING, TOO_MANY = "RESULT ERROR not enough arguments", "RESULT ERROR too many arguments"

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
    (IN, "CREATE garden private", ["RESULT CREATE garden 1"]),
    (IN, "CREATE room private", ["RESULT CREATE room 0"]),
    (IN, "CREATE @x private", ["RESULT CREATE @x 0"]),
    (IN, "CREATE a:b private", ["RESULT CREATE a:b 0"]),
    (OUT, "CREATE garden private", ["RESULT CREATE garden 0"]),
    *[(IN, f"CREATE garden {words}", [TOO_MANY]) for words in ("Private", "privat", "private private", "public", "i")],
    (IN, "INVITE room away", ["RESULT INVITE room 1"]),
    (IN, "INVITE room bob", ["RESULT INVITE room 0"]),
    (IN, "INVITE room alice", ["RESULT INVITE room 0"]),
    (IN, "INVITE room nobody", ["RESULT INVITE room 0"]),
    (IN, "INVITE cellar away", ["RESULT INVITE cellar 0"]),
    (IN, "INVITE nowhere away", ["RESULT INVITE nowhere 0"]),
    (IN, "INVITE room:elsewhere away", ["RESULT INVITE room:elsewhere 0"]),
    (OUT, "INVITE room away", ["RESULT INVITE room 0"]),
    (IN, "INVITE room", [MISSING]),
    (IN, "INVITE room away bob", [TOO_MANY]),
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
    assert all(
        re.fullmatch(r"@?<[a-z]+>|<[a-z]+>:<host>|\[[a-z]+(\.\.\.)?\]|on\|off|private", word) for word in words[1:]
    )
    assert command.failure or not (command.needs_login or command.min_args)
    assert not command.text or command.max_args
