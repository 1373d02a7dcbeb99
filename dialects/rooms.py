"""The dialect `rooms`: a port for each channel, a name, then messages and commands that begin with a slash.

Server messages are in brackets. The server's lines that begin with `/` carry files, and go only to clients whose first
line was `<name> files`. A channel's port speaks `RoomsHandshake`, which reads that first line. After it the session
speaks `RoomsDialect`, also when the guest switches to another channel.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from commands import Command, Refusal, Request, match_arguments
from domain.changes import Said
from domain.errors import (
    CannotEnter,
    CannotReceive,
    FileMissing,
    FileTooLarge,
    KeptOut,
    NoSuchChannel,
    NotHere,
    NotVoiced,
    StillMuted,
    StoreUnavailable,
    TooManyFiles,
)
from domain.events import (
    Announced,
    ChannelMessages,
    Departed,
    Entered,
    FileCancelled,
    FileEnded,
    FileNotTaken,
    FileOffered,
    FilePiece,
    FileSent,
    FileWanted,
    Occupancy,
    Queued,
    SendFile,
    Silenced,
    Unmuted,
    Welcomed,
    WentAway,
    Whispered,
)
from domain.rooms import Rooms
from domain.transfers import Transfers
from protocol import Dialect, Session
from text import MAX_LINE, NAMELESS, clean, normalize, parse_number, shown_path, split_at_most, split_words

TimeOfDay = Callable[[float], str]
"""Formats a time in seconds since the epoch as local time, hh:mm:ss."""


class MessageFormatter:
    """Formats the lines that guests and the operator see.

    Args:
        time_of_day: formats times.
    """

    def __init__(self, time_of_day: TimeOfDay) -> None:
        self._time_of_day = time_of_day

    def server(self, text: str, at: float) -> str:
        """Format a server message (O1)."""
        return f"[Server message ({self._time_of_day(at)})] {text}\n"

    def message(self, said: Said) -> str:
        """Format a message to a channel."""
        return f"[{said.sender} ({self._time_of_day(said.at)})] {said.words}\n"

    def whisper(self, whispered: Whispered, whom: str) -> str:
        """Format a whispered message; `whom` is "you" for its recipient."""
        return f"[{whispered.sender} whispers to {whom}: ({self._time_of_day(whispered.at)})] {whispered.text}\n"


BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

MAX_NUMBER = 10**18
"""Value of any larger number of a transfer or of bytes, which no transfer has."""

PIECE_FRAME = 48
"""Bytes of a line besides the data of a piece: the verb, the number, the newline."""


def piece_size(max_line: int) -> int:
    """Return the maximum bytes of a file that one line can carry in base64.

    Args:
        max_line: maximum bytes of a line, its newline included.
    """
    return (min(max_line, MAX_LINE) - PIECE_FRAME) // 4 * 3


def _file_name(path: str) -> str:
    return posixpath.basename(path) or NAMELESS


GUEST_WORDS: Mapping[type, Callable[[MessageFormatter, Any], str]] = {
    ChannelMessages: lambda formatter, event: "".join(map(formatter.message, event.messages)),
    Welcomed: lambda formatter, event: formatter.server(
        f"Welcome to the {event.channel} channel, {event.user}.", event.at
    ),
    Queued: lambda formatter, event: formatter.server(
        f"You are in the waiting queue and there are {event.ahead} user(s) ahead of you.", event.at
    ),
    Entered: lambda formatter, event: formatter.server(f"{event.user} has joined the channel.", event.at),
    Departed: lambda formatter, event: formatter.server(f"{event.user} has left the channel.", event.at),
    WentAway: lambda formatter, event: formatter.server(f"{event.user} went AFK.", event.at),
    Whispered: lambda formatter, event: formatter.whisper(event, "you"),
    Silenced: lambda formatter, event: formatter.server(
        f"{event.user} has been muted for {event.seconds} seconds.", event.at
    ),
    Unmuted: lambda formatter, event: formatter.server("You may speak again.", event.at),
    Announced: lambda formatter, event: formatter.server(event.text, event.at),
    FileSent: lambda formatter, event: formatter.server(f"You sent {event.path} to {event.recipient}.", event.at),
    FileNotTaken: lambda formatter, event: formatter.server(f"{event.recipient} did not take {event.path}.", event.at),
    FileOffered: lambda _formatter, event: (
        f"/file {event.number} {event.size} {event.sender} {_file_name(event.path)}\n"
    ),
    SendFile: lambda _formatter, event: f"/sending {event.number} {event.piece} {event.recipient} {event.path}\n",
    FileWanted: lambda _formatter, event: f"/more {event.number} {event.pieces}\n",
    FilePiece: lambda _formatter, event: f"/piece {event.number} {event.data}\n",
    FileEnded: lambda _formatter, event: f"/end {event.number}\n",
    FileCancelled: lambda _formatter, event: f"/cancel {event.number}\n",
}

FAILURES: Mapping[type[Exception], str] = {
    NotHere: "{0} is not here.",
    NoSuchChannel: "{0} does not exist.",
    CannotEnter: "Cannot switch to the {0} channel.",
    FileMissing: "{1} does not exist.",
    CannotReceive: "{0} cannot receive files.",
    FileTooLarge: "{1} is too large.",
    TooManyFiles: "Wait until other files of yours have been sent.",
    NotVoiced: "Only voiced users may speak.",
    KeptOut: "You may not speak here.",
    StoreUnavailable: "Your message could not be kept; try again later.",
}
"""The answer to a failed request by its error; {0} and {1} are the arguments of the request."""

NO_FILE = "-"
"""What `/send` gives as the size of a file that does not exist (F3); no size means the same."""


class RoomsHandshake(Dialect):
    """The dialect of a channel's port until its guest has entered: one line, the name.

    Args:
        rooms: the channels with ports.
        channel: the one that this port belongs to.
        plain, with_files: the dialects after it, for clients without and with files.
    """

    name = "rooms"

    def __init__(self, rooms: Rooms, channel: str, plain: RoomsDialect, with_files: RoomsDialect) -> None:
        super().__init__()
        self.rooms = rooms
        self.channel = channel
        self.plain = plain
        self.with_files = with_files

    def parse(self, line: str) -> Request | Refusal | None:
        """Read the name. The second word `files` says what the client can do; any other makes it no name (O3, F1)."""
        words = split_words(line)
        if not words:
            return None
        takes_files = words[1:] == ["files"]
        return Request(ENTER, (words[0] if takes_files else " ".join(words), "files" if takes_files else ""))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Tell the client that it cannot enter, and close (O4)."""
        session.send_bytes(self.plain.answer(f"Cannot connect to the {self.channel} channel."))
        session.end()

    def enter(self, session: Session, request: Request) -> None:
        name, files = request.args
        done = session.expect_outcome(request)
        self.rooms.enter(session, self.channel, normalize(name), done, takes_files=bool(files))
        if session.principal is not None:
            session.dialect = self.with_files if files else self.plain


