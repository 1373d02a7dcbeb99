"""Files on their way from one guest of a channel to another, piece by piece, with never more than a few pieces here.

The receiving side's pace is the sending side's: a piece is asked for when one before it has left for the receiver. What
becomes of a file is for the two clients; this passes the pieces on and sees that they are as many as was said.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from domain import ChatError
from protocol import MAX_LINE
from rooms import FileSent, RoomGuest

WINDOW = 3
"""Pieces that may be between the two clients; so many lines of a connection's output buffer."""

MAX_AT_ONCE = 8
"""Files that one client may be sending, and as many receiving: their pieces fit into the least output buffer that there
can be."""

BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

LONGEST_SIZE = 18
"""Digits of a file's size."""

PIECE_FRAME = 48
"""Bytes of a line that are not a piece's data: the verb, the number, the end."""


class FileMissing(ChatError):
    """The sender has no such file."""


class CannotReceive(ChatError):
    """The receiver's client takes no files."""


class FileTooLarge(ChatError):
    """The file has more bytes than the setting allows."""


class TooManyFiles(ChatError):
    """The sender is sending too many already, or the receiver receiving."""


# ---- events ----


class FileOffered(NamedTuple):
    """For the receiver: a file will come."""

    number: int
    size: int
    sender: str
    name: str


class SendFile(NamedTuple):
    """For the sender: the file has this number, and its pieces this many bytes at most."""

    number: int
    piece: int
    recipient: str
    path: str


class FileWanted(NamedTuple):
    """For the sender: so many more pieces may come."""

    number: int
    pieces: int


class FilePiece(NamedTuple):
    """For the receiver: a piece, in base64."""

    number: int
    data: str


class FileEnded(NamedTuple):
    """For the receiver: that was all."""

    number: int


class FileCancelled(NamedTuple):
    """For either: no more of this file."""

    number: int


class Client(Protocol):
    """A session, as this sees it."""

    user: Any

    def deliver(self, event: Any) -> None: ...
    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None: ...


class Transfer:
    """A file on its way: between whom, how much of it is still to come, and how many pieces may."""

    __slots__ = ("allowed", "ended", "number", "path", "receiver", "recipient", "rest", "sender", "sender_name")

    def __init__(self, number: int, sender: Client, receiver: Client, path: str, size: int) -> None:
        self.number = number
        self.sender = sender
        self.receiver = receiver
        self.sender_name: str = sender.user.name
        self.recipient: str = receiver.user.name
        self.path = path
        self.rest = size
        self.allowed = 0
        self.ended = False


class Transfers:
    """All files on their way.

    Args:
        max_size: bytes that a file may have.
        max_line: bytes of a line, its newline included; a piece has to fit into one.
        now: the wall clock, in seconds since the epoch.
        show: tells the operator an event.
        stir: notes that a guest is not silent; one who takes a file is not.
    """

    def __init__(
        self,
        max_size: int,
        max_line: int,
        now: Callable[[], float],
        show: Callable[[Any], None],
        stir: Callable[[Any], None],
    ) -> None:
        self._max_size = max_size
        self._piece = (min(max_line, MAX_LINE) - PIECE_FRAME) // 4 * 3
        self._now = now
        self._show = show
        self._stir = stir
        self._numbers = itertools.count(1)
        self._open: dict[int, Transfer] = {}

    def offer(self, sender: Client, recipient: RoomGuest | None, path: str, size: str) -> None:
        """Begin to send a file.

        Args:
            recipient: None for somebody who is no guest.
            size: its bytes in digits, or - where there is no such file.

        Raises:
            FileMissing, CannotReceive, FileTooLarge, TooManyFiles: nothing begins.
        """
        if not (size.isascii() and size.isdigit()):
            raise FileMissing
        if recipient is None or not recipient.takes_files:
            raise CannotReceive
        digits = size.lstrip("0") or "0"
        if len(digits) > LONGEST_SIZE or int(digits) > self._max_size:
            raise FileTooLarge
        receiver: Any = recipient.session
        transfers = self._open.values()
        if (
            sum(transfer.sender is sender for transfer in transfers) >= MAX_AT_ONCE
            or sum(transfer.receiver is receiver for transfer in transfers) >= MAX_AT_ONCE
        ):
            raise TooManyFiles
        number = next(self._numbers)
        self._open[number] = Transfer(number, sender, receiver, path, int(digits))
        sender.deliver(SendFile(number, self._piece, recipient.name, path))
        receiver.deliver(FileOffered(number, int(digits), sender.user.name, posixpath.basename(path) or "file"))

    def ready(self, client: Client, number: str) -> None:
        """The receiver takes the file."""
        transfer = self._find(number)
        if transfer is not None and transfer.receiver is client and not transfer.allowed:
            self._want(transfer, WINDOW)

    def piece(self, client: Client, number: str, data: str) -> None:
        """A piece has come from the sender. More than was asked for, or said, ends the transfer."""
        transfer = self._find(number)
        if transfer is None or transfer.sender is not client:
            return
        transfer.rest -= len(data) // 4 * 3 - data[-2:].count("=")
        transfer.allowed -= 1
        if transfer.rest < 0 or transfer.allowed < 0 or not BASE64.fullmatch(data):
            self._cancel(transfer)
        else:
            piece = FilePiece(transfer.number, data)
            transfer.receiver.deliver_with_receipt(piece, lambda has_left: self._passed(transfer, has_left))

    def end(self, client: Client, number: str) -> None:
        """The sender has sent all; if it is less than was said, the transfer fails."""
        transfer = self._find(number)
        if transfer is None or transfer.sender is not client:
            return
        if transfer.rest:
            self._cancel(transfer)
        else:
            transfer.ended = True
            transfer.receiver.deliver(FileEnded(transfer.number))

    def landed(self, client: Client, number: str) -> None:
        """The receiver has the file under its final name."""
        transfer = self._find(number)
        if transfer is not None and transfer.receiver is client and transfer.ended:
            del self._open[transfer.number]
            event = FileSent(transfer.sender_name, transfer.recipient, transfer.path, self._now())
            transfer.sender.deliver(event)
            self._show(event)

    def cancel(self, client: Client, number: str) -> None:
        """One of both sides goes no further."""
        transfer = self._find(number)
        if transfer is not None and client in (transfer.sender, transfer.receiver):
            self._cancel(transfer)

    def lost(self, client: Client) -> None:
        """A client is gone, and so are its files."""
        for transfer in list(self._open.values()):
            if client in (transfer.sender, transfer.receiver):
                self._cancel(transfer)

    def close(self) -> None:
        """The server stops: no file goes further, and nobody is told."""
        self._open.clear()

    def _passed(self, transfer: Transfer, has_left: bool) -> None:
        if has_left and transfer.number in self._open:
            self._stir(transfer.receiver.user)
            self._want(transfer, 1)

    def _want(self, transfer: Transfer, pieces: int) -> None:
        transfer.allowed += pieces
        transfer.sender.deliver(FileWanted(transfer.number, pieces))

    def _cancel(self, transfer: Transfer) -> None:
        del self._open[transfer.number]
        for client in {transfer.sender, transfer.receiver}:
            client.deliver(FileCancelled(transfer.number))

    def _find(self, number: str) -> Transfer | None:
        return self._open.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 20 else None
