"""What all dialects share: their interface, what a typed line is parsed to, how a received line is rendered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from text import MAX_LINE, split_words
from ui.rendering import MAX_NAME_SHOWN, Fragments, Line, render_note
from ui.secrets import password_start

NAMES_KEPT = 10_000
"""Maximum number of users, and of channels, remembered for completion; as many channels as a server has by default."""

CHOICES_SHOWN = 200
"""Maximum number of choices that a completion offers."""

LOGIN_RETRY_SECONDS = (*[1.0] * 15, *[5.0] * 10)
"""Pauses between repeated logins while the server may still count the lost connection as logged in. In all they exceed
the server's default `keepalive-seconds`, 60, by 5."""

PROBE = "TAGS time id"
"""The first line on a connection. No server of another dialect takes it for a name, nor for anything else."""

CONNECTION_LOST = "The connection is lost. Trying to get it back; until then nothing can be sent."


class Consent(NamedTuple):
    """The user's answer to the offer of a file.

    Attributes:
        accepted: receive the file.
        user: the sender; empty for the oldest offer of any sender.
    """

    accepted: bool
    user: str


class ParsedInput(NamedTuple):
    """The result of parsing a typed line.

    Attributes:
        send: the line for the server; empty for none.
        hint: a note for the user; empty for none.
        current: where plain text goes from now on; None: as before.
        echoed: the server sends the line back, so the screen need not show it.
        offer: the path of the file that `send` offers; its size has to be added to `send`.
        consent: the answer to the offer of a file.
        refused: the request is not carried out; `hint` tells why.
        said: `send` has the line as a message to others.
        goodbye: `send` makes the server close.
        ask: the start of a line for the server that a password completes, which is asked for; empty for none.
        show: lines for the screen, behind the hint.
        lists_files: the files that came are to be listed.
        resends: what was not confirmed is to be sent again.
        by_itself: the client sends the line by itself, and repeats it after a lost connection where it must.
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
    ask: str = ""
    show: Sequence[str] = ()
    lists_files: bool = False
    resends: bool = False
    by_itself: bool = False


class SlashCommand(NamedTuple):
    """A command for the terminal, see `ui.dialects.slash`.

    Attributes:
        usage: the command with its arguments, for help.
        typed: the equivalent line for `ClientDialect.typed`, with `{}` in place of the arguments.
        min_args: minimum number of arguments.
        accepts: for a command that answers the offer of a file: whether it accepts. None for others. `typed` then only
            serves completion.
        help: what it does, for the list of commands; empty for another form of a command.
        obey: called with the dialect and the text after the command, in place of `typed`, which then only serves
            completion.
        absent: the dialect has no such thing; `obey` says why.
    """

    usage: str
    typed: str
    min_args: int = 0
    accepts: bool | None = None
    help: str = ""
    obey: Callable[[Any, str], ParsedInput] | None = None
    absent: bool = False


def absent(usage: str, why: str) -> SlashCommand:
    """Return the row of a command for something that the dialect does not have."""
    return SlashCommand(usage, "{}", obey=lambda _dialect, _words: refuse(why), absent=True)


class Status(NamedTuple):
    """What the bottom toolbar tells.

    Attributes:
        user: who is logged in; empty for nobody.
        place: where plain text goes: a channel, `@user`, or empty.
        online: the users who are online in it; None: not known.
        others: number (for Alt and a digit), name and unread messages of each other channel.
    """

    user: str = ""
    place: str = ""
    online: Sequence[str] | None = None
    others: Sequence[tuple[int, str, int]] = ()


TOO_LONG = (
    f"a line for the server has at most {MAX_LINE} bytes, its end included. A server can be set to take longer ones,"
    " but this client does not count on it."
)


NOT_TEXT = "there is something in it that is not UTF-8."


def refuse(why: str) -> ParsedInput:
    """Refuse a typed line for this reason."""
    return ParsedInput(hint=f"Not sent: {why}", refused=True)


def check_length(parsed: ParsedInput) -> ParsedInput:
    """Refuse a line that is too long for the server or not UTF-8."""
    if not is_text(parsed.send):
        return refuse(NOT_TEXT)
    return refuse(TOO_LONG) if len(parsed.send.encode()) >= MAX_LINE else parsed


def is_text(word: str) -> bool:
    """Tell whether a typed word is valid UTF-8."""
    try:
        word.encode()
    except UnicodeEncodeError:  # bytes that could not be decoded
        return False
    return True


class ClientDialect:
    """The client's side of one dialect, with the state of the conversation.

    Attributes:
        kind: the name of the dialect.
        verbs: the first words of its lines, for the guard against commands that are said by mistake.
        user: the name under which the user is known to the others; empty: not yet.
        failure: matches an answer that is a failure, for a dialect whose lines pass unchanged between pipes. None:
            between pipes the lines are those that would be typed and shown.
        slash_commands: commands for a terminal beside those of `typed`, by their first word; `@` is the row of every
            word that begins so.
        greeted: the server speaks first: a line that comes before its greeting may be for another dialect's server.
        reconnects: a lost connection is dialled again.
        files: some lines of the server carry files, and are not for the dialect.
        admitted: the server serves us. False until a login, where the dialect begins with one.
        leaving: the user has said goodbye.
        undelivered: since the login the server has refused something, or left a message without an answer.
        wrong: why this is not a server of the dialect; empty unless that has been found out.
        current: where plain text goes; empty: nowhere, or there is no choice.
        automatic_lines: lines that the dialect wants to send by itself; the caller sends them and empties it.
        pause: seconds until `again` is to be called or, where the server closes first, the next connection is to be
            dialled; None: no such call. The caller resets it to None.
    """

    kind: str
    verbs: Sequence[str] = ()
    user = ""
    failure: re.Pattern[str] | None = None
    slash_commands: Mapping[str, SlashCommand]
    greeted = False
    reconnects = True
    files = False
    admitted = True
    leaving = False
    undelivered = False
    wrong = ""
    current = ""
    automatic_lines: Sequence[str] = ()
    pause: float | None = None

    def take_name(self, name: str) -> str:
        """Take the name from the command line; return why it cannot be used, or an empty text."""
        raise NotImplementedError

    # ---- the connection ----

    def begun(self) -> ParsedInput:
        """The first connection is made: return the line to send on it, and a hint for the user."""
        raise NotImplementedError

    def lost(self) -> str:
        """The connection is lost, with every answer that was due. Return the news for the user."""
        raise NotImplementedError

    def returned(self) -> ParsedInput:
        """The connection is made again: return the line to send on it, and a hint for the user."""
        return ParsedInput()

    def again(self) -> ParsedInput:
        """The `pause` is over: return the line to send, if there is still a reason to."""
        return ParsedInput()

    def sent(self, line: str) -> None:
        """Remember a line that goes to the server."""
        raise NotImplementedError

    def received(self, line: str) -> list[Line]:
        """Take a line from the server; return what the screen shows: often one line, perhaps none."""
        raise NotImplementedError

    def been_shown(self) -> None:
        """What came has been on the screen."""

    def ready(self) -> bool:
        """Tell whether a pipe's next line can be taken: the server serves us and owes few answers."""
        return True

    def done(self) -> bool:
        """Tell whether the user is leaving and the server need not close first."""
        return False

    # ---- the user ----

    def prompt(self) -> str:
        """Return the text before the line being typed."""
        raise NotImplementedError

    def status(self) -> Status:
        """Return what the toolbar tells."""
        return Status(self.user, self.current)

    def switch(self, number: int) -> ParsedInput:
        """Make the channel with this number current, counted from 1 as in `status`."""
        return ParsedInput(hint="This dialect has no channels to choose from.")

    def complete(self, text: str) -> WordCompletion:
        """Complete the last word of the text before the cursor."""
        raise NotImplementedError

    def typed(self, text: str) -> ParsedInput:
        """Parse a typed line. The line for the server is not sent yet, see `sent`."""
        raise NotImplementedError

    def say(self, text: str) -> ParsedInput:
        """Return the line that says a text where plain text goes, whatever command the text looks like."""
        raise NotImplementedError

    def secret_start(self, line: str) -> int:
        """Return the index where the secret of a typed line begins; its length if it has none."""
        return password_start(line)

    # ---- for dialects ----

    def accept(self, parsed: ParsedInput) -> ParsedInput:
        """Refuse a line that no server would take, and remember where plain text goes from now on."""
        checked = check_length(parsed)
        if checked.current is not None:
            self.current = checked.current
        return checked


