"""federation.py: what a server makes of the lines of another, with peers played by hand and clocks that stand still."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.state import Limits
from federation import COMMANDS, RESULTS
from peering.peers import MAX_LINK_LINE
from settings import Settings
from support.examples import EXAMPLES, pieces
from support.peers import ONE, TWO, cut, is_closed, joined
from support.world import Client, World
from text import MAX_LINE

pytestmark = pytest.mark.usefixtures("no_mistake_is_only_logged")


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


UNFIT = [
    "FEDRECV ann eve@two tea hi", "FEDRECV nobody eve@two tea hi", "FEDRECV bob eve@two coffee hi",
    "FEDRECV bob eve@a:b tea hi", "FEDRECV bob e,ve@two tea hi", "FEDRECV bob@two eve@two tea hi",
    "FEDRECV bob eve@two /tea hi", "FEDRECV bob eve@two tea", "FEDRECV bob eve@two tea \x1b",
    "FEDRESULT bob JOIN tea:two 1", "FEDRESULT bob JOIN tea:two 0", "FEDRESULT bob JOIN coffee:two 1",
    "FEDRESULT bob SAY tea:two 0", "FEDRESULT bob SAY tea:three 0", "FEDRESULT bob MSG ann@two 1",
    "FEDRESULT bob MSG ann@three 1", "FEDRESULT bob MSG ann@two perhaps", "FEDRESULT bob JOIN tea:two perhaps",
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
    assert warnings[0].startswith("ignored a line from two (127.0.0.1 port 40000): ")
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


def test_unlisted_links_have_a_bound_together(caplog: pytest.LogCaptureFixture) -> None:
    """L50."""
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
    """L50."""
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
    """L50."""
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


def test_members_of_other_servers_take_no_place_in_a_room() -> None:
    with World(settings=ONE, channels={"lobby": 2}) as world:
        peer = world.peer("two")
        assert [line[-1] for line in peer.ask(*(f"FEDJOIN {user}@two lobby" for user in "xyz"))] == ["1", "1", "0"]
        ann, bob = (world.room_guest("lobby", name) for name in ("ann", "bob"))
        assert ann.saw() == ["* Welcome to the lobby channel, ann.", "* ann has joined the channel.",
                             "* bob has joined the channel."]  # fmt: skip
        carol = world.user("carol")
        assert carol.ask("JOIN lobby") == ["RESULT JOIN lobby 0"]
        dave = world.room_guest("lobby", "dave")
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


def test_a_limit_counts_what_was_said_before_in_the_same_packet() -> None:
    with World(settings=Settings(hostname="one", max_remote_users=1, max_remote_memberships=1)) as world:
        world.user("alice", "tea")
        peer = world.peer("two")
        peer.send(b"FEDJOIN bob@two tea\nFEDLEAVE bob@two tea\nFEDJOIN carol@two tea\nFEDJOIN dan@two tea\n")
        assert sorted(peer.heard()) == [f"FEDRESULT {name}" for name in (
            "bob JOIN tea:one 1", "carol JOIN tea:one 1", "dan JOIN tea:one 0",
        )]  # fmt: skip


def test_a_turn_is_one_commit_whatever_a_peer_asks_beyond_its_limits() -> None:
    """L49."""
    with World(settings=Settings(hostname="one", max_remote_users=1)) as world:
        world.user("alice", "tea")
        peer = world.peer("two")
        peer.ask("FEDJOIN bob@two tea")
        statements: list[str] = []
        world.store._db.set_trace_callback(statements.append)
        peer.send(b"FEDSAY bob@two tea hi\nFEDJOIN carol@two tea\n" * 3)
        assert [line for line in peer.heard() if line.startswith("FEDRESULT")] == ["FEDRESULT carol JOIN tea:one 0"] * 3
        assert statements.count("COMMIT") == 1


def test_a_peer_that_is_back_in_the_turn_of_its_loss_has_new_members(world: World) -> None:
    """L46."""
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN bob@two tea", "FEDJOIN eve@two tea")
    peer.send(b"FEDJOIN ann@two tea\n")
    peer.leave()
    back = world.client()
    back.send(b"FEDERATE-OUT two\nFEDJOIN bob@two tea\n")
    assert back.heard()[-1] == "FEDRESULT bob JOIN tea:one 1"
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, bob@two"]
    assert [*world.federation.users.of(world.federation.peers["two"]).memberships] == [("bob", "tea")]
    alice.ask("SAY tea hi")
    assert back.heard() == ["FEDRECV bob alice@one tea hi"]


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
        assert (members.users, members.memberships, members.in_channel) == ({}, {}, {}), lines
        assert not world.remote_members()
    peer.ask("FEDJOIN a@two tea")
    assert world.type("/kick tea:a@two") == ["* Kicked a@two."]
    assert peer.heard() == ["FEDRESULT a KICKED tea:one"]
    assert (members.users, members.memberships, members.in_channel) == ({}, {}, {})
    assert not world.remote_members()
    peer.ask("FEDJOIN a@two tea", "FEDJOIN b@two tea")
    cut(peer)
    assert (members.users, members.memberships, members.in_channel) == ({}, {}, {})
    assert not world.remote_members()
    assert not world.federation.peers


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


def test_the_statistics_name_each_link(world: World) -> None:
    world.user("alice", "tea")
    world.peer("two").ask("FEDJOIN eve@two tea", "FEDCHANNELS a, b")
    (line,) = world.federation.statistics()
    assert line == "link with two (127.0.0.1 port 40000) users=1 memberships=1 channels=2"


def test_every_result_is_documented_by_its_type() -> None:
    assert set(RESULTS) == {"JOIN", "SAY", "MSG", "KICKED"}
