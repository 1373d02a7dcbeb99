"""The client's files, on their way to and from other guests of a channel (the dialect `rooms`).

Rules:

- Only what the user has offered leaves, and to that user only: a server that asks for another file gets none.
- A file that comes is written below a hidden name in the current directory, and never more of it than was said. When
  all of it is there it gets its own name, but never that of a file that is there.
- What is not whole is removed when it is cancelled and when the client ends, unless it is killed outright.
- A file is read and written piece by piece, as the server asks for it; nothing here waits for anybody.

Reading order:

1. Names    what a file is called here that somebody else has named; pure
2. Door     the file system: what is there, `Source` to read from, `Sink` to write to
3. Courier  both sides of the lines that carry files; speaks the wire, knows no network and no screen
"""

from __future__ import annotations

import binascii
import contextlib
import errno
import importlib.machinery
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from protocol import clean, split_words
from streams import write_all

# ---- 1. names ----

NAMELESS = "file"

MAX_NAME = 200
"""Bytes of a name. File systems take 255; there has to be room for what is put before and behind it."""

MAX_SUFFIX = 32
"""Bytes of what stands behind the last dot of a name that is too long, if that is to be kept."""


def safe_name(name: str) -> str:
    """Give the name under which a file may be stored that is called so elsewhere.

    It is a name in the current directory, is not hidden, is no option of a command, and is not too long.
    """
    base = clean(os.path.basename(name)).replace("\t", "_").lstrip(".-~")
    if len(base.encode(errors="replace")) > MAX_NAME:
        stem, suffix = os.path.splitext(base)
        if len(suffix.encode(errors="replace")) > MAX_SUFFIX:
            stem, suffix = base, ""
        room = MAX_NAME - len(suffix.encode(errors="replace"))
        base = stem.encode(errors="replace")[:room].decode(errors="ignore") + suffix
    return base or NAMELESS


def harmless_name(name: str, directory: str) -> str:
    """Give the name under which a file may be stored in this directory, where we live or not.

    Python looks for modules beside the program that it runs. A file in our own directory that is called like one of
    them would be run at the next start.
    """
    importable = name.endswith(tuple(importlib.machinery.all_suffixes()))
    return f"{name}.received" if importable and os.path.samefile(directory, OWN_DIRECTORY) else name


def other_names(name: str) -> Iterator[str]:
    """Give a name, then others that are like it: a.txt, a-1.txt, a-2.txt."""
    yield name
    stem, suffix = os.path.splitext(name)
    for number in itertools.count(1):
        yield f"{stem}-{number}{suffix}"


# ---- 2. door ----

HERE = "."
OWN_DIRECTORY = os.path.dirname(os.path.abspath(__file__))

MAX_PATHS = 1000
"""Paths that a completion offers."""

NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that have none."""

CHANGED = "it has changed meanwhile"


class Trouble(Exception):
    """A file cannot be read or written; it says why."""


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Make what the system says of a file the reason of a `Trouble`."""
    try:
        yield
    except OSError as error:
        raise Trouble(error.strerror or str(error)) from error
    except ValueError as error:  # a character that no name can have here
        raise Trouble("that cannot be a file's name here") from error


def paths(word: str) -> list[str]:
    """Give the paths that begin with this word and can be typed as one; a directory's ends in a slash."""
    directory, prefix = os.path.split(word)
    found = []
    with contextlib.suppress(OSError, ValueError), os.scandir(directory or HERE) as entries:
        for entry in itertools.islice((entry for entry in entries if _offered(entry.name, prefix)), MAX_PATHS):
            found.append(os.path.join(directory, entry.name) + ("/" if entry.is_dir() else ""))
    return sorted(found)


def _offered(name: str, prefix: str) -> bool:
    hidden = name.startswith(".") and not prefix
    return name.startswith(prefix) and not hidden and split_words(clean(name)) == [name]


def size_of(path: str) -> int | None:
    """Give the bytes of a file that can be read; None when there is none."""
    with contextlib.suppress(Trouble), contextlib.closing(Source(path)) as source:
        return source.size
    return None


