"""Commands that ask about the server: LUSERS, MOTD, VERSION, TIME, INFO, ADMIN, LINKS, STATS."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.wire import cut, plain, word
from text import utc_time
from version import VERSION

SERVER_VERSION = f"crosstalk-{VERSION}"

MAX_MOTD_LINE = 300
"""Bytes of a line of the message of the day; the rest is cut."""

ABOUT = (
    "This server speaks several protocols; IRC is one of them.",
    "You meet users of netcat, of other clients, and of other servers here.",
)


def lusers(irc: Irc, client: Client, _request: Request) -> None:
    """LUSERS."""
    user_counts(irc, client)


def user_counts(irc: Irc, client: Client) -> None:
    """Tell how many users, connections and channels there are."""
    here, invisible = len(irc.chat.users.online), irc.census.invisible
    most = max(irc.census.most, here)
    client.reply(
        numerics.LUSERCLIENT, text=f"There are {here - invisible} users and {invisible} invisible on 1 servers"
    )
    client.reply(numerics.LUSEROP, str(len(irc.census.operators)))
    client.reply(numerics.LUSERUNKNOWN, str(irc.census.unwelcome))
    client.reply(numerics.LUSERCHANNELS, str(len(irc.chat.channels.local)))
    client.reply(numerics.LUSERME, text=f"I have {here} clients and 0 servers")
    client.reply(numerics.LOCALUSERS, str(here), str(most), text=f"Current local users {here}, max {most}")
    client.reply(numerics.GLOBALUSERS, str(here), str(most), text=f"Current global users {here}, max {most}")


def motd(irc: Irc, client: Client) -> None:
    """Send the message of the day (MOTD)."""
    lines = irc.server.motd
    if not lines:
        client.reply(numerics.NOMOTD)
        return
    client.reply(numerics.MOTDSTART)
    for line in lines:
        client.reply(numerics.MOTD, text=f"- {cut(plain(line), MAX_MOTD_LINE)}")
    client.reply(numerics.ENDOFMOTD)


def version(irc: Irc, client: Client, _request: Request) -> None:
    """VERSION."""
    client.reply(numerics.VERSION, SERVER_VERSION, irc.server.name, text="")


def time(irc: Irc, client: Client, _request: Request) -> None:
    """TIME."""
    now = irc.server.now()
    client.reply(numerics.TIME, irc.server.name, str(int(now)), "0", text=utc_time(now))


def info(_irc: Irc, client: Client, _request: Request) -> None:
    """INFO."""
    for line in (SERVER_VERSION, *ABOUT):
        client.reply(numerics.INFO, text=line)
    client.reply(numerics.ENDOFINFO)


def admin(irc: Irc, client: Client, _request: Request) -> None:
    """ADMIN."""
    client.reply(numerics.NOADMININFO, irc.server.name)


def links(_irc: Irc, client: Client, request: Request) -> None:
    """LINKS: linked servers are not shown."""
    client.reply(numerics.ENDOFLINKS, word(request.args[-1]) if request.args else "*")


def stats(_irc: Irc, client: Client, request: Request) -> None:
    """STATS: there are none for clients."""
    client.reply(numerics.ENDOFSTATS, word(request.args[0]) if request.args else "*")
