"""Input on a terminal, the same in every dialect: slash commands, `@name`, and the guard against said secrets.

A line that begins with a slash is never said. One that begins with two slashes is said with one of them. A line whose
first word is a command without its slash, or a verb in other letters, is not said either. Between pipes none of this
holds: lines go to the server, or to the dialect, as they are.
"""

from __future__ import annotations

import re

from text import normalize, split_words
from ui.dialects.base import (
    CHOICES_SHOWN,
    ClientDialect,
    Consent,
    ParsedInput,
    SlashCommand,
    WordCompletion,
    refuse,
    starting_with,
)
from ui.secrets import FULL_WIDTH

SECRET = (
    "there may be a password or an ID in it, so nobody gets it. /help lists the commands;"
    " with another word in front of it a harmless line is said."
)
HELP = "/help"
ALIASES = {
    "/j": "/join", "/part": "/leave", "/query": "/msg", "/names": "/users", "/exit": "/quit",
}  # fmt: skip
"""Words that users of IRC know, for those that mean the same here."""

WITHOUT_SLASH = ("?", "help", "quit", "exit", "login", "logout", "register", "password")
"""First words that are commands in every dialect, and not said."""


def enter(dialect: ClientDialect, text: str) -> ParsedInput:
    """Parse a line that was typed on a terminal."""
    line = _with_plain_sign(text.strip(" \t"))
    if line.startswith("//"):
        return say(dialect, line[1:])
    found = _find(dialect, line)
    if found is not None:
        return _obey(dialect, *found)
    if line.startswith("/"):
        return refuse(
            f"there is no command {line.split()[0]}{_similar(dialect, line)}. {HELP} lists them;"
            " a second slash in front says it."
        )
    parsed = _without_secrets(dialect, line, dialect.typed(line))
    return _without_commands(dialect, line, parsed) if parsed.said else parsed


def _with_plain_sign(line: str) -> str:
    """Replace a full-width slash or @ at the start of a line, and the blanks before it, by the plain sign."""
    bare = line.lstrip()
    sign = bare[:1].translate(FULL_WIDTH)
    return sign + bare[1:] if sign in ("/", "@") else line


def say(dialect: ClientDialect, text: str) -> ParsedInput:
    """Say a text as it is, where plain text goes, unless it has a secret."""
    return _without_secrets(dialect, text, dialect.say(text))


def complete(dialect: ClientDialect, text: str) -> WordCompletion:
    """Complete the last word, see `ClientDialect.complete`. Offers at most CHOICES_SHOWN choices."""
    word, choices = _complete(dialect, text)
    if len(choices) > CHOICES_SHOWN:  # with the last one, the common prefix stays right
        choices = [*choices[: CHOICES_SHOWN - 1], choices[-1]]
    return word, choices


def _complete(dialect: ClientDialect, text: str) -> WordCompletion:
    line = text.lstrip(" \t")
    if line.startswith("/") and not _has_blank(line):
        offered = [name for name, row in dialect.slash_commands.items() if not row.absent and name != "@"]
        return line, starting_with(line.casefold(), (*offered, *LOCAL))
    found = _find(dialect, line)
    if found is None:
        return ("", []) if line.startswith("/") else dialect.complete(text)
    row, words = found
    word, choices = dialect.complete(_typed(row, words))
    if word and not line.endswith(word):  # the dialect's @, which was not typed
        return word[1:], [choice[1:] for choice in choices]
    return word, choices


def _find(dialect: ClientDialect, line: str) -> tuple[SlashCommand, str] | None:
    """Find the row of a slash command, and the text after the command; None for any other line."""
    if line.startswith("@"):
        name, words = "@", line[1:]
    else:
        name, words = (*line.split(None, 1), "", "")[:2]
        name = name.translate(FULL_WIDTH).casefold()
    row = LOCAL.get(name) or dialect.slash_commands.get(name) or dialect.slash_commands.get(ALIASES.get(name, ""))
    return None if row is None else (row, words)


def _obey(dialect: ClientDialect, row: SlashCommand, words: str) -> ParsedInput:
    if row.usage.startswith("@") and not words[:1].strip():
        return refuse(f"nobody is addressed. It is typed {row.usage}.")
    if len(words.split()) < row.min_args:
        return refuse(f"it is typed {row.usage}.")
    if row.accepts is not None:
        return _consent(row, words)
    if row.obey is not None:
        return row.obey(dialect, words)
    return dialect.typed(_typed(row, words))


def _consent(row: SlashCommand, words: str) -> ParsedInput:
    if len(split_words(words)) > 1:
        return refuse(f"it is typed {row.usage}.")
    return ParsedInput(consent=Consent(bool(row.accepts), normalize(words.removeprefix("@").strip())))


def _typed(row: SlashCommand, words: str) -> str:
    """Return the equivalent line of a command with these arguments.

    The name of a user may begin with an @. Any Unicode blank ends the first word, since no name has one.
    """
    words = words.removeprefix("@") if "@" in row.typed else words
    return row.typed.format(re.sub(r"\s+", " ", words.lstrip(), count=1))


def _without_secrets(dialect: ClientDialect, line: str, parsed: ParsedInput) -> ParsedInput:
    """Refuse a line with a secret if it would be said, or is not understood."""
    is_secret = (parsed.said or parsed.refused) and dialect.secret_start(line) < len(line)
    return refuse(SECRET) if is_secret else parsed


def _without_commands(dialect: ClientDialect, line: str, parsed: ParsedInput) -> ParsedInput:
    """Refuse a line that would be said, if its first word is a command without its slash, or a verb in other case."""
    word = line.split()[0].translate(FULL_WIDTH).casefold()
    if word not in WITHOUT_SLASH and word not in map(str.casefold, dialect.verbs):
        return parsed
    command = "/help" if word == "?" else f"/{word}"
    known = command in dialect.slash_commands or command in LOCAL
    return refuse(
        f"{line.split()[0]} looks like a command. {command if known else HELP} is typed with a slash;"
        " with another word in front of it the line is said."
    )


def _similar(dialect: ClientDialect, line: str) -> str:
    """Name the command that may be meant by a misspelt one."""
    import difflib

    names = [name for name, row in {**dialect.slash_commands, **LOCAL}.items() if not row.absent]
    found = difflib.get_close_matches(line.split()[0].casefold()[:32], names, 1, 0.7)
    return f", but {found[0]}" if found else ""


def _has_blank(line: str) -> bool:
    return " " in line or "\t" in line


def _help(dialect: ClientDialect, _words: str) -> ParsedInput:
    """List the commands: one line each, and the further forms in one more."""
    rows = [row for row in (*dialect.slash_commands.values(), *LOCAL.values()) if not row.absent]
    width = max(len(row.usage) for row in rows if row.help)
    lines = [f"{row.usage:{width}}  {row.help}" for row in rows if row.help]
    further = ", ".join(row.usage.split()[0] for row in rows if not row.help)
    return ParsedInput(show=(*lines, *([f"also: {further}"] if further else [])))


AGAIN = "/again"
LOCAL = {
    AGAIN: SlashCommand(AGAIN, "", obey=lambda _dialect, _words: ParsedInput(resends=True),
        help="sends again what was not confirmed"),
    HELP: SlashCommand(HELP, "", obey=_help, help="this list; //text says what begins with a slash"),
}  # fmt: skip
"""The commands that the client carries out itself, in every dialect."""
