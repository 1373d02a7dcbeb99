"""A session for which work is queued (app/workqueue.py)."""

from __future__ import annotations


class JobClient:
    """A session, as the queue and the hashing of passwords see it."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.half_closed = False
        self.limits: list[tuple[str, str]] = []

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        self.limits.append((reason, detail % values))
