"""The words of the dialect `result` for events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.changes import SAY, in_words
from domain.events import (
    Announced,
    ChannelHasNewName,
    ChannelMessages,
    DirectEcho,
    DirectMessage,
    NotRestored,
    PresenceChanged,
    Removed,
    Silenced,
    TopicChanged,
    Unmuted,
)
from domain.names import SERVER


def render_messages(event: ChannelMessages) -> bytes:
    """Render messages for a member: each one is a RECV with the channel's name (R25)."""
    lines = [
        f"RECV {sender} {channel} {text if kind is SAY else in_words(text, kind)}\n"
        for sender, channel, text, _at, _number, kind in event.messages
    ]
    return "".join(lines).encode()


def render_direct(event: DirectMessage) -> bytes:
    """Render a direct message for its recipient: it comes from a channel named after its sender (R26)."""
    sender, text, _at, _id, kind, _room = event
    return f"RECV {sender} @{sender} {text if kind is SAY else in_words(text, kind)}\n".encode()


def render_echo(event: DirectEcho) -> bytes:
    """Render a direct message for its sender: it appears in a channel named after its recipient (R17)."""
    text = event.text if event.kind is SAY else event.words
    return f"RECV {event.sender} @{event.recipient} {text}\n".encode()


def render_removed(event: Removed) -> bytes:
    """Tell a user that the operator has removed it from a channel (R27)."""
    return f"RESULT KICKED {event.channel}\n".encode()


def render_new_name(event: ChannelHasNewName) -> bytes:
    """Tell a member that the operator has renamed a channel (R56)."""
    return f"RESULT RENAMED {event.old} {event.new}\n".encode()


def render_not_restored(event: NotRestored) -> bytes:
    """Tell a user that its membership in another server's channel has ended with a link (R30)."""
    return f"RESULT JOIN {event.channel} 0\n".encode()


def render_silenced(event: Silenced) -> bytes:
    """Tell a user that the operator has muted it in a channel (R28)."""
    return f"RESULT MUTED {event.channel} {event.seconds}\n".encode()


def render_unmuted(event: Unmuted) -> bytes:
    """Tell a user that the operator has ended a mute (R51)."""
    return f"RESULT UNMUTED {event.channel}\n".encode()


def render_announced(event: Announced) -> bytes:
    """Render an announcement of the operator, as a message of the name that stands for the server (R52)."""
    return f"RECV {SERVER} {SERVER} {event.text}\n".encode()


def render_presence(event: PresenceChanged) -> bytes:
    """Tell a session which user has come into its channels or left them (R43)."""
    return f"PRESENCE {event.user} {'on' if event.online else 'off'}\n".encode()


def render_topic(event: TopicChanged) -> bytes:
    """Tell a user that a channel has a new topic, or none (R43)."""
    return f"TOPIC {event.user} {with_topic(event.channel, event.topic)}\n".encode()


def with_topic(channel: str, topic: str) -> str:
    """Return a channel and its topic, if it has one, as one text (R44)."""
    return f"{channel} {topic}" if topic else channel


WORDS: Mapping[type, Callable[[Any], bytes]] = {
    ChannelMessages: render_messages,
    DirectMessage: render_direct,
    DirectEcho: render_echo,
    Removed: render_removed,
    ChannelHasNewName: render_new_name,
    NotRestored: render_not_restored,
    Silenced: render_silenced,
    Unmuted: render_unmuted,
    Announced: render_announced,
    PresenceChanged: render_presence,
    TopicChanged: render_topic,
}
