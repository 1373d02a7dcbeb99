"""Command lines that say in one line what is wrong with them, shared by the server and the client."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, and exits with status 1 (C50)."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: {message} (try {self.prog} --help)\n")


def port_number(least: int) -> Callable[[str], int]:
    """Give a reader of ports from this one to 65535; it raises argparse.ArgumentTypeError for anything else."""

    def read(word: str) -> int:
        number = int(word) if word.isascii() and word.isdigit() and len(word) < 20 else -1
        if not least <= number <= 65535:
            raise argparse.ArgumentTypeError(f"{word!r} is not a number from {least} to 65535")
        return number

    return read


def whole_number(word: str) -> int:
    """Read a number that is not negative; raises argparse.ArgumentTypeError for anything else."""
    if not (word.isascii() and word.isdigit() and len(word) < 20):
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number")
    return int(word)
