"""Names that are not ASCII: which of them are well formed, and which are visible (C31, C33).

Each character of a name is mapped to a kind, one letter; the regular expression VISIBLE says which sequences of kinds
are visible. This module is loaded for the first name that is not ASCII.
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
"""Symbols without a visible glyph: the Braille pattern without dots, the musical null notehead."""

NUMBER_SIGNS = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Unicode's property Prepended_Concatenation_Mark: characters of category Cf that are visible."""

SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Unicode's property Variation_Selector."""

JOINERS = "\u200c\u200d"
KEYCAP = "\u20e3"

LATIN_GREEK_CYRILLIC = (
    "A-Za-z\u00aa-\u02ff\u0370-\u052f\u1c80-\u1c8f\u1d00-\u1dbf\u1e00-\u1fff\u2071-\u209c\u2100-\u218f\u2c60-\u2c7f"
    "\ua640-\ua69f\ua720-\ua7ff\uab30-\uab6f\ufb00-\ufb06\uff21-\uff5a\U00010780-\U000107bf\U0001d400-\U0001d7ff"
    "\U0001df00-\U0001dfff\U0001e030-\U0001e08f"
)
"""The blocks of these scripts, mathematical letters included. A character in them is a letter if its category is."""

SPECIAL = re.compile(
    f"(?P<j>[{JOINERS}])|(?P<v>[{SELECTORS}])|(?P<x>[{IGNORED}{BLANK_SIGNS}])|(?P<o>[{NUMBER_SIGNS}])|(?P<k>{KEYCAP})"
    "|(?P<n>[0-9])|(?P<h>[#*])"
)
"""Kinds that do not follow from a category; the first alternative that matches wins."""

KINDS_OF_CATEGORIES = {
    **dict.fromkeys(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"), "x"),
    **dict.fromkeys(("Mn", "Me"), "m"),
    **dict.fromkeys(("Sm", "So"), "s"),
    "Nd": "l",
}
LETTER = re.compile(f"[{LATIN_GREEK_CYRILLIC}]")

VISIBLE = re.compile(
    r"(?:"
    r"(?:l|n(?:v(?=k))?)[mk]{0,4}"  # a letter of these scripts or a digit, perhaps on a keycap: never joined
    r"|(?:o|sv?|h(?:v(?=k))?)(?:j?[mk]){0,4}(?:j(?=[osh]))?"  # anything else, perhaps joined with the next
    r")+"
)
"""Sequences of kinds that are visible. The kinds:

x: invisible, or refused; l: a Latin, Greek or Cyrillic letter, or a digit; n: 0 to 9; h: # or *; s: a symbol (So, Sm);
o: any other base character; m: a mark (Mn, Me); k: the keycap; v: a variation selector; j: a joiner.
"""

REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
ALLOWED_FORMATS = re.compile(f"[{JOINERS}{NUMBER_SIGNS}]")


@functools.lru_cache(maxsize=1024)
def is_well_formed(name: str) -> bool:
    """Tell whether a word is in NFC and has no white space, control or format character (C31).

    This has always held for new names, so it holds for every name that exists. The caller bounds the length.
    """
    return unicodedata.is_normalized("NFC", name) and all(
        ALLOWED_FORMATS.match(character) or unicodedata.category(character) not in REFUSED_CATEGORIES
        for character in name
    )


@functools.lru_cache(maxsize=1024)
def is_visible(name: str) -> bool:
    """Tell whether every character of a name is visible (C33). The caller bounds the length."""
    return VISIBLE.fullmatch(_kinds(name)) is not None


def visible(text: str) -> str:
    """Remove what is invisible from a text; a no-break space replaces the white space between words (F12).

    The caller bounds the length.
    """
    return "\u00a0".join(filter(None, map(_visible_word, text.split())))


def _visible_word(word: str) -> str:
    return "".join([word[found.start() : found.end()] for found in VISIBLE.finditer(_kinds(word))])


def _kinds(word: str) -> str:
    """Return the kinds of a word's characters, one letter each, in linear time."""
    categories = [*map(unicodedata.category, word)]
    kinds = [KINDS_OF_CATEGORIES.get(category, "o") for category in categories]
    for found in LETTER.finditer(word):
        if categories[found.start()].startswith("L"):
            kinds[found.start()] = "l"
    for found in SPECIAL.finditer(word):
        assert found.lastgroup
        kinds[found.start()] = found.lastgroup
    return "".join(kinds)
