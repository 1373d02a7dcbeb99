"""Text, as all protocols share it: lines of a byte stream, words, Unicode forms, and what may be shown.

`LineBuffer` splits received bytes into lines. `clean` removes control characters before text reaches a terminal.
`normalize` gives a name the form in which names are compared. Nothing here knows about sessions, commands or users.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_LINE = 8192
"""Bytes of a line, its newline included."""

MAX_WORD = 1280
"""Maximum bytes of a name or an ID in any Unicode form: 20 for each of its characters (C34)."""

MAX_CHARACTERS = 4 * 67
"""Maximum characters of a name or an ID before NFC, which makes one of at most four. The stars and dots of a search
pattern do not count."""


# ---- lines ----


class Overlong(NamedTuple):
    """A line that was too long to keep; `head` is its first OVERLONG_HEAD bytes."""

    head: bytes


OVERLONG_HEAD = 64


class Opening:
    """Removes what some clients send before their first line: a byte order mark, telnet's negotiation (C7).

    Attributes:
        over: all further bytes belong to lines.
        held: bytes that may be the beginning of a sequence.
        budget: bytes that may still be removed, which bounds the work.
    """

    __slots__ = ("budget", "held", "over")

    MAX_SEQUENCE = 64
    STARTS = b"\xef", b"\xff", b""
    WHOLE = (  # compiled with the first match: most clients send none
        rb"\xef\xbb\xbf"
        rb"|\xff[\xfb-\xfe][\x00-\x09\x0b\x0c\x0e-\x31]"  # IAC, WILL to DONT, an option that cannot end a line
        rb"|\xff\xfa(?:[^\xff\n]|\xff\xff){0,60}\xff\xf0"  # IAC SB ... IAC SE
    )
    BEGUN = rb"(?:\xef\xbb?|\xff(?:[\xfb-\xfe]|\xfa(?:[^\xff\n]|\xff\xff){0,60}\xff?)?)?"

    def __init__(self) -> None:
        self.held = b""
        self.over = False
        self.budget = MAX_LINE

    def strip(self, data: bytes) -> bytes:
        """Add received bytes; return those that belong to lines, b"" while a prefix may be incomplete."""
        data, start = self.held + data, 0
        if data[:1] not in self.STARTS:
            self.over = True
            return data
        whole = re.compile(self.WHOLE)
        while (
            (found := whole.match(data, start))
            and found.end() - start <= self.MAX_SEQUENCE
            and found.end() <= self.budget
        ):
            start = found.end()
        self.budget -= start
        rest = data[start:]
        self.over = len(rest) >= self.MAX_SEQUENCE or re.fullmatch(self.BEGUN, rest) is None
        self.held = b"" if self.over else rest
        return rest if self.over else b""


def whole_line(data: bytes, limit: int) -> bytes | None:
    """Return the line that these bytes are, as `LineBuffer` gives it; None if they are not exactly one, or too many."""
    end = len(data) - 1
    if end < 0 or data.find(b"\n") != end or end >= limit:
        return None
    return data[:-2] if data[end - 1] == 0x0D else data[:-1]


class LineBuffer:
    """Bytes in, lines out, in bounded memory.

    A line ends in a newline; a carriage return before it is removed (C1). An over-long line is reported once, as soon
    as its length is known, and the rest of it is skipped (C4). `Opening` removes prefixes of the first line.

    Args:
        limit: maximum bytes of a line, its newline included.
        begun: whether the first line has begun, so that no prefix is removed.

    Attributes:
        data: what has been received, from the place where the next line begins or before it.
        skipped: bytes of over-long lines that were skipped, as far as `take_skipped` has not counted them.
    """

    __slots__ = ("_opening", "_searched", "_skipping", "_start", "data", "limit", "skipped")

    def __init__(self, limit: int = MAX_LINE, *, begun: bool = False) -> None:
        self.limit = limit
        self.data = b""
        self._start = 0
        self._searched = 0
        self._skipping = False
        self._opening: Opening | None = None if begun else Opening()
        self.skipped = 0

    def __len__(self) -> int:
        """Bytes in the buffer."""
        return len(self.data) - self._start

    @property
    def within_line(self) -> bool:
        """Whether what follows depends on bytes that are gone: a skipped line, or prefixes of the first."""
        return self._skipping or self._opening is not None

    def feed(self, data: bytes) -> None:
        """Add what has been received."""
        if self._opening is not None:
            data = self._opening.strip(data)
            if self._opening.over:
                self._opening = None
        self.data = self.data[self._start :] + data if self._start < len(self.data) else data
        self._searched -= self._start
        self._start = 0

    def take_skipped(self) -> int:
        """Return how many lines of the maximum length the skipped bytes would have been; count them once."""
        lines, self.skipped = divmod(self.skipped, self.limit)
        return lines

    def clear(self) -> None:
        """Drop the bytes in the buffer."""
        self.data, self._start, self._searched = b"", 0, 0

    def next(self) -> bytes | Overlong | None:
        """Take the next line, without its newline; None when no line is complete."""
        data, start = self.data, self._start
        end = data.find(b"\n", self._searched)
        if end < 0:
            return self._incomplete()
        following = end + 1
        if following < len(data):
            self._start = self._searched = following
        else:
            self.clear()
        if self._skipping:
            self._skipping = False
            return self.next()
        if following - start > self.limit:
            return Overlong(data[start : start + OVERLONG_HEAD])
        return data[start:end].removesuffix(b"\r")

    def _incomplete(self) -> Overlong | None:
        if self._skipping:
            self.skipped += len(self)
            self.clear()
            return None
        self._searched = len(self.data)
        if self._start == self._searched:
            self.clear()
        elif len(self) >= self.limit:
            head = self.data[self._start : self._start + OVERLONG_HEAD]
            self.clear()
            self._skipping = True
            return Overlong(head)
        return None


HTTP_REQUEST = rb"[A-Z]+ \S+ HTTP/\d"
HTTP_REQUEST_HEAD = rb"(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) "


TLS_HANDSHAKE = b"\x16\x03"
"""The first bytes of a client that speaks TLS."""


def foreign_protocol(line: bytes | Overlong) -> str:
    """Return which foreign protocol a first line is of: `HTTP` (C13) or `TLS` (C55); "" if of neither.

    An over-long line is known by its head alone.
    """
    head, pattern = (line.head, HTTP_REQUEST_HEAD) if isinstance(line, Overlong) else (line, HTTP_REQUEST)
    if head.startswith(TLS_HANDSHAKE):
        return "TLS"
    return "HTTP" if re.match(pattern, head) else ""


def first_word(line: bytes | Overlong) -> str:
    """Return the first word of a line that is not blank; "" if the line is over-long or not UTF-8."""
    if isinstance(line, Overlong):
        return ""
    try:
        return split_words(line.decode())[0]
    except UnicodeDecodeError:
        return ""


_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", re.ASCII)


def utc_time(at: float) -> str:
    """Return a time in UTC to the millisecond, as IRCv3's server-time has it (R39).

    Args:
        at: in seconds since the epoch.
    """
    from datetime import UTC, datetime

    seconds, milliseconds = divmod(round(at * 1000), 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds:03}Z"


def parse_time(text: str) -> float | None:
    """Parse a time in the form of `utc_time`, with or without a fraction, as seconds since the epoch.

    Returns:
        None if the text has another form.
    """
    if not _UTC_TIME.fullmatch(text):  # without its `Z` it would be taken as local time
        return None
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


# ---- words and messages ----

_CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\t"]
_LINE_SEPARATORS = "\u2028\u2029"
_BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_UNSHOWN = str.maketrans(dict.fromkeys([*_CONTROLS, *_LINE_SEPARATORS, *_BIDI_CONTROLS], ""))
_REPLACED = dict.fromkeys(_UNSHOWN, "\ufffd")
_BLANKS = re.compile("[ \t]+")
_HOST_SIGNS = re.compile("([:@])")
_MAX_HOST_SIGNS = 2
"""One before the user in `@user`, and one between a name and its host."""


def split_words(text: str) -> list[str]:
    """Split at runs of blanks: space and tab (C3)."""
    if text.isprintable():  # then the only white space in it is the space
        return text.split()
    return [word for word in _BLANKS.split(text) if word]


def split_at_most(text: str, most: int) -> list[str]:
    """Split at the first runs of blanks; the last word is the rest of the text, with its inner spacing.

    Args:
        most: maximum number of words; 0 counts as 1.
    """
    text = text.strip(" \t")
    if not text:
        return []
    return _BLANKS.split(text, most - 1) if most > 1 else [text]  # maxsplit=0 would mean no limit


def join_message(words: list[str], start: int, *, is_clean: bool = False) -> None:
    """Replace the words from `start` on, in place, by one message: cleaned, with single spaces. An empty message is
    left out.

    Args:
        words: of the line.
        start: the place of the message's first word.
        is_clean: whether the line is known to have nothing to remove.
    """
    text = " ".join(words[start:])
    if not (is_clean or text.isprintable()):
        text = " ".join(split_words(clean(text)))
    words[start:] = [text] if text else []


def parse_number(word: str, maximum: int) -> int | None:
    """Parse a whole number in ASCII digits: `maximum` if it is larger, None if the word is no number."""
    if not (word.isascii() and word.isdigit()):
        return None
    digits = word.lstrip("0") or "0"
    return min(int(digits), maximum) if len(digits) <= len(str(maximum)) else maximum


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds of the units in which an operator gives a time."""


