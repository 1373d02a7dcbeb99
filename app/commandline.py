"""Parsing of command lines, with errors of one line; shared by the server and the client."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import NoReturn

from text import parse_number

MAX_PORT = 65535

MAX_NUMBER = 10**18
"""Value of any larger number, where an option sets no limit of its own."""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, and exits with status 1 (C50).

    Args:
        words: the command line that will be parsed.
        manual: gives the end of the help, where that is asked for.
    """

    def __init__(
        self, words: Sequence[str], *, prog: str, description: str, manual: Callable[[], str], usage: str | None = None
    ) -> None:
        helps = not {"-h", "--help"}.isdisjoint(words)
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=manual() if helps else None,
            # argparse formats also to check itself; without a width it would load shutil, to ask the terminal for one
            formatter_class=formatter if helps else functools.partial(formatter, width=80),
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: {message} (try {self.prog} --help)\n")


def port_number(minimum: int) -> Callable[[str], int]:
    """Return a parser of ports from `minimum` to 65535; it raises argparse.ArgumentTypeError for anything else."""

    def read(word: str) -> int:
        number = parse_number(word, MAX_PORT + 1)
        if number is None or not minimum <= number <= MAX_PORT:
            raise argparse.ArgumentTypeError(f"{word!r} is not a number from {minimum} to {MAX_PORT}")
        return number

    return read


def whole_number(word: str) -> int:
    """Parse a number that is not negative, at most MAX_NUMBER.

    Raises:
        argparse.ArgumentTypeError: the word is no such number.
    """
    number = parse_number(word, MAX_NUMBER)
    if number is None:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number")
    return number
