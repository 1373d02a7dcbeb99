"""Reading what the log has: batches of entries from a sequence on, from whichever copy answers.

A copy may be behind the others. So the entries that come are right, but an entry that does not come may exist.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from replica.link import EngineLink
from replica.names import ANSWER_SECONDS, NO_RESPONDERS, Names, ask, sequence_of
from replica.nats import Message

BATCH = 256
BATCH_BYTES = 1_000_000
"""How much a read asks for at once."""


class Reader:
    """The reads of a log, one at a time.

    Args:
        link: the connection to an engine.
        names: the cluster's names.
        clock: the monotonic clock, in seconds.
        begin: returns the sequence from which on entries are wanted.
        take: called with the sequence and the bytes of each entry.
        ended: called when a read has ended, with whether there may be more.
        purged: called when the log begins later than wanted.
    """

    def __init__(
        self,
        link: EngineLink,
        names: Names,
        *,
        clock: Callable[[], float],
        begin: Callable[[], int],
        take: Callable[[int, bytes], None],
        ended: Callable[[bool], None],
        purged: Callable[[], None],
    ) -> None:
        self.started = 0.0
        """When the last read began."""
        self._link = link
        self._names = names
        self._clock = clock
        self._begin = begin
        self._take = take
        self._ended = ended
        self._purged = purged
        self._reply = ""
        self._ends = 0.0
        self._again = False
        self._is_empty = True

    @property
    def is_reading(self) -> bool:
        """Whether a read has not been answered, and still may be."""
        return self._clock() < self._ends

    def read(self) -> None:
        """Read; once more if that is being done."""
        if self.is_reading:
            self._again = True
            return
        self._again, self._is_empty = False, True
        self.started = self._clock()
        self._ends = self.started + ANSWER_SECONDS
        begin = self._begin()
        fields = {"seq": begin, "batch": BATCH, "max_bytes": BATCH_BYTES}
        handler = partial(self._shown, begin)
        self._reply = ask(self._link, self._names, "DIRECT.GET", handler, fields, instead_of=self._reply)

    def abandon(self) -> None:
        """Expect no answer any more: the connection is another."""
        self._link.forget(self._reply)
        self._ends = 0.0

    def _shown(self, begin: int, message: Message) -> None:
        if not message.status:
            sequence = sequence_of(message)
            if self._is_empty and sequence > begin:  # a batch begins with the first entry that there is
                self.abandon()
                self._purged()
                return
            self._is_empty = False
            self._take(sequence, message.payload)
            return
        self.abandon()
        if message.status != NO_RESPONDERS:
            self._ended(self._again or not self._is_empty)
