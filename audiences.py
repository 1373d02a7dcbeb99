"""How an event reaches the subscribers of a channel: once for each dialect, in the same bytes for all its sessions.

Sessions with other tags or capabilities have another instance of their dialect; `Users.words_changed` tells of the
change. So an event is rendered once for each set of these, and not at all for a dialect that nobody in the channel
speaks. A dialect in which the sender gets other words than the others overrides `Dialect.tell_all`.

Sessions of a `web` port get the same words in frames, which are made once too (W9).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from domain.state import Channel
from protocol import Dialect
from transport import Framing, SendAll, Transport

log = logging.getLogger("crosstalk.chat")

TellAll = Callable[[Any, Sequence[Transport], SendAll], None]
"""`Dialect.tell_all` of a dialect."""


def fan_out(send_all: SendAll, event: Any, channel: Channel) -> None:
    """Tell an event to the subscribers of a channel. Each dialect renders it once, for all its sessions.

    Args:
        send_all: sends the same bytes over many transports.
        event: one that is the same for all.
        channel: a channel here.
    """
    if channel.audiences is None:
        channel.audiences = _alike(channel.subscribers, send_all)
    for tell_all, transports, send in channel.audiences:
        try:
            tell_all(event, transports, send)
        except Exception:  # a fault in one dialect must not cost the sessions of others the event
            log.exception("error while telling %s", type(event).__name__)


def _alike(sessions: Iterable[Any], send_all: SendAll) -> list[tuple[TellAll, list[Transport], SendAll]]:
    """Gather the transports of sessions that are sent the same bytes, with how these are told and sent."""
    audiences: dict[tuple[Dialect, Framing | None], list[Transport]] = {}
    for session in sessions:
        transport = session.transport
        audiences.setdefault((session.dialect, transport.framing), []).append(transport)
    return [
        (dialect.tell_all, transports, send_all if framing is None else partial(_send_framed, send_all, framing))
        for (dialect, framing), transports in audiences.items()
    ]


def _send_framed(send_all: SendAll, framing: Framing, transports: Iterable[Transport], data: bytes) -> None:
    """Send the same lines over many transports that frame them alike."""
    send_all([transport.output for transport in transports], framing(data))
