"""History, read markers, questions, operators, capabilities, user modes (I5, I30 to I36)."""

from __future__ import annotations

import re

import pytest
from ircstates.server import Server
from irctokens.line import tokenise

from dialects.irc.commands import COMMANDS
from support.irc import IrcClient, guest, sasl, user
from support.world import World


@pytest.fixture
def spoken(world: World) -> World:
    """Ten messages in `garden`."""
    ann = world.user("ann", "garden")
    ann.ask(*(f"SAY garden {number}" for number in range(1, 11)), "QUIT")
    return world


def numbers(lines: list[str]) -> list[int]:
    return [int(line.rpartition(":")[2]) for line in lines if " PRIVMSG " in line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("LATEST #garden * 3", [8, 9, 10]), ("LATEST #garden msgid=m7 5", [8, 9, 10]), ("LATEST #garden msgid=m2 3",
        [8, 9, 10]),
        ("BEFORE #garden msgid=m5 2", [3, 4]), ("AFTER #garden msgid=m5 2", [6, 7]), ("AROUND #garden msgid=m5 3",
        [4, 5, 6]),
        ("AROUND #garden msgid=m5 1", [5]), ("BETWEEN #garden msgid=m2 msgid=m5 9", [3, 4]),
        ("BETWEEN #garden msgid=m5 msgid=m2 9", [3, 4]), ("BETWEEN #garden msgid=m2 msgid=m8 2", [3, 4]),
        ("BETWEEN #garden msgid=m8 msgid=m2 2", [6, 7]), ("BEFORE #garden timestamp=1970-01-01T00:16:40.000Z 9", []),
        ("AFTER #garden timestamp=1970-01-01T00:16:39.999Z 2", [1, 2]), ("LATEST #garden * 99999", [*range(1, 11)]),
        ("before #GARDEN msgid=m3 9", [1, 2]),
    ],
)  # fmt: skip
def test_history_in_pages(spoken: World, words: str, expected: list[int]) -> None:
    """(I30)"""
    ann = user(spoken, "ann", "batch", "draft/chathistory")
    lines = ann.ask(f"CHATHISTORY {words}")
    assert numbers(lines) == expected
    assert (lines[0], lines[-1]) == (":crosstalk BATCH +history chathistory #garden", ":crosstalk BATCH -history")
    assert all(line.startswith("@batch=history ") for line in lines[1:-1])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("LATEST #none * 3", "INVALID_TARGET"), ("LATEST ann * 3", "INVALID_TARGET"), ("LATEST #garden * 0",
        "INVALID_PARAMS"),
        ("LATEST #garden * x", "INVALID_PARAMS"), ("BEFORE #garden * 3", "INVALID_PARAMS"),
        ("BEFORE #garden msgid=x 3", "INVALID_PARAMS"), ("BEFORE #garden x 3", "INVALID_MSGREFTYPE"),
        ("BEFORE #garden timestamp=x 3", "INVALID_PARAMS"), ("BEFORE #garden", "NEED_MORE_PARAMS"),
        ("BETWEEN #garden msgid=m1 3", "NEED_MORE_PARAMS"), ("FOO #garden * 3", "UNKNOWN_COMMAND"),
        ("TARGETS x y 3", "INVALID_PARAMS"), ("TARGETS", "NEED_MORE_PARAMS"),
    ],
)  # fmt: skip
def test_history_that_cannot_be_given(spoken: World, words: str, code: str) -> None:
    """(I30, I36)"""
    (line,) = user(spoken, "ann").ask(f"CHATHISTORY {words}")
    assert line.startswith(f":crosstalk FAIL CHATHISTORY {code} {words.split()[0]} ")


def test_a_guest_sees_what_was_said_since_it_came(spoken: World) -> None:
    """(I6, I30)"""
    bob, ann = guest(spoken, "bob"), user(spoken, "ann")
    bob.ask("JOIN #garden")
    ann.ask("PRIVMSG #garden :11")
    bob.heard()
    assert numbers(bob.ask("CHATHISTORY LATEST #garden * 50")) == [11]
    assert numbers(bob.ask("CHATHISTORY BEFORE #garden msgid=m5 50")) == []


