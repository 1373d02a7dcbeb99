#!/usr/bin/env python3
"""The client: a chat window on a terminal, and between pipes a netcat, or a chat without a window.

`client.py --help` tells how to use it. Rules that hold everywhere in the client:

- What the network sends is cleaned in one place, `network.Link`, before anything else sees it: no control character
  reaches a screen or a pipe.
- Nothing waits here without bound. Input is read only as fast as the server takes it, and the network only as
  fast as the screen shows it.
- Between pipes the client starts quickly: the standard library alone, and little of it. What only a terminal
  needs (prompt_toolkit, asyncio) is imported by the functions that need it.
- A thread owns what it works with. The loop's thread owns `Link` and `Keeper`; the main thread owns the talk and the
  files: on a terminal with the screen, between pipes it is the loop's thread. What crosses over is handed in with a
  call made for that.

Reading order:

1. `talks/`      one file for each wire, as a person uses it; what they share is in `talks/talk.py`. Pure
2. `files.py`    what is sent and received beside the talk
3. `network.py`  `dial`; `Link`: lines to and from the server, on the loop; `Keeper` dials again
4. Pipes         the netcat, and the talk without a screen
5. `terminal.py` the screens, and what ties talk, files, keeper and screen together
6. Command line

Another wire moves in as another talk: pipes, terminal and screens see only a `Talk`.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import bootstrap
from commandline import OneLineParser, port_number, whole_number
from files import MAX_RECEIVED, Courier
from loop import CloseReason, Loop
from network import Address, Link, dial
from protocol import LineBuffer, Overlong
from streams import READ_SIZE, STDIN, STDOUT, TextInput, complain, write_all
from talks import TALKS, recognised
from talks.talk import TOO_LONG, Meaning, Talk, without_style
from terminal import INTERRUPTED, nobody, run_terminal

ANSWER_SECONDS = 5.0
"""How long a talk that is leaving waits between pipes for the last answers."""

LOGIN_SECONDS = 10.0
"""How long a talk waits between pipes for the server to admit it."""


# ---- pipes ----


class Pipes:
    """What both kinds of pipes share: the main thread runs the loop and prints, a thread of its own reads the input.

    The loop is never closed, since that thread may be about to hand something in; the process ends anyway.
    """

    def __init__(self, sock: socket.socket, talk: Talk) -> None:
        self._loop = Loop()
        self._link = Link(self._loop, sock, self._heard, self._lost, self._go_on)
        self._talk = talk
        self._status = 0
        self._failed = False
        self._taken = threading.Semaphore(0)
        self._input_waits = False

    def run(self) -> int:
        """Pass lines both ways until the server closes; return the exit status."""
        threading.Thread(target=self._watch, daemon=True).start()
        self._loop.run()
        return self._status

    # ---- in the loop's thread ----

    def _heard(self, lines: list[str]) -> None:
        """The server has said this."""
        raise NotImplementedError

    def _lost(self, reason: CloseReason) -> None:
        """The connection is over."""
        raise NotImplementedError

    def _take(self, chunk: bytes) -> None:
        """A piece of input has come; no other comes until this one is passed on, see `_go_on`."""
        self._input_waits = True
        self._go_on()

    def _input_ended(self) -> None:
        """All input has been passed on."""

    def _print(self, lines: list[str]) -> None:
        try:
            write_all(STDOUT, "".join([f"{line}\n" for line in lines]).encode(errors="replace"))
        except BrokenPipeError:
            self._loop.stop()
        except OSError as error:
            self._fail(f"cannot write: {error.strerror}")

    def _fail(self, why: str) -> None:
        """End, for this reason; only the first one is told."""
        if not self._failed:
            self._failed = True
            self._status = complain(why)
        self._loop.stop()

    def _go_on(self) -> None:
        """Let the input go on, if the server takes more."""
        if self._input_waits and not self._link.congested:
            self._input_waits = False
            self._taken.release()

    # ---- in a thread of its own ----

    def _watch(self) -> None:
        """Hand in what is read; end all when nobody reads our output any more, also after the input's end."""
        poll = select.poll()
        poll.register(STDIN, select.POLLIN)
        poll.register(STDOUT, 0)  # for errors, which poll always tells: nobody reads
        source = TextInput(STDIN)
        while STDOUT not in dict(poll.poll()):
            if chunk := source.read():
                self._hand_in(chunk)
            if source.ended:
                poll.unregister(STDIN)
                self._loop.call_threadsafe(self._input_ended)
        self._loop.call_threadsafe(self._loop.stop)

    def _hand_in(self, chunk: bytes) -> None:
        """Give a piece to the loop and wait until there is room for another."""
        self._loop.call_threadsafe(lambda: self._take(chunk))
        self._taken.acquire()


