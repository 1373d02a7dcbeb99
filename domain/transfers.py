"""Files on their way from one guest of a channel to another, piece by piece, with never more than a few pieces here.

The receiver sets the pace: the next piece is requested when one has left for the receiver. The clients read and write
the files; the server passes the pieces on, and checks that their bytes add up to the announced size.

A transfer is first *offered*, then *accepted*, then *running*. Only running ones count for their
receiver's limit; an accepted one waits for a free place. Offers and running transfers have deadlines.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from domain.errors import CannotReceive, FileMissing, FileTooLarge, TooManyFiles
from domain.events import FileCancelled, FileEnded, FileNotTaken, FileOffered, FilePiece, FileSent, FileWanted, SendFile
from domain.interfaces import Timers
from domain.state import RoomGuest
from settings import Settings

WINDOW = 3
"""Pieces of a file that may be in flight; so many lines of a connection's output buffer."""

MAX_RUNNING = 8
"""Transfers that run at once for a receiver; their pieces fit into the smallest output buffer."""

MAX_OF_ONE_SENDER = 2
"""Transfers that run at once for a receiver from one sender."""

MAX_OPEN = 8
"""Transfers of one sender, in any state; so the memory for them is bounded."""


class Client(Protocol):
    """A session, as this sees it."""

    principal: Any

    def deliver(self, event: Any) -> None: ...
    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None: ...


class State(enum.Enum):
    """How far a transfer is."""

    OFFERED = enum.auto()
    ACCEPTED = enum.auto()
    RUNNING = enum.auto()
    ENDED = enum.auto()
    """The sender has sent all; the transfer still counts for the limit."""


class Transfer:
    """A file on its way: its two sessions, the bytes still to come, and the pieces that may come now."""

    __slots__ = (
        "allowed",
        "deadline",
        "moved_at",
        "number",
        "path",
        "receiver",
        "recipient",
        "rest",
        "sender",
        "sender_name",
        "state",
    )

    def __init__(self, number: int, sender: Client, receiver: Client, path: str, size: int) -> None:
        self.number = number
        self.sender = sender
        self.receiver = receiver
        self.sender_name: str = sender.principal.name
        self.recipient: str = receiver.principal.name
        self.path = path
        self.rest = size
        self.allowed = 0
        self.state = State.OFFERED
        self.moved_at = 0.0
        self.deadline: Any = None

    @property
    def has_place(self) -> bool:
        """Whether it has begun, and so counts for its receiver's limit."""
        return self.state in (State.RUNNING, State.ENDED)


class Inbox:
    """The transfers to one receiver.

    Attributes:
        open: all of them, by number.
        accepted: those that wait for a place, in the order in which they get one.
        running: how many have one.
    """

    __slots__ = ("accepted", "open", "running")

    def __init__(self) -> None:
        self.open: dict[int, Transfer] = {}
        self.accepted: list[Transfer] = []
        self.running = 0


