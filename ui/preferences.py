"""The settings file of the client, `~/.config/crosstalk/client.toml`, and the password, which is never in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.commandline import MAX_PORT
from ui.dialects import DIALECTS
from ui.rendering import STYLES

PASSWORD_VARIABLE = "CROSSTALK_PASSWORD"


MAX_PASSWORD = 4096
"""Bytes of a password file that are read."""


class PreferencesError(Exception):
    """A settings file, or a password file, cannot be used. Its text names the file and the reason."""


class Server(NamedTuple):
    """A server in the settings file.

    Attributes:
        host, port: where it is.
        dialect: what it speaks; empty: as on the command line.
        user: the name to log in with; empty: the one for all servers.
        channels: the channels to open after the login.
        password_file: the file with the password; empty for none.
        tls: encrypt the connection.
        ca: the file of certificates to trust; empty: those of the system.
    """

    port: int
    host: str = "localhost"
    dialect: str = ""
    user: str = ""
    channels: Sequence[str] = ()
    password_file: str = ""
    tls: bool = False
    ca: str = ""


class Preferences(NamedTuple):
    """The settings.

    Attributes:
        user: the name to log in with, where the server has no other.
        bell: ring the bell for direct messages and mentions.
        plain: print only, one line for each message, as for a screen reader.
        colours: styles, by what they are for.
        servers: the servers, by name.
    """

    user: str = ""
    bell: bool = True
    plain: bool = False
    colours: Mapping[str, str] = {}
    servers: Mapping[str, Server] = {}

    def server_at(self, host: str, port: int) -> Server | None:
        """Return the server at this address, if there is one."""
        return next((server for server in self.servers.values() if (server.host, server.port) == (host, port)), None)


def default_path() -> str:
    """Return the path of the settings file: below XDG_CONFIG_HOME, as the XDG base directory specification has it."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "crosstalk", "client.toml")


def load(path: str) -> Preferences:
    """Read the settings file; without one the defaults hold.

    Raises:
        PreferencesError: it cannot be read, or something in it is wrong.
    """
    import tomllib

    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError:
        return Preferences()
    except OSError as error:
        raise PreferencesError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PreferencesError(f"{path}: {error}") from error
    try:
        return _preferences(table)
    except PreferencesError as error:
        raise PreferencesError(f"{path}: {error}") from error


def _preferences(table: dict[str, Any]) -> Preferences:
    fields = _fields("", table, {"user": str, "bell": bool, "plain": bool, "colours": dict, "servers": dict})
    servers = {name: _server(name, row) for name, row in fields.pop("servers", {}).items()}
    colours = fields.pop("colours", {})
    for name, style in colours.items():
        _check_colour(name, style)
    return Preferences(**fields, colours=colours, servers=servers)


def _server(name: str, row: Any) -> Server:
    where = f"servers.{name}"
    if not isinstance(row, dict):
        raise PreferencesError(f"{where} is not a table: [{where}]")
    if name.isdecimal():
        raise PreferencesError(f"{where}: a name is not a number, which would be a port")
    fields = _fields(
        f"{where}.", row,
        {"port": int, "host": str, "dialect": str, "user": str, "channels": list, "password-file": str,
         "tls": bool, "ca": str},
    )  # fmt: skip
    if not 1 <= fields.get("port", 0) <= MAX_PORT:
        raise PreferencesError(f"{where}.port: a number from 1 to {MAX_PORT} is needed")
    if fields.get("dialect", "result") not in DIALECTS:
        raise PreferencesError(f"{where}.dialect: not one of {', '.join(DIALECTS)}")
    if any(not isinstance(channel, str) or channel.split() != [channel] for channel in fields.get("channels", ())):
        raise PreferencesError(f"{where}.channels: a list of names is needed")
    if fields.get("ca") and not fields.get("tls"):
        raise PreferencesError(f"{where}.ca is for tls = true")
    return Server(**{key.replace("-", "_"): value for key, value in fields.items()})


KINDS: Mapping[type, str] = {str: "a text", bool: "true or false", int: "a number", list: "a list", dict: "a table"}


def _fields(where: str, table: dict[str, Any], types: Mapping[str, type]) -> dict[str, Any]:
    """Check the keys of a table and the types of their values."""
    for key, value in table.items():
        if "password" in key and key not in types:
            raise PreferencesError(
                f"{where}{key}: no password belongs in this file; it is asked for, or comes from {PASSWORD_VARIABLE}"
                " or from a file of its own that only you can read: password-file"
            )
        if key not in types:
            raise PreferencesError(f"{where}{key} is not one of {', '.join(types)}")
        if type(value) is not types[key]:
            raise PreferencesError(f"{where}{key}: {KINDS[types[key]]} is needed")
        if key in ("user", "host") and str(value).split() != [value]:
            raise PreferencesError(f"{where}{key}: one word is needed")
    return dict(table)


def _check_colour(name: str, style: Any) -> None:
    if name not in STYLES:
        raise PreferencesError(f"colours.{name} is not one of {', '.join(STYLES)}")
    if not isinstance(style, str):
        raise PreferencesError(f"colours.{name}: a text is needed, such as 'bold ansigreen'")


def check_colours(colours: Mapping[str, str]) -> str:
    """Tell which style prompt_toolkit does not know; empty if it knows all."""
    from prompt_toolkit.styles import Style

    for name, style in colours.items():
        try:
            Style.from_dict({name: style})
        except ValueError as error:
            return f"colours.{name}: {error}"
    return ""


# ---- passwords ----


def known_password(password_file: str) -> str:
    """Return the password from the environment or from a file; empty where neither is there.

    Raises:
        PreferencesError: the file cannot be read, or others can read it.
    """
    return os.environ.get(PASSWORD_VARIABLE) or (_from_file(password_file) if password_file else "")


def _from_file(path: str) -> str:
    path = os.path.expanduser(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PreferencesError(f"{path}: not a regular file")
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise PreferencesError(f"{path}: others can read it; chmod 600 {path}")
            data = file.read(MAX_PASSWORD)
    except OSError as error:
        raise PreferencesError(f"{path}: {error.strerror}") from error
    password = data.decode(errors="replace").rstrip("\r\n")
    if not password or password.split() != [password]:
        raise PreferencesError(f"{path}: the password is one word")
    return password
