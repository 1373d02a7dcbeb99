"""Coming in, names, speaking, whispers and lists."""

from __future__ import annotations

import pytest

from app.node import port_label
from domain.state import Limits
from support.rooms import AHEAD, WELCOME, is_closed
from support.world import World
from text import MAX_LINE


def test_a_newcomer_is_welcomed_and_everybody_sees_who_has_joined(world: World) -> None:
    ann = world.room_guest("large", "ann")
    assert ann.saw() == [WELCOME.format("large", "ann"), "* ann has joined the channel."]
    bob = world.room_guest("large", "bob")
    assert bob.saw() == [WELCOME.format("large", "bob"), "* bob has joined the channel."]
    assert ann.saw() == ["* bob has joined the channel."]
    assert world.printed() == ["* ann has joined the large channel.", "* bob has joined the large channel."]


def test_who_finds_no_room_waits_and_is_told_how_many_are_ahead(world: World) -> None:
    ann, bob = world.room("small", "ann", "bob")
    carol, dave = world.room_guest("small", "carol"), world.room_guest("small", "dave")
    assert carol.saw() == [WELCOME.format("small", "carol"), AHEAD.format(0)]
    assert dave.saw() == [WELCOME.format("small", "dave"), AHEAD.format(1)]
    assert world.printed() == ann.saw() == bob.saw() == []


@pytest.mark.parametrize(
    "line",
    ["ann", " ann ", "waiting", "user", "guest", "a b", "a,b", "/ann", "a:b", "a@b", "a\x07", "x" * 65, "ann files"],
)
def test_a_name_that_cannot_be_had_is_refused(world: World, line: str) -> None:
    world.room("small", "ann", "bob", "waiting")
    world.user("user")
    world.guest("guest")
    client = world.room_guest("small", line)
    assert client.saw() == ["* Cannot connect to the small channel."]
    assert is_closed(client)


def test_a_name_is_a_guests_own_in_one_channel_only(world: World) -> None:
    world.room("small", "ann")
    assert world.room_guest("large", "ann").saw()[-1] == "* ann has joined the channel."


def test_a_guests_name_is_nobody_elses(world: World) -> None:
    first, _second = world.room("large", "ann")[0], world.room("small", "ann")[0]
    assert world.client().ask("HELLO-FROM ann") == ["IN-USE"]
    other = world.client()
    assert other.ask("REGISTER ann x") == ["RESULT REGISTER 0"]
    first.leave()
    assert other.ask("REGISTER ann x") == ["RESULT REGISTER 0"]
    _second.leave()
    assert other.ask("REGISTER ann x") == ["RESULT REGISTER 1"]


def test_lines_before_the_name(world: World) -> None:
    client = world.client(world.node.ports[port_label("large")])
    client.send(b"\n \t\r\n\xff\n" + b"x" * MAX_LINE + b"\n  e\xcc\x81 \r\nhi\n")
    assert client.saw() == [WELCOME.format("large", "\u00e9"), "* \u00e9 has joined the channel.", "[\u00e9] hi"]


def test_limits_of_names_hold_here_too() -> None:
    with World(Limits(name=3), channels={"large": 9}) as world:
        assert world.room_guest("large", "anna").saw() == ["* Cannot connect to the large channel."]
        assert len(world.room_guest("large", "ann").saw()) == 2


# ---- speaking ----


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hi", "hi"),
        ("  a   b\t c ", "a   b\t c"),
        ("\x1b[31mred\x07", "[31mred"),
        ("/foo bar", "/foo bar"),
        ("/", "/"),
        ("/QUIT", "/QUIT"),
        ("/quitter", "/quitter"),
        ("/ready 1", "/ready 1"),
        ("\x07/quit", "/quit"),
        ("[x] y", "[x] y"),
    ],
)
def test_a_message_is_seen_by_everybody_and_the_operator(world: World, typed: str, said: str) -> None:
    ann, bob = world.room("large", "ann", "bob")
    (other,) = world.room("other", "carol")
    assert ann.does(typed) == bob.saw() == world.printed() == [f"[ann] {said}"]
    assert other.saw() == []


@pytest.mark.parametrize("typed", ["", " \t ", "\x07", "\x1b \x00", "\u202e"])
def test_a_message_of_nothing_is_none(world: World, typed: str) -> None:
    ann, bob = world.room("large", "ann", "bob")
    assert ann.does(typed) == bob.saw() == world.printed() == []


@pytest.mark.parametrize(
    "typed",
    ["/whisper", "/whisper bob", "/whisper bob \x07", "/quit now", "/list x", "/switch", "/switch a b", "/send",
     "/send bob", "/send bob a b"],
)  # fmt: skip
def test_a_command_with_other_words_is_ignored(world: World, typed: str) -> None:
    ann, bob = world.room("large", "ann", "bob")
    assert ann.does(typed) == bob.saw() == world.printed() == []
    assert ann.does("hi") == ["[ann] hi"]


def test_a_whisper_is_seen_by_its_target_and_the_operator(world: World) -> None:
    ann, bob, carol = world.room("large", "ann", "bob", "carol")
    assert ann.does("/whisper   bob  a   b ") == carol.saw() == []
    assert bob.saw() == ["[ann whispers to you:] a   b"]
    assert world.printed() == ["[ann whispers to bob:] a   b"]
    assert ann.does("/whisper nobody x") == ["* nobody is not here."]
    assert world.printed() == ["[ann whispers to nobody:] x"]
    assert ann.does("/whisper ann x") == ["[ann whispers to you:] x"]


def test_the_list_shows_every_channel_in_the_configs_order(world: World) -> None:
    ann, *_ = world.room("small", "ann", "bob", "carol")
    world.room("other", "ann")
    world.user("user", "made")
    assert ann.does("/list") == ["[Channel] small 2/2/1.", "[Channel] large 0/9/0.", "[Channel] other 1/9/0."]
