"""What a client of `result` can ask for: tags."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
