"""The client's side of the dialect `hello`.

A connection begins with the only login that it allows: the server closes after a refusal. So this module decides
whether to dial again with the same name, or to ask for another one.

Reading order:

1. Typing        `interpret(line, current) -> ParsedInput`; pure
2. State         `HelloClient`: the login, and the state of the conversation
3. Answers       for each request a table of its answers
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from text import clean, normalize, split_at_most, split_words
from ui.dialects.base import (
    CONNECTION_LOST,
    Answer,
    ClientDialect,
    LoginRetries,
    Names,
    ParsedInput,
    SlashCommand,
    WordCompletion,
    absent,
    complete_addressed,
    is_text,
    read,
    refuse,
    update_and_render,
)
from ui.rendering import MAX_NAME_SHOWN, Fragments, Line, bad, good, lines_of, plain, render_user

MAX_UNANSWERED = 64
"""Maximum requests without an answer while input from a pipe is read: back-pressure."""


# ---- 1. typing ----

COMMANDS = ("!quit", "!who")
WHAT_TO_TYPE = "@<user> <message> sends, !who lists users, !quit leaves."
NOBODY_ADDRESSED = f"nobody is addressed. {WHAT_TO_TYPE}"
NOT_A_NAME = "a name is one word, without commas and control characters"
NOT_ADMITTED = "you are not logged in at the moment. The up arrow brings the line back."
WRONG_SERVER = "this is not a server of the dialect hello"


NO_CHANNELS = "the dialect hello has no channels; @<user> <message> says it to one."
NOTHING_KEPT = "the dialect hello keeps no messages; who is away gets none."

SLASH_COMMANDS: Mapping[str, SlashCommand] = {
    "@": SlashCommand("@<user> [message]", "@{}", 1, help="says it to one, or sends plain text there from now on"),
    "/msg": SlashCommand("/msg <user> [message]", "@{}", 1, help="the same"),
    "/me": SlashCommand("/me <text>", "* {}", 1, help="says what you do", obey=lambda ui, words: ui.me(words)),
    "/who": SlashCommand("/who", "!who", help="who is online"),
    "/users": SlashCommand("/users", "!who"),
    "/list": SlashCommand("/list", "!who"),
    "/join": absent("/join <channel>", NO_CHANNELS),
    "/leave": SlashCommand("/leave", "!leave", help="plain text goes to nobody any more"),
    "/channels": absent("/channels", NO_CHANNELS),
    "/topic": absent("/topic", NO_CHANNELS),
    "/history": absent("/history", NOTHING_KEPT),
    "/seen": absent("/seen", NOTHING_KEPT),
    "/quit": SlashCommand("/quit", "!quit", help="ends the client"),
}


def interpret(line: str, current: str) -> ParsedInput:
    """Parse a line of a user who is logged in.

    Args:
        line: the line, without blanks around it; not empty.
        current: the user to whom plain text goes; empty for none.
    """
    word, *text = split_at_most(line, 2)
    if word in ("SEND", "LIST"):
        return ParsedInput(send=line)
    if line == "!who":
        return ParsedInput(send="LIST")
    if line == "!leave":
        return (
            ParsedInput(hint=f"Plain text goes to {current} no longer.", current="")
            if current
            else refuse(NOBODY_ADDRESSED)
        )
    if word.startswith("!"):
        return refuse(f"there is no such command. {WHAT_TO_TYPE}")
    if not word.startswith("@"):
        return say(line, current)
    user = normalize(word[1:])
    if not user:
        return refuse(NOBODY_ADDRESSED)
    if not text:
        return ParsedInput(hint=f"Plain text goes to {user} now.", current=user)
    return ParsedInput(send=f"SEND {user} {text[0]}")


def say(text: str, current: str) -> ParsedInput:
    """Say a text to the current user, see `interpret`."""
    return ParsedInput(send=f"SEND {current} {text}", said=True) if current else refuse(NOBODY_ADDRESSED)


# ---- 2. state ----


class PendingRequest(NamedTuple):
    """A request without an answer yet.

    Attributes:
        verb: its first word.
        name: of the addressee, or of the user who logs in.
    """

    verb: str
    name: str = ""


class HelloClient(ClientDialect):
    """The dialect. It logs in by itself, as soon as there are a name and a connection.

    Attributes:
        name: of the user; empty until it is known, and again when the server has refused it.
        current: the user to whom plain text goes; empty for none.
    """

    kind = "hello"
    verbs = ("HELLO-FROM", "LIST", "SEND")
    slash_commands = SLASH_COMMANDS

    def __init__(self) -> None:
        self.admitted = False
        self.name = ""
        self.users = Names()
        self._pending: deque[PendingRequest] = deque()  # answers come in the order of the requests
        self._fresh = False
        """There is a connection, and no login has been tried on it."""
        self._login_retries = LoginRetries()
        self._after_refusal = CONNECTION_LOST
        """The note for the user when the server closes."""

    # ---- see `ClientDialect` ----

    def take_name(self, name: str) -> str:
        if split_words(clean(name)) != [name] or "," in name or not is_text(name):
            return NOT_A_NAME
        self.name = name
        return ""

    def begun(self) -> ParsedInput:
        self._fresh = True
        if self.name:
            return self._log_in(f"{WHAT_TO_TYPE} Ctrl-D ends.")
        return ParsedInput(hint="Type the name under which the others are to see you; Ctrl-D ends.")

    def lost(self) -> str:
        told = self._after_refusal
        if self.admitted:
            self._login_retries.begin()
        self.undelivered = self.undelivered or any(request.verb == "SEND" for request in self._pending)
        self._pending.clear()
        self._fresh = self.admitted = False
        self._after_refusal, self.wrong = CONNECTION_LOST, ""
        return told

    def returned(self) -> ParsedInput:
        self._fresh = True
        if not self.name:
            return ParsedInput()
        return self._log_in("" if self._login_retries.told else f"Connected again; logging in as {self.name}.")

    def sent(self, line: str) -> None:
        verb, name, *_ = [*split_at_most(line, 3), "nobody"]
        self._pending.append(PendingRequest(verb, clean(normalize(name))))

    def received(self, line: str) -> list[Line]:
        request = self._pending[0] if self._pending else PendingRequest("")
        answer, words = read(line, ANSWERS.get(request.verb, ANY))
        if self._pending and answer not in (*UNSOLICITED, NOT_OURS):
            self._pending.popleft()
        alert = answer is DELIVERY and words[0] != self.name
        return lines_of(update_and_render(self, answer, (request.name, *words)), alert=alert)

    @property
    def user(self) -> str:  # type: ignore[override]
        return self.name if self.admitted else ""

    def ready(self) -> bool:
        return self.admitted and not self.leaving and len(self._pending) < MAX_UNANSWERED

    def done(self) -> bool:
        return self.leaving and not (self.admitted and self._pending)

    def prompt(self) -> str:
        if not self.name:
            return "Your name> "
        return f"@{self.current}> " if self.current else "> "

    def complete(self, text: str) -> WordCompletion:
        return complete_addressed(text, self.users, COMMANDS, self.name)

    def typed(self, text: str) -> ParsedInput:
        line = text.strip(" \t")
        if not line or self.leaving:
            return ParsedInput()
        if line == "!quit":
            self.leaving = True
            return ParsedInput(hint="Leaving as soon as your requests are answered; Ctrl-D does not wait.")
        if not self.name:
            return self._parse_name(line)
        if not self.admitted:
            return refuse(NOT_ADMITTED)
        return self.accept(interpret(line, self.current))

    def say(self, text: str) -> ParsedInput:
        return self.accept(say(text, self.current)) if self.admitted else refuse(NOT_ADMITTED)

    def me(self, words: str) -> ParsedInput:
        """Say what the user does."""
        return self.say(f"* {words.strip()}")

    # ---- the login ----

    def _parse_name(self, line: str) -> ParsedInput:
        if line.startswith(("!", "@")):
            return refuse("you are not logged in yet, and a name is what is asked for.")
        wrong = self.take_name(line.removeprefix("HELLO-FROM ").lstrip(" \t"))
        if wrong:
            return refuse(f"{wrong}.")
        self._login_retries.end()
        if not self._fresh:
            return ParsedInput(hint=f"You will be logged in as {self.name} as soon as there is a connection.")
        return self._log_in()

    def _log_in(self, hint: str = "") -> ParsedInput:
        self._fresh = False
        return ParsedInput(send=f"HELLO-FROM {self.name}", hint=hint)

    # ---- for the table of answers ----

    def logged_in(self, _name: str, name: str) -> None:
        self.name = name[:MAX_NAME_SHOWN]
        self.admitted = True
        self._login_retries.end()
        self.users.add(name)

    def name_in_use(self, name: str) -> Fragments | None:
        """The name may still be ours, from the lost connection: retry for a while."""
        found = self._login_retries.next()
        if found is None:
            self.name_refused(name)
            return None
        self._after_refusal = ""
        self.pause, shown = found
        return shown

    def name_refused(self, _name: str) -> None:
        self._login_retries.end()
        self.name = ""
        self._after_refusal = "Type another name."

    def no_room(self, _name: str) -> None:
        self._after_refusal = "Trying again until there is room; Ctrl-D ends."

    def listed(self, _name: str, names: str) -> None:
        self.users.add(*names.split(","))

    def delivered(self, name: str) -> None:
        self.users.add(name)

    def not_there(self, name: str) -> None:
        self.users.discard(name)
        self.undelivered = True

    def refused(self, _name: str) -> None:
        self.undelivered = True

    def misunderstood(self, _name: str, _line: str) -> None:
        """The answer to the login belongs to another protocol."""
        self.wrong = WRONG_SERVER

    def heard(self, _name: str, sender: str, _text: str) -> None:
        self.users.add(sender)


# ---- 3. answers ----


def render_list(_name: str, names: str) -> Fragments:
    """Render the list of users."""
    users = names.split(",")
    count = "is 1 online user" if len(users) == 1 else f"are {len(users)} online users"
    return [("", f"There {count}: {', '.join(users)}")]


def render_message(_name: str, sender: str, text: str) -> Fragments:
    """Render a message."""
    return [("", "From "), render_user(sender), ("", f": {text}")]


DELIVERY = Answer(r"DELIVERY (\S+) (.*)", render_message, HelloClient.heard)

UNSOLICITED: Sequence[Answer] = (
    DELIVERY,
    Answer(r"(.*)", plain("{1}")),
)

ANY: Sequence[Answer] = (
    Answer(
        r"BAD-RQST-HDR",
        bad("Error: the server does not understand the header of the last request."),
        HelloClient.refused,
    ),
    Answer(
        r"BAD-RQST-BODY",
        bad("Error: the server does not understand the body of the last request."),
        HelloClient.refused,
    ),
    *UNSOLICITED,
)

NOT_OURS = Answer(r"(.*)", bad(f"Cannot log in as {{0}}: {WRONG_SERVER}. It says: {{1}}"), HelloClient.misunderstood)
"""Any other answer to a login."""

ANSWERS: Mapping[str, Sequence[Answer]] = {
    "HELLO-FROM": (
        Answer(r"HELLO (\S+)", good("Successfully logged in as {1}!"), HelloClient.logged_in),
        Answer(r"IN-USE", bad("Cannot log in as {0}. That username is already in use."), HelloClient.name_in_use),
        Answer(r"BUSY", bad("Cannot log in. The server is full!"), HelloClient.no_room),
        Answer(
            r"BAD-RQST-BODY",
            bad("Cannot log in as {0}. That username contains disallowed characters."),
            HelloClient.name_refused,
        ),
        Answer(
            r"BAD-RQST-HDR",
            bad("Cannot log in as {0}. The server does not understand the login."),
            HelloClient.name_refused,
        ),
        DELIVERY,
        NOT_OURS,
    ),
    "LIST": (
        Answer(r"LIST-OK (.+)", render_list, HelloClient.listed),
        Answer(r"BAD-RQST-BODY", bad("The list was refused: nothing may stand after LIST."), HelloClient.refused),
        *ANY,
    ),
    "SEND": (
        Answer(r"SEND-OK", good("The message to {0} was sent successfully."), HelloClient.delivered),
        Answer(
            r"BAD-DEST-USER",
            bad("The message to {0} was not sent. The destination user does not exist, or cannot be reached."),
            HelloClient.not_there,
        ),
        Answer(
            r"BAD-RQST-BODY",
            bad("The message to {0} was refused: it needs a user's name, in which there is no comma, and a text."),
            HelloClient.refused,
        ),
        *ANY,
    ),
}