Recogniser = Callable[[str], ClientDialect | None]
"""Takes the server's first line; returns the dialect to change to, or None."""

# ---- completion ----

WordCompletion = tuple[str, list[str]]
"""The last word as it is typed (it may be empty), and the words that can take its place."""


def split_last_word(text: str) -> tuple[list[str], str]:
    """Return the words before the one at the cursor, and that one: empty behind a blank."""
    words = split_words(text)
    word = words.pop() if words and text[-1] not in " \t" else ""
    return words, word


def starting_with(word: str, choices: Iterable[str]) -> list[str]:
    """Return the choices that begin with a word, sorted."""
    return sorted(choice for choice in choices if choice.startswith(word))


def addressees(word: str, users: Iterable[str], *, end: str = "") -> list[str]:
    """Return the completions of a word that begins with an @ to users, each followed by this end."""
    return [f"@{user}{end}" for user in starting_with(word[1:], users)]


def complete_name(text: str, speakers: Iterable[str], users: Iterable[str], own: str) -> WordCompletion:
    """Complete the last word of plain text to a user's name, but never to one's own.

    Args:
        text: the line before the cursor.
        speakers: users in the order in which they spoke last; the most recent one is offered first.
        users: the other users that are known.
        own: the name that is never offered.
    """
    words, word = split_last_word(text)
    if not word:
        return word, []
    start = word.casefold()
    names = dict.fromkeys((*reversed(list(speakers)), *sorted(users)))
    end = " " if words else ": "
    return word, [f"{name}{end}" for name in names if name != own and name.casefold().startswith(start)]


