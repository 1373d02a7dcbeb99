"""The client's side of the dialect `result`.

Reading order:

1. Verbs         the table of commands, and that of those with a slash
2. Typing        `interpret(text, current) -> ParsedInput`, `complete`; pure
3. State         `ResultClient`: the state of the conversation
4. Answers       the tables of answers and of lines that are no answers
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from text import clean, normalize, split_words
from ui.dialects.base import (
    CONNECTION_LOST,
    Answer,
    ClientDialect,
    Fragments,
    LoginRetries,
    Names,
    ParsedInput,
    SlashCommand,
    WordCompletion,
    addressees,
    bad,
    find,
    good,
    plain,
    read,
    refuse,
    render_user,
    shorten,
    split_last_word,
    starting_with,
    update_and_render,
)

# ---- 1. verbs ----


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
    "JOIN": Verb(channel=True),
    "LEAVE": Verb(channel=True, here=True),
    "USERS": Verb(channel=True, here=True),
    "JOINED": Verb(),
    "WHO": Verb(channel=True),
    "PRESENCE": Verb(),
    "TOPIC": Verb(channel=True),
    "SAY": Verb(channel=True),
    "SEND": Verb(channel=True),
    "HISTORY": Verb(channel=True, here=True),
    "SEEN": Verb(channel=True),
    "UNREAD": Verb(),
    "TAGS": Verb(),
    "HELP": Verb(),
    "PING": Verb(),
    "QUIT": Verb(),
}

HOST_OF_CHANNEL = ":"
MESSAGE_VERBS = ("SAY", "SEND")

SLASH_COMMANDS: Mapping[str, SlashCommand] = {
    "/register": SlashCommand("/register <user> <password>", "REGISTER {}", 2),
    "/login": SlashCommand("/login <user> <password>", "LOGIN {}", 2),
    "/logout": SlashCommand("/logout", "LOGOUT {}"),
    "/password": SlashCommand("/password <old> <new>", "PASSWORD {}", 2),
    "/channels": SlashCommand("/channels", "CHANNELS {}"),
    "/list": SlashCommand("/list", "CHANNELS {}"),
    "/create": SlashCommand("/create <channel>", "CREATE {}", 1),
    "/join": SlashCommand("/join <channel>", "JOIN {}", 1),
    "/leave": SlashCommand("/leave [channel]", "LEAVE {}"),
    "/users": SlashCommand("/users [channel]", "USERS {}"),
    "/say": SlashCommand("/say <channel> [message]", "SAY {}", 1),
    "/send": SlashCommand("/send <channel> [message]", "SEND {}", 1),
    "/msg": SlashCommand("/msg <user> [message]", "SAY @{}", 1),
    "@": SlashCommand("@<user> [message]", "SAY @{}", 1),
    "/history": SlashCommand("/history [channel] [count]", "HISTORY {}"),
    "/joined": SlashCommand("/joined", "JOINED {}"),
    "/who": SlashCommand("/who [channel]", "WHO {}"),
    "/presence": SlashCommand("/presence on|off", "PRESENCE {}", 1),
    "/topic": SlashCommand("/topic <channel> [text]", "TOPIC {}", 1),
    "/seen": SlashCommand("/seen <channel> <id>", "SEEN {}", 2),
    "/unread": SlashCommand("/unread", "UNREAD {}"),
    "/tags": SlashCommand("/tags [name...]", "TAGS {}"),
    "/ping": SlashCommand("/ping", "PING {}"),
    "/quit": SlashCommand("/quit", "QUIT {}"),
}


# ---- 2. typing ----

NO_CHANNEL = (
    "no channel is current. JOIN <channel> enters one, CREATE <channel> makes one;"
    " SAY <channel> or SAY @<user> chooses. HELP lists the commands."
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


def complete(text: str, channels: Iterable[str], users: Iterable[str]) -> WordCompletion:
    """Complete the last word, see `ClientDialect.complete`.

    Args:
        text: the line before the cursor.
        channels, users: the names that are known.
    """
    words, word = split_last_word(text)
    if word.startswith("@"):
        return word, addressees(word, users)
    if not words:
        return word, starting_with(word.upper(), VERBS)
    if len(words) == 1 and words[0] in VERBS and VERBS[words[0]].channel:
        return word, starting_with(word, channels)
    return word, []


# ---- 3. state ----


class ResultClient(ClientDialect):
    """The dialect. By itself it repeats the login after a lost connection, and asks with USERS why a JOIN failed."""

    slash_commands = SLASH_COMMANDS

    def __init__(self) -> None:
        self.failure = FAILURE
        self.user = ""
        self.channels, self.users, self.joined = Names(), Names(), Names()
        self._credentials: tuple[str, str] | None = None
        # Requests without an answer yet, in the order in which answers come.
        self._logins: deque[tuple[str, str]] = deque()
        self._new_passwords: deque[str] = deque()
        self._joins: list[str] = []
        self._failed_joins: list[str] = []
        """Channels whose JOIN has failed: USERS tells whether we are in them already."""
        self._login_retries = LoginRetries()

    # ---- see `ClientDialect` ----

    def take_name(self, name: str) -> str:
        return "a login has a password here: type LOGIN <user> <password>; --name is for --dialect hello or rooms"

    def begun(self) -> ParsedInput:
        return ParsedInput(hint="REGISTER or LOGIN <user> <password>; HELP lists the commands, Ctrl-D ends.")

    def lost(self) -> str:
        self._logins.clear()
        self._new_passwords.clear()
        self._joins.clear()
        self._failed_joins.clear()
        self.automatic_lines, self.pause = (), None
        if self._credentials:
            self._login_retries.begin()
        return CONNECTION_LOST

    def returned(self) -> ParsedInput:
        """Log in again, if there was a login. Memberships last on the server."""
        if self._credentials is None:
            return ParsedInput(hint="Connected again.")
        return self._log_in(f"Connected again; logging in as {self._credentials[0]}.")

    def again(self) -> ParsedInput:
        return self._log_in() if self._login_retries.told else ParsedInput()

    def _log_in(self, hint: str = "") -> ParsedInput:
        return ParsedInput(send=" ".join(("LOGIN", *(self._credentials or ()))), hint=hint)

    def sent(self, line: str) -> None:
        match split_words(line):
            case ["LOGIN", user, password]:
                self._logins.append((normalize(user), password))
            case ["PASSWORD", _, new]:
                self._new_passwords.append(new)
            case ["JOIN", channel]:
                self._joins.append(clean(normalize(channel)))
            case ["QUIT"]:
                self.leaving = True

    def received(self, line: str) -> Fragments:
        unsolicited = find(line, UNSOLICITED)
        answer, words = unsolicited if unsolicited and unsolicited[1][0] not in self._joins else read(line, ANSWERS)
        return update_and_render(self, answer, words)

    def prompt(self) -> str:
        return f"{shorten(self.current)}> "

    def complete(self, text: str) -> WordCompletion:
        return complete(text, self.channels, self.users)

    def typed(self, text: str) -> ParsedInput:
        return self.accept(interpret(text, self.current))

    def say(self, text: str) -> ParsedInput:
        return self.accept(say(text, self.current))

    # ---- for the table of answers ----

    def heard(self, sender: str, channel: str, _text: str) -> None:
        self.users.add(sender)
        if channel.startswith("@"):
            self.users.add(channel[1:])
        else:
            self.entered(channel)

    def entered(self, channel: str) -> None:
        self.channels.add(channel)
        self.joined.add(channel)

    def joined_now(self, channel: str) -> None:
        self._join_answered(channel)
        self.entered(channel)
        self.current = channel

    def not_joined(self, channel: str) -> Fragments | None:
        """The same answer means that we are in the channel already: then plain text goes there, as was meant."""
        self._join_answered(channel)
        if channel in self.joined:
            return self._already_joined(channel)
        if not self.user:
            return bad("Cannot join {0}: you are not logged in.")(channel)
        if HOST_OF_CHANNEL in channel:  # of which USERS says nothing
            return None
        self._failed_joins.append(channel)
        self.automatic_lines = (*self.automatic_lines, f"USERS {channel}")
        return []

    def not_listed(self, channel: str) -> Fragments | None:
        if channel not in self._failed_joins:
            return None
        self._failed_joins.remove(channel)
        return (CANNOT_JOIN_KNOWN if channel in self.channels else CANNOT_JOIN)(channel)

    def _already_joined(self, channel: str) -> Fragments:
        self.current = channel
        return good("You are in {0} already; plain text goes there now.")(channel)

    def created(self, channel: str) -> None:
        self.channels.add(channel)

    def left(self, channel: str) -> None:
        self.joined.discard(channel)
        if self.current == channel:
            self.current = ""

    def listed_channels(self, names: str) -> None:
        self.channels.add(*names.split(", "))

    def listed_users(self, channel: str, names: str) -> Fragments | None:
        self.entered(channel)
        self.users.add(*names.split(", "))
        if channel not in self._failed_joins:
            return None
        self._failed_joins.remove(channel)
        return self._already_joined(channel)

    def logged_in(self) -> None:
        if not self._logins:
            return
        self._login_retries.end()
        self._credentials = user, _ = self._logins.popleft()
        if user != self.user:
            self._forget_channels()
            self.user = user
            self.users.add(user)

    def not_logged_in(self) -> Fragments | None:
        if not self._logins or self._logins.popleft() != self._credentials:
            return None
        self.pause, shown = self._login_retries.next() or (None, None)
        return shown

    def logged_out(self) -> None:
        self._credentials = None
        self.user = ""
        self._forget_channels()

    def new_password(self) -> None:
        if self._new_passwords and self._credentials:
            self._credentials = self._credentials[0], self._new_passwords.popleft()

    def no_new_password(self) -> None:
        if self._new_passwords:
            self._new_passwords.popleft()

    def _join_answered(self, channel: str) -> None:
        if channel in self._joins:
            self._joins.remove(channel)

    def _forget_channels(self) -> None:
        self.joined.clear()
        self.current = ""


# ---- 4. answers ----

FAILURE = re.compile(r"RESULT (ERROR( .*)?|SEND ERROR|(?!HISTORY |CHANNELS |KICKED |(WHO|JOINED) .*, )\S+( \S*)? 0)")
"""Matches a negative answer. HISTORY's 0 is a number, and a list or KICKED may end in the name 0."""


