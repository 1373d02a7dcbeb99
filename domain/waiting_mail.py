"""What is known of the mail that waits for an account: its senders, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from domain.names import HOST_OF_USER


class WaitingMail:
    """The senders of the messages that wait for an account, the oldest first, and their numbers by sender and host."""

    __slots__ = ("_senders", "by_host", "by_sender")

    def __init__(self) -> None:
        self._senders: list[str] = []
        self.by_sender: Counter[str] = Counter()
        self.by_host: Counter[str] = Counter()
        """Messages of users of other servers."""

    def __len__(self) -> int:
        return len(self._senders)

    def add(self, sender: str) -> None:
        """Add the newest message."""
        self._senders.append(sender)
        self._count((sender,), 1)

    def drop_newest(self) -> None:
        """Undo an `add`."""
        self._count((self._senders.pop(),), -1)

    def take(self, count: int) -> list[str]:
        """Take the oldest; return their senders."""
        taken = self._senders[:count]
        del self._senders[:count]
        self._count(taken, -1)
        return taken

    def put_back(self, taken: Sequence[str]) -> None:
        """Undo a `take`."""
        self._senders[:0] = taken
        self._count(taken, 1)

    def _count(self, senders: Iterable[str], each: int) -> None:
        for sender in senders:
            _add(self.by_sender, sender, each)
            host = sender.partition(HOST_OF_USER)[2]
            if host:
                _add(self.by_host, host, each)


def _add(counts: Counter[str], key: str, number: int) -> None:
    counts[key] += number
    if not counts[key]:
        del counts[key]
