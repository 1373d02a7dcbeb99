"""The directives of the config file, of which DIRECTIVES lists all.

Each row parses the words of its directive into a field of `Settings`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.commandline import MAX_PORT
from dialects import LISTEN_DIALECTS
from domain.names import is_host, is_name
from settings import LINKS, LOOPBACK, EngineAddress, HostedChannel, Listen, PeerConfig, Secret
from text import normalize, parse_number


class ConfigError(Exception):
    """The config cannot be used; the message gives the file, the line, and what is expected there."""


MIN_SECRET = 16
MAX_SECRET = 65_536
"""Minimum and maximum bytes of a secret, without the newline at its end."""

METRICS_ADDRESS = "127.0.0.1"
"""Where the port of `metrics` is, without another address."""

MAX_MOTD = 64 * 1024
"""Maximum bytes of the message of the day."""

ENGINES = (1, 3, 5)
"""Numbers of engines that a cluster can have."""

MAX_TITLE = 100
"""Maximum characters of the title of the page."""

MAX_TOKEN = 64
"""Maximum characters of the name of a node or cluster."""

MIN_CAPACITY = 5
"""Minimum capacity of a channel with a port (C26)."""


class Directive(NamedTuple):
    """A row of the table.

    Attributes:
        expects: what its words must be, for an error message.
        read: parses its words into a value; raises ValueError if they are wrong.
        help: what it sets, in one line.
        claims: returns what no other line may claim, such as a port; None for a directive that cannot be repeated.
    """

    expects: str
    read: Callable[[list[str]], Any]
    help: str
    claims: Callable[[Any], list[str]] | None = None


def _number(minimum: int, maximum: int) -> tuple[str, Callable[[list[str]], Any]]:
    """Return what is expected, and the parser, of a directive's number."""

    def read(words: list[str]) -> int:
        (word,) = words
        number = parse_number(word, maximum + 1)
        if number is None or not minimum <= number <= maximum:
            raise ValueError
        return number

    return f"a whole number from {minimum} to {maximum}", read


def _one_of(*choices: str) -> tuple[str, Callable[[list[str]], Any]]:
    """Return what is expected, and the parser, of a directive with these choices."""

    def read(words: list[str]) -> str:
        (word,) = words
        if word not in choices:
            raise ValueError
        return word

    return " or ".join(choices), read


def _address(words: list[str]) -> str:
    import ipaddress

    (word,) = words
    return str(ipaddress.ip_address(word))


def _split_endpoint(word: str, min_port: int) -> tuple[str, int]:
    """Split `<address>:<port>`; the address is "" where there is only a port."""
    address, _colon, port = word.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    if (":" in address) != bracketed:
        raise ValueError  # without brackets nobody can tell where an IPv6 address ends
    _expects, read_port = _number(min_port, MAX_PORT)
    return address[1:-1] if bracketed else address, read_port([port])


TLS = "tls"
"""The last word of a line whose connections use TLS."""


def _split_tls(words: list[str]) -> tuple[list[str], bool]:
    """Return the words without a last word that asks for TLS, and whether there was one."""
    is_last = words[-1:] == [TLS]
    return (words[:-1] if is_last else words), is_last


def _listen(words: list[str]) -> Listen:
    words, tls = _split_tls(words)
    endpoint, dialect = words
    if dialect not in LISTEN_DIALECTS or endpoint.startswith(":"):
        raise ValueError
    address, port = _split_endpoint(endpoint, 0)
    return Listen(_address([address]) if address else None, port, dialect, tls)


def _metrics(words: list[str]) -> Listen:
    (endpoint,) = words
    if endpoint.startswith(":"):
        raise ValueError
    address, port = _split_endpoint(endpoint, 0)
    return Listen(_address([address]) if address else METRICS_ADDRESS, port, "metrics")


def _host(words: list[str]) -> str:
    (word,) = words
    if not is_host(word):
        raise ValueError
    return word


def _web_hosts(words: list[str]) -> tuple[str, ...]:
    if not words or not all(map(is_host, words)):
        raise ValueError
    return tuple(word.lower() for word in words)


def _web_origins(words: list[str]) -> tuple[str, ...]:
    if not words:
        raise ValueError
    for word in words:
        scheme, _, authority = word.partition("://")
        host = _split_endpoint(authority if ":" in authority.rpartition("]")[2] else f"{authority}:80", 1)[0]
        if scheme.lower() not in ("http", "https") or not (is_host(host) or _address([host])):
            raise ValueError
    return tuple(word.lower() for word in words)


def _networks(words: list[str]) -> tuple[str, ...]:
    import ipaddress

    if not words:
        raise ValueError
    return tuple(str(ipaddress.ip_network(word)) for word in words)


