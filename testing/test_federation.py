"""federation.py, peering/peers.py: what a server makes of others, with peers by hand and clocks that stand still."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.state import Limits
from federation import COMMANDS, RESULTS
from peering.backpressure import MAX_PAUSE_SECONDS
from peering.dialer import FIRST_PAUSE, MAX_PAUSE, PAUSE_GROWTH, PeerDialer
from peering.peers import MAX_LINK_LINE, MAX_LINKS, PIECE_BYTES
from peering.pending import MAX_PENDING
from peering.proof import Handshake
from settings import PeerConfig, Secret, Settings
from support import EXAMPLES, Client, World, pieces
from text import MAX_LINE

ONE = Settings(hostname="one")


@pytest.fixture(autouse=True)
def no_mistake_is_only_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What fails in the middle of a turn is logged, and the turn goes on: here it is a failure all the same."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.exc_info] == []


@pytest.fixture
def world() -> Iterator[World]:
    with World(settings=ONE) as world:
        yield world


def is_closed(peer: Client) -> bool:
    """Whether the server has ended the link, without another word."""
    return peer.transport.refused == 1 and peer.heard() == []


def cut(*peers: Client) -> None:
    """The connections are gone."""
    for peer in peers:
        peer.leave()
        peer.world.settle()


def joined(world: World, name: str, channel: str, peer: Client) -> Client:
    """Give a new user who is in a channel of the peer `two`."""
    user = world.user(name)
    user.send(f"JOIN {channel}:two")
    assert peer.heard() == [f"FEDJOIN {name}@one {channel}"]
    peer.send(f"FEDRESULT {name} JOIN {channel}:two 1")
    assert user.heard() == [f"RESULT JOIN {channel}:two 1"]
    return user


# ---- the whole conversation, however it is cut ----

CONVERSATION = b"""FEDERATE-OUT server1.com
FEDCHANNELS tea, \xe8\x8c\xb6
FEDJOIN bob@server1.com helloworld\r
FEDJOIN bob@server1.com nowhere

