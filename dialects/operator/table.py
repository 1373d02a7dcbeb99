"""All commands of the operator.

A command is a row of a module beside this one, where its handler stands. A handler may raise a ChatError; `FAILURES`
has the answer to it, by handler and error, or else `base.ERRORS` has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commands import Command
from dialects.operator import accounts, bans, channels, service, slash
from text import split_words

PARTS = (service, channels, accounts, bans)


COMMANDS: Mapping[str, Command] = {verb: command for part in PARTS for verb, command in part.COMMANDS.items()}

ALL: Mapping[str, Command] = {**COMMANDS, **slash.COMMANDS}
"""Those and the ones of the course, which begin with a slash."""


def is_command(line: str) -> bool:
    """Tell whether a line begins with a command, perhaps with wrong words behind it."""
    verb = next(iter(split_words(line)), "")
    return verb in ALL or verb.removeprefix("/") in ALL


FAILURES: Mapping[tuple[Any, type], str] = {key: words for part in PARTS for key, words in part.FAILURES.items()}
