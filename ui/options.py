"""The client's command line, completed by the settings file. Imports little: a wrong one is refused at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.commandline import MAX_PORT, OneLineParser, whole_number
from text import parse_number
from ui.dialects import DIALECTS
from version import VERSION

if TYPE_CHECKING:
    from ui.preferences import Preferences, Server

MAX_RECEIVED = 1024 * 1024 * 1024
"""Default for the bytes of all files that are received."""

DESCRIPTION = """\
Talks to a chat server: in the words of the dialect result, as the chat `hello`,
at the port of a channel, or with a mailbox."""

LOCALHOST = "localhost"


def parse_command_line(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits when it cannot be understood.

    Returns:
        a namespace with these fields; `complete` adds what the settings file says:

        - `port`, as a word, and `host` or None;
        - `dialect`, and whether it was `guessed`;
        - `name` or None, and `user` or None;
        - `stay`, `plain` and `max_received`;
        - `script`, whether it is one; for a script `say`, `to`, `stdin`, `history` and `json`.
    """
    parser = OneLineParser(
        words,
        prog="client.py",
        description=DESCRIPTION,
        manual=_manual,
    )
    _add_arguments(parser)
    arguments = parser.parse_intermixed_args(words)  # the username may stand behind an option
    username, name, dialect = arguments.username, arguments.name, arguments.dialect
    arguments.refuse = parser.error
    arguments.is_port = all(parse_number(word, MAX_PORT) is not None for word in arguments.port.split(","))
    _check_where(parser, arguments)
    if username is not None and dialect not in (None, "rooms"):
        parser.error("a username behind the port is for the dialect rooms or result; else there is --name")
    if username is not None and name not in (None, username):
        parser.error("the username behind the port and --name are not the same")
    arguments.script = bool(arguments.say or arguments.to or arguments.history)
    _check_script(parser, arguments)
    arguments.guessed = dialect is None and arguments.user is None
    arguments.dialect = dialect or ("result" if username is None else "rooms")
    if username is not None or name is not None:
        arguments.name = username if name is None else name
        _check_name(parser, arguments, "--name" if username is None else "username")
    if not arguments.is_port:
        complete(arguments)
    return arguments


