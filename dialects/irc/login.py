"""Logins to an account before the welcome: SASL PLAIN, and PASS (I7, I8)."""

from __future__ import annotations

import binascii
from typing import NamedTuple

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.wire import END
from domain.errors import ChatError, Overloaded
from domain.tokens import is_token
from text import normalize

MECHANISM = "PLAIN"
PIECE = 400
"""Characters of base64 in one line; a shorter piece is the last."""

MAX_MESSAGE = 1200
"""Characters of base64 in all (I7)."""

MAX_FAILURES = 5
"""Failures of a client; the last one closes its connection (I7)."""

EMPTY, ABORT = "+", "*"


class Credentials(NamedTuple):
    """An account's name and a password."""

    name: str
    password: str


def authenticate(irc: Irc, client: Client, request: Request) -> None:
    """AUTHENTICATE <mechanism>|<base64>|*."""
    (word,) = request.args
    login = client.login
    if client.is_welcome:
        client.reply(numerics.ALREADYREGISTERED)
    elif login.account is not None:
        client.reply(numerics.SASLALREADY)
    elif word == ABORT:
        login.pieces = None
        client.reply(numerics.SASLABORTED)
    elif login.pieces is None:
        _begin(client, word.upper())
    else:
        _continue(irc, client, request, login.pieces, word)


def _begin(client: Client, mechanism: str) -> None:
    if mechanism == MECHANISM:
        client.login.pieces = ""
        client.send(f"AUTHENTICATE {EMPTY}{END}")
    else:
        client.reply(numerics.SASLMECHS, MECHANISM)
        client.reply(numerics.SASLFAIL)


def _continue(irc: Irc, client: Client, request: Request, before: str, piece: str) -> None:
    message = before if piece == EMPTY else before + piece
    client.login.pieces = None
    if len(piece) > PIECE or len(message) > MAX_MESSAGE:
        client.reply(numerics.SASLTOOLONG)
    elif len(piece) == PIECE:
        client.login.pieces = message
    elif (credentials := parse_plain(message)) is None:
        _refuse(client)
    else:
        _check(irc, client, request, credentials)


def parse_plain(message: str) -> Credentials | None:
    """Parse a whole message of PLAIN, in base64; None if it is malformed, or its client would act as another user."""
    try:
        words = binascii.a2b_base64(message, strict_mode=True).decode().split("\0")
    except ValueError:  # it is no base64, or no UTF-8
        return None
    if len(words) != 3 or not words[1] or not words[2] or words[0] not in ("", words[1]):
        return None
    return Credentials(normalize(words[1]), words[2])


def _check(irc: Irc, client: Client, request: Request, credentials: Credentials) -> None:
    def checked(error: Exception | None) -> None:
        client.login.prove(None if error is not None else irc.chat.users.accounts.get(credentials.name))
        if error is not None and (busy := why_refused(error)) is not None:
            client.reply(numerics.SASLFAIL, text=busy)  # the client has done nothing wrong
        elif client.login.account is None:
            _refuse(client)
        else:
            tell_login(irc, client, credentials.name)
            client.reply(numerics.SASLSUCCESS)

    done = irc.outcome(client, request, checked)
    if not is_token(credentials.password):
        irc.chat.logins.verify(client.session, *credentials, done)
        return
    try:
        client.token = irc.chat.logins.verify_token(client.session, *credentials)
    except ChatError as error:
        done(error)
    else:
        done(None)


def tell_login(irc: Irc, client: Client, name: str) -> None:
    """Tell a client to which account it is logged in (900)."""
    client.reply(numerics.LOGGEDIN, irc.people.prefix(name), name, text=f"You are now logged in as {name}")


def why_refused(error: Exception) -> str | None:
    """Return the text of a refused login for an error; None where the numeric's own text is right."""
    return "Too busy; try again later" if isinstance(error, Overloaded) else None


def _refuse(client: Client) -> None:
    """Refuse a login; the fifth time, close the connection (I7)."""
    client.login.failures += 1
    client.reply(numerics.SASLFAIL)
    if client.login.failures >= MAX_FAILURES:
        client.close("too many failed logins")


def credentials_of_pass(irc: Irc, client: Client) -> Credentials | None:
    """Return the credentials in a PASS; None where there is no such account.

    They are `<account>:<password>`, or the password of the account that has the nick's name (I8).
    """
    name, colon, password = client.password.partition(":")
    name = normalize(name)
    if colon and irc.people.has_password(name):
        return Credentials(name, password)
    meant = irc.people.find(client.nick)
    if not client.password or meant is None or not irc.people.has_password(meant):
        return None
    return Credentials(meant, client.password)
