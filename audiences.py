"""How an event reaches the subscribers of a channel: once for each dialect, in the same bytes for all its sessions.

Sessions with other tags or capabilities have another instance of their dialect; `Users.words_changed` tells of the
change. So an event is rendered once for each set of these, and not at all for a dialect that nobody in the channel
speaks. A dialect in which the sender gets other words than the others overrides `Dialect.tell_all`.

Sessions of a `web` port get the same words in frames, which are made once too (W9).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from domain.state import Channel
from protocol import Dialect
from transport import Audience, Framing, MakeAudience

log = logging.getLogger("crosstalk.chat")

TellAll = Callable[[Any, Audience], None]
"""`Dialect.tell_all` of a dialect."""


def fan_out(make_audience: MakeAudience, event: Any, channel: Channel) -> None:
    """Tell an event to the subscribers of a channel. Each dialect renders it once, for all its sessions.

    Args:
        make_audience: makes an audience of the outputs of transports.
        event: what has happened in the channel.
        channel: a channel here.
    """
    if channel.audiences is None:
        channel.audiences = _alike(channel.subscribers, make_audience)
    for tell_all, audience in channel.audiences:
        try:
            tell_all(event, audience)
        except Exception:  # a fault in one dialect must not cost the sessions of others the event
            log.exception("error while telling %s", type(event).__name__)


def _alike(sessions: Iterable[Any], make_audience: MakeAudience) -> list[tuple[TellAll, Audience]]:
    """Group the sessions that get the same bytes into audiences, each with its dialect's `tell_all`."""
    outputs: dict[tuple[Dialect, Framing | None], list[Any]] = {}
    for session in sessions:
        transport = session.transport
        outputs.setdefault((session.dialect, transport.framing), []).append(transport.output)
    return [
        (dialect.tell_all, make_audience(alike) if framing is None else Framed(make_audience(alike), framing))
        for (dialect, framing), alike in outputs.items()
    ]


class Framed:
    """An audience whose lines are sent in frames.

    Args:
        audience: the same connections, without frames.
        framing: makes the frames.
    """

    def __init__(self, audience: Audience, framing: Framing) -> None:
        self._audience = audience
        self._framing = framing

    def __len__(self) -> int:
        return len(self._audience)

    def __contains__(self, output: object) -> bool:
        return output in self._audience

    def send(self, data: bytes, without: Collection[Any] = ()) -> None:
        """Send lines in frames, which are made once for all."""
        self._audience.send(self._framing(data), without)
