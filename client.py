#!/usr/bin/env python3
"""The client: a netcat between pipes, a chat window on a terminal. `client.py --help` tells how to use it.

Rules that hold everywhere in this file:

- What the network sends is cleaned in one place, `Link`, before anything else sees it: no control character
  reaches a screen or a pipe.
- Nothing waits here without bound. Input is read only as fast as the server takes it, and the network only as
  fast as the screen shows it.
- Between pipes the client starts quickly: the standard library alone, and little of it. What only a terminal
  needs (prompt_toolkit, asyncio) is imported by the functions that need it.
- A thread owns what it works with. The loop's thread owns `Link` and `Keeper`; on a terminal the main thread
  owns `Terminal`, `ResultTalk` and the screen. What crosses over is handed in with a call made for that.

Reading order:

1. Verbs         the table of commands; where the secrets in a typed line are
2. Typing        `interpret(text, current) -> Meaning`, `complete`; pure
3. Answers       `read(line)`, `draw(line) -> Fragments`; pure
4. Talk          `ResultTalk`: one wire as a person uses it, with what is remembered; the table of answers
5. Network       `dial`, `Link`: lines to and from the server, on the loop
6. Pipes         the netcat
7. Keeper        dials again when the connection is lost
8. Screens       the line being typed, and what appears above it
9. Terminal      what ties talk, keeper and screen together
10. Command line

Another wire moves in as another talk beside `ResultTalk`: `Terminal` and the screens see only a talk.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import bootstrap
from commandline import OneLineParser, port_number
from loop import CloseReason, Connection, Loop
from protocol import LineBuffer, Overlong, clean, normal, split_words

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.output import Output

MAX_RECEIVED_LINE = 1024 * 1024
"""Bytes of a line from the server, its newline included: lists are long."""

READ_SIZE = 65536
"""Bytes of input that are read at once. One such piece is on its way to the loop at a time."""

CONNECT_SECONDS = 10.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""Seconds before a lost connection is dialled again; each pause is twice the one before."""

NAMES_KEPT = 10_000
"""Names of a kind that are remembered for completion; a server makes no more channels by default."""

FAREWELL_SECONDS = 1.0
"""How long the end waits for the loop's thread to send what was typed last."""

STDIN, STDOUT = 0, 1
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM

Fragments = list[tuple[str, str]]
"""A line for the screen: (style, text) after (style, text)."""


# ---- 1. verbs ----


class Verb(NamedTuple):
    """What the client knows of a command.

    Attributes:
        channel: the first word after the verb names a channel, and is completed.
        here: without a word after it, the command is for the current channel.
        secret: the words from this place on are passwords; the verb stands at 0, so 0 is none.
    """

    channel: bool = False
    here: bool = False
    secret: int = 0


VERBS: Mapping[str, Verb] = {
    "REGISTER": Verb(secret=2),
    "LOGIN": Verb(secret=2),
    "LOGOUT": Verb(),
    "PASSWORD": Verb(secret=1),
    "CHANNELS": Verb(),
    "CREATE": Verb(),
    "JOIN": Verb(channel=True),
    "LEAVE": Verb(channel=True, here=True),
    "USERS": Verb(channel=True, here=True),
    "SAY": Verb(channel=True),
    "SEND": Verb(channel=True),
    "HISTORY": Verb(channel=True, here=True),
    "HELP": Verb(),
    "PING": Verb(),
    "QUIT": Verb(),
}

MESSAGE_VERBS = ("SAY", "SEND")
COMPLETE_SECRET = 3
"""Words of a whole LOGIN, REGISTER or PASSWORD."""


def secret_start(line: str) -> int:
    """Where the passwords of a typed line begin; its length when it has none.

    The verb counts in any case of letters: somebody who types `login` has a password in mind too.
    """
    words = list(re.finditer(r"[^ \t]+", line))
    verb = VERBS.get(words[0].group().upper()) if words else None
    if verb is None or not verb.secret or len(words) <= verb.secret:
        return len(line)
    return words[verb.secret].start()


def mask(line: str) -> str:
    """Give a typed line as the screen may show it: as long as it is, each password hidden."""
    start = secret_start(line)
    return line[:start] + re.sub(r"[^ \t]", "*", line[start:])


def without_secrets(line: str) -> str:
    """Give a typed line as the history may keep it: its passwords cut off."""
    start = secret_start(line)
    return line if start == len(line) else line[:start].rstrip()


# ---- 2. typing ----


