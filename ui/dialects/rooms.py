"""The client's side of the dialect `rooms`.

The server's lines stand in brackets and are shown as they are, with colours. `ui.transfers.FileTransfers` takes the
lines that carry files. Typed lines that look like them are refused here, since the server would obey them.

Reading order:

1. Typing        the table of commands, `interpret(line) -> ParsedInput`; pure
2. State         `RoomsClient`: the state of the conversation
3. Lines         the table of a server's lines
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from text import clean, has_controls, normalize, shown_path, split_at_most, split_words
from ui.dialects.base import (
    Answer,
    ClientDialect,
    Names,
    ParsedInput,
    SlashCommand,
    Status,
    WordCompletion,
    absent,
    complete_name,
    is_text,
    mentions,
    read,
    refuse,
    shorten,
    split_last_word,
    starting_with,
    update_and_render,
)
from ui.rendering import Fragments, Line, lines_of, plain, render_user

# ---- 1. typing ----


class Verb(NamedTuple):
    """What the client knows of a command.

    Attributes:
        usage: how it is typed.
        words: number of its arguments.
        text: the last argument is the rest of the line.
        kinds: the kind of each argument that is completed.
    """

    usage: str
    words: int = 0
    text: bool = False
    kinds: Sequence[str] = ()


VERBS: Mapping[str, Verb] = {
    "/whisper": Verb("/whisper <user> <message>", 2, text=True, kinds=("user",)),
    "/quit": Verb("/quit"),
    "/list": Verb("/list"),
    "/switch": Verb("/switch <channel>", 1, kinds=("channel",)),
    "/send": Verb("/send <user> <path>", 2, kinds=("user", "path")),
}

FILE_VERBS = ("/ready", "/piece", "/end", "/landed", "/cancel")
"""Commands by which the client transfers files, see `ui/transfers.py`."""

NOT_A_NAME = "a name is one word, without control characters"
COMING_IN = "Coming in as {0}; /help lists what can be typed, Ctrl-D ends."


NOTHING_KEPT = "the dialect rooms repeats nothing; a user of result asks for the history of such a channel."

SLASH_COMMANDS: Mapping[str, SlashCommand] = {
    "@": SlashCommand(
        "@<user> [message]", "/whisper {}", 1, help="whispers to one, or sends plain text there from now on",
        obey=lambda ui, words: ui.whisper(words),
    ),
    "/msg": SlashCommand(
        "/msg <user> [message]", "/whisper {}", 1, help="the same", obey=lambda ui, words: ui.whisper(words)
    ),
    "/whisper": SlashCommand("/whisper <user> <message>", "/whisper {}", 2),
    "/me": SlashCommand("/me <text>", "{}", 1, help="says what you do: /me waves", obey=lambda ui, words: ui.me(words)),
    "/who": SlashCommand("/who", "/list", help="who is in the channel", obey=lambda ui, _words: ui.who()),
    "/users": SlashCommand("/users", "/list", obey=lambda ui, _words: ui.who()),
    "/channels": SlashCommand("/channels", "/list", help="lists channels: members/capacity/queue"),
    "/list": SlashCommand("/list", "/list {}"),
    "/join": SlashCommand(
        "/join <channel>", "/switch {}", 1, help="goes to another channel", obey=lambda ui, words: ui.join(words)
    ),
    "/switch": SlashCommand("/switch <channel>", "/switch {}", 1),
    "/send": SlashCommand("/send <user> <path>", "/send {}", 2, help="sends a file"),
    "/accept": SlashCommand("/accept [user]", "/whisper {}", accepts=True, help="takes a file that is offered"),
    "/decline": SlashCommand("/decline [user]", "/whisper {}", accepts=False, help="does not take it"),
    "/files": SlashCommand(
        "/files", "/list", help="lists the files that came or are offered",
        obey=lambda _ui, _words: ParsedInput(lists_files=True),
    ),
    "/leave": SlashCommand("/leave", "/quit", help="leaves: a user that plain text goes to, or the channel",
        obey=lambda ui, _words: ui.leave()),
    "/quit": SlashCommand("/quit", "/quit {}", help="ends the client"),
    "/topic": absent("/topic", "the dialect rooms has no topics; a user of result sets them."),
    "/history": absent("/history", NOTHING_KEPT),
    "/seen": absent("/seen", NOTHING_KEPT),
}  # fmt: skip
NAME_FIRST = "you have no name yet, and a name is what is asked for; Ctrl-D ends."


def interpret(line: str) -> ParsedInput:
    """Parse a line that is not empty and has no blanks around it."""
    first, *words = split_words(line)
    if first in FILE_VERBS:
        return refuse(f"the server takes {first} for a part of a file.")
    verb = VERBS.get(first)
    if verb is None:
        return ParsedInput(send=line, echoed=True, said=True)
    if not (len(words) == verb.words or (verb.text and len(words) > verb.words)):
        # The server ignores such a line; but it would take a third word for the size of an offered file.
        return ParsedInput(send=first if first == "/send" else line, hint=f"Usage: {verb.usage}")
    return _offer(*words) if first == "/send" else ParsedInput(send=line, goodbye=first == "/quit")


def _offer(user: str, path: str) -> ParsedInput:
    if has_controls(path):
        return refuse("there is a control character in the path.")
    readable = path.encode(errors="surrogateescape").decode(errors="replace")
    return ParsedInput(send=f"/send {normalize(user)} {shown_path(readable)}", offer=path)


# ---- 2. state ----


class RoomsClient(ClientDialect):
    """The dialect. It says the name as soon as there is one, and that it takes files.

    Args:
        paths: completes a path.

    Attributes:
        name: of the user; empty until it is known.
        channel: in which the user is or waits; empty until it is known.
        present: the user is in the channel.
    """

    kind = "rooms"
    reconnects, files = False, True
    slash_commands = SLASH_COMMANDS

    def __init__(self, paths: Callable[[str], list[str]]) -> None:
        self.present = False
        self.name = ""
        self.channel = ""
        self.users, self.channels, self.speakers = Names(), Names(), Names()
        self._paths = paths
        self._goodbye = False

    # ---- see `ClientDialect` ----

    def take_name(self, name: str) -> str:
        if split_words(clean(name)) != [name] or not is_text(name):
            return NOT_A_NAME
        self.name = name
        return ""

    def begun(self) -> ParsedInput:
        if self.name:
            return ParsedInput(send=f"{self.name} files", hint=COMING_IN.format(self.name))
        return ParsedInput(hint="Type the name under which the others are to see you; Ctrl-D ends.")

    def lost(self) -> str:
        self.present, self.leaving = False, self._goodbye
        return "" if self._goodbye else "The server has closed the connection."

    def returned(self) -> ParsedInput:
        return self.begun()._replace(hint="Connected again.")

    def sent(self, line: str) -> None:
        self._goodbye = self._goodbye or line == "/quit"

    def received(self, line: str) -> list[Line]:
        answer, words = read(line, LINES)
        whispered = answer is WHISPER and words[1] == "you"
        mentioned = answer is MESSAGE and words[0] != self.name and mentions(words[2], self.name)
        return lines_of(update_and_render(self, answer, words), alert=whispered or mentioned, stamped=False)

    @property
    def user(self) -> str:  # type: ignore[override]
        return self.name

    def status(self) -> Status:
        return Status(self.name, self.current or self.channel, list(self.users) if self.present else None)

    def ready(self) -> bool:
        return bool(self.name)

    def done(self) -> bool:
        """Tell whether the user leaves before a name is given. Afterwards the server closes."""
        return self.leaving

    def prompt(self) -> str:
        if not self.name:
            return "Your name> "
        waiting = "" if self.present or not self.channel else "(waiting) "
        return f"{waiting}{shorten(self.current or self.channel)}> "

    def complete(self, text: str) -> WordCompletion:
        words, word = split_last_word(text)
        if not words and word.startswith("/"):
            return word, starting_with(word, VERBS)
        verb = VERBS.get(words[0]) if words else None
        if verb is None or (verb.text and len(words) > 1):
            _word, found = complete_name(text, self.speakers, self.users, self.name)
            return word, found or ([] if words else starting_with(word, VERBS))
        kind = verb.kinds[len(words) - 1] if verb and len(words) <= len(verb.kinds) else ""
        if kind == "path":
            return word, self._paths(word)
        names: Iterable[str] = {"user": self.users, "channel": self.channels}.get(kind, ())
        return word, starting_with(word, names)

    def typed(self, text: str) -> ParsedInput:
        line = text.strip()
        if not line:
            return ParsedInput()
        if not self.name:
            return self._parse_name(line)
        parsed = interpret(line)
        if parsed.said and self.current:
            return self.accept(interpret(f"/whisper {self.current[1:]} {line}"))._replace(said=True)
        return self.accept(parsed._replace(echoed=parsed.echoed and self.present))

    def whisper(self, words: str) -> ParsedInput:
        """Whisper to a user, or send plain text there from now on."""
        user, *text = split_at_most(words.lstrip().removeprefix("@"), 2)
        if not self.name:
            return refuse(NAME_FIRST)
        if text:
            return self.typed(f"/whisper {user} {text[0]}")
        return self.accept(ParsedInput(hint=f"Plain text goes to {user} now.", current=f"@{normalize(user)}"))

    def me(self, words: str) -> ParsedInput:
        """Say what the user does."""
        return self.say(f"* {words.strip()}")

    def who(self) -> ParsedInput:
        """Tell who is in the channel, as far as that was seen."""
        return ParsedInput(hint=f"Seen in {self.channel}: {', '.join(sorted(self.users))}")

    def join(self, words: str) -> ParsedInput:
        """Go to a channel; the one where the user is becomes current."""
        if self.channel and normalize(words.strip()) == self.channel:
            self.current = ""
            return ParsedInput(hint=f"You are in {self.channel}; plain text goes there now.")
        return self.typed(f"/switch {words}")

    def leave(self) -> ParsedInput:
        """Turn away from a user, or else leave the channel."""
        if not self.current:
            return self.typed("/quit")
        told, self.current = f"Plain text goes to {self.current} no longer.", ""
        return ParsedInput(hint=told)

    def _parse_name(self, line: str) -> ParsedInput:
        if line == "/quit":
            self.leaving = True
            return ParsedInput()
        if line.startswith("/"):
            return refuse(NAME_FIRST)
        wrong = self.take_name(line)
        return refuse(f"{wrong}.") if wrong else self.begun()

    def say(self, text: str) -> ParsedInput:
        first = split_words(text)[:1]
        if first and first[0] in VERBS:
            return refuse(f"the server takes {first[0]} for a command.")
        return self.typed(text) if self.name else refuse(NAME_FIRST)

    # ---- for the table of lines ----

    def welcomed(self, _frame: str, channel: str, name: str) -> None:
        """A guest begins in the queue, also after a switch."""
        self.name, self.channel, self.present = name, channel, False
        self.channels.add(channel)
        self.users.clear()
        self.current = ""

    def entered(self, _frame: str, name: str) -> None:
        self.users.add(name)
        self.present = self.present or name == self.name

    def gone(self, _frame: str, name: str, *_how: str) -> None:
        self.users.discard(name)

    def turned_away(self, *_words: str) -> None:
        """The name is in use or not allowed; the server closes."""
        self.undelivered = True

    def heard(self, name: str, *_rest: str) -> None:
        self.users.add(name)
        self.speakers.add(name)

    def listed(self, name: str, *_numbers: str) -> None:
        self.channels.add(name)


# ---- 3. lines ----

FRAME = r"(\[Server message \(\S+\)\])"


def render_server(sentence: str) -> Callable[..., Fragments]:
    """Make a function that renders a line of the server itself from a sentence with places for the words."""
    return lambda frame, *words: [("class:server", frame), ("", f" {sentence.format(*words)}")]


def render_message(name: str, time: str, text: str) -> Fragments:
    """Render a message."""
    return [("", "["), render_user(name), ("class:time", f" {time}"), ("", f"] {text}")]


def render_whisper(name: str, whom: str, time: str, text: str) -> Fragments:
    """Render a whisper."""
    return [
        ("", "["), render_user(name), ("class:whisper", f" whispers to {whom}:"), ("class:time", f" {time}"),
        ("", f"] {text}"),
    ]  # fmt: skip


def render_channel(name: str, rest: str) -> Fragments:
    """Render the entry of a channel in a list."""
    return [("class:server", "[Channel]"), ("", " "), ("class:channel", name), ("", f" {rest}")]


WHISPER = Answer(r"\[(\S+) whispers to (\S+): (\(\S+\))\] (.*)", render_whisper, RoomsClient.heard)
MESSAGE = Answer(r"\[(\S+) (\(\S+\))\] (.*)", render_message, RoomsClient.heard)

LINES: Sequence[Answer] = (
    Answer(
        rf"{FRAME} Welcome to the (\S+) channel, (\S+)\.",
        render_server("Welcome to the {0} channel, {1}."),
        RoomsClient.welcomed,
    ),
    Answer(
        rf"{FRAME} (\S+) has joined the channel\.", render_server("{0} has joined the channel."), RoomsClient.entered
    ),
    Answer(
        rf"{FRAME} (\S+) (has left the channel|went AFK|is not here)\.", render_server("{0} {1}."), RoomsClient.gone
    ),
    Answer(
        rf"{FRAME} Cannot connect to the (\S+) channel\.",
        render_server("Cannot connect to the {0} channel."),
        RoomsClient.turned_away,
    ),
    Answer(rf"{FRAME} (.*)", render_server("{0}")),
    Answer(r"\[Channel\] (\S+) ([0-9]+/[0-9]+/[0-9]+\.)", render_channel, RoomsClient.listed),
    WHISPER,
    MESSAGE,
    Answer(r"(.*)", plain("{0}")),
)
