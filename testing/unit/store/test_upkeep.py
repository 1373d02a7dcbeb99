"""Channels that are renamed, deleted and pruned: their messages, numbers and markers, compared with a simple model."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_keys import ChannelKeys
from database_copies import Position
from domain.changes import (
    AccountRegistered,
    Change,
    ChannelCreated,
    ChannelDeleted,
    ChannelPruned,
    ChannelRenamed,
    Joined,
    Said,
    Seen,
)
from message_history import STRIDE
from store import MEMORY, Store
from support.examples import EXAMPLES

NAMES = "abc"


class Model:
    """Channels as lists of (number, text), and what bob has read of each."""

    def __init__(self) -> None:
        self.channels: dict[str, list[int]] = {}
        self.removed: dict[str, int] = {}
        self.read: dict[str, int] = {}

    def unread(self) -> dict[str, int]:
        counts = {name: sum(number > self.read[name] for number in said) for name, said in self.channels.items()}
        return {name: count for name, count in counts.items() if count}


class Machine:
    """A store, and the model that it must agree with."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model = Model()
        self.numbers = itertools.count(1)
        self.batch: list[Change] = []
        assert store.write([AccountRegistered("bob", b"x", 1.0)])

    def create(self, name: str) -> None:
        if name not in self.model.channels:
            self.model.channels[name] = []
            self.model.read[name] = 0
            self.batch += [ChannelCreated(name, "bob", 1.0), Joined("bob", name, 1.0)]

    def say(self, name: str, count: int) -> None:
        for _ in range(count if name in self.model.channels else 0):
            number = next(self.numbers)
            self.model.channels[name].append(number)
            self.batch.append(Said("bob", name, str(number), float(number), number))

    def rename(self, name: str, new: str) -> None:
        if name in self.model.channels and new not in self.model.channels:
            self.model.channels[new] = self.model.channels.pop(name)
            self.model.read[new] = self.model.read.pop(name)
            self.batch.append(ChannelRenamed(name, new))

    def delete(self, name: str) -> None:
        if self.model.channels.pop(name, None) is not None:
            self.batch.append(ChannelDeleted(name))

    def prune(self, name: str, number: int) -> None:
        if name in self.model.channels:
            self.model.channels[name] = [said for said in self.model.channels[name] if said > number]
            self.batch.append(ChannelPruned(name, number))

    def read(self, name: str, number: int) -> None:
        if name in self.model.channels and number > self.model.read[name]:
            said = self.model.channels[name]
            self.model.read[name] = max([n for n in said if n <= number], default=self.model.read[name])
            self.batch.append(Seen("bob", name, number))

    def commit(self) -> None:
        batch, self.batch = self.batch, []
        assert not batch or self.store.write(batch)

    def check(self) -> None:
        for name in NAMES:
            said = self.model.channels.get(name, [])
            assert self.history(name, 1000) == said
            assert self.history(name, 2) == said[-2:]
            for middle in said[:: max(1, len(said) // 3)]:
                assert self.history(name, 1000, before=middle) == [number for number in said if number < middle]
                assert self.history(name, 3, after=middle) == [number for number in said if number > middle][:3]
        assert dict(self.store.unread("bob")) == self.model.unread()
        stored = [number for (number,) in self.store._db.execute("SELECT id FROM messages ORDER BY id")]
        assert stored == sorted(itertools.chain(*self.model.channels.values())), "nothing else is kept"

    def history(self, name: str, count: int, **where: int) -> list[int]:
        found, pages = self.store.history(name, count, **where)
        messages = [message for page in pages for message in page]
        assert found == len(messages)
        assert all(message.channel == name and message.text == str(message.number) for message in messages)
        return [message.number for message in messages]


STEPS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(NAMES)),
    st.tuples(st.just("say"), st.sampled_from(NAMES), st.integers(1, 2 * STRIDE + 5)),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("prune"), st.sampled_from(NAMES), st.integers(0, 300)),
    st.tuples(st.just("read"), st.sampled_from(NAMES), st.integers(1, 300)),
    st.tuples(st.just("commit")),
)


@EXAMPLES
@given(st.lists(STEPS, max_size=25))
def test_channels_are_what_a_model_says(steps: list[tuple[Any, ...]]) -> None:
    store = Store(MEMORY)
    try:
        machine = Machine(store)
        for method, *words in steps:
            getattr(machine, method)(*words)
            if method == "commit":
                machine.check()
        machine.commit()
        machine.check()
    finally:
        store.close()


