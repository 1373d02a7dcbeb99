"""peering/remote.py: what users here ask of other servers, and what becomes of it."""

from __future__ import annotations

import pytest

from domain.state import Limits
from peering.pending import MAX_PENDING
from support.peers import ONE, PINNED, cut, joined
from support.world import World

pytestmark = pytest.mark.usefixtures("no_mistake_is_only_logged")


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
    world.node.operator.received(b"/kick tea:eve@two\n")
    peer.send("FEDJOIN eve@two tea")
    assert peer.heard() == ["FEDRESULT eve KICKED tea:one", "FEDRESULT eve JOIN tea:one 1"]
    assert [*world.federation.users.of(world.federation.peers["two"]).memberships] == [("eve", "tea")]
    cut(peer)
    assert not world.remote_members()


def test_a_kick_of_one_whose_server_is_lost_in_the_same_turn(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    world.printed()
    world.node.operator.received(b"/kick tea:eve@two\n")
    peer.leave()
    assert world.printed() == ["* Kicked eve@two."]
    assert not world.remote_members()
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]


# ---- a disk that takes nothing ----


def test_remote_users_come_and_go_while_the_disk_takes_nothing(world: World) -> None:
    alice = world.user("alice", "tea")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea", "FEDJOIN ann@two tea")
    world.let_database_take(anything=False)
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
    assert not world.remote_members()
    assert world.type("/empty tea") != []
    world.let_database_take(anything=True)
    assert world.peer("two").ask("FEDJOIN eve@two tea") == ["FEDRESULT eve JOIN tea:one 1"]


def test_a_join_elsewhere_that_cannot_be_kept_is_taken_back_there(world: World) -> None:
    peer = world.peer("two")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    world.let_database_take(anything=False)
    assert peer.ask("FEDRESULT bob JOIN tea:two 1") == ["FEDJOIN bob@one tea", "FEDLEAVE bob@one tea"]
    assert bob.heard() == ["RESULT JOIN tea:two 0"]


def test_failures_are_told_for_the_last_messages_only(world: World) -> None:
    peer = world.peer("two")
    bob = joined(world, "bob", "tea", peer)
    for number in range(MAX_PENDING + 5):
        bob.ask(f"SAY tea:two {number}")
    cut(peer)
    assert bob.heard() == ["RESULT SAY tea:two 0"] * MAX_PENDING


def test_direct_messages_that_nobody_answers_are_limited(world: World) -> None:
    """A session waits for its answer; a user who comes back again and again does not."""
    peer = world.peer("two")
    world.user("bob").leave()
    for number in range(MAX_PENDING):
        bob = world.client()
        bob.ask("LOGIN bob bob", f"SAY @eve@two {number}")
        bob.leave()
    assert len(peer.heard()) == MAX_PENDING
    bob = world.client()
    assert bob.ask("LOGIN bob bob", "SAY @eve@two more") == ["RESULT LOGIN 1", "RESULT SAY 0"]
    assert peer.ask("FEDRESULT bob MSG eve@two 1") == []
    bob.send("SAY @eve@two again")
    assert peer.heard() == ["FEDMSG bob@one eve again"]


def test_what_is_said_while_a_link_is_lost_reaches_those_who_are_here(world: World) -> None:
    """The peer's users are still members when the message is published; nothing is sent to them any more."""
    peer = world.peer("two")
    ann, bob = world.user("ann", "garden"), world.user("bob", "garden")
    peer.ask("FEDJOIN eve@two garden")
    ann.send("SAY garden hello")
    peer.leave()
    assert ann.heard() == bob.heard() == ["RECV ann garden hello"]
    assert peer.heard() == []


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
