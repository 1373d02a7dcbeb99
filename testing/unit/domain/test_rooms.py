"""rooms.py and dialects/rooms.py: queues, silence, mutes, the operator, and who meets whom, without sockets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.node import port_label
from dialects.rooms import FILE_COMMANDS
from domain.guests import SHORT_QUEUE
from domain.state import Limits
from support.examples import EXAMPLES, pieces
from support.world import AFK_SECONDS, Client, World, plain
from text import MAX_LINE

WELCOME = "* Welcome to the {} channel, {}."
AHEAD = "* You are in the waiting queue and there are {} user(s) ahead of you."


@pytest.fixture
def world() -> Iterator[World]:
    """Two users fill `small`; `large` and `other` have room."""
    with World(channels={"small": 2, "large": 9, "other": 9}) as world:
        yield world


def is_closed(client: Client) -> bool:
    return client.session.over and client.transport.finished == 1


# ---- coming in ----


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


# ---- leaving, and moving up ----


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


# ---- silence ----


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
    assert not len(world.timers.deadlines)


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


# ---- the operator ----


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


# ---- members from the other wires ----


def test_a_channel_with_a_port_is_an_ordinary_channel(world: World) -> None:
    ann, bob = world.room("large", "ann", "bob")
    user = world.user("user")
    assert user.ask("CHANNELS", "JOIN large") == ["RESULT CHANNELS large, other, small", "RESULT JOIN large 1"]
    assert ann.saw() == bob.saw() == ["* user has joined the channel."]
    assert world.printed() == ["* user has joined the large channel."]
    assert user.ask("SAY large  hi   there") == ["RECV user large hi there"]
    assert ann.saw() == bob.saw() == world.printed() == ["[user] hi there"]
    assert ann.does("hi") == bob.saw() == world.printed() == ["[ann] hi"]
    assert user.heard() == ["RECV ann large hi"]
    assert user.ask("USERS large") == ["RESULT USERS large ann, bob, user"]
    assert ann.does("/list")[1] == "[Channel] large 3/9/0."
    assert user.ask("HISTORY large") == ["RESULT HISTORY large 2", "RECV user large hi there", "RECV ann large hi"]
    assert user.ask("LEAVE large") == ["RESULT LEAVE large 1"]
    assert ann.saw() == bob.saw() == world.printed() == ["* user has left the channel."]


def test_a_full_channel_takes_no_member(world: World) -> None:
    ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    user, other = world.user("user"), world.user("other-user")
    assert user.ask("JOIN small") == ["RESULT JOIN small 0"]
    carol.leave()
    ann.leave()
    user.send("JOIN small")
    other.send("JOIN small")
    assert sorted(user.heard() + other.heard()) == ["RESULT JOIN small 0", "RESULT JOIN small 1"]
    assert world.room_guest("small", "dave").saw()[-1] == AHEAD.format(0)


def test_a_login_may_be_one_too_many_and_a_logout_makes_room(world: World) -> None:
    user = world.user("user")
    user.ask("JOIN small", "LOGOUT")
    ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    world.printed()
    assert user.ask("LOGIN user user") == ["RESULT LOGIN 1"]
    assert ann.does("/list")[0] == "[Channel] small 3/2/1."
    ann.leave()
    assert carol.saw() == []
    user.leave()
    assert carol.saw() == ["* carol has joined the channel."]
    assert world.printed() == ["* carol has joined the small channel."]


def test_whispers_between_guests_and_members(world: World) -> None:
    (ann,) = world.room("large", "ann")
    user = world.user("user")
    user.ask("JOIN large")
    ann.saw()
    world.printed()
    assert ann.does("/whisper user a  b") == []
    assert user.heard() == ["RECV ann @ann a  b"]
    assert world.printed() == ["[ann whispers to user:] a  b"]
    assert user.ask("SAY @ann a  b") == ["RECV user @ann a b"]
    assert ann.saw() == ["[user whispers to you:] a b"]
    assert world.printed() == ["[user whispers to ann:] a b"]
    stranger = world.user("stranger")
    assert stranger.ask("SAY @ann x", "SEND @ann x") == ["RESULT SAY 0", "RESULT SEND ERROR"]
    user.ask("LOGOUT")
    assert ann.does("/whisper user x") == ["* user is not here."]
    assert world.client().ask("LOGIN user user") == ["RESULT LOGIN 1"]  # nothing has waited


def test_the_operator_and_members(world: World) -> None:
    (ann,) = world.room("large", "ann")
    user, away = world.user("user", "made"), world.user("away")
    user.ask("JOIN large")
    away.ask("JOIN large", "LOGOUT")
    ann.saw()
    world.printed()
    assert world.type("/mute large:user 5", "/mute made:user 9", "/mute large:away 5") == [
        "* Muted user for 5 seconds.", "* Muted user for 9 seconds.", "* away is not here.",
    ]  # fmt: skip
    assert user.heard() == ["RESULT MUTED large 5", "RESULT MUTED made 9"]
    assert ann.saw() == ["* user has been muted for 5 seconds."]
    assert user.ask("SAY large x", "SEND made x", "SAY @ann x") == ["RESULT SAY 0", "RESULT SEND ERROR", "RESULT SAY 0"]
    assert world.type("/kick large:user", "/kick large:away", "/kick made:user", "/kick made:user") == [
        "* Kicked user.", "* Kicked away.", "* Kicked user.", "* user is not in made.",
    ]  # fmt: skip
    assert user.heard() == ["RESULT KICKED large", "RESULT KICKED made"]
    assert ann.saw() == ["* user has left the channel."]
    assert user.ask("SAY large x") == ["RESULT SAY 0"]
    assert away.ask("LOGIN away away", "USERS large") == ["RESULT LOGIN 1", "RESULT USERS large 0"]


def test_a_channel_is_emptied_of_its_members(world: World) -> None:
    _ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    _ann.leave()
    carol.leave()
    user = world.user("user")
    user.ask("JOIN small")
    (dave,) = world.room("small", "dave")
    assert world.type("/empty small") == ["* small has been emptied.", "* dave has joined the small channel."]
    assert user.heard() == ["RESULT KICKED small"]
    assert dave.saw() == ["* dave has joined the channel."]
    assert user.ask("USERS small") == ["RESULT USERS small 0"]


def test_hello_and_the_rooms(world: World) -> None:
    world.room("large", "ann")
    guest = world.guest("guest")
    assert guest.ask("LIST", "SEND ann x") == ["LIST-OK guest", "BAD-DEST-USER"]


# ---- what happens in one turn ----


@pytest.mark.parametrize(
    "then",
    [
        "/empty large",
        "/mute large:ann 5",
        "/kick large:ann",
        "bob quits",
        "bob is lost",
        "bob whispers",
        "bob switches",
    ],
)
def test_what_was_said_before_is_heard_before(world: World, then: str) -> None:
    ann, bob, carol = world.room("large", "ann", "bob", "carol")
    ann.send("hi")
    if then.startswith("/"):
        world.node.operator.received(f"{then}\n".encode())
    elif then == "bob is lost":
        bob.session.lost("gone")
    else:
        bob.send({"quits": "/quit", "whispers": "/whisper carol yo", "switches": "/switch other"}[then.split()[1]])
    assert bob.saw()[0] == carol.saw()[0] == world.printed()[0] == "[ann] hi"


def test_who_comes_first_gets_the_place(world: World) -> None:
    world.room("small", "ann")
    user = world.user("user")
    user.send("JOIN small")
    bob = world.room_guest("small", "bob")
    assert user.heard() == ["RESULT JOIN small 1"]
    assert bob.saw()[-1] == AHEAD.format(0)


def test_who_is_kicked_does_nothing_more_in_that_turn(world: World) -> None:
    ann, bob = world.room("large", "ann", "bob")
    world.room("other", "carol")
    world.node.operator.received(b"/kick large:ann\n")
    ann.send(b"hi\n/switch other\n/whisper bob x\n/quit\n")
    again = world.room_guest("large", "ann")
    assert ann.saw() == []
    assert is_closed(ann)
    assert bob.saw() == ["* ann has left the channel.", "* ann has joined the channel."]
    assert again.saw() == [WELCOME.format("large", "ann"), "* ann has joined the channel."]
    assert world.printed() == ["* Kicked ann.", "* ann has joined the large channel."]


def test_commands_in_one_paste_are_carried_out_in_order(world: World) -> None:
    user = world.user("user")
    user.ask("JOIN large")
    world.room("large", "ann")
    assert world.type("/kick large:user", "/kick large:ann", "/empty large", "/shutdown", "/kick large:ann") == [
        "* Kicked user.", "* Kicked ann.", "* large has been emptied.",
    ]  # fmt: skip


# ---- any bytes, any order ----


LINES = st.one_of(
    st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")),
    st.builds(
        lambda verb, body: f"{verb} {body}".encode(errors="ignore"),
        st.sampled_from(sorted({*FILE_COMMANDS} - {"/quit"})),
        st.text(alphabet="ab01, \t\x1b\u3000\u202e:@|/李-=", max_size=12),
    ),
)


@EXAMPLES
@given(st.booleans(), st.lists(LINES, max_size=8), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_do_the_same_however_they_are_cut(files: bool, lines: list[bytes], cuts: list[int]) -> None:
    seen = []
    data = b"".join(line + b"\n" for line in lines)
    for parts in ([data], pieces(data, cuts), [bytes([byte]) for byte in data]):
        with World(channels={"a": 5, "b": 5}) as world:
            other = world.room("a", "b files")[0]
            client = world.room("a", "a files" if files else "a")[0]
            other.saw()
            for part in parts:
                client.send(part)
            seen.append((client.saw(), other.saw(), world.printed()))
            assert all(line.startswith(("[", "* ", "/")) for line in seen[-1][0])
    assert seen[0] == seen[1] == seen[2]


@EXAMPLES
@given(st.randoms(use_true_random=False))
def test_any_coming_and_going_leaves_no_place_empty_while_somebody_waits(rng: random.Random) -> None:
    """Whatever happens: nobody is in two places, who came first is ahead, and nobody waits beside a free place."""
    with World(channels={"a": 2, "b": 3}) as world:
        clients: list[Client] = []
        queued: dict[str, list[str]] = {"a": [], "b": []}
        for number in range(40):
            present = [client for client in clients if not client.session.over]
            kind = rng.choice(["come", "come", "quit", "lost", "switch", "kick", "pass", "empty", "mute"])
            if kind == "come" or not present:
                clients.append(world.room_guest(rng.choice("ab"), f"u{number}"))
            elif kind in ("quit", "switch"):
                rng.choice(present).does("/quit" if kind == "quit" else f"/switch {rng.choice('ab')}")
            elif kind == "lost":
                rng.choice(present).leave()
            elif kind == "pass":
                world.let_pass(rng.choice([1, 60, 100]))
            elif kind == "empty":
                world.type(f"/empty {rng.choice('ab')}")
            else:
                guest = rng.choice(present).session.principal
                world.type(f"/{kind} {guest.channel.name}:{guest.name}" + " 5" * (kind == "mute"))
            world.settle()
            for place in world.rooms.occupancy():
                assert place.present <= place.capacity
                assert not place.queued or place.present == place.capacity
            alive = [client.session.principal for client in clients if not client.session.over]
            for name in "ab":
                waiting = [guest.name for guest in alive if guest.channel.name == name and guest.waits]
                queue = list(world.rooms.guests._queues[name])
                assert sorted(queue) == sorted(waiting)
                still = [guest for guest in queued[name] if guest in queue]
                assert queue[: len(still)] == still, "those who came first are ahead"
                queued[name] = queue
            assert sum(world.chat.users.room_guest_names.values()) == len(alive)


def test_a_message_that_cannot_be_stored(world: World) -> None:
    """O22: nobody gets it, and what needs no disk goes on."""
    ann, bob = world.room("large", "ann", "bob")
    world.store._db.execute("PRAGMA query_only = 1")
    answers = ann.ask("hello", "/whisper bob hello")
    assert [*map(plain, answers)] == ["* Your message could not be kept; try again later."]
    assert bob.saw() == ["[ann whispers to you:] hello"]