FEDJOIN bob@server1.com helloworld
FEDSAY bob@server1.com helloworld  hello  \x1b[1mthere
FEDSAY ann@server1.com helloworld hello
FEDRECV alice bob@server1.com tea too early
FEDMSG bob@server1.com alice psst
FEDLEAVE bob@server1.com helloworld
FEDSAY bob@server1.com helloworld again
\xff
NONSENSE
FEDNEW coffee
"""
ANSWERS = [
    "FEDERATE-CONFIRM one",
    "FEDCHANNELS helloworld",
    "FEDRESULT bob JOIN helloworld:one 1",
    "FEDRESULT bob JOIN nowhere:one 0",
    "FEDRESULT bob JOIN helloworld:one 1",
    "FEDRECV bob bob@server1.com helloworld hello [1mthere",
    "FEDRESULT ann SAY helloworld:one 0",
    "FEDRESULT bob MSG alice@one 1",
    "FEDRESULT bob SAY helloworld:one 0",
]


def talk(parts: list[bytes]) -> tuple[list[str], list[str], list[str]]:
    """Hear what the peer, a member here, and CHANNELS say when the conversation comes in these parts."""
    with World(settings=ONE) as world:
        alice = world.user("alice", "helloworld")
        peer = world.client()
        for part in parts:
            peer.send(part)
        return peer.heard(), alice.heard(), alice.ask("CHANNELS")


WHOLE = talk([CONVERSATION])


def test_a_conversation() -> None:
    heard, alice, channels = WHOLE
    assert heard == ANSWERS
    assert alice == ["RECV bob@server1.com helloworld hello [1mthere", "RECV bob@server1.com @bob@server1.com psst"]
    assert channels == ["RESULT CHANNELS coffee:server1.com, helloworld, tea:server1.com, \u8336:server1.com"]


def test_a_conversation_byte_by_byte() -> None:
    assert talk([CONVERSATION[at : at + 1] for at in range(len(CONVERSATION))]) == WHOLE


@EXAMPLES
@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=8))
def test_a_conversation_in_any_pieces(cuts: list[int]) -> None:
    assert talk(pieces(CONVERSATION, cuts)) == WHOLE


QUESTIONS = {
    "FEDJOIN {0}@two tea": "FEDRESULT {0} JOIN tea:one 1",
    "FEDJOIN {0}@two nowhere": "FEDRESULT {0} JOIN nowhere:one 0",
    "FEDJOIN {0}@two tea:elsewhere": "FEDRESULT {0} JOIN tea:elsewhere 0",
    "FEDJOIN {0}@two a,b": "FEDRESULT {0} JOIN a,b:one 0",
    "FEDSAY bob@two tea {0}": "FEDRECV bob bob@two tea {0}",
    "FEDSAY bob@two nowhere {0}": "FEDRESULT bob SAY nowhere:one 0",
    "FEDSAY bob@two tea:elsewhere {0}": "FEDRESULT bob SAY tea:elsewhere 0",
    "FEDSAY {0}@two tea hi": "FEDRESULT {0} SAY tea:one 0",
    "FEDMSG {0}@two alice hi": "FEDRESULT {0} MSG alice@one 1",
    "FEDMSG {0}@two away hi": "FEDRESULT {0} MSG away@one 1",
    "FEDMSG {0}@two nobody hi": "FEDRESULT {0} MSG nobody@one 0",
    "FEDMSG {0}@two alice@elsewhere hi": "FEDRESULT {0} MSG alice@elsewhere 0",
}
"""What a peer asks, and what it hears; each time about another user or with another text."""


@EXAMPLES
@given(
    st.lists(st.sampled_from(list(QUESTIONS)), max_size=30), st.lists(st.integers(0, 2000), max_size=6), st.booleans()
)
def test_a_peer_gets_its_answers_in_the_order_of_its_requests(asked: list[str], cuts: list[int], full: bool) -> None:
    with World(settings=ONE._replace(max_remote_users=1 if full else 1000)) as world:
        world.user("alice", "tea")
        world.user("away").ask("LOGOUT")
        peer = world.peer("two")
        assert peer.ask("FEDJOIN bob@two tea") == ["FEDRESULT bob JOIN tea:one 1"]
        answers = [QUESTIONS[question].format(number) for number, question in enumerate(asked)]
        if full:
            answers = [re.sub(r"( JOIN .*) 1$", r"\1 0", answer) for answer in answers]
        for piece in pieces("".join(f"{line.format(n)}\n" for n, line in enumerate(asked)).encode(), cuts):
            peer.send(piece)
        heard = [line for line in peer.heard() if not re.match("FEDRECV [0-9]", line)]  # to those who have joined
        assert heard == answers


@EXAMPLES
@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(CONVERSATION.splitlines(keepends=True))), max_size=20)
)
def test_any_bytes_on_a_link_are_obeyed_or_ignored(parts: list[bytes]) -> None:
    with World(settings=ONE) as world:
        alice = world.user("alice", "helloworld")
        peer = world.peer("server1.com")
        for part in parts:
            peer.send(part)
        assert all(line.split()[0] in COMMANDS for line in peer.heard())
        alice.heard()
        assert alice.ask("PING") == ["RESULT PING 1"]


# ---- links ----


def test_dialling() -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None)]) as world:
        assert world.dials[0][:2] == ("127.0.0.2", 5051)
        peer = world.dialled()
        assert peer.ask("FEDCHANNELS too, early") == []
        assert peer.ask("FEDERATE-CONFIRM two", "FEDCHANNELS tea") == ["FEDCHANNELS"]
        assert world.client().ask("CHANNELS") == ["RESULT CHANNELS tea:two"]
        assert peer.transport.most_output == ONE.max_link_buffer


def test_the_pauses_grow_and_begin_anew_when_a_link_has_lasted() -> None:
    dialer = PeerDialer(PeerConfig("127.0.0.2", 5051, None))
    pauses = [dialer.next_pause(0.0, 0.5) for _ in range(12)]
    assert pauses[0] == FIRST_PAUSE
    for earlier, later in itertools.pairwise(pauses):
        assert later == pytest.approx(min(earlier * PAUSE_GROWTH, MAX_PAUSE))
    assert pauses[-1] == MAX_PAUSE
    assert dialer.next_pause(0.0, 0.0) == 0.75 * MAX_PAUSE
    assert dialer.next_pause(MAX_PAUSE + 1, 1.0) == 1.25 * pauses[0]


def test_it_dials_again_for_ever_and_tells_each_reason_once(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None)]) as world:
        for reason in ("Connection refused",) * 20 + ("timed out",) * 2:
            world.dials.pop(0).failed(reason)
            assert not world.dials
            world.timers.let_pass(MAX_PAUSE)
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert [warning.split(": ")[1].split(";")[0] for warning in warnings] == ["Connection refused", "timed out"]
        peer = world.dialled()
        cut(peer)
        world.timers.let_pass(MAX_PAUSE * 1.25)
        peer = world.dialled()
        assert peer.ask("FEDERATE-CONFIRM two") == ["FEDCHANNELS"]
        cut(peer)
        world.timers.let_pass(MAX_PAUSE * 1.25)
        world.dials.pop(0).failed("Connection refused")  # news, after a link
        assert sum("Connection refused" in record.getMessage() for record in caplog.records) == 2


def test_a_server_that_dials_is_dialled_at_once() -> None:
    with World(
        settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None), PeerConfig("127.0.0.3", 5051, None)]
    ) as world:
        for dial in (world.dials.pop(), world.dials.pop()):
            dial.failed("Connection refused")
        world.peer("two", "127.0.0.2")
        assert [dial.host for dial in world.dials] == ["127.0.0.2"]
        world.timers.let_pass(MAX_PAUSE)
        assert [dial.host for dial in world.dials] == ["127.0.0.2", "127.0.0.3"]


def test_who_does_not_confirm_is_closed_and_dialled_again(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None)]) as world:
        peer = world.dialled()
        assert peer.ask("RESULT ERROR unknown type") == []
        world.timers.let_pass(ONE.federation_seconds)
        assert is_closed(peer)
        assert "has not said FEDERATE-CONFIRM within 10 seconds" in caplog.text
        world.timers.let_pass(1)
        assert len(world.dials) == 1


def test_a_port_for_links_waits_for_one_and_no_longer(world: World) -> None:
    quick, slow = (world.caller() for _ in range(2))
    quick.send("FEDERATE-OUT two")
    world.timers.let_pass(ONE.federation_seconds)
    assert quick.heard() == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]
    assert is_closed(slow)


def test_a_link_that_has_lasted_is_dialled_again_soon() -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None)]) as world:
        for lasted, soon in ((0.0, False), (MAX_PAUSE + 1, True)):
            for _ in range(20):
                world.dials.pop(0).failed("Connection refused")
                world.timers.let_pass(MAX_PAUSE)
            peer = world.dialled()
            peer.ask("FEDERATE-CONFIRM two")
            world.timers.let_pass(lasted)
            cut(peer)
            world.timers.let_pass(1.0)
            assert bool(world.dials) == soon
            world.timers.let_pass(MAX_PAUSE)


def test_a_server_that_is_listed_by_a_name_is_at_the_address_where_it_was_found() -> None:
    settings = ONE._replace(federation="listed")
    with World(settings=settings, listed=[PeerConfig("two.example", 5051, None)]) as world:
        early = world.client(remote_address=("127.0.0.2", 40000))
        early.send("FEDERATE-OUT two")
        assert is_closed(early)
        world.dialled("127.0.0.2").ask("FEDERATE-CONFIRM two")
        world.peer("two", "127.0.0.2")
        assert len(world.federation.peers["two"].links) == 2


def test_nobody_is_dialled_when_the_server_stops() -> None:
    with World(
        settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None), PeerConfig("127.0.0.3", 5051, None)]
    ) as world:
        peer = world.dialled()
        world.dials.pop().failed("Connection refused")
        world.federation.links.close()
        cut(peer)
        world.timers.let_pass(MAX_PAUSE)
        assert not world.dials


def test_a_link_that_is_up_stays_so(world: World) -> None:
    peer = world.peer("two")
    assert peer.ask("FEDERATE-OUT two", "FEDERATE-CONFIRM two", "FEDERATE-OUT three", "FEDNEW tea") == []
    assert world.client().ask("CHANNELS") == ["RESULT CHANNELS tea:two"]


def test_words_of_federation_are_for_links(world: World) -> None:
    client = world.client()
    for line in ("FEDCHANNELS a", "FEDERATE-OUT two", "FEDJOIN bob@two tea", "FEDERATE-CONFIRM"):
        assert client.ask(line) == ["RESULT ERROR unknown type"]


def test_longer_lines_are_read_on_a_link(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN bob@two tea")
    head = "FEDSAY bob@two tea "
    text = "x" * (MAX_LINK_LINE - len(head) - 1)
    assert peer.ask(f"{head}{text}y") == []
    peer.send(f"{head}{text}")
    assert alice.heard() == [f"RECV bob@two tea {text}"]


def test_a_message_that_is_too_long_for_a_link_is_not_sent(world: World, caplog: pytest.LogCaptureFixture) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    bob.session.set_link_limits(2 * MAX_LINE, 0, "")
    for head, failure in (
        ("SAY tea:two ", "RESULT SAY 0"), ("SEND tea:two ", "RESULT SEND ERROR"), ("SAY @ann@two ", "RESULT SAY 0")
    ):  # fmt: skip
        text = "x" * (MAX_LINE - len(head.replace("SEND", "SAY")))
        assert bob.ask(f"{head}{text}") == [failure]
    assert peer.heard() == []
    longest = "x" * (MAX_LINE - len("SAY tea:two ") - 1)
    assert bob.ask(f"SAY tea:two {longest}") == []
    assert peer.heard() == [f"FEDSAY bob@one tea {longest}"]
    alice = world.user("alice", "garden")
    alice.session.set_link_limits(2 * MAX_LINE, 0, "")
    assert peer.ask("FEDJOIN eve@two garden") == ["FEDNEW garden", "FEDRESULT eve JOIN garden:one 1"]
    longest = "x" * (MAX_LINK_LINE - len("FEDRECV eve alice@one garden ") - 1)
    assert len(alice.ask(f"SAY garden {longest}y", f"SAY garden {longest}")) == 2
    assert peer.heard() == [f"FEDRECV eve alice@one garden {longest}"]
    assert "too long for the link with two" in caplog.text


def test_a_link_is_read_while_its_peer_does_not_read(world: World) -> None:
    """Two servers that wait for each other would wait for ever."""
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN bob@two tea")
    peer.transport.congested = True
    peer.send("FEDSAY bob@two tea hello")
    world.chat.journal.commit()
    assert alice.transport.take() == b"RECV bob@two tea hello\n"
    peer.transport.congested = False


def falls_behind(peer: Client) -> None:
    """Have a peer read more slowly than is said to it: what waits is read when it is unstuck."""
    peer.transport.is_behind = peer.transport.stuck = True


def test_who_says_more_than_a_link_takes_waits_for_it(world: World) -> None:
    alice = world.user("alice", "tea")
    bob = world.user("bob", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    bob.heard()
    falls_behind(peer)
    alice.send("SAY tea one")
    assert peer.heard() == ["FEDRECV eve alice@one tea one"]
    alice.send(b"SAY tea two\nSAY tea three\n")
    assert alice.heard() == ["RECV alice tea one"]
    assert bob.ask("PING") == ["RECV alice tea one", "RESULT PING 1"]
    world.timers.let_pass(MAX_PAUSE_SECONDS - 0.01)
    assert alice.heard() == []
    peer.transport.is_behind = False
    peer.transport.unstick()
    assert alice.heard() == ["RECV alice tea two", "RECV alice tea three"]


def test_those_who_wait_for_a_link_go_on_together_and_wait_again(world: World) -> None:
    alice, bob = world.user("alice", "tea"), world.user("bob", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    for number in range(3):
        falls_behind(peer)
        for user in (alice, bob):
            user.send(f"SAY tea {number}")
            assert user.heard()[-1] == f"RECV {user.session.principal.name} tea {number}"
            user.send("PING")
            assert user.heard() == []
        peer.transport.unstick()
        alice.heard()
        assert [user.ask("PING")[-1] for user in (alice, bob)] == ["RESULT PING 1"] * 2
    assert not world.timers.deadlines.nearest()


def test_nobody_waits_for_a_link_for_long(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    falls_behind(peer)
    alice.ask("SAY tea one")
    alice.send("SAY tea two")
    world.timers.let_pass(MAX_PAUSE_SECONDS - 0.01)
    assert alice.heard() == []
    world.timers.let_pass(0.02)
    assert alice.heard() == ["RECV alice tea two"]
    alice.send("SAY tea three")
    assert alice.heard() == []
    cut(peer)
    assert alice.heard() == ["RECV alice tea three"]


def test_a_receipt_that_comes_late_ends_no_other_wait(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    falls_behind(peer)
    alice.ask("SAY tea one")
    world.timers.let_pass(MAX_PAUSE_SECONDS)
    late, peer.transport._held = peer.transport._held, []
    alice.ask("SAY tea two")
    alice.send("SAY tea three")
    for _data, done in late:
        done(True)
    assert alice.heard() == []
    peer.transport.unstick()
    assert alice.heard() == ["RECV alice tea three"]


def test_who_waits_for_a_link_and_goes(world: World) -> None:
    alice, bob = world.user("alice", "tea"), world.user("bob")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    falls_behind(peer)
    for user in (alice, bob):
        user.ask("JOIN tea", "SAY tea one")
        user.send("SAY tea two")
    alice.leave()
    bob.session.ended()
    assert bob.heard() == []
    peer.transport.is_behind = False
    world.timers.let_pass(MAX_PAUSE_SECONDS)
    assert bob.heard()[-1] == "RECV bob tea two"
    assert bob.transport.finished == 1
    assert [line.split()[-1] for line in peer.heard() if "alice@one" in line] == ["one"]


# ---- names ----

TWO = PeerConfig("127.0.0.2", 5051, None)
PINNED = PeerConfig("127.0.0.2", 5051, "two")


@pytest.mark.parametrize(
    ("listed", "sent", "name"),
    [
        ([], "", "127.0.0.2"),
        ([], "two", "two"),
        ([TWO], "", "127.0.0.2"),
        ([PINNED], "", "two"),
        ([PINNED], "two", "two"),
        ([PINNED], "three", "three"),
        ([PINNED, PeerConfig("127.0.0.2", 5052, "three")], "", "127.0.0.2"),
        ([PeerConfig("127.0.0.3", 5052, "three")], "", "127.0.0.2"),
    ],
)
def test_by_what_name_a_server_is_known_that_has_dialled(listed: list[PeerConfig], sent: str, name: str) -> None:
    with World(settings=ONE, listed=listed) as world:
        world.peer(sent, "127.0.0.2")
        assert [*world.federation.peers] == [name]


@pytest.mark.parametrize(
    ("listed", "sent", "name"),
    [(TWO, "", "127.0.0.2"), (TWO, "two", "two"), (PINNED, "", "two"), (PINNED, "two", "two"), (PINNED, "three", None)],
)
def test_by_what_name_a_server_is_known_that_was_dialled(listed: PeerConfig, sent: str, name: str | None) -> None:
    with World(settings=ONE, listed=[listed, PeerConfig("127.0.0.2", 5052, "other")]) as world:
        peer = world.dialled()
        peer.send(f"FEDERATE-CONFIRM {sent}")
        assert [*world.federation.peers] == ([name] if name else [])
        assert bool(peer.transport.refused) == (name is None)


@pytest.mark.parametrize("name", ["a b", "a_b", "a:b", "a@b", "\u4e2d", "x" * 65, "one", "pinned", "127.0.0.2"])
def test_names_that_no_server_may_bear(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, "pinned")]) as world:
        peer = world.client(remote_address=("127.0.0.3", 40000))
        peer.send(f"FEDERATE-OUT {name}")
        assert is_closed(peer)
        assert "closing the link with a server (127.0.0.3 port 40000): " in caplog.text


def test_servers_over_ipv6_need_names() -> None:
    with World(settings=ONE) as world:
        nameless, named = (world.client(remote_address=("::1", 40000)) for _ in range(2))
        nameless.send("FEDERATE-OUT")
        assert is_closed(nameless)
        assert named.ask("FEDERATE-OUT two") == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]
    with World() as world:
        peer = world.client(remote_address=("::1", 40000))
        peer.transport.local_address = ("::1", 5050)
        peer.send("FEDERATE-OUT two")
        assert is_closed(peer)


def test_a_name_in_use_is_its_address_s_alone(world: World) -> None:
    first = world.peer("two", "127.0.0.2")
    other = world.client(remote_address=("127.0.0.3", 40000))
    other.send("FEDERATE-OUT two")
    assert is_closed(other)
    world.peer("two", "127.0.0.2")
    assert len(world.federation.peers["two"].links) == 2
    cut(first)
    assert len(world.federation.peers["two"].links) == 1


def test_the_name_of_a_listed_server_is_kept_for_its_address() -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        cut(world.peer("two", "127.0.0.2"), world.peer("stranger", "127.0.0.4"))
        for restarted in (world, World(settings=ONE, listed=[TWO], store=world.store)):
            thief = restarted.client(remote_address=("127.0.0.3", 40000))
            thief.send("FEDERATE-OUT two")
            assert is_closed(thief)
            cut(restarted.peer("stranger", "127.0.0.3"))
        moved = World(settings=ONE, listed=[PeerConfig("127.0.0.3", 5051, "two")], store=world.store)
        cut(moved.peer("two", "127.0.0.3"))
        moved_for_good = World(settings=ONE, store=world.store)
        late = moved_for_good.client(remote_address=("127.0.0.2", 40000))
        late.send("FEDERATE-OUT two")
        assert is_closed(late)


def test_only_listed_servers_if_so_wished() -> None:
    with World(settings=ONE._replace(federation="listed"), listed=[TWO]) as world:
        stranger = world.client(remote_address=("127.0.0.3", 40000))
        stranger.send("FEDERATE-OUT three")
        assert is_closed(stranger)
        assert world.peer("two", "127.0.0.2").ask("FEDNEW tea") == []


ELSEWHERE = PeerConfig("127.0.0.3", 5051, None)


@pytest.mark.parametrize(
    ("listed", "sent", "configured"),
    [
        ([], "two", False),
        ([ELSEWHERE], "two", False),
        ([TWO], "two", True),
        ([TWO], "", True),
        ([PINNED], "two", True),
        ([PINNED], "", True),
        ([PINNED], "three", False),
        ([PINNED, PeerConfig("127.0.0.2", 5052, None)], "three", False),
        ([PINNED, PeerConfig("127.0.0.2", 5052, "four")], "four", True),
        ([PINNED, PeerConfig("127.0.0.2", 5052, "four")], "", False),
    ],
)
def test_which_servers_that_dial_are_configured(listed: list[PeerConfig], sent: str, configured: bool) -> None:
    with World(settings=ONE, listed=listed) as world:
        world.peer(sent, "127.0.0.2")
        (peer,) = world.federation.peers.values()
        assert peer.configured == configured
    with World(settings=ONE._replace(federation="listed"), listed=listed) as world:
        link = world.client(remote_address=("127.0.0.2", 40000))
        link.send(f"FEDERATE-OUT {sent}")
        assert bool(link.transport.refused) != configured


def test_a_server_that_was_dialled_is_configured_and_so_is_the_peer_of_one_such_link() -> None:
    with World(settings=ONE, listed=[TWO, PeerConfig("127.0.0.2", 5052, "three")]) as world:
        accepted = world.peer("two", "127.0.0.2")
        peer = world.federation.peers["two"]
        assert not peer.configured
        dialled = world.dialled()
        dialled.ask("FEDERATE-CONFIRM two")
        assert peer.configured
        cut(dialled)
        assert not peer.configured
        cut(accepted)


@pytest.mark.parametrize(("policy", "let_in"), [("local", "LH"), ("open", "LHR"), ("listed", "")])
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (("127.0.0.3", "127.0.0.1"), "L"), (("127.9.9.9", "10.0.0.1"), "L"), (("::1", "::1"), "L"),
        (("10.0.0.1", "10.0.0.1"), "H"), (("2001:db8::1", "2001:db8::1"), "H"),
        (("10.0.0.2", "10.0.0.1"), "R"), (("128.0.0.1", "127.0.0.1"), "R"), (("2001:db8::1", "::1"), "R"),
        (("::2", "::1"), "R"), (("", ""), "R"),
    ],
)  # fmt: skip
def test_which_unlisted_servers_are_let_in(
    policy: str, let_in: str, place: tuple[str, str], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Loopback, the address to which the connection leads, or elsewhere."""
    with World(settings=ONE._replace(federation=policy), listed=[PeerConfig("10.9.9.9", 5051, None)]) as world:
        stranger = world.client(remote_address=(place[0], 40000))
        stranger.transport.local_address = (place[1], 5050)
        stranger.send("FEDERATE-OUT three")
        if kind in let_in:
            assert stranger.heard() == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]
        else:
            assert is_closed(stranger)
            assert f"federation {policy}" in caplog.text
        listed = world.client(remote_address=("10.9.9.9", 40000))
        assert listed.ask("FEDERATE-OUT two") == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]


