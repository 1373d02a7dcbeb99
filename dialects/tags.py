"""Message tags (IRCv3): time and number in front of a RECV, for sessions that have asked for them (R38, R39)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from domain.events import Announced, ChannelMessages, DirectEcho, DirectMessage
from text import utc_time


def _time(at: float, _number: int) -> str:
    return f"time={utc_time(at)}"


def _id(_at: float, number: int) -> str:
    return f"id={number}" if number else ""


TAGS: Mapping[str, Callable[[float, int], str]] = {"time": _time, "id": _id}
"""Renders each tag, in the order of the line, from a message's time and number; "" for a message without it."""


def in_order(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return these tags as a line has them, each once; None if one is unknown."""
    return tuple(name for name in TAGS if name in names) if TAGS.keys() >= set(names) else None


def add_tags(names: Sequence[str], event: Any, rendered: bytes) -> bytes:
    """Put tags before each line of an event's words, if they are messages."""
    if not isinstance(event, ChannelMessages | DirectMessage | DirectEcho | Announced):
        return rendered
    lines = rendered.split(b"\n")  # the last one is empty
    prefixes = (_prefix(names, at, number) for at, number in _stamps(event))
    return b"\n".join([*(prefix + line for prefix, line in zip(prefixes, lines, strict=False)), b""])


def _stamps(event: ChannelMessages | DirectMessage | DirectEcho | Announced) -> Iterator[tuple[float, int]]:
    """Yield the time and number of each message; a direct message has no number."""
    if isinstance(event, ChannelMessages):
        for message in event.messages:
            yield message.at, message.number
    else:
        yield event.at, 0


def _prefix(names: Sequence[str], at: float, number: int) -> bytes:
    tags = ";".join(filter(None, (TAGS[name](at, number) for name in names)))
    return f"@{tags} ".encode() if tags else b""
