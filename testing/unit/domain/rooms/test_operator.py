"""Kicks, mutes and other commands of the operator."""

from __future__ import annotations

import pytest

from support.rooms import AHEAD, is_closed
from support.world import World


def test_a_kick(world: World) -> None:
    ann, bob, _carol = world.room("small", "ann", "bob", "carol")
    assert world.type("/kick small:ann") == ["* Kicked ann.", "* carol has joined the small channel."]
    assert ann.saw() == []
    assert is_closed(ann)
    assert bob.saw() == ["* ann has left the channel.", "* carol has joined the channel."]


def test_a_kick_from_the_queue(world: World) -> None:
    ann, bob, carol, dave = world.room("small", "ann", "bob", "carol", "dave")
    assert world.type("/kick  small:carol ") == ["* Kicked carol."]
    assert is_closed(carol)
    assert ann.saw() == bob.saw() == carol.saw() == []
    assert dave.saw() == [AHEAD.format(0)]


def test_a_kick_that_finds_nobody(world: World) -> None:
    (ann,) = world.room("large", "ann")
    places = ["nowhere:ann", "small:ann", "large:x", "nowhere:x", "large", ":", "large:", ":ann"]
    assert world.type(*(f"/kick {place}" for place in places)) == [
        "* nowhere does not exist.", "* ann is not in small.", "* x is not in large.", "* nowhere does not exist.",
    ]  # fmt: skip
    assert ann.saw() == []


def test_the_muted_guest_has_other_words_than_the_others_wherever_it_stands(world: World) -> None:
    """O23."""
    clients = dict(zip("abc", world.room("large", *"abc"), strict=True))
    for muted in "abc":
        world.type(f"/mute large:{muted} 10")
        for name, client in clients.items():
            assert client.saw() == [f"* {'You have' if name == muted else f'{muted} has'} been muted for 10 seconds."]


def test_a_mute(world: World) -> None:
    ann, bob = world.room("large", "ann", "bob")
    assert world.type("/mute large:ann 10") == ["* Muted ann for 10 seconds."]
    assert ann.saw() == ["* You have been muted for 10 seconds."]
    assert bob.saw() == ["* ann has been muted for 10 seconds."]
    assert ann.does("hi", "/whisper bob hi", "/whisper nobody hi") == ["* You are still muted for 10 seconds."] * 3
    assert bob.saw() == world.printed() == []
    world.let_pass(3.2)
    assert ann.does("hi") == ["* You are still muted for 6 seconds."]
    world.let_pass(6.7)
    assert ann.does("hi") == ["* You are still muted for 1 seconds."]
    world.let_pass(0.1)
    assert ann.does("hi") == bob.saw() == ["[ann] hi"]


def test_a_mute_is_kept_by_name_and_a_newer_one_counts(world: World) -> None:
    (ann,) = world.room("large", "ann")
    world.type("/mute large:ann 1000", "/mute large:ann 10")
    ann.does("/quit")
    (ann,) = world.room("large", "ann")
    assert ann.does("hi") == ["* You are still muted for 10 seconds."]
    assert ann.does("/switch other", "hi")[-1] == "[ann] hi"


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "x", "+1", "1e3", "\u0663", "00"])
def test_a_mute_for_no_time(world: World, seconds: str) -> None:
    (ann,) = world.room("large", "ann")
    assert world.type(f"/mute large:ann {seconds}") == ["* Invalid mute time."]
    assert ann.does("hi") == ["[ann] hi"]


def test_a_mute_of_nobody(world: World) -> None:
    world.room("small", "ann", "bob", "carol")
    assert world.type(*(f"/mute {place} 5" for place in ("small:carol", "small:x", "nowhere:ann", "small", ":"))) == [
        "* carol is not here.", "* x is not here.", "* ann is not here.",
    ]  # fmt: skip


def test_a_mute_for_ages(world: World) -> None:
    (ann,) = world.room("large", "ann")
    assert world.type("/mute large:ann " + "9" * 5000) == ["* Muted ann for 1000000000000 seconds."]
    assert ann.saw() == ["* You have been muted for 1000000000000 seconds."]


def test_a_channel_is_emptied_and_the_queue_moves_in(world: World) -> None:
    ann, bob, carol, dave, erin = world.room("small", "ann", "bob", "carol", "dave", "erin")
    printed = world.type("/empty small")
    assert ann.saw() == bob.saw() == []
    assert is_closed(ann)
    assert is_closed(bob)
    assert printed == [
        "* small has been emptied.", "* carol has joined the small channel.", "* dave has joined the small channel.",
    ]  # fmt: skip
    assert carol.saw()[-2:] == ["* carol has joined the channel.", "* dave has joined the channel."]
    assert dave.saw() == [AHEAD.format(0), "* dave has joined the channel."]
    assert erin.saw() == [AHEAD.format(1), AHEAD.format(0)]
    assert world.type("/empty nowhere") == ["* nowhere does not exist."]


@pytest.mark.parametrize(
    "line", ["", "what", "/", "/kick", "/kick a b", "/mute a:b", "/empty", "/empty a b", "/shutdown now", "hi"]
)
def test_anything_else_at_the_console_is_ignored(world: World, line: str) -> None:
    (ann,) = world.room("large", "ann")
    assert world.type(line) == ann.saw() == []
    assert world.stopped == 0


def test_the_end(world: World) -> None:
    world.type("/shutdown")
    assert world.stopped == 1
    ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    world.rooms.guests.stop()
    ann.session.drain()
    assert is_closed(ann)
    assert carol.saw() == []


def test_a_mute_of_one_who_leaves_in_the_same_turn(world: World) -> None:
    bob = world.user("bob", "tea")
    bob.send("LEAVE tea")
    assert world.type("/mute tea:bob 5") == ["* bob is not here."]