SERVER_HAS_CLOSED = "the server has closed the connection"
GOODBYE = re.compile(rb"\n[ \t]*(?:QUIT|bye)[ \t]*\r?\n")
GOODBYE_MOST = 64
"""What has the server close, and how many bytes of a piece of input are looked at again with the next one."""


class Netcat(Pipes):
    """The lines of the wire as they are, in both directions.

    At the end of the input it half-closes, prints what is still answered, and ends when the server closes. The exit
    status is 1 when an answer was a failure, or when the server went away first.

    Args:
        sock: connected to the server.
        talk: says which answers are failures.
        recognise: gives the talk that takes its place, or none, by the server's first line.
        stay: do not half-close.
    """

    def __init__(
        self, sock: socket.socket, talk: Talk, recognise: Callable[[str], Talk | None] = nobody, *, stay: bool = False
    ) -> None:
        super().__init__(sock, talk)
        self._recognise = recognise
        self._stay = stay
        self._tail = b"\n"
        self._goodbye = False

    def _heard(self, lines: list[str]) -> None:
        self._talk = self._recognise(lines[0]) or self._talk
        self._recognise = nobody
        assert self._talk.failure
        if any(map(self._talk.failure.fullmatch, lines)):
            self._status = 1
        self._print(lines)

    def _lost(self, reason: CloseReason) -> None:
        if self._goodbye or (self._link.half_closed and reason is CloseReason.PEER):
            self._loop.stop()
        else:
            self._fail(SERVER_HAS_CLOSED)

    def _take(self, chunk: bytes) -> None:
        seen = self._tail + chunk
        self._goodbye = self._goodbye or bool(GOODBYE.search(seen))
        self._tail = seen[-GOODBYE_MOST:]
        self._link.send(chunk)
        super()._take(chunk)

    def _input_ended(self) -> None:
        if not self._stay:
            self._link.end_sending()


