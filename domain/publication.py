"""Publication: the outcomes of changes are told in the order in which these were decided."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from domain.changes import Outcome, Said
from domain.clock import RisingClock
from domain.rules import Rule

log = logging.getLogger("crosstalk.chat")


class Publication:
    """Tells the outcomes of changes.

    Args:
        rules: what each kind of change does; they may be entered later.
        clock: of the times of messages. What is told is told at its end of the turn.
        tell_messages: tells consecutive messages of one channel.

    Attributes:
        is_under_way: whether outcomes are being told now.
    """

    def __init__(
        self, rules: Mapping[type, Rule], clock: RisingClock, tell_messages: Callable[[list[Said]], None]
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._tell_messages = tell_messages
        self.is_under_way = False

    def publish(self, outcomes: Iterable[Outcome]) -> None:
        """Publish the outcomes of changes, in order. Consecutive messages to one channel are one event.

        Subscriptions follow the same order, so no session gets a channel's messages before the answer to its JOIN.
        """
        self.is_under_way = True
        self._clock.end_turn()
        run: list[Said] = []
        for change, error, done in outcomes:
            said = change if error is None and isinstance(change, Said) else None
            if run and (said is None or said.channel != run[0].channel):
                self._tell_messages(run)
                run = []
            try:
                if said is not None:
                    run.append(said)
                elif error is None and (tell := self._rules[type(change)].tell) is not None:
                    tell(change)
                done(error)
            except Exception:  # a fault in one answer must not cost the others theirs
                log.exception("error while telling the outcome of %s", type(change).__name__)
        if run:
            self._tell_messages(run)
        self.is_under_way = False
