"""What a client of `result` can ask for: tags, presence, topics, pages of history, read markers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES, raising
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


# ---- pages of the history (R46) ----


def test_history_is_read_in_pages_in_both_directions(world: World) -> None:
    alice, bob = world.clients
    bob.ask("TAGS id", "CREATE attic", "JOIN attic")
    for number in range(10):
        alice.ask(f"SAY room {number}")
        bob.ask(f"SAY attic {number}")
    page = bob.ask("HISTORY room 3")[1:]
    assert page == [f"@id={2 * number + 1} RECV alice room {number}" for number in (7, 8, 9)]
    backwards: list[str] = []
    while page:
        backwards = page + backwards
        page = bob.ask(f"HISTORY room 3 before {page[0].split()[0].removeprefix('@id=')}")[1:]
    forwards, last = [], 0
    while page := bob.ask(f"HISTORY room 4 after {last}")[1:]:
        forwards += page
        last = int(page[-1].split()[0].removeprefix("@id="))
    assert backwards == forwards == bob.ask("HISTORY room 100")[1:]
    assert bob.ask("HISTORY room 1 before 8", "HISTORY room 1 after 8") == [  # a number of the attic
        "RESULT HISTORY room 1", "@id=7 RECV alice room 3", "RESULT HISTORY room 1", "@id=9 RECV alice room 4",
    ]  # fmt: skip


def test_history_that_cannot_be_read_is_a_failure(world: World) -> None:
    alice, _bob = world.clients
    alice.ask("SAY room one", "SAY room two", "LEAVE room", "JOIN room", "SAY room three")
    for table in ("messages", "memberships"):
        world.store._db.execute(f"ALTER TABLE {table} RENAME TO gone_{table}")
    assert alice.ask("HISTORY room", "HISTORY room 1 before 3", "UNREAD") == [
        "RESULT HISTORY room 0", "RESULT HISTORY room 0", "RESULT UNREAD 0",
    ]  # fmt: skip
    assert alice.ask("PING") == ["RESULT PING 1"]


# ---- read markers (R47, R48, R49) ----


def test_a_read_marker_counts_what_is_behind_it(world: World) -> None:
    alice, bob = world.clients
    for client in (alice, bob):
        client.ask("CREATE attic", "JOIN attic")
    assert bob.ask("UNREAD") == ["RESULT UNREAD"]
    alice.ask("SAY room 1", "SAY attic 2", "SAY attic 3", "SAY room 4", "SAY attic 5")
    bob.heard()
    assert bob.ask("UNREAD") == ["RESULT UNREAD attic 3, room 2"]
    assert bob.ask("SEEN attic 3", "UNREAD") == ["RESULT SEEN attic 1", "RESULT UNREAD room 2, attic 1"]
    assert bob.ask("SEEN attic 2", "UNREAD") == ["RESULT SEEN attic 1", "RESULT UNREAD room 2, attic 1"]
    assert bob.ask("SEEN room 999", "UNREAD") == ["RESULT SEEN room 1", "RESULT UNREAD attic 1"]
    alice.ask("SAY room 6")
    assert bob.ask("UNREAD")[1:] == ["RESULT UNREAD attic 1, room 1"]
    assert alice.ask("UNREAD") == ["RESULT UNREAD attic 3, room 3"]  # its own messages count
    assert bob.ask("LEAVE room", "JOIN room", "UNREAD")[-1:] == ["RESULT UNREAD attic 1"]
    bob.ask("LEAVE attic", "LEAVE room")
    assert bob.ask("UNREAD", "SEEN attic 1") == ["RESULT UNREAD", "RESULT SEEN attic 0"]


def test_at_most_a_thousand_are_counted(world: World) -> None:
    alice, bob = world.clients
    for number in range(1001):
        alice.send(f"SAY room {number}")
    alice.heard(), bob.heard()
    assert bob.ask("UNREAD", "SEEN room 1", "UNREAD", "SEEN room 2", "UNREAD") == [
        "RESULT UNREAD room 1000", "RESULT SEEN room 1", "RESULT UNREAD room 1000", "RESULT SEEN room 1",
        "RESULT UNREAD room 999",
    ]  # fmt: skip


def test_a_kick_drops_the_read_marker() -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 5}) as world:
        alice, bob = world.user("alice", "lobby"), world.user("bob", "lobby")
        alice.ask("SAY lobby one")
        world.type("/kick lobby:bob")
        bob.heard()
        assert bob.ask("UNREAD", "JOIN lobby", "UNREAD") == [
            "RESULT UNREAD", "RESULT JOIN lobby 1", "RESULT UNREAD",
        ]  # fmt: skip


@EXAMPLES
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.sampled_from("ab")),
            st.tuples(st.just("seen"), st.sampled_from("ab"), st.integers(0, 40)),
            st.tuples(st.sampled_from(["leave", "join"]), st.sampled_from("ab")),
            st.tuples(st.just("refused")),
        ),
        max_size=40,
    )
)
def test_unread_is_what_a_list_says(deeds: list[Any]) -> None:
    with World() as world:
        alice, bob = world.user("alice", "a", "b"), world.user("bob", "a", "b")
        alice.ask("TAGS id")
        said: dict[str, list[int]] = {"a": [], "b": []}
        markers = {"a": 0, "b": 0}
        for what, *where in deeds:
            channel = where[0] if where else ""
            if what == "say":
                tag, *_words = alice.ask(f"SAY {channel} hi")[0].split()
                said[channel].append(int(tag.removeprefix("@id=")))
            elif what == "refused":
                alice.ask("SAY nowhere hi")
            elif what == "seen":
                bob.ask(f"SEEN {channel} {where[1]}")
                if channel in markers:  # what is beyond the last message of all is no message's number yet
                    newest = max((*said["a"], *said["b"]), default=0)
                    markers[channel] = max(markers[channel], min(where[1], newest))
            elif what == "leave":
                bob.ask(f"LEAVE {channel}")
                markers.pop(channel, None)
            elif channel not in markers:
                bob.ask(f"JOIN {channel}")
                markers[channel] = max((*said["a"], *said["b"]), default=0)
            unread = {name: sum(number > seen for number in said[name]) for name, seen in markers.items()}
            listed = sorted(((-count, name) for name, count in unread.items() if count))
            expected = ", ".join(f"{name} {-count}" for count, name in listed)
            assert bob.ask("UNREAD")[-1] == f"RESULT UNREAD {expected}".strip()


# ---- the probe of an older connection (R50) ----


def test_only_a_login_that_would_succeed_has_the_older_connection_probed(world: World) -> None:
    alice, bob = world.clients
    other = world.client()
    assert other.ask("LOGIN alice wrong", "LOGIN nobody alice") == ["RESULT LOGIN 0"] * 2
    assert bob.ask("LOGIN alice alice") == ["RESULT LOGIN 0"]  # it is logged in itself
    assert alice.transport.probed == 0
    assert other.ask("LOGIN alice alice") == ["RESULT LOGIN 0"]
    assert (alice.transport.probed, bob.transport.probed, other.transport.probed) == (1, 0, 0)
    alice.leave()
    assert other.ask("LOGIN alice alice") == ["RESULT LOGIN 1"]
