"""The entry in flight: sent, and retransmitted, until the log shows that it is decided."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from replica import wire
from replica.link import EngineLink
from replica.names import ANSWER_SECONDS, WRONG_LAST_SEQUENCE, Names, error_code, read_answer
from replica.nats import Message

log = logging.getLogger("crosstalk.replica")

AGAIN_SECONDS = 0.05
"""Pause before an entry is sent again after an error."""


class Out:
    """An entry in flight: sent, and not decided yet.

    Attributes:
        reply: where the answers to all its copies come.
        first_sent: when it was sent for the first time, which begins the lease that it gives.
        send_at: when it is to be sent again.
        is_logged: an error that it got is in the log.
    """

    def __init__(self, number: int, payload: bytes, changes: Sequence[Any], reply: str, now: float) -> None:
        self.number = number
        self.reply = reply
        self.payload = payload
        self.changes = changes
        self.first_sent = now
        self.send_at = now
        self.is_logged = False


class Appends:
    """The entries of this node's run, one after the other.

    Args:
        link: the connection to an engine.
        names: the cluster's names.
        run: the name of this run of the process.
        clock: the monotonic clock, in seconds.
        applied: returns the sequence of the last entry in the file.
        is_ready: tells whether the engine has the log of the file.
        sent: called with an entry after it was sent for the first time.
        stored: called when the engines confirm that they have the entry at applied + 1.
        refused: called with the answer "wrong last sequence".

    Attributes:
        out: the entry in flight; None for none.
    """

    def __init__(
        self,
        link: EngineLink,
        names: Names,
        run: str,
        *,
        clock: Callable[[], float],
        applied: Callable[[], int],
        is_ready: Callable[[], bool],
        sent: Callable[[Out], None],
        stored: Callable[[Out], None],
        refused: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.out: Out | None = None
        self._link = link
        self._names = names
        self._run = run
        self._clock = clock
        self._applied = applied
        self._is_ready = is_ready
        self._sent = sent
        self._stored = stored
        self._refused = refused
        self._queue: deque[tuple[bytes, Sequence[Any]]] = deque()
        self._number = 0

    def tick(self) -> None:
        """Retransmit the entry if it got no answer, or an error."""
        if self.out is not None and self._clock() >= self.out.send_at:
            self.send(self.out)

    def begin(self, changes: Sequence[Any]) -> None:
        """Append changes without waiting: `is_busy` until they are decided. Only while it is not busy."""
        self._queue.extend(wire.divide(changes))
        self.append_next()

    def send_now(self) -> None:
        """Send the entry again: the connection is another."""
        if self.out is not None:
            self.send(self.out)

    def withdraw(self) -> None:
        """Do not retransmit the entry in flight. It may be decided all the same."""
        if self.out is not None:
            self._link.forget(self.out.reply)
            self.out = None

    def append_next(self) -> None:
        """Send the next entry that waits, if there is one; the one in flight is decided."""
        self.withdraw()
        if self._queue:
            rows, changes = self._queue.popleft()
            self._number += 1
            payload = wire.entry(self._run, self._number, rows)
            reply = self._link.expect(self._acknowledged)
            self.out = out = Out(self._number, payload, changes, reply, self._clock())
            self.send(out)
            self._sent(out)

    def send(self, out: Out) -> None:
        """Send an entry; the engines store it at applied + 1 or not at all, however often it is sent."""
        out.send_at = self._clock() + ANSWER_SECONDS
        if self._is_ready():
            expected = {"Nats-Expected-Last-Sequence": str(self._applied())}
            self._link.publish(self._names.journal, out.payload, reply=out.reply, headers=expected)

    def _acknowledged(self, message: Message) -> None:
        out = self.out
        if out is None or message.subject != out.reply:
            return
        answer = read_answer(message.payload)
        if answer.get("seq") == self._applied() + 1:
            self._stored(out)
            return
        out.send_at = self._clock() + AGAIN_SECONDS
        if error_code(answer) == WRONG_LAST_SEQUENCE:
            self._refused(answer)
        elif not out.is_logged:
            out.is_logged = True
            reason = answer["error"].get("description") if error_code(answer) else "none of them leads the log"
            log.warning("the engines do not store an entry: %s", reason)
