"""REGISTER: makes an account of the client's own nick (draft/account-registration, I11)."""

from __future__ import annotations

from collections.abc import Mapping

from commands import Request
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.login import tell_login
from dialects.irc.wire import message, word
from domain.errors import NameTaken, NotAName, NotAPassword, NotInvited, RegistrationClosed
from domain.state import Visitor

NO_CODE = "*"

OWN_NAME = "*"
"""Stands for the client's own nick."""

REFUSALS: Mapping[type[Exception], tuple[str, str]] = {
    NameTaken: ("ACCOUNT_EXISTS", "This account exists already"),
    NotAPassword: ("UNACCEPTABLE_PASSWORD", "This cannot be a password"),
    NotAName: ("BAD_ACCOUNT_NAME", "This cannot be the name of an account"),
    NotInvited: ("INVALID_EMAIL", "Give the code of an invitation instead of an e-mail address"),
    RegistrationClosed: ("DISALLOWED", "Accounts are made by the operator alone"),
}

LATER = "TEMPORARILY_UNAVAILABLE", "No account can be made now; try again later"


def register(irc: Irc, client: Client, request: Request) -> None:
    """REGISTER <account|*> <code|*> <password>."""
    account, code, password = request.args
    if client.account is not None or client.login.account is not None:
        _refuse(client, account, "ALREADY_AUTHENTICATED", "You are logged in to an account")
    elif not client.nick:
        _refuse(client, account, "NEED_NICK", "Choose a nick first")
    elif account != OWN_NAME and irc.people.find(account) != client.nick and account != client.nick:
        _refuse(client, account, "ACCOUNT_NAME_MUST_BE_NICK", "Your account must have the name that is your nick")
    elif not password:
        _refuse(client, account, "UNACCEPTABLE_PASSWORD", "The password is empty")
    else:
        _register(irc, client, request, password, "" if code == NO_CODE else code)


def _register(irc: Irc, client: Client, request: Request, password: str, code: str) -> None:
    name, visitor = client.nick, client.session.principal

    def decided(error: Exception | None) -> None:
        if error is not None:
            _refuse(client, name, *REFUSALS.get(type(error), LATER))
            return
        client.answer("REGISTER", "SUCCESS", irc.people.nick(name), text="Account created")
        if not client.is_welcome:
            client.login.prove(irc.chat.users.accounts.get(name))
        tell_login(irc, client, name)
        if client.is_welcome:
            irc.tell_of(client, "account-notify", message(irc.people.prefix(name), "ACCOUNT", irc.people.nick(name)))

    done = irc.outcome(client, request, decided)
    if isinstance(visitor, Visitor):
        irc.chat.accounts.register_visitor(visitor, password, done, code)
    else:
        irc.chat.accounts.register(client.session, name, password, done, code)


def _refuse(client: Client, account: str, code: str, text: str) -> None:
    client.fail("REGISTER", code, word(account), text=text)