def parse_ports(text: str) -> tuple[int, ...]:
    """Return the ports of a list such as `6666,6667`.

    Raises:
        ValueError: a word is no port, or there is none.
    """
    ports = [parse_number(word, MAX_PORT + 1) or 0 for word in text.split(",")]
    if not all(1 <= port <= MAX_PORT for port in ports):
        raise ValueError(f"{text!r} is not a number from 1 to {MAX_PORT}, or several of them with commas")
    return tuple(dict.fromkeys(ports))


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return the hosts of a list such as `a,b`.

    Raises:
        ValueError: a host is empty.
    """
    hosts = [host.strip() for host in text.split(",")]
    if not all(hosts):
        raise ValueError(f"{text!r} has an empty host")
    return tuple(dict.fromkeys(hosts))


def _check_where(parser: OneLineParser, arguments: argparse.Namespace) -> None:
    try:
        if arguments.is_port:
            parse_ports(arguments.port)
    except ValueError as error:
        parser.error(f"argument port: {error}")
    try:
        parse_hosts(arguments.host or LOCALHOST)
    except ValueError as error:
        parser.error(f"argument --host: {error}")
    if arguments.ca is not None and not arguments.tls and arguments.is_port:
        parser.error("--ca is for --tls")
    arguments.alone = arguments.username is None and arguments.name is None


def _add_arguments(parser: OneLineParser) -> None:
    parser.add_argument(
        "port", help="the server's port, ports of which one answers (6666,6667,6668), or its name in the settings file"
    )
    parser.add_argument("username", nargs="?", help="the name to come in with, at a channel's port, or to log in with")
    parser.add_argument("--host", metavar="H", help=f"the server's host, or hosts with commas ({LOCALHOST})")
    parser.add_argument(
        "--tls", action="store_true", help="encrypt; the server's certificate must bear the host's name"
    )
    parser.add_argument("--ca", metavar="FILE", help="with --tls: certificates to trust in place of the system's")
    parser.add_argument(
        "--dialect", choices=tuple(DIALECTS), help="how to talk (rooms with a username, else result or mailbox)"
    )
    parser.add_argument("--name", metavar="N", help="with --dialect hello or rooms: the name to log in with")
    parser.add_argument("--user", metavar="U", help="in the dialect result: the account to log in to")
    parser.add_argument("--stay", action="store_true", help="in a pipe, go on receiving after the end of the input")
    parser.add_argument(
        "--retry",
        type=whole_number,
        metavar="SECONDS",
        help="in a pipe, how long another server is looked for after a loss (15, with several ports)",
    )
    parser.add_argument("--plain", action="store_true", help="print only, one line a message, as for a screen reader")
    parser.add_argument(
        "--max-received",
        type=whole_number,
        default=MAX_RECEIVED,
        metavar="BYTES",
        help="in the dialect rooms: bytes of all files that are received (1 GiB); each counts 64 KiB more",
    )
    parser.add_argument("--version", action="version", version=f"crosstalk {VERSION}", help="tell the version")
    script = parser.add_argument_group("scripts, in the dialect result")
    for name, metavar, what in (
        ("--say", ("CHANNEL", "TEXT"), "say a text in a channel"),
        ("--to", ("USER", "TEXT"), "say a text to a user"),
        ("--history", ("CHANNEL", "COUNT"), "print the last messages of a channel (20)"),
    ):
        script.add_argument(name, nargs="+", metavar=metavar, help=what)
    script.add_argument("--stdin", action="store_true", help="say each line of the input, in place of a text")
    script.add_argument("--json", action="store_true", help="print messages as JSON, one object in each line")


def _check_script(parser: OneLineParser, arguments: argparse.Namespace) -> None:
    if not arguments.script:
        if arguments.stdin or arguments.json:
            parser.error("--stdin and --json are for --say, --to or --history")
        return
    if arguments.dialect not in (None, "result"):
        parser.error("--say, --to and --history are for the dialect result")
    for option, words in (("--say", arguments.say), ("--to", arguments.to)):
        if words and (len(words) == 1) != arguments.stdin:
            parser.error(f"{option} needs a name and a text, or a name and --stdin")
        if words and not arguments.stdin and not " ".join(words[1:]).strip():
            parser.error(f"{option}: the text is empty")
    if arguments.stdin and not (arguments.say or arguments.to):
        parser.error("--stdin needs --say or --to")
    if arguments.history and len(arguments.history) > 2:
        parser.error("--history needs a channel, and perhaps a number")
    if arguments.history and not (parse_number((*arguments.history, "20")[1], MAX_PORT) or 0):
        parser.error("--history: the number of messages is a whole number from 1")
    for words in filter(None, (arguments.say, arguments.to, arguments.history)):
        if words[0].split() != [words[0]]:
            parser.error(f"{words[0]!r} is no name")


def _check_name(parser: OneLineParser, arguments: argparse.Namespace, source: str) -> None:
    if arguments.dialect == "result":
        parser.error(f"argument {source}: the dialect result has accounts, see --user; --name is for hello or rooms")
    if wrong := DIALECTS[arguments.dialect]().take_name(arguments.name):
        parser.error(f"argument {source}: {wrong}")


def complete(arguments: argparse.Namespace) -> None:
    """Add what the settings file says to a command line: the server of that name, or at that port. Exits on an error.

    Adds `channels`, `password_file`, `bell` and `colours`; `port` becomes a number.
    """
    from ui.preferences import PreferencesError, default_path, load

    try:
        preferences = load(default_path())
    except PreferencesError as error:
        arguments.refuse(str(error))
    arguments.bell, arguments.colours = preferences.bell, dict(preferences.colours)
    arguments.plain = arguments.plain or preferences.plain
    _use_server(arguments, _find_server(arguments, preferences), preferences)


def _find_server(arguments: argparse.Namespace, preferences: Preferences) -> Server | None:
    if arguments.is_port:
        hosts, ports = parse_hosts(arguments.host or LOCALHOST), parse_ports(arguments.port)
        found = [preferences.server_at(host, port) for port in ports for host in hosts]
        return next(filter(None, found), None)
    server = preferences.servers.get(arguments.port)
    if server is None:
        known = f"; it has {', '.join(preferences.servers)}" if preferences.servers else ""
        arguments.refuse(f"argument port: {arguments.port!r} is no port, and no server in the settings file{known}")
    return server


def _use_server(arguments: argparse.Namespace, server: Server | None, preferences: Preferences) -> None:
    """What the command line says wins over the settings file."""
    arguments.channels, arguments.password_file = (), ""
    user = preferences.user
    if server is not None:
        arguments.port, arguments.is_port = arguments.port if arguments.is_port else str(server.port), True
        arguments.host = arguments.host or server.host
        arguments.tls, arguments.ca = arguments.tls or server.tls, arguments.ca or server.ca or None
        arguments.channels, arguments.password_file = server.channels, server.password_file
        user = server.user or user
        if arguments.guessed and server.dialect and arguments.name is None:
            arguments.dialect, arguments.guessed = server.dialect, False
    if not user or arguments.name is not None or arguments.user is not None:
        return
    if arguments.dialect == "result":
        arguments.user = user
    elif arguments.dialect != "mailbox":
        arguments.name = user


def _manual() -> str:
    from ui.manual import MANUAL  # long, and rarely wanted

    return MANUAL
