"""Finds passwords in typed lines: what looks like a password command is not said, shown or kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width characters, as East Asian input methods type them, mapped to their ASCII characters."""


def _misspelt(word: str) -> Iterator[str]:
    """Return a word, and those in which a letter is left out, typed twice, or in the place of the next one."""
    yield word
    for place, letter in enumerate(word):
        yield word[:place] + word[place + 1 :]
        yield word[:place] + letter + word[place:]
        yield word[:place] + word[place + 1 : place + 2] + letter + word[place + 2 :]


def _any_of(*words: str) -> str:
    return "|".join(sorted({form for word in words for form in _misspelt(word)}, key=len, reverse=True))


SECRETS = re.compile(
    rf"""[^\w@]* (?:
        (?:{_any_of("login", "register", "signin", "logon")}) [^\w\s]* \s+ \S+ \s+      # a name, then the password
      | (?:{_any_of("password", "passwd")}) [^\w\s]* \s+
      | (?:pass|pwd|identify|auth) [^\w\s]* \s+ (?=\S+\s*$)                             # with one word, no sentence
      | (?:/\s*(?:pass|pwd|identify|auth|oper)) \s+                                    # with a slash in any case
      | (?:msg\s+ | query\s+ | say\s+ | send\s+)? @? (?:nickserv|ns) \s+ \S+ \s+        # as IRC users log in
    ) (?=\S)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Matches the text before a password: a command with or without a slash, in any case of letters, perhaps misspelt."""

AT_NICKSERV = re.compile(r"\s*@\s*nickserv\s+\S+\s+(?=\S)", re.IGNORECASE)


def password_start(line: str) -> int:
    """Return the index where the passwords of a typed line begin; its length if it has none."""
    plain = line.translate(FULL_WIDTH)
    found = SECRETS.match(plain) or AT_NICKSERV.match(plain)
    return found.end() if found else len(line)


def hide(line: str, start: int) -> str:
    """Mask a line from this index on, for the screen; the length stays."""
    return line[:start] + re.sub(r"[^ \t]", "*", line[start:])


def cut(line: str, start: int) -> str:
    """Cut a line at this index, for the history."""
    return line if start == len(line) else line[:start].rstrip()