def test_a_server_that_dials_itself() -> None:
    with World(listed=[PeerConfig("127.0.0.1", 5050, None)]) as world:
        dialled = world.dialled(local_port=50001)
        inbound = world.client(remote_address=("127.0.0.1", 50001))
        inbound.send("FEDERATE-OUT")
        assert is_closed(inbound)
        assert not world.federation.peers
        dialled.leave()
        world.timers.let_pass(60)
        assert not world.dials


def test_two_servers_without_names_at_one_address() -> None:
    with World() as world:
        bob, ann = world.user("bob"), world.user("ann")
        peer = world.peer()
        for user, name in ((bob, "bob"), (ann, "ann")):
            user.send("JOIN tea:127.0.0.1")
            assert peer.ask(f"FEDRESULT {name} JOIN tea:server2 1") == [f"FEDJOIN {name}@127.0.0.1 tea"]
            assert user.heard() == ["RESULT JOIN tea:127.0.0.1 1"]
        bob.send("SAY tea:127.0.0.1 hello")
        peer.ask(*(f"FEDRECV {name} bob@127.0.0.1 tea:server2 hello" for name in ("bob", "ann")))
        assert bob.heard() == ann.heard() == ["RECV bob tea:127.0.0.1 hello"]
        peer.ask("FEDRECV bob eve@127.0.0.1 tea hello")
        assert bob.heard() == ["RECV eve@127.0.0.1 tea:127.0.0.1 hello"]


@pytest.mark.parametrize("settings", [ONE, ONE._replace(max_peers=1)])
def test_a_server_that_gives_its_users_a_name_and_sends_none_is_known_by_it(settings: Settings) -> None:
    """As the courses' example has it."""
    with World(settings=settings) as world:
        alice = world.user("alice", "helloworld")
        peer = world.peer()
        peer.ask("FEDCHANNELS tea")
        assert peer.ask("FEDJOIN bob@server1.com helloworld") == ["FEDRESULT bob JOIN helloworld:one 1"]
        peer.ask("FEDSAY bob@server1.com helloworld hello", "FEDSAY bob@127.0.0.1 helloworld again")
        assert alice.heard() == [f"RECV bob@server1.com helloworld {text}" for text in ("hello", "again")]
        assert alice.ask("CHANNELS") == ["RESULT CHANNELS helloworld, tea:server1.com"]
        alice.send("SAY @bob@server1.com hello")
        assert peer.heard() == ["FEDMSG alice@one bob hello"]
        peer.send("FEDJOIN bob@server2.com helloworld")
        assert is_closed(peer)


def test_a_server_without_a_name_gets_no_name_by_what_is_no_user(world: World) -> None:
    """Nor any number of names, each of which it could keep from others, and which would be gone through each time."""
    nameless = world.peer()
    for user in ("", "/bob", "a,b", "x" * 65):
        for verb, rest in (("FEDJOIN", "tea"), ("FEDLEAVE", "tea"), ("FEDSAY", "tea hi"), ("FEDMSG", "alice hi")):
            nameless.ask(*(f"{verb} {user}@server{number}.com {rest}" for number in range(3)))
    (link,) = world.federation.peers["127.0.0.1"].links
    assert link.peer_names == {"127.0.0.1"}
    assert nameless.ask("FEDJOIN bob@server1.com tea") == ["FEDRESULT bob JOIN tea:one 0"]
    assert link.peer_names == {"127.0.0.1", "server1.com"}
    nameless.send("FEDJOIN bob@server2.com tea")
    assert is_closed(nameless)


