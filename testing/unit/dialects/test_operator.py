"""The operator's commands at the control socket and at the console."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import pytest

from dialects.operator.base import Hosted, ReloadOutcome, ServerControls
from dialects.operator.console import Console
from dialects.operator.control import Control
from dialects.operator.table import ALL, COMMANDS, is_command
from domain.changes import Said
from domain.errors import MessagesRemoved, StoreUnavailable
from protocol import Session
from settings import Settings
from support import irc
from support.world import FakeTransport, World

ROOMS = {"lobby": 5, "attic": 5, "cellar": 9}


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_with_wrong_words_is_answered_with_its_form(verb: str) -> None:
    """P13, P15."""
    command = COMMANDS[verb]
    with World(channels=ROOMS) as world:
        wrong = [command.max_args + 1] if not command.text else []
        wrong += [command.min_args - 1] if command.min_args else []
        for count in wrong:
            assert world.order(f"{verb} {'x ' * count}") == [f"USAGE Usage: {command.usage}"]
        assert world.stopped == 0


@pytest.mark.parametrize("line", ["kicc lobby:ann", "HELP", "//help", "\N{SNOWMAN}", "lobby:ann kick"])
def test_a_line_that_is_no_command(line: str) -> None:
    """P13, P15."""
    with World(channels=ROOMS) as world:
        assert world.order(line, "status") == [
            f"USAGE There is no command {line.split()[0]}; try help.", " users 0", "OK",
        ]  # fmt: skip
        assert world.type(line) == []


@pytest.mark.parametrize("line", ["", " ", "\t \r"])
def test_a_blank_line_has_no_answer(line: str) -> None:
    """P13."""
    with World() as world:
        assert world.order(line, "relink two") == ["ERROR two was not kept out."]


def test_lines_that_cannot_be_read() -> None:
    """P13."""
    with World() as world:
        operator = world.client(world.node.control)
        operator.send(b"x" * 9000 + b"\n\xff\nrelink two\n")
        assert operator.heard() == ["USAGE Line too long.", "USAGE Not utf-8.", "ERROR two was not kept out."]


@pytest.mark.parametrize("typed", ["/{}", "{}", "  {}  "])
def test_a_slash_is_allowed(typed: str) -> None:
    """P11."""
    with World(channels=ROOMS) as world:
        for command in ("users", "relink two", "who nobody"):
            assert world.order(typed.format(command)) == world.order(command)


def test_the_console_prints_lists_as_they_are_and_answers_as_server_messages() -> None:
    """P11, P22, P25."""
    with World(channels=ROOMS) as world:
        world.room("lobby", "ann")
        ann = "ann dialect=rooms address=127.0.0.1"
        assert world.type("users") == [f"{ann} channel=lobby"]
        assert world.type("/who lobby") == [ann]
        assert world.type("relink two") == ["* two was not kept out."]
        assert world.type("kick lobby ann") == ["* Kicked ann."], "once"
        assert world.type("empty attic") == ["* attic has been emptied."]
        assert world.type("empty nowhere") == ["* nowhere does not exist."]


def test_the_console_complains_only_where_somebody_types() -> None:
    """P15."""
    with World(channels=ROOMS) as world:
        complaints: list[str] = []
        hosted = Hosted(world.chat, world.rooms, None, world.timers, lambda: 0.0, lambda: "")
        controls = ServerControls(lambda: None, ReloadOutcome, lambda: [], lambda: [])
        dialect = world.node.operator.dialect
        assert isinstance(dialect, Console)
        transport = FakeTransport(world.soon)
        session = Session(transport, Console(controls, hosted, dialect._formatter, complaints.append))
        session.received(b"kicc x\x1b[2J\n/kick lobby\n\nkick lobby\nwho\x1b[2J x\n")
        assert complaints == [
            "There is no command kicc; try help.",
            "Usage: /kick <channel>:<user>",
            "Usage: kick <channel> <user>",
            "There is no command who[2J; try help.",
        ]
        assert transport.take() == b""


def test_which_lines_of_the_input_are_looked_at() -> None:
    assert all(is_command(f"  {verb} x") for verb in ALL)
    assert all(is_command(f"/{verb}") for verb in COMMANDS)
    assert not any(map(is_command, ["", " ", "hi", "/hi", "y", "//help", "HELP"]))


def test_a_user_of_a_channel_has_one_form() -> None:
    """P16: with a colon it is the course's, whose commands alone may be typed so (P3)."""
    place = "lobby ann"
    with World(channels=ROOMS) as world:
        ann, bob = world.room("lobby", "ann", "bob")
        assert world.order(f"mute {place} 10m") == ["OK Muted ann for 600 seconds."]
        assert ann.saw() == ["* You have been muted for 600 seconds."]
        assert world.order(f"unmute {place}") == ["OK ann may speak again."]
        assert (ann.saw(), bob.saw()[-1:]) == (["* You may speak again."], ["* ann has been muted for 600 seconds."])
        assert ann.does("hi") == ["[ann] hi"]
        assert world.order(f"unmute {place}") == ["ERROR ann is not muted in lobby."]
        assert world.order("kick lobby:ann") == ["USAGE Usage: kick <channel> <user>"]
        assert world.order(f"kick {place}", f"kick {place}") == ["OK Kicked ann.", "ERROR ann is not in lobby."]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604800), ("9" * 30 + "d", 10**12), ("0001", 1)],
)
def test_the_time_of_a_mute(time: str, seconds: int) -> None:
    """P16, P23."""
    with World(channels=ROOMS) as world:
        world.room("lobby", "ann")
        assert world.order(f"mute lobby ann {time}") == [f"OK Muted ann for {seconds} seconds."]


