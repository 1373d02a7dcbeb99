"""What all dialects share: their interface, what a typed line is parsed to, how a received line is rendered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from text import MAX_LINE

NAMES_KEPT = 10_000
"""Names of a kind that are remembered for completion; a server makes no more channels by default."""

MAX_NAME_SHOWN = 256
"""Characters of a name that is remembered, or shown beside the line being typed. A name has 64, its server as many."""

CHOICES_SHOWN = 200
"""Choices of a completion that are offered at once."""

LOGIN_RETRY_SECONDS = (*[1.0] * 15, *[5.0] * 10)
"""Seconds before each time that a login is repeated which the server may still hold for a connection that was lost:
until it has noticed (its `keepalive-seconds`, 60 by default) and 5 more have gone."""

CONNECTION_LOST = "The connection is lost. Trying to get it back; until then nothing can be sent."

Fragments = list[tuple[str, str]]
"""A line for the screen: (style, text) after (style, text)."""


class Consent(NamedTuple):
    """What the user says to the offer of a file.

    Attributes:
        accepted: it is to be taken.
        user: who offers it; empty for the oldest offer, whosesoever it is.
    """

    accepted: bool
    user: str


class ParsedInput(NamedTuple):
    """What a typed line comes to.

    Attributes:
        send: the line for the wire; none when empty.
        hint: told to the user; nothing when empty.
        current: where plain text goes from now on; None leaves it as it is.
        echoed: the server shows the line to its sender too, so the screen need not.
        offer: `send` offers the file of this path and lacks its size.
        consent: what somebody offers is to be taken, or not.
        refused: the line asks for something that is not done, as `hint` says.
        said: `send` has the line as a text for others.
        goodbye: `send` has the server close.
    """

    send: str = ""
    hint: str = ""
    current: str | None = None
    echoed: bool = False
    offer: str = ""
    consent: Consent | None = None
    refused: bool = False
    said: bool = False
    goodbye: bool = False


class SlashCommand(NamedTuple):
    """A command that a person types on a terminal, see `ui.dialects.slash`.

    Attributes:
        usage: how it is typed.
        typed: what it stands for, as a line for `ClientDialect.typed`; `{}` is the place of the words behind it.
        min_args: words that have to stand behind it.
        accepts: the command answers the offer of a file, so; None for any other. Then it is completed as `typed` is.
    """

    usage: str
    typed: str
    min_args: int = 0
    accepts: bool | None = None


TOO_LONG = (
    f"a line for the server has at most {MAX_LINE} bytes, its end included. A server can be set to take longer ones,"
    " but this client does not count on it."
)


NOT_TEXT = "there is something in it that is not UTF-8."


def refuse(why: str) -> ParsedInput:
    """A line that is not sent, and why."""
    return ParsedInput(hint=f"Not sent: {why}", refused=True)


def check_length(parsed: ParsedInput) -> ParsedInput:
    """Refuse what is too long for a line, or no text, which a server would not take."""
    if not is_text(parsed.send):
        return refuse(NOT_TEXT)
    return refuse(TOO_LONG) if len(parsed.send.encode()) >= MAX_LINE else parsed


def is_text(word: str) -> bool:
    """Whether what the user gives is UTF-8 in full."""
    try:
        word.encode()
    except UnicodeEncodeError:  # bytes that could not be decoded
        return False
    return True


class ClientDialect(Protocol):
    """One wire as a person uses it, with what is remembered of the lines that went both ways.

    Attributes:
        failure: between pipes the lines are those of the wire, and an answer that this matches is a failure. None: they
            are what would be typed and shown.
        admitted: the server serves us. False until a login, on a wire that begins with one.
        leaving: the user has said goodbye.
        slash_commands: commands for a terminal beside those of `typed`, by their first word; `@` is the row of every
            word that begins so.
        returns: a lost connection is dialled again.
        files: some lines of the server carry files, and are not for the dialect.
        undelivered: the server has refused something since the login, or has not said what became of a message.
        wrong: why this server cannot be talked with; nothing when it can, or when nobody knows yet.
        automatic_lines: lines that the dialect wants to send by itself; the caller sends them and empties it.
        pause: seconds after which `again` is to be called, or, where the server closes first, another connection is to
            be made; None for never. Whoever sees to it sets it to None.
    """

    slash_commands: Mapping[str, SlashCommand]
    returns: bool
    files: bool
    failure: re.Pattern[str] | None
    admitted: bool
    leaving: bool
    undelivered: bool
    wrong: str
    automatic_lines: Sequence[str]
    pause: float | None

    def take_name(self, name: str) -> str:
        """Take the name that the command line gives; return what is wrong with that, nothing when all is well."""

    # ---- the connection ----

    def begun(self) -> ParsedInput:
        """There is the first connection: what is to be sent on it, and told."""

    def lost(self) -> str:
        """The connection is lost, and so is what was not answered. Return what to tell the user."""

    def returned(self) -> ParsedInput:
        """The connection is back: what is to be sent on it, and told."""

    def again(self) -> ParsedInput:
        """The `pause` is over: what is to be sent, if that still makes sense."""

    def sent(self, line: str) -> None:
        """This line goes to the server."""

    def received(self, line: str) -> Fragments:
        """This line came from the server; return how it is shown."""

    def ready(self) -> bool:
        """Whether the next line of a pipe can be typed: the server serves us and does not owe too many answers."""

    def done(self) -> bool:
        """Whether the user is leaving and need not wait for the server to close."""

    # ---- the user ----

    def prompt(self) -> str:
        """What stands before the line being typed."""

    def complete(self, text: str) -> tuple[str, list[str]]:
        """Say how the last word may go on.

        Args:
            text: what stands before the cursor.

        Returns:
            The last word as it is typed (it may be empty), and the words that can take its place.
        """

    def typed(self, text: str) -> ParsedInput:
        """Take a typed line; what is to be sent is not sent yet, see `sent`."""

    def say(self, text: str) -> ParsedInput:
        """Say a text to whom plain text goes, whatever command it looks like."""

    def secret_start(self, line: str) -> int:
        """Where the secret of a typed line begins; its length when it has none."""


Recogniser = Callable[[str], ClientDialect | None]
"""Gives the dialect that takes over, or none, by the server's first line."""

