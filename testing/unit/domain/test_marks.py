"""domain/reading.py: read markers by number and by time are one (R49)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.changes import AccountRegistered, MailboxOpened, Said, Seen
from domain.chat import Chat
from domain.errors import NoSuchChannel, NotAMember, StoreUnavailable
from domain.events import MarkerMoved
from domain.state import Account, Limits
from store import MEMORY, Store
from support.examples import EXAMPLES
from support.memory_chat import FakeSession
from support.world import FakePasswords

START = 1000.0


class Readers:
    """A chat with a database and a clock that is set by hand."""

    def __init__(self, path: str = MEMORY) -> None:
        self.clock = START
        self.store = Store(path)
        self.chat = Chat(self.store, FakePasswords(), lambda: self.clock, Limits())
        self.chat.restore(self.store.load())

    def outcome(self, call: Any) -> Exception | None:
        outcomes: list[Exception | None] = []
        call(outcomes.append)
        self.chat.journal.commit()
        (error,) = outcomes
        return error

    def user(self, name: str, *channels: str) -> FakeSession:
        session = FakeSession()
        if name not in self.chat.users.accounts:
            assert self.outcome(partial(self.chat.accounts.register, session, name, name)) is None
        assert self.outcome(partial(self.chat.logins.login, session, name, name, alongside=True)) is None
        for channel in channels:
            self.outcome(partial(self.chat.create, session.principal, channel))
            self.outcome(partial(self.chat.join, session.principal, channel))
        return session

    def says(self, session: FakeSession, channel: str, at: float) -> int:
        """Say something at a time; return its number."""
        self.clock = at
        assert self.outcome(partial(self.chat.say, session.principal, channel, "hi")) is None
        return self.chat.reading.last_published

    def seen(self, session: FakeSession, channel: str, number: int) -> Exception | None:
        return self.outcome(partial(self.chat.reading.mark, session, channel, number))

    def marks(self, session: FakeSession, target: str, at: float) -> Exception | None:
        return self.outcome(partial(self.chat.reading.mark_at, session, target, at))

    def at(self, session: FakeSession, target: str) -> float | None:
        return self.chat.reading.markers(session.principal).get(target)

    def unread(self, session: FakeSession) -> dict[str, int]:
        return dict(self.chat.reading.unread(session.principal))


@pytest.fixture
def readers() -> Iterator[Readers]:
    readers = Readers()
    with contextlib.closing(readers.store):
        yield readers


def test_a_marker_by_number_is_at_its_messages_time(readers: Readers) -> None:
    ann = readers.user("ann", "garden", "shed")
    one, two, three = (readers.says(ann, "garden", at) for at in (1001, 1002, 1003))
    assert readers.unread(ann) == {"garden": 3}
    assert readers.at(ann, "garden") == 0, "nothing had been said at the JOIN"
    assert readers.seen(ann, "garden", two) is None
    assert (readers.at(ann, "garden"), readers.unread(ann)) == (1002, {"garden": 1})
    assert readers.seen(ann, "garden", one) is None
    assert (readers.at(ann, "garden"), readers.unread(ann)) == (1002, {"garden": 1})
    assert readers.seen(ann, "garden", three + 50) is None
    assert (readers.at(ann, "garden"), readers.unread(ann)) == (1003, {})
    assert readers.at(ann, "shed") == 0


def test_a_marker_by_time_is_at_the_last_message_until_then(readers: Readers) -> None:
    ann = readers.user("ann", "garden", "shed")
    for at in (1001.0, 1002.0, 1003.0):
        readers.says(ann, "garden", at)
    readers.says(ann, "shed", 1004)
    for at, marked, unread in ((1001.5, 1001.5, 2), (1001.0, 1001.5, 2), (1002.0, 1002.0, 1), (5000.0, 1004.0, 0)):
        assert readers.marks(ann, "garden", at) is None
        assert readers.at(ann, "garden") == marked
        assert readers.unread(ann).get("garden", 0) == unread
    readers.says(ann, "garden", 1005)
    assert readers.unread(ann) == {"garden": 1, "shed": 1}, "nothing of the future has been read"


def test_markers_of_one_time_are_compared_by_number(readers: Readers) -> None:
    ann = readers.user("ann", "garden")
    first, second = (readers.says(ann, "garden", 1001) for _ in range(2))
    readers.seen(ann, "garden", first)
    assert readers.unread(ann) == {"garden": 1}
    readers.seen(ann, "garden", second)
    assert readers.unread(ann) == {}
    readers.seen(ann, "garden", first)
    assert readers.unread(ann) == {}


def test_who_may_mark_what(readers: Readers) -> None:
    ann, bob = readers.user("ann", "garden"), readers.user("bob")
    assert isinstance(readers.marks(bob, "garden", START), NotAMember)
    assert isinstance(readers.seen(ann, "nowhere", 1), NoSuchChannel)
    assert readers.marks(ann, "bob", 999) is None
    assert readers.marks(ann, "bob", 998) is None
    assert readers.at(ann, "bob") == 999
    assert readers.at(bob, "ann") is None


def test_the_other_clients_are_told(readers: Readers) -> None:
    ann = readers.user("ann", "garden")
    other = readers.user("ann")
    readers.says(ann, "garden", 1001)
    ann.take(), other.take()
    readers.marks(ann, "garden", 1001)
    readers.marks(ann, "garden", 1000)
    readers.marks(other, "bob", 1000)
    assert other.take() == [MarkerMoved("garden", 1001)] * 2
    assert ann.take() == [MarkerMoved("bob", 1000)]


def test_markers_last(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    readers = Readers(path)
    ann = readers.user("ann", "garden")
    readers.says(ann, "garden", 1001)
    readers.marks(ann, "garden", 1001)
    readers.marks(ann, "bob", 1000.5)
    readers.store.close()
    again = Readers(path)
    with contextlib.closing(again.store):
        ann = again.user("ann")
        assert again.chat.reading.markers(ann.principal) == {"garden": 1001, "bob": 1000.5}
        assert again.unread(ann) == {}
        assert again.chat.now() == 1001, "the clock goes on from the last message"


def test_an_account_has_a_thousand_marks_for_users_and_takes_them_with_it(readers: Readers) -> None:
    db = readers.store._db
    readers.chat.restore([AccountRegistered("ann", b"", START)])
    readers.store.write([MailboxOpened("ann", "id", START)])
    ann = FakeSession()
    ann.principal = Account("ann", None, "id")
    readers.clock = 5000
    for number in range(1002):
        assert readers.marks(ann, f"u{number}", 2000 - number if number == 1 else 2000 + number) is None
    kept = readers.chat.reading.markers(ann.principal)
    assert len(kept) == 1000
    assert {"u0", "u1"}.isdisjoint(kept)
    db.execute("DELETE FROM accounts WHERE id = 'id'")
    assert readers.chat.reading.markers(ann.principal) == {}


def test_a_marker_of_an_older_log_has_a_number_alone(readers: Readers) -> None:
    ann = readers.user("ann", "garden")
    numbers = [readers.says(ann, "garden", at) for at in (1001, 1002)]
    readers.store.write([Seen("ann", "garden", numbers[0])])
    assert readers.unread(ann) == {"garden": 1}
    readers.store.write([Seen("ann", "garden", numbers[1])])
    assert readers.unread(ann) == {}


def test_markers_that_cannot_be_read(readers: Readers) -> None:
    ann = readers.user("ann", "garden")
    readers.says(ann, "garden", 1001)
    readers.store._db.execute("ALTER TABLE messages RENAME TO lost")
    assert isinstance(readers.seen(ann, "garden", 1), StoreUnavailable)
    assert isinstance(readers.marks(ann, "garden", 1001), StoreUnavailable)


@EXAMPLES
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=40), st.integers(0, 60))
def test_messages_are_found_by_time_and_by_number(steps: list[tuple[int, int]], asked: int) -> None:
    with contextlib.closing(Store(MEMORY)) as store:
        said, number, at = [], 0, 10.0
        for more, later in steps:
            number, at = number + more, at + later
            said.append(Said("ann", "garden", "hi", at, number))
        store.write(said)
        for time in (asked, asked + 0.5):
            assert store.number_at(time) == max((each.number for each in said if each.at <= time), default=0)
        assert store.time_of(asked) == max((each.at for each in said if each.number <= asked), default=0)
