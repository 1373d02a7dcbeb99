"""The client's files, on their way to and from other guests of a channel (the dialect `rooms`).

Rules:

- Only what the user has offered leaves, once and to that user only: a server that asks for another file gets none.
- On a terminal a file comes only when the user has accepted it, and into `received/`; in a pipe it comes into the
  current directory.
- A file that comes is written below a hidden name, and never more of it than was said. When all of it is there it gets
  its own name, but never that of a file that is there, nor one that a program looks for.
- What is not whole is removed when it is cancelled and when the client ends, unless it is killed outright.
- A file is read and written piece by piece, as the server asks for it; nothing here waits for anybody.
- What a server can make this client hold, write and show is bounded: offers, open files, bytes, lengths of names.

Reading order:

1. Names    what a file is called here that somebody else has named, and what is used of it; pure
2. Door     the file system: what is there, `Source` to read from, `Sink` to write to
3. Courier  both sides of the lines that carry files; speaks the wire, knows no network and no screen
"""

from __future__ import annotations

import binascii
import contextlib
import errno
import itertools
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from text import NAMELESS, folded_name, has_controls, shown_path, split_words
from ui.streams import write_all

# ---- 1. names ----

MAX_NAME = 200
"""Bytes of a name. File systems take 255; there has to be room for what is put before and behind it."""

MAX_SUFFIX = 32
"""Bytes of what stands behind the last dot of a name that is too long, if that is to be kept."""

MAX_READ = 400
"""Characters that are looked at from either end of a name, however long it is."""

RECEIVED = "received"
"""Where files are stored that the user has accepted; with a dot, what a name gets that a program looks for."""

USED_ENDINGS = (
    ".py", ".pyc", ".pyw", ".so", ".pyd", ".pth", ".db", ".sqlite", ".sqlite3", "-wal", "-shm", "-journal", ".mk",
    ".toml", ".ini", ".cfg", ".conf",
)  # fmt: skip
USED_NAMES = frozenset({"makefile", "gnumakefile", "dockerfile", "package.json", "cmakelists.txt", RECEIVED})
"""Names of files that programs use when they find them (F13), and that of our own directory, which stays free."""

NUMBERED = 100
"""Names that are tried by number when a name is taken; then they are drawn by lot."""


def safe_name(name: str) -> str:
    """Give the name under which a file may be stored that is called so elsewhere (F13).

    It is a name in one directory and all visible, is not hidden, is no option of a command, is not too long, and no
    program uses the file because of it. This takes no longer for a longer name.
    """
    base = os.path.basename(name)
    if len(base) > 2 * MAX_READ:
        base = base[:MAX_READ] + base[-MAX_READ:]
    base = "_".join(shown_path(base).split())
    bare = base.lstrip(".-~")
    hidden = "." in base[: len(base) - len(bare)]
    bare = _cut(bare) or NAMELESS
    return f"{bare}.{RECEIVED}" if hidden or is_used(base) or is_used(bare) else bare


def is_used(name: str) -> bool:
    """Tell whether programs use a file when they find it under this name (F13).

    It is looked at as a file system sees it that does not tell apart the forms of letters, or drops dots at the end.
    """
    folded = folded_name(name).rstrip(". ")
    requirements = folded.startswith("requirements") and folded.endswith(".txt")
    return requirements or folded.endswith(USED_ENDINGS) or folded in USED_NAMES


def _cut(name: str) -> str:
    """Give a name in MAX_NAME bytes at most, with its suffix if that is not long."""
    if len(name.encode()) <= MAX_NAME:
        return name
    stem, suffix = os.path.splitext(name)
    if len(suffix.encode()) > MAX_SUFFIX:
        stem, suffix = name, ""
    return stem.encode()[: MAX_NAME - len(suffix.encode())].decode(errors="ignore") + suffix


def other_names(name: str) -> Iterator[str]:
    """Give a name, then others that are like it: a.txt, a-1.txt, a-2.txt. After many come some that are free."""
    yield name
    stem, suffix = os.path.splitext(name)
    for number in range(1, NUMBERED):
        yield f"{stem}-{number}{suffix}"
    for _ in range(NUMBERED):
        yield f"{stem}-{os.urandom(6).hex()}{suffix}"


# ---- 2. door ----

HERE = "."

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
    return name.startswith(prefix) and not hidden and split_words(name) == [name] and not has_controls(name)


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


def open_directory(name: str) -> int | None:
    """Give a descriptor of the directory in which files are stored; None for the current one.

    Another one is made if it is not there. It has to be ours and no symbolic link, and is closed to everybody else.

    Raises:
        Trouble: it cannot be had.
    """
    if name == HERE:
        return None
    with in_words(), contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700)
    with contextlib.ExitStack() as undo:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Trouble(f"{name}: {error.strerror}") from error
        undo.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise Trouble(f"{name} belongs to somebody else")
        if stat.S_IMODE(status.st_mode) != 0o700:
            with contextlib.suppress(OSError):  # not every file system has modes
                os.fchmod(descriptor, 0o700)
        undo.pop_all()
    return descriptor


