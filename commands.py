"""Commands and requests: the row of a command, and a line that has been parsed."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

from text import normalize


class Refusal(enum.Enum):
    """Why a line is no request, whatever the session's state."""

    UNKNOWN = "no such command"
    TOO_FEW = "not enough arguments"
    TOO_MANY = "too many arguments"
    TOO_LONG = "line too long"
    NOT_UTF8 = "not utf-8"


class Command(NamedTuple):
    """A row in a dialect's table of commands.

    Attributes:
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

    handler: Callable[[Any, Any, Request], None]
    usage: str
    help: str
    min_args: int = 0
    max_args: int = 0
    name: bool = False
    text: bool = False
    needs_login: bool = False
    pipelined: bool = False
    success: str = ""
    failure: str = ""


class Request(NamedTuple):
    """A well-formed line: the command's row and the words after the verb."""

    command: Command
    args: tuple[str, ...]


def match_arguments(command: Command, words: list[str]) -> Request | Refusal:
    """Check the number of words after a verb against the row of its command; normalize the name among them."""
    if not command.min_args <= len(words) <= command.max_args:
        return Refusal.TOO_FEW if len(words) < command.min_args else Refusal.TOO_MANY
    if command.name and words:
        words[0] = normalize(words[0])
    return Request(command, tuple(words))