class Meaning(NamedTuple):
    """What a typed line comes to.

    Attributes:
        send: the line for the wire; none when empty.
        hint: told to the user; nothing when empty.
        current: the channel that plain text goes to from now on; None leaves it as it is.
        echoed: the server shows the line to its sender too, so the screen need not.
    """

    send: str = ""
    hint: str = ""
    current: str | None = None
    echoed: bool = False


NO_CHANNEL = (
    "Not sent: no channel is current. JOIN <channel> enters one, CREATE <channel> makes one;"
    " SAY <channel> or SAY @<user> chooses. HELP lists the commands."
)


def interpret(text: str, current: str) -> Meaning:
    """Say what a typed line comes to.

    Args:
        text: the line.
        current: where plain text goes: a channel, `@user`, or nothing.
    """
    line = text.strip(" \t")
    words = split_words(line)
    if not words:
        return Meaning()
    if words[0] in VERBS:
        return _interpret_command(line, words, current)
    if len(words) == COMPLETE_SECRET and secret_start(line) < len(line):
        return Meaning(hint=f"Not sent: there may be a password in it. The command is {words[0].upper()}.")
    if not current:
        return Meaning(hint=NO_CHANNEL)
    return Meaning(send=f"SAY {current} {line}", echoed=True)


def _interpret_command(line: str, words: list[str], current: str) -> Meaning:
    verb, *args = words
    if verb in MESSAGE_VERBS and len(args) == 1:
        return Meaning(hint=f"Plain text goes to {normal(args[0])} now.", current=normal(args[0]))
    if verb == "LEAVE" and current.startswith("@") and args in ([], [current]):
        return Meaning(hint=f"Plain text goes to {current} no longer.", current="")
    if VERBS[verb].here and not args and current:
        return Meaning(send=f"{verb} {current}")
    return Meaning(send=line, echoed=verb in MESSAGE_VERBS)


def complete(text: str, channels: Iterable[str], users: Iterable[str]) -> tuple[str, list[str]]:
    """Say how the last word may go on.

    Args:
        text: what stands before the cursor.
        channels, users: the names that are known.

    Returns:
        The last word as it is typed (it may be empty), and the words that can take its place.
    """
    words = split_words(text)
    word = words.pop() if words and text[-1] not in " \t" else ""
    if word.startswith("@"):
        return word, sorted(f"@{user}" for user in users if user.startswith(word[1:]))
    if not words:
        return word, sorted(verb for verb in VERBS if verb.startswith(word.upper()))
    if len(words) == 1 and words[0] in VERBS and VERBS[words[0]].channel:
        return word, sorted(channel for channel in channels if channel.startswith(word))
    return word, []


# ---- 3. answers ----


class Answer(NamedTuple):
    """A row in the table of what a server says.

    Attributes:
        pattern: matches the whole line; its groups are handed to the two calls.
        draw: makes the line for the screen. It may add to what the server says, and hides none of it.
        learn: tells the talk; called with the talk first.
    """

    pattern: str
    draw: Callable[..., Fragments]
    learn: Callable[..., None] = lambda *_words: None


def read(line: str) -> tuple[Answer, tuple[str, ...]]:
    """Find the row of a received line, and its words. The last row takes every line."""
    for answer in ANSWERS:
        found = re.fullmatch(answer.pattern, line)
        if found:
            return answer, found.groups()
    raise AssertionError("the last row of ANSWERS matches every line")


def draw(line: str) -> Fragments:
    """Make a received line fit for a person."""
    answer, words = read(line)
    return answer.draw(*words)


def draw_message(sender: str, channel: str, text: str) -> Fragments:
    """A message: where it was said, who said it (each in a colour that stays the same), what."""
    colour = sum(sender.encode()) % USER_COLOURS
    return [("class:channel", f"[{channel}]"), ("", " "), (f"class:user{colour}", sender), ("", f": {text}")]


def draw_note(text: str) -> Fragments:
    """Something that the client says itself."""
    return [("class:note", f"* {text}")]


def _in_style(style: str) -> Callable[[str], Callable[..., Fragments]]:
    """Give what makes the `draw` of an answer's row from a sentence with places for the words."""
    return lambda sentence: lambda *words: [(style, sentence.format(*words))]


_plain, _good, _bad = _in_style(""), _in_style("class:good"), _in_style("class:bad")

USER_COLOURS = 6
STYLES: Mapping[str, str] = {
    "prompt": "bold",
    "channel": "ansicyan",
    "good": "ansigreen",
    "bad": "ansired",
    "note": "ansiyellow",
    "typed": "ansibrightblack",
    "user0": "bold ansiblue",
    "user1": "bold ansimagenta",
    "user2": "bold ansigreen",
    "user3": "bold ansiyellow",
    "user4": "bold ansicyan",
    "user5": "bold ansired",
}


