"""What a script asks for, in the dialect `result`: say a text, or print what was said. Blocks; no event loop.

Each message is sent when the one before is confirmed. So the exit status is 0 only if the server has confirmed all,
and an error names the first message that it has not.

A login takes the direct messages that wait for the user, and no other login gets them again. So a script prints all
direct messages that come, on standard error, and logs out: what comes after that waits.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from net.watched import AnySocket
from text import MAX_LINE, LineBuffer, Overlong, clean, normalize, parse_number, split_words
from ui.connection import MAX_RECEIVED_LINE
from ui.dialects.base import PROBE
from ui.dialects.result_channels import Message, split_tags
from ui.first_line import Start, wrong_server
from ui.options import complete
from ui.places import find, places_of
from ui.preferences import PASSWORD_VARIABLE, PreferencesError, known_password
from ui.streams import READ_SIZE, STDIN, STDOUT, print_error, write_all

ANSWER_SECONDS = 30.0
"""Time-out for the answer to a request."""

HISTORY_COUNT = "20"
MAX_HISTORY = 1_000_000
"""Default and maximum number of messages of a history."""


class ScriptError(Exception):
    """Something was not confirmed. Its text is the reason, one line."""


class Server:
    """A connection to a server, as lines. Every call blocks, at most ANSWER_SECONDS.

    Args:
        sock: connected.
        note: takes the messages that come.
    """

    def __init__(self, sock: AnySocket, note: Callable[[Message], object]) -> None:
        sock.settimeout(ANSWER_SECONDS)
        self._sock = sock
        self._note = note
        self._lines = LineBuffer(MAX_RECEIVED_LINE)

    def send(self, line: str) -> None:
        """Send a line, given without its newline. Raises ScriptError."""
        try:
            rest = memoryview(f"{line}\n".encode())
            while rest:
                rest = rest[self._sock.send(rest) :]
        except OSError as error:
            raise ScriptError(f"the connection is lost: {error.strerror or error}") from error

    def line(self) -> str:
        """Wait for a line. Raises ScriptError."""
        while (line := self._lines.next()) is None:
            try:
                data = self._sock.recv(READ_SIZE)
            except TimeoutError as error:
                raise ScriptError(f"no answer within {ANSWER_SECONDS:.0f} seconds") from error
            except OSError as error:
                raise ScriptError(f"the connection is lost: {error.strerror or error}") from error
            if not data:
                raise ScriptError("the server has closed the connection")
            self._lines.feed(data)
        text = "" if isinstance(line, Overlong) else clean(line.decode(errors="replace"))
        if message := as_message(text):
            self._note(message)
        return text

    def ask(self, line: str, pattern: str) -> str:
        """Send a line, and wait for the line that matches a pattern; other ones are passed over. Raises ScriptError."""
        self.send(line)
        while not re.fullmatch(pattern, answer := self.line()):
            pass
        return answer


class Script(NamedTuple):
    """What is to be done.

    Attributes:
        user, password: to log in with.
        messages: what is said: a channel, or a user as `@user`, and the text.
        history: the channel and number of messages to print; empty for none.
        json: print messages as JSON.
    """

    user: str
    password: str
    messages: Iterable[tuple[str, str]] = ()
    history: Sequence[str] = ()
    json: bool = False


def play(server: Server, start: Start, script: Script, show: Callable[[str], None]) -> None:
    """Log in, and do what the script says. Raises ScriptError."""
    answer = server.ask(PROBE, r".+")
    if wrong := wrong_server(answer, "result", start):
        raise ScriptError(wrong)
    user = normalize(script.user)
    answer = server.ask(f"LOGIN {user} {script.password}", r"RESULT (LOGIN [01]|ERROR .*)")
    if answer != "RESULT LOGIN 1":
        raise ScriptError(f"not logged in as {user}: the name or the password is wrong, or there is a login elsewhere")
    for target, text in script.messages:
        message = say(server, user, target, text)
        if script.json:
            show(as_json(message))
    if script.history:
        for message in history(server, *script.history):
            show(as_json(message) if script.json else as_text(message))
    with contextlib.suppress(ScriptError):  # all that was asked for is confirmed
        server.ask("LOGOUT", r"RESULT (LOGOUT [01]|ERROR .*)")


def say(server: Server, user: str, target: str, text: str) -> Message:
    """Say a text, and return it as the server has confirmed it. Raises ScriptError."""
    line = f"SAY {target} {text}"
    if len(line.encode()) >= MAX_LINE:
        raise ScriptError(f"not said to {target}: a line has at most {MAX_LINE} bytes")
    server.send(line)
    while True:
        answer = server.line()
        message = as_message(answer)
        if message and (message.sender, message.target) == (user, target):
            return message
        if answer == "RESULT SAY 0" or re.fullmatch(rf"RESULT SAY {re.escape(target)} 0", answer):
            raise ScriptError(f"not said to {target}: {_why_not(server, user, target)}")
        if answer.startswith("RESULT ERROR"):
            raise ScriptError(f"not said to {target}: {answer.removeprefix('RESULT ERROR ')}")


def _why_not(server: Server, user: str, target: str) -> str:
    """Find why a message was refused; the answer does not tell."""
    if target.startswith("@"):
        return "there is nobody of that name, or too much waits for them"
    channel = re.escape(clean(target))
    members = server.ask(f"USERS {target}", rf"RESULT (USERS {channel} .*|ERROR .*)")
    return f"{user} is not in it" if members == f"RESULT USERS {clean(target)} 0" else f"{user} is muted there"


def history(server: Server, channel: str, count: str) -> Iterator[Message]:
    """Return the last messages of a channel, the oldest first. Raises ScriptError.

    The server gives so many at once, so more are asked for page by page; not where messages have no numbers.
    """
    channel = normalize(channel)
    pages = [_page(server, channel, count)]
    if not pages[0]:
        members = server.ask(f"USERS {channel}", rf"RESULT (USERS {re.escape(clean(channel))} .*|ERROR .*)")
        if members.endswith(f"USERS {clean(channel)} 0"):
            raise ScriptError(f"no history of {channel}: not a member of it")
    left = (parse_number(count, MAX_HISTORY) or 0) - len(pages[0])
    while pages[-1] and pages[-1][0].number and left > 0:
        pages.append(_page(server, channel, f"{left} before {pages[-1][0].number}"))
        left -= len(pages[-1])
    return itertools.chain.from_iterable(reversed(pages))


def _page(server: Server, channel: str, which: str) -> list[Message]:
    pattern = rf"RESULT (HISTORY {re.escape(clean(channel))} \d+|ERROR .*)"
    number = server.ask(f"HISTORY {channel} {which}", pattern).rpartition(" ")[2]
    if not number.isdecimal():
        raise ScriptError(f"no history of {channel}: the server does not know HISTORY")
    page: list[Message] = []
    while len(page) < int(number):
        message = as_message(server.line())
        if message and message.target == channel:
            page.append(message)
    return page


def as_message(line: str) -> Message | None:
    """Parse a `RECV` line; None for any other."""
    tags, rest = split_tags(line)
    found = re.fullmatch(r"RECV (\S+) (\S+) (.*)", rest)
    return Message(found[1], found[2], found[3], *tags) if found else None


def as_text(message: Message) -> str:
    """Return a message as a line of text, with its local time if that is known."""
    when = "" if message.at is None else f"{datetime.fromtimestamp(message.at):%Y-%m-%d %H:%M:%S} "
    return f"{when}{message.sender}: {message.text}"


def as_json(message: Message) -> str:
    """Return a message as a JSON object, with its time and number if they are known."""
    import json

    row: dict[str, object] = {"from": message.sender, "to": message.target, "text": message.text}
    if message.at is not None:
        row["time"] = datetime.fromtimestamp(message.at).astimezone().isoformat(timespec="milliseconds")
    if message.number:
        row["id"] = message.number
    return json.dumps(row, ensure_ascii=False)


# ---- the command line ----


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status."""
    try:
        complete(arguments)
        script = _script(arguments)
        where = places_of(arguments)
        with contextlib.closing(find(where)) as sock:
            server = Server(sock, partial(_print_direct, normalize(script.user)))
            play(server, Start(*where.current, tls=arguments.tls), script, _print)
    except (ScriptError, PreferencesError) as error:
        return print_error(str(error))
    except OSError as error:
        return print_error(f"cannot connect to {where}: {error.strerror}")
    return 0