class RoomsDialect(Dialect):
    """The dialect `rooms` after the handshake, for the guests of all channels.

    Args:
        rooms: the channels with ports.
        transfers: the transfers of files.
        formatter: formats messages and answers.
        now: the wall clock, in seconds since the epoch.
        files: whether the client can send and receive files.
    """

    name = "rooms"

    def __init__(
        self, rooms: Rooms, transfers: Transfers, formatter: MessageFormatter, now: Callable[[], float], *, files: bool
    ) -> None:
        super().__init__()
        self.rooms = rooms
        self.transfers = transfers
        self.commands = FILE_COMMANDS if files else COMMANDS
        self._formatter = formatter
        self._now = now

    # ---- the dialect ----

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of a command; any other line is a message (O2)."""
        text = line.strip(" \t")
        if not text:
            return None
        if text.startswith("/"):
            verb, *rest = split_at_most(text, 2)
            command = self.commands.get(verb)
            if command is not None:
                body = clean("".join(rest))
                return match_arguments(
                    command, split_at_most(body, command.max_args) if command.text else split_words(body)
                )
        return match_arguments(MESSAGE, split_at_most(clean(text), 1))

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Ignore the line, but count it as activity of the guest (O2, O20)."""
        self.rooms.guests.note_activity(session.principal)

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Answer with the reason. A guest in the queue gets no answer (O18)."""
        if isinstance(error, StillMuted):
            session.send_bytes(self.answer(f"You are still muted for {error.seconds} seconds."))
        elif error is not None and type(error) in FAILURES:
            name, *rest = request.args
            session.send_bytes(self.answer(FAILURES[type(error)].format(clean(name), *map(shown_path, rest))))

    def delivers_itself(self, session: Session, event: Any) -> bool:
        """Deliver a mute, for which the muted guest gets other words than the others (O23)."""
        if not isinstance(event, Silenced):
            return False
        is_muted = session.principal.name == event.user
        words = self.answer(f"You have been muted for {event.seconds} seconds.", event.at)
        session.send_bytes(words if is_muted else self.render(event))
        return True

    def render(self, event: Any) -> bytes:
        """Return the words for an event; b"" if guests do not see it."""
        words = GUEST_WORDS.get(type(event))
        return words(self._formatter, event).encode() if words is not None else b""

    def answer(self, text: str, at: float | None = None) -> bytes:
        """Format a server message, by default with the current time (O1)."""
        return self._formatter.server(text, self._now() if at is None else at).encode()

    def leave(self, session: Session) -> None:
        """Cancel the guest's transfers, and remove the guest from its channel (O19, F8)."""
        self.transfers.lost(session)
        self.rooms.lost(session)

    # ---- handlers ----

    def say(self, session: Session, request: Request) -> None:
        self.rooms.guests.note_activity(session.principal)
        self.rooms.say(session.principal, request.args[0], session.expect_outcome(request))

    def whisper(self, session: Session, request: Request) -> None:
        self.rooms.guests.note_activity(session.principal)
        name, text = request.args
        self.rooms.whisper_to(session.principal, name, text, session.expect_outcome(request))

    def switch(self, session: Session, request: Request) -> None:
        self.rooms.guests.note_activity(session.principal)
        self.rooms.switch(session.principal, request.args[0], session.expect_outcome(request))

    def list(self, session: Session, request: Request) -> None:
        self.rooms.guests.note_activity(session.principal)
        self.rooms.list_in_order(partial(self._tell_occupancy, session), session.expect_outcome(request))

    def _tell_occupancy(self, session: Session, channels: Sequence[Occupancy]) -> None:
        for name, present, capacity, queued in channels:
            session.send(f"[Channel] {name} {present}/{capacity}/{queued}.")

    def quit(self, session: Session, request: Request) -> None:
        self.rooms.quit(session.principal, session.expect_outcome(request))

    # ---- handlers: files ----

    def send_file(self, session: Session, request: Request) -> None:
        name, path, *given = request.args
        size = given[0] if given else NO_FILE
        self.rooms.guests.note_activity(session.principal)
        try:
            recipient = self.rooms.maybe_guest(session.principal, name)
        except NotHere as error:
            if size != NO_FILE:
                raise
            self.fail(session, request, error)  # neither the recipient nor the file exists: two answers
            raise FileMissing from None
        self.transfers.offer(session, recipient, shown_path(path), parse_number(size, MAX_NUMBER))