# ---- 4. talk ----


class Names:
    """A set of names that keeps the newest NAMES_KEPT."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, *names: str) -> None:
        for name in names:
            self._names.pop(name, None)
            self._names[name] = None
            if len(self._names) > NAMES_KEPT:
                del self._names[next(iter(self._names))]

    def discard(self, name: str) -> None:
        self._names.pop(name, None)

    def clear(self) -> None:
        self._names.clear()


class ResultTalk:
    """The `result` wire as a person uses it, and what is known from the lines that went both ways.

    It asks the server nothing by itself but for the login after a lost connection.
    """

    mask = staticmethod(mask)
    without_secrets = staticmethod(without_secrets)

    welcome = "REGISTER or LOGIN <user> <password>; HELP lists the commands, Ctrl-D ends."

    def __init__(self) -> None:
        self.user = ""
        self.current = ""
        self.leaving = False
        self.channels, self.users, self.joined = Names(), Names(), Names()
        self._credentials: tuple[str, str] | None = None
        # What was asked and is not answered yet; answers come in the order of the requests.
        self._logins: deque[tuple[str, str]] = deque()
        self._new_passwords: deque[str] = deque()

    # ---- for the terminal ----

    def prompt(self) -> str:
        """What stands before the line being typed."""
        return f"{self.current}> "

    def complete(self, text: str) -> tuple[str, list[str]]:
        """See the function `complete`."""
        return complete(text, self.channels, self.users)

    def typed(self, text: str) -> Meaning:
        """Take a typed line; what is to be sent is not sent yet, see `sent`."""
        meaning = interpret(text, self.current)
        if meaning.current is not None:
            self.current = meaning.current
        return meaning

    def sent(self, line: str) -> None:
        """This line goes to the server."""
        match split_words(line):
            case ["LOGIN", user, password]:
                self._logins.append((normal(user), password))
            case ["PASSWORD", _, new]:
                self._new_passwords.append(new)
            case ["QUIT"]:
                self.leaving = True

    def received(self, line: str) -> Fragments:
        """This line came from the server; return how it is shown."""
        answer, words = read(line)
        answer.learn(self, *words)
        return answer.draw(*words)

    def lost(self) -> None:
        """The connection is lost, and so is what was not answered."""
        self._logins.clear()
        self._new_passwords.clear()

    def returned(self) -> Meaning:
        """The connection is back: log in again, if there was a login. Memberships last on the server."""
        if self._credentials is None:
            return Meaning(hint="Connected again.")
        user, password = self._credentials
        return Meaning(send=f"LOGIN {user} {password}", hint=f"Connected again; logging in as {user}.")

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
        self.entered(channel)
        self.current = channel

    def not_joined(self, channel: str) -> None:
        """Also what JOIN says of a channel that one is in: then plain text goes there, as was meant."""
        if channel in self.joined:
            self.current = channel

    def created(self, channel: str) -> None:
        self.channels.add(channel)

    def left(self, channel: str) -> None:
        self.joined.discard(channel)
        if self.current == channel:
            self.current = ""

    def listed_channels(self, names: str) -> None:
        self.channels.add(*names.split(", "))

    def listed_users(self, channel: str, names: str) -> None:
        self.entered(channel)
        self.users.add(*names.split(", "))

    def logged_in(self) -> None:
        if not self._logins:
            return
        self._credentials = user, _ = self._logins.popleft()
        if user != self.user:
            self._be_nowhere()
            self.user = user
            self.users.add(user)

    def not_logged_in(self) -> None:
        if self._logins:
            self._logins.popleft()

    def logged_out(self) -> None:
        self._credentials = None
        self.user = ""
        self._be_nowhere()

    def new_password(self) -> None:
        if self._new_passwords and self._credentials:
            self._credentials = self._credentials[0], self._new_passwords.popleft()

    def no_new_password(self) -> None:
        if self._new_passwords:
            self._new_passwords.popleft()

    def _be_nowhere(self) -> None:
        self.joined.clear()
        self.current = ""


ANSWERS: Sequence[Answer] = (
    Answer(r"RECV (\S+) (\S+) (.*)", draw_message, ResultTalk.heard),
    Answer(r"RESULT ERROR (.*)", _bad("Error: {0} (HELP <command> explains a command)")),
    Answer(r"RESULT REGISTER 1", _good("You are registered; LOGIN with the same words.")),
    Answer(r"RESULT REGISTER 0", _bad("Not registered: the name is taken, or it cannot be a name.")),
    Answer(r"RESULT LOGIN 1", _good("You are logged in."), ResultTalk.logged_in),
    Answer(
        r"RESULT LOGIN 0",
        _bad("Not logged in: wrong name or password, or there is a login already, here or elsewhere."),
        ResultTalk.not_logged_in,
    ),
    Answer(r"RESULT LOGOUT 1", _good("Logged out; you stay in your channels."), ResultTalk.logged_out),
    Answer(r"RESULT LOGOUT 0", _bad("You are not logged in.")),
    Answer(r"RESULT PASSWORD 1", _good("You have a new password."), ResultTalk.new_password),
    Answer(
        r"RESULT PASSWORD 0",
        _bad("No new password: the old one is wrong, the new one cannot be used, or you are not logged in."),
        ResultTalk.no_new_password,
    ),
    Answer(r"RESULT CHANNELS", _plain("Channels: none")),
    Answer(r"RESULT CHANNELS (.+)", _plain("Channels: {0}"), ResultTalk.listed_channels),
    Answer(r"RESULT CREATE (\S+) 1", _good("{0} is there now; JOIN {0} enters it."), ResultTalk.created),
    Answer(
        r"RESULT CREATE (\S+) 0",
        _bad("Cannot make {0}: it is there already, it cannot be a name, or you are not logged in."),
    ),
    Answer(r"RESULT JOIN (\S+) 1", _good("You are in {0}."), ResultTalk.joined_now),
    Answer(
        r"RESULT JOIN (\S+) 0",
        _bad(
            "Cannot join {0}: you are in it already (then SAY {0} goes there), there is no such channel,"
            " it is full, or you are not logged in."
        ),
        ResultTalk.not_joined,
    ),
    Answer(r"RESULT LEAVE (\S+) 1", _good("You have left {0}."), ResultTalk.left),
    Answer(r"RESULT LEAVE (\S+) 0", _bad("Cannot leave {0}: you are not in it.")),
    Answer(r"RESULT USERS (\S+) 0", _bad("Cannot list {0}: you are not in it, or it is on another server.")),
    Answer(r"RESULT USERS (\S+) (.+)", _plain("In {0}: {1}"), ResultTalk.listed_users),
    Answer(r"RESULT SAY 0", _bad("Not said: you are not in that channel, or there is no such name.")),
    Answer(r"RESULT SAY (\S+) 0", _bad("Not said in {0}: you are not in it, or there is no such channel.")),
    Answer(r"RESULT SEND ERROR", _bad("Not sent: you are not in that channel, or there is no such name.")),
    Answer(r"RESULT HISTORY (\S+) 0", _plain("There is nothing to repeat from {0}, or you are not in it.")),
    Answer(r"RESULT HISTORY (\S+) (\d+)", _plain("Messages repeated from {0}: {1}")),
    Answer(r"RESULT HELP 0", _bad("There is no such command; HELP lists them.")),
    Answer(r"RESULT HELP (.+)", _plain("Help: {0}")),
    Answer(r"RESULT PING 1", _good("The server is there.")),
    Answer(r"RESULT KICKED (\S+)", _bad("You have been removed from {0}."), ResultTalk.left),
    Answer(r"RESULT MUTED (\S+) (\S+)", _bad("You are muted in {0} for {1} seconds.")),
    Answer(r"(.*)", _plain("{0}")),
)


# ---- 5. network ----


class Address(NamedTuple):
    """Where the server is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def dial(address: Address) -> socket.socket:
    """Connect to the first of the host's addresses, IPv6 or IPv4, that takes it. Blocks.

    Raises:
        OSError: none does.
    """
    try:
        sock = socket.create_connection(address, CONNECT_SECONDS)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a host name") from error
    if sock.getsockname() == sock.getpeername():
        # Nobody listens there, and the kernel has given us that very port to call from: we talk to ourselves.
        sock.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return sock