def test_targets_are_channels_where_something_was_said(spoken: World) -> None:
    """(I30)"""
    ann = user(spoken, "ann", "batch")
    ann.ask("JOIN #silent")
    times = "timestamp=1970-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z"
    assert ann.ask(f"CHATHISTORY TARGETS {times} 5") == [
        ":crosstalk BATCH +history draft/chathistory-targets",
        "@batch=history :crosstalk CHATHISTORY TARGETS #garden 1970-01-01T00:16:40.000Z",
        ":crosstalk BATCH -history",
    ]


def test_what_is_unread_comes_with_the_welcome(spoken: World) -> None:
    """To a client that cannot ask for it; others are told how much it is (I30)."""
    lines = [line.rstrip("\r") for line in spoken.client(spoken.node.dialects["irc"]).ask(
        "PASS ann", "CAP REQ :server-time", "NICK ann", "USER a 0 * :A", "CAP END")]  # fmt: skip
    assert numbers(lines) == [*range(1, 11)]
    client = IrcClient(spoken)
    lines = client.ask("PASS ann", "CAP REQ :draft/read-marker standard-replies draft/chathistory server-time",
                       "NICK ann", "USER a 0 * :A", "CAP END")  # fmt: skip
    assert numbers(lines) == []
    assert lines[-1] == ":crosstalk NOTE UNREAD #garden 10 :unread"


