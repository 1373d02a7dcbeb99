"""What happens in one turn, and any bytes in any order."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.rooms import FILE_COMMANDS
from support.examples import EXAMPLES, pieces, raising
from support.rooms import AHEAD, WELCOME, is_closed
from support.world import AFK_SECONDS, Client, World, plain


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


@pytest.mark.parametrize("then", ["/quit", "/switch other", "is lost"])
def test_who_leaves_a_channel_that_is_emptied_is_out_once(world: World, then: str) -> None:
    """P7. The guest's line comes in the same turn, behind the operator's."""
    ann, bob = world.room("large", "ann", "bob")
    (carol,) = world.room("other", "carol")
    world.node.operator.received(b"/empty large\n")
    if then == "is lost":
        ann.session.lost("gone")
    else:
        ann.send(then)
    assert world.printed() == ["* large has been emptied."]
    assert ann.saw() == bob.saw() == carol.saw() == []
    assert ann.session.over
    assert is_closed(bob)
    assert world.room_guest("other", "ann").saw()[0] == WELCOME.format("other", "ann")


def test_who_is_kicked_while_leaving_has_left(world: World) -> None:
    ann, bob = world.room("large", "ann", "bob")
    ann.send("/quit")
    assert world.type("/kick large:ann") == ["* ann is not in large.", "* ann has left the channel."]
    assert bob.saw() == ["* ann has left the channel."]


def test_who_comes_and_goes_in_one_turn_was_never_there(world: World) -> None:
    (ann,) = world.room("large", "ann")
    guest = world.room_guest("large", "bob")
    guest.session.lost("gone")
    assert ann.saw() == world.printed() == guest.saw() == []
    assert world.room_guest("large", "bob").saw()[0] == WELCOME.format("large", "bob")


def test_a_fault_with_one_guest_costs_the_others_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob, carol = world.room("large", "ann", "bob", "carol")
    monkeypatch.setattr(bob.transport, "send", raising)
    ann.send("/quit")
    assert carol.saw() == world.printed() == ["* ann has left the channel."]


@pytest.mark.parametrize("earlier", [0, 50])
def test_a_mute_beside_a_message_that_cannot_be_stored_counts_once(world: World, earlier: int) -> None:
    """The changes of such a turn are taken back and decided again."""
    ann, bob = world.room("large", "ann", "bob")
    if earlier:
        world.type(f"/mute large:bob {earlier}")
        ann.saw()
    world.let_database_take(anything=False)
    ann.send("hi")
    assert world.type("/mute large:bob 10")[-1] == "* Muted bob for 10 seconds."
    assert ann.saw()[0] == "* Your message could not be kept; try again later."
    assert bob.does("hi")[-1] == "* You are still muted for 10 seconds."
    world.let_pass(AFK_SECONDS + 9.9)
    assert not bob.session.over
    world.let_pass(0.1)
    assert is_closed(bob)


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
    world.let_database_take(anything=False)
    answers = ann.ask("hello", "/whisper bob hello")
    assert [*map(plain, answers)] == ["* Your message could not be kept; try again later."]
    assert bob.saw() == ["[ann whispers to you:] hello"]


@pytest.fixture
def crowd(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Client], list[Client]]:
    """Four users and four guests in a channel that is emptied in pieces of two."""
    users = [world.user(f"user{number}", "large") for number in range(4)]
    guests = world.room("large", *[f"guest{number}" for number in range(4)])
    for client in users + guests:
        client.heard()
    monkeypatch.setattr("domain.walks.STEPS_PER_TURN", 2)
    monkeypatch.setattr("domain.guests.STEPS_PER_TURN", 2)
    return users, guests


def go_on(world: World) -> list[str]:
    """Make the next piece of a walk, if there is one; return what the operator sees."""
    for call in itertools.islice(world.timers.deadlines.due(world.timers.now), 1):
        call()
    return world.printed()


def test_a_large_channel_is_emptied_in_pieces(world: World, crowd: tuple[list[Client], list[Client]]) -> None:
    """All who were in it are out when that is shown; then the queue moves in."""
    users, guests = crowd
    channel = world.chat.channels.local["large"]
    left, printed = [], world.type("/empty large")
    newcomer = world.room_guest("large", "newcomer")
    assert newcomer.saw() == [WELCOME.format("large", "newcomer"), AHEAD.format(0)]
    while channel.members or "newcomer" not in channel.guests:
        assert printed == []
        left.append(len(channel.members) + len(channel.guests))
        printed += go_on(world)
    assert left == [6, 4, 2]
    assert printed == ["* large has been emptied.", "* newcomer has joined the large channel."]
    assert newcomer.saw() == ["* newcomer has joined the channel."]
    assert [user.heard() for user in users] == [["RESULT KICKED large"]] * 4
    assert all(is_closed(guest) for guest in guests)
    assert list(channel.guests) == ["newcomer"]


def test_who_leaves_while_a_large_channel_is_emptied_is_out_once(
    world: World, crowd: tuple[list[Client], list[Client]]
) -> None:
    users, guests = crowd
    world.type("/empty large")
    users[3].send("LEAVE large")
    users[2].leave()
    guests[3].send("/quit")
    guests[2].leave()
    printed = world.printed()
    while "* large has been emptied." not in printed:
        printed += go_on(world)
    assert sorted(printed) == [
        "* guest3 has left the channel.",
        "* large has been emptied.",
        "* user3 has left the channel.",
    ]
    assert users[3].heard() == ["RESULT LEAVE large 1"]
    assert not world.chat.channels.local["large"].members
    assert not world.chat.channels.local["large"].guests
    assert world.chat.users.room_guest_names == {}


def test_the_operator_waits_for_the_end_of_a_walk(world: World, crowd: tuple[list[Client], list[Client]]) -> None:
    printed = world.type("/empty large", "/kick large:user3", "/kick large:guest3")
    for _ in range(3):
        assert printed == []
        printed = go_on(world)
    assert printed == ["* large has been emptied.", "* user3 is not in large.", "* guest3 is not in large."]


def test_the_server_may_stop_amid_a_walk(world: World, crowd: tuple[list[Client], list[Client]]) -> None:
    users, guests = crowd
    world.type("/empty large")
    world.node.close()
    for client in users + guests:
        client.session.drain()
    for _ in range(10):
        go_on(world)
    assert all(is_closed(client) for client in users + guests)
