"""Purging the log: what all live nodes have on their disks need not stay in the engines.

The primary does it, each minute, while the log is larger than it shall be. It keeps KEPT_ENTRIES for nodes that were
away for a moment; one that lacks more takes a snapshot. While the primary is alone it purges nothing: its file would be
the only one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from replica.link import EngineLink
from replica.names import ANSWER_SECONDS, Names, ask, error_code, read_answer
from replica.nats import Message

PURGE_SECONDS = 60.0
"""How often the size of the log is looked at."""

FIRST_SECONDS = 5.0
"""How long after the beginning of a lead it is looked at first: others have announced themselves by then."""

KEPT_ENTRIES = 10_000
"""Entries before the last safe one that stay."""

MIN_LIVE = 2
"""Nodes that must have what is purged."""

log = logging.getLogger("crosstalk.replica")


class Purge:
    """The purge of a primary, which ticks it.

    Args:
        link: the connection to an engine.
        names: the cluster's names.
        clock: the monotonic clock, in seconds.
        log_bytes: size that the log is kept near.
    """

    def __init__(self, link: EngineLink, names: Names, clock: Callable[[], float], *, log_bytes: int) -> None:
        self._link = link
        self._names = names
        self._clock = clock
        self._log_bytes = log_bytes
        self._safe: Sequence[int] = ()
        self._look_at: float | None = None
        self._reply = ""

    def tick(self, safe: Sequence[int]) -> None:
        """Look at the log, if it is time.

        Args:
            safe: of each live node, this one included: the last entry that is synced to its disk.
        """
        now = self._clock()
        if self._look_at is None:
            self._look_at = now + FIRST_SECONDS
        if now >= self._look_at:
            self._look_at = now + PURGE_SECONDS
            self._safe = safe
            self._ask("STREAM.INFO", self._look, {})

    def _ask(self, request: str, handler: Callable[[Message], None], fields: dict[str, int]) -> None:
        self._reply = ask(self._link, self._names, request, handler, fields, instead_of=self._reply)

    def _look(self, message: Message) -> None:
        answer = read_answer(message.payload)
        if "state" not in answer:
            self._look_at = self._clock() + ANSWER_SECONDS  # no leader just now
            return
        state = answer["state"]
        first = keep_from(self._log_bytes, self._safe, state["bytes"], state["first_seq"], state["last_seq"])
        if first > state["first_seq"]:
            self._ask("STREAM.PURGE", self._purged, {"seq": first})

    def _purged(self, message: Message) -> None:
        answer = read_answer(message.payload)
        if error_code(answer) or "purged" not in answer:
            log.warning("the engines did not purge the log: %s", answer.get("error", "no answer"))
        else:
            log.info("purged %d entries of the log", answer["purged"])


def keep_from(log_bytes: int, safe: Sequence[int], size: int, first: int, last: int) -> int:
    """Return the first entry that is to stay.

    Args:
        log_bytes: size that the log is kept near.
        safe: of each live node, the last entry that is synced to its disk.
        size: bytes of the log.
        first, last: its first and last entry.
    """
    if len(safe) < MIN_LIVE or size <= log_bytes or last < first:
        return first
    too_many = (last - first + 1) * (size - log_bytes) // size
    return max(first, min(first + too_many, min(safe) - KEPT_ENTRIES))
