"""What is typed in the dialect `result`: the wire's verbs, the commands with a slash, completion. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from text import normalize, split_words
from ui.dialects.base import (
    ParsedInput,
    SlashCommand,
    WordCompletion,
    addressees,
    complete_name,
    refuse,
    split_last_word,
    starting_with,
)


class Verb(NamedTuple):
    """What the client knows of a command.

    Attributes:
        channel: the first word after the verb names a channel, and is completed.
        here: without a word after it, the command is for the current channel.
    """

    channel: bool = False
    here: bool = False


VERBS: Mapping[str, Verb] = {
    "REGISTER": Verb(),
    "LOGIN": Verb(),
    "LOGOUT": Verb(),
    "PASSWORD": Verb(),
    "CHANNELS": Verb(),
    "CREATE": Verb(),
    "INVITE": Verb(channel=True),
    "JOIN": Verb(channel=True),
    "LEAVE": Verb(channel=True, here=True),
    "USERS": Verb(channel=True, here=True),
    "SAY": Verb(channel=True),
    "SEND": Verb(channel=True),
    "HISTORY": Verb(channel=True, here=True),
    "TAGS": Verb(),
    "JOINED": Verb(),
    "WHO": Verb(channel=True),
    "PRESENCE": Verb(),
    "SEEN": Verb(channel=True),
    "UNREAD": Verb(),
    "TOPIC": Verb(channel=True, here=True),
    "HELP": Verb(),
    "PING": Verb(),
    "QUIT": Verb(),
}

HOST_OF_CHANNEL = ":"
MESSAGE_VERBS = ("SAY", "SEND")

SLASH_COMMANDS: Mapping[str, SlashCommand] = {
    "/join": SlashCommand(
        "/join <channel>", "JOIN {}", 1, help="enters a channel, or goes to it", obey=lambda ui, words: ui.join(words)
    ),
    "/leave": SlashCommand("/leave [channel]", "LEAVE {}", help="leaves it for good"),
    "@": SlashCommand("@<user> [message]", "SAY @{}", 1, help="says it to one alone, or turns to them"),
    "/msg": SlashCommand("/msg <user> [message]", "SAY @{}", 1, help="the same"),
    "/me": SlashCommand("/me <text>", "{}", 1, help="says what you do: /me waves", obey=lambda ui, words: ui.me(words)),
    "/who": SlashCommand("/who [channel]", "WHO {}", help="who is online"),
    "/users": SlashCommand("/users [channel]", "USERS {}", help="its members, also those who are away"),
    "/history": SlashCommand(
        "/history [channel] [count]", "HISTORY {}", help="what was said", obey=lambda ui, words: ui.history(words)
    ),
    "/topic": SlashCommand(
        "/topic [channel] [text]", "TOPIC {}", help="shows or sets what it is about; - clears it",
        obey=lambda ui, words: ui.topic(words),
    ),
    "/seen": SlashCommand(
        "/seen [channel]", "SEEN {}", help="counts all of it as read", obey=lambda ui, words: ui.seen(words)
    ),
    "/channels": SlashCommand("/channels", "CHANNELS {}", help="lists all channels"),
    "/create": SlashCommand(
        "/create <channel> [private]", "CREATE {}", 1, help="makes one; a private one is for invited users"
    ),
    "/invite": SlashCommand("/invite <channel> <user>", "INVITE {}", 2, help="lets a user into a private channel"),
    "/register": SlashCommand(
        "/register <user> [password]", "REGISTER {}", 1, help="makes an account; the password is asked for",
        obey=lambda ui, words: ui.enter("REGISTER", words),
    ),
    "/login": SlashCommand(
        "/login <user> [password]", "LOGIN {}", 1, help="enters it", obey=lambda ui, words: ui.enter("LOGIN", words)
    ),
    "/logout": SlashCommand("/logout", "LOGOUT {}", help="leaves it; you stay in your channels"),
    "/password": SlashCommand("/password <old> <new>", "PASSWORD {}", 2, help="changes the password"),
    "/quit": SlashCommand("/quit", "QUIT {}", help="ends the client"),
    "/say": SlashCommand("/say <channel> [message]", "SAY {}", 1),
    "/send": SlashCommand("/send <channel> [message]", "SEND {}", 1),
    "/list": SlashCommand("/list", "CHANNELS {}"),
    "/joined": SlashCommand("/joined", "JOINED {}"),
    "/unread": SlashCommand("/unread", "UNREAD {}"),
    "/tags": SlashCommand("/tags [name]...", "TAGS {}"),
    "/presence": SlashCommand("/presence on|off", "PRESENCE {}", 1),
    "/ping": SlashCommand("/ping", "PING {}"),
}  # fmt: skip
"""The first rows have their place in the list of commands; the last ones are further forms."""

NO_CHANNEL = (
    "no channel is current. JOIN <channel> enters one, CREATE <channel> makes one;"
    " SAY <channel> or SAY @<user> chooses. /help lists the commands."
)


def interpret(text: str, current: str) -> ParsedInput:
    """Parse a typed line.

    Args:
        text: the line.
        current: where plain text goes: a channel, `@user`, or empty for nowhere.
    """
    line = text.strip(" \t")
    words = split_words(line)
    if not words:
        return ParsedInput()
    if words[0] in VERBS:
        return _interpret_command(line, words, current)
    return say(line, current)


def say(text: str, current: str) -> ParsedInput:
    """Say a text where plain text goes, see `interpret`."""
    return ParsedInput(send=f"SAY {current} {text}", echoed=True, said=True) if current else refuse(NO_CHANNEL)


def _interpret_command(line: str, words: list[str], current: str) -> ParsedInput:
    verb, *args = words
    if verb in MESSAGE_VERBS and len(args) == 1:
        return ParsedInput(hint=f"Plain text goes to {normalize(args[0])} now.", current=normalize(args[0]))
    if verb == "LEAVE" and current.startswith("@") and args in ([], [current]):
        return ParsedInput(hint=f"Plain text goes to {current} no longer.", current="")
    if VERBS[verb].here and not args and current:
        return ParsedInput(send=f"{verb} {current}")
    return ParsedInput(send=line, echoed=verb in MESSAGE_VERBS, goodbye=line == "QUIT")


def complete(
    text: str, channels: Iterable[str], users: Iterable[str], speakers: Iterable[str] = (), own: str = ""
) -> WordCompletion:
    """Complete the last word, see `ClientDialect.complete`.

    Args:
        text: the line before the cursor.
        channels, users: the names that are known.
        speakers: see `complete_name`.
        own: the user's own name.
    """
    words, word = split_last_word(text)
    if word.startswith("@"):
        return word, addressees(word, (user for user in users if user != own))
    if words and words[0] in VERBS:
        channel = len(words) == 1 and VERBS[words[0]].channel
        if channel:
            return word, starting_with(word, channels)
        return complete_name(text, speakers, users, own) if words[0] in MESSAGE_VERBS else (word, [])
    _word, names = complete_name(text, speakers, users, own)
    return word, names or ([] if words else starting_with(word.upper(), VERBS))