def test_what_a_server_without_a_name_has_here_is_found_again(world: World) -> None:
    peer, bob = world.peer(), world.user("bob")
    world.user("alice", "helloworld")
    peer.ask("FEDJOIN eve@server1.com helloworld")
    bob.send("JOIN tea:server1.com")
    peer.ask("FEDRESULT bob JOIN tea:server1.com 1")
    assert bob.heard() == ["RESULT JOIN tea:server1.com 1"]
    cut(peer)
    again = world.peer()
    assert again.ask("FEDJOIN eve@server1.com helloworld") == [
        "FEDJOIN bob@one tea",
        "FEDRESULT eve JOIN helloworld:one 1",
    ]


def test_a_server_that_has_been_known_by_its_address_stays_so(world: World) -> None:
    alice = world.user("alice", "tea")
    waited_for, joined_by, one_of_two, other_of_two = (
        world.peer(address=f"127.0.0.{number}") for number in (3, 4, 5, 5)
    )
    world.user("ann").send("JOIN tea:127.0.0.3")
    world.user("bob").send("JOIN tea:127.0.0.4")
    joined_by.ask("FEDRESULT bob JOIN tea:127.0.0.4 1")
    for number, peer in ((3, waited_for), (4, joined_by), (5, one_of_two), (5, other_of_two)):
        peer.heard()
        host = f"server{number}.com"
        assert peer.ask(f"FEDJOIN bob@{host} tea") == ["FEDRESULT bob JOIN tea:one 1"]
        assert alice.ask("USERS tea")[0].endswith(f"bob@127.0.0.{number}")
        peer.send(f"FEDJOIN bob@other{host} tea")
        assert is_closed(peer)


def test_a_server_whose_users_are_known_by_its_address_stays_so(world: World) -> None:
    alice = world.user("alice", "tea")
    first, second = world.peer(), world.peer()
    first.ask("FEDJOIN bob@server1.com tea")
    cut(first)
    second.ask("FEDJOIN ann@server1.com tea")
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, ann@127.0.0.1, bob@127.0.0.1"]
    cut(second)
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]
    assert world.chat.users.remote == {}


def test_a_server_that_has_spoken_as_its_address_is_nobody_else(world: World) -> None:
    world.user("alice", "tea")
    peer = world.peer()
    peer.ask("FEDJOIN bob@127.0.0.1 tea", "FEDLEAVE bob@127.0.0.1 tea")
    peer.send("FEDJOIN bob@server1.com tea")
    assert is_closed(peer)


def test_two_servers_without_names_are_told_apart_by_their_users(world: World) -> None:
    alice = world.user("alice", "tea")
    for host in ("server1.com", "server2.com"):
        peer = world.peer()
        peer.ask(f"FEDCHANNELS at-{host}")
        assert peer.ask(f"FEDJOIN bob@{host} tea") == ["FEDRESULT bob JOIN tea:one 1"]
    assert alice.ask("USERS tea", "CHANNELS") == [
        "RESULT USERS tea alice, bob@server1.com, bob@server2.com",
        "RESULT CHANNELS at-server1.com:server1.com, at-server2.com:server2.com, tea",
    ]


@pytest.mark.parametrize("name", ["one", "pinned", "two", "127.0.0.3", "a_b", "borne"])
def test_names_that_are_another_s_are_not_given_to_users(name: str) -> None:
    with World(
        settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, "pinned"), PeerConfig("127.0.0.3", 1, None)]
    ) as world:
        cut(world.peer("borne", "127.0.0.3"))
        world.peer("two", "127.0.0.4")
        nameless = world.peer(address="127.0.0.5")
        nameless.send(f"FEDJOIN bob@{name} tea")
        assert is_closed(nameless)
        assert [*world.federation.peers] == ["two"]


# ---- as whom a server may end memberships ----


def member(world: World, peer: Client) -> Client:
    """Give bob, who is in `tea` at the peer `two`."""
    bob = world.client()
    bob.ask("REGISTER bob bob", "LOGIN bob bob")
    bob.send("JOIN tea:two")
    peer.ask("FEDRESULT bob JOIN tea:two 1")
    assert bob.heard() == ["RESULT JOIN tea:two 1"]
    return bob


def is_in(world: World, name: str = "bob") -> bool:
    world.settle()
    return "tea:two" in world.chat.users.accounts[name].channels


def refused(world: World, address: str) -> bool:
    """Whether nobody at this address can be `two`, neither by a name that is sent nor by that of a user."""
    named, nameless = (world.client(remote_address=(address, 40000)) for _ in range(2))
    named.send("FEDERATE-OUT two")
    nameless.ask("FEDERATE-OUT")
    nameless.send("FEDJOIN eve@two tea")
    is_refused = is_closed(named) and is_closed(nameless)
    cut(named, nameless)
    return is_refused


def test_the_name_of_a_server_in_whose_channels_somebody_is_is_kept_for_its_address() -> None:
    with World(settings=ONE) as world:
        peer = world.peer("two", "127.0.0.2")
        assert world.chat.channels.noted("two") == []
        member(world, peer)
        joined(world, "ann", "tea", peer)
        cut(peer)
        again = World(settings=ONE, store=world.store)
        for restarted in (world, again):
            assert refused(restarted, "127.0.0.3")
            cut(restarted.peer("two", "127.0.0.2"))
        client = again.client()
        for name in ("ann", "bob"):
            assert refused(again, "127.0.0.3")
            assert client.ask(f"LOGIN {name} {name}", "LEAVE tea:two", "LOGOUT")[1] == "RESULT LEAVE tea:two 1"
        assert again.chat.channels.noted("two") == []
        cut(again.peer("two", "127.0.0.3"))


def test_a_join_that_is_refused_or_cannot_be_kept_notes_nothing(world: World) -> None:
    peer = world.peer("two", "127.0.0.2")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    peer.ask("FEDRESULT bob JOIN tea:two 0")
    bob.send("JOIN tea:two")
    world.store._db.execute("PRAGMA query_only = 1")
    peer.ask("FEDRESULT bob JOIN tea:two 1")
    assert bob.heard() == ["RESULT JOIN tea:two 0"] * 2
    assert world.chat.channels.noted("two") == []


def test_a_leave_that_cannot_be_kept_keeps_the_note(world: World) -> None:
    peer = world.peer("two", "127.0.0.2")
    bob = member(world, peer)
    world.store._db.execute("PRAGMA query_only = 1")
    assert bob.ask("LEAVE tea:two") == ["RESULT LEAVE tea:two 0"]
    cut(peer)
    assert refused(world, "127.0.0.3")


SECRET = Secret(b"0123456789abcdef")
BY_PROOF = PeerConfig("127.0.0.2", 0, "two", SECRET)


def linked(world: World, address: str) -> Client:
    """Give the server `two` at an address, which proves its name if it is asked to."""
    peer = world.client(remote_address=(address, 40000))
    verb, *words = peer.ask("FEDERATE-OUT two")[0].split()
    if verb == "FEDERATE-PROVE":
        peer.ask(f"FEDERATE-PROOF {Handshake(SECRET, 'two', 'one', words[0], words[0]).mac('proof')} {words[0]}")
    assert "two" in world.federation.peers
    peer.heard()
    return peer


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (("127.0.0.2", None), ("127.0.0.2", None), True),
        (("127.0.0.2", None), ("127.0.0.2", PINNED), True),
        (("127.0.0.2", PINNED), ("127.0.0.2", None), True),
        (("127.0.0.2", None), ("127.0.0.3", PINNED._replace(address="127.0.0.3")), False),
        (("127.0.0.2", PINNED), ("127.0.0.3", PINNED._replace(address="127.0.0.3")), False),
        (("127.0.0.2", BY_PROOF), ("127.0.0.2", BY_PROOF), True),
        (("127.0.0.2", BY_PROOF), ("127.0.0.3", BY_PROOF), True),
        (("127.0.0.2", PINNED), ("127.0.0.2", BY_PROOF), True),
        (("127.0.0.2", PINNED), ("127.0.0.3", BY_PROOF), False),
        (("127.0.0.2", BY_PROOF), ("127.0.0.2", PINNED), False),
    ],
)
@pytest.mark.parametrize("line", ["FEDRESULT bob JOIN tea:two 0", "FEDRESULT bob KICKED tea:two"])
def test_a_membership_is_ended_by_its_server_as_what_it_began_with(
    before: tuple[str, PeerConfig | None], after: tuple[str, PeerConfig | None], ends: bool, line: str
) -> None:
    """Its address, or its proof; the peer has the name each time, since the config of that time gives it to it."""
    (address, pin), (later_address, later_pin) = before, after
    with World(settings=ONE, listed=[pin] if pin else []) as world:
        member(world, linked(world, address))
        later = World(settings=ONE, listed=[later_pin] if later_pin else [], store=world.store)
        peer = linked(later, later_address)
        bob = later.client()
        bob.ask("LOGIN bob bob")
        assert peer.ask(line) == []
        told = {"JOIN": "RESULT JOIN tea:two 0", "KICKED": "RESULT KICKED tea:two"}[line.split()[2]]
        assert bob.heard() == ([told] if ends else [])
        assert is_in(later) != ends
        (statistics,) = later.federation.statistics()
        assert ("ends a membership that did not begin" in statistics) != ends
        assert bob.ask("LEAVE tea:two") == [f"RESULT LEAVE tea:two {int(not ends)}"]  # its owner can
        peer.heard()
        bob.send("JOIN tea:two")
        peer.ask("FEDRESULT bob JOIN tea:two 1", "FEDRESULT bob KICKED tea:two")  # a new one, of today's server
        assert bob.heard() == ["RESULT JOIN tea:two 1", "RESULT KICKED tea:two"]


def test_a_name_that_was_proven_is_nobody_s_without_a_proof(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[BY_PROOF]) as world:
        member(world, linked(world, "127.0.0.2"))
        for address in ("127.0.0.2", "127.0.0.3"):
            without = World(settings=ONE, store=world.store)
            assert refused(without, address)
        assert "the name two was borne by a server that has proven it; if it has moved, list it as" in caplog.text


