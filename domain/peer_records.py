"""Requests to record the identities of other servers, see `domain.identities`."""

from __future__ import annotations

from domain.changes import MembershipsDated, PeerNamed, ignore
from domain.identities import Identities
from domain.journal import Journal

MAX_HOSTS = 1000
"""Names of configured servers that are recorded with their identities."""


class PeerRecords:
    """What linked servers have recorded of themselves here.

    Args:
        identities: what is recorded.
        journal: takes changes.
    """

    def __init__(self, identities: Identities, journal: Journal) -> None:
        self._identities = identities
        self._journal = journal

    def remember_host(self, name: str, server: str) -> None:
        """Record the identity under which a configured server has used a name (L20), for MAX_HOSTS names at most."""
        known = self._identities.hosts.get(name)
        if known != server and (known is not None or len(self._identities.hosts) < MAX_HOSTS):
            self._journal.submit(PeerNamed(name, server), ignore)

    def date_memberships(self, name: str, server: str) -> None:
        """Have memberships in a server's channels without a recorded identity count as begun under this one (L21)."""
        if self._identities.has_undated(name):
            self._journal.submit(MembershipsDated(name, server), ignore)