class Transfers:
    """All files on their way.

    Args:
        timers: the monotonic clock.
        settings: `max-file-size`; `file-offer-seconds` (F9); `file-stall-seconds` (F11).
        piece_size: bytes of a piece, at most.
        now: the wall clock, in seconds since the epoch.
        show: tells the operator an event.
        note_activity: notes that a guest is not silent; called for a guest who receives a file.
    """

    def __init__(
        self,
        timers: Timers,
        settings: Settings,
        piece_size: int,
        now: Callable[[], float],
        show: Callable[[Any], None],
        note_activity: Callable[[Any], None],
    ) -> None:
        self._timers = timers
        self._settings = settings
        self._piece_size = piece_size
        self._now = now
        self._show = show
        self._note_activity = note_activity
        self._numbers = itertools.count(1)
        self._open: dict[int, Transfer] = {}
        self._outboxes: dict[Client, dict[int, Transfer]] = {}
        self._inboxes: dict[Client, Inbox] = {}

    def offer(self, sender: Client, recipient: RoomGuest | None, path: str, size: int | None) -> None:
        """Offer a file (F3).

        Args:
            recipient: None for a user who is no guest.
            path: as it may be shown (F12).
            size: its bytes; None where there is no such file.

        Raises:
            FileMissing, CannotReceive, FileTooLarge, TooManyFiles: nothing begins.
        """
        if size is None:
            raise FileMissing
        if recipient is None or not recipient.takes_files:
            raise CannotReceive
        if size > self._settings.max_file_size:
            raise FileTooLarge
        if len(self._outboxes.get(sender, ())) >= MAX_OPEN:
            raise TooManyFiles
        receiver: Any = recipient.session
        transfer = Transfer(next(self._numbers), sender, receiver, path, size)
        self._add(transfer)
        transfer.deadline = self._timers.call_later(self._settings.file_offer_seconds, lambda: self._refuse(transfer))
        sender.deliver(SendFile(transfer.number, self._piece_size, recipient.name, path))
        receiver.deliver(FileOffered(transfer.number, transfer.rest, transfer.sender_name, path))

    def ready(self, client: Client, number: int) -> None:
        """The receiver takes the file; it comes as soon as there is a place (F10)."""
        transfer = self._find(number)
        if transfer is not None and transfer.receiver is client and transfer.state is State.OFFERED:
            self._timers.cancel(transfer.deadline)
            transfer.state = State.ACCEPTED
            inbox = self._inboxes[client]
            inbox.accepted.append(transfer)
            self._run_next(inbox)

    def piece(self, client: Client, number: int, data: str, size: int | None) -> bool:
        """A piece has come from the sender. More pieces than requested, or more bytes than announced, end the transfer.

        Args:
            data: the piece in base64, passed on as it is.
            size: its bytes; None for invalid base64, which ends the transfer too.

        Returns:
            Whether it was passed on.
        """
        transfer = self._find(number)
        if transfer is None or transfer.sender is not client:
            return False
        transfer.rest -= size or 0
        transfer.allowed -= 1
        if size is None or transfer.rest < 0 or transfer.allowed < 0:
            self._cancel(transfer)
            return False
        transfer.moved_at = self._timers.monotonic()
        piece = FilePiece(transfer.number, data)
        transfer.receiver.deliver_with_receipt(piece, lambda has_left: self._passed(transfer, has_left))
        return True

    def end(self, client: Client, number: int) -> None:
        """The sender has sent all; if bytes are missing, the transfer fails."""
        transfer = self._find(number)
        if transfer is None or transfer.sender is not client or transfer.state is State.ENDED:
            return
        if transfer.rest or transfer.state is not State.RUNNING:
            self._cancel(transfer)
        else:
            transfer.state = State.ENDED
            transfer.moved_at = self._timers.monotonic()
            transfer.receiver.deliver(FileEnded(transfer.number))

    def landed(self, client: Client, number: int) -> None:
        """The receiver has the file under its final name."""
        transfer = self._find(number)
        if transfer is not None and transfer.receiver is client and transfer.state is State.ENDED:
            inbox = self._remove(transfer)
            event = FileSent(transfer.sender_name, transfer.recipient, transfer.path, self._now())
            transfer.sender.deliver(event)
            self._show(event)
            self._run_next(inbox)

    def cancel(self, client: Client, number: int) -> None:
        """The sender or the receiver ends the transfer."""
        transfer = self._find(number)
        if transfer is None:
            return
        if client is transfer.sender:
            self._cancel(transfer)
        elif client is transfer.receiver:
            self._refuse(transfer)

    def lost(self, client: Client) -> None:
        """Cancel all transfers of a client that is gone. Running ones are last, so that none of its others starts."""
        sent = self._outboxes.get(client, {})
        received = self._inboxes[client].open if client in self._inboxes else {}
        for transfer in sorted({**sent, **received}.values(), key=lambda transfer: transfer.has_place):
            self._cancel(transfer)

    def close(self) -> None:
        """The server stops: forget all transfers, without a word to the clients."""
        for transfer in list(self._open.values()):
            self._remove(transfer)

    # ---- pieces ----

    def _passed(self, transfer: Transfer, has_left: bool) -> None:
        if has_left and transfer.number in self._open:
            transfer.moved_at = self._timers.monotonic()
            self._note_activity(transfer.receiver.principal)
            self._want(transfer, 1)

    def _want(self, transfer: Transfer, pieces: int) -> None:
        transfer.allowed += pieces
        transfer.sender.deliver(FileWanted(transfer.number, pieces))

    def _refuse(self, transfer: Transfer) -> None:
        """The receiver ends the transfer. If it has not begun, the sender is told so (F9)."""
        if not transfer.has_place:
            transfer.sender.deliver(FileNotTaken(transfer.recipient, transfer.path, self._now()))
        self._cancel(transfer)

    def _cancel(self, transfer: Transfer) -> None:
        inbox = self._remove(transfer)
        for client in {transfer.sender, transfer.receiver}:
            client.deliver(FileCancelled(transfer.number))
        self._run_next(inbox)

    def _find(self, number: int) -> Transfer | None:
        return self._open.get(number)

    def _add(self, transfer: Transfer) -> None:
        self._open[transfer.number] = transfer
        self._outboxes.setdefault(transfer.sender, {})[transfer.number] = transfer
        self._inboxes.setdefault(transfer.receiver, Inbox()).open[transfer.number] = transfer

    def _remove(self, transfer: Transfer) -> Inbox:
        """Forget a transfer; return its receiver's inbox, which may have a free place."""
        self._timers.cancel(transfer.deadline)
        del self._open[transfer.number]
        outbox, inbox = self._outboxes[transfer.sender], self._inboxes[transfer.receiver]
        del outbox[transfer.number], inbox.open[transfer.number]
        if transfer.has_place:
            inbox.running -= 1
        elif transfer.state is State.ACCEPTED:
            inbox.accepted.remove(transfer)
        if not outbox:
            del self._outboxes[transfer.sender]
        if not inbox.open:
            del self._inboxes[transfer.receiver]
        return inbox

    # ---- running ----

    def _run_next(self, inbox: Inbox) -> None:
        """Start accepted transfers while there are places, by turns of their senders."""
        while inbox.running < MAX_RUNNING:
            transfer = next(filter(self._may_run, inbox.accepted), None)
            if transfer is None:
                return
            inbox.accepted.remove(transfer)
            inbox.accepted.sort(key=lambda other: other.sender is transfer.sender)
            inbox.running += 1
            transfer.state = State.RUNNING
            transfer.moved_at = self._timers.monotonic()
            self._watch(transfer)
            self._want(transfer, WINDOW)

    def _may_run(self, transfer: Transfer) -> bool:
        outbox = self._outboxes[transfer.sender].values()
        running = sum(other.has_place and other.receiver is transfer.receiver for other in outbox)
        return running < MAX_OF_ONE_SENDER

    def _watch(self, transfer: Transfer) -> None:
        """Cancel the transfer when it has stood still for too long. One deadline serves for many pieces."""
        rest = transfer.moved_at + self._settings.file_stall_seconds - self._timers.monotonic()
        if rest > 0:
            transfer.deadline = self._timers.call_later(rest, lambda: self._watch(transfer))
        else:
            self._cancel(transfer)
