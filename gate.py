"""The gate: which requests reach their handlers, and how a request fails. Free of sockets, clocks and SQL.

Its contract with a handler:

- The words fit the row of the command: enough of them, not too many.
- Where the row has `needs_login`, `Session.principal` is not None. It is what the connection acts for: an account, a
  guest of `hello` or of a channel, or a link with another server.
- A handler may raise a ChatError, which the gate answers with `Dialect.fail`.
"""

from __future__ import annotations

from typing import Any, Protocol

from commands import Refusal, Request
from domain.errors import ChatError, LimitReached


class GatedSession(Protocol):
    """What the gate asks of a session."""

    dialect: Any
    principal: Any

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None: ...


def carry_out(session: GatedSession, request: Request | Refusal) -> None:
    """Call the handler of a request, or answer why it is not called."""
    dialect = session.dialect
    if isinstance(request, Refusal):
        dialect.refuse(session, request)
    elif request.command.needs_login and session.principal is None:
        dialect.fail(session, request, None)
    else:
        try:
            request.command.handler(dialect, session, request)
        except ChatError as error:
            fail(session, request, error)


def fail(session: GatedSession, request: Request, error: Exception) -> None:
    """Answer a request that was not carried out because of this error."""
    note_refusal(session, error)
    session.dialect.fail(session, request, error)


def note_refusal(session: GatedSession, error: Exception) -> None:
    """Count and log it, if a request was refused because of a limit."""
    if isinstance(error, LimitReached) and error.setting:
        session.report_limit(error.setting)
