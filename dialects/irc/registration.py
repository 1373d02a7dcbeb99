"""The registration: PASS, NICK, USER, and the login that ends it (I6 to I10)."""

from __future__ import annotations

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.login import Credentials, credentials_of_pass, tell_login, why_refused
from dialects.irc.names import is_plain_nick, unescape
from dialects.irc.welcome import welcome
from dialects.irc.wire import cut, message, plain, word
from domain.errors import ChatError, NameTaken
from text import normalize

MAX_REALNAME = 150
"""Bytes of a real name; the rest is cut."""

CLOSED_TO_GUESTS = "log in with SASL"


def password(_irc: Irc, client: Client, request: Request) -> None:
    """PASS <password>: kept until the registration is complete."""
    if client.is_welcome:
        client.reply(numerics.ALREADYREGISTERED)
    else:
        client.password = request.args[0]


def nick(irc: Irc, client: Client, request: Request) -> None:
    """NICK <nick>."""
    wanted = request.args[0] if request.args else ""
    name = normalize(unescape(wanted) or "")
    if not wanted:
        client.reply(numerics.NONICKNAMEGIVEN)
    elif not irc.people.may_be_nick(name) or not is_plain_nick(wanted):
        client.reply(numerics.ERRONEUSNICKNAME, word(wanted))
    elif not client.is_welcome:
        client.nick = name
        complete(irc, client, request)
    else:
        _rename(irc, client, request, name, wanted)


def _rename(irc: Irc, client: Client, request: Request, name: str, wanted: str) -> None:
    """Change a guest's nick; an account's is its name (I9)."""
    old, visitor = client.nick, client.session.principal

    def renamed(error: Exception | None) -> None:
        if error is None:
            irc.census.modes_changed(client, old, client.modes, ())
            irc.census.modes_changed(client, name, (), client.modes)
            prefix, client.nick = f"{irc.people.nick(old)}!{irc.people.user_at_host(name)}", name
            client.shown = irc.people.nick(name)
            client.send(message(prefix, "NICK", text=client.shown))
        else:
            client.reply(numerics.NICKNAMEINUSE, word(wanted))

    if client.account is not None:
        client.reply(numerics.CANTCHANGENICK)
    elif name == old:
        return
    elif irc.people.is_taken(name, but=old):
        client.reply(numerics.NICKNAMEINUSE, word(wanted))
    else:
        irc.chat.visitors.rename(visitor, name, irc.outcome(client, request, renamed))


def user(irc: Irc, client: Client, request: Request) -> None:
    """USER <user> <mode> <unused> <realname>."""
    name, _mode, _unused, realname = request.args
    realname = clean_realname(realname)
    if client.is_welcome:
        client.reply(numerics.ALREADYREGISTERED)
    elif not name or not realname:
        client.reply(numerics.NEEDMOREPARAMS, "USER")
    else:
        client.user, client.realname = name, realname
        complete(irc, client, request)


def clean_realname(text: str) -> str:
    """Return a real name as others may see it."""
    return cut(plain(text).strip(), MAX_REALNAME)


def complete(irc: Irc, client: Client, request: Request) -> None:
    """End the registration if it is complete: log the client in, to its account or as a guest."""
    if client.is_welcome or client.is_negotiating or not client.nick or not client.user:
        return
    if client.login.pieces is not None:
        client.login.pieces = None
        client.reply(numerics.SASLABORTED)
    credentials = credentials_of_pass(irc, client) if client.login.account is None else None
    if credentials is not None:
        _check_password(irc, client, request, credentials)
    elif client.login.account is not None:
        _enter_account(irc, client)
    else:
        _enter_as_guest(irc, client)


def _check_password(irc: Irc, client: Client, request: Request, credentials: Credentials) -> None:
    def checked(error: Exception | None) -> None:
        if error is None:
            client.login.prove(irc.chat.users.accounts.get(credentials.name))
            tell_login(irc, client, credentials.name)
            _enter_account(irc, client)
        else:
            client.reply(numerics.PASSWDMISMATCH, text=why_refused(error))
            client.close("wrong password")

    irc.chat.logins.verify(client.session, *credentials, irc.outcome(client, request, checked))


def _enter_account(irc: Irc, client: Client) -> None:
    account = client.login.account
    if account is None or irc.chat.users.accounts.get(account.name) is not account:
        client.close("this account has been deleted")
        return
    is_banned = irc.chat.bans.of_login(account.name, client.session.address) is not None
    if is_banned or account.password_hash != client.login.password_hash:
        client.close("log in again")  # as its other clients were closed meanwhile
        return
    if len(account.sessions) >= irc.chat.users.limits.clients:
        client.session.report_limit("max-account-clients", "name=%s", account.name)
        client.close("too many clients of this account")
        return
    irc.chat.users.enter(client.session, account)
    _admit(irc, client, account.name)


def _enter_as_guest(irc: Irc, client: Client) -> None:
    if not irc.settings.admits_guests:
        client.close(CLOSED_TO_GUESTS)
        return
    wanted, client.nick = client.nick, ""  # after a refusal the client asks for another
    try:
        if irc.people.is_taken(wanted):
            raise NameTaken
        irc.chat.visitors.enter(client.session, wanted)
    except NameTaken:
        client.reply(numerics.NICKNAMEINUSE, irc.people.shown(wanted))
    except ChatError:
        client.close("this server is full")
    else:
        _admit(irc, client, wanted)


def _admit(irc: Irc, client: Client, name: str) -> None:
    client.nick, client.password = name, ""
    client.is_welcome = True
    client.session.transport.note_first_line()
    client.since = client.active = irc.server.now()
    irc.census.welcomed(len(irc.chat.users.online))
    client.shown = irc.people.nick(name)
    welcome(irc, client)
