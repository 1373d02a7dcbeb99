"""transfers.py: files between two guests, without sockets."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.transfers import MAX_OF_ONE_SENDER, MAX_OPEN, MAX_RUNNING, WINDOW
from settings import Settings
from support.examples import EXAMPLES
from support.world import MAX_FILE_SIZE, Client, World
from text import MAX_PATH

PIECE = (8192 - 48) // 4 * 3
OFFER_SECONDS = Settings().file_offer_seconds
STALL_SECONDS = Settings().file_stall_seconds


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
        (f"/send bob {'a' * MAX_PATH}b -", [f"* {'a' * (MAX_PATH - 1)}b does not exist."]),
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
    name = gone.session.principal.name
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


# ---- offers ----


def test_one_sender_has_few_files_open(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    full = ["* Wait until other files of yours have been sent."]
    for _ in range(MAX_OPEN):
        assert ann.does("/send bob a 5")[0].startswith("/sending")
    assert ann.does("/send bob a 5") == ann.does("/send ann a 5") == full
    assert ann.does("/cancel 1", "/send bob a 5")[-1].startswith("/sending")
    assert ann.does("/send bob a 5") == full
    assert bob.saw()
    (carol,) = world.room("room", "carol files")
    assert carol.does("/send bob a 5")[0].startswith("/sending")
    assert bob.does("/send ann a 5")[-1].startswith("/sending")


def test_an_offer_without_an_answer_lapses(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    ann.does("/send bob notes/a.txt 5")
    world.let_pass(1)
    ann.does("/send bob b 5")
    for _ in range(2):
        ann.does("/list")  # nobody goes away meanwhile
        bob.does("/list")
        world.let_pass((OFFER_SECONDS - 1.5) / 2)
    assert ann.saw() == []
    world.let_pass(0.5)
    assert ann.saw() == ["* bob did not take notes/a.txt.", "/cancel 1"]
    bob.does("/ready 2", "/ready 1")
    assert ann.saw()[-1] == f"/more 2 {WINDOW}"


def test_the_sender_is_told_who_does_not_take_a_file(pair: tuple[Client, Client], world: World) -> None:
    ann, bob = pair
    ann.does("/send bob notes/a.txt 5")
    world.printed()
    assert bob.does("/cancel 1")[-1] == "/cancel 1"
    assert ann.saw() == ["* bob did not take notes/a.txt.", "/cancel 1"]
    assert world.printed() == []


def test_an_offer_that_is_taken_back_was_not_refused(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    assert ann.does("/send bob a 5", "/cancel 1")[1:] == ["/cancel 1"]
    assert bob.saw() == ["/file 1 5 ann a", "/cancel 1"]


def test_a_file_that_is_cancelled_when_it_runs_was_taken(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob)
    bob.does("/cancel 1")
    assert ann.saw() == ["/cancel 1"]


# ---- running ----


def test_a_file_that_stands_still_is_cancelled(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    begin(ann, bob, 100)
    for _ in range(10):
        world.let_pass(STALL_SECONDS - 1)
        assert ann.does("/piece 1 aaaa") == ["/more 1 1"]
    assert len(world.timers.deadlines) <= 4  # two of silence, and this one
    bob.saw()
    world.let_pass(STALL_SECONDS)
    assert ann.saw() == bob.saw() == ["/cancel 1"]


@pytest.mark.parametrize("done", ["nothing", "piece", "end"])
def test_each_side_can_be_the_one_that_stands_still(world: World, pair: tuple[Client, Client], done: str) -> None:
    ann, bob = pair
    begin(ann, bob, 3)
    world.let_pass(STALL_SECONDS - 1)
    if done != "nothing":
        ann.does("/piece 1 aaaa")
        world.let_pass(STALL_SECONDS - 1)
    if done == "end":
        ann.does("/end 1")
        world.let_pass(STALL_SECONDS - 1)
    assert "/cancel 1" not in ann.saw()
    world.let_pass(1)
    assert ann.saw() == ["/cancel 1"]
    assert bob.saw()[-1] == "/cancel 1"
    assert bob.does("/landed 1") == ann.saw() == []


def running(client: Client) -> list[int]:
    """The numbers of a sender's files that have begun since the last time."""
    return [int(line.split()[1]) for line in client.saw() if line.startswith("/more")]


