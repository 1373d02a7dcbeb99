"""The client's side of the lines that carry files, in the dialect `rooms`. Knows no network and no screen.

Rules:

- Only what the user has offered leaves, once and to that user only: a server that asks for another file gets none.
- On a terminal a file comes only when the user has accepted it, and into `received/`; in a pipe it comes into the
  current directory.
- A file is read and written piece by piece, as the server asks for it; nothing here waits for anybody.
- What a server can make this client hold, write and show is bounded: offers, open files, bytes, lengths of names.
"""

from __future__ import annotations

import binascii
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from text import shown_path, split_words
from ui.files import CHANGED, CURRENT_DIRECTORY, RECEIVED, FileError, Sink, Source, check_directory, safe_name, size_of

MAX_PIECE = 8 * 1024
MAX_PIECES = 64
"""Bytes of a piece, and pieces that are sent at once, whatever the server asks for: less than the output limit."""

OFFERS_KEPT = 64
"""Of the user's own."""

MAX_OFFERS = 1000
"""Files that may be offered to the user, or be on their way here, whatever the server does."""

MAX_RUNNING = 8
"""Files that may be open here, as many as the server lets run at once (F10)."""

COST = 64 * 1024
"""What a file counts beside its bytes, so that there are not too many either."""

ARRIVED = re.compile(r"\[Server message \([0-9:]+\)\] You sent ([^ ]+) to ([^ ]+)\.")
NOT_TAKEN = re.compile(r"\[Server message \([0-9:]+\)\] ([^ ]+) did not take ([^ ]+)\.")

MAX_SHOWN = 100
"""Characters of a user's name that are shown, of whatever length the server gives it."""

TOO_MUCH = "it is more than this client takes of all files together (--max-received)"
NO_OFFER = "Nobody offers such a file."

SHOWN_NAME = 30
"""Characters of a file's name in the progress."""


class OwnOffer(NamedTuple):
    """What the user has offered.

    Attributes:
        user: to whom.
        path: how it is called on the wire, see `shown_path`.
        local_path: how it is called here.
        size: its bytes.
    """

    user: str
    path: str
    local_path: str
    size: int


class Offer(NamedTuple):
    """What somebody offers to the user.

    Attributes:
        sender, name: as they may be shown.
        stored: under which name the file may be stored.
        size: its bytes.
    """

    sender: str
    name: str
    stored: str
    size: int


class Outgoing:
    """A file that is being sent. It stays until the server says what has become of it."""

    def __init__(self, offer: OwnOffer, piece: int) -> None:
        self._piece = piece
        self._source: Source | None = None
        self._local_path = offer.local_path
        self._ended = False
        self.path = offer.path
        self.user = offer.user
        self.size = self.rest = offer.size

    def begin(self) -> None:
        """Be ready to give pieces. Raises FileError."""
        self._source = Source(self._local_path)
        if self._source.size != self.size:
            raise FileError(CHANGED)

    def lines(self, number: str, pieces: int) -> Iterator[str]:
        """Give the lines that carry the next pieces, and behind the last one the end. Raises FileError."""
        assert self._source
        for _ in range(pieces):
            if not self.rest:
                break
            data = self._source.read(min(self._piece, self.rest))
            self.rest -= len(data)
            yield f"/piece {number} {binascii.b2a_base64(data, newline=False).decode()}"
        if not (self.rest or self._ended):
            self._source.check()
            self._ended = True
            yield f"/end {number}"

    def close(self) -> str:
        """It goes no further; return what to tell, to which the reason is to be added."""
        if self._source:
            self._source.close()
        return f"Not sent: {self.path} to {self.user}: "


class Incoming:
    """A file that is being received."""

    def __init__(self, offer: Offer, sink: Sink) -> None:
        self._sink = sink
        self._sender = offer.sender
        self.path = offer.name
        self.size = self.rest = offer.size

    @property
    def has_begun(self) -> bool:
        return self._sink.is_open

    @property
    def cost(self) -> int:
        """What the file counts so far against the bytes that may be received."""
        return COST + self.size - self.rest if self.has_begun else 0

    def begin(self) -> None:
        """Be ready for pieces. Raises FileError."""
        self._sink.open()

    def write(self, base64: str, room: int) -> int:
        """Write a piece of at most `room` bytes; return its bytes. Raises FileError."""
        try:
            data = binascii.a2b_base64(base64, strict_mode=True)
        except ValueError as error:
            raise FileError("a piece of it is damaged") from error
        if len(data) > self.rest:
            raise FileError("more of it comes than was said")
        if len(data) > room:
            raise FileError(TOO_MUCH)
        self._sink.write(data)
        self.rest -= len(data)
        return len(data)

    def commit(self) -> str:
        """All has come: give the file its name; return what to tell. Raises FileError."""
        if self.rest:
            raise FileError("a part of it is missing")
        name = self._sink.commit()
        self._sink.close()
        renamed = "" if name == self.path else f" It is called {name} here."
        return f"Received: {self.path} from {self._sender}, {self.size} bytes.{renamed}"

    def close(self) -> str:
        """It goes no further; return what to tell, to which the reason is to be added."""
        self._sink.close()
        return f"Not received: {self.path} from {self._sender}: "


