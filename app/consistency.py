"""Rules on several settings at once: on the lines of a config, and on those with the command line.

Each line alone is checked by `app/directives.py`.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from app.config import Lines
from app.directives import PEER, SECRET, field_of
from net.addresses import join_host_port
from settings import Settings

MIN_CHANNELS = 3
"""Minimum number of channels with a port (C26)."""

MEMORY = ":memory:"
"""The path of a database that keeps nothing, as in `store.py`, which a refused start does not load."""

NO_SOCKET = "none"
"""The path that stands for no control socket."""

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path on Linux."""


class Rule(NamedTuple):
    """A row of the table.

    Attributes:
        directives: that the rule concerns; an error is told with the line of the first that has one. If a line of one
            of them is wrong, the rule is not checked, since its error could only follow from that one.
        fault: returns the contradiction among all settings; None if there is none.
    """

    directives: tuple[str, ...]
    fault: Callable[[Settings], str | None]


def _without_ports(settings: Settings) -> str | None:
    if settings.listen or settings.channel:
        return None
    return "has no listen line and no channel; add one, or start with a port"


def _too_few_channels(settings: Settings) -> str | None:
    count = len(settings.channel)
    if not 0 < count < MIN_CHANNELS:
        return None
    return f"channel stands {count} times; it needs {MIN_CHANNELS} or more, or none"


def _peer_with_own_name(settings: Settings) -> str | None:
    if settings.hostname is None or settings.hostname not in {peer.name for peer in settings.peers}:
        return None
    return f"hostname {settings.hostname} is this server's own; no other can bear it"


def _secret_without_hostname(settings: Settings) -> str | None:
    if settings.hostname is not None or not any(peer.secret for peer in settings.peers):
        return None
    return f"{SECRET} needs a name of this server's own, too; add hostname <name>"


def _federation_port_while_off(settings: Settings) -> str | None:
    if settings.federation != "off" or "federation" not in {listen.dialect for listen in settings.listen}:
        return None
    return "a port that listens for federation is of no use while federation is off"


def _node_in_memory(settings: Settings) -> str | None:
    if settings.node is None or settings.database != MEMORY:
        return None
    return f"a node keeps a copy of the cluster's data in a file, so its database cannot be {MEMORY}"


def _node_with_any_port(settings: Settings) -> str | None:
    if settings.node is None or 0 not in {listen.port for listen in settings.listen}:
        return None
    return "a node's clients must know its ports before it serves, so none can be 0"


def _for_a_node(directive: str) -> Rule:
    """Return the rule of a directive that only a node needs."""
    field = field_of(directive)

    def fault(settings: Settings) -> str | None:
        if settings.node is not None or getattr(settings, field) == getattr(Settings(), field):
            return None
        return f"{directive} is for a node of a cluster; add node <name>, or remove it"

    return Rule((directive, "node"), fault)


def _tls_without_certificate(settings: Settings) -> str | None:
    if settings.tls_certificate is not None or not settings.listens_with_tls:
        return None
    return "tls at the end of a line needs a certificate: add tls-certificate <path> and tls-key <path>"


def _certificate_without_key(settings: Settings) -> str | None:
    if (settings.tls_certificate is None) == (settings.tls_key is None):
        return None
    given, missing = ("tls-key", "tls-certificate") if settings.tls_key else ("tls-certificate", "tls-key")
    return f"{given} is of no use without {missing} <path>"


def _unusable_certificate(settings: Settings) -> str | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    from net.tls import server_context  # most servers have none

    return _why_unusable(partial(server_context, settings.tls_certificate, settings.tls_key))


def _unusable_authorities(settings: Settings) -> str | None:
    if settings.tls_ca is None:
        return None
    from net.tls import client_context

    return _why_unusable(partial(client_context, settings.tls_ca))


def _why_unusable(load: Callable[[], object]) -> str | None:
    from net.tls import CertificateError

    try:
        load()
    except CertificateError as error:
        return str(error)
    return None


def _no_place_for_database(settings: Settings) -> str | None:
    path = settings.database
    if path is None or path == MEMORY:
        return None
    if os.path.exists(path) and not (os.path.isfile(path) and os.access(path, os.R_OK | os.W_OK)):
        return f"the database {path} is no file that can be read and written"
    return _unusable_directory(os.path.realpath(path))  # SQLite has its log beside what a link leads to