def test_others_do_not_wait_for_one_who_stalls(world: World) -> None:
    bob, *senders = world.room("room", "bob files", "s1 files", "s2 files", "s3 files", "s4 files", "carol files")
    *stalling, carol = senders
    for number, sender in enumerate(stalling):
        first = MAX_OPEN * number + 1
        sender.does(*["/send bob a 5"] * MAX_OPEN)
        bob.does(*(f"/ready {first + more}" for more in range(MAX_OPEN)))
        assert running(sender) == [first, first + 1]
    assert len(stalling) * MAX_OF_ONE_SENDER == MAX_RUNNING
    world.let_pass(STALL_SECONDS - 1)
    carol.does("/send bob a 5")
    bob.does(f"/ready {len(stalling) * MAX_OPEN + 1}")
    assert running(carol) == []
    world.let_pass(1)
    assert running(carol) == [33]  # before the files of those who have had places
    assert [running(sender) for sender in stalling] == [[3, 4], [11, 12], [19, 20], [27]]


def test_what_waits_for_a_place_lapses_not(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    ann.does(*["/send bob a 100"] * 3)
    bob.does("/ready 1", "/ready 2", "/ready 3", "/ready 3")
    assert running(ann) == [1, 2]
    for _ in range(OFFER_SECONDS // STALL_SECONDS + 1):
        world.let_pass(STALL_SECONDS - 1)
        ann.does("/piece 1 aaaa", "/piece 2 aaaa")
    ann.saw()
    assert ann.does("/cancel 1") == ["/cancel 1", f"/more 3 {WINDOW}"]


def test_one_who_waits_for_a_place_can_be_cancelled_by_either(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    ann.does(*["/send bob a 3"] * 5)
    bob.does(*(f"/ready {number}" for number in range(1, 6)))
    ann.saw()
    bob.does("/cancel 3")
    assert ann.saw() == ["* bob did not take a.", "/cancel 3"]
    assert ann.does("/cancel 4", "/cancel 1") == ["/cancel 4", "/cancel 1", f"/more 5 {WINDOW}"]


def test_a_sender_has_places_with_each_receiver(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    (carol,) = world.room("room", "carol files")
    ann.does("/send bob a 3", "/send bob a 3", "/send carol a 3")
    bob.does("/ready 1", "/ready 2")
    carol.does("/ready 3")
    assert running(ann) == [1, 2, 3]


@pytest.mark.parametrize("who", ["ann", "bob"])
def test_nothing_is_remembered_of_those_who_have_gone(world: World, pair: tuple[Client, Client], who: str) -> None:
    ann, bob = pair
    ann.does(*["/send bob a 3"] * 4)
    bob.does("/ready 1", "/ready 2", "/ready 3", "/send ann b 3", "/send bob c 3")
    other = bob if who == "ann" else ann
    other.saw()
    (ann if who == "ann" else bob).leave()
    assert running(other) == []
    other.leave()
    world.settle()
    transfers = world.node.transfers
    assert not (transfers._open or transfers._outboxes or transfers._inboxes)
    assert world.timers.deadlines.nearest() is None


def test_a_server_that_stops_forgets_all(world: World, pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    ann.does(*["/send bob a 3"] * 4)
    bob.does("/ready 1", "/ready 2", "/ready 3")
    ann.saw()
    world.node.transfers.close()
    world.let_pass(OFFER_SECONDS * 2)
    assert not [line for line in ann.saw() if line.startswith("/")]


@EXAMPLES
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["send", "ready", "piece", "end", "landed", "cancel", "pass"]),
            st.integers(1, 20),
        )
    )
)
def test_places_are_kept_in_any_order_of_events(steps: list[tuple[str, str, int]]) -> None:
    with World(channels={"room": 9}) as world:
        clients = dict(zip("abc", world.room("room", "a files", "b files", "c files"), strict=True))
        for name, what, number in steps:
            if what == "pass":
                world.let_pass(number)
            else:
                words = {"send": f"{'abc'[number % 3]} x 3", "piece": f"{number} aaaa"}.get(what, str(number))
                clients[name].does(f"/{what} {words}")
            transfers = world.node.transfers
            for inbox in transfers._inboxes.values():
                running = [transfer for transfer in inbox.open.values() if transfer.has_place]
                assert inbox.running == len(running) <= MAX_RUNNING
                assert all(
                    sum(other.sender is transfer.sender for other in running) <= MAX_OF_ONE_SENDER
                    for transfer in running
                )
                assert not any(map(transfers._may_run, inbox.accepted)) or inbox.running == MAX_RUNNING
            assert sum(map(len, transfers._outboxes.values())) == len(transfers._open)
            assert sum(len(inbox.open) for inbox in transfers._inboxes.values()) == len(transfers._open)


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