class Link:
    """A connection to the server, as lines. Every call comes from the loop's thread.

    Args:
        loop, sock: what it runs on; it takes the socket over.
        heard: called with the lines that a turn brought, cleaned.
        lost: called once, when it is over.
        drained: called when `congested` is over.
    """

    TOO_LONG = f"(a line of more than {MAX_RECEIVED_LINE} bytes is left out)"

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        heard: Callable[[list[str]], None],
        lost: Callable[[], None],
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self._lines = LineBuffer(MAX_RECEIVED_LINE)
        self._heard = heard
        self._lost = lost
        self._drained = drained
        self._connection: Connection = loop.connect(sock, self)
        self.send = self._connection.send
        self.pause = self._connection.pause_reading
        self.resume = self._connection.resume_reading

    @property
    def congested(self) -> bool:
        """True while much waits to be sent: send no more until `drained` is called."""
        return self._connection.congested

    # ---- for the connection ----

    def received(self, data: bytes) -> None:
        self._lines.feed(data)
        lines = []
        while (line := self._lines.next()) is not None:
            text = self.TOO_LONG if isinstance(line, Overlong) else line.decode(errors="replace")
            lines.append(clean(text))
        if lines:
            self._heard(lines)

    def ended(self) -> None:
        """The server has closed. It may have said something last without ending the line."""
        if len(self._lines):
            self.received(b"\n")
        self._connection.close(CloseReason.PEER)

    def drained(self) -> None:
        self._drained()

    def lost(self, reason: CloseReason) -> None:
        self._lost()