def test_older_memberships_begin_with_the_next_link() -> None:
    with World(settings=ONE) as world:
        member(world, world.peer("two", "127.0.0.2"))
        world.store._db.execute("UPDATE memberships SET server = ''")
        older = World(settings=ONE, store=world.store)
        assert older.chat.channels.noted("two") == []
        cut(linked(older, "127.0.0.2"))
        for restarted in (older, World(settings=ONE, store=world.store)):
            assert refused(restarted, "127.0.0.3")


# ---- lies ----


@pytest.mark.parametrize(
    "line",
    [
        "FEDJOIN eve@three tea", "FEDLEAVE eve@three tea", "FEDSAY eve@three tea hi", "FEDMSG eve@three alice hi",
        "FEDJOIN alice@one tea", "FEDRECV bob eve@three tea:three hi", "FEDRECV bob eve@three tea:one hi",
    ],
)  # fmt: skip
def test_who_speaks_for_another_host_is_closed(world: World, line: str, caplog: pytest.LogCaptureFixture) -> None:
    peer, third = world.peer("two"), world.peer("three")
    bob = joined(world, "bob", "tea", peer)
    alice = world.user("alice", "tea")
    peer.send(f"{line}\nFEDJOIN eve@two tea\n".encode())
    assert peer.transport.refused == 1
    assert not [heard for heard in peer.heard() if "eve" in heard]
    assert alice.heard() == bob.heard() == []
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]
    assert "closing the link with two (127.0.0.1 port 40000): it speaks for " in caplog.text
    assert third.transport.refused == 0


UNFIT = [
    "FEDRECV ann eve@two tea hi", "FEDRECV nobody eve@two tea hi", "FEDRECV bob eve@two coffee hi",
    "FEDRECV bob eve@a:b tea hi", "FEDRECV bob e,ve@two tea hi", "FEDRECV bob@two eve@two tea hi",
    "FEDRECV bob eve@two /tea hi", "FEDRECV bob eve@two tea", "FEDRECV bob eve@two tea \x1b",
    "FEDRESULT bob JOIN tea:two 1", "FEDRESULT bob JOIN tea:two 0", "FEDRESULT bob JOIN coffee:two 1",
    "FEDRESULT bob SAY tea:two 0", "FEDRESULT bob SAY tea:three 0", "FEDRESULT bob MSG ann@two 1",
    "FEDRESULT bob KICKED coffee:two", "FEDRESULT bob KICKED tea:three", "FEDRESULT ann KICKED tea:two",
    "FEDRESULT bob LOGIN 1", "FEDRESULT bob SAY", "FEDRESULT bob CHANNELS a, b", "FEDRESULT bob@two KICKED tea:two",
    "FEDJOIN eve@two", "FEDJOIN e,ve@two garden", "FEDJOIN @two garden", "FEDJOIN eve@two garden now",
    "FEDSAY eve@two garden", "FEDMSG eve@two", "FEDNEW", "FEDNEW a b", "FEDNEW a,b", "FEDNEW tea:three",
    "FEDCHANNELS b:three", "FEDCHANNELS \u202ebad", "PING", "SAY tea hi", "x" * MAX_LINK_LINE,
]  # fmt: skip


