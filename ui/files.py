"""The client's files: under which names they are stored, and how they are read and written.

Rules:

- A file is received under a hidden name. When it is complete it gets its own name, but never that of an existing file,
  nor one that a program looks for (F13).
- An incomplete file is removed when it is cancelled and when the client ends, unless the client is killed.

Reading order:

1. Names        from the sender's name to a safe one; pure
2. File system  `paths` for completion, `Source` to read from, `Sink` to write to
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator

from text import NAMELESS, folded_name, has_controls, shown_path, split_words
from ui.streams import write_all

# ---- 1. names ----

MAX_NAME = 200
"""Maximum bytes of a name. File systems take 255; the rest is for what `Sink` and `other_names` add."""

MAX_SUFFIX = 32
"""Maximum bytes of a suffix that is kept when a name is cut."""

MAX_NAME_READ = 400
"""Characters that are examined at either end of a long name."""

RECEIVED = "received"
"""The directory for files that the user has accepted; also the suffix added to a name that a program looks for."""

USED_ENDINGS = (
    ".py", ".pyc", ".pyw", ".so", ".pyd", ".pth", ".db", ".sqlite", ".sqlite3", "-wal", "-shm", "-journal", ".mk",
    ".toml", ".ini", ".cfg", ".conf",
)  # fmt: skip
USED_NAMES = frozenset({"makefile", "gnumakefile", "dockerfile", "package.json", "cmakelists.txt", RECEIVED})
"""Names of files that programs use when they find them (F13), and of our own directory."""

NUMBERED = 100
"""Numbered names to try when a name is taken, before random ones."""


def safe_name(name: str) -> str:
    """Return the safe name under which a file of this name is stored (F13).

    It is a single path component, visible in full, and not too long. It is neither hidden nor an option of a command,
    and no program uses a file because of it. The time it takes is bounded, whatever the length of the name.
    """
    base = os.path.basename(name)
    if len(base) > 2 * MAX_NAME_READ:
        base = base[:MAX_NAME_READ] + base[-MAX_NAME_READ:]
    base = "_".join(shown_path(base).split())
    bare = base.lstrip(".-~")
    hidden = "." in base[: len(base) - len(bare)]
    bare = _cut(bare) or NAMELESS
    return f"{bare}.{RECEIVED}" if hidden or is_used(base) or is_used(bare) else bare


def is_used(name: str) -> bool:
    """Tell whether programs use a file of this name when they find it (F13).

    Compares as a file system does that ignores the case of letters or drops dots at the end.
    """
    folded = folded_name(name).rstrip(". ")
    requirements = folded.startswith("requirements") and folded.endswith(".txt")
    return requirements or folded.endswith(USED_ENDINGS) or folded in USED_NAMES


def _cut(name: str) -> str:
    """Cut a name to MAX_NAME bytes. A suffix of at most MAX_SUFFIX bytes is kept."""
    if len(name.encode()) <= MAX_NAME:
        return name
    stem, suffix = os.path.splitext(name)
    if len(suffix.encode()) > MAX_SUFFIX:
        stem, suffix = name, ""
    return stem.encode()[: MAX_NAME - len(suffix.encode())].decode(errors="ignore") + suffix


def other_names(name: str) -> Iterator[str]:
    """Return a name, then numbered variants of it (a.txt, a-1.txt, a-2.txt), then random ones."""
    yield name
    stem, suffix = os.path.splitext(name)
    for number in range(1, NUMBERED):
        yield f"{stem}-{number}{suffix}"
    for _ in range(NUMBERED):
        yield f"{stem}-{os.urandom(6).hex()}{suffix}"


# ---- 2. file system ----

CURRENT_DIRECTORY = "."

MAX_PATHS = 1000
"""Maximum number of paths that a completion offers."""

NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links."""

CHANGED = "it has changed meanwhile"


class FileError(Exception):
    """A file cannot be read or written. Its text is the reason, for the user."""


@contextlib.contextmanager
def reporting_os_errors() -> Iterator[None]:
    """Turn errors of the system into `FileError`."""
    try:
        yield
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    except ValueError as error:  # a character that no name can have here
        raise FileError("that cannot be a file's name here") from error


def paths(word: str) -> list[str]:
    """Return the paths that begin with this word and contain no blank. That of a directory ends in a slash."""
    directory, prefix = os.path.split(word)
    found = []
    with contextlib.suppress(OSError, ValueError), os.scandir(directory or CURRENT_DIRECTORY) as entries:
        for entry in itertools.islice((entry for entry in entries if _offered(entry.name, prefix)), MAX_PATHS):
            found.append(os.path.join(directory, entry.name) + ("/" if entry.is_dir() else ""))
    return sorted(found)