# ---- answers ----


class Answer(NamedTuple):
    """A row in the table of what a server says.

    Attributes:
        pattern: matches the whole line; its groups are handed to the two calls.
        render: makes the line for the screen, perhaps in other words. It hides nothing but a secret.
        update: changes the dialect's state; called with the dialect first. Its result, if not None, is shown instead.
    """

    pattern: str
    render: Callable[..., Fragments]
    update: Callable[..., Fragments | None] = lambda *_words: None


def update_and_render(dialect: object, answer: Answer, words: Sequence[str]) -> Fragments:
    """Update a dialect with a line from its server; return the line for the screen."""
    instead = answer.update(dialect, *words)
    return answer.render(*words) if instead is None else instead


def read(line: str, answers: Sequence[Answer]) -> tuple[Answer, tuple[str, ...]]:
    """Find the row of a received line, and its words. The last row takes every line."""
    found = find(line, answers)
    assert found, "the last row of a table matches every line"
    return found


def find(line: str, answers: Sequence[Answer]) -> tuple[Answer, tuple[str, ...]] | None:
    """Find the row of a received line, if there is one, and its words."""
    for answer in answers:
        found = re.fullmatch(answer.pattern, line)
        if found:
            return answer, found.groups()
    return None


# ---- drawing ----


def render_note(text: str) -> Fragments:
    """Something that the client says itself."""
    return [("class:note", f"* {text}")]


def render_user(name: str) -> tuple[str, str]:
    """A user's name, in a colour that stays the same."""
    return f"class:user{sum(name[:MAX_NAME_SHOWN].encode()) % USER_COLOURS}", name


def _in_style(style: str) -> Callable[[str], Callable[..., Fragments]]:
    """Give what makes the `render` of an answer's row from a sentence with places for the words."""
    return lambda sentence: lambda *words: [(style, sentence.format(*words))]