class ChatPipes(Pipes):
    """A talk between pipes: lines from the input count as typed, and the output gets what a screen would show.

    What the client itself has to say goes to standard error. The input has to wait while the server does not serve us,
    and while it owes us many answers. What could not be sent or delivered shows in the exit status.
    """

    def __init__(self, sock: socket.socket, talk: Talk, max_received: int = MAX_RECEIVED) -> None:
        super().__init__(sock, talk)
        self._courier = Courier(self._say, most=max_received)
        self._lines = LineBuffer(READ_SIZE)
        self._loop.call_soon(lambda: self._send(talk.begun()))
        self._loop.call_later(LOGIN_SECONDS, self._check_login)

    def run(self) -> int:
        """Talk until one of both sides has enough, or a signal comes; leave no half file behind."""
        end_tidily()
        try:
            status = super().run()
        finally:
            for note in self._courier.close():
                complain(note)
        return 1 if self._courier.failed else status

    def _heard(self, lines: list[str]) -> None:
        self._print([without_style(self._talk.received(line)) for line in lines if self._is_shown(line)])
        if self._talk.undelivered:
            self._status = 1
        if self._talk.wrong:
            self._fail(self._talk.wrong)
        elif self._talk.done():
            self._loop.stop()
        self._go_on()

    def _is_shown(self, line: str) -> bool:
        """Whether a line is the talk's, and not one that carries files."""
        note = self._courier.hear(line) if self._talk.files else None
        if note:
            complain(note)
        return note is None

    def _lost(self, reason: CloseReason) -> None:
        expected, told = self._talk.admitted or self._talk.wrong, self._talk.undelivered
        self._talk.lost()
        if not expected:
            self._fail("the server has closed without a login")
        elif self._talk.undelivered and not told:
            self._fail("the server has closed without an answer to every message")
        self._loop.stop()

    def _check_login(self) -> None:
        if not self._talk.admitted:
            self._fail(f"no login within {LOGIN_SECONDS:.0f} seconds; is this a server of that dialect?")

    def _take(self, chunk: bytes) -> None:
        self._lines.feed(chunk)
        super()._take(chunk)

    def _go_on(self) -> None:
        while self._talk.ready() and not self._link.congested:
            line = self._lines.next()
            if line is None:
                super()._go_on()
                return
            self._type(line)

    def _type(self, line: bytes | Overlong) -> None:
        if isinstance(line, Overlong):
            self._status = complain(f"Not sent: {TOO_LONG}")
            return
        try:
            meaning = self._talk.typed(line.decode())
        except UnicodeDecodeError:
            self._status = complain("Not sent: a line that is not UTF-8.")
            return
        if self._talk.leaving:
            self._leave()
        elif meaning.hint:
            complain(meaning.hint)
        if meaning.refused:
            self._status = 1
        if meaning.send:
            self._send(meaning)

    def _send(self, meaning: Meaning) -> None:
        self._talk.sent(meaning.send)
        self._say(self._courier.offer(meaning.send, meaning.offer) if meaning.offer else meaning.send)

    def _say(self, line: str) -> None:
        self._link.send(f"{line}\n".encode(errors="replace"))

    def _leave(self) -> None:
        if self._talk.done():
            self._loop.stop()
        else:
            self._loop.call_later(ANSWER_SECONDS, lambda: self._fail("the server has not answered every request"))


def end_tidily() -> None:
    """Have the signals that ask the program to end raise an exception, as Ctrl-C does, unless they are ignored."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, _end)


def _end(signum: int, _frame: object) -> NoReturn:
    sys.exit(128 + signum)


# ---- command line ----

DESCRIPTION = """\
Talks to a chat server: in the words of the dialect result, as the chat `hello`,
at the port of a channel, or with a mailbox."""

MANUAL = """\
the dialect result, on a terminal:
  REGISTER <user> <password>  makes an account   LOGIN <user> <password>
  CREATE <channel>            makes a channel    JOIN <channel>  enters it
  HELP                        lists commands     HELP <command>  explains one

  Commands are written in upper case, or behind a slash: /join <channel>. Other
  text is said in the current channel,
  which the prompt names: the one that was joined last. SAY <channel>, or
  SAY @<user>, without a message makes another one current; with a message it
  says that there, and the current channel stays. LEAVE, USERS and HISTORY alone
  are for the current channel. To say something that begins with the name of a
  command, use SAY <channel> <message>. QUIT ends the client.

  After a lost connection the last login is repeated, for about a minute while the
  server has not noticed the loss; the password for that is kept in memory only.
  Passwords are neither shown nor kept with the lines that the arrow keys bring
  back.

the dialect result, in pipes (when the input or the output is not a terminal):
  Lines go from the input to the server and from the server to the output, at
  once. At the end of the input the client prints what is still answered, and
  ends; with --stay it goes on receiving. The exit status tells whether all went
  well.