# ---- 6. pipes ----


class Pipes:
    """A netcat: the main thread runs the loop and prints, a thread of its own reads the input.

    The loop is never closed, since that thread may be about to hand something in; the process ends anyway.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._loop = Loop()
        self._link = Link(self._loop, sock, self._print, self._loop.stop, self._drained)
        self._status = 0
        self._taken = threading.Semaphore(0)
        self._waits_for_server = False

    def run(self) -> int:
        """Pass lines both ways until the server closes; return the exit status."""
        threading.Thread(target=self._watch, daemon=True).start()
        self._loop.run()
        return self._status

    # ---- in the loop's thread ----

    def _print(self, lines: list[str]) -> None:
        try:
            write_all(STDOUT, "".join([f"{line}\n" for line in lines]).encode())
        except BrokenPipeError:
            self._loop.stop()
        except OSError as error:
            self._status = complain(f"cannot write: {error.strerror}")
            self._loop.stop()

    def _take(self, chunk: bytes) -> None:
        self._link.send(chunk)
        self._waits_for_server = self._link.congested
        if not self._waits_for_server:
            self._taken.release()

    def _drained(self) -> None:
        if self._waits_for_server:
            self._waits_for_server = False
            self._taken.release()

    # ---- in a thread of its own ----

    def _watch(self) -> None:
        """Hand in what is read; end all when nobody reads our output any more, also after the input's end."""
        poll = select.poll()
        poll.register(STDIN, select.POLLIN)
        poll.register(STDOUT, 0)  # for errors, which poll always tells: nobody reads
        last = b"\n"
        while STDOUT not in (ready := dict(poll.poll())):
            chunk = read_some(STDIN) if STDIN in ready else b""
            if chunk:
                last = chunk
                self._hand_in(chunk)
                continue
            poll.unregister(STDIN)
            if not last.endswith(b"\n"):
                self._hand_in(b"\n")
        self._loop.call_threadsafe(self._loop.stop)

    def _hand_in(self, chunk: bytes) -> None:
        """Give a piece to the loop and wait until there is room for another."""
        self._loop.call_threadsafe(lambda: self._take(chunk))
        self._taken.acquire()


def read_some(descriptor: int) -> bytes:
    """Read what is there; nothing at the end, or where nothing can be read (a directory, a lost terminal)."""
    while True:
        try:
            return os.read(descriptor, READ_SIZE)
        except BlockingIOError:  # somebody else reads here too, and has made it non-blocking
            select.select([descriptor], [], [])
        except OSError:
            return b""


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, however long it takes.

    Raises:
        OSError: it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # shared with somebody who has made it non-blocking
            select.select([], [descriptor], [])


# ---- 7. keeping ----


class Listener(Protocol):
    """Who is told by a keeper. Each call comes through the keeper's `post`."""

    def heard(self, lines: list[str]) -> None:
        """Lines came. No more are read from the network until `Keeper.go_on`."""

    def lost(self) -> None: ...
    def returned(self) -> None: ...
    def refused(self) -> None:
        """A line could not be sent, for want of a connection."""


