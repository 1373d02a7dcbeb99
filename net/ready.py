"""The descriptors that are ready and wait to be served."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from selectors import SelectorKey

Event = tuple[SelectorKey, int]
"""What a selector reports: the key of a descriptor, and a mask of events."""


class ReadyQueue:
    """Ready descriptors, each once, in the order in which the selector has first reported them.

    They are served in this order. While more are ready than a turn serves, the oldest and the newest take turns: so who
    comes during a burst of thousands need not wait for all of them, and none of them starves.

    Args:
        turn: how many a turn serves.
    """

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._waiting: OrderedDict[int, tuple[int, Event]] = OrderedDict()
        self._newest_next = False
        self.reports = 0
        """How many reports have been added."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, events: Iterable[Event]) -> list[SelectorKey]:
        """Add a selector's report; return the keys that wait already, which keep their places and earlier events."""
        self.reports += 1
        again = []
        for event in events:
            if event[0].fd in self._waiting:
                again.append(event[0])
            else:
                self._waiting[event[0].fd] = self.reports, event
        return again

    def take(self) -> Event:
        """Remove and return the next one. There must be one."""
        self._newest_next = not self._newest_next and len(self._waiting) > self._turn
        _descriptor, (_report, event) = self._waiting.popitem(last=self._newest_next)
        return event

    def has_any_of(self, report: int) -> bool:
        """Tell whether any waits that this report, or one before it, has added."""
        return bool(self._waiting) and next(iter(self._waiting.values()))[0] <= report

    def clear(self) -> None:
        """Drop all."""
        self._waiting.clear()
