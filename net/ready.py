"""The descriptors that are ready and wait to be served."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from net.selector import EVENT_END, Event


class ReadyQueue:
    """Ready descriptors, each once, in the order in which the selector has first reported them.

    They are served in this order. If a turn has not served all, the oldest and the newcomers take turns in the next
    ones. So a newcomer need not wait for a burst of thousands. A descriptor that the turn before has served is no
    newcomer: sending more wins nobody more turns.

    Connections whose other side has ended wait apart, since nobody waits for them: thousands may end at once.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[int, Event]] = OrderedDict()
        self._ended: OrderedDict[int, tuple[int, Event]] = OrderedDict()
        self._newcomers: dict[int, None] = {}
        self._served: set[int] = set()
        """Descriptors that have been taken since the last report."""
        self._newcomer_is_next = False
        self.reports = 0
        """How many reports have been added."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._ended)

    @property
    def ended(self) -> int:
        """How many of them have ended."""
        return len(self._ended)

    def add(self, events: Iterable[Event]) -> list[int]:
        """Add a selector's report; return the descriptors that wait already, which keep their places and earlier
        events."""
        self.reports += 1
        served, self._served = self._served, set()
        is_crowded = bool(self._waiting)
        again = []
        for event in events:
            descriptor, _ready, mask = event
            if descriptor in self._waiting or descriptor in self._ended:
                again.append(descriptor)
            elif mask & EVENT_END:
                self._ended[descriptor] = self.reports, event
            else:
                self._waiting[descriptor] = self.reports, event
                if is_crowded and descriptor not in served:
                    self._newcomers[descriptor] = None
        return again

    def note_served(self, events: Iterable[Event]) -> None:
        """Note events of the last report that were served at once."""
        self._served.update(descriptor for descriptor, _ready, _mask in events)

    def take(self) -> Event:
        """Remove and return the next one that has not ended. There must be one."""
        self._newcomer_is_next = bool(self._newcomers) and not self._newcomer_is_next
        if self._newcomer_is_next:
            descriptor, _ = self._newcomers.popitem()
            _report, event = self._waiting.pop(descriptor)
        else:
            descriptor, (_report, event) = self._waiting.popitem(last=False)
            self._newcomers.pop(descriptor, None)
        self._served.add(descriptor)
        return event

    def take_ended(self) -> Event:
        """Remove and return the next one that has ended. There must be one."""
        _descriptor, (_report, event) = self._ended.popitem(last=False)
        return event

    def has_any_of(self, report: int) -> bool:
        """Tell whether any waits that this report, or one before it, has added."""
        oldest = (next(iter(waiting.values()))[0] for waiting in (self._waiting, self._ended) if waiting)
        return any(each <= report for each in oldest)

    def clear(self) -> None:
        """Drop all."""
        self._waiting.clear()
        self._ended.clear()
        self._newcomers.clear()
