"""The check that the engines' log is the one that this file was written from.

At each new connection three things are compared, before anything is written or applied: when the log was made, where it
ends, and the entry at `applied`. A missing log is made. Nodes may race, since making the same log again is no error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from database_copies import Position
from replica.link import EngineLink
from replica.names import (
    ANSWER_SECONDS,
    NO_RESPONDERS,
    NO_SUCH_STREAM,
    Names,
    Unfit,
    ask,
    digest_of,
    error_code,
    read_answer,
    sequence_of,
)
from replica.nats import Message

MISSING_SECONDS = 5.0
"""How long the engines, which may just have started, may lack what this file has of the log."""

MAX_LOG_BYTES = 8 * 1024**3
"""Size at which the engines refuse to store more; the purge keeps the log far below."""

OTHER_HISTORY = "the engines' log is not the one of this database"

log = logging.getLogger("crosstalk.replica")


def stream_of(names: Names, copies: int) -> dict[str, Any]:
    """Return the properties of a cluster's log: a stream that so many engines keep."""
    return {
        "name": names.stream,
        "subjects": [names.journal],
        "republish": {"src": names.journal, "dest": names.feed},
        "num_replicas": copies,
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_bytes": MAX_LOG_BYTES,
        "allow_direct": True,
        "deny_delete": True,
    }


class History:
    """The comparison.

    Args:
        link: the connection to an engine; its `opened` belongs to this.
        names: the cluster's names.
        position: returns the position of the file.
        accepted: called when the log is the one of the file.
        clock: the monotonic clock, in seconds.
        copies: how many engines keep the log.

    Attributes:
        is_checked: the log of the engine that is connected is the one of the file.
        is_empty: the log had no entry then.
        created: when the log was made, in the engines' words.
        last: its last sequence then.
    """

    def __init__(
        self,
        link: EngineLink,
        names: Names,
        position: Callable[[], Position],
        accepted: Callable[[], None],
        *,
        clock: Callable[[], float],
        copies: int,
    ) -> None:
        self.is_checked = False
        self.is_empty = False
        self.created = position().created
        self.last = position().applied
        self._link = link
        self._names = names
        self._position = position
        self._accepted = accepted
        self._clock = clock
        self._copies = copies
        self._reply = ""
        self._ask_at = 0.0
        self._doubted_since: float | None = None
        self._logged_error: Any = None
        link.opened = self._opened

    def tick(self) -> None:
        """Ask again for what got no answer."""
        if not self.is_checked and self._clock() >= self._ask_at:
            self._ask_for_state()

    def _opened(self) -> None:
        self.is_checked = False
        self._doubted_since = None
        self._ask_for_state()

    def _ask_for_state(self) -> None:
        self._ask_at = self._clock() + ANSWER_SECONDS
        self._ask("STREAM.INFO", self._informed)

    def _ask(self, request: str, handler: Callable[[Message], None], **fields: object) -> None:
        """Ask, and expect no other answer any more."""
        self._reply = ask(self._link, self._names, request, handler, fields, instead_of=self._reply)

    def _informed(self, message: Message) -> None:
        """Compare what the engines know of the log with the file.

        Raises:
            Unfit: it is another log.
        """
        info, position = read_answer(message.payload), self._position()
        if error_code(info) == NO_SUCH_STREAM:
            self._missing()
        if "state" not in info:
            return
        applied, state = position.applied, info["state"]
        if position.created not in ("", info["created"]):
            raise Unfit(f"{OTHER_HISTORY}: made at {info['created']}, not at {position.created}")
        if state["last_seq"] < applied:
            self._doubt(f"it ends at entry {state['last_seq']}, the database has entry {applied}")
            return
        self.created = info["created"]
        self.last = state["last_seq"]
        self.is_empty = not self.last
        if applied and state["first_seq"] <= applied:
            self._ask("DIRECT.GET", partial(self._compare, position), seq=applied)
        else:
            self._accept()

    def _compare(self, position: Position, message: Message) -> None:
        """Compare the entry at a position with the hash in the file; a copy that is behind does not have it.

        Raises:
            Unfit: it is another entry.
        """
        if message.status == NO_RESPONDERS:
            return
        is_there = not message.status and sequence_of(message) == position.applied
        if is_there and digest_of(message.payload) != position.digest:
            raise Unfit(f"{OTHER_HISTORY}: its entry {position.applied} is not that of the database")
        self._accept()

    def _accept(self) -> None:
        self._link.forget(self._reply)
        self.is_checked = True
        self._accepted()

    def _missing(self) -> None:
        """The engines know of no such log: make it, unless this file was written from it.

        Raises:
            Unfit: the log is lost.
        """
        names = self._names
        if not self._position().applied:
            self._ask("STREAM.CREATE", self._made, **stream_of(names, self._copies))
            return
        self._doubt(f"they have no stream {names.stream}")

    def _doubt(self, reason: str) -> None:
        """The log lacks what the file has. Ask again: engines that have just started may not know all of theirs.

        Raises:
            Unfit: it has lacked that for too long.
        """
        if self._doubted_since is None:
            self._doubted_since = self._clock()
        if self._clock() - self._doubted_since > MISSING_SECONDS:
            raise Unfit(f"{OTHER_HISTORY}: {reason}")

    def _made(self, message: Message) -> None:
        error = read_answer(message.payload).get("error")
        if not error:
            self._ask_for_state()
        elif error != self._logged_error:  # it is tried again each half second
            self._logged_error = error
            log.warning("the engines cannot make the log: %s", error.get("description"))
