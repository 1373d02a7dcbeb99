"""The descriptors that are ready and wait to be served."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from net.selector import Event


class ReadyQueue:
    """Ready descriptors, each once, in the order in which the selector has first reported them.

    They are served in this order. If a turn has not served all, the oldest and the newcomers take turns in the next
    ones. So a newcomer need not wait for a burst of thousands. A descriptor that the turn before has served is no
    newcomer: sending more wins nobody more turns.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[int, Event]] = OrderedDict()
        self._newcomers: dict[int, None] = {}
        self._served: set[int] = set()
        """Descriptors that have been taken since the last report."""
        self._newcomer_is_next = False
        self.reports = 0
        """How many reports have been added."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, events: Iterable[Event]) -> list[int]:
        """Add a selector's report; return the descriptors that wait already, which keep their places and earlier
        events."""
        self.reports += 1
        served, self._served = self._served, set()
        is_crowded = bool(self._waiting)
        again = []
        for event in events:
            descriptor = event[0]
            if descriptor in self._waiting:
                again.append(descriptor)
                continue
            self._waiting[descriptor] = self.reports, event
            if is_crowded and descriptor not in served:
                self._newcomers[descriptor] = None
        return again

    def note_served(self, events: Iterable[Event]) -> None:
        """Note events of the last report that were served at once."""
        self._served.update(descriptor for descriptor, _ready, _mask in events)

    def take(self) -> Event:
        """Remove and return the next one. There must be one."""
        self._newcomer_is_next = bool(self._newcomers) and not self._newcomer_is_next
        if self._newcomer_is_next:
            descriptor, _ = self._newcomers.popitem()
            _report, event = self._waiting.pop(descriptor)
        else:
            descriptor, (_report, event) = self._waiting.popitem(last=False)
            self._newcomers.pop(descriptor, None)
        self._served.add(descriptor)
        return event

    def has_any_of(self, report: int) -> bool:
        """Tell whether any waits that this report, or one before it, has added."""
        return bool(self._waiting) and next(iter(self._waiting.values()))[0] <= report

    def clear(self) -> None:
        """Drop all."""
        self._waiting.clear()
        self._newcomers.clear()
