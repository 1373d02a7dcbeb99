"""Lines of IRC: parsing, tags, formatting, and the cleaning of what clients send. It knows no session and no domain.

A client's line is `[@tags] [:prefix] VERB [word...] [:text]`. Its prefix is ignored: a client speaks for itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from text import clean

MAX_TAGS = 4096
"""Bytes of a client's tags, with the `@` and the blank behind them (I2)."""

MAX_BODY = 512
"""Bytes of a line without its tags, with its end (I2)."""

SURELY_SHORT = MAX_BODY // 4
"""Characters of a line that has at most MAX_BODY bytes whatever they are. Longer ones are measured."""

MAX_LINE = MAX_TAGS + MAX_BODY
"""Bytes of a whole line."""

END = "\r\n"

MAX_ECHO = 200
"""Bytes of a client's word that an answer repeats; a name is given whole where it is known."""

MIN_TEXT = 64
"""Bytes of text that a line of a long message has at least, however long the names in it are (I27)."""

NO_TAGS: Mapping[str, str] = {}

_UNESCAPED = {r"\:": ";", r"\s": " ", r"\r": "\r", r"\n": "\n", r"\\": "\\"}
_ESCAPED = {ord(sign): escape for escape, sign in _UNESCAPED.items()}
_NEVER_IN_LINES = str.maketrans(dict.fromkeys("\r\n\0", ""))

_CLIENT_TAG = re.compile(r"\+[A-Za-z0-9._/-]+")
_NO_LINE_ENDS = re.compile(r"[^\r\n]+")
_FORMATS = re.compile("\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?")
"""Colours by number and by value, with what belongs to them; other formats are one control character each."""

CTCP = "\x01"
ACTION = "ACTION"


class Line(NamedTuple):
    """A client's line.

    Attributes:
        tags: unescaped, in their order.
        verb: in capitals; "" for a line without one.
        words: what follows it; the text behind a colon is the last.
    """

    tags: Mapping[str, str]
    verb: str
    words: list[str]


def parse(text: str) -> Line | None:
    """Parse a line, without its end; None if its tags or the rest are too long (I2)."""
    if not text.isprintable():
        text = text.translate(_NEVER_IN_LINES)
    tags = NO_TAGS
    if text.startswith("@"):
        head, _blank, text = text.partition(" ")
        if size_of(head) >= MAX_TAGS:
            return None
        tags = parse_tags(head[1:])
    if len(text) >= SURELY_SHORT and size_of(text) + len(END) > MAX_BODY:
        return None
    if text.startswith((" ", ":")):
        text = _without_prefix(text.lstrip(" "))
    before, colon, last = text.partition(" :")
    verb, *words = before.split(" ")
    if "" in words:
        words = [word for word in words if word]
    if colon:
        words.append(last)
    return Line(tags, verb.upper() if verb.isascii() else verb, words)


def _without_prefix(text: str) -> str:
    return text.partition(" ")[2].lstrip(" ") if text.startswith(":") else text


def size_of(text: str) -> int:
    """Return how many bytes a text takes on the wire."""
    return len(text) if text.isascii() else len(text.encode())


def parse_tags(text: str) -> dict[str, str]:
    """Parse tags, given without the `@`; of several with one name the last counts."""
    tags = {}
    for tag in text.split(";"):
        key, _sign, value = tag.partition("=")
        if key:
            tags[key] = unescape(value) if "\\" in value else value
    return tags


def unescape(value: str) -> str:
    """Return the value of a tag; a backslash before any other sign, or at the end, is dropped."""
    return re.sub(r"\\(.?)", lambda found: _UNESCAPED.get(found[0], found[1]), value, flags=re.DOTALL)


def is_client_tag(key: str) -> bool:
    """Tell whether a tag is one that clients pass to each other, and its name is none that could harm a terminal."""
    return _CLIENT_TAG.fullmatch(key) is not None


def clean_value(value: str) -> str:
    """Return the value of a tag without what must not reach a terminal. Line ends stay: they are escaped again."""
    return value if value.isprintable() else _NO_LINE_ENDS.sub(lambda found: clean(found[0]), value)


def render_tags(tags: Iterable[tuple[str, str]]) -> str:
    """Return tags as they stand before a line, with the `@` and the blank; "" without any."""
    rendered = ";".join([f"{key}={value.translate(_ESCAPED)}" if value else key for key, value in tags])
    return f"@{rendered} " if rendered else ""


def word(text: str) -> str:
    """Return a client's word in a form that an answer can repeat (I31): no blanks, controls or leading colons, at most
    MAX_ECHO bytes, `*` for nothing."""
    bare = clean(text).replace(" ", "").replace("\t", "").lstrip(":")
    return cut(bare, MAX_ECHO) or "*"


def cut(text: str, size: int) -> str:
    """Return the beginning of a text that has at most so many bytes, whole characters."""
    return text if len(text) * 4 <= size else text.encode()[:size].decode(errors="ignore")


def plain(text: str) -> str:
    """Return a text without colours, formats and whatever else must not reach a terminal (I25)."""
    return text if text.isprintable() else clean(_FORMATS.sub("", text))


def ctcp_of(text: str) -> tuple[str, str] | None:
    """Return the verb and the text of a CTCP message; None if it is none. The sign at its end may be missing."""
    if not text.startswith(CTCP):
        return None
    verb, _blank, rest = text.strip(CTCP).partition(" ")
    return verb.upper(), rest


def action(text: str) -> str:
    """Return what stands for an act, as `/me` sends it (I25)."""
    return f"{CTCP}{ACTION} {text}{CTCP}"


def pieces(text: str, size: int) -> Iterator[str]:
    """Part a text into pieces of at most so many bytes, at blanks where there are some, within no character (I27).

    Args:
        text: not empty.
        size: MIN_TEXT counts if it is less.
    """
    size = max(size, MIN_TEXT)
    while size_of(text) > size:
        piece = cut(text, size)
        if text[len(piece)] != " " and (blank := piece.rfind(" ")) > 0:
            piece = piece[:blank]
        yield piece
        text = text[len(piece) :].removeprefix(" ")
    if text:
        yield text


def message(prefix: str, verb: str, *words: str, text: str | None = None) -> str:
    """Return a line of ours.

    Args:
        prefix: of the sender.
        verb: a verb or a numeric.
        words: its words, none of them empty or with a blank.
        text: its last word, with a colon in front; None for none.
    """
    line = " ".join((f":{prefix}", verb, *words))
    return f"{line}{END}" if text is None else f"{line} :{text}{END}"


def in_lines(words: Iterable[str], size: int, sign: str = " ") -> Iterator[str]:
    """Join words, with a sign between them, into lines of at most so many bytes.

    There is one line at least. A longer word is alone in its line.
    """
    line = ""
    for each in words:
        longer = f"{line}{sign}{each}" if line else each
        if line and len(longer.encode()) > size:
            yield line
            line = each
        else:
            line = longer
    yield line
