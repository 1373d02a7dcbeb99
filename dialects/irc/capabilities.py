"""The capabilities (IRCv3), and CAP, which negotiates them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.registration import complete
from dialects.irc.wire import MAX_BODY, in_lines, word
from domain.invitations import Registration

VALUES_SINCE = 302
"""From this version of CAP LS on, capabilities have values and the list may have several lines."""

REGISTRATION = "draft/account-registration"

CAPABILITIES: Mapping[str, str] = {
    "account-notify": "",
    "account-tag": "",
    "away-notify": "",
    "batch": "",
    "cap-notify": "",
    "draft/chathistory": "",
    "draft/read-marker": "",
    "echo-message": "",
    "extended-join": "",
    "extended-monitor": "",
    "invite-notify": "",
    "labeled-response": "",
    "message-tags": "",
    "multi-prefix": "",
    "sasl": "PLAIN",
    "server-time": "",
    "setname": "",
    "standard-replies": "",
    "userhost-in-names": "",
    REGISTRATION: "",
}
"""All capabilities and their values; `_offered` fills in the value of REGISTRATION."""

REGISTRATION_VALUES: Mapping[Registration, str] = {
    Registration.OPEN: "before-connect",
    Registration.INVITE: "before-connect,invite",
}
"""The value of REGISTRATION, which is not offered while only the operator makes accounts."""

IMPLIED = "cap-notify"
"""The capability that a client switches on when it asks for version 302."""

LINE_HEAD = 100
"""Bytes in front of the capabilities in a line, besides the nick."""


def cap(irc: Irc, client: Client, request: Request) -> None:
    """CAP LS|LIST|REQ|END."""
    subcommand, *rest = request.args
    carry_out = SUBCOMMANDS.get(subcommand.upper())
    if carry_out is None:
        client.reply(numerics.INVALIDCAPCMD, word(subcommand))
    else:
        carry_out(irc, client, request, rest[0] if rest else "")


def _offered(irc: Irc) -> dict[str, str]:
    """Return the capabilities that are offered now, and their values."""
    value = REGISTRATION_VALUES.get(irc.chat.accounts.invitations.registration, "")
    return {
        name: value if name == REGISTRATION else default
        for name, default in CAPABILITIES.items()
        if name != REGISTRATION or value
    }


def _offer(irc: Irc, client: Client, _request: Request, version: str) -> None:
    _begin_negotiation(client)
    offered = _offered(irc)
    if version.isdecimal() and int(version[:9]) >= VALUES_SINCE:
        irc.switch(client, client.capabilities | {IMPLIED})
        _answer(client, "LS", [f"{name}={value}" if value else name for name, value in offered.items()])
    else:
        client.answer("CAP", client.shown, "LS", text=" ".join(offered))


def _list(_irc: Irc, client: Client, _request: Request, _rest: str) -> None:
    _answer(client, "LIST", sorted(client.capabilities))


def _switch(irc: Irc, client: Client, _request: Request, wanted: str) -> None:
    """Switch all that are wanted, or none."""
    offered = _offered(irc)
    _begin_negotiation(client)
    switched, names = set(client.capabilities), wanted.split()
    for name in names:
        if name.removeprefix("-") not in offered:
            client.answer("CAP", client.shown, "NAK", text=" ".join(map(word, names)))
            return
        (switched.discard if name.startswith("-") else switched.add)(name.removeprefix("-"))
    client.answer("CAP", client.shown, "ACK", text=" ".join(names))
    irc.switch(client, frozenset(switched))


def _end(irc: Irc, client: Client, request: Request, _rest: str) -> None:
    if client.is_negotiating:
        client.is_negotiating = False
        complete(irc, client, request)


def _begin_negotiation(client: Client) -> None:
    client.is_negotiating = not client.is_welcome


def _answer(client: Client, subcommand: str, names: Sequence[str]) -> None:
    *before, last = in_lines(names, MAX_BODY - LINE_HEAD - len(client.shown.encode()))
    for line in before:
        client.answer("CAP", client.shown, subcommand, "*", text=line)
    client.answer("CAP", client.shown, subcommand, text=last)


SUBCOMMANDS: Mapping[str, Callable[[Irc, Client, Request, str], None]] = {
    "LS": _offer,
    "LIST": _list,
    "REQ": _switch,
    "END": _end,
}
