"""Modes and masks in channels with a port of their own."""

from __future__ import annotations

from domain.changes import MaskSet, ModeSet
from support.world import TIME, World

NOW = 1.0


def server(text: str) -> str:
    return f"[Server message ({TIME})] {text}"


def test_guests_without_a_rank_may_not_speak_under_m() -> None:
    """O25, C65, C66: the rank of a room guest ends when it leaves."""
    with World(channels={"lobby": 5}) as world:
        ann, bob = world.room("lobby", "ann", "bob")
        world.chat.restore([ModeSet("lobby", "m", True, "", "", NOW)])
        assert ann.ask("hello?") == [server("Only voiced users may speak.")]
        assert bob.heard() == []
        world.chat.channels.local["lobby"].own_modes().give("ann", "v", is_given=True, lasts=False)
        assert ann.ask("hello!") == [f"[ann ({TIME})] hello!"]
        ann.ask("/quit")
        (again,) = world.room("lobby", "ann")
        assert again.ask("hello?") == [server("Only voiced users may speak.")]


def test_a_mask_keeps_guests_out_and_from_speaking() -> None:
    """O4, O25, C67"""
    with World(channels={"lobby": 5, "attic": 5}) as world:
        (ann,) = world.room("lobby", "ann")
        world.chat.restore([MaskSet("lobby", "b", "*!*@room", "", NOW)])
        assert ann.ask("hello?") == [server("You may not speak here.")]
        ann.ask("/switch attic")
        assert ann.ask("/switch lobby") == [server("Cannot switch to the lobby channel.")]
        bob = world.room_guest("lobby", "bob")
        assert bob.heard()[0] == server("Cannot connect to the lobby channel.")


def test_guests_of_a_channel_at_its_limit_wait_in_the_queue() -> None:
    """C63"""
    with World(channels={"lobby": 5}) as world:
        ann, _bob = world.room("lobby", "ann", "bob")
        world.chat.restore([ModeSet("lobby", "l", True, "2", "", NOW)])
        (carol,) = world.room("lobby", "carol")
        ann.ask("/quit")
        assert server("carol has joined the channel.") in carol.heard()
