"""Snapshots: a node that lacks what the log no longer has takes a copy of another node's file.

| step | asked at | answer |
| --- | --- | --- |
| offer | `ct.<c>.snap`; every node hears it | `{"at": subject}` of a backup; of the primary only when asked again |
| make | that subject: `{"do": "make"}`, each second | `{"size", "sha256"}`; `{"wait": true}` until it is made |
| piece | that subject: `{"do": "piece", "at": offset}` | at most PIECE bytes, with the offset as a header |

The giver copies its file in a thread (`VACUUM INTO`) and keeps the copy open, without a name, while anybody asks. The
taker compares the hash, puts the copy in the place of its own file and begins again: the log goes on from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable
from typing import Any, Protocol

from database_copies import Position, position_in
from replica.link import EngineLink
from replica.names import Names, SteppedDown, Unfit, read_answer
from replica.nats import Message
from store import StoreError

PIECE = 256 * 1024
"""Bytes of a snapshot that are asked for at once."""

ASK_SECONDS = 1.0
"""Pause between two requests of one kind; after the first, the primary answers too."""

SILENT_SECONDS = 5.0
"""A giver that has answered nothing for so long is left for another."""

KEEP_SECONDS = 60.0
"""How long a copy is kept for which nobody asks."""

OFFSET = "Offset"

log = logging.getLogger("crosstalk.replica")


class Source(Protocol):
    """The file of a giver."""

    path: str
    position: Position

    def copy_into(self, path: str) -> None: ...


class Target(Protocol):
    """The file of a taker."""

    path: str
    position: Position

    def replace(self, path: str) -> None: ...


class Copy:
    """A copy of the file that can be read in pieces. It has no name, so nothing is left of it after a crash."""

    def __init__(self, descriptor: int, size: int, sha256: str) -> None:
        self.size = size
        self.sha256 = sha256
        self._descriptor = descriptor

    def piece(self, offset: int) -> bytes:
        """Return the bytes from an offset on, at most PIECE."""
        return os.pread(self._descriptor, PIECE, offset)

    def close(self) -> None:
        """Free it."""
        os.close(self._descriptor)


def make_copy(source: Source) -> Copy:
    """Copy a file; for a thread.

    Raises:
        Exception: it cannot be read, or the disk is full.
    """
    path = f"{os.path.realpath(source.path)}.copy"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            source.copy_into(path)
        finally:
            os.unlink(path)
        with open(descriptor, "rb", closefd=False) as file:
            return Copy(descriptor, os.fstat(descriptor).st_size, hashlib.file_digest(file, "sha256").hexdigest())
    except BaseException:
        os.close(descriptor)
        raise


class SnapshotGiver:
    """Answers nodes that ask for a snapshot.

    Args:
        link: the connection to an engine.
        names: the cluster's names.
        run: the name of this run.
        source: the file.
        in_thread: runs work in a thread, and the call with its outcome in the loop.
        clock: the monotonic clock, in seconds.
        is_primary: tells whether this node leads.
    """

    def __init__(
        self,
        link: EngineLink,
        names: Names,
        run: str,
        source: Source,
        in_thread: Callable[[Callable[[], Copy], Callable[[Copy | None, BaseException | None], None]], None],
        clock: Callable[[], float],
        is_primary: Callable[[], bool],
    ) -> None:
        self._link = link
        self._subject = f"{names.snapshot}.{run}"
        self._source = source
        self._in_thread = in_thread
        self._clock = clock
        self._is_primary = is_primary
        self._copy: Copy | None = None
        self._is_making = False
        self._used = 0.0
        link.subscribe(names.snapshot, self._offer)
        link.subscribe(self._subject, self._asked)

    def tick(self) -> None:
        """Free a copy for which nobody asks any more."""
        if self._copy is not None and self._clock() - self._used > KEEP_SECONDS:
            self.close()

    def close(self) -> None:
        """Free the copy."""
        if self._copy is not None:
            self._copy.close()
        self._copy = None

    def _offer(self, message: Message) -> None:
        fields = read_answer(message.payload)
        applied, again = fields.get("applied"), fields.get("again")
        if not isinstance(applied, int) or applied >= self._source.position.applied:
            return  # nothing that the other lacks; itself is such a one, too
        if again or not self._is_primary():
            self._link.publish(message.reply, json.dumps({"at": self._subject}).encode())

    def _asked(self, message: Message) -> None:
        fields = read_answer(message.payload)
        self._used = self._clock()
        match fields:
            case {"do": "make"}:
                self._link.publish(message.reply, json.dumps(self._made()).encode())
            case {"do": "piece", "at": int(offset)} if self._copy is not None and 0 <= offset < self._copy.size:
                self._link.publish(message.reply, self._copy.piece(offset), headers={OFFSET: str(offset)})

    def _made(self) -> dict[str, Any]:
        """Return what is known of the copy; begin to make one where there is none."""
        if self._copy is not None:
            return {"size": self._copy.size, "sha256": self._copy.sha256}
        if not self._is_making:
            self._is_making = True
            log.info("making a snapshot of the database at entry %d", self._source.position.applied)
            self._in_thread(lambda: make_copy(self._source), self._finished)
        return {"wait": True}

    def _finished(self, copy: Copy | None, error: BaseException | None) -> None:
        self._is_making = False
        self._copy = copy
        self._used = self._clock()
        if error is not None:
            log.warning("cannot make a snapshot: %s", error)


class SnapshotTaker:
    """Takes a snapshot in the place of this node's file. To be ticked until it raises.

    Args:
        link: the connection to an engine.
        names: the cluster's names.
        target: the file.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, link: EngineLink, names: Names, target: Target, clock: Callable[[], float]) -> None:
        self._link = link
        self._names = names
        self._target = target
        self._clock = clock
        self._path = f"{os.path.realpath(target.path)}.snapshot"  # on the disk of the file itself, also behind a link
        self._requests = 0
        self._giver = ""
        self._size = 0
        self._sha256 = ""
        self._got = 0
        self._hash = hashlib.sha256()
        self._ask_at = self._heard = 0.0
        self._reply = link.expect(self._answered)
        self._file = open(self._path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115

    def tick(self) -> None:
        """Ask again for what got no answer.

        Raises:
            SteppedDown: the snapshot has been taken.
            Unfit: it cannot be kept.
        """
        now = self._clock()
        if self._giver and now - self._heard > SILENT_SECONDS:
            self._begin_anew("it has been silent")
        if now >= self._ask_at:
            self._ask()

    def close(self) -> None:
        """Leave what was not finished."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _ask(self) -> None:
        """Ask for what is missing: an offer, the copy, or its next piece."""
        self._ask_at = self._clock() + ASK_SECONDS
        if not self._giver:
            self._requests += 1
            fields: dict[str, Any] = {"applied": self._target.position.applied, "again": self._requests > 1}
        elif not self._sha256:
            fields = {"do": "make"}
        else:
            fields = {"do": "piece", "at": self._got}
        self._link.publish(self._giver or self._names.snapshot, json.dumps(fields).encode(), reply=self._reply)

    def _answered(self, message: Message) -> None:
        offset = message.header(OFFSET)
        fields = read_answer(message.payload) if not offset else {}
        match fields:
            case {"at": str(subject)} if not self._giver:
                self._giver, self._heard = subject, self._clock()
                self._ask()
            case {"size": int(size), "sha256": str(sha256)} if self._giver and not self._sha256:
                self._size, self._sha256, self._heard = size, sha256, self._clock()
                self._ask()
            case {"wait": True}:
                self._heard = self._clock()
        if offset == str(self._got) and self._sha256:
            self._add(message.payload)

    def _add(self, piece: bytes) -> None:
        self._heard = self._clock()
        try:
            self._file.write(piece)
        except OSError as error:
            raise Unfit(f"cannot keep a snapshot in {self._path}: {error.strerror}") from error
        self._hash.update(piece)
        self._got += len(piece)
        if self._got < self._size:
            self._ask()
        elif self._hash.hexdigest() != self._sha256:
            self._begin_anew("its hash is wrong")
        else:
            self._finish()

    def _begin_anew(self, reason: str) -> None:
        log.warning("left a snapshot of %d bytes after %d: %s", self._size, self._got, reason)
        self._giver = self._sha256 = ""
        self._size = self._got = 0
        self._hash = hashlib.sha256()
        self._file.seek(0)
        self._file.truncate()

    def _finish(self) -> None:
        """Put the snapshot in the place of the file.

        Raises:
            SteppedDown: so that the process begins again with it.
            Unfit: the disk refuses.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            position = position_in(self._path)
            self._target.replace(self._path)
        except (OSError, StoreError) as error:
            raise Unfit(f"cannot put a snapshot in the place of {self._target.path}: {error}") from error
        raise SteppedDown(f"a snapshot of {self._size} bytes, up to entry {position.applied}, is in place")
