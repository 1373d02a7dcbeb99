"""Deletion and renaming of channels, and the end of old messages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import StoreUnavailable
from domain.upkeep import CHECK_SECONDS, DAY, FIRST_CHECK_SECONDS, MAX_DELAYS, PIECE
from settings import Settings
from store import Store
from support.world import Client, World

ROOMS = {"lobby": 5, "attic": 5, "cellar": 9}


@pytest.fixture
def world() -> Iterator[World]:
    with World(channels=ROOMS, settings=Settings(hostname="one", federation="open")) as world:
        yield world


def order(world: World, line: str) -> list[str]:
    """Send a line at the control socket; let its pieces pass, and return the answer."""
    operator = world.client(world.node.control)
    operator.send(f"{line}\n")
    answer: list[str] = []
    while not answer:
        world.let_pass(0)
        answer = operator.heard()
    return answer


def test_a_channel_is_deleted_with_all_that_it_has(world: World) -> None:
    """P41."""
    ann, bob = world.user("ann", "tea", "hot"), world.user("bob", "tea")
    bob.ask("LOGOUT")
    ann.ask("SAY tea one", "TOPIC tea leaves", "SAY hot kept")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    peer.heard()
    assert order(world, "delete-channel tea") == ["OK The channel tea has been deleted."]
    assert ann.heard() == ["RESULT KICKED tea"]
    assert peer.heard() == ["FEDRESULT eve KICKED tea:one", "FEDCHANNELS attic, cellar, hot, lobby"]
    assert ann.ask("CHANNELS", "SAY tea x", "JOIN tea", "UNREAD", "JOINED") == [
        "RESULT CHANNELS attic, cellar, hot, lobby", "RESULT SAY 0", "RESULT JOIN tea 0", "RESULT UNREAD hot 1",
        "RESULT JOINED hot",
    ]  # fmt: skip
    assert ann.ask("CREATE tea", "JOIN tea", "HISTORY tea", "TOPIC tea", "USERS tea") == [
        "RESULT CREATE tea 1", "RESULT JOIN tea 1", "RESULT HISTORY tea 0", "RESULT TOPIC tea", "RESULT USERS tea ann",
    ]  # fmt: skip


def test_many_messages_are_deleted_in_pieces(world: World) -> None:
    """P41."""
    ann = world.user("ann", "tea")
    for _ in range(3):
        ann.ask(*["SAY tea x"] * (PIECE // 2))
    operator = world.client(world.node.control)
    operator.send("delete-channel tea\n")
    sizes = []
    while not operator.heard():
        (size,) = world.store._db.execute("SELECT count(*) FROM messages").fetchone()
        sizes.append(size)
        world.let_pass(0)
    assert sizes[0] >= PIECE // 2
    assert all(before - after <= PIECE for before, after in itertools.pairwise(sizes))


def test_a_user_who_comes_back_meanwhile_does_not_keep_a_channel(world: World) -> None:
    """P41."""
    ann = world.user("ann", "tea")
    ann.ask(*["SAY tea x"] * (PIECE + 1))
    operator = world.client(world.node.control)
    operator.send("delete-channel tea\n")
    assert "RESULT KICKED tea" in ann.heard()
    assert ann.ask("JOIN tea") == ["RESULT JOIN tea 1"]
    answer: list[str] = []
    while not answer:
        world.let_pass(0)
        answer = operator.heard()
    assert answer == ["OK The channel tea has been deleted."]
    assert ann.heard() == ["RESULT KICKED tea"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("delete-channel nowhere", "nowhere does not exist."),
        ("delete-channel lobby", "lobby has a port, so the config alone ends it."),
        ("rename-channel nowhere x", "nowhere does not exist."),
        ("rename-channel lobby x", "lobby has a port, so the config alone names it."),
        ("rename-channel tea hot", "hot exists already."),
        ("rename-channel tea lobby", "lobby exists already."),
        ("rename-channel tea tea", "tea exists already."),
        ("rename-channel tea a,b", "a,b is no name."),
        ("rename-channel tea hot:one", "hot:one is no name."),
    ],
)
def test_what_cannot_be_done(world: World, line: str, answer: str) -> None:
    """P41, P42."""
    ann = world.user("ann", "tea", "hot")
    ann.ask("SAY tea hi")
    assert order(world, line) == [f"ERROR {answer}"]
    assert ann.ask("JOINED", "HISTORY tea") == ["RESULT JOINED hot, tea", "RESULT HISTORY tea 1", "RECV ann tea hi"]


@pytest.mark.parametrize("new", ["hot", "lobby", "tea", "a,b"])
def test_a_channel_that_is_not_renamed_keeps_users_of_other_servers(world: World, new: str) -> None:
    """P42."""
    world.user("ann", "tea", "hot")
    peer = world.peer("two")
    peer.ask("FEDJOIN bob@two tea")
    (answer,) = world.order(f"rename-channel tea {new}")
    assert answer.startswith("ERROR ")
    assert peer.heard() == []
    assert "bob@two" in world.chat.channels.local["tea"].members


def test_a_renamed_channel_keeps_what_it_has(world: World) -> None:
    """P42, R56."""
    ann, bob = world.user("ann", "tea"), world.user("bob", "tea")
    carol = world.user("carol", "tea")
    carol.ask("LOGOUT")
    peer = world.peer("two")
    peer.ask("FEDJOIN eve@two tea")
    ann.ask("SAY tea one", "TOPIC tea leaves")
    bob.ask("SEEN tea 1")
    world.order("mute tea bob 1h")
    for client in (ann, bob, peer):
        client.heard()
    assert world.order("rename-channel tea cafe\u0301") == ["OK tea is caf\u00e9 now."]
    assert ann.heard() == bob.heard() == ["RESULT RENAMED tea caf\u00e9"]
    assert peer.heard() == [
        "FEDRESULT eve KICKED tea:one", "FEDNEW caf\u00e9", "FEDCHANNELS attic, caf\u00e9, cellar, lobby",
    ]  # fmt: skip
    assert bob.ask("SAY caf\u00e9 x", "SAY tea x") == ["RESULT SAY 0"] * 2
    assert ann.ask("SAY caf\u00e9 two") == ["RECV ann caf\u00e9 two"]
    assert bob.heard() == ["RECV ann caf\u00e9 two"]
    assert bob.ask("UNREAD", "USERS caf\u00e9", "TOPIC caf\u00e9", "JOINED") == [
        "RESULT UNREAD caf\u00e9 1", "RESULT USERS caf\u00e9 ann, bob, carol", "RESULT TOPIC caf\u00e9 leaves",
        "RESULT JOINED caf\u00e9",
    ]  # fmt: skip
    assert ann.ask("HISTORY caf\u00e9") == [
        "RESULT HISTORY caf\u00e9 2",
        "RECV ann caf\u00e9 one",
        "RECV ann caf\u00e9 two",
    ]
    assert carol.ask("LOGIN carol carol", "JOINED") == ["RESULT LOGIN 1", "RESULT JOINED caf\u00e9"]
    assert ann.ask("CREATE tea", "JOIN tea", "SAY tea new", "HISTORY tea") == [
        "RESULT CREATE tea 1", "RESULT JOIN tea 1", "RECV ann tea new", "RESULT HISTORY tea 1", "RECV ann tea new",
    ]  # fmt: skip


def test_a_client_of_irc_moves_to_the_new_name(world: World) -> None:
    """P42."""
    world.order("register ann ann")
    ann = world.client(world.node.dialects["irc"])
    ann.ask("PASS ann:ann\r", "NICK ann\r", "USER ann 0 * :ann\r", "JOIN #tea\r")
    ann.heard()
    assert world.order("rename-channel tea hot") == ["OK tea is hot now."]
    part, join, names, _end = ann.heard()
    assert part.endswith(" PART #tea :renamed to #hot\r")
    assert join.endswith(" JOIN #hot\r")
    assert "#hot :@ann" in names, "ranks stay"
    bob = world.user("bob", "hot")
    bob.ask("SAY hot hi")
    assert ann.heard()[-1].endswith(" PRIVMSG #hot :hi\r")


def test_a_renamed_channel_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """P42, C44."""
    path = str(tmp_path / "x.db")
    with World(store=Store(path)) as world:
        world.user("ann", "tea", "hot").ask("SAY tea one", "SAY hot two")
        world.order("rename-channel tea cold")
        order(world, "delete-channel hot")
        world.order("rename-channel cold hot")
    with World(store=Store(path)) as world:
        ann = world.client()
        assert ann.ask("LOGIN ann ann", "JOINED", "HISTORY hot") == [
            "RESULT LOGIN 1", "RESULT JOINED hot", "RESULT HISTORY hot 1", "RECV ann hot one",
        ]  # fmt: skip


def test_what_is_asked_in_the_same_turn_keeps_its_order(world: World) -> None:
    """P42: with the old name before, and in vain after."""
    ann, bob = world.user("ann", "tea"), world.user("bob")
    operator = world.client(world.node.control)
    for session, line in (
        (ann.session, b"SAY tea one\n"), (bob.session, b"JOIN tea\n"), (operator.session, b"rename-channel tea hot\n"),
        (ann.session, b"SAY tea two\n"), (operator.session, b"rename-channel hot cold\n"),
    ):  # fmt: skip
        session.received(line)
    assert operator.heard() == ["OK tea is hot now.", "OK hot is cold now."]
    renamed = ["RESULT RENAMED tea hot", "RESULT RENAMED hot cold"]
    assert sorted(ann.heard()) == sorted(["RECV ann tea one", "RESULT SAY 0", *renamed])
    assert bob.heard() == ["RESULT JOIN tea 1", *renamed]
    assert ann.ask("SAY cold three") == bob.heard() == ["RECV ann cold three"]


def test_a_name_that_cannot_be_written_is_not_given(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """P42."""
    ann = world.user("ann", "tea")
    write = world.chat.journal.write
    monkeypatch.setattr(world.chat.journal, "write", lambda _changes: False)
    assert world.order("rename-channel tea hot") == ["ERROR The database takes nothing."]
    monkeypatch.setattr(world.chat.journal, "write", write)
    assert ann.ask("SAY tea hi", "JOINED") == ["RECV ann tea hi", "RESULT JOINED tea"]


def said(client: Client, channel: str) -> list[str]:
    """Return the texts of a channel's history."""
    return [line.split()[-1] for line in client.ask(f"HISTORY {channel} 1000")[1:]]