def _no_place_for_control(settings: Settings) -> str | None:
    path = settings.control
    if path is None or path == NO_SOCKET:
        return None
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        return f"the path of the control socket has more than {MAX_SOCKET_PATH} bytes"
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        return f"the control socket cannot be made: {path} is there, and is no socket"
    return _unusable_directory(path)


def _unusable_directory(path: str) -> str | None:
    """Return why nothing can be made at a path; None if it can."""
    directory = os.path.dirname(path) or os.curdir
    if not os.path.isdir(directory):
        return f"there is no directory {directory}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"nothing can be written to the directory {directory}"
    return None


class BindAddress(NamedTuple):
    """The address and port of a listener. `address`: None stands for all, of IPv4 and IPv6."""

    address: str | None
    port: int

    def __str__(self) -> str:
        return join_host_port(self.address or "*", self.port)

    def clashes(self, other: BindAddress) -> bool:
        """Tell whether the operating system refuses the second of these two."""
        if not self.port or self.port != other.port:
            return False
        if self.address is None or other.address is None or self.address == other.address:
            return True
        is_same_family = (":" in self.address) == (":" in other.address)
        return is_same_family and not {"0.0.0.0", "::"}.isdisjoint((self.address, other.address))


def _listeners(settings: Settings) -> list[BindAddress]:
    listens = [BindAddress(listen.address or settings.address, listen.port) for listen in settings.listen]
    return listens + [BindAddress(settings.address, channel.port) for channel in settings.channel]


def _port_is_wanted_twice(settings: Settings) -> str | None:
    return _first_clash(itertools.combinations(_listeners(settings), 2))


def _metrics_port_is_wanted(settings: Settings) -> str | None:
    if settings.metrics is None:
        return None
    own = BindAddress(*settings.metrics[:2])
    return _first_clash((place, own) for place in _listeners(settings))


def _first_clash(pairs: Iterable[tuple[BindAddress, BindAddress]]) -> str | None:
    clashes = (f"{second} cannot be opened, since {first} is, too" for first, second in pairs if first.clashes(second))
    return next(clashes, None)


RULES = (  # those of the config before those of the command line
    Rule(("hostname", PEER), _peer_with_own_name),
    Rule((PEER, "hostname"), _secret_without_hostname),
    Rule(("federation", "listen"), _federation_port_while_off),
    Rule(("channel",), _too_few_channels),
    Rule(("tls-certificate", "tls-key"), _certificate_without_key),
    Rule(("tls-certificate", "tls-key"), _unusable_certificate),
    Rule(("tls-ca",), _unusable_authorities),
    Rule(("listen", "channel", "tls-certificate"), _tls_without_certificate),
    *map(_for_a_node, ("engine", "engine-password-file", "cluster", "log-bytes")),
    Rule(("database", "node"), _node_in_memory),
    Rule(("listen", "node"), _node_with_any_port),
)

START_RULES = (
    Rule(("listen", "channel"), _port_is_wanted_twice),
    Rule(("metrics", "listen", "channel"), _metrics_port_is_wanted),
    Rule(("database",), _no_place_for_database),
    Rule(("control",), _no_place_for_control),
)
"""Rules for `--check-config` alone (C52): a start finds these errors when it makes the files and opens the ports."""


def contradictions(settings: Settings, lines: Lines, rules: Sequence[Rule] = RULES) -> Iterator[str]:
    """Return one error for each rule that the settings break.

    Args:
        settings: all of them, those of the command line too.
        lines: the config from which the others come.
        rules: which are checked.
    """
    if not lines.faulty & {"listen", "channel"} and (reason := _without_ports(settings)):
        yield f"{lines.path} {reason}"
    for directives, fault in rules:
        if not lines.faulty.intersection(directives) and (reason := fault(settings)):
            number = next((lines.numbers[name] for name in directives if name in lines.numbers), None)
            place = lines.path if number is None else f"{lines.path}:{number}"
            yield f"{place}: {reason}" if lines.path else reason