plain, good, bad = _in_style(""), _in_style("class:good"), _in_style("class:bad")


def without_style(line: Fragments) -> str:
    """The bare text of a line."""
    return "".join([text for _style, text in line])


USER_COLOURS = 6
STYLES: Mapping[str, str] = {
    "prompt": "bold",
    "channel": "ansicyan",
    "good": "ansigreen",
    "bad": "ansired",
    "note": "ansiyellow",
    "typed": "ansibrightblack",
    "time": "ansibrightblack",
    "server": "ansicyan",
    "whisper": "ansimagenta",
    "progress": "ansiyellow",
    "secret": "bold ansiyellow",
    "user0": "bold ansiblue",
    "user1": "bold ansimagenta",
    "user2": "bold ansigreen",
    "user3": "bold ansiyellow",
    "user4": "bold ansicyan",
    "user5": "bold ansired",
}


# ---- secrets in typed lines ----

FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""The full-width letters and signs that input methods of East Asia type, each with its ASCII character."""

SECRETS = re.compile(r"[^\w@]*(?:(?:login|register)[^\w\s]*\s+\S+|password[^\w\s]*)\s+(?=\S)", re.IGNORECASE)
"""What stands before a password, wherever it is typed: with and without a slash, in any case of letters."""


def password_start(line: str) -> int:
    """Where the passwords of a typed line begin; its length when it has none."""
    found = SECRETS.match(line.translate(FULL_WIDTH))
    return found.end() if found else len(line)


def hide(line: str, start: int) -> str:
    """Give a line as the screen may show it that is secret from this place on: as long as it is."""
    return line[:start] + re.sub(r"[^ \t]", "*", line[start:])


def cut(line: str, start: int) -> str:
    """Give a line as the history may keep it that is secret from this place on."""
    return line if start == len(line) else line[:start].rstrip()


# ---- logins ----


class LoginRetries:
    """Says when a login is repeated by itself that was refused after a lost connection: see LOGIN_RETRY_SECONDS."""

    def __init__(self) -> None:
        self._pauses: Iterator[float] = iter(())
        self.told = False
        """The user knows that the login is being repeated."""

    def begin(self) -> None:
        """A connection is lost that had a login."""
        self._pauses, self.told = iter(LOGIN_RETRY_SECONDS), False

    def end(self) -> None:
        """There is a login again, or it is given up."""
        self._pauses, self.told = iter(()), False

    def next(self) -> tuple[float, Fragments] | None:
        """The login was refused: give the seconds until the next one, and what to show; None when there is no more."""
        pause = next(self._pauses, None)
        if pause is None:
            self.end()
            return None
        shown = [] if self.told else render_note(STILL_HELD)
        self.told = True
        return pause, shown


STILL_HELD = (
    "The server may not have noticed yet that your old connection is lost. The login is repeated until it has, for a"
    " minute or so."
)

# ---- names ----


def shorten(name: str) -> str:
    """Give a name for the prompt."""
    return name if len(name) <= MAX_NAME_SHOWN else f"{name[:MAX_NAME_SHOWN]}..."


def addressees(word: str, users: Iterable[str], *, first: bool) -> list[str]:
    """Say how a word may go on that begins with an @. In the first place of a line the message can follow at once."""
    return sorted(f"@{user}{' ' if first else ''}" for user in users if user.startswith(word[1:]))


class Names:
    """A set of names that keeps the newest NAMES_KEPT, and none that is longer than a name can be.

    Whatever a server says, remembering it, completing it and showing it takes a bounded time.
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, *names: str) -> None:
        for name in names[-NAMES_KEPT:]:
            if len(name) > MAX_NAME_SHOWN:
                continue
            self._names.pop(name, None)
            self._names[name] = None
            if len(self._names) > NAMES_KEPT:
                del self._names[next(iter(self._names))]

    def discard(self, name: str) -> None:
        self._names.pop(name, None)

    def clear(self) -> None:
        self._names.clear()
