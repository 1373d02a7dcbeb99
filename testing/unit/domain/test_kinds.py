"""Kinds, authors, IDs and times of messages: what is kept, and what each protocol shows (M15, R39)."""

from __future__ import annotations

import json
from functools import partial

import pytest

from domain.changes import ACT, NOTICE, SAY, Said
from domain.clock import RisingClock
from domain.errors import CannotLeaveMail
from domain.events import ChannelMessages, DirectEcho, DirectMessage
from support.memory_chat import NOW, MemoryChat
from support.world import TIME, World

KINDS = ((SAY, "waves"), (ACT, "* waves"), (NOTICE, "waves"))


@pytest.mark.parametrize(("kind", "words"), KINDS)
def test_what_each_protocol_shows_of_a_message_to_a_channel(kind: str, words: str) -> None:
    world = World(channels={"lobby": 5})
    ann, bob = world.user("ann", "lobby"), world.user("bob", "lobby")
    (kim,) = world.room("lobby", "kim")
    peer = world.peer("two.example")
    peer.ask("FEDJOIN eve@two.example lobby")
    for client in (ann, bob, kim):
        client.heard()
    numbers = [world.chat.say(ann.session.principal, "lobby", "waves", lambda _error: None, kind)]
    assert ann.heard() == bob.heard() == [f"RECV ann lobby {words}"]
    assert kim.heard() == [f"[ann ({TIME})] {words}"]
    assert peer.heard()[-1] == f"FEDRECV eve ann@127.0.0.1 lobby {words}"
    assert world.printed()[-1].endswith(words)
    bob.send("TAGS id")
    assert bob.ask("HISTORY lobby")[-1] == f"@id={numbers[0]} RECV ann lobby {words}"
    line, end = world.order("export lobby")
    exported = json.loads(line)
    assert (exported["text"], exported.get("kind", SAY), end) == ("waves", kind, "OK")


@pytest.mark.parametrize(("kind", "words"), KINDS)
def test_what_each_protocol_shows_of_a_direct_message(kind: str, words: str) -> None:
    world = World(channels={"lobby": 5})
    ann, bob, zoe = world.user("ann", "lobby"), world.user("bob"), world.guest("zoe")
    eve = world.mailbox_user("eve")
    (kim,) = world.room("lobby", "kim")
    ann.heard()
    for name in ("bob", "zoe", "eve", "kim"):
        world.chat.messages.send_direct(ann.session.principal, name, "waves", lambda _error: None, ann.session, kind)
        assert ann.heard() == [f"RECV ann @{name} {words}"]
    assert bob.heard() == [f"RECV ann @ann {words}"]
    assert zoe.heard() == [f"DELIVERY ann {words}"]
    assert eve.heard() == [f"ann: {words}"]
    assert kim.heard() == [f"[ann whispers to you: ({TIME})] {words}"]


def test_a_notice_to_an_account_that_is_away_is_not_kept(memory: MemoryChat) -> None:
    ann, bob = memory.user("ann"), memory.account("bob")
    send = partial(memory.chat.messages.send_direct, ann.principal, "bob", "hi")
    assert memory.outcome(partial(send, session=ann, kind=NOTICE)) is CannotLeaveMail
    assert memory.outcome(partial(send, session=ann, kind=ACT)) is None
    assert bob.mail == 1


def test_a_direct_message_has_the_same_id_for_all_also_after_it_has_waited(memory: MemoryChat) -> None:
    ann, bob = memory.user("ann"), memory.account("bob")
    memory.outcome(partial(memory.chat.messages.send_direct, ann.principal, "bob", "hi", session=ann))
    (echo,) = ann.take()
    assert isinstance(echo, DirectEcho)
    (page,) = memory.chat.messages.mail(memory.user("bob"), bob)
    assert [mail.id for mail in page] == [echo.id]
    memory.outcome(partial(memory.chat.messages.send_direct, ann.principal, "ann", "hi", session=ann))
    message, second = ann.take()
    assert isinstance(message, DirectMessage)
    assert message.id == second.id != echo.id


def test_each_run_has_ids_of_its_own() -> None:
    ids = {World().chat.messages.next_id() for _ in range(3)}
    assert len(ids) == 3
    assert all(word.startswith("d") and word.endswith("-1") for word in ids)


def test_the_outcome_of_a_message_comes_before_the_message(memory: MemoryChat) -> None:
    ann = memory.user("ann", "garden")
    number = memory.chat.say(ann.principal, "garden", "hi", ann.done())
    memory.journal.commit()
    assert ann.take() == [("", None), ChannelMessages((Said("ann", "garden", "hi", NOW, number),))]


def test_times_are_in_milliseconds_and_never_go_back() -> None:
    machine = iter([5.0, 9.99999, 10.00049, 10.0016, 3.0, 10.001, 10.0029])
    clock = RisingClock(lambda: next(machine), 9.5)
    assert [clock.now() for _ in range(7)] == [9.5, 9.999, 10.0, 10.001, 10.001, 10.001, 10.002]


def test_the_messages_of_a_turn_have_one_time_and_none_goes_back() -> None:
    machine = iter(range(5, 100))
    clock = RisingClock(lambda: next(machine), 0.0)
    assert [clock.of_turn(), clock.of_turn(), clock.now(), clock.of_turn()] == [5, 5, 6, 6]
    clock.end_turn()
    assert [clock.of_turn(), clock.of_turn()] == [7, 7]
