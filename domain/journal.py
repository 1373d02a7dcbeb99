"""The journal: one order in which changes are decided, written and published.

A change may be submitted at any time. `Journal.commit` is called once a turn, before anything is sent. It decides all
waiting changes in order, and writes the accepted ones to the backend as one batch. It publishes the outcomes after
that, so what a client is told survives the process.

When the backend refuses the batch, its decisions are undone and each durable change of it fails; the next commit tries
again. Ephemeral changes (changes.InOrder) have their place in the same order, but are never written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from domain.changes import Change, Done, InOrder, Outcome, Undo
from domain.errors import ChatError, StoreUnavailable

log = logging.getLogger("crosstalk.journal")


class Journal:
    """The changes that wait, and what becomes of them.

    Args:
        write: makes a batch of changes durable, all or none; False means none.
        apply: decides a change and carries it out in memory; returns its undo, or raises a ChatError.
        publish: publishes outcomes, in order.

    Attributes:
        write: as given; `app.node.Node` wraps it to measure it.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Change]], bool],
        apply: Callable[[Change], Undo | None],
        publish: Callable[[Iterable[Outcome]], None],
    ) -> None:
        self.write = write
        self._apply = apply
        self._publish = publish
        self._waiting: list[tuple[Change, Done]] = []
        self._alone: list[int] = []
        """Places of the waiting changes that are batches by themselves."""

    def submit(self, change: Change, done: Done) -> None:
        """Queue a change. `done` is called when the commit that follows publishes it, with None or the error."""
        self._waiting.append((change, done))

    def submit_alone(self, change: Change, done: Done) -> None:
        """Queue a change that is a batch by itself: what was submitted before it is published before it is decided."""
        self._alone.append(len(self._waiting))
        self._waiting.append((change, done))

    def commit(self) -> None:
        """Decide, write and publish what waits, and what is submitted meanwhile."""
        while self._waiting:
            if self._alone:
                batch = self._next_batch()
            else:
                batch, self._waiting = self._waiting, []
            self._publish(self._commit(batch))

    def _next_batch(self) -> list[tuple[Change, Done]]:
        """Return what waits up to the next change that is a batch by itself, or that change."""
        waiting, size = self._waiting, max(1, self._alone[0])
        self._waiting = waiting[size:]
        self._alone = [place - size for place in self._alone if place]
        return waiting[:size]

    def _commit(self, batch: list[tuple[Change, Done]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        undos: list[Undo | None] = []
        apply = self._apply
        for change, done in batch:
            try:
                error, undo = None, apply(change)
            except Exception as raised:
                error, undo = _refusal(change, raised), None
            outcomes.append((change, error, done))
            undos.append(undo)
        durable = [change for change, error, _done in outcomes if error is None and type(change) is not InOrder]
        if not durable or self.write(durable):
            return outcomes
        for undo in reversed(undos):
            if undo is not None:
                undo()
        return [
            (change, self._decide_again(change, error, has_undo=undo is not None), done)
            for (change, error, done), undo in zip(outcomes, undos, strict=True)
        ]

    def _decide_again(self, change: Change, error: Exception | None, *, has_undo: bool) -> Exception | None:
        """Return the outcome of a change whose batch could not be written.

        A durable one fails. An ephemeral one that was undone or refused is decided again, without the durable ones.
        """
        if type(change) is not InOrder:
            return error or StoreUnavailable()
        if error is None and not has_undo:
            return None
        try:
            self._apply(change)
        except Exception as raised:
            return _refusal(change, raised)
        return None


def _refusal(change: Change, error: Exception) -> Exception:
    """Return the outcome of a change that was refused; log an error that is no ChatError."""
    if not isinstance(error, ChatError):
        log.exception("error while deciding %s", type(change).__name__)
    error.__traceback__ = None  # it leads back to the list of outcomes: only the collector would free that
    return error