def _piece(transfers: Transfers, session: Session, number: int, data: str) -> None:
    is_base64 = re.fullmatch(BASE64, data)
    size = len(data) // 4 * 3 - data[-2:].count("=") if is_base64 else None
    if transfers.piece(session, number, data, size):
        session.excuse_line()  # the server has asked for it


def _about_a_file(act: Callable[..., None]) -> Callable[[RoomsDialect, Session, Request], None]:
    """Make the handler of a command that `Transfers` carries out."""

    def handle(dialect: RoomsDialect, session: Session, request: Request) -> None:
        dialect.rooms.guests.note_activity(session.principal)
        number, *data = request.args
        act(dialect.transfers, session, parse_number(number, MAX_NUMBER) or 0, *data)

    return handle


ENTER = Command(  # O3
    RoomsHandshake.enter, "<name> [files]", "enter under this name", min_args=2, max_args=2, pipelined=True
)

MESSAGE = Command(  # O12
    RoomsDialect.say,
    "<message>",
    "say something to everyone in the channel",
    min_args=1,
    max_args=1,
    text=True,
    pipelined=True,
)

COMMANDS: Mapping[str, Command] = {
    "/whisper": Command(  # O13
        RoomsDialect.whisper, "/whisper <user> <message>", "say something to one user in the channel",
        min_args=2, max_args=2, name=True, text=True, pipelined=True,
    ),
    "/quit": Command(RoomsDialect.quit, "/quit", "leave, and close the connection"),  # O14
    "/list": Command(RoomsDialect.list, "/list", "show how full each channel is", pipelined=True),  # O15
    "/switch": Command(  # O16
        RoomsDialect.switch, "/switch <channel>", "leave for another channel",
        min_args=1, max_args=1, name=True, pipelined=True,
    ),
    "/send": Command(  # O17
        RoomsDialect.send_file, "/send <user> <path>", "send a file to one user in the channel",
        min_args=2, max_args=2, name=True,
    ),
}  # fmt: skip

FILE_COMMANDS: Mapping[str, Command] = {
    **COMMANDS,
    "/send": Command(  # F3
        RoomsDialect.send_file, "/send <user> <path> <size>",
        "offer a file of so many bytes; - for one that does not exist",
        min_args=3, max_args=3, name=True,
    ),
    "/ready": Command(  # F4
        _about_a_file(Transfers.ready), "/ready <number>", "take a file that was announced", min_args=1, max_args=1,
    ),
    "/piece": Command(  # F5
        _about_a_file(_piece), "/piece <number> <base64>", "send a piece of a file", min_args=2, max_args=2,
    ),
    "/end": Command(  # F6
        _about_a_file(Transfers.end), "/end <number>", "all pieces of a file have been sent", min_args=1, max_args=1,
    ),
    "/landed": Command(  # F7
        _about_a_file(Transfers.landed), "/landed <number>", "the file is there under its name", min_args=1, max_args=1,
    ),
    "/cancel": Command(  # F8
        _about_a_file(Transfers.cancel), "/cancel <number>", "send or take a file no further", min_args=1, max_args=1,
    ),
}  # fmt: skip
