"""Snapshots: who gives one, who takes one, and what may go wrong on the way."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from database_copies import Position, position_in
from domain.changes import ChannelCreated, Said
from replica import snapshot
from replica.names import Names, SteppedDown, Unfit
from replica.nats import Message
from replica.snapshot import ASK_SECONDS, KEEP_SECONDS, SILENT_SECONDS, Copy, SnapshotGiver, SnapshotTaker
from store import Store
from support.bus import Bus, Clock

MESSAGES = 300


def filled(path: Path, applied: int) -> Store:
    """A node's file, with so many messages that a snapshot has several pieces."""
    store = Store(str(path), is_copy=True)
    messages = [Said("ann", "garden", f"{number} {'x' * 2000}", 1.0, number) for number in range(1, MESSAGES + 1)]
    assert store.replicate([ChannelCreated("garden", "ann", 1.0), *messages], Position(applied, "a-run", "d", "c"))
    return store


class Stage:
    """A node that is behind, and others that may help it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bus, self.clock = Bus(), Clock()
        self.jobs: list[Callable[[], None]] = []
        self.givers: list[SnapshotGiver] = []
        self.store = Store(str(directory / "taker.db"), is_copy=True)
        self.stores = [self.store]
        self.taker: SnapshotTaker | None = None

    def giver(self, name: str, *, leads: bool = False, applied: int = 50) -> SnapshotGiver:
        store = filled(self.directory / f"{name}.db", applied)
        self.stores.append(store)
        made = SnapshotGiver(self.bus.link(), Names("c"), name, store, self.in_thread, self.clock, lambda: leads)
        self.givers.append(made)
        return made

    def close(self) -> None:
        if self.taker is not None:
            self.taker.close()
        for giver in self.givers:
            giver.close()
        for store in self.stores:
            store.close()

    def in_thread(self, work: Callable[[], Copy], then: Callable[[Copy | None, BaseException | None], None]) -> None:
        def job() -> None:
            try:
                then(work(), None)
            except Exception as error:
                then(None, error)

        self.jobs.append(job)

    def begin(self) -> None:
        self.taker = SnapshotTaker(self.bus.link(), Names("c"), self.store, self.clock)

    def turn(self, seconds: float = 0.05) -> None:
        """Let time pass, work in threads end, and messages arrive."""
        assert self.taker
        self.clock.now += seconds
        self.taker.tick()
        for giver in self.givers:
            giver.tick()
        self.bus.deliver()
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job()
        self.bus.deliver()

    def turns(self, count: int, seconds: float = 0.05) -> None:
        for _ in range(count):
            self.turn(seconds)

    def requests(self) -> list[Any]:
        """What was asked of a giver or of all."""
        subjects = [m for m in self.bus.sent if m.subject.startswith("ct.c.snap")]
        return [(message.subject.removeprefix("ct.c.snap"), json.loads(message.payload)) for message in subjects]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def has_taken(stage: Stage) -> None:
    """The file is the giver's, and only its owner can read it."""
    path = stage.directory / "taker.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store = Store(str(path), is_copy=True)
    assert store.position == Position(50, "a-run", "d", "c")
    count, _pages = store.history("garden", 10**6)
    assert count == MESSAGES
    store.close()
    assert [name for name in os.listdir(stage.directory) if "copy" in name or "snapshot" in name] == []


def test_a_backup_gives_one_at_once(stage: Stage) -> None:
    stage.giver("backup")
    stage.begin()
    with pytest.raises(SteppedDown, match="up to entry 50, is in place"):
        stage.turns(30)
    has_taken(stage)
    pieces = [request["at"] for _subject, request in stage.requests() if request.get("do") == "piece"]
    assert pieces == [number * snapshot.PIECE for number in range(len(pieces))]
    assert len(pieces) > 2


def test_a_file_behind_a_link_stays_there(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "taker.db").symlink_to(tmp_path / "far" / "real.db")
    stage = Stage(tmp_path)
    stage.giver("backup")
    stage.begin()
    assert (tmp_path / "far" / "real.db.snapshot").exists()
    with pytest.raises(SteppedDown):
        stage.turns(30)
    assert (tmp_path / "taker.db").is_symlink()
    assert position_in(str(tmp_path / "far" / "real.db")).applied == 50
    stage.close()


def test_the_primary_gives_one_when_it_is_asked_again(stage: Stage) -> None:
    stage.giver("primary", leads=True)
    stage.begin()
    stage.turns(10)
    assert stage.requests() == [("", {"applied": 0, "again": False})]
    with pytest.raises(SteppedDown):
        stage.turns(60)
    has_taken(stage)
    assert stage.requests()[1] == ("", {"applied": 0, "again": True})