def _offered(name: str, prefix: str) -> bool:
    hidden = name.startswith(".") and not prefix
    return name.startswith(prefix) and not hidden and split_words(name) == [name] and not has_controls(name)


def size_of(path: str) -> int | None:
    """Return the size of a readable file in bytes; None if there is none."""
    with contextlib.suppress(FileError), contextlib.closing(Source(path)) as source:
        return source.size
    return None


class Source:
    """A file to read from.

    Args:
        path: of a regular file.

    Raises:
        FileError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        with reporting_os_errors():
            if not stat.S_ISREG(os.stat(path).st_mode):  # before it is opened: that has effects on a device
                raise FileError("it is not a regular file")
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._seen = self._look()
        self.size = self._seen[0]

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size` of them.

        Raises:
            FileError: it cannot be read, or has become shorter.
        """
        with reporting_os_errors():
            data = os.read(self._descriptor, size)
        if not data:
            raise FileError(CHANGED)
        return data

    def check(self) -> None:
        """Check the file after the last read.

        Raises:
            FileError: the file has changed since it was opened.
        """
        with reporting_os_errors():
            if self._look() != self._seen:
                raise FileError(CHANGED)

    def close(self) -> None:
        os.close(self._descriptor)

    def _look(self) -> tuple[int, int]:
        now = os.fstat(self._descriptor)
        return now.st_size, now.st_mtime_ns


def open_directory(name: str) -> int | None:
    """Open the directory for received files; None stands for the current one.

    Another directory is made if it is missing. It must be our own and no symbolic link. Its mode becomes 0700.

    Raises:
        FileError: it cannot be opened, or is not our own.
    """
    if name == CURRENT_DIRECTORY:
        return None
    with reporting_os_errors(), contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700)
    with contextlib.ExitStack() as undo:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise FileError(f"{name}: {error.strerror}") from error
        undo.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise FileError(f"{name} belongs to somebody else")
        if stat.S_IMODE(status.st_mode) != 0o700:
            with contextlib.suppress(OSError):  # not every file system has modes
                os.fchmod(descriptor, 0o700)
        undo.pop_all()
    return descriptor


def check_directory(name: str) -> None:
    """Make sure that files can be stored there. Raises FileError."""
    descriptor = open_directory(name)
    if descriptor is not None:
        os.close(descriptor)


class Sink:
    """A file to write to. It is made by `open`, under a hidden name.

    Args:
        directory: in which it is made.
        name: its final name, if that is free.
        mode: its final permissions.
    """

    def __init__(self, directory: str, name: str, mode: int) -> None:
        self._location = directory
        self._name = name
        self._mode = mode
        self._hidden = f".{name}.part-{os.urandom(6).hex()}"
        self._directory: int | None = None
        self._descriptor = -1
        self._may_exist = False
        """The hidden file has been made, or is being made: a signal may come before its descriptor is known."""

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def open(self) -> None:
        """Make the file under its hidden name. Raises FileError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._directory = open_directory(self._location)
        with reporting_os_errors():
            self._may_exist = True
            self._descriptor = os.open(self._hidden, flags, 0o600, dir_fd=self._directory)

    def write(self, data: bytes) -> None:
        """Write all of it. Raises FileError."""
        with reporting_os_errors():
            write_all(self._descriptor, data)

    def commit(self) -> str:
        """Give the file its final name, or a variant if that is taken; return its path. Raises FileError."""
        with contextlib.suppress(OSError):  # not every file system has modes
            os.fchmod(self._descriptor, self._mode)
        with reporting_os_errors():
            for name in other_names(self._name):
                with contextlib.suppress(FileExistsError):
                    self._take(name)
                    return name if self._location == CURRENT_DIRECTORY else os.path.join(self._location, name)
        raise FileError("there are too many files of this name")

    def close(self) -> None:
        """Close the file, and remove it unless it was committed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        if self._may_exist:
            with contextlib.suppress(OSError, ValueError):
                os.unlink(self._hidden, dir_fd=self._directory)
        if self._directory is not None:
            os.close(self._directory)
        self._descriptor, self._directory, self._may_exist = -1, None, False

    def _take(self, name: str) -> None:
        """Move the file to a name. Raises FileExistsError if the name is taken."""
        directory = self._directory
        try:
            os.link(self._hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=directory))
            try:  # over the empty file that reserves the name
                os.replace(self._hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.unlink(name, dir_fd=directory)
                raise