def mentions(text: str, name: str) -> bool:
    """Tell whether a message mentions a name, in any case.

    A name of ASCII characters must stand as a word. Others may stand anywhere: some scripts have no blanks.
    """
    if not name:
        return False
    pattern = re.escape(name.casefold())
    if name.isascii():
        pattern = rf"(?<![\w]){pattern}(?![\w])"
    return re.search(pattern, text.casefold()) is not None


def complete_addressed(text: str, users: Iterable[str], commands: Iterable[str], own: str = "") -> WordCompletion:
    """Complete a user, or the first word to a command. A message can follow the user in the first word at once."""
    words, word = split_last_word(text)
    if word.startswith("@"):
        return word, addressees(word, (user for user in users if user != own), end="" if words else " ")
    _word, names = complete_name(text, users, (), own)
    return word, names or ([] if words else starting_with(word, commands))


# ---- answers ----


class Answer(NamedTuple):
    """A row in a table of lines that a server sends.

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
    """Find the row of a received line, and the groups of its pattern. The last row matches every line."""
    found = find(line, answers)
    assert found, "the last row of a table matches every line"
    return found


def find(line: str, answers: Sequence[Answer]) -> tuple[Answer, tuple[str, ...]] | None:
    """Find the row of a received line, if any, and the groups of its pattern."""
    for answer in answers:
        found = re.fullmatch(answer.pattern, line)
        if found:
            return answer, found.groups()
    return None


# ---- logins ----


class LoginRetries:
    """The pauses between repeated logins after a lost connection, see LOGIN_RETRY_SECONDS."""

    def __init__(self) -> None:
        self._pauses: Iterator[float] = iter(())
        self.told = False
        """The user has been told that the login is being repeated."""

    def begin(self) -> None:
        """A connection with a login is lost."""
        self._pauses, self.told = iter(LOGIN_RETRY_SECONDS), False

    def end(self) -> None:
        """The login has succeeded, or is given up."""
        self._pauses, self.told = iter(()), False

    def next(self) -> tuple[float, Fragments] | None:
        """The login was refused: return the seconds until the next one, and a line to show; None to give up."""
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
    """Shorten a name for the prompt."""
    return name if len(name) <= MAX_NAME_SHOWN else f"{name[:MAX_NAME_SHOWN]}..."


class Names:
    """The newest NAMES_KEPT names, without those longer than MAX_NAME_SHOWN.

    The bounds keep the prompt and its completion quick, whatever a server sends.
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
