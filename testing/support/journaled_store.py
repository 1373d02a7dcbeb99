"""A store behind a journal, which notes what is told."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from domain.changes import (
    AccountRegistered,
    Change,
    ChannelCreated,
    Joined,
    Outcome,
    Said,
)
from domain.errors import ChatError
from domain.journal import Journal
from store import MEMORY, Store, StoreError
from support.memory_store import memory_store

NOW = 1000.5


class JournaledStore:
    """A store behind a journal, and a domain that allows everything but what `refused` names, and notes all."""

    def __init__(self, path: Path | str) -> None:
        self.store = memory_store() if path == MEMORY else Store(str(path))
        self.told: list[Outcome] = []
        self.taken_back: list[Change] = []
        self.refused: dict[Change, ChatError] = {}
        self.on_publish: Callable[[], None] = lambda: None
        self.journal = Journal(self.store.write, self._decide, self._publish)

    def _decide(self, change: Change) -> Callable[[], object]:
        if change in self.refused:
            raise self.refused[change]
        return lambda: self.taken_back.append(change)

    def _publish(self, outcomes: Iterable[Outcome]) -> None:
        self.on_publish()
        self.told += outcomes
        for _change, error, done in outcomes:
            done(error)

    def write(self, *changes: Change) -> list[Exception | None]:
        """Commit changes and return their errors."""
        outcomes: list[Exception | None] = []
        for change in changes:
            self.journal.submit(change, outcomes.append)
        assert outcomes == []
        self.journal.commit()
        assert len(outcomes) == len(changes)
        return outcomes

    def history(self, channel: str, count: int = 100) -> list[str]:
        found, pages = self.store.history(channel, count)
        messages = [message for page in pages for message in page]
        assert found == len(messages)
        assert all(message.channel == channel for message in messages)
        return [message.text for message in messages]

    def fail(self, spare: int = 0) -> None:
        """From now on the disk is full, but for so many pages."""
        pages = self.store._db.execute("PRAGMA page_count").fetchone()[0]
        self.store._db.execute(f"PRAGMA max_page_count = {pages + spare}")

    def recover(self) -> None:
        self.store._db.execute("PRAGMA max_page_count = 1000000")


NUMBERS = itertools.count(100)  # the databases of older schemas have some messages


def said(text: str, channel: str = "room", sender: str = "alice") -> Said:
    """Return a message with the next number."""
    return Said(sender, channel, text, NOW, next(NUMBERS))


BIG = "x" * 8000
INITIAL = (
    AccountRegistered("alice", b"\x00\xffhash", NOW),
    AccountRegistered("bob", b"hash", NOW),
    ChannelCreated("room", "alice", NOW),
    ChannelCreated("attic", "alice", NOW),
    Joined("alice", "room", NOW),
)


WRITER = textwrap.dedent(
    """
    import itertools, os, resource, sys
    sys.path.insert(0, sys.argv[1])
    from domain.changes import *
    from domain.journal import Journal
    from store import Store
    store = Store(sys.argv[2])
    def publish(outcomes):
        for change, error, _done in outcomes:
            os.write(1, f"{change.text[:20].strip()} {type(error).__name__}\\n".encode())
    journal = Journal(store.write, lambda change: None, publish)
    """
)


def refusal(path: Path | str) -> str:
    """Why a database cannot be opened, in one line."""
    with pytest.raises(StoreError) as caught:
        Store(str(path))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message