def check_directory(name: str) -> None:
    """Make sure that files can be stored there. Raises Trouble."""
    descriptor = open_directory(name)
    if descriptor is not None:
        os.close(descriptor)


class Sink:
    """A file to write to. Nothing is there before `open`.

    Args:
        directory: in which it is.
        name: that it shall have in the end.
        mode: its permissions in the end.
    """

    def __init__(self, directory: str, name: str, mode: int) -> None:
        self._place = directory
        self._name = name
        self._mode = mode
        self._hidden = f".{name}.part-{os.urandom(6).hex()}"
        self._directory: int | None = None
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def open(self) -> None:
        """Begin, below a hidden name. Raises Trouble."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._directory = open_directory(self._place)
        with in_words():
            self._descriptor = os.open(self._hidden, flags, 0o600, dir_fd=self._directory)

    def write(self, data: bytes) -> None:
        """Write all of it. Raises Trouble."""
        with in_words():
            write_all(self._descriptor, data)

    def land(self) -> str:
        """Give the file its name, or one that is like it, and return its path from here. Raises Trouble."""
        with contextlib.suppress(OSError):  # not every file system has modes
            os.fchmod(self._descriptor, self._mode)
        with in_words():
            for name in other_names(self._name):
                with contextlib.suppress(FileExistsError):
                    self._take(name)
                    return name if self._place == HERE else os.path.join(self._place, name)
        raise Trouble("there are too many files of this name")

    def close(self) -> None:
        """Remove what has not landed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            with contextlib.suppress(OSError, ValueError):
                os.unlink(self._hidden, dir_fd=self._directory)
        if self._directory is not None:
            os.close(self._directory)
        self._descriptor, self._directory = -1, None

    def _take(self, name: str) -> None:
        """Move to a name. Raises FileExistsError when there is something under it already."""
        directory = self._directory
        try:
            os.link(self._hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=directory))
            try:  # our own empty file has held the name
                os.replace(self._hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.unlink(name, dir_fd=directory)
                raise


# ---- 3. courier ----

MAX_PIECE = 8 * 1024
MAX_PIECES = 64
"""Bytes of a piece, and pieces that are sent at once, whatever the server asks for: less than the loop lets wait."""

OFFERS_KEPT = 64
"""Of the user's own."""

MAX_OFFERS = 1000
"""Files that may be offered to the user, or be on their way here, whatever the server does."""

MAX_RUNNING = 8
"""Files that may be open here, as many as the server lets run at once (F10)."""

MAX_RECEIVED = 1024 * 1024 * 1024
"""Bytes of all the files that are received, where the command line says nothing else."""

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
        """Be ready to give pieces. Raises Trouble."""
        self._source = Source(self._local_path)
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
        """Be ready for pieces. Raises Trouble."""
        self._sink.open()

    def write(self, base64: str, room: int) -> int:
        """Take a piece, if it has at most so many bytes; return how many it has. Raises Trouble."""
        try:
            data = binascii.a2b_base64(base64, strict_mode=True)
        except ValueError as error:
            raise Trouble("a piece of it is damaged") from error
        if len(data) > self.rest:
            raise Trouble("more of it comes than was said")
        if len(data) > room:
            raise Trouble(TOO_MUCH)
        self._sink.write(data)
        self.rest -= len(data)
        return len(data)

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
        asks: a file comes when the user has accepted it, and into `received/`; else at once, and into the current
            directory.
        most: bytes of all files that are received; each counts COST beside.

    Attributes:
        failed: a file that was on its way from here has not arrived.
    """

    def __init__(self, send: Callable[[str], None], *, asks: bool = False, most: int = MAX_RECEIVED) -> None:
        self._send = send
        self._asks = asks
        self._room = most
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
        except Trouble as trouble:
            return f"Not accepted yet: {self._offers[number].name}: {trouble}. Put that right, then /accept again."
        return self._take(number, self._offers.pop(number))

    def decline(self, user: str = "") -> str:
        """Do not take the oldest file that this user offers, or anybody."""
        number = self._oldest(user)
        if not number:
            return NO_OFFER
        self._send(f"/cancel {number}")
        return f"Declined: {self._offers.pop(number).name}."

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
        self._offers.clear()
        self._outgoing.clear()
        self._incoming.clear()
        return [f"{file.close()}the connection is over." for file in files]

    # ---- for the table of lines: files that go ----

    def sending(self, number: str, piece: str, user: str, path: str) -> str:
        """An offer was accepted."""
        offer = next((offer for offer in reversed(self._own_offers) if offer[:2] == (user, path)), None)
        if offer is None or not int(piece) or number in self._outgoing:
            raise Trouble("the server has asked for what was not offered")
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
            raise Trouble("the server has sent two files as one")
        offer = Offer(shown_path(sender)[:MAX_SHOWN], shown_path(name), safe_name(name), int(size))
        if len(self._offers) + len(self._incoming) >= MAX_OFFERS:
            return self._refuse(number, offer, "too many files are offered")
        if not self._asks:
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
        note = incoming.land()
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
        place = RECEIVED if self._asks else HERE
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
                raise Trouble("the server sends too many files at once")
            if self._room < COST:
                raise Trouble(TOO_MUCH)
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
