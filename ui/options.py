"""The client's command line. Imports little, so that a wrong one is refused at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from app.commandline import OneLineParser, port_number, whole_number
from ui.dialects import DIALECTS

MAX_RECEIVED = 1024 * 1024 * 1024
"""Default for the bytes of all files that are received."""

DESCRIPTION = """\
Talks to a chat server: in the words of the dialect result, as the chat `hello`,
at the port of a channel, or with a mailbox."""


def parse_command_line(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits when it cannot be understood.

    Returns:
        `host`, `port`; `dialect`, and whether it was `guessed`; `name` or None; `stay`; `max_received`.
    """
    parser = OneLineParser(
        words,
        prog="client.py",
        description=DESCRIPTION,
        manual=_manual,
    )
    parser.add_argument("port", type=port_number(1), help="the server's port")
    parser.add_argument("username", nargs="?", help="the name to come in with, at a channel's port")
    parser.add_argument("--host", metavar="H", default="localhost", help="the server's host (%(default)s)")
    parser.add_argument(
        "--dialect", choices=tuple(DIALECTS), help="how to talk (rooms with a username, else result or mailbox)"
    )
    parser.add_argument("--name", metavar="N", help="with --dialect hello or rooms: the name to log in with")
    parser.add_argument("--stay", action="store_true", help="in a pipe, go on receiving after the end of the input")
    parser.add_argument(
        "--max-received",
        type=whole_number,
        default=MAX_RECEIVED,
        metavar="BYTES",
        help="in the dialect rooms: bytes of all files that are received (1 GiB); each counts 64 KiB more",
    )
    arguments = parser.parse_intermixed_args(words)  # the username may stand behind an option
    username, name, dialect = arguments.username, arguments.name, arguments.dialect
    if username is not None and dialect not in (None, "rooms"):
        parser.error("a username behind the port is for the dialect rooms; else there is --name")
    if username is not None and name not in (None, username):
        parser.error("the username behind the port and --name are not the same")
    arguments.guessed = dialect is None and username is None
    arguments.dialect = dialect or ("result" if username is None else "rooms")
    if username is not None or name is not None:
        arguments.name = username if name is None else name
        _check_name(parser, arguments, "--name" if username is None else "username")
    return arguments


def _check_name(parser: OneLineParser, arguments: argparse.Namespace, source: str) -> None:
    if wrong := DIALECTS[arguments.dialect]().take_name(arguments.name):
        parser.error(f"argument {source}: {wrong}")


def _manual() -> str:
    from ui.manual import MANUAL  # long, and rarely wanted

    return MANUAL