@pytest.mark.parametrize("time", ["0", "0m", "m", "-1", "1.5h", "1w", "10 m", "\N{ARABIC-INDIC DIGIT ONE}", "1M"])
def test_no_time(time: str) -> None:
    """P16, P23."""
    with World(channels=ROOMS) as world:
        ann, _bob = world.room("lobby", "ann", "bob")
        (answer,) = world.order(f"mute lobby ann {time}")
        assert answer.split()[0] == ("ERROR" if " " not in time else "USAGE")
        assert ann.does("hi") == ["[ann] hi"]


def test_a_mute_of_nobody() -> None:
    """P23, P24."""
    with World(channels=ROOMS) as world:
        assert world.order("mute lobby ann 5", "mute nowhere ann 5", "unmute nowhere ann", "unmute lobby ann") == [
            "ERROR ann is not here.", "ERROR ann is not here.",
            "ERROR nowhere does not exist.", "ERROR ann is not muted in lobby.",
        ]  # fmt: skip


def test_the_end_of_a_mute_of_a_member_who_has_left() -> None:
    """P24, R51."""
    with World(channels=ROOMS) as world:
        bob = world.user("bob", "tea")
        world.order("mute tea bob 1h")
        assert bob.heard() == ["RESULT MUTED tea 3600"]
        assert bob.ask("LEAVE tea") == ["RESULT LEAVE tea 1"]
        assert world.order("unmute tea bob") == ["OK bob may speak again."]
        assert bob.ask("JOIN tea", "SAY tea hi") == ["RESULT JOIN tea 1", "RECV bob tea hi"]
        world.order("mute tea bob 1h", "unmute tea bob")
        assert bob.heard() == ["RESULT MUTED tea 3600", "RESULT UNMUTED tea"]


def test_who_is_where() -> None:
    """P19 to P21."""
    with World(channels={"lobby": 1, "attic": 5, "cellar": 9}, settings=Settings(hostname="one")) as world:
        ann = world.user("ann", "tea", "lobby")
        world.guest("bob")
        world.room_guest("lobby", "carol")
        ann.ask("TOPIC tea hot and cold")
        peer = world.peer("two")
        peer.ask("FEDJOIN eve@two tea")
        world.user("zoe", "tea").ask("LOGOUT")
        here = "dialect={} address=127.0.0.1"
        result, hello, rooms = map(here.format, ("result", "hello", "rooms"))
        assert world.order("users") == [f" ann {result}", f" bob {hello}", f" carol {rooms} queue=lobby", "OK"]
        assert world.order("who tea") == [f" ann {result}", " eve@two dialect=federation", "OK"]
        assert world.order("who ann") == [f" ann {result}", " ann channel=lobby", " ann channel=tea", "OK"]
        assert world.order("who zoe", "who bob") == [" zoe away", " zoe channel=tea", "OK", f" bob {hello}", "OK"]
        assert world.order("who carol") == [f" carol {rooms} queue=lobby", "OK"]
        assert world.order("who nobody") == ["ERROR nobody is no channel here, and nobody's name."]
        assert world.order("channels")[-3:] == [
            " lobby members=1 present=1 capacity=1 queue=1", " tea members=3 present=2 topic=hot and cold", "OK",
        ]  # fmt: skip


