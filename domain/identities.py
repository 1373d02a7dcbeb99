"""The identities of other servers: which one a server's name stands for (L20), and each membership there (L21)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from domain.changes import MembershipsDated, PeerNamed, Undo
from domain.state import Account, RemoteChannel


class Identities:
    """What is recorded of the servers whose channels accounts are in.

    Args:
        remote: the channels of other servers that accounts are members of, by name.

    Attributes:
        hosts: names that configured servers have used, and their identities.
    """

    def __init__(self, remote: Mapping[str, RemoteChannel]) -> None:
        self._remote = remote
        self.hosts: dict[str, str] = {}
        self._begun: dict[str, Counter[str]] = {}
        """For each server's name: the identities under which memberships in its channels began, and their numbers."""

    def noted(self, name: str) -> Collection[str]:
        """Return the identities for which a server's name is recorded (L20); none if the name is free."""
        if name in self.hosts:
            return [self.hosts[name]]
        return [server for server in self._begun.get(name, ()) if server]

    def began_under(self, account: Account, channel: str) -> str:
        """Return the identity of a remote channel's server under which a membership began (L21); "" if unknown."""
        return self._remote[channel].servers[account.name]

    def has_undated(self, host: str) -> bool:
        """Tell whether a server's channels have memberships without a recorded identity."""
        return "" in self._begun.get(host, ())

    def apply_named(self, change: PeerNamed) -> Undo:
        before = self.hosts.get(change.name)
        self.hosts[change.name] = change.server
        return lambda: self.hosts.pop(change.name) if before is None else self.hosts.update({change.name: before})

    def apply_dated(self, change: MembershipsDated) -> Undo:
        dated = [
            (channel, account)
            for channel in self._remote.values()
            if channel.host == change.name
            for account, server in channel.servers.items()
            if not server
        ]

        def date(server: str) -> None:
            for channel, account in dated:
                self.forget(channel, account)
                self.keep(channel, account, server)

        date(change.server)
        return lambda: date("")

    def keep(self, channel: RemoteChannel, account: str, server: str) -> None:
        """Record the identity under which a membership in a remote channel has begun."""
        channel.servers[account] = server
        self._begun.setdefault(channel.host, Counter())[server] += 1

    def forget(self, channel: RemoteChannel, account: str) -> str:
        """Forget the identity under which a membership had begun, and return it."""
        server = channel.servers.pop(account)
        counts = self._begun[channel.host]
        counts[server] -= 1
        if not counts[server]:
            del counts[server]
        if not counts:
            del self._begun[channel.host]
        return server
