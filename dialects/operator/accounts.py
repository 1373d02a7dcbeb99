"""The operator's commands about accounts and invitations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commands import Command, Request
from dialects.operator.base import Operator, parse_time
from domain.errors import HasNoPassword, LimitReached
from domain.events import Announced
from protocol import Session
from text import utc_time

RESET = "Your password has been reset; log in with the new one."
DELETED = "Your account has been deleted by the operator."
"""The texts for the clients of an account, before they are closed."""

DEFAULT_INVITATION = "7d"
MAX_INVITATION = 366 * 86400
"""How long an invitation is valid without a time, and at most, in seconds."""


def register(dialect: Operator, session: Session, request: Request) -> None:
    """Make an account; answer with its password if the server has chosen it."""
    name, password = _account_and_password(dialect, request)
    done = session.expect_outcome(request, lambda: _show_password(dialect, session, request, password))
    dialect.hosted.chat.administration.register(session, name, password, done)


def reset_password(dialect: Operator, session: Session, request: Request) -> None:
    """Set an account's password; answer with it if the server has chosen it."""
    name, password = _account_and_password(dialect, request)
    done = session.expect_outcome(request, lambda: _show_password(dialect, session, request, password))
    dialect.hosted.chat.administration.reset_password(
        session, name, password, _farewell(dialect, RESET)._replace(is_last=True), done
    )


def _account_and_password(dialect: Operator, request: Request) -> tuple[str, str]:
    name, *given = request.args
    return name, given[0] if given else dialect.hosted.make_secret()


def _show_password(dialect: Operator, session: Session, request: Request, password: str) -> None:
    if len(request.args) == 1:
        dialect.list_items(session, (password,))
    else:
        dialect.done(session)


def delete_account(dialect: Operator, session: Session, request: Request) -> None:
    (name,) = request.args
    done = dialect.expect(session, request, f"The account {name} has been deleted.")
    dialect.hosted.chat.administration.remove_account(name, _farewell(dialect, DELETED), done)


def _farewell(dialect: Operator, text: str) -> Announced:
    return Announced(text, dialect.hosted.now())


def invite(dialect: Operator, session: Session, request: Request) -> None:
    """Make an invitation; answer with its code and its end."""
    word = request.args[0] if request.args else DEFAULT_INVITATION
    seconds = parse_time(word, MAX_INVITATION)
    code = dialect.hosted.make_secret()
    ends = dialect.hosted.now() + seconds
    shown = f"{code} until={utc_time(ends)}"
    done = session.expect_outcome(request, lambda: dialect.list_items(session, (shown,)))
    dialect.hosted.chat.accounts.invitations.make(code, seconds, done)


COMMANDS: Mapping[str, Command] = {
    "register": Command(
        register, "register <account> [password]", "make an account; without a password one is made, and printed",
        min_args=1, max_args=2, name=True,
    ),
    "reset-password": Command(
        reset_password, "reset-password <account> [password]",
        "set another password; without one it is made, and printed", min_args=1, max_args=2, name=True,
    ),
    "delete-account": Command(
        delete_account, "delete-account <account>", "delete an account, its memberships and its mail",
        min_args=1, max_args=1,
    ),
    "invite": Command(
        invite, "invite [time]", "make a code with which one account can be registered; it lapses after 7d",
        max_args=1,
    ),
}  # fmt: skip

FAILURES: Mapping[tuple[Any, type], str] = {
    (reset_password, HasNoPassword): "{0} has no password: its ID opens it.",
    (invite, LimitReached): "There are too many invitations; wait until some lapse.",
}
