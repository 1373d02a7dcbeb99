"""TOPIC: shown to all who may see a channel, set by its members."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.rosters import topic_lines
from dialects.irc.wire import message, plain
from domain.errors import NoSuchChannel, NotAMember, NotATopic, StillMuted, StoreUnavailable


def topic(irc: Irc, client: Client, request: Request) -> None:
    """TOPIC <channel> [<text>]; an empty text clears it."""
    shown, *texts = request.args
    channel = irc.local_channel(client, shown)
    if channel is None:
        return
    if texts:
        _set(irc, client, request, channel.name, plain(texts[0]).strip())
    elif channel.topic:
        for line in topic_lines(irc, client, channel):
            client.send(line)
    else:
        client.reply(numerics.NOTOPIC, irc.people.channel(channel.name))


def _set(irc: Irc, client: Client, request: Request, name: str, text: str) -> None:
    shown = irc.people.channel(name)

    def decided(error: Exception | None) -> None:
        client.pending.discard(("TOPIC", name))
        if error is None:
            client.send(message(irc.people.prefix(client.nick), "TOPIC", shown, text=text))
        elif isinstance(error, NotATopic):
            client.fail("TOPIC", "INVALID_TOPIC", shown, text="This text cannot be a topic")
        elif isinstance(error, NotAMember | NoSuchChannel):
            client.reply(numerics.NOTONCHANNEL, shown)
        else:
            client.reply(numerics.CHANOPRIVSNEEDED, shown, text=REASONS.get(type(error)))

    client.pending.add(("TOPIC", name))
    irc.chat.topics.set(client.session.principal, name, text, irc.outcome(client, request, decided))


REASONS: dict[type[Exception], str] = {
    StillMuted: "You are muted in this channel",
    StoreUnavailable: "The topic could not be kept; try again later",
}
"""Why a topic was not set, besides that its setter is no operator."""