def test_read_markers_are_those_of_result(spoken: World) -> None:
    """(I36)"""
    ann, other = user(spoken, "ann"), user(spoken, "ann", "draft/read-marker")
    other.heard()
    marked = ":crosstalk MARKREAD #garden timestamp=1970-01-01T00:16:40.000Z"
    assert ann.ask("MARKREAD #garden timestamp=1970-01-01T00:16:40.000Z") == [marked]
    assert other.heard() == [marked]
    assert ann.ask("MARKREAD #garden timestamp=1960-01-01T00:00:00.000Z", "MARKREAD #garden") == [marked, marked]
    assert ann.ask("MARKREAD #none") == [":crosstalk MARKREAD #none *"]
    for words, code in {
        "": "NEED_MORE_PARAMS",
        "#garden x": "INVALID_PARAMS",
        "#none timestamp=x": "INVALID_PARAMS",
        "#garden timestamp=2026-01-01T00:00:00.000": "INVALID_PARAMS",
        "#garden timestamp=2026-01-01": "INVALID_PARAMS",
        "#garden timestamp=2026-13-01T00:00:00.000Z": "INVALID_PARAMS",
        "#garden timestamp=9999-12-31T23:59:60Z": "INVALID_PARAMS",
        "#garden timestamp=2026-01-01T00:00:00.000+01:00": "INVALID_PARAMS",
    }.items():
        assert ann.ask(f"MARKREAD {words}")[0].startswith(f":crosstalk FAIL MARKREAD {code}")
    for client in (ann, other):
        client.client.leave()
    assert spoken.client().ask("LOGIN ann ann", "UNREAD") == ["RESULT LOGIN 1", "RESULT UNREAD"]


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("ISON ann bob nobody", [":crosstalk 303 bob :bob"]),
        ("USERHOST bob ann", [":crosstalk 302 bob :bob=+~bob@<hex>.guest ann=-ann@account"]),
        ("WHO ann", [":crosstalk 352 bob * ann account crosstalk ann G :0 ann",
        ":crosstalk 315 bob ann :End of WHO list"]),
        ("WHO bob %tna,7", [":crosstalk 354 bob 7 bob :0", ":crosstalk 315 bob bob :End of WHO list"]),
        ("WHO nobody", [":crosstalk 315 bob nobody :End of WHO list"]),
        ("WHOIS nobody", [":crosstalk 401 bob nobody :No such nick", ":crosstalk 318 bob nobody :End of WHOIS list"]),
        ("WHOIS ann", [
            ":crosstalk 311 bob ann ann account * :ann", ":crosstalk 319 bob ann :@#garden",
            ":crosstalk 312 bob ann crosstalk :a Crosstalk server", ":crosstalk 301 bob ann :not here",
            ":crosstalk 330 bob ann ann :is logged in as", ":crosstalk 318 bob ann :End of WHOIS list",
        ]),
        ("WHOWAS zoe", [
            ":crosstalk 314 bob zoe ~zoe <hex>.guest * :Zoe",
            ":crosstalk 312 bob zoe crosstalk :1970-01-01T00:16:40.000Z",
            ":crosstalk 369 bob zoe :End of WHOWAS",
        ]),
        ("WHOWAS nobody", [":crosstalk 406 bob nobody :There was no such nickname",
        ":crosstalk 369 bob nobody :End of WHOWAS"]),
        ("LIST #garden", [
            ":crosstalk 321 bob Channel :Users  Name", ":crosstalk 322 bob #garden 1 :",
            ":crosstalk 323 bob :End of LIST",
        ]),
        ("LIST >0", [
            ":crosstalk 321 bob Channel :Users  Name", ":crosstalk 322 bob #garden 1 :",
            ":crosstalk 323 bob :End of LIST",
        ]),
        *[
            (f"LIST {words}", [
                ":crosstalk 321 bob Channel :Users  Name", *[f":crosstalk 322 bob {found} :" for found in listed],
                ":crosstalk 323 bob :End of LIST",
            ])
            for words, listed in {
                "#gar*": ["#garden 1"], "!#gar*,>0": [], "!x*,>0": ["#garden 1"], "<1": ["#attic 0", "#cellar 0",
                "#lobby 0"],
                "C<5,>0": ["#garden 1"], "C>5": [], "T>0": [], "#garden,C<5": ["#garden 1"], "x<5": [], ",,": [
                    "#attic 0", "#cellar 0", "#garden 1", "#lobby 0",
                ],
            }.items()
        ],
        ("LUSERS", [
            ":crosstalk 251 bob :There are 1 users and 0 invisible on 1 servers",
            ":crosstalk 252 bob 0 :operator(s) online",
            ":crosstalk 253 bob 0 :unknown connection(s)", ":crosstalk 254 bob 4 :channels formed",
            ":crosstalk 255 bob :I have 1 clients and 0 servers",
            ":crosstalk 265 bob 1 1 :Current local users 1, max 1",
            ":crosstalk 266 bob 1 1 :Current global users 1, max 1",
        ]),
        ("VERSION", [":crosstalk 351 bob crosstalk-0.1.0 crosstalk :"]),
        ("TIME", [":crosstalk 391 bob crosstalk 1000 0 :1970-01-01T00:16:40.000Z"]),
        ("ADMIN", [":crosstalk 423 bob crosstalk :No administrative info available"]),
        ("LINKS", [":crosstalk 365 bob * :End of LINKS list"]), ("STATS u",
        [":crosstalk 219 bob u :End of STATS report"]),
        ("HELP foo", [":crosstalk 524 bob foo :No help available on this topic"]),
        ("MOTD", [":crosstalk 422 bob :There is no message of the day"]),
        ("OPER ann ann", [":crosstalk 491 bob :No operators for your host"]),
        ("KILL ann", [":crosstalk 481 bob :Permission denied: you are no operator"]),
        ("WALLOPS :x", [":crosstalk 481 bob :Permission denied: you are no operator"]),
        ("FOO\x1b[1m:", [":crosstalk 421 bob FOO[1M: :Unknown command"]),
    ],
)  # fmt: skip
def test_answers(spoken: World, line: str, answers: list[str]) -> None:
    """(I31 to I33)"""
    guest(spoken, "zoe").ask("QUIT")
    assert guest(spoken, "bob").ask(line) == answers


