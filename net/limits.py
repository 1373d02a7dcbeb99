"""What the limits have hit: counted by reason, and logged in one form that other programs can read (docs/limits.md)."""

from __future__ import annotations

import logging
from collections import Counter

UNKNOWN = "-"
"""Stands for an address that is not known any more."""

log = logging.getLogger("crosstalk.limits")


class LimitLog:
    """Counts and logs what the limits have hit.

    A line is `limit reason=<reason> address=<address>` and further details. Nothing that a client has chosen stands
    in front of the address, so no client can make a line with the address of another one.

    Attributes:
        counts: how often each reason has occurred.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, reason: str, address: str, detail: str = "", *values: object, connection: int = 0) -> None:
        """Note that a client has reached a limit.

        Args:
            reason: the name of the setting, or another reason of docs/limits.md.
            address: the client's; "" if it is not known any more.
            detail: a format string for the rest of the line.
            values: what that takes.
            connection: its number; 0: it has none.
        """
        self.counts[reason] += 1
        # The log limits the lines of each format string, and so of each reason.
        template = f"limit reason={reason} address=%s {detail}".rstrip()
        log.warning(template, address or UNKNOWN, *values, extra={"connection": connection})
