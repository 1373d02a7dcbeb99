"""Listening sockets of this machine's file system (AF_UNIX), for their owner alone."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator

BACKLOG = 16
"""Connections that the kernel completes ahead of `accept`."""

LOCK_SECONDS = 1.0
LOCK_RETRY = 0.01
"""Seconds that a server waits for another one that makes a socket in the same directory, and between its tries."""

PRIVATE = 0o177
"""Mask of a socket that its owner alone can use."""


class PathTaken(OSError):
    """Another program listens at the path, or a file that is not a socket is there."""


class LocalSocket:
    """A listening socket at a path, for its owner alone: mode 0600 from its creation on.

    A socket at which no program listens any more is replaced. A socket with a listening program is left alone, and so
    is a file of another kind.

    Args:
        path: of the socket; its directory must exist.

    Raises:
        PathTaken: another program listens there, or the path has a file that is not a socket.
        OSError: the socket cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _alone_in(os.path.dirname(path) or "."):
                _remove_stale(path)
                mask = os.umask(PRIVATE)
                try:
                    self.sock.bind(path)
                finally:
                    os.umask(mask)
                self._place = _place(path)
                self.sock.listen(BACKLOG)
        except BaseException:
            self.sock.close()
            raise

    def remove(self) -> None:
        """Remove the path, unless it is another program's by now. Idempotent."""
        with contextlib.suppress(OSError):
            if _place(self.path) == self._place:
                os.unlink(self.path)


def _place(path: str) -> tuple[int, int]:
    """Return what tells a file from any other that exists at the same time."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _remove_stale(path: str) -> None:
    """Remove a socket at which no program listens.

    Raises:
        PathTaken: a program does, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise PathTaken(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a listener whose queue is full lives
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise PathTaken(errno.EADDRINUSE, "another program listens there")


def _lock(descriptor: int) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return
            time.sleep(LOCK_RETRY)
        except OSError:
            return
        else:
            return


@contextlib.contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Lock a directory, where the file system can, so that no other server replaces a socket there meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)
