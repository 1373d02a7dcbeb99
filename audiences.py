"""How an event reaches the subscribers of a channel: once for each dialect, in the same bytes for all its sessions.

A session's dialect is also the key of its words: sessions with other tags or capabilities have another instance of
their dialect (`Users.words_changed` tells of the change). So an event costs one rendering for each set of these, and
nothing for a dialect that nobody in the channel speaks. A dialect in which the sender gets other words than the others
overrides `Dialect.tell_all`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from domain.state import Channel
from protocol import Dialect
from transport import Transport

log = logging.getLogger("crosstalk.chat")


def fan_out(send_all: Callable[[Iterable[Any], bytes], None], event: Any, channel: Channel) -> None:
    """Tell an event to the subscribers of a channel. Each dialect renders it once, for all its sessions.

    Args:
        send_all: sends the same bytes over many transports.
        event: one that is the same for all.
        channel: a channel here.
    """
    if channel.audiences is None:
        channel.audiences = _by_dialect(channel.subscribers)
    for dialect, transports in channel.audiences:
        try:
            dialect.tell_all(event, transports, send_all)
        except Exception:  # a fault in one dialect must not cost the sessions of others the event
            log.exception("error while telling %s", type(event).__name__)


def _by_dialect(sessions: Iterable[Any]) -> list[tuple[Dialect, list[Transport]]]:
    audiences: dict[Dialect, list[Transport]] = {}
    for session in sessions:
        audiences.setdefault(session.dialect, []).append(session.transport)
    return list(audiences.items())
