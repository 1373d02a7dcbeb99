"""peering/links.py and its links: dialling, lines, back-pressure, two links; peers by hand, clocks that stand still."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from domain.walks import STEPS_PER_TURN
from net.timers import Deadline
from peering.backpressure import MAX_PAUSE_SECONDS
from peering.dialer import FIRST_PAUSE, MAX_PAUSE, PAUSE_GROWTH, PeerDialer
from peering.peers import MAX_LINK_LINE, MAX_LINKS, PIECE_BYTES
from settings import PeerConfig, Settings
from support.examples import raising
from support.peers import ONE, TWO, cut, is_closed, joined
from support.world import Client, FakeTimers, World
from text import MAX_LINE

pytestmark = pytest.mark.usefixtures("no_mistake_is_only_logged")


def test_dialling() -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, None)]) as world:
        assert world.dials[0][:2] == ("127.0.0.2", 5051)
        peer = world.dialled()
        assert peer.ask("FEDCHANNELS too, early") == []
        assert peer.ask("FEDERATE-CONFIRM two", "FEDCHANNELS tea") == ["FEDCHANNELS"]
        assert world.client().ask("CHANNELS") == ["RESULT CHANNELS tea:two"]
        assert peer.transport.output_limit == ONE.max_link_buffer


def test_the_pauses_grow_and_begin_anew_when_a_link_has_lasted() -> None:
    jitter, pauses = [0.5], []

    class Timers(FakeTimers):
        def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
            pauses.append(seconds)
            return super().call_later(seconds, call)

    def dial(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("no pause has ended")

    dialer = PeerDialer(TWO, Timers(), dial, lambda: jitter[0], raising, lambda _dialer: True)
    for _ in range(12):
        dialer.dial_later()
    assert pauses[0] == FIRST_PAUSE
    for earlier, later in itertools.pairwise(pauses):
        assert later == pytest.approx(min(earlier * PAUSE_GROWTH, MAX_PAUSE))
    jitter[0] = 0.0
    dialer.dial_later()
    jitter[0] = 1.0
    dialer.dial_later(lasted=MAX_PAUSE + 1)
    assert pauses[-3:] == [MAX_PAUSE, 0.75 * MAX_PAUSE, 1.25 * FIRST_PAUSE]


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
        assert "has sent no FEDERATE-CONFIRM within 10 seconds" in caplog.text
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
    before = world.timers.deadlines.nearest()
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
    assert world.timers.deadlines.nearest() == before


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
    late, peer.transport.held = peer.transport.held, []
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
        assert thief.transport.limits == nameless.transport.limits == [("ban", "(the link is refused)")]


@pytest.mark.parametrize("word", ["", "a b", "two:5050", "[::1]", "tw\u00f6", "x" * 65, "1:2"])
def test_what_cannot_be_kept_out(word: str) -> None:
    with World(settings=ONE) as world:
        for verb in ("/unlink", "/relink"):
            answer = [f"* {word} is no server's name or address."] if len(word.split()) == 1 else []
            assert world.type(f"{verb} {word}") == answer


def test_without_federation_there_are_no_links() -> None:
    with World(settings=Settings(federation="off")) as world:
        assert world.type("/unlink two", "/relink two") == ["* There are no links: federation is off."] * 2


# ---- a channel with many users of one peer ----


def crowded(settings: Settings, users: int) -> tuple[World, Client, Client]:
    """Return a world, a user in the channel tea, and the peer with so many users there, which reads no more yet."""
    world = World(settings=settings, listed=[TWO])
    alice, peer = world.user("alice", "tea"), world.peer("two", "127.0.0.2")
    peer.send("".join(f"FEDJOIN u{number}@two tea\n" for number in range(users)).encode())
    assert peer.heard() == [f"FEDRESULT u{number} JOIN tea:one 1" for number in range(users)]
    peer.transport.pump = lambda: False  # type: ignore[method-assign]
    return world, alice, peer


def test_many_lines_to_one_peer_are_made_as_its_link_drains() -> None:
    """L47."""
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
    """L7."""
    world, alice, peer = crowded(ONE._replace(max_link_buffer=262144), 3000)
    with world:
        said = 0
        while not peer.transport.refused:
            alice.ask(f"SAY tea {'x' * 100}")
            said += 1
        assert said == 2  # one is taken whatever its size
        assert alice.ask("SAY tea more") == ["RECV alice tea more"]
        assert (peer.transport.refused, [reason for reason, _ in peer.transport.limits]) == (1, ["max-link-buffer"])
        cut(peer)
        for _ in range(3000 // STEPS_PER_TURN):
            world.let_pass(0)
        assert alice.ask("USERS tea", "SAY tea more") == ["RESULT USERS tea alice", "RECV alice tea more"]


def test_the_users_of_a_lost_link_leave_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users who come back meanwhile stay, and others have their turns."""
    world, alice, peer = crowded(ONE, 10)
    with world:
        monkeypatch.setattr("domain.walks.STEPS_PER_TURN", 3)
        cut(peer)
        assert len(alice.ask("USERS tea")[0].split(", ")) == 8
        peer = world.peer("two", "127.0.0.2")
        assert peer.ask("FEDJOIN u0@two tea", "FEDJOIN u9@two tea") == [
            f"FEDRESULT {user} JOIN tea:one 1" for user in ("u0", "u9")
        ]
        assert alice.ask("SAY tea hi") == ["RECV alice tea hi"]
        peer.send("FEDJOIN u8@two tea")
        for _ in range(4):
            world.let_pass(0)
        assert alice.ask("USERS tea") == ["RESULT USERS tea alice, u0@two, u8@two, u9@two"]
        alice.ask("SAY tea bye")
        assert [line for line in peer.heard() if "bye" in line] == [
            f"FEDRECV {user} alice@one tea bye" for user in ("u0", "u9", "u8")
        ]


def test_links_with_one_peer_are_limited(world: World) -> None:
    for _ in range(MAX_LINKS):
        world.peer("two")
    one_more = world.client()
    one_more.send("FEDERATE-OUT two")
    assert is_closed(one_more)


# ---- two links ----


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


def test_a_config_that_is_loaded_again_dials_what_is_new_and_ends_what_it_lists_no_longer() -> None:
    """The links of servers that are listed before and after stay."""
    kept, gone, new = (PeerConfig(f"127.0.0.{number}", 5051, None) for number in (2, 3, 4))
    with World(settings=ONE, listed=[kept, gone]) as world:
        first, second = world.dialled(), world.dialled()
        first.ask("FEDERATE-CONFIRM two"), second.ask("FEDERATE-CONFIRM three")
        world.federation.links.set_peers([kept, new])
        world.settle()
        assert [dial.host for dial in world.dials] == [new.address]
        assert (is_closed(first), is_closed(second)) == (False, True)
        third = world.dialled()
        assert third.ask("FEDERATE-CONFIRM four") == ["FEDCHANNELS"]
        world.timers.let_pass(2 * MAX_PAUSE)
        assert not world.dials, "nobody dials the one that is gone"


def test_a_link_that_has_dialled_stays_as_long_as_the_config_lists_its_server() -> None:
    listed = [PeerConfig("192.0.2.2", 5051, "two"), PeerConfig("192.0.2.3", 5051, "three")]
    with World(settings=ONE, listed=listed) as world:
        two, three = world.peer("two", "192.0.2.2"), world.peer("three", "192.0.2.3")
        world.federation.links.set_peers(listed[:1])
        world.settle()
        assert (is_closed(two), is_closed(three)) == (False, True)
        world.federation.links.set_peers(listed)
        assert not is_closed(world.peer("three", "192.0.2.3"))
