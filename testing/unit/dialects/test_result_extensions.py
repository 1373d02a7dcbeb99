"""What a client of `result` can ask for: tags, presence, topics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.examples import raising
from support.world import World

TIME = "time=1970-01-01T00:16:40.000Z"


@pytest.fixture
def world() -> Iterator[World]:
    """alice and bob are in `room`."""
    with World(history_on_join=2) as world:
        world.user("alice", "room")
        world.user("bob", "room")
        yield world


# ---- tags (R38, R39) ----


@pytest.mark.parametrize(
    ("names", "channel", "direct"),
    [
        ("time", f"@{TIME} ", f"@{TIME} "),
        ("id", "@id=1 ", ""),
        ("time id", f"@{TIME};id=1 ", f"@{TIME} "),
        ("id time time", f"@{TIME};id=1 ", f"@{TIME} "),
        ("", "", ""),
    ],
)
def test_tags_stand_before_every_message(world: World, names: str, channel: str, direct: str) -> None:
    alice, bob = world.clients
    assert bob.ask(f"TAGS {names}") == ["RESULT TAGS 1"]
    assert alice.ask("SAY room a=b; @x hi", "SAY @bob hi") == ["RECV alice room a=b; @x hi", "RECV alice @bob hi"]
    assert bob.heard() == [f"{channel}RECV alice room a=b; @x hi", f"{direct}RECV alice @alice hi"]
    assert bob.ask("SAY @alice ho", "SAY @bob me") == [f"{direct}RECV bob @alice ho", f"{direct}RECV bob @bob me"]
    assert bob.ask("HISTORY room") == ["RESULT HISTORY room 1", f"{channel}RECV alice room a=b; @x hi"]
    assert bob.ask("LEAVE room", "JOIN room")[1:] == ["RESULT JOIN room 1", f"{channel}RECV alice room a=b; @x hi"]
    assert bob.ask("SAY nowhere x", "USERS room") == ["RESULT SAY 0", "RESULT USERS room alice, bob"]


def test_messages_that_waited_have_tags(world: World) -> None:
    alice, bob = world.clients
    bob.ask("TAGS time id", "LOGOUT")
    alice.ask("SAY @bob one", "SAY @bob two")
    assert bob.ask("LOGIN bob bob") == [
        "RESULT LOGIN 1", f"@{TIME} RECV alice @alice one", f"@{TIME} RECV alice @alice two",
    ]  # fmt: skip


def test_an_unknown_tag_changes_nothing(world: World) -> None:
    alice, bob = world.clients
    assert bob.ask("TAGS id", "TAGS time nose") == ["RESULT TAGS 1", "RESULT TAGS 0"]
    alice.ask("SAY room hi")
    assert bob.heard() == ["@id=1 RECV alice room hi"]


def test_each_message_has_its_own_number(world: World) -> None:
    """However many are sent together, and also after some that were refused."""
    alice, bob = world.clients
    for client in (alice, bob):
        client.ask("TAGS id")
    alice.send("SAY room one\nSAY room two\nSAY nowhere x\nSAY room three")
    bob.send("SAY room four")
    lines = alice.heard()
    numbers = [int(line.split()[0].removeprefix("@id=")) for line in lines if line != "RESULT SAY 0"]
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))
    assert bob.heard() == [line for line in lines if line != "RESULT SAY 0"]
    assert bob.ask("HISTORY room")[1:] == [line for line in lines if line != "RESULT SAY 0"]


def test_sessions_with_the_same_tags_share_what_is_rendered(world: World) -> None:
    alice, bob = world.clients
    carol = world.user("carol", "room")
    bob.ask("TAGS id time"), carol.ask("TAGS time id")
    assert bob.session.dialect is carol.session.dialect is not alice.session.dialect
    bob.ask("TAGS")
    assert bob.session.dialect is alice.session.dialect


# ---- who is there (R40, R41) ----


def test_joined_names_channels_of_other_servers_too() -> None:
    with World() as world:
        peer = world.peer("two.example")
        peer.ask("FEDCHANNELS attic")
        alice = world.user("alice", "tea", "cake")
        assert alice.ask("JOINED") == ["RESULT JOINED cake, tea"]
        alice.send("JOIN attic:two.example")
        peer.ask("FEDRESULT alice JOIN attic:two.example 1")
        assert alice.ask("JOINED")[-1] == "RESULT JOINED attic:two.example, cake, tea"
        assert alice.ask("WHO attic:two.example") == ["RESULT WHO attic:two.example 0"]
        assert alice.ask("LEAVE cake", "LEAVE tea", "LEAVE attic:two.example", "JOINED")[-1] == "RESULT JOINED"


def test_who_names_whoever_is_logged_in(world: World) -> None:
    alice, bob = world.clients
    world.mailbox_user("mason"), world.guest("dan")
    world.client()
    assert alice.ask("WHO") == ["RESULT WHO alice, bob, dan, mason"]
    bob.leave()
    assert alice.ask("WHO", "WHO room") == ["RESULT WHO alice, dan, mason", "RESULT WHO room alice"]
    zed = world.user("Zed")
    assert zed.ask("WHO") == ["RESULT WHO Zed, alice, dan, mason"]


def test_who_is_in_a_channel_counts_its_guests_and_remote_members() -> None:
    with World(channels={"lobby": 5}) as world:
        alice = world.user("alice", "lobby")
        world.room("lobby", "ann")
        world.peer("two.example").ask("FEDJOIN eve@two.example lobby")
        away = world.user("bob", "lobby")
        away.leave()
        assert alice.ask("WHO lobby", "USERS lobby", "WHO") == [
            "RESULT WHO lobby alice, ann, eve@two.example",
            "RESULT USERS lobby alice, ann, bob, eve@two.example",
            "RESULT WHO alice",
        ]


# ---- presence (R42, R43) ----


def test_presence_tells_each_change_of_others_once(world: World) -> None:
    alice, bob = world.clients
    for client in (alice, bob):
        client.ask("CREATE attic", "JOIN attic")
    assert alice.ask("PRESENCE on") == ["RESULT PRESENCE 1"]
    bob.ask("LOGOUT")
    assert alice.heard() == ["PRESENCE bob off"]
    bob.ask("LOGIN bob bob")
    assert alice.heard() == ["PRESENCE bob on"]
    bob.ask("LEAVE room", "JOIN room", "CREATE cellar", "JOIN cellar", "JOIN room")
    assert alice.heard() == ["PRESENCE bob off", "PRESENCE bob on"]
    bob.leave()
    assert alice.heard() == ["PRESENCE bob off"]
    assert alice.ask("LEAVE room", "JOIN room", "TOPIC room x") == [
        "RESULT LEAVE room 1", "RESULT JOIN room 1", "RESULT TOPIC room 1",
    ]  # fmt: skip


def test_presence_is_off_until_it_is_asked_for_and_after_a_logout(world: World) -> None:
    alice, bob = world.clients
    bob.ask("LEAVE room", "JOIN room")
    assert alice.heard() == []
    alice.ask("PRESENCE on", "PRESENCE on", "LOGOUT", "LOGIN alice alice")
    bob.ask("LEAVE room", "JOIN room")
    assert alice.heard() == []
    alice.ask("PRESENCE on", "PRESENCE off")
    bob.ask("LEAVE room", "TOPIC room x")
    assert alice.heard() == []


def test_presence_of_guests_of_a_room_and_of_remote_members() -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 5}) as world:
        alice = world.user("alice", "lobby")
        alice.ask("PRESENCE on")
        ann, ben = world.room("lobby", "ann", "ben")
        assert alice.heard() == ["PRESENCE ann on", "PRESENCE ben on"]
        world.user("bob", "lobby"), world.user("carol", "lobby")
        assert alice.heard() == ["PRESENCE bob on", "PRESENCE carol on"]
        world.room_guest("lobby", "cat").heard()
        assert alice.heard() == []  # cat waits
        ann.send("/switch attic")
        assert alice.heard() == ["PRESENCE ann off", "PRESENCE cat on"]
        ben.leave()
        world.type("/kick lobby:bob", "/kick lobby:cat")
        assert sorted(alice.heard()) == ["PRESENCE ben off", "PRESENCE bob off", "PRESENCE cat off"]
        peer = world.peer("two.example")
        peer.ask("FEDJOIN eve@two.example lobby", "FEDLEAVE eve@two.example lobby", "FEDJOIN eve@two.example lobby")
        assert alice.heard() == [f"PRESENCE eve@two.example {word}" for word in ("on", "off", "on")]
        peer.leave()
        assert alice.heard() == ["PRESENCE eve@two.example off"]


def test_a_large_channel_makes_no_presence(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr("domain.presence.MAX_MEMBERS", 2)
    alice, bob = world.clients
    alice.ask("PRESENCE on")
    carol = world.user("carol", "room")
    carol.ask("TOPIC room x", "LOGOUT", "LOGIN carol carol")
    assert alice.heard() == []
    carol.ask("LEAVE room")
    assert alice.heard() == ["PRESENCE carol off"]
    bob.ask("LOGOUT")
    assert alice.heard() == ["PRESENCE bob off"]


def test_a_shutdown_makes_no_presence(world: World) -> None:
    alice, bob = world.clients
    alice.ask("PRESENCE on")
    world.node.close()
    bob.session.drain()
    assert alice.heard() == []
    assert bob.session.over


def test_a_fault_of_one_costs_no_other_the_presence(world: World, caplog: pytest.LogCaptureFixture) -> None:
    alice, bob = world.clients
    carol = world.user("carol", "room")
    for client in (alice, bob):
        client.ask("PRESENCE on")
    alice.transport.send = raising  # type: ignore[assignment, method-assign]
    carol.ask("LOGOUT")
    assert bob.heard() == ["PRESENCE carol off"]
    assert "error while telling PresenceChanged" in caplog.text


# ---- topics (R44, R45) ----


def test_a_topic_is_told_and_kept(world: World) -> None:
    alice, bob = world.clients
    bob.ask("PRESENCE on")
    assert alice.ask("TOPIC room  red \x1b[1m roses ") == ["RESULT TOPIC room 1"]
    assert bob.ask("TOPIC room") == ["TOPIC alice room red [1m roses", "RESULT TOPIC room red [1m roses"]
    carol = world.user("carol")
    assert carol.ask("TOPIC room", "TOPIC room mine") == ["RESULT TOPIC room red [1m roses", "RESULT TOPIC room 0"]
    assert alice.ask("TOPIC room -") == ["RESULT TOPIC room 1"]
    assert bob.ask("TOPIC room") == ["TOPIC alice room", "RESULT TOPIC room"]


def test_a_muted_member_sets_no_topic() -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 5}) as world:
        alice = world.user("alice", "lobby")
        world.type("/mute lobby:alice 10")
        assert alice.ask("TOPIC lobby x") == ["RESULT MUTED lobby 10", "RESULT TOPIC lobby 0"]
        world.let_pass(11)
        assert alice.ask("TOPIC lobby x", "TOPIC lobby") == ["RESULT TOPIC lobby 1", "RESULT TOPIC lobby x"]
