"""TOKEN: makes and drops tokens, with which a client logs in again by SASL PLAIN without the password (W12)."""

from __future__ import annotations

from commands import Request
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.wire import word
from domain.state import Account
from domain.tokens import digest_of
from text import utc_time

LASTING = "LASTING"


def token(irc: Irc, client: Client, request: Request) -> None:
    """TOKEN NEW [LASTING], TOKEN DROP [<token>]."""
    verb, *rest = request.args
    account, subcommand = client.account, verb.upper()
    if account is None:
        client.fail("TOKEN", "ACCOUNT_REQUIRED", text="Only an account has tokens")
    elif subcommand == "NEW" and [each.upper() for each in rest] in ([], [LASTING]):
        _make(irc, client, request, account, lasts=bool(rest))
    elif subcommand == "DROP":
        _drop(irc, client, request, account, digest_of(rest[0]) if rest else client.token)
    else:
        client.fail("TOKEN", "INVALID_PARAMS", word(verb), text="TOKEN NEW [LASTING], or TOKEN DROP [<token>]")


def _make(irc: Irc, client: Client, request: Request, account: Account, *, lasts: bool) -> None:
    def made(error: Exception | None) -> None:
        if error is not None:
            client.fail("TOKEN", "TEMPORARILY_UNAVAILABLE", text="No token can be made now; try again later")
            return
        client.token = digest_of(issued.token)
        client.answer("TOKEN", "NEW", issued.token, utc_time(issued.ends))

    issued = irc.chat.tokens.make(account, client.token, irc.outcome(client, request, made), lasts=lasts)


def _drop(irc: Irc, client: Client, request: Request, account: Account, digest: str) -> None:
    def dropped(error: Exception | None) -> None:
        if error is not None:
            client.fail("TOKEN", "TEMPORARILY_UNAVAILABLE", text="No token can be dropped now; try again later")
        else:
            client.answer("TOKEN", "DROP")

    if digest not in account.tokens:
        client.fail("TOKEN", "NO_SUCH_TOKEN", text="There is no such token")
        return
    client.token = "" if digest == client.token else client.token
    irc.chat.tokens.drop(account, digest, irc.outcome(client, request, dropped))