def parse_duration(word: str, maximum: int) -> int | None:
    """Parse a time as seconds (`90`), or with a unit (`90s`, `10m`, `2h`, `7d`); None if it is neither.

    Args:
        maximum: in seconds; a longer time is cut to it.
    """
    unit = UNITS.get(word[-1:], 0)
    number = parse_number(word[:-1] if unit else word, maximum)
    return None if number is None else min(number * (unit or 1), maximum)


def clean(text: str) -> str:
    """Remove what must not reach a terminal: control characters but for the tab, line separators, and bidirectional
    controls (C28)."""
    return text if text.isprintable() else text.translate(_UNSHOWN)


def replaced(text: str) -> str:
    """Replace each character that `clean` removes by U+FFFD; the length stays the same."""
    return text if text.isprintable() else text.translate(_REPLACED)


def is_too_long(word: str) -> bool:
    """Tell whether a word has more than MAX_WORD bytes, so that it is no name in any Unicode form (C34)."""
    return len(word) > MAX_WORD or len(word.encode(errors="replace")) > MAX_WORD


MAX_PATH = 1024
"""Maximum characters of a file's path that are shown and sent: its last ones."""

NAMELESS = "file"
"""The name given to a file without one."""

_NOT_SHOWN_AT_ALL = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"


def has_controls(text: str) -> bool:
    """Tell whether a text has control characters or line separators."""
    return re.search(_NOT_SHOWN_AT_ALL, text) is not None


