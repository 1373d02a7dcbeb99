"""The client's side of the dialect `result`.

Reading order:

1. `result_commands.py`  what is typed; pure
2. `result_channels.py`  what is known of a channel: unread messages, what was shown
3. `result_state.py`     the conversation: which answer belongs to which request
4. `result_answers.py`   the words for answers
5. `result_causes.py`    why the server has said no
6. `result_news.py`      what is new, and who is online
7. `ResultClient` here   ties these together: the login, the commands with a slash, and which answer changes what

The extensions of the protocol are used where the server has them: one that it answers with an error is not asked for
again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import ui.dialects.result_causes as causes
from text import clean, normalize, split_words
from ui.dialects.base import (
    CONNECTION_LOST,
    PROBE,
    ClientDialect,
    LoginRetries,
    ParsedInput,
    Status,
    WordCompletion,
    read,
    refuse,
    shorten,
)
from ui.dialects.result_answers import FAILURE, NO_LONGER_IN, NOT_LOGGED_IN, Update, table
from ui.dialects.result_channels import Channel, Message, split_tags
from ui.dialects.result_commands import HOST_OF_CHANNEL, SLASH_COMMANDS, VERBS, complete, interpret, say
from ui.dialects.result_news import News
from ui.dialects.result_state import Request, State
from ui.rendering import Fragments, Line, bad, good, lines_of

EVERYTHING = 999_999_999_999_999_999
"""A number beyond that of the last message of any channel."""

NAMED_IN_ANSWER = ("CREATE", "JOIN", "LEAVE", "USERS", "HISTORY", "SEEN")
"""Verbs whose answer begins with the channel of the request."""

BEGINNING = "/register <user> makes an account, /login <user> enters it; /help lists all, Ctrl-D ends."


class ResultClient(ClientDialect):
    """The dialect. By itself it repeats the login after a lost connection, asks what is new, and moves the read marker.

    Args:
        user: to log in at the start; empty: the user types it.
        password: of that user; empty: it is asked for.
        wanted: channels to enter after the login.
    """

    kind = "result"
    verbs = tuple(VERBS)
    slash_commands = SLASH_COMMANDS

    def __init__(self, user: str = "", password: str = "", wanted: Sequence[str] = ()) -> None:
        self.failure = FAILURE
        self.state = State()
        self._news = News(self.state, [normalize(name) for name in wanted])
        self._first_login = (user, password)
        self._credentials: tuple[str, str] | None = None
        self._login_retries = LoginRetries()

    @property
    def user(self) -> str:  # type: ignore[override]
        return self.state.user

    @property
    def current(self) -> str:
        return self.state.current

    @current.setter
    def current(self, name: str) -> None:
        self._news.been_shown()  # of the channel that was current
        self.state.current = name

    @property
    def automatic_lines(self) -> Sequence[str]:
        return self.state.lines

    @automatic_lines.setter
    def automatic_lines(self, lines: Sequence[str]) -> None:
        self.state.lines = lines

    # ---- see `ClientDialect`: the connection ----

    def take_name(self, name: str) -> str:
        if split_words(clean(name)) != [name]:
            return "a user's name is one word"
        self._first_login = (name, self._first_login[1])
        return ""

    def begun(self) -> ParsedInput:
        user, password = self._first_login
        if not user:
            return ParsedInput(send=PROBE, hint=BEGINNING)
        if password:
            self.state.lines = (*self.state.lines, f"LOGIN {user} {password}")
        return ParsedInput(
            send=PROBE, hint=f"Logging in as {user}; Ctrl-D ends.", ask="" if password else f"LOGIN {user} "
        )

    def lost(self) -> str:
        self.state.lost()
        self._news.lost()
        self.pause = None
        if self._credentials:
            self._login_retries.begin()
        return CONNECTION_LOST

    def returned(self) -> ParsedInput:
        """Log in again, if there was a login. Memberships last on the server."""
        if self._credentials is None:
            return ParsedInput(send=PROBE, hint="Connected again.")
        self.state.lines = (*self.state.lines, self._login_line())
        return ParsedInput(send=PROBE, hint=f"Connected again; logging in as {self._credentials[0]}.")

    def again(self) -> ParsedInput:
        return ParsedInput(send=self._login_line()) if self._login_retries.told else ParsedInput()

    def _login_line(self) -> str:
        return " ".join(("LOGIN", *(self._credentials or ())))

    def sent(self, line: str) -> None:
        verb, *words = split_words(line) or [""]
        if verb == "QUIT" and not words:
            self.leaving = True
        else:
            self.state.sent(line, verb, words)

    def received(self, line: str) -> list[Line]:
        tags, line = split_tags(line)
        if found := re.fullmatch(r"RECV (\S+) (\S+) (.*)", line):
            sender, target, text = found.groups()
            return self._news.message(Message(sender, target, text, *tags))
        request, words = self._answered(line)
        if request and request.then:
            return request.then(words)
        if request and " ".join((request.verb, *request.words)) == PROBE:
            return []
        refused = re.fullmatch(r"RESULT JOIN (\S+) 0", line)
        if refused and not request:
            self.state.left(refused[1])
            return lines_of(NO_LONGER_IN(refused[1]))
        answer, groups = read(line, ANSWERS)
        instead = answer.update(self, request, *groups)
        return lines_of(answer.render(*groups) if instead is None else instead)

    def _answered(self, line: str) -> tuple[Request | None, str | None]:
        """Find the request that a line answers, and the words of the answer; None for an error."""
        if re.match(r"RESULT ERROR\b", line):
            request = self.state.requests.next()
            if request and "unknown type" in line:
                self.state.lacking.add(request.verb)
            return request, None
        found = re.fullmatch(r"RESULT (\S+)(?: (.*))?", line)
        if not found or re.fullmatch(r"RESULT SAY \S+ 0", line):
            return None, None
        verb, words = found[1], found[2] or ""
        target = words.split(" ")[0] if verb in NAMED_IN_ANSWER else None
        return self.state.requests.answered((verb,), target), words

    def been_shown(self) -> None:
        self._news.been_shown()

    # ---- see `ClientDialect`: the user ----

    def prompt(self) -> str:
        return f"{shorten(self.current)}> "

    def status(self) -> Status:
        here = self.state.here
        channels = enumerate(self.state.joined, 1)
        others = [(number, channel.name, channel.unread) for number, channel in channels if channel is not here]
        return Status(self.user, self.current, here.online if here else None, others)

    def complete(self, text: str) -> WordCompletion:
        state = self.state
        speakers = state.here.speakers if state.here else state.speakers
        return complete(text, state.channels, state.users, speakers, state.user)

    def typed(self, text: str) -> ParsedInput:
        return self.accept(interpret(text, self.current))

    def say(self, text: str) -> ParsedInput:
        return self.accept(say(text, self.current))

    def switch(self, number: int) -> ParsedInput:
        channel = self.state.joined.numbered(number)
        return self._go_to(channel) if channel else refuse(f"you have no channel with the number {number}.")

    # ---- commands with a slash ----

    def enter(self, verb: str, words: str) -> ParsedInput:
        """Register or log in; a password that is missing is asked for."""
        user, *password = words.split(None, 1)
        return self.typed(f"{verb} {user} {password[0]}") if password else ParsedInput(ask=f"{verb} {user} ")

    def join(self, words: str) -> ParsedInput:
        """Enter a channel, or make it current if the user is in it."""
        channel = self.state.joined.get(normalize(words.strip()))
        return self._go_to(channel) if channel and self.user else self.typed(f"JOIN {words}")

    def _go_to(self, channel: Channel) -> ParsedInput:
        self.current = channel.name
        self._news.open(channel)
        return ParsedInput(hint=f"You are in {channel.name}; plain text goes there now.")

    def me(self, words: str) -> ParsedInput:
        """Say what the user does."""
        return self.say(f"* {words.strip()}")

    def history(self, words: str) -> ParsedInput:
        """Repeat what was said. A number alone is for the current channel."""
        names = split_words(words)
        if len(names) == 1 and names[0].isdecimal() and names[0] not in self.state.joined and self.current:
            names = [self.current, *names]
        if not names and self.current.startswith("@"):
            return refuse("the server keeps no history of direct messages.")
        return self.typed(" ".join(("HISTORY", *names)))

    def topic(self, words: str) -> ParsedInput:
        """Show or set a topic: of the channel that is named first, or else of the current one."""
        first = normalize((split_words(words) or [""])[0])
        if first in self.state.joined or not self.current:
            return self.typed(f"TOPIC {words}")
        return self.typed(f"TOPIC {self.current} {words}")

    def seen(self, words: str) -> ParsedInput:
        """Count a channel as read."""
        name = normalize(words.strip()) or self.current
        channel = self.state.joined.get(name)
        if not channel:
            return refuse(f"you are not in {name}." if name else "no channel is current.")
        channel.read()
        return self.typed(f"SEEN {name} {EVERYTHING}")

    # ---- answers that change the state; each call gets the request that is answered, if any ----

    def logged_in(self, request: Request | None) -> None:
        if not request or len(request.words) != 2:
            return
        self._login_retries.end()
        self.state.login_pending = False
        user, password = normalize(request.words[0]), request.words[1]
        if self._credentials is None or user != self._credentials[0]:
            self.state.forget_channels()
        self._credentials, self.state.user = (user, password), user
        self.state.users.add(user)
        self._news.logged_in()

    def not_logged_in(self, request: Request | None) -> Fragments | None:
        again = request and (normalize(request.words[0]), request.words[1]) == self._credentials
        if again:
            self.state.user = ""  # until it succeeds
        self.pause, shown = (self._login_retries.next() if again else None) or (None, None)
        self.state.login_pending = self._login_retries.told
        if shown is None and self.user and not again:
            return bad("Not logged in: you are {0} already; /logout comes first.")(self.user)
        return shown

    def logged_out(self, _request: Request | None) -> None:
        self._credentials, self.state.user = None, ""
        self.state.forget_channels()

    def new_password(self, request: Request | None) -> None:
        if request and self._credentials:
            self._credentials = self._credentials[0], request.words[1]

    def joined_now(self, _request: Request | None, name: str) -> None:
        self.current = name
        if channel := self.state.entered(name):
            channel.opened = True
            self._news.count_online()

    def not_joined(self, _request: Request | None, name: str) -> Fragments | None:
        """The same answer means that we are in the channel already: then plain text goes there, as was meant."""
        if not self.user:
            return causes.cannot_join(name, NOT_LOGGED_IN)
        if name in self.state.joined:
            return self._already_joined(name)
        if not self.state.joined.known and HOST_OF_CHANNEL not in name:
            self.state.ask(f"USERS {name}", lambda words: self._members_told(name, words or f"{name} 0"))
        causes.not_joined(self.state, name)
        return []

    def _members_told(self, name: str, words: str) -> list[Line]:
        """An older server has told whether the user is in a channel."""
        if words == f"{name} 0":
            return []
        self.state.entered(name)
        return lines_of(self._already_joined(name))

    def _already_joined(self, name: str) -> Fragments:
        self.current = name
        if self.state.here:
            self._news.open(self.state.here)
        return good("You are in {0} already; plain text goes there now.")(name)

    def created(self, _request: Request | None, name: str) -> None:
        self.state.channels.add(name)

    def left(self, _request: Request | None, name: str) -> None:
        self.state.left(name)

    def renamed(self, _request: Request | None, old: str, new: str) -> None:
        was_current = self.state.current == old
        self.state.left(old)
        self.state.entered(new)
        if was_current:
            self.state.current = new

    def listed_channels(self, _request: Request | None, names: str) -> None:
        self.state.channels.add(*names.split(", "))

    def listed_users(self, _request: Request | None, name: str, names: str) -> None:
        self.state.entered(name)
        self.state.users.add(*names.split(", "))

    def history_begins(self, request: Request | None, name: str, count: str) -> None:
        if request:
            self._news.repeat(name, int(count))

    def presence_changed(self, _request: Request | None, _user: str) -> Fragments:
        self._news.count_online()
        return []


def _cause(find_cause: Update) -> Update:
    """Make the update of an answer that says no from a function of `result_causes`."""
    return lambda dialect, *words: find_cause(dialect.state, *words)


UPDATES: Mapping[str, Update] = {
    r"RESULT REGISTER 0": _cause(causes.not_registered),
    r"RESULT LOGIN 1": ResultClient.logged_in,
    r"RESULT LOGIN 0": ResultClient.not_logged_in,
    r"RESULT LOGOUT 1": ResultClient.logged_out,
    r"RESULT PASSWORD 1": ResultClient.new_password,
    r"RESULT PASSWORD 0": _cause(causes.no_new_password),
    r"RESULT CHANNELS (.+)": ResultClient.listed_channels,
    r"RESULT CREATE (\S+) 1": ResultClient.created,
    r"RESULT CREATE (\S+) 0": _cause(causes.not_created),
    r"RESULT JOIN (\S+) 1": ResultClient.joined_now,
    r"RESULT JOIN (\S+) 0": ResultClient.not_joined,
    r"RESULT LEAVE (\S+) 1": ResultClient.left,
    r"RESULT LEAVE (\S+) 0": _cause(causes.not_left),
    r"RESULT USERS (\S+) 0": _cause(causes.not_told),
    r"RESULT USERS (\S+) (.+)": ResultClient.listed_users,
    r"RESULT WHO (\S+) 0": _cause(causes.not_told),
    r"RESULT SAY 0": _cause(causes.not_said),
    r"RESULT SEND ERROR": _cause(causes.not_sent),
    r"RESULT HISTORY (\S+) 0": _cause(causes.not_told),
    r"RESULT HISTORY (\S+) (\d+)": ResultClient.history_begins,
    r"RESULT TOPIC (\S+) 0": _cause(causes.no_topic),
    r"RESULT KICKED (\S+)": ResultClient.left,
    r"RESULT RENAMED (\S+) (\S+)": ResultClient.renamed,
    r"PRESENCE (\S+) on": ResultClient.presence_changed,
    r"PRESENCE (\S+) off": ResultClient.presence_changed,
}

ANSWERS = table(UPDATES)