@pytest.mark.parametrize("is_long", [False, True])
def test_they_are_the_same_after_a_restart(tmp_path: Path, *, is_long: bool) -> None:
    """Also when the last message of all is gone: its number is not given again."""
    path = str(tmp_path / "x.db")
    machine = Machine(Store(path))
    many = 1100 if is_long else 70
    steps: list[tuple[Any, ...]] = [
        ("create", "a"), ("say", "a", many), ("rename", "a", "b"), ("create", "a"), ("say", "a", 40), ("say", "b", 5),
        ("commit",), ("prune", "b", many - 30), ("commit",), ("say", "b", 3), ("create", "c"), ("say", "c", 2),
        ("delete", "c"),
    ]  # fmt: skip
    for method, *words in steps:
        getattr(machine, method)(*words)
    machine.commit()
    newest = machine.store.last_number
    machine.store.close()
    machine.store = Store(path)
    assert machine.store.last_number == newest
    machine.check()
    machine.say("a", 40)
    machine.say("b", 40)
    machine.rename("b", "c")
    machine.commit()
    machine.check()
    machine.store.close()


def test_what_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    machine = Machine(Store(str(tmp_path / "x.db")))
    for method, *words in (("create", "a"), ("say", "a", 70), ("create", "b"), ("say", "b", 3)):
        getattr(machine, method)(*words)
    machine.commit()
    failing: list[Change] = [
        ChannelRenamed("a", "c"), ChannelCreated("a", "bob", 1.0), ChannelPruned("c", 30), ChannelDeleted("b"),
        ChannelCreated("b", "bob", 1.0), ChannelCreated("b", "bob", 1.0),
    ]  # fmt: skip
    assert not machine.store.write(failing)
    machine.check()
    machine.say("a", 40)
    machine.commit()
    machine.check()
    machine.store.close()


def test_the_oldest_messages_are_found() -> None:
    store = Store(MEMORY)
    machine = Machine(store)
    machine.create("a")
    machine.say("a", 100)
    machine.commit()
    assert store.oldest("a", 30.5, 500) == 30
    assert store.oldest("a", 30.5, 10) == 10
    assert store.oldest("a", 0.5, 10) == store.oldest("b", 99.0, 10) == 0
    machine.prune("a", 28)
    machine.commit()
    assert store.oldest("a", 30.5, 1) == 29
    machine.prune("a", 100)
    machine.commit()
    assert store.oldest("a", 1000.0, 10) == 0
    store.close()


def test_whether_a_history_is_being_read() -> None:
    store = Store(MEMORY)
    machine = Machine(store)
    machine.create("a")
    machine.say("a", 70)
    machine.commit()
    _found, pages = store.history("a", 70)
    assert not store.is_read
    next(pages)
    assert store.is_read
    del pages
    assert not store.is_read
    store.close()


def test_keys() -> None:
    keys = ChannelKeys({})
    assert keys.create("a") is None
    assert keys.rename("a", "b") == "a"
    assert (keys.create("a"), keys.create("c")) == ("a|1", None)
    assert keys.rename("a", "d") == "a|1"
    assert keys.create("a") == "a|2"
    assert keys.rename("b", "a2") == "a"
    keys.rolled_back()
    assert keys.by_name == {}
    keys.rename("a", "b")
    keys.committed()
    keys.remove("b")
    keys.rolled_back()
    assert (keys["b"], keys["x"], keys.names()) == ("a", "x", {"a": "b"})
    assert keys.rename("b", "a") == "a"
    assert keys.by_name == {}, "it is its name again"


def test_copies_of_a_cluster_stay_the_same(tmp_path: Path) -> None:
    """Each copy gets the same changes, some of them in other batches, and one is opened again in between."""
    machine = Machine(Store(str(tmp_path / "first.db"), is_copy=True))
    copies = [machine.store, Store(str(tmp_path / "second.db"), is_copy=True)]
    assert copies[1].write([AccountRegistered("bob", b"x", 1.0)])
    steps: list[tuple[Any, ...]] = [
        ("create", "a"), ("say", "a", 70), ("rename", "a", "b"), ("create", "a"), ("say", "a", 3), ("prune", "b", 40),
        ("delete", "a"), ("create", "a"), ("say", "a", 1),
    ]  # fmt: skip
    for applied, (method, *words) in enumerate(steps, 1):
        getattr(machine, method)(*words)
        batch, machine.batch = machine.batch, []
        assert copies[0].replicate(batch, Position(applied, "run", "", ""))
        half = len(batch) // 2
        for piece in filter(None, (batch[:half], batch[half:])):
            assert copies[1].replicate(piece, Position(applied, "run", "", ""))
        if method == "rename":
            copies[1].close()
            copies[1] = Store(str(tmp_path / "second.db"), is_copy=True)
    for machine.store in copies:
        machine.check()
    contents = [
        [sorted(store._db.execute(f"SELECT * FROM {table}").fetchall()) for table in ("messages", "places", "accounts")]
        for store in copies
    ]
    assert contents[0] == contents[1]
    for store in copies:
        store.close()
