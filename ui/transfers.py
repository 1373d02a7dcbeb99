"""The client's side of the lines that carry files, in the dialect `rooms`. Knows no network and no screen.

Rules:

- A file is sent only if the user has offered it, once, and only to that user, whatever the server asks for.
- On a terminal a file is received only when the user has accepted it, into `received/`. Between pipes every file is
  received, into the current directory.
- Files are read and written in pieces, as the server asks for them (F4); nothing here blocks on a peer.
- Offers, open files, bytes and the lengths of names are bounded, whatever a server sends.
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
"""Maximum bytes of a piece, and pieces sent at once, whatever the server asks for: less than the output limit."""

OFFERS_KEPT = 64
"""Maximum number of the user's own offers that are remembered."""

MAX_OFFERS = 1000
"""Maximum number of files that are offered to the user or being received."""

MAX_RUNNING = 8
"""Maximum number of received files open at once, as many as the server allows (F10)."""

FILE_COST = 64 * 1024
"""Bytes that each file counts in addition to its size, so that `max_bytes` bounds the number of files too."""

ARRIVED = re.compile(r"\[Server message \([0-9:]+\)\] You sent ([^ ]+) to ([^ ]+)\.")
NOT_TAKEN = re.compile(r"\[Server message \([0-9:]+\)\] ([^ ]+) did not take ([^ ]+)\.")

MAX_SHOWN = 100
"""Maximum characters of a sender's name that are shown."""

TOO_MUCH = "it is more than this client takes of all files together (--max-received)"
NO_OFFER = "Nobody offers such a file."

SHOWN_NAME = 30
"""Maximum characters of a file's name in the progress."""

BAR = 10
"""Columns of the progress bar."""

MAX_LISTED = 100
"""Maximum number of received files that are listed."""


class OwnOffer(NamedTuple):
    """A file that the user has offered.

    Attributes:
        user: the receiver.
        path: the path as the protocol carries it, see `shown_path`.
        local_path: the path on this machine.
        size: in bytes.
    """

    user: str
    path: str
    local_path: str
    size: int


class Offer(NamedTuple):
    """A file that is offered to the user.

    Attributes:
        sender, name: as they may be shown.
        stored: the safe name under which it is stored.
        size: in bytes.
    """

    sender: str
    name: str
    stored: str
    size: int


class Outgoing:
    """A file that is being sent. It is kept until the server tells its outcome."""

    def __init__(self, offer: OwnOffer, piece: int) -> None:
        self._piece = piece
        self._source: Source | None = None
        self._local_path = offer.local_path
        self._ended = False
        self.path = offer.path
        self.user = offer.user
        self.size = self.rest = offer.size

    def begin(self) -> None:
        """Open the file. Raises FileError."""
        self._source = Source(self._local_path)
        if self._source.size != self.size:
            raise FileError(CHANGED)

    def lines(self, number: str, pieces: int) -> Iterator[str]:
        """Return the lines with the next pieces, and after the last one the line for the end. Raises FileError."""
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
        """Close the file; return a note for the user, without the reason."""
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
        """Bytes that the file has used of all that may be received."""
        return FILE_COST + self.size - self.rest if self.has_begun else 0

    def begin(self) -> None:
        """Make the file. Raises FileError."""
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
        """The file is complete: give it its name; return a note for the user. Raises FileError."""
        if self.rest:
            raise FileError("a part of it is missing")
        name = self._sink.commit()
        self._sink.close()
        renamed = "" if name == self.path else f" It is called {name} here."
        return f"Received: {self.path} from {self._sender}, {self.size} bytes.{renamed}"

    def close(self) -> str:
        """Close the file; return a note for the user, without the reason."""
        self._sink.close()
        return f"Not received: {self.path} from {self._sender}: "