def test_old_messages_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """C73."""
    with World(settings=Settings(retention=2)) as world:
        ann = world.user("ann", "tea", "hot")
        ann.ask("SAY tea one", "SAY hot two", "SEEN hot 2")
        days = [0.0]
        monkeypatch.setattr(world.chat.upkeep, "_now", lambda: 1000.0 + days[0] * DAY)
        days[0] = 1.9
        world.let_pass(CHECK_SECONDS)
        assert said(ann, "tea") == ["one"]
        world.let_pass(FIRST_CHECK_SECONDS)  # the second look
        days[0] = 2.1
        world.let_pass(CHECK_SECONDS - 1)
        assert said(ann, "tea") == ["one"]
        world.let_pass(2)
        for _ in range(4):
            world.let_pass(0)
        assert said(ann, "tea") == said(ann, "hot") == []
        assert ann.ask("UNREAD", "SAY hot three", "HISTORY hot 5 after 1", "UNREAD") == [
            "RESULT UNREAD", "RECV ann hot three", "RESULT HISTORY hot 1", "RECV ann hot three", "RESULT UNREAD hot 1",
        ]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [(2, 2), (0, 2), (30, 2), (2, 30), (2, 0)])
def test_what_is_too_old_goes_soon_after_the_start_and_after_a_change(
    before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C73: nobody waits a minute for it."""
    with World(settings=Settings(retention=before)) as world:
        ann = world.user("ann", "tea")
        ann.ask("SAY tea one")
        monkeypatch.setattr(world.chat.upkeep, "_now", lambda: 1000.0 + 3 * DAY)
        if after != before:
            world.chat.upkeep.retention = after
            world.chat.upkeep.start(world.timers)
        world.let_pass(FIRST_CHECK_SECONDS / 2)
        assert said(ann, "tea") == ["one"]
        world.let_pass(FIRST_CHECK_SECONDS)
        assert said(ann, "tea") == ([] if after == 2 else ["one"])


def test_a_removal_ends_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """C73: `retention 0` keeps the channels that a removal has not reached."""
    with World(settings=Settings(retention=1)) as world:
        ann = world.user("ann", "tea", "hot")
        ann.ask("SAY tea one", "SAY hot two")
        monkeypatch.setattr(world.chat.upkeep, "_now", lambda: 1000.0 + 3 * DAY)
        submit = world.chat.journal.submit

        def submit_and_keep_all(*args: Any) -> None:
            world.chat.upkeep.retention = 0
            submit(*args)

        monkeypatch.setattr(world.chat.journal, "submit", submit_and_keep_all)
        world.let_pass(2 * CHECK_SECONDS)
        assert sorted(said(ann, "tea") + said(ann, "hot")) in (["one"], ["two"])


def test_messages_are_kept_by_default_and_while_a_history_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """C73."""
    with World() as world:
        ann = world.user("ann", "tea")
        ann.ask("SAY tea one")
        monkeypatch.setattr(world.chat.upkeep, "_now", lambda: 1000.0 + 100 * DAY)
        world.let_pass(3 * CHECK_SECONDS)
        assert said(ann, "tea") == ["one"]
        world.chat.upkeep.retention = 1
        world.chat.upkeep.start(world.timers)
        _found, pages = world.store.history("tea", 10)
        next(pages)
        world.let_pass(CHECK_SECONDS)
        assert said(ann, "tea") == ["one"]
        pages.close()  # type: ignore[attr-defined]
        world.let_pass(2 * CHECK_SECONDS)
        assert said(ann, "tea") == []


def test_a_history_that_is_read_for_ever_delays_the_removal_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """C73."""
    with World(settings=Settings(retention=1)) as world:
        world.user("ann", "tea").ask("SAY tea one")
        monkeypatch.setattr(world.chat.upkeep, "_now", lambda: 1000.0 + 100 * DAY)
        _found, pages = world.store.history("tea", 10)
        next(pages)
        world.let_pass(MAX_DELAYS * CHECK_SECONDS)
        assert world.store.oldest("tea", 2000.0, 1)
        world.let_pass(2 * CHECK_SECONDS)
        assert not world.store.oldest("tea", 2000.0, 1)


def test_a_database_that_cannot_be_read_does_not_end_the_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    """C73."""

    def fail(*_args: object) -> int:
        raise StoreUnavailable

    with World(settings=Settings(retention=1)) as world:
        world.user("ann", "tea").ask("SAY tea one")
        monkeypatch.setattr(world.chat.upkeep, "_now", lambda: 1000.0 + 100 * DAY)
        with monkeypatch.context() as patch:
            patch.setattr(world.store, "oldest", fail)
            world.let_pass(CHECK_SECONDS + 1)
        assert world.store.oldest("tea", 2000.0, 1)
        world.let_pass(2 * CHECK_SECONDS)
        assert not world.store.oldest("tea", 2000.0, 1)


def test_nothing_is_looked_for_while_all_is_kept() -> None:
    """C73: turning it on while the server runs begins it, and off ends it."""
    with World() as world:
        upkeep, timers = world.chat.upkeep, world.timers
        timers.let_pass(0)
        waiting = len(timers.deadlines)
        upkeep.retention = 1
        upkeep.start(timers)
        upkeep.start(timers)
        assert len(timers.deadlines) == waiting + 1
        world.let_pass(2 * CHECK_SECONDS)
        assert len(timers.deadlines) == waiting + 1
        upkeep.retention = 0
        world.let_pass(2 * CHECK_SECONDS)
        assert len(timers.deadlines) == waiting


@pytest.mark.parametrize("order_line", ["delete-channel tea", "rename-channel tea hall"])
def test_an_answer_to_history_is_whole_or_the_connection_ends(world: World, order_line: str) -> None:
    """R57: another name is no matter, nor another channel of the same name."""
    ann, bob = world.user("ann", "tea"), world.user("bob", "tea")
    ann.ask(*[f"SAY tea {number}" for number in range(100)])
    bob.heard()
    bob.send("HISTORY tea 1000")
    (stream,) = bob.transport.behind
    bob.transport.behind = []
    assert isinstance(stream, Iterator)
    answer = next(stream)
    order(world, order_line)
    ann.heard()
    ann.ask("CREATE tea", "JOIN tea", *["SAY tea secret"] * 100)
    head, *lines = (answer + b"".join(stream)).decode().splitlines()
    assert head == "RESULT HISTORY tea 100"
    whole = [f"RECV ann tea {number}" for number in range(100)]
    assert lines == whole[: len(lines)]
    is_whole = lines == whole
    assert is_whole != bool(bob.transport.finished)
    assert is_whole == (order_line != "delete-channel tea")
