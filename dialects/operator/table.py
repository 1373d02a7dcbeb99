"""All commands of the operator.

Each row stands beside its handler, in one of PARTS. A handler may raise a ChatError. Its answer is in FAILURES, by
handler and error, or else in `base.ERRORS`.
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
"""COMMANDS, and those of the course, which begin with a slash."""


def is_command(line: str) -> bool:
    """Tell whether a line begins with a command, perhaps with wrong words behind it."""
    verb = next(iter(split_words(line)), "")
    return verb in ALL or verb.removeprefix("/") in ALL


FAILURES: Mapping[tuple[Any, type], str] = {key: words for part in PARTS for key, words in part.FAILURES.items()}
