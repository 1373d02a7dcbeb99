"""A config's text as settings, and as the errors that it has."""

from __future__ import annotations

from app.config import read_lines
from app.consistency import contradictions
from app.directives import ConfigError
from settings import Listen, Settings

ANYWHERE = (Listen(None, 5050, "auto"),)
"""Stands for the port of the command line, where the config has none."""


def errors_of(text: str, path: str = "my.conf") -> list[str]:
    """Every error of a config, in the order in which they are told."""
    lines = read_lines(text, path)
    settings = lines.settings if lines.settings.listen else lines.settings._replace(listen=ANYWHERE)
    return [*lines.errors, *contradictions(settings, lines)]


def parse_config(text: str, path: str) -> Settings:
    """The settings that the lines of a config give, each line taken alone.

    Raises:
        ConfigError: a line is wrong; the first error.
    """
    lines = read_lines(text, path)
    for error in lines.errors:
        raise ConfigError(error)
    return lines.settings