class Keeper:
    """Keeps a connection to the server, and dials again with growing pauses when it is lost.

    Args:
        loop: what it runs on.
        address: where to dial.
        sock: the first connection.
        listener: who is told.
        post: runs a call in the listener's thread.
    """

    def __init__(
        self,
        loop: Loop,
        address: Address,
        sock: socket.socket,
        listener: Listener,
        post: Callable[[Callable[[], None]], object],
    ) -> None:
        self._loop = loop
        self._address = address
        self._listener = listener
        self._post = post
        self._pause = FIRST_PAUSE
        self._link: Link | None = self._adopt(sock)

    # ---- from any thread ----

    def send(self, line: str) -> None:
        """Send a line, given without its newline. The listener is told when that cannot be."""
        self._loop.call_threadsafe(lambda: self._send(f"{line}\n".encode(errors="replace")))

    def go_on(self) -> None:
        """What was heard has been shown: read on."""
        self._loop.call_threadsafe(self._go_on)

    # ---- in the loop's thread ----

    def _send(self, data: bytes) -> None:
        if self._link is None:
            self._post(self._listener.refused)
        else:
            self._link.send(data)

    def _go_on(self) -> None:
        if self._link is not None:
            self._link.resume()

    def _adopt(self, sock: socket.socket) -> Link:
        return Link(self._loop, sock, self._heard, self._lost)

    def _heard(self, lines: list[str]) -> None:
        assert self._link
        self._link.pause()
        self._pause = FIRST_PAUSE  # not earlier: a server that is full accepts, and closes without a word
        self._post(lambda: self._listener.heard(lines))

    def _lost(self) -> None:
        self._link = None
        self._post(self._listener.lost)
        self._dial_later()

    def _dial_later(self) -> None:
        self._loop.call_later(self._pause, lambda: threading.Thread(target=self._dial, daemon=True).start())
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _returned(self, sock: socket.socket) -> None:
        self._link = self._adopt(sock)
        self._post(self._listener.returned)

    # ---- in a thread of its own ----

    def _dial(self) -> None:
        try:
            sock = dial(self._address)
        except OSError:
            self._loop.call_threadsafe(self._dial_later)
        else:
            self._loop.call_threadsafe(lambda: self._returned(sock))


# ---- 8. screens ----


def line_session(talk: ResultTalk, prompt: Callable[[], str], output: Output) -> PromptSession[str]:
    """Build a line editor: it hides passwords, keeps them out of its history, and completes words."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
    from prompt_toolkit.layout.utils import explode_text_fragments
    from prompt_toolkit.styles import Style

    class Mask(Processor):
        def apply_transformation(self, ti: TransformationInput) -> Transformation:
            shown = explode_text_fragments(ti.fragments)
            hidden = talk.mask(ti.document.lines[ti.lineno])
            return Transformation([(part[0], letter) for part, letter in zip(shown, hidden, strict=False)])

    class Words(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            word, choices = talk.complete(document.current_line_before_cursor)
            return (Completion(choice, -len(word)) for choice in choices)

    class History(InMemoryHistory):
        def append_string(self, string: str) -> None:
            super().append_string("\n".join(map(talk.without_secrets, string.split("\n"))))

    return PromptSession(
        message=lambda: [("class:prompt", prompt())],
        completer=Words(),
        complete_while_typing=False,
        enable_suspend=True,
        history=History(),
        input_processors=[Mask()],
        style=Style.from_dict(dict(STYLES)),
        output=output,
    )


class Screen:
    """A line that is being typed, and what appears above it. All calls come from `ask`'s thread."""

    def __init__(self, talk: ResultTalk, prompt: Callable[[], str], output: Output) -> None:
        self._session = line_session(talk, prompt, output)
        self._app = self._session.app
        self._talk = talk
        self._prompt = prompt

    async def ask(self) -> str:
        """Let a line be typed.

        Raises:
            EOFError: the input is at its end, or `end` was called.
            KeyboardInterrupt: Ctrl-C was typed.
        """
        return await self._session.prompt_async()

    def repeat(self, prompt: str, line: str) -> None:
        """Leave a line on the screen that was typed just now, behind this prompt."""
        raise NotImplementedError

    def show(self, lines: Iterable[Fragments]) -> None:
        """Show lines above the one that is being typed."""
        raise NotImplementedError

    def end(self) -> None:
        """Make a running `ask` raise EOFError."""
        if self._app.future is not None and not self._app.future.done():
            self._app.exit(exception=EOFError)