def test_monitored_users_are_told_of_in_all_dialects(world: World) -> None:
    """(I33)"""
    bob = guest(world, "bob")
    assert bob.ask("MONITOR + ann,hal,bob") == [
        ":crosstalk 730 bob :bob!~bob@<hex>.guest", ":crosstalk 731 bob :ann,hal",
    ]  # fmt: skip
    world.user("ann")
    hal = world.guest("hal")
    assert bob.heard() == [":crosstalk 730 bob :ann!ann@account", ":crosstalk 730 bob :hal!hello@<hex>.guest"]
    hal.leave()
    assert bob.heard() == [":crosstalk 731 bob :hal"]
    assert bob.ask("MONITOR L")[0] == ":crosstalk 732 bob :ann,hal,bob"
    assert bob.codes("MONITOR C", "MONITOR S") == []
    assert bob.codes("MONITOR + ann", "MONITOR - ann,zoe", "MONITOR S", "MONITOR L") == ["730", "733"]
    many = [f"n{number}" for number in range(101)]
    codes = [
        code for start in range(0, 101, 60) for code in bob.codes(f"MONITOR + {','.join(many[start : start + 60])}")
    ]
    assert codes == ["731", "734", "731"]


def test_operators_of_the_server(world: World) -> None:
    """(I32)"""
    with World(settings=world.node.settings._replace(operator=("root",), channel=())) as world:
        world.chat.users.operators = frozenset()
        world.client().ask("REGISTER root root")
        world.chat.users.operators = frozenset({"root"})
        root, ann, bob = user(world, "root"), user(world, "ann"), guest(world, "bob")
        ann.ask("JOIN #garden")
        assert root.codes("OPER root wrong", "KILL bob") == ["464", "481"]
        assert root.ask("OPER root root") == [
            ":root!root@account MODE root :+o",
            ":crosstalk 381 root :You are now an operator",
        ]
        assert ann.codes("OPER root root") == ["491"]
        root.ask("JOIN #garden")
        assert root.codes("MODE #garden +m", "WALLOPS :hi") == ["MODE"]
        root.ask("KILL bob :enough")
        assert bob.heard() == ["ERROR :Closing Link: bob (Killed (root (enough)))"]
        assert root.codes("MODE root -o", "KILL ann") == ["MODE", "481"]


def test_operators_of_the_server_mute(world: World) -> None:
    """(I32)"""
    root, ann = user(world, "root"), user(world, "ann")
    ann.ask("JOIN #garden")
    assert root.codes("MUTE #garden ann 60", "UNMUTE #garden ann") == ["481", "481"]
    world.chat.users.operators = frozenset({"root"})
    root.ask("OPER root root")
    assert root.ask("MUTE #garden ann 2m") == [
        ":crosstalk NOTICE root :ann may say nothing in #garden for 120 seconds.",
    ]  # fmt: skip
    assert ann.heard() == [":crosstalk NOTICE ann :You may say nothing in #garden for 120 seconds."]
    assert ann.codes("PRIVMSG #garden :x") == ["404"]
    assert root.ask("UNMUTE #garden ann") == [":crosstalk NOTICE root :ann may speak again in #garden."]
    assert ann.codes("PRIVMSG #garden :x") == ["NOTICE"], "that it may speak again"
    refused = ("MUTE #none ann 60", "MUTE #garden nobody 60", "MUTE #garden root 60", "MUTE #garden ann -1")
    assert root.codes(*refused, "UNMUTE #garden ann") == ["403", "401", "441", "FAIL", "FAIL"]


def test_capabilities_are_switched_as_a_whole(world: World) -> None:
    """(I34)"""
    client = IrcClient(world)
    assert client.ask("CAP REQ :multi-prefix foo", "CAP LIST") == [
        ":crosstalk CAP * NAK :multi-prefix foo", ":crosstalk CAP * LIST :",
    ]  # fmt: skip
    assert client.ask("CAP REQ :batch echo-message", "CAP REQ :-batch", "CAP LIST")[1:] == [
        ":crosstalk CAP * ACK :-batch", ":crosstalk CAP * LIST :echo-message",
    ]  # fmt: skip
    assert client.ask("CAP FOO") == [":crosstalk 410 * FOO :Invalid CAP command"]
    (plain,) = IrcClient(world).ask("CAP LS")
    (modern,) = IrcClient(world).ask("CAP LS 302")
    assert "=" not in plain.partition(" :")[2]
    assert "sasl=PLAIN" in modern
    assert "draft/account-registration=before-connect" in modern


