"""The files of a database: the lock, whether they belong together, and whether they are still there. No SQL.

SQLite applies any write-ahead log that it finds beside a database. That may be the log of a crashed server, beside a
backup that was put there since. So a row of the database, its *stamp*, ties the two together:

- The database file has one token. A state that is read through the log, so also a backup, has another one.
- Each stamp in the log names the tokens that its database file may have. `Stamp` says when each of them is written.

SQLite also goes on writing to files that were moved or removed meanwhile. `DatabaseFiles.look` notices that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

PAGE_SIZE = 4096
LOG_PAGES = 1000
"""Pages in the write-ahead log before they are moved to the database."""

_HEADER = 32
_FRAME = 24
LOG_SIZE = LOG_PAGES * (PAGE_SIZE + _FRAME) + _HEADER
"""Bytes that the write-ahead log is given at once. A commit takes half the time if it need not extend the file, since
the file system then writes nothing of its own (measured: 0.11 ms against 0.21 ms)."""

_LOG_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_STAMP_MAGIC = b"stamp of"
_TOKEN = 8


class StoreError(Exception):
    """The database cannot be opened; the message says why and what to do."""


class FilesLost(Exception):
    """The files are not those that were opened: moved, removed, replaced or written over; the message says which."""


class LogLost(FilesLost):
    """The log alone is lost."""


class WrittenElsewhere(Exception):
    """Another program has written to the database file, not through the log."""


class Stamp(NamedTuple):
    """A token, and the tokens that the database file may have while this stamp is in its log.

    Before a checkpoint the stamp is (new, old, new): the file has the old token until the stamp's own page is moved.
    After it the stamp is (another, new, new), so a state read through the log differs from the file.
    """

    token: bytes
    on_file: bytes
    or_on_file: bytes

    @classmethod
    def before_checkpoint(cls, on_file: bytes) -> Stamp:
        token = os.urandom(_TOKEN)
        return cls(token, on_file, token)

    @classmethod
    def after_checkpoint(cls, on_file: bytes) -> Stamp:
        return cls(os.urandom(_TOKEN), on_file, on_file)

    def pack(self) -> bytes:
        """Return the value for the one row of the table `stamp` (id INTEGER PRIMARY KEY, stamp BLOB)."""
        return b"".join((_STAMP_MAGIC, *self))

    @classmethod
    def on_page(cls, page: bytes) -> Stamp | None:
        """Find the stamp on a page of the database: in SQLite's file format, a table's leaf page with one cell."""
        if page[:1] != b"\x0d" or page[3:5] != b"\0\1":
            return None
        start = int.from_bytes(page[8:10], "big") + 5  # of the cell: two lengths, the row's number, two types
        packed = page[start : start + len(_STAMP_MAGIC) + 3 * _TOKEN]
        if not packed.startswith(_STAMP_MAGIC):
            return None
        return cls(*(packed[at : at + _TOKEN] for at in range(len(_STAMP_MAGIC), len(packed), _TOKEN)))


NO_TOKEN = bytes(_TOKEN)
"""The token of a file without a stamp."""


class DatabaseFiles:
    """A database and its log, locked for this process until `close` or the end of the process.

    SQLite itself uses another kind of lock, so other programs may still read.

    Args:
        path: the database's path. A missing file is made, for its owner alone.
        stamped_version: the first schema (`PRAGMA user_version`) that has a stamp.

    Attributes:
        is_new: the database was missing or empty.

    Raises:
        StoreError: it is in use, is no regular file, or lies beside a log that is not its own.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str, stamped_version: int) -> None:
        self.name = path
        self.path = os.path.realpath(path)  # where SQLite puts the log, too
        self.log_path = f"{self.path}-wal"
        self._encoded_path, self._encoded_log_path = os.fsencode(self.path), os.fsencode(self.log_path)
        for each in (self.path, self.log_path):
            _check_kind(each)
        if os.path.islink(path):
            self._check_log_beside_link()
        if not os.path.exists(self.path):
            self._check_orphan()  # before the database is made
        self._file = self._claim()
        self.is_new = not os.fstat(self._file.fileno()).st_size
        try:
            self._check_log(stamped_version)
        except BaseException:
            self._file.close()
            raise

    def _claim(self) -> BinaryIO:
        # It holds password hashes and private messages, so it is made for its owner alone.
        file = open(self.path, "ab+", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise StoreError(
                f"the database {self.name} is in use by another server (see who has it: fuser {self.name});"
                " choose another with --database PATH"
            ) from None
        return file

    def close(self) -> None:
        """Unlock the database."""
        self._file.close()

    # ---- whether they belong together ----

    def _check_orphan(self) -> None:
        if any(_frames(self.log_path)):
            raise StoreError(
                f"the database {self.name} is missing or empty, but {self.log_path} has what was written to it:"
                f" put the database back, or start a new one with: mv {self.log_path} {self.log_path}.old"
            )

    def _check_log_beside_link(self) -> None:
        """A link has no log of its own: one that is there belongs to a database that was moved away from here."""
        log_path = f"{self.name}-wal"
        if any(_frames(log_path)):
            raise StoreError(
                f"the database {self.name} is a link to {self.path}, but {log_path} has what was written to a database"
                f" that was here: put that one back, or start without what it has with: mv {log_path} {log_path}.old"
            )

    def _check_log(self, stamped_version: int) -> None:
        if self.is_new:
            self._check_orphan()
            return
        stamps = [(number, stamp) for number, page in _frames(self.log_path) if (stamp := Stamp.on_page(page))]
        if not stamps:
            self._check_unstamped_log(stamped_version)
            return
        allowed = {token for _number, stamp in stamps for token in stamp[1:]}
        if not any(self.token(number) in allowed for number in {number for number, _stamp in stamps}):
            raise StoreError(
                f"{self.log_path} is not the write-ahead log of the database {self.name}, which is perhaps a backup"
                " that was put in the place of another: put the one back that it belongs to, or start without what"
                f" it has with: mv {self.log_path} {self.log_path}.old"
            )

    def _check_unstamped_log(self, stamped_version: int) -> None:
        """Accept a log without stamps if it is empty, or if its database is older than stamps."""
        version = int.from_bytes(os.pread(self._file.fileno(), 4, 60), "big")
        if version >= stamped_version and any(_frames(self.log_path)):
            raise StoreError(
                f"{self.log_path} was written by another program: have it close the database {self.name} (see who has"
                f" it: fuser {self.name}), or start without what was written: mv {self.log_path} {self.log_path}.old"
            )

    def token(self, page_number: int) -> bytes:
        """Return the token that the database file has on this page; the log is not read."""
        file = self._file.fileno()
        size = int.from_bytes(os.pread(file, 2, 16), "big")  # 1 stands for 65536, a size that is not used here
        stamp = Stamp.on_page(os.pread(file, size, (page_number - 1) * size))
        return stamp.token if stamp else NO_TOKEN

    # ---- whether they are still there ----

    def lengthen_log(self) -> None:
        """Fill the log up to LOG_SIZE with zeros, which SQLite takes for old frames."""
        with open(self.log_path, "ab") as file:
            missing = LOG_SIZE - file.tell()
            if missing > 0:
                file.write(bytes(missing))
                file.flush()
                os.fsync(file.fileno())

    def remember(self) -> None:
        """Remember which two files these are, for `look`.

        Raises:
            OSError: one of them is not there.
        """
        self._database, self._log = os.lstat(self.path), os.stat(self.log_path)
        self.accept_change()

    def accept_change(self) -> None:
        """Accept all writes to the database file up to now."""
        self._written = os.fstat(self._file.fileno()).st_mtime_ns

    def look(self) -> int:
        """Return the bytes of the log's file. Done for every commit, so it makes two system calls only.

        Raises:
            FilesLost: the database is no longer the file that was opened; LogLost: the log is not.
            WrittenElsewhere: another program has written to the database file.
        """
        try:
            database, log = os.lstat(self._encoded_path), os.stat(self._encoded_log_path)
        except OSError:
            pass  # told below
        else:
            same = database.st_ino == self._database.st_ino and log.st_ino == self._log.st_ino
            if same and database.st_mtime_ns == self._written:
                return log.st_size
        _check_same(self.path, os.lstat, self._database, FilesLost)  # SQLite seeks the log where a link leads
        _check_same(self.log_path, os.stat, self._log, LogLost)
        raise WrittenElsewhere

    @property
    def log_size(self) -> int:
        """Bytes of the log's file; 0 where there is none."""
        return os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    @property
    def size(self) -> int:
        """Bytes of the database and of its log; a missing file counts as 0."""
        return self.log_size + (os.path.getsize(self.path) if os.path.exists(self.path) else 0)

    @property
    def is_exposed(self) -> bool:
        """Whether other users of the machine can read or write a file."""
        return any(os.stat(path).st_mode & 0o077 for path in (self.path, self.log_path))


def _check_same(path: str, look: Callable[[str], os.stat_result], known: os.stat_result, lost: type[FilesLost]) -> None:
    try:
        status = look(path)
    except OSError as error:
        raise lost(f"{path} was moved or removed ({error.strerror})") from error
    if not os.path.samestat(status, known):
        raise lost(f"{path} is another file now")


def _check_kind(path: str) -> None:
    """Check that a path is no FIFO, device or directory, which must not be opened.

    Raises:
        OSError: it is.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _frames(log_path: str) -> Iterator[tuple[int, bytes]]:
    """Return the frames of a write-ahead log: page numbers, and pages. There are none without a log."""
    if not os.path.exists(log_path):
        return
    with open(log_path, "rb") as file:
        header = file.read(_HEADER)
        if header[:4] not in _LOG_MAGIC:
            if any(header):
                yield 0, b""  # no log, so not ours to write over
            return
        page_size = int.from_bytes(header[8:12], "big")
        while len(frame := file.read(_FRAME + page_size)) == _FRAME + page_size and frame[8:16] == header[16:24]:
            yield int.from_bytes(frame[:4], "big"), frame[_FRAME:]


def why_the_disk_refuses(directory: str) -> str | None:
    """Return the system's reason why nothing can be written to a directory's disk; None when a file can be."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(16 * PAGE_SIZE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror
    return None