def test_the_first_offer_is_taken_and_only_that_giver_works(stage: Stage) -> None:
    for name in ("one", "two"):
        stage.giver(name)
    stage.begin()
    with pytest.raises(SteppedDown):
        stage.turns(30)
    assert {subject for subject, _request in stage.requests()} == {"", ".one"}


def test_nobody_offers_what_the_other_has_already(stage: Stage) -> None:
    stage.giver("behind", applied=7)
    stage.store.replicate([], Position(7, "a-run", "d", "c"))
    stage.begin()
    stage.turns(5, ASK_SECONDS)
    assert {subject for subject, _request in stage.requests()} == {""}


def test_lost_messages_are_asked_for_again(stage: Stage) -> None:
    stage.giver("backup")
    counts: dict[str, int] = {}

    def loses(message: Message) -> bool:
        key = f"{message.subject} {message.payload[:64]!r} {message.head!r}"
        counts[key] = counts.get(key, 0) + 1
        return counts[key] == 1

    stage.bus.loses = loses
    stage.begin()
    with pytest.raises(SteppedDown):
        stage.turns(80, ASK_SECONDS / 2)
    has_taken(stage)


def test_a_giver_that_falls_silent_is_left_for_another(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.giver("one")
    stage.giver("two")
    asked = 0

    def loses(message: Message) -> bool:
        nonlocal asked
        asked += message.subject == "ct.c.snap.one"
        return asked > 3 and ".one" in message.subject + message.payload.decode(errors="replace")

    stage.bus.loses = loses
    stage.begin()
    with pytest.raises(SteppedDown):
        stage.turns(60, SILENT_SECONDS / 6)
    has_taken(stage)
    assert "it has been silent" in caplog.text


def test_a_damaged_snapshot_is_not_kept(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.giver("backup")
    damaged = [True]
    stage.begin()
    link = stage.bus.links[-1]
    hear = link.hear

    def spoil(message: Message) -> None:
        if message.header(snapshot.OFFSET) == "0" and damaged:
            damaged.clear()
            message = message._replace(payload=b"?" + message.payload[1:])
        hear(message)

    link.hear = spoil  # type: ignore[method-assign]
    with pytest.raises(SteppedDown):
        stage.turns(80, ASK_SECONDS / 2)
    has_taken(stage)
    assert "its hash is wrong" in caplog.text


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"?", b"[]", b'{"do": "make"', b'{"do": "piece"}', b'{"do": "piece", "at": -1}'),
        *(b'{"do": "piece", "at": "x"}', b'{"do": "piece", "at": 1e99}', b'{"applied": "x"}', b'{"again": true}'),
    ],
)
def test_what_is_no_request_gets_no_answer(stage: Stage, payload: bytes) -> None:
    stage.giver("backup")
    asking = stage.bus.link()
    for subject in ("ct.c.snap", "ct.c.snap.backup"):
        stage.bus.sent.clear()
        asking.publish(subject, payload, reply="_INBOX.x")
        stage.bus.deliver()
        assert len(stage.bus.sent) == 1


def test_a_copy_for_which_nobody_asks_is_freed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Copy] = []
    close = Copy.close

    def note(copy: Copy) -> None:
        closed.append(copy)
        close(copy)

    monkeypatch.setattr(Copy, "close", note)
    stage.giver("backup")
    stage.begin()
    with pytest.raises(SteppedDown):
        stage.turns(30)
    assert not closed
    stage.clock.now += KEEP_SECONDS + 1
    stage.givers[0].tick()
    assert len(closed) == 1


def test_a_copy_that_cannot_be_made_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crosstalk")
    stage.giver("backup")
    make, failures = snapshot.make_copy, [OSError(28, "No space left on device")]

    def fails(source: snapshot.Source) -> Copy:
        if failures:
            raise failures.pop()
        return make(source)

    monkeypatch.setattr(snapshot, "make_copy", fails)
    stage.begin()
    with pytest.raises(SteppedDown):
        stage.turns(60)
    assert "cannot make a snapshot: [Errno 28] No space left on device" in caplog.text


def test_a_taker_whose_disk_is_full_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.giver("backup")
    stage.begin()

    def refuse(_path: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage.store, "replace", refuse)
    with pytest.raises(Unfit, match="No space left on device"):
        stage.turns(30)
    assert stage.store.replicate([], Position(1)), "the old file is as it was"