def test_names_and_hosts_are_shown_as_asked(world: World) -> None:
    """(I34)"""
    ann = user(world, "ann", "userhost-in-names", "multi-prefix")
    ann.ask("JOIN #garden", "MODE #garden +v ann")
    assert ann.ask("NAMES #garden")[0] == ":crosstalk 353 ann = #garden :@+ann!ann@account"


def test_away_and_real_names_are_told_to_who_asked(world: World) -> None:
    """(I34)"""
    ann, bob, zoe = user(world, "ann", "setname"), guest(world, "bob", "away-notify", "setname"), guest(world, "zoe")
    for client in (ann, bob, zoe):
        client.ask("JOIN #garden")
    ann.heard(), bob.heard(), zoe.heard()
    assert ann.codes("AWAY :tea", "SETNAME :Ann A.", "AWAY") == ["306", "SETNAME", "305"]
    assert bob.heard() == [":ann!ann@account AWAY :tea", ":ann!ann@account SETNAME :Ann A.", ":ann!ann@account AWAY"]
    assert zoe.heard() == []


def test_user_modes(world: World) -> None:
    """(I35)"""
    bob, zoe = guest(world, "bob"), guest(world, "zoe")
    assert bob.ask("MODE bob +iBwo", "MODE bob", "MODE bob +x") == [
        ":bob!~bob@<hex>.guest MODE bob :+Biw", ":crosstalk 221 bob +Biw", ":crosstalk 501 bob :Unknown MODE flag",
    ]  # fmt: skip
    assert zoe.codes("WHO bo?", "WHO bob") == ["315", "352", "315"]
    assert "335" in zoe.codes("WHOIS bob")


def test_what_limits_every_connection_limits_these(world: World) -> None:
    """A guest that leaves lets go of all that was kept for it (I5, I33)."""
    bob = guest(world, "bob")
    bob.ask("MONITOR + ann", "JOIN #garden", "MODE bob +B")
    bob.client.leave()
    world.settle()
    assert "bob" not in world.chat.users.guests
    irc = world.node.dialects["irc"]
    assert (irc.monitors.of("ann"), irc.census.bots, irc.census.unwelcome) == ([], {}, 0)  # type: ignore[attr-defined]


def test_every_command_has_help(world: World) -> None:
    bob = guest(world, "bob")
    for verb in COMMANDS:
        assert bob.codes(f"HELP {verb}") == ["704", "705", "706"]
    assert bob.codes("HELP")[0] == "704"


def test_another_client_understands_all_of_it(world: World) -> None:
    """ircstates follows what we send, and knows in the end who is where."""
    world.user("bob", "garden").ask("TOPIC garden tea")
    world.client().ask("REGISTER ann ann")
    state = Server("test")
    client = world.client(world.node.dialects["irc"])
    lines = client.ask(
        "CAP LS 302", "CAP REQ :sasl multi-prefix userhost-in-names extended-join", "NICK ann", "USER ann 0 * :Ann",
        "AUTHENTICATE PLAIN", f"AUTHENTICATE {sasl('ann', 'ann')}", "CAP END", "JOIN #garden", "MODE #garden",
        "WHO #garden",
    )  # fmt: skip
    world.user("eve").ask("JOIN garden", "SAY garden hi")
    world.user("zoe").ask("JOIN garden", "LEAVE garden")
    for line in [*lines, *client.heard()]:
        for token in state.recv(f"{line}\n".encode()):
            state.parse_tokens(token)
        assert re.fullmatch(r"[^\r\n\0]+\r", line)
        tokenise(line[:-1])
    assert (state.nickname, state.registered, state.isupport.casemapping.value) == ("ann", True, "ascii")
    garden = state.channels["#garden"]
    assert {user.nickname for user in garden.users.values()} == {"ann", "bob", "eve"}
    assert (garden.topic, {*garden.modes}) == ("tea", {"n"})
    assert (state.users["bob"].username, state.users["bob"].hostname) == ("bob", "account")