def shown_path(path: str) -> str:
    """Return a file's name or path in a form that is safe to show and send, but not a path to open (F12).

    It has no invisible characters, no bidirectional controls, and at most MAX_PATH characters.
    """
    text = clean(path[-MAX_PATH:])
    if not text.isascii():
        import unicode_names

        text = unicode_names.visible(text)
    return text or NAMELESS


def folded_name(name: str) -> str:
    """Return a file's name in the form in which a file system that ignores case and Unicode forms compares it.

    The caller bounds its length, since this takes quadratic time as NFC does (see `normalize`).
    """
    if name.isascii():
        return name.lower()
    import unicodedata

    folded = unicodedata.normalize("NFKC", name).casefold().replace("\u0307", "")  # the dot of a capital dotted I
    return unicodedata.normalize("NFKC", folded)


def normalize(word: str) -> str:
    """Return a name, or each part of it before and after `:` or `@`, in NFC: names are compared in that form (C32).

    NFC takes time that is quadratic in the combining marks in a row. So a part that is too long for a name stays as it
    is, and is refused later (C34). There are at most three parts.
    """
    return word if word.isascii() else "".join(map(_normalize_part, _HOST_SIGNS.split(word, _MAX_HOST_SIGNS)))


def _normalize_part(part: str) -> str:
    if part.isascii() or is_too_long(part) or len(part) - part.count("*") - part.count(".") > MAX_CHARACTERS:
        return part
    import unicodedata

    return unicodedata.normalize("NFC", part)