the dialect hello:
  @<user> <message>  sends it            @<user>  sends plain text there from now on
  !who               lists who is here   !quit    ends the client

  SEND <user> <message> and LIST, the words of the wire, mean the same. There are
  no accounts: a name is given with --name, or typed when it is asked for, and is
  free again when its user leaves. It is one word without commas. Where it is
  refused, another one is asked for; where the server is full, the client tries
  again. After a lost connection it logs in with the same name.

  In pipes --name is needed. The input is what would be typed, and the output what
  would be shown, one line each; what the client has to say about a line that it
  cannot send goes to standard error. !quit waits for the answers that are due. If
  there is no login within ten seconds, or the server answers it in other words
  than those of this dialect, the client ends. The exit status tells whether all
  was sent and delivered.

the dialect rooms, at the port of a channel: client.py <port> <username>
  /whisper <user> <message>   says it to one    /send <user> <path>  sends a file
  /list                       lists channels    /switch <channel>    goes to one
  /quit                       leaves

  Any other text is said to everyone in the channel. While it is full you wait;
  what is said then reaches nobody. The client ends when the server closes.

  /send sends a file to somebody who is in the channel with this client; the path
  has no blanks in it. On a terminal a file that is offered comes when it is
  accepted, within two minutes, and into the directory received, which is made:

  /accept [user]     takes the oldest offer    /decline [user]     does not

  In pipes it comes without a question, into the current directory. It is stored
  under its last name, but no file is replaced or hidden, and none is called as
  programs expect it (.py, .db, .ini, Makefile and such): it gets another name,
  which is told. Until all of it is there it is called .<name>.part-<letters>; it
  is removed when the rest does not come. On a terminal the progress stands at the
  right of the line being typed. --max-received limits all that comes.

  In pipes the input is what would be typed, and the output what the server says;
  what the client has to say, about files too, goes to standard error.

the dialect mailbox, on a terminal:
  /new <name>        makes an account and enters it; the server tells its ID once
  /login <id>        enters an account          /users [pattern]  lists accounts
  @<user> <message>  sends it; it waits for one who is away
  @<user>            sends plain text there from now on
  /mail [id]         takes the messages that wait; without an ID, your own
  /delete <id>       deletes an account; the ID is always needed, since this is
                     for good
  /bye               ends the client

  The wire's own lines are always taken: 1|<name>, 0|<id>, 2, 2|<pattern>,
  3|<user>|<message>, 4|<id>, 5|<id>, bye. So to say such a thing write it behind
  @<user>. This dialect need not be named: on a terminal, where neither --dialect
  nor a username is given, a server that begins with its greeting gets it.

  IDs that are typed are hidden and not kept, as passwords are. After a lost
  connection the client logs in again; not when the account was entered elsewhere,
  since two clients would show each other out for ever.

the dialect mailbox, in pipes:
  As the dialect result: the lines are those of the wire.

on a terminal, in every dialect:
  A line that begins with a slash is a command and never said: /help lists them,
  /msg <user> <message> or @<user> <message> says it to one alone, /quit leaves. A
  second slash in front has the line said, with one of them. What looks like a
  password or an ID (LOGIN, REGISTER or PASSWORD in any case of letters, with and
  without a slash) is never said, shown or kept. Several lines that are pasted at
  once are text, whatever is in them, and sent after one question.

  Tab completes commands, channels, users (after an @, where that is how they are
  written) and paths. The arrow keys bring back what was typed, Ctrl-R searches in
  it. A lost connection is dialled again, with pauses from 0.5 to 15 seconds; not
  in the dialect rooms, where nobody can tell it from being shown the door. Ctrl-D
  and Ctrl-C end the client. NO_COLOR and TERM=dumb turn colour off.

in pipes:
  The client ends when the server closes, or when nobody reads its output. After
  the end of its input it goes on in the dialects hello and rooms. A byte order
  mark at the start of the input, or telnet's negotiation, is left out.

everywhere:
  Control characters from the network are taken out (a tab stays), and what is
  not UTF-8 is replaced. What would be a line of more than 8192 bytes, its end
  included, is not sent, but for the pipes of result and mailbox, which pass on
  everything; a server can be set to take longer ones.