def _script(arguments: argparse.Namespace) -> Script:
    user = arguments.user or arguments.username
    if not user or split_words(user) != [user]:
        raise ScriptError("a script needs a name to log in with: --user")
    history = [*arguments.history, HISTORY_COUNT][:2] if arguments.history else []
    return Script(user, _password(arguments, user), _messages(arguments), history, arguments.json)


def _messages(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Return what is to be said: the texts of the command line, or each line of the input to each target."""
    said = [(sign, words) for sign, words in (("", arguments.say), ("@", arguments.to)) if words]
    texts = (line.decode(errors="replace") for line in sys.stdin.buffer) if arguments.stdin else [None]
    for text in texts:
        for sign, (name, *words) in said:
            target = f"{sign}{normalize(name.removeprefix('@') if sign else name)}"
            for line in _lines(" ".join(words) if text is None else text):
                yield target, line


def _lines(text: str) -> list[str]:
    """Split a text into lines that can be said, without control characters: none of them begins a line of its own."""
    return [line for piece in re.split(r"[\r\n]+", text) if (line := clean(piece).strip())]


def _password(arguments: argparse.Namespace, user: str) -> str:
    password = known_password(arguments.password_file)
    if not password and os.isatty(STDIN) and not arguments.stdin:
        import getpass

        password = getpass.getpass(f"Password for {user}: ")
    if not password:
        raise ScriptError(f"no password: {PASSWORD_VARIABLE} has none, and the settings file names no password-file")
    if split_words(password) != [password] or "\n" in password:
        raise ScriptError("a password is one word")
    return password


def _print_direct(user: str, message: Message) -> None:
    if message.target == f"@{message.sender}" and message.sender != user:
        print_error(f"direct message: {as_text(message)}")


def _print(line: str) -> None:
    try:
        write_all(STDOUT, f"{line}\n".encode(errors="replace"))
    except OSError as error:
        raise ScriptError(f"cannot write: {error.strerror}") from error