class FileTransfers:
    """Sends the files that the user offers, and receives those that are offered. An empty note means no note.

    Args:
        send: takes the lines for the server, without their newlines.
        ask_first: receive a file into `received/` when the user has accepted it; else at once, into the current
            directory.
        max_bytes: of all files that are received; each counts FILE_COST more.

    Attributes:
        failed: a file that was being sent has not arrived.
    """

    def __init__(self, send: Callable[[str], None], *, ask_first: bool = False, max_bytes: int) -> None:
        self._send = send
        self._ask_first = ask_first
        self._room = max_bytes
        """Bytes that may still be received. A mere offer uses none, or a few offers could keep out all others."""
        self._own_offers: deque[OwnOffer] = deque(maxlen=OFFERS_KEPT)
        """The newest. The server does not report the outcome of each offer."""
        self._not_taken: tuple[str, ...] = ()
        """Path and user of the last file of which the server has said that it was not taken."""
        self._offers: dict[str, Offer] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._incoming: dict[str, Incoming] = {}
        self._received: list[str] = []
        self.failed = False
        umask = os.umask(0)
        os.umask(umask)
        self._mode = 0o666 & ~umask

    # ---- for the program ----

    def offer(self, line: str, local_path: str) -> str:
        """Complete the offer `/send <user> <path>` with the file's size, or a dash if it cannot be read.

        The server decides about the offer, and may ask for the file later (F3, F4).
        """
        _verb, user, path = split_words(line)
        size = size_of(local_path)
        if size is None:
            return f"{line} -"
        self._own_offers.append(OwnOffer(user, path, local_path, size))
        return f"{line} {size}"

    def accept(self, user: str = "") -> str:
        """Accept the oldest offer of a user, or of all. If the file cannot be stored, it stays offered."""
        number = self._oldest(user)
        if not number:
            return NO_OFFER
        try:
            check_directory(RECEIVED)
        except FileError as error:
            return f"Not accepted yet: {self._offers[number].name}: {error}. Put that right, then /accept again."
        return self._take(number, self._offers.pop(number))

    def decline(self, user: str = "") -> str:
        """Decline the oldest offer of a user, or of all."""
        number = self._oldest(user)
        if not number:
            return NO_OFFER
        self._send(f"/cancel {number}")
        return f"Declined: {self._offers.pop(number).name}."

    def handle_line(self, line: str) -> str | None:
        """Handle a line from the server.

        Returns:
            For a line that carries files the note to show instead, perhaps empty; None for any other line.
        """
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
        """Return the progress of all transfers in a few words; empty when there are none."""
        files = self._under_way()
        if not files:
            return ""
        total = sum(file.size for file in files)
        done = total - sum(file.rest for file in files)
        what = os.path.basename(files[0].path)[:SHOWN_NAME] if len(files) == 1 else f"{len(files)} files"
        percent = 100 * done // total if total else 100
        bar = "#" * (percent * BAR // 100)
        return f"{what} [{bar:-<{BAR}}] {percent} %"

    def received(self) -> list[str]:
        """Return a line for each file that is offered, on its way, or here."""
        offered = [f"offered: {offer.name} from {offer.sender}, {offer.size} bytes" for offer in self._offers.values()]
        coming = [f"on its way: {file.path}, {file.size} bytes" for file in self._incoming.values()]
        return [*(f"received: {file}" for file in self._received[-MAX_LISTED:]), *coming, *offered]

    def close(self) -> list[str]:
        """The connection or the client ends: drop all transfers; return the notes for the user."""
        files = self._under_way()
        self.failed = self.failed or bool(self._outgoing)
        self._offers.clear()
        self._outgoing.clear()
        self._incoming.clear()
        return [f"{file.close()}the connection is over." for file in files]

    # ---- for the table of lines: files that go ----

    def sending(self, number: str, piece: str, user: str, path: str) -> str:
        """The receiver has accepted an offer."""
        offer = next((offer for offer in reversed(self._own_offers) if offer[:2] == (user, path)), None)
        if offer is None or not int(piece) or number in self._outgoing:
            raise FileError("the server has asked for what was not offered")
        self._own_offers.remove(offer)
        outgoing = self._outgoing[number] = Outgoing(offer, min(int(piece), MAX_PIECE))
        outgoing.begin()
        return ""

    def more(self, number: str, pieces: str) -> str:
        """The server asks for so many more pieces."""
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
        if offer.size + FILE_COST > self._room:
            return self._refuse(number, offer, TOO_MUCH)
        self._offers[number] = offer
        return (
            f"{offer.sender} offers {offer.name}, {offer.size} bytes: /accept {offer.sender} puts it into {RECEIVED}/,"
            f" /decline {offer.sender} does not."
        )

    def piece(self, number: str, base64: str) -> str:
        """A piece of a file arrives."""
        incoming = self._begun(number)
        if incoming is not None:
            self._room -= incoming.write(base64, self._room)
        return ""

    def ended(self, number: str) -> str:
        """A file is complete."""
        incoming = self._begun(number)
        if incoming is None:
            return ""
        note = incoming.commit()
        self._received.append(note.removeprefix("Received: "))
        del self._incoming[number]
        self._send(f"/landed {number}")
        return note

    # ---- for the table of lines: both ----

    def cancelled(self, number: str) -> str:
        """A transfer is cancelled. The server tells both sides, also the one that has cancelled it."""
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
        """Find the number of the oldest offer of a user, or of all; empty if there is none."""
        return next((number for number, offer in self._offers.items() if user in ("", offer.sender)), "")

    def _take(self, number: str, offer: Offer) -> str:
        """Accept an offer, if there is room for the file."""
        if offer.size + FILE_COST > self._room:
            return self._refuse(number, offer, TOO_MUCH)
        location = RECEIVED if self._ask_first else CURRENT_DIRECTORY
        self._incoming[number] = Incoming(offer, Sink(location, offer.stored, self._mode))
        self._send(f"/ready {number}")
        return ""

    def _refuse(self, number: str, offer: Offer, why: str) -> str:
        self._send(f"/cancel {number}")
        return f"Not received: {offer.name} from {offer.sender}: {why}."

    def _begun(self, number: str) -> Incoming | None:
        """Find an accepted file by its number, and make it before its first piece; None if there is none.

        Not earlier: files that wait for their turn hold no descriptors.
        """
        incoming = self._incoming.get(number)
        if incoming is not None and not incoming.has_begun:
            if sum(other.has_begun for other in self._incoming.values()) >= MAX_RUNNING:
                raise FileError("the server sends too many files at once")
            if self._room < FILE_COST:
                raise FileError(TOO_MUCH)
            incoming.begin()
            self._room -= FILE_COST
        return incoming

    def _under_way(self) -> list[Outgoing | Incoming]:
        return [*self._outgoing.values(), *self._incoming.values()]

    def _drop(self, number: str, why: str) -> str:
        """Drop a file; return the note for the user. A file to oneself has the same number in both directions."""
        self._offers.pop(number, None)
        self.failed = self.failed or number in self._outgoing
        incoming = self._incoming.pop(number, None)
        if incoming:
            self._room += incoming.cost
        files = (self._outgoing.pop(number, None), incoming)
        return " ".join([f"{file.close()}{why}." for file in files if file])

    def _confirm(self, line: str) -> None:
        """Notice a line that tells that a file has arrived, or was not taken."""
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
    """A row in the table of the lines with which a server transfers files.

    Attributes:
        words: matches the text after the verb. Its groups are arguments of the call, the file's number first.
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