class RichScreen(Screen):
    """A terminal that can move its cursor: the line being typed stays below everything.

    prompt_toolkit's own way to print above it, `run_in_terminal`, will not do: meanwhile the terminal shows
    what is typed.
    """

    def __init__(self, talk: ResultTalk, prompt: Callable[[], str]) -> None:
        from prompt_toolkit.output import ColorDepth
        from prompt_toolkit.output.vt100 import Vt100_Output

        depth = ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else ColorDepth.from_env()
        output = Vt100_Output.from_pty(sys.stdout, os.environ.get("TERM"), depth)
        output.enable_cpr = False  # nothing here asks where the cursor is, and some terminals never answer
        super().__init__(talk, prompt, output)
        self._app.erase_when_done = True

    def repeat(self, prompt: str, line: str) -> None:
        self.show([[("class:typed", prompt + self._talk.mask(line))]])

    def show(self, lines: Iterable[Fragments]) -> None:
        from prompt_toolkit.formatted_text import FormattedText
        from prompt_toolkit.renderer import print_formatted_text

        if self._app.is_running:
            self._app.renderer.erase()
        text = FormattedText([part for line in lines for part in (*line, ("", "\n"))])
        assert self._session.style
        print_formatted_text(self._app.output, text, self._session.style)
        self._app.invalidate()


class DumbScreen(Screen):
    """A terminal that can only print (TERM=dumb): no colour, and what is typed appears letter by letter."""

    def __init__(self, talk: ResultTalk, prompt: Callable[[], str]) -> None:
        from prompt_toolkit.output import DummyOutput

        super().__init__(talk, prompt, DummyOutput())
        self._buffer = self._session.default_buffer
        self._buffer.on_text_changed += self._typed
        self._printed = ""
        """The line being typed, as it stands on the screen."""

    async def ask(self) -> str:
        self._reprint()
        try:
            return await super().ask()
        finally:
            self._print("\n")

    def repeat(self, prompt: str, line: str) -> None:
        """It stands there already."""

    def show(self, lines: Iterable[Fragments]) -> None:
        text = "".join(["".join([part for _style, part in line]) + "\n" for line in lines])
        if self._app.is_running:
            self._print(f"\n{text}")
            self._reprint()
        else:
            self._print(text)

    def _typed(self, _buffer: Buffer) -> None:
        line = self._line()
        if not line.startswith(self._printed):
            self._print("\n")
            self._printed = ""
        self._print(line[len(self._printed) :])
        self._printed = line

    def _reprint(self) -> None:
        self._printed = self._line()
        self._print(self._printed)

    def _line(self) -> str:
        return self._prompt() + "\n".join(map(self._talk.mask, self._buffer.text.split("\n")))

    def _print(self, text: str) -> None:
        write_all(STDOUT, text.encode(errors="replace"))


# ---- 9. terminal ----


class Terminal:
    """Ties a talk, a keeper and a screen together; the keeper's listener. Lives in the main thread.

    Args:
        address: of the server.
        sock: connected to it.
        talk: the wire.
    """

    def __init__(self, address: Address, sock: socket.socket, talk: ResultTalk) -> None:
        self._address = address
        self._sock = sock
        self._talk = talk
        self._connected = True
        self._over = False
        self._status = 0

    async def run(self) -> int:
        """Serve the user until one of both sides has enough; return the exit status."""
        import asyncio

        screen = DumbScreen if os.environ.get("TERM", "") in ("", "dumb", "unknown") else RichScreen
        self._screen: Screen = screen(self._talk, self._prompt)
        own = asyncio.get_running_loop()
        own.add_signal_handler(signal.SIGTERM, self._end, TERMINATED)
        loop = Loop()
        self._keeper = Keeper(loop, self._address, self._sock, self, own.call_soon_threadsafe)
        network = threading.Thread(target=loop.run, daemon=True)
        network.start()
        self._note(f"Connected to {self._address}. {self._talk.welcome}")
        await self._take_lines()
        loop.call_threadsafe(loop.stop)
        network.join(FAREWELL_SECONDS)
        return self._status

    # ---- what the user does ----

    async def _take_lines(self) -> None:
        while not self._over:
            try:
                text = await self._screen.ask()
            except EOFError:
                return
            except KeyboardInterrupt:
                self._status = INTERRUPTED
                return
            for line in text.split("\n"):
                self._take(line)

    def _take(self, line: str) -> None:
        prompt = self._prompt()
        meaning = self._talk.typed(line)
        if not (meaning.send or meaning.hint):
            return
        sending = bool(meaning.send) and self._connected
        if not (sending and meaning.echoed):
            self._screen.repeat(prompt, line)
        if meaning.hint:
            self._note(meaning.hint)
        if sending:
            self._send(meaning.send)
        elif meaning.send:
            self.refused()

    def _send(self, line: str) -> None:
        self._talk.sent(line)
        self._keeper.send(line)

    # ---- what the keeper tells ----

    def heard(self, lines: list[str]) -> None:
        """Show what the server says."""
        self._screen.show([self._talk.received(line) for line in lines])
        self._keeper.go_on()

    def lost(self) -> None:
        """Without a connection there is nothing to do after a QUIT, and else to wait for another."""
        self._connected = False
        self._talk.lost()
        if self._talk.leaving:
            self._end(0)
        else:
            self._note("The connection is lost. Trying to get it back; until then nothing can be sent.")

    def returned(self) -> None:
        """There is a connection again."""
        self._connected = True
        meaning = self._talk.returned()
        self._note(meaning.hint)
        if meaning.send:
            self._send(meaning.send)

    def refused(self) -> None:
        """A line could not be sent."""
        self._note("Not sent: there is no connection at the moment. The up arrow brings the line back.")

    # ---- pieces ----

    def _prompt(self) -> str:
        return ("" if self._connected else "(no connection) ") + self._talk.prompt()

    def _note(self, text: str) -> None:
        self._screen.show([draw_note(text)])

    def _end(self, status: int) -> None:
        self._over, self._status = True, status
        self._screen.end()


