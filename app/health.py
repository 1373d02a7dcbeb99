"""Whether a server can do its work: the journal can be written."""

from __future__ import annotations

from app.statistics import MeasuredServer

TRY_SECONDS = 1.0
"""Seconds between two tries of the disk, at least: each try is a commit."""


class Health:
    """The health of a server.

    Args:
        server: the server.
    """

    def __init__(self, server: MeasuredServer) -> None:
        self._server = server
        self._tried = float("-inf")
        self._fault = ""

    def fault(self) -> str:
        """Return why the journal cannot be written; "" if it can.

        A single process tries the disk, also while nobody writes. In a cluster only the primary can write. No answer of
        it leaves before the log has taken an entry, so the arrival of the answer is the test.
        """
        replica = self._server.replica
        if replica is not None:
            return "" if replica.is_primary else "this node is a backup; the primary serves the clients"
        now = self._server.loop.monotonic()
        if now - self._tried >= TRY_SECONDS:
            self._tried = now
            self._fault = "" if self._server.store.write(()) else "the database cannot be written; the log says why"
        return self._fault
