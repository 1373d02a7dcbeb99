"""transfers.py: files between two guests, without sockets."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import EXAMPLES, MAX_FILE_SIZE, Client, World
from transfers import MAX_AT_ONCE, WINDOW

PIECE = (8192 - 48) // 4 * 3


@pytest.fixture
def world() -> Iterator[World]:
    with World(channels={"room": 9, "other": 9}) as world:
        yield world


@pytest.fixture
def pair(world: World) -> tuple[Client, Client]:
    """ann, who sends, and bob; both can do files."""
    ann, bob = world.room("room", "ann files", "bob files")
    return ann, bob


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def begin(ann: Client, bob: Client, size: int = 10) -> None:
    """Bring a file on its way; it has the number 1."""
    assert ann.does(f"/send bob notes/a.txt {size}") == [f"/sending 1 {PIECE} bob notes/a.txt"]
    assert bob.saw() == [f"/file 1 {size} ann a.txt"]
    assert bob.does("/ready 1") == []
    assert ann.saw() == [f"/more 1 {WINDOW}"]


def test_a_file_passes_in_pieces_and_both_are_told(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob)
    assert ann.does(f"/piece 1 {encoded(b'01234')}", f"/piece 1 {encoded(b'56789')}", "/end 1") == ["/more 1 1"] * 2
    assert bob.saw() == [f"/piece 1 {encoded(b'01234')}", f"/piece 1 {encoded(b'56789')}", "/end 1"]
    assert bob.does("/landed 1") == []
    assert ann.saw() == ["* You sent notes/a.txt to bob."]
    assert world.printed() == ["* ann sent notes/a.txt to bob."]
    assert bob.does("/landed 1", "/cancel 1") == ann.saw() == []


def test_an_empty_file(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob, 0)
    assert ann.does("/end 1") == []
    assert bob.does("/landed 1")[-1:] == ["/end 1"]
    assert ann.saw() == ["* You sent notes/a.txt to bob."]


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("/send bob a -", ["* a does not exist."]),
        ("/send bob a x", ["* a does not exist."]),
        ("/send bob a -1", ["* a does not exist."]),
        ("/send nobody a 5", ["* nobody is not here."]),
        ("/send nobody a -", ["* nobody is not here.", "* a does not exist."]),
        ("/send waiting a 5", ["* waiting is not here."]),
        ("/send netcat a 5", ["* netcat cannot receive files."]),
        ("/send netcat a -", ["* a does not exist."]),
        (f"/send netcat a {MAX_FILE_SIZE + 1}", ["* netcat cannot receive files."]),
        ("/send user a 5", ["* user cannot receive files."]),
        ("/send user a -", ["* a does not exist."]),
        (f"/send bob a {MAX_FILE_SIZE + 1}", ["* a is too large."]),
        ("/send bob a " + "9" * 400, ["* a is too large."]),
        ("/send bob a", []),
        ("/send bob a 5 6", []),
    ],
)
def test_a_file_that_cannot_be_sent(world: World, pair: tuple[Client, Client], line: str, answers: list[str]) -> None:
    ann, bob = pair
    world.room("room", "netcat")
    world.room("other", "waiting files")
    world.user("user").ask("JOIN room")
    ann.saw()
    bob.saw()
    world.printed()
    assert ann.does(line) == answers
    assert bob.saw() == world.printed() == []


@pytest.mark.usefixtures("pair")
def test_a_client_that_does_no_files_has_none_to_send(world: World) -> None:
    (netcat,) = world.room("room", "netcat")
    assert netcat.does("/send bob a", "/send nobody a") == [
        "* a does not exist.", "* nobody is not here.", "* a does not exist.",
    ]  # fmt: skip


def test_the_largest_file(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob, MAX_FILE_SIZE)
    assert ann.does(f"/piece 1 {encoded(b'x' * MAX_FILE_SIZE)}", "/end 1") == ["/more 1 1"]
    assert bob.saw()[-1] == "/end 1"


@pytest.mark.parametrize(
    "lines",
    [
        [f"/piece 1 {encoded(b'x' * 11)}"],
        [f"/piece 1 {encoded(b'x' * 6)}", f"/piece 1 {encoded(b'x' * 6)}"],
        [f"/piece 1 {encoded(b'x' * 9)}", "/end 1"],
        ["/end 1"],
        ["/piece 1 abc"],
        ["/piece 1 ab=c"],
        ["/piece 1 ab!d"],
        ["/piece 1 aaa\u00e4"],
        ["/cancel 1"],
    ],
)
def test_a_sender_that_does_not_keep_to_it(world: World, pair: tuple[Client, Client], lines: list[str]) -> None:
    ann, bob = pair
    begin(ann, bob)
    assert ann.does(*lines)[-1] == "/cancel 1"
    assert bob.saw()[-1] == "/cancel 1"
    assert ann.does("/piece 1 aaaa", "/end 1") == bob.does("/landed 1") == world.printed() == []


def test_more_pieces_than_were_asked_for(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob, 100)
    bob.transport.stuck = True
    assert ann.does(*["/piece 1 aaaa"] * WINDOW) == []
    assert ann.does("/piece 1 aaaa") == ["/cancel 1"]


def test_a_piece_before_the_receiver_is_ready(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    assert ann.does("/send bob a 5", "/piece 1 aaaa")[-1] == "/cancel 1"
    assert bob.does("/ready 1") == ["/file 1 5 ann a", "/cancel 1"]


def test_a_slow_receiver_is_waited_for(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob)
    bob.transport.stuck = True
    assert ann.does(f"/piece 1 {encoded(b'01234')}") == []
    bob.transport.unstick()
    assert ann.saw() == ["/more 1 1"]


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("how", ["lost", "quit", "kick"])
def test_the_death_of_either_is_told_to_the_other(
    world: World, pair: tuple[Client, Client], who: int, how: str
) -> None:
    begin(*pair)
    gone, other = pair[who], pair[1 - who]
    name = gone.session.user.name
    if how == "lost":
        gone.leave()
    elif how == "quit":
        gone.does("/quit")
    else:
        world.type(f"/kick room:{name}")
    assert "/cancel 1" in other.saw()
    assert other.does("/piece 1 aaaa", "/landed 1") == []
    assert not any("sent" in line for line in world.printed())


def test_a_file_goes_on_when_its_sender_switches(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob)
    ann.does("/switch other")
    bob.saw()
    ann.does(f"/piece 1 {encoded(b'0123456789')}", "/end 1")
    bob.does("/landed 1")
    assert ann.saw() == ["* You sent notes/a.txt to bob."]


@pytest.mark.parametrize("line", ["/ready 1", "/landed 1", "/cancel 1", "/piece 1 aaaa", "/end 1"])
def test_a_file_is_nobody_elses_business(world: World, pair: tuple[Client, Client], line: str) -> None:
    ann, bob = pair
    begin(ann, bob)
    (carol,) = world.room("room", "carol files")
    ann.saw()
    bob.saw()
    assert carol.does(line, line.replace("1", "2"), line.replace("1", "9" * 30), line.replace("1", "x")) == []
    assert ann.saw() == bob.saw() == []


def test_each_side_has_its_own_lines(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob)
    assert ann.does("/ready 1", "/landed 1") == bob.does("/piece 1 aaaa", "/end 1") == []
    assert bob.does("/landed 1") == ann.saw() == []  # there is more to come
    assert ann.does(f"/piece 1 {encoded(b'0123456789')}") == ["/more 1 1"]
    assert bob.does("/landed 1")[1:] == ann.saw() == []  # nor has the end been said


def test_one_client_does_not_send_or_receive_without_end(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    for _ in range(MAX_AT_ONCE):
        assert ann.does("/send bob a 5")[0].startswith("/sending")
    assert ann.does("/send bob a 5") == ["* Wait until other files of yours, or for bob, have been sent."]
    assert ann.does("/cancel 1", "/send bob a 5")[-1].startswith("/sending")
    assert bob.saw()
    assert ann.does("/send ann a 5") == ["* Wait until other files of yours, or for ann, have been sent."]
    (carol,) = world.room("room", "carol files")
    assert carol.does("/send bob a 5") == ["* Wait until other files of yours, or for bob, have been sent."]
    assert carol.does("/send ann a 5")[0].startswith("/sending")


@pytest.mark.parametrize(
    ("path", "name"), [("a", "a"), ("/etc/a", "a"), ("../a", "a"), ("a/", "file"), ("..", ".."), ("李/é", "é")]
)
def test_only_a_base_name_is_passed_on(pair: tuple[Client, Client], path: str, name: str) -> None:
    ann, bob = pair
    ann.does(f"/send bob {path} 5")
    assert bob.saw() == [f"/file 1 5 ann {name}"]


def test_a_file_to_oneself(pair: tuple[Client, Client]) -> None:
    ann, _bob = pair
    assert ann.does("/send ann a 3", "/ready 1", "/piece 1 aaaa", "/end 1", "/landed 1") == [
        f"/sending 1 {PIECE} ann a", "/file 1 3 ann a", f"/more 1 {WINDOW}", "/piece 1 aaaa", "/more 1 1", "/end 1",
        "* You sent a to ann.",
    ]  # fmt: skip


@EXAMPLES
@given(st.binary(max_size=MAX_FILE_SIZE), st.integers(1, 400))
def test_any_file_arrives_as_it_was(data: bytes, size: int) -> None:
    with World(channels={"room": 9}) as world:
        ann, bob = world.room("room", "ann files", "bob files")
        begin(ann, bob, len(data))
        for start in range(0, len(data), size):
            assert ann.does(f"/piece 1 {encoded(data[start : start + size])}") == ["/more 1 1"]
        ann.does("/end 1")
        heard = bob.saw()
        assert b"".join(base64.b64decode(line.split()[2]) for line in heard[:-1]) == data
        assert heard[-1] == "/end 1"