def _exempt(words: list[str]) -> tuple[str, ...]:
    if words == ["none"]:
        return ()
    named = tuple(word for word in words if word in (LOOPBACK, LINKS))
    rest = [word for word in words if word not in named]
    return named + (_networks(rest) if rest or not named else ())


def _web_title(words: list[str]) -> str:
    title = " ".join(words)
    if not 1 <= len(title) <= MAX_TITLE or not title.isprintable():
        raise ValueError
    return title


SECRET = "secret="
"""Begins the last part of a peer's line; the rest of that line is a path."""


def _peer(words: list[str]) -> PeerConfig:
    words, tls = _split_tls(words)
    endpoint, *rest = words
    names = list(itertools.takewhile(lambda word: not word.startswith(SECRET), rest))
    path = " ".join(rest[len(names) :]).removeprefix(SECRET).strip()
    has_secret = len(names) < len(rest)
    address, port = _split_endpoint(endpoint, 0 if has_secret else 1)
    try:
        address = _address([address])
    except ValueError:
        if _host([address]).rpartition(".")[2].isdigit():
            raise  # a wrong IP address: the last label of a host name is no number
    name = _host(names) if names else None
    return PeerConfig(address, port, name, _secret(name, path) if has_secret else None, tls)


def _secret(name: str | None, path: str) -> Secret:
    if name is None:
        raise ConfigError(
            f"{SECRET} needs the name that it proves in front of it: <ip>:<port> <hostname> {SECRET}<path>"
        )
    return read_secret(_path([path]))


def read_secret(path: str) -> Secret:
    """Read a secret from a file; a newline at its end does not count.

    Raises:
        ConfigError: the file cannot be read, or the secret is too short or too long.
    """
    try:
        with open(path, "rb") as file:
            key = file.read(MAX_SECRET + 2).removesuffix(b"\n")
            exposed = is_exposed(os.fstat(file.fileno()))
    except OSError as error:
        raise ConfigError(f"cannot read the secret {path}: {error.strerror}") from error
    if not MIN_SECRET <= len(key) <= MAX_SECRET:
        raise ConfigError(f"the secret {path} must have {MIN_SECRET} to {MAX_SECRET} bytes")
    return Secret(key, is_exposed=exposed)


def is_exposed(status: os.stat_result) -> bool:
    """Tell whether users other than the owner have access to a file.

    The group root does not count: systemd gives it to credentials.
    """
    return bool(status.st_mode & (0o007 if status.st_gid == 0 else 0o077))


def _claim_peer(peer: PeerConfig) -> list[str]:
    endpoint = [f"server {peer.address}:{peer.port}"] if peer.port else []
    return endpoint + ([f"hostname {peer.name}"] if peer.name else [])


def _claim_port(listen: Listen) -> list[str]:
    endpoint = f"{listen.address}:{listen.port}" if listen.address else str(listen.port)
    return [f"port {endpoint}"] if listen.port else []


def _channel(words: list[str]) -> HostedChannel:
    words, tls = _split_tls(words)
    name, port, capacity = words
    name = normalize(name)
    if not is_name(name) or name[0].isdigit():
        raise ConfigError(f"{name!r} cannot be a channel with a port: it begins with a digit, or is no name")
    return HostedChannel(name, _part("port", port, 1, MAX_PORT), _part("capacity", capacity, MIN_CAPACITY, _ANY), tls)


def _account(words: list[str]) -> str:
    (word,) = words
    name = normalize(word)
    if not is_name(name):
        raise ValueError
    return name


def _claim_operator(name: str) -> list[str]:
    return [f"operator {name}"]


def _part(what: str, word: str, minimum: int, maximum: int) -> int:
    expects, read = _number(minimum, maximum)
    try:
        number: int = read([word])
    except ValueError:
        raise ConfigError(f"the {what} of a channel is {expects}, not {word!r}") from None
    return number


def _claim_channel(channel: HostedChannel) -> list[str]:
    return [f"channel {channel.name}", f"port {channel.port}"]


def _engines(words: list[str]) -> tuple[EngineAddress, ...]:
    words, tls = _split_tls(words)
    endpoints = (_split_endpoint(word, 1) for word in words)
    engines = tuple(EngineAddress(_address([address]), port, tls) for address, port in endpoints)
    if len(engines) not in ENGINES:
        raise ValueError
    if len(set(engines)) < len(engines):
        raise ConfigError("engine has an address twice; each stands for a copy of its own")
    return engines


def _password(words: list[str]) -> str:
    from replica.password import PasswordError, read_password  # most servers are no nodes

    try:
        return read_password(_path(words))
    except PasswordError as error:
        raise ConfigError(str(error)) from error


def _token(words: list[str]) -> str:
    (word,) = words
    if not (word.isascii() and word.replace("-", "x").isalnum() and len(word) <= MAX_TOKEN):
        raise ValueError
    return word


