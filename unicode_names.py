"""Names that are not ASCII: what has the form of one, and what of that is visible (rules C31 and C33 of PROTOCOL.md).

For the latter a name is made a word of kinds, one letter for each character; SEEN says what such a word may be. This is
loaded for the first name that is not ASCII.
"""

from __future__ import annotations

import functools
import re
import unicodedata

IGNORED = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt; the same from version 14.0 to 17.0), in
the ranges of a regular expression."""

BLANK_SIGNS = "\u2800\U0001d159"
"""Signs that are drawn as nothing: the Braille pattern without dots, the musical null notehead."""

NUMBER_SIGNS = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Unicode's property Prepended_Concatenation_Mark: characters of category Cf that are seen."""

SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Unicode's property Variation_Selector."""

JOINERS = "\u200c\u200d"
KEYCAP = "\u20e3"

LATIN_GREEK_CYRILLIC = (
    "A-Za-z\u00aa-\u02ff\u0370-\u052f\u1c80-\u1c8f\u1d00-\u1dbf\u1e00-\u1fff\u2071-\u209c\u2100-\u218f\u2c60-\u2c7f"
    "\ua640-\ua69f\ua720-\ua7ff\uab30-\uab6f\ufb00-\ufb06\uff21-\uff5a\U00010780-\U000107bf\U0001d400-\U0001d7ff"
    "\U0001df00-\U0001dfff\U0001e030-\U0001e08f"
)
"""The blocks of these letters, those that are signs of mathematics too. What else is in them is no letter."""

SPECIAL = re.compile(
    f"(?P<j>[{JOINERS}])|(?P<v>[{SELECTORS}])|(?P<x>[{IGNORED}{BLANK_SIGNS}])|(?P<o>[{NUMBER_SIGNS}])|(?P<k>{KEYCAP})"
    "|(?P<n>[0-9])|(?P<h>[#*])"
)
"""Kinds that a category does not tell; the first that fits."""

KINDS_OF_CATEGORIES = {
    **dict.fromkeys(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"), "x"),
    **dict.fromkeys(("Mn", "Me"), "m"),
    **dict.fromkeys(("Sm", "So"), "s"),
    "Nd": "l",
}
LETTER = re.compile(f"[{LATIN_GREEK_CYRILLIC}]")

SEEN = re.compile(
    r"(?:"
    r"(?:l|n(?:v(?=k))?)[mk]{0,4}"  # a letter of these alphabets or a digit, perhaps on a keycap: never joined
    r"|(?:o|sv?|h(?:v(?=k))?)(?:j?[mk]){0,4}(?:j(?=[osh]))?"  # anything else, perhaps joined with the next
    r")+"
)
"""Kinds of what is seen: x is refused, l a Latin, Greek or Cyrillic letter or a digit, n one of 0 to 9, h # or *, s a
sign (So, Sm), o anything else that stands for itself, m a mark (Mn, Me), k the keycap, v a selector, j a joiner."""

UNFIT = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
FIT = re.compile(f"[{JOINERS}{NUMBER_SIGNS}]")


@functools.lru_cache(maxsize=1024)
def has_form(name: str) -> bool:
    """Tell whether a word is in NFC and has no white space, control or format character. Its length is to be bounded.

    That is what names have always had, so it says what can exist.
    """
    return unicodedata.is_normalized("NFC", name) and all(
        FIT.match(character) or unicodedata.category(character) not in UNFIT for character in name
    )


@functools.lru_cache(maxsize=1024)
def is_seen(name: str) -> bool:
    """Tell whether all of a name is visible. Its length is to be bounded."""
    return SEEN.fullmatch(_kinds(name)) is not None


def seen(text: str) -> str:
    """Take out of a text whatever is invisible, and make the white space between its words one no-break space (rule
    F12). The text's length is to be bounded.
    """
    return "\u00a0".join(filter(None, map(_seen_word, text.split())))


def _seen_word(word: str) -> str:
    return "".join([word[found.start() : found.end()] for found in SEEN.finditer(_kinds(word))])


def _kinds(word: str) -> str:
    """Give the kinds of a word's characters, in a time that is short for a long word too."""
    categories = [*map(unicodedata.category, word)]
    kinds = [KINDS_OF_CATEGORIES.get(category, "o") for category in categories]
    for found in LETTER.finditer(word):
        if categories[found.start()].startswith("L"):
            kinds[found.start()] = "l"
    for found in SPECIAL.finditer(word):
        assert found.lastgroup
        kinds[found.start()] = found.lastgroup
    return "".join(kinds)
