"""Whether a server can do its work: the journal can be written."""

from __future__ import annotations

from app.statistics import Watched

TRY_SECONDS = 1.0
"""The disk is tried at most so often: each try is a commit."""


class Health:
    """The health of a server.

    Args:
        server: the server.
    """

    def __init__(self, server: Watched) -> None:
        self._server = server
        self._tried = float("-inf")
        self._fault = ""

    def fault(self) -> str:
        """Return why the journal cannot be written; "" if it can.

        A single process tries the disk, also while nobody writes. Of a cluster's nodes only the primary can write, and
        no answer of it leaves before the log has taken an entry: that is tried by telling that it is healthy.
        """
        replica = self._server.replica
        if replica is not None:
            return "" if replica.is_primary else "this node is a backup; the primary serves the clients"
        now = self._server.loop.monotonic()
        if now - self._tried >= TRY_SECONDS:
            self._tried = now
            self._fault = "" if self._server.store.write(()) else "the database cannot be written; the log says why"
        return self._fault
