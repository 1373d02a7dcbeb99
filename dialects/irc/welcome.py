"""The welcome: what a client gets when its registration is over (I18)."""

from __future__ import annotations

from collections.abc import Iterator

from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.history import context_lines, unread_notes
from dialects.irc.information import SERVER_VERSION, motd, user_counts
from dialects.irc.rosters import joined_lines
from domain.events import MailWaiting
from text import utc_time

USER_MODES = "Bisow"
CHANNEL_MODES = "beIiklmnostv"
CHANNEL_MODES_WITH_WORD = "beIklov"

TOKENS_PER_LINE = 13

SUPPORT = (
    "AWAYLEN=200",
    "BOT=B",
    "CASEMAPPING=ascii",
    "CHATHISTORY=1000",
    "CHANMODES=beI,k,l,imnst",
    "CHANNELLEN=65",
    "CHANTYPES=#",
    "ELIST=CMNTU",
    "EXCEPTS",
    "INVEX",
    "KEYLEN=32",
    "KICKLEN=300",
    "MAXLIST=beI:100",
    "MODES=12",
    "MONITOR=100",
    "MSGREFTYPES=msgid,timestamp",
    "PREFIX=(ov)@+",
    "STATUSMSG=@+",
    "TARGMAX=JOIN:,PART:,NAMES:4,KICK:4,PRIVMSG:4,NOTICE:4,TAGMSG:4",
    "TOPICLEN=390",
    "UTF8ONLY",
    "WHOX",
)
"""The tokens of 005 that do not depend on the settings; `supported` adds the others."""


def supported(irc: Irc) -> list[str]:
    """Return the tokens of 005."""
    limits = irc.chat.users.limits
    tokens = (f"NETWORK={irc.server.name}", f"NICKLEN={limits.name}", f"CHANLIMIT=#:{limits.channels_per_user}")
    return sorted((*SUPPORT, *tokens))


def welcome(irc: Irc, client: Client) -> None:
    """Welcome a client that is logged in, then send its mail and its channels."""
    server = irc.server
    client.reply(numerics.WELCOME, text=f"Welcome to {server.name}, {client.shown}")
    client.reply(numerics.YOURHOST, text=f"Your host is {server.name}, running version {SERVER_VERSION}")
    client.reply(numerics.CREATED, text=f"This server was started {utc_time(server.started)}")
    client.reply(numerics.MYINFO, server.name, SERVER_VERSION, USER_MODES, CHANNEL_MODES, CHANNEL_MODES_WITH_WORD)
    tokens = supported(irc)
    for start in range(0, len(tokens), TOKENS_PER_LINE):
        client.reply(numerics.ISUPPORT, *tokens[start : start + TOKENS_PER_LINE])
    user_counts(irc, client)
    motd(irc, client)
    irc.chat.users.presence.follow(client.session)
    account = client.account
    if account is None:
        return
    if account.mail:
        irc.deliver(client.session, MailWaiting())
    if account.channels:
        client.stream(_own_channels(irc, client))


def _own_channels(irc: Irc, client: Client) -> Iterator[str]:
    """Show a client the channels that its account is in, as if it joined them now (I18)."""
    account = client.account
    for name in sorted(account.channels) if account is not None else ():
        if account is not None and (channel := account.channels.get(name)) is not None:
            yield from joined_lines(irc, client, channel)
            yield from context_lines(irc, client, channel, with_unread=True)
    yield from unread_notes(irc, client)