class Source:
    """A file to read from.

    Args:
        path: of a regular file.

    Raises:
        Trouble: there is none that can be read.
    """

    def __init__(self, path: str) -> None:
        with in_words():
            if not stat.S_ISREG(os.stat(path).st_mode):  # looked at first: to open a device can do something
                raise Trouble("it is not a regular file")
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._seen = self._look()
        self.size = self._seen[0]

    def read(self, most: int) -> bytes:
        """Give the next bytes.

        Raises:
            Trouble: it cannot be read, or has become shorter.
        """
        with in_words():
            data = os.read(self._descriptor, most)
        if not data:
            raise Trouble(CHANGED)
        return data

    def check(self) -> None:
        """All has been read.

        Raises:
            Trouble: it is not the file any more that it was.
        """
        with in_words():
            if self._look() != self._seen:
                raise Trouble(CHANGED)

    def close(self) -> None:
        os.close(self._descriptor)

    def _look(self) -> tuple[int, int]:
        now = os.fstat(self._descriptor)
        return now.st_size, now.st_mtime_ns


class Sink:
    """A file to write to, in the current directory. Nothing is there before `open`."""

    def __init__(self, name: str, mode: int) -> None:
        self._name = name
        self._mode = mode
        self._hidden = f".{name}.part-{os.urandom(6).hex()}"
        self._descriptor = -1

    def open(self) -> None:
        """Begin, below a hidden name. Raises Trouble."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with in_words():
            self._name = harmless_name(self._name, HERE)
            self._descriptor = os.open(self._hidden, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Write all of it. Raises Trouble."""
        with in_words():
            write_all(self._descriptor, data)

    def land(self) -> str:
        """Give the file its name, or one that is like it, and return that. Raises Trouble."""
        with contextlib.suppress(OSError):  # not every file system has modes
            os.fchmod(self._descriptor, self._mode)
        with in_words():
            for name in other_names(self._name):
                with contextlib.suppress(FileExistsError):
                    self._take(name)
                    break
        return name

    def close(self) -> None:
        """Remove what has not landed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        with contextlib.suppress(OSError, ValueError):
            os.unlink(self._hidden)

    def _take(self, name: str) -> None:
        """Move to a name. Raises FileExistsError when there is something under it already."""
        try:
            os.link(self._hidden, name)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            try:
                os.replace(self._hidden, name)  # our own empty file, which has held the name
            except OSError:
                os.unlink(name)
                raise


# ---- 3. courier ----

MAX_PIECE = 8 * 1024
MAX_PIECES = 64
"""Bytes of a piece, and pieces that are sent at once, whatever the server asks for: less than the loop lets wait."""

OFFERS_KEPT = 64

ARRIVED = re.compile(r"\[Server message \([0-9:]+\)\] You sent ([^ ]+) to ([^ ]+)\.")

SHOWN_NAME = 30
"""Characters of a file's name in the progress."""


class Outgoing:
    """A file that is being sent. It stays until the server says what has become of it."""

    def __init__(self, path: str, user: str, size: int, piece: int) -> None:
        self._piece = piece
        self._source: Source | None = None
        self._ended = False
        self.path = path
        self.user = user
        self.size = self.rest = size

    def begin(self) -> None:
        """Be ready to give pieces. Raises Trouble."""
        self._source = Source(self.path)
        if self._source.size != self.size:
            raise Trouble(CHANGED)

    def lines(self, number: str, pieces: int) -> Iterator[str]:
        """Give the lines that carry the next pieces, and behind the last one the end. Raises Trouble."""
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

    def __init__(self, sink: Sink, name: str, sender: str, size: int) -> None:
        self._sink = sink
        self._sender = sender
        self.path = name
        self.size = self.rest = size

    def begin(self) -> None:
        """Be ready for pieces. Raises Trouble."""
        self._sink.open()

    def write(self, base64: str) -> None:
        """Take a piece. Raises Trouble."""
        try:
            data = binascii.a2b_base64(base64, strict_mode=True)
        except ValueError as error:
            raise Trouble("a piece of it is damaged") from error
        if len(data) > self.rest:
            raise Trouble("more of it comes than was said")
        self._sink.write(data)
        self.rest -= len(data)

    def land(self) -> str:
        """All has come: give the file its name; return what to tell. Raises Trouble."""
        if self.rest:
            raise Trouble("a part of it is missing")
        name = self._sink.land()
        self._sink.close()
        renamed = "" if name == self.path else f" It is called {name} here."
        return f"Received: {self.path} from {self._sender}, {self.size} bytes.{renamed}"

    def close(self) -> str:
        """It goes no further; return what to tell, to which the reason is to be added."""
        self._sink.close()
        return f"Not received: {self.path} from {self._sender}: "


