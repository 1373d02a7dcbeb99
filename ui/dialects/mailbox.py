"""The client's side of the dialect `mailbox`.

The protocol's own lines are always accepted; the commands here are translated to them. An ID serves as a password. So
it is masked where it is typed, and where an answer repeats it. A new ID is shown, since the server sends it only once.

Reading order:

1. Typing        the table of commands; where the IDs in a typed line are; `interpret`; pure
2. State         `MailboxClient`: the state of the conversation
3. Answers       for each opcode a table of its answers, and one of the lines that are no answers
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from text import clean, normalize, split_at_most, split_words
from ui.dialects.base import (
    CONNECTION_LOST,
    PROBE,
    Answer,
    ClientDialect,
    Names,
    ParsedInput,
    SlashCommand,
    WordCompletion,
    absent,
    complete_addressed,
    find,
    read,
    refuse,
    update_and_render,
)
from ui.first_line import MAILBOX_GREETING
from ui.rendering import Fragments, Line, bad, good, lines_of, plain, render_user
from ui.secrets import FULL_WIDTH, password_start

# ---- 1. typing ----


class Verb(NamedTuple):
    """What the client knows of a command.

    Attributes:
        usage: how it is typed.
        opcode: the first field of its line.
        min_args, max_args: bounds of the number of arguments.
        own: without an argument the command is for our own ID.
        help: see `SlashCommand`.
    """

    usage: str
    opcode: str
    min_args: int = 0
    max_args: int = 0
    own: bool = False
    help: str = ""


VERBS: Mapping[str, Verb] = {
    "/new": Verb("/new <name>", "1", 1, 1, help="makes an account; its ID is told once"),
    "/login": Verb("/login <id>", "0", 1, 1, help="enters an account"),
    "/users": Verb("/users [pattern]", "2", 0, 1, help="lists accounts"),
    "/mail": Verb("/mail [id]", "4", 0, 1, own=True, help="takes the messages that wait"),
    # Not own: one word must not do what cannot be undone.
    "/delete": Verb("/delete <id>", "5", 1, 1, help="deletes an account for good"),
    "/bye": Verb("/bye", "bye", help="ends the client"),
}

NO_CHANNELS = "the dialect mailbox has no channels; @<user> <message> writes to one."

SLASH_COMMANDS: Mapping[str, SlashCommand] = {
    "@": SlashCommand("@<user> [message]", "@{}", 1, help="writes to one, or sends plain text there from now on"),
    "/msg": SlashCommand("/msg <user> [message]", "@{}", 1, help="the same"),
    "/me": SlashCommand("/me <text>", "* {}", 1, help="writes what you do", obey=lambda ui, words: ui.me(words)),
    **{name: SlashCommand(verb.usage, f"{name} {{}}", help=verb.help) for name, verb in VERBS.items()},
    "/register": SlashCommand("/register <name>", "/new {}"),
    "/who": SlashCommand("/who [pattern]", "/users {}"),
    "/list": SlashCommand("/list [pattern]", "/users {}"),
    "/leave": SlashCommand(
        "/leave", "/leave", help="plain text goes to nobody any more", obey=lambda ui, _words: ui.turn_away()
    ),
    "/join": absent("/join <channel>", NO_CHANNELS),
    "/channels": absent("/channels", NO_CHANNELS),
    "/topic": absent("/topic", NO_CHANNELS),
    "/history": absent("/history", "the dialect mailbox keeps no history; /mail takes the messages that wait."),
    "/seen": absent("/seen", "the dialect mailbox counts nothing; /mail takes the messages that wait."),
    "/quit": SlashCommand("/quit", "/bye"),
}

WIRE = re.compile(r"[0-9][ \t]*\|.*|2|bye", re.DOTALL)
BEFORE_ID = re.compile(
    r"[^\w@]*(?:[045]\s*\|\s*|login[^\w\s]*\s+|/(?:mail|delete)\s+|(?:mail|delete)\s+(?=\S+\s*$))(?=\S)", re.IGNORECASE
)
"""Matches the text before an ID in a typed line, also behind `login`, or `mail` with one word, without a slash."""

WHAT_TO_TYPE = "/new <name> makes an account, /login <id> enters one, @<user> <text> sends."
NOBODY_ADDRESSED = f"nobody is addressed. {WHAT_TO_TYPE}"


def secret_start(line: str) -> int:
    """Return the index where the ID of a typed line begins; its length if it has none."""
    found = BEFORE_ID.match(line.translate(FULL_WIDTH))
    return min(found.end() if found else len(line), password_start(line))


def interpret(line: str, current: str, own: str) -> ParsedInput:
    """Parse a line that is not empty and has no blanks around it.

    Args:
        line: the line.
        current: the user to whom plain text goes; empty for none.
        own: the ID of our account; empty if unknown.
    """
    if WIRE.fullmatch(line):
        return ParsedInput(send=line, goodbye=line == "bye")
    if line.startswith("/"):
        return _interpret_command(*split_words(line), own=own)
    if not line.startswith("@"):
        return say(line, current)
    word, *text = split_at_most(line, 2)
    user = normalize(word[1:])
    if not user:
        return refuse(NOBODY_ADDRESSED)
    if "|" in user:
        return refuse("there is no | in a name.")
    if not text:
        return ParsedInput(hint=f"Plain text goes to {user} now.", current=user)
    return ParsedInput(send=f"3|{user}|{text[0]}")


def say(text: str, current: str) -> ParsedInput:
    """Say a text to the current user, see `interpret`."""
    return ParsedInput(send=f"3|{current}|{text}", said=True) if current else refuse(NOBODY_ADDRESSED)


def _interpret_command(word: str, *words: str, own: str) -> ParsedInput:
    verb = VERBS.get(word)
    if verb is None:
        return refuse(f"there is no such command. {', '.join(row.usage for row in VERBS.values())}")
    if not verb.min_args <= len(words) <= verb.max_args:
        why = " It is for good, so the ID has to be typed." if word == "/delete" and not words else ""
        return refuse(f"it is typed {verb.usage}.{why}")
    if verb.own and not words:
        if not own:
            return refuse(f"you are not logged in, so it has to be {word} <id>.")
        words = (own,)
    return ParsedInput(send="|".join((verb.opcode, *words)), goodbye=verb.opcode == "bye")


# ---- 2. state ----


class PendingRequest(NamedTuple):
    """A request without an answer yet.

    Attributes:
        opcode: its first field.
        field: its second field: a name, a pattern or an ID.
    """

    opcode: str
    field: str = ""


class MailboxClient(ClientDialect):
    """The dialect. By itself it repeats the login after a lost connection.

    Attributes:
        current: the user to whom plain text goes; empty for none.
        own: the ID of the account of the last login; empty when there is none.
    """

    kind = "mailbox"
    greeted = True
    verbs = ("bye",)
    slash_commands = SLASH_COMMANDS

    def __init__(self) -> None:
        self.failure = FAILURE
        self.own = ""
        self.users = Names()
        self._pending: deque[PendingRequest] = deque()  # answers come in the order of the requests
        self._again = False
        """Log in again when a lost connection is back."""
        self._elsewhere = False

    # ---- see `ClientDialect` ----

    def take_name(self, name: str) -> str:
        return "an account is entered with its ID here, which is typed: /login <id>; /new <name> makes one"

    def begun(self) -> ParsedInput:
        return ParsedInput(hint=f"{WHAT_TO_TYPE} Ctrl-D ends.")

    def lost(self) -> str:
        self._pending.clear()
        return "" if self._elsewhere else CONNECTION_LOST

    def returned(self) -> ParsedInput:
        """Log in again, unless the account was entered elsewhere: two clients would disconnect each other endlessly."""
        self._elsewhere = False
        if self._again:
            return ParsedInput(send=f"0|{self.own}", hint="Connected again; logging in.")
        return ParsedInput(hint="Connected again; you are not logged in.")

    def sent(self, line: str) -> None:
        opcode, field, *_ = [part.strip(" \t") for part in (*line.split("|", 2), "")]
        self._pending.append(PendingRequest(opcode, clean(normalize(field))))
        self.leaving = self.leaving or line == "bye"

    def received(self, line: str) -> list[Line]:
        """The line answers the first request that it fits. Earlier requests were answered by unknown lines."""
        for position, request in enumerate(self._pending):
            found = find(line, (*ANSWERS.get(request.opcode, ()), *ANY))
            if found:
                for _answered in range(position + 1):
                    self._pending.popleft()
                answer, words = found
                probed = request.opcode == PROBE  # its answer is not shown
                return [] if probed else lines_of(update_and_render(self, answer, (request.field, *words)))
        answer, words = read(line, UNSOLICITED)
        alert = answer in MESSAGES and words[0] != self.user
        return lines_of(update_and_render(self, answer, words), alert=alert)

    def prompt(self) -> str:
        return f"@{self.current}> " if self.current else "> "

    def complete(self, text: str) -> WordCompletion:
        return complete_addressed(text, self.users, VERBS, self.user)

    def typed(self, text: str) -> ParsedInput:
        line = text.strip(" \t")
        if not line:
            return ParsedInput()
        return self.accept(interpret(line, self.current, self.own))

    def say(self, text: str) -> ParsedInput:
        return self.accept(say(text, self.current))

    def secret_start(self, line: str) -> int:
        return secret_start(line)

    def me(self, words: str) -> ParsedInput:
        """Write what the user does."""
        return self.say(f"* {words.strip()}")

    def turn_away(self) -> ParsedInput:
        """Send plain text to nobody any more."""
        if not self.current:
            return refuse(NOBODY_ADDRESSED)
        told, self.current = f"Plain text goes to {self.current} no longer.", ""
        return ParsedInput(hint=told)

    # ---- for the tables of answers ----

    def logged_in(self, account_id: str, name: str) -> None:
        self.own, self._again = account_id, True
        self.user = name
        self.users.add(name)

    def created(self, name: str, account_id: str) -> None:
        self.logged_in(account_id, name)

    def gone(self, account_id: str) -> None:
        """There is no such account."""
        if account_id == self.own:
            self.own, self.user, self._again = "", "", False

    def deleted(self) -> None:
        """Our account was deleted from another connection."""
        self.gone(self.own)

    def entered_elsewhere(self, _name: str) -> None:
        self._again, self._elsewhere = False, True

    def listed(self, _pattern: str, names: str | None) -> None:
        if names:
            self.users.add(*names.split(","))

    def delivered(self, name: str, *_words: str) -> None:
        self.users.add(name)

    def not_there(self, name: str, *_words: str) -> None:
        self.users.discard(name)

    def heard(self, sender: str, _text: str) -> None:
        self.users.add(sender)


# ---- 3. answers ----


def render_new_account(_name: str, account_id: str) -> Fragments:
    """Render the only line with a new ID."""
    return [
        ("class:good", "Success New Account Creation! Your new Account ID: "), ("class:secret", account_id),
        ("", "  (keep it: it is the only way in, and whoever knows it is you)"),
    ]  # fmt: skip


def render_names(what: str) -> Callable[..., Fragments]:
    """Make a function that renders a list of names."""
    return lambda _pattern, names: [("", f"{what}: {', '.join(names.split(',')) if names else 'none'}")]


def render_delivered(_name: str, _sender: str, text: str, to: str) -> Fragments:
    """Render the confirmation of a message."""
    return [("class:good", "Delivered to "), render_user(to), ("", f": {text}")]


def render_message(sender: str, text: str) -> Fragments:
    """Render a message."""
    return [render_user(sender), ("", f": {text}")]


def render_mail(sender: str, text: str) -> Fragments:
    """Render a message from the mailbox."""
    return [("class:time", "[mail] "), *render_message(sender, text)]


NOT_UNDERSTOOD = re.escape("Please give a valid input as instructed in the documentation")
FAILURE = re.compile(
    rf"{NOT_UNDERSTOOD}|user with ID : .* is not recognized in the system, .*|User [Nn]ot Found!? *"
    r"|(?:Receiver:|Account matched to:) .* doesn't exist *|Username .* already exists\. .*"
)
"""Matches a negative answer. None begins like a message of another user."""
DELETED = "Your account has been deleted"

ANSWERS: Mapping[str, Sequence[Answer]] = {
    "0": (
        Answer(
            r"user : (\S+) is now logged in",
            good("You are logged in as {1}. /mail takes what came while you were away."),
            MailboxClient.logged_in,
        ),
        Answer(
            r"user with ID : .* is not recognized in the system, .*",
            bad("Not logged in: no account has this ID. /new <name> makes an account."),
            MailboxClient.gone,
        ),
    ),
    "1": (
        Answer(r"Success New Account Creation! Your new Account ID: (\S+)", render_new_account, MailboxClient.created),
        Answer(
            r"Username (.*) already exists\. Please try a different username\.",
            bad("Not made: the name {1} is taken. Try another one."),
        ),
        Answer(NOT_UNDERSTOOD, bad("Not made: {0} cannot be a name.")),
        Answer(r"(There is no room for more accounts)", bad("Not made. {1}.")),
    ),
    "2": (
        Answer(r"Showing all accounts:(?: (.+))?", render_names("All accounts"), MailboxClient.listed),
        Answer(r"Account matched: (.+)", render_names("Accounts that match"), MailboxClient.listed),
        Answer(r"Account matched to: (.*) doesn't exist", plain("No account matches {1}")),
    ),
    "3": (
        Answer(r"Sender (\S+) sends a new message (.*) to (\S+)", render_delivered, MailboxClient.delivered),
        Answer(
            r"message from (\S+) has been delivered to (\S+)'s mailbox",
            good("{2} is away; the message waits in the mailbox."),
            MailboxClient.delivered,
        ),
        Answer(r"Receiver: (.*) doesn't exist ?", bad("Not delivered: {1} doesn't exist."), MailboxClient.not_there),
        Answer(r"The mailbox of (.*) is full", bad("Not delivered: {1} is away, and the mailbox is full.")),
        Answer(NOT_UNDERSTOOD, bad("Not delivered: you are not logged in, or a name or a message is missing.")),
    ),
    "4": (
        Answer(r"undelivered message for user ID .*:", good("What has waited:")),
        Answer(r"(No new messages)", plain("{1}")),
        Answer(r"User not Found", bad("No mail: no account has this ID."), MailboxClient.gone),
        Answer(r"(Your messages are on their way to another connection; please try again later)", bad("{1}")),
    ),
    "5": (
        Answer(DELETED, good(f"{DELETED}."), MailboxClient.gone),
        Answer(r"User Not Found! ?", bad("Not deleted: no account has this ID."), MailboxClient.gone),
        Answer(
            r"Please check your mailbox before deleting your account!",
            bad("Not deleted: mail waits in it. /mail takes it."),
        ),
    ),
}

ANY: Sequence[Answer] = (
    Answer(f"({NOT_UNDERSTOOD})", bad("The server does not understand that. {1}")),
    Answer(r"(The server cannot keep this at the moment; please try again later)", bad("{1}")),
)
"""Answers to any request."""

MESSAGES = (
    Answer(r"([^\s:]+) sends: (.*)", render_mail, MailboxClient.heard),
    Answer(r"([^\s:]+): (.*)", render_message, MailboxClient.heard),
)

UNSOLICITED: Sequence[Answer] = (
    Answer(
        r"user : (\S+) is now logged in elsewhere",
        bad("{0} is now logged in elsewhere, so the server closes. /login <id> takes it back; nothing else will."),
        MailboxClient.entered_elsewhere,
    ),
    Answer(DELETED, bad("Your account has been deleted from another connection."), MailboxClient.deleted),
    *MESSAGES,
    Answer(rf"({re.escape(MAILBOX_GREETING)}.*)", lambda line: [("class:server", line)]),
    Answer(r"(.*)", plain("{0}")),
)