def _motd(words: list[str]) -> tuple[str, ...]:
    path = _path(words)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_MOTD + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the message of the day {path}: {error.strerror}") from error
    except UnicodeError as error:
        raise ConfigError(f"the message of the day {path} is not UTF-8") from error
    if len(content) > MAX_MOTD:
        raise ConfigError(f"the message of the day {path} has more than {MAX_MOTD} bytes")
    return tuple(text.splitlines())


def _path(words: list[str]) -> str:
    path = " ".join(words)
    if not path or b"\0" in os.fsencode(path):  # fsencode raises ValueError for what cannot be a path
        raise ValueError
    return path


_ANY = 1_000_000_000
_TOKEN = f"1 to {MAX_TOKEN} letters, digits and hyphens"

PEER = "<ip>:<port>"
"""The directive of a line that begins with the endpoint of another server (L1)."""

DIRECTIVES: Mapping[str, Directive] = {
    "address": Directive("an IP address", _address, "listen on this address only"),
    "listen": Directive(
        f"[<address>:]<port> and one of {', '.join(LISTEN_DIALECTS)}, and perhaps {TLS}",
        _listen,
        "listen here too",
        _claim_port,
    ),
    "channel": Directive(
        f"<name> <port> <capacity> [{TLS}]", _channel, "a channel with a port of its own; three or more", _claim_channel
    ),
    "tls-certificate": Directive(
        "the path of a file", _path, "the server's certificate and those that lead to it, PEM"
    ),
    "tls-key": Directive("the path of a file", _path, "its private key, PEM, without a pass phrase"),
    "tls-ca": Directive("the path of a file", _path, "certificates that are trusted in place of the system's, PEM"),
    "handshake-seconds": Directive(*_number(1, 3600), "how long a TLS handshake may take"),
    "database": Directive("the path of a file, or :memory:", _path, "the database file; :memory: keeps nothing"),
    "control": Directive("the path of a socket, or none", _path, "the socket for the operator's commands"),
    "hostname": Directive(
        "1 to 64 letters, digits, hyphens and dots", _host, "the name of this server among federated ones"
    ),
    "metrics": Directive("[<address>:]<port>", _metrics, "serve /metrics and /healthz here; on loopback by default"),
    "federation": Directive(
        *_one_of("local", "open", "listed", "off"), "which servers may link with this one besides the config's"
    ),
    PEER: Directive(
        "an address with a port from 1 to 65535, and perhaps the name that the server may bear, and behind that"
        f" {SECRET}<path> (then the port may be 0), and perhaps {TLS}",
        _peer,
        "federate with this server",
        _claim_peer,
    ),
    "federation-seconds": Directive(*_number(1, 3600), "how long another server's answer is waited for"),
    "max-peers": Directive(*_number(1, 10_000), "servers that are linked at once"),
    "max-remote-users": Directive(*_number(0, _ANY), "users of one other server who are in channels here"),
    "max-remote-memberships": Directive(*_number(0, _ANY), "memberships of one other server's users in channels here"),
    "max-remote-channels": Directive(*_number(0, _ANY), "channels that one other server may announce"),
    "max-unlisted-links": Directive(*_number(0, 10_000), "links with servers that the config does not list"),
    "max-unlisted-users": Directive(*_number(0, _ANY), "users of all these servers who are in channels here"),
    "max-unlisted-members": Directive(*_number(0, _ANY), "users of all these servers in one channel"),
    "max-unlisted-channels": Directive(*_number(0, _ANY), "channels that all these servers may announce"),
    "max-unlisted-mail": Directive(*_number(0, _ANY), "direct messages of all their users that wait for one account"),
    "max-link-buffer": Directive(*_number(262144, _ANY), "bytes that may wait for another server that reads slowly"),
    "channels": Directive(*_one_of("open", "members"), "who may know of a channel: everybody, or its members"),
    "channels-reply": Directive(*_one_of("all", "joined"), "what CHANNELS lists"),
    "history-on-join": Directive(*_number(0, 1000), "messages that follow the answer to JOIN"),
    "retention": Directive(*_number(0, 36500), "days after which messages are removed; 0: never"),
    "registration": Directive(*_one_of("open", "invite", "closed"), "who may make an account"),
    "operator": Directive(
        "the name of an account", _account, "an account with the operator's rights on IRC", claims=_claim_operator
    ),
    "bcrypt-cost": Directive(*_number(4, 31), "what a password hash costs; one more doubles the time"),
    "hash-threads": Directive(*_number(1, 64), "threads that hash passwords"),
    "max-hash-queue": Directive(*_number(1, 100_000), "passwords that may wait for these threads"),
    "max-registrations": Directive(*_number(0, _ANY), "accounts that one address may make in an hour"),
    "max-clients": Directive(*_number(1, _ANY), "connections at once"),
    "max-address-share": Directive(*_number(1, 100), "percent of these that one address may hold; not loopback"),
    "max-address-connections": Directive(*_number(1, _ANY), "connections at once from one address"),
    "connection-rate": Directive(*_number(1, _ANY), "new connections of one address in a minute"),
    "line-burst": Directive(*_number(1, _ANY), "lines that a client may send at once"),
    "line-rate": Directive(*_number(0, _ANY), "lines of a client in a second after that; 0: no limit"),
    "max-login-failures": Directive(*_number(1, _ANY), "wrong passwords of one address in an hour, before all wait"),
    "max-account-failures": Directive(*_number(1, _ANY), "wrong passwords of strangers for one account in an hour"),
    "exempt": Directive(
        "none, or one or more of loopback, links, IP addresses and networks", _exempt, "who has no limits of addresses"
    ),
    "login-seconds": Directive(*_number(0, 86400), "how long a client may take to its first line; 0: no limit"),
    "max-users": Directive(*_number(1, _ANY), "users of the hello dialect at once"),
    "irc-guests": Directive(*_one_of("on", "off"), "whether clients of IRC may come without an account"),
    "irc-create": Directive(*_one_of("all", "accounts", "nobody"), "who makes a channel by joining it in IRC"),
    "guest-history": Directive(*_one_of("on", "off"), "whether guests of IRC see messages from before their JOIN"),
    "motd": Directive("the path of a file", _motd, "has the message of the day for clients of IRC"),
    "max-line": Directive(*_number(512, 65536), "bytes of a line, its newline included"),
    "max-out-buffer": Directive(*_number(262144, _ANY), "bytes that may wait for a client that reads slowly"),
    "max-buffers": Directive(*_number(1024 * 1024, _ANY), "bytes that may wait in all buffers together"),
    "stall-seconds": Directive(*_number(1, 86400), "how long output may wait for a client that reads none of it"),
    "keepalive-seconds": Directive(*_number(0, 32767), "silence after which a connection counts as lost; 0: never"),
    "max-name": Directive(*_number(1, 64), "characters of a user's or channel's name"),
    "max-accounts": Directive(*_number(1, _ANY), "registered users"),
    "max-channels": Directive(*_number(1, _ANY), "channels"),
    "max-channels-per-creator": Directive(*_number(1, _ANY), "channels that one user may make"),
    "max-channels-per-user": Directive(*_number(1, _ANY), "channels that one user may be in"),
    "max-account-clients": Directive(
        *_number(1, _ANY), "clients of irc and the page at which one account is logged in"
    ),
    "max-mail": Directive(*_number(0, _ANY), "direct messages that wait for a user who is away"),
    "mailbox-ids": Directive(*_one_of("classic", "secret"), "account IDs that can be guessed, or that cannot"),
    "afk-seconds": Directive(*_number(1, _ANY), "silence after which a guest of a channel is closed"),
    "max-file-size": Directive(*_number(0, _ANY), "bytes of a file that guests of a channel send each other"),
    "file-offer-seconds": Directive(*_number(1, _ANY), "how long the offer of a file waits for its answer"),
    "file-stall-seconds": Directive(*_number(1, _ANY), "how long a file that was accepted may stand still"),
    "shutdown-seconds": Directive(*_number(0, 3600), "how long outstanding output may take when the server stops"),
    "hangup": Directive(*_one_of("end", "reload"), "what SIGHUP does: end the server, or load the certificates again"),
    "web-host": Directive("one or more host names", _web_hosts, "names under which a web port is reached"),
    "web-origin": Directive(
        "one or more of http://<host>[:<port>] and https://<host>[:<port>]",
        _web_origins,
        "pages elsewhere that may open a WebSocket at a web port",
    ),
    "web-proxy": Directive(
        "one or more IP addresses or networks", _networks, "proxies whose X-Forwarded headers a web port believes"
    ),
    "web-title": Directive(f"1 to {MAX_TITLE} characters", _web_title, "the title of the page"),
    "log-level": Directive(*_one_of("debug", "info", "warning", "error"), "the least urgent lines that the log has"),
    "log-format": Directive(*_one_of("text", "json"), "lines of text, or objects of JSON"),
    "node": Directive(_TOKEN, _token, "be a node of a cluster, under this name"),
    "engine": Directive(
        f"1, 3 or 5 times <ip>:<port>, and perhaps {TLS}",
        _engines,
        "all engines of the cluster, the one to try first in front",
    ),
    "engine-password-file": Directive("the path of a file", _password, "has the password that the engines want"),
    "cluster": Directive(_TOKEN, _token, "the name of the cluster; several can share engines"),
    "log-bytes": Directive(*_number(65536, _ANY), "bytes that the engines' log is kept near"),
}


def field_of(directive: str) -> str:
    """Return the setting that a directive sets."""
    return "peers" if directive == PEER else directive.replace("-", "_")
