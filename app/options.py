"""How the server is started: its command line, and the settings that result from it and the config.

Little is imported here, so that a wrong command line is refused at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from app.bootstrap import left_config
from app.commandline import OneLineParser, port_number
from app.config import DIRECTIVES, ConfigError, field_of, parse_content, read_content
from settings import Listen, Settings

USAGE = """\
server.py <port> [config] [options]
       server.py <config> [options]
       server.py --address A --port P [config] [options]"""

MANUAL = """\
The first form serves all clients on one port; the first word of a client selects its protocol. In the second form, the
config's `listen` and `channel` lines name the ports and their protocols. The third form is the server of the `hello`
lab: it speaks that protocol only, and takes 16 users. It prints `Server is on` when it accepts connections. In every
form the config's `listen` and `channel` lines open more ports.

Signals: TERM, INT and HUP stop the server. A second TERM or INT, half a second later or more, ends it at once. USR1
writes counters to the log.

Commands on standard input, for the channels:
{commands}

Directives of the config, one to a line:
{directives}
"""

HELLO_USERS = 16
"""Default of `max-users` at a server of the dialect `hello` (C25)."""


def parse_command_line(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; exit with status 1 and one line if it is wrong.

    Returns:
        The options, and `port` and `config`, of which one may be None. `hello_server`: the third form was used.
    """
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
    from dialects.operator import COMMANDS  # imports much

    return MANUAL.format(
        commands=_columns((command.usage, command.help) for command in COMMANDS.values()),
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


def settings_for(arguments: argparse.Namespace) -> Settings:
    """Return the settings of a command line and of the config that it names; the command line takes precedence.

    Raises:
        ConfigError: the config cannot be used, or has no port to listen on.
    """
    return read_options(arguments).settings


class Options(NamedTuple):
    """What a command line and its config say.

    Attributes:
        settings: all settings.
        hello_server: the third form of the command line was used.
        config: the bytes of the config; b"" without one.
    """

    settings: Settings
    hello_server: bool
    config: bytes = b""


def read_options(arguments: argparse.Namespace) -> Options:
    """Read the config of a command line. It is opened and read only here and once: it may be a pipe (C51).

    Raises:
        ConfigError: the config cannot be used, or has no port to listen on.
    """
    path: str | None = arguments.config
    content, settings = b"", Settings()
    if path is not None:
        left = left_config()
        content = read_content(path) if left is None else left
        settings = parse_content(content, path)
    return Options(_completed(settings, arguments), arguments.hello_server, content)


def _completed(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """Return the settings with what the command line says."""
    if arguments.port is not None:
        own = Listen(arguments.address, arguments.port, "hello" if arguments.hello_server else "auto")
        settings = settings._replace(listen=(own, *settings.listen))
    if not (settings.listen or settings.channel):
        raise ConfigError(f"{arguments.config} has no listen line and no channel; add one, or start with a port")
    settings = settings._replace(
        address=arguments.address or settings.address,
        database=arguments.database or settings.database,
        max_users=arguments.max_users or settings.max_users or (HELLO_USERS if arguments.hello_server else None),
    )
    _check_cluster(settings)
    return settings


CLUSTER_DIRECTIVES = ("engine", "engine-password-file", "cluster", "log-bytes")
"""Directives that only a node needs."""


def _check_cluster(settings: Settings) -> None:
    if settings.node is None:
        unused = [
            name
            for name in CLUSTER_DIRECTIVES
            if getattr(settings, field := field_of(name)) != getattr(Settings(), field)
        ]
        if unused:
            raise ConfigError(f"{unused[0]} is for a node of a cluster; add node <name>, or remove it")
    elif settings.database == MEMORY:
        raise ConfigError(f"a node keeps a copy of the cluster's data in a file, so its database cannot be {MEMORY}")
    elif 0 in {listen.port for listen in settings.listen}:
        raise ConfigError("a node's clients must know its ports before it serves, so none can be 0")


MEMORY = ":memory:"
"""The path of a database that keeps nothing."""


def read_or_exit(arguments: argparse.Namespace) -> Options:
    """Read the config, or exit with status 1 and a line that says what is wrong."""
    try:
        return read_options(arguments)
    except ConfigError as error:
        print(f"server.py: {error}", file=sys.stderr)
        sys.exit(1)