def test_each_client_of_an_account_has_a_line() -> None:
    """P19, P21."""
    with World(channels=ROOMS) as world:
        world.user("ann", "den")
        irc.user(world, "ann").ask("JOIN #den")
        lines = [" ann dialect=result address=127.0.0.1", " ann dialect=irc address=127.0.0.1"]
        assert world.order("users", "who den") == [*lines, "OK"] * 2
        assert world.order("who ann") == [*lines, " ann channel=den", "OK"]
        assert " den members=1 present=1" in world.order("channels")


def test_names_are_compared_in_nfc() -> None:
    with World() as world:
        world.user("ann", "caf\u00e9")
        assert world.order("who cafe\u0301")[-1] == "OK"


def test_an_announcement_reaches_every_dialect() -> None:
    """P27, R52, B26."""
    with World(channels=ROOMS, settings=Settings(hostname="one")) as world:
        members = {
            "RECV @server @server \N{BLACK SQUARE} hi": [world.user("ann"), world.client()],
            "DELIVERY @server \N{BLACK SQUARE} hi": [world.guest("bob")],
            "@server: \N{BLACK SQUARE} hi": [world.mailbox_user("nora")],
            "": [world.client(), world.client(world.hello), world.peer("two")],
        }
        (carol,) = world.room("lobby", "carol")
        _ann, stranger = members["RECV @server @server \N{BLACK SQUARE} hi"]
        stranger.ask("PING")
        tagged = world.client()
        tagged.ask("TAGS time")
        silent = world.mailbox_client()
        assert world.order("announce  \N{BLACK SQUARE}\x1b \x07 hi\u202e ") == ["OK Announced."]
        for line, clients in members.items():
            for client in clients:
                assert [" ".join(heard.split()) for heard in client.heard()] == ([line] if line else [])
        assert [" ".join(heard.split()) for heard in carol.saw()] == ["* \N{BLACK SQUARE} hi"]
        (heard,) = tagged.heard()
        assert heard.startswith("@time=1970-01-01T00:16:40.000Z RECV @server @server ")
        assert silent.heard() == []


def test_an_announcement_of_nothing() -> None:
    with World() as world:
        ann = world.user("ann")
        assert world.order("announce \x07 \u202e") == ["USAGE Usage: announce <text>"]
        assert ann.heard() == []


def test_many_are_told_in_pieces() -> None:
    """P27."""
    with World() as world:
        clients = [world.client() for _ in range(600)]
        for client in clients:
            client.ask("PING")
        operator = world.client(world.node.control)
        operator.send("announce hi")
        told = sum(bool(client.transport.sent) for client in clients)
        assert 0 < told < 300
        assert operator.transport.sent == []
        while not operator.transport.sent:
            world.let_pass(0)
        assert all(client.heard() == ["RECV @server @server hi"] for client in clients)


def said(lines: Sequence[str]) -> list[tuple[str, str]]:
    assert lines[-1] == "OK"
    messages = [json.loads(line) for line in lines[:-1]]
    assert all(line.startswith(' {"id": ') for line in lines[:-1])
    assert [message["id"] for message in messages] == sorted(message["id"] for message in messages)
    assert all(message.keys() == {"id", "time", "user", "text"} for message in messages)
    return [(message["user"], message["text"]) for message in messages]