def run_terminal(address: Address, sock: socket.socket) -> int:
    """Talk on a terminal; return the exit status."""
    import asyncio

    with raw_terminal():
        return asyncio.run(Terminal(address, sock, ResultTalk()).run())


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Have the terminal hand over every key and echo none, from the start to the end.

    The line editor does so too, but only while it runs: a password typed before or between would be shown, a
    Ctrl-D would get lost.
    """
    import termios

    before = termios.tcgetattr(STDIN)
    raw = list(before)
    raw[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(STDIN, termios.TCSANOW, raw)
    try:
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


# ---- 10. command line ----

DESCRIPTION = "Talks to a Crosstalk server, line by line."

MANUAL = """\
on a terminal:
  REGISTER <user> <password>  makes an account   LOGIN <user> <password>
  CREATE <channel>            makes a channel    JOIN <channel>  enters it
  HELP                        lists commands     HELP <command>  explains one

  Commands are written in upper case. Other text is said in the current channel,
  which the prompt names: the one that was joined last. SAY <channel>, or
  SAY @<user>, without a message makes another one current; with a message it
  says that there, and the current channel stays. LEAVE, USERS and HISTORY alone
  are for the current channel. To say something that begins with the name of a
  command, use SAY <channel> <message>.

  Tab completes commands, channels and, after an @, users. The arrow keys bring
  back what was typed, Ctrl-R searches in it; passwords are neither shown nor
  kept there. A lost connection is dialled again, with pauses from 0.5 to 15
  seconds, and the last login is repeated; the password for that is kept in
  memory only. QUIT, Ctrl-D and Ctrl-C end the client. NO_COLOR and TERM=dumb
  turn colour off.

in pipes (when the input or the output is not a terminal):
  Lines go from the input to the server and from the server to the output, at
  once. The client goes on after the end of its input. It ends when the server
  closes (send QUIT as the last line for that), or when nobody reads its output.

in both:
  Control characters from the network are taken out (a tab stays), and what is
  not UTF-8 is replaced.

exit status:
  0    the server has closed (on a terminal: after QUIT), or Ctrl-D was typed
  1    wrong arguments, no connection at the start, or a failing output
  130  Ctrl-C
"""


def parse_command_line(words: Sequence[str]) -> Address:
    """Read the command line; exits when it cannot be understood."""
    parser = OneLineParser(
        prog="client.py",
        description=DESCRIPTION,
        epilog=MANUAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("port", type=port_number(1), help="the server's port")
    parser.add_argument("--host", metavar="H", default="localhost", help="the server's host (%(default)s)")
    arguments = parser.parse_args(words)
    return Address(arguments.host, arguments.port)


def complain(text: str) -> int:
    """Say what is wrong; return the exit status for it."""
    print(f"client.py: {text}", file=sys.stderr)
    return 1


def main(words: Sequence[str]) -> int:
    """Run the client; return the exit status."""
    address = parse_command_line(words)
    bootstrap.occupy_standard_descriptors()
    on_terminal = os.isatty(STDIN) and os.isatty(STDOUT)
    if on_terminal:
        bootstrap.use_environment("prompt_toolkit")  # may start this program again, so it comes first
    try:
        sock = dial(address)
    except OSError as error:
        return complain(f"cannot connect to {address}: {error.strerror or error}")
    return run_terminal(address, sock) if on_terminal else Pipes(sock).run()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