@pytest.mark.parametrize("line", UNFIT, ids=lambda line: line[:30])
def test_what_does_not_fit_is_ignored_counted_and_logged_once(
    world: World, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer, _third = world.peer("two"), world.peer("three")
    bob, ann = joined(world, "bob", "tea", peer), world.user("ann", "garden")
    peer.heard()
    assert peer.ask(line, line) == []
    assert bob.heard() == ann.heard() == []
    assert peer.transport.refused == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("ignored a line of two (127.0.0.1 port 40000): ")
    (counts,) = [line for line in world.federation.statistics() if "ignored" in line]
    assert "ignored=2 (" in counts
    assert bob.ask("CHANNELS") == ["RESULT CHANNELS garden"]
    peer.send("FEDRECV bob eve@two tea still there")
    assert bob.heard() == ["RECV eve@two tea:two still there"]


# ---- limits ----


def test_how_much_a_peer_may_make_us_hold(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(
        hostname="one", max_remote_users=2, max_remote_memberships=3, max_remote_channels=2, max_peers=2
    )
    with World(Limits(channels_per_user=2), settings=settings) as world:
        world.user("alice", "a", "b").ask("CREATE c")
        peer = world.peer("two")
        heard = peer.ask(*(f"FEDJOIN {user}@two {channel}" for user in "xyz" for channel in "ab"))
        assert [line[-1] for line in heard] == ["1", "1", "1", "0", "0", "0"]
        assert peer.ask("FEDJOIN x@two c") == ["FEDRESULT x JOIN c:one 0"]
        peer.ask("FEDLEAVE x@two a", "FEDLEAVE x@two b")
        assert peer.ask("FEDJOIN z@two a") == ["FEDRESULT z JOIN a:one 1"]
        peer.ask("FEDCHANNELS p, q, r", "FEDNEW s", "FEDNEW p")
        assert world.client().ask("CHANNELS") == ["RESULT CHANNELS a, b, c, p:two, q:two"]
        for setting in ("max-remote-users", "max-remote-memberships", "max-remote-channels"):
            assert setting in caplog.text
        world.peer("three")
        fourth = world.client()
        fourth.send("FEDERATE-OUT four")
        assert is_closed(fourth)
        assert "max-peers" in caplog.text


BOUNDED = ONE._replace(
    max_unlisted_links=3, max_unlisted_users=3, max_unlisted_members=2, max_unlisted_channels=3, federation="open"
)
"""Small bounds for all unlisted servers together."""


def test_unlisted_links_have_a_bound_together(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=BOUNDED, listed=[TWO]) as world:
        first = [world.peer(name) for name in ("a", "b", "b")]
        late = world.client()
        late.send("FEDERATE-OUT c")
        assert is_closed(late)
        assert "max-unlisted-links" in caplog.text
        world.peer("two", "127.0.0.2")
        assert world.dialled().ask("FEDERATE-CONFIRM two") == ["FEDCHANNELS"]
        cut(first.pop())
        world.peer("c")


def test_unlisted_users_have_bounds_together(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=BOUNDED, listed=[TWO]) as world:
        world.user("alice", "tea", "garden", "attic")
        a, b, two = world.peer("a"), world.peer("b"), world.peer("two", "127.0.0.2")

        def join(peer: Client, user: str, channel: str) -> str:
            (answer,) = peer.ask(f"FEDJOIN {user} {channel}")
            return answer[-1]

        assert [join(a, "x", "tea"), join(b, "y", "tea"), join(a, "z", "tea")] == ["1", "1", "0"]
        assert "max-unlisted-members" in caplog.text
        assert [join(a, "x", "tea"), join(a, "x", "garden"), join(b, "z", "garden")] == ["1", "1", "1"]
        assert [join(a, "v", "attic"), join(b, "z", "attic")] == ["0", "1"]
        assert "max-unlisted-users" in caplog.text
        assert [join(two, user, "tea") for user in "pqrst"] == ["1"] * 5  # which do not count
        b.ask("FEDLEAVE z garden", "FEDLEAVE z attic")
        assert [join(a, "v", "attic"), join(a, "v", "tea")] == ["1", "0"]
        cut(b)
        assert join(a, "v", "tea") == "1"


def test_unlisted_channels_have_a_bound_together(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=BOUNDED, listed=[TWO]) as world:
        a, b, two = world.peer("a"), world.peer("b"), world.peer("two", "127.0.0.2")
        two.ask("FEDCHANNELS 1, 2, 3, 4, 5")
        a.ask("FEDCHANNELS 1, 2")
        b.ask("FEDCHANNELS 1, 2", "FEDNEW 3", "FEDNEW 1")
        assert "max-unlisted-channels" in caplog.text
        theirs = [f"{number}:two" for number in range(1, 6)]
        assert world.client().ask("CHANNELS") == [
            f"RESULT CHANNELS {', '.join(sorted(['1:a', '2:a', '1:b', *theirs]))}"
        ]
        a.ask("FEDCHANNELS")
        b.ask("FEDNEW 2", "FEDNEW 3", "FEDNEW 4")
        assert world.client().ask("CHANNELS") == [
            f"RESULT CHANNELS {', '.join(sorted(['1:b', '2:b', '3:b', *theirs]))}"
        ]


# ---- the operator keeps servers out ----


@pytest.mark.parametrize("word", ["two", "127.0.0.2", "::ffff:127.0.0.2"])
def test_a_server_that_is_kept_out_comes_back_when_it_is_let_in(word: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        alice = world.user("alice", "tea")
        dialled, accepted, other = world.dialled(), world.peer("two", "127.0.0.2"), world.peer("three")
        dialled.ask("FEDERATE-CONFIRM two")
        accepted.ask("FEDCHANNELS pond", "FEDJOIN eve@two tea")
        assert world.type(f"/unlink {word}") == [f"* {word} is kept out; links closed: 2."]
        assert dialled.transport.refused == accepted.transport.refused == 1
        assert alice.ask("USERS tea", "CHANNELS") == ["RESULT USERS tea alice", "RESULT CHANNELS tea"]
        again = world.client(remote_address=("127.0.0.2", 40001))
        again.send("FEDERATE-OUT two")
        assert is_closed(again)
        assert "the operator keeps it out" in caplog.text
        world.timers.let_pass(10 * MAX_PAUSE)
        if world.dials:  # the config has no name for it, so it is known when it confirms
            dialled = world.dialled()
            dialled.send("FEDERATE-CONFIRM two")
            assert is_closed(dialled)
            assert word == "two"
        assert other.ask("FEDJOIN zoe@three tea") == ["FEDRESULT zoe JOIN tea:one 1"]
        assert world.type(f"/relink {word}") == [f"* {word} may link again."]
        world.timers.let_pass(MAX_PAUSE if word == "two" else 0)
        assert world.dialled().ask("FEDERATE-CONFIRM two") == ["FEDCHANNELS tea"]
        world.peer("two", "127.0.0.2")
        assert world.type(f"/relink {word}") == [f"* {word} was not kept out."]


def test_nobody_links_under_a_name_that_is_kept_out() -> None:
    with World(settings=ONE) as world:
        assert world.type("/unlink two") == ["* two is kept out; links closed: 0."]
        thief = world.client(remote_address=("127.0.0.3", 40000))
        thief.send("FEDERATE-OUT two")
        assert is_closed(thief)
        nameless = world.peer("", "127.0.0.2")
        nameless.send("FEDJOIN eve@two tea")  # nor by what its users call it
        assert is_closed(nameless)


@pytest.mark.parametrize("word", ["", "a b", "two:5050", "[::1]", "tw\u00f6", "x" * 65, "1:2"])
def test_what_cannot_be_kept_out(word: str) -> None:
    with World(settings=ONE) as world:
        for verb in ("/unlink", "/relink"):
            answer = [f"* {word} is no server's name or address."] if len(word.split()) == 1 else []
            assert world.type(f"{verb} {word}") == answer
        world.console.links = None
        assert world.type("/unlink two", "/relink two") == ["* There are no links: federation is off."] * 2


# ---- a channel with many users of one peer ----


def crowded(settings: Settings, users: int) -> tuple[World, Client, Client]:
    """Give a world, a user in the channel tea, and the peer that has so many users there and reads nothing more yet."""
    world = World(settings=settings, listed=[TWO])
    alice, peer = world.user("alice", "tea"), world.peer("two", "127.0.0.2")
    peer.send("".join(f"FEDJOIN u{number}@two tea\n" for number in range(users)).encode())
    assert peer.heard() == [f"FEDRESULT u{number} JOIN tea:one 1" for number in range(users)]
    peer.transport.pump = lambda: False  # type: ignore[method-assign]
    return world, alice, peer


def test_many_lines_to_one_peer_are_made_as_its_link_drains() -> None:
    world, alice, peer = crowded(ONE, 5000)
    with world:
        assert alice.ask("SAY tea one") == ["RECV alice tea one"]
        assert peer.transport.take() == b""
        (pieces,) = peer.transport.behind
        assert not isinstance(pieces, bytes)
        piece = next(pieces)
        assert PIECE_BYTES // 2 < len(piece) <= PIECE_BYTES
        peer.send("FEDLEAVE u4999@two tea")  # who was there is still told what was said before
        alice.ask("SAY tea two")
        peer.send("FEDJOIN u0@two nowhere")
        del peer.transport.pump
        first = [f"FEDRECV u{number} alice@one tea one" for number in range(5000)]
        second = [f"FEDRECV u{number} alice@one tea two" for number in range(4999)]
        rest = ["FEDRESULT u0 JOIN nowhere:one 0"]
        assert piece.decode().splitlines() + peer.heard() == [*first, *second, *rest]
        alice.ask("SAY tea three")
        assert len(peer.heard()) == 4999
        assert world.federation.peers["two"].links.oldest.owed == 0


def test_few_lines_to_one_peer_are_one_send() -> None:
    world, alice, peer = crowded(ONE, 100)
    with world:
        alice.ask("SAY tea one")
        assert peer.transport.behind == []
        assert [data.count(b"\n") for data in peer.transport.sent] == [100]


@pytest.mark.parametrize("length", [1, 100, 8000])
def test_a_piece_is_small_however_long_the_message(length: int) -> None:
    world, alice, peer = crowded(ONE, 1000)
    with world:
        alice.ask(f"SAY tea {'x' * length}")
        del peer.transport.pump
        pieces = [len(data) for data in peer.transport.sent]
        for chunks in peer.transport.behind:
            assert not isinstance(chunks, bytes)
            pieces += map(len, chunks)
        assert max(pieces) <= max(PIECE_BYTES, length + 100)
        assert sum(pieces) == sum(len(f"FEDRECV u{n} alice@one tea {'x' * length}\n") for n in range(1000))


def test_a_peer_for_whom_too_much_is_still_to_be_made_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    world, alice, peer = crowded(ONE._replace(max_link_buffer=262144), 3000)
    with world:
        said = 0
        while not peer.transport.refused:
            alice.ask(f"SAY tea {'x' * 100}")
            said += 1
        assert said == 2  # one is taken whatever its size
        assert alice.ask("SAY tea more") == ["RECV alice tea more"]
        assert (peer.transport.refused, caplog.text.count("max-link-buffer")) == (1, 1)
        cut(peer)
        assert alice.ask("USERS tea", "SAY tea more") == ["RESULT USERS tea alice", "RECV alice tea more"]


def test_members_of_other_servers_take_no_place_in_a_room() -> None:
    with World(settings=ONE, channels={"lobby": 2}) as world:
        peer = world.peer("two")
        assert [line[-1] for line in peer.ask(*(f"FEDJOIN {user}@two lobby" for user in "xyz"))] == ["1", "1", "0"]
        ann, bob = (world.visitor("lobby", name) for name in ("ann", "bob"))
        assert ann.saw() == ["* Welcome to the lobby channel, ann.", "* ann has joined the channel.",
                             "* bob has joined the channel."]  # fmt: skip
        carol = world.user("carol")
        assert carol.ask("JOIN lobby") == ["RESULT JOIN lobby 0"]
        dave = world.visitor("lobby", "dave")
        assert dave.saw() == ["* Welcome to the lobby channel, dave.",
                              "* You are in the waiting queue and there are 0 user(s) ahead of you."]  # fmt: skip
        assert (
            peer.ask("FEDJOIN z@two lobby", "FEDLEAVE x@two lobby", "FEDJOIN z@two lobby")
            == ["FEDRESULT z JOIN lobby:one 0"] * 2
        )
        assert dave.saw() == []
        bob.does("/quit")
        assert dave.saw() == ["* dave has joined the channel."]
        assert dave.does("/list") == ["[Channel] lobby 3/2/0."]


def test_listed_servers_are_let_in_however_many_others_there_are() -> None:
    with World(settings=ONE._replace(max_peers=1), listed=[TWO]) as world:
        world.peer("stranger", "127.0.0.9")
        world.peer("two", "127.0.0.2")
        assert world.dialled().ask("FEDERATE-CONFIRM two") == ["FEDCHANNELS"]
        assert [*world.federation.peers] == ["stranger", "two"]


def test_a_limit_counts_what_was_said_before_in_the_same_packet() -> None:
    with World(settings=Settings(hostname="one", max_remote_users=1, max_remote_memberships=1)) as world:
        world.user("alice", "tea")
        peer = world.peer("two")
        peer.send(b"FEDJOIN bob@two tea\nFEDLEAVE bob@two tea\nFEDJOIN carol@two tea\nFEDJOIN dan@two tea\n")
        assert sorted(peer.heard()) == [f"FEDRESULT {name}" for name in (
            "bob JOIN tea:one 1", "carol JOIN tea:one 1", "dan JOIN tea:one 0",
        )]  # fmt: skip


def test_answers_name_what_was_asked(world: World) -> None:
    world.user("alice", "caf\u00e9")
    peer = world.peer("two")
    assert peer.ask("FEDJOIN jose\u0301@two cafe\u0301", "FEDJOIN b@two te\x1b[31ma", "FEDJOIN b@two tea:three") == [
        "FEDRESULT jos\u00e9 JOIN caf\u00e9:one 1",
        "FEDRESULT b JOIN te[31ma:one 0",
        "FEDRESULT b JOIN tea:three 0",
    ]
    assert peer.ask("FEDMSG b@two eve@three hi", "FEDSAY b@two tea:one hi") == [
        "FEDRESULT b MSG eve@three 0",
        "FEDRESULT b SAY tea:one 0",
    ]
    assert peer.ask(f"FEDJOIN b@two {'a' * (MAX_LINK_LINE - 15)}") == []


def test_nothing_is_kept_of_users_who_are_nowhere(world: World) -> None:
    world.user("alice", "tea")
    peer = world.peer("two")
    for lines in (
        ["FEDJOIN a@two nowhere"], ["FEDJOIN a@two tea", "FEDLEAVE a@two tea"], ["FEDLEAVE a@two tea"],
        ["FEDJOIN a@two tea\nFEDLEAVE a@two tea\nFEDJOIN a@two tea\nFEDLEAVE a@two tea\nFEDLEAVE a@two tea"],
        ["FEDJOIN a@two tea", "FEDJOIN a@two tea", "FEDLEAVE a@two tea"], ["FEDSAY a@two tea hi"],
        ["FEDMSG a@two alice hi"],
    ):  # fmt: skip
        peer.ask(*lines)
        members = world.federation.users.of(world.federation.peers["two"])
        assert (members.users, members._undecided, members.memberships, world.chat.users.remote) == ({}, {}, {}, {}), (
            lines
        )
    peer.ask("FEDJOIN a@two tea")
    assert world.type("/kick tea:a@two") == ["* Kicked a@two."]
    assert peer.heard() == ["FEDRESULT a KICKED tea:one"]
    assert (members.users, members.memberships, world.chat.users.remote) == ({}, {}, {})
    peer.ask("FEDJOIN a@two tea", "FEDJOIN b@two tea")
    cut(peer)
    assert (members.users, members.memberships, world.chat.users.remote) == ({}, {}, {})
    assert not world.federation.peers


def test_links_with_one_peer_are_limited(world: World) -> None:
    for _ in range(MAX_LINKS):
        world.peer("two")
    one_more = world.client()
    one_more.send("FEDERATE-OUT two")
    assert is_closed(one_more)


# ---- channels ----


def test_a_long_list_goes_on_in_lines_of_its_own(world: World) -> None:
    names = [f"{number:03}{'x' * 61}" for number in range(200)]
    world.user("alice", *names)
    peer = world.client()
    _confirmed, first, *rest = peer.ask("FEDERATE-OUT two")
    listed = first.removeprefix("FEDCHANNELS ").split(", ")
    assert MAX_LINE - 70 < len(first) + 1 <= MAX_LINE
    assert [*listed, *(line.removeprefix("FEDNEW ") for line in rest)] == names


def test_new_channels_are_announced_once_to_each_peer(world: World) -> None:
    two, again, three = world.peer("two"), world.peer("two"), world.peer("three")
    world.user("alice").ask("CREATE tea", "CREATE tea")
    assert [two.heard(), again.heard(), three.heard()] == [[], ["FEDNEW tea"], ["FEDNEW tea"]]


def test_channels_leave_the_list_with_the_last_link(world: World) -> None:
    two, again = world.peer("two"), world.peer("two")
    two.ask("FEDCHANNELS a, b,c")
    again.ask("FEDCHANNELS c d")
    client = world.client()
    assert client.ask("CHANNELS") == ["RESULT CHANNELS c:two, d:two"]
    cut(again)
    assert two.heard() == ["FEDCHANNELS"]
    assert client.ask("CHANNELS") == ["RESULT CHANNELS c:two, d:two"]
    cut(two)
    assert client.ask("CHANNELS") == ["RESULT CHANNELS"]


# ---- users here in channels there ----


def test_what_is_said_while_a_join_is_on_its_way_comes_after_its_answer(world: World) -> None:
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    peer.heard()
    peer.send("FEDRECV bob eve@two tea first")
    assert bob.heard() == []
    peer.send(b"FEDRECV bob eve@two tea second\nFEDRESULT bob JOIN tea:two 1\nFEDRECV bob eve@two tea third\n")
    assert bob.heard() == [
        "RESULT JOIN tea:two 1",
        *(f"RECV eve@two tea:two {text}" for text in ("first", "second", "third")),
    ]


def test_what_is_said_while_a_join_fails_is_not_heard(world: World) -> None:
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    peer.send(b"FEDRECV bob eve@two tea secret\nFEDRESULT bob JOIN tea:two 0\n")
    assert bob.heard() == ["RESULT JOIN tea:two 0"]


def test_a_join_that_is_not_answered_fails_and_is_taken_back(world: World) -> None:
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    world.timers.let_pass(ONE.federation_seconds - 0.1)
    assert bob.heard() == []
    world.timers.let_pass(0.1)
    assert bob.heard() == ["RESULT JOIN tea:two 0"]
    assert peer.heard() == ["FEDJOIN bob@one tea", "FEDLEAVE bob@one tea"]
    assert peer.ask("FEDRESULT bob JOIN tea:two 1") == []
    assert bob.heard() == []
    assert bob.ask("SAY tea:two hello") == ["RESULT SAY 0"]


def test_a_join_that_cannot_be_kept_is_taken_back() -> None:
    with World(Limits(channels_per_user=0), settings=ONE) as world:
        peer = world.peer("two")
        bob = world.user("bob")
        bob.send("JOIN tea:two")
        peer.send("FEDRESULT bob JOIN tea:two 1")
        assert bob.heard() == ["RESULT JOIN tea:two 0"]
        assert peer.heard() == ["FEDJOIN bob@one tea", "FEDLEAVE bob@one tea"]


def test_two_sessions_that_ask_for_the_same(world: World) -> None:
    """The first one has gone meanwhile, and its user has come back."""
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    bob.leave()
    again = world.client()
    again.ask("LOGIN bob bob")
    again.send("JOIN tea:two")
    assert peer.heard() == ["FEDJOIN bob@one tea"]
    peer.send("FEDRESULT bob JOIN tea:two 1")
    assert again.heard() == ["RESULT JOIN tea:two 1"]


def test_direct_messages_have_a_deadline_each(world: World) -> None:
    peer = world.peer("two")
    bob, ann = world.user("bob"), world.user("ann")
    bob.send("SAY @eve@two first")
    world.timers.let_pass(6)
    ann.send("SEND @eve@two second")
    world.timers.let_pass(4)
    assert bob.heard() == ["RESULT SAY 0"]
    assert peer.heard() == ["FEDMSG bob@one eve first", "FEDMSG ann@one eve second"]
    peer.send("FEDRESULT ann MSG eve@two 1")
    assert ann.heard() == ["RECV ann @eve@two second"]
    world.timers.let_pass(60)
    assert not world.federation.peers["two"].direct_messages
    assert bob.heard() == ann.heard() == []


def test_a_mailbox_account_and_a_remote_user(world: World) -> None:
    peer = world.peer("two")
    nora = world.mailbox_user("nora")
    nora.send("3|eve@two|hello")
    assert peer.ask("FEDRESULT nora MSG eve@two 1") == ["FEDMSG nora@one eve hello"]
    assert nora.heard() == ["Sender nora sends a new message hello to eve@two"]
    nora.send("3|eve@two|hello")
    peer.ask("FEDRESULT nora MSG eve@two 0")
    assert nora.heard() == ["Receiver: eve@two doesn't exist "]
    assert peer.ask("FEDMSG eve@two nora hello") == ["FEDRESULT eve MSG nora@one 1"]
    assert nora.heard() == ["eve@two: hello"]


def test_guests_and_a_remote_user() -> None:
    with World(settings=ONE, channels={"lobby": 3}) as world:
        peer = world.peer("two")
        zoe = world.guest("zoe")
        assert peer.ask("FEDMSG eve@two zoe hello") == ["FEDRESULT eve MSG zoe@one 1"]
        assert zoe.heard() == ["DELIVERY eve@two hello"]
        (ann,) = world.room("lobby", "ann")
        assert peer.ask("FEDMSG eve@two ann hello") == ["FEDRESULT eve MSG ann@one 0"]
        assert peer.ask("FEDJOIN eve@two lobby", "FEDMSG eve@two ann hello") == [
            "FEDRESULT eve JOIN lobby:one 1",
            "FEDRESULT eve MSG ann@one 1",
        ]
        assert ann.saw() == ["* eve@two has joined the channel.", "[eve@two whispers to you:] hello"]
        assert ann.does("/whisper eve@two hello", "/list") == ["[Channel] lobby 2/3/0."]
        assert peer.heard() == ["FEDMSG ann@one eve hello"]
        assert peer.ask("FEDRESULT eve MSG eve@two 1", "FEDRESULT ann MSG eve@two 1") == []
        assert world.type("/mute lobby:eve@two 10")[-1] == "* Muted eve@two for 10 seconds."
        assert peer.ask("FEDSAY eve@two lobby hello") == ["FEDRESULT eve SAY lobby:one 0"]
        ann.saw()
        cut(peer)
        assert ann.saw() == ["* eve@two has left the channel."]


# ---- lost links ----


def test_what_a_lost_peer_leaves_behind(world: World) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    ann, dan = world.user("ann"), world.user("dan")
    alice = world.user("alice", "garden")
    peer.ask("FEDJOIN eve@two garden", "FEDCHANNELS tea")
    bob.send(b"SAY tea:two one\nSEND tea:two two\nSAY tea:two three\n")
    ann.send("JOIN tea:two")
    dan.send("SAY @eve@two hello")
    peer.heard()
    peer.ask("FEDRECV bob bob@one tea one")
    assert bob.heard() == ["RECV bob tea:two one"]
    cut(peer)
    assert bob.heard() == ["RESULT SEND ERROR", "RESULT SAY tea:two 0"]
    assert ann.heard() == ["RESULT JOIN tea:two 0"]
    assert dan.heard() == ["RESULT SAY 0"]
    assert alice.ask("USERS garden", "SAY garden alone") == ["RESULT USERS garden alice", "RECV alice garden alone"]
    assert bob.ask("SAY tea:two four", "SEND tea:two five", "CHANNELS") == [
        "RESULT SAY 0", "RESULT SEND ERROR", "RESULT CHANNELS garden",
    ]  # fmt: skip
    world.timers.let_pass(60)
    assert bob.heard() == ann.heard() == dan.heard() == []


def test_memberships_are_asked_for_again(world: World) -> None:
    peer = world.peer("two")
    users = [joined(world, name, "tea", peer) for name in ("ann", "bob", "cat")]
    joined(world, "dan", "tea", peer).leave()
    cut(peer)
    assert users[2].ask("LEAVE tea:two") == ["RESULT LEAVE tea:two 1"]
    for restarted in (world, World(settings=ONE, store=world.store)):
        peer = restarted.client()
        heard = peer.ask("FEDERATE-OUT two")
        assert sorted(heard[2:]) == [f"FEDJOIN {name}@one tea" for name in ("ann", "bob", "dan")]
        cut(peer)


def test_a_membership_that_is_confirmed_again_is_not_mentioned_and_one_that_is_not_ends(world: World) -> None:
    peer = world.peer("two")
    ann, bob = (joined(world, name, "tea", peer) for name in ("ann", "bob"))
    cut(peer)
    peer = world.client()
    peer.ask("FEDERATE-OUT two", "FEDRESULT ann JOIN tea:two 1", "FEDRESULT bob JOIN tea:two 0")
    assert ann.heard() == []
    assert bob.heard() == ["RESULT JOIN tea:two 0"]
    assert bob.ask("SAY tea:two hello") == ["RESULT SAY 0"]
    peer.ask("FEDRESULT ann JOIN tea:two 0")  # it was asked once
    assert ann.ask("SAY tea:two hello") == []
    assert peer.heard() == ["FEDSAY ann@one tea hello"]


def test_a_kick_from_a_remote_channel(world: World) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    peer.ask("FEDRESULT bob KICKED tea:two")
    assert bob.heard() == ["RESULT KICKED tea:two"]
    assert bob.ask("LEAVE tea:two") == ["RESULT LEAVE tea:two 0"]
    assert peer.heard() == []


def test_a_kick_right_behind_the_answer_to_a_join(world: World) -> None:
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    peer.send(b"FEDRESULT bob JOIN tea:two 1\nFEDRECV bob eve@two tea hi\nFEDRESULT bob KICKED tea:two\n")
    assert bob.heard() == ["RESULT JOIN tea:two 1", "RECV eve@two tea:two hi", "RESULT KICKED tea:two"]
    assert bob.ask("LEAVE tea:two") == ["RESULT LEAVE tea:two 0"]


def test_a_leave_ends_what_was_asked_for_again(world: World) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    cut(peer)
    peer = world.client()
    assert peer.ask("FEDERATE-OUT two")[-1] == "FEDJOIN bob@one tea"
    assert bob.ask("LEAVE tea:two") == ["RESULT LEAVE tea:two 1"]
    bob.send("JOIN tea:two")
    peer.ask("FEDRESULT bob JOIN tea:two 1", "FEDRESULT bob JOIN tea:two 0")
    assert bob.heard() == ["RESULT JOIN tea:two 1"]
    assert bob.ask("SAY tea:two hi") == []


def test_the_other_name_of_a_peer_is_unified() -> None:
    with World(settings=ONE, listed=[PINNED]) as world:
        peer = world.dialled()
        peer.ask("FEDERATE-CONFIRM")
        bob = world.user("bob")
        bob.send("JOIN tea:two")
        peer.ask("FEDRESULT bob JOIN tea:two 1", "FEDRECV bob eve@127.0.0.2 tea hi")
        assert bob.heard() == ["RESULT JOIN tea:two 1", "RECV eve@two tea:two hi"]


def test_a_kick_and_a_join_in_the_same_turn(world: World) -> None:
    world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    world.console.typed("/kick tea:eve@two")
    peer.send("FEDJOIN eve@two tea")
    assert peer.heard() == ["FEDRESULT eve KICKED tea:one", "FEDRESULT eve JOIN tea:one 1"]
    assert [*world.federation.users.of(world.federation.peers["two"]).memberships] == [("eve", "tea")]
    cut(peer)
    assert world.chat.users.remote == {}


def test_a_kick_of_one_whose_server_is_lost_in_the_same_turn(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    world.printed()
    world.console.typed("/kick tea:eve@two")
    peer.leave()
    assert world.printed() == ["* Kicked eve@two."]
    assert world.chat.users.remote == {}
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]


# ---- a disk that takes nothing ----


def test_remote_users_come_and_go_while_the_disk_takes_nothing(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea", "FEDJOIN ann@two tea")
    world.store._db.execute("PRAGMA query_only = 1")
    peer.send("FEDSAY eve@two tea lost")
    peer.send(b"FEDLEAVE ann@two tea\nFEDJOIN joe@two tea\nFEDJOIN joe@two nowhere\n")
    assert peer.heard() == [
        "FEDRESULT eve SAY tea:one 0",
        "FEDRESULT joe JOIN tea:one 1",
        "FEDRESULT joe JOIN nowhere:one 0",
    ]
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, eve@two, joe@two"]
    alice.send("SAY tea lost")
    cut(peer)
    assert alice.heard() == ["RESULT SAY 0"]
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]
    assert world.chat.users.remote == {}
    assert world.type("/empty tea") != []
    world.store._db.execute("PRAGMA query_only = 0")
    assert world.peer("two").ask("FEDJOIN eve@two tea") == ["FEDRESULT eve JOIN tea:one 1"]


def test_a_join_elsewhere_that_cannot_be_kept_is_taken_back_there(world: World) -> None:
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    world.store._db.execute("PRAGMA query_only = 1")
    assert peer.ask("FEDRESULT bob JOIN tea:two 1") == ["FEDJOIN bob@one tea", "FEDLEAVE bob@one tea"]
    assert bob.heard() == ["RESULT JOIN tea:two 0"]


def test_failures_are_told_for_the_last_messages_only(world: World) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    for number in range(MAX_PENDING + 5):
        bob.ask(f"SAY tea:two {number}")
    cut(peer)
    assert bob.heard() == ["RESULT SAY tea:two 0"] * MAX_PENDING


def test_a_late_failure_is_for_the_session_that_spoke(world: World) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    bob.ask("SAY tea:two hello", "LOGOUT", "LOGIN bob bob")
    again = world.user("ann")
    peer.heard()
    assert peer.ask("FEDRESULT bob SAY tea:two 0") == []
    assert bob.heard() in ([], ["RESULT SAY tea:two 0"])
    bob.ask("SAY tea:two hello")
    bob.leave()
    again.ask("LOGOUT", "LOGIN bob bob")
    peer.ask("FEDRESULT bob SAY tea:two 0")
    assert again.heard() == []


def test_one_of_two_links_is_lost(world: World) -> None:
    first, second = world.peer("two"), world.peer("two")
    bob, ann = joined(world, "bob", "tea", first), world.user("ann", "garden")
    ann.heard()
    assert second.ask("FEDJOIN eve@two garden") == ["FEDNEW garden", "FEDRESULT eve JOIN garden:one 1"]
    bob.send("SAY tea:two hello")
    ann.send("JOIN tea:two")
    assert first.heard() == ["FEDSAY bob@one tea hello", "FEDJOIN ann@one tea"]
    assert second.heard() == []
    cut(first)
    assert bob.heard() == ann.heard() == []
    assert second.heard() == ["FEDJOIN bob@one tea", "FEDJOIN ann@one tea"]
    second.ask("FEDRESULT ann JOIN tea:two 1", "FEDRESULT bob JOIN tea:two 1")
    assert ann.heard() == ["RESULT JOIN tea:two 1"]
    assert ann.ask("USERS garden") == ["RESULT USERS garden ann, eve@two"]
    ann.ask("SAY garden hello")
    assert second.heard() == ["FEDRECV eve ann@one garden hello"]
    world.timers.let_pass(ONE.federation_seconds)
    assert bob.heard() == ["RESULT SAY tea:two 0"]
    world.timers.let_pass(60)
    assert bob.heard() == []
    assert ann.ask("USERS garden") == ["RESULT USERS garden ann, eve@two"]


def test_who_came_over_a_link_that_is_gone_has_to_be_confirmed(world: World) -> None:
    """The peer has begun anew, and was back before that was noticed; of three members it has one still."""
    old = world.peer("two")
    alice = world.user("alice", "tea")
    old.ask(*(f"FEDJOIN {name}@two tea" for name in ("ann", "bob", "cat")))
    world.timers.let_pass(1)
    new = world.peer("two")
    assert new.ask("FEDJOIN bob@two tea") == ["FEDRESULT bob JOIN tea:one 1"]
    cut(old)
    world.timers.let_pass(ONE.federation_seconds - 1)
    assert new.ask("FEDLEAVE cat@two tea", "FEDJOIN cat@two tea") == ["FEDRESULT cat JOIN tea:one 1"]
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, ann@two, bob@two, cat@two"]
    world.timers.let_pass(1)
    world.settle()
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, bob@two, cat@two"]
    world.timers.let_pass(60)
    world.settle()
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, bob@two, cat@two"]


def test_a_leave_is_said_again_over_the_other_link(world: World) -> None:
    first, second = world.peer("two"), world.peer("two")
    ann, bob = (joined(world, name, "tea", first) for name in ("ann", "bob"))
    for user in (ann, bob):
        user.ask("LEAVE tea:two")
    first.heard()
    bob.send("JOIN tea:two")
    assert first.ask("FEDRESULT bob JOIN tea:two 1") == ["FEDJOIN bob@one tea"]
    cut(first)
    assert second.heard() == ["FEDLEAVE ann@one tea", "FEDJOIN bob@one tea"]


def test_a_peer_that_is_back_before_its_end_was_noticed(world: World) -> None:
    """It has forgotten all; and the end of its old link is read after the new link's first words."""
    old = world.peer("two")
    bob = joined(world, "bob", "tea", old)
    new = world.peer("two")
    assert new.heard() == []
    cut(old)
    assert new.heard() == ["FEDJOIN bob@one tea"]
    new.ask("FEDRESULT bob JOIN tea:two 0")
    assert bob.heard() == ["RESULT JOIN tea:two 0"]


def test_a_user_who_is_lost_and_comes_again_in_the_same_turn(world: World) -> None:
    alice = world.user("alice", "tea")
    old = world.peer("two")
    old.ask("FEDJOIN eve@two tea", "FEDJOIN ann@two tea")
    old.send("FEDJOIN zoe@two tea")
    old.leave()
    new = world.client()
    new.send(b"FEDERATE-OUT two\nFEDJOIN eve@two tea\nFEDSAY eve@two tea back\n")
    assert new.heard()[2:] == ["FEDRESULT eve JOIN tea:one 1", "FEDRECV eve eve@two tea back"]
    assert alice.heard() == ["RECV eve@two tea back"]
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, eve@two"]


def test_the_statistics_name_each_link(world: World) -> None:
    world.user("alice", "tea")
    world.peer("two").ask("FEDJOIN eve@two tea", "FEDCHANNELS a, b")
    (line,) = world.federation.statistics()
    assert line == "link with two (127.0.0.1 port 40000) users=1 memberships=1 channels=2"


def test_every_result_is_documented_by_its_type() -> None:
    assert set(RESULTS) == {"JOIN", "SAY", "MSG", "KICKED"}
