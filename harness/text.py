"""Reads the arguments of a line, and shows bytes to a person."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


class Failed(Exception):
    """The server did not do what the script says. `expected` and `received` are texts for a person."""

    def __init__(self, message: str, expected: str | None = None, received: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.received = received


# Each reader takes what follows the action in a line, without the comment and the blanks around it. It raises
# ValueError when that is not a valid argument. Blanks are ASCII: other white space is passed on to the server.

BLANKS = " \t"
NAME = re.compile(r"[\w.-]+")
PORT_REFERENCE = re.compile(r"\$([0-9]+)")
TARGET = re.compile(
    r"(?P<server>[^ ]+)(?: (?!from |as )(?P<endpoint>[^ ]+))?(?: from (?P<source>[^ ]+))?(?: as (?P<login>[^ ]+))?"
)
LOOPBACK = "127.0.0.1"  # the default address of a script
CONTROL = "control"  # the place of a server's control socket

GLOB = re.compile(r"\\[*?\\]|.", re.DOTALL)
GLOB_SIGNS = {"*": ".*", "?": "."}

# How a client logs in: for each kind of user the lines that it sends, each with the answers that come, as globs.
ENTERS = (
    "[Server message (??:??:??)] Welcome to the * channel, {name}.",
    "[Server message (??:??:??)] {name} has joined the channel.",
)
WELCOME = ("001", "002", "003", "004", "005", "005", "251", "252", "253", "254", "255", "265", "266", "422")
LOGINS: Mapping[str, Sequence[tuple[str, Sequence[str]]]] = {
    "result": (
        ("REGISTER {name} secret", ("RESULT REGISTER 1",)),
        ("LOGIN {name} secret", ("RESULT LOGIN 1",)),
    ),
    "hello": (("HELLO-FROM {name}", ("HELLO {name}",)),),
    "guest": (("{name}", ENTERS),),
    "files": (("{name} files", ENTERS),),
    "irc": (
        ("NICK {name}", ()),
        ("USER {name} 0 * :{name}", [f":* {number} {{name}} *" for number in WELCOME]),
    ),
}
LINE_ENDS: Mapping[str | None, bytes] = {"irc": b"\r"}  # what these clients get before the newline of each line

PLAIN_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"s": b" ", b"\\": b"\\", b"#": b"#"}
ESCAPE = re.compile(
    rb"\\(?:(?P<plain>[ntrs\\#])|x(?P<byte>[0-9A-Fa-f]{2})|u(?P<char>[0-9A-Fa-f]{4})"
    rb"|\{(?P<body>.+?)\*(?P<count>[0-9]{1,8})\}|(?P<unknown>.?))"
)
MAX_REPEAT = 16 * 1024 * 1024  # bytes; sixteen times the longest line that our own client takes

SHOWN_ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\"}
NOT_PLAIN = re.compile(r"(.)\1{39,}|[^ -\[\]-~]", re.DOTALL)  # shorter runs are easier to read as they are


@dataclass(frozen=True)
class Start:
    """How a server is started.

    Attributes:
        port: the script's port; None: that of the start before.
        words: further words of the command line.
        alone: these are all of its words; no port and no config are added.
    """

    port: int | None
    words: tuple[str, ...]
    alone: bool = False


@dataclass(frozen=True)
class Endpoint:
    """An endpoint: a script port (None: the first one of a server) at a loopback address, or CONTROL."""

    port: int | None = None
    address: str = LOOPBACK


@dataclass(frozen=True)
class Pattern:
    """A pattern for a line, and how the script writes it."""

    text: str
    regex: re.Pattern[str]


@dataclass(frozen=True)
class Target:
    """The endpoint of a server to connect to, the source address, and the kind of user to log in as."""

    server: str
    endpoint: Endpoint = Endpoint()
    source: str | None = None
    login: str | None = None


def read_words(rest: str) -> list[str]:
    """Split a line into words; a backslash that protects a leading `#` is removed."""
    return [word[1:] if word.startswith(r"\#") else word for word in re.split(f"[{BLANKS}]+", rest) if word]


def read_line(rest: str) -> bytes:
    return " ".join(read_words(rest)).encode()


def read_raw(rest: str) -> bytes:
    if not rest:
        raise ValueError("there is nothing to send")
    return unescape(rest)


def read_exact_line(rest: str) -> bytes:
    line = unescape(rest)
    if b"\n" in line:
        raise ValueError("a received line has no newline in it")
    return line


def read_pattern(rest: str) -> Pattern:
    if not rest:
        raise ValueError("a regular expression is missing")
    try:
        return Pattern(rest, re.compile(rest))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def read_glob(rest: str) -> Pattern:
    """Read a glob: `*` matches any text and `?` one character, unless a backslash precedes it."""
    text = " ".join(read_words(rest))
    return Pattern(text, re.compile(GLOB.sub(_globbed, text)))


def _globbed(match: re.Match[str]) -> str:
    return GLOB_SIGNS.get(match[0]) or re.escape(match[0][-1])


def read_nothing(rest: str) -> None:
    if rest:
        raise ValueError(f"unexpected argument {rest!r}")


def read_status(rest: str) -> int:
    if not re.fullmatch(r"[0-9]{0,3}", rest) or int(rest or 0) > 255:
        raise ValueError(f"{rest!r} is not an exit status from 0 to 255")
    return int(rest or 0)


def read_port(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", word) or not 1 <= int(word) <= 65535:
        raise ValueError(f"{word!r} is not a port from 1 to 65535")
    return int(word)


def read_start(rest: str) -> Start:
    words = read_words(rest)
    return Start(read_port(words[0]), tuple(words[1:])) if words else Start(None, ())


def read_start_alone(rest: str) -> Start:
    if not rest:
        raise ValueError("the first start needs a port")
    return replace(read_start(rest), alone=True)


def read_address(word: str) -> str:
    try:
        address = ipaddress.ip_address(re.sub(r"^\[(.*:.*)\]$", r"\1", word))
    except ValueError:
        raise ValueError(f"{word!r} is not an IP address") from None
    if not address.is_loopback:
        raise ValueError(f"{word} is not a loopback address")
    return str(address)


def read_place(rest: str) -> Endpoint:
    return Endpoint(address=CONTROL) if rest == CONTROL else read_endpoint(rest)


def read_endpoint(rest: str) -> Endpoint:
    address, colon, port = rest.rpartition(":")
    return Endpoint(read_port(port), read_address(address) if colon else LOOPBACK)


def read_target(rest: str) -> Target:
    match = TARGET.fullmatch(" ".join(read_words(rest)))
    if not match:
        raise ValueError(
            "a server's name is needed, perhaps with one of its ports, `from` and an address, `as` and a kind"
        )
    server, endpoint, source, login = match.groups()
    if login is not None and login not in LOGINS:
        raise ValueError(f"{login!r} is none of {', '.join(LOGINS)}")
    return Target(
        server, read_place(endpoint) if endpoint else Endpoint(), read_address(source) if source else None, login
    )


def read_listener(rest: str) -> str | None:
    """Read the name of the client that listens; None: the client that accepts."""
    return rest or None


def read_directive(rest: str) -> str:
    if not rest:
        raise ValueError("a config directive is missing")
    return " ".join(read_words(rest))


def referred_ports(text: str) -> set[int]:
    """Return the script ports to which a text refers as `$5051`."""
    return {read_port(number) for number in PORT_REFERENCE.findall(text)}


def unescape(text: str) -> bytes:
    """Decode an escaped text. Raises ValueError for an unknown escape."""
    return ESCAPE.sub(_unescaped, text.encode())


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match["plain"]:
        return PLAIN_ESCAPES[match["plain"]]
    if match["byte"]:
        return bytes.fromhex(match["byte"].decode())
    if match["char"]:
        return chr(int(match["char"], 16)).encode()
    if match["body"]:
        return _repeated(ESCAPE.sub(_unescaped, match["body"]), int(match["count"]))
    raise ValueError(f"unknown escape {match[0].decode(errors='replace')!r}")


def _repeated(body: bytes, count: int) -> bytes:
    if len(body) * count > MAX_REPEAT:
        raise ValueError(f"a repeat is longer than {MAX_REPEAT} bytes")
    return body * count


def escape(data: bytes) -> str:
    """Encode bytes as a text that shows each of them: the inverse of `unescape`, and an argument of `<<`."""
    text = NOT_PLAIN.sub(_escaped, data.decode("utf-8", "surrogateescape"))
    text = re.sub(r"(?<![^ ])#", r"\\#", text)
    return re.sub(r"^ | $", r"\\s", text)


def _escaped(match: re.Match[str]) -> str:
    character, count = match[0][0], len(match[0])
    return _shown(character) if count == 1 else rf"\{{{_shown(character)}*{count}}}"


def _shown(character: str) -> str:
    if character in SHOWN_ESCAPES:
        return SHOWN_ESCAPES[character]
    if character.isprintable():
        return character
    if 0x7F < ord(character) < 0xD800:
        return f"\\u{ord(character):04x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def readable(data: bytes) -> str:
    """Decode a line of standard error for a person. The text is safe for a terminal."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(character if character.isprintable() else _shown(character) for character in text)