exit status:
  0    all went well: the input has ended and everything is answered, the server
       has closed after QUIT or bye or in the dialect rooms, or !quit or Ctrl-D was
       typed
  1    wrong arguments, no connection at the start, or a failing output; in the
       pipes of result and mailbox also an answer that says no, or a server that
       closed first; in those of hello and rooms a line that the client could not
       send; in those of rooms a name that was refused, or a file on its way that
       did not arrive; and in those of hello no login, a message that was not
       delivered or has no answer, and any other request that the server refused
  130  Ctrl-C; 129 and 143: SIGHUP, SIGTERM
"""


class Options(NamedTuple):
    """What the command line says.

    Attributes:
        address: of the server.
        talk: of the dialect; it has taken the name, if there is one.
        named: there is one.
        recognised: says which talk is the right one instead, by the first line that the server says of itself.
        stay: between pipes, go on after the end of the input.
        max_received: bytes of all files that are received.
    """

    address: Address
    talk: Talk
    named: bool
    recognised: Callable[[str], Talk | None]
    stay: bool
    max_received: int


def parse_command_line(words: Sequence[str]) -> Options:
    """Read the command line; exits when it cannot be understood."""
    parser = OneLineParser(
        prog="client.py",
        description=DESCRIPTION,
        epilog=MANUAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("port", type=port_number(1), help="the server's port")
    parser.add_argument("username", nargs="?", help="the name to come in with, at a channel's port")
    parser.add_argument("--host", metavar="H", default="localhost", help="the server's host (%(default)s)")
    parser.add_argument("--dialect", choices=TALKS, help="how to talk (rooms with a username, else result or mailbox)")
    parser.add_argument("--name", metavar="N", help="with --dialect hello or rooms: the name to log in with")
    parser.add_argument("--stay", action="store_true", help="in a pipe, go on receiving after the end of the input")
    parser.add_argument(
        "--max-received",
        type=whole_number,
        default=MAX_RECEIVED,
        metavar="BYTES",
        help="in the dialect rooms: bytes of all files that are received (%(default)s); each counts 64 KiB more",
    )
    arguments = parser.parse_intermixed_args(words)  # the username may stand behind an option
    username, name, dialect = arguments.username, arguments.name, arguments.dialect
    if username is not None and dialect not in (None, "rooms"):
        parser.error("a username behind the port is for the dialect rooms; else there is --name")
    if username is not None and name not in (None, username):
        parser.error("the username behind the port and --name are not the same")
    talk = TALKS[dialect or ("result" if username is None else "rooms")]()
    name = username if name is None else name
    if name is not None and (wrong := talk.take_name(name)):
        parser.error(f"argument {'--name' if username is None else 'username'}: {wrong}")
    open_question = dialect is None and username is None
    return Options(
        Address(arguments.host, arguments.port),
        talk,
        name is not None,
        recognised if open_question else nobody,
        arguments.stay,
        arguments.max_received,
    )


def main(words: Sequence[str]) -> int:
    """Run the client; return the exit status."""
    address, talk, named, recognise, stay, max_received = parse_command_line(words)
    bootstrap.occupy_standard_descriptors()
    on_terminal = os.isatty(STDIN) and os.isatty(STDOUT)
    if on_terminal:
        bootstrap.use_environment("prompt_toolkit")  # may start this program again, so it comes first
    elif not (talk.failure or named):
        return complain("between pipes there is nobody to ask for a name: --name is needed")
    try:
        sock = dial(address)
    except OSError as error:
        return complain(f"cannot connect to {address}: {error.strerror or error}")
    if on_terminal:
        return run_terminal(address, sock, talk, recognise, max_received)
    pipes = Netcat(sock, talk, recognise, stay=stay) if talk.failure else ChatPipes(sock, talk, max_received)
    return pipes.run()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