class Courier:
    """Sends what the user offers and takes what comes. Where a note is returned, an empty one is none.

    Args:
        send: takes the lines for the server, without their newlines.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._offers: dict[tuple[str, str], int] = {}
        """The sizes of what was offered, by user and path; the newest. The server does not say what becomes of each."""
        self._outgoing: dict[str, Outgoing] = {}
        self._incoming: dict[str, Incoming] = {}
        self.failed = False
        """Whether a file that was on its way from here has not arrived."""
        umask = os.umask(0)
        os.umask(umask)
        self._mode = 0o666 & ~umask

    # ---- for the program ----

    def offer(self, line: str) -> str:
        """Complete a line that offers a file, `/send <user> <path>`: with its size, or a dash if there is no such file.

        What follows is the server's decision; it may ask for the file later.
        """
        _verb, user, path = split_words(line)
        size = size_of(path)
        if size is None:
            return f"{line} -"
        self._offers.pop((user, path), None)
        self._offers[user, path] = size
        if len(self._offers) > OFFERS_KEPT:
            del self._offers[next(iter(self._offers))]
        return f"{line} {size}"

    def hear(self, line: str) -> str | None:
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
            return row.take(self, *found.groups())
        except Trouble as trouble:
            self._send(f"/cancel {found[1]}")
            return self._drop(found[1], str(trouble))

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
        self._outgoing.clear()
        self._incoming.clear()
        return [f"{file.close()}the connection is over." for file in files]

    # ---- for the table of lines: files that go ----

    def sending(self, number: str, piece: str, user: str, path: str) -> str:
        """An offer was accepted."""
        size = self._offers.get((user, path))
        if size is None or not int(piece) or number in self._outgoing:
            raise Trouble("the server has asked for what was not offered")
        outgoing = self._outgoing[number] = Outgoing(path, user, size, min(int(piece), MAX_PIECE))
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
        """A file will come if we want."""
        if number in self._incoming:
            raise Trouble("the server has sent two files as one")
        incoming = Incoming(Sink(safe_name(name), self._mode), name, sender, int(size))
        self._incoming[number] = incoming
        incoming.begin()
        self._send(f"/ready {number}")
        return ""

    def piece(self, number: str, base64: str) -> str:
        """A piece of a file has come."""
        if number in self._incoming:
            self._incoming[number].write(base64)
        return ""

    def ended(self, number: str) -> str:
        """All of a file has come."""
        if number not in self._incoming:
            return ""
        note = self._incoming[number].land()
        del self._incoming[number]
        self._send(f"/landed {number}")
        return note

    # ---- for the table of lines: both ----

    def cancelled(self, number: str) -> str:
        """The server says so to both sides, also to the one that has asked for it."""
        return self._drop(number, "it was cancelled")

    # ---- pieces ----

    def _under_way(self) -> list[Outgoing | Incoming]:
        return [*self._outgoing.values(), *self._incoming.values()]

    def _drop(self, number: str, why: str) -> str:
        """A file goes no further. One that somebody sends himself has the same number on both ways."""
        self.failed = self.failed or number in self._outgoing
        files = (self._outgoing.pop(number, None), self._incoming.pop(number, None))
        return " ".join([f"{file.close()}{why}." for file in files if file])

    def _confirm(self, line: str) -> None:
        """The server may say here of a file that it has arrived."""
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
        take: called with the courier first; returns a note. Trouble cancels the file.
    """

    words: str
    take: Callable[..., str]


_NUMBER = "([0-9]{1,18})"

FILE_LINES: Mapping[str, FileLine] = {
    "/sending": FileLine(rf"{_NUMBER} {_NUMBER} ([^ ]+) ([^ ]+)", Courier.sending),
    "/more": FileLine(rf"{_NUMBER} {_NUMBER}", Courier.more),
    "/file": FileLine(rf"{_NUMBER} {_NUMBER} ([^ ]+) (.+)", Courier.announced),
    "/piece": FileLine(rf"{_NUMBER} (?s:(.*))", Courier.piece),
    "/end": FileLine(_NUMBER, Courier.ended),
    "/cancel": FileLine(_NUMBER, Courier.cancelled),
}
