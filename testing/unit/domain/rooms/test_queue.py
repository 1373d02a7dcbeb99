"""Leaving, waiting and moving up."""

from __future__ import annotations

import itertools

import pytest

from domain.guests import SHORT_QUEUE
from support.rooms import AHEAD, WELCOME, is_closed
from support.world import World, plain


def test_a_goodbye_is_seen_and_the_first_in_the_queue_comes_in(world: World) -> None:
    ann, bob, carol, dave, erin = world.room("small", "ann", "bob", "carol", "dave", "erin")
    assert ann.does("/quit") == []
    assert is_closed(ann)
    assert bob.saw() == ["* ann has left the channel.", "* carol has joined the channel."]
    assert carol.saw() == ["* carol has joined the channel."]
    assert dave.saw() == [AHEAD.format(0)]
    assert erin.saw() == [AHEAD.format(1)]
    assert world.printed() == ["* ann has left the channel.", "* carol has joined the small channel."]


def test_a_lost_connection_is_not_mentioned_but_makes_room(world: World) -> None:
    ann, bob, carol, dave = world.room("small", "ann", "bob", "carol", "dave")
    ann.leave()
    assert bob.saw() == carol.saw() == ["* carol has joined the channel."]
    assert dave.saw() == [AHEAD.format(0)]
    assert world.printed() == ["* carol has joined the small channel."]


@pytest.mark.parametrize(("how", "printed"), [("/quit", ["* carol has left the channel."]), ("", [])])
def test_who_leaves_the_queue_is_seen_by_those_who_wait(world: World, how: str, printed: list[str]) -> None:
    ann, bob, carol, dave, erin = world.room("small", "ann", "bob", "carol", "dave", "erin")
    if how:
        carol.does(how)
    else:
        carol.leave()
    assert ann.saw() == bob.saw() == []
    assert (dave.saw(), erin.saw()) == ([AHEAD.format(0)], [AHEAD.format(1)])
    assert world.printed() == printed
    dave.leave()
    assert erin.saw() == [AHEAD.format(0)]


def test_the_last_in_the_queue_leaves_and_those_ahead_are_told_again(world: World) -> None:
    _ann, _bob, carol, dave = world.room("small", "ann", "bob", "carol", "dave")
    dave.leave()
    assert carol.saw() == [AHEAD.format(0)]


# O8: one line for each who waits, however often the queue moves in a turn


def test_one_in_the_queue_makes_one_line_for_each_who_waits_in_a_turn() -> None:
    with World(channels={"a": 1, "b": 1}) as world:
        world.room("a", "ann")
        world.room("b", "bob")
        carol, dave = world.room("a", "carol", "dave")
        (eve,) = world.room("b", "eve")
        restless = world.room_guest("a", "restless")
        restless.saw()
        restless.send(b"/switch b\n/switch a\n" * 20)
        assert carol.saw() == [AHEAD.format(0)]
        assert dave.saw() == [AHEAD.format(1)]
        assert eve.saw() == [AHEAD.format(0)]
        assert restless.saw()[-2:] == [WELCOME.format("a", "restless"), AHEAD.format(2)]


def test_who_comes_after_a_guest_has_left_the_queue_is_told_once(world: World) -> None:
    _ann, _bob, carol, dave = world.room("small", "ann", "bob", "carol", "dave")
    carol.leave()
    erin = world.room_guest("small", "erin")
    assert dave.saw() == [AHEAD.format(0)]
    assert erin.saw() == [WELCOME.format("small", "erin"), AHEAD.format(1)]
    dave.leave()
    assert erin.saw() == [AHEAD.format(0)]


@pytest.mark.parametrize("vanished", [["wait"], ["in"], ["wait", "in"], ["in", "wait"]])
def test_many_who_vanish_at_once_make_one_line_for_each_who_stays(vanished: list[str]) -> None:
    count = SHORT_QUEUE + 10
    with World(channels={"a": count}) as world:
        inside = world.room("a", *(f"in{number}" for number in range(count)))
        waiting = world.room("a", *(f"w{number}" for number in range(count)))
        staying = world.room("a", *(f"s{number}" for number in range(2 * count)))
        for client in [*inside, *waiting, *staying]:
            client.transport.take()
        groups = {"in": inside, "wait": waiting}
        for client in itertools.chain.from_iterable(groups[name] for name in vanished):
            client.leave()
        world.settle()
        lines = [
            [line for line in client.transport.take().decode().splitlines() if "ahead" in line] for client in staying
        ]
        still = [told for client, told in zip(staying, lines, strict=True) if client.session.principal.waits]
        assert [list(map(plain, told)) for told in still] == [[AHEAD.format(place)] for place in range(len(still))]
        assert max(map(len, lines)) == 1
        assert len(world.rooms.guests._moved) == 0


def test_who_waits_speaks_to_nobody_but_may_look_and_go(world: World) -> None:
    ann, bob, carol = world.room("small", "ann", "bob", "carol")
    assert carol.does("hi", "/whisper ann hi", "/whisper nobody hi", "/send ann x", "/foo") == []
    assert ann.saw() == bob.saw() == world.printed() == []
    assert carol.does("/list")[0] == "[Channel] small 2/2/1."
    assert carol.does("/switch large") == [WELCOME.format("large", "carol"), "* carol has joined the channel."]
    assert ann.saw() == []
    assert world.printed() == ["* carol has left the channel.", "* carol has joined the large channel."]


def test_a_switch_is_a_goodbye_and_a_new_coming(world: World) -> None:
    ann, bob, carol = world.room("small", "ann", "bob", "carol")
    (dave,) = world.room("large", "dave")
    assert ann.does("/switch  large ") == [WELCOME.format("large", "ann"), "* ann has joined the channel."]
    assert bob.saw() == ["* ann has left the channel.", "* carol has joined the channel."]
    assert dave.saw() == ["* ann has joined the channel."]
    assert world.printed() == [
        "* ann has left the channel.", "* carol has joined the small channel.", "* ann has joined the large channel.",
    ]  # fmt: skip
    assert ann.does("hi") == dave.saw() == ["[ann] hi"]
    assert dave.does("/switch small") == [WELCOME.format("small", "dave"), AHEAD.format(0)]
    assert (carol.saw(), ann.saw()) == (["* carol has joined the channel."], ["* dave has left the channel."])


def test_a_switch_that_cannot_be(world: World) -> None:
    (ann,) = world.room("large", "ann")
    world.room("other", "ann")
    world.room("small", "x", "y", "ann")
    world.user("user", "made")
    assert ann.does("/switch nowhere", "/switch made") == ["* nowhere does not exist.", "* made does not exist."]
    assert ann.does("/switch other", "/switch small", "/switch large") == [
        "* Cannot switch to the other channel.", "* Cannot switch to the small channel.",
        "* Cannot switch to the large channel.",
    ]  # fmt: skip
    assert ann.does("hi") == ["[ann] hi"]
    assert world.printed() == ["[ann] hi"]