def test_an_export_has_all_messages_of_the_channel_alone() -> None:
    """P26."""
    with World(channels=ROOMS) as world:
        ann = world.user("ann", "tea", "lobby")
        (bob,) = world.room("lobby", "bob")
        texts = [f'{number} "\\ \N{SNOWMAN}' for number in range(150)]
        ann.ask(*(f"SAY tea {text}" for text in texts), "SAY lobby hello", "LEAVE tea")
        bob.does("hi")
        assert said(world.order("export tea")) == [("ann", text) for text in texts]
        assert said(world.order("export lobby")) == [("ann", "hello"), ("bob", "hi")]
        assert said(world.order("export attic")) == []
        assert world.order("export nowhere") == ["ERROR nowhere does not exist."]


def test_an_export_tells_that_messages_were_removed_meanwhile() -> None:
    """P26."""
    with World(channels=ROOMS) as world:
        ann = world.user("ann", "tea")
        ann.ask(*(f"SAY tea {number}" for number in range(150)))
        reading = world.chat.reading.export("tea")
        next(reading)
        world.order("delete-channel tea")
        with pytest.raises(MessagesRemoved):
            list(reading)


@pytest.mark.parametrize("count", [1, 2])
def test_an_export_that_is_not_whole_is_an_error(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """P26."""
    with World() as world:
        world.user("ann", "tea")
        page = [Said("ann", "tea", "hi", 1.0, 1)]
        monkeypatch.setattr(world.store, "history", lambda *_args: (count, iter([page])))
        world.chat.reading._backend = world.store
        missing = "ERROR Messages have been removed meanwhile; some are missing here."
        assert world.order("export tea")[-1] == ("OK" if count == 1 else missing)


def test_an_export_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """P26."""

    def pages() -> object:
        yield [Said("ann", "tea", "hi", 1.0, 1)]
        raise StoreUnavailable

    with World() as world:
        world.user("ann", "tea")
        monkeypatch.setattr(world.store, "history", lambda *_args: (2, pages()))
        world.chat.reading._backend = world.store
        assert world.order("export tea") == ["ERROR The database cannot be read."]


def test_help_lists_what_there_is() -> None:
    """P17."""
    with World() as world:
        *rows, end = world.order("help")
        assert end == "OK"
        assert [row.split()[0] for row in rows] == list(COMMANDS)
        assert [row.split()[0] for row in world.order("help un")] == ["unlink", "unmute", "unban", "OK"]
        assert world.order("help /kick")[0].split()[0] == "kick"
        assert world.order("help nothing") == ["ERROR There is no command nothing."]


def test_the_end() -> None:
    """P30."""
    with World() as world:
        operator = world.client(world.node.control)
        operator.send("shutdown\nstatus\n")
        assert operator.heard() == ["OK"]
        assert (world.stopped, operator.transport.finished) == (1, 1)


def test_links_that_are_off() -> None:
    """P28, P29."""
    with World(settings=Settings(federation="off")) as world:
        assert world.order("unlink two", "relink two") == ["ERROR There are no links: federation is off."] * 2
    with World() as world:
        assert world.order("unlink t/wo") == ["ERROR t/wo is no server's name or address."]


def test_a_backup_has_few_commands() -> None:
    """P31."""
    stopped: list[bool] = []
    controls = ServerControls(lambda: stopped.append(True), ReloadOutcome, lambda: [("role", "backup")], list)
    transport = FakeTransport()
    session = Session(transport, Control(controls, None))

    def ask(line: str) -> list[str]:
        session.received(f"{line}\n".encode())
        if transport.pump():
            session.drained()
        while transport.soon:
            transport.soon.pop()()
        return transport.take().decode().splitlines()

    assert ask("status") == [" role backup", "OK"]
    assert ask("help")[-1] == "OK"
    for line in ("users", "/kick a:b", "kick a b", "announce x"):
        assert ask(line) == ["ERROR This node is a backup: the primary has the channels."]
    assert ask("x") == ["USAGE There is no command x; try help."]
    assert ask("/shutdown") == ["OK"]
    assert stopped == [True]


def test_nothing_that_is_typed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with World() as world, caplog.at_level(logging.DEBUG):
        world.order("kicc secret", "announce secret")
        assert "secret" not in caplog.text
