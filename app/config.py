"""The config file: on each line one directive and its words, see `app.directives`.

A directive that may be repeated collects the values of its lines in a tuple.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.directives import DIRECTIVES, PEER, ConfigError, Directive, field_of
from settings import Settings

MAX_CONFIG = 1024 * 1024
"""Maximum bytes of a config; no more is read, since the file may be endless."""


def read_content(path: str) -> bytes:
    """Read a config file to its end, or to the first byte that is too much: it may be endless.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(MAX_CONFIG + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from error


class Lines(NamedTuple):
    """What the lines of a config say.

    Attributes:
        settings: from the lines that are right; the others have their defaults.
        numbers: of the last line of each directive.
        faulty: the directives of the lines that are wrong.
        errors: one for each wrong line, in order.
        path: of the config, for messages; "" without one.
    """

    settings: Settings
    numbers: Mapping[str, int]
    faulty: frozenset[str]
    errors: Sequence[str]
    path: str


NO_LINES = Lines(Settings(), {}, frozenset(), (), "")


def decode_content(content: bytes, path: str) -> str:
    """Return the text of a config (C51); `path` is for the messages.

    Raises:
        ConfigError: it is too long or not UTF-8.
    """
    if len(content) > MAX_CONFIG:
        raise ConfigError(f"{path}: cannot read the config: it is longer than {MAX_CONFIG} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeError as error:
        raise ConfigError(f"{path}: cannot read the config: not UTF-8") from error


def read_lines(text: str, path: str) -> Lines:
    """Parse a config's text, all lines of it; `path` is for the messages."""
    values: dict[str, Any] = {}
    numbers: dict[str, int] = {}
    claimed: dict[str, int] = {}
    faulty: set[str] = set()
    errors: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        name, *words = list(itertools.takewhile(lambda word: not word.startswith("#"), line.split())) or [""]
        if not name:
            continue
        if name not in DIRECTIVES and ":" in name:
            name, words = PEER, [name, *words]
        numbers[name] = number
        try:
            directive = _find(name)
            value = _value(name, directive, words)
            for claim in directive.claims(value) if directive.claims else [name]:
                if claim in claimed:
                    raise ConfigError(f"{claim} stands in line {claimed[claim]} already; remove one of them")
                claimed[claim] = number
        except ConfigError as error:
            faulty.add(name)
            errors.append(f"{path}:{number}: {error}")
            continue
        field = field_of(name)
        values[field] = (*values.get(field, ()), value) if directive.claims else value
    return Lines(Settings(**values), numbers, frozenset(faulty), errors, path)


def _find(name: str) -> Directive:
    try:
        return DIRECTIVES[name]
    except KeyError:
        raise ConfigError(f"unknown directive {name!r}; known are {', '.join(DIRECTIVES)}") from None


def _value(name: str, directive: Directive, words: list[str]) -> Any:
    try:
        return directive.read(words)
    except ValueError:
        given = repr(" ".join(words)) if words else "nothing"
        raise ConfigError(f"{name} needs {directive.expects}, not {given}") from None
