"""Commands and requests: the row of a command, and a line that has been parsed."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from text import normalize


class Refusal(enum.Enum):
    """Why a line is no request, whatever the session's state."""

    UNKNOWN = "no such command"
    TOO_FEW = "not enough arguments"
    TOO_MANY = "too many arguments"
    TOO_LONG = "line too long"
    NOT_UTF8 = "not utf-8"


class Command:
    """A row in a dialect's table of commands.

    Args:
        handler: called with the dialect, the session and the request.
        usage: the command as it is typed.
        help: what it does, in one line.
        min_args, max_args: how many words may follow the verb.
        name: the first word is a name, which is normalized.
        text: the last word is a message: the rest of the line, cleaned. An empty message counts as no word.
        needs_login: only a session with a principal may run it.
        pipelined: it may enter the journal behind outstanding requests that are pipelined, too.
        success, failure: the answers that depend on the words alone ({0} is the first).
    """

    # Slots, and no tuple with names: several are read for each line, and this is five times as fast.
    __slots__ = (
        "failure", "handler", "help", "max_args", "min_args", "name", "needs_login", "pipelined", "success", "text",
        "usage",
    )  # fmt: skip

    def __init__(
        self,
        handler: Callable[[Any, Any, Any], None],
        usage: str,
        help: str,  # noqa: A002 - as the column of the table is called
        min_args: int = 0,
        max_args: int = 0,
        *,
        name: bool = False,
        text: bool = False,
        needs_login: bool = False,
        pipelined: bool = False,
        success: str = "",
        failure: str = "",
    ) -> None:
        self.handler = handler
        self.usage = usage
        self.help = help
        self.min_args = min_args
        self.max_args = max_args
        self.name = name
        self.text = text
        self.needs_login = needs_login
        self.pipelined = pipelined
        self.success = success
        self.failure = failure


class Request:
    """A well-formed line: the command's row and the words after the verb."""

    __slots__ = ("args", "command")

    def __init__(self, command: Command, args: tuple[str, ...]) -> None:
        self.command = command
        self.args = args


def match_arguments(command: Command, words: list[str]) -> Request | Refusal:
    """Check the number of words after a verb against the row of its command; normalize the name among them."""
    if not command.min_args <= len(words) <= command.max_args:
        return Refusal.TOO_FEW if len(words) < command.min_args else Refusal.TOO_MANY
    if command.name and words and not words[0].isascii():
        words[0] = normalize(words[0])
    return Request(command, tuple(words))