class FileTransfers:
    """Sends the files that the user offers, and receives those that are offered. An empty note is none.

    Args:
        send: takes the lines for the server, without their newlines.
        ask_first: a file comes when the user has accepted it, and into `received/`; else at once, and into the current
            directory.
        max_bytes: of all files that are received; each counts COST more.

    Attributes:
        failed: a file that was being sent has not arrived.
    """

    def __init__(self, send: Callable[[str], None], *, ask_first: bool = False, max_bytes: int) -> None:
        self._send = send
        self._ask_first = ask_first
        self._room = max_bytes
        """Bytes that may still come. What was offered and has not come takes none, or few could keep all others out."""
        self._own_offers: deque[OwnOffer] = deque(maxlen=OFFERS_KEPT)
        """The newest. The server does not say what becomes of each."""
        self._not_taken: tuple[str, ...] = ()
        """Path and user of the file of which the server has said so last."""
        self._offers: dict[str, Offer] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._incoming: dict[str, Incoming] = {}
        self.failed = False
        umask = os.umask(0)
        os.umask(umask)
        self._mode = 0o666 & ~umask

    # ---- for the program ----

    def offer(self, line: str, local_path: str) -> str:
        """Complete a line that offers a file, `/send <user> <path>`: with its size, or a dash if there is no such file.

        What follows is the server's decision; it may ask for the file later.
        """
        _verb, user, path = split_words(line)
        size = size_of(local_path)
        if size is None:
            return f"{line} -"
        self._own_offers.append(OwnOffer(user, path, local_path, size))
        return f"{line} {size}"

    def accept(self, user: str = "") -> str:
        """Take the oldest file that this user offers, or anybody; where it cannot be stored, it stays offered."""
        number = self._oldest(user)
        if not number:
            return NO_OFFER
        try:
            check_directory(RECEIVED)
        except FileError as error:
            return f"Not accepted yet: {self._offers[number].name}: {error}. Put that right, then /accept again."
        return self._take(number, self._offers.pop(number))

    def decline(self, user: str = "") -> str:
        """Do not take the oldest file that this user offers, or anybody."""
        number = self._oldest(user)
        if not number:
            return NO_OFFER
        self._send(f"/cancel {number}")
        return f"Declined: {self._offers.pop(number).name}."

    def handle_line(self, line: str) -> str | None:
        """Take a line from the server that is about files and return the note that is shown instead; None if the line
        itself is to be shown."""
        if not line.startswith("/"):
            self._confirm(line)
            return None
        verb, _, words = line.partition(" ")
        row = FILE_LINES.get(verb)
        if row is None:
            return None
        found = re.fullmatch(row.words, words)
        if not found:
            return ""
        try:
            return row.handle(self, *found.groups())
        except FileError as error:
            self._send(f"/cancel {found[1]}")
            return self._drop(found[1], str(error))

    def progress(self) -> str:
        """Say how far the files are that are on their way; nothing when there are none."""
        files = self._under_way()
        if not files:
            return ""
        total = sum(file.size for file in files)
        done = total - sum(file.rest for file in files)
        what = os.path.basename(files[0].path)[:SHOWN_NAME] if len(files) == 1 else f"{len(files)} files"
        return f"{what} {100 * done // total if total else 100} %"

    def close(self) -> list[str]:
        """The connection is over, or the client: drop everything, and return what to tell of it."""
        files = self._under_way()
        self.failed = self.failed or bool(self._outgoing)
        self._offers.clear()
        self._outgoing.clear()
        self._incoming.clear()
        return [f"{file.close()}the connection is over." for file in files]

    # ---- for the table of lines: files that go ----

    def sending(self, number: str, piece: str, user: str, path: str) -> str:
        """An offer was accepted."""
        offer = next((offer for offer in reversed(self._own_offers) if offer[:2] == (user, path)), None)
        if offer is None or not int(piece) or number in self._outgoing:
            raise FileError("the server has asked for what was not offered")
        self._own_offers.remove(offer)
        outgoing = self._outgoing[number] = Outgoing(offer, min(int(piece), MAX_PIECE))
        outgoing.begin()
        return ""

    def more(self, number: str, pieces: str) -> str:
        """So many more pieces may go."""
        if number in self._outgoing:
            for line in self._outgoing[number].lines(number, min(int(pieces), MAX_PIECES)):
                self._send(line)
        return ""

    # ---- for the table of lines: files that come ----

    def announced(self, number: str, size: str, sender: str, name: str) -> str:
        """A file is offered."""
        if number in self._incoming or number in self._offers:
            raise FileError("the server has sent two files as one")
        offer = Offer(shown_path(sender)[:MAX_SHOWN], shown_path(name), safe_name(name), int(size))
        if len(self._offers) + len(self._incoming) >= MAX_OFFERS:
            return self._refuse(number, offer, "too many files are offered")
        if not self._ask_first:
            return self._take(number, offer)
        if offer.size + COST > self._room:
            return self._refuse(number, offer, TOO_MUCH)
        self._offers[number] = offer
        return (
            f"{offer.sender} offers {offer.name}, {offer.size} bytes: /accept {offer.sender} puts it into {RECEIVED}/,"
            f" /decline {offer.sender} does not."
        )

    def piece(self, number: str, base64: str) -> str:
        """A piece of a file has come."""
        incoming = self._begun(number)
        if incoming is not None:
            self._room -= incoming.write(base64, self._room)
        return ""

    def ended(self, number: str) -> str:
        """All of a file has come."""
        incoming = self._begun(number)
        if incoming is None:
            return ""
        note = incoming.commit()
        del self._incoming[number]
        self._send(f"/landed {number}")
        return note

    # ---- for the table of lines: both ----

    def cancelled(self, number: str) -> str:
        """The server says so to both sides, also to the one that has asked for it."""
        offer = self._offers.pop(number, None)
        if offer:
            return f"{offer.sender} does not offer {offer.name} any more."
        outgoing = self._outgoing.get(number)
        if outgoing and self._not_taken == (outgoing.path, outgoing.user):
            self._not_taken = ()
            self._drop(number, "")
            return ""  # as the server has said itself
        return self._drop(number, "it was cancelled")

    # ---- pieces ----

    def _oldest(self, user: str) -> str:
        """The number of the oldest file that this user offers, or anybody; nothing if there is none."""
        return next((number for number, offer in self._offers.items() if user in ("", offer.sender)), "")

    def _take(self, number: str, offer: Offer) -> str:
        """Have the server send a file."""
        if offer.size + COST > self._room:
            return self._refuse(number, offer, TOO_MUCH)
        place = RECEIVED if self._ask_first else CURRENT_DIRECTORY
        self._incoming[number] = Incoming(offer, Sink(place, offer.stored, self._mode))
        self._send(f"/ready {number}")
        return ""

    def _refuse(self, number: str, offer: Offer, why: str) -> str:
        self._send(f"/cancel {number}")
        return f"Not received: {offer.name} from {offer.sender}: {why}."

    def _begun(self, number: str) -> Incoming | None:
        """Give a file that has been accepted, ready to be written; None if there is none of this number. A file waits
        for its turn without being open, so that descriptors do not run out."""
        incoming = self._incoming.get(number)
        if incoming is not None and not incoming.has_begun:
            if sum(other.has_begun for other in self._incoming.values()) >= MAX_RUNNING:
                raise FileError("the server sends too many files at once")
            if self._room < COST:
                raise FileError(TOO_MUCH)
            incoming.begin()
            self._room -= COST
        return incoming

    def _under_way(self) -> list[Outgoing | Incoming]:
        return [*self._outgoing.values(), *self._incoming.values()]

    def _drop(self, number: str, why: str) -> str:
        """A file goes no further. One that somebody sends himself has the same number on both ways."""
        self._offers.pop(number, None)
        self.failed = self.failed or number in self._outgoing
        incoming = self._incoming.pop(number, None)
        if incoming:
            self._room += incoming.cost
        files = (self._outgoing.pop(number, None), incoming)
        return " ".join([f"{file.close()}{why}." for file in files if file])

    def _confirm(self, line: str) -> None:
        """The server may say here of a file that it has arrived, or was not taken."""
        if found := NOT_TAKEN.fullmatch(line):
            self._not_taken = (found[2], found[1])
            return
        found = ARRIVED.fullmatch(line)
        words = found.groups() if found else ()
        for number, outgoing in self._outgoing.items():
            if words == (outgoing.path, outgoing.user) and not outgoing.rest:
                outgoing.close()
                del self._outgoing[number]
                return


class FileLine(NamedTuple):
    """A row in the table of the lines by which a server passes files on.

    Attributes:
        words: matches what stands behind the verb; its groups are handed to the call. The first is the file's number.
        handle: called with the `FileTransfers` first; returns a note. A FileError cancels the file.
    """

    words: str
    handle: Callable[..., str]


_NUMBER = "([0-9]{1,18})"

FILE_LINES: Mapping[str, FileLine] = {
    "/sending": FileLine(rf"{_NUMBER} {_NUMBER} ([^ ]+) ([^ ]+)", FileTransfers.sending),
    "/more": FileLine(rf"{_NUMBER} {_NUMBER}", FileTransfers.more),
    "/file": FileLine(rf"{_NUMBER} {_NUMBER} ([^ ]+) (.+)", FileTransfers.announced),
    "/piece": FileLine(rf"{_NUMBER} (?s:(.*))", FileTransfers.piece),
    "/end": FileLine(_NUMBER, FileTransfers.ended),
    "/cancel": FileLine(_NUMBER, FileTransfers.cancelled),
}
