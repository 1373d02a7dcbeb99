"""Which clients monitor which nicks (MONITOR)."""

from __future__ import annotations

from dialects.irc.client import Client
from domain.masks import fold


class MonitorLists:
    """The clients that monitor each nick, by folded nicks."""

    def __init__(self) -> None:
        self._watchers: dict[str, dict[Client, None]] = {}

    def add(self, client: Client, nick: str) -> None:
        """Have a client monitor a nick."""
        self._watchers.setdefault(fold(nick), {})[client] = None

    def remove(self, client: Client, nick: str) -> None:
        """Stop that. No-op for a client that does not monitor the nick."""
        watchers = self._watchers.get(fold(nick), {})
        watchers.pop(client, None)
        if not watchers:
            self._watchers.pop(fold(nick), None)

    def of(self, nick: str) -> list[Client]:
        """Return the clients that monitor a nick."""
        return list(self._watchers.get(fold(nick), ()))
