"""domain/journal.py: one order for all changes, and what a backend that refuses leaves of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.changes import Change, ChannelCreated, InOrder, Left, Outcome, Undo
from domain.errors import NotAMember, StoreUnavailable
from domain.journal import Journal
from support.examples import EXAMPLES


class Register:
    """A domain that keeps names: each change adds its account, and is refused when that is there; the backend keeps
    what it is given. `fails`: it takes nothing."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.written: list[str] = []
        self.told: list[tuple[str, type[Exception] | None]] = []
        self.fails = False
        self.batches = 0
        self.journal = Journal(self.write, self.apply, self.publish)

    def write(self, changes: Sequence[Change]) -> bool:
        self.batches += 1
        if not self.fails:
            self.written += [name_in(change) for change in changes]
        return not self.fails

    def apply(self, change: Change) -> Undo:
        if name_in(change) in self.names:
            raise NotAMember
        self.names.append(name_in(change))
        return self.names.pop

    def publish(self, outcomes: Iterable[Outcome]) -> None:
        for _change, error, done in outcomes:
            done(error)

    def submit(self, change: Change, then: Callable[[], object] = lambda: None) -> None:
        def done(error: Exception | None) -> None:
            self.told.append((name_in(change), None if error is None else type(error)))
            then()

        self.journal.submit(change, done)


def name_in(change: Change) -> str:
    if isinstance(change, InOrder):
        return str(change.tell())
    assert isinstance(change, Left)
    return change.account


def durable(name: str) -> Left:
    return Left(name, "room")


def ephemeral(name: str) -> InOrder:
    return InOrder(lambda: None, lambda: name)


def test_nothing_is_decided_before_the_commit_and_one_batch_is_written() -> None:
    register = Register()
    for name in "aba":
        register.submit(durable(name))
    assert (register.names, register.told) == ([], [])
    register.journal.commit()
    assert register.told == [("a", None), ("b", None), ("a", NotAMember)]
    assert (register.written, register.batches) == (["a", "b"], 1)


def test_changes_that_are_submitted_while_outcomes_are_told_are_committed_too() -> None:
    register = Register()
    register.submit(durable("a"), lambda: register.submit(durable("b")))
    register.journal.commit()
    assert register.told == [("a", None), ("b", None)]
    assert register.written == ["a", "b"]


def test_nothing_is_written_where_nothing_durable_stands() -> None:
    register = Register()
    register.fails = True
    register.journal.commit()
    register.submit(ephemeral("a"))
    register.submit(durable("a"))
    register.journal.commit()
    assert register.told == [("a", None), ("a", NotAMember)]
    assert register.batches == 0


def test_a_mistake_while_deciding_is_a_failure_of_that_change_alone(caplog: pytest.LogCaptureFixture) -> None:
    register = Register()
    register.submit(durable("a"))
    register.journal.submit(Left(["mistake"], "room"), lambda _error: None)  # type: ignore[arg-type]
    register.names = Names()
    register.submit(durable("b"))
    register.journal.commit()
    assert register.told == [("a", None), ("b", None)]
    assert "error while deciding Left" in caplog.text


class Names(list[str]):
    """Names of which none is a list."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) if isinstance(name, str) else bool(1 / 0)


@EXAMPLES
@given(st.lists(st.tuples(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())), st.booleans()), max_size=5))
def test_a_batch_that_cannot_be_written_leaves_its_ephemeral_changes_alone(
    batches: list[tuple[list[tuple[str, bool]], bool]],
) -> None:
    """Whatever is refused, the state is that of the changes that stand, and these are written if they are durable."""
    register = Register()
    names: list[str] = []
    written: list[str] = []
    for changes, fails in batches:
        register.fails, register.told = fails, []
        for name, lasts in changes:
            register.submit(durable(name) if lasts else ephemeral(name))
        register.journal.commit()
        assert [name for name, _error in register.told] == [name for name, _lasts in changes]
        outcomes = [(*change, error) for change, (_name, error) in zip(changes, register.told, strict=True)]
        names += [name for name, _lasts, error in outcomes if error is None]
        written += [name for name, lasts, error in outcomes if lasts and error is None]
        assert (register.names, register.written) == (names, written)
        if fails:
            assert {error for _name, lasts, error in outcomes if lasts} <= {NotAMember, StoreUnavailable}


def test_a_change_alone_is_decided_when_all_before_it_is_published() -> None:
    told: list[str] = []
    batches: list[list[str]] = []

    def write(changes: Sequence[Change]) -> bool:
        batches.append([change.name for change in changes if isinstance(change, ChannelCreated)])
        return True

    def publish(outcomes: Iterable[Outcome]) -> None:
        for change, _error, done in outcomes:
            assert isinstance(change, ChannelCreated)
            told.append(change.name)
            done(None)

    journal = Journal(write, lambda _change: None, publish)

    def submit_late(_error: Exception | None) -> None:
        journal.submit(ChannelCreated("late", "", 1.0), lambda _error: None)

    for name in ("one", "two", "!three", "!four", "five", "!six"):
        submit = journal.submit_alone if name[0] == "!" else journal.submit
        submit(ChannelCreated(name, "", 1.0), submit_late if name == "two" else lambda _error: None)
    journal.commit()
    assert batches == [["one", "two"], ["!three"], ["!four"], ["five"], ["!six"], ["late"]]
    assert told == [name for batch in batches for name in batch]
