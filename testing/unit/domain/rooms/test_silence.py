"""Guests who are silent for too long."""

from __future__ import annotations

import pytest

from support.rooms import is_closed
from support.world import AFK_SECONDS, World
from text import MAX_LINE


def test_who_is_silent_for_too_long_is_closed(world: World) -> None:
    ann, bob, carol = world.room("small", "ann", "bob", "carol")
    world.let_pass(AFK_SECONDS - 1)
    bob.does("hi")
    for client in (ann, carol):
        client.saw()
    world.printed()
    world.let_pass(1)
    assert ann.saw() == []
    assert is_closed(ann)
    assert bob.saw() == ["* ann went AFK.", "* carol has joined the channel."]
    assert world.printed() == ["* ann went AFK.", "* carol has joined the small channel."]
    world.let_pass(AFK_SECONDS - 2)
    assert not bob.session.over
    world.let_pass(1)
    assert is_closed(bob)
    assert not carol.session.over
    world.let_pass(1)
    assert is_closed(carol)
    assert len(world.timers.deadlines) == 0


@pytest.mark.parametrize(
    "line", ["hi", "\x01", "/list", "/whisper nobody x", "/quit now", "/foo", "/switch nowhere", "\xff" * MAX_LINE]
)
def test_any_line_shows_that_somebody_is_there(world: World, line: str) -> None:
    (ann,) = world.room("large", "ann")
    world.let_pass(AFK_SECONDS - 1)
    ann.send(line)
    world.settle()
    world.let_pass(AFK_SECONDS - 1)
    assert not ann.session.over
    world.let_pass(1)
    assert is_closed(ann)


def test_waiting_is_no_silence(world: World) -> None:
    ann, bob, carol = world.room("small", "ann", "bob", "carol")
    for _ in range(5):
        world.let_pass(AFK_SECONDS - 1)
        ann.does("hi")
        bob.does("hi")
    ann.leave()
    world.let_pass(AFK_SECONDS - 1)
    assert not carol.session.over


@pytest.mark.parametrize("muted_at", [0, 40, 99])
def test_the_clock_stands_still_for_the_muted(world: World, muted_at: int) -> None:
    (ann,) = world.room("large", "ann")
    world.let_pass(muted_at)
    world.type("/mute large:ann 500")
    world.let_pass(499)
    ann.does("hi")  # does not count
    world.let_pass(1 + AFK_SECONDS - muted_at - 1)
    assert not ann.session.over
    world.let_pass(1)
    assert is_closed(ann)


def test_a_newer_mute_counts_for_the_clock_too(world: World) -> None:
    (ann,) = world.room("large", "ann")
    world.type("/mute large:ann 500", "/mute large:ann 10")
    world.let_pass(5)
    world.type("/mute large:ann 10")
    world.let_pass(15 + AFK_SECONDS - 5 - 1)
    assert not ann.session.over
    world.let_pass(1)
    assert is_closed(ann)


def test_who_comes_back_muted_has_the_whole_time_after_the_mute(world: World) -> None:
    (ann,) = world.room("large", "ann")
    world.type("/mute large:ann 500")
    ann.leave()
    (ann,) = world.room("large", "ann")
    world.let_pass(500 + AFK_SECONDS - 1)
    assert not ann.session.over
    world.let_pass(1)
    assert is_closed(ann)