def render_message(sender: str, channel: str, text: str) -> Fragments:
    """Render a message with its channel and sender."""
    return [("class:channel", f"[{channel}]"), ("", " "), render_user(sender), ("", f": {text}")]


CANNOT_JOIN = bad("Cannot join {0}: there is probably no such channel. CREATE {0} makes it, CHANNELS lists them.")
CANNOT_JOIN_KNOWN = bad("Cannot join {0}: it is full, or you are in too many channels.")
NOT_TAKEN = (
    "you are not in that channel or are muted there, or nobody has that name, or too much waits for whoever has it,"
    " or its server cannot be reached."
)
"""The reasons to refuse a message, of which the answer tells none."""

ANSWERS: Sequence[Answer] = (
    Answer(r"RECV (\S+) (\S+) (.*)", render_message, ResultClient.heard),
    Answer(r"RESULT ERROR (.*)", bad("Error: {0} (HELP <command> explains a command)")),
    Answer(r"RESULT REGISTER 1", good("You are registered; LOGIN with the same words.")),
    Answer(
        r"RESULT REGISTER 0",
        bad("Not registered: the name is taken, it cannot be a name, or the server is too busy or full."),
    ),
    Answer(r"RESULT LOGIN 1", good("You are logged in."), ResultClient.logged_in),
    Answer(
        r"RESULT LOGIN 0",
        bad(
            "Not logged in: wrong name or password, there is a login already, here or elsewhere, or the server is"
            " too busy."
        ),
        ResultClient.not_logged_in,
    ),
    Answer(r"RESULT LOGOUT 1", good("Logged out; you stay in your channels."), ResultClient.logged_out),
    Answer(r"RESULT LOGOUT 0", bad("You are not logged in.")),
    Answer(r"RESULT PASSWORD 1", good("You have a new password."), ResultClient.new_password),
    Answer(
        r"RESULT PASSWORD 0",
        bad("No new password: the old one is wrong, the new one cannot be used, or you are not logged in."),
        ResultClient.no_new_password,
    ),
    Answer(r"RESULT CHANNELS", plain("Channels: none")),
    Answer(r"RESULT CHANNELS (.+)", plain("Channels: {0}"), ResultClient.listed_channels),
    Answer(r"RESULT CREATE (\S+) 1", good("{0} is there now; JOIN {0} enters it."), ResultClient.created),
    Answer(
        r"RESULT CREATE (\S+) 0",
        bad("Cannot make {0}: it is there already, it cannot be a name, there are too many, or you are not logged in."),
    ),
    Answer(r"RESULT JOIN (\S+) 1", good("You are in {0}."), ResultClient.joined_now),
    Answer(
        r"RESULT JOIN (\S+) 0",
        bad(
            "Cannot join {0}: there is no such channel, it is full, its server does not answer, or you are in it"
            " already: then SAY {0} makes it current."
        ),
        ResultClient.not_joined,
    ),
    Answer(r"RESULT LEAVE (\S+) 1", good("You have left {0}."), ResultClient.left),
    Answer(r"RESULT LEAVE (\S+) 0", bad("Cannot leave {0}: you are not in it.")),
    Answer(
        r"RESULT USERS (\S+) 0",
        bad("Cannot list {0}: you are not in it, or it is on another server."),
        ResultClient.not_listed,
    ),
    Answer(r"RESULT USERS (\S+) (.+)", plain("In {0}: {1}"), ResultClient.listed_users),
    Answer(r"RESULT SAY 0", bad(f"Not said: {NOT_TAKEN}")),
    Answer(
        r"RESULT SAY (\S+) 0",
        bad("Not said in {0}, or lost on the way: you are not in it or are muted there, or its server has gone."),
    ),
    Answer(r"RESULT SEND ERROR", bad(f"Not sent: {NOT_TAKEN}")),
    Answer(
        r"RESULT HISTORY (\S+) 0",
        plain("There is nothing to repeat from {0}, or you are not in it, or it is on another server."),
    ),
    Answer(r"RESULT HISTORY (\S+) (\d+)", plain("Messages repeated from {0}: {1}")),
    Answer(r"RESULT JOINED 0", bad("You are not logged in.")),
    Answer(r"RESULT PRESENCE 1", good("Done.")),
    Answer(r"RESULT PRESENCE 0", bad("Say on or off, after a login.")),
    Answer(r"RESULT TOPIC (\S+) 1", good("The topic of {0} is set.")),
    Answer(r"RESULT TOPIC (\S+) 0", bad("No topic in {0}: you are not in it or are muted there, or it cannot be one.")),
    Answer(r"RESULT SEEN (\S+) 1", good("You have read {0} up to there.")),
    Answer(r"RESULT SEEN (\S+) 0", bad("Not noted: you are not in {0}, or that is no number.")),
    Answer(r"RESULT UNREAD 0", bad("You are not logged in.")),
    Answer(r"RESULT TAGS 1", good("These are the tags now.")),
    Answer(r"RESULT TAGS 0", bad("There is no such tag.")),
    Answer(r"RESULT HELP 0", bad("There is no such command; HELP lists them.")),
    Answer(r"RESULT HELP (.+)", plain("Help: {0}")),
    Answer(r"RESULT PING 1", good("The server is there.")),
    Answer(r"RESULT KICKED (\S+)", bad("You have been removed from {0}."), ResultClient.left),
    Answer(r"RESULT MUTED (\S+) (\S+)", bad("You are muted in {0} for {1} seconds.")),
    Answer(r"(.*)", plain("{0}")),
)

UNSOLICITED: Sequence[Answer] = (
    Answer(
        r"RESULT JOIN (\S+) 0",
        bad("You are no longer in {0}: its server is back, and does not let you in again."),
        ResultClient.left,
    ),
)
"""The meaning of these lines for a channel that the user has not asked to join."""
