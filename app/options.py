"""How the server is started: its command line, and the settings that result from it and the config.

Little is imported here, so that a wrong command line is refused at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from app.bootstrap import handed_over_config
from app.commandline import OneLineParser, port_number
from app.config import NO_LINES, decode_content, read_content, read_lines
from app.consistency import RULES, START_RULES, contradictions
from app.directives import DIRECTIVES, ConfigError
from settings import Listen, Settings
from version import VERSION

USAGE = """\
server.py <port> [config] [options]
       server.py <config> [options]
       server.py --address A --port P [config] [options]
       server.py --check-config <config>
       server.py --control PATH command [word...]"""

MANUAL = """\
The first form serves all clients on one port; the first word of a client selects its protocol. In the second form, the
config's `listen` and `channel` lines name the ports and their protocols. The third form is the server of the `hello`
course: it speaks that protocol only, and takes 16 users. It prints `Server is on` when it accepts connections. In every
form the config's `listen` and `channel` lines open more ports.

Signals: TERM, INT and HUP stop the server. A second TERM or INT, half a second later or more, ends it at once. USR1
writes counters to the log.

Commands of the operator, on standard input and at the control socket. `--control` has a running
server carry out one of those without a slash; the exit status is 0 if that was done:
{commands}

Directives of the config, one to a line:
{directives}
"""

HELLO_USERS = 16
"""Default of `max-users` at a server of the dialect `hello` (C25)."""


def _parser(words: Sequence[str]) -> OneLineParser:
    """Return the parser of the server's options; what its words mean is left to `parse_command_line`."""
    parser = OneLineParser(
        words,
        prog="server.py",
        usage=USAGE,
        description="A chat server. Talk to it with netcat, client.py, or any client of the protocols that it speaks.",
        manual=_manual,
    )
    add = parser.add_argument
    add(
        "words", nargs="*", metavar="port, config", help="the port to listen on, 0 takes a free one; a file of settings"
    )
    add("--port", metavar="P", type=port_number(0), help="serve the hello protocol alone, on this port")
    add("--address", metavar="A", type=setting("address"), help="listen on this IP address only")
    add(
        "--max-users",
        metavar="N",
        type=setting("max-users"),
        help="hello users at once (with --port: 16; else no limit)",
    )
    add(
        "--database",
        metavar="PATH",
        type=setting("database"),
        help="the database file (default: crosstalk-<port>.db in the current directory); :memory: keeps nothing",
    )
    add(
        "--hangup",
        metavar="WHAT",
        type=setting("hangup"),
        help="what SIGHUP does: end the server, or (for services) reload",
    )
    add("--check-config", action="store_true", help="tell every error of the config, and start nothing")
    add("--version", action="version", version=f"crosstalk {VERSION}", help="tell the version")
    return parser


def parse_command_line(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; exit with status 1 and one line if it is wrong.

    Returns:
        The options, and `port` and `config`, of which one may be None. `hello_server`: the third form was used.
    """
    parser = _parser(words)
    arguments = parser.parse_intermixed_args(words)
    arguments.hello_server = arguments.port is not None
    rest: list[str] = arguments.words
    if rest and not arguments.hello_server and rest[0].isdigit():
        try:
            arguments.port = port_number(0)(rest.pop(0))
        except argparse.ArgumentTypeError as error:
            parser.error(f"argument port: {error}")
    arguments.config = rest.pop(0) if rest else None
    if rest:
        parser.error(f"too many arguments: {' '.join(rest)}")
    if arguments.port is None and arguments.config is None:
        parser.error("a port or a config is needed")
    return arguments


def _manual() -> str:
    from dialects.operator.table import ALL  # imports much

    return MANUAL.format(
        commands=_columns((command.usage, command.help) for command in ALL.values()),
        directives=_columns((name, directive.help) for name, directive in DIRECTIVES.items()),
    )


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"  {left:<33} {right}" for left, right in rows)


def setting(name: str) -> Callable[[str], Any]:
    """Return a parser of an option that is a setting, too; it raises argparse.ArgumentTypeError."""
    directive = DIRECTIVES[name]

    def read(word: str) -> Any:
        try:
            return directive.read([word])
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is not {directive.expects}") from None

    return read


class Options(NamedTuple):
    """What a command line and its config say.

    Attributes:
        settings: all settings.
        hello_server: the third form of the command line was used.
        config: the bytes of the config; b"" without one.
        arguments: the command line.
        errors: what is wrong with the config, one line for each; such settings are of no use.
    """

    settings: Settings
    hello_server: bool
    config: bytes = b""
    errors: Sequence[str] = ()
    arguments: argparse.Namespace = argparse.Namespace(config=None)


def read_options(arguments: argparse.Namespace) -> Options:
    """Read the config of a command line. It is opened and read only here and once: it may be a pipe (C51)."""
    path: str | None = arguments.config
    content, lines = b"", NO_LINES
    if path is not None:
        left = handed_over_config()
        try:
            content = read_content(path) if left is None else left
            lines = read_lines(decode_content(content, path), path)
        except ConfigError as error:
            return Options(Settings(), arguments.hello_server, content, [str(error)])
    settings = _completed(lines.settings, arguments)
    rules = (*RULES, *START_RULES) if arguments.check_config else RULES
    errors = [*lines.errors, *contradictions(settings, lines, rules)]
    return Options(settings, arguments.hello_server, content, errors, arguments)


def _completed(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """Return the settings with what the command line says, which takes precedence."""
    if arguments.port is not None:
        own = Listen(arguments.address, arguments.port, "hello" if arguments.hello_server else "auto")
        settings = settings._replace(listen=(own, *settings.listen))
    return settings._replace(
        address=arguments.address or settings.address,
        database=arguments.database or settings.database,
        hangup=arguments.hangup or settings.hangup,
        max_users=arguments.max_users or settings.max_users or (HELLO_USERS if arguments.hello_server else None),
    )


def read_or_exit(arguments: argparse.Namespace) -> Options:
    """Read the config, or exit with status 1 and a line that says what is wrong: the first error.

    With --check-config all errors are told, and status 0 says that there is none.
    """
    options = read_options(arguments)
    for error in options.errors if arguments.check_config else options.errors[:1]:
        print(f"server.py: {error}", file=sys.stderr)
    if options.errors:
        sys.exit(1)
    if arguments.check_config:
        print(f"{arguments.config or 'the command line'}: no errors")
        sys.exit(0)
    return options
